//! A detection as it stands in a file, or in flags.
//!
//! In: a pipeline in TOML, or flags, or flags over a file. Out: a [`DetectConfig`], and which
//! images, formats and limits go with it. Promises: a key is a flag of `gemscope detect` with `_`
//! for `-`, under one section; an unknown key, or a value that its flag would refuse, is an error
//! that names the line.
//!
//! ```
//! use gemscope::session::Pipeline;
//!
//! let pipeline = Pipeline::parse("[task]\nlabels = ['red circle', 'star']\n[answer]\nnms = 0.7")?;
//! let config = pipeline.config()?;
//! assert_eq!(config.task.unwrap().labels(), ["red circle", "star"]);
//! # Ok::<(), gemscope::session::PipelineError>(())
//! ```

mod error;
mod layer;
mod least_scores;
mod secrets;
mod sections;
mod shard;
pub mod word;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Deserializer};

pub use error::PipelineError;
pub use layer::Layer;
use layer::layers;
pub use least_scores::LeastScores;
pub use secrets::shareable;
pub use sections::{
    BudgetSection, ChoiceSection, ClipSection, CoordinateSection, DecodingSection, DeviceSection,
    ExportSection, FilterSection, ImageSection, LimitSection, ModelSection, PromptsSection,
    RuleSection, RunSection, SamplingSection, ServerSection, TaskSection, ViewSection,
};
pub use shard::ShardChoice;
pub use word::Names;
use word::one_or_many;

use super::{DecodingOptions, DetectConfig, ModelChoice, ModelOptions};
use crate::answer::calibration::Calibration;
use crate::device::DeviceChoice;
use crate::export::{Format, read_labels_map};
use crate::files;
use crate::image::MAX_PIXELS;
use crate::onnxruntime;
use crate::prompt::Conversation;
use crate::record::{
    AnswerKind, AnswerSchema, Budget, BudgetChoice, Filters, MinScore, Rules, Sampling, Shard,
    Task, distinct,
};
use crate::run::{Control, MIN_ROWS};
use crate::server::ServerOptions;
use crate::source::{Choice, Known, MAX_BYTES, Most, VideoFrames, VideoUse, WebOptions};

layers! {
    /// `[task]`
    pub struct TaskSections {
        /// The question.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub task: TaskSection,
        /// Questions about single images.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub prompts: PromptsSection,
    }

    /// `[preprocess]`
    pub struct PreprocessSection {
        /// How much of an image the model sees.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub budget: BudgetSection,
        /// Tiles, and fewer pixels.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub view: ViewSection,
        /// How images are read.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub image: ImageSection,
        /// How much of a file is read.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub limits: LimitSection,
    }

    /// `[answer]`
    pub struct AnswerSection {
        /// How answers are read.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub rules: RuleSection,
        /// Which boxes are exported.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub filters: FilterSection,
    }

    /// `[source]`
    pub struct SourceSection {
        /// Folders, files, patterns, archives, lists. Those of flags replace those of a file.
        #[serde(deserialize_with = "one_or_many")]
        #[cfg_attr(feature = "cli", arg(skip))]
        pub inputs: Vec<PathBuf>,
        /// Which of the images.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub choice: ChoiceSection,
        /// Whether they are whole videos.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub clip: ClipSection,
    }

    /// A detection with everything that goes with it.
    pub struct Pipeline {
        /// The questions.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub task: TaskSections,
        /// Which images.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub source: SourceSection,
        /// How images are prepared for the model.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub preprocess: PreprocessSection,
        /// The model, and its device.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub model: ModelSection,
        /// How answers are generated.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub decoding: DecodingSection,
        /// How answers are read, and which boxes are exported.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub answer: AnswerSection,
        /// The formats to write.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub export: ExportSection,
        /// How the run goes.
        #[cfg_attr(feature = "cli", command(flatten))]
        pub run: RunSection,
    }
}

impl Pipeline {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn read(path: &Path) -> Result<Self, PipelineError> {
        let unread = |error| PipelineError::File { path: path.to_owned(), error };
        Self::parse(&files::read_text(path).map_err(unread)?)
    }

