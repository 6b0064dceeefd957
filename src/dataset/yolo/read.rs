//! A folder for YOLO to a [`Dataset`].
//!
//! In: a directory with `data.yaml`, darknet's `obj.data` or labelImg's `classes.txt`, or that
//! file. Out: a [`Dataset`]. Promises: folders, splits and label files are looked for where
//! Ultralytics' tools look, and a split that is not there is an error; a class name is the text
//! that is written, never a truth value, a number or null; sizes are those of the upright images;
//! an error names the file and the line.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::super::counted::counted;
use super::super::reading::{Reading, files_under, images_under, is_picture, size_of, stem};
use super::super::{Dataset, DatasetError, Image, Object, Split};
use super::line::{Line, Shape, parse_line};
use super::settings::{
    Part, Settings, SettingsFile, classes, darknet, data_yaml, settings_file, tail_in,
};
use super::{label_of, labels_beside};
use crate::files;
use crate::record::BBox;

/// Images that are read together: a folder, or a list of images.
struct Source {
    place: PathBuf,
    split: Option<Split>,
}

/// The folders of label files.
enum Labels<'r> {
    /// At the place of Ultralytics, seen from the image: first by its whole path, then by the part
    /// of it below the dataset's folder `root`, which may itself lie below a folder `images`.
    OfImages { root: &'r Path },
    /// Under the dataset, while the images are elsewhere: in the folder `labels`, or at the place
    /// of Ultralytics if the images were there.
    Under { root: &'r Path, labels: PathBuf },
}

impl Labels<'_> {
    /// The label file of an image: at `path` (or `real`, after links), called `name` below its
    /// folder.
    fn of(&self, path: &Path, real: &Path, name: &str) -> Option<PathBuf> {
        let candidates = match self {
            Self::OfImages { root } => {
                let below = path
                    .strip_prefix(root)
                    .map_or_else(|_| label_of(path), |below| root.join(label_of(below)));
                vec![label_of(real), below]
            }
            Self::Under { root, labels } => vec![
                labels.join(format!("{}.txt", stem(name))),
                label_of(&root.join("images").join(name)),
                label_of(&root.join(name)),
                label_of(path),
            ],
        };
        candidates.into_iter().find(|file| file.is_file())
    }
}

