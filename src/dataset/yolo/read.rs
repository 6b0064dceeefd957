//! A folder for YOLO to a [`Dataset`].
//!
//! In: a directory with `data.yaml` (or labelImg's `classes.txt`), or that file. Out: a [`Dataset`]. Promises: folders, splits and label files are
//! looked for where Ultralytics' tools look, and a split that is not there is an error; a class name is the text that is written, never a
//! truth value, a number or null; sizes are those of the upright images; an error names the file and the line.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::super::{
    Dataset, DatasetError, Image, Object, Reading, Split, Splits, files_under, images_under, size_of, stem,
};
use super::{label_of, labels_beside};
use crate::files;
use crate::record::BBox;

/// What parts of the image's size may exceed 1 by, as rounding; more is no part of anything.
const ROUNDING: f64 = 0.01;

#[derive(Deserialize)]
struct DataYaml {
    names: Texts,
    nc: Option<usize>,
    path: Option<String>,
    train: Option<Texts>,
    // The other two are what people write for it; Ultralytics knows one of them.
    #[serde(alias = "validation", alias = "valid")]
    val: Option<Texts>,
    test: Option<Texts>,
    kpt_shape: Option<Vec<usize>>,
}

/// One text, several, or numbered ones. A text is what is written: `no`, `7` and `~` are names too, and only what is asked for as a string is
/// given as one.
enum Texts {
    One(String),
    Several(Vec<String>),
    Numbered(BTreeMap<usize, String>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list of them, or texts by number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Texts, E> {
                Ok(Texts::One(number.to_string()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Texts::Several(texts))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((number, text)) = map.next_entry()? {
                    texts.insert(number, text);
                }
                Ok(Texts::Numbered(texts))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What a dataset says of itself.
struct Settings {
    /// The names of the classes, by number.
    names: Vec<String>,
    /// Where the parts are, as far as they are named.
    parts: Vec<Part>,
    /// How many numbers the keypoints of a line have.
    keypoints: Option<usize>,
}

/// One entry of a split.
struct Part {
    split: Split,
    /// As it is written.
    entry: String,
    /// The place that it stands for.
    place: PathBuf,
}

/// Images that are read together: a folder, or a list of images.
struct Source {
    place: PathBuf,
    split: Option<Split>,
}

/// Where label files are looked for.
enum Labels<'r> {
    /// Where Ultralytics looks, seen from the image: first by its whole path, then by the part of it below the dataset's folder `root`, which may
    /// itself lie below a folder `images`.
    OfImages { root: &'r Path },
    /// Under the dataset, while the images are elsewhere: in the folder `labels`, or where Ultralytics would look if the images were there.
    Under { root: &'r Path, labels: PathBuf },
}

impl Labels<'_> {
    /// The label file of an image: at `path` (or `real`, after links), called `name` below its folder.
    fn of(&self, path: &Path, real: &Path, name: &str) -> Option<PathBuf> {
        let candidates = match self {
            Self::OfImages { root } => {
                let below = path.strip_prefix(root).map_or_else(|_| label_of(path), |below| root.join(label_of(below)));
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

pub(in super::super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let file = settings_file(path)?;
    let settings = match &file {
        Some(yaml) => data_yaml(yaml, root, reading.remarks)?,
        None => Settings { names: classes(&root.join("classes.txt"))?, parts: Vec::new(), keypoints: None },
    };
    let (sources, labels) = match reading.images {
        Some(images) => {
            let places: HashSet<&Path> = settings.parts.iter().map(|part| part.place.as_path()).collect();
            if places.len() > 1 {
                let remark = "the images lie elsewhere, where splits are not told apart: they are one set";
                reading.remarks.push(remark.to_owned());
            }
            let source = Source { place: images.to_owned(), split: None };
            (vec![source], Labels::Under { root, labels: labels_of(root, &settings.parts) })
        }
        None => (sources(root, file.as_deref(), &settings.parts)?, Labels::OfImages { root }),
    };
    let mut found =
        Found { labels, settings: &settings, images: Vec::new(), places: HashMap::new(), used: HashSet::new() };
    let mut counts = Counts::default();
    for source in &sources {
        found.add(source, root, &mut counts, reading)?;
    }
    for source in sources.iter().filter(|source| source.place.is_dir()) {
        found.refuse_left_over(&source.place)?;
    }
    let above = above(root, &sources, &found.images);
    let images: Vec<Image> = (found.images.into_iter())
        .map(|(path, image)| {
            let name = path.strip_prefix(&above).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            Image { name, ..image }
        })
        .collect();
    if images.is_empty() {
        return Err(DatasetError::file(path, "no images: say where they are with --images DIR"));
    }
    counts.remark(reading.remarks);
    Ok(Dataset { categories: settings.names, category_ids: Vec::new(), images })
}

/// Where the images are: in the parts that are named, each of which must be there; else in `images`, or beside the settings.
fn sources(root: &Path, file: Option<&Path>, parts: &[Part]) -> Result<Vec<Source>, DatasetError> {
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
            path: file.unwrap_or(root).to_owned(),
            split: part.split.as_str(),
            entry: part.entry.clone(),
            looked: part.place.clone(),
        })
    };
    parts.iter().map(source).collect()
}

/// What was met on the way, for the remarks.
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
            remarks.push(format!("{} lines are outlines: the box around each is taken", self.outlines));
        }
        if self.poses > 0 {
            remarks.push(format!("{} lines are poses: their boxes are taken, their keypoints are not", self.poses));
        }
        if self.shared > 0 {
            remarks.push(format!(
                "{} images have the label file of another image, whose name differs in its extension alone: both have its boxes",
                self.shared
            ));
        }
        if self.unlabelled > 0 {
            remarks
                .push(format!("{} images have no label file: they are images with nothing in them", self.unlabelled));
        }
    }
}

/// The images that were read, and the label files.
struct Found<'r> {
    labels: Labels<'r>,
    settings: &'r Settings,
    /// With the paths that they were found under.
    images: Vec<(PathBuf, Image)>,
    /// By its real path, where an image is in `images`: one image may be in several parts.
    places: HashMap<PathBuf, usize>,
    /// Label files, by their real paths.
    used: HashSet<PathBuf>,
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
        let names = if list { listed(place, root)? } else { images_under(place)? };
        if let Some(split) = source.split.filter(|_| names.is_empty()) {
            reading.remarks.push(format!("{} has no images: there is none in {}", split.as_str(), place.display()));
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
                let image = self.image(&path, label.as_deref(), counts, reading)?;
                let label = label.and_then(|label| label.canonicalize().ok());
                counts.shared += usize::from(label.is_some_and(|label| !self.used.insert(label)));
                self.images.push((path, image));
                self.places.insert(real, self.images.len() - 1);
                self.images.len() - 1
            };
            source.split.into_iter().for_each(|split| self.images[index].1.splits.add(split));
        }
        Ok(())
    }

    /// The image at `path`, without its name, with the boxes of `label`.
    fn image(
        &self,
        path: &Path,
        label: Option<&Path>,
        counts: &mut Counts,
        reading: &mut Reading<'_>,
    ) -> Result<Image, DatasetError> {
        let (width, height) = size_of(path)?;
        let mut image =
            Image { name: String::new(), width, height, id: None, splits: Splits::default(), objects: vec![] };
        let Some(file) = label else {
            counts.unlabelled += 1;
            return Ok(image);
        };
        let text = files::read_text(file).map_err(DatasetError::io(file))?;
        for (line, number) in text.lines().zip(1..) {
            let parsed = parse_line(line, self.settings.names.len(), self.settings.keypoints);
            let parsed = parsed.map_err(|problem| DatasetError::line(file, number, problem))?;
            let Some((category, parts, shape)) = parsed else { continue };
            counts.outlines += usize::from(shape == Shape::Outline);
            counts.poses += usize::from(shape == Shape::Pose);
            let (w, h) = (f64::from(width), f64::from(height));
            let bbox = BBox { x0: parts.x0 * w, y0: parts.y0 * h, x1: parts.x1 * w, y1: parts.y1 * h };
            if let Some(bbox) = reading.inside(bbox, width, height) {
                image.objects.push(Object { category, bbox, crowd: false, area: bbox.area(), id: None });
            }
        }
        Ok(image)
    }

    /// Refuses label files that belong to no image: the boxes in them would be lost.
    fn refuse_left_over(&self, place: &Path) -> Result<(), DatasetError> {
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
        for (tree, inner) in [(labels, false), (images, true)].iter().filter(|(tree, _)| tree.is_dir()) {
            for file in files_under(tree, &["txt"])? {
                let path = tree.join(&file);
                let real = path.canonicalize().map_err(DatasetError::io(&path))?;
                // Among the images, label files lie in folders that are called so.
                let is_label = !inner || file.split('/').any(|part| part == "labels");
                let other = stem(&file).rsplit('/').next() == Some("classes") || lists.contains(&real);
                if is_label && !other && !self.used.contains(&real) {
                    let problem = format!(
                        "there is no image {}.* whose labels would lie here, in {}, and boxes are in parts of its size: say where the images are with --images DIR",
                        stem(&file),
                        place.display()
                    );
                    return Err(DatasetError::file(&path, problem));
                }
            }
        }
        Ok(())
    }
}

