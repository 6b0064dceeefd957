//! The part of a rubric that a run keeps, and whether another rubric can judge the run's answers.

use thiserror::Error;

use super::rubric::{Axis, Kind, Rubric};
use crate::record::{AnswerStatus, AskedAxis, CritiqueSettings, Rating, Record};

impl CritiqueSettings {
    /// The settings of `rubric`.
    pub fn of(rubric: &Rubric) -> Self {
        let asked = |axis: &Axis| AskedAxis {
            name: axis.name.clone(),
            text: rubric.text(axis, Some("{clause}")),
            words: axis.words(),
            why: axis.why.then(|| match axis.kind {
                Kind::Defects { .. } => rubric.explain_text(),
                _ => rubric.reason_text(axis, Some("{clause}"), "{word}"),
            }),
        };
        Self { axes: rubric.axes.iter().map(asked).collect(), min_mass: rubric.min_mass }
    }

    /// Checks that `rubric` can judge the answers to these questions: it may leave axes out, and
    /// weigh and judge them otherwise.
    ///
    /// # Errors
    /// [`OtherQuestions`] if an axis was asked in other words, or not at all.
    pub fn check(&self, rubric: &Rubric) -> Result<(), OtherQuestions> {
        let mut other = OtherQuestions { changed: Vec::new(), added: Vec::new() };
        for wanted in Self::of(rubric).axes {
            match self.axes.iter().find(|asked| asked.name == wanted.name) {
                None => other.added.push(wanted.name),
                Some(asked) if (&asked.text, &asked.words) != (&wanted.text, &wanted.words) => {
                    other.changed.push(wanted.name);
                }
                Some(_) => {}
            }
        }
        if other.changed.is_empty() && other.added.is_empty() { Ok(()) } else { Err(other) }
    }
}

/// A rubric that asks something else than the frames of a run were asked.
#[derive(Debug, Error)]
#[error(
    "the frames of this run were asked other questions, and old answers are no answers to new \
     ones:{}{}",
    named(" asked in other words: ", changed),
    named(" not asked: ", added)
)]
pub struct OtherQuestions {
    /// Axes that were asked in other words, or with other words to choose from.
    pub changed: Vec<String>,
    /// Axes that were not asked at all.
    pub added: Vec<String>,
}

fn named(what: &str, axes: &[String]) -> String {
    if axes.is_empty() { String::new() } else { format!("{what}{};", axes.join(", ")) }
}

/// Puts ratings into the record of their frame, which already holds its boxes. A frame is `refused`
/// if the model would have answered something else about an axis.
pub fn rate_into(record: &mut Record, ratings: Vec<Rating>, settings: &CritiqueSettings) {
    let unread = ratings.iter().any(|rating| rating.mass < settings.min_mass);
    if unread {
        record.status = AnswerStatus::Refused;
    } else if record.answers.is_empty() {
        // Nothing was to be found; that it is empty would say that nothing was.
        record.status = AnswerStatus::Ok;
    }
    record.ratings = ratings;
}
