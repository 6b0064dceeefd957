//! `run.json` on disk.
//!
//! In: a directory. Out: the manifest of the run in it, and its differences from another. Promises:
//! the file is whole or not there; a file of an earlier version is read, with the filters that its
//! run applied to the boxes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::difference::{self, Difference};
use crate::files;
use crate::ownership::{self, OutputDirectory};
use crate::record::{
    AxisMarks, CritiqueSettings, Filters, Manifest, MinScore, Record, RenamedPrefix, Settings,
};
use crate::source::is_address;

/// The name of the file.
pub(super) const FILE: &str = ownership::RUN;

/// Why a run's settings cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not a run at all.
    #[error(
        "{}: no run here (no {FILE}): a run is the directory that detect, critique or parse wrote",
        .0.display()
    )]
    NoRun(PathBuf),
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// Written by another version of gemscope, which has other settings.
    #[error(
        "{}: written by another version of gemscope ({error}): make the run again, with `fresh` or \
         another `out`",
        path.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The missing or unknown field.
        error: serde_json::Error,
    },
    /// Boxes that are to be shown are not in the records.
    #[error(
        "this run was made by an earlier version of gemscope, which left boxes out before it \
         wrote its records: {} can be made \
         stricter now, but not weaker; make the run again in another directory",
        filters.join(", ")
    )]
    Filtered {
        /// The filters, as `run.json` calls them.
        filters: Vec<&'static str>,
    },
    /// The file was not written by gemscope.
    #[error("{}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The problem.
        error: serde_json::Error,
    },
}

/// The fields that every version of `run.json` has.
#[derive(Deserialize)]
struct MadeBy {
    #[serde(rename = "gemscope")]
    _version: String,
}

impl Manifest {
    /// Checks that no filter which this run's records were made with would have to be undone for
    /// `wanted`.
    ///
    /// # Errors
    /// [`ManifestError::Filtered`] that names them.
    pub fn can_show(&self, wanted: &Filters) -> Result<(), ManifestError> {
        let weaker = self
            .filtered_when_asked
            .as_ref()
            .map_or_else(Vec::new, |applied| applied.weaker_in(wanted));
        if weaker.is_empty() { Ok(()) } else { Err(ManifestError::Filtered { filters: weaker }) }
    }

    /// The differences from another manifest, in `directory`, that make another run: all but
    /// version, time, names and folders, and what is checked for each record: the prompts of single
    /// images, and the axes of a critique.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub(super) fn differences(&self, directory: &Path) -> Result<Vec<Difference>, ManifestError> {
        let path = directory.join(FILE);
        let there = files::read(&path, files::MAX_TEXT_BYTES)
            .map_err(|error| ManifestError::Io { path: path.clone(), error })?;
        let compare = || -> Result<Vec<Difference>, serde_json::Error> {
            let wanted = serde_json::from_slice::<Value>(&serde_json::to_vec(self)?)?;
            // Settings that an earlier version did not know have their defaults there.
            let mut of_records = vec!["image_prompts"];
            let there = match Self::from_json(&there) {
                Ok(manifest) => {
                    of_records.extend(self.settings_of_axes(&manifest));
                    serde_json::from_slice(&serde_json::to_vec(&manifest)?)?
                }
                Err(_) => serde_json::from_slice::<Value>(&there)?,
            };
            let [there, wanted] = [there, wanted].map(|mut manifest: Value| {
                if let Some(Value::Object(settings)) = manifest.get_mut("settings") {
                    for name in &of_records {
                        settings.shift_remove(*name);
                    }
                }
                manifest
            });
            let mut found = Vec::new();
            difference::collect("", &there["settings"], &wanted["settings"], &mut found);
            difference::collect("shard", &there["shard"], &wanted["shard"], &mut found);
            for key in ["labels", "answer", "rules", "apply_orientation"] {
                difference::collect(
                    key,
                    &there["elsewhere"][key],
                    &wanted["elsewhere"][key],
                    &mut found,
                );
            }
            Ok(found)
        };
        compare().map_err(|error| ManifestError::Parse { path, error })
    }

    /// The settings that may differ between a critique and `there`, since each record says what it
    /// was asked.
    fn settings_of_axes(&self, there: &Self) -> &'static [&'static str] {
        let (Some(there), Some(wanted)) = (&there.settings, &self.settings) else { return &[] };
        let boxes = |settings: &Settings| {
            settings.critique.as_ref().is_some_and(CritiqueSettings::asks_for_boxes)
        };
        match (there.prompts_axes_as(wanted), boxes(there) && boxes(wanted)) {
            (false, _) => &[],
            (true, true) => &["critique", "prompts"],
            // Only boxes are decoded.
            (true, false) => &["critique", "prompts", "decoding"],
        }
    }

    /// The manifest of the run in `directory`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE);
        match files::read(&path, files::MAX_TEXT_BYTES) {
            Ok(bytes) => Self::from_json(&bytes).map_err(|error| {
                // JSON that says which version made it is a manifest, of whatever fields.
                let made_by = serde_json::from_slice::<MadeBy>(&bytes);
                if made_by.is_ok() {
                    ManifestError::OtherVersion { path, error }
                } else {
                    ManifestError::Parse { path, error }
                }
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(ManifestError::NoRun(directory.to_owned()))
            }
            Err(error) => Err(ManifestError::Io { path, error }),
        }
    }

    fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::from_slice(bytes)?;
        upgrade(&mut value)?;
        serde_json::from_value(value)
    }

    /// Whether the run.json of `directory` is one that a version of gemscope wrote: other tools
    /// write files of that name, too.
    ///
    /// # Errors
    /// [`ManifestError::Io`], also for a symbolic link.
    pub fn is_there(directory: &Path) -> Result<bool, ManifestError> {
        ownership::is_run(directory)
            .map_err(|error| ManifestError::Io { path: directory.join(FILE), error })
    }

    /// Writes it into `directory`, whole or not at all.
    pub(super) fn write(&self, directory: &OutputDirectory) -> Result<(), ManifestError> {
        let path = directory.join(FILE);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| ManifestError::Parse { path: path.clone(), error })?;
        text.push(b'\n');
        directory.replace_unlisted(FILE, &text).map_err(|error| ManifestError::Io { path, error })
    }
}

