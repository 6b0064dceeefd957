//! From boxes as written to detections in pixels.
//!
//! In: a parsed answer and the size of the view that it is about. Out: detections in pixels of that
//! view, and notes on what was put right. Promises: every box that comes out satisfies `0 <= x0 <
//! x1 <= width` and `0 <= y0 < y1 <= height`, and knows the parsed box that it came from.

use std::collections::HashSet;

use super::ParsedAnswer;
use super::coordinates::{Corners, fitting};
use super::counts::Counts;
use super::march::{Place, as_written, marching, repeats_without_end};
use crate::record::{
    AnswerStatus, BBox, CoordinateOrder, CoordinateScale, Detection, Note, NoteKind,
};

/// The label of a box that came without one, if the query named no sole label.
const DEFAULT_LABEL: &str = "object";

/// A detection, and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// In pixels of the view, without a score.
    pub detection: Detection,
    /// Index into [`ParsedAnswer::boxes`].
    pub source: usize,
}

/// Turns the boxes of an answer about a view of `width` times `height` pixels into detections, in
/// the order of the answer.
///
/// The numbers count what `scale` says, in the order that `order` says. Boxes that do not fit the
/// scale are left out with a note (`src/answer/coordinates.rs` says which). Corners in the wrong
/// order are sorted, coordinates over the edge are clamped, boxes without an area are dropped, and
/// so are boxes that march over the view, and exact repeats (same numbers, same label) in a looped
/// answer. A box without a label takes `default_label`, the sole label that was asked for, or else
/// "object".
pub fn to_detections(
    parsed: &ParsedAnswer,
    (width, height): (u32, u32),
    (scale, order): (CoordinateScale, CoordinateOrder),
    default_label: Option<&str>,
) -> (Vec<Located>, Vec<Note>) {
    let (width, height) = (f64::from(width), f64::from(height));
    let mut counts = Counts::default();
    let corners: Vec<Corners> = parsed.boxes.iter().map(|one| Corners::of(one, order)).collect();
    let fits = fitting(&corners, scale, height, width);
    let [high, wide] = scale.extent(height, width);
    let places: Vec<Place> = corners.iter().map(|corners| corners.place(high, wide)).collect();
    let marches = marching(&parsed.boxes, &places);
    let loops = parsed.status == AnswerStatus::Looped || repeats_without_end(&parsed.boxes);

    let mut known = HashSet::new();
    let mut located = Vec::with_capacity(parsed.boxes.len());
    for (source, (parsed_box, corners)) in parsed.boxes.iter().zip(&corners).enumerate() {
        let repeat = loops && !known.insert(as_written(parsed_box));
        let dropped = counts.note(NoteKind::CoordinatesDoNotFit, !fits[source])
            || counts.note(NoteKind::MarchDropped, marches[source])
            || counts.note(NoteKind::RepeatDropped, repeat);
        if dropped {
            continue;
        }
        let Corners { y0, x0, y1, x1, swapped } = *corners;
        counts.note(NoteKind::SwappedCorners, swapped);
        let outside = y0 < 0.0 || x0 < 0.0 || y1 > high || x1 > wide;
        counts.note(NoteKind::Clamped, outside);
        // A view without pixels has no boxes; the division is never by zero but there.
        let scaled = |value: f64, most: f64, size: f64| value.clamp(0.0, most) / most * size;
        let bbox = BBox {
            x0: scaled(x0, wide, width),
            y0: scaled(y0, high, height),
            x1: scaled(x1, wide, width),
            y1: scaled(y1, high, height),
        };
        // Asked of the pixels: numbers that differ in their last digits may end on one spot.
        if counts.note(NoteKind::DegenerateDropped, !(bbox.x0 < bbox.x1 && bbox.y0 < bbox.y1)) {
            continue;
        }
        counts.note(NoteKind::MissingLabel, parsed_box.label.is_none());
        let label =
            parsed_box.label.as_deref().or(default_label).unwrap_or(DEFAULT_LABEL).to_owned();
        located.push(Located { detection: Detection::new(label, bbox), source });
    }
    (located, counts.into_notes())
}
