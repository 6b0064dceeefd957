//! Datasets that people have: images with labelled boxes.
//!
//! In: COCO instances, a YOLO directory or a Pascal VOC directory. Out: the same boxes in another
//! of the three. Promises: nothing is dropped without a remark or an error; an error names the file
//! and, where there is one, the line; names never lead out of the directory that is written.
//!
//! Boxes are carried, and with them splits, ids and areas to formats that have a word for them.
//! What is not carried (segmentations, keypoints, or one of these) is counted in a remark.
//! (`hotcoco` converts too, but it keeps neither folders nor file extensions, reads no Ultralytics
//! layout with `train` and `val`, and leaves image sizes to its caller.)
//!
//! ```
//! use gemscope::dataset::{Format, read, write};
//!
//! let mut remarks = Vec::new();
//! let dataset = read("fixtures/coco/truth.json".as_ref(), Format::Coco, None, &mut remarks)?;
//! let out = tempfile::tempdir()?;
//! write(&dataset, Format::Voc, &out.path().join("voc"), false, &mut remarks)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod coco;
pub(crate) mod voc;
pub(crate) mod xml;
pub(crate) mod yolo;

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::ownership::{OutputDirectory, OwnershipError, Staging};
use crate::record::BBox;
use crate::{files, image, ownership, source};

/// Edges that lie farther than this outside their image, in pixels, are remarked on when they are
/// moved to its edge.
const SLACK: f64 = 0.5;

/// By how large a part of itself an area may differ from its box's and still be that of the box,
/// rounded.
const SAME_AREA: f64 = 1e-3;

/// Images with labelled boxes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// Names of the categories, in the order of their ids.
    pub categories: Vec<String>,
    /// The id of each category; empty if the dataset counts them (YOLO) or has none (VOC).
    pub category_ids: Vec<u64>,
    /// The images, sorted by name.
    pub images: Vec<Image>,
}

/// One image of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Path relative to the images' folder, with `/`.
    pub name: String,
    /// Width in pixels; never 0.
    pub width: u32,
    /// Height in pixels; never 0.
    pub height: u32,
    /// Its id, if it has one that is a whole number.
    pub id: Option<u64>,
    /// The splits that it is in.
    pub splits: Splits,
    /// What is in it.
    pub objects: Vec<Object>,
}

/// One labelled box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Place in [`Dataset::categories`].
    pub category: usize,
    /// Where it is, in pixels; inside the image, with an area.
    pub bbox: BBox,
    /// Not to be counted for or against a detector: COCO's `iscrowd`, VOC's `difficult`.
    pub crowd: bool,
    /// In square pixels: of an outline if the dataset knows one, else of the box.
    pub area: f64,
    /// Its id, if it has one that is a whole number.
    pub id: Option<u64>,
}

impl Object {
    /// Whether its area is that of something else than its box.
    fn has_own_area(&self) -> bool {
        (self.area - self.bbox.area()).abs() > SAME_AREA * self.area.max(self.bbox.area())
    }
}

/// A split of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Val,
    /// To measure with.
    Test,
}

impl Split {
    /// Every split, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Its name in `data.yaml` and in VOC's `ImageSets`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// The splits that an image is in; none if the dataset has none, or names it in none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Splits([bool; 3]);

impl Splits {
    /// Whether the image is in `split`.
    pub fn has(self, split: Split) -> bool {
        self.0[split as usize]
    }

    /// Puts the image into `split` too.
    pub fn add(&mut self, split: Split) {
        self.0[split as usize] = true;
    }
}

impl Dataset {
    /// The images of `split`.
    fn images_of(&self, split: Split) -> impl Iterator<Item = &Image> {
        self.images.iter().filter(move |image| image.splits.has(split))
    }

    /// Whether there is a split to keep. There is none if train and val are the same images.
    fn is_split(&self) -> bool {
        let same = Splits([true, true, false]);
        let mut images = self.images.iter();
        images.any(|image| image.splits != Splits::default())
            && self.images.iter().any(|image| image.splits != same)
    }

