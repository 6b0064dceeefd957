//! The grammar of each question's answers.
//!
//! In: whether answers are held to a grammar, and a question. Out: its grammar, the same list for
//! an engine that has means of its own, or neither for free text. Promises: the tokenizer's
//! vocabulary is read once, for the first grammar that is wanted.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::{DecodingChoice, DecodingOptions, Observer, SessionError};
use crate::generate::{Grammar, GrammarFactory, Labels};
use crate::prompt::Prompts;
use crate::record::{AnswerKind, AnswerSchema, Decoding, Task};
use crate::server::{AnswerForm, BoxList};

/// The constraints on the answers to a question.
#[derive(Default)]
pub(super) struct AnswerConstraints {
    /// By the tokens of the model; `None` for free text.
    pub(super) grammar: Option<Arc<Grammar>>,
    /// By the engine's own means; `None` for free text.
    pub(super) form: Option<Arc<AnswerForm>>,
}

/// Makes the grammars of questions.
pub(super) struct Grammars<'s> {
    /// As the user chose; `None` leaves it to each question.
    choice: Option<DecodingChoice>,
    /// The fields of answers in text.
    schema: Option<&'s AnswerSchema>,
    open_labels: bool,
    max_boxes: usize,
    prompts: &'s Prompts,
    stop_ids: &'s [u32],
    observer: &'s dyn Observer,
    /// Whether the engine holds answers to a list of boxes by its own means.
    forms: bool,
    has_forms: Cell<bool>,
    made_one: Cell<bool>,
    factory: &'s GrammarSource,
}

/// What makes grammars of a model's tokens, once one was wanted; `None` inside if the tokenizer
/// makes no grammar and none was insisted on.
pub(super) type GrammarSource = OnceCell<Option<GrammarFactory>>;

impl<'s> Grammars<'s> {
    /// # Errors
    /// [`SessionError::NoRoomForThoughts`] if the model is to think and a grammar was chosen.
    pub(super) fn new(
        (options, schema): (&DecodingOptions, Option<&'s AnswerSchema>),
        thinking: bool,
        prompts: &'s Prompts,
        stop_ids: &'s [u32],
        forms: bool,
        factory: &'s GrammarSource,
        observer: &'s dyn Observer,
    ) -> Result<Self, SessionError> {
        if thinking && options.decoding == Some(DecodingChoice::Grammar) {
            return Err(SessionError::NoRoomForThoughts);
        }
        let choice = if thinking { Some(DecodingChoice::Free) } else { options.decoding };
        let (open_labels, max_boxes) = (options.open_labels, options.max_boxes);
        let (has_forms, made_one) = (Cell::new(false), Cell::new(false));
        Ok(Self {
            choice,
            schema,
            open_labels,
            max_boxes,
            prompts,
            stop_ids,
            observer,
            forms,
            has_forms,
            made_one,
            factory,
        })
    }

    /// The grammar of answers to a task, if they have one.
    ///
    /// # Errors
    /// [`SessionError`] if a grammar was insisted on and cannot be made.
    pub(super) fn of(
        &self,
        task: &Task,
        kind: AnswerKind,
    ) -> Result<AnswerConstraints, SessionError> {
        if kind == AnswerKind::Text {
            return match (self.schema, self.choice) {
                (_, Some(DecodingChoice::Free)) | (None, None) => Ok(AnswerConstraints::default()),
                (None, Some(DecodingChoice::Grammar)) => Err(SessionError::NoRoomForText),
                (Some(schema), _) => self.of_schema(schema),
            };
        }
        let usual = if matches!(task, Task::Prompt { .. }) {
            DecodingChoice::Free
        } else {
            DecodingChoice::Grammar
        };
        if self.choice.unwrap_or(usual) == DecodingChoice::Free {
            return Ok(AnswerConstraints::default());
        }
        // A phrase describes a thing; the model chooses its label.
        let open = self.open_labels || matches!(task, Task::Phrase(_)) || task.labels().is_empty();
        if self.forms {
            self.has_forms.set(true);
            let labels = (!open).then(|| task.labels().to_vec());
            let form = AnswerForm::Boxes(BoxList { labels, most: self.max_boxes });
            return Ok(AnswerConstraints { grammar: None, form: Some(Arc::new(form)) });
        }
        let Some(factory) = self.factory()? else { return Ok(AnswerConstraints::default()) };
        let labels = if open { Labels::Open } else { Labels::Of(task.labels()) };
        let grammar = factory.boxes(labels, self.max_boxes).map_err(SessionError::NoGrammar)?;
        Ok(AnswerConstraints { grammar: Some(Arc::new(grammar)), form: None })
    }

    /// The grammar of structured answers.
    fn of_schema(&self, schema: &AnswerSchema) -> Result<AnswerConstraints, SessionError> {
        let schema = schema.clone().into();
        if self.forms {
            self.has_forms.set(true);
            let form = Some(Arc::new(AnswerForm::Fields(schema)));
            return Ok(AnswerConstraints { grammar: None, form });
        }
        let Some(factory) = self.factory()? else { return Ok(AnswerConstraints::default()) };
        let grammar = factory.fields(schema).map_err(SessionError::NoGrammar)?;
        Ok(AnswerConstraints { grammar: Some(Arc::new(grammar)), form: None })
    }

    /// What makes grammars; `None` if nothing can, and no grammar was insisted on.
    ///
    /// # Errors
    /// [`SessionError`] if one was insisted on.
    fn factory(&self) -> Result<Option<&GrammarFactory>, SessionError> {
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
        let Some(Some(factory)) = self.factory.get() else {
            return if self.choice.is_some() { Err(SessionError::NoTokenizer) } else { Ok(None) };
        };
        self.made_one.set(true);
        Ok(Some(factory))
    }

    /// How the questions so far are decoded, for `run.json`.
    pub(super) fn used(&self) -> Decoding {
        if self.has_forms.get() || self.made_one.get() {
            let prompts = self.choice == Some(DecodingChoice::Grammar);
            Decoding::Grammar { prompts, open_labels: self.open_labels, max_boxes: self.max_boxes }
        } else {
            Decoding::Free
        }
    }
}
