//! Both passes of a bicubic resize on processors with AVX-512 (VBMI and VNNI: Ice Lake, Zen 4 and
//! later).
//!
//! In: RGB bytes and the [`Layout`] that the result shall have. Out: the bytes that
//! `fast_image_resize` makes in two calls, bit for bit: the same weights, the same 32-bit sums, the
//! same rounding between the passes. It is here because at a budget of 280 an image of one
//! megapixel hardly shrinks, and then that library's pass over the width costs a third of decoding
//! the file; docs/BENCHMARKS.md has the figures.
//!
//! How: the rows go through in bands that stay in the cache. The pass over the width makes 16
//! values of a row at once (a pixel is three values); the bytes of the row that they need, and
//! their factors, are the same for all rows and laid down in [`plan`]. It writes rows in pairs,
//! value beside value, so that the pass over the height is a load and a multiplication for two of
//! its taps; that pass writes to the row's position in its patches.

mod plan;
mod weights;

use std::arch::x86_64::{
    __m512i, _mm_cvtsi32_si128, _mm512_cvtusepi32_epi8, _mm512_dpwssd_epi32,
    _mm512_maskz_permutexvar_epi8, _mm512_max_epi32, _mm512_min_epu16, _mm512_packus_epi32,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_sra_epi32,
};
use std::cell::RefCell;

use self::plan::{Across, Plan};
use super::budget::TargetSize;
use super::patches::Layout;

/// 32-bit sums in a register.
const LANES: usize = 16;
/// Bytes in a register: the pass over the width reads this much of a row at once.
const WINDOW: usize = 64;
/// Registers whose sums the pass over the height holds at once: 16 pixels.
const BLOCKS: usize = 3;
/// Values in them. A row of a patch is a whole number of these.
const RUN: usize = BLOCKS * LANES;
/// Pairs of rows that the pass over the width makes at once, so that a step is fetched for four
/// rows.
const PAIRS: usize = 2;

/// Resizes `rgb` of `width` x `height` pixels to `target`, in the order of `layout`; `None` if this
/// processor or this shape is not supported.
pub(super) fn resize(
    rgb: &[u8],
    (width, height): (u32, u32),
    target: TargetSize,
    layout: Layout,
) -> Option<Vec<u8>> {
    let row = width as usize * 3;
    let whole_runs = (target.width as usize * 3).is_multiple_of(RUN);
    let fits = row >= WINDOW && whole_runs && rgb.len() == row * height as usize;
    let empty = height == 0 || target.width == 0 || target.height == 0;
    if !fits || empty || !supported() {
        return None;
    }
    Some(LAST.with_borrow_mut(|last| {
        let plan =
            match last.take().filter(|plan| (plan.from, plan.to) == ((width, height), target)) {
                Some(plan) => last.insert(plan),
                None => last.insert(Plan::new((width, height), target)),
            };
        // SAFETY: `supported` has just found the features that the function is compiled for.
        #[allow(unsafe_code, reason = "the one call into code for a processor that was asked for")]
        unsafe {
            both_passes(rgb, plan, layout)
        }
    }))
}

thread_local! {
    /// The plan of the last image: most images of a folder have one size, and a plan costs an
    /// eighth of the passes of a megapixel.
    static LAST: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

fn supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni")
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn both_passes(rgb: &[u8], plan: &Plan, layout: Layout) -> Vec<u8> {
    let Plan { across, down, .. } = plan;
    let (lines, line_bytes) = (plan.from.1 as usize, plan.from.0 as usize * 3);
    let blocks = across.blocks.len();
    let row = blocks * LANES;

    // Pairs of rows after the pass over the width, the latest `held` of them: pair p at p % held.
    let held = (down.back + down.taps + PAIRS - 1).next_multiple_of(PAIRS);
    let mut pairs = vec![_mm512_setzero_si512(); held * blocks];
    let mut made = 0;

    let mut out = Vec::with_capacity(down.first.len() * row);
    let mut band = vec![0; layout.rows * row];
    let mut taps = Vec::with_capacity(down.taps);
    for (y, (&first, weights)) in
        down.first.iter().zip(down.weights.chunks_exact(down.taps)).enumerate()
    {
        while made < first + down.taps {
            // Behind the last row any row will do: it has no weight.
            let rows = std::array::from_fn(|i| {
                &rgb[(made * 2 + i).min(lines - 1) * line_bytes..][..line_bytes]
            });
            over_the_width(rows, across, &mut pairs[made % held * blocks..][..PAIRS * blocks]);
            made += PAIRS;
        }
        taps.clear();
        taps.extend(
            weights
                .iter()
                .zip(first..)
                .map(|(&both, pair)| (pair % held * blocks, _mm512_set1_epi32(both))),
        );
        let in_band = y % layout.rows;
        let runs = band[in_band * layout.run..]
            .chunks_mut(layout.rows * layout.run)
            .map(|run| &mut run[..layout.run]);
        over_the_height(&pairs, &taps, down.precision, runs);
        if in_band == layout.rows - 1 {
            out.extend_from_slice(&band);
        }
    }
    out
}

/// Makes [`PAIRS`] pairs of rows: `[pair, block]`, in each 16 times the value of the first row and
/// that of the second, 16 bits each.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn over_the_width(rows: [&[u8]; 2 * PAIRS], across: &Across, out: &mut [__m512i]) {
    // As a constant, the compiler would make an AND of the mask that the permutation has for
    // nothing.
    let even_bytes = std::hint::black_box(0x5555_5555_5555_5555);
    // A pack puts four values of one row behind four of the other; this puts them beside each
    // other.
    let beside: [u8; WINDOW] = std::array::from_fn(|i| {
        let (word, byte) = (i % 16 / 2, i % 2);
        (word / 2 * 2 + word % 2 * 8 + byte) as u8
    });
    let beside = bytemuck::cast(beside);
    let half = _mm512_set1_epi32(1 << (across.precision - 1));
    let shift = _mm_cvtsi32_si128(across.precision as i32);
    let white = _mm512_set1_epi16(255);
    let (mut windows, mut steps) = (across.windows.iter(), across.steps.iter());
    for (block, &count) in across.blocks.iter().enumerate() {
        let mut sums = [half; 2 * PAIRS];
        for window in windows.by_ref().take(count) {
            let seen =
                rows.map(|row| bytemuck::pod_read_unaligned(&row[window.at..window.at + WINDOW]));
            for step in steps.by_ref().take(window.steps) {
                for (sum, seen) in sums.iter_mut().zip(seen) {
                    let taps = _mm512_maskz_permutexvar_epi8(even_bytes, step.bytes, seen);
                    *sum = _mm512_dpwssd_epi32(*sum, taps, step.weights);
                }
            }
        }
        for pair in 0..PAIRS {
            let [a, b] =
                [sums[pair * 2], sums[pair * 2 + 1]].map(|sum| _mm512_sra_epi32(sum, shift));
            out[pair * across.blocks.len() + block] =
                _mm512_shuffle_epi8(_mm512_min_epu16(_mm512_packus_epi32(a, b), white), beside);
        }
    }
}

