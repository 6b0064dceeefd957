//! Engines: they answer questions about views.
//!
//! In: views with the questions about them ([`Shown`]). Out: an answer for each, in any order
//! ([`Answered`]). Promises: every submitted view is answered, fails, or is cancelled; an engine
//! knows no files, no journal and no other engine, so it can be the graphs in ONNX Runtime
//! ([`OnnxEngine`]), a server ([`ServerEngine`]), or a script ([`ScriptedEngine`]).
//!
//! An engine of one's own is an implementation of [`Engine`], and
//! [`Session::with_engines`](crate::session::Session::with_engines) runs it over folders:
//!
//! ```
//! use std::time::Duration;
//!
//! use gemscope::engine::{Answered, Effort, Engine, EngineError, Shown, ViewForm};
//!
//! /// Finds nothing, in no time.
//! #[derive(Default)]
//! struct FindsNothing(Vec<Shown>);
//!
//! impl Engine for FindsNothing {
//!     fn view_form(&self) -> ViewForm {
//!         ViewForm::Rgb
//!     }
//!
//!     fn submit(&mut self, shown: Shown) {
//!         self.0.push(shown);
//!     }
//!
//!     fn room(&self) -> usize {
//!         8 - self.0.len().min(8)
//!     }
//!
//!     fn is_idle(&self) -> bool {
//!         self.0.is_empty()
//!     }
//!
//!     fn advance(&mut self, _wait: Duration) -> Result<Vec<Answered>, EngineError> {
//!         Ok(self.0.drain(..).map(|shown| shown.answered_by(|_| "[]".to_owned())).collect())
//!     }
//!
//!     fn cancel(&mut self, id: usize) {
//!         self.0.retain(|shown| shown.id != id);
//!     }
//!
//!     fn effort(&self) -> Effort {
//!         Effort::default()
//!     }
//! }
//! ```

mod clip;
mod effort;
mod onnx;
mod question;
mod script;
mod server;
mod view;

use std::error;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use clip::Clip;
pub use effort::Effort;
pub use onnx::OnnxEngine;
pub use question::{ExplainQuestion, FindQuestion, ImageQuestions, Question, RateQuestion};
pub use script::{Reaction, Script, ScriptError, ScriptedAnswer, ScriptedEngine};
pub use server::ServerEngine;
pub use view::{ShownView, ViewForm, ViewPixels};

use crate::answer::Reading;
use crate::digest;
use crate::record::{Answer, BBox, Ended, Rating, Sampling};

/// How long a caller waits for an engine before it checks for other work.
pub(crate) const WAIT: Duration = Duration::from_millis(200);

/// The most tokens of a reason: a sentence.
const REASON_TOKENS: usize = 60;
/// The most boxes of a view that are asked about.
const EXPLAINED_BOXES: usize = 12;

/// Answers questions about views, many at the same time.
///
/// A run calls it from one thread: it submits views while there is [room](Engine::room), and
/// [advances](Engine::advance) until the engine is idle. An engine may use as many threads of its
/// own as it likes.
pub trait Engine: Send {
    /// The form in which its views are prepared.
    fn view_form(&self) -> ViewForm;

    /// Takes in a view and the questions about it; its answer comes from a later
    /// [`advance`](Engine::advance).
    fn submit(&mut self, shown: Shown);

    /// How many more requests ([`ImageQuestions::requests`]) would soon be worked on; at 0, views
    /// that are submitted only wait.
    fn room(&self) -> usize;

    /// Whether every submitted view is answered or cancelled.
    fn is_idle(&self) -> bool;

    /// Does some work, and returns the answers that are complete. Returns after about `wait`, or
    /// after its smallest step if that takes longer, even if no answer is complete.
    ///
    /// # Errors
    /// [`EngineError`] if nothing can be answered any more: the run stops. An error of one view is
    /// its answer.
    fn advance(&mut self, wait: Duration) -> Result<Vec<Answered>, EngineError>;

    /// Forgets a view: its answer is not wanted any more, and never comes.
    fn cancel(&mut self, id: usize);

    /// The work done since the engine was made.
    fn effort(&self) -> Effort;
}

/// Views of one image that are shown together, and the questions about them.
pub struct Shown {
    /// The name of the answer: no other view has it as long as this one is not answered.
    pub id: usize,
    /// The image's name.
    pub image: String,
    /// Counts the views of an image, from 0.
    pub index: usize,
    /// One view, or two that are compared.
    pub views: Vec<ShownView>,
    /// The questions.
    pub asked: Arc<ImageQuestions>,
    /// How answers are generated.
    pub options: AnswerOptions,
}

impl Shown {
    /// Mixed into the seed of sampled answers. Of the name alone, so that they do not depend on the
    /// order of the run.
    fn stream(&self) -> u64 {
        digest::number(&self.image).wrapping_add((self.index as u64) << 32)
    }

    /// An answer to it, from the text of the answer to each question for boxes or text; nothing is
    /// rated. For engines that give no token probabilities.
    pub fn answered_by(&self, mut text: impl FnMut(&FindQuestion) -> String) -> Answered {
        let mut learned = Learned::default();
        for question in &self.asked.questions {
            if let Question::Find(question) = question {
                learned.readings.push(self.reading(question, text(question), Ended::StopToken));
            }
        }
        Answered { id: self.id, learned: Ok(learned) }
    }

    /// A text as the answer to a question about the first of its views.
    pub fn reading(&self, question: &FindQuestion, text: String, ended: Ended) -> Reading {
        let view = self.views.first().map_or_else(|| BBox::whole(0, 0), ShownView::bbox);
        let answer =
            Answer { view, prompt: question.query.text.clone(), text, ended, tokens: None };
        question.reading(answer, Vec::new(), Vec::new())
    }
}

/// How answers of a run are generated.
#[derive(Debug, Clone, Copy)]
pub struct AnswerOptions {
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// Greedy or sampled.
    pub sampling: Sampling,
}

/// The answer to a [`Shown`].
pub struct Answered {
    /// [`Shown::id`].
    pub id: usize,
    /// The answers, or the reason for having none.
    pub learned: Result<Learned, EngineError>,
}

/// The answers about one view.
#[derive(Debug, Default)]
pub struct Learned {
    /// The answers to questions for boxes or text, in the order of the questions.
    pub readings: Vec<Reading>,
    /// The answers to questions that one of a few words answers, in the order of the questions.
    pub ratings: Vec<Rating>,
}

/// Joins the answers about several views of one image, in their order.
impl FromIterator<Learned> for Learned {
    fn from_iter<I: IntoIterator<Item = Learned>>(views: I) -> Self {
        let mut all = Self::default();
        for Learned { readings, ratings } in views {
            all.readings.extend(readings);
            all.ratings.extend(ratings);
        }
        all
    }
}

/// Why an engine has no answer.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct EngineError {
    cause: Box<dyn error::Error + Send + Sync>,
    view: Option<usize>,
}

impl EngineError {
    /// The error with this text or cause.
    pub fn new(cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), view: None }
    }

    /// The same, met at the view of this [`Shown::id`].
    #[must_use]
    pub fn at(self, id: usize) -> Self {
        Self { view: Some(id), ..self }
    }

    /// The [`Shown::id`] of the view at which it happened, if that is known.
    pub fn view(&self) -> Option<usize> {
        self.view
    }
}
