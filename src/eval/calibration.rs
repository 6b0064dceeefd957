//! How scores become probabilities: learning a calibration.
//!
//! In: scores of detections, each right or wrong. Out: a [`Calibration`]. Promises: `a >= 0`, so
//! that the order stays; a fit always ends, also if scores separate right from wrong without
//! exception; samples that teach nothing are an error.
//!
//! The targets (`(n+ + 1) / (n+ + 2)` and `1 / (n- + 2)`) are Platt's and keep the fit finite; the
//! Newton steps with halving are those of Lin, Lin and Weng, "A note on Platt's probabilistic
//! outputs", 2007. A weak pull to `a = 1, b = 0` decides if the data do not (all scores equal).

use thiserror::Error;

use super::reliability::{BINS, Reliability};
use crate::answer::calibration::{Calibration, Ece, MadeFrom, SCHEMA};
use crate::record::{Platt, logit, sigmoid};

/// Weight of the pull to `a = 1, b = 0`; that of a thousandth of one detection.
const PULL: f64 = 1e-3;

/// Below this number of right or of wrong detections a calibration is remarked on.
const FEW: usize = 30;

/// Why a calibration cannot be learned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LearnError {
    /// No detection with a score counts.
    #[error("nothing to calibrate: no detection that is right or wrong has a score")]
    NoScores,
    /// Only right or only wrong ones.
    #[error(
        "nothing to learn: all {count} detections are {outcome}; a calibration needs both right \
         and wrong ones"
    )]
    OneOutcome {
        /// How many there are.
        count: usize,
        /// The common outcome: all right, or all wrong.
        outcome: &'static str,
    },
    /// A score that is no probability.
    #[error("the score {score} is not between 0 and 1: such scores cannot be calibrated")]
    NoProbability {
        /// The score.
        score: f64,
    },
}

/// A calibration, and what a user should know of it.
pub struct Learned {
    /// It.
    pub calibration: Calibration,
    /// One a line.
    pub remarks: Vec<String>,
}

/// A detection to learn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Its score, 0 to 1.
    pub score: f64,
    /// Whether it is right.
    pub right: bool,
    /// The half that it belongs to; detections of one image belong to the same.
    pub second_half: bool,
}

/// Learns a calibration from `samples`. `score` is the kind of the scores; detections are right
/// from an IoU of `iou` on.
///
/// # Errors
/// [`LearnError::NoScores`], [`LearnError::OneOutcome`], [`LearnError::NoProbability`].
pub fn learn(
    samples: &[Sample],
    score: String,
    iou: f64,
    truth: String,
    predictions: String,
) -> Result<Learned, LearnError> {
    let mut remarks = Vec::new();
    let fit = Fit::of(samples.iter().map(|sample| (sample.score, sample.right)))?;
    let right = samples.iter().filter(|sample| sample.right).count();
    if fit.flat {
        remarks.push(
            "higher scores are not right more often: the calibrated score is the same for every \
             detection (a = 0)"
                .into(),
        );
    }
    if right.min(samples.len() - right) < FEW {
        remarks.push(format!(
            "{right} right and {} wrong detections are few to learn from (at least {FEW} of each \
             would be better)",
            samples.len() - right
        ));
    }
    let cross_validated = cross_validated(samples);
    if cross_validated.is_none() {
        remarks.push(
            "not cross-validated: a half of the images has no right or no wrong detection".into(),
        );
    }
    let ece_of = |apply: &dyn Fn(f64) -> f64| {
        // Every score is a probability: `Fit::of` refused others.
        Reliability::of(samples.iter().map(|sample| (apply(sample.score), sample.right)))
            .map_or(0.0, |r| r.ece)
    };
    let ece = Ece {
        bins: BINS,
        before: ece_of(&|score| score),
        after: ece_of(&|score| fit.platt.apply(score)),
        cross_validated,
    };
    let made_from = MadeFrom { truth, predictions, detections: samples.len(), right };
    let calibration = Calibration {
        schema: SCHEMA,
        gemscope: env!("CARGO_PKG_VERSION").to_owned(),
        platt: fit.platt,
        score,
        iou,
        made_from,
        ece,
    };
    Ok(Learned { calibration, remarks })
}