pub(in super::super) fn read(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<Dataset, DatasetError> {
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let file = settings_file(path)?;
    let (file, settings) = match file {
        SettingsFile::Yaml(yaml) => {
            let settings = data_yaml(&yaml, root, reading.remarks)?;
            (yaml, settings)
        }
        SettingsFile::Darknet(data) => {
            let settings = darknet(&data, root)?;
            (data, settings)
        }
        SettingsFile::Names(names) => {
            let (names, parts) = (classes(&names)?, Vec::new());
            (root.to_owned(), Settings { names, parts, keypoints: None })
        }
    };
    let (sources, labels) = match reading.images {
        Some(images) => {
            let places: HashSet<&Path> =
                settings.parts.iter().map(|part| part.place.as_path()).collect();
            if places.len() > 1 {
                let remark =
                    "the images lie elsewhere, where splits are not told apart: they are one set";
                reading.remarks.push(remark.to_owned());
            }
            let source = Source { place: images.to_owned(), split: None };
            (vec![source], Labels::Under { root, labels: labels_of(root, &settings.parts) })
        }
        None => (sources(root, &file, &settings.parts)?, Labels::OfImages { root }),
    };
    let mut found = Found {
        labels,
        settings: &settings,
        images: Vec::new(),
        places: HashMap::new(),
        used: HashSet::new(),
        unlabelled: Vec::new(),
    };
    let mut counts = Counts::default();
    for source in &sources {
        found.add(source, root, &mut counts, reading)?;
    }
    for source in sources.iter().filter(|source| source.place.is_dir()) {
        found.refuse_left_over(&source.place, reading)?;
    }
    if reading.images.is_none() {
        found.refuse_misplaced(root, reading)?;
    }
    if reading.images.is_none() && !settings.parts.is_empty() {
        found.remark_outside(root, reading)?;
    }
    let above = above(root, &sources, &found.images);
    let images: Vec<Image> = (found.images.into_iter())
        .map(|(path, image)| {
            let name =
                path.strip_prefix(&above).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            Image { name, file: Some(path), ..image }
        })
        .collect();
    // If all are problems, these say why.
    if images.is_empty() && !reading.has_problems() {
        return Err(DatasetError::file(
            path,
            "no images: say with `images` in which folder they are",
        ));
    }
    counts.remark(reading.remarks);
    Ok(Dataset { categories: settings.names, images, ..Dataset::default() })
}

/// The images' files: in the named parts, each of which must be there; else in `images`, or beside
/// the settings.
fn sources(root: &Path, file: &Path, parts: &[Part]) -> Result<Vec<Source>, DatasetError> {
    if parts.is_empty() {
        let images = root.join("images");
        let place = if images.is_dir() { images } else { root.to_owned() };
        return Ok(vec![Source { place, split: None }]);
    }
    let source = |part: &Part| {
        if part.place.exists() {
            return Ok(Source { place: part.place.clone(), split: Some(part.split) });
        }
        Err(DatasetError::NoSplit {
            path: file.to_owned(),
            split: part.split.as_str(),
            entry: part.entry.clone(),
            looked: part.place.clone(),
        })
    };
    parts.iter().map(source).collect()
}

/// Counts of what the lines and files were, for the remarks.
#[derive(Default)]
struct Counts {
    outlines: usize,
    poses: usize,
    unlabelled: usize,
    shared: usize,
}

impl Counts {
    fn remark(&self, remarks: &mut Vec<String>) {
        if self.outlines > 0 {
            remarks.push(format!(
                "{}: each has the box around it",
                counted(self.outlines, "line is an outline", "lines are outlines")
            ));
        }
        if self.poses > 0 {
            remarks.push(format!(
                "{}: boxes are taken, keypoints are not",
                counted(self.poses, "line is a pose", "lines are poses")
            ));
        }
        if self.shared > 0 {
            remarks.push(format!(
                "{} the label file of another image, whose name differs in its extension alone: \
                 both have its boxes",
                counted(self.shared, "image has", "images have")
            ));
        }
        if self.unlabelled > 0 {
            remarks.push(format!(
                "{} no label file, and nothing in it",
                counted(self.unlabelled, "image has", "images have")
            ));
        }
    }
}

/// The images that were read, and the label files.
struct Found<'r> {
    labels: Labels<'r>,
    settings: &'r Settings,
    /// With the paths that they were found under.
    images: Vec<(PathBuf, Image)>,
    /// By its real path and its place in `images`: one image may be in several parts.
    places: HashMap<PathBuf, usize>,
    /// Label files, by their real paths.
    used: HashSet<PathBuf>,
    /// Images without a label file.
    unlabelled: Vec<PathBuf>,
}