/// Filters that versions before record schema 2 kept among the rules of the settings.
const FILTERS: [&str; 13] = [
    "score",
    "calibration",
    "labels_map",
    "strict_labels",
    "min_score",
    "min_area",
    "max_area",
    "min_aspect",
    "max_aspect",
    "drop_edge",
    "duplicates",
    "nms",
    "nms_agnostic",
];

/// Makes a manifest of such a version one of this version.
fn upgrade(manifest: &mut Value) -> Result<(), serde_json::Error> {
    let Some(Value::Object(rules)) = manifest.pointer_mut("/settings/rules") else { return Ok(()) };
    let mut applied: serde_json::Map<String, Value> = FILTERS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), rules.remove(*name)?)))
        .collect();
    if applied.is_empty() {
        return Ok(());
    }
    // A number was asked for; without one, no box was left out for its score.
    let asked: Option<f64> =
        serde_json::from_value(applied.remove("min_score").unwrap_or_default())?;
    let applied: Filters = serde_json::from_value(Value::Object(applied))?;
    let least = |default| asked.map_or(default, MinScore::Asked);
    let then = Filters { min_score: least(MinScore::Default(0.0)), ..applied.clone() };
    let now = Filters { min_score: least(MinScore::of(applied.score)), ..applied };
    manifest["filtered_when_asked"] = serde_json::to_value(then)?;
    manifest["filters"] = serde_json::to_value(now)?;
    Ok(())
}

/// What the manifest says of a journal's records: their names as they are now, and the axes of
/// those that do not name theirs.
#[derive(Debug, Default)]
pub(super) struct Names {
    renamed: Vec<RenamedPrefix>,
    axes: AxisMarks,
}

impl Names {
    /// The names of the run in `directory`. A manifest that cannot be read counts as empty here:
    /// other callers report it.
    pub(super) fn of(directory: &Path) -> Self {
        #[derive(Deserialize)]
        struct Only {
            #[serde(default)]
            renamed: Vec<RenamedPrefix>,
            settings: Option<OnlyAxes>,
        }
        #[derive(Deserialize)]
        struct OnlyAxes {
            critique: Option<CritiqueSettings>,
        }
        let read = files::read(&directory.join(FILE), files::MAX_TEXT_BYTES).ok();
        let Some(Only { renamed, settings }) =
            read.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        else {
            return Self::default();
        };
        let critique = settings.and_then(|settings| settings.critique);
        let axes = critique.map(|critique| critique.first_marks()).unwrap_or_default();
        Self { renamed, axes }
    }

    /// The record that begins at the byte `at`, with its names of now, and its axes.
    pub(super) fn complete(&self, at: u64, record: &mut Record) {
        record.image = self.now(at, std::mem::take(&mut record.image));
        record.moved_from = record.moved_from.take().map(|earlier| self.now(at, earlier));
        if record.axes.is_empty() {
            record.axes.clone_from(&self.axes);
        }
    }

    /// The name of now of an image in a record that begins at the byte `at`.
    fn now(&self, at: u64, mut name: String) -> String {
        if is_address(&name) {
            return name;
        }
        for renamed in self.renamed.iter().filter(|renamed| at < renamed.journal_bytes) {
            name.insert_str(0, &renamed.prefix);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_folder() {
        let first = Manifest::new(Some("/p/a".into()), None);
        let beside = first.clone().resumed_as(&Manifest::new(Some("/p".into()), None), "a/", 100);
        let above = beside.resumed_as(&Manifest::new(Some("/".into()), None), "p/", 250);
        assert_eq!((above.root.as_deref(), above.started), (Some(Path::new("/")), first.started));
        let names = Names { renamed: above.renamed.clone(), ..Names::default() };
        let now = |at| names.now(at, "x.png".to_owned());
        assert_eq!(
            [now(0), now(99), now(100), now(249), now(250)],
            ["p/a/x.png", "p/a/x.png", "p/x.png", "p/x.png", "x.png"]
        );
        // Records behind a shorter journal have names of now.
        let cut = above.clone().resumed_as(&above, "", 40);
        let names = Names { renamed: cut.renamed.clone(), ..Names::default() };
        assert_eq!([names.now(39, "x".into()), names.now(40, "x".into())], ["p/a/x", "x"]);
        assert!(cut.clone().resumed_as(&cut, "q/", 0).renamed.is_empty(), "no record, no name");
    }
}
