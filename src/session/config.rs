//! The configuration of a session.

use std::path::PathBuf;
use std::str::FromStr;

use super::{ModelChoice, ModelOptions, SessionError};
use crate::critique::Rubric;
use crate::prompt::Conversation;
use crate::record::{
    AnimationChoice, AnswerKind, AnswerSchema, BudgetChoice, CritiqueSettings, Filters, Rules,
    Sampling, Shard, Task, Tiling,
};

/// Whether answers are held to a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecodingChoice {
    /// Only well-formed lists of boxes can be written.
    Grammar,
    /// Anything can be written.
    Free,
}

impl FromStr for DecodingChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "grammar" => Ok(Self::Grammar),
            "free" => Ok(Self::Free),
            _ => Err(format!("{name:?} is neither grammar nor free")),
        }
    }
}

/// How answers are generated.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DecodingOptions {
    /// Whether answers are held to a grammar; `None` is a grammar for labels and phrases, and none
    /// for prompts and for a model that thinks.
    pub decoding: Option<DecodingChoice>,
    /// Whether labels under a grammar may be any text instead of those asked for.
    pub open_labels: bool,
    /// Under a grammar, the most boxes of an answer.
    pub max_boxes: usize,
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// The most answers that are written at the same time; `None` is as many as memory has room
    /// for.
    pub rows: Option<usize>,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

impl Default for DecodingOptions {
    fn default() -> Self {
        Self {
            decoding: None,
            open_labels: false,
            max_boxes: 300,
            max_new_tokens: 2048,
            rows: None,
            sampling: Sampling::Greedy,
        }
    }
}

/// A detection: the things to find in images, the model, and its settings.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct DetectConfig {
    /// The question about images without a row in `prompts`.
    pub task: Option<Task>,
    /// Whether each label is asked about by itself.
    pub per_label: bool,
    /// Boxes or text; `None` leaves it to the words of each question.
    pub answer: Option<AnswerKind>,
    /// The fields of answers in text; `None` leaves their words free.
    pub schema: Option<AnswerSchema>,
    /// System prompt, thinking, blank lines around the image.
    pub conversation: Conversation,
    /// A table of questions about single images: CSV or JSON lines.
    pub prompts: Option<PathBuf>,
    /// The model, and its device.
    pub model: ModelOptions,
    /// Soft tokens of a view; `None` is the model's own budget.
    pub budget: Option<BudgetChoice>,
    /// Tiles that are shown beside the whole image.
    pub tiles: Option<Tiling>,
    /// How answers are read.
    pub rules: Rules,
    /// Whether images are turned as their EXIF orientation says.
    pub apply_orientation: bool,
    /// Whether only as many pixels of a JPEG are decoded as the budget needs.
    pub fast_decode: bool,
    /// Whether each video is asked about as a whole; the images of a run are then videos.
    pub clip: bool,
    /// How answers are generated.
    pub decoding: DecodingOptions,
    /// Which boxes the exports show; can be changed later.
    pub filters: Filters,
    /// Which part of the images a run is about; `None` is all.
    pub shard: Option<Shard>,
}

impl DetectConfig {
    /// Detection of a task with the bundled demo model and default settings.
    pub fn of(task: Task) -> Self {
        Self { task: Some(task), ..Self::default() }
    }

    /// Detection of every instance of these labels.
    pub fn of_labels<L: Into<String>>(labels: impl IntoIterator<Item = L>) -> Self {
        Self::of(Task::Labels(labels.into_iter().map(Into::into).collect()))
    }

    /// Checks that something is asked, and that this build and the model can do it, as far as that
    /// is known before any file is opened.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn check(&self) -> Result<(), SessionError> {
        if self.task.is_none() && self.prompts.is_none() {
            return Err(SessionError::NothingAsked);
        }
        if self.fast_decode && !crate::image::CAN_REDUCE {
            return Err(SessionError::NoFastDecode);
        }
        if self.clip {
            if matches!(self.model.model, ModelChoice::Server(_)) {
                return Err(SessionError::ClipOnServer);
            }
            let asks_for_text = |task: &Task| matches!(task, Task::Prompt { .. });
            if self.answer == Some(AnswerKind::Boxes) || !self.task.iter().all(asks_for_text) {
                return Err(SessionError::NoBoxesInClip);
            }
        }
        match self.task.as_ref().filter(|task| !task.lacks_labels()) {
            Some(task) => self.model.model.check(task, &self.conversation),
            None => Ok(()),
        }
    }

    /// The same with another model.
    #[must_use]
    pub fn with_model(self, model: ModelOptions) -> Self {
        Self { model, ..self }
    }

    /// The same with another budget.
    #[must_use]
    pub fn with_budget(self, budget: BudgetChoice) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The same with tiles.
    #[must_use]
    pub fn with_tiles(self, tiles: Tiling) -> Self {
        Self { tiles: Some(tiles), ..self }
    }

    /// The same about a part of the images.
    #[must_use]
    pub fn with_shard(self, shard: Shard) -> Self {
        Self { shard: Some(shard), ..self }
    }
}

