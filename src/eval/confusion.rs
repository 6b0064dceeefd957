//! Which labels are taken for which.
//!
//! In: a truth, predictions, their matches and a threshold. Out: how often each label was said of
//! each, with a last row and column for the background. Promises: the diagonal are the right
//! detections of the figures; every truth is in one cell of its row, every detection that counts in
//! one cell of its column.
//!
//! A truth that no detection of its own label found is compared with the detections of other labels
//! that found nothing, best score first (of several truths, the one with the largest IoU).
//! hotcoco's own matrix lets every detection choose among all labels at once: there, a wrong label
//! can take a box from the right one, and detections in crowds count as wrong.

use std::collections::HashMap;

use hotcoco::primitives::sim;
use serde::Serialize;

use super::{Matches, Outcome, Predictions, Truth};

/// Rows are what is there, columns what was said.
#[derive(Debug, Serialize)]
pub struct Confusion {
    /// The names of rows and columns; the last of each, the background, has no name.
    pub labels: Vec<String>,
    /// The score from which on a detection was counted; `null`: all were.
    pub threshold: Option<f64>,
    /// `counts[row][column]`. The last row are detections of nothing, the last column truths that
    /// nothing found.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts the detections from `threshold` on.
    pub(super) fn count(
        truth: &Truth,
        predictions: &Predictions,
        matches: &Matches,
        iou: f64,
        threshold: Option<f64>,
    ) -> Self {
        let kept = |place: &usize| match (threshold, predictions.detections[*place].score) {
            (None, _) => true,
            (Some(threshold), score) => score.is_some_and(|score| score >= threshold),
        };
        let annotations = &truth.instances.annotations;
        let mut found = vec![false; annotations.len()];
        let mut pairs: Vec<(Option<usize>, Option<usize>)> = Vec::new();
        let mut wrong: Vec<usize> = Vec::new();
        for place in (0..predictions.detections.len()).filter(kept) {
            match matches.outcomes[place] {
                Outcome::Right(annotation) => {
                    found[annotation] = true;
                    let category = Some(annotations[annotation].category);
                    pairs.push((category, category));
                }
                Outcome::Wrong => wrong.push(place),
                Outcome::InCrowd | Outcome::Beyond => {}
            }
        }
        let mut missed: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, annotation) in annotations.iter().enumerate() {
            if truth.wanted[annotation.category] && !annotation.crowd && !found[place] {
                missed.entry(annotation.image).or_default().push(place);
            }
        }
        let score = |place: usize| predictions.detections[place].score.unwrap_or(f64::NEG_INFINITY);
        wrong.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        for place in wrong {
            let detection = &predictions.detections[place];
            let candidates = missed.entry(detection.image).or_default();
            let overlaps = candidates.iter().enumerate().map(|(index, annotation)| {
                (index, sim::bbox_iou_pair(detection.bbox, annotations[*annotation].bbox, false))
            });
            let best =
                overlaps.filter(|(_, overlap)| *overlap >= iou).max_by(|a, b| a.1.total_cmp(&b.1));
            let there = best.map(|(index, _)| annotations[candidates.remove(index)].category);
            pairs.push((there, Some(detection.category)));
        }
        pairs.extend(
            missed
                .into_values()
                .flatten()
                .map(|annotation| (Some(annotations[annotation].category), None)),
        );
        Self::of(truth, threshold, &pairs)
    }

    /// The matrix of the labels that occur.
    fn of(truth: &Truth, threshold: Option<f64>, pairs: &[(Option<usize>, Option<usize>)]) -> Self {
        let mut categories: Vec<usize> =
            pairs.iter().flat_map(|(there, said)| [*there, *said]).flatten().collect();
        categories.sort_unstable();
        categories.dedup();
        let side = categories.len() + 1;
        // Every category of a pair is among them.
        let at = |category: Option<usize>| {
            category
                .and_then(|category| categories.binary_search(&category).ok())
                .unwrap_or(side - 1)
        };
        let mut counts = vec![vec![0; side]; side];
        for (there, said) in pairs {
            counts[at(*there)][at(*said)] += 1;
        }
        let labels = categories.iter().map(|category| truth.label(*category).to_owned()).collect();
        Self { labels, threshold, counts }
    }

    /// The most frequent confusions of one label with another: what is there, what was said, how
    /// often.
    pub fn most_frequent(&self, most: usize) -> Vec<(&str, &str, usize)> {
        let labels = || self.labels.iter().enumerate();
        let mut all: Vec<(&str, &str, usize)> = labels()
            .flat_map(|(row, there)| labels().map(move |(column, said)| (row, there, column, said)))
            .filter(|(row, _, column, _)| row != column && self.counts[*row][*column] > 0)
            .map(|(row, there, column, said)| {
                (there.as_str(), said.as_str(), self.counts[row][column])
            })
            .collect();
        all.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        all.truncate(most);
        all
    }
}