/// The expected calibration error of each half by what the other half says.
fn cross_validated(samples: &[Sample]) -> Option<f64> {
    let fit = |second: bool| {
        let half = samples.iter().filter(move |sample| sample.second_half == second);
        Fit::of(half.map(|sample| (sample.score, sample.right))).ok()
    };
    let (first, second) = (fit(false)?, fit(true)?);
    let applied = samples.iter().map(|sample| {
        let other = if sample.second_half { &first } else { &second };
        (other.platt.apply(sample.score), sample.right)
    });
    Reliability::of(applied).map(|reliability| reliability.ece)
}

/// `-ln(sigmoid(z))`, without overflow.
fn softplus_of_minus(z: f64) -> f64 {
    if z >= 0.0 { (-z).exp().ln_1p() } else { z.exp().ln_1p() - z }
}

/// The number that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fit {
    platt: Platt,
    /// Whether the scores say nothing, so that `a` was set to 0.
    flat: bool,
}

impl Fit {
    fn of(scores: impl Iterator<Item = (f64, bool)>) -> Result<Self, LearnError> {
        let scores: Vec<(f64, bool)> = scores.collect();
        if scores.is_empty() {
            return Err(LearnError::NoScores);
        }
        if let Some(&(score, _)) = scores.iter().find(|(score, _)| !(0.0..=1.0).contains(score)) {
            return Err(LearnError::NoProbability { score });
        }
        let right = scores.iter().filter(|(_, right)| *right).count();
        let wrong = scores.len() - right;
        if right == 0 || wrong == 0 {
            let outcome = if right == 0 { "wrong" } else { "right" };
            return Err(LearnError::OneOutcome { count: scores.len(), outcome });
        }
        let (yes, no) = ((right as f64 + 1.0) / (right as f64 + 2.0), 1.0 / (wrong as f64 + 2.0));
        let points: Vec<(f64, f64)> = scores
            .iter()
            .map(|&(score, right)| (logit(score), if right { yes } else { no }))
            .collect();
        let (a, b) = newton(&points);
        if a >= 0.0 {
            return Ok(Self { platt: Platt { a, b }, flat: false });
        }
        // The best that does not turn the order round: the same for all.
        let mean = points.iter().map(|(_, target)| target).sum::<f64>() / points.len() as f64;
        Ok(Self { platt: Platt { a: 0.0, b: (mean / (1.0 - mean)).ln() }, flat: true })
    }
}

