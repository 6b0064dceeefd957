//! Records to files that other tools read.
//!
//! In: the records of a run, sorted by image, as its [`Filters`](crate::record::Filters) show them;
//! its manifest, and for some formats the images. Out: files in the run's directory. Promises: each
//! format is a pure function of these and the options: the same bytes whatever the threads, the
//! order of the run or how often it was resumed. `docs/FORMATS.md` says what each format holds.
//!
//! ```
//! use gemscope::export::{Exported, Format, Options, Run, export};
//! use gemscope::ownership::OutputDirectory;
//!
//! fn to_coco(run: &Run, out: &OutputDirectory) -> Exported {
//!     export(run, &Options::default(), &[Format::Coco], out)
//! }
//! ```

mod clips;
mod coco;
mod counts;
mod critique;
mod crops;
mod csv;
mod data_set;
mod draw;
mod examples;
mod filter;
mod folder;
mod html;
mod jsonl;
mod label_studio;
mod merge;
mod options;
mod overlay;
mod presence;
mod select;
mod sorted;
mod upright;
mod voc;
mod yolo;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

pub use critique::{
    Critique, MovedFrames, RatedFrames, VerdictFormat, add_overrules, bring_along, export_verdicts,
    kept_overrules, move_frames, rate_in_files, rate_in_xmp, read_overrules, write_pairs,
};
pub use data_set::data_set;
pub use jsonl::jsonl_line;
pub use merge::{Run, merge};
pub use options::{
    CropFormat, CropOptions, GroupBy, Options, Padding, SortBy, read_categories, read_labels_map,
};
pub use presence::Missing;
pub use select::{LeftOut, Selection};

use crate::critique::OverrulesError;
use crate::dataset;
pub use crate::dataset::coco::Category;
use crate::journal::{JournalError, RunDirectoryError};
use crate::ownership::{Left, OutputDirectory, OwnershipError};
use crate::record::Record;
use examples::Examples;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `detections.jsonl`: one line an image.
    Jsonl,
    /// `detections.csv`: one row a box.
    Csv,
    /// `instances.json` and `results.json`.
    Coco,
    /// `yolo/`: images, labels and `data.yaml`.
    Yolo,
    /// `voc/`: images and XML.
    Voc,
    /// `label-studio/`: tasks with predictions, and the labelling configuration.
    LabelStudio,
    /// `roboflow/`: COCO files in folders of the splits, as RF-DETR reads them.
    Roboflow,
    /// `labelme/`: LabelMe's JSON beside each image.
    LabelMe,
    /// `xanylabeling/`: the same for X-AnyLabeling, with scores.
    XAnyLabeling,
    /// `cvat.xml`: CVAT for images.
    Cvat,
    /// `imagefolder/`: Hugging Face's, with `metadata.jsonl`.
    ImageFolder,
    /// `megadetector.json`: for Timelapse and AddaxAI.
    MegaDetector,
    /// `counts.csv`: a row an image, a column a label.
    Counts,
    /// `crops/`: one PNG a detection.
    Crops,
    /// `overlays/`: every image with its boxes drawn.
    Overlay,
    /// `report/`: a page for a browser, with thumbnails.
    Html,
}

impl Format {
    /// Every format, in the order in which they are written.
    pub const ALL: [Self; 16] = [
        Self::Jsonl,
        Self::Csv,
        Self::Coco,
        Self::Yolo,
        Self::Voc,
        Self::LabelStudio,
        Self::Counts,
        Self::Crops,
        Self::Overlay,
        Self::Html,
        Self::Roboflow,
        Self::LabelMe,
        Self::XAnyLabeling,
        Self::Cvat,
        Self::ImageFolder,
        Self::MegaDetector,
    ];

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
            Self::LabelStudio => "label-studio",
            Self::Roboflow => "roboflow",
            Self::LabelMe => "labelme",
            Self::XAnyLabeling => "xanylabeling",
            Self::Cvat => "cvat",
            Self::ImageFolder => "imagefolder",
            Self::MegaDetector => "megadetector",
            Self::Counts => "counts",
            Self::Crops => "crops",
            Self::Overlay => "overlay",
            Self::Html => "html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = ExportError;

    fn from_str(name: &str) -> Result<Self, ExportError> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| ExportError::UnknownFormat { name: name.to_owned() })
    }
}

