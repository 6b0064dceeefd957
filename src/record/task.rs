//! The words of a task.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The question about every image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Find every instance of these labels.
    Labels(Vec<String>),
    /// Find the one thing that a phrase describes.
    Phrase(String),
    /// Any text; `{labels}` in it stands for the labels.
    Prompt {
        /// The text.
        text: String,
        /// The labels, if there are any.
        labels: Vec<String>,
    },
}

impl Task {
    /// The user's text for the model: Google's documented wording, `detect person and cat`
    /// (ai.google.dev, Gemma image understanding), or the given prompt.
    pub fn text(&self) -> String {
        match self {
            Self::Labels(labels) => format!("detect {}", labels.join(" and ")),
            Self::Phrase(phrase) => format!("detect {phrase}"),
            Self::Prompt { text, labels } => text.replace("{labels}", &labels.join(" and ")),
        }
    }

    /// The labels that were asked for, in the order given.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::Labels(labels) | Self::Prompt { labels, .. } => labels,
            Self::Phrase(phrase) => std::slice::from_ref(phrase),
        }
    }

    /// Whether its text stands for labels that it does not have.
    pub fn lacks_labels(&self) -> bool {
        matches!(self, Self::Prompt { text, labels } if labels.is_empty()
            && text.contains("{labels}"))
    }

    /// The label of a box without one, if only one thing was asked for.
    pub fn sole_label(&self) -> Option<&str> {
        match self.labels() {
            [label] => Some(label),
            _ => None,
        }
    }
}

/// Labels as they were given, trimmed, each once.
pub fn distinct<'l>(given: impl Iterator<Item = &'l str>) -> Vec<String> {
    let mut seen = HashSet::new();
    given
        .map(str::trim)
        .filter(|label| !label.is_empty() && seen.insert(*label))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wording() {
        let labels = vec!["person".to_owned(), "cat".to_owned()];
        assert_eq!(Task::Labels(labels.clone()).text(), "detect person and cat");
        assert_eq!(Task::Phrase("the dog on the left".into()).text(), "detect the dog on the left");
        let prompt = Task::Prompt { text: "List every {labels}.".into(), labels };
        assert_eq!(prompt.text(), "List every person and cat.");
    }
}