    /// How many images each split has: `train 8, val 2`.
    fn split_counts(&self) -> String {
        let counts = Split::ALL.map(|split| (split, self.images_of(split).count()));
        let parts = counts.iter().filter(|(_, count)| *count > 0);
        parts
            .map(|(split, count)| format!("{} {count}", split.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Says what of the objects and ids `format` has no word for.
    fn remark_lost(&self, format: &str, remarks: &mut Vec<String>) {
        let objects = || self.images.iter().flat_map(|image| &image.objects);
        let areas = objects().filter(|object| object.has_own_area()).count();
        if areas > 0 {
            remarks.push(format!(
                "{areas} boxes have an area of their own (of an outline), which {format} has no \
                 word for"
            ));
        }
        let images = self.images.iter().filter(|image| image.id.is_some()).count();
        let boxes = objects().filter(|object| object.id.is_some()).count();
        let categories = self.category_ids.len();
        if images + boxes + categories > 0 {
            remarks.push(format!(
                "ids are not kept, which {format} has no word for: of {images} images, {boxes} \
                 boxes and {categories} categories"
            ));
        }
    }
}

/// A format of datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON file of COCO instances.
    Coco,
    /// `data.yaml`, `images/` and `labels/*.txt` as Ultralytics' tools read them.
    Yolo,
    /// `Annotations/*.xml` as Pascal VOC has them.
    Voc,
}

impl Format {
    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
        }
    }

    /// Which format lies at `path`, by the names of what is there.
    ///
    /// # Errors
    /// [`DatasetError::NotRecognized`].
    pub fn of(path: &Path) -> Result<Self, DatasetError> {
        let extension = |path: &Path| path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        let has = |path: &Path, wanted: &[&str]| {
            extension(path)
                .is_some_and(|extension| wanted.iter().any(|wanted| extension == *wanted))
        };
        if path.is_file() && has(path, &["json"]) {
            return Ok(Self::Coco);
        }
        if path.is_file() && has(path, &["yaml", "yml"]) {
            return Ok(Self::Yolo);
        }
        let entries: Vec<PathBuf> = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        let voc =
            path.join("Annotations").is_dir() || entries.iter().any(|entry| has(entry, &["xml"]));
        let yolo = path.join("classes.txt").is_file()
            || entries.iter().any(|entry| has(entry, &["yaml", "yml"]));
        match (voc, yolo) {
            (true, false) => Ok(Self::Voc),
            (false, true) => Ok(Self::Yolo),
            _ => Err(DatasetError::NotRecognized { path: path.to_owned() }),
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
        [Self::Coco, Self::Yolo, Self::Voc]
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| DatasetError::UnknownFormat { name: name.to_owned() })
    }
}

/// Why a dataset cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A line that is not what the format says.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that is not what the format says.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// None of the three formats, or more than one.
    #[error(
        "{}: cannot tell the format: neither a COCO .json, nor a folder with data.yaml (YOLO) or \
         Annotations/*.xml (VOC) alone; say it with --from",
        path.display()
    )]
    NotRecognized {
        /// What was looked at.
        path: PathBuf,
    },
    /// Files of the user's, or another process, are in the way.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// Not a name of a format.
    #[error("unknown format {name:?}; there are: coco, yolo, voc")]
    UnknownFormat {
        /// What was asked for.
        name: String,
    },
    /// A split that is not where its settings say.
    #[error("{}: {split} is {entry:?}, which is not there (looked for {})", path.display(), looked.display())]
    NoSplit {
        /// The settings.
        path: PathBuf,
        /// The split.
        split: &'static str,
        /// Where it should be, as it is written.
        entry: String,
        /// The place that this stands for.
        looked: PathBuf,
    },
    /// An image whose name a list cannot hold.
    #[error(
        "the image {name:?} has a line break in its name, which the list of a split cannot hold: \
         rename it"
    )]
    NameOfSeveralLines {
        /// Its name.
        name: String,
    },
    /// An image whose name leads out of a folder.
    #[error("the image {name:?} has a name that leads out of the dataset's folder")]
    UnsafeName {
        /// Its name.
        name: String,
    },
    /// Two images that would have one label file.
    #[error("the images {first:?} and {second:?} would share one label file: rename one of them")]
    SameLabelFile {
        /// The first of them.
        first: String,
        /// The second of them.
        second: String,
    },
}

impl DatasetError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }

    fn line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Line { path: path.to_owned(), line, problem: problem.into() }
    }
}

/// Reads the dataset at `path`. `images` says where the image files are, where the dataset does
/// not: YOLO's sizes are read from their headers, and so are those that a COCO or VOC file lacks.
/// What a user should know goes to `remarks`.
///
/// # Errors
/// [`DatasetError`].
pub fn read(
    path: &Path,
    format: Format,
    images: Option<&Path>,
    remarks: &mut Vec<String>,
) -> Result<Dataset, DatasetError> {
    let mut reading = Reading { images, moved: 0, dropped: 0, remarks };
    let mut dataset = match format {
        Format::Coco => coco::read(path, &mut reading)?,
        Format::Yolo => yolo::read(path, &mut reading)?,
        Format::Voc => voc::read(path, &mut reading)?,
    };
    let Reading { moved, dropped, .. } = reading;
    if moved > 0 {
        remarks.push(format!("{moved} boxes reached out of their image and were cut at its edge"));
    }
    if dropped > 0 {
        remarks.push(format!("{dropped} boxes have no area inside their image and are left out"));
    }
    dataset.images.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = dataset.images.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(DatasetError::file(path, format!("two images are named {:?}", twice[0].name)));
    }
    Ok(dataset)
}

