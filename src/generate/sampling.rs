//! Logits to the next token.
//!
//! In: the best ids of one position. Out: one of them, and the probability that the decoder gave to
//! it. Promises: greedy picks as torch's argmax does; drawn tokens depend on the seed and the image
//! alone; no more ids are asked for than are needed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::model::{TopK, rank};
use crate::record::Sampling;

/// The most ids that are picked on a card, each in a pass of its own; more are chosen from all
/// logits.
const MAX_PICKED_IDS: usize = 256;

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PickedToken {
    /// Its id.
    pub(super) id: u32,
    /// Natural logarithm of the probability that the decoder gave it, before temperature and cuts.
    pub(super) log_probability: f64,
}

/// Chooses tokens.
pub(super) struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
}

impl Sampler {
    /// `stream` makes the draws of one image independent of every other's.
    pub(super) fn new(sampling: Sampling, stream: u64) -> Self {
        let seed = match sampling {
            Sampling::Greedy => 0,
            Sampling::Drawn { seed, .. } => seed,
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self { sampling, random }
    }

    /// How many of the best ids [`Self::pick`] needs; `None` for all.
    pub(super) fn most(&self) -> Option<usize> {
        match self.sampling {
            Sampling::Greedy => Some(1),
            Sampling::Drawn { top_k, .. } => {
                Some(top_k).filter(|top_k| (1..=MAX_PICKED_IDS).contains(top_k))
            }
        }
    }

    /// Divides the logits before they are ordered.
    pub(super) fn temperature(&self) -> f32 {
        match self.sampling {
            Sampling::Greedy => 0.0,
            Sampling::Drawn { temperature, .. } => temperature,
        }
    }

    /// The next token, of the best ids that are allowed; `None` if no logit is finite.
    pub(super) fn pick(&mut self, best: &TopK) -> Option<PickedToken> {
        let log_sum = best.log_sum()?;
        let id = match self.sampling {
            Sampling::Greedy => *best.ids.first()?,
            Sampling::Drawn { temperature, top_p, top_k, .. } => {
                let candidates =
                    best.ids.iter().zip(&best.logits).map(|(&id, &logit)| (id as usize, logit));
                self.draw(candidates, temperature, top_p, top_k)? as u32
            }
        };
        Some(PickedToken { id, log_probability: f64::from(best.logit(id)?) - log_sum })
    }

    fn draw(
        &mut self,
        candidates: impl Iterator<Item = (usize, f32)>,
        temperature: f32,
        top_p: f32,
        top_k: usize,
    ) -> Option<usize> {
        let ranked = rank(candidates, temperature, top_k);
        let largest = ranked.first()?.1;
        let weights: Vec<f64> =
            ranked.iter().map(|&(_, logit)| f64::from(logit - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut kept = 0;
        let mut kept_sum = 0.0;
        while kept < weights.len() && (kept == 0 || kept_sum < f64::from(top_p) * total) {
            kept_sum += weights[kept];
            kept += 1;
        }
        let mut left = self.random.random::<f64>() * kept_sum;
        for (&(id, _), weight) in ranked[..kept].iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return Some(id);
            }
        }
        Some(ranked[kept - 1].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Allowed, top_k_of};

    fn pick(
        sampler: &mut Sampler,
        logits: &[f32],
        suppressed: &[u32],
        allowed: Allowed<'_>,
    ) -> Option<PickedToken> {
        sampler.pick(&top_k_of(logits, allowed, suppressed, sampler.temperature(), sampler.most()))
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_never_a_suppressed_one() {
        let mut sampler = Sampler::new(Sampling::Greedy, 0);
        let picked = pick(&mut sampler, &[0.0, 3.0, 3.0, 5.0], &[3, 99], Allowed::All).unwrap();
        assert_eq!(picked.id, 1);
        let e = f64::exp;
        assert!(
            (picked.log_probability - (e(3.0) / (1.0 + 2.0 * e(3.0) + e(5.0))).ln()).abs() < 1e-6
        );
        assert_eq!(pick(&mut sampler, &[f32::NAN, 1.0], &[], Allowed::All), None);
        assert_eq!(pick(&mut sampler, &[1.0, 1.0], &[0, 1], Allowed::All), None);
    }

    #[test]
    fn what_is_not_allowed_is_not_picked_but_counts_in_the_probability() {
        let allowed = Allowed::Bits(&[0b11]);
        let logits = [1.0, 2.0, 5.0, 0.0];
        let mut sampler = Sampler::new(Sampling::Greedy, 0);
        let picked = pick(&mut sampler, &logits, &[], allowed).unwrap();
        assert_eq!(picked.id, 1);
        let log_sum =
            logits.iter().map(|&logit| (f64::from(logit) - 5.0).exp()).sum::<f64>().ln() + 5.0;
        assert!((picked.log_probability - (2.0 - log_sum)).abs() < 1e-6);
        assert_eq!(pick(&mut sampler, &logits, &[0, 1], allowed), None);
    }

    /// The same token comes of the best ids as of all.
    #[test]
    fn draws_from_the_best_ids_are_draws_from_all() {
        let logits: Vec<f32> =
            (0..3001_u32).map(|id| (id.wrapping_mul(2_654_435_761) >> 24) as f32 / 20.0).collect();
        let sampling = Sampling::Drawn { temperature: 0.7, top_p: 0.9, top_k: 64, seed: 3 };
        let samplers = || (Sampler::new(sampling, 1), Sampler::new(sampling, 1));
        for suppressed in [&[][..], &[5, 17]] {
            let (mut of_best, mut of_all) = samplers();
            for _ in 0..200 {
                let all = top_k_of(&logits, Allowed::All, suppressed, 0.7, None);
                assert_eq!(
                    pick(&mut of_best, &logits, suppressed, Allowed::All),
                    of_all.pick(&all)
                );
            }
        }
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let sampling = |top_p, top_k| Sampling::Drawn { temperature: 1.0, top_p, top_k, seed: 7 };
        let logits: Vec<f32> = [0.5_f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let draws = |sampling, stream| {
            let mut sampler = Sampler::new(sampling, stream);
            (0..4000)
                .map(|_| pick(&mut sampler, &logits, &[], Allowed::All).unwrap().id as usize)
                .collect::<Vec<_>>()
        };
        let all = draws(sampling(1.0, 0), 0);
        let share = |id| all.iter().filter(|&&drawn| drawn == id).count() as f64 / 4000.0;
        assert!((share(0) - 0.5).abs() < 0.05 && (share(3) - 0.05).abs() < 0.02);
        assert_eq!(all, draws(sampling(1.0, 0), 0));
        assert_ne!(all, draws(sampling(1.0, 0), 1));
        assert!(draws(sampling(1.0, 2), 0).iter().all(|&id| id < 2));
        assert!(draws(sampling(0.79, 0), 0).iter().all(|&id| id < 2));
        assert!(draws(sampling(0.0, 0), 0).iter().all(|&id| id == 0));
    }
}
