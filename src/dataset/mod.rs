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
pub mod compare;
mod counted;
mod cvat;
mod edit;
mod error;
pub(crate) mod fields;
mod glance;
mod imagefolder;
mod join;
mod jsonl;
pub(crate) mod label_studio;
mod labelme;
mod labels;
mod megadetector;
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

pub(crate) use counted::counted;
pub use edit::{Grouping, Shares};
pub use error::{DatasetError, Problem};
pub use join::SAME_PLACE;
use labelme::Flavour;
pub use model::{CocoFields, Dataset, Image, Object, Outline, Point, Split, Splits};
use reading::{Reading, has_extension};
use writing::{Keeps, Put, Written};

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
    /// LabelMe's JSON beside each image.
    LabelMe,
    /// The same as X-AnyLabeling writes it, with scores.
    XAnyLabeling,
    /// CVAT for images: `annotations.xml`.
    Cvat,
    /// Label Studio's tasks.
    LabelStudio,
    /// Hugging Face's imagefolder: `metadata.jsonl` beside the images of each split.
    ImageFolder,
    /// MegaDetector's batch results.
    MegaDetector,
    /// `detections.jsonl`, and the parts that `gemscope.ray` writes.
    Jsonl,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 11] = [
        Self::Coco,
        Self::Roboflow,
        Self::Yolo,
        Self::Voc,
        Self::LabelMe,
        Self::XAnyLabeling,
        Self::Cvat,
        Self::LabelStudio,
        Self::ImageFolder,
        Self::MegaDetector,
        Self::Jsonl,
    ];

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Roboflow => "roboflow",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
            Self::LabelMe => "labelme",
            Self::XAnyLabeling => "xanylabeling",
            Self::Cvat => "cvat",
            Self::LabelStudio => "label-studio",
            Self::ImageFolder => "imagefolder",
            Self::MegaDetector => "megadetector",
            Self::Jsonl => "jsonl",
        }
    }

    /// The names of all formats.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// Whether it has a word for labelled points.
    pub(crate) fn holds_points(self) -> bool {
        matches!(
            self,
            Self::Coco
                | Self::LabelMe
                | Self::XAnyLabeling
                | Self::Cvat
                | Self::LabelStudio
                | Self::Jsonl
        )
    }

    /// Whether it has a word for what is said about a whole image.
    pub(crate) fn holds_fields(self) -> bool {
        matches!(
            self,
            Self::Coco | Self::Cvat | Self::LabelStudio | Self::ImageFolder | Self::Jsonl
        )
    }

    /// Whether an image has a file of its own that is called as it is, so that two images could
    /// need the same.
    pub fn has_label_files(self) -> bool {
        matches!(self, Self::Yolo | Self::Voc | Self::LabelMe | Self::XAnyLabeling)
    }

    /// Which format lies at `path`, by the names of what is there.
    ///
    /// # Errors
    /// [`DatasetError::NotRecognized`].
    pub fn of(path: &Path) -> Result<Self, DatasetError> {
        Self::at(path).ok_or_else(|| not_recognized(path))
    }

    /// The format at `path`; `None` if it is none, or may be several.
    fn at(path: &Path) -> Option<Self> {
        if path.is_file() {
            let is = |extensions: &[&str]| has_extension(path, extensions);
            return match () {
                () if path.to_string_lossy().ends_with(".json.gz") => Some(Self::Coco),
                () if is(&["json", "jsonl"]) && jsonl::is_file(path) => Some(Self::Jsonl),
                () if is(&["json"]) => Some(Self::of_json(path)),
                () if is(&["yaml", "yml", "data"]) => Some(Self::Yolo),
                () if is(&["jsonl"]) => Some(Self::ImageFolder),
                () if cvat::file_at(path).is_some() => Some(Self::Cvat),
                () => None,
            };
        }
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        let any =
            |extensions: &[&str]| entries.iter().any(|entry| has_extension(entry, extensions));
        let folders = ["Annotations", "annotations"].map(|folder| path.join(folder));
        // Folders that a file says what they are, whatever else is there.
        if cvat::file_at(path).is_some() {
            return Some(Self::Cvat);
        }
        if path.join("tasks.json").is_file() {
            return Some(Self::LabelStudio);
        }
        if path.join(megadetector::FILE).is_file() {
            return Some(Self::MegaDetector);
        }
        let voc = any(&["xml"])
            || voc::has_split_folders(path)
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
            (Self::ImageFolder, !imagefolder::folders(path).is_empty()),
        ];
        let mut found = found.into_iter().filter_map(|(format, is)| is.then_some(format));
        match (found.next(), found.next()) {
            (Some(format), None) => Some(format),
            (None, _) if jsonl::is_folder(path) => Some(Self::Jsonl),
            (None, _) if labelme::is_at(path) => Some(Self::LabelMe),
            _ => None,
        }
    }

    /// Which format the JSON file at `path` is of, by what it begins with.
    fn of_json(path: &Path) -> Self {
        let head = crate::files::open(path).ok().and_then(|file| {
            let mut head = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(file, HEAD), &mut head).ok()?;
            crate::files::without_mark(head).ok()
        });
        let head = head.map(|head| String::from_utf8_lossy(&head).into_owned()).unwrap_or_default();
        let whole = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() < WHOLE);
        let has = |key: &str| head.contains(&format!("\"{key}\""));
        let may = head.trim_start().starts_with('[')
            || has("detection_categories")
            || !has("annotations");
        // Keys may stand behind a long list, whatever the head says.
        let value = (whole && may).then(|| coco::parse_json::<glance::Glance>(path).ok()).flatten();
        match value.map(|glance| glance.0) {
            Some(value) if label_studio::is_it(&value) => Self::LabelStudio,
            Some(value) if megadetector::is_it(&value) => Self::MegaDetector,
            None if has("detection_categories") => Self::MegaDetector,
            None if head.trim_start().starts_with('[') && has("data") => Self::LabelStudio,
            _ => Self::Coco,
        }
    }
}

