//! An answer as the model gave it, and the status of its parsing.

use serde::{Deserialize, Serialize};

use super::BBox;

/// How an answer ended and was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// A well-formed answer.
    Ok,
    /// A valid "nothing".
    Empty,
    /// The answer to a question that asks for no boxes.
    Text,
    /// Malformed; the boxes were recovered.
    Salvaged,
    /// Cut off by the token limit; the complete boxes are kept.
    Truncated,
    /// Stopped by the repetition guard; the distinct boxes are kept.
    Looped,
    /// Prose or another schema, no boxes.
    Refused,
    /// No answer; the record's `reason` says why.
    Failed,
}

impl AnswerStatus {
    /// Every status, the best first.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Empty,
        Self::Text,
        Self::Salvaged,
        Self::Truncated,
        Self::Looped,
        Self::Refused,
        Self::Failed,
    ];

    /// The status as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::Text => "text",
            Self::Salvaged => "salvaged",
            Self::Truncated => "truncated",
            Self::Looped => "looped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl AnswerStatus {
    /// How bad an answer is: of several about one image, the status with the highest severity is
    /// the image's. Neither an empty answer nor text lowers the boxes of another answer.
    pub fn severity(self) -> u8 {
        match self {
            Self::Text => 0,
            Self::Empty => 1,
            Self::Ok => 2,
            Self::Salvaged => 3,
            Self::Truncated => 4,
            Self::Looped => 5,
            Self::Refused => 6,
            Self::Failed => 7,
        }
    }
}

/// How the generation of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The model said that it is done.
    StopToken,
    /// The limit of new tokens was reached.
    TokenLimit,
    /// The limit of boxes was reached.
    BoxLimit,
    /// The repetition guard stopped it.
    Looped,
    /// Not known: the answer was made elsewhere.
    Unknown,
}

/// One answer of the model, as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Answer {
    /// The part of the upright image that was shown, in pixels.
    pub view: BBox,
    /// The user's text. Empty if the answer was made elsewhere and it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// The raw text, special tokens included, without the stop token.
    pub text: String,
    /// How it ended.
    pub ended: Ended,
    /// Sizes of the input and the answer in tokens; absent if the answer was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenCounts>,
}

/// How a frame is on one axis of a rubric, as the model's own probabilities say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rating {
    /// The axis's name.
    pub axis: String,
    /// The part of the frame's own prompt that was asked about, if the axis asks about each part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The words that could be answered.
    pub words: Vec<String>,
    /// The probability of each of them; they sum to 1, except for rounding to four decimals.
    pub probabilities: Vec<f64>,
    /// These words' share of the whole vocabulary's probability, 0..1; near 0, the model would have
    /// answered something else.
    pub mass: f64,
    /// The reason in the model's words, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The sizes of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TokenCounts {
    /// The soft-token budget.
    pub budget: u32,
    /// Width and height that the view was resized to.
    pub resized: [u32; 2],
    /// Soft tokens of the view; `None` (`null`) if a server does not say how many it made of it.
    pub soft_tokens: Option<u32>,
    /// Tokens of the prompt, soft tokens included.
    pub prompt: usize,
    /// Tokens of the answer, stop token included.
    pub answer: usize,
}
