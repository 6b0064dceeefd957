//! The steps of the two passes, computed once for all rows.
//!
//! In: the sizes before and after. Out: registers of byte indices and weights, in the order of
//! their use. Promises: every tap is there once, with its weight.

use std::arch::x86_64::__m512i;

use super::weights::ResizeWeights;
use super::{LANES, WINDOW};
use crate::preprocess::budget::TargetSize;

/// Both passes.
pub(super) struct Plan {
    /// Width and height before.
    pub(super) from: (u32, u32),
    /// Width and height after.
    pub(super) to: TargetSize,
    pub(super) across: Across,
    pub(super) down: Down,
}

impl Plan {
    /// For rows of at least [`WINDOW`] bytes.
    pub(super) fn new(from: (u32, u32), to: TargetSize) -> Self {
        let across = Across::new(&ResizeWeights::bicubic(from.0, to.width), from.0 as usize * 3);
        Self { from, to, across, down: Down::new(&ResizeWeights::bicubic(from.1, to.height)) }
    }
}

/// Up to two taps of each of 16 values, out of a [`Window`].
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// For each value, at the even bytes of its lane, which bytes of the window its taps are.
    pub(super) bytes: __m512i,
    /// Their weights, i16, 0 if there is no such tap.
    pub(super) weights: __m512i,
}

/// 64 bytes of a row.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Its start in the row.
    pub(super) at: usize,
    /// How many of the next steps look at them.
    pub(super) steps: usize,
}

/// The pass over the width: for 16 values after the other some windows, for each window some steps.
pub(super) struct Across {
    /// How many windows each 16 values have.
    pub(super) blocks: Vec<usize>,
    pub(super) windows: Vec<Window>,
    pub(super) steps: Vec<Step>,
    /// Bits behind the point of the weights.
    pub(super) precision: u32,
}

impl Across {
    /// For rows that are made of rows of `row` bytes, at least [`WINDOW`].
    fn new(weights: &ResizeWeights, row: usize) -> Self {
        let values = weights.starts.len() * 3;
        let mut across = Self {
            blocks: Vec::with_capacity(values / LANES),
            windows: Vec::new(),
            steps: Vec::new(),
            precision: weights.precision,
        };
        for first in (0..values).step_by(LANES) {
            let before = across.windows.len();
            across.block(weights, row, first);
            across.blocks.push(across.windows.len() - before);
        }
        across
    }

    /// The 16 values from `first` on.
    fn block(&mut self, weights: &ResizeWeights, row: usize, first: usize) {
        let place = |lane: usize| (first + lane) / 3;
        // The taps that no step has yet: the byte of the first and how many.
        let mut left: [(usize, usize); LANES] = std::array::from_fn(|lane| {
            let pixel = weights.starts[place(lane)] as usize;
            (pixel * 3 + (first + lane) % 3, weights.sizes[place(lane)] as usize)
        });
        let mut window: Option<Window> = None;
        while let Some(leftmost) =
            left.iter().filter(|(_, taps)| *taps > 0).map(|(byte, _)| *byte).min()
        {
            // A window stays as long as it has the next two taps of every value.
            let has_next = |window: &Window| {
                left.iter().all(|(byte, taps)| {
                    *taps == 0 || byte + (taps - 1).min(1) * 3 < window.at + WINDOW
                })
            };
            let mut seen = window.filter(has_next).unwrap_or_else(|| {
                self.windows.extend(window);
                Window { at: leftmost.min(row - WINDOW), steps: 0 }
            });
            let (mut bytes, mut factors) = ([0_u8; WINDOW], [0_i16; WINDOW / 2]);
            for (lane, (byte, taps)) in left.iter_mut().enumerate() {
                for half in 0..2 {
                    if *taps > 0 && *byte < seen.at + WINDOW {
                        let tap = weights.sizes[place(lane)] as usize - *taps;
                        bytes[lane * 4 + half * 2] = (*byte - seen.at) as u8;
                        factors[lane * 2 + half] =
                            weights.values[place(lane) * weights.window + tap];
                        (*byte, *taps) = (*byte + 3, *taps - 1);
                    }
                }
            }
            self.steps
                .push(Step { bytes: bytemuck::cast(bytes), weights: bytemuck::cast(factors) });
            seen.steps += 1;
            window = Some(seen);
        }
        self.windows.extend(window);
    }
}

/// The pass over the height: which pairs of rows each row of the result is made of, equally many
/// for each.
pub(super) struct Down {
    /// The first pair of each row of the result.
    pub(super) first: Vec<usize>,
    /// How many pairs each has; some may lie behind the image.
    pub(super) taps: usize,
    /// How many pairs a row may begin before one above it: weights of 0 at both ends of a row's
    /// weights are left out.
    pub(super) back: usize,
    /// `[rows, taps]`: two i16, that of the upper row in the lower half; 0 for a row that is not
    /// one of the taps.
    pub(super) weights: Vec<i32>,
    /// Bits behind the point of the weights.
    pub(super) precision: u32,
}

impl Down {
    fn new(weights: &ResizeWeights) -> Self {
        let own = || {
            weights
                .starts
                .iter()
                .zip(&weights.sizes)
                .map(|(&start, &size)| start as usize..(start + size) as usize)
        };
        let taps = own().map(|rows| rows.end.div_ceil(2) - rows.start / 2).max().unwrap_or(0);
        let mut both = Vec::with_capacity(weights.starts.len() * taps);
        for (place, rows) in own().enumerate() {
            let weight = |row: usize| match row.checked_sub(rows.start) {
                Some(tap) if row < rows.end => weights.values[place * weights.window + tap],
                _ => 0,
            };
            let pair =
                |pair: usize| bytemuck::cast::<_, i32>([weight(pair * 2), weight(pair * 2 + 1)]);
            both.extend((rows.start / 2..).take(taps).map(pair));
        }
        let first: Vec<usize> = own().map(|rows| rows.start / 2).collect();
        let latest = first.iter().scan(0, |latest, &first| {
            *latest = first.max(*latest);
            Some(*latest - first)
        });
        Self {
            taps,
            back: latest.max().unwrap_or(0),
            first,
            weights: both,
            precision: weights.precision,
        }
    }
}
