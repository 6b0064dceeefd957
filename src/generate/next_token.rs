//! Probabilities of the next token, without generating it.
//!
//! In: the logits of one position, and the ids that are asked about. Out: how the probability is
//! shared among them, and how much of it they have together. Promises: one forward pass; figures
//! have four decimals and do not depend on who was decoded beside.

use std::sync::Arc;

use super::GenerateError;
use crate::model::{Allowed, TopK, TopKRequest, log_sum};
use crate::record::{is_near_rounding, to_four_decimals};

/// How the probability of the next token is shared among some ids.
#[derive(Debug, Clone, PartialEq)]
pub struct NextToken {
    /// The share of each id in the probability of all of them, as a softmax over their logits gives
    /// it; 0..1, four decimals.
    pub shares: Vec<f64>,
    /// The share of the whole vocabulary's probability that all of them have together; 0..1, four
    /// decimals. Near 0, the model would have answered something else.
    pub mass: f64,
    /// Whether a figure would be rounded otherwise if the logits were a little different.
    pub(super) is_near_rounding: bool,
}

impl NextToken {
    /// The shares of `ids`, computed from those with a finite logit; `None` if there is none, or a
    /// logit is NaN.
    pub(super) fn of(best: &TopK, ids: &[u32]) -> Option<Self> {
        let chosen: Vec<f32> =
            ids.iter().map(|&id| best.logit(id).unwrap_or(f32::NEG_INFINITY)).collect();
        Self::shared(&chosen, best.log_sum()?)
    }

    /// `whole` is the logarithm of the sum over the vocabulary.
    fn shared(chosen: &[f32], whole: f64) -> Option<Self> {
        let together = log_sum(chosen)?;
        let shares: Vec<f64> =
            chosen.iter().map(|&logit| (f64::from(logit) - together).exp()).collect();
        let mass = (together - whole).exp().min(1.0);
        Some(Self {
            is_near_rounding: is_near_rounding(mass)
                || shares.iter().copied().any(is_near_rounding),
            shares: shares.into_iter().map(to_four_decimals).collect(),
            mass: to_four_decimals(mass),
        })
    }
}

/// A query that is only looked at.
pub(super) struct NextTokenProbe {
    ids: Arc<[u32]>,
    result: Option<NextToken>,
}

impl NextTokenProbe {
    pub(super) fn of(ids: &Arc<[u32]>) -> Self {
        Self { ids: Arc::clone(ids), result: None }
    }

    pub(super) fn request(&self, row: usize) -> TopKRequest<'_> {
        request_about(row, &self.ids)
    }

    pub(super) fn take(&mut self, best: &TopK) -> Result<(), GenerateError> {
        self.result = NextToken::of(best, &self.ids);
        if self.result.is_some() { Ok(()) } else { Err(GenerateError::NoProbabilities(0)) }
    }

    pub(super) fn result(self) -> Result<NextToken, GenerateError> {
        self.result.ok_or(GenerateError::NoProbabilities(0))
    }
}

/// The part of the logits that [`NextToken::of`] needs, at the last position of a row.
pub(super) fn request_about(row: usize, ids: &[u32]) -> TopKRequest<'_> {
    let (allowed, most) = (Allowed::Ids(ids), Some(ids.len()));
    TopKRequest { row, from_end: 0, allowed, suppressed: &[], temperature: 0.0, most }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::top_k_of;

    fn next(logits: &[f32], ids: &[u32]) -> Option<NextToken> {
        NextToken::of(&top_k_of(logits, Allowed::Ids(ids), &[], 0.0, Some(ids.len())), ids)
    }

    #[test]
    fn shares_are_a_softmax_over_the_ids_and_the_mass_is_theirs() {
        let logits: Vec<f32> = [0.1_f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln() + 3.0).collect();
        let found = next(&logits, &[3, 0]).unwrap();
        assert_eq!((found.shares, found.mass), (vec![0.8, 0.2], 0.5));
        assert!(next(&logits, &[4]).is_none() && next(&[f32::NAN; 4], &[0]).is_none());
        // The shares stay exact even if the rest of the vocabulary is far more probable.
        let far = next(&[100.0, 0.0, 0.0], &[1, 2]).unwrap();
        assert_eq!((far.shares, far.mass), (vec![0.5, 0.5], 0.0));
    }

    #[test]
    fn what_is_near_rounding_is_known() {
        let logits = |p: f32| [p.ln(), (1.0 - p).ln()];
        assert!(next(&logits(0.123_45), &[0, 1]).unwrap().is_near_rounding);
        assert!(!next(&logits(0.123_42), &[0, 1]).unwrap().is_near_rounding);
    }
}
