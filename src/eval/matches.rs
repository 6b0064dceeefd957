//! Which detection found which box.
//!
//! In: a truth, predictions and an IoU. Out: of every detection whether it is right, and from that
//! F1 and precision-recall curves. Promises: COCO's matching (best score first, each truth once,
//! crowds count neither way).

use hotcoco::AreaRange;
use serde::Serialize;

use super::evaluator::{evaluator, place};
use super::{EvalError, Predictions, Truth};

/// The most detections of an image and a label that count, as in COCO.
pub const MOST: usize = 100;

/// The outcome of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It found the truth in this place.
    Right(usize),
    /// It found nothing.
    Wrong,
    /// It lies in a crowd and counts neither way.
    InCrowd,
    /// It is beyond the best of its image and label.
    Beyond,
}

/// All of them.
pub struct Matches {
    /// In the order of the predictions.
    pub outcomes: Vec<Outcome>,
    /// For each category, the number of boxes to find.
    pub truths: Vec<usize>,
    /// For each category, its precision at recalls 0, 0.01, ... 1; empty if there is nothing to
    /// find.
    pub curves: Vec<Vec<f64>>,
}

/// A detection with a score that counts.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// Place of its image in the truth.
    pub image: usize,
    /// Its score.
    pub score: f64,
    /// Whether it found something.
    pub right: bool,
}

/// The threshold with the best F1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Best {
    /// Detections with this score or a higher one are kept; `null`: all of them, scored or not.
    pub threshold: Option<f64>,
    /// The part of them that is right.
    pub precision: f64,
    /// The part of the truth that they found.
    pub recall: f64,
    /// 2 P R / (P + R).
    pub f1: f64,
}

impl Matches {
    /// Matches at `iou` the best detections of every image and label, at `most` that many.
    pub(super) fn find(
        truth: &Truth,
        predictions: &Predictions,
        iou: f64,
        most: usize,
    ) -> Result<Self, EvalError> {
        let mut evaluator = evaluator(truth, predictions)?;
        evaluator.params.iou_thrs = vec![iou];
        evaluator.params.max_dets = vec![most];
        evaluator.params.area_ranges =
            vec![AreaRange { label: "all".into(), range: [0.0, f64::INFINITY] }];
        evaluator.evaluate().map_err(|error| EvalError::Hotcoco(error.to_string()))?;
        evaluator.accumulate();
        let mut outcomes = vec![Outcome::Beyond; predictions.detections.len()];
        for image in evaluator.eval_imgs().iter().flatten() {
            for (d, detection) in image.dt_ids.iter().enumerate() {
                outcomes[place(*detection)] = if image.dt_ignore[(0, d)] {
                    Outcome::InCrowd
                } else if image.dt_matched[(0, d)] {
                    Outcome::Right(place(image.dt_matches[(0, d)]))
                } else {
                    Outcome::Wrong
                };
            }
        }
        let categories = truth.instances.categories.len();
        let mut truths = vec![0; categories];
        for annotation in truth.evaluated().filter(|annotation| !annotation.crowd) {
            truths[annotation.category] += 1;
        }
        let mut curves = vec![Vec::new(); categories];
        if let Some(accumulated) = evaluator.accumulated() {
            for (k, id) in
                accumulated.cat_ids.iter().enumerate().filter(|(_, id)| truths[place(**id)] > 0)
            {
                curves[place(*id)] = (0..accumulated.shape.r)
                    .map(|r| {
                        accumulated.precision[accumulated.precision_idx(0, r, k, 0, 0)].max(0.0)
                    })
                    .collect();
            }
        }
        Ok(Self { outcomes, truths, curves })
    }

    /// Detections that COCO does not look at.
    pub(super) fn beyond(&self) -> usize {
        self.outcomes.iter().filter(|outcome| **outcome == Outcome::Beyond).count()
    }