/// `, which is here roboflow`: our word for what people call a format otherwise; else nothing.
pub(crate) fn known_as(name: &str) -> String {
    let of_others: [(&[&str], &str); 9] = [
        (&["rfdetr", "rf-detr"], "roboflow (COCO in train/ and valid/, with the images)"),
        (&["ultralytics", "yolov5", "yolov8", "yolov11", "yolo11", "darknet"], "yolo"),
        (&["pascal", "pascal-voc", "pascalvoc"], "voc"),
        (&["labelstudio"], "label-studio"),
        (&["count"], "counts"),
        (&["crop"], "crops"),
        (&["json", "jsonlines"], "jsonl"),
        (&["overlays", "draw"], "overlay"),
        (&["page", "report"], "html"),
    ];
    let name = name.to_lowercase();
    let found = of_others.iter().find(|(names, _)| names.contains(&name.as_str()));
    found.map_or_else(String::new, |(_, here)| format!(", which is here {here}"))
}

/// Why an export could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Not one of [`Format::ALL`].
    #[error("unknown format {name:?}{}; there are: {}", known_as(name),
        Format::ALL.map(Format::as_str).join(", "))]
    UnknownFormat {
        /// The format that was asked for.
        name: String,
    },
    /// Not one of [`VerdictFormat::ALL`].
    #[error("unknown format {name:?}{}; there are: {}",
        if name == "html" { ", which is here sheet (a page)" } else { "" },
        VerdictFormat::ALL.map(VerdictFormat::as_str).join(", "))]
    UnknownVerdictFormat {
        /// The kind of answer that was asked for.
        name: String,
    },
    /// Not a [`GroupBy`].
    #[error("{name:?}: images can be grouped by clip")]
    UnknownGroup {
        /// The kind of answer that was asked for.
        name: String,
    },
    /// Not a [`SortBy`].
    #[error("{name:?}: frames can be sorted by link or copy")]
    UnknownSort {
        /// The kind of answer that was asked for.
        name: String,
    },
    /// A file that cannot be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A file of the user's, or another process, is in the way.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// A table of verdicts by hand that cannot be used.
    #[error("{}: {error}", path.display())]
    Overrules {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: OverrulesError,
    },
    /// The run's directory cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunDirectoryError),
    /// The log of moved files cannot be read or written.
    #[error(transparent)]
    Log(#[from] JournalError),
    /// Some formats need the images, and their folder is not known.
    #[error("this needs the images: say with `images` in which folder they are")]
    NoImages,
    /// The folder of the images holds none of them. What an earlier export made of them stays as it
    /// is.
    #[error(
        "not one of {images} images is in {}: was the folder moved, or is its disk not mounted? \
         What needs the images is not written, and stays as it was",
        folder.display()
    )]
    OutOfReach {
        /// The folder.
        folder: PathBuf,
        /// The number of images.
        images: usize,
    },
    /// A file of categories or labels that cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A file of categories or labels that is not one.
    #[error("{}: {reason}", path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// Runs that cannot be exported as one.
    #[error("these runs do not go together: {reason}")]
    UnlikeRuns {
        /// Why.
        reason: &'static str,
    },
}

impl ExportError {
    /// Whether the disk is full.
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::Write { error, .. } => error.kind() == std::io::ErrorKind::StorageFull,
            Self::Ownership(error) => error.is_full_disk(),
            _ => false,
        }
    }
}

/// The input of a format.
struct Input<'r> {
    run: &'r Run,
    /// Sorted by image, with the boxes that are exported.
    records: &'r [Record],
    /// The labels of all categories, in their order.
    labels: &'r [String],
    options: &'r Options,
}

/// The files that were written, and the formats that failed.
#[derive(Debug, Default)]
pub struct Exported {
    /// Files and folders.
    pub written: Vec<PathBuf>,
    /// Things a user should know, one a line.
    pub remarks: Vec<String>,
    /// Images that could not be read any more, for crops, pictures and data sets.
    pub images_missed: usize,
    /// Formats that could not be written. The others are.
    pub failures: Vec<FormatFailure>,
}

impl Exported {
    /// Keeps why `format` could not be written, if it could not.
    fn keep(&mut self, format: &'static str, written: Result<(), ExportError>) {
        self.failures.extend(written.err().map(|error| FormatFailure { format, error }));
    }
}

/// A format that could not be written.
#[derive(Debug, Error)]
#[error("{format}: {error}")]
pub struct FormatFailure {
    /// Its name on the command line.
    pub format: &'static str,
    /// Why.
    pub error: ExportError,
}

impl FormatFailure {
    /// Whether the disk is full: the export can be made once it has room.
    pub fn is_full_disk(&self) -> bool {
        self.error.is_full_disk()
    }
}

impl Exported {
    /// Says which files of an earlier export are the user's now.
    fn remark_left(&mut self, left: &Left) {
        self.remarks.extend(left.last_copies_in_words());
        if let [first, others @ ..] = left.changed.as_slice() {
            let others = if others.is_empty() {
                String::new()
            } else {
                format!(" and {} others", others.len())
            };
            self.remarks.push(format!(
                "{first}{others}: changed since an earlier export, and left as it is"
            ));
        }
    }
}

