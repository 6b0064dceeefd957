//! The front door: a configuration goes in, a session comes out, and it detects or judges.
//!
//! In: a [`DetectConfig`] or a [`CritiqueConfig`]; images one by one, or a [`Source`] of many. Out:
//! a [`Record`] of one image, or a run in a directory. Promises: the device, the grammar and the
//! batch size are chosen here, the same for every caller; nothing is printed: messages for the user
//! go to an [`Observer`].
//!
//! ```no_run
//! use gemscope::session::{DetectConfig, Session};
//!
//! let mut session = Session::open(DetectConfig::of_labels(["star", "red circle"]), &())?;
//! let image = gemscope::image::decode(&std::fs::read("scene.png")?, true)?;
//! for found in session.detect(&image)?.detections {
//!     println!("{} at {:?}, {:?}", found.label, found.bbox, found.score);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answers;
mod cached;
mod config;
mod download;
mod error;
mod grammars;
mod kept;
mod model;
mod pairs;
pub mod pipeline;
mod plan;
mod prompt_size;
mod proposal;
mod questions;
mod remote;
mod shown;
mod summary;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use crate::critique;
use crate::device::Device;
use crate::engine::Engine;
use crate::image::UprightImage;
use crate::journal::{Placement, ResumeIndex, RunDirectory};
use crate::preprocess::CLIP_BUDGET;
use crate::prompt::Prompts;
use crate::record::{
    AnswerStatus, Budget, BudgetChoice, CritiqueSettings, Decoding, Manifest, ModelIdentity,
    Record, Settings,
};
use crate::run::{
    self, Batch, Control, FrameQuestions, Outcome, QuestionSource, Questions, RunError,
};
use crate::server::Server;
use crate::source::{Besides, Source};

pub use crate::run::Observer;
pub use crate::run::{BatchContent, BatchImage};
pub use answers::OwnEngines;
use answers::{AnswerSource, IdentifiedModel};
pub use cached::{CachedModel, models_in};
pub use config::{Config, CritiqueConfig, DecodingChoice, DecodingOptions, DetectConfig};
pub use download::{Downloaded, download};
pub use error::SessionError;
use grammars::{GrammarSource, Grammars};
pub use kept::KeptBatches;
pub use model::{DeviceSlot, ModelChoice, ModelFiles, ModelOptions};
pub use pairs::ComparedPairs;
pub use pipeline::{Pipeline, PipelineError};
pub use plan::{DetectPlan, PlannedImage, PlannedSizes};
pub use prompt_size::PromptSize;
pub use proposal::{Machine, Proposal};
use questions::QuestionBuilder;
pub use questions::{hash_of_question, query};
use remote::ModelRequirements;
pub use remote::open as open_server;
pub use shown::ShownRun;
pub use summary::{Failure, Summary};

/// A model that is opened for one configuration. Graphs are loaded when they are first needed.
pub struct Session<'o> {
    config: Config,
    answers: AnswerSource,
    prompts: Prompts,
    budget: BudgetChoice,
    observer: &'o dyn Observer,
    /// Loaded for batches and single images.
    opened: Option<Opened>,
    /// What is asked about them, and how it is decoded, once it was put into words.
    asking: Option<(Asking, Decoding)>,
    /// Makes grammars, once one was wanted: the vocabulary takes a second to read.
    factory: GrammarSource,
    /// Limits of images and answers of batches.
    control: Control,
}

/// What answers about batches.
struct Opened {
    engine: Box<dyn Engine>,
    device: Device,
    /// The largest of the views that it was opened for.
    budget: Budget,
}

/// What is asked about the images of batches.
enum Asking {
    Detect(Questions),
    Critique(Box<FrameQuestions>),
}