/// Why no format was told of `path`.
fn not_recognized(path: &Path) -> DatasetError {
    let path = path.to_owned();
    if !path.exists() {
        return DatasetError::Missing { path };
    }
    let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    if let Some((inner, format)) = inner_dataset(&path) {
        return DatasetError::Inside { path, inner, format };
    }
    if entries.iter().any(|entry| reading::is_picture(entry)) {
        return DatasetError::OnlyImages { path };
    }
    DatasetError::NotRecognized { path }
}

/// How many files and folders are looked at for a dataset inside of a folder.
const LOOKED_INTO: usize = 200;

/// The first dataset below `path`, at most two folders deep: a folder, or a COCO file.
fn inner_dataset(path: &Path) -> Option<(PathBuf, Format)> {
    let entries = walkdir::WalkDir::new(path).min_depth(1).max_depth(3).sort_by_file_name();
    let entries = entries.into_iter().filter_map(Result::ok).take(LOOKED_INTO);
    let mut entries: Vec<walkdir::DirEntry> = entries.collect();
    entries.sort_by_key(walkdir::DirEntry::depth);
    entries.into_iter().find_map(|entry| {
        let at = entry.path();
        let format = if at.is_dir() && entry.depth() < 3 {
            Format::at(at)
        } else {
            (has_extension(at, &["json"]) && is_coco(at)).then_some(Format::Coco)
        };
        Some((at.to_owned(), format?))
    })
}

/// Whether the JSON file at `path` has the lists of COCO instances.
fn is_coco(path: &Path) -> bool {
    let is_small = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() < WHOLE);
    let seen = is_small.then(|| coco::parse_json::<glance::Glance>(path).ok()).flatten();
    seen.is_some_and(|seen| {
        ["images", "annotations", "categories"].iter().all(|key| seen.0.get(key).is_some())
    })
}

/// How much of a JSON file is looked at to tell its format.
const HEAD: u64 = 1 << 16;
/// Smaller files are looked at as a whole, if their beginning leaves it open.
const WHOLE: u64 = 64 << 20;

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
    /// Counts all ids of COCO files anew, from this one.
    pub ids_from: Option<u64>,
    /// Copies the images into the directory, where the format looks for them.
    pub copy_images: bool,
    /// Labels of YOLO have the score of each box behind it, as Ultralytics' `save_conf` does.
    pub save_conf: bool,
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
        Format::LabelMe | Format::XAnyLabeling => labelme::read(path, &mut reading)?,
        Format::Cvat => cvat::read(path, &mut reading)?,
        Format::LabelStudio => label_studio::read(&in_folder(path, "tasks.json"), &mut reading)?,
        Format::ImageFolder => imagefolder::read(path, &mut reading)?,
        Format::MegaDetector => {
            megadetector::read(&in_folder(path, megadetector::FILE), &mut reading)?
        }
        Format::Jsonl => jsonl::read(path, &mut reading)?,
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
    if format != Format::Yolo {
        remark_sizes(&dataset, remarks);
    }
    remark_unread(&dataset, remarks);
    Ok(dataset)
}

/// The most images whose own size is looked at.
const LOOKED_AT: usize = 5000;

/// Says how many images are of another size than the data set says: its boxes may be those of
/// pictures that were turned or made smaller later.
fn remark_sizes(dataset: &Dataset, remarks: &mut Vec<String>) {
    let step = dataset.images.len().div_ceil(LOOKED_AT).max(1);
    let other = dataset.images.iter().step_by(step).filter_map(|image| {
        let own = reading::size_of(image.file.as_deref()?).ok()?;
        (own != (image.width, image.height)).then_some((image, own))
    });
    let other: Vec<_> = other.collect();
    if let [(first, (width, height)), ..] = other.as_slice() {
        let of = if step > 1 { " (not all were looked at)" } else { "" };
        remarks.push(format!(
            "{} another size than the data set says{of}: {} is {width}x{height}, and said to be \
             {}x{}. Boxes are taken in pixels of what is said",
            counted(other.len(), "image has", "images have"),
            first.name,
            first.width,
            first.height
        ));
    }
}

