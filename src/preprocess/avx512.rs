//! Both passes of a bicubic resize on processors with AVX-512 (VBMI and VNNI: Ice Lake, Zen 4 and later).
//!
//! In: RGB bytes and the [`Layout`] that the result shall have. Out: the bytes that `fast_image_resize` makes in two calls, bit for bit: the same weights, the
//! same 32-bit sums, the same rounding between the passes. It is here because at a budget of 280 an image of one megapixel hardly shrinks, and then that
//! library's pass over the width costs a third of decoding the file; docs/BENCHMARKS.md has the figures.
//!
//! How: the rows go through in bands that stay in the cache. The pass over the width makes 16 values of a row at once (a pixel is three values); which bytes
//! of the row they need, and by what they are multiplied, is laid down once for all rows, in [`Step`]s. It leaves rows in pairs, value beside value, so that the
//! pass over the height is a load and a multiplication for two of its taps, and writes straight to where a patch has the row.
#![allow(clippy::cast_possible_wrap)] // bits are bits

use std::arch::x86_64::{
    __m512i, _mm_cvtsi32_si128, _mm512_cvtusepi32_epi8, _mm512_dpwssd_epi32, _mm512_maskz_permutexvar_epi8,
    _mm512_max_epi32, _mm512_min_epu16, _mm512_packus_epi32, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_sra_epi32,
};
use std::ops::Range;

use super::budget::TargetSize;
use super::patches::Layout;
use super::weights::ResizeWeights;

/// 32-bit sums in a register.
const LANES: usize = 16;
/// Bytes in a register, and so what a step sees of a row.
const WINDOW: usize = 64;
/// Values whose sums the pass over the height holds at once: 16 pixels, the run of a patch.
const RUN: usize = 3 * LANES;
/// Pairs of rows that the pass over the width makes at once, so that a step is fetched for four rows.
const PAIRS: usize = 2;

/// Resizes `rgb` of `width` x `height` pixels to `target`, laid out as `layout` says; nothing where this processor or this shape is none for it.
pub(super) fn resize(rgb: &[u8], (width, height): (u32, u32), target: TargetSize, layout: Layout) -> Option<Vec<u8>> {
    let row = width as usize * 3;
    let whole_runs = (target.width as usize * 3).is_multiple_of(RUN);
    let fits = row >= WINDOW && whole_runs && rgb.len() == row * height as usize && height > 0;
    if !fits || !supported() {
        return None;
    }
    // SAFETY: `supported` has just found the features that the function is compiled for.
    #[allow(unsafe_code, reason = "the one call into code for a processor that was asked for")]
    Some(unsafe { both_passes(rgb, width, height, target, layout) })
}

fn supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni")
}

/// Up to two taps of each of 16 values, out of a [`Window`].
#[derive(Clone, Copy)]
struct Step {
    /// For each value, at the even bytes of its lane, which bytes of the window its taps are.
    bytes: __m512i,
    /// Their weights, i16, 0 where there is no such tap.
    weights: __m512i,
}

/// 64 bytes of a row.
#[derive(Clone, Copy)]
struct Window {
    /// Where they begin in the row.
    at: usize,
    /// How many of the next steps look at them.
    steps: usize,
}

/// What the pass over the width does with every row: for 16 values after the other some windows, for each window some steps.
struct Plan {
    /// How many windows each 16 values have.
    blocks: Vec<usize>,
    windows: Vec<Window>,
    steps: Vec<Step>,
}

impl Plan {
    /// For rows of `row` bytes, at least [`WINDOW`].
    fn new(weights: &ResizeWeights, row: usize) -> Self {
        let values = weights.starts.len() * 3;
        let mut plan = Self { blocks: Vec::with_capacity(values / LANES), windows: Vec::new(), steps: Vec::new() };
        for first in (0..values).step_by(LANES) {
            let before = plan.windows.len();
            plan.block(weights, row, first);
            plan.blocks.push(plan.windows.len() - before);
        }
        plan
    }

