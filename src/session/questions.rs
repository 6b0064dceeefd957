//! The questions of a session, in the model's words.
//!
//! In: a configuration, the model's tokenizer and template, and the images. Out: the questions
//! about each image. Promises: every image that can be read has a question, or an error names those
//! without one; table rows of no image are counted and named.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::grammars::{AnswerConstraints, Grammars};
use super::{CritiqueConfig, DetectConfig, Observer, SessionError};
use crate::critique::Kind;
use crate::engine::{ExplainQuestion, FindQuestion, ImageQuestions, Question};
use crate::frame_metadata::read_table;
use crate::prompt::{Conversation, PromptError, Prompts, Query, read_image_tasks};
use crate::record::{AnswerKind, Task};
use crate::run::{FrameQuestions, Questions, RubricQuestions};
use crate::source::Source;

/// The prompt of a task.
///
/// # Errors
/// [`SessionError::LacksLabels`], [`SessionError::TooManyLabels`], [`SessionError::Prompt`].
pub fn query(
    task: &Task,
    conversation: &Conversation,
    prompts: &Prompts,
) -> Result<Query, SessionError> {
    in_words(task, |text| prompts.query(text, conversation))
}

/// The words of a task, put into a prompt by `query`.
fn in_words(
    task: &Task,
    query: impl FnOnce(&str) -> Result<Query, PromptError>,
) -> Result<Query, SessionError> {
    if task.lacks_labels() {
        return Err(SessionError::LacksLabels);
    }
    query(&task.text()).map_err(|error| match error {
        PromptError::TooLong { .. } if task.labels().len() > 1 => {
            SessionError::TooManyLabels { labels: task.labels().len(), error }
        }
        error => error.into(),
    })
}

/// Identifies the question of a detection, as its records do ([`Record::question`]): without the
/// session, which may be at work on another one.
///
/// # Errors
/// [`SessionError`] if the model may not be asked that, or it makes no prompt.
///
/// [`Record::question`]: crate::record::Record::question
pub fn hash_of_question(config: &DetectConfig, prompts: &Prompts) -> Result<String, SessionError> {
    config.check()?;
    let task = config.task.as_ref().ok_or(SessionError::NothingAsked)?;
    let builder = QuestionBuilder { config, prompts, grammars: None, observer: &() };
    Ok(builder.asked(task)?.hash())
}

/// Puts the tasks of a detection into words.
pub(super) struct QuestionBuilder<'s> {
    pub(super) config: &'s DetectConfig,
    pub(super) prompts: &'s Prompts,
    /// `None` if only the prompts matter: a plan needs no grammars, which take a second to make.
    pub(super) grammars: Option<&'s Grammars<'s>>,
    pub(super) observer: &'s dyn Observer,
}

impl QuestionBuilder<'_> {
    /// The questions of a run over the images of `source`.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(super) fn questions(&self, source: &Source) -> Result<Questions, SessionError> {
        match &self.config.prompts {
            Some(table) => self.of_table(table, source),
            None => Ok(Questions::about_every(
                self.config.task.as_ref().map(|task| self.asked(task)).transpose()?,
            )),
        }
    }

    /// The questions of a task about every view: one, or one for each label.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(super) fn asked(&self, task: &Task) -> Result<ImageQuestions, SessionError> {
        Ok(ImageQuestions { labels: task.labels().to_vec(), questions: self.split(task)? })
    }

    fn split(&self, task: &Task) -> Result<Vec<Question>, SessionError> {
        if !self.config.per_label {
            return Ok(vec![self.question(task.clone())?]);
        }
        if task.labels().is_empty() {
            return Err(SessionError::NoLabelsToSplit);
        }
        let alone = |label: &String| match task {
            Task::Prompt { text, .. } => {
                Task::Prompt { text: text.clone(), labels: vec![label.clone()] }
            }
            Task::Labels(_) | Task::Phrase(_) => Task::Labels(vec![label.clone()]),
        };
        if let Task::Prompt { text, .. } = task
            && !text.contains("{labels}")
        {
            return Err(SessionError::SameQuestions);
        }
        task.labels().iter().map(|label| self.question(alone(label))).collect()
    }

    fn question(&self, task: Task) -> Result<Question, SessionError> {
        let DetectConfig { clip, conversation, .. } = self.config;
        if *clip && !matches!(task, Task::Prompt { .. }) {
            return Err(SessionError::NoBoxesInClip);
        }
        let usual = || if *clip { AnswerKind::Text } else { task.answer_kind() };
        let kind = self.config.answer.unwrap_or_else(usual);
        let query = if *clip {
            in_words(&task, |text| self.prompts.query_about_video(text, conversation))?
        } else {
            query(&task, conversation, self.prompts)?
        };
        let AnswerConstraints { grammar, form } =
            self.grammars.map(|grammars| grammars.of(&task, kind)).transpose()?.unwrap_or_default();
        Ok(Question::Find(FindQuestion { query, task, kind, grammar, form, explain: None }))
    }

    fn of_row(&self, task: &Task) -> Result<ImageQuestions, SessionError> {
        self.config.model.model.check(task, &self.config.conversation)?;
        self.asked(task)
    }

    fn of_table(&self, table: &Path, source: &Source) -> Result<Questions, SessionError> {
        let default = self.config.task.as_ref();
        // Thousands of images may be asked the same.
        let mut known: HashMap<Task, Arc<ImageQuestions>> = HashMap::new();
        let rows = read_image_tasks(table, default)?;
        let mut single = HashMap::with_capacity(rows.len());
        for row in rows {
            let asked = if let Some(asked) = known.get(&row.task) {
                Arc::clone(asked)
            } else {
                let asked =
                    Arc::new(self.of_row(&row.task).map_err(|error| SessionError::OfRow {
                        path: table.to_owned(),
                        line: row.line,
                        image: row.image.clone(),
                        error: Box::new(error),
                    })?);
                known.insert(row.task, Arc::clone(&asked));
                asked
            };
            if single.insert(source.name_of(&row.image), asked).is_some() {
                return Err(SessionError::SecondRow {
                    path: table.to_owned(),
                    line: row.line,
                    image: row.image,
                });
            }
        }
        let strangers = strangers(single.keys(), source);
        if !strangers.is_empty() {
            let names = first_of(&strangers);
            self.observer.say(&format!(
                "{}: {} rows are of no image here: {names}",
                table.display(),
                strangers.len()
            ));
        }
        let readable = source
            .images
            .iter()
            .filter(|image| image.place.is_ok())
            .map(|image| image.name.as_str());
        let without: Vec<&str> = readable.filter(|name| !single.contains_key(*name)).collect();
        // A prompt that needs labels, and has none, is there for the rows alone.
        let default = default.filter(|task| !task.lacks_labels());
        if default.is_none() && !without.is_empty() {
            return Err(SessionError::NoRow {
                path: table.to_owned(),
                without: without.len(),
                images: source.images.len(),
                first: first_of(&without),
            });
        }
        let every = default.map(|task| self.of_row(task).map(Arc::new)).transpose()?;
        Ok(Questions { every, single })
    }
}