/// Says how many names hold the sign for what could not be read (U+FFFD).
fn remark_unread(dataset: &Dataset, remarks: &mut Vec<String>) {
    let names = dataset.images.iter().map(|image| &image.name);
    let odd: Vec<&String> = names
        .chain(&dataset.categories)
        .filter(|name| name.contains(char::REPLACEMENT_CHARACTER))
        .collect();
    if let [first, ..] = odd.as_slice() {
        remarks.push(format!(
            "{} characters that could not be read, and have U+FFFD for them ({first:?})",
            counted(odd.len(), "name has", "names have")
        ));
    }
}

/// The file that `path` is, or that is called `name` in the folder that it is.
fn in_folder(path: &Path, name: &str) -> PathBuf {
    if path.is_dir() { path.join(name) } else { path.to_owned() }
}

/// Writes `dataset`: COCO to the new file `out`, the others into the directory `out`, which is new,
/// empty, or of an earlier conversion, whose files are replaced. Gives the paths that a user looks
/// for first, and how many images could not be copied.
///
/// # Errors
/// [`DatasetError`].
pub fn write(
    dataset: &Dataset,
    format: Format,
    out: &Path,
    options: &WriteOptions,
    remarks: &mut Vec<String>,
) -> Result<(Vec<PathBuf>, usize), DatasetError> {
    let dataset = dataset.without_unboxed(format, remarks);
    let dataset = dataset.as_ref();
    if format == Format::Coco {
        let ids = coco::Ids { from: options.ids_from };
        let numbered = coco::Numbered::of(dataset, ids, remarks);
        let keeps = Keeps {
            ids: true,
            areas: true,
            crowds: true,
            scores: true,
            outlines: true,
            fields: true,
            points: true,
            image_fields: true,
            categories: true,
            ..Keeps::default()
        };
        dataset.remark_lost("one COCO file", keeps, remarks);
        ownership::write_new_file(out, options.adopt, &|sink| numbered.write(|_| true, sink))?;
        return Ok((vec![out.to_owned()], 0));
    }
    let directory = OutputDirectory::open_new(out, &[], options.adopt)?;
    let staged = directory.stage()?;
    let mut put = |name: &str, bytes: &[u8]| {
        staged.write(name, bytes).map_err(DatasetError::io(&staged.place_of(name)))
    };
    let inner = (format == Format::Roboflow || format == Format::ImageFolder).then(|| {
        let mut inner = dataset.clone();
        inner.without_split_folders();
        inner
    });
    let written = inner.as_ref().unwrap_or(dataset);
    let Written { first, images, places } =
        write_files(written, format, *options, &mut put, remarks)?;
    let mut missing = 0;
    if options.copy_images {
        for (image, place) in dataset.images.iter().zip(&places) {
            let bytes = image
                .file
                .as_ref()
                .and_then(|file| Some((file, crate::files::read(file, u64::MAX).ok()?)));
            match bytes {
                Some((file, bytes)) => staged
                    .copy(place, &bytes, file)
                    .map_err(DatasetError::io(&staged.place_of(place)))?,
                None => missing += 1,
            }
        }
        if missing > 0 {
            remarks.push(format!(
                "{missing} images are not there to copy: say where they are with --images DIR"
            ));
        }
    } else {
        remarks.push(format!(
            "the images belong into {} (`copy_images` copies them there)",
            out.join(images).display()
        ));
    }
    for changed in directory.place(&staged, &[""])?.changed {
        remarks.push(format!("{changed}: changed since an earlier conversion, and left as it is"));
    }
    Ok((first.iter().map(|name| out.join(name)).collect(), missing))
}

/// Makes the files of a format that is a directory.
///
/// # Errors
/// Those of `put`, and names that cannot stand.
pub(crate) fn write_files(
    dataset: &Dataset,
    format: Format,
    options: WriteOptions,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    match format {
        Format::Coco | Format::Roboflow => {
            let ids = coco::Ids { from: options.ids_from };
            coco::roboflow::write(dataset, ids, put, remarks)
        }
        Format::Yolo => yolo::write(dataset, options.save_conf, put, remarks),
        Format::Voc => voc::write(dataset, put, remarks),
        Format::LabelMe => labelme::write(dataset, Flavour::LabelMe, put, remarks),
        Format::XAnyLabeling => labelme::write(dataset, Flavour::XAnyLabeling, put, remarks),
        Format::Cvat => cvat::write(dataset, put, remarks),
        Format::LabelStudio => label_studio::write(dataset, put, remarks),
        Format::ImageFolder => imagefolder::write(dataset, put, remarks),
        Format::MegaDetector => megadetector::write(dataset, put, remarks),
        Format::Jsonl => jsonl::write(dataset, put, remarks),
    }
}

/// What stands before the names of the images of a split, in the folder of a format that has one
/// for each split.
pub(crate) fn folder_of_split(format: Format, split: Split) -> String {
    match format {
        Format::Roboflow => format!("{}/", coco::roboflow::folder_of(split)),
        Format::ImageFolder => format!("{}/", imagefolder::folder_of(split)),
        _ => String::new(),
    }
}
