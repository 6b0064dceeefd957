//! From a model's text to boxes.
//!
//! In: the text of an answer, how its generation ended, and the size of the view it is about. Out:
//! a status, the boxes as written with the bytes that they came from ([`parse`]), and detections in
//! pixels ([`to_detections`]); of all answers about an image, a record ([`read_into`]). Promises:
//! no text makes it panic or recurse, time grows linearly with the text, and no box is invented: a
//! box is four finite numbers in brackets under the key `box_2d`, or in a group as described below.
//!
//! # What is a box
//!
//! The key may be quoted or bare and spelled `box_2d`, `box2d`, `box-2d`, `Box_2D`, `boxes_2d`. The
//! value is a list of four numbers in `[]` or `()`, with or without quotes around a number; or a
//! list of such lists, each then a box with the label of their object. A box counts as complete
//! once its own list is closed; the object around it need not be. A list without the key is a box
//! in a group only: under a word that labels it, or under `boxes` beside a label (`{"cat": [[y, x,
//! y, x]]}`; `frame.rs` has the rules).
//!
//! Other keys (`bbox`, `bbox_2d`, `bboxes`, `point`, `x1`) follow other conventions of order and
//! scale and are not read. A value of theirs that could be a place is noted by its key, unless it
//! says the numbers of the object's `box_2d` again, or a point or an outline beside it; so is a
//! `box_2d` that is not four numbers, and so are four numbers in the words around the JSON that no
//! box has. Each makes the answer `salvaged`, or `refused` without another box: **`ok` promises
//! that every box that the model wrote is there, and none that it took back, under the label that
//! it wrote.** What is read by a guess is `salvaged`, with a note that names why.
//!
//! A label counts once its closing quote is there: half a word is no label. It is the value of
//! `label`, or of another key that people use for it (`key.rs` has them in their order); a number
//! is taken as its text, a list by its first string, an object by its own label; null and booleans
//! are no label. A box without one takes it from what stands around it: the word that it stands
//! under, the label of an object without boxes of its own, or a list of as many labels (`frame.rs`
//! says when).
//!
//! # What the status says
//!
//! A question that asks for no boxes ([`AnswerKind::Text`]) is answered by any words: `text`. It is
//! `truncated` or `looped` if it was stopped, and `refused` if nothing was said but a thought.
//! Boxes in it are read, and it stands in no data set. Of an answer to any other question, the
//! first line that applies:
//!
//! | answer | status |
//! |---|---|
//! | stopped by the repetition guard | `looped` |
//! | boxes; the text ends inside a JSON value | `truncated` |
//! | boxes; token limit, and behind them stand words, a comma, a thought or several values, or one outside of JSON | `truncated` |
//! | boxes that march over the view, or repeat earlier ones twenty times in a row (`march.rs`) | `looped` |
//! | boxes; earlier attempts or an example were dropped, or it is not known whether parts are one answer | `salvaged` |
//! | boxes; words behind them take something back or leave something out, or a tag or token is not known | `salvaged` |
//! | boxes; a label or a box is a guess, or labels could not be given to boxes | `salvaged` |
//! | boxes; one was lost; the JSON had to be repaired, a fence closed before it, or it is a tool call | `salvaged` |
//! | boxes; well-formed JSON: bare, fenced, fence unclosed, in prose, several blocks, one object, any wrapper | `ok` |
//! | no boxes; token limit, or the text ends inside a JSON value | `truncated` |
//! | no boxes; a tool call, an unclosed thought, an unreadable `box_2d`, or JSON that says something else | `refused` |
//! | `[]`, `{}`, `{"detections": []}`, `[{"box_2d": null, …}]`, a fenced block with nothing in it | `empty` |
//! | anything else: prose, nothing at all | `refused` |
//!
//! Boxes without an area still make an answer `ok`, and a "nothing" may stand in prose or be
//! written as Python does. A complete value is complete even if the token limit was reached at its
//! end.
//!
//! Thoughts are left out in every form that servers leave them in (`<|channel>…<channel|>`,
//! `<think>…</think>`, `[THINK]…[/THINK]`, `<|channel|>analysis…`: the table in `marks.rs`), and so
//! is all that stands before the end of a thought whose start was part of the prompt, or before a
//! mark of the answer (`<answer>`, `<|channel|>final`). A thought that does not end holds all the
//! rest. What was answered before a later thought, or before the model's role stands there again,
//! counts only if nothing follows. The answer ends at the first end of turn in the text, of Gemma
//! or of another model, or at the role of another turn (`turns.rs`), which then counts as the stop
//! token.
//!
//! Of several answers in one text the last complete one counts, but lists of several classes are
//! one answer: `parts.rs` has the rule. Behind a first line `thought`, which a server leaves if it
//! drops the marks, only the last part is the answer.
//!
//! An answer without boxes that points at things (`[{"point": [y, x], "label": "cat"}]`) is read by
//! `points.rs`, which takes all of it or nothing; its record has points, and is `ok`.
//!
//! Boxes that are listed line by line, in YAML or as prose does it, are read by `listing.rs` and
//! make an answer `salvaged`.
//!
//! Full-width and typographic punctuation is read as JSON's, and makes an answer `salvaged`.
//!
//! ```
//! use gemscope::answer::parse;
//! use gemscope::record::{AnswerStatus, Ended};
//!
//! let answer = parse(r#"```json
//! [{"box_2d": [100, 200, 300, 400], "label": "cat"}]
//! ```"#, Ended::StopToken);
//! assert_eq!(answer.status, AnswerStatus::Ok);
//! assert_eq!(answer.boxes[0].box_2d, [100.0, 200.0, 300.0, 400.0]);
//! ```

