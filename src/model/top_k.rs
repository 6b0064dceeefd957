//! The best ids of a row of logits.
//!
//! In: logits in main memory, which ids count, how many are wanted. Out: those ids and what their
//! probabilities need. Promises: of equal logits the lowest id comes first, as in torch's argmax;
//! kernels give the same ids on a device.

use super::log_sum::{largest, sum_of_exponentials};
use crate::device::kernels::{Allowed, TopK, set_bits};

/// Which ids of a position are wanted.
#[derive(Debug, Clone, Copy)]
pub struct TopKRequest<'r> {
    /// The row of the logits.
    pub row: usize,
    /// How many positions stand behind the one that is meant.
    pub from_end: usize,
    /// Which ids count.
    pub allowed: Allowed<'r>,
    /// Which of them do not count after all.
    pub suppressed: &'r [u32],
    /// Divides the logits before they are ordered; 0 for the most probable ids.
    pub temperature: f32,
    /// How many ids at most; `None` for all that count, which are then in their own order. Only
    /// those bring a whole row from a device.
    pub most: Option<usize>,
}

/// The best ids of `logits`, one for each id of the vocabulary; `row` and `from_end` are not looked
/// at.
pub(super) fn top_k(logits: &[f32], wanted: &TopKRequest<'_>) -> TopK {
    let Some(largest) = largest(logits) else {
        return TopK { ids: Vec::new(), logits: Vec::new(), largest: f32::NAN, sum: f64::NAN };
    };
    let counts = |id: &usize| !wanted.suppressed.contains(&(*id as u32));
    let with_logit = |id: usize| Some((id, *logits.get(id)?));
    let ids = match wanted.allowed {
        Allowed::All if wanted.is_argmax() => {
            match logits.iter().position(|&logit| logit >= largest).filter(counts) {
                Some(first) => vec![first],
                None => {
                    best(logits.iter().copied().enumerate().filter(|(id, _)| counts(id)), wanted)
                }
            }
        }
        Allowed::All => {
            best(logits.iter().copied().enumerate().filter(|(id, _)| counts(id)), wanted)
        }
        Allowed::Bits(bits) => best(set_bits(bits).filter(counts).filter_map(with_logit), wanted),
        Allowed::Ids(ids) => {
            best(ids.iter().map(|&id| id as usize).filter(counts).filter_map(with_logit), wanted)
        }
    };
    TopK {
        logits: ids.iter().map(|&id| logits[id]).collect(),
        ids: ids.into_iter().map(|id| id as u32).collect(),
        largest,
        sum: sum_of_exponentials(logits, largest),
    }
}

impl TopKRequest<'_> {
    fn is_argmax(&self) -> bool {
        self.most == Some(1) && self.temperature == 0.0
    }
}

fn best(candidates: impl Iterator<Item = (usize, f32)>, wanted: &TopKRequest<'_>) -> Vec<usize> {
    match wanted.most {
        Some(_) if wanted.is_argmax() => argmax(candidates).into_iter().collect(),
        Some(most) => {
            let divisor = if wanted.temperature > 0.0 { wanted.temperature } else { 1.0 };
            rank(candidates, divisor, most).into_iter().map(|(id, _)| id).collect()
        }
        None => candidates.map(|(id, _)| id).collect(),
    }
}

/// Ids and logits divided by `temperature`, the largest first, of equals the lowest id; the first
/// `most` of them, or all if it is 0.
pub(crate) fn rank(
    candidates: impl Iterator<Item = (usize, f32)>,
    temperature: f32,
    most: usize,
) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = candidates
        .map(|(id, logit)| (id, logit / temperature))
        .filter(|(_, logit)| logit.is_finite())
        .collect();
    let by_logit = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if most > 0 && most < ranked.len() {
        ranked.select_nth_unstable_by(most - 1, by_logit);
        ranked.truncate(most);
    }
    ranked.sort_unstable_by(by_logit);
    ranked
}