    /// Reads the text of a pipeline.
    ///
    /// # Errors
    /// [`PipelineError`] that names the line.
    pub fn parse(text: &str) -> Result<Self, PipelineError> {
        let unreadable = |error: toml::de::Error| PipelineError::Toml(error.to_string());
        let document = DeTable::parse(text).map_err(unreadable)?;
        let line_of = |key: &Spanned<DeString<'_>>| {
            // A key begins at a character.
            1 + text.get(..key.span().start).unwrap_or_default().matches('\n').count()
        };
        let sections = Self::sections();
        for (section_key, value) in document.get_ref() {
            let section = section_key.get_ref().as_ref();
            let Some((_, keys)) = sections.iter().find(|(name, _)| *name == section) else {
                return Err(PipelineError::Section {
                    line: line_of(section_key),
                    section: section.to_owned(),
                    meant_name: error::nearest(section, sections.iter().map(|(name, _)| *name)),
                });
            };
            let DeValue::Table(entries) = value.get_ref() else {
                let (line, section) = (line_of(section_key), section.to_owned());
                return Err(PipelineError::NoSection { line, section });
            };
            for (spanned_key, value) in entries {
                let (line, key) = (line_of(spanned_key), spanned_key.get_ref().as_ref());
                if !keys.contains(&key) {
                    let right = sections.iter().find(|(_, keys)| keys.contains(&key));
                    let all = sections.iter().flat_map(|(_, keys)| keys.iter().copied());
                    return Err(PipelineError::Key {
                        line,
                        section: section.to_owned(),
                        key: key.to_owned(),
                        right: right.map(|(name, _)| *name),
                        meant_name: error::nearest(key, all),
                    });
                }
                // Each key is read by itself, so that an error is about one of them.
                let alone = DeTable::from_iter([(spanned_key.clone(), value.clone())]);
                let alone = Spanned::new(value.span(), DeValue::Table(alone));
                let alone = DeTable::from_iter([(section_key.clone(), alone)]);
                let read = Self::deserialize(Deserializer::from(Spanned::new(value.span(), alone)));
                read.map_err(|error| PipelineError::Value {
                    line,
                    section: section.to_owned(),
                    key: key.to_owned(),
                    problem: error.message().to_owned(),
                })?;
            }
        }
        Self::deserialize(Deserializer::from(document)).map_err(unreadable)
    }

    /// The pipeline of settings that stand under no section, as a caller in another language has
    /// them: keys of [`Self::sections`], with the values that a file may have.
    ///
    /// # Errors
    /// [`PipelineError`] that names the setting.
    pub fn of_settings(
        settings: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, PipelineError> {
        let known = Self::sections();
        let mut sections = serde_json::Map::new();
        for (setting, value) in settings {
            let Some((section, _)) =
                known.iter().find(|(_, keys)| keys.contains(&setting.as_str()))
            else {
                let names = known.iter().flat_map(|(_, keys)| keys.iter().copied());
                let meant_name = error::nearest(&setting, names);
                return Err(PipelineError::Setting { setting, meant_name });
            };
            // Each by itself, so that an error is about one of them.
            let alone = serde_json::json!({ *section: { &setting: &value } });
            serde_json::from_value::<Self>(alone).map_err(|problem| {
                PipelineError::SettingValue {
                    setting: setting.clone(),
                    problem: problem.to_string(),
                }
            })?;
            let section = sections.entry(*section).or_insert_with(|| serde_json::json!({}));
            section[setting] = value;
        }
        let whole = serde_json::from_value(sections.into());
        whole.map_err(|problem| PipelineError::Toml(problem.to_string()))
    }

    /// The sections of a file, each with its keys.
    pub fn sections() -> [(&'static str, Vec<&'static str>); 8] {
        fn keys<T: Layer>() -> Vec<&'static str> {
            let mut keys = Vec::new();
            T::add_keys("", &mut keys);
            keys
        }
        [
            ("task", keys::<TaskSections>()),
            ("model", keys::<ModelSection>()),
            ("preprocess", keys::<PreprocessSection>()),
            ("decoding", keys::<DecodingSection>()),
            ("answer", keys::<AnswerSection>()),
            ("source", keys::<SourceSection>()),
            ("run", keys::<RunSection>()),
            ("export", keys::<ExportSection>()),
        ]
    }

    /// The configuration that it says.
    ///
    /// # Errors
    /// [`PipelineError`] if settings exclude each other, or a file that they name cannot be read.
    pub fn config(&self) -> Result<DetectConfig, PipelineError> {
        let Self {
            task: TaskSections { task, prompts }, preprocess, model, decoding, answer, ..
        } = self;
        let clip = self.source.clip.clip;
        let excluded = [
            (
                preprocess.view.fast_decode && preprocess.view.tiles.is_some(),
                "fast_decode",
                "tiles",
            ),
            (task.labels.is_some() && task.phrase.is_some(), "labels", "phrase"),
            (task.prompt.is_some() && task.phrase.is_some(), "prompt", "phrase"),
            (task.per_label && task.phrase.is_some(), "per_label", "phrase"),
            (model.server.server.is_some() && model.model.is_some(), "server", "model"),
            (model.server.server.is_some() && model.dtype.is_some(), "server", "dtype"),
            (model.server.server.is_some() && model.activations.is_some(), "server", "activations"),
            (model.server.server.is_some() && model.device.device.is_some(), "server", "device"),
            (clip && self.source.choice.frames.is_some(), "clip", "frames"),
            (clip && task.labels.is_some(), "clip", "labels"),
            (clip && task.phrase.is_some(), "clip", "phrase"),
            (clip && preprocess.budget.budget.is_some(), "clip", "budget"),
            (clip && preprocess.view.tiles.is_some(), "clip", "tiles"),
            (clip && preprocess.view.fast_decode, "clip", "fast_decode"),
            (clip && task.image_newlines, "clip", "image_newlines"),
            (clip && preprocess.image.no_exif, "clip", "no_exif"),
            (clip && self.export.group_by.is_some(), "clip", "group_by"),
            (
                self.source.choice.limit.is_some() && self.source.choice.sample.is_some(),
                "limit",
                "sample",
            ),
        ];
        if let Some((_, one, other)) = excluded.into_iter().find(|(both, ..)| *both) {
            return Err(PipelineError::Excluded { one, other });
        }
        Ok(DetectConfig {
            task: task.task()?,
            per_label: task.per_label,
            answer: task.answer,
            schema: task.answer_schema(clip)?,
            conversation: task.conversation(),
            prompts: prompts.prompts.clone(),
            model: model.options()?,
            budget: preprocess.budget.choice()?,
            tiles: preprocess.view.tiles,
            rules: answer.rules.rules(),
            apply_orientation: !preprocess.image.no_exif,
            fast_decode: preprocess.view.fast_decode,
            clip: self.source.clip.clip,
            decoding: decoding.options()?,
            filters: answer.filters.over_filters(Filters::default())?,
            shard: self.source.choice.shard()?,
        })
    }

    /// Which of the images are asked about.
    ///
    /// # Errors
    /// [`PipelineError`] if nothing hangs on a seed that is there.
    pub fn choice(&self) -> Result<Choice, PipelineError> {
        let mut choice = self.source.choice.choice(&self.decoding.sampling)?;
        if self.source.clip.clip {
            choice.video = Some(VideoUse::Whole);
        }
        Ok(choice)
    }

    /// The formats that are written.
    ///
    /// # Errors
    /// [`PipelineError::Format`] for an unknown one.
    pub fn formats(&self) -> Result<Vec<Format>, PipelineError> {
        const USUAL: [Format; 4] = [Format::Jsonl, Format::Coco, Format::Counts, Format::Crops];
        /// Answers about whole clips have no boxes.
        const OF_CLIPS: [Format; 2] = [Format::Jsonl, Format::Csv];
        let Some(names) = &self.export.export else {
            return Ok(if self.source.clip.clip { OF_CLIPS.into() } else { USUAL.into() });
        };
        let names = names.split();
        if names.len() == 1 && names[0] == "none" {
            return Ok(Vec::new());
        }
        names.iter().map(|name| Ok(name.parse()?)).collect()
    }

    /// How the run goes.
    pub fn control(&self) -> Control {
        self.run.control(&self.preprocess.limits)
    }
}