pub mod calibration;
mod coordinates;
pub(crate) mod counts;
mod entry;
mod frame;
mod key;
mod label;
mod listing;
mod march;
mod marks;
mod numbers;
mod parser;
mod parts;
mod phrases;
mod points;
mod probabilities;
mod rescale;
mod scan;
mod seams;
#[cfg(test)]
mod tests;
mod text;
mod turns;

use std::ops::Range;

use crate::record::{
    Answer, AnswerKind, AnswerSchema, AnswerStatus, BBox, Ended, FoundPoint, Note, NoteKind,
    Probabilities, Record, Rules, ScoreKind,
};

pub use coordinates::{Decision, ScaleEvidence};
use counts::Counts;
pub use parser::parse;
pub use probabilities::{TokenSpan, box_probabilities, is_near_rounding};
pub use rescale::{Located, to_detections};
pub use text::{plain_text, text_of};

/// An answer's text, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedAnswer {
    /// How the answer ended; never [`AnswerStatus::Failed`].
    pub status: AnswerStatus,
    /// The complete boxes, in the order of the text.
    pub boxes: Vec<ParsedBox>,
    /// Things that were left out or repaired, each kind once.
    pub notes: Vec<Note>,
}

/// One complete box of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedBox {
    /// `[ymin, xmin, ymax, xmax]` as written: neither sorted nor clamped, but always finite.
    pub box_2d: [f64; 4],
    /// The label: escapes decoded, trimmed, runs of white space made one space, never empty.
    pub label: Option<String>,
    /// The bytes of the text from the first digit of the first number to the last digit of the
    /// fourth.
    pub coordinates: Range<usize>,
    /// The bytes of the text that the label was read from, without its quotes; there whenever the
    /// label is.
    pub label_span: Option<Range<usize>>,
    /// Whether its numbers stood under names (`ymin`, `xmin` ...), which say their order.
    pub named: bool,
    /// How sure the model says that it is, under `confidence`, `score`, `probability` and the like:
    /// a finite number as it stands there, or of `95%` the hundredth.
    pub confidence: Option<f64>,
}

/// One answer that is to be read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The answer; its view lies inside the image.
    pub answer: Answer,
    /// The kind of answer that was asked for.
    pub kind: AnswerKind,
    /// For boxes without a label.
    pub default_label: Option<String>,
    /// Its tokens' positions in the text; empty if it came without token probabilities.
    pub spans: Vec<TokenSpan>,
    /// A sentence about each of its boxes, in their order; fewer, or none, if they were not asked
    /// for.
    pub sentences: Vec<Option<String>>,
}