/// Writes `dataset`: COCO to the new file `out`, the others into the directory `out`, which is new,
/// empty, or of an earlier conversion, whose files are replaced. With `adopt`, files of the user's
/// that are in the way are replaced, too. Gives the paths that a user looks for first.
///
/// # Errors
/// [`DatasetError`].
pub fn write(
    dataset: &Dataset,
    format: Format,
    out: &Path,
    adopt: bool,
    remarks: &mut Vec<String>,
) -> Result<Vec<PathBuf>, DatasetError> {
    if format == Format::Coco {
        let text =
            coco::text(dataset, remarks).map_err(|error| DatasetError::io(out)(error.into()))?;
        ownership::write_new_file(out, text.as_bytes(), adopt)?;
        return Ok(vec![out.to_owned()]);
    }
    let directory = OutputDirectory::open_new(out, &[], adopt)?;
    let staged = directory.stage()?;
    let written = match format {
        Format::Voc => voc::write(dataset, &staged, remarks)?,
        _ => yolo::write(dataset, &staged, remarks)?,
    };
    for changed in directory.place(&staged, &[""])?.changed {
        remarks.push(format!("{changed}: changed since an earlier conversion, and left as it is"));
    }
    Ok(written)
}

/// What is the same in every reading.
struct Reading<'r> {
    /// Where the user says that the image files are.
    images: Option<&'r Path>,
    /// Boxes that were cut at the edge of their image.
    moved: usize,
    /// Boxes that have no area inside their image.
    dropped: usize,
    remarks: &'r mut Vec<String>,
}

impl Reading<'_> {
    /// `bbox` inside its image; `None` where nothing of it is.
    fn inside(&mut self, bbox: BBox, width: u32, height: u32) -> Option<BBox> {
        let (w, h) = (f64::from(width), f64::from(height));
        let cut = BBox {
            x0: bbox.x0.clamp(0.0, w),
            y0: bbox.y0.clamp(0.0, h),
            x1: bbox.x1.clamp(0.0, w),
            y1: bbox.y1.clamp(0.0, h),
        };
        if cut.width() <= 0.0 || cut.height() <= 0.0 {
            self.dropped += 1;
            return None;
        }
        let far = [(bbox.x0, cut.x0), (bbox.y0, cut.y0), (bbox.x1, cut.x1), (bbox.y1, cut.y1)];
        self.moved +=
            usize::from(far.into_iter().any(|(before, after)| (before - after).abs() > SLACK));
        Some(cut)
    }
}

/// Width and height of the upright image in the file `path`.
fn size_of(path: &Path) -> Result<(u32, u32), DatasetError> {
    let file = files::open(path).map_err(DatasetError::io(path))?;
    image::size(std::io::BufReader::new(file), true)
        .map_err(|error| DatasetError::file(path, error.to_string()))
}

/// Width and height of the image `name` under the first of `folders` that has it.
fn find_size(name: &str, folders: &[&Path]) -> Option<Result<(u32, u32), DatasetError>> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .map(|path| size_of(&path))
}

/// Files under `root` whose extension is one of `extensions`, as paths relative to it with `/`,
/// sorted. The `._` files that macOS puts beside others on foreign disks are none, nor are links to
/// what is not there.
fn files_under(root: &Path, extensions: &[&str]) -> Result<Vec<String>, DatasetError> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        if entry.as_ref().is_err_and(|error| error.path().is_some_and(is_dangling)) {
            continue;
        }
        let entry = entry
            .map_err(|error| DatasetError::Io { path: root.to_owned(), error: error.into() })?;
        let wanted = entry.path().extension().is_some_and(|extension| {
            extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
        });
        let shadow = entry.file_name().to_string_lossy().starts_with("._");
        if entry.file_type().is_file() && wanted && !shadow {
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let name = relative
                .to_str()
                .ok_or_else(|| DatasetError::file(entry.path(), "the name is not UTF-8"))?;
            found.push(name.replace('\\', "/"));
        }
    }
    found.sort();
    Ok(found)
}

