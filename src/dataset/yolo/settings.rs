//! The settings of a folder for YOLO: `data.yaml`, or labelImg's `classes.txt`.
//!
//! In: a directory or the file. Out: the names of the classes, and the place of each split.
//! Promises: a class name is the text that is written, never a truth value, a number or null;
//! splits are resolved as Ultralytics resolves them; an error names the file and the line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::super::reading::has_extension;
use super::super::{DatasetError, Split};
use crate::files;

#[derive(Deserialize)]
struct DataYaml {
    names: Texts,
    nc: Option<f64>,
    path: Option<String>,
    train: Option<Texts>,
    // The other two are what people write for it; Ultralytics knows one of them.
    #[serde(alias = "validation", alias = "valid")]
    val: Option<Texts>,
    test: Option<Texts>,
    kpt_shape: Option<Vec<usize>>,
}

/// One text, several, or numbered ones. A text is what is written: `no`, `7` and `~` are names too,
/// and only what is asked for as a string is given as one.
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

/// Keys that say no split.
const OTHER_KEYS: [&str; 9] =
    ["names", "nc", "path", "train", "val", "validation", "valid", "test", "kpt_shape"];

/// The keys that have a text, or texts, for a value.
#[derive(Default)]
struct Keys(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let texts = match map.next_value::<Value>()? {
                        Value::Text(text) => vec![text],
                        Value::Several(texts) => texts,
                        Value::Other(IgnoredAny) => continue,
                    };
                    keys.push((key, texts));
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Several(Vec<String>),
    Other(IgnoredAny),
}

/// Says which parts are declared under names that are no splits here: `minival`, and others that
/// lead to what is there.
fn remark_other_parts(text: &str, base: &Path, remarks: &mut Vec<String>) {
    let Keys(keys) = serde_saphyr::from_str(text).unwrap_or_default();
    for (key, entries) in keys.into_iter().filter(|(key, _)| !OTHER_KEYS.contains(&key.as_str())) {
        let Some(entry) = entries
            .iter()
            .find(|entry| key == "minival" || !entry.is_empty() && resolve(base, entry).exists())
        else {
            continue;
        };
        remarks.push(format!("{key} ({entry}) is left out: splits are train, val and test"));
    }
}

/// The settings of a dataset.
pub(super) struct Settings {
    /// The names of the classes, by number.
    pub(super) names: Vec<String>,
    /// The paths of the parts, as far as they are named.
    pub(super) parts: Vec<Part>,
    /// How many numbers the keypoints of a line have.
    pub(super) keypoints: Option<usize>,
}

/// The file that describes a dataset.
pub(super) enum SettingsFile {
    /// `data.yaml`, or another.
    Yaml(PathBuf),
    /// Darknet's `obj.data`, as CVAT writes it too.
    Darknet(PathBuf),
    /// The names of the classes alone, one a line.
    Names(PathBuf),
}

/// One entry of a split.
pub(super) struct Part {
    pub(super) split: Split,
    /// As it is written.
    pub(super) entry: String,
    /// The place that it stands for.
    pub(super) place: PathBuf,
}

/// The file that describes the dataset at `path`, a folder or that file.
pub(super) fn settings_file(path: &Path) -> Result<SettingsFile, DatasetError> {
    if path.is_file() {
        return Ok(if has_extension(path, &["data"]) {
            SettingsFile::Darknet(path.to_owned())
        } else if has_extension(path, &["yaml", "yml"]) {
            SettingsFile::Yaml(path.to_owned())
        } else {
            SettingsFile::Names(path.to_owned())
        });
    }
    let mut found = beside(path, &["yaml", "yml"])?;
    let data = |path: &PathBuf| path.file_name().is_some_and(|name| name == "data.yaml");
    if let Some(place) = found.iter().position(data) {
        return Ok(SettingsFile::Yaml(found.swap_remove(place)));
    }
    let mut darknet = beside(path, &["data"])?;
    match (found.pop(), found.is_empty(), darknet.pop(), names_file(path)) {
        (Some(one), true, ..) => Ok(SettingsFile::Yaml(one)),
        (None, _, Some(data), _) => Ok(SettingsFile::Darknet(data)),
        (None, _, None, Some(names)) => Ok(SettingsFile::Names(names)),
        (None, _, None, None) => Err(DatasetError::file(
            path,
            "neither data.yaml, obj.data, classes.txt nor obj.names is there to name the classes",
        )),
        (Some(_), false, ..) => Err(DatasetError::file(
            path,
            "several .yaml files are there: name the one that is meant",
        )),
    }
}

/// The file of the names of classes in the folder `path`, or among its labels.
pub(in super::super) fn names_file(path: &Path) -> Option<PathBuf> {
    let known = ["classes.txt", "obj.names", "labels/classes.txt", "obj_train_data/classes.txt"];
    let known = known.map(|name| path.join(name)).into_iter().find(|path| path.is_file());
    known.or_else(|| beside(path, &["names"]).ok()?.pop())
}

