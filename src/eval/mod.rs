//! How good detections are, against boxes that people drew.
//!
//! In: a truth file (COCO instances) and the detections of a run or of a COCO results file. Out:
//! COCO's twelve figures, figures of every label, the best threshold by F1, the confusion of
//! labels, a calibration of the scores. Promises: the figures are those of pycocotools (computed by
//! hotcoco, held to it by a test); what could not be matched to the truth is counted and said; a
//! missing score is never taken for a number.
//!
//! ```
//! use gemscope::eval::{Predictions, Truth, evaluate};
//!
//! let truth = Truth::read("fixtures/coco/truth.json".as_ref(), None, &[])?;
//! let predictions = Predictions::of_results("fixtures/coco/results.json".as_ref(), &truth)?;
//! let (evaluation, _) = evaluate(&truth, &predictions, 0.5, 100, None)?;
//! assert!(evaluation.counts.images > 0);
//! # Ok::<(), gemscope::eval::EvalError>(())
//! ```

pub mod calibration;
mod confusion;
mod evaluator;
mod figures;
mod matches;
mod predictions;
mod reliability;
mod report;
mod svg;
mod truth;

use serde::Serialize;
use thiserror::Error;

pub use calibration::{LearnError, Learned, Sample, learn};
pub use confusion::Confusion;
pub use figures::{FIGURES, Figures, LabelFigures};
pub use matches::{Best, MOST, Matches, Outcome};
pub use predictions::{Prediction, Predictions, Scoring};
pub use reliability::Reliability;
pub use report::html;
pub use truth::Truth;

use crate::dataset::DatasetError;
use crate::journal::JournalError;
use crate::record::Platt;

/// Why detections cannot be evaluated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The truth or the results file cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The run's journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A label that the truth does not have.
    #[error("the truth has no label {label:?}; it has: {known}")]
    UnknownLabel {
        /// The kind of answer that was asked for.
        label: String,
        /// The labels that are there.
        known: String,
    },
    /// Nothing of the predictions is about the truth.
    #[error("no image of {predictions} is in {truth}: {hint}")]
    NothingInCommon {
        /// The run or the results file.
        predictions: String,
        /// The truth file.
        truth: String,
        /// Names or ids of both sides.
        hint: String,
    },
    /// A truth without a single box to find.
    #[error("{truth}: there is no box to find (of the labels that are evaluated)")]
    EmptyTruth {
        /// The truth file.
        truth: String,
    },
    /// The evaluation itself.
    #[error("hotcoco: {0}")]
    Hotcoco(String),
    /// The report cannot be made.
    #[error("the report: {0}")]
    Report(#[from] minijinja::Error),
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// The data of the evaluation.
    pub counts: Counts,
    /// COCO's twelve figures.
    pub figures: Figures,
    /// The figures of every label that the truth has boxes of, in the truth's order.
    pub labels: Vec<LabelFigures>,
    /// The IoU from which on a box counts as found, in everything below.
    pub iou: f64,
    /// The threshold with the best F1 over all labels together; `null` if there is nothing to find.
    pub best_f1: Option<Best>,
    /// The precision-recall curve over all labels (the mean of theirs), at recalls 0, 0.01, ... 1.
    pub precision: Vec<f64>,
    /// Which labels are taken for which, at the threshold of the best F1.
    pub confusion: Confusion,
    /// How well the scores agree with the share of right detections; `null` if they are no
    /// probabilities.
    pub reliability: Option<Reliability>,
    /// The same after the calibration that was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<Reliability>,
    /// Remarks for the reader.
    pub remarks: Vec<String>,
}

/// The data of the evaluation.
#[derive(Debug, Default, Serialize)]
pub struct Counts {
    /// Images of the truth.
    pub images: usize,
    /// Images of the truth that the predictions have no answer about: not among them, or failed.
    pub images_without_answer: usize,
    /// Boxes of the truth that are to be found, of the labels that are evaluated.
    pub truths: usize,
    /// Crowds in it, which count neither way.
    pub crowds: usize,
    /// Detections that were evaluated.
    pub detections: usize,
    /// Those of them that have no score.
    pub unscored: usize,
}

