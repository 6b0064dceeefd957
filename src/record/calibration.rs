//! The probability that a detection is right, from its score.
//!
//! Platt scaling (J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999) on the logit
//! of the score, so that `a = 1, b = 0` changes nothing.

use serde::{Deserialize, Serialize};

/// Scores nearer to 0 or 1 are taken as this far away: the logit of 0 and 1 is infinite.
const NEAREST: f64 = 1e-6;

/// `p = sigmoid(a * logit(score) + b)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Slope; never negative.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

impl Platt {
    /// The probability that a detection with this score (0 to 1) is right. Never decreases with the
    /// score.
    pub fn apply(&self, score: f64) -> f64 {
        sigmoid(self.a.mul_add(logit(score), self.b))
    }
}

pub(crate) fn logit(score: f64) -> f64 {
    let score = score.clamp(NEAREST, 1.0 - NEAREST);
    (score / (1.0 - score)).ln()
}

pub(crate) fn sigmoid(z: f64) -> f64 {
    // Two forms of the same formula; neither overflows.
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_higher_score_never_gets_a_lower_probability(
            a in 0.0..20.0_f64, b in -20.0..20.0_f64, one in 0.0..=1.0_f64, other in 0.0..=1.0_f64,
        ) {
            let platt = Platt { a, b };
            let (low, high) = (one.min(other), one.max(other));
            prop_assert!(platt.apply(low) <= platt.apply(high));
            prop_assert!((0.0..=1.0).contains(&platt.apply(one)));
        }
    }
}
