//! The weights of a bicubic resize, one pixel of the new side at a time.
//!
//! In: a side before and after. Out: for each pixel of the new side the source pixels that it is
//! made of, and their weights, as `fast_image_resize` 6.1 computes them (which follows
//! Pillow-SIMD).

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

    /// How far from its centre a pixel has weights, in source pixels: if the side shrinks, the
    /// cubic widens by the same factor.
    pub(super) fn radius(&self) -> f64 {
        2.0 * self.widening
    }

    fn centre(&self, place: u32) -> f64 {
        (f64::from(place) + 0.5) * self.scale
    }

    /// The first pixel that may have a weight.
    pub(super) fn first(&self, place: u32) -> usize {
        (self.centre(place) - self.radius()).floor().max(0.0) as usize
    }

    /// The weights of a pixel go into `own`, without zeros at the ends; returns the source pixel of
    /// the first of them.
    #[allow(clippy::float_cmp)] // exactly zero is what is left out
    pub(super) fn weights(&self, place: u32, own: &mut Vec<f64>) -> u32 {
        let centre = self.centre(place);
        let first = self.first(place) as u32;
        let end = (centre + self.radius()).ceil().min(f64::from(self.from)) as u32;
        let weight =
            |pixel: u32| catmull_rom((f64::from(pixel) - (centre - 0.5)) * (1.0 / self.widening));
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

    /// As many bits behind the point as the largest weight leaves of 16, and at most those that a
    /// sum in 32 bits has room for beside 8 bits of a result and 2 of overshoot.
    pub(super) fn precision(largest: f64) -> u32 {
        let fits = |bits: u32| (largest * f64::from(1_u32 << (bits + 1))).round() < 32768.0;
        (0..22).find(|&bits| !fits(bits)).unwrap_or(21)
    }

    /// A weight in fixed point.
    pub(super) fn fixed(weight: f64, precision: u32) -> i16 {
        (weight * f64::from(1_u32 << precision)).round() as i16
    }
}