/// The output directory of a run, and how it goes: nothing that an answer depends on.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunOptions<'r> {
    /// The run's directory.
    pub out: &'r Path,
    /// Whether an earlier run in the directory is thrown away.
    pub fresh: bool,
    /// Whether files that are in the way of an export are taken over.
    pub adopt: bool,
    /// Records are synced to the disk at least this often; zero is each before the next.
    pub sync_every: Duration,
    /// When to stop, and whether failed images are tried again.
    pub control: Control,
    /// A text that is kept in the run as `pipeline.toml`.
    pub pipeline: Option<&'r str>,
}

impl<'r> RunOptions<'r> {
    /// A run in `out` that resumes an earlier one.
    pub fn of(out: &'r Path) -> Self {
        let sync_every = Duration::from_secs(1);
        Self {
            out,
            fresh: false,
            adopt: false,
            sync_every,
            control: Control::default(),
            pipeline: None,
        }
    }
}

/// A run that came to its end, or was stopped. Its directory stays taken until this is dropped.
pub struct FinishedRun {
    /// The directory, for exports.
    pub directory: RunDirectory,
    /// How it went.
    pub outcome: Outcome,
    /// What the inputs hold besides the images of the run.
    pub besides: Besides,
    /// How many rows of a critique's table are of no frame; `None` without a table.
    pub rows_of_no_frame: Option<usize>,
}

