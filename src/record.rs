//! What is kept of an image: the record, one line of a run's journal.
//!
//! In: what every stage learned of one image. Out: one self-contained JSON object. Promises: a record says everything that an
//! export needs, so that no export runs a model; a raw answer is always kept; no status is ever turned into silence.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::critique::{GenerationSettings, Measures};

/// Version of the record's JSON schema. A reader refuses a record of a later version.
///
/// Since 2, a record holds every box that was read. In one of schema 1, the filters of its run had
/// been applied to the boxes: labels were renamed, boxes dropped, and notes say how many.
pub const SCHEMA: u32 = 2;

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

    /// Area of what two boxes have in common.
    pub fn intersection(&self, other: &Self) -> f64 {
        let width = self.x1.min(other.x1) - self.x0.max(other.x0);
        let height = self.y1.min(other.y1) - self.y0.max(other.y0);
        width.max(0.0) * height.max(0.0)
    }

    /// Whether it is a box of an image of that size: inside it, and with an area.
    pub fn lies_in(&self, width: u32, height: u32) -> bool {
        let inside = |from: f64, to: f64, size: u32| 0.0 <= from && from < to && to <= f64::from(size);
        inside(self.x0, self.x1, width) && inside(self.y0, self.y1, height)
    }

    /// Intersection over union.
    pub fn iou(&self, other: &Self) -> f64 {
        let common = self.intersection(other);
        common / (self.area() + other.area() - common)
    }

    /// Intersection over the smaller area: 1 where one box lies inside the other.
    pub fn overlap_of_smaller(&self, other: &Self) -> f64 {
        self.intersection(other) / self.area().min(other.area())
    }

    /// The smallest box around both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// The same box, moved.
    #[must_use]
    pub fn moved(&self, x: f64, y: f64) -> Self {
        Self { x0: self.x0 + x, y0: self.y0 + y, x1: self.x1 + x, y1: self.y1 + y }
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
    /// How sure the model was, 0..1; `null` where the answer came without token probabilities. In a record it is [`ScoreKind::Joint`] of
    /// `probabilities` (in one of schema 1, what the settings of its run said); an export computes it again as its filters say.
    pub score: Option<f64>,
    /// What the decoder itself gave to the box's tokens; absent where the answer came without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Probabilities>,
    /// How sure the model says that it is, as it wrote it: a word of the answer like the label, and no probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_confidence: Option<f64>,
    /// What the model says about it, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
}

impl Detection {
    /// A detection without a score.
    pub fn new(label: String, bbox: BBox) -> Self {
        Self { label, bbox, score: None, probabilities: None, stated_confidence: None, sentence: None }
    }
}

/// Probabilities that the decoder gave to the tokens of a box, before any sampling setting: geometric means, so that neither long labels
/// nor large numbers are punished.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// Over the tokens that hold the digits of the four coordinates.
    pub coordinates: f64,
    /// Over the tokens of the label; `null` where the box came without a label.
    pub label: Option<f64>,
}

/// What a detection's score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// [`Probabilities::coordinates`].
    Coordinates,
    /// [`Probabilities::label`].
    Label,
    /// The product of both; of the coordinates alone where there is no label.
    #[default]
    Joint,
    /// [`Detection::stated_confidence`], if it lies within 0..1: the model's own word, and no probability of its decoder.
    Stated,
}

