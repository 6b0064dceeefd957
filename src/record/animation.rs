//! Which frames of an animated file are judged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which frames of an animated file (GIF, APNG, WebP) are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum AnimationChoice {
    /// The first one.
    #[default]
    First,
    /// So many, evenly from the first to the last, as one animation; all if there are fewer.
    Spread(u32),
}

/// Not an [`AnimationChoice`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{text:?} names no frames of an animation: write first, or spread:N for N frames ({fewest} to \
     {most})",
    fewest = AnimationChoice::FEWEST,
    most = AnimationChoice::MOST
)]
pub struct UnknownAnimationChoice {
    text: String,
}

impl AnimationChoice {
    /// The fewest frames of [`Self::Spread`].
    pub const FEWEST: u32 = 2;
    /// The most.
    pub const MOST: u32 = 32;

    /// Whether it is the first frame alone.
    pub fn is_first(&self) -> bool {
        *self == Self::First
    }

    /// The frames of an animation of `total`, counted from 0; `None` if only the first is judged.
    pub fn of(self, total: usize) -> Option<ShownAnimation> {
        let Self::Spread(most) = self else { return None };
        let count = (most as usize).min(total);
        let last = total.checked_sub(1).filter(|_| count > 1)?;
        let frames = (0..count).map(|index| index * last / (count - 1)).collect();
        Some(ShownAnimation { total_frames: total, frames, boxes_of: None })
    }
}

impl FromStr for AnimationChoice {
    type Err = UnknownAnimationChoice;

    fn from_str(text: &str) -> Result<Self, UnknownAnimationChoice> {
        if text == "first" {
            return Ok(Self::First);
        }
        let count = text.strip_prefix("spread:").and_then(|count| count.parse().ok());
        count
            .filter(|count| (Self::FEWEST..=Self::MOST).contains(count))
            .map(Self::Spread)
            .ok_or_else(|| UnknownAnimationChoice { text: text.to_owned() })
    }
}

impl fmt::Display for AnimationChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Spread(count) => write!(f, "spread:{count}"),
        }
    }
}

impl From<AnimationChoice> for String {
    fn from(choice: AnimationChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for AnimationChoice {
    type Error = UnknownAnimationChoice;

    fn try_from(text: String) -> Result<Self, UnknownAnimationChoice> {
        text.parse()
    }
}

/// The frames of an animated file that were judged together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownAnimation {
    /// How many frames the file has.
    pub total_frames: usize,
    /// Those that were shown, counted from 0, in their order.
    pub frames: Vec<usize>,
    /// The frame that the boxes are in, if boxes were looked for: each frame was looked at by
    /// itself, and this one has the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boxes_of: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_from_the_first_to_the_last() {
        let frames = |choice: &str, total| {
            choice.parse::<AnimationChoice>().unwrap().of(total).map(|shown| shown.frames)
        };
        assert_eq!(frames("spread:4", 10), Some(vec![0, 3, 6, 9]));
        assert_eq!(frames("spread:4", 3), Some(vec![0, 1, 2]), "all, if there are fewer");
        assert_eq!(frames("spread:2", 9), Some(vec![0, 8]));
        assert_eq!(frames("first", 9), None);
        for text in ["", "spread", "spread:1", "spread:33", "spread:x", "all"] {
            assert!(text.parse::<AnimationChoice>().is_err(), "{text}");
        }
        let choice: AnimationChoice = serde_json::from_str("\"spread:8\"").unwrap();
        assert_eq!(serde_json::to_string(&choice).unwrap(), "\"spread:8\"");
    }
}
