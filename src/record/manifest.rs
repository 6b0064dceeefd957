//! What a run was asked to do: `run.json`.
//!
//! In: the settings of a run, the content of the model's files, and the filters of its exports. Out: the manifest, and what differs from another.
//! Promises: two runs with equal settings ask the same model the same question; filters are no settings, and can be changed at any time; the
//! file is whole or not there; a file of an earlier version is read, and what its run did to boxes when it asked is known.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::difference::{self, Difference};
use super::questions::ImagePrompts;
use crate::device::Device;
use crate::model::{GraphFiles, ModelConfig};
use crate::ownership::{self, OutputDirectory};
use crate::record::{
    AnswerKind, BudgetChoice, CritiqueSettings, Decoding, Filters, MinScore, Rules, Sampling, Task, Tiling,
};
use crate::{digest, files};

pub(super) const FILE: &str = ownership::RUN;

/// Why a run's settings cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not a run at all.
    #[error("{}: no run here (no {FILE})", .0.display())]
    NoRun(PathBuf),
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// What another version of gemscope wrote, which has other settings.
    #[error("{}: written by another version of gemscope ({error}): make the run again, with --fresh or another --out", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What is missing or unknown.
        error: serde_json::Error,
    },
    /// Boxes that are to be shown are not in the records.
    #[error(
        "this run was made by an earlier version of gemscope, which left boxes out before it wrote its records: {} can be made \
         stricter now, but not weaker; make the run again in another directory",
        filters.join(", ")
    )]
    Filtered {
        /// The filters, as `run.json` calls them.
        filters: Vec<&'static str>,
    },
    /// The file is not what gemscope writes.
    #[error("{}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Everything that an answer depends on, but for the image itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is asked about images without prompts of their own; `null` where all have them.
    pub task: Option<Task>,
    /// The whole prompts of that, as the model's chat template rendered them: one, or one for each label.
    pub prompts: Vec<String>,
    /// What is asked about single images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_prompts: Option<ImagePrompts>,
    /// What frames are rated by; not in a run that only finds things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critique: Option<CritiqueSettings>,
    /// Soft tokens of a view.
    pub budget: BudgetChoice,
    /// How images are cut into tiles, which are shown beside the whole.
    pub tiles: Option<Tiling>,
    /// How answers are read.
    pub rules: Rules,
    /// What is asked for, boxes or text, where that was said; otherwise each question's words say it.
    #[serde(default)]
    pub answer: Option<AnswerKind>,
    /// Whether EXIF orientation is applied.
    pub apply_orientation: bool,
    /// Whether only as many pixels of a JPEG are decoded as the budget needs; not in runs from before there was the choice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fast_decode: bool,
    /// What may stand in an answer.
    #[serde(default)]
    pub decoding: Decoding,
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Which weights answer.
    pub model: ModelIdentity,
    /// `cuda` where a CUDA device computed: its answers may differ from the CPU's in the last digits of a score, and now and then in a
    /// token, so a run is made on one kind of device to its end. Not in runs on the CPU.
    #[serde(default = "cpu", skip_serializing_if = "is_cpu")]
    pub device: String,
}

fn cpu() -> String {
    Device::Cpu.kind().to_owned()
}

fn is_cpu(device: &str) -> bool {
    device == Device::Cpu.kind()
}

impl Settings {
    /// Settings with everything at its default but the budget and the model: nothing is asked yet.
    pub fn of(budget: BudgetChoice, model: ModelIdentity) -> Self {
        Self {
            task: None,
            prompts: Vec::new(),
            image_prompts: None,
            critique: None,
            budget,
            tiles: None,
            rules: Rules::default(),
            answer: None,
            apply_orientation: true,
            fast_decode: false,
            decoding: Decoding::Free,
            max_new_tokens: 0,
            sampling: Sampling::Greedy,
            model,
            device: cpu(),
        }
    }

    /// The labels that are asked for, in order: those of every image, then those of single ones.
    pub fn labels(&self) -> &[String] {
        match &self.image_prompts {
            Some(prompts) => &prompts.labels,
            None => self.task.as_ref().map_or(&[], Task::labels),
        }
    }
}

/// Which model a run was made with, wherever it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Graphs, their external data and the tokenizer: a hash of each (large files by size and evenly spread pieces).
    pub files: BTreeMap<String, String>,
    /// Ids that end an answer.
    pub stop_ids: Vec<u32>,
    /// Ids that are never generated.
    pub suppressed_ids: Vec<u32>,
}

impl ModelIdentity {
    /// The identity of the model in `directory`.
    ///
    /// # Errors
    /// [`ManifestError::Io`] where a file cannot be read.
    pub fn of(directory: &Path, graphs: &GraphFiles, config: &ModelConfig) -> Result<Self, ManifestError> {
        let mut files = BTreeMap::new();
        for path in graphs.all_files().into_iter().chain([directory.join("tokenizer.json")]) {
            let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let fingerprint = digest::fingerprint(&path).map_err(|error| ManifestError::Io { path, error })?;
            files.insert(name, fingerprint);
        }
        Ok(Self { files, stop_ids: config.stop_ids.clone(), suppressed_ids: config.suppressed_ids.clone() })
    }
}

