//! The part of a rubric that a run keeps, and what another rubric makes of the run's answers.
//!
//! In: a rubric, the settings and records of earlier ones. Out: which axes are to be asked about,
//! and the record of a frame that was asked about some of them now and about others earlier.
//! Promises: an answer counts for the question that it was given to, and for no other; an answer
//! that nobody asked for again stays.

use std::collections::BTreeSet;

use thiserror::Error;

use super::clauses::ClauseRules;
use super::rubric::{Axis, Kind, Rubric};
use crate::answer;
use crate::record::{
    AnswerStatus, AskedAxis, AxisMarks, CritiqueSettings, Rating, Record, mark_covers,
};

impl CritiqueSettings {
    /// The settings of `rubric`.
    pub fn of(rubric: &Rubric) -> Self {
        let asked = |axis: &Axis| AskedAxis {
            name: axis.name.clone(),
            text: rubric.text(axis, Some("{clause}")),
            words: axis.words(),
            labels: match &axis.kind {
                Kind::Defects { labels } => labels.clone(),
                _ => Vec::new(),
            },
            clauses: (axis.asks_clauses() && rubric.clauses != ClauseRules::default())
                .then(|| serde_json::to_string(&rubric.clauses).ok())
                .flatten(),
            why: axis.why.then(|| match axis.kind {
                Kind::Defects { .. } => rubric.explain_text(),
                _ => rubric.reason_text(axis, Some("{clause}"), "{word}"),
            }),
        };
        Self {
            axes: rubric.axes.iter().map(asked).collect(),
            first: Vec::new(),
            min_mass: rubric.min_mass,
        }
    }

    /// Checks that `rubric` can judge the answers to these questions: it may leave axes out, and
    /// weigh and judge them otherwise.
    ///
    /// # Errors
    /// [`OtherQuestions`] if an axis was asked in other words, without its reason, or not at all.
    pub fn check(&self, rubric: &Rubric) -> Result<(), OtherQuestions> {
        let other = self.other(&Self::of(rubric));
        if other == OtherQuestions::default() { Ok(()) } else { Err(other) }
    }

    /// The axes of `now` that these do not answer.
    pub fn other(&self, now: &Self) -> OtherQuestions {
        let (mut other, there) = (OtherQuestions::default(), self.marks());
        for wanted in &now.axes {
            let (name, mark) = (wanted.name.clone(), wanted.mark());
            match there.get(&wanted.name) {
                None => other.added.push(name),
                Some(there) if mark_covers(there, &mark) => {}
                Some(there) if mark_covers(there, without_why(&mark)) => other.reasons.push(name),
                Some(_) => other.changed.push(name),
            }
        }
        other
    }
}

fn without_why(mark: &str) -> &str {
    mark.split_once('+').map_or(mark, |(asked, _)| asked)
}

/// A rubric that asks something else than the frames of a run were asked.
#[derive(Debug, Default, PartialEq, Eq, Error)]
#[error(
    "the frames of this run were asked other questions, and old answers are no answers to new \
     ones:{}{}{}",
    named(" asked in other words: ", changed),
    named(" asked without the reason: ", reasons),
    named(" not asked: ", added)
)]
pub struct OtherQuestions {
    /// Axes that were asked in other words, or with other words to choose from.
    pub changed: Vec<String>,
    /// Axes that were asked in the same words, but not for the reason.
    pub reasons: Vec<String>,
    /// Axes that were not asked at all.
    pub added: Vec<String>,
}

fn named(what: &str, axes: &[String]) -> String {
    if axes.is_empty() { String::new() } else { format!("{what}{};", axes.join(", ")) }
}

/// The axes of `wanted` that a frame with the marks `there` has no answer about.
pub fn unanswered<'w>(wanted: &'w AxisMarks, there: &AxisMarks) -> BTreeSet<&'w str> {
    let answers = |name: &String, mark: &String| {
        there.get(name).is_some_and(|there| mark_covers(there, mark))
    };
    wanted
        .iter()
        .filter(|(name, mark)| !answers(name, mark))
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Whether the answer about an axis with the mark `wanted` is in `record`; one without any marks
/// was not made by a run, and is trusted. A reason changes no figure.
pub(super) fn answers(record: &Record, axis: &str, wanted: &AxisMarks) -> Option<bool> {
    let (there, wanted) = (record.axes.get(axis)?, wanted.get(axis)?);
    Some(mark_covers(there, without_why(wanted)))
}