/// The `.yaml` that describes the dataset at `path`; `None` where `classes.txt` does.
fn settings_file(path: &Path) -> Result<Option<PathBuf>, DatasetError> {
    if path.is_file() {
        return Ok(Some(path.to_owned()));
    }
    let entries = std::fs::read_dir(path).map_err(DatasetError::io(path))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
        .collect();
    found.sort();
    match (found.iter().find(|path| path.file_name().is_some_and(|name| name == "data.yaml")), found.len()) {
        (Some(data), _) => Ok(Some(data.clone())),
        (None, 1) => Ok(found.pop()),
        (None, 0) if path.join("classes.txt").is_file() => Ok(None),
        (None, 0) => Err(DatasetError::file(path, "neither data.yaml nor classes.txt is there to name the classes")),
        (None, _) => Err(DatasetError::file(path, "several .yaml files are there: name the one that is meant")),
    }
}

fn data_yaml(path: &Path, root: &Path, remarks: &mut Vec<String>) -> Result<Settings, DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    let options = serde_saphyr::options! { null_as_string: true };
    let data: DataYaml = serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let message = error.to_string();
        let problem = message.lines().next().unwrap_or("not YAML").to_owned();
        match error.location() {
            Some(location) => DatasetError::line(path, location.line() as usize, problem),
            None => DatasetError::file(path, problem),
        }
    })?;
    let names: Vec<String> = match data.names {
        Texts::One(name) => {
            return Err(DatasetError::file(path, format!("names is {name:?}, which is no list of names")));
        }
        Texts::Several(names) => names,
        Texts::Numbered(names) => {
            if let Some((place, (number, _))) = names.iter().enumerate().find(|(place, (number, _))| place != *number) {
                let problem = format!("names are numbered from 0 without gaps, but {place} is missing before {number}");
                return Err(DatasetError::file(path, problem));
            }
            names.into_values().collect()
        }
    };
    if let Some(class) = names.iter().position(String::is_empty) {
        return Err(DatasetError::file(path, format!("class {class} has an empty name")));
    }
    if let Some(nc) = data.nc.filter(|nc| *nc != names.len()) {
        return Err(DatasetError::file(path, format!("nc is {nc}, but there are {} names", names.len())));
    }
    let base = base(data.path.as_deref(), root, remarks);
    let mut parts = Vec::new();
    for (split, entries) in Split::ALL.into_iter().zip([data.train, data.val, data.test]) {
        let entries = match entries {
            None => Vec::new(),
            Some(Texts::One(entry)) => vec![entry],
            Some(Texts::Several(entries)) => entries,
            Some(Texts::Numbered(entries)) => entries.into_values().collect(),
        };
        for entry in entries.into_iter().filter(|entry| !entry.is_empty()) {
            parts.push(Part { split, place: resolve(&base, &entry), entry });
        }
    }
    let keypoints = data.kpt_shape.map(|shape| shape.iter().product()).filter(|numbers| *numbers > 0);
    Ok(Settings { names, parts, keypoints })
}

