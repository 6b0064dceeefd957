//! The divisor that turns the exponential of a logit into a probability.
//!
//! In: the logits of one position. Out: the logarithm of the sum of their exponentials. Promises:
//! the same sum on every processor, since the same additions and multiplications are made in the
//! same order, as many at once as it can (nothing is fused).

use multiversion::multiversion;

/// Lanes that are summed side by side.
const LANES: usize = 32;
/// Values that are summed in f32; the sums are added in f64, so that a large vocabulary loses no
/// digits.
const BLOCK: usize = 16 * LANES;

/// The logarithm of the sum of the exponentials; `None` as from [`largest`].
pub(crate) fn log_sum(logits: &[f32]) -> Option<f64> {
    let largest = largest(logits)?;
    Some(sum_of_exponentials(logits, largest).ln() + f64::from(largest))
}

/// The largest logit; `None` if none is finite, or one is NaN.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(super) fn largest(logits: &[f32]) -> Option<f32> {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut not_numbers = false;
    let (blocks, rest) = logits.as_chunks::<LANES>();
    for block in blocks {
        for (largest, &logit) in largest.iter_mut().zip(block) {
            *largest = if logit > *largest { logit } else { *largest };
            not_numbers |= logit.is_nan();
        }
    }
    let largest = largest.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, f32::max);
    let usable = largest.is_finite() && !not_numbers && !rest.iter().any(|logit| logit.is_nan());
    usable.then_some(largest)
}

/// The sum of the exponentials of the logits less `largest`.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(super) fn sum_of_exponentials(logits: &[f32], largest: f32) -> f64 {
    let mut sum = 0.0;
    let mut blocks = logits.chunks_exact(BLOCK);
    for block in &mut blocks {
        let mut lanes = [0.0_f32; LANES];
        for logits in block.as_chunks::<LANES>().0 {
            for (lane, logit) in lanes.iter_mut().zip(logits) {
                *lane += exponential(logit - largest);
            }
        }
        sum += f64::from(lanes.iter().sum::<f32>());
    }
    sum + blocks
        .remainder()
        .iter()
        .map(|logit| f64::from(exponential(logit - largest)))
        .sum::<f64>()
}

/// The exponential of a number that is not above 0, right to the last bit (1.2e-7 of itself); below
/// -87, where f32 ends, it is that of -87.
///
/// Cephes' `expf`: halved until it is near 0, where a polynomial is good, and doubled as often
/// again.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // Added to a small number, it leaves the nearest whole one in the last bits.
    const ROUND: f32 = 12_582_912.0;
    // ln(2) in two parts: the first has so few digits that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_5e-2,
        1.666_666_5e-1,
        0.500_000_06,
    ];
    let x = if x > -87.0 { x } else { -87.0 };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let doublings = rounded - ROUND;
    let x = x - doublings * LN_2[0] - doublings * LN_2[1];
    let polynomial = POLYNOMIAL[1..].iter().fold(POLYNOMIAL[0], |sum, factor| sum * x + factor);
    let near_one = polynomial * (x * x) + x + 1.0;
    // The doublings, which are the last bits of the rounded number, go onto the exponent.
    f32::from_bits(near_one.to_bits().wrapping_add(rounded.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_over_a_large_vocabulary_keeps_its_digits() {
        let logits: Vec<f32> = (0..262_144_u32)
            .map(|id| (id.wrapping_mul(2_654_435_761) >> 20) as f32 / 100.0)
            .collect();
        // Also if the vocabulary does not divide by a block.
        for count in [262_144, 262_143, 700, 33, 5, 1] {
            let logits = &logits[..count];
            let exact =
                logits.iter().map(|&logit| (f64::from(logit) - 40.0).exp()).sum::<f64>().ln()
                    + 40.0;
            let sum = log_sum(logits).unwrap();
            assert!((sum - exact).abs() < 1e-7, "{count}: {sum} and {exact}");
        }
        for place in [77, 262_143] {
            let mut broken = logits.clone();
            broken[place] = f32::NAN;
            assert_eq!(log_sum(&broken), None);
        }
        assert_eq!(log_sum(&[f32::NEG_INFINITY; 40]), None);
        assert_eq!(log_sum(&[]), None);
    }

    #[test]
    fn an_exponential_is_right_to_the_last_bits() {
        for step in 0..87_000 {
            let x = step as f32 / -1000.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exponential(x)) - exact).abs() <= f64::from(f32::EPSILON) * exact,
                "{x}"
            );
        }
        for x in [-87.5, -1000.0, f32::NEG_INFINITY] {
            assert!((0.0..2e-38).contains(&exponential(x)), "{x}");
        }
    }

    /// The processor's features decide how many are summed at once, not the result.
    #[test]
    fn the_sum_is_that_of_one_after_the_other() {
        let logits: Vec<f32> = (0..5000_u32)
            .map(|id| (id.wrapping_mul(2_654_435_761) >> 18) as f32 / -1000.0)
            .collect();
        let mut expected = 0.0_f64;
        for block in logits.chunks(BLOCK) {
            let of = |lane: usize| {
                block[lane..].iter().step_by(LANES).fold(0.0_f32, |sum, &x| sum + exponential(x))
            };
            expected += match block.len() {
                BLOCK => f64::from((0..LANES).map(of).sum::<f32>()),
                _ => block.iter().map(|&x| f64::from(exponential(x))).sum(),
            };
        }
        assert_eq!(sum_of_exponentials(&logits, 0.0).to_bits(), expected.to_bits());
    }
}
