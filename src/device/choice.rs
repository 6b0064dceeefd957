//! Which device computes, and how much fits on it.
//!
//! In: what the user chose, the cards, the sizes of a model's files. Out: a [`Device`], and a
//! [`MemoryBudget`]. Promises: of several cards the one with the most free memory, unless others
//! are named; everything here is arithmetic, so that it is the same without a card.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::devices::CudaDevice;

/// The lowest compute capability that CUDA 13 serves.
pub(super) const LOWEST_CAPABILITY: (u32, u32) = (7, 5);

/// The lowest CUDA that the driver must serve, as NVIDIA counts: the driver's version is another
/// number.
pub(crate) const LOWEST_CUDA: (u32, u32) = (13, 0);

/// The device that the user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A CUDA device if one can be used, else the CPU.
    Auto,
    /// The CPU.
    #[default]
    Cpu,
    /// CUDA devices and nothing else.
    Cuda(Cards),
}

/// Which cards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cards {
    /// The one with the most free memory.
    #[default]
    Best,
    /// All that serve; each answers its part of a run.
    All,
    /// The cards whose bit is set, bit 0 for card 0.
    These(u64),
}

impl Cards {
    /// `all`, or numbers with commas between.
    fn read(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let bit =
            |number: &str| number.parse::<u32>().ok().and_then(|number| 1_u64.checked_shl(number));
        text.split(',').map(bit).try_fold(0, |bits, bit| Some(bits | bit?)).map(Self::These)
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(Cards::Best)),
            _ => text.strip_prefix("cuda:").and_then(Cards::read).map(Self::Cuda),
        }
        .ok_or_else(|| {
            format!(
                "{text:?} is none of auto, cpu, cuda, cuda:0, cuda:1 ..., cuda:0,1 ..., cuda:all"
            )
        })
    }
}

/// The device.
#[derive(Debug, Clone, Default)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// A CUDA device.
    Cuda(CudaDevice),
    /// The CPU in a card's place: everything is done as on a card, by the kernels' references.
    /// Slow; it is there to be compared with the CPU, on machines that have no card.
    EmulatedCuda,
}

impl Device {
    /// `cpu` or `cuda`: what is kept of it with a run's answers, which may differ between the two.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cpu | Self::EmulatedCuda => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// Identifies the rounding: the kind of card, for probes that compare to the last bit.
    pub fn identity(&self) -> String {
        match self {
            Self::Cpu | Self::EmulatedCuda => "cpu".to_owned(),
            Self::Cuda(card) => format!("cuda {} {}", card.name, card.compute_capability),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("the CPU"),
            Self::EmulatedCuda => f.write_str("the CPU in a card's place"),
            Self::Cuda(card) => write!(f, "CUDA device {} ({})", card.index, card.name),
        }
    }
}

/// The cards to use; at least one, by their numbers. What is wrong with the others is the error.
pub(crate) fn choose(cards: &[CudaDevice], wanted: Cards) -> Result<Vec<&CudaDevice>, String> {
    let too_old = |card: &&CudaDevice| version(&card.compute_capability) < Some(LOWEST_CAPABILITY);
    let (major, minor) = LOWEST_CAPABILITY;
    let none = || match cards {
        [] => "there is no CUDA device".to_owned(),
        cards => {
            let names: Vec<_> = cards
                .iter()
                .map(|card| format!("{} ({})", card.name, card.compute_capability))
                .collect();
            format!("no card has compute capability {major}.{minor} or later: {}", names.join(", "))
        }
    };
    let serving = || cards.iter().filter(|card| !too_old(card));
    match wanted {
        // The first of equals, so that the choice is the same every time.
        Cards::Best => {
            let best = serving()
                .max_by_key(|card| (card.free_bytes.unwrap_or(0), std::cmp::Reverse(card.index)));
            best.map(|card| vec![card]).ok_or_else(none)
        }
        Cards::All => {
            Some(serving().collect::<Vec<_>>()).filter(|cards| !cards.is_empty()).ok_or_else(none)
        }
        Cards::These(bits) => {
            let numbers = (0..64).filter(|number| bits >> number & 1 == 1);
            let of = |index: usize| {
                let card = cards.iter().find(|card| card.index == index);
                let card = card.ok_or_else(|| {
                    format!("there is no CUDA device {index}; there are {}", cards.len())
                })?;
                if too_old(&card) {
                    return Err(format!(
                        "CUDA device {index} ({}) has compute capability {}, and {major}.{minor} \
                         is the lowest that serves",
                        card.name, card.compute_capability
                    ));
                }
                Ok(card)
            };
            numbers.map(of).collect()
        }
    }
}

/// `13.0` as numbers.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Memory of a model on a card.
#[derive(Debug, Clone, Copy)]
pub struct ModelSize {
    /// Bytes of the files of the graphs on the card: the vision graph, the decoder, and if there is
    /// room the embeddings.
    pub weights: u64,
    /// Bytes that one token of one row takes in the KV cache.
    pub cache_per_token: u64,
    /// Tokens of a row: soft tokens, prompt and answer.
    pub tokens: u64,
    /// Soft tokens of the largest view.
    pub soft_tokens: u64,
}

/// How a card's free memory is divided, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryBudget {
    /// For weights, with what kernels rearrange of them.
    pub weights: u64,
    /// For the driver's context, the workspaces of NVIDIA's libraries, and what the steps compute.
    pub workspace: u64,
    /// For one row of the KV cache: what is fed and what comes out are there at the same time, and
    /// the arena keeps gaps.
    pub row: u64,
    /// Rows for which there is room; 0 if not even one fits.
    pub rows: usize,
}