    /// The detections that have a score and count, in their order.
    pub fn judged<'m>(&'m self, predictions: &'m Predictions) -> impl Iterator<Item = Judged> + 'm {
        predictions.detections.iter().zip(&self.outcomes).filter_map(|(detection, outcome)| {
            let right = match outcome {
                Outcome::Right(_) => true,
                Outcome::Wrong => false,
                Outcome::InCrowd | Outcome::Beyond => return None,
            };
            Some(Judged { image: detection.image, score: detection.score?, right })
        })
    }

    /// The best F1 of a category, or of all together; `None` if there is nothing to find.
    pub(super) fn best_f1(
        &self,
        predictions: &Predictions,
        category: Option<usize>,
    ) -> Option<Best> {
        let truths =
            category.map_or_else(|| self.truths.iter().sum(), |category| self.truths[category]);
        let judged =
            predictions.detections.iter().zip(&self.outcomes).filter_map(|(detection, outcome)| {
                let counts = matches!(outcome, Outcome::Right(_) | Outcome::Wrong);
                let wanted = category.is_none_or(|category| detection.category == category);
                (counts && wanted)
                    .then_some((detection.score, matches!(outcome, Outcome::Right(_))))
            });
        best_f1(judged.collect(), truths)
    }

    /// The mean of the labels' curves, as COCO's AP averages them.
    pub(super) fn mean_curve(&self) -> Vec<f64> {
        let curves: Vec<&Vec<f64>> = self.curves.iter().filter(|curve| !curve.is_empty()).collect();
        let points = curves.first().map_or(0, |curve| curve.len());
        (0..points)
            .map(|r| curves.iter().map(|curve| curve[r]).sum::<f64>() / curves.len() as f64)
            .collect()
    }
}

/// The threshold with the best F1 of detections that are right or wrong. Of equal ones the highest
/// threshold. A detection keeps its outcome whatever is left out below it, since the best scores
/// choose first.
fn best_f1(mut judged: Vec<(Option<f64>, bool)>, truths: usize) -> Option<Best> {
    if truths == 0 {
        return None;
    }
    // The best first, those without a score last.
    judged.sort_by(|(a, _), (b, _)| {
        b.is_some().cmp(&a.is_some()).then(b.unwrap_or(0.0).total_cmp(&a.unwrap_or(0.0)))
    });
    let mut best = Best { threshold: None, precision: 0.0, recall: 0.0, f1: 0.0 };
    let mut right = 0;
    for (place, &(score, is_right)) in judged.iter().enumerate() {
        right += usize::from(is_right);
        // A threshold cannot part equal scores.
        if judged.get(place + 1).is_some_and(|next| next.0 == score) {
            continue;
        }
        let (right, kept, truths) = (right as f64, (place + 1) as f64, truths as f64);
        let f1 = 2.0 * right / (kept + truths);
        if f1 > best.f1 {
            best = Best { threshold: score, precision: right / kept, recall: right / truths, f1 };
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_f1_keeps_equal_scores_together() {
        let at = |score: f64, right: bool| (Some(score), right);
        let best =
            best_f1(vec![at(0.5, false), at(0.9, true), at(0.5, true), at(0.1, false)], 2).unwrap();
        // With 0.9 alone F1 is 2/3; with both of 0.5 it is 4/5.
        assert_eq!(best, Best { threshold: Some(0.5), precision: 2.0 / 3.0, recall: 1.0, f1: 0.8 });
        assert_eq!(best_f1(vec![at(0.5, true)], 0), None);
        assert_eq!(best_f1(vec![at(0.5, false)], 3).unwrap().threshold, None);
    }

    #[test]
    fn without_scores_all_are_kept() {
        let best = best_f1(vec![(None, true), (None, false)], 1).unwrap();
        assert_eq!((best.threshold, best.precision, best.recall), (None, 0.5, 1.0));
        let best = best_f1(vec![(None, false), (Some(0.0), true)], 1).unwrap();
        assert_eq!((best.threshold, best.f1), (Some(0.0), 1.0));
    }
}