impl Names {
    /// The names: a text is split at its commas.
    pub fn split(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            Self::List(names) => names.clone(),
        }
    }

    /// Labels, each once: names, or those of a file with a label a line.
    ///
    /// # Errors
    /// [`PipelineError`] if the file cannot be read, or there is no label.
    pub fn labels(&self) -> Result<Vec<String>, PipelineError> {
        let labels = match self {
            Self::List(names) => distinct(names.iter().map(String::as_str)),
            Self::Text(text) => match text.strip_prefix('@') {
                None => distinct(text.split([',', '\n'])),
                Some(file) => {
                    let unread = |error| PipelineError::File { path: file.into(), error };
                    distinct(files::read_text(Path::new(file)).map_err(unread)?.lines())
                }
            },
        };
        if labels.is_empty() { Err(PipelineError::NoLabels) } else { Ok(labels) }
    }
}

impl TaskSection {
    /// The task; `None` if nothing was asked.
    ///
    /// # Errors
    /// [`PipelineError`] if a phrase or the labels are empty.
    pub fn task(&self) -> Result<Option<Task>, PipelineError> {
        let labels = self.labels.as_ref().map_or_else(|| Ok(Vec::new()), Names::labels)?;
        Ok(match (&self.prompt, &self.phrase) {
            (Some(text), _) => Some(Task::Prompt { text: text.clone(), labels }),
            (None, Some(phrase)) if phrase.trim().is_empty() => {
                return Err(PipelineError::NoPhrase);
            }
            (None, Some(phrase)) => Some(Task::Phrase(phrase.trim().to_owned())),
            (None, None) if labels.is_empty() => None,
            (None, None) => Some(Task::Labels(labels)),
        })
    }