/// Puts ratings into the record of their frame, which already holds its boxes. A frame is `refused`
/// if the model would have answered something else about an axis.
pub fn rate_into(record: &mut Record, ratings: Vec<Rating>, settings: &CritiqueSettings) {
    if record.answers.is_empty() {
        // Nothing was to be found; that it is empty would say that nothing was.
        record.status = AnswerStatus::Ok;
    }
    record.ratings = ratings;
    refuse_without_mass(record, settings);
}

fn refuse_without_mass(record: &mut Record, settings: &CritiqueSettings) {
    if record.ratings.iter().any(|rating| rating.mass < settings.min_mass) {
        record.status = AnswerStatus::Refused;
    }
}

/// Puts what was answered `earlier` about a frame into the record of `now`, which was asked about
/// other axes only; what both were asked about is as it is now. Boxes do not say which axis they
/// are of: those of axes that are not asked about any more are told by their labels.
pub fn complete(now: &mut Record, earlier: Record, settings: &CritiqueSettings) {
    let (asked, looked) = (std::mem::take(&mut now.axes), !now.answers.is_empty());
    let is_new = |axis: &str| asked.contains_key(axis);
    let kept = earlier.ratings.iter().filter(|rating| !is_new(&rating.axis)).cloned();
    now.ratings = kept.chain(std::mem::take(&mut now.ratings)).collect();
    let status = |record: &Record| match record.status {
        AnswerStatus::Refused => status_of_boxes(record),
        status => status,
    };
    now.status = if looked { status(now) } else { status(&earlier) };
    let is_not_asked_again = |(axis, mark): (&String, &String)| !is_new(axis) && looks(mark);
    if looked && earlier.axes.iter().any(is_not_asked_again) {
        let labels = now.asked.clone().unwrap_or_default();
        let others = earlier.detections.into_iter().filter(|found| !labels.contains(&found.label));
        now.detections.extend(others);
        let before = earlier.asked.into_iter().flatten().filter(|label| !labels.contains(label));
        let before: Vec<String> = before.collect();
        now.asked.get_or_insert_default().extend(before);
        let again: BTreeSet<&str> =
            now.answers.iter().map(|answer| answer.prompt.as_str()).collect();
        let kept = earlier.answers.into_iter().filter(|answer| !again.contains(&*answer.prompt));
        let kept: Vec<_> = kept.collect();
        now.answers.extend(kept);
    } else if !looked {
        // It says which frame the boxes are in.
        now.animation = earlier.animation;
        (now.detections, now.points) = (earlier.detections, earlier.points);
        (now.answers, now.asked, now.notes) = (earlier.answers, earlier.asked, earlier.notes);
    }
    now.axes = earlier.axes;
    now.axes.extend(asked);
    refuse_without_mass(now, settings);
}

/// Whether a mark is of an axis that looks for boxes.
pub fn looks(mark: &str) -> bool {
    mark.contains('/')
}

/// How the list of boxes ended in a frame that is `refused`, for which a rating may be the reason.
fn status_of_boxes(record: &Record) -> AnswerStatus {
    let parsed =
        record.answers.iter().map(|answer| answer::parse(&answer.text, answer.ended).status);
    parsed.max_by_key(|status| status.severity()).unwrap_or(AnswerStatus::Ok)
}

/// Whether the list of defects of a frame cannot be relied on. A frame that is `refused` may be so
/// for a rating; then the boxes, or their answers, say it.
pub(super) fn boxes_were_not_read(record: &Record) -> bool {
    match record.status {
        AnswerStatus::Ok | AnswerStatus::Empty | AnswerStatus::Salvaged => false,
        AnswerStatus::Refused => {
            record.detections.is_empty() && status_of_boxes(record) == AnswerStatus::Refused
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Note, NoteKind, ShownAnimation};

    /// It was answered about under its present name.
    #[test]
    fn a_frame_that_is_asked_again_where_it_was_moved_to_has_no_other_name() {
        let record = |image: &str| Record::failed(image.to_owned(), String::new());
        let shown = ShownAnimation { total_frames: 4, frames: vec![0, 3], boxes_of: Some(3) };
        let earlier = Record {
            moved_from: Some("a.png".to_owned()),
            animation: Some(Box::new(shown.clone())),
            notes: vec![Note::new(NoteKind::AnimatedTogether, 1)],
            ..record("keep/a.png")
        };
        let mut now = record("keep/a.png");
        let settings = CritiqueSettings { axes: Vec::new(), first: Vec::new(), min_mass: 0.0 };
        complete(&mut now, earlier, &settings);
        assert_eq!((now.image.as_str(), now.moved_from), ("keep/a.png", None));
        assert_eq!(now.animation.as_deref(), Some(&shown), "its boxes are those of earlier");
    }
}
