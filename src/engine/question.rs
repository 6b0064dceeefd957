//! Questions to an engine.

use std::sync::Arc;

use crate::answer::{ParsedBox, Reading, TokenSpan};
use crate::digest;
use crate::generate::{Grammar, Words};
use crate::prompt::{Conversation, PromptError, Prompts, Query};
use crate::record::{Answer, AnswerKind, Rating, Task};
use crate::server::AnswerForm;

/// One question about a view.
#[derive(Clone)]
pub enum Question {
    /// A question for boxes or text.
    Find(FindQuestion),
    /// How the view is, in one of a few words.
    Rate(RateQuestion),
}

impl Question {
    /// The prompt.
    pub fn query(&self) -> &Query {
        match self {
            Self::Find(question) => &question.query,
            Self::Rate(question) => &question.query,
        }
    }

    /// How many requests it makes at once.
    pub fn requests(&self) -> usize {
        match self {
            Self::Find(_) => 1,
            Self::Rate(question) => question.tokens.as_ref().map_or(1, |tokens| tokens.forks()),
        }
    }
}

/// One query, and the task that it puts into words.
#[derive(Clone)]
pub struct FindQuestion {
    /// The prompt.
    pub query: Query,
    /// The task behind the prompt; a sole label is the default label of its boxes.
    pub task: Task,
    /// Whether it asks for boxes.
    pub kind: AnswerKind,
    /// The grammar of its answer; `None` allows anything.
    pub grammar: Option<Arc<Grammar>>,
    /// The same constraint for an engine without a grammar of tokens; `None` allows anything.
    pub form: Option<Arc<AnswerForm>>,
    /// The question about each detected box.
    pub explain: Option<ExplainQuestion>,
}

impl FindQuestion {
    /// Its answer, ready to be read: `spans` are the tokens of its text, and `sentences` are about
    /// its boxes, in their order. Either may be empty.
    pub fn reading(
        &self,
        answer: Answer,
        spans: Vec<TokenSpan>,
        sentences: Vec<Option<String>>,
    ) -> Reading {
        let default_label = self.task.sole_label().map(str::to_owned);
        Reading { answer, kind: self.kind, default_label, spans, sentences }
    }
}

/// One question that one of a few words answers.
#[derive(Clone)]
pub struct RateQuestion {
    /// The axis that it rates.
    pub axis: String,
    /// The part of the frame's prompt that it is about.
    pub clause: Option<String>,
    /// The prompt.
    pub query: Query,
    /// Which of the views that are shown it is about, in the order of its prompt.
    pub views: Vec<usize>,
    /// The words, at least two.
    pub words: Arc<[String]>,
    /// The words as the model's tokenizer writes them, for an engine that reads probabilities of
    /// tokens.
    pub tokens: Option<Arc<Words>>,
    /// For each word, the question for the reason; empty if reasons are not wanted.
    pub reasons: Vec<Query>,
}

impl RateQuestion {
    /// Its answer: `probabilities` are those of the words, in their order, and sum to 1; `mass` is
    /// their share of the whole vocabulary's probability.
    pub fn rating(&self, probabilities: Vec<f64>, mass: f64, reason: Option<String>) -> Rating {
        let (axis, clause, words) = (self.axis.clone(), self.clause.clone(), self.words.to_vec());
        Rating { axis, clause, words, probabilities, mass, reason }
    }
}

/// Asks about a box that was found.
#[derive(Clone)]
pub struct ExplainQuestion {
    /// Puts the question into a prompt.
    pub prompts: Prompts,
    /// System prompt, thinking, blank lines around the image.
    pub conversation: Conversation,
    /// The question; `{label}` and `{box}` stand for those of the detected box.
    pub wording: String,
}

impl ExplainQuestion {
    /// The question about a box; `None` if the chat template refuses it.
    pub fn query(&self, found: &ParsedBox) -> Option<Query> {
        let box_2d = found.box_2d.map(|side| format!("{side:.0}")).join(", ");
        let label = found.label.as_deref().unwrap_or("defect");
        let text = self.wording.replace("{box}", &format!("[{box_2d}]")).replace("{label}", label);
        self.prompts.query(&text, &self.conversation).ok()
    }
}

/// The questions about one image.
pub struct ImageQuestions {
    /// All labels that it asks for, in order.
    pub labels: Vec<String>,
    /// About every view, each with its own answer. The view is encoded once for all of them.
    pub questions: Vec<Question>,
}

impl ImageQuestions {
    /// Whether none of the questions asks for boxes or ratings: then the whole image is shown and
    /// no tiles.
    pub fn is_for_text(&self) -> bool {
        let text = |question: &Question| matches!(question, Question::Find(find) if find.kind == AnswerKind::Text);
        self.questions.iter().all(text)
    }

    /// The same about a whole video with frames at these times, each of `soft_tokens`.
    ///
    /// # Errors
    /// [`PromptError`] if a prompt is longer than the model takes.
    pub fn about_frames(&self, stamps: &[String], soft_tokens: u32) -> Result<Self, PromptError> {
        let about = |question: &Question| {
            let mut question = question.clone();
            if let Question::Find(find) = &mut question {
                find.query = find.query.about_frames(stamps, soft_tokens)?;
            }
            Ok(question)
        };
        let questions = self.questions.iter().map(about).collect::<Result<_, PromptError>>()?;
        Ok(Self { labels: self.labels.clone(), questions })
    }

    /// Those for boxes or text, and those that one of a few words answers.
    pub fn split(&self) -> [Self; 2] {
        let finds = |question: &&Question| matches!(question, Question::Find(_));
        let (finds, rates): (Vec<_>, Vec<_>) = self.questions.iter().partition(finds);
        [finds, rates].map(|questions| Self {
            labels: self.labels.clone(),
            questions: questions.into_iter().cloned().collect(),
        })
    }

    /// How many requests all questions about a view make at once.
    pub fn requests(&self) -> usize {
        self.questions.iter().map(Question::requests).sum()
    }

    /// The whole prompts, as the model's chat template rendered them.
    pub fn rendered(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().map(|question| question.query().rendered.as_str())
    }

    /// Identifies the questions: a hash of the complete prompts, 16 hex digits.
    pub fn hash(&self) -> String {
        let mut content = Vec::new();
        for prompt in self.rendered() {
            content.extend(prompt.len().to_le_bytes());
            content.extend_from_slice(prompt.as_bytes());
        }
        format!("{:016x}", digest::number(&content))
    }
}