impl Default for DetectConfig {
    /// Nothing is asked, of the demo model; images are turned as EXIF says.
    fn default() -> Self {
        Self {
            task: None,
            per_label: false,
            answer: None,
            schema: None,
            conversation: Conversation::default(),
            prompts: None,
            model: ModelOptions::default(),
            budget: None,
            tiles: None,
            rules: Rules::default(),
            apply_orientation: true,
            fast_decode: false,
            clip: false,
            decoding: DecodingOptions::default(),
            filters: Filters::default(),
            shard: None,
        }
    }
}

/// A critique: the rubric that frames are rated by, the model that rates them, and its settings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CritiqueConfig {
    /// The questions, and the rules of the gate.
    pub rubric: Rubric,
    /// A table of generation settings for frames whose files do not say: CSV.
    pub generation: Option<PathBuf>,
    /// Whether the image stands between blank lines in the prompt.
    pub image_newlines: bool,
    /// The model, and its device.
    pub model: ModelOptions,
    /// Soft tokens of a frame; `None` is the rubric's budget, else the model's own.
    pub budget: Option<BudgetChoice>,
    /// Whether frames are turned as their EXIF orientation says.
    pub apply_orientation: bool,
    /// Which frames of animated files are judged.
    pub animation: AnimationChoice,
    /// How answers are generated.
    pub decoding: DecodingOptions,
    /// Which boxes of defects are counted; can be changed later.
    pub filters: Filters,
    /// Which part of the frames a run is about; `None` is all.
    pub shard: Option<Shard>,
}

impl CritiqueConfig {
    /// A critique by a rubric with default settings.
    pub fn of(rubric: Rubric) -> Self {
        Self {
            rubric,
            generation: None,
            image_newlines: false,
            model: ModelOptions::default(),
            budget: None,
            apply_orientation: true,
            animation: AnimationChoice::First,
            decoding: DecodingOptions::default(),
            filters: Filters::default(),
            shard: None,
        }
    }

    /// Whether the model may be asked the rubric's questions: a model was named, or the rubric is
    /// the demo model's own, by its name and with no other questions.
    ///
    /// # Errors
    /// [`SessionError::RubricNeedsModel`].
    pub fn check(&self) -> Result<(), SessionError> {
        if self.model.model != ModelChoice::Unnamed {
            return Ok(());
        }
        let (rubric, demo) = (&self.rubric, Rubric::read(Rubric::DEMO)?);
        let its_own =
            rubric.name == demo.name && CritiqueSettings::of(rubric) == CritiqueSettings::of(&demo);
        if its_own {
            Ok(())
        } else {
            Err(SessionError::RubricNeedsModel { rubric: rubric.name.clone() })
        }
    }

    /// The same with another model.
    #[must_use]
    pub fn with_model(self, model: ModelOptions) -> Self {
        Self { model, ..self }
    }

    /// The same about a part of the frames.
    #[must_use]
    pub fn with_shard(self, shard: Shard) -> Self {
        Self { shard: Some(shard), ..self }
    }
}

/// The configuration of a session: a detection or a critique.
#[derive(Debug, Clone)]
pub enum Config {
    /// Find things in images.
    Detect(Box<DetectConfig>),
    /// Rate frames by a rubric.
    Critique(Box<CritiqueConfig>),
}

impl Config {
    /// Whether anything is asked, and whether this build and the model can do it.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn check(&self) -> Result<(), SessionError> {
        match self {
            Self::Detect(config) => config.check(),
            Self::Critique(config) => config.check(),
        }
    }

    /// The same with another model.
    pub(super) fn with_model(self, model: ModelOptions) -> Self {
        match self {
            Self::Detect(config) => config.with_model(model).into(),
            Self::Critique(config) => config.with_model(model).into(),
        }
    }

    pub(super) fn model(&self) -> &ModelOptions {
        match self {
            Self::Detect(config) => &config.model,
            Self::Critique(config) => &config.model,
        }
    }

    pub(super) fn decoding(&self) -> &DecodingOptions {
        match self {
            Self::Detect(config) => &config.decoding,
            Self::Critique(config) => &config.decoding,
        }
    }

    /// Which boxes are shown.
    pub fn filters(&self) -> &Filters {
        match self {
            Self::Detect(config) => &config.filters,
            Self::Critique(config) => &config.filters,
        }
    }

    pub(super) fn shard(&self) -> Option<Shard> {
        match self {
            Self::Detect(config) => config.shard,
            Self::Critique(config) => config.shard,
        }
    }
}

impl From<DetectConfig> for Config {
    fn from(config: DetectConfig) -> Self {
        Self::Detect(Box::new(config))
    }
}

impl From<CritiqueConfig> for Config {
    fn from(config: CritiqueConfig) -> Self {
        Self::Critique(Box::new(config))
    }
}
