//! Resizing of images with a very long side.
//!
//! In: RGB bytes of a size with a side of more than [`MAX_SIDE`] pixels, and the size that is
//! wanted. Out: the bytes that [`super::resize`] makes of any other image, by the same weights and
//! the same sums. Promises: only a few rows are held beside the image. The other ways lay down the
//! weights of a whole side, 32 bytes and more for each of its pixels, and the image between the two
//! passes, which for a column of one pixel's width is 48 times as large as the image.

use multiversion::multiversion;

use super::budget::TargetSize;
use super::pass::{ResizeError, scale};
use super::weights::Side;

/// The longest side of a JPEG, and the longest that the other ways are for.
pub(super) const MAX_SIDE: u32 = u16::MAX as u32;

/// From this radius on, every weight is small enough for the finest precision: of 2 * radius
/// weights whose sum is 1 and which follow the cubic, the largest is below 2.5 / radius (at an end
/// of the side, where a part of the cubic is missing), and 2^-7 is fine enough.
const FAR: f64 = 512.0;

/// Bytes of the rows that are made by the pass over the width before they are added up.
const ROWS_TOGETHER: usize = 1 << 20;

/// Resizes `rgb` of `width` x `height` pixels to `target`: over the width first, then over the
/// height, rounding to bytes in between.
///
/// # Errors
/// [`ResizeError`] if `rgb` is not `width * height * 3` bytes.
pub(super) fn resize(
    rgb: &[u8],
    (width, height): (u32, u32),
    target: TargetSize,
) -> Result<Vec<u8>, ResizeError> {
    let narrowed;
    let (rgb, width) = if width > MAX_SIDE {
        narrowed = over_the_width(rgb, width, height as usize, target.width);
        (narrowed.as_slice(), target.width)
    } else {
        (rgb, width)
    };
    if height > MAX_SIDE && width == 1 {
        // The one pixel of a row is all of it, with a weight of 1: all columns of the result are
        // equal.
        let column = over_the_height(rgb, (1, height), TargetSize { width: 1, ..target })?;
        let (pixels, _) = column.as_chunks::<3>();
        return Ok(pixels
            .iter()
            .flat_map(|pixel| std::iter::repeat_n(*pixel, target.width as usize))
            .flatten()
            .collect());
    }
    if height > MAX_SIDE {
        return over_the_height(rgb, (width, height), target);
    }
    let mut narrow = Vec::new();
    let rows = if width == target.width {
        rgb
    } else {
        scale(rgb, (width, height), &mut narrow, (target.width, height))?;
        &narrow
    };
    if height == target.height {
        return Ok(rows.to_vec());
    }
    let mut resized = Vec::new();
    scale(rows, (target.width, height), &mut resized, (target.width, target.height))?;
    Ok(resized)
}

/// The pass over the width, place by place: the weights of one place are all that is known at once.
fn over_the_width(rgb: &[u8], width: u32, rows: usize, to: u32) -> Vec<u8> {
    let pass = Pass::new(width, to);
    let mut out = vec![0; to as usize * rows * 3];
    for place in 0..to {
        let Taps { start, weights } = pass.taps(place);
        for row in 0..rows {
            let first = (row * width as usize + start) * 3;
            let mut sums = [pass.half(); 3];
            for (pixel, &weight) in rgb[first..].chunks_exact(3).zip(&weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
            let at = (row * to as usize + place as usize) * 3;
            out[at..at + 3].copy_from_slice(&sums.map(|sum| pass.byte(sum)));
        }
    }
    out
}

/// The pass over the height, and before it that over the width for a few rows at a time. Each row
/// is added to the rows of the result that it is a part of: four or five at once.
fn over_the_height(
    rgb: &[u8],
    (width, height): (u32, u32),
    target: TargetSize,
) -> Result<Vec<u8>, ResizeError> {
    let pass = Pass::new(height, target.height);
    let (row, to_row) = (width as usize * 3, target.width as usize * 3);
    let together = (ROWS_TOGETHER / to_row).max(1);
    let mut out = vec![0; to_row * target.height as usize];
    let mut next = 0;
    let mut open: Vec<Open> = Vec::new();
    let mut narrow = Vec::new();
    for first in (0..height as usize).step_by(together) {
        let last = (first + together).min(height as usize);
        let part = &rgb[first * row..last * row];
        let rows = if width == target.width {
            part
        } else {
            let count = (last - first) as u32;
            scale(part, (width, count), &mut narrow, (target.width, count))?;
            &narrow
        };
        while next < target.height && pass.side.first(next) < last {
            open.push(Open {
                place: next as usize,
                taps: pass.taps(next),
                sums: vec![pass.half(); to_row],
            });
            next += 1;
        }
        for Open { taps: Taps { start, weights }, sums, .. } in &mut open {
            let own = first.max(*start)..last.min(*start + weights.len());
            if !own.is_empty() {
                add_up(
                    sums,
                    &rows[(own.start - first) * to_row..],
                    &weights[own.start - *start..own.end - *start],
                );
            }
        }
        open.retain(|Open { place, taps, sums }| {
            let is_open = taps.start + taps.weights.len() > last;
            if !is_open {
                for (byte, &sum) in out[place * to_row..][..to_row].iter_mut().zip(sums) {
                    *byte = pass.byte(sum);
                }
            }
            is_open
        });
    }
    Ok(out)
}

/// Adds rows to a row of sums, one for each weight. Weights of 16 bits, which processors multiply
/// faster than those of 32.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn add_up(sums: &mut [i32], rows: &[u8], weights: &[i16]) {
    for (row, &weight) in rows.chunks_exact(sums.len()).zip(weights) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += i32::from(value) * i32::from(weight);
        }
    }
}

