//! Datasets that people have: images with labelled boxes.
//!
//! In: a dataset in one of the formats of [`Format`]. Out: the same in another of them. Promises:
//! nothing is dropped without a remark or an error; an error names all the entries that are wrong,
//! each with its file and, if there is one, its line; names never lead out of the directory that is
//! written.
//!
//! Boxes are carried, and with them splits, ids, areas, outlines and scores to formats that have a
//! word for them. What is not carried is counted in a remark.
//! (`hotcoco` converts too, but it keeps neither folders nor file extensions, reads no Ultralytics
//! layout with `train` and `val`, and leaves image sizes to its caller.)
//!
//! ```
//! use gemscope::dataset::{Format, ReadOptions, WriteOptions, read, write};
//!
//! let mut remarks = Vec::new();
//! let truth = "fixtures/coco/truth.json".as_ref();
//! let dataset = read(truth, Format::Coco, &ReadOptions::default(), &mut remarks)?;
//! let out = tempfile::tempdir()?;
//! let options = WriteOptions::default();
//! write(&dataset, Format::Voc, &out.path().join("voc"), &options, &mut remarks)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod coco;
mod error;
mod model;
mod names;
mod reading;
pub(crate) mod voc;
mod writing;
pub(crate) mod xml;
pub(crate) mod yolo;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use error::{DatasetError, Problem};
pub use model::{CocoFields, Dataset, Image, Object, Outline, Split, Splits};
use reading::{Reading, has_extension};
use writing::{Keeps, Written};

use crate::ownership::{self, OutputDirectory};

/// A format of datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON file of COCO instances.
    Coco,
    /// `train`, `valid` and `test`, each with images and `_annotations.coco.json`.
    Roboflow,
    /// `data.yaml`, `images/` and `labels/*.txt` as Ultralytics' tools read them; also darknet's
    /// `obj.data`.
    Yolo,
    /// `Annotations/*.xml` as Pascal VOC has them.
    Voc,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Coco, Self::Roboflow, Self::Yolo, Self::Voc];

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Roboflow => "roboflow",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
        }
    }

    /// The names of all formats.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// Whether an image has a file of its own that is called as it is, so that two images could
    /// need the same.
    pub fn has_label_files(self) -> bool {
        matches!(self, Self::Yolo | Self::Voc)
    }

    /// Which format lies at `path`, by the names of what is there.
    ///
    /// # Errors
    /// [`DatasetError::NotRecognized`].
    pub fn of(path: &Path) -> Result<Self, DatasetError> {
        let not_recognized = || DatasetError::NotRecognized { path: path.to_owned() };
        if path.is_file() {
            let is = |extensions: &[&str]| has_extension(path, extensions);
            return match () {
                () if is(&["json"]) || path.to_string_lossy().ends_with(".json.gz") => {
                    Ok(Self::Coco)
                }
                () if is(&["yaml", "yml", "data"]) => Ok(Self::Yolo),
                () => Err(not_recognized()),
            };
        }
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        let any =
            |extensions: &[&str]| entries.iter().any(|entry| has_extension(entry, extensions));
        let folders = ["Annotations", "annotations"].map(|folder| path.join(folder));
        let voc = any(&["xml"])
            || folders.iter().any(|folder| {
                let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
                folder.is_dir()
                    && files.into_iter().all(|file| !has_extension(&file.path(), &["json"]))
            });
        let yolo = any(&["yaml", "yml", "data"]) || yolo::names_file(path).is_some();
        let found = [
            (Self::Roboflow, !coco::roboflow::folders(path).is_empty()),
            (Self::Voc, voc),
            (Self::Yolo, yolo),
        ];
        let mut found = found.into_iter().filter_map(|(format, is)| is.then_some(format));
        match (found.next(), found.next()) {
            (Some(format), None) => Ok(format),
            _ => Err(not_recognized()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = DatasetError;

    fn from_str(name: &str) -> Result<Self, DatasetError> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| DatasetError::UnknownFormat { name: name.to_owned() })
    }
}

/// How a dataset is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions<'o> {
    /// Where the image files are, if not where the dataset says: YOLO's sizes are read from their
    /// headers, and so are those that a COCO or VOC file lacks.
    pub images: Option<&'o Path>,
    /// Leaves out entries that are wrong, and counts them in remarks, where they else are an error.
    pub skip_invalid: bool,
}

/// How a dataset is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// Replaces files of the user's that are in the way, too.
    pub adopt: bool,
}

/// Reads the dataset at `path`. What a user should know goes to `remarks`.
///
/// # Errors
/// [`DatasetError`].
pub fn read(
    path: &Path,
    format: Format,
    options: &ReadOptions<'_>,
    remarks: &mut Vec<String>,
) -> Result<Dataset, DatasetError> {
    let mut reading = Reading::new(options.images, remarks);
    let mut dataset = match format {
        Format::Coco => coco::read(path, &mut reading)?,
        Format::Roboflow => coco::roboflow::read(path, &mut reading)?,
        Format::Yolo => yolo::read(path, &mut reading)?,
        Format::Voc => voc::read(path, &mut reading)?,
    };
    dataset.images.sort_by(|a, b| a.name.cmp(&b.name));
    let mut twice = Vec::new();
    dataset.images.dedup_by(|image, first| {
        let same = image.name == first.name;
        if same {
            twice.push(image.name.clone());
        }
        same
    });
    for name in twice {
        let what = format!("two images are named {name:?}");
        reading.problem(path, None, "images with the name of another one", what);
    }
    reading.finish(options.skip_invalid)?;
    Ok(dataset)
}

/// Writes `dataset`: COCO to the new file `out`, the others into the directory `out`, which is new,
/// empty, or of an earlier conversion, whose files are replaced. Gives the paths that a user looks
/// for first.
///
/// # Errors
/// [`DatasetError`].
pub fn write(
    dataset: &Dataset,
    format: Format,
    out: &Path,
    options: &WriteOptions,
    remarks: &mut Vec<String>,
) -> Result<Vec<PathBuf>, DatasetError> {
    let ids = coco::Ids { from: None };
    if format == Format::Coco {
        let text = coco::text(dataset, |_| true, ids, remarks)
            .map_err(|error| DatasetError::io(out)(error.into()))?;
        let keeps = Keeps {
            ids: true,
            areas: true,
            crowds: true,
            scores: true,
            outlines: true,
            fields: true,
            categories: true,
            ..Keeps::default()
        };
        dataset.remark_lost("one COCO file", keeps, remarks);
        ownership::write_new_file(out, text.as_bytes(), options.adopt)?;
        return Ok(vec![out.to_owned()]);
    }
    let directory = OutputDirectory::open_new(out, &[], options.adopt)?;
    let staged = directory.stage()?;
    let mut put = |name: &str, bytes: &[u8]| {
        staged.write(name, bytes).map_err(DatasetError::io(&staged.place_of(name)))
    };
    let Written { first, images, .. } = match format {
        Format::Roboflow => coco::roboflow::write(dataset, ids, &mut put, remarks)?,
        Format::Voc => voc::write(dataset, &mut put, remarks)?,
        _ => yolo::write(dataset, &mut put, remarks)?,
    };
    remarks.push(format!("the images belong into {}", out.join(images).display()));
    for changed in directory.place(&staged, &[""])?.changed {
        remarks.push(format!("{changed}: changed since an earlier conversion, and left as it is"));
    }
    Ok(first.iter().map(|name| out.join(name)).collect())
}