/// Evaluates `predictions` at `iou`, of every image and label at most the `most` best of them
/// (COCO's figures have their own number); `calibration` gives the thresholds and the reliability
/// after it.
///
/// # Errors
/// [`EvalError`].
pub fn evaluate(
    truth: &Truth,
    predictions: &Predictions,
    iou: f64,
    most: usize,
    calibration: Option<&Platt>,
) -> Result<(Evaluation, Matches), EvalError> {
    let mut remarks = truth.remarks.clone();
    remarks.extend(predictions.remarks.iter().cloned());
    let counts = Counts {
        images: truth.instances.images.len(),
        images_without_answer: predictions.images_without_answer,
        truths: truth.evaluated().filter(|annotation| !annotation.crowd).count(),
        crowds: truth.evaluated().filter(|annotation| annotation.crowd).count(),
        detections: predictions.detections.len(),
        unscored: predictions
            .detections
            .iter()
            .filter(|detection| detection.score.is_none())
            .count(),
    };
    if counts.truths == 0 {
        return Err(EvalError::EmptyTruth { truth: truth.instances.path.display().to_string() });
    }
    match counts.unscored {
        0 => {}
        all if all == counts.detections => remarks.push(
            "no detection has a score: they are ranked by their order alone (image, then place in \
             the answer), so AP says little; precision, \
             recall and F1 of all of them together do not depend on it"
                .into(),
        ),
        some => remarks.push(format!(
            "{some} of {} detections have no score: they are ranked behind all that have one, in \
             their order",
            counts.detections
        )),
    }
    let (figures, mut labels) = figures::figures(truth, predictions)?;
    let matches = Matches::find(truth, predictions, iou, most)?;
    if matches.beyond() > 0 {
        remarks.push(format!(
            "{} detections are beyond the {most} best of their image and label, and count in no \
             figure of F1, curves and confusion",
            matches.beyond()
        ));
    }
    for label in &mut labels {
        label.best_f1 = matches.best_f1(predictions, Some(label.category));
        label.precision.clone_from(&matches.curves[label.category]);
    }
    let mut best_f1 = matches.best_f1(predictions, None);
    let threshold = best_f1.as_ref().and_then(|best| best.threshold);
    let mut confusion = Confusion::count(truth, predictions, &matches, iou, threshold);
    let judged: Vec<_> = matches.judged(predictions).collect();
    let reliability = Reliability::of(judged.iter().map(|one| (one.score, one.right)));
    if reliability.is_none() && !judged.is_empty() {
        remarks.push(
            "some scores are outside 0 to 1: they rank the detections and are no probabilities"
                .into(),
        );
    }
    let calibrated = calibration.filter(|_| reliability.is_some()).and_then(|calibration| {
        Reliability::of(judged.iter().map(|one| (calibration.apply(one.score), one.right)))
    });
    if let Some(calibration) = calibration.filter(|_| reliability.is_some()) {
        // A calibration keeps the order, so that it moves thresholds and no other figure.
        confusion.threshold = confusion.threshold.map(|threshold| calibration.apply(threshold));
        let bests =
            best_f1.iter_mut().chain(labels.iter_mut().filter_map(|label| label.best_f1.as_mut()));
        for best in bests {
            best.threshold = best.threshold.map(|threshold| calibration.apply(threshold));
        }
    }
    let precision = matches.mean_curve();
    let evaluation = Evaluation {
        counts,
        figures,
        labels,
        iou,
        best_f1,
        precision,
        confusion,
        reliability,
        calibrated,
        remarks,
    };
    Ok((evaluation, matches))
}

/// Samples for a calibration: every detection with a score that counts. The half of an image is
/// decided by its name's hash.
pub fn samples(truth: &Truth, predictions: &Predictions, matches: &Matches) -> Vec<Sample> {
    let second_half = |image: usize| {
        let image = &truth.instances.images[image];
        let name = image.file_name.clone().unwrap_or_else(|| image.id.to_string());
        crate::digest::number(name) % 2 == 1
    };
    matches
        .judged(predictions)
        .map(|one| Sample {
            score: one.score,
            right: one.right,
            second_half: second_half(one.image),
        })
        .collect()
}
