//! Which precision of a published model suits this machine.
//!
//! In: the precisions that are published, with their bytes, and the machine's memory. Out: one of
//! them, and the reason. Promises: `q4f16` is never proposed for a card, nor 8-bit weights for
//! anything, until they are shown to run well.

use sysinfo::System;

use crate::device::devices;
use crate::device::{Cards, DeviceChoice, ModelSize, choose, memory_budget};
use crate::hub::in_words;
use crate::model::Precision;
use crate::record::Budget;

/// The memory that a model has to fit into.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Machine {
    /// Main memory in bytes, or as much of it as this process may use.
    pub memory: u64,
    /// The card that would compute: its name and its free bytes.
    pub card: Option<(String, u64)>,
}

/// A precision, and why it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposal {
    /// The precision.
    pub dtype: String,
    /// A sentence for the user.
    pub why: String,
}

/// Bytes that a run takes beside the weights: soft tokens, caches, images.
const BESIDE_WEIGHTS: u64 = 2_000_000_000;
/// For a card, the most exact first.
const FOR_CARD: [&str; 3] = ["fp16", "q4", "fp32"];
/// For a CPU, which has no arithmetic of 16 bits, so that `fp16` is slower there and no smaller.
const FOR_CPU: [&str; 3] = ["fp32", "q4", "q4f16"];
const NOT_EIGHT: &str =
    "8-bit graphs are not proposed: without accuracy_level 4 they are many times slower";

impl Machine {
    /// This machine; with its card unless the CPU is to compute.
    pub fn this(device: Option<DeviceChoice>) -> Self {
        let mut system = System::new();
        system.refresh_memory();
        let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
        let cards =
            if device == Some(DeviceChoice::Cpu) { Vec::new() } else { devices::cuda().devices };
        let card =
            choose(&cards, Cards::Best).ok().and_then(|cards| cards.first().copied().cloned());
        let card = card.and_then(|card| Some((card.name, card.free_bytes?)));
        Self { memory: system.total_memory().min(limit), card }
    }

    /// The precision that suits this machine; `None` if none is published that is known to run.
    pub fn propose(&self, published: &[Precision]) -> Option<Proposal> {
        let of = |dtype: &&str| published.iter().find(|precision| precision.dtype == **dtype);
        self.card_proposal(published).or_else(|| {
            // Graphs that are fetched for the CPU may run on the card later.
            let runs = |dtype: &&&'static str| self.card.is_none() || !dtype.eq(&&"q4f16");
            let known: Vec<_> = FOR_CPU.iter().filter(runs).filter_map(of).collect();
            let memory = in_words(self.memory);
            // The rest is for the system, images and other programs.
            if let Some(exact) = known.iter().find(|precision| needed(precision) <= self.memory / 2)
            {
                let larger = known.iter().find(|precision| needed(precision) > self.memory / 2);
                let larger = larger
                    .filter(|larger| larger.bytes() > exact.bytes())
                    .map_or(String::new(), |larger| {
                        format!("; {} takes about {}", larger.dtype, in_words(needed(larger)))
                    });
                let why = format!(
                    "{}: it takes about {} of this machine's {memory} of memory{larger}. \
                     {NOT_EIGHT}.",
                    exact.dtype,
                    in_words(needed(exact))
                );
                return Some(Proposal { dtype: exact.dtype.clone(), why });
            }
            let smallest = known.iter().min_by_key(|precision| needed(precision))?;
            let fits =
                if needed(smallest) <= self.memory { "more than half" } else { "more than all" };
            let why = format!(
                "{}: the smallest that is known to run; it takes about {}, {fits} of this \
                 machine's {memory} of memory. {NOT_EIGHT}.",
                smallest.dtype,
                in_words(needed(smallest))
            );
            Some(Proposal { dtype: smallest.dtype.clone(), why })
        })
    }

    fn card_proposal(&self, published: &[Precision]) -> Option<Proposal> {
        let (name, free) = self.card.as_ref()?;
        let fits = |precision: &&Precision| {
            let soft_tokens = u64::from(Budget::ALL[2].soft_tokens());
            let weights = precision.computing_bytes;
            let size = ModelSize { weights, cache_per_token: 0, tokens: 0, soft_tokens };
            memory_budget(*free, size, 1).rows > 0
                && precision.embedding_bytes + BESIDE_WEIGHTS <= self.memory
        };
        let of = |dtype: &&str| published.iter().find(|precision| precision.dtype == **dtype);
        let chosen = FOR_CARD.iter().filter_map(of).find(fits)?;
        let why = format!(
            "{}: its graphs take {} of the {} that are free on {name}. q4f16 is not proposed for \
             a card: ONNX Runtime's \
             kernels are said to refuse it, and nobody has tried. {NOT_EIGHT}.",
            chosen.dtype,
            in_words(chosen.computing_bytes),
            in_words(*free)
        );
        Some(Proposal { dtype: chosen.dtype.clone(), why })
    }
}

/// Main memory that a run on the CPU takes.
fn needed(precision: &Precision) -> u64 {
    precision.bytes() + precision.bytes() / 8 + BESIDE_WEIGHTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Published;

    const GB: u64 = 1_000_000_000;

    /// E2B as it is published, in GB, with these suffixes.
    fn published(dtypes: &[(&str, u64)]) -> Vec<Precision> {
        let files: Vec<_> = dtypes
            .iter()
            .flat_map(|(suffix, size)| {
                ["vision_encoder", "embed_tokens", "decoder_model_merged"]
                    .map(|graph| (format!("onnx/{graph}{suffix}.onnx"), *size * GB / 3))
            })
            .collect();
        Published::new("o/n", files.iter().map(|(path, size)| (path.as_str(), *size))).precisions()
    }

    fn proposed(memory: u64, card: Option<u64>, published: &[Precision]) -> Option<Proposal> {
        Machine { memory: memory * GB, card: card.map(|free| ("card".to_owned(), free * GB)) }
            .propose(published)
    }

    #[test]
    fn memory_decides_and_what_nobody_has_shown_is_not_proposed() {
        let all =
            published(&[("", 21), ("_fp16", 11), ("_quantized", 6), ("_q4", 4), ("_q4f16", 3)]);
        let dtype = |memory, card| proposed(memory, card, &all).unwrap().dtype;
        assert_eq!(
            [dtype(64, None), dtype(32, None), dtype(16, None), dtype(4, None)],
            ["fp32", "q4", "q4", "q4f16"]
        );
        // Free memory is a card's; if the model does not fit on it, the CPU remains.
        assert_eq!(
            [dtype(32, Some(24)), dtype(32, Some(8)), dtype(32, Some(1))],
            ["fp16", "q4", "q4"]
        );
        assert_eq!(dtype(64, Some(1)), "fp32");
        for card in [None, Some(1), Some(4), Some(6), Some(80)] {
            for memory in [2, 8, 16, 64, 512] {
                let dtype = dtype(memory, card);
                assert!(
                    dtype != "q8" && (dtype != "q4f16" || card.is_none()),
                    "{memory} {card:?} {dtype}"
                );
            }
        }
        let why = proposed(16, None, &all).unwrap().why;
        assert!(
            why.starts_with(
                "q4: it takes about 6.50 GB of this machine's 16.00 GB of memory; fp32 takes"
            ),
            "{why}"
        );
        let tight = proposed(4, None, &all).unwrap().why;
        assert!(tight.contains("more than all of this machine's"), "{tight}");
        assert_eq!(proposed(512, Some(80), &published(&[("_quantized", 6), ("_int8", 6)])), None);
    }
}