impl ScoreKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Coordinates, Self::Label, Self::Joint, Self::Stated];

    /// The kind's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coordinates => "coordinates",
            Self::Label => "label",
            Self::Joint => "joint",
            Self::Stated => "stated",
        }
    }

    /// The least score of boxes that are exported where nobody asked for another.
    ///
    /// Chosen on held-out scenes of the demo model: of the steps 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5 the
    /// lowest whose F1 is within 0.01 of the best one (`export/checks/min_score.py` measures it again).
    /// Coordinates do not tell right from wrong there, and have no least score. Nor have stated confidences, which mean
    /// something else with every model.
    pub fn default_min_score(self) -> f64 {
        match self {
            Self::Coordinates | Self::Stated => 0.0,
            Self::Label => 0.2,
            Self::Joint => 0.05,
        }
    }

    /// The score of a detection; if it came without token probabilities, that of its record.
    pub fn of(self, detection: &Detection) -> Option<f64> {
        match (self, detection.probabilities) {
            (Self::Stated, _) => detection.stated_confidence.filter(|stated| (0.0..=1.0).contains(stated)),
            (kind, Some(probabilities)) => kind.score(probabilities),
            (_, None) => detection.score,
        }
    }

    /// The score of a box with these probabilities; none if it is not made of probabilities.
    pub fn score(self, probabilities: Probabilities) -> Option<f64> {
        let Probabilities { coordinates, label } = probabilities;
        match self {
            Self::Coordinates => Some(coordinates),
            Self::Label => label,
            // With the decimals that a product of four and four has.
            Self::Joint => Some((coordinates * label.unwrap_or(1.0) * 1e8).round() / 1e8),
            Self::Stated => None,
        }
    }
}

impl FromStr for ScoreKind {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| UnknownScore(name.to_owned()))
    }
}

/// Not a [`ScoreKind`].
#[derive(Debug, Error)]
#[error("{0:?} is no score; there are: coordinates, label, joint, stated")]
pub struct UnknownScore(String);

/// How an answer ended and what could be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    pub const ALL: [Self; 8] =
        [Self::Ok, Self::Empty, Self::Text, Self::Salvaged, Self::Truncated, Self::Looped, Self::Refused, Self::Failed];

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
    /// How much an answer leaves open: of several about one image, the one that leaves most counts. "Nothing" is no
    /// word against the boxes of another answer, and text none against either.
    pub fn openness(self) -> u8 {
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
    /// Coordinates that were read as pixels of the image since they cannot be 0..1000. Versions before the scale was
    /// a setting wrote it.
    PixelCoordinates,
    /// Boxes whose coordinates are not of the scale that the run reads; left out.
    CoordinatesDoNotFit,
    /// JSON that had to be repaired.
    MalformedJson,
    /// Values of `box_2d` that are not four finite numbers; left out.
    UnreadableBox,
    /// Coordinates under keys that are not read (`bbox`, `point`, `x1`, named in the detail); left out.
    UnreadKey,
    /// Labels that are the only text beside their box, under a key that names no label (in the detail).
    LabelGuessed,
    /// Boxes of an example, a draft or an earlier attempt that the answer holds before its last one; dropped.
    EarlierAnswerDropped,
    /// Parts of an answer that repeat each other's labels, of which no words say whether they are one; all kept.
    SeveralAnswers,
    /// Boxes that march over the image, each a step from the one before; dropped.
    MarchDropped,
    /// Labels longer than any real one; cut.
    LongLabelCut,
    /// Labels that were made one of those asked for (case, plural, a map).
    LabelNormalised,
    /// Boxes whose label was not asked for; dropped.
    UnaskedDropped,
    /// Boxes that a filter dropped (area, aspect, edge, a label that the map drops; the score, too, in records of schema 1).
    Filtered,
    /// Boxes whose score is below the least score; left out.
    LowScoreDropped,
    /// Boxes without a score where a least score was asked for; left out.
    UnscoredDropped,
    /// Boxes that repeat another one of the same label; dropped.
    DuplicateDropped,
    /// Boxes that overlap a better one; dropped by non-maximum suppression.
    Suppressed,
    /// Boxes of several views that are one object; joined.
    Joined,
    /// Boxes cut by the edge of a tile, of which no other view shows the rest; dropped.
    CutDropped,
    /// The image's file ends before the image does; what is there was looked at, the rest is grey.
    TruncatedImage,
    /// The file has more bits a sample than the image; it was brightened to its own white.
    ScaledBitDepth,
    /// The file has 16 bits a sample, and the image looks black in them.
    NearBlack,
    /// Answers to a question that has a later one, or a whole one; that one counts.
    AnswerReplaced,
}

