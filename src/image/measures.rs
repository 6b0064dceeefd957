//! Classical measures of a frame's pixels: sharpness, noise, clipping, brightness, contrast.
//!
//! In: 8-bit RGB. Out: [`Measures`]. Promises: the same pixels give the same numbers on every
//! machine; frames of up to a megapixel are measured as they are, and larger ones are first
//! averaged down to it for measures that depend on the scale.
//!
//! Own code: these are sums over pixels and their neighbours, and `imageproc` would bring linear
//! algebra and fonts for them.

use std::f64::consts::FRAC_PI_2;

use crate::record::Measures;

/// The most pixels that sharpness and noise are measured over. By area and not by side, so that all
/// of SDXL's formats (1024x1024, 832x1216, 1536x640) are measured as they are and can be compared.
const MAX_PIXELS: f64 = (1 << 20) as f64;

/// A pixel with all channels up to this is clipped in the shadows, and with all from 255 less this
/// on, in the highlights: lossy formats and decoders of latents do not hit 0 and 255.
const CLIPPED: u8 = 2;

/// Measures row-major RGB of `width * height * 3` bytes. Bytes beyond the size, and the rest of a
/// row that is not whole, do not count.
pub fn measure(width: u32, height: u32, rgb: &[u8]) -> Measures {
    let width = width as usize;
    let luma: Vec<u8> =
        rgb.chunks_exact(3).take(width.saturating_mul(height as usize)).map(luma).collect();
    let height = luma.len().checked_div(width).unwrap_or(0);
    let luma = &luma[..width * height];
    let count = (luma.len() as f64).max(1.0);
    let share = |clipped: fn(&u8) -> bool| {
        rgb.chunks_exact(3).take(luma.len()).filter(|pixel| pixel.iter().all(clipped)).count()
            as f64
            / count
    };
    let mut histogram = [0_u64; 256];
    for &level in luma {
        histogram[usize::from(level)] += 1;
    }
    let levels = || {
        (0..256_u32)
            .map(f64::from)
            .zip(histogram)
            .map(|(level, pixels)| (level, pixels as f64 / count))
    };
    let mean: f64 = levels().map(|(level, share)| level * share).sum();
    let variance: f64 = levels().map(|(level, share)| (level - mean).powi(2) * share).sum();
    let entropy: f64 =
        levels().filter(|(_, share)| *share > 0.0).map(|(_, share)| -share * share.log2()).sum();
    let plane = Plane::within(width, height, luma, MAX_PIXELS);
    Measures {
        laplacian_variance: short(plane.laplacian_variance()),
        noise: short(plane.noise()),
        clipped_shadows: short(share(|&channel| channel <= CLIPPED)),
        clipped_highlights: short(share(|&channel| channel >= 255 - CLIPPED)),
        luma_mean: short(mean),
        luma_deviation: short(variance.sqrt()),
        luma_entropy: short(entropy),
    }
}

fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

