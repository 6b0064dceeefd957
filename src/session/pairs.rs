//! Pairs of frames, each asked about in both orders.
//!
//! In: pairs, and a critique's configuration. Out: a record of each pair, also in the run's
//! `pairs.jsonl`. Promises: as of a run: a run of other settings is not gone on with.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Config, PromptSize, RunOptions, Session, SessionError};
use crate::generate::Words;
use crate::journal::RunDirectory;
use crate::prompt::Conversation;
use crate::record::{CritiqueSettings, Decoding, Manifest, PairRecord, Settings};
use crate::run::{self, Pair, PairQuestion};

/// The words that name the first and the second frame.
const ANSWERS: [&str; 2] = ["1", "2"];

/// Pairs that were compared. The run's directory stays taken until this is dropped.
pub struct ComparedPairs {
    /// The directory.
    pub directory: RunDirectory,
    /// In the order of the pairs; fewer if the run was stopped.
    pub records: Vec<PairRecord>,
}

impl Session<'_> {
    /// Asks which frame of each pair is better, unless the run in `options.out` has its answer.
    /// `roots` are the folders of the first and of the second frames.
    ///
    /// # Errors
    /// [`SessionError`], with the journal intact; [`SessionError::NothingAsked`] of a detection;
    /// [`SessionError::ShardOfPairs`] of a configuration about a part of the frames.
    pub fn compare(
        &mut self,
        pairs: &[Pair],
        roots: &[PathBuf; 2],
        options: &RunOptions<'_>,
    ) -> Result<ComparedPairs, SessionError> {
        let Config::Critique(config) = &self.config else { return Err(SessionError::NothingAsked) };
        if config.shard.is_some() {
            return Err(SessionError::ShardOfPairs);
        }
        let rubric = &config.rubric;
        let conversation =
            Conversation { image_newlines: config.image_newlines, ..Conversation::default() };
        let query = self.prompts.query_about(2, &rubric.pair_text(), &conversation)?;
        let words: Arc<[String]> = ANSWERS.map(str::to_owned).into();
        let tokens = self.prompts.tokenizer();
        let tokens = tokens
            .map(|tokenizer| Words::new(tokenizer, &words, self.answers.stop_ids()))
            .transpose()?;
        let (min_mass, apply_orientation) = (rubric.min_mass, config.apply_orientation);
        let identified = self.answers.identify(&self.needs(Decoding::Free, true), self.observer)?;
        let said = identified.server_description();
        let mut settings = Settings {
            // The folders are part of it: the same names in others are other pairs.
            prompts: std::iter::once(query.rendered.clone())
                .chain(roots.iter().map(|root| root.display().to_string()))
                .collect(),
            critique: Some(CritiqueSettings { axes: Vec::new(), first: Vec::new(), min_mass }),
            apply_orientation,
            ..self.settings(Decoding::default(), identified.identity.clone())
        };
        identified.complete(&mut settings);
        // The two images stand in one prompt.
        let size = PromptSize::of_views(self.budget.largest(), 2);
        let mut placed =
            self.answers.place(identified, size, self.config.model(), self.observer)?;
        placed.slots.truncate(1);
        let settings = Settings { device: placed.slots[0].device.kind().to_owned(), ..settings };
        let directory = RunDirectory::open(options.out, options.fresh)?.adopting(options.adopt);
        let manifest = Manifest::new(None, Some(settings)).with_model(self.answers.name());
        directory
            .create_or_verify(&manifest.with_inexact(placed.inexact.clone()).with_server(said))?;
        let journal = directory.pairs()?;
        self.observer.pairs_opened(&directory, &journal);
        let mut engines = self.answers.engines(placed, size, self.config.decoding().rows)?;
        let question = PairQuestion {
            query,
            words,
            tokens: tokens.map(Arc::new),
            min_mass,
            budget: self.budget,
            apply_orientation,
        };
        let records =
            run::compare_pairs(engines[0].as_mut(), pairs, &question, journal, &options.control);
        self.answers.give_back(engines);
        Ok(ComparedPairs { directory, records: records? })
    }
}