impl<'o> Session<'o> {
    /// Opens the configuration's model as far as that needs no graph, and checks that it supports
    /// the configuration's questions.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn open(
        config: impl Into<Config>,
        observer: &'o dyn Observer,
    ) -> Result<Self, SessionError> {
        let config = config.into();
        config.check()?;
        let answers = AnswerSource::open(config.model())?;
        Ok(Self::with_answers(config, answers, observer))
    }

    /// A session that is told later what to ask, by [`Self::ask`]: until then, `config` asks nothing.
    ///
    /// # Errors
    /// As [`Self::open`], but for what is asked.
    pub fn open_to_ask(
        config: DetectConfig,
        observer: &'o dyn Observer,
    ) -> Result<Self, SessionError> {
        if config.fast_decode && !crate::image::CAN_REDUCE {
            return Err(SessionError::NoFastDecode);
        }
        let answers = AnswerSource::open(&config.model)?;
        Ok(Self::with_answers(config.into(), answers, observer))
    }

    /// A session whose engines are the caller's: the configuration's model is ignored.
    ///
    /// # Errors
    /// [`SessionError`] if nothing is asked.
    pub fn with_engines(
        config: impl Into<Config>,
        engines: OwnEngines,
        observer: &'o dyn Observer,
    ) -> Result<Self, SessionError> {
        let config = config.into().with_model(ModelOptions::of(ModelChoice::Engines));
        config.check()?;
        Ok(Self::with_answers(config, AnswerSource::Own(engines), observer))
    }

    fn with_answers(config: Config, answers: AnswerSource, observer: &'o dyn Observer) -> Self {
        let budget = budget_of(&config, answers.usual_budget());
        let prompts = answers.prompts();
        let (opened, asking, factory, control) =
            (None, None, GrammarSource::default(), Control::default());
        Self { config, answers, prompts, budget, observer, opened, asking, factory, control }
    }

    /// Sets the limits of images and answers of batches. A run has its own; its flag to stop is not
    /// heeded here.
    pub fn set_control(&mut self, control: Control) {
        self.control = control;
    }

    /// Asks what `config` says from now on. The model stays the one that was opened, with what is
    /// loaded of it; what `config` says of a model is not heeded.
    ///
    /// # Errors
    /// [`SessionError`] if the model may not be asked that; the session then asks what it asked
    /// before.
    pub fn ask(&mut self, config: impl Into<Config>) -> Result<(), SessionError> {
        let config = config.into().with_model(self.config.model().clone());
        config.check()?;
        self.budget = budget_of(&config, self.answers.usual_budget());
        self.config = config;
        self.asking = None;
        let more =
            |opened: &Opened| opened.budget.soft_tokens() < self.budget.largest().soft_tokens();
        // A server is asked again whether it can do what is wanted now.
        if self.answers.server().is_some() || self.opened.as_ref().is_some_and(more) {
            self.unload();
        }
        Ok(())
    }

    /// Lets go what is loaded of the model; the next image loads it again.
    pub fn unload(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.answers.give_back(vec![opened.engine]);
        }
    }

    /// What batches and single images are asked on, once one was.
    pub fn device(&self) -> Option<&Device> {
        self.opened.as_ref().map(|opened| &opened.device)
    }

    /// The server that answers, once it was asked.
    pub fn server(&self) -> Option<&Server> {
        self.answers.server()
    }

    /// The plan of a detection over the images of `source`; `None` for a critique.
    ///
    /// # Errors
    /// [`SessionError`] if the questions make no prompts.
    pub fn plan(
        &self,
        source: &Source,
        max_pixels: u64,
    ) -> Result<Option<DetectPlan>, SessionError> {
        let Config::Detect(config) = &self.config else { return Ok(None) };
        let source = self.of_shard(source);
        let questions = self.asker(config, None).questions(&source)?;
        Ok(Some(plan::plan(config, self.budget, max_pixels, &questions, &source)))
    }

    /// The images that the configuration is about.
    fn of_shard<'i>(&self, source: &'i Source) -> Cow<'i, Source> {
        match self.config.shard() {
            Some(shard) => Cow::Owned(source.of_shard(shard)),
            None => Cow::Borrowed(source),
        }
    }

    /// Detects in one image, and gives its record: boxes in pixels, unfiltered, with scores.
    ///
    /// # Errors
    /// [`SessionError`] if the model cannot be loaded or run, or the image has no size to be shown
    /// in.
    pub fn detect(&mut self, image: &UprightImage) -> Result<Record, SessionError> {
        self.answer_one(BatchContent::Pixels(Cow::Borrowed(image)))
    }

    /// Rates one frame, whose file has these `bytes`, and gives its record: a rating for each axis.
    ///
    /// # Errors
    /// As [`Self::detect`], and [`SessionError::Image`] if the bytes are no image.
    pub fn critique(&mut self, bytes: &[u8]) -> Result<Record, SessionError> {
        self.answer_one(BatchContent::Bytes(Cow::Borrowed(bytes)))
    }

    /// Answers about several images, or rates them, and gives a record for each, in their order.
    /// They are decoded on several threads, and the model works on many at the same time.
    /// `is_stopped` is asked several times a second, and gives the batch up.
    ///
    /// An image that cannot be read or answered is a failed record, and the others are answered.
    ///
    /// # Errors
    /// [`SessionError`] if the model cannot be loaded, or fails; [`SessionError::Stopped`].
    pub fn answer(
        &mut self,
        images: &[BatchImage<'_>],
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<Record>, SessionError> {
        let (asking, decoding) = match self.asking.take() {
            Some(asking) => asking,
            None => self.questions_of_batches()?,
        };
        if self.opened.is_none() {
            self.opened = Some(self.open_engine(decoding)?);
        }
        if is_stopped() {
            self.asking = Some((asking, decoding));
            return Err(SessionError::Stopped);
        }
        let settings = self.settings_of_batches();
        let questions: &dyn QuestionSource = match &asking {
            Asking::Detect(questions) => questions,
            Asking::Critique(questions) => questions.as_ref(),
        };
        // Filled just now.
        let Some(opened) = &mut self.opened else { return Err(SessionError::NoEngine) };
        let batch = Batch { questions, settings: &settings, control: &self.control, is_stopped };
        let answered = run::answer_batch(opened.engine.as_mut(), &batch, images);
        self.asking = Some((asking, decoding));
        match answered {
            Ok(Some(records)) => Ok(records),
            Ok(None) => Err(SessionError::Stopped),
            Err(error) => {
                // It may not be able to answer any more.
                self.unload();
                Err(error.into())
            }
        }
    }

    /// The record of one image; an image that has no answer is an error.
    fn answer_one(&mut self, content: BatchContent<'_>) -> Result<Record, SessionError> {
        let image = BatchImage { name: String::new(), content };
        let record = match self.answer(&[image], &|| false) {
            Ok(mut records) => records.pop().ok_or(SessionError::NothingAsked)?,
            // There is no name to be told.
            Err(SessionError::Run(RunError::Engine { error, .. })) => return Err(error.into()),
            Err(error) => return Err(error),
        };
        match (record.status, record.reason) {
            (AnswerStatus::Failed, reason) => Err(SessionError::Image(reason.unwrap_or_default())),
            (_, reason) => Ok(Record { reason, ..record }),
        }
    }

    /// What decides how batches are asked about.
    fn settings_of_batches(&self) -> Settings {
        let settings = self.settings(Decoding::Free, ModelIdentity::default());
        match &self.config {
            Config::Detect(config) => Settings {
                tiles: config.tiles,
                rules: config.rules,
                answer: config.answer,
                schema: config.schema.clone(),
                apply_orientation: config.apply_orientation,
                fast_decode: config.fast_decode,
                clip: config.clip,
                ..settings
            },
            Config::Critique(config) => Settings {
                critique: Some(CritiqueSettings::of(&config.rubric)),
                apply_orientation: config.apply_orientation,
                animation: config.animation,
                ..settings
            },
        }
    }

    /// What is asked about the images of batches, and how answers are decoded.
    fn questions_of_batches(&self) -> Result<(Asking, Decoding), SessionError> {
        let thinking =
            matches!(&self.config, Config::Detect(config) if config.conversation.thinking);
        let grammars = self.grammars(thinking)?;
        let asking = match &self.config {
            Config::Detect(config) if config.clip => return Err(SessionError::ClipAlone),
            Config::Detect(config) => {
                let task = config.task.as_ref().ok_or(SessionError::NothingAsked)?;
                let asked = self.asker(config, Some(&grammars)).asked(task)?;
                Asking::Detect(Questions::about_every(Some(asked)))
            }
            Config::Critique(config) => {
                let (questions, _) = self.frame_questions(config, &grammars, None)?;
                Asking::Critique(Box::new(questions))
            }
        };
        Ok((asking, grammars.used()))
    }

    /// An engine for batches, on one device.
    fn open_engine(&mut self, decoding: Decoding) -> Result<Opened, SessionError> {
        let (budget, options) = (self.budget.largest(), self.config.model());
        let needs = self.needs(decoding, self.rates());
        let identified = self.answers.identify(&needs, self.observer)?;
        let size = PromptSize::of_view(budget);
        let mut placed = self.answers.place(identified, size, options, self.observer)?;
        placed.slots.truncate(1);
        let device = placed.slots[0].device.clone();
        let mut engines = self.answers.engines(placed, size, self.config.decoding().rows)?;
        let engine = engines.swap_remove(0);
        // Those of the caller's that are not needed here are there for a run.
        self.answers.give_back(engines);
        Ok(Opened { engine, device, budget })
    }

    fn grammars(&self, thinking: bool) -> Result<Grammars<'_>, SessionError> {
        let forms = self.answers.takes_forms();
        let (decoding, stop_ids) = (self.config.decoding(), self.answers.stop_ids());
        let schema = match &self.config {
            Config::Detect(config) => config.schema.as_ref(),
            Config::Critique(_) => None,
        };
        Grammars::new(
            (decoding, schema),
            thinking,
            &self.prompts,
            stop_ids,
            forms,
            &self.factory,
            self.observer,
        )
    }

    /// The requirements of these questions on the model.
    fn needs(&self, decoding: Decoding, ratings: bool) -> ModelRequirements {
        let (thinking, image_newlines) = match &self.config {
            Config::Detect(config) => {
                (config.conversation.thinking, config.conversation.image_newlines)
            }
            Config::Critique(config) => (false, config.image_newlines),
        };
        let insists = self.config.decoding().decoding == Some(DecodingChoice::Grammar);
        ModelRequirements {
            budget: self.budget.largest(),
            thinking,
            ratings,
            image_newlines,
            decoding,
            insists,
        }
    }

    /// Whether frames are rated by words.
    fn rates(&self) -> bool {
        let Config::Critique(config) = &self.config else { return false };
        config.rubric.axes.iter().any(|axis| !matches!(axis.kind, critique::Kind::Defects { .. }))
    }

    fn asker<'s>(
        &'s self,
        config: &'s DetectConfig,
        grammars: Option<&'s Grammars<'s>>,
    ) -> QuestionBuilder<'s> {
        QuestionBuilder { config, prompts: &self.prompts, grammars, observer: self.observer }
    }

    fn frame_questions(
        &self,
        config: &CritiqueConfig,
        grammars: &Grammars<'_>,
        source: Option<&Source>,
    ) -> Result<(FrameQuestions, Option<usize>), SessionError> {
        questions::of_rubric(
            config,
            &self.prompts,
            self.answers.stop_ids(),
            grammars,
            source,
            self.observer,
        )
    }

    /// Asks about every image of `source`, of the configuration's shard of it, that the run in
    /// `options.out` has no answer about. `placement` leads from that run's names to those of
    /// `source`: see [`journal::place`](crate::journal::place).
    ///
    /// # Errors
    /// [`SessionError`], with the journal intact.
    pub fn run(
        &mut self,
        source: &Source,
        placement: &Placement,
        options: &RunOptions<'_>,
    ) -> Result<FinishedRun, SessionError> {
        let source = &*self.of_shard(source);
        match &self.config {
            Config::Detect(config) => {
                let grammars = self.grammars(config.conversation.thinking)?;
                let questions = self.asker(config, Some(&grammars)).questions(source)?;
                let identified =
                    self.answers.identify(&self.needs(grammars.used(), false), self.observer)?;
                let settings = self.detection_settings(
                    config,
                    &questions,
                    grammars.used(),
                    identified.identity.clone(),
                );
                self.run_questions(
                    &questions,
                    (settings, identified),
                    None,
                    source,
                    placement,
                    options,
                )
            }
            Config::Critique(config) => {
                let grammars = self.grammars(false)?;
                let (questions, rows_of_no_frame) =
                    self.frame_questions(config, &grammars, Some(source))?;
                let needs = self.needs(grammars.used(), self.rates());
                let identified = self.answers.identify(&needs, self.observer)?;
                let settings = self.critique_settings(
                    config,
                    &questions,
                    grammars.used(),
                    identified.identity.clone(),
                );
                self.run_questions(
                    &questions,
                    (settings, identified),
                    rows_of_no_frame,
                    source,
                    placement,
                    options,
                )
            }
        }
    }

    /// Everything that can be wrong without a model is found before one is loaded.
    fn run_questions(
        &mut self,
        questions: &dyn QuestionSource,
        (mut settings, identified): (Settings, IdentifiedModel),
        rows_of_no_frame: Option<usize>,
        source: &Source,
        placement: &Placement,
        options: &RunOptions<'_>,
    ) -> Result<FinishedRun, SessionError> {
        // A run loads engines of its own, on every device.
        self.unload();
        let observer = self.observer;
        let size = if settings.clip {
            PromptSize::of_clip()
        } else {
            PromptSize::of_view(self.budget.largest())
        };
        identified.complete(&mut settings);
        let said = identified.server_description();
        let placed = self.answers.place(identified, size, self.config.model(), observer)?;
        placed.slots[0].device.kind().clone_into(&mut settings.device);
        let directory = RunDirectory::open(options.out, options.fresh)?.adopting(options.adopt);
        let manifest = Manifest::new(Some(source.root.clone()), Some(settings.clone()));
        let manifest =
            manifest.with_filters(self.config.filters().clone()).with_model(self.answers.name());
        let manifest = manifest.with_inexact(placed.inexact.clone()).with_server(said);
        let manifest = manifest.with_shard(source.shard).with_ffmpeg(source.ffmpeg.clone());
        let asked_before = Manifest::read(options.out).ok().filter(|_| !options.fresh);
        directory.create_or_verify_placed(&manifest, placement)?;
        if let Some(changes) = asked_before.and_then(|before| asked_again(&before, &settings)) {
            observer.say(&changes);
        }
        if source.shard.is_some() {
            directory.write_shard_images(source)?;
        }
        let (journal, known): (_, ResumeIndex) = directory.journal(options.sync_every)?;
        observer.opened(&directory, &known);
        if let Some(text) = options.pipeline {
            let path = directory.output().write("pipeline.toml", text.as_bytes())?;
            observer.say(&format!("The pipeline is kept in {}", path.display()));
        }
        let mut engines = self.answers.engines(placed, size, self.config.decoding().rows)?;
        let plan = run::Plan {
            images: &source.images,
            root: &source.root,
            questions,
            settings: &settings,
            known: &known,
            control: &options.control,
        };
        directory.begin(source.images.len())?;
        let outcome = run::execute(&mut engines, &plan, journal, observer);
        self.answers.give_back(engines);
        let (outcome, besides) = (outcome?, source.besides());
        if outcome.left == 0 {
            directory.end()?;
        }
        Ok(FinishedRun { directory, outcome, besides, rows_of_no_frame })
    }

    fn detection_settings(
        &self,
        config: &DetectConfig,
        questions: &Questions,
        decoding: Decoding,
        model: ModelIdentity,
    ) -> Settings {
        Settings {
            task: config.task.clone().filter(|_| questions.every.is_some()),
            prompts: questions
                .every
                .iter()
                .flat_map(|asked| asked.rendered())
                .map(str::to_owned)
                .collect(),
            image_prompts: questions.image_prompts(),
            tiles: config.tiles,
            rules: config.rules,
            answer: config.answer,
            schema: config.schema.clone(),
            apply_orientation: config.apply_orientation,
            fast_decode: config.fast_decode,
            clip: config.clip,
            ..self.settings(decoding, model)
        }
    }

    fn critique_settings(
        &self,
        config: &CritiqueConfig,
        questions: &FrameQuestions,
        decoding: Decoding,
        model: ModelIdentity,
    ) -> Settings {
        Settings {
            prompts: questions.usual().rendered().map(str::to_owned).collect(),
            critique: Some(CritiqueSettings::of(&config.rubric)),
            apply_orientation: config.apply_orientation,
            animation: config.animation,
            ..self.settings(decoding, model)
        }
    }

    /// The settings that both kinds of run share; the questions are still empty.
    fn settings(&self, decoding: Decoding, model: ModelIdentity) -> Settings {
        let DecodingOptions { max_new_tokens, sampling, .. } = *self.config.decoding();
        let budget = self.budget;
        Settings { decoding, max_new_tokens, sampling, ..Settings::of(budget, model) }
    }
}

/// The axes of `now` that a run with the manifest `before` did not ask about so, in words.
fn asked_again(before: &Manifest, now: &Settings) -> Option<String> {
    let before = before.settings.as_ref()?.critique.as_ref()?;
    let other = before.other(now.critique.as_ref()?);
    let named = |what: &str, axes: &[String]| {
        (!axes.is_empty()).then(|| format!("{what}: {}", axes.join(", ")))
    };
    let parts = [
        named("asked again, since the question has changed", &other.changed),
        named("asked again, for the reason", &other.reasons),
        named("asked, since it is new", &other.added),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let all = parts.join("; ");
    (!all.is_empty()).then(|| format!("{all}. Other answers stay."))
}

/// The soft tokens of a view: those of the configuration, else those of a rubric, else `own`.
fn budget_of(config: &Config, own: Budget) -> BudgetChoice {
    match config {
        // A frame of a whole video has one budget.
        Config::Detect(config) if config.clip => BudgetChoice::Fixed(CLIP_BUDGET),
        Config::Detect(config) => config.budget.unwrap_or(BudgetChoice::Fixed(own)),
        Config::Critique(config) => {
            config.budget.unwrap_or(BudgetChoice::Fixed(config.rubric.budget.unwrap_or(own)))
        }
    }
}