/// Reads all answers about the image of `record` into it: status, every box that they name, notes,
/// and the answers themselves. Labels are those of the answers, and scores are
/// [`ScoreKind::Joint`]; what is exported of the boxes is decided later, by
/// [`crate::record::Filters`].
///
/// The status of several answers is the most serious of them, except that boxes from one view are
/// not made a refusal by the prose of another: that is `salvaged`.
pub fn read_into(record: &mut Record, readings: Vec<Reading>, rules: &Rules) {
    let mut counts = Counts::default();
    let mut status: Option<AnswerStatus> = None;
    let mut seen = Vec::new();
    let mut answers = Vec::with_capacity(readings.len());
    let mut points = Vec::new();
    for Reading { answer, kind, default_label, spans, sentences } in readings {
        let parsed = parse(&answer.text, answer.ended);
        let view = answer.view;
        let size = (view.width() as u32, view.height() as u32);
        let (located, notes) = to_detections(
            &parsed,
            size,
            (rules.coordinates, rules.order),
            default_label.as_deref(),
        );
        let pointed = points_of(&answer, &parsed, rules, default_label.as_deref());
        let read = match kind {
            AnswerKind::Boxes if pointed.is_some() => AnswerStatus::Ok,
            AnswerKind::Boxes => read_as(parsed.status, located.is_empty(), &notes),
            AnswerKind::Text => text::status(&answer, &parsed),
        };
        for Located { mut detection, source } in located {
            let found = &parsed.boxes[source];
            detection.bbox = detection.bbox.translated(view.x0, view.y0);
            detection.probabilities = box_probabilities(
                &answer.text,
                &spans,
                &found.coordinates,
                found.label_span.as_ref(),
            )
            .map(Probabilities::rounded);
            detection.stated_confidence = found.confidence;
            detection.sentence = sentences.get(source).cloned().flatten();
            detection.score = detection
                .probabilities
                .and_then(|probabilities| ScoreKind::Joint.score(probabilities));
            seen.push(seams::Seen { detection, view });
        }
        for note in parsed.notes.iter().cloned().chain(notes) {
            // Its points are read.
            if pointed.is_none() || note.kind != NoteKind::UnreadKey {
                counts.add_note(note);
            }
        }
        // Of tiles, which see parts of the same things, the whole image's points count.
        let whole = view == BBox::whole(record.width, record.height);
        points.extend(pointed.into_iter().flatten().filter(|_| whole));
        status = status.into_iter().chain([read]).max_by_key(|status| status.severity());
        answers.push(answer);
    }
    let views =
        answers.iter().any(|answer| answer.view != BBox::whole(record.width, record.height));
    let detections = if views {
        let joined = seams::join(seen, record.width, record.height, rules.join);
        counts.add(NoteKind::Joined, joined.merged);
        counts.add(NoteKind::CutDropped, joined.dropped);
        joined.detections
    } else {
        seen.into_iter().map(|one| one.detection).collect()
    };
    let mut status = status.unwrap_or(AnswerStatus::Empty);
    if status == AnswerStatus::Refused && !detections.is_empty() {
        status = AnswerStatus::Salvaged;
    }
    record.detections = detections;
    record.points = points;
    record.status = status;
    record.reason = None;
    record.notes = counts.into_notes();
    record.answers = answers;
}

/// Reads the values of a structured answer into `record`: an answer in text that is not of the
/// schema is a refusal.
pub fn read_fields(record: &mut Record, schema: &AnswerSchema) {
    if record.status != AnswerStatus::Text {
        return;
    }
    let read = |answer: &Answer| schema.read(&plain_text(&answer.text));
    record.fields = record.answers.iter().find_map(read).map(Box::new);
    let Some(fields) = &record.fields else {
        record.status = AnswerStatus::Refused;
        return;
    };
    if let Some(clip) = &record.clip {
        let outside = schema.times_outside(fields, clip.seconds);
        if outside > 0 {
            record.notes.push(Note::new(NoteKind::TimesDoNotFit, outside));
        }
    }
}

/// The points of an answer that has no boxes, and would be none without its points.
fn points_of(
    answer: &Answer,
    parsed: &ParsedAnswer,
    rules: &Rules,
    default_label: Option<&str>,
) -> Option<Vec<FoundPoint>> {
    let open = matches!(parsed.status, AnswerStatus::Refused | AnswerStatus::Truncated);
    if !open || !parsed.boxes.is_empty() {
        return None;
    }
    points::read(&answer.text, &answer.view, rules, default_label)
}

/// The status of an answer whose boxes are in pixels now: `looped` if they march over the view or
/// repeat themselves; not `ok` if boxes were left out since their coordinates do not fit, and a
/// refusal if none is left.
fn read_as(status: AnswerStatus, nothing_left: bool, notes: &[Note]) -> AnswerStatus {
    let noted = |kind: NoteKind| notes.iter().any(|note| note.kind == kind);
    let misfits = noted(NoteKind::CoordinatesDoNotFit);
    match status {
        _ if noted(NoteKind::MarchDropped) || noted(NoteKind::RepeatDropped) => {
            AnswerStatus::Looped
        }
        AnswerStatus::Ok | AnswerStatus::Salvaged if misfits && nothing_left => {
            AnswerStatus::Refused
        }
        AnswerStatus::Ok if misfits => AnswerStatus::Salvaged,
        status => status,
    }
}

/// Whether an answer is JSON with boxes and little else: few words stand around it.
pub(crate) fn is_json_of_boxes(text: &str, ended: Ended) -> bool {
    const MAX_WORDS: usize = 40;
    // Cheap to know of a caption.
    let might = text.contains(['[', '{']);
    might && {
        let parsed = parse(text, ended);
        let whole = matches!(parsed.status, AnswerStatus::Ok | AnswerStatus::Truncated);
        let prose = parsed.notes.iter().any(|note| note.kind == NoteKind::ProseAround);
        whole
            && !parsed.boxes.is_empty()
            && (!prose || (text.contains("```") && words_outside(text) <= MAX_WORDS))
    }
}

/// How many words stand outside of fences.
fn words_outside(text: &str) -> usize {
    text.split("```").step_by(2).map(|prose| prose.split_whitespace().count()).sum()
}

/// Whether a word is the key of a box, in any of its spellings.
fn is_box_key(word: &str) -> bool {
    key::Key::of(word) == key::Key::Box
}
