//! A directory for the records of batches.
//!
//! In: a session that is asked one thing after another, and a directory. Out: the directory, taken
//! for a run whose images have questions of their own. Promises: the run is one as `detect` with a
//! table of prompts makes it, so that every export reads it; it goes on only with the settings that
//! its answers depend on.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::{Config, DetectConfig, PromptSize, RunOptions, Session, SessionError};
use crate::journal::RunDirectory;
use crate::prompt::Prompts;
use crate::record::{AnswerKind, ImagePrompts, Manifest, Task};
use crate::run::Questions;

/// A directory that keeps the records of batches, and what is known of its run.
pub struct KeptBatches {
    /// The directory; its journal is [`RunDirectory::answers`].
    pub directory: RunDirectory,
    /// The run's manifest, with the labels that were asked for so far.
    pub manifest: Manifest,
}

impl KeptBatches {
    /// Takes note of labels that are asked for now: exports have them, found or not.
    ///
    /// # Errors
    /// [`SessionError::Directory`].
    pub fn asking(&mut self, labels: &[String]) -> Result<(), SessionError> {
        let Some(settings) = &mut self.manifest.settings else { return Ok(()) };
        let prompts =
            settings.image_prompts.get_or_insert(ImagePrompts { images: 0, labels: Vec::new() });
        let known: HashSet<&String> = prompts.labels.iter().collect();
        let mut seen = HashSet::new();
        let new = labels.iter().filter(|label| !known.contains(label) && seen.insert(*label));
        let new: Vec<String> = new.cloned().collect();
        if !new.is_empty() {
            prompts.labels.extend(new);
            self.directory.create_or_verify(&self.manifest)?;
        }
        Ok(())
    }
}

impl Session<'_> {
    /// Takes `options.out` for the records of batches, and loads the model. Names of images are
    /// relative to `root`, if there is one.
    ///
    /// # Errors
    /// [`SessionError`] if the model cannot be loaded, or the directory is not that of a run with
    /// these settings.
    pub fn keep_batches(
        &mut self,
        root: Option<PathBuf>,
        options: &RunOptions<'_>,
    ) -> Result<KeptBatches, SessionError> {
        let Config::Detect(config) = &self.config else { return Err(SessionError::NothingAsked) };
        let config = DetectConfig::clone(config);
        let grammars = self.grammars(config.conversation.thinking)?;
        // Whether answers of such a list are held to a grammar stands in the settings.
        grammars.of(&Task::Labels(vec!["thing".to_owned()]), AnswerKind::Boxes)?;
        let decoding = grammars.used();
        let identified = self.answers.identify(&self.needs(decoding, false), self.observer)?;
        let questions = Questions { every: None, single: HashMap::new() };
        let mut settings =
            self.detection_settings(&config, &questions, decoding, identified.identity.clone());
        settings.image_prompts = Some(ImagePrompts { images: 0, labels: Vec::new() });
        identified.complete(&mut settings);
        let said = identified.server_description();
        let (size, model) = (PromptSize::of_view(self.budget.largest()), self.config.model());
        let placed = self.answers.place(identified, size, model, self.observer)?;
        placed.slots[0].device.kind().clone_into(&mut settings.device);
        let directory = RunDirectory::open(options.out, options.fresh)?.adopting(options.adopt);
        let manifest = Manifest::new(root, Some(settings)).with_model(self.answers.name());
        let manifest = manifest.with_filters(config.filters).with_inexact(placed.inexact);
        let manifest = manifest.with_server(said);
        directory.create_or_verify(&manifest)?;
        self.opened = Some(self.open_engine(decoding)?);
        Ok(KeptBatches { directory, manifest })
    }

    /// What puts its questions into words, for [`hash_of_question`](super::hash_of_question).
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// The name of the model in results.
    pub fn model_name(&self) -> String {
        self.answers.name()
    }
}