    /// The values from `first` on.
    fn block(&mut self, weights: &ResizeWeights, row: usize, first: usize) {
        // The taps that no step has yet: the first byte and how many.
        let place = |lane: usize| (first + lane) / 3;
        let mut left: [(usize, usize); LANES] = std::array::from_fn(|lane| {
            let pixel = weights.starts[place(lane)] as usize;
            (pixel * 3 + (first + lane) % 3, weights.sizes[place(lane)] as usize)
        });
        let mut window: Option<Window> = None;
        while let Some(leftmost) = left.iter().filter(|(_, taps)| *taps > 0).map(|(byte, _)| *byte).min() {
            let sees =
                |at: usize| left.iter().all(|(byte, taps)| *taps == 0 || byte + (taps - 1).min(1) * 3 < at + WINDOW);
            let at = match window {
                Some(window) if sees(window.at) => window.at,
                _ => {
                    self.windows.extend(window);
                    let at = leftmost.min(row - WINDOW);
                    window = Some(Window { at, steps: 0 });
                    at
                }
            };
            let (mut bytes, mut factors) = ([0_u8; WINDOW], [0_i16; WINDOW / 2]);
            for (lane, (byte, taps)) in left.iter_mut().enumerate() {
                for half in 0..2 {
                    if *taps > 0 && *byte < at + WINDOW {
                        let tap = weights.sizes[place(lane)] as usize - *taps;
                        bytes[lane * 4 + half * 2] = (*byte - at) as u8;
                        factors[lane * 2 + half] = weights.values[place(lane) * weights.window + tap];
                        (*byte, *taps) = (*byte + 3, *taps - 1);
                    }
                }
            }
            self.steps.push(Step { bytes: bytemuck::cast(bytes), weights: bytemuck::cast(factors) });
            window = window.map(|window| Window { steps: window.steps + 1, ..window });
        }
        self.windows.extend(window);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn both_passes(rgb: &[u8], width: u32, height: u32, target: TargetSize, layout: Layout) -> Vec<u8> {
    let (across, down) = (ResizeWeights::bicubic(width, target.width), ResizeWeights::bicubic(height, target.height));
    let row = width as usize * 3;
    let plan = Plan::new(&across, row);
    let lines: Vec<&[u8]> = rgb.chunks_exact(row).collect();
    let blocks = plan.blocks.len();

    // Pairs of rows after the pass over the width, the latest `held` of them: pair p at p % held.
    let held = down.window / 2 + 1 + PAIRS;
    let held = held.next_multiple_of(PAIRS);
    let mut pairs = vec![_mm512_setzero_si512(); held * blocks];
    let mut made = 0;

    let mut out = vec![0; target.width as usize * target.height as usize * 3];
    let mut taps = Vec::with_capacity(held);
    for y in 0..target.height as usize {
        let (start, end) = (down.starts[y] as usize, (down.starts[y] + down.sizes[y]) as usize);
        while made * 2 < end {
            let pairs = &mut pairs[made % held * blocks..][..PAIRS * blocks];
            // Behind the last row any row will do: it has no weight.
            let rows = std::array::from_fn(|i| lines[(made * 2 + i).min(lines.len() - 1)]);
            over_the_width(rows, &plan, across.precision, pairs);
            made += PAIRS;
        }
        taps.clear();
        taps.extend((start / 2..end.div_ceil(2)).map(|pair| {
            let weight = |row: usize| match row.checked_sub(start) {
                Some(tap) if row < end => down.values[y * down.window + tap],
                _ => 0,
            };
            let both = u32::from(weight(pair * 2) as u16) | u32::from(weight(pair * 2 + 1) as u16) << 16;
            (pair % held * blocks, _mm512_set1_epi32(both as i32))
        }));
        over_the_height(&pairs, &taps, down.precision, layout.runs(y), &mut out);
    }
    out
}

/// Makes [`PAIRS`] pairs of rows: `[pair, block]`, in each 16 times the value of the first row and that of the second, 16 bits each.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn over_the_width(rows: [&[u8]; 2 * PAIRS], plan: &Plan, precision: u32, out: &mut [__m512i]) {
    // As a constant, the compiler would make an AND of the mask that the permutation has for nothing.
    let even_bytes = std::hint::black_box(0x5555_5555_5555_5555);
    // A pack puts four values of one row behind four of the other; this puts them beside each other.
    let beside: [u8; WINDOW] = std::array::from_fn(|i| {
        let (word, byte) = (i % 16 / 2, i % 2);
        (word / 2 * 2 + word % 2 * 8 + byte) as u8
    });
    let beside = bytemuck::cast(beside);
    let half = _mm512_set1_epi32(1 << (precision - 1));
    let shift = _mm_cvtsi32_si128(precision as i32);
    let white = _mm512_set1_epi16(255);
    let (first, second) = out.split_at_mut(plan.blocks.len());
    let (mut windows, mut steps) = (plan.windows.iter(), plan.steps.iter());
    for ((&count, first), second) in plan.blocks.iter().zip(first).zip(second) {
        let mut sums = [half; 2 * PAIRS];
        for window in windows.by_ref().take(count) {
            let seen = rows.map(|row| bytemuck::pod_read_unaligned(&row[window.at..window.at + WINDOW]));
            for step in steps.by_ref().take(window.steps) {
                for (sum, seen) in sums.iter_mut().zip(seen) {
                    let taps = _mm512_maskz_permutexvar_epi8(even_bytes, step.bytes, seen);
                    *sum = _mm512_dpwssd_epi32(*sum, taps, step.weights);
                }
            }
        }
        let [a, b, c, d] = sums.map(|sum| _mm512_sra_epi32(sum, shift));
        *first = _mm512_shuffle_epi8(_mm512_min_epu16(_mm512_packus_epi32(a, b), white), beside);
        *second = _mm512_shuffle_epi8(_mm512_min_epu16(_mm512_packus_epi32(c, d), white), beside);
    }
}

/// Makes one row of the result, at `runs` in `out`. `taps`: where in `pairs` a pair of rows begins, and its two weights.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn over_the_height(
    pairs: &[__m512i],
    taps: &[(usize, __m512i)],
    precision: u32,
    runs: impl Iterator<Item = Range<usize>>,
    out: &mut [u8],
) {
    let half = _mm512_set1_epi32(1 << (precision - 1));
    let shift = _mm_cvtsi32_si128(precision as i32);
    let zero = _mm512_setzero_si512();
    let mut block = 0;
    for run in runs {
        for out in out[run].chunks_exact_mut(RUN) {
            let mut sums = [half; RUN / LANES];
            for &(first, weights) in taps {
                for (sum, pair) in sums.iter_mut().zip(&pairs[first + block..][..RUN / LANES]) {
                    *sum = _mm512_dpwssd_epi32(*sum, *pair, weights);
                }
            }
            for (out, sum) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
                *out = bytemuck::cast(_mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_sra_epi32(sum, shift), zero)));
            }
            block += RUN / LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::super::patches::patchify;
    use super::super::resize::in_two_calls;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// On a processor without AVX-512 there is nothing to compare, and nothing may come out.
        #[test]
        fn both_passes_are_those_of_the_library(
            width in 22_u32..700, height in 1_u32..500, columns in 1_u32..9, rows in 1_u32..9, side in prop_oneof![Just(16), Just(48)],
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 97..1009),
        ) {
            let target = TargetSize { width: columns * 48, height: rows * 48 };
            let rgb: Vec<u8> = bytes.iter().copied().cycle().take((width * height * 3) as usize).collect();
            let uncut = resize(&rgb, (width, height), target, Layout::rows(target.width));
            let cut = resize(&rgb, (width, height), target, Layout::patches(target.width, side));
            prop_assert_eq!((uncut.is_some(), cut.is_some()), (supported(), supported()));
            if let (Some(uncut), Some(cut)) = (uncut, cut) {
                let expected = in_two_calls(&rgb, width, height, target).unwrap();
                prop_assert!(uncut == *expected);
                prop_assert!(cut == patchify(&expected, target, side).pixels);
            }
        }
    }

    #[test]
    fn shapes_that_are_left_to_the_library() {
        let rgb = vec![9; 40 * 40 * 3];
        let none = |from, width| resize(&rgb, from, TargetSize { width, height: 48 }, Layout::rows(width)).is_none();
        assert!(none((40, 40), 50), "50 pixels are no whole runs of 16");
        assert!(none((40, 39), 48), "too many bytes");
        assert!(none((20, 80), 48), "rows shorter than a window");
        assert!(none((0, 0), 48));
    }
}
