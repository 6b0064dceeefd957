//! The manifest of a run: `run.json`.
//!
//! Two runs with equal settings ask the same model the same question. Filters are no settings, and
//! can be changed at any time.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{AnswerKind, Filters, Rules, ServerDescription, Settings, Shard, Task};

/// How answers that were made elsewhere were read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalAnswers {
    /// The labels that were asked for, as the user says.
    pub labels: Vec<String>,
    /// The kind of answer; absent if each question says it.
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
    /// The folder that the images' names are relative to; `null` if the answers were made
    /// elsewhere.
    pub root: Option<PathBuf>,
    /// Changes of the names since: a folder beside or above the first one gives all names a common
    /// root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<RenamedPrefix>,
    /// Which part of the images it is about, where other runs are about the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// When the run was begun, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// The model's name for its user: that of its directory. The settings identify its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Known faults of the model's graphs; most have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inexact: Vec<String>,
    /// The server's description of itself; not in runs of graphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerDescription>,
    /// The ffmpeg that frames of videos, HEIC and AVIF were read by; not in other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ffmpeg: Option<String>,
    /// Everything that answers depend on; `null` if they were made elsewhere.
    pub settings: Option<Settings>,
    /// How they were read, if they were made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<ExternalAnswers>,
    /// Which of the boxes its exports show, as they were asked for last.
    #[serde(default)]
    pub filters: Filters,
    /// The filters that an earlier version applied to the boxes before it wrote its records (those
    /// of schema 1): they cannot be undone. Not in other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered_when_asked: Option<Filters>,
}

/// A prefix of the names in the earlier part of a journal: of all records that begin in its first
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenamedPrefix {
    /// The length of that part.
    pub journal_bytes: u64,
    /// Stands in front of the names, with a `/` at its end.
    pub prefix: String,
}

impl Manifest {
    /// A manifest of this version, begun now.
    pub fn new(root: Option<PathBuf>, settings: Option<Settings>) -> Self {
        let started = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .map(|since| since.as_secs());
        Self {
            gemscope: env!("CARGO_PKG_VERSION").to_owned(),
            root,
            renamed: Vec::new(),
            shard: None,
            started,
            model: None,
            inexact: Vec::new(),
            server: None,
            ffmpeg: None,
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

    /// The same, with known faults of the model's graphs.
    #[must_use]
    pub fn with_inexact(self, inexact: Vec<String>) -> Self {
        Self { inexact, ..self }
    }

    /// The same, with the server's description of itself, if there is a server.
    #[must_use]
    pub fn with_server(self, server: Option<ServerDescription>) -> Self {
        Self { server, ..self }
    }

    /// The same, with the ffmpeg that reads some of the images, if one does.
    #[must_use]
    pub fn with_ffmpeg(self, ffmpeg: Option<String>) -> Self {
        Self { ffmpeg, ..self }
    }

    /// The same of a part of the images, if one is named.
    #[must_use]
    pub fn with_shard(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    /// A manifest of answers that were made elsewhere, about images in `root` if that is known.
    pub fn of_external(root: Option<PathBuf>, elsewhere: ExternalAnswers) -> Self {
        Self { elsewhere: Some(elsewhere), ..Self::new(root, None) }
    }

    /// The same, with other filters.
    #[must_use]
    pub fn with_filters(self, filters: Filters) -> Self {
        Self { filters, ..self }
    }

    /// The model's name for a reader of results; a phrase if there is none, or it was given no
    /// name.
    pub fn model_name(&self) -> &str {
        match (&self.model, &self.settings) {
            (Some(name), _) => name,
            (None, None) => "not known: the answers were made elsewhere",
            (None, Some(_)) => "not named",
        }
    }

    /// This one, of a run that goes on as `now` says. `prefix` stands in front of the names of all
    /// records in the journal, which has `journal_bytes`.
    pub(crate) fn resumed_as(mut self, now: &Self, prefix: &str, journal_bytes: u64) -> Self {
        // A journal that became shorter (by a power cut, or by hand) is followed by records with
        // names of now.
        for renamed in &mut self.renamed {
            renamed.journal_bytes = renamed.journal_bytes.min(journal_bytes);
        }
        if !prefix.is_empty() {
            self.renamed.push(RenamedPrefix { journal_bytes, prefix: prefix.to_owned() });
        }
        self.renamed.retain(|renamed| renamed.journal_bytes > 0);
        self.root.clone_from(&now.root);
        self.filters.clone_from(&now.filters);
        self.inexact.clone_from(&now.inexact);
        self.ffmpeg = now.ffmpeg.clone().or(self.ffmpeg);
        if let (Some(settings), Some(now)) = (&mut self.settings, &now.settings) {
            settings.image_prompts =
                match (settings.image_prompts.take(), now.image_prompts.clone()) {
                    (Some(earlier), Some(now)) => Some(now.after(&earlier)),
                    (earlier, now) => now.or(earlier),
                };
            settings.go_on_with_axes(now);
        }
        self
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
        asked
            .or(self.elsewhere.as_ref().map(|elsewhere| elsewhere.apply_orientation))
            .unwrap_or(true)
    }
}