/// The files in the folder `path` with one of these extensions, the first by name last.
fn beside(path: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, DatasetError> {
    let entries = std::fs::read_dir(path).map_err(DatasetError::io(path))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.is_file() && has_extension(path, extensions));
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

/// What darknet's `obj.data` says: `key = value` lines, whose paths begin where darknet was
/// started.
pub(super) fn darknet(path: &Path, root: &Path) -> Result<Settings, DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs: Vec<(&str, &str)> = pairs.map(|(key, value)| (key.trim(), value.trim())).collect();
    let value = |wanted: &str| {
        let found = pairs.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| *value).filter(|value| !value.is_empty())
    };
    let named = value("names").and_then(|names| tail_in(root, names, 1));
    let names = named.filter(|path| path.is_file()).or_else(|| names_file(root));
    let names = names.ok_or_else(|| {
        DatasetError::file(path, "it names no file of classes, and none is beside it")
    })?;
    let mut parts = Vec::new();
    for (key, split) in
        [("train", Split::Train), ("valid", Split::Val), ("val", Split::Val), ("test", Split::Test)]
    {
        let Some(entry) = value(key) else { continue };
        let place = tail_in(root, entry, 1).unwrap_or_else(|| root.join(entry));
        parts.push(Part { split, entry: entry.to_owned(), place });
    }
    // CVAT leaves out the line where the lists lie beside.
    for (list, split) in [("train.txt", Split::Train), ("valid.txt", Split::Val)] {
        let place = root.join(list);
        if parts.iter().all(|part| part.split != split) && place.is_file() {
            parts.push(Part { split, entry: list.to_owned(), place });
        }
    }
    Ok(Settings { names: classes(&names)?, parts, keypoints: None })
}

/// The place below `root` that is called as the end of `entry` is, of which at least `least` parts
/// count; the longest that is there.
pub(super) fn tail_in(root: &Path, entry: &str, least: usize) -> Option<PathBuf> {
    let slashes = entry.replace('\\', "/");
    let parts = slashes.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    let parts: Vec<&str> = parts.collect();
    let tails = (0..(parts.len() + 1).saturating_sub(least)).map(|from| parts[from..].join("/"));
    tails.map(|tail| root.join(tail)).find(|place| place.exists())
}

pub(super) fn data_yaml(
    path: &Path,
    root: &Path,
    remarks: &mut Vec<String>,
) -> Result<Settings, DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    // A key that is there twice counts as its last, as for Python's readers.
    let duplicate_keys = serde_saphyr::options::DuplicateKeyPolicy::LastWins;
    let options = serde_saphyr::options! { null_as_string: true, duplicate_keys: duplicate_keys };
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
            return Err(DatasetError::file(
                path,
                format!("names is {name:?}, which is no list of names"),
            ));
        }
        Texts::Several(names) => names,
        Texts::Numbered(names) => {
            if let Some((place, (number, _))) =
                names.iter().enumerate().find(|(place, (number, _))| place != *number)
            {
                let problem = format!(
                    "names are numbered from 0 without gaps, but {place} is missing before {number}"
                );
                return Err(DatasetError::file(path, problem));
            }
            names.into_values().collect()
        }
    };
    if let Some(class) = names.iter().position(String::is_empty) {
        return Err(DatasetError::file(path, format!("class {class} has an empty name")));
    }
    if let Some(nc) = data.nc.filter(|nc| (*nc - names.len() as f64).abs() > 0.0) {
        return Err(DatasetError::file(
            path,
            format!("nc is {nc}, but there are {} names", names.len()),
        ));
    }
    let base = base(data.path.as_deref(), root, remarks);
    remark_other_parts(&text, &base, remarks);
    let mut parts = Vec::new();
    for (split, entries) in Split::ALL.into_iter().zip([data.train, data.val, data.test]) {
        let entries = match entries {
            None => Vec::new(),
            Some(Texts::One(entry)) => vec![entry],
            Some(Texts::Several(entries)) => entries,
            Some(Texts::Numbered(entries)) => entries.into_values().collect(),
        };
        for entry in entries.into_iter().filter(|entry| !entry.is_empty()) {
            let place = resolve(&base, &entry);
            parts.push(Part { split, entry, place });
        }
    }
    by_tail(&mut parts, &base, remarks);
    let keypoints =
        data.kpt_shape.map(|shape| shape.iter().product()).filter(|numbers| *numbers > 0);
    Ok(Settings { names, parts, keypoints })
}

