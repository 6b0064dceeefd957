//! Counters of an engine's work.

use std::ops::{Add, Sub};

use serde::Serialize;

/// Time and token counts of an engine. Seconds are those inside the graphs; embedding is part of
/// the decoder's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Effort {
    /// In the vision graph.
    pub vision_seconds: f64,
    /// In the decoder, over prompts.
    pub prefill_seconds: f64,
    /// In the decoder, over answers.
    pub decode_seconds: f64,
    /// Runs of the decoder over prompts.
    pub prefill_runs: usize,
    /// Tokens of them; a prompt's part that several queries share counts once.
    pub prefill_tokens: usize,
    /// Runs of the decoder over answers.
    pub decoder_steps: usize,
    /// Tokens of all answers, those that a grammar forced included.
    pub generated_tokens: usize,
    /// Answers that were scored again by themselves, since the rounding of a score hung on the last
    /// digits.
    pub scored_again: usize,
    /// In ONNX Runtime, everything together; not part of the JSON.
    #[serde(skip)]
    pub onnx_runtime_seconds: f64,
}

impl Effort {
    fn with(
        self,
        other: Self,
        seconds: impl Fn(f64, f64) -> f64,
        count: impl Fn(usize, usize) -> usize,
    ) -> Self {
        Self {
            vision_seconds: seconds(self.vision_seconds, other.vision_seconds),
            prefill_seconds: seconds(self.prefill_seconds, other.prefill_seconds),
            decode_seconds: seconds(self.decode_seconds, other.decode_seconds),
            prefill_runs: count(self.prefill_runs, other.prefill_runs),
            prefill_tokens: count(self.prefill_tokens, other.prefill_tokens),
            decoder_steps: count(self.decoder_steps, other.decoder_steps),
            generated_tokens: count(self.generated_tokens, other.generated_tokens),
            scored_again: count(self.scored_again, other.scored_again),
            onnx_runtime_seconds: seconds(self.onnx_runtime_seconds, other.onnx_runtime_seconds),
        }
    }
}

/// The sum of two engines.
impl Add for Effort {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |one, other| one + other, |one, other| one + other)
    }
}

/// The difference between two readings of one engine.
impl Sub for Effort {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.with(earlier, |now, then| now - then, usize::saturating_sub)
    }
}
