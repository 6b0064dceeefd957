//! A folder for YOLO to a [`Dataset`].
//!
//! In: a directory with `data.yaml` (or labelImg's `classes.txt`), or that file. Out: a [`Dataset`]. Promises: folders and splits are found
//! as Ultralytics' tools find them; sizes are those of the upright images; an error names the file and the line.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::super::{Dataset, DatasetError, Image, Object, Reading, files_under, images_under, size_of, stem};
use crate::files;
use crate::record::BBox;

/// What parts of the image's size may exceed 1 by, as rounding; more is no part of anything.
const ROUNDING: f64 = 0.01;

#[derive(Deserialize)]
struct DataYaml {
    names: Names,
    nc: Option<usize>,
    path: Option<String>,
    train: Option<Entries>,
    val: Option<Entries>,
    test: Option<Entries>,
}

/// A name; one that YAML takes for a number is a name too.
#[derive(Debug, PartialEq)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, name: u64) -> Result<Name, E> {
                Ok(Name(name.to_string()))
            }
            fn visit_i64<E: de::Error>(self, name: i64) -> Result<Name, E> {
                Ok(Name(name.to_string()))
            }
            fn visit_f64<E: de::Error>(self, name: f64) -> Result<Name, E> {
                Ok(Name(name.to_string()))
            }
            fn visit_bool<E: de::Error>(self, name: bool) -> Result<Name, E> {
                Ok(Name(name.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<Name>),
    Map(BTreeMap<usize, Name>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entries {
    One(String),
    Several(Vec<String>),
}

/// Where images lie and where their label files lie.
#[derive(Debug, PartialEq)]
struct Folder {
    images: PathBuf,
    labels: PathBuf,
}

pub(in super::super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let (categories, folders) = match settings_file(path)? {
        Some(yaml) => data_yaml(&yaml, root)?,
        None => (classes(&root.join("classes.txt"))?, Vec::new()),
    };
    let folders = match reading.images {
        Some(images) => vec![Folder { images: images.to_owned(), labels: labels_of(root, &folders) }],
        None if folders.iter().any(|folder| folder.images.exists()) => {
            folders.into_iter().filter(|folder| folder.images.exists()).collect()
        }
        None if root.join("images").is_dir() => {
            vec![Folder { images: root.join("images"), labels: root.join("labels") }]
        }
        None => vec![Folder { images: root.to_owned(), labels: root.to_owned() }],
    };
    if folders.len() > 1 {
        reading
            .remarks
            .push(format!("the parts of the dataset ({} folders of images) are read as one set", folders.len()));
    }
    let above = common(&folders);
    let (mut images, mut polygons, mut unlabelled) = (Vec::new(), 0, 0);
    for folder in &folders {
        let names = if folder.images.is_file() { listed(&folder.images, root)? } else { images_under(&folder.images)? };
        let mut labels: HashMap<String, String> = HashMap::new();
        if !folder.images.is_file() && folder.labels.is_dir() {
            let files = files_under(&folder.labels, &["txt"])?;
            labels = files.into_iter().map(|file| (stem(&file).to_owned(), file)).collect();
            labels.remove("classes");
        }
        for name in names {
            let (image, file) = if folder.images.is_file() {
                (PathBuf::from(&name), Some(label_of(Path::new(&name))).filter(|file| file.is_file()))
            } else {
                (folder.images.join(&name), labels.remove(stem(&name)).map(|file| folder.labels.join(file)))
            };
            let (width, height) = size_of(&image)?;
            let mut objects = Vec::new();
            match file {
                Some(file) => {
                    let text = files::read_text(&file).map_err(DatasetError::io(&file))?;
                    for (line, number) in text.lines().zip(1..) {
                        let parsed = parse_line(line, categories.len());
                        let parsed = parsed.map_err(|problem| DatasetError::line(&file, number, problem))?;
                        let Some((category, parts, polygon)) = parsed else { continue };
                        polygons += usize::from(polygon);
                        let (w, h) = (f64::from(width), f64::from(height));
                        let bbox = BBox { x0: parts.x0 * w, y0: parts.y0 * h, x1: parts.x1 * w, y1: parts.y1 * h };
                        if let Some(bbox) = reading.inside(bbox, width, height) {
                            objects.push(Object { category, bbox, crowd: false });
                        }
                    }
                }
                None => unlabelled += 1,
            }
            let name = image.strip_prefix(&above).unwrap_or(&image).to_string_lossy().replace('\\', "/");
            images.push(Image { name, width, height, objects });
        }
        if let Some(left) = labels.values().min() {
            let problem = format!(
                "there is no image {}.* in {}, and boxes are in parts of its size: say where the images are with --images DIR",
                stem(left),
                folder.images.display()
            );
            return Err(DatasetError::file(&folder.labels.join(left), problem));
        }
    }
    if images.is_empty() {
        return Err(DatasetError::file(path, "no images: say where they are with --images DIR"));
    }
    if polygons > 0 {
        reading.remarks.push(format!("{polygons} lines are outlines: the box around each is taken"));
    }
    if unlabelled > 0 {
        reading.remarks.push(format!("{unlabelled} images have no label file: they are images with nothing in them"));
    }
    Ok(Dataset { categories, images })
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

fn data_yaml(path: &Path, root: &Path) -> Result<(Vec<String>, Vec<Folder>), DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    let data: DataYaml = serde_saphyr::from_str(&text).map_err(|error| {
        let message = error.to_string();
        let problem = message.lines().next().unwrap_or("not YAML").to_owned();
        match error.location() {
            Some(location) => DatasetError::line(path, location.line() as usize, problem),
            None => DatasetError::file(path, problem),
        }
    })?;
    let names: Vec<String> = match data.names {
        Names::List(names) => names.into_iter().map(|name| name.0).collect(),
        Names::Map(names) => {
            if let Some((place, (number, _))) = names.iter().enumerate().find(|(place, (number, _))| place != *number) {
                let problem = format!("names are numbered from 0 without gaps, but {place} is missing before {number}");
                return Err(DatasetError::file(path, problem));
            }
            names.into_values().map(|name| name.0).collect()
        }
    };
    if let Some(nc) = data.nc.filter(|nc| *nc != names.len()) {
        return Err(DatasetError::file(path, format!("nc is {nc}, but there are {} names", names.len())));
    }
    let base = data.path.map_or_else(|| root.to_owned(), |path| root.join(path));
    // Many a `path` is of the machine where the dataset was made.
    let base = if base.is_dir() { base } else { root.to_owned() };
    let mut folders: Vec<Folder> = Vec::new();
    for entries in [data.train, data.val, data.test].into_iter().flatten() {
        let entries = match entries {
            Entries::One(entry) => vec![entry],
            Entries::Several(entries) => entries,
        };
        for entry in entries.into_iter().filter(|entry| !entry.is_empty()) {
            let mut images = base.join(&entry);
            if !images.exists() {
                // Roboflow writes ../train/images for a folder beside data.yaml; Ultralytics reads it so too.
                images = base.join(entry.trim_start_matches("../"));
            }
            let folder = Folder { labels: labels_beside(&images), images };
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    Ok((names, folders))
}

fn classes(path: &Path) -> Result<Vec<String>, DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// `path` with its last folder `images` replaced by `labels`.
fn labels_beside(path: &Path) -> PathBuf {
    let components: Vec<Component<'_>> = path.components().collect();
    match components.iter().rposition(|component| component.as_os_str() == "images") {
        Some(place) => components[..place]
            .iter()
            .copied()
            .chain([Component::Normal("labels".as_ref())])
            .chain(components[place + 1..].iter().copied())
            .collect(),
        None => path.to_owned(),
    }
}

/// The label file of the image at `path`.
fn label_of(path: &Path) -> PathBuf {
    labels_beside(path).with_extension("txt")
}

/// The one folder of labels, where the images lie elsewhere.
fn labels_of(root: &Path, folders: &[Folder]) -> PathBuf {
    let beside = folders.iter().map(|folder| &folder.labels).find(|labels| labels.is_dir() && folders.len() == 1);
    let labels = root.join("labels");
    beside.cloned().unwrap_or_else(|| if labels.is_dir() { labels } else { root.to_owned() })
}

/// The images that a `.txt` lists, one a line; relative ones start at the list's folder (`./`) or at the dataset's.
fn listed(list: &Path, root: &Path) -> Result<Vec<String>, DatasetError> {
    let text = files::read_text(list).map_err(DatasetError::io(list))?;
    let mut images = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let name = line.trim();
        let beside = list.parent().unwrap_or(root).join(name);
        let image = if beside.is_file() { beside } else { root.join(name) };
        if !image.is_file() {
            return Err(DatasetError::line(list, number, format!("{name} is not there")));
        }
        images.push(image.to_string_lossy().into_owned());
    }
    Ok(images)
}

/// The deepest folder that holds all images; names are relative to it.
fn common(folders: &[Folder]) -> PathBuf {
    let of = |folder: &Folder| {
        let list = folder.images.is_file();
        if list { folder.images.parent().unwrap_or(Path::new("")).to_owned() } else { folder.images.clone() }
    };
    let mut folders = folders.iter().map(of);
    let mut above = folders.next().unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&above) && above.pop() {}
    }
    above
}

/// Class, box in parts of the image, and whether it came as an outline; `None` for an empty line.
fn parse_line(line: &str, classes: usize) -> Result<Option<(usize, BBox, bool)>, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let Some((class, rest)) = fields.split_first() else { return Ok(None) };
    // Some tools write the class as 3.0.
    let class = class.strip_suffix(".0").unwrap_or(class);
    let category: usize = class.parse().map_err(|_| format!("{class:?} is not the number of a class"))?;
    if category >= classes {
        return Err(format!("class {category} has no name: there are {classes}, counted from 0"));
    }
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
            Ok(Some((category, bbox, false)))
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
            Ok(Some((category, bbox, true)))
        }
        _ => Err(format!("{} fields; a box has 5: class x_center y_center width height", fields.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused_with_the_reason() {
        let (category, bbox, outline) = parse_line("1 0.5 0.5 0.5 1", 2).unwrap().unwrap();
        assert_eq!((category, <[f64; 4]>::from(bbox), outline), (1, [0.25, 0.0, 0.75, 1.0], false));
        let (_, bbox, outline) = parse_line("0.0 0.1 0.2 0.5 0.1 0.3 0.9", 2).unwrap().unwrap();
        assert_eq!((<[f64; 4]>::from(bbox), outline), ([0.1, 0.1, 0.5, 0.9], true));
        assert_eq!(parse_line("  ", 2), Ok(None));
        for (line, reason) in [
            ("2 0.5 0.5 1 1", "class 2 has no name"),
            ("dog 0.5 0.5 1 1", "not the number of a class"),
            ("0 0.5 0.5 x 1", "\"x\" is not a number"),
            ("0 100 50 20 20", "not a part of the image's size"),
            ("0 0.5 0.5 nan 1", "not a part"),
            ("0 0.5 0.5 0 1", "a box of the size 0 x 1"),
            ("0 0.5 0.5 0.1 0.1 0.9", "6 fields"),
        ] {
            let error = parse_line(line, 2).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn labels_lie_beside_the_last_images_folder() {
        let beside = |path: &str| labels_beside(Path::new(path)).to_string_lossy().into_owned();
        assert_eq!(beside("a/images/b/images/c"), "a/images/b/labels/c");
        assert_eq!(beside("a/pictures"), "a/pictures");
        assert_eq!(label_of(Path::new("x/images/train/1.jpg")), PathBuf::from("x/labels/train/1.txt"));
    }

    #[test]
    fn every_way_to_write_names_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.yaml");
        let names = |text: &str| {
            std::fs::write(&path, text).unwrap();
            data_yaml(&path, dir.path()).map(|(names, _)| names).map_err(|error| error.to_string())
        };
        let both = ["traffic light".to_owned(), "7".to_owned()];
        assert_eq!(names("names: [traffic light, 7]\nnc: 2\n").unwrap(), both);
        assert_eq!(names("names: ['traffic light', '7'] # two\ntrain: ../train/images\n").unwrap(), both);
        assert_eq!(names("names:\n  0: traffic light\n  1: 7\n").unwrap(), both);
        assert_eq!(names("names:\n- traffic light\n- \"7\"\nroboflow:\n  version: 1\n").unwrap(), both);
        assert!(names("names: [a]\nnc: 2\n").unwrap_err().contains("nc is 2, but there are 1 names"));
        assert!(names("names: {0: a, 2: b}\n").unwrap_err().contains("1 is missing before 2"));
        let error = names("train: images\nnames: [a\n").unwrap_err();
        assert!(error.contains("data.yaml:"), "{error}");
        assert!(names("train: images\n").unwrap_err().contains("names"));
    }
}