    /// The fields of answers in text, if they have any. Answers about whole clips are text.
    ///
    /// # Errors
    /// [`PipelineError`] if text is not asked for, or the file is no schema that is supported.
    pub fn answer_schema(&self, clip: bool) -> Result<Option<AnswerSchema>, PipelineError> {
        let Some(path) = &self.schema else { return Ok(None) };
        if self.answer != Some(AnswerKind::Text) && !clip {
            return Err(PipelineError::GoesWith { setting: "schema", with: "`answer` text" });
        }
        if clip && path.as_os_str() == "events" {
            return Ok(Some(AnswerSchema::events()));
        }
        let text = files::read_text(path)
            .map_err(|error| PipelineError::File { path: path.clone(), error })?;
        let read = serde_json::from_str(&text);
        read.map(Some).map_err(|problem| PipelineError::Schema {
            path: path.clone(),
            problem: problem.to_string(),
        })
    }

    /// System prompt, thinking, blank lines around the image.
    pub fn conversation(&self) -> Conversation {
        Conversation {
            system: self.system.clone(),
            thinking: self.thinking,
            image_newlines: self.image_newlines,
        }
    }
}

impl BudgetSection {
    /// The choice; `None` is the model's own budget.
    ///
    /// # Errors
    /// [`PipelineError`] for a number that is no budget.
    pub fn choice(&self) -> Result<Option<BudgetChoice>, PipelineError> {
        match (self.budget.as_deref(), self.max_budget) {
            (Some("auto"), max) => Ok(Some(BudgetChoice::Auto { max: max.unwrap_or(Budget::MAX) })),
            (_, Some(_)) => {
                Err(PipelineError::GoesWith { setting: "max_budget", with: "`budget` auto" })
            }
            (None, None) => Ok(None),
            (Some(text), None) => {
                let fixed: Result<Budget, _> = text.parse();
                fixed.map(|budget| Some(BudgetChoice::Fixed(budget))).map_err(PipelineError::Budget)
            }
        }
    }
}

impl ModelSection {
    /// The model that is named, here or by the environment.
    pub fn choice(&self) -> ModelChoice {
        match self.server.options() {
            Some(server) => ModelChoice::Server(server),
            None => ModelChoice::of(self.model.as_deref()),
        }
    }

    /// The options; ONNX Runtime is found as the environment says.
    ///
    /// # Errors
    /// As [`DeviceSection::asked`]; [`PipelineError::GoesWith`] for what says how a server is
    /// asked, without a server.
    pub fn options(&self) -> Result<ModelOptions, PipelineError> {
        self.server.check()?;
        Ok(ModelOptions {
            dtypes: self.dtype.clone().unwrap_or_default(),
            activations: self.activations,
            threads: self.threads.map(usize::from),
            keep_graphs: self.keep_graphs,
            allow_inexact: self.allow_inexact,
            device: self.device.asked()?,
            ..ModelOptions::of(self.choice())
        })
    }
}

impl ServerSection {
    /// Refuses what only says how a server is asked, if there is none.
    fn check(&self) -> Result<(), PipelineError> {
        let of_a_server = [
            ("server_model", self.server_model.is_some()),
            ("server_kind", self.server_kind.is_some()),
            ("server_pictures", self.server_pictures.is_some()),
            ("server_wait", self.server_wait.is_some()),
            ("concurrency", self.concurrency.is_some()),
        ];
        match of_a_server.into_iter().find(|(_, said)| *said) {
            Some((setting, _)) if self.server.is_none() => {
                Err(PipelineError::GoesWith { setting, with: "`server`" })
            }
            _ => Ok(()),
        }
    }

