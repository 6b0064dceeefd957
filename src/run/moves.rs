//! Answers about images that have other names now.
//!
//! In: the journal's index, and the listed images. Out: the record of an image whose file was
//! renamed or moved. Promises: an answer moves only from a name that no longer exists, once, to a
//! file of the same content with the same question. Copies and hard links are images of their own.
//! A sampled answer does not move: its draw depends on the name.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::plan::Plan;
use crate::journal::{Journal, JournalError, RecordReader, ResumeEntry};
use crate::record::{Record, Sampling};
use crate::source::Locator;

/// The answers that may move.
pub(super) struct Moves<'r> {
    /// By content: the names that are gone. Each answer is taken once.
    gone: Mutex<HashMap<&'r str, Vec<(&'r str, &'r ResumeEntry)>>>,
    journal: Mutex<RecordReader<'r>>,
    /// Whether records without a question hash had the same question as all others.
    one_question: bool,
}

impl<'r> Moves<'r> {
    /// The answers in `journal` about images that are neither among those of `plan` nor in its
    /// root.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(super) fn of(plan: &Plan<'r>, journal: &Journal) -> Result<Self, JournalError> {
        let mut gone: HashMap<&str, Vec<(&str, &ResumeEntry)>> = HashMap::new();
        let names: HashSet<&str> = plan.images.iter().map(|image| image.name.as_str()).collect();
        let is_new = names.iter().any(|name| plan.known.get(name).is_none());
        if is_new && plan.settings.sampling == Sampling::Greedy {
            let locator = Locator::new(plan.root);
            let stays = |known: &ResumeEntry| known.answered || !plan.control.retry_failed;
            for (name, known) in plan.known.iter().filter(|(_, known)| stays(known)) {
                if let Some(sha256) = &known.sha256
                    && !names.contains(name)
                    && !locator.exists(name)
                {
                    gone.entry(sha256).or_default().push((name, known));
                }
            }
        }
        let one_question =
            plan.settings.image_prompts.is_none() && plan.settings.critique.is_none();
        Ok(Self {
            gone: Mutex::new(gone),
            journal: Mutex::new(journal.reader(plan.known)?),
            one_question,
        })
    }

    /// The whole record of an image that the journal knows; `None` if it cannot be read any more.
    pub(super) fn earlier(&self, known: &ResumeEntry) -> Option<Record> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).read(known)
    }

    /// The record for the image of `begun`, which is read and about to be asked, under its new
    /// name; `None` if it has to be asked.
    pub(super) fn take(&self, begun: &Record) -> Option<Record> {
        let (earlier, known) = {
            let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
            let candidates = gone.get_mut(begun.sha256.as_deref()?)?;
            let same = |known: &ResumeEntry| {
                known
                    .question
                    .as_ref()
                    .map_or(self.one_question, |asked| begun.question.as_ref() == Some(asked))
            };
            let place = candidates.iter().position(|(_, known)| same(known))?;
            candidates.swap_remove(place)
        };
        let record = self.earlier(known)?;
        let generation = begun.generation.clone().or(record.generation);
        Some(Record {
            image: begun.image.clone(),
            moved_from: Some(earlier.to_owned()),
            generation,
            ..record
        })
    }
}