/// The folder that the parts are relative to: what `path` says, seen from the settings or from the current folder (as Ultralytics sees it), or
/// the folder of the settings.
fn base(path: Option<&str>, root: &Path, remarks: &mut Vec<String>) -> PathBuf {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return root.to_owned() };
    let places = [root.join(path), PathBuf::from(path)];
    places.into_iter().find(|place| place.is_dir()).unwrap_or_else(|| {
        // Many a `path` is of the machine where the dataset was made.
        remarks.push(format!("path is {path:?}, which is not there: splits are looked for beside data.yaml"));
        root.to_owned()
    })
}

/// The place that an entry of a split stands for, also if there is nothing.
fn resolve(base: &Path, entry: &str) -> PathBuf {
    // Windows writes paths with backslashes, and Roboflow `../train/images` for a folder beside data.yaml, as Ultralytics reads it too.
    let slashes = entry.replace('\\', "/");
    let forms =
        [entry, entry.strip_prefix("../").unwrap_or(entry), &slashes, slashes.strip_prefix("../").unwrap_or(&slashes)];
    let places = forms.map(|form| base.join(form));
    places.iter().find(|place| place.exists()).unwrap_or(&places[0]).clone()
}

fn classes(path: &Path) -> Result<Vec<String>, DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The one folder of labels, where the images lie elsewhere.
fn labels_of(root: &Path, parts: &[Part]) -> PathBuf {
    let declared: HashSet<PathBuf> = parts.iter().map(|part| labels_beside(&part.place)).collect();
    let one = declared
        .into_iter()
        .next()
        .filter(|labels| labels.is_dir() && parts.iter().all(|part| labels_beside(&part.place) == *labels));
    let labels = root.join("labels");
    one.unwrap_or_else(|| if labels.is_dir() { labels } else { root.to_owned() })
}

