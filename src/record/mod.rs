//! Records: the result for an image, one line of a run's journal; and the settings and filters of a
//! run.
//!
//! In: the results of every stage for one image. Out: one self-contained JSON object. Promises: a
//! record has everything that an export needs, so that no export runs a model; a raw answer is
//! always kept; no status is ever dropped.
//!
//! ```
//! let line = r#"{"schema": 2, "image": "a.png", "sha256": null, "width": 640, "height": 480,
//!     "orientation": 1, "status": "ok",
//!     "detections": [{"label": "cat", "bbox": [10, 20, 110, 220], "score": 0.9}]}"#;
//! let record: gemscope::record::Record = serde_json::from_str(line)?;
//! assert_eq!(record.detections[0].bbox.width(), 100.0);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

mod animation;
mod answer;
mod answer_schema;
mod bbox;
mod budget;
mod calibration;
mod clip;
mod critique;
mod decimals;
mod decoding;
mod detection;
mod filters;
mod generation;
mod manifest;
mod measures;
mod note;
mod pair;
mod plain_names;
mod point;
mod rules;
mod server;
mod settings;
mod shard;
mod task;
mod tiling;

pub use animation::{AnimationChoice, ShownAnimation, UnknownAnimationChoice};
pub use answer::{Answer, AnswerStatus, Ended, Rating, TokenCounts};
pub use answer_schema::AnswerSchema;
pub use bbox::BBox;
pub use budget::{Budget, BudgetChoice, UnknownBudget};
pub use calibration::Platt;
pub(crate) use calibration::{logit, sigmoid};
pub use clip::{ShownClip, ShownFrame};
pub use critique::{AskedAxis, AxisMarks, CritiqueSettings, mark_covers};
pub(crate) use decimals::{index_of_greatest, is_near_rounding, to_four_decimals};
pub use decoding::{Decoding, Sampling};
pub use detection::{Detection, Probabilities, ScoreKind, UnknownScore};
pub use filters::{Area, AreaError, Filters, MinScore};
pub use generation::{GenerationSettings, Lora, Tool};
pub use manifest::{ExternalAnswers, Manifest, RenamedPrefix};
pub use measures::Measures;
pub use note::{Note, NoteKind};
pub use pair::{PairRecord, Preference};
pub use plain_names::{plain_model, plain_sampler};
pub use point::FoundPoint;
pub use rules::{
    AnswerKind, CoordinateOrder, CoordinateScale, Rules, UnknownAnswerKind, UnknownCoordinates,
};
pub use server::{ServerDescription, ServerUse};
pub use settings::{Activations, ImagePrompts, ModelIdentity, Settings};
pub use shard::{Shard, UnknownShard};
pub use task::{Task, distinct};
pub use tiling::{Overlap, Tiling, UnknownTiling};

/// Version of the record's JSON schema. A reader refuses a record of a later version.
///
/// Since 2, a record holds every box that was read. In one of schema 1, the filters of its run had
/// been applied to the boxes: labels were renamed, boxes dropped, and notes say how many.
pub const SCHEMA: u32 = 2;

/// When, and with which camera, an image was taken, by its EXIF block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Capture {
    /// The camera's time (`DateTimeOriginal`) as ISO 8601: `2024-05-01T12:34:56.78+02:00`, with
    /// fraction and offset if the file has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// The camera's maker.
    #[serde(default, rename = "camera_make", skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// The camera's model.
    #[serde(default, rename = "camera_model", skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// When a record was made and the seconds of each stage, for `gemscope report`; no export holds any
/// of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timings {
    /// When the record was made, since 1970.
    pub finished: f64,
    /// Seconds by stage.
    #[serde(flatten)]
    pub stages: Stages,
}

/// Seconds that each stage took for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stages {
    /// Reading and hashing the file.
    pub read: f64,
    /// Decoding it, resizing its views, making patches.
    pub prepare: f64,
    /// From when the model took it up, beside other images, to its last answer.
    pub answer: f64,
}

impl Stages {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.read + self.prepare + self.answer
    }
}