impl Found<'_> {
    fn add(
        &mut self,
        source: &Source,
        root: &Path,
        counts: &mut Counts,
        reading: &mut Reading<'_>,
    ) -> Result<(), DatasetError> {
        let place = &source.place;
        let list = place.is_file();
        let names = if list {
            listed(place, root, reading)?
        } else {
            images_under(place, reading.remarks)?
        };
        if let Some(split) = source.split.filter(|_| names.is_empty()) {
            reading.remarks.push(format!(
                "{} has no images: there is none in {}",
                split.as_str(),
                place.display()
            ));
        }
        // Ultralytics follows a link to the folder of a part before it looks for labels.
        let real = place.canonicalize().map_err(DatasetError::io(place))?;
        for name in names {
            let (path, real) = if list {
                let path = PathBuf::from(&name);
                let real = std::path::absolute(&path).map_err(DatasetError::io(&path))?;
                (path, real)
            } else {
                (place.join(&name), real.join(&name))
            };
            let index = if let Some(known) = self.places.get(&real) {
                *known
            } else {
                let label = self.labels.of(&path, &real, &name);
                let size = reading.caught(size_of(&path), "images that cannot be read")?;
                let own = label.as_ref().and_then(|label| label.canonicalize().ok());
                let Some(size) = size else {
                    self.used.extend(own);
                    continue;
                };
                if label.is_none() {
                    self.unlabelled.push(path.clone());
                }
                let image = self.image(size, label.as_deref(), counts, reading)?;
                let label = own;
                counts.shared += usize::from(label.is_some_and(|label| !self.used.insert(label)));
                self.images.push((path, image));
                self.places.insert(real, self.images.len() - 1);
                self.images.len() - 1
            };
            source.split.into_iter().for_each(|split| self.images[index].1.splits.add(split));
        }
        Ok(())
    }

    /// The image of that size, without its name, with the boxes of `label`.
    fn image(
        &self,
        (width, height): (u32, u32),
        label: Option<&Path>,
        counts: &mut Counts,
        reading: &mut Reading<'_>,
    ) -> Result<Image, DatasetError> {
        let mut image = Image { width, height, ..Image::default() };
        let Some(file) = label else {
            counts.unlabelled += 1;
            return Ok(image);
        };
        let text = files::read_text(file).map_err(DatasetError::io(file));
        let Some(text) = reading.caught(text, "label files that are no text")? else {
            return Ok(image);
        };
        for (line, number) in text.lines().zip(1..) {
            let line = match parse_line(line, &self.settings.names, self.settings.keypoints) {
                Ok(Some(line)) => line,
                Ok(None) => continue,
                Err(problem) => {
                    reading.problem(file, Some(number), "lines that are no labels", problem);
                    continue;
                }
            };
            counts.outlines += usize::from(matches!(line.shape, Shape::Outline(_)));
            counts.poses += usize::from(line.shape == Shape::Pose);
            let Line { class, bbox: parts, shape, score } = line;
            let (w, h) = (f64::from(width), f64::from(height));
            let bbox =
                BBox { x0: parts.x0 * w, y0: parts.y0 * h, x1: parts.x1 * w, y1: parts.y1 * h };
            let Some(bbox) = reading.inside(bbox, width, height) else { continue };
            let mut object = Object { score, ..Object::of_box(class, bbox) };
            if let Shape::Outline(points) = shape {
                let scaled = points.as_chunks::<2>().0.iter().flat_map(|[x, y]| [x * w, y * h]);
                object.set_polygon(scaled.collect());
            }
            image.objects.push(object);
        }
        Ok(image)
    }

    /// Refuses label files that belong to no image: the boxes in them would be lost.
    fn refuse_left_over(
        &mut self,
        place: &Path,
        reading: &mut Reading<'_>,
    ) -> Result<(), DatasetError> {
        let folder = place.canonicalize().map_err(DatasetError::io(place))?;
        let (labels, images) = match &self.labels {
            Labels::OfImages { root } => {
                let below = place.strip_prefix(root).map(|below| root.join(labels_beside(below)));
                let labels = labels_beside(&folder);
                (if labels.is_dir() { labels } else { below.unwrap_or(labels) }, folder)
            }
            Labels::Under { root, labels } => (labels.clone(), root.join("images")),
        };
        let lists: HashSet<PathBuf> =
            self.settings.parts.iter().filter_map(|part| part.place.canonicalize().ok()).collect();
        for (tree, inner) in
            [(labels, false), (images, true)].iter().filter(|(tree, _)| tree.is_dir())
        {
            for file in files_under(tree, &["txt"])? {
                let path = tree.join(&file);
                let real = path.canonicalize().map_err(DatasetError::io(&path))?;
                // Among the images, label files lie in folders that are called so.
                let is_label = !inner || file.split('/').any(|part| part == "labels");
                let other =
                    stem(&file).rsplit('/').next() == Some("classes") || lists.contains(&real);
                if !is_label || other || self.used.contains(&real) {
                    continue;
                }
                self.used.insert(real);
                if !self.looks_like_labels(&path) {
                    reading
                        .remarks
                        .push(format!("{}: no label file, and left out", path.display()));
                    continue;
                }
                let problem = format!(
                    "there is no image {}.* whose labels would lie here, in {}, and boxes are in \
                     parts of its size: say with `images` in which folder they are",
                    stem(&file),
                    place.display()
                );
                reading.problem(&path, None, "label files without an image", problem);
            }
        }
        Ok(())
    }

    /// Refuses label files that are called as an image without one is, and lie where nobody looks:
    /// the image would count as one in which nothing is.
    fn refuse_misplaced(
        &mut self,
        root: &Path,
        reading: &mut Reading<'_>,
    ) -> Result<(), DatasetError> {
        let name = |path: &Path| path.file_stem().map(OsStr::to_ascii_lowercase);
        let images: HashMap<_, &PathBuf> =
            self.unlabelled.iter().filter_map(|path| Some((name(path)?, path))).collect();
        if images.is_empty() {
            return Ok(());
        }
        for file in files_under(root, &["txt"])? {
            let path = root.join(file);
            let Some(image) = name(&path).and_then(|name| images.get(&name)) else { continue };
            let real = path.canonicalize().map_err(DatasetError::io(&path))?;
            if self.used.contains(&real) || !self.has_labels(&path) || has_own_image(&path) {
                continue;
            }
            let problem = format!(
                "{} has no label file, and this one is not where it would lie ({}): move it, or \
                 take it out",
                image.display(),
                label_of(image).display()
            );
            reading.problem(&path, None, "label files that lie elsewhere", problem);
        }
        Ok(())
    }

    /// Whether the first line of the file is a label.
    fn has_labels(&self, path: &Path) -> bool {
        let (names, keypoints) = (&self.settings.names, self.settings.keypoints);
        let line = files::read_text(path).ok();
        let line =
            line.as_deref().and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
        line.is_some_and(|line| parse_line(line, names, keypoints).is_ok())
    }

    /// Whether the file has lines, and its first is one of a label file: it may be a README.
    fn looks_like_labels(&self, path: &Path) -> bool {
        let Ok(text) = files::read_text(path) else { return false };
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.next().is_none_or(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let numbers = fields.iter().filter(|field| field.parse::<f64>().is_ok()).count();
            numbers >= 4 || parse_line(line, &self.settings.names, self.settings.keypoints).is_ok()
        })
    }

    /// Says how many images of the folder are in none of its parts.
    fn remark_outside(&self, root: &Path, reading: &mut Reading<'_>) -> Result<(), DatasetError> {
        let read: HashSet<PathBuf> =
            self.images.iter().filter_map(|(path, _)| path.canonicalize().ok()).collect();
        let mut outside = images_under(root, &mut Vec::new())?;
        outside
            .retain(|name| root.join(name).canonicalize().is_ok_and(|path| !read.contains(&path)));
        if let [first, ..] = outside.as_slice() {
            reading.remarks.push(format!(
                "{} in no split: left out (the first: {first})",
                counted(outside.len(), "image lies", "images lie")
            ));
        }
        Ok(())
    }
}

