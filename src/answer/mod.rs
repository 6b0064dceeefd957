//! From a model's text to boxes.
//!
//! In: the text of an answer, how its generation ended, and the size of the view it is about. Out: a status, the
//! boxes as written with the bytes that they came from ([`parse`]), and detections in pixels ([`to_detections`]).
//! Promises: no text makes it panic or recurse, time grows linearly with the text, and no box is invented: a box is
//! the key `box_2d` with exactly four finite numbers in brackets, and nothing else is.
//!
//! # What is a box
//!
//! The key may be quoted or bare and spelled `box_2d`, `box2d`, `box-2d`, `Box_2D`. Other keys (`bbox`, `bbox_2d`,
//! `bboxes`, `point`) follow other conventions of order and scale and are not read. The value is a list of four
//! numbers in `[]` or `()`, where a number may stand in quotes; or a list of such lists, each then a box with the
//! label of their object. A box counts as complete once its own list is closed; the object around it need not be. A
//! label counts once its closing quote is there: half a word is no label. The label is the value of `label` or, in
//! this order, of `name`, `class`, `category`, `object`, `caption`, `text`, `text_content`, `description`, `title`; a
//! number is taken as its text; null, a boolean, a list or an object is no label.
//!
//! # What the status says
//!
//! The first line that applies:
//!
//! | answer | status |
//! |---|---|
//! | stopped by the repetition guard | `looped` |
//! | boxes; the text ends inside a JSON value | `truncated` |
//! | boxes; token limit, and the text ends behind `},` or in a thought, or a box stands outside of JSON | `truncated` |
//! | boxes; the JSON had to be repaired, a fence closed before it, or it is a tool call | `salvaged` |
//! | boxes; well-formed JSON: bare, fenced, fence unclosed, in prose, several blocks, one object, any wrapper | `ok` |
//! | no boxes; token limit, or the text ends inside a JSON value | `truncated` |
//! | no boxes; a tool call, an unclosed thought, an unreadable `box_2d`, or JSON that says something else | `refused` |
//! | `[]`, `{}`, `{"detections": []}`, `[{"box_2d": null, …}]`, a fenced block with nothing in it | `empty` |
//! | anything else: prose, nothing at all | `refused` |
//!
//! Boxes without an area still make an answer `ok`, and a "nothing" may stand in prose or be written as Python does.
//! A complete value is complete even where the token limit was reached at its end.
//!
//! Thoughts (`<|channel>…<channel|>`, `<think>…</think>`) are left out, and so is all that stands before the end of a
//! thought whose start was part of the prompt. The answer ends at the first end of turn in the text, which then
//! counts as the stop token.

mod frame;
mod label;
mod parser;
mod rescale;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::record::{Answer, AnswerStatus, Detection, Note, Record};

pub use parser::parse;
pub use rescale::{Located, to_detections};

/// What could be made of an answer's text.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedAnswer {
    /// How the answer ended; never [`AnswerStatus::Failed`].
    pub status: AnswerStatus,
    /// The complete boxes, in the order of the text.
    pub boxes: Vec<ParsedBox>,
    /// What was left out or repaired, each kind once.
    pub notes: Vec<Note>,
}

/// One complete box of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedBox {
    /// `[ymin, xmin, ymax, xmax]` as written: neither sorted nor clamped, but always finite.
    pub box_2d: [f64; 4],
    /// The label: escapes decoded, trimmed, runs of white space made one space, never empty.
    pub label: Option<String>,
    /// The bytes of the text from the first digit of the first number to the last digit of the fourth.
    pub coordinates: Range<usize>,
    /// The bytes of the text that the label was read from, without its quotes; there whenever the label is.
    pub label_span: Option<Range<usize>>,
}

/// Reads `answer`, which is about the whole image of `record`, into it: status, detections and notes, and the answer itself. `score` gives
/// the score of a box; `default_label` is for boxes without a label.
pub fn read_into(
    record: &mut Record,
    answer: Answer,
    default_label: Option<&str>,
    score: impl Fn(&ParsedBox) -> Option<f64>,
) {
    let parsed = parse(&answer.text, answer.ended);
    let (located, notes) = to_detections(&parsed, record.width, record.height, default_label);
    let scored = |Located { detection, source }| Detection { score: score(&parsed.boxes[source]), ..detection };
    record.detections = located.into_iter().map(scored).collect();
    record.status = parsed.status;
    record.reason = None;
    record.notes = parsed.notes.iter().copied().chain(notes).collect();
    record.answers = vec![answer];
}