/// Makes one row of the result, run after run. `taps`: the start of a pair of rows in `pairs`, and
/// its two weights.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn over_the_height<'o>(
    pairs: &[__m512i],
    taps: &[(usize, __m512i)],
    precision: u32,
    runs: impl Iterator<Item = &'o mut [u8]>,
) {
    let half = _mm512_set1_epi32(1 << (precision - 1));
    let shift = _mm_cvtsi32_si128(precision as i32);
    let zero = _mm512_setzero_si512();
    let mut block = 0;
    for run in runs {
        for out in run.chunks_exact_mut(RUN) {
            let mut sums = [half; BLOCKS];
            for &(first, weights) in taps {
                for (sum, pair) in sums.iter_mut().zip(&pairs[first + block..][..BLOCKS]) {
                    *sum = _mm512_dpwssd_epi32(*sum, *pair, weights);
                }
            }
            for (out, sum) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
                *out = bytemuck::cast(_mm512_cvtusepi32_epi8(_mm512_max_epi32(
                    _mm512_sra_epi32(sum, shift),
                    zero,
                )));
            }
            block += BLOCKS;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::preprocess::patches::patchify;
    use crate::preprocess::resize::in_two_calls;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// On a processor without AVX-512 there is nothing to compare, and nothing may come out.
        #[test]
        fn both_passes_are_those_of_the_library(
            width in 22_u32..700, height in 1_u32..500, columns in 1_u32..9, rows in 1_u32..9,
                side in prop_oneof![Just(16), Just(48)],
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()],
                97..1009),
        ) {
            let target = TargetSize { width: columns * 48, height: rows * 48 };
            let bytes = bytes.iter().copied().cycle();
            let rgb: Vec<u8> = bytes.take((width * height * 3) as usize).collect();
            let uncut = resize(&rgb, (width, height), target, Layout::uncut(target.width));
            let cut = resize(&rgb, (width, height), target, Layout::patches(side));
            prop_assert_eq!((uncut.is_some(), cut.is_some()), (supported(), supported()));
            if let (Some(uncut), Some(cut)) = (uncut, cut) {
                let expected = in_two_calls(&rgb, width, height, target).unwrap();
                prop_assert!(uncut == *expected);
                prop_assert!(cut == patchify(&expected, target, side).pixels);
            }
        }
    }

    /// Sixteen rows to 144: if a row of the result lies on one of the image, that is its only tap,
    /// and the next row's taps begin above it.
    #[test]
    fn taps_that_begin_before_those_of_the_row_above() {
        let target = TargetSize { width: 48, height: 144 };
        let rgb: Vec<u8> = (0..22 * 16 * 3_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let expected = in_two_calls(&rgb, 22, 16, target).unwrap();
        assert!(Plan::new((22, 16), target).down.back > 0);
        let resized = resize(&rgb, (22, 16), target, Layout::uncut(48));
        assert!(resized.is_none_or(|resized| resized == *expected));
    }

    #[test]
    fn shapes_that_are_left_to_the_library() {
        let rgb = vec![9; 40 * 40 * 3];
        let none = |from, width| {
            resize(&rgb, from, TargetSize { width, height: 48 }, Layout::uncut(width)).is_none()
        };
        assert!(none((40, 40), 50), "50 pixels are no whole runs of 16");
        assert!(none((40, 39), 48), "too many bytes");
        assert!(none((20, 80), 48), "rows shorter than a window");
        assert!(none((0, 0), 48));
        assert!(none((40, 40), 0));
    }
}
