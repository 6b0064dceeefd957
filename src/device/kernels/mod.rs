//! Kernels for CUDA devices.
//!
//! In: bytes, logits or cache rows, in main memory or in a card's. Out: the kernel's result.
//! Promises: a kernel computes the same as the CPU's code, except for the last digits of a sum of
//! exponentials; a driver that refuses is an error and no panic.
//!
//! The `.cu` files are the sources and document a kernel's arguments. The `.ptx` files beside them
//! are compiled from them by `python/checks/kernels_ptx.py` (NVRTC 13.0, for compute capability
//! 7.5), so that users need no compiler; the driver translates them for its card.
#![allow(unsafe_code)]

#[cfg(feature = "cuda")]
mod card;
#[cfg(not(feature = "cuda"))]
#[path = "no_card.rs"]
mod card;
#[cfg(all(test, unix, feature = "load-dynamic"))]
mod on_cpu;
pub(crate) mod reference;

use thiserror::Error;

pub(super) use card::Kernels;

/// An address in the card's memory.
type Address = u64;

/// A row of a cache on the card that is taken into another one.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))] // kernels alone read it
#[derive(Debug, Clone, Copy)]
pub(super) struct RowAt {
    /// The start of its source.
    pub(super) source: Address,
    /// Columns of the source.
    pub(super) columns: usize,
    /// The row, its first token, and the number of tokens; its own `source` does not count.
    pub(super) taken: GatherRow,
}

/// Threads of a block, of every kernel: `pick` has shared memory for this many.
const THREADS: u32 = 256;

/// How many blocks have a thread for each of `count` elements.
fn blocks(count: usize) -> u32 {
    u32::try_from(count.div_ceil(THREADS as usize)).unwrap_or(u32::MAX)
}

/// How many values the patches of an image have; what fills no patch is left out.
fn patch_values(bytes: usize, width: usize, side: usize) -> usize {
    let height = bytes / 3 / width;
    (width / side) * (height / side) * side * side * 3
}

/// Why a kernel cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The driver's own words.
    #[error("the CUDA driver refuses to {action}: {reason}")]
    Driver {
        /// The operation.
        action: &'static str,
        /// Its reason.
        reason: String,
    },
    /// Gemscope was built without the feature `cuda`.
    #[error("this build of gemscope has no CUDA")]
    NotBuilt,
}

/// Logits of several rows, one row after the other.
#[derive(Debug, Clone, Copy)]
pub enum Logits<'l> {
    /// As they are.
    F32(&'l [f32]),
    /// Bits of f16.
    F16(&'l [u16]),
}

/// Which ids may be picked.
#[derive(Debug, Clone, Copy, Default)]
pub enum Allowed<'l> {
    /// Every one.
    #[default]
    All,
    /// The ids whose bit is set, the lowest bit of a word first; ids without a bit are not allowed.
    Bits(&'l [u32]),
    /// These; at least one.
    Ids(&'l [u32]),
}

/// The ids to pick from a line of logits.
#[derive(Debug, Clone, Copy, Default)]
pub struct PickRow<'l> {
    /// The line.
    pub line: usize,
    /// Which ids may be picked.
    pub allowed: Allowed<'l>,
    /// Divides the logits before they are ordered; 0 for the most probable token.
    pub temperature: f32,
}

/// The most ids that are sent to a card as a list: 4 KiB of them. Masks of more are sent once and
/// stay there.
const MAX_LIST: usize = 1024;

/// Which ids may be picked, as a kernel takes them.
#[derive(Debug)]
pub(super) enum AllowedIds<'l> {
    As(Allowed<'l>),
    List(Vec<u32>),
    Bits(Vec<u32>),
}

impl<'l> AllowedIds<'l> {
    /// Short masks are sent as lists; others have a bit for each id of the vocabulary.
    pub(super) fn of(allowed: Allowed<'l>, vocabulary: usize) -> Self {
        let Allowed::Bits(bits) = allowed else { return Self::As(allowed) };
        let set = bits.iter().map(|word| word.count_ones() as usize).sum();
        let words = vocabulary.div_ceil(32);
        // An empty list would allow everything.
        if (1..=MAX_LIST).contains(&set) {
            return Self::List(set_bits(bits).map(|id| id as u32).collect());
        }
        match bits.get(..words) {
            Some(bits) => Self::As(Allowed::Bits(bits)),
            // A decoder may have logits for ids that the tokenizer does not know.
            None => Self::Bits(
                bits.iter().copied().chain(std::iter::repeat_n(0, words - bits.len())).collect(),
            ),
        }
    }

    pub(super) fn allowed(&self) -> Allowed<'_> {
        match self {
            Self::As(allowed) => *allowed,
            Self::List(ids) => Allowed::Ids(ids),
            Self::Bits(bits) => Allowed::Bits(bits),
        }
    }
}

