//! The summary of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::engine::Effort;
use crate::export::Selection;
use crate::record::{AnswerStatus, MinScore, NoteKind};
use crate::run::Outcome;
use crate::source::Besides;

/// An image without an answer.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Its name.
    pub image: String,
    /// Why.
    pub reason: String,
}

/// The figures of a run, for a table at its end or for JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The name of the model that answered.
    pub model: String,
    /// Images of the run.
    pub images: usize,
    /// Images that keep the record of an earlier run into the same directory: answered, or failed
    /// and not tried again.
    pub resumed: usize,
    /// Images that this process asked about, or found that it cannot.
    pub done: usize,
    /// Frames of a critique that keep their earlier answers, since they could not be asked again on
    /// axes that have changed or are new.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_asked_again: usize,
    /// Images that were not come to, since the run was stopped. The same command goes on with them.
    pub left: usize,
    /// Whether the run was stopped before its last image.
    pub stopped: bool,
    /// Those of them whose files have other names now.
    pub moved: usize,
    /// Images that are not there any more. Unless they are kept on request, nothing else here
    /// counts them.
    pub missing: usize,
    /// Files that the inputs hold besides the images.
    #[serde(flatten)]
    pub besides: Besides,
    /// Images that failed because too few of their rows are there.
    pub too_few_rows: usize,
    /// How many images ended with each status.
    pub statuses: BTreeMap<AnswerStatus, usize>,
    /// Boxes that the run's filters show.
    pub detections: usize,
    /// Boxes that are left out for a score below `min_score`, or for having none.
    pub left_out_by_score: usize,
    /// The least score of a box.
    pub min_score: f64,
    /// Those of single labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min_scores: BTreeMap<String, f64>,
    /// Whether that is the default of the kind of score.
    pub min_score_is_default: bool,
    /// Boxes and points of each label; labels that were asked for and not found are there with 0.
    pub labels: BTreeMap<String, usize>,
    /// Boxes that were put right or left out, by kind.
    pub notes: BTreeMap<NoteKind, usize>,
    /// Images that became less than half as wide or high as they are.
    pub shrunk_below_half: usize,
    /// Images whose EXIF orientation is not 1: their boxes may be misplaced in a tool that ignores
    /// EXIF.
    pub turned_by_exif: usize,
    /// Images without an answer.
    pub failures: Vec<Failure>,
    /// Wall time in seconds from the first file to the last record.
    pub wall_seconds: f64,
    /// Seconds of it inside ONNX Runtime, summed over all engines.
    pub onnx_runtime_seconds: f64,
    /// How many engines ran side by side, one a device.
    pub engines: usize,
    /// The work of the engines.
    pub effort: Effort,
    /// `done` a second of wall time.
    pub images_per_second: f64,
    /// The files that were written.
    pub written: Vec<PathBuf>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Summary {
    /// Adds how the run went.
    pub fn add_outcome(&mut self, outcome: &Outcome) {
        self.resumed = outcome.resumed;
        self.moved = outcome.moved;
        self.done = outcome.done;
        self.not_asked_again = outcome.not_asked_again;
        self.left = outcome.left;
        self.stopped = outcome.left > 0;
        self.wall_seconds = outcome.wall.as_secs_f64();
        self.onnx_runtime_seconds = outcome.onnx_runtime.as_secs_f64();
        self.engines = outcome.engines;
        self.effort = outcome.effort;
        self.images_per_second =
            if self.wall_seconds > 0.0 { outcome.done as f64 / self.wall_seconds } else { 0.0 };
    }

    /// The share of the engines' time that was not spent inside ONNX Runtime, from 0 to 1.
    pub fn share_outside_onnx_runtime(&self) -> f64 {
        let time = self.wall_seconds * self.engines as f64;
        if time > 0.0 { (1.0 - self.onnx_runtime_seconds / time).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Counts the exported part of the run of `model`; times and paths are left to the caller.
    pub fn count(selection: &Selection, model: &str) -> Self {
        let Selection { records, labels: asked, min_score, .. } = selection;
        let mut summary = Self {
            model: model.to_owned(),
            images: records.len(),
            resumed: 0,
            done: 0,
            not_asked_again: 0,
            left: 0,
            stopped: false,
            moved: 0,
            missing: 0,
            besides: Besides::default(),
            too_few_rows: 0,
            statuses: BTreeMap::new(),
            detections: 0,
            left_out_by_score: selection.left_out_by_score(),
            min_score: min_score.map_or(0.0, MinScore::least),
            min_scores: selection.min_scores.clone(),
            min_score_is_default: matches!(min_score, Some(MinScore::Default(_))),
            labels: asked.iter().map(|label| (label.clone(), 0)).collect(),
            notes: BTreeMap::new(),
            shrunk_below_half: 0,
            turned_by_exif: 0,
            failures: Vec::new(),
            wall_seconds: 0.0,
            onnx_runtime_seconds: 0.0,
            engines: 0,
            effort: Effort::default(),
            images_per_second: 0.0,
            written: Vec::new(),
        };
        for record in records {
            *summary.statuses.entry(record.status).or_default() += 1;
            summary.detections += record.detections.len();
            for detection in &record.detections {
                *summary.labels.entry(detection.label.clone()).or_default() += 1;
            }
            for point in &record.points {
                *summary.labels.entry(point.label.clone()).or_default() += 1;
            }
            for note in &record.notes {
                *summary.notes.entry(note.kind).or_default() += note.count;
            }
            let halved = |resized: u32, original: u32| u64::from(resized) * 2 < u64::from(original);
            let shrunk = record.answers.iter().filter_map(|answer| answer.tokens).any(|tokens| {
                halved(tokens.resized[0], record.width) || halved(tokens.resized[1], record.height)
            });
            // A frame of a whole video has one budget, by the model's own rule.
            summary.shrunk_below_half += usize::from(shrunk && record.clip.is_none());
            summary.turned_by_exif += usize::from(record.orientation != 1);
            if record.status == AnswerStatus::Failed {
                let is_cut = record.notes.iter().any(|note| note.kind == NoteKind::TruncatedImage);
                summary.too_few_rows += usize::from(is_cut);
                let reason = record.reason.clone().unwrap_or_default();
                summary.failures.push(Failure { image: record.image.clone(), reason });
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::{Answer, BBox, Detection, Ended, Note, Record, TokenCounts};

    fn outcome(done: usize, left: usize, onnx_runtime: u64, engines: usize) -> Outcome {
        let (wall, onnx_runtime) = (Duration::from_secs(10), Duration::from_secs(onnx_runtime));
        Outcome {
            resumed: 100,
            moved: 0,
            done,
            not_asked_again: 0,
            left,
            wall,
            onnx_runtime,
            engines,
            effort: Effort::default(),
        }
    }

    #[test]
    fn the_speed_is_of_images_that_were_done() {
        let mut summary = Summary::count(&Selection::default(), "none");
        summary.add_outcome(&outcome(5, 235, 9, 1));
        assert!((summary.images_per_second - 0.5).abs() < 1e-12);
        assert_eq!((summary.resumed, summary.left, summary.stopped), (100, 235, true));
        summary.add_outcome(&outcome(0, 0, 0, 1));
        assert_eq!((summary.images_per_second, summary.stopped), (0.0, false));
    }

    #[test]
    fn the_share_outside_onnx_runtime_is_one_of_all_engines_time() {
        let mut summary = Summary::count(&Selection::default(), "none");
        assert!(summary.share_outside_onnx_runtime() == 0.0);
        summary.add_outcome(&outcome(5, 0, 30, 4));
        assert!((summary.share_outside_onnx_runtime() - 0.25).abs() < 1e-12);
        // Clocks that are read one after the other may differ by a little.
        summary.add_outcome(&outcome(5, 0, 11, 1));
        assert!(summary.share_outside_onnx_runtime() == 0.0);
    }

    #[test]
    fn a_run_of_no_time_has_no_speed() {
        let mut summary = Summary::count(&Selection::default(), "none");
        summary.add_outcome(&Outcome { wall: Duration::ZERO, ..outcome(0, 0, 0, 1) });
        assert!(summary.images_per_second == 0.0);
        summary.add_outcome(&Outcome { moved: 3, ..outcome(7, 1, 4, 2) });
        assert_eq!((summary.done, summary.moved, summary.engines), (7, 3, 2));
        assert_eq!((summary.wall_seconds, summary.onnx_runtime_seconds), (10.0, 4.0));
    }

    /// A record of an image of 1000 x 500 pixels that was shown resized.
    fn record(image: &str, status: AnswerStatus, resized: [u32; 2], labels: &[&str]) -> Record {
        let bbox = BBox { x0: 1.0, y0: 1.0, x1: 9.0, y1: 9.0 };
        let tokens =
            TokenCounts { budget: 280, resized, soft_tokens: Some(9), prompt: 20, answer: 10 };
        let answer = Answer {
            view: BBox::whole(1000, 500),
            prompt: String::new(),
            text: String::new(),
            ended: Ended::StopToken,
            tokens: Some(tokens),
        };
        Record {
            status,
            width: 1000,
            height: 500,
            reason: None,
            detections: labels
                .iter()
                .map(|label| Detection::new((*label).to_owned(), bbox))
                .collect(),
            answers: vec![answer],
            ..Record::failed(image.to_owned(), String::new())
        }
    }

    #[test]
    fn what_is_shown_is_counted() {
        let plain = record("a.png", AnswerStatus::Ok, [1000, 500], &["cat", "cat", "dog"]);
        let clamped = [Note::new(NoteKind::Clamped, 2), Note::new(NoteKind::LowScoreDropped, 4)];
        let mut turned = record("b.png", AnswerStatus::Ok, [1000, 500], &["cat"]);
        (turned.orientation, turned.notes) = (6, clamped.to_vec());
        let empty = record("c.png", AnswerStatus::Empty, [1000, 500], &[]);
        // Cut off, but most of it is there.
        let mut most = record("d.png", AnswerStatus::Ok, [1000, 500], &[]);
        most.notes = vec![Note::new(NoteKind::TruncatedImage, 1)];
        let mut cut = Record::failed("e.png".into(), "half of it".into());
        cut.notes = vec![Note::new(NoteKind::Clamped, 1), Note::new(NoteKind::TruncatedImage, 1)];
        let mut other = Record::failed("f.png".into(), "no image".into());
        other.notes = vec![Note::new(NoteKind::Clamped, 1)];
        let selection = Selection {
            records: vec![plain, turned, empty, most, cut, other],
            labels: vec!["bird".into(), "cat".into()],
            counts: [(NoteKind::LowScoreDropped, 4), (NoteKind::UnscoredDropped, 1)].into(),
            min_score: Some(MinScore::Asked(0.3)),
            ..Selection::default()
        };
        let summary = Summary::count(&selection, "one");
        assert_eq!((summary.model.as_str(), summary.images, summary.detections), ("one", 6, 4));
        let statuses = [(AnswerStatus::Ok, 3), (AnswerStatus::Empty, 1), (AnswerStatus::Failed, 2)];
        assert_eq!(summary.statuses, statuses.into());
        let labels =
            [("bird", 0), ("cat", 3), ("dog", 1)].map(|(label, count)| (label.to_owned(), count));
        assert_eq!(summary.labels, labels.into());
        let notes =
            [(NoteKind::Clamped, 4), (NoteKind::LowScoreDropped, 4), (NoteKind::TruncatedImage, 2)];
        assert_eq!(summary.notes, notes.into());
        assert_eq!(
            (summary.turned_by_exif, summary.too_few_rows, summary.left_out_by_score),
            (1, 1, 5)
        );
        let failures: Vec<(&str, &str)> = summary
            .failures
            .iter()
            .map(|failure| (failure.image.as_str(), failure.reason.as_str()))
            .collect();
        assert_eq!(failures, [("e.png", "half of it"), ("f.png", "no image")]);
        assert_eq!((summary.min_score, summary.min_score_is_default), (0.3, false));
        let default =
            Selection { min_score: Some(MinScore::Default(0.05)), ..Selection::default() };
        let summary = Summary::count(&default, "one");
        assert_eq!((summary.min_score, summary.min_score_is_default), (0.05, true));
        assert!(!Summary::count(&Selection::default(), "one").min_score_is_default);
    }

    #[test]
    fn an_image_is_shrunk_if_one_of_its_sides_is_less_than_half() {
        let shrunk = |resized: [u32; 2]| {
            let records = vec![record("a.png", AnswerStatus::Ok, resized, &[])];
            Summary::count(&Selection { records, ..Selection::default() }, "one").shrunk_below_half
        };
        assert_eq!((shrunk([500, 250]), shrunk([499, 250]), shrunk([500, 249])), (0, 1, 1));
        assert_eq!((shrunk([2000, 1000]), shrunk([3, 2])), (0, 1));
        // Several views of one image are one image.
        let mut several = record("a.png", AnswerStatus::Ok, [1000, 500], &[]);
        several
            .answers
            .extend([100, 200].map(|side| {
                record("a.png", AnswerStatus::Ok, [side, side], &[]).answers.remove(0)
            }));
        let selection = Selection { records: vec![several], ..Selection::default() };
        assert_eq!(Summary::count(&selection, "one").shrunk_below_half, 1);
    }
}
