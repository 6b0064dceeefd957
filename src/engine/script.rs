//! Answers from a file, to test everything around a model.
//!
//! In: a script in JSON, with an answer for each image or for all. Out: these answers, late, out of
//! order, failing or never, as the script says. Promises: no model is needed, and the same script
//! gives the same records.
//!
//! ```json
//! {"rows": 4, "answers": [
//!     {"image": "a.png", "text": "[{\"box_2d\": [0, 0, 500, 500], \"label\": \"cat\"}]"},
//!     {"image": "b.png", "text": "[]", "after_ms": 200},
//!     {"image": "c.png", "does": "fail", "reason": "no memory"},
//!     {"text": "[]", "probability": 0.9, "words": {"good": 0.8}}
//! ]}
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use thiserror::Error;

use super::{
    Answered, Effort, Engine, EngineError, FindQuestion, Learned, Question, RateQuestion, Shown,
    ViewForm,
};
use crate::answer::{Reading, TokenSpan};
use crate::files;
use crate::record::{Ended, Rating};

/// Why a script cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The file is no script.
    #[error("{}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The problem.
        error: serde_json::Error,
    },
}

/// The answers of a script, by image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The most requests at the same time.
    #[serde(default = "usual_rows")]
    pub rows: usize,
    /// An answer that names no image is that of all images without one of their own.
    pub answers: Vec<ScriptedAnswer>,
}

fn usual_rows() -> usize {
    8
}

/// The answer to every question about an image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// The image's name; `None` is every other image.
    #[serde(default)]
    pub image: Option<String>,
    /// The text of the answer to a question for boxes or text.
    #[serde(default)]
    pub text: String,
    /// The probability of each of its tokens, which are its characters; without it there are no
    /// scores.
    #[serde(default)]
    pub probability: Option<f64>,
    /// The shares of words that a frame is rated by; words that are not named share the rest.
    #[serde(default)]
    pub words: HashMap<String, f64>,
    /// Milliseconds from the question to the answer.
    #[serde(default)]
    pub after_ms: u64,
    /// How the engine reacts to the question.
    #[serde(default)]
    pub does: Reaction,
    /// Why there is no answer.
    #[serde(default)]
    pub reason: String,
}

/// How a scripted engine reacts to a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// It is answered.
    #[default]
    Answer,
    /// It has no answer.
    Fail,
    /// The engine has no more answers at all.
    Die,
    /// The answer never comes.
    Wait,
    /// The engine does not return.
    Hang,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let bytes = files::read(path, files::MAX_TEXT_BYTES)
            .map_err(|error| ScriptError::Io { path: path.to_owned(), error })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ScriptError::Parse { path: path.to_owned(), error })
    }
}

/// Answers as a script says.
pub struct ScriptedEngine {
    rows: usize,
    by_image: HashMap<String, ScriptedAnswer>,
    usual: ScriptedAnswer,
    /// When each is answered.
    waiting: Vec<(Instant, Shown)>,
}

impl ScriptedEngine {
    /// The engine of a script.
    pub fn new(script: Script) -> Self {
        let mut made = Self {
            rows: script.rows.max(1),
            by_image: HashMap::new(),
            usual: ScriptedAnswer { text: "[]".to_owned(), ..ScriptedAnswer::default() },
            waiting: Vec::new(),
        };
        for answer in script.answers {
            match &answer.image {
                Some(image) => {
                    made.by_image.insert(image.clone(), answer);
                }
                None => made.usual = answer,
            }
        }
        made
    }

    fn of(&self, image: &str) -> &ScriptedAnswer {
        self.by_image.get(image).unwrap_or(&self.usual)
    }

    fn answer(&self, shown: &Shown) -> Result<Learned, EngineError> {
        let answer = self.of(&shown.image);
        if answer.does == Reaction::Fail {
            return Err(EngineError::new(answer.reason.clone()));
        }
        let mut learned = Learned::default();
        for question in &shown.asked.questions {
            match question {
                Question::Find(question) => learned.readings.push(answer.reading(shown, question)),
                Question::Rate(question) => learned.ratings.push(answer.rating(question)),
            }
        }
        Ok(learned)
    }
}

impl ScriptedAnswer {
    fn reading(&self, shown: &Shown, question: &FindQuestion) -> Reading {
        let mut reading = shown.reading(question, self.text.clone(), Ended::StopToken);
        if let Some(probability) = self.probability {
            let span = |(start, letter): (usize, char)| TokenSpan {
                bytes: start..start + letter.len_utf8(),
                log_probability: Some(probability.ln()),
            };
            reading.spans = self.text.char_indices().map(span).collect();
        }
        reading
    }

    fn rating(&self, question: &RateQuestion) -> Rating {
        let named: f64 = question.words.iter().filter_map(|word| self.words.get(word)).sum();
        let others = question.words.iter().filter(|word| !self.words.contains_key(*word)).count();
        let rest = (1.0 - named).max(0.0) / others.max(1) as f64;
        let share = |word| self.words.get(word).copied().unwrap_or(rest);
        question.rating(question.words.iter().map(share).collect(), 1.0, None)
    }
}

impl Engine for ScriptedEngine {
    fn view_form(&self) -> ViewForm {
        ViewForm::Rgb
    }

    fn submit(&mut self, shown: Shown) {
        let after = Duration::from_millis(self.of(&shown.image).after_ms);
        self.waiting.push((Instant::now() + after, shown));
    }

    fn room(&self) -> usize {
        let taken: usize = self.waiting.iter().map(|(_, shown)| shown.asked.requests()).sum();
        self.rows.saturating_sub(taken)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn advance(&mut self, wait: Duration) -> Result<Vec<Answered>, EngineError> {
        let until = Instant::now() + wait;
        let comes = |(_, shown): &&(Instant, Shown)| self.of(&shown.image).does != Reaction::Wait;
        let next = self.waiting.iter().filter(comes).map(|(due, _)| *due).min();
        let until = next.map_or(until, |next| next.min(until));
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let mut answered = Vec::new();
        for (due, shown) in std::mem::take(&mut self.waiting) {
            let answer = self.of(&shown.image);
            match answer.does {
                Reaction::Wait => self.waiting.push((due, shown)),
                _ if due > now => self.waiting.push((due, shown)),
                Reaction::Hang => loop {
                    std::thread::park();
                },
                Reaction::Die => return Err(EngineError::new(answer.reason.clone()).at(shown.id)),
                Reaction::Answer | Reaction::Fail => {
                    answered.push(Answered { id: shown.id, learned: self.answer(&shown) });
                }
            }
        }
        Ok(answered)
    }

    fn cancel(&mut self, id: usize) {
        self.waiting.retain(|(_, shown)| shown.id != id);
    }

    fn effort(&self) -> Effort {
        Effort::default()
    }
}
