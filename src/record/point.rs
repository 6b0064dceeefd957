//! One point that was found.

use serde::{Deserialize, Serialize};

/// The place of one thing, of which no box is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FoundPoint {
    /// The answer's word for it.
    pub label: String,
    /// From the left edge, in pixels of the upright image.
    pub x: f64,
    /// From the upper edge, in pixels of the upright image.
    pub y: f64,
}