/// The first of the largest; `None` if none is above minus infinity.
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
pub(crate) mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::device::kernels::{Logits, PickInput, PickRow, reference};

    /// For the only row.
    pub(crate) fn of<'r>(
        logits: &[f32],
        allowed: Allowed<'r>,
        suppressed: &'r [u32],
        temperature: f32,
        most: Option<usize>,
    ) -> TopK {
        top_k(logits, &TopKRequest { row: 0, from_end: 0, allowed, suppressed, temperature, most })
    }

    #[test]
    fn the_first_of_equals_is_the_best_and_never_a_suppressed_one() {
        let ids = |allowed: Allowed<'_>, suppressed: &[u32], most| {
            of(&[0.0, 3.0, 3.0, 5.0], allowed, suppressed, 0.0, most).ids
        };
        assert_eq!(ids(Allowed::All, &[], Some(1)), [3]);
        assert_eq!(ids(Allowed::All, &[3, 99], Some(1)), [1]);
        assert_eq!(ids(Allowed::All, &[3], Some(2)), [1, 2]);
        assert_eq!(ids(Allowed::Bits(&[0b101]), &[], Some(3)), [2, 0]);
        assert_eq!(ids(Allowed::Bits(&[0b101]), &[2], Some(1)), [0]);
        assert_eq!(
            ids(Allowed::Ids(&[99, 0, 3]), &[], Some(3)),
            [3, 0],
            "an id that there is not is none"
        );
        assert_eq!(ids(Allowed::Bits(&[0b1101]), &[0], None), [2, 3]);
        assert!(ids(Allowed::All, &[0, 1, 2, 3], Some(1)).is_empty());
        assert!(of(&[f32::NAN, 1.0], Allowed::All, &[], 0.0, Some(1)).log_sum().is_none());
    }

    #[test]
    fn bits_are_counted_from_the_lowest_of_the_first_word() {
        let words = [1 | 1 << 31, 0, 0b110];
        assert_eq!(set_bits(&words).collect::<Vec<_>>(), [0, 31, 65, 66]);
    }

    /// The ids that the card's kernel picks, by its reference implementation.
    #[test]
    fn the_kernels_pick_is_that_of_main_memory() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        // Few different values, so that there are many equals.
        let (rows, vocabulary) = (7_usize, 3001_usize);
        let logits: Vec<f32> = (0..rows * vocabulary)
            .map(|_| (random.random::<f32>() * 90.0).round() / 4.0 - 14.0)
            .collect();
        let halves: Vec<u16> =
            logits.iter().map(|&logit| half::f16::from_f32(logit).to_bits()).collect();
        let words = vocabulary.div_ceil(32);
        let mut bits = vec![0_u32; rows * words];
        for row in 0..rows {
            for id in (0..vocabulary).filter(|id| (id * (row + 3)) % 7 == 0) {
                bits[row * words + id / 32] |= 1 << (id % 32);
            }
        }
        let listed = [2999, 3, 500, 1000, 17];
        for all in [Logits::F32(&logits), Logits::F16(&halves)] {
            for kind in 0..3 {
                let allowed = |row: usize| match kind {
                    0 => Allowed::All,
                    1 => Allowed::Bits(&bits[row * words..][..words]),
                    _ => Allowed::Ids(&listed),
                };
                for (temperature, most) in [(0.0, 1), (0.7, 64), (0.7, 1)] {
                    let lines: Vec<_> = (0..rows)
                        .map(|line| PickRow { line, allowed: allowed(line), temperature })
                        .collect();
                    let picked =
                        reference::pick(&PickInput { logits: all, vocabulary, rows: &lines, most });
                    for (row, picked) in picked.into_iter().enumerate() {
                        let logits = &logits[row * vocabulary..][..vocabulary];
                        let expected = of(logits, allowed(row), &[], temperature, Some(most));
                        assert!(
                            picked.found(&[], most).agrees_with(&expected),
                            "{row}: {expected:?}"
                        );
                    }
                }
            }
        }
    }
}
