//! What is asked about an image.
//!
//! In: labels, a phrase or a prompt of a request. Out: a [`Question`] that the model can be asked.
//! Promises: its text is short enough to be put to a model, and its labels are text on one line;
//! all else is refused with a sentence before anything is asked.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::reply::Refusal;
use crate::record::{Task, distinct};

/// The most bytes of a question: labels, phrase and prompt together.
pub(super) const MAX_QUESTION: usize = 64 << 10;
/// The most bytes of one label, as in answers: longer ones there are cut.
const MAX_LABEL: usize = 1024;

/// A question, and its hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The question.
    pub(super) task: Task,
    /// As [`Record::question`](crate::record::Record::question).
    pub(super) hash: String,
}

/// Labels of a request: a list, or a text with commas.
#[derive(Debug, Default)]
pub(super) struct Labels(pub(super) Vec<String>);

impl Labels {
    /// Labels that commas or ends of lines separate.
    fn of_text(text: &str) -> Self {
        Self(distinct(text.split([',', '\n'])))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("labels: a list of texts, or a text with commas")
    }

    fn visit_unit<E>(self) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Labels, E> {
        Ok(Labels::of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Labels, A::Error> {
        let (mut labels, mut bytes) = (Vec::new(), 0);
        while let Some(label) = list.next_element::<String>()? {
            // A list of many empty texts is long, too.
            bytes += label.len() + 1;
            if bytes > MAX_QUESTION {
                return Err(A::Error::custom(too_long()));
            }
            labels.push(label);
        }
        Ok(Labels(distinct(labels.iter().map(String::as_str))))
    }
}

/// Whether a model may be asked this.
///
/// # Errors
/// 400 if it is too long, or a label is not text on one line.
pub(super) fn check(task: &Task) -> Result<(), Refusal> {
    let text = match task {
        Task::Prompt { text, .. } => text.len(),
        _ => 0,
    };
    let labels = task.labels();
    if text + labels.iter().map(|label| label.len() + 1).sum::<usize>() > MAX_QUESTION {
        return Err(Refusal::bad(too_long()));
    }
    for label in labels {
        if label.chars().any(char::is_control) {
            return Err(Refusal::bad(format!(
                "the label {label:?} has control characters: a label is text on one line"
            )));
        }
        if label.len() > MAX_LABEL {
            let begin: String = label.chars().take(40).collect();
            return Err(Refusal::bad(format!(
                "the label {begin:?}... is longer than {MAX_LABEL} bytes"
            )));
        }
    }
    Ok(())
}

fn too_long() -> String {
    format!("the question is longer than {} kB: ask for fewer labels at once", MAX_QUESTION >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_a_list_or_a_text() {
        let read = |text: &str| serde_json::from_str::<Labels>(text);
        assert_eq!(read(r#"["a", " b ", "a"]"#).unwrap().0, ["a", "b"]);
        assert_eq!(read(r#""a, b,,a""#).unwrap().0, ["a", "b"]);
        assert!(read("null").unwrap().0.is_empty());
        assert!(read("7").unwrap_err().to_string().contains("a text with commas"));
        let many = format!("[{}\"a\"]", "\"\",".repeat(MAX_QUESTION));
        assert!(read(&many).unwrap_err().to_string().contains("64 kB"));
    }

    #[test]
    fn what_no_model_should_be_asked_is_refused() {
        let says = |task: Task| check(&task).err().map(|refusal| refusal.why().to_owned());
        assert_eq!(says(Task::Labels(vec!["red circle".into(), "é".into()])), None);
        for (task, why) in [
            (Task::Labels(vec!["a\u{1b}[2J".into()]), "control"),
            (Task::Phrase("a\nb".into()), "control"),
            (Task::Labels(vec!["é".repeat(600)]), "longer than 1024"),
            (Task::Labels((0..40_000).map(|index| index.to_string()).collect()), "64 kB"),
            (Task::Prompt { text: "x".repeat(MAX_QUESTION + 1), labels: vec![] }, "64 kB"),
        ] {
            assert!(says(task).unwrap().contains(why), "{why}");
        }
    }
}
