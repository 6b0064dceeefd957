//! Logits to the next token.
//!
//! In: the logits of one position, or the best of them where they lie on a card. Out: an id, and the probability that the decoder gave to it.
//! Promises: greedy picks as torch's argmax does; drawn tokens depend on the seed and the image alone; of a card's logits no more is asked for than
//! is needed to pick the same.

use llguidance::toktrie::SimpleVob;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::model::{largest, log_sum_of};
use crate::runtime::kernels;

/// So many ids are picked on a card, each in a pass of its own; more are chosen from all logits.
const MOST_PICKED: usize = 256;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The most probable one.
    Greedy,
    /// Drawn, after temperature, then top-k, then top-p, in Hugging Face's order.
    Drawn {
        /// Divides the logits; above 0.
        temperature: f32,
        /// Only the smallest set of tokens whose probabilities reach this sum; 1 keeps all.
        top_p: f32,
        /// Only this many of the most probable tokens; 0 keeps all.
        top_k: usize,
        /// The same seed gives the same answers, whatever the order of the images.
        seed: u64,
    },
}

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Picked {
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

    /// The next token, of those that are `allowed` (all where `None`) and not suppressed; `None` where no logit is finite. Of equal logits the
    /// lowest id wins, as in torch's argmax.
    pub(super) fn pick(&mut self, logits: &[f32], suppressed: &[u32], allowed: Option<&SimpleVob>) -> Option<Picked> {
        let largest = largest(logits)?;
        let log_sum = log_sum_of(logits, largest);
        let candidate = |id: usize, logit: f32| Some((id, logit)).filter(|_| !suppressed.contains(&(id as u32)));
        let id = match allowed {
            None if self.sampling == Sampling::Greedy => greedy(logits, largest, suppressed),
            None => {
                let candidates = logits.iter().enumerate().filter_map(|(id, &logit)| candidate(id, logit));
                self.choose(candidates)
            }
            Some(allowed) => {
                let ids = allowed.iter().map(|id| id as usize);
                let candidates = ids.filter_map(|id| candidate(id, *logits.get(id)?));
                self.choose(candidates)
            }
        }?;
        Some(Picked { id: id as u32, log_probability: f64::from(logits[id]) - log_sum })
    }

    /// How many of the best ids [`Self::pick_of`] needs to pick what [`Self::pick`] would, and what divides their logits; `None` where it needs all.
    pub(super) fn needs(&self, suppressed: &[u32]) -> Option<(usize, f32)> {
        match self.sampling {
            Sampling::Greedy => Some((1 + suppressed.len(), 0.0)),
            Sampling::Drawn { top_k, temperature, .. } if (1..=MOST_PICKED).contains(&top_k) => {
                Some((top_k + suppressed.len(), temperature))
            }
            Sampling::Drawn { .. } => None,
        }
    }

    /// The next token, of the best ids that are allowed; `None` as from [`Self::pick`].
    pub(super) fn pick_of(&mut self, best: &kernels::Picked, suppressed: &[u32]) -> Option<Picked> {
        let log_sum = best.log_sum()?;
        let found = best.ids.iter().zip(&best.logits).filter(|(id, _)| **id != u32::MAX && !suppressed.contains(id));
        let id = self.choose(found.map(|(&id, &logit)| (id as usize, logit)))? as u32;
        let logit = best.logits[best.ids.iter().position(|other| *other == id)?];
        Some(Picked { id, log_probability: f64::from(logit) - log_sum })
    }

    fn choose(&mut self, candidates: impl Iterator<Item = (usize, f32)>) -> Option<usize> {
        match self.sampling {
            Sampling::Greedy => argmax(candidates),
            Sampling::Drawn { temperature, top_p, top_k, .. } => self.draw(candidates, temperature, top_p, top_k),
        }
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
        let weights: Vec<f64> = ranked.iter().map(|&(_, logit)| f64::from(logit - largest).exp()).collect();
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

/// Ids and logits divided by `temperature`, the largest first, of equals the lowest id; the first `top_k` of them, or all where it is 0.
fn rank(candidates: impl Iterator<Item = (usize, f32)>, temperature: f32, top_k: usize) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> =
        candidates.map(|(id, logit)| (id, logit / temperature)).filter(|(_, logit)| logit.is_finite()).collect();
    let by_logit = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if top_k > 0 && top_k < ranked.len() {
        ranked.select_nth_unstable_by(top_k - 1, by_logit);
        ranked.truncate(top_k);
    }
    ranked.sort_unstable_by(by_logit);
    ranked
}

/// The first of the largest that is not suppressed; `largest` is that of all.
fn greedy(logits: &[f32], largest: f32, suppressed: &[u32]) -> Option<usize> {
    let first = logits.iter().position(|&logit| logit >= largest)?;
    if !suppressed.contains(&(first as u32)) {
        return Some(first);
    }
    argmax(logits.iter().copied().enumerate().filter(|(id, _)| !suppressed.contains(&(*id as u32))))
}

/// The first of the largest; `None` where none is above minus infinity.
fn argmax(candidates: impl Iterator<Item = (usize, f32)>) -> Option<usize> {
    let mut best = (None, f32::NEG_INFINITY);
    for (id, logit) in candidates {
        if logit > best.1 {
            best = (Some(id), logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::kernels::{Allowed, Logits, PickInput, PickRow, twin};

    #[test]
    fn greedy_takes_the_first_of_equals_and_never_a_suppressed_one() {
        let mut sampler = Sampler::new(Sampling::Greedy, 0);
        let picked = sampler.pick(&[0.0, 3.0, 3.0, 5.0], &[3, 99], None).unwrap();
        assert_eq!(picked.id, 1);
        let e = f64::exp;
        assert!((picked.log_probability - (e(3.0) / (1.0 + 2.0 * e(3.0) + e(5.0))).ln()).abs() < 1e-6);
        assert_eq!(sampler.pick(&[f32::NAN, 1.0], &[], None), None);
        assert_eq!(sampler.pick(&[1.0, 1.0], &[0, 1], None), None);
    }

    #[test]
    fn what_is_not_allowed_is_not_picked_but_counts_in_the_probability() {
        let mut allowed = SimpleVob::alloc(4);
        allowed.allow_token(0);
        allowed.allow_token(1);
        let logits = [1.0, 2.0, 5.0, 0.0];
        let mut sampler = Sampler::new(Sampling::Greedy, 0);
        let picked = sampler.pick(&logits, &[], Some(&allowed)).unwrap();
        assert_eq!(picked.id, 1);
        let log_sum = logits.iter().map(|&logit| (f64::from(logit) - 5.0).exp()).sum::<f64>().ln() + 5.0;
        assert!((picked.log_probability - (2.0 - log_sum)).abs() < 1e-6);
        assert_eq!(sampler.pick(&logits, &[0, 1], Some(&allowed)), None);
    }

    /// What the kernel for a card picks, by its twin.
    #[test]
    fn the_kernels_pick_is_that_of_the_sampler() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        // Few different values, so that there are many equals.
        let (rows, vocabulary) = (7_usize, 3001_usize);
        let logits: Vec<f32> =
            (0..rows * vocabulary).map(|_| (random.random::<f32>() * 90.0).round() / 4.0 - 14.0).collect();
        let halves: Vec<u16> = logits.iter().map(|&logit| half::f16::from_f32(logit).to_bits()).collect();
        let words = vocabulary.div_ceil(32);
        let mut bits = vec![0_u32; rows * words];
        let mut masks: Vec<SimpleVob> = (0..rows).map(|_| SimpleVob::alloc(vocabulary)).collect();
        for (row, mask) in masks.iter_mut().enumerate() {
            for id in (0..vocabulary).filter(|id| (id * (row + 3)) % 7 == 0) {
                mask.allow_token(id as u32);
                bits[row * words + id / 32] |= 1 << (id % 32);
            }
        }
        for all in [Logits::F32(&logits), Logits::F16(&halves)] {
            for masked in [false, true] {
                let rows_of = |temperature| {
                    let row = |line: usize| PickRow {
                        line,
                        allowed: if masked { Allowed::Bits(&bits[line * words..][..words]) } else { Allowed::All },
                        temperature,
                    };
                    (0..rows).map(row).collect::<Vec<_>>()
                };
                let picked = |temperature, most| {
                    twin::pick(&PickInput { logits: all, vocabulary, rows: &rows_of(temperature), most })
                };
                let (best, drawn) = (picked(0.0, 1), picked(0.7, 64));
                for row in 0..rows {
                    let logits = &logits[row * vocabulary..][..vocabulary];
                    let mask = masked.then_some(&masks[row]);
                    let expected = Sampler::new(Sampling::Greedy, 0).pick(logits, &[], mask).unwrap();
                    assert_eq!(best[row].ids, [expected.id]);
                    assert!((best[row].log_probability(0).unwrap() - expected.log_probability).abs() < 1e-6);
                    let candidates = logits.iter().copied().enumerate();
                    let candidates = candidates.filter(|(id, _)| mask.is_none_or(|mask| mask.is_allowed(*id as u32)));
                    let ranked: Vec<u32> = rank(candidates, 0.7, 64).iter().map(|(id, _)| *id as u32).collect();
                    assert_eq!(drawn[row].ids, ranked);
                }
            }
        }
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let sampling = |top_p, top_k| Sampling::Drawn { temperature: 1.0, top_p, top_k, seed: 7 };
        let logits: Vec<f32> = [0.5_f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let draws = |sampling, stream| {
            let mut sampler = Sampler::new(sampling, stream);
            (0..4000).map(|_| sampler.pick(&logits, &[], None).unwrap().id as usize).collect::<Vec<_>>()
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