/// The folder that the parts are relative to: the one that `path` names, seen from the settings or
/// from the current folder (as Ultralytics sees it), or the folder of the settings.
fn base(path: Option<&str>, root: &Path, remarks: &mut Vec<String>) -> PathBuf {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return root.to_owned() };
    let places = [root.join(path), PathBuf::from(path)];
    places.into_iter().find(|place| place.is_dir()).unwrap_or_else(|| {
        // Many a `path` belongs to the machine on which the dataset was made.
        remarks.push(format!(
            "path is {path:?}, which is not there: splits are looked for beside data.yaml"
        ));
        root.to_owned()
    })
}

/// The place that an entry of a split stands for, also if there is nothing.
fn resolve(base: &Path, entry: &str) -> PathBuf {
    // Windows writes paths with backslashes, and Roboflow `../train/images` for a folder beside
    // data.yaml, as Ultralytics reads it too.
    let slashes = entry.replace('\\', "/");
    let forms = [
        entry,
        entry.strip_prefix("../").unwrap_or(entry),
        &slashes,
        slashes.strip_prefix("../").unwrap_or(&slashes),
    ];
    let places = forms.map(|form| base.join(form));
    places.iter().find(|place| place.exists()).unwrap_or(&places[0]).clone()
}

/// Gives entries that lead nowhere the place that is called as their end is: those of another
/// machine, or seen from another folder. No two of them get the same.
fn by_tail(parts: &mut [Part], base: &Path, remarks: &mut Vec<String>) {
    let is_absolute =
        |entry: &str| entry.starts_with(['/', '\\', '~']) || entry.as_bytes().get(1) == Some(&b':');
    let found: Vec<Option<PathBuf>> = (parts.iter())
        .map(|part| {
            if part.place.exists() {
                return None;
            }
            // Of a relative path, `images` alone would say nothing.
            let least = if is_absolute(&part.entry) { 1 } else { 2 };
            let inner = [base.join("images"), base.join(&part.entry)];
            tail_in(base, &part.entry, least)
                .or_else(|| tail_in(&inner[0], &part.entry, 1))
                .or_else(|| Some(inner[1].join("images")).filter(|place| place.is_dir()))
        })
        .collect();
    for (place, to) in found.iter().enumerate() {
        let Some(to) = to else { continue };
        let same_entry = |other: &Part| other.entry == parts[place].entry;
        let shared = found
            .iter()
            .enumerate()
            .any(|(other, known)| known.as_ref() == Some(to) && !same_entry(&parts[other]));
        let taken = parts.iter().any(|other| other.place == *to && !same_entry(other));
        if shared || taken {
            continue;
        }
        let (split, entry) = (parts[place].split.as_str(), &parts[place].entry);
        remarks.push(format!(
            "{split} is {entry:?}, which is not there: {} is taken for it",
            to.display()
        ));
        let entry = entry.clone();
        parts.iter_mut().filter(|part| part.entry == entry && !part.place.exists()).for_each(
            |part| {
                part.place.clone_from(to);
            },
        );
    }
}

/// The names of classes, one a line. A line without one would leave it open which number the next
/// has: some tools count it, some do not.
pub(super) fn classes(path: &Path) -> Result<Vec<String>, DatasetError> {
    let text = files::read_text(path).map_err(DatasetError::io(path))?;
    let names: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    if let Some(blank) = names.iter().position(|name| name.is_empty()) {
        let problem = "a line without a name between the others: take it out, or name that class";
        return Err(DatasetError::line(path, blank + 1, problem.to_owned()));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            names("names: ['traffic light', '7'] # two\ntrain: ../train/images\n").unwrap(),
            both
        );
        assert_eq!(names("names:\n  0: traffic light\n  1: 7\n").unwrap(), both);
        assert_eq!(
            names("names:\n- traffic light\n- \"7\"\nroboflow:\n  version: 1\n").unwrap(),
            both
        );
        let words = ["N", "y", "no", "OFF", "null", "~", "True", ".nan", "1e3", "0x1F", "01"];
        assert_eq!(names(&format!("names: [{}]\n", words.join(", "))).unwrap(), words);
        assert_eq!(names(&format!("names:\n- {}\n", words.join("\n- "))).unwrap(), words);
        assert_eq!(names("names: {0: no, '1': ~}\n").unwrap(), ["no", "~"]);
        assert!(names("names: [a, '']\n").unwrap_err().contains("class 1 has an empty name"));
        assert!(names("names: a\n").unwrap_err().contains("no list of names"));
        assert!(
            names("names: [a]\nnc: 2\n").unwrap_err().contains("nc is 2, but there are 1 names")
        );
        assert!(names("names: {0: a, 2: b}\n").unwrap_err().contains("1 is missing before 2"));
        let error = names("train: images\nnames: [a\n").unwrap_err();
        assert!(error.contains("data.yaml:"), "{error}");
        assert!(names("train: images\n").unwrap_err().contains("names"));
    }
}