/// Four significant digits.
fn short(value: f64) -> f64 {
    // The shortest way to round in decimals, the form in which numbers are written.
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Luma at the scale of the measures.
struct Plane {
    width: usize,
    levels: Vec<f32>,
}

impl Plane {
    /// Luma, averaged down to at most this many pixels: each row over the width, then added to the
    /// rows of the result that it is a part of. No more than one row is held beside the result,
    /// whatever the shape.
    fn within(width: usize, height: usize, luma: &[u8], most: f64) -> Self {
        let scale = (most / luma.len().max(1) as f64).sqrt();
        if scale >= 1.0 {
            return Self { width, levels: luma.iter().map(|&level| f32::from(level)).collect() };
        }
        let side = |side: usize| ((side as f64 * scale) as usize).max(1);
        let (narrow, low) = (side(width), side(height));
        let mut across = vec![0_f32; narrow];
        let mut row_of_across = None;
        let mut levels = Vec::with_capacity(narrow * low);
        let mut sums = vec![0_f64; narrow];
        for y in 0..low {
            sums.fill(0.0);
            for (row, part) in parts(height, low, y) {
                // The last row of a share may be the first of the next.
                if row_of_across != Some(row) {
                    row_of_across = Some(row);
                    let means = averaged(&luma[row * width..][..width], narrow);
                    across.iter_mut().zip(means).for_each(|(before, mean)| *before = mean);
                }
                for (sum, &mean) in sums.iter_mut().zip(&across) {
                    *sum += f64::from(mean) * part;
                }
            }
            levels.extend(sums.iter().map(|sum| (sum / share(height, low)) as f32));
        }
        Self { width: narrow, levels }
    }

    /// A value of every pixel that has all eight neighbours: of the sums of the pixel itself, the
    /// four beside it, and the four at its corners.
    fn inner(&self, value: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        let rows: Vec<&[f32]> = self.levels.chunks_exact(self.width.max(1)).collect();
        let mut values = Vec::new();
        for rows in rows.windows(3) {
            for x in 1..self.width.saturating_sub(1) {
                let at = |row: usize, x: usize| f64::from(rows[row][x]);
                let beside = at(0, x) + at(2, x) + at(1, x - 1) + at(1, x + 1);
                let corners = at(0, x - 1) + at(0, x + 1) + at(2, x - 1) + at(2, x + 1);
                values.push(value(at(1, x), beside, corners));
            }
        }
        values
    }

    fn laplacian_variance(&self) -> f64 {
        let laplacian = self.inner(|middle, beside, _| beside - 4.0 * middle);
        let count = (laplacian.len() as f64).max(1.0);
        let mean = laplacian.iter().sum::<f64>() / count;
        laplacian.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count
    }

    fn noise(&self) -> f64 {
        let residuals =
            self.inner(|middle, beside, corners| (4.0 * middle - 2.0 * beside + corners).abs());
        let count = (residuals.len() as f64).max(1.0);
        FRAC_PI_2.sqrt() * residuals.iter().sum::<f64>() / (6.0 * count)
    }
}

/// A row, averaged to `fewer` values.
fn averaged(row: &[u8], fewer: usize) -> impl Iterator<Item = f32> {
    (0..fewer).map(move |index| {
        let sum: f64 =
            parts(row.len(), fewer, index).map(|(at, part)| f64::from(row[at]) * part).sum();
        (sum / share(row.len(), fewer)) as f32
    })
}

/// How many of `length` values are averaged to each of `fewer`.
fn share(length: usize, fewer: usize) -> f64 {
    length as f64 / fewer as f64
}

/// The values that are averaged to the one at `index` of `fewer`, and how much of each: one that
/// lies in two shares counts in both by its part.
fn parts(length: usize, fewer: usize, index: usize) -> impl Iterator<Item = (usize, f64)> {
    let share = share(length, fewer);
    let (from, to) = (index as f64 * share, ((index + 1) as f64 * share).min(length as f64));
    (from as usize..(to.ceil() as usize).min(length))
        .map(move |at| (at, (at as f64 + 1.0).min(to) - (at as f64).max(from)))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is compared is exact, or rounded to four digits")]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, level: impl Fn(u32, u32) -> u8) -> Measures {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb: Vec<u8> = pixels.flat_map(|(x, y)| [level(x, y); 3]).collect();
        measure(width, height, &rgb)
    }

    /// The same pseudo-random number for the same place, -1..1.
    fn random(x: u32, y: u32) -> f64 {
        let mut bits = u64::from(x) << 32 | u64::from(y);
        for _ in 0..3 {
            bits = (bits ^ bits >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        (bits >> 40) as f64 / f64::from(1 << 23) - 1.0
    }

    #[test]
    fn a_flat_image_has_nothing_in_it() {
        let flat = grey(20, 10, |_, _| 100);
        assert_eq!(
            (flat.laplacian_variance, flat.noise, flat.luma_deviation, flat.luma_entropy),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert_eq!(
            (flat.luma_mean, flat.clipped_shadows, flat.clipped_highlights),
            (100.0, 0.0, 0.0)
        );
    }

    #[test]
    fn by_hand() {
        // Half black, half white: mean 127.5, deviation 127.5, one bit.
        let halves = grey(10, 10, |x, _| if x < 5 { 0 } else { 255 });
        assert_eq!(
            (halves.luma_mean, halves.luma_deviation, halves.luma_entropy),
            (127.5, 127.5, 1.0)
        );
        assert_eq!((halves.clipped_shadows, halves.clipped_highlights), (0.5, 0.5));
        // Of 8 columns inside, one has a Laplacian of 255 and one of -255: the mean is 0, the
        // variance 2 * 255^2 / 8.
        assert_eq!(halves.laplacian_variance, short(2.0 * 255.0 * 255.0 / 8.0));
        // The noise mask sees no straight edge.
        assert_eq!(halves.noise, 0.0);
        // A board: the Laplacian is 8 * 10 everywhere, with either sign; the residual 16 * 10.
        let board = grey(10, 10, |x, y| if (x + y) % 2 == 0 { 110 } else { 90 });
        assert_eq!(board.laplacian_variance, 6400.0);
        assert_eq!(board.noise, short(FRAC_PI_2.sqrt() * 160.0 / 6.0));
        // Four levels, equally often: two bits. Luma weights red by 0.299.
        assert_eq!(grey(4, 4, |x, _| x as u8 * 50).luma_entropy, 2.0);
        assert_eq!(measure(1, 1, &[255, 0, 0]).luma_mean, 76.0);
    }

    #[test]
    fn blur_and_noise_move_their_measures() {
        let scene = |x: u32, y: u32| {
            128.0 + 60.0 * f64::from(x / 16 % 2 * 2) - 60.0 + 20.0 * (f64::from(y) / 9.0).sin()
        };
        let sharp = grey(128, 128, |x, y| scene(x, y) as u8);
        let blurred =
            grey(128, 128, |x, y| ((x..x + 5).map(|x| scene(x, y)).sum::<f64>() / 5.0) as u8);
        assert!(
            blurred.laplacian_variance < sharp.laplacian_variance / 4.0,
            "{blurred:?} {sharp:?}"
        );
        // Uniform noise of -10..10 has a deviation of 10 / sqrt(3) = 5.8.
        let noisy = grey(128, 128, |x, y| (scene(x, y) + 10.0 * random(x, y)) as u8);
        assert!(sharp.noise < 1.0, "{sharp:?}");
        assert!((4.8..6.8).contains(&noisy.noise), "{noisy:?}");
        assert!(noisy.luma_entropy > sharp.luma_entropy);
    }

    #[test]
    fn size_matters_little() {
        let small = grey(1000, 700, |x, y| {
            (128.0 + 60.0 * (f64::from(x) / 7.0).sin() * (f64::from(y) / 9.0).cos()) as u8
        });
        let large = grey(2000, 1400, |x, y| {
            (128.0 + 60.0 * (f64::from(x) / 14.0).sin() * (f64::from(y) / 18.0).cos()) as u8
        });
        assert!((large.luma_mean - small.luma_mean).abs() < 0.5);
        let ratio = large.laplacian_variance / small.laplacian_variance;
        assert!((0.3..1.5).contains(&ratio), "{ratio}: without averaging it is a sixteenth");
    }

    #[test]
    fn averaging_keeps_the_mean() {
        let values: Vec<u8> = (0..10).collect();
        assert_eq!(averaged(&values, 5).collect::<Vec<_>>(), [0.5, 2.5, 4.5, 6.5, 8.5]);
        let quarter: Vec<f32> = averaged(&values, 4).collect();
        assert_eq!(quarter[0], (0.0 + 1.0 + 0.5 * 2.0) / 2.5);
        assert_eq!(quarter.iter().sum::<f32>() / 4.0, 4.5);
    }

    /// A column and a row of two megapixels are averaged along their length alone.
    #[test]
    fn the_shape_does_not_matter() {
        let level = |at: u32| (at / 4 % 256) as u8;
        let column = grey(1, 2 << 20, |_, y| level(y));
        let row = grey(2 << 20, 1, |x, _| level(x));
        assert_eq!(column, row);
        assert_eq!(Plane::within(1, 1 << 20, &vec![9; 1 << 20], 1024.0).levels, vec![9.0; 32768]);
    }

    #[test]
    fn any_size_is_measured() {
        for (width, height, bytes) in [
            (0, 0, 0),
            (0, 5, 30),
            (5, 0, 30),
            (1, 1, 3),
            (2, 2, 12),
            (3, 3, 26),
            (5, 5, 7),
            (u32::MAX, u32::MAX, 9),
        ] {
            let measures = measure(width, height, &vec![7; bytes]);
            assert!(measures.luma_mean.is_finite() && measures.noise == 0.0, "{measures:?}");
        }
        let json = serde_json::to_string(&grey(10, 10, |x, y| (x * y) as u8)).unwrap();
        assert!(json.len() < 220, "{json}");
        assert_eq!(
            serde_json::from_str::<Measures>(&json).unwrap(),
            grey(10, 10, |x, y| (x * y) as u8)
        );
    }

    #[test]
    fn four_digits() {
        assert_eq!(
            [1234.56, 0.000_123_456, 0.0, 99_999.0, 7.0].map(short),
            [1235.0, 0.000_123_5, 0.0, 100_000.0, 7.0]
        );
    }
}