/// How answers that were made elsewhere were read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The labels that were asked for, as the user says.
    pub labels: Vec<String>,
    /// What was asked for; not there where each question says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerKind>,
    /// How answers were read.
    pub rules: Rules,
    /// Why the boxes were read by the scale in `rules`.
    pub coordinates_because: String,
    /// Whether EXIF orientation is applied.
    pub apply_orientation: bool,
}

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of gemscope that made the run.
    pub gemscope: String,
    /// The folder that the images' names are relative to; `null` where the answers were made elsewhere.
    pub root: Option<PathBuf>,
    /// Changes of the names since: a folder beside or above the first one gives all names a common root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<Renamed>,
    /// When the run was begun, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// What its user calls the model: the name of its directory. Which weights they are, the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What answers depend on; `null` where they were made elsewhere.
    pub settings: Option<Settings>,
    /// How they were read, where they were made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    /// Which of the boxes its exports show, as they were asked for last.
    #[serde(default)]
    pub filters: Filters,
    /// What an earlier version did to the boxes before it wrote its records (those of schema 1): that cannot be undone. Not in other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered_when_asked: Option<Filters>,
}

/// A prefix of the names in the earlier part of a journal: of all records that begin in its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The length of that part.
    pub journal_bytes: u64,
    /// Stands in front of the names, with a `/` at its end.
    pub prefix: String,
}

/// What every version of `run.json` has.
#[derive(Deserialize)]
struct MadeBy {
    #[serde(rename = "gemscope")]
    _version: String,
}

impl Manifest {
    /// A manifest of this version, begun now.
    pub fn new(root: Option<PathBuf>, settings: Option<Settings>) -> Self {
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
        Self {
            gemscope: env!("CARGO_PKG_VERSION").to_owned(),
            root,
            renamed: Vec::new(),
            started,
            model: None,
            settings,
            elsewhere: None,
            filters: Filters::default(),
            filtered_when_asked: None,
        }
    }

    /// The same, with the model's name.
    #[must_use]
    pub fn with_model(self, name: String) -> Self {
        Self { model: Some(name), ..self }
    }

    /// A manifest of answers that were made elsewhere, about images in `root` where that is known.
    pub fn of_elsewhere(root: Option<PathBuf>, elsewhere: Elsewhere) -> Self {
        Self { elsewhere: Some(elsewhere), ..Self::new(root, None) }
    }

    /// The same, with other filters.
    #[must_use]
    pub fn with_filters(self, filters: Filters) -> Self {
        Self { filters, ..self }
    }

    /// What a reader of results knows the model by: also where there is none, or it was given no name.
    pub fn model_name(&self) -> &str {
        match (&self.model, &self.settings) {
            (Some(name), _) => name,
            (None, None) => "not known: the answers were made elsewhere",
            (None, Some(_)) => "not named",
        }
    }

    /// That filters which this run's records were made with would have to be undone for `wanted`.
    ///
    /// # Errors
    /// [`ManifestError::Filtered`] that names them.
    pub fn can_show(&self, wanted: &Filters) -> Result<(), ManifestError> {
        let weaker = self.filtered_when_asked.as_ref().map_or_else(Vec::new, |applied| applied.weaker_in(wanted));
        if weaker.is_empty() { Ok(()) } else { Err(ManifestError::Filtered { filters: weaker }) }
    }

    /// This one, of a run that goes on as `now` says. `prefix` stands in front of the names of all records in the
    /// journal, which has `journal_bytes`.
    pub(super) fn gone_on(mut self, now: &Self, prefix: &str, journal_bytes: u64) -> Self {
        // A journal that became shorter (by a power cut, or by hand) is followed by records with names of now.
        for renamed in &mut self.renamed {
            renamed.journal_bytes = renamed.journal_bytes.min(journal_bytes);
        }
        if !prefix.is_empty() {
            self.renamed.push(Renamed { journal_bytes, prefix: prefix.to_owned() });
        }
        self.renamed.retain(|renamed| renamed.journal_bytes > 0);
        self.root.clone_from(&now.root);
        self.filters.clone_from(&now.filters);
        if let (Some(settings), Some(now)) = (&mut self.settings, &now.settings) {
            settings.image_prompts = match (settings.image_prompts.take(), now.image_prompts.clone()) {
                (Some(earlier), Some(now)) => Some(now.after(&earlier)),
                (earlier, now) => now.or(earlier),
            };
        }
        self
    }