    /// The server that is named, if one is, with the environment's key.
    pub fn options(&self) -> Option<ServerOptions> {
        let mut options = ServerOptions::of(self.server.as_deref()?);
        options.model.clone_from(&self.server_model);
        options.kind = self.server_kind.and_then(|choice| choice.0);
        options.pictures = self.server_pictures.unwrap_or_default();
        options.concurrency = self.concurrency.map(usize::from);
        options.max_wait = self.server_wait.unwrap_or(options.max_wait);
        Some(options)
    }
}

impl DeviceSection {
    /// The device that is named, here or by the environment variable `GEMSCOPE_DEVICE`, if any.
    ///
    /// # Errors
    /// [`PipelineError::Variable`] if the variable names no device.
    pub fn asked(&self) -> Result<Option<DeviceChoice>, PipelineError> {
        const VARIABLE: &str = "GEMSCOPE_DEVICE";
        let named = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        match (self.device, named) {
            (Some(device), _) => Ok(Some(device)),
            (None, Some(text)) => {
                let read = text.parse().map(Some);
                read.map_err(|problem| PipelineError::Variable { name: VARIABLE, problem })
            }
            (None, None) => Ok(None),
        }
    }
}

impl DecodingSection {
    /// The options.
    ///
    /// # Errors
    /// [`PipelineError`] for settings of sampling without a temperature.
    pub fn options(&self) -> Result<DecodingOptions, PipelineError> {
        let usual = DecodingOptions::default();
        Ok(DecodingOptions {
            decoding: self.decoding,
            open_labels: self.open_labels,
            max_boxes: self.max_boxes.map_or(usual.max_boxes, |most| most as usize),
            max_new_tokens: self.max_new_tokens.map_or(usual.max_new_tokens, |most| most as usize),
            rows: self.batch.map(usize::from),
            sampling: self.sampling.sampling()?,
        })
    }
}

impl SamplingSection {
    /// How tokens are chosen.
    ///
    /// # Errors
    /// [`PipelineError::GoesWith`] for a setting that needs a temperature, without one.
    pub fn sampling(&self) -> Result<Sampling, PipelineError> {
        let Some(temperature) = self.temperature else {
            let idle = [("top_p", self.top_p.is_some()), ("top_k", self.top_k.is_some())];
            return match idle.into_iter().find(|(_, there)| *there) {
                Some((setting, _)) => {
                    Err(PipelineError::GoesWith { setting, with: "`temperature`" })
                }
                None => Ok(Sampling::Greedy),
            };
        };
        let (top_p, top_k) = (self.top_p.unwrap_or(0.95), self.top_k.unwrap_or(64));
        Ok(Sampling::Drawn { temperature, top_p, top_k, seed: self.seed.unwrap_or(0) })
    }
}

impl ChoiceSection {
    /// The images to choose; the seed is that of the answers.
    ///
    /// # Errors
    /// [`PipelineError::GoesWith`] for a seed on which nothing hangs.
    pub fn choice(&self, sampling: &SamplingSection) -> Result<Choice, PipelineError> {
        if sampling.seed.is_some() && sampling.temperature.is_none() && self.sample.is_none() {
            return Err(PipelineError::GoesWith {
                setting: "seed",
                with: "`temperature` or `sample`",
            });
        }
        let video = match (self.frames, self.start, self.end) {
            (Some(frames), start, end) => {
                let (start, end) = (start.map_or(0, |start| start.0), end.map(|end| end.0));
                Some(VideoUse::Frames(VideoFrames { frames, start, end }))
            }
            (None, Some(_), _) => {
                return Err(PipelineError::GoesWith { setting: "start", with: "`frames`" });
            }
            (None, None, Some(_)) => {
                return Err(PipelineError::GoesWith { setting: "end", with: "`frames`" });
            }
            (None, None, None) => None,
        };
        let seed = sampling.seed.unwrap_or(0);
        let sample = self.sample.map(|count| Most::Sample { count: count as usize, seed });
        Ok(Choice {
            exclude: self.exclude.clone(),
            max_depth: self.max_depth.map(|depth| depth as usize),
            known: Known::default(),
            most: sample.or(self.limit.map(|count| Most::First(count as usize))),
            video,
            web: WebOptions {
                max_bytes: self.max_bytes.map_or(MAX_BYTES, |size| size.0),
                // Without a cache directory, tars are brought again.
                lists: onnxruntime::cache_dir().ok().map(|cache| cache.join("lists")),
                ..WebOptions::default()
            },
            say: None,
            stop: None,
        })
    }