/// The `(a, b)` with the least cross-entropy of `sigmoid(a x + b)` over points of `x` and target,
/// and the pull. The loss is strictly convex, so that there is one minimum and halved Newton steps
/// reach it.
fn newton(points: &[(f64, f64)]) -> (f64, f64) {
    let loss = |a: f64, b: f64| {
        let fit: f64 = points
            .iter()
            .map(|(x, target)| {
                let z = a.mul_add(*x, b);
                target * softplus_of_minus(z) + (1.0 - target) * softplus_of_minus(-z)
            })
            .sum();
        fit + PULL / 2.0 * ((a - 1.0).powi(2) + b.powi(2))
    };
    let (mut a, mut b) = (1.0, 0.0);
    let mut least = loss(a, b);
    for _ in 0..100 {
        // Gradient and Hessian.
        let (mut ga, mut gb) = (PULL * (a - 1.0), PULL * b);
        let (mut haa, mut hab, mut hbb) = (PULL, 0.0, PULL);
        for &(x, target) in points {
            let p = sigmoid(a.mul_add(x, b));
            let (gap, weight) = (p - target, p * (1.0 - p));
            ga += gap * x;
            gb += gap;
            haa += weight * x * x;
            hab += weight * x;
            hbb += weight;
        }
        if ga.abs().max(gb.abs()) < 1e-10 * points.len() as f64 {
            break;
        }
        // Positive: by Cauchy-Schwarz the sums alone give no less than 0, and the pull is added to
        // the diagonal.
        let determinant = haa * hbb - hab * hab;
        let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant);
        let slope = ga * da + gb * db;
        let mut step = 1.0;
        let next = loop {
            let (na, nb) = (a - step * da, b - step * db);
            let now = loss(na, nb);
            if now <= least - 1e-4 * step * slope {
                break Some((na, nb, now));
            }
            step /= 2.0;
            if step < 1e-12 {
                break None; // as near as f64 comes
            }
        };
        match next {
            Some(next) => (a, b, least) = next,
            None => break,
        }
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;

    fn learn(samples: &[Sample]) -> Result<Learned, LearnError> {
        super::learn(samples, "results".into(), 0.5, String::new(), String::new())
    }

    /// Scores whose true probability is `sigmoid(a logit(score) + b)`.
    fn drawn(a: f64, b: f64, count: usize) -> Vec<Sample> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        (0..count)
            .map(|place| {
                let score: f64 = random.random();
                let right = random.random::<f64>() < Platt { a, b }.apply(score);
                Sample { score, right, second_half: place % 2 == 1 }
            })
            .collect()
    }

    #[test]
    fn what_was_put_in_is_found_again() {
        for (a, b) in [(1.0, 0.0), (0.4, -1.0), (2.0, 0.5)] {
            let learned = learn(&drawn(a, b, 20_000)).unwrap().calibration;
            assert!(
                (learned.platt.a - a).abs() < 0.06 && (learned.platt.b - b).abs() < 0.06,
                "{learned:?}"
            );
            assert!(
                learned.ece.after < 0.02 && learned.ece.cross_validated.unwrap() < 0.02,
                "{learned:?}"
            );
            assert!(learned.ece.after <= learned.ece.before + 0.005);
        }
    }

    #[test]
    fn the_fit_is_the_minimum() {
        let points: Vec<(f64, f64)> = drawn(0.7, -0.3, 200)
            .iter()
            .map(|sample| (logit(sample.score), if sample.right { 0.99 } else { 0.01 }))
            .collect();
        let (a, b) = newton(&points);
        let gradient = points.iter().fold((PULL * (a - 1.0), PULL * b), |(ga, gb), (x, target)| {
            let gap = sigmoid(a * x + b) - target;
            (ga + gap * x, gb + gap)
        });
        assert!(gradient.0.abs() < 1e-6 && gradient.1.abs() < 1e-6, "{gradient:?}");
    }

    #[test]
    fn hard_cases_end_in_numbers_or_in_words() {
        let sample = |score: f64, right: bool| Sample { score, right, second_half: false };
        assert!(matches!(learn(&[]), Err(LearnError::NoScores)));
        let error = learn(&[sample(0.5, true), sample(0.6, true)]).err().unwrap().to_string();
        assert!(error.contains("all 2 detections are right"), "{error}");
        assert!(matches!(learn(&[sample(1.5, true)]), Err(LearnError::NoProbability { .. })));
        // Parted without exception, at the ends of the range.
        let parted: Vec<Sample> =
            (0..50).flat_map(|_| [sample(0.0, false), sample(1.0, true)]).collect();
        let learned = learn(&parted).unwrap().calibration;
        assert!(
            learned.platt.a.is_finite()
                && learned.platt.apply(1.0) > 0.9
                && learned.platt.apply(0.0) < 0.1,
            "{learned:?}"
        );
        assert_eq!(learned.ece.cross_validated, None);
        // All the same: their common rate.
        let same: Vec<Sample> = (0..100).map(|place| sample(0.9, place < 25)).collect();
        let learned = learn(&same).unwrap().calibration;
        assert!((learned.platt.apply(0.9) - 0.25).abs() < 0.02, "{learned:?}");
        // Turned round: flat, and said.
        let turned: Vec<Sample> =
            (0..100).map(|place| sample(f64::from(place) / 100.0, place < 50)).collect();
        let learned = learn(&turned).unwrap();
        assert!(learned.calibration.platt.a.abs() < f64::EPSILON);
        assert!(
            (learned.calibration.platt.apply(0.1) - 0.5).abs() < 0.01
                && learned.remarks[0].contains("a = 0")
        );
    }

    proptest! {

        #[test]
        fn whatever_is_learned_keeps_the_order(
            samples in prop::collection::vec((0.0..=1.0_f64, any::<bool>(), any::<bool>()), 1..60),
        ) {
            let samples: Vec<Sample> = samples
                .into_iter()
                .map(|(score, right, second_half)| Sample { score, right, second_half })
                .collect();
            if let Ok(learned) = learn(&samples) {
                prop_assert!(learned.calibration.platt.a >= 0.0
                    && learned.calibration.platt.b.is_finite());
                let mut scores: Vec<f64> = samples.iter().map(|sample| sample.score).collect();
                scores.sort_by(f64::total_cmp);
                let platt = learned.calibration.platt;
                let after: Vec<f64> = scores.iter().map(|score| platt.apply(*score)).collect();
                prop_assert!(after.is_sorted(), "{:?}", after);
            }
        }

    }
}
