//! What is asked about which image.
//!
//! In: the question about every image, those about single ones, or both. Out: what is asked about an image of a name. Promises: an image's own
//! questions come before those about every image.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest;
use crate::generate::Grammar;
use crate::prompt::{Query, Task};

/// One query, and the task that it puts into words.
pub struct Question {
    /// The prompt.
    pub query: Query,
    /// What it asks for; a sole label is that of boxes without one.
    pub task: Task,
    /// What its answer may be; anything where `None`.
    pub grammar: Option<Arc<Grammar>>,
}

/// What is asked about one image.
pub struct Asked {
    /// All labels that it asks for, in order.
    pub labels: Vec<String>,
    /// About every view, each with its own answer. The view is encoded once for all of them.
    pub questions: Vec<Question>,
}

impl Asked {
    /// The whole prompts, as the model's chat template rendered them.
    pub fn rendered(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().map(|question| question.query.rendered.as_str())
    }
}

/// What is asked about the images of a run.
pub struct Questions {
    /// About images that have no questions of their own.
    pub every: Option<Asked>,
    /// About single images, by their names.
    pub single: HashMap<String, Arc<Asked>>,
}

impl Questions {
    /// The same about every image.
    pub fn about_every(asked: Option<Asked>) -> Self {
        Self { every: asked, single: HashMap::new() }
    }

    /// What is asked about the image of this name; `None` where that is nothing.
    pub fn of(&self, image: &str) -> Option<&Asked> {
        self.single.get(image).map(AsRef::as_ref).or(self.every.as_ref())
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
        let mut content = Vec::new();
        for (image, asked) in sorted {
            content.extend(asked.questions.len().to_le_bytes());
            for part in [image.as_str()].into_iter().chain(asked.rendered()) {
                content.extend(part.len().to_le_bytes());
                content.extend_from_slice(part.as_bytes());
            }
        }
        Some(ImagePrompts { images: self.single.len(), labels, sha256: digest::hex(&content) })
    }
}

/// What is asked about single images, as `run.json` keeps it: the records have the prompts themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePrompts {
    /// Images that have prompts of their own.
    pub images: usize,
    /// All labels of the run: those of every image, and of single ones in the order of the images' names.
    pub labels: Vec<String>,
    /// Hash of the names and rendered prompts.
    pub sha256: String,
}