    /// The shard, if one is named.
    ///
    /// # Errors
    /// As [`ShardChoice::shard`].
    pub fn shard(&self) -> Result<Option<Shard>, PipelineError> {
        self.shard.map(ShardChoice::shard).transpose()
    }
}

impl CoordinateSection {
    /// Rules that read coordinates so.
    pub fn rules(&self) -> Rules {
        let (coordinates, order) =
            (self.coordinates.unwrap_or_default(), self.order.unwrap_or_default());
        Rules { coordinates, order, ..Rules::default() }
    }
}

impl RuleSection {
    /// The rules.
    pub fn rules(&self) -> Rules {
        let rules = self.coordinates.rules();
        Rules { join: self.join.unwrap_or(rules.join), ..rules }
    }
}

impl FilterSection {
    /// `base`, overridden by these settings.
    ///
    /// # Errors
    /// [`PipelineError`] if a calibration or a map of labels cannot be read, or does not fit.
    pub fn over_filters(&self, base: Filters) -> Result<Filters, PipelineError> {
        let learned = match self.calibration.as_deref().map(Calibration::read).transpose()? {
            Some(calibration) => Some((calibration.score_kind()?, calibration.platt)),
            None => None,
        };
        if let (Some(asked), Some((kind, _))) = (self.score, learned)
            && asked != kind
        {
            return Err(PipelineError::OtherScore { calibrated: kind, asked });
        }
        let score = self.score.or(learned.map(|(kind, _)| kind)).unwrap_or(base.score);
        // A calibration is of one kind of score, and so is the default least score.
        let of_base = score == base.score;
        // What is said now takes the place of all that was said of labels before.
        let (every, min_scores) = match &self.min_score {
            Some(asked) => (asked.every, asked.labels.clone()),
            None => (None, base.min_scores.clone()),
        };
        let min_score = match (every, base.min_score) {
            (Some(asked), _) => MinScore::Asked(asked),
            (None, MinScore::Default(_)) if !of_base => MinScore::of(score),
            (None, of_base) => of_base,
        };
        let nms = self.nms.or(base.nms);
        if self.nms_agnostic == Some(true) && nms.is_none() {
            return Err(PipelineError::GoesWith { setting: "nms_agnostic", with: "`nms`" });
        }
        Ok(Filters {
            score,
            calibration: learned.map(|(_, platt)| platt).or(base.calibration.filter(|_| of_base)),
            labels_map: self
                .labels_map
                .as_deref()
                .map(read_labels_map)
                .transpose()?
                .unwrap_or(base.labels_map),
            strict_labels: self.strict_labels.unwrap_or(base.strict_labels),
            min_score,
            min_scores,
            min_area: self.min_area.or(base.min_area),
            max_area: self.max_area.or(base.max_area),
            min_aspect: self.min_aspect.or(base.min_aspect),
            max_aspect: self.max_aspect.or(base.max_aspect),
            drop_edge: self.drop_edge.unwrap_or(base.drop_edge),
            duplicates: self
                .duplicates
                .map_or(base.duplicates, |threshold| Some(threshold).filter(|at| *at > 0.0)),
            nms,
            nms_agnostic: self.nms_agnostic.unwrap_or(base.nms_agnostic),
        })
    }
}

impl RunSection {
    /// Records are synced at least this often.
    pub fn sync_every(&self) -> Duration {
        self.sync_every.unwrap_or(Duration::from_secs(1))
    }

    /// How the run goes.
    pub fn control(&self, limits: &LimitSection) -> Control {
        Control {
            max_pixels: limits.max_pixels(),
            min_rows: limits.min_rows.unwrap_or(MIN_ROWS),
            answer_timeout: self.answer_timeout,
            ..Control::default()
        }
    }
}