/// The images that a `.txt` lists, one a line; relative ones start at the list's folder (`./`) or at the dataset's.
fn listed(list: &Path, root: &Path) -> Result<Vec<String>, DatasetError> {
    let text = files::read_text(list).map_err(DatasetError::io(list))?;
    let mut images = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let name = line.trim();
        let plain = name.strip_prefix("./").unwrap_or(name);
        let slashes = plain.replace('\\', "/");
        let slashes = slashes.strip_prefix("./").unwrap_or(&slashes);
        let folders = [list.parent().unwrap_or(root), root];
        let mut places = folders.iter().flat_map(|folder| [folder.join(plain), folder.join(slashes)]);
        let Some(image) = places.find(|place| place.is_file()) else {
            return Err(DatasetError::line(list, number, format!("{name} is not there")));
        };
        images.push(image.to_string_lossy().into_owned());
    }
    Ok(images)
}

/// The folder that names are relative to: the deepest that holds all parts, or `images` where lists name images of it alone.
fn above(root: &Path, sources: &[Source], images: &[(PathBuf, Image)]) -> PathBuf {
    let inner = root.join("images");
    let lists = sources.iter().any(|source| source.place.is_file());
    if lists && images.iter().all(|(path, _)| path.starts_with(&inner)) {
        return inner;
    }
    let of = |source: &Source| {
        let list = source.place.is_file();
        if list { source.place.parent().unwrap_or(Path::new("")).to_owned() } else { source.place.clone() }
    };
    let mut folders = sources.iter().map(of);
    let mut above = folders.next().unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&above) && above.pop() {}
    }
    above
}

/// What a line describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Box,
    /// A polygon, or the corners of a turned box.
    Outline,
    /// A box, and keypoints behind it.
    Pose,
}