/// Whether an image lies where that of the label file would: it is in none of the parts.
fn has_own_image(label: &Path) -> bool {
    let folder = label.parent().unwrap_or(Path::new(""));
    let parts: Vec<&OsStr> = folder.components().map(Component::as_os_str).collect();
    let Some(place) = parts.iter().rposition(|part| *part == "labels") else { return false };
    let (above, below) = (parts[..place].iter(), parts[place + 1..].iter());
    let images: PathBuf = above.chain(&[OsStr::new("images")]).chain(below).collect();
    let entries = std::fs::read_dir(images).into_iter().flatten().flatten();
    let mut entries = entries.map(|entry| entry.path()).filter(|path| is_picture(path));
    entries.any(|path| path.file_stem() == label.file_stem())
}

/// The one folder of labels, if the images lie elsewhere.
fn labels_of(root: &Path, parts: &[Part]) -> PathBuf {
    let declared: HashSet<PathBuf> = parts.iter().map(|part| labels_beside(&part.place)).collect();
    let one = declared.into_iter().next().filter(|labels| {
        labels.is_dir() && parts.iter().all(|part| labels_beside(&part.place) == *labels)
    });
    let known = ["labels", "obj_train_data"].map(|name| root.join(name));
    let known = known.into_iter().find(|labels| labels.is_dir());
    one.or(known).unwrap_or_else(|| root.to_owned())
}

/// The images that a `.txt` lists, one a line; relative ones start at the list's folder (`./`) or
/// at the dataset's, and those of other machines are found by the end of their path.
fn listed(
    list: &Path,
    root: &Path,
    reading: &mut Reading<'_>,
) -> Result<Vec<String>, DatasetError> {
    let text = files::read_text(list).map_err(DatasetError::io(list))?;
    let mut images = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let name = line.trim();
        let folders = [list.parent().unwrap_or(root), root];
        let plain = name.strip_prefix("./").unwrap_or(name);
        let as_written =
            folders.iter().map(|folder| folder.join(plain)).find(|place| place.is_file());
        let by_tail = || folders.iter().find_map(|folder| tail_in(folder, name, 1));
        if let Some(image) = as_written.or_else(by_tail).filter(|place| place.is_file()) {
            images.push(image.to_string_lossy().into_owned());
        } else {
            let what = format!("{name} is not there");
            reading.problem(list, Some(number), "listed images that are not there", what);
        }
    }
    Ok(images)
}

/// The folder that names are relative to: the deepest that holds all parts, or `images` if the
/// lists name only images in it.
fn above(root: &Path, sources: &[Source], images: &[(PathBuf, Image)]) -> PathBuf {
    let inner = root.join("images");
    let lists = sources.iter().any(|source| source.place.is_file());
    if lists && images.iter().all(|(path, _)| path.starts_with(&inner)) {
        return inner;
    }
    let of = |source: &Source| {
        let list = source.place.is_file();
        if list {
            source.place.parent().unwrap_or(Path::new("")).to_owned()
        } else {
            source.place.clone()
        }
    };
    let mut folders = sources.iter().map(of);
    let mut above = folders.next().unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&above) && above.pop() {}
    }
    above
}
