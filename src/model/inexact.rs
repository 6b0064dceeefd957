//! Exports that are known to compute something else than Gemma 4.
//!
//! In: the graphs. Out: their known faults. Promises: told from the graphs alone, without a
//! run; an export that is right is never called wrong.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::ModelError;
use super::error::GraphError;
use super::header::{Header, Port};
use super::layout::{GraphFiles, Layout};
use crate::files;
use crate::prompt::TextTokenizer;

/// A step that a graph leaves out, so that its answers are not the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inexact {
    /// Soft tokens are not standardised (`std_bias`, `std_scale`), as 26B-A4B and 31B need it.
    NoStandardize,
    /// The decoder cannot see which tokens are a picture, as 12B, 26B-A4B and 31B need it for their
    /// mask.
    NoPictureMask,
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoStandardize => {
                "the vision graph does not standardise its soft tokens (it has neither std_bias \
                 nor std_scale), which 26B-A4B and 31B need: they are off by almost half"
            }
            Self::NoPictureMask => {
                "the decoder is not told which tokens are a picture (no input_ids), so that its \
                 picture does not attend to itself, as that of 12B, 26B-A4B and 31B does"
            }
        })
    }
}

impl GraphFiles {
    /// The known faults of these graphs, whose settings lie in `directory`; none for most.
    ///
    /// # Errors
    /// [`GraphError`] if a graph cannot be read.
    pub fn inexact(&self, directory: &Path) -> Result<Vec<Inexact>, GraphError> {
        let (vision, decoder) = (Header::read(&self.vision)?, Header::read(&self.decoder)?);
        let config =
            files::read(&directory.join("config.json"), files::MAX_TEXT_BYTES).unwrap_or_default();
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        // E2B and E4B, with inputs of their own for each layer, have neither.
        if decoder.input("per_layer_inputs").is_some() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let has_tower = vision.input("pixel_values").and_then(Port::width) == Some(768);
        let standardizes = |name: &String| name.contains("std_bias") || name.contains("std_scale");
        let is_off = config["vision_config"]["standardize"] == Value::Bool(false);
        // Other exporters give weights other names.
        if self.layout == Layout::Genai
            && has_tower
            && !is_off
            && !vision.initializers.iter().any(standardizes)
        {
            found.push(Inexact::NoStandardize);
        }
        let text = &config["text_config"];
        let is_causal = text.get("use_bidirectional_attention").is_some_and(Value::is_null);
        if decoder.input("input_ids").is_none() && !is_causal {
            found.push(Inexact::NoPictureMask);
        }
        Ok(found)
    }

    /// Checks that the tokenizer has hardly more ids than the decoder has logits: tokenizers of
    /// Gemma have a token or two beside the vocabulary.
    ///
    /// # Errors
    /// [`ModelError::Config`] with both numbers.
    pub fn check_vocabulary(
        &self,
        directory: &Path,
        tokenizer: &TextTokenizer,
    ) -> Result<(), ModelError> {
        let logits = Header::read(&self.decoder)?.output("logits").and_then(Port::width);
        let (path, ids) = (directory.join("tokenizer.json"), tokenizer.vocabulary_size());
        match logits.filter(|logits| ids as u64 > logits + logits / 100) {
            None => Ok(()),
            Some(logits) => Err(ModelError::Config {
                path,
                reason: format!(
                    "of another model: it has {ids} ids, and {} gives logits for {logits}",
                    self.decoder.display()
                ),
            }),
        }
    }

    /// Products with 8-bit weights that ONNX Runtime computes many times slower than f32.
    ///
    /// # Errors
    /// As [`Self::inexact`].
    pub fn slow_products(&self) -> Result<usize, GraphError> {
        self.sum(|header| header.slow_products)
    }

    /// Products with weights of 4 or 8 bits, which [`Activations`](crate::record::Activations)
    /// are about.
    ///
    /// # Errors
    /// As [`Self::inexact`].
    pub fn packed_products(&self) -> Result<usize, GraphError> {
        self.sum(|header| header.packed_products)
    }

    fn sum(&self, count: impl Fn(&Header) -> usize) -> Result<usize, GraphError> {
        let graphs = [&self.vision, &self.decoder];
        graphs.iter().map(|graph| Header::read(graph).map(|header| count(&header))).sum()
    }
}