/// The names of files and folders that formats are written to.
pub const NAMES: [&str; 22] = [
    "detections.jsonl",
    "detections.csv",
    "instances.json",
    "instances_train.json",
    "instances_val.json",
    "results.json",
    "upright",
    "yolo",
    "voc",
    "label-studio",
    "roboflow",
    "labelme",
    "xanylabeling",
    "cvat.xml",
    "imagefolder",
    "megadetector.json",
    "counts.csv",
    "clips.csv",
    "crops",
    "overlays",
    "report",
    "sorted",
];

/// Writes `formats` of `run` into `out`. Files of an earlier export are replaced, and other files
/// stay.
///
/// A format that fails is among the failures and keeps no other from being written; an image that
/// can no longer be read is a remark.
pub fn export(run: &Run, options: &Options, formats: &[Format], out: &OutputDirectory) -> Exported {
    let mut exported = Exported::default();
    let chosen = select::choose(&run.selection, options, &mut exported);
    let labels: Vec<String> =
        chosen.categories.iter().map(|category| category.name.clone()).collect();
    let input = &Input { run, records: &chosen.records, labels: &labels, options };
    let examples = Examples::new(&chosen);
    let folder = |format, exported: &mut Exported| {
        data_set::write_folder(input, &examples, format, out, exported)
    };
    let file = |format, name, exported: &mut Exported| {
        data_set::write_file(input, &examples, format, name, out, exported)
    };
    for format in formats {
        let written = match format {
            Format::Jsonl => jsonl::write(input, out, &mut exported),
            Format::Csv => csv::write(input, out, &mut exported),
            Format::Coco => coco::write(input, &examples, out, &mut exported),
            Format::Yolo => yolo::write(input, &examples, out, &mut exported),
            Format::Voc => voc::write(input, &examples, out, &mut exported),
            Format::LabelStudio => label_studio::write(input, &chosen, out, &mut exported),
            Format::Roboflow => folder(dataset::Format::Roboflow, &mut exported),
            Format::LabelMe => folder(dataset::Format::LabelMe, &mut exported),
            Format::XAnyLabeling => folder(dataset::Format::XAnyLabeling, &mut exported),
            Format::ImageFolder => folder(dataset::Format::ImageFolder, &mut exported),
            Format::Cvat => file(dataset::Format::Cvat, "cvat.xml", &mut exported),
            Format::MegaDetector => {
                file(dataset::Format::MegaDetector, "megadetector.json", &mut exported)
            }
            Format::Counts => counts::write(input, out, &mut exported),
            Format::Crops => crops::write(input, out, &mut exported),
            Format::Overlay => overlay::write(input, out, &mut exported),
            Format::Html => html::write(input, out, &mut exported),
        };
        exported.keep(format.as_str(), written);
    }
    if options.group_by == Some(GroupBy::Clip) {
        let written = clips::write(input, out, &mut exported);
        exported.keep("clips", written);
    }
    if let Some(sort) = options.sort {
        let written = sorted::by_label(run, &chosen, sort, out, &mut exported);
        exported.keep("sorted", written);
    }
    remark_orientation(input, formats, &mut exported);
    exported
}

/// Warns that boxes and files may be rotated against each other in some tools, for formats that
/// have both.
fn remark_orientation(input: &Input<'_>, formats: &[Format], exported: &mut Exported) {
    let with_images = formats.iter().any(|format| {
        !matches!(format, Format::Counts | Format::Crops | Format::Overlay | Format::Html)
    });
    let turned = input.records.iter().filter(|record| record.orientation != 1).count();
    if !with_images || input.options.write_upright || turned == 0 {
        return;
    }
    let turned = dataset::counted(turned, "image has", "images have");
    exported.remarks.push(if input.run.apply_orientation {
        format!(
            "{turned} an EXIF orientation: boxes are those of the upright image, and a \
             tool that ignores EXIF will misplace them (`write_upright` makes upright copies)"
        )
    } else {
        format!(
            "{turned} an EXIF orientation that `no_exif` ignored: boxes are those of \
             the image as it is stored, and a \
             tool that heeds EXIF will misplace them (`write_upright` makes copies without it)"
        )
    });
}

/// Writes `bytes` to `out/name`.
fn write_file(
    out: &OutputDirectory,
    name: &str,
    bytes: &[u8],
    exported: &mut Exported,
) -> Result<(), ExportError> {
    exported.written.push(out.write(name, bytes)?);
    Ok(())
}

/// Writes `value` to `out/name` as one line of JSON.
fn write_json<T: Serialize>(
    out: &OutputDirectory,
    name: &str,
    value: &T,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let mut bytes = serde_json::to_vec(value)
        .map_err(|error| ExportError::Write { path: out.join(name), error: error.into() })?;
    bytes.push(b'\n');
    write_file(out, name, &bytes, exported)
}
