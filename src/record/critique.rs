//! The part of a rubric that a run keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The part of a rubric that a run keeps: everything that the model's answers depend on. Weights,
/// rules and the values of words are not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueSettings {
    /// The axes that frames are asked about, and behind them those that they were asked about once.
    pub axes: Vec<AskedAxis>,
    /// The axes of records that do not name theirs, if other ones were asked since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<AskedAxis>,
    /// A frame is not read if the words of an axis have less than this of the probability.
    pub min_mass: f64,
}

/// One axis as it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedAxis {
    /// Its name.
    pub name: String,
    /// The user's text; `{clause}` stands for the part that differs from frame to frame.
    pub text: String,
    /// The words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// The labels of boxes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Which clauses are asked about, as JSON, if the rubric has rules of its own for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clauses: Option<String>,
    /// The question for the reason, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a frame was asked on each axis, by the axis's name: [`AskedAxis::mark`].
pub type AxisMarks = BTreeMap<String, String>;

impl AskedAxis {
    /// Whether the question is the same about every frame, and not about its own prompt.
    pub(super) fn is_same_of_every_frame(&self) -> bool {
        !self.text.contains("{clause}")
    }

    /// Identifies the question: a hash of it, then `/` and one of the labels, `+` and one of the
    /// question for the reason, if there are any.
    pub fn mark(&self) -> String {
        let clauses = self.clauses.as_deref().unwrap_or_default();
        let words = self.words.iter().map(String::as_str);
        let mut mark = hash([self.text.as_str(), clauses].into_iter().chain(words));
        if !self.labels.is_empty() {
            mark = format!("{mark}/{}", hash(self.labels.iter().map(String::as_str)));
        }
        if let Some(why) = &self.why {
            mark = format!("{mark}+{}", hash([why.as_str()]));
        }
        mark
    }
}

/// Whether the answer to the question that is marked `there` answers the one marked `wanted`. It
/// may have a reason that is not wanted; the labels of earlier versions are not known.
pub fn mark_covers(there: &str, wanted: &str) -> bool {
    let parts = |mark| {
        let (asked, why) = split(mark, '+');
        let (text, labels) = split(asked, '/');
        (text, labels, why)
    };
    let ((text, labels, why), wanted) = (parts(there), parts(wanted));
    text == wanted.0
        && (labels.is_none() || labels == wanted.1)
        && (wanted.2.is_none() || why == wanted.2)
}

fn split(mark: &str, at: char) -> (&str, Option<&str>) {
    mark.split_once(at).map_or((mark, None), |(before, after)| (before, Some(after)))
}

/// Of texts, 12 hex digits.
fn hash<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let first =
        hash.finalize().iter().take(6).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    format!("{first:012x}")
}

fn marks(axes: &[AskedAxis]) -> AxisMarks {
    axes.iter().map(|axis| (axis.name.clone(), axis.mark())).collect()
}

impl CritiqueSettings {
    /// Whether an axis asks for boxes: defects are found, everything else is answered with a word.
    pub fn asks_for_boxes(&self) -> bool {
        self.axes.iter().any(|axis| axis.words.is_empty())
    }

    /// The marks of the axes.
    pub fn marks(&self) -> AxisMarks {
        marks(&self.axes)
    }

    /// The marks of the axes of records that do not name theirs.
    pub fn first_marks(&self) -> AxisMarks {
        marks(if self.first.is_empty() { &self.axes } else { &self.first })
    }

    /// These of a run that was asked `earlier` before: an axis that is not asked any more stays,
    /// since its answers are there.
    pub(super) fn after(self, earlier: Self) -> Self {
        let min_mass = self.min_mass;
        let mut axes = Vec::with_capacity(earlier.axes.len());
        let mut other = false;
        let place = |name: &str, axes: &[AskedAxis]| axes.iter().position(|axis| axis.name == name);
        for there in &earlier.axes {
            let now = place(&there.name, &self.axes).map(|place| &self.axes[place]);
            let now = now.filter(|now| !mark_covers(&there.mark(), &now.mark()));
            other |= now.is_some();
            axes.push(now.unwrap_or(there).clone());
        }
        for added in &self.axes {
            if place(&added.name, &earlier.axes).is_none() {
                other = true;
                axes.push(added.clone());
            }
        }
        let first = if other && earlier.first.is_empty() { earlier.axes } else { earlier.first };
        Self { axes, first, min_mass }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, text: &str, why: Option<&str>) -> AskedAxis {
        AskedAxis {
            name: name.to_owned(),
            text: text.to_owned(),
            words: vec!["yes".to_owned(), "no".to_owned()],
            labels: Vec::new(),
            clauses: None,
            why: why.map(str::to_owned),
        }
    }

    fn settings(axes: Vec<AskedAxis>) -> CritiqueSettings {
        CritiqueSettings { axes, first: Vec::new(), min_mass: 0.05 }
    }

    #[test]
    fn marks_tell_questions_apart() {
        let plain = axis("a", "q", None);
        assert_eq!(plain.mark(), axis("b", "q", None).mark(), "the name asks nothing");
        let reason = axis("a", "q", Some("why?"));
        assert!(mark_covers(&reason.mark(), &plain.mark()));
        assert!(!mark_covers(&plain.mark(), &reason.mark()));
        assert!(!mark_covers(&axis("a", "r", None).mark(), &plain.mark()));
        let mut words = plain.clone();
        words.words.push("none".to_owned());
        assert!(!mark_covers(&words.mark(), &plain.mark()));
        let clauses = AskedAxis { clauses: Some("{}".to_owned()), ..plain.clone() };
        assert!(!mark_covers(&clauses.mark(), &plain.mark()));
        let [cat, dog] = ["cat", "dog"]
            .map(|label| AskedAxis { labels: vec![label.to_owned()], ..plain.clone() });
        assert!(!mark_covers(&cat.mark(), &dog.mark()));
        assert!(mark_covers(&plain.mark(), &dog.mark()), "an earlier version did not write them");
    }

    #[test]
    fn what_was_asked_once_stays_in_the_settings() {
        let earlier = settings(vec![axis("a", "q", Some("why?")), axis("b", "q", None)]);
        assert_eq!(settings(vec![axis("a", "q", None)]).after(earlier.clone()), earlier);
        let changed = settings(vec![axis("c", "q", None), axis("b", "r", None)]);
        let now = changed.after(earlier.clone());
        let names: Vec<&str> = now.axes.iter().map(|axis| axis.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!((now.axes[1].text.as_str(), &now.first), ("r", &earlier.axes));
        assert_eq!(now.first_marks(), earlier.marks());
        let again = settings(vec![axis("b", "s", None)]).after(now);
        assert_eq!(again.first, earlier.axes, "of the first records, not of the last change");
    }
}
