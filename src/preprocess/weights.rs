//! The weights of one pass of a bicubic resize, in fixed point.
//!
//! In: a side before and after. Out: for each place of the new side the pixels it is made of and their weights, as `fast_image_resize` 6.1
//! computes them (which follows Pillow-SIMD). That library makes its own; these are for the passes for AVX-512,
//! and tests hold them to it.

/// What a pass is made with.
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

/// Keys' cubic with a = -0.5.
fn catmull_rom(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// One side before and after.
pub(super) struct Side {
    from: u32,
    scale: f64,
    widening: f64,
}

impl Side {
    pub(super) fn new(from: u32, to: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        Self { from, scale, widening: scale.max(1.0) }
    }

    /// How far from its centre a place has weights, in source pixels: where the side shrinks, the cubic is as wide as that makes it.
    fn radius(&self) -> f64 {
        2.0 * self.widening
    }

    fn centre(&self, place: u32) -> f64 {
        (f64::from(place) + 0.5) * self.scale
    }

    /// The first pixel that may have a weight.
    pub(super) fn first(&self, place: u32) -> usize {
        (self.centre(place) - self.radius()).floor().max(0.0) as usize
    }

    /// The weights of a place go into `own`, none at the ends being 0; what comes back is the pixel that the first of them is for.
    #[allow(clippy::float_cmp)] // exactly zero is what is left out
    pub(super) fn weights(&self, place: u32, own: &mut Vec<f64>) -> u32 {
        let centre = self.centre(place);
        let first = self.first(place) as u32;
        let end = (centre + self.radius()).ceil().min(f64::from(self.from)) as u32;
        let weight = |pixel: u32| catmull_rom((f64::from(pixel) - (centre - 0.5)) * (1.0 / self.widening));
        let start = (first..end).find(|&pixel| weight(pixel) != 0.0).unwrap_or(end);
        own.clear();
        own.extend((start..end).map(weight));
        // Summed up in the order of the pixels: another order rounds otherwise.
        let sum: f64 = own.iter().sum();
        if sum != 0.0 {
            for weight in own.iter_mut() {
                *weight /= sum;
            }
        }
        let size = own.iter().rposition(|&weight| weight != 0.0).map_or(0, |last| last + 1);
        own.truncate(size);
        start
    }

    /// As many bits behind the point as the largest weight leaves of 16, and at most those that a sum in 32 bits has room for beside 8
    /// bits of a result and 2 of overshoot.
    pub(super) fn precision(largest: f64) -> u32 {
        let fits = |bits: u32| (largest * f64::from(1_u32 << (bits + 1))).round() < 32768.0;
        (0..22).find(|&bits| !fits(bits)).unwrap_or(21)
    }

    /// A weight in fixed point.
    pub(super) fn fixed(weight: f64, precision: u32) -> i16 {
        (weight * f64::from(1_u32 << precision)).round() as i16
    }
}

impl ResizeWeights {
    /// The weights from `from` pixels to `to`, antialiased.
    pub(super) fn bicubic(from: u32, to: u32) -> Self {
        let side = Side::new(from, to);
        let window = side.radius().ceil() as usize * 2 + 1;
        let (mut starts, mut sizes, mut exact) = (Vec::new(), Vec::new(), Vec::with_capacity(window * to as usize));
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
                assert!(weights.sizes[place] > 0 && weights.starts[place] + weights.sizes[place] <= from);
                assert!(own[weights.sizes[place] as usize..].iter().all(|&weight| weight == 0));
            }
        }
    }
}