/// The places of the bits that are set, the lowest first.
pub(crate) fn set_bits(words: &[u32]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(word, &bits)| {
        let mut left = bits;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (bit < u32::BITS).then_some(word * u32::BITS as usize + bit as usize)
        })
    })
}

impl PickRow<'_> {
    /// The part of it that goes over the bus each time; a mask goes there once.
    pub(super) fn sent_bytes(&self) -> usize {
        // Address, count, line, temperature.
        20 + if let Allowed::Ids(ids) = self.allowed { ids.len() * 4 } else { 0 }
    }
}

/// Arguments of `pick`.
#[derive(Debug, Clone, Copy)]
pub struct PickInput<'l> {
    /// `[lines, vocabulary]`.
    pub logits: Logits<'l>,
    /// Ids of a line.
    pub vocabulary: usize,
    /// The ids to pick.
    pub rows: &'l [PickRow<'l>],
    /// How many ids are wanted of each row.
    pub most: usize,
}

/// The best ids of a row of logits, and what their probabilities need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopK {
    /// The best allowed ids, the best first, of equals the lowest. A kernel writes `u32::MAX` if
    /// there are no more.
    pub ids: Vec<u32>,
    /// Their logits.
    pub logits: Vec<f32>,
    /// The largest logit of all ids, allowed or not; NaN if a logit is, or none is finite.
    pub largest: f32,
    /// The sum of `exp(logit - largest)` over all ids.
    pub sum: f64,
}

impl TopK {
    /// Natural logarithm of the sum of the exponentials of all logits; `None` if one is NaN, or
    /// none is finite.
    pub fn log_sum(&self) -> Option<f64> {
        self.largest.is_finite().then(|| self.sum.ln() + f64::from(self.largest))
    }

    /// The logit of an id that is among them.
    pub fn logit(&self, id: u32) -> Option<f32> {
        self.ids
            .iter()
            .position(|other| *other == id)
            .and_then(|place| self.logits.get(place).copied())
    }

    /// Natural logarithm of the probability that the decoder gave to an id that is among them.
    pub fn log_probability(&self, id: u32) -> Option<f64> {
        Some(f64::from(self.logit(id)?) - self.log_sum()?)
    }

    /// The ids that a kernel wrote, without the `suppressed` ones and the empty places; at most
    /// `most`.
    pub(crate) fn found(mut self, suppressed: &[u32], most: usize) -> Self {
        let best = self.ids.into_iter().zip(self.logits);
        let found = best.filter(|(id, _)| *id != u32::MAX && !suppressed.contains(id)).take(most);
        (self.ids, self.logits) = found.unzip();
        self
    }

    /// Whether both picked the same, and know the sum of exponentials to a millionth.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let same = |a: f32, b: f32| a.total_cmp(&b).is_eq() || a.is_nan() && b.is_nan();
        let near = (self.sum - other.sum).abs() <= 1e-6 * other.sum.abs()
            || self.sum.is_nan() && other.sum.is_nan();
        let found = self.ids.iter().filter(|id| **id != u32::MAX).count();
        self.ids == other.ids
            && bits(&self.logits[..found]) == bits(&other.logits[..found])
            && same(self.largest, other.largest)
            && near
    }
}

/// A row of a KV cache that is taken into another one.
#[derive(Debug, Clone, Copy)]
pub struct GatherRow {
    /// Which of the sources it is in.
    pub source: usize,
    /// Its row there.
    pub row: usize,
    /// The column of its first token.
    pub first: usize,
    /// How many of its tokens are taken.
    pub length: usize,
}