/// One pass.
struct Pass {
    side: Side,
    precision: u32,
}

/// The source pixels of one pixel of the result.
struct Taps {
    start: usize,
    weights: Vec<i16>,
}

/// A row of the result that is not whole yet.
struct Open {
    place: usize,
    taps: Taps,
    sums: Vec<i32>,
}

impl Pass {
    fn new(from: u32, to: u32) -> Self {
        let side = Side::new(from, to);
        if side.radius() >= FAR {
            return Self { precision: Side::precision(0.0), side };
        }
        let mut own = Vec::new();
        let mut largest = f64::NEG_INFINITY;
        for place in 0..to {
            side.weights(place, &mut own);
            largest = own.iter().copied().fold(largest, f64::max);
        }
        Self { precision: Side::precision(largest), side }
    }

    fn taps(&self, place: u32) -> Taps {
        let mut exact = Vec::new();
        let start = self.side.weights(place, &mut exact) as usize;
        let weights = exact.iter().map(|&weight| Side::fixed(weight, self.precision)).collect();
        Taps { start, weights }
    }

    /// The start of a sum, so that it is rounded.
    fn half(&self) -> i32 {
        1 << (self.precision - 1)
    }

    fn byte(&self, sum: i32) -> u8 {
        (sum >> self.precision).clamp(0, 255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::resize::in_two_calls;

    /// The other way does these as well: they are long, but have few pixels.
    #[test]
    fn long_sides_give_what_the_library_gives() {
        for (width, height, to) in [
            (70_001, 1, (3360, 48)),
            (1, 70_001, (48, 3360)),
            (3, 65_537, (48, 1008)),
            (66_000, 5, (816, 48)),
            (48, 65_600, (48, 1104)),
            (1, 90_000, (96, 96)),
            (90_000, 2, (96, 48)),
            (20, 5, (96, 48)),
        ] {
            let rgb: Vec<u8> = (0..width * height * 3)
                .map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect();
            let target = TargetSize { width: to.0, height: to.1 };
            let expected = in_two_calls(&rgb, width, height, target).unwrap();
            assert!(
                resize(&rgb, (width, height), target).unwrap() == *expected,
                "{width}x{height}"
            );
            // Each pass alone, also for short sides.
            let narrowed = over_the_width(&rgb, width, height as usize, target.width);
            let across =
                in_two_calls(&rgb, width, height, TargetSize { width: to.0, height }).unwrap();
            assert!(narrowed == *across, "{width}x{height}: width");
            assert!(
                over_the_height(&rgb, (width, height), target).unwrap() == *expected,
                "{width}x{height}: height"
            );
        }
    }

    #[test]
    fn far_weights_have_the_finest_precision() {
        for (from, to) in [(256 * 48, 48), (1_000_003, 3360), (179_000_000, 3360)] {
            let side = Side::new(from, to);
            assert!(side.radius() >= FAR);
            let largest = |place| {
                let mut weights = Vec::new();
                side.weights(place, &mut weights);
                weights.into_iter().fold(0.0, f64::max)
            };
            let places = (0..8).chain(to / 2..to / 2 + 8).chain(to - 8..to).map(largest);
            assert_eq!(Side::precision(places.fold(0.0, f64::max)), Side::precision(0.0));
        }
    }
}