/// The driver's context, cuBLAS's and cuDNN's handles and workspaces, and slack.
const CONTEXT_BYTES: u64 = 1 << 30;

/// Heads of the vision encoder, of the largest one: 16 of width 72.
const VISION_HEADS: u64 = 16;

/// Divides `free` bytes, for at most `most_rows` rows.
///
/// Written-out attention of the vision encoder holds two f32 matrices `[heads, patches, patches]`;
/// a soft token is nine patches. Steps of the decoder need little beside that.
pub fn memory_budget(free: u64, model: ModelSize, most_rows: usize) -> MemoryBudget {
    let weights = model.weights + model.weights / 8;
    let patches = 9 * model.soft_tokens;
    let workspace = CONTEXT_BYTES + 2 * VISION_HEADS * patches * patches * 4;
    // Past and present, and as much again for the gaps: the arena's regions double.
    let row = 3 * model.cache_per_token * model.tokens;
    let left = free.saturating_sub(weights + workspace);
    let rows =
        if weights + workspace > free { 0 } else { (left / row.max(1)).min(most_rows as u64) };
    MemoryBudget { weights, workspace, row, rows: usize::try_from(rows).unwrap_or(most_rows) }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = [self.weights, self.workspace, self.row].map(|bytes| bytes >> 20);
        let [weights, workspace, row] = mebibytes;
        write!(
            f,
            "{weights} MiB of weights, {workspace} MiB to work in, {row} MiB for each answer \
             written at once"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(index: usize, capability: &str, free: Option<u64>) -> CudaDevice {
        CudaDevice {
            index,
            name: format!("card {index}"),
            compute_capability: capability.to_owned(),
            total_bytes: 1 << 34,
            free_bytes: free,
        }
    }

    #[test]
    fn a_choice_is_read() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(Cards::Best)),
            ("cuda:3", DeviceChoice::Cuda(Cards::These(8))),
            ("cuda:0,2", DeviceChoice::Cuda(Cards::These(5))),
            ("cuda:all", DeviceChoice::Cuda(Cards::All)),
        ] {
            assert_eq!(text.parse(), Ok(choice));
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:64", "cuda:1,", "cuda0", "CPU"] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().contains("cuda:0"), "{text}");
        }
    }

    #[test]
    fn the_card_with_the_most_free_memory_is_taken_unless_one_is_named() {
        let cards = [
            card(0, "8.6", Some(5)),
            card(1, "9.0", Some(9)),
            card(2, "6.1", Some(90)),
            card(3, "8.0", Some(9)),
            card(4, "8.0", None),
        ];
        let numbers = |cards: &[CudaDevice], wanted| {
            choose(cards, wanted)
                .map(|cards| cards.iter().map(|card| card.index).collect::<Vec<_>>())
        };
        let one = |number: u32| Cards::These(1 << number);
        assert_eq!(numbers(&cards, Cards::Best).unwrap(), [1]);
        assert_eq!(numbers(&cards, one(0)).unwrap(), [0]);
        assert_eq!(numbers(&cards, Cards::These(0b11)).unwrap(), [0, 1]);
        assert_eq!(numbers(&cards, Cards::All).unwrap(), [0, 1, 3, 4]);
        assert!(numbers(&cards, one(2)).unwrap_err().contains("6.1, and 7.5 is the lowest"));
        assert!(numbers(&cards, Cards::These(0b101)).is_err());
        assert!(numbers(&cards, one(9)).unwrap_err().contains("no CUDA device 9"));
        assert!(numbers(&cards[2..3], Cards::Best).unwrap_err().contains("card 2 (6.1)"));
        assert!(numbers(&cards[2..3], Cards::All).is_err());
        assert_eq!(numbers(&cards[4..], Cards::Best).unwrap(), [4]);
        assert!(numbers(&[], Cards::Best).is_err());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("12.8"), Some((12, 8)));
        assert!(version("13.0") >= Some(LOWEST_CUDA) && version("9.9") < Some(LOWEST_CUDA));
        assert!(version("10.3") > Some(LOWEST_CAPABILITY));
        assert_eq!(version("x"), None);
    }

    #[test]
    fn memory_is_divided_and_what_does_not_fit_has_no_rows() {
        const GIB: u64 = 1 << 30;
        // E2B in q4f16: 1.6 GB of decoder and vision graph; 15 layers of one f16 head, three of 512
        // and twelve of 256, keys and values.
        let e2b = ModelSize {
            weights: 1_620_000_000,
            cache_per_token: 2 * 2 * (3 * 512 + 12 * 256),
            tokens: 280 + 512,
            soft_tokens: 280,
        };
        let budget = memory_budget(8 * GIB, e2b, 32);
        assert_eq!(budget.rows, 32);
        assert_eq!(budget.row, 3 * 18_432 * 792);
        assert!(budget.weights > e2b.weights && budget.workspace > GIB);
        // Rows are what gives way.
        let tight = memory_budget(budget.weights + budget.workspace + 5 * budget.row + 1, e2b, 32);
        assert_eq!(tight.rows, 5);
        assert_eq!(memory_budget(budget.weights + budget.workspace - 1, e2b, 32).rows, 0);
        assert_eq!(memory_budget(0, e2b, 32).rows, 0);
        // Attention over the patches of the largest budget is what the small card fails over.
        assert_eq!(memory_budget(8 * GIB, ModelSize { soft_tokens: 1120, ..e2b }, 32).rows, 0);
        assert!(memory_budget(24 * GIB, ModelSize { soft_tokens: 1120, ..e2b }, 32).rows > 1);
    }
}