/// The questions of a critique about frames, and how many rows of its table belong to no frame.
///
/// # Errors
/// [`SessionError`].
pub(super) fn of_rubric(
    config: &CritiqueConfig,
    prompts: &Prompts,
    stop_ids: &[u32],
    grammars: &Grammars<'_>,
    source: Option<&Source>,
    observer: &dyn Observer,
) -> Result<(FrameQuestions, Option<usize>), SessionError> {
    let rubric = &config.rubric;
    let conversation =
        Conversation { image_newlines: config.image_newlines, ..Conversation::default() };
    let mut finds = HashMap::new();
    for axis in &rubric.axes {
        if let Kind::Defects { labels } = &axis.kind {
            let task = Task::Prompt { text: rubric.text(axis, None), labels: labels.clone() };
            let AnswerConstraints { grammar, form } =
                grammars.of(&Task::Labels(labels.clone()), AnswerKind::Boxes)?;
            let query = prompts.query(&task.text(), &conversation)?;
            let explain = axis.why.then(|| ExplainQuestion {
                prompts: prompts.clone(),
                conversation: conversation.clone(),
                wording: rubric.explain_text(),
            });
            let kind = AnswerKind::Boxes;
            finds.insert(
                axis.name.clone(),
                FindQuestion { query, task, kind, grammar, form, explain },
            );
        }
    }
    let mut strangers_of_table = None;
    let table = match (&config.generation, source) {
        (Some(path), Some(source)) => {
            let table: HashMap<_, _> = read_table(path)?
                .into_iter()
                .map(|(row, made)| (source.name_of(&row), made))
                .collect();
            let strangers = strangers(table.keys(), source);
            if let ([_, ..], [frame, ..]) = (strangers.as_slice(), source.images.as_slice()) {
                observer.say(&format!(
                    "{}: {} of {} rows are of no frame here: {} (a frame is called {})",
                    path.display(),
                    strangers.len(),
                    table.len(),
                    first_of(&strangers),
                    frame.name
                ));
            }
            strangers_of_table = Some(strangers.len());
            table
        }
        _ => HashMap::new(),
    };
    let questions = RubricQuestions::new(rubric.clone(), prompts.clone(), stop_ids, conversation)?;
    let questions = FrameQuestions::new(questions, finds, table)?.of_animations(config.animation);
    Ok((questions, strangers_of_table))
}

/// The names that are of no image of `source`, sorted.
fn strangers<'n>(names: impl Iterator<Item = &'n String>, source: &Source) -> Vec<&'n str> {
    let mut strangers: Vec<&str> =
        names.map(String::as_str).filter(|name| !source.holds(name)).collect();
    strangers.sort_unstable();
    strangers
}

/// The first of `names`, and how many more there are.
fn first_of(names: &[&str]) -> String {
    const NAMED: usize = 5;
    let named = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED { format!("{named} and {} more", names.len() - NAMED) } else { named }
}