/// When, and with which camera, an image was taken: what its EXIF block says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The camera's time (`DateTimeOriginal`) as ISO 8601: `2024-05-01T12:34:56.78+02:00`, fraction and offset where
    /// the file says them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// The camera's maker.
    #[serde(default, rename = "camera_make", skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// The camera's model.
    #[serde(default, rename = "camera_model", skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A kind of note and how often it applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// To how many boxes (or once, for notes about the whole answer).
    pub count: usize,
    /// To what exactly: the key that was not read, the share of rows that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Note {
    /// A note whose kind says all.
    pub fn new(kind: NoteKind, count: usize) -> Self {
        Self { kind, count, detail: None }
    }
}

/// How the generation of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// How a frame is on one axis of a rubric, as the model's own probabilities say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// The axis's name.
    pub axis: String,
    /// The part of the frame's own prompt that was asked about, where the axis asks about each by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The words that could be answered.
    pub words: Vec<String>,
    /// How probable each of them is; they sum to 1 but for rounding to four decimals.
    pub probabilities: Vec<f64>,
    /// What these words have of the whole vocabulary's probability, 0..1; near 0, the model wanted to say something else.
    pub mass: f64,
    /// Why, in the model's words, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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

/// When a record was made and what took how long, in seconds. For whoever looks at a run (`gemscope report`); no export holds any of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// When the record was made, since 1970.
    pub finished: f64,
    /// Reading and hashing the file.
    pub read: f64,
    /// Decoding it, resizing its views, making patches.
    pub prepare: f64,
    /// From when the model took it up, beside other images, to its last answer.
    pub answer: f64,
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
    /// When, and with which camera, it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Box<Capture>>,
    /// How it ended.
    pub status: AnswerStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The labels that this image was asked for, where it was asked something of its own; absent where the run asked the same about every image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Vec<String>>,
    /// Every box that was read, under the label that the answer gives it. Which of them are exported, the filters of an export say.
    pub detections: Vec<Detection>,
    /// What was put right or left out on the way.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// The raw answers.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// How the frame is, axis by axis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratings: Vec<Rating>,
    /// What the frame was meant to be, as its file or a table says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Box<GenerationSettings>>,
    /// Classical measures of its pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Measures>,
    /// Hash of the rendered prompts that were asked, in hex; absent where the answer was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The name that the image had when it was answered about, if its file has another name now. The answer is no longer one of
    /// an image of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// When it was made, and what took how long; absent where the answer was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

impl Record {
    /// What a record promises and its JSON does not keep: of a file that somebody, or a bad disk, has changed.
    pub fn fault(&self) -> Option<&'static str> {
        if !(1..=8).contains(&self.orientation) {
            return Some("the orientation is not 1 to 8");
        }
        let outside = self.detections.iter().any(|detection| !detection.bbox.lies_in(self.width, self.height));
        outside.then_some("a box does not lie inside the image")
    }

    /// Whether filters were applied to its boxes before it was written, as versions before schema 2 did.
    pub fn is_filtered(&self) -> bool {
        self.schema < 2
    }

    /// The record of an image that gave no answer.
    pub fn failed(image: String, reason: String) -> Self {
        Self {
            schema: SCHEMA,
            image,
            sha256: None,
            width: 0,
            height: 0,
            orientation: 1,
            capture: None,
            status: AnswerStatus::Failed,
            reason: Some(reason),
            asked: None,
            detections: Vec::new(),
            notes: Vec::new(),
            answers: Vec::new(),
            ratings: Vec::new(),
            generation: None,
            measures: None,
            question: None,
            moved_from: None,
            timings: None,
        }
    }
}