impl LimitSection {
    /// The most pixels of a file.
    pub fn max_pixels(&self) -> u64 {
        self.max_pixels.unwrap_or(MAX_PIXELS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_the_configuration_that_it_says() {
        let text = "[task]\nlabels = [\"salt, pepper\", \"cup\"]\nper_label = true\n[preprocess]\n\
                    budget = 560\n\
                    [answer]\nmin_area = \"0.5%\"\nmin_score = 0.3\n[decoding]\nmax_boxes = 7\n\
                    [source]\nexclude = [\"{a,b}\", \"c\"]\n[export]\nexport = [\"coco\"]\n[run]\n\
                    sync_every = 2";
        let pipeline = Pipeline::parse(text).unwrap();
        let config = pipeline.config().unwrap();
        assert_eq!(config.task, Some(Task::Labels(vec!["salt, pepper".into(), "cup".into()])));
        assert!(config.per_label && config.decoding.max_boxes == 7);
        assert_eq!(config.filters.min_score, MinScore::Asked(0.3));
        assert_eq!(pipeline.choice().unwrap().exclude, ["{a,b}", "c"]);
        assert_eq!(pipeline.formats().unwrap(), [Format::Coco]);
        assert_eq!(pipeline.run.sync_every(), Duration::from_secs(2));
        let none = Pipeline::default();
        let (config, usual) = (none.config().unwrap(), DetectConfig::default());
        assert_eq!(config.decoding, usual.decoding);
        assert_eq!((config.rules, config.filters), (usual.rules, usual.filters));
        assert!(
            config.task.is_none() && config.apply_orientation && none.formats().unwrap().len() == 4
        );
    }

    #[test]
    fn flags_stand_over_a_file() {
        let file = Pipeline::parse("[task]\nlabels = 'a, b'\nthinking = true\n[answer]\nnms = 0.5")
            .unwrap();
        let flags = Pipeline::parse("[task]\nlabels = ['c']\n[answer]\njoin = 0.7").unwrap();
        let both = flags.over(file).config().unwrap();
        assert_eq!(both.task.unwrap().labels(), ["c"]);
        assert!(both.conversation.thinking);
        assert_eq!((both.filters.nms, both.rules.join), (Some(0.5), 0.7));
    }

    #[test]
    fn an_error_names_the_line_and_what_may_have_been_meant() {
        for (text, says) in [
            (
                "\n[answer]\nmin_scor = 1",
                "line 3: unknown key \"min_scor\" under [answer]; did you mean \"min_score\"?",
            ),
            (
                "answer.nmss = 1",
                "line 1: unknown key \"nmss\" under [answer]; did you mean \"nms\"?",
            ),
            // A line that looks like a key, in a text; and the same key in two sections.
            (
                "[task]\nprompt = \"\"\"\nnmss = 1\n\"\"\"\n\n[answer]\nnmss = 1",
                "line 7: unknown key \"nmss\"",
            ),
            ("[answer]\nnms = 0.5\n[task]\nnms = 0.5", "line 4: \"nms\" belongs under [answer]"),
            ("answer = { nms = 0.5,\n nmss = 1 }", "line 2: unknown key \"nmss\""),
            ("[anwser]", "line 1: unknown section [anwser]; did you mean \"answer\"?"),
            ("[task]\nbudget = 70", "line 2: \"budget\" belongs under [preprocess], not [task]"),
            ("[task]\nlabels = [[1]]", "line 2: [task] labels: "),
            ("task = 1", "line 1: task must be a section"),
            ("[answer]\nmin_score = 2", "line 2: [answer] min_score: must be from 0 to 1"),
            ("[answer]\nmin_area = 'x'", "line 2: [answer] min_area: \"x\" is no area"),
            (
                "[preprocess]\n\n# a comment\nmax_pixels = 0",
                "line 4: [preprocess] max_pixels: must be a whole number",
            ),
            ("[decoding]\ndecoding = 'gramar'", "neither grammar nor free"),
            ("[task", "1 | [task"),
        ] {
            let error = Pipeline::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (text, says) in [
            ("[task]\nlabels = []", "`labels` names nothing"),
            ("[task]\nlabels = 'a'\nphrase = 'b'", "`labels` cannot be used with `phrase`"),
            ("[preprocess]\nbudget = 100", "`budget` takes one of them, or auto"),
            ("[preprocess]\nmax_budget = 280", "`max_budget` goes with `budget` auto"),
            ("[decoding]\ntop_k = 3", "`top_k` goes with `temperature`"),
            ("[answer]\nnms_agnostic = true", "`nms_agnostic` goes with `nms`"),
        ] {
            let error = Pipeline::parse(text).unwrap().config().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
