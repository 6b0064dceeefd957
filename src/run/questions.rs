//! What is asked about which image.
//!
//! In: the question about every image, those about single ones, or both. Out: what is asked about an image of a name. Promises: an image's own
//! questions come before those about every image.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::answer::ParsedBox;
use crate::critique::AxisQuestion;
use crate::digest;
use crate::generate::Grammar;
use crate::prompt::{Conversation, Prompter, Query};
use crate::record::{AnswerKind, ImagePrompts, Record, Task};
use crate::source::SourceImage;

/// Who knows what is asked about an image.
pub trait Asks: Sync {
    /// What is asked about `image`, whose file has these `bytes`. What the file itself says that a question depends on goes into `record`.
    ///
    /// # Errors
    /// Why nothing can be asked, in words.
    fn asked(&self, image: &SourceImage, bytes: &[u8], record: &mut Record) -> Result<Arc<Asked>, String>;

    /// [`Asked::hash`] of what is asked about the image of this name, if that depends on the name. A record of another question
    /// is no answer then, though the image is the same.
    fn hash_by_name(&self, _image: &str) -> Option<String> {
        None
    }
}

/// One question about a view.
#[derive(Clone)]
pub enum Question {
    /// What is to be found.
    Find(FindQuestion),
    /// How the view is, in one of a few words.
    Rate(AxisQuestion),
}

impl Question {
    /// The prompt.
    pub fn query(&self) -> &Query {
        match self {
            Self::Find(question) => &question.query,
            Self::Rate(question) => &question.query,
        }
    }

    /// How many rows of the batch it takes at once.
    pub(super) fn requests(&self) -> usize {
        match self {
            Self::Find(_) => 1,
            Self::Rate(question) => question.words.places(),
        }
    }
}

/// One query, and the task that it puts into words.
#[derive(Clone)]
pub struct FindQuestion {
    /// The prompt.
    pub query: Query,
    /// What it asks for; a sole label is that of boxes without one.
    pub task: Task,
    /// Whether it asks for boxes.
    pub kind: AnswerKind,
    /// What its answer may be; anything where `None`.
    pub grammar: Option<Arc<Grammar>>,
    /// What asks about each box that was found.
    pub explain: Option<Explain>,
}

/// Asks about a box that was found.
#[derive(Clone)]
pub struct Explain {
    /// Tokenizer and chat template.
    pub prompter: Arc<Prompter>,
    /// What goes around the question.
    pub conversation: Conversation,
    /// The question; `{label}` and `{box}` stand for what was found.
    pub wording: String,
}

impl Explain {
    /// The question about a box; `None` if the chat template refuses it.
    pub(super) fn query(&self, found: &ParsedBox) -> Option<Query> {
        let box_2d = found.box_2d.map(|side| format!("{side:.0}")).join(", ");
        let label = found.label.as_deref().unwrap_or("defect");
        let text = self.wording.replace("{box}", &format!("[{box_2d}]")).replace("{label}", label);
        self.prompter.query(&text, &self.conversation).ok()
    }
}

/// What is asked about one image.
pub struct Asked {
    /// All labels that it asks for, in order.
    pub labels: Vec<String>,
    /// About every view, each with its own answer. The view is encoded once for all of them.
    pub questions: Vec<Question>,
}

impl Asked {
    /// Whether none of the questions asks for boxes or ratings: then the whole image is shown and no tiles.
    pub fn is_for_text(&self) -> bool {
        let text = |question: &Question| matches!(question, Question::Find(find) if find.kind == AnswerKind::Text);
        self.questions.iter().all(text)
    }

    /// The whole prompts, as the model's chat template rendered them.
    pub fn rendered(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().map(|question| question.query().rendered.as_str())
    }

    /// What tells it from other questions: a hash of the whole prompts, 16 hex digits.
    pub fn hash(&self) -> String {
        let mut content = Vec::new();
        for prompt in self.rendered() {
            content.extend(prompt.len().to_le_bytes());
            content.extend_from_slice(prompt.as_bytes());
        }
        format!("{:016x}", digest::number(&content))
    }
}

impl Asks for Questions {
    fn asked(&self, image: &SourceImage, _bytes: &[u8], record: &mut Record) -> Result<Arc<Asked>, String> {
        record.asked = self.single.get(&image.name).map(|asked| asked.labels.clone());
        self.of(&image.name).map(Arc::clone).ok_or_else(|| "nothing is asked about it".to_owned())
    }

    fn hash_by_name(&self, image: &str) -> Option<String> {
        Some(self.of(image)?.hash())
    }
}

/// What is asked about the images of a run.
pub struct Questions {
    /// About images that have no questions of their own.
    pub every: Option<Arc<Asked>>,
    /// About single images, by their names.
    pub single: HashMap<String, Arc<Asked>>,
}

impl Questions {
    /// The same about every image.
    pub fn about_every(asked: Option<Asked>) -> Self {
        Self { every: asked.map(Arc::new), single: HashMap::new() }
    }

    /// What is asked about the image of this name; `None` where that is nothing.
    pub fn of(&self, image: &str) -> Option<&Arc<Asked>> {
        self.single.get(image).or(self.every.as_ref())
    }

    /// What the run's settings keep of the questions about single images.
    pub fn image_prompts(&self) -> Option<ImagePrompts> {
        if self.single.is_empty() {
            return None;
        }
        let sorted: BTreeMap<&String, &Arc<Asked>> = self.single.iter().collect();
        let every = self.every.as_ref().map(|asked| &asked.labels);
        let mut seen = HashSet::new();
        let labels = every.into_iter().chain(sorted.values().map(|asked| &asked.labels)).flatten();
        let labels = labels.filter(|label| seen.insert(*label)).cloned().collect();
        Some(ImagePrompts { images: self.single.len(), labels })
    }
}
