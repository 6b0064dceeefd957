//! The frames of an animation that are judged together.
//!
//! In: the views of an image, and what is asked; the answers about them. Out: which views are shown
//! together, and one record of all answers. Promises: all frames are rated together; boxes are
//! looked for in each, and counted in the frame that has the most; no raw answer is lost.

use std::sync::Arc;

use crate::answer::{self, Reading};
use crate::engine::{ImageQuestions, ShownView};
use crate::record::{AnswerStatus, Record, Rules};

/// Views that are shown together, and what is asked about them.
pub(super) type Group = (Vec<ShownView>, Arc<ImageQuestions>);

/// The views of an image, as they are shown: each by itself, but the frames of a whole video
/// together. Of an animation all frames are rated together, and boxes are looked for in each.
pub(super) fn groups(
    record: &Record,
    views: Vec<ShownView>,
    asked: &Arc<ImageQuestions>,
) -> Vec<Group> {
    if record.clip.is_some() {
        return vec![(views, Arc::clone(asked))];
    }
    let single = |views: Vec<ShownView>, asked: &Arc<ImageQuestions>| -> Vec<Group> {
        views.into_iter().map(|view| (vec![view], Arc::clone(asked))).collect()
    };
    if record.animation.is_none() {
        return single(views, asked);
    }
    let [finds, rates] = asked.split().map(Arc::new);
    let is_asked = |asked: &ImageQuestions| !asked.questions.is_empty();
    let mut groups = if is_asked(&finds) { single(views.clone(), &finds) } else { Vec::new() };
    if is_asked(&rates) {
        groups.push((views, rates));
    }
    groups
}

/// Reads the answers about each frame of an animation into its record: all are kept, the worst
/// status is the record's, and the boxes are those of the frame that has the most.
pub(super) fn read_animation(record: &mut Record, frames: Vec<Vec<Reading>>, rules: &Rules) {
    let (mut answers, mut worst) = (Vec::new(), None::<(usize, Record)>);
    let mut status = AnswerStatus::Ok;
    for (place, readings) in frames.into_iter().filter(|readings| !readings.is_empty()).enumerate()
    {
        let mut one = record.clone();
        answer::read_into(&mut one, readings, rules);
        answers.append(&mut one.answers);
        status = if place == 0 || one.status.severity() > status.severity() {
            one.status
        } else {
            status
        };
        if worst.as_ref().is_none_or(|(_, worst)| worst.detections.len() < one.detections.len()) {
            worst = Some((place, one));
        }
    }
    let Some((place, one)) = worst else {
        return answer::read_into(record, Vec::new(), rules);
    };
    *record = Record { status, answers, ..one };
    if let Some(shown) = &mut record.animation {
        shown.boxes_of = shown.frames.get(place).copied();
    }
}