/// All of that for one image: one line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The image's name: its path relative to the run's root, with `/`.
    pub image: String,
    /// SHA-256 of the file's bytes, in hex; `null` if it could not be read.
    pub sha256: Option<String>,
    /// Width of the upright image in pixels; 0 if it could not be decoded.
    pub width: u32,
    /// Height of the upright image in pixels; 0 if it could not be decoded.
    pub height: u32,
    /// The file's EXIF orientation, 1..8.
    pub orientation: u8,
    /// When, and with which camera, it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Box<Capture>>,
    /// The frames that were shown, of a record about a whole video: its `width` and `height` are
    /// those of a frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Box<ShownClip>>,
    /// The frames that were judged together, of an animated file of which not only the first one
    /// was: its `width` and `height` are those of a frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub animation: Option<Box<ShownAnimation>>,
    /// How it ended.
    pub status: AnswerStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The labels that this image was asked for, if it had a question of its own; absent if the run
    /// asked the same about every image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Vec<String>>,
    /// Every box that was read, under the label that the answer gives it. Which of them are
    /// exported, the filters of an export say.
    pub detections: Vec<Detection>,
    /// Every point that was read, of an answer that points at things instead of boxing them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<FoundPoint>,
    /// The values of a structured answer about the whole image, by the names of their fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<serde_json::Map<String, serde_json::Value>>>,
    /// Repairs and omissions on the way.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// The raw answers.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// How the frame is, axis by axis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratings: Vec<Rating>,
    /// What the frame was asked on each axis, by the axis's name: a hash of the question. An axis
    /// about the frame's prompt is here even if there was none to ask about.
    #[serde(default, skip_serializing_if = "AxisMarks::is_empty")]
    pub axes: AxisMarks,
    /// How the frame was made, by its file or a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Box<GenerationSettings>>,
    /// Classical measures of its pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Measures>,
    /// How the frame looks: the difference hash of its pixels, 16 hex digits. Near copies differ in
    /// few of its 64 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<String>,
    /// Hash of the rendered prompts, in hex; absent if the answer was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The name that the image had when it was answered about, if its file has another name now.
    /// The answer is no longer one of an image of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// The image was sent to a server under this name: no file of the run's root is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
    /// When it was made, and how long each stage took; absent if the answer was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

impl Record {
    /// A broken invariant, which JSON cannot express: somebody, or a bad disk, has changed the
    /// file.
    pub fn fault(&self) -> Option<&'static str> {
        if !(1..=8).contains(&self.orientation) {
            return Some("the orientation is not 1 to 8");
        }
        let outside = self
            .detections
            .iter()
            .any(|detection| !detection.bbox.is_within(self.width, self.height));
        let off = |point: &FoundPoint| {
            let inside = |at: f64, size: u32| (0.0..=f64::from(size)).contains(&at);
            !(inside(point.x, self.width) && inside(point.y, self.height))
        };
        match (outside, self.points.iter().any(off)) {
            (true, _) => Some("a box does not lie inside the image"),
            (false, true) => Some("a point does not lie inside the image"),
            (false, false) => None,
        }
    }

    /// Whether filters were applied to its boxes before it was written, as versions before schema 2
    /// did.
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
            clip: None,
            animation: None,
            status: AnswerStatus::Failed,
            reason: Some(reason),
            asked: None,
            detections: Vec::new(),
            points: Vec::new(),
            fields: None,
            notes: Vec::new(),
            answers: Vec::new(),
            ratings: Vec::new(),
            axes: AxisMarks::new(),
            generation: None,
            measures: None,
            look: None,
            question: None,
            moved_from: None,
            sent: false,
            timings: None,
        }
    }
}

/// Holds a schema of docs/ to the code: `GEMSCOPE_BLESS=1` writes it again.
#[cfg(test)]
pub(crate) fn assert_schema_file(name: &str, schema: &schemars::Schema) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let made = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("GEMSCOPE_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(made == kept, "{} is old: GEMSCOPE_BLESS=1 writes it again", path.display());
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_of_a_journal_is_that_of_the_code() {
        super::assert_schema_file("record.schema.json", &schemars::schema_for!(super::Record));
    }
}