/// Image files under `root`. Links to what is not there are counted in `remarks`.
fn images_under(root: &Path, remarks: &mut Vec<String>) -> Result<Vec<String>, DatasetError> {
    let entries = walkdir::WalkDir::new(root).into_iter().flatten();
    let dangling =
        entries.filter(|entry| entry.path_is_symlink() && is_dangling(entry.path())).count();
    if dangling > 0 {
        remarks.push(format!(
            "{dangling} links in {} lead to files that are not there: they are left out",
            root.display()
        ));
    }
    files_under(root, &source::EXTENSIONS)
}

fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

/// A path's text without its extension.
fn stem(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].rfind('.') {
        Some(dot) if dot > 0 => &name[..file + dot],
        _ => name,
    }
}

/// The label file of every image, relative to the labels' folder: the image's name with another
/// extension.
///
/// # Errors
/// Names that lead out of the folder, and two images that would share a file.
fn label_files(dataset: &Dataset, extension: &str) -> Result<Vec<String>, DatasetError> {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut files = Vec::with_capacity(dataset.images.len());
    for image in &dataset.images {
        let plain = |component| matches!(component, Component::Normal(_));
        // A backslash is a separator on Windows, where the file may be read next.
        if image.name.contains('\\')
            || !Path::new(&image.name).components().all(plain)
            || image.name.is_empty()
        {
            return Err(DatasetError::UnsafeName { name: image.name.clone() });
        }
        if let Some(first) = taken.insert(stem(&image.name), &image.name) {
            return Err(DatasetError::SameLabelFile {
                first: first.to_owned(),
                second: image.name.clone(),
            });
        }
        files.push(format!("{}.{extension}", stem(&image.name)));
    }
    Ok(files)
}

/// Says which images have label files that differ in upper and lower case alone.
fn remark_case(dataset: &Dataset, remarks: &mut Vec<String>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let clashes = dataset.images.iter().filter_map(|image| {
        seen.insert(stem(&image.name).to_lowercase(), &image.name)
            .map(|other| (other, image.name.as_str()))
    });
    let clashes: Vec<(&str, &str)> = clashes.collect();
    if let [(first, second), ..] = clashes.as_slice() {
        remarks.push(format!(
            "{} images have label files that differ from another's in upper and lower case alone \
             ({first:?} and {second:?}): file systems that \
             ignore case (Windows, macOS) keep one of the two",
            clashes.len()
        ));
    }
}

/// The images' names of `split`, changed by `line`, one a line.
///
/// # Errors
/// [`DatasetError::NameOfSeveralLines`].
fn list_of(
    dataset: &Dataset,
    split: Split,
    line: impl Fn(&str) -> String,
) -> Result<String, DatasetError> {
    let mut list = String::new();
    for image in dataset.images_of(split) {
        if image.name.contains(['\n', '\r']) {
            return Err(DatasetError::NameOfSeveralLines { name: image.name.clone() });
        }
        list.push_str(&line(&image.name));
        list.push('\n');
    }
    Ok(list)
}

/// Writes a file of a data set, and gives the path that it will have.
fn write_file(staged: &Staging, name: &str, bytes: &[u8]) -> Result<PathBuf, DatasetError> {
    let path = staged.place_of(name);
    staged.write(name, bytes).map_err(DatasetError::io(&path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_keeps_its_folders_and_its_dots() {
        let stems = ["a.jpg", "x.y/a", "x/a.b.png", ".hidden", "x/.hidden"].map(stem);
        assert_eq!(stems, ["a", "x.y/a", "x/a.b", ".hidden", "x/.hidden"]);
    }

    #[test]
    fn names_that_lead_out_or_clash_are_refused() {
        let dataset = |names: &[&str]| Dataset {
            images: names
                .iter()
                .map(|name| Image {
                    name: (*name).into(),
                    width: 1,
                    height: 1,
                    id: None,
                    splits: Splits::default(),
                    objects: vec![],
                })
                .collect(),
            ..Dataset::default()
        };
        for name in ["../a.jpg", "/etc/a.jpg", "a/../../b.jpg", "..\\a.jpg", ""] {
            assert!(
                matches!(
                    label_files(&dataset(&[name]), "txt"),
                    Err(DatasetError::UnsafeName { .. })
                ),
                "{name}"
            );
        }
        let clash = label_files(&dataset(&["a.jpg", "a.png"]), "txt").unwrap_err().to_string();
        assert!(clash.contains("\"a.jpg\" and \"a.png\""), "{clash}");
        assert_eq!(label_files(&dataset(&["x/a.jpg"]), "txt").unwrap(), ["x/a.txt"]);
    }
}
