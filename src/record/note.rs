//! Repairs and omissions on the way from an answer to its detections.

use serde::{Deserialize, Serialize};

/// Something that was put right, or left out, on the way from an answer to its detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Coordinates that were read as pixels of the image since they cannot be 0..1000. Versions
    /// before the scale was a setting wrote it.
    PixelCoordinates,
    /// Boxes whose coordinates are not of the scale that the run reads; left out.
    CoordinatesDoNotFit,
    /// JSON that had to be repaired.
    MalformedJson,
    /// Values of `box_2d` that are not four finite numbers; left out.
    UnreadableBox,
    /// Coordinates under keys that are not read (`bbox`, `point`, `x1`), in the words of the
    /// answer, or labels that fit no box, by their keys (in the detail); left out.
    UnreadKey,
    /// Labels under a key that names none, boxes under a word that may be no label, or a list of
    /// labels that cannot be assigned for sure, by their keys (in the detail); kept.
    LabelGuessed,
    /// Boxes of an example, a draft or an earlier attempt that the answer holds before its last
    /// one; dropped.
    EarlierAnswerDropped,
    /// Parts of an answer that repeat each other's labels, and may or may not be one answer; all
    /// kept.
    SeveralAnswers,
    /// Words around the boxes that take something back, leave something out, or announce more than
    /// follows.
    DoubtfulWords,
    /// Tags or special tokens (in the detail) that are not known; text behind a token is left out.
    UnknownMark,
    /// Boxes that march over the image, each a step from the one before; dropped.
    MarchDropped,
    /// Labels longer than any real one; cut.
    LongLabelCut,
    /// Labels that were made one of those asked for (case, plural, a map).
    LabelNormalised,
    /// Boxes whose label was not asked for; dropped.
    UnaskedDropped,
    /// Boxes that a filter dropped (area, aspect, edge, a label that the map drops; the score, too,
    /// in records of schema 1).
    Filtered,
    /// Boxes whose score is below the least score; left out.
    LowScoreDropped,
    /// Boxes without a score while a least score was asked for; left out.
    UnscoredDropped,
    /// Boxes that repeat another one of the same label; dropped.
    DuplicateDropped,
    /// Boxes that overlap a better one; dropped by non-maximum suppression.
    Suppressed,
    /// Boxes of several views that are one object; joined.
    Joined,
    /// Boxes cut by the edge of a tile, without the rest in any other view; dropped.
    CutDropped,
    /// The image's file ends before the image does; the rows that are there were used, the rest is
    /// grey.
    TruncatedImage,
    /// Bytes that no JPEG has stand among those of the image; rows below them may be wrong.
    DamagedImage,
    /// Times in an answer about a whole video that lie behind its end, or end before they start;
    /// kept as the answer says them.
    TimesDoNotFit,
    /// A video has fewer frames than the model takes of one (in the detail); all were shown.
    FewFrames,
    /// The file has more bits a sample than the image; it was brightened to its own white.
    ScaledBitDepth,
    /// The file has 16 bits a sample, and the image looks black in them.
    NearBlack,
    /// The file is an animation; its first frame is the image.
    Animated,
    /// The file is an animation, of which several frames (in the detail) were judged together.
    AnimatedTogether,
    /// Answers to a question that has a later one, or a whole one; that one counts.
    AnswerReplaced,
}

/// A kind of note and how often it applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Note {
    /// The kind of repair or omission.
    pub kind: NoteKind,
    /// To how many boxes (or once, for notes about the whole answer).
    pub count: usize,
    /// The subject: the key that was not read, the share of rows that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Note {
    /// A note whose kind says all.
    pub fn new(kind: NoteKind, count: usize) -> Self {
        Self { kind, count, detail: None }
    }
}
