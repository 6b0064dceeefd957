//! The weights of one pass of a bicubic resize, in fixed point.
//!
//! In: a side before and after. Out: the weights of every pixel of the new side. Promises: they are
//! those of `fast_image_resize` 6.1; tests compare the passes.

use crate::preprocess::weights::Side;

/// The weights of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResizeWeights {
    /// The first source pixel of each place.
    pub(super) starts: Vec<u32>,
    /// How many source pixels each place has.
    pub(super) sizes: Vec<u32>,
    /// `[places, window]`; behind a place's own weights zeros.
    pub(super) values: Vec<i16>,
    /// The most weights that a place can have.
    pub(super) window: usize,
    /// Bits behind the point.
    pub(super) precision: u32,
}

impl ResizeWeights {
    /// The weights from `from` pixels to `to`, antialiased.
    pub(super) fn bicubic(from: u32, to: u32) -> Self {
        let side = Side::new(from, to);
        let window = side.radius().ceil() as usize * 2 + 1;
        let (mut starts, mut sizes, mut exact) =
            (Vec::new(), Vec::new(), Vec::with_capacity(window * to as usize));
        let mut own = Vec::with_capacity(window);
        for place in 0..to {
            starts.push(side.weights(place, &mut own));
            sizes.push(own.len() as u32);
            let filled = exact.len();
            exact.extend_from_slice(&own);
            exact.resize(filled + window, 0.0);
        }
        let precision = Side::precision(exact.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        let values = exact.iter().map(|&weight| Side::fixed(weight, precision)).collect();
        Self { starts, sizes, values, window, precision }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_lie_in_the_image() {
        for (from, to) in [(640, 912), (4032, 768), (48, 48), (7, 48), (1, 384), (5000, 48)] {
            let weights = ResizeWeights::bicubic(from, to);
            let one = f64::from(1_u32 << weights.precision);
            for place in 0..to as usize {
                let own = &weights.values[place * weights.window..][..weights.window];
                let sum: f64 = own.iter().map(|&weight| f64::from(weight) / one).sum();
                assert!((sum - 1.0).abs() < 0.01, "{from} to {to}: {sum}");
                assert!(
                    weights.sizes[place] > 0
                        && weights.starts[place] + weights.sizes[place] <= from
                );
                assert!(own[weights.sizes[place] as usize..].iter().all(|&weight| weight == 0));
            }
        }
    }
}
