//! What is kept of an image: the record, one line of a run's journal.
//!
//! In: what every stage learned of one image. Out: one self-contained JSON object. Promises: a record says everything that an
//! export needs, so that no export runs a model; a raw answer is always kept; no status is ever turned into silence.

use serde::{Deserialize, Serialize};

/// Version of the record's JSON schema. A reader refuses a record of a later version.
pub const SCHEMA: u32 = 1;

/// A box in f64 pixels of the upright image, written as `[x0, y0, x1, y1]`.
///
/// Always `0 <= x0 < x1 <= width` and `0 <= y0 < y1 <= height` in a record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct BBox {
    /// Left edge.
    pub x0: f64,
    /// Top edge.
    pub y0: f64,
    /// Right edge.
    pub x1: f64,
    /// Bottom edge.
    pub y1: f64,
}

impl BBox {
    /// The whole of an image.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x0: 0.0, y0: 0.0, x1: f64::from(width), y1: f64::from(height) }
    }

    /// Width in pixels.
    pub fn width(&self) -> f64 {
        self.x1 - self.x0
    }

    /// Height in pixels.
    pub fn height(&self) -> f64 {
        self.y1 - self.y0
    }

    /// Area in square pixels.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }
}

impl From<[f64; 4]> for BBox {
    fn from([x0, y0, x1, y1]: [f64; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }
}

impl From<BBox> for [f64; 4] {
    fn from(b: BBox) -> Self {
        [b.x0, b.y0, b.x1, b.y1]
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The answer's word for it.
    pub label: String,
    /// Where it is, in pixels of the upright image.
    pub bbox: BBox,
    /// Geometric mean of the probabilities that the decoder gave to the digits of the four coordinates, 0..1; `null` where the
    /// answer came without token probabilities.
    pub score: Option<f64>,
}

/// How an answer ended and what could be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// A well-formed answer.
    Ok,
    /// A valid "nothing".
    Empty,
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
    /// Every status.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Empty, Self::Salvaged, Self::Truncated, Self::Looped, Self::Refused, Self::Failed];

    /// The status as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::Salvaged => "salvaged",
            Self::Truncated => "truncated",
            Self::Looped => "looped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Something that was put right, or left out, on the way from an answer to its detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Corners given in the wrong order; sorted.
    SwappedCorners,
    /// Coordinates outside 0..1000; clamped.
    Clamped,
    /// Boxes without an area; dropped.
    DegenerateDropped,
    /// Exact repeats of a box in a looped answer; dropped.
    RepeatDropped,
    /// Boxes that came without a label.
    MissingLabel,
    /// The code fence was opened and never closed.
    UnclosedFence,
    /// Text before or after the JSON.
    ProseAround,
    /// A thinking block, left out.
    ThinkingRemoved,
    /// Remains of a tool call around the boxes.
    ToolCallDebris,
    /// Coordinates read as pixels of the image, since they cannot be 0..1000.
    PixelCoordinates,
    /// JSON that had to be repaired.
    MalformedJson,
    /// Values of `box_2d` that are not four finite numbers; left out.
    UnreadableBox,
    /// Labels longer than any real one; cut.
    LongLabelCut,
}

/// A kind of note and how often it applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// To how many boxes (or once, for notes about the whole answer).
    pub count: usize,
}

/// How the generation of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The model said that it is done.
    StopToken,
    /// The limit of new tokens was reached.
    TokenLimit,
    /// The repetition guard stopped it.
    Looped,
    /// Not known: the answer was made elsewhere.
    Unknown,
}

/// One answer of the model, as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The part of the upright image that was shown, in pixels.
    pub view: BBox,
    /// The user's text. Empty where the answer was made elsewhere and it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// The raw text, special tokens included, without the stop token.
    pub text: String,
    /// How it ended.
    pub ended: Ended,
    /// What the model was shown and how much it said; absent where the answer was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenCounts>,
}

/// The sizes of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// The soft-token budget.
    pub budget: u32,
    /// Width and height that the view was resized to.
    pub resized: [u32; 2],
    /// Soft tokens of the view.
    pub soft_tokens: u32,
    /// Tokens of the prompt, soft tokens included.
    pub prompt: usize,
    /// Tokens of the answer, stop token included.
    pub answer: usize,
}

/// All of that for one image: one line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The image's name: its path relative to the run's root, with `/`.
    pub image: String,
    /// SHA-256 of the file's bytes, in hex; `null` where it could not be read.
    pub sha256: Option<String>,
    /// Width of the upright image in pixels; 0 where it could not be decoded.
    pub width: u32,
    /// Height of the upright image in pixels; 0 where it could not be decoded.
    pub height: u32,
    /// The file's EXIF orientation, 1..8.
    pub orientation: u8,
    /// How it ended.
    pub status: AnswerStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was found.
    pub detections: Vec<Detection>,
    /// What was put right or left out on the way.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// The raw answers.
    #[serde(default)]
    pub answers: Vec<Answer>,
}

impl Record {
    /// The record of an image that gave no answer.
    pub fn failed(image: String, reason: String) -> Self {
        Self {
            schema: SCHEMA,
            image,
            sha256: None,
            width: 0,
            height: 0,
            orientation: 1,
            status: AnswerStatus::Failed,
            reason: Some(reason),
            detections: Vec::new(),
            notes: Vec::new(),
            answers: Vec::new(),
        }
    }
}
