//! What has to be known of a position's logits to go on from it.
//!
//! In: a row's sampling and grammar. Out: its [`Wish`], and what came of it. Promises: where logits lie on a card, no more than the wish leaves it;
//! whoever takes the answer picks the same as from all logits.

use std::borrow::Cow;
use std::sync::Arc;

use llguidance::toktrie::SimpleVob;

use crate::runtime::kernels::{Allowed, Picked};

/// What a row wants to know.
pub(super) struct Wish {
    /// Which ids count.
    pub(super) allowed: WishedIds,
    /// How many of the best of them, and what divides the logits before they are ordered; all logits where `None`.
    pub(super) best: Option<(usize, f32)>,
}

/// Which ids count.
pub(super) enum WishedIds {
    /// Every one.
    All,
    /// Those of a grammar.
    Mask(SimpleVob),
    /// These.
    Ids(Arc<[u32]>),
}

/// The most ids that are sent as a list: 4 KiB of them. Masks of more are sent once and stay on the card.
const LONGEST_LIST: usize = 1024;

/// Ids as a card takes them.
pub(super) enum SentIds<'w> {
    All,
    Bits(Cow<'w, [u32]>),
    Ids(Vec<u32>),
}

impl Wish {
    /// What is sent for logits of so many ids.
    pub(super) fn sent(&self, vocabulary: usize) -> SentIds<'_> {
        match &self.allowed {
            WishedIds::All => SentIds::All,
            WishedIds::Ids(ids) => SentIds::Ids(ids.to_vec()),
            // An empty list would allow everything.
            WishedIds::Mask(mask) if (1..=LONGEST_LIST).contains(&mask.num_set()) => SentIds::Ids(mask.to_list()),
            WishedIds::Mask(mask) => {
                let (bits, words) = (mask.as_slice(), vocabulary.div_ceil(32));
                SentIds::Bits(match bits.get(..words) {
                    Some(bits) => Cow::Borrowed(bits),
                    // A decoder may have logits for ids that the tokenizer does not know.
                    None => bits
                        .iter()
                        .copied()
                        .chain(std::iter::repeat_n(0, words - bits.len()))
                        .collect::<Vec<_>>()
                        .into(),
                })
            }
        }
    }
}

impl SentIds<'_> {
    pub(super) fn allowed(&self) -> Allowed<'_> {
        match self {
            Self::All => Allowed::All,
            Self::Bits(bits) => Allowed::Bits(bits),
            Self::Ids(ids) => Allowed::Ids(ids),
        }
    }
}

/// A position, as far as it is known.
#[derive(Clone, Copy)]
pub(super) enum Position<'l> {
    /// All logits.
    Whole(&'l [f32]),
    /// What was wished for.
    Best(&'l Picked),
}
