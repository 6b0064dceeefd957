//! From boxes as written to detections in pixels.
//!
//! In: a parsed answer and the size of the view that it is about. Out: detections in pixels of that view, and notes
//! on what was put right. Promises: every box that comes out satisfies `0 <= x0 < x1 <= width` and
//! `0 <= y0 < y1 <= height`, and knows the parsed box that it came from.

use std::collections::HashSet;

use super::counts::Counts;
use super::{ParsedAnswer, ParsedBox};
use crate::record::{AnswerStatus, BBox, Detection, Note, NoteKind};

/// Coordinates go from 0 to this over the width and the height of the view.
const GRID: f64 = 1000.0;

/// The label of a box that came without one, where the query named no sole label.
const DEFAULT_LABEL: &str = "object";

/// A detection and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// In pixels of the view, without a score.
    pub detection: Detection,
    /// Index into [`ParsedAnswer::boxes`].
    pub source: usize,
}

/// Turns the boxes of an answer about a view of `width` times `height` pixels into detections, in the order of the
/// answer.
///
/// Corners in the wrong order are sorted, coordinates outside 0..1000 are clamped, boxes without an area are dropped,
/// and so are exact repeats (same numbers, same label) in a looped answer. A box without a label takes
/// `default_label`, the sole label that was asked for, or else "object".
///
/// Some answers give pixels under the key `box_2d`. Where a box lies wholly beyond 1000, so that clamping would make
/// it vanish, and all boxes of the answer fit into the view, the whole answer is read as pixels of the view.
pub fn to_detections(
    parsed: &ParsedAnswer,
    width: u32,
    height: u32,
    default_label: Option<&str>,
) -> (Vec<Located>, Vec<Note>) {
    let (width, height) = (f64::from(width), f64::from(height));
    let mut counts = Counts::default();
    let pixels = are_pixels(&parsed.boxes, width, height);
    counts.note(NoteKind::PixelCoordinates, pixels);

    let mut known = HashSet::new();
    let mut located = Vec::with_capacity(parsed.boxes.len());
    for (source, parsed_box) in parsed.boxes.iter().enumerate() {
        // `+ 0.0` makes one zero of the two.
        let written = parsed_box.box_2d.map(|value| (value + 0.0).to_bits());
        let repeat = parsed.status == AnswerStatus::Looped && !known.insert((written, parsed_box.label.as_deref()));
        if counts.note(NoteKind::RepeatDropped, repeat) {
            continue;
        }
        let Corners { y0, x0, y1, x1, swapped } = Corners::of(parsed_box);
        counts.note(NoteKind::SwappedCorners, swapped);
        let bbox = if pixels {
            BBox { x0, y0, x1, y1 }
        } else {
            let outside = [y0, x0, y1, x1].iter().any(|value| !(0.0..=GRID).contains(value));
            counts.note(NoteKind::Clamped, outside);
            let scale = |value: f64, size: f64| value.clamp(0.0, GRID) / GRID * size;
            BBox { x0: scale(x0, width), y0: scale(y0, height), x1: scale(x1, width), y1: scale(y1, height) }
        };
        // Asked of the pixels: numbers that differ in their last digits may end on one spot.
        if counts.note(NoteKind::DegenerateDropped, !(bbox.x0 < bbox.x1 && bbox.y0 < bbox.y1)) {
            continue;
        }
        counts.note(NoteKind::MissingLabel, parsed_box.label.is_none());
        let label = parsed_box.label.as_deref().or(default_label).unwrap_or(DEFAULT_LABEL).to_owned();
        located.push(Located { detection: Detection::new(label, bbox), source });
    }
    (located, counts.into_notes())
}

/// A box's numbers in order.
struct Corners {
    y0: f64,
    x0: f64,
    y1: f64,
    x1: f64,
    swapped: bool,
}

impl Corners {
    fn of(parsed_box: &ParsedBox) -> Self {
        let [ya, xa, yb, xb] = parsed_box.box_2d.map(|value| value + 0.0);
        let swapped = ya > yb || xa > xb;
        Self { y0: ya.min(yb), x0: xa.min(xb), y1: ya.max(yb), x1: xa.max(xb), swapped }
    }
}

/// Whether the answer's coordinates can only be pixels. A box without an area would vanish either way and decides
/// nothing.
fn are_pixels(boxes: &[ParsedBox], width: f64, height: f64) -> bool {
    let mut beyond = false;
    for Corners { y0, x0, y1, x1, .. } in boxes.iter().map(Corners::of) {
        if y0 < 0.0 || x0 < 0.0 || y1 > height || x1 > width {
            return false;
        }
        beyond |= y0 < y1 && x0 < x1 && (y0 >= GRID || x0 >= GRID);
    }
    beyond
}
