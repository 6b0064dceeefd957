//! The grammar of each question's answers.
//!
//! In: whether answers are held to a grammar, and a question. Out: its grammar, or `None` for free
//! text. Promises: the tokenizer's vocabulary is read once, for the first grammar that is wanted.

use std::cell::OnceCell;
use std::sync::Arc;

use super::{DecodingChoice, DecodingOptions, Observer, SessionError};
use crate::generate::{Grammar, GrammarFactory, Labels};
use crate::prompt::Prompts;
use crate::record::{AnswerKind, Decoding, Task};

/// Makes the grammars of questions.
pub(super) struct Grammars<'s> {
    /// As the user chose; `None` leaves it to each question.
    choice: Option<DecodingChoice>,
    open_labels: bool,
    max_boxes: usize,
    prompts: &'s Prompts,
    stop_ids: &'s [u32],
    observer: &'s dyn Observer,
    /// `None` inside if the tokenizer makes no grammar and none was insisted on.
    factory: OnceCell<Option<GrammarFactory>>,
}

impl<'s> Grammars<'s> {
    /// # Errors
    /// [`SessionError::NoRoomForThoughts`] if the model is to think and a grammar was chosen.
    pub(super) fn new(
        options: &DecodingOptions,
        thinking: bool,
        prompts: &'s Prompts,
        stop_ids: &'s [u32],
        observer: &'s dyn Observer,
    ) -> Result<Self, SessionError> {
        if thinking && options.decoding == Some(DecodingChoice::Grammar) {
            return Err(SessionError::NoRoomForThoughts);
        }
        let choice = if thinking { Some(DecodingChoice::Free) } else { options.decoding };
        let (open_labels, max_boxes) = (options.open_labels, options.max_boxes);
        Ok(Self { choice, open_labels, max_boxes, prompts, stop_ids, observer, factory: OnceCell::new() })
    }

    /// The grammar of answers to a task, if they have one.
    ///
    /// # Errors
    /// [`SessionError`] if a grammar was insisted on and cannot be made.
    pub(super) fn of(&self, task: &Task, kind: AnswerKind) -> Result<Option<Arc<Grammar>>, SessionError> {
        if kind == AnswerKind::Text {
            return match self.choice {
                Some(DecodingChoice::Grammar) => Err(SessionError::NoRoomForText),
                _ => Ok(None),
            };
        }
        let usual = if matches!(task, Task::Prompt { .. }) { DecodingChoice::Free } else { DecodingChoice::Grammar };
        if self.choice.unwrap_or(usual) == DecodingChoice::Free {
            return Ok(None);
        }
        let Some(tokenizer) = self.prompts.tokenizer() else {
            return if self.choice.is_some() { Err(SessionError::NoTokenizer) } else { Ok(None) };
        };
        if self.factory.get().is_none() {
            let factory = match GrammarFactory::new(tokenizer, self.stop_ids) {
                Ok(factory) => Some(factory),
                Err(error) if self.choice.is_none() => {
                    self.observer.say(&format!("Answers are not held to a grammar: {error}."));
                    None
                }
                Err(error) => return Err(error.into()),
            };
            // It was empty just now, and this is the only thread.
            self.factory.get_or_init(|| factory);
        }
        let Some(Some(factory)) = self.factory.get() else { return Ok(None) };
        // A phrase describes a thing; the model calls it what it likes.
        let open = self.open_labels || matches!(task, Task::Phrase(_)) || task.labels().is_empty();
        let labels = if open { Labels::Open } else { Labels::Of(task.labels()) };
        factory.boxes(labels, self.max_boxes).map(|grammar| Some(Arc::new(grammar))).map_err(SessionError::NoGrammar)
    }

    /// How the questions so far are decoded, for `run.json`.
    pub(super) fn used(&self) -> Decoding {
        match self.factory.get() {
            Some(Some(_)) => Decoding::Grammar {
                prompts: self.choice == Some(DecodingChoice::Grammar),
                open_labels: self.open_labels,
                max_boxes: self.max_boxes,
            },
            _ => Decoding::Free,
        }
    }
}
