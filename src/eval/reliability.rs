//! How scores agree with how often they are right.
//!
//! In: scores of detections, each right or wrong. Out: the expected calibration error and its bins.
//! Promises: 15 bins of equal width (Guo et al., "On Calibration of Modern Neural Networks", 2017);
//! scores that are no probabilities give nothing.

use hotcoco::metrics::calibration::{CalibrationBin, calibration_curve, calibration_error};
use serde::Serialize;

/// Bins of equal width of the expected calibration error.
pub(super) const BINS: usize = 15;

/// How scores agree with how often they are right.
#[derive(Debug, Clone, Serialize)]
pub struct Reliability {
    /// The mean of the bins' `|part that is right - mean score|`, each with its number of
    /// detections as weight.
    pub ece: f64,
    /// Detections.
    pub detections: usize,
    /// Fifteen bins of equal width; those without detections are left out.
    pub bins: Vec<Bin>,
}

/// One bin.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Bin {
    /// Its lower edge.
    pub from: f64,
    /// Mean score.
    pub score: f64,
    /// The part that is right.
    pub right: f64,
    /// Detections.
    pub count: usize,
}

impl Reliability {
    /// The reliability of scores that are right or wrong; `None` if there are none, or one is
    /// outside 0 to 1.
    pub fn of(scores: impl Iterator<Item = (f64, bool)>) -> Option<Self> {
        let (scores, right): (Vec<f64>, Vec<bool>) = scores.unzip();
        if scores.is_empty() || scores.iter().any(|score| !(0.0..=1.0).contains(score)) {
            return None;
        }
        let bins = calibration_curve(&scores, &right, BINS);
        let (ece, _) = calibration_error(&bins);
        let bin = |bin: &CalibrationBin| Bin {
            from: bin.bin_lower,
            score: bin.avg_confidence,
            right: bin.avg_accuracy,
            count: bin.count,
        };
        let bins = bins.iter().filter(|bin| bin.count > 0).map(bin).collect();
        Some(Self { ece, detections: scores.len(), bins })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_calibration_error_is_what_its_definition_says(
            samples in prop::collection::vec((0.0..=1.0_f64, any::<bool>()), 1..200),
        ) {
            let reliability = Reliability::of(samples.iter().copied()).unwrap();
            prop_assert!((0.0..=1.0).contains(&reliability.ece));
            prop_assert_eq!(reliability.bins.iter().map(|bin| bin.count).sum::<usize>(),
                samples.len());
            // Its definition: the sum over the bins of |right - score|, over all detections.
            let mut gaps = [0.0; BINS];
            for (score, right) in &samples {
                let bin = ((score * BINS as f64) as usize).min(BINS - 1);
                gaps[bin] += f64::from(u8::from(*right)) - score;
            }
            let expected = gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>();
            let expected = expected / samples.len() as f64;
            prop_assert!((reliability.ece - expected).abs() < 1e-9, "{} {expected}",
                reliability.ece);
            // The gap of the means is never more.
            let gap = |(score, right): &(f64, bool)| f64::from(u8::from(*right)) - score;
            let mean = samples.iter().map(gap).sum::<f64>();
            prop_assert!(mean.abs() / samples.len() as f64 <= reliability.ece + 1e-9);
        }
    }
}
