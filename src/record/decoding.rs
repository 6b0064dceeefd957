//! The constraint on answers, and the choice of their tokens.

use serde::{Deserialize, Serialize};

/// The constraint on answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoding {
    /// Whatever the model says.
    #[default]
    Free,
    /// A list of boxes, as `src/generate` writes it down in a grammar.
    Grammar {
        /// Whether that holds for prompts in the user's own words too.
        prompts: bool,
        /// Whether labels are any text, not only those asked for.
        open_labels: bool,
        /// The most boxes.
        max_boxes: usize,
    },
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The most probable one.
    Greedy,
    /// Drawn, after temperature, then top-k, then top-p, in Hugging Face's order.
    Drawn {
        /// Divides the logits; above 0.
        temperature: f32,
        /// Only the smallest set of tokens whose probabilities reach this sum; 1 keeps all.
        top_p: f32,
        /// Only this many of the most probable tokens; 0 keeps all.
        top_k: usize,
        /// The same seed gives the same answers, whatever the order of the images.
        seed: u64,
    },
}