/// Class, box in parts of the image, and what the line describes; `None` for an empty line. Where there are `keypoints`, so many numbers follow
/// the box, and may be anything (how visible a point is among them).
fn parse_line(line: &str, classes: usize, keypoints: Option<usize>) -> Result<Option<(usize, BBox, Shape)>, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let Some((class, rest)) = fields.split_first() else { return Ok(None) };
    // Some tools write the class as 3.0.
    let class = class.strip_suffix(".0").unwrap_or(class);
    let category: usize = class.parse().map_err(|_| format!("{class:?} is not the number of a class"))?;
    if category >= classes {
        return Err(format!("class {category} has no name: there are {classes}, counted from 0"));
    }
    if let Some(keypoints) = keypoints.filter(|keypoints| ![4, 4 + keypoints].contains(&rest.len())) {
        return Err(format!("{} fields; a box with its keypoints has {} (kpt_shape)", fields.len(), 5 + keypoints));
    }
    let is_pose = keypoints.is_some() && rest.len() > 4;
    let rest = if is_pose { &rest[..4] } else { rest };
    let mut numbers = Vec::with_capacity(rest.len());
    for field in rest {
        let number: f64 = field.parse().map_err(|_| format!("{field:?} is not a number"))?;
        if !(-ROUNDING..=1.0 + ROUNDING).contains(&number) {
            return Err(format!("{field} is not a part of the image's size (0 to 1)"));
        }
        numbers.push(number);
    }
    match numbers.as_slice() {
        [x, y, w, h] if *w > 0.0 && *h > 0.0 => {
            let bbox = BBox { x0: x - w / 2.0, y0: y - h / 2.0, x1: x + w / 2.0, y1: y + h / 2.0 };
            Ok(Some((category, bbox, if is_pose { Shape::Pose } else { Shape::Box })))
        }
        [_, _, w, h] => Err(format!("a box of the size {w} x {h}")),
        outline if outline.len() >= 6 && outline.len().is_multiple_of(2) => {
            let axis = |from: usize| outline[from..].iter().step_by(2).copied();
            let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
            let bbox = BBox {
                x0: axis(0).fold(least, f64::min),
                y0: axis(1).fold(least, f64::min),
                x1: axis(0).fold(most, f64::max),
                y1: axis(1).fold(most, f64::max),
            };
            Ok(Some((category, bbox, Shape::Outline)))
        }
        _ => Err(format!("{} fields; a box has 5: class x_center y_center width height", fields.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused_with_the_reason() {
        let (category, bbox, shape) = parse_line("1 0.5 0.5 0.5 1", 2, None).unwrap().unwrap();
        assert_eq!((category, <[f64; 4]>::from(bbox), shape), (1, [0.25, 0.0, 0.75, 1.0], Shape::Box));
        let (_, bbox, shape) = parse_line("0.0 0.1 0.2 0.5 0.1 0.3 0.9", 2, None).unwrap().unwrap();
        assert_eq!((<[f64; 4]>::from(bbox), shape), ([0.1, 0.1, 0.5, 0.9], Shape::Outline));
        // How visible a point is may be 2; that it lies elsewhere does not move the box.
        let (_, bbox, shape) = parse_line("0 0.5 0.5 0.5 1 0.9 0.9 2", 2, Some(3)).unwrap().unwrap();
        assert_eq!((<[f64; 4]>::from(bbox), shape), ([0.25, 0.0, 0.75, 1.0], Shape::Pose));
        assert_eq!(parse_line("0 0.5 0.5 0.5 1", 2, Some(3)).unwrap().unwrap().2, Shape::Box);
        assert!(parse_line("0 0.5 0.5 0.5 1 0.9", 2, Some(3)).unwrap_err().contains("6 fields"));
        assert_eq!(parse_line("  ", 2, None), Ok(None));
        for (line, reason) in [
            ("2 0.5 0.5 1 1", "class 2 has no name"),
            ("dog 0.5 0.5 1 1", "not the number of a class"),
            ("0 0.5 0.5 x 1", "\"x\" is not a number"),
            ("0 100 50 20 20", "not a part of the image's size"),
            ("0 0.5 0.5 nan 1", "not a part"),
            ("0 0.5 0.5 0 1", "a box of the size 0 x 1"),
            ("0 0.5 0.5 0.1 0.1 0.9", "6 fields"),
        ] {
            let error = parse_line(line, 2, None).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn every_way_to_write_names_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.yaml");
        let names = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let settings = data_yaml(&path, dir.path(), &mut Vec::new());
            settings.map(|settings| settings.names).map_err(|error| error.to_string())
        };
        let both = ["traffic light".to_owned(), "7".to_owned()];
        assert_eq!(names("names: [traffic light, 7]\nnc: 2\n").unwrap(), both);
        assert_eq!(names("names: ['traffic light', '7'] # two\ntrain: ../train/images\n").unwrap(), both);
        assert_eq!(names("names:\n  0: traffic light\n  1: 7\n").unwrap(), both);
        assert_eq!(names("names:\n- traffic light\n- \"7\"\nroboflow:\n  version: 1\n").unwrap(), both);
        let words = ["N", "y", "no", "OFF", "null", "~", "True", ".nan", "1e3", "0x1F", "01"];
        assert_eq!(names(&format!("names: [{}]\n", words.join(", "))).unwrap(), words);
        assert_eq!(names(&format!("names:\n- {}\n", words.join("\n- "))).unwrap(), words);
        assert_eq!(names("names: {0: no, '1': ~}\n").unwrap(), ["no", "~"]);
        assert!(names("names: [a, '']\n").unwrap_err().contains("class 1 has an empty name"));
        assert!(names("names: a\n").unwrap_err().contains("no list of names"));
        assert!(names("names: [a]\nnc: 2\n").unwrap_err().contains("nc is 2, but there are 1 names"));
        assert!(names("names: {0: a, 2: b}\n").unwrap_err().contains("1 is missing before 2"));
        let error = names("train: images\nnames: [a\n").unwrap_err();
        assert!(error.contains("data.yaml:"), "{error}");
        assert!(names("train: images\n").unwrap_err().contains("names"));
    }
}