    /// What another manifest that lies in `directory` says otherwise, except for what makes no other run: version, time,
    /// names and folders, and the prompts of single images, which each record is held to by itself.
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
            let there = match Self::from_json(&there) {
                Ok(manifest) => serde_json::from_slice(&serde_json::to_vec(&manifest)?)?,
                Err(_) => serde_json::from_slice::<Value>(&there)?,
            };
            let [there, wanted] = [there, wanted].map(|mut manifest: Value| {
                if let Some(Value::Object(settings)) = manifest.get_mut("settings") {
                    settings.shift_remove("image_prompts");
                }
                manifest
            });
            let mut found = Vec::new();
            difference::collect("", &there["settings"], &wanted["settings"], &mut found);
            for key in ["labels", "answer", "rules", "apply_orientation"] {
                difference::collect(key, &there["elsewhere"][key], &wanted["elsewhere"][key], &mut found);
            }
            Ok(found)
        };
        compare().map_err(|error| ManifestError::Parse { path, error })
    }

    /// Whether the run asked for no boxes: a critique whose axes are all answered with words.
    pub fn only_rates(&self) -> bool {
        let critique = self.settings.as_ref().and_then(|settings| settings.critique.as_ref());
        critique.is_some_and(|critique| !critique.asks_for_boxes())
    }

    /// The labels that were asked for, in order.
    pub fn labels(&self) -> &[String] {
        match (&self.settings, &self.elsewhere) {
            (Some(settings), _) => settings.labels(),
            (None, Some(elsewhere)) => &elsewhere.labels,
            (None, None) => &[],
        }
    }

    /// The labels that images without questions of their own were asked for, in order.
    pub fn labels_of_every_image(&self) -> &[String] {
        match (&self.settings, &self.elsewhere) {
            (Some(settings), _) => settings.task.as_ref().map_or(&[], Task::labels),
            (None, _) => self.labels(),
        }
    }

    /// Whether EXIF orientation was applied.
    pub fn apply_orientation(&self) -> bool {
        let asked = self.settings.as_ref().map(|settings| settings.apply_orientation);
        asked.or(self.elsewhere.as_ref().map(|elsewhere| elsewhere.apply_orientation)).unwrap_or(true)
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
            Err(error) if error.kind() == ErrorKind::NotFound => Err(ManifestError::NoRun(directory.to_owned())),
            Err(error) => Err(ManifestError::Io { path, error }),
        }
    }

    fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::from_slice(bytes)?;
        upgrade(&mut value)?;
        serde_json::from_value(value)
    }

    /// Whether the run.json of `directory` is one that a version of gemscope wrote: other tools write files of that name, too.
    ///
    /// # Errors
    /// [`ManifestError::Io`], also for a symbolic link.
    pub fn is_there(directory: &Path) -> Result<bool, ManifestError> {
        ownership::is_run(directory).map_err(|error| ManifestError::Io { path: directory.join(FILE), error })
    }

    /// Writes it into `directory`, whole or not at all.
    pub(super) fn write(&self, directory: &OutputDirectory) -> Result<(), ManifestError> {
        let path = directory.join(FILE);
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|error| ManifestError::Parse { path: path.clone(), error })?;
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
    let mut applied: serde_json::Map<String, Value> =
        FILTERS.iter().filter_map(|name| Some(((*name).to_owned(), rules.remove(*name)?))).collect();
    if applied.is_empty() {
        return Ok(());
    }
    // A number was asked for; without one, no box was left out for its score.
    let asked: Option<f64> = serde_json::from_value(applied.remove("min_score").unwrap_or_default())?;
    let applied: Filters = serde_json::from_value(Value::Object(applied))?;
    let least = |default| asked.map_or(default, MinScore::Asked);
    let then = Filters { min_score: least(MinScore::Default(0.0)), ..applied.clone() };
    let now = Filters { min_score: least(MinScore::of(applied.score)), ..applied };
    manifest["filtered_when_asked"] = serde_json::to_value(then)?;
    manifest["filters"] = serde_json::to_value(now)?;
    Ok(())
}

/// The names of a journal's records as they are now.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Renamed>);

impl Names {
    /// Those of the run in `directory`. A manifest that cannot be read is none here: who needs it says why.
    pub(super) fn of(directory: &Path) -> Self {
        #[derive(Deserialize)]
        struct Only {
            #[serde(default)]
            renamed: Vec<Renamed>,
        }
        let read = files::read(&directory.join(FILE), files::MAX_TEXT_BYTES).ok();
        Self(
            read.and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .map_or_else(Vec::new, |Only { renamed }| renamed),
        )
    }

    /// The name of now of an image in a record that begins at the byte `at`.
    pub(super) fn now(&self, at: u64, mut name: String) -> String {
        for renamed in self.0.iter().filter(|renamed| at < renamed.journal_bytes) {
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
        let beside = first.clone().gone_on(&Manifest::new(Some("/p".into()), None), "a/", 100);
        let above = beside.gone_on(&Manifest::new(Some("/".into()), None), "p/", 250);
        assert_eq!((above.root.as_deref(), above.started), (Some(Path::new("/")), first.started));
        let names = Names(above.renamed.clone());
        let now = |at| names.now(at, "x.png".to_owned());
        assert_eq!(
            [now(0), now(99), now(100), now(249), now(250)],
            ["p/a/x.png", "p/a/x.png", "p/x.png", "p/x.png", "x.png"]
        );
        // Records behind a shorter journal have names of now.
        let cut = above.clone().gone_on(&above, "", 40);
        let names = Names(cut.renamed.clone());
        assert_eq!([names.now(39, "x".into()), names.now(40, "x".into())], ["p/a/x", "x"]);
        assert!(cut.clone().gone_on(&cut, "q/", 0).renamed.is_empty(), "no record, no name");
    }
}
