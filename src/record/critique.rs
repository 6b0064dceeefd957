//! The part of a rubric that a run keeps.

use serde::{Deserialize, Serialize};

/// The part of a rubric that a run keeps: everything that the model's answers depend on. Weights,
/// rules and the values of words are not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueSettings {
    /// The axes.
    pub axes: Vec<AskedAxis>,
    /// A frame is not read if the words of an axis have less than this of the probability.
    pub min_mass: f64,
}

/// One axis as it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedAxis {
    /// Its name.
    pub name: String,
    /// The user's text; `{clause}` stands for the part that differs from frame to frame.
    pub text: String,
    /// The words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// The question for the reason, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl CritiqueSettings {
    /// Whether an axis asks for boxes: defects are found, everything else is answered with a word.
    pub fn asks_for_boxes(&self) -> bool {
        self.axes.iter().any(|axis| axis.words.is_empty())
    }
}
