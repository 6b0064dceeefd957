//! Answers that run away: boxes that march over the image, or repeat themselves.
//!
//! In: the boxes of one answer in their order, in thousandths of the view. Out: which of them
//! belong to a march, and whether boxes repeat without end. Promises: one pass; a shelf, a grid or
//! a crowd is no march, since neighbours there do not overlap by more than half.
//!
//! Boxes are compared with those of their own label, whatever stands between them; a number at the
//! end of a label does not matter (`chair 1`, `chair 2`).
//!
//! A march is at least [`MAX_ROW`] boxes in a row of one label, each with an intersection over
//! union above 0.5 with the one before, whose heights and widths differ by no more than 2, and
//! whose steps by no more than 1.

use std::collections::{HashMap, HashSet};

use super::ParsedBox;
use super::label;

/// This many boxes in a row are a march; this many repeats in a row never end.
const MAX_ROW: usize = 20;
const SAME_SIZE: f64 = 2.0;
const SAME_STEP: f64 = 1.0;
const OVERLAP: f64 = 0.5;

/// A box in thousandths of the view: upper left corner, height, width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) y: f64,
    pub(super) x: f64,
    pub(super) height: f64,
    pub(super) width: f64,
}

impl Place {
    fn overlap(self, other: Self) -> f64 {
        let along =
            |a: f64, a_size: f64, b: f64, b_size: f64| (a + a_size).min(b + b_size) - a.max(b);
        let height = along(self.y, self.height, other.y, other.height).max(0.0);
        let width = along(self.x, self.width, other.x, other.width).max(0.0);
        let common = height * width;
        common / (self.height * self.width + other.height * other.width - common)
    }

    fn size(self) -> [f64; 2] {
        [self.height, self.width]
    }

    fn step_from(self, before: Self) -> [f64; 2] {
        [self.y - before.y, self.x - before.x]
    }
}

/// The smallest and the largest of some numbers, for two sides.
#[derive(Clone, Copy)]
struct Spread([[f64; 2]; 2]);

impl Spread {
    fn of(sides: [f64; 2]) -> Self {
        Self(sides.map(|side| [side, side]))
    }

    /// With two more numbers.
    fn with(self, sides: [f64; 2]) -> Self {
        let [a, b] = [0, 1].map(|i| [self.0[i][0].min(sides[i]), self.0[i][1].max(sides[i])]);
        Self([a, b])
    }

    fn is_within(self, most: f64) -> bool {
        /// For sums and differences of numbers up to a thousand.
        const ROUNDING: f64 = 1e-9;
        self.0.iter().all(|[least, largest]| largest - least <= most + ROUNDING)
    }
}

/// For each box, whether it is part of a march.
pub(super) fn marching(boxes: &[ParsedBox], places: &[Place]) -> Vec<bool> {
    let mut of_label: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, one) in boxes.iter().enumerate() {
        of_label
            .entry(label::stem(one.label.as_deref().unwrap_or_default()))
            .or_default()
            .push(index);
    }
    let mut marching = vec![false; boxes.len()];
    for indices in of_label.into_values() {
        let places: Vec<Place> = indices.iter().map(|index| places[*index]).collect();
        let mut start = 0;
        while start + MAX_ROW <= places.len() {
            let end = row(&places, start);
            if end - start >= MAX_ROW {
                indices[start..end].iter().for_each(|index| marching[*index] = true);
                start = end;
            } else {
                start += 1;
            }
        }
    }
    marching
}

/// The end of the row of boxes of one label that begins at `start`.
fn row(places: &[Place], start: usize) -> usize {
    let first = places[start];
    let Some(step) = places.get(start + 1).map(|second| second.step_from(first)) else {
        return start + 1;
    };
    // Boxes that stand still repeat themselves, and are told by that.
    if step.iter().all(|along| along.abs() < 1e-9) {
        return start + 1;
    }
    let mut steps = Spread::of(step);
    let mut sizes = Spread::of(first.size());
    let mut end = start + 1;
    while end < places.len() {
        let (before, here) = (places[end - 1], places[end]);
        steps = steps.with(here.step_from(before));
        sizes = sizes.with(here.size());
        let alike = steps.is_within(SAME_STEP) && sizes.is_within(SAME_SIZE);
        if !alike || here.overlap(before) <= OVERLAP {
            break;
        }
        end += 1;
    }
    end
}

/// Whether so many boxes in a row repeat earlier ones that the answer would never end.
pub(super) fn repeats_without_end(boxes: &[ParsedBox]) -> bool {
    let mut known = HashSet::new();
    let mut in_a_row = 0;
    boxes.iter().any(|one| {
        in_a_row = if known.insert(as_written(one)) { 0 } else { in_a_row + 1 };
        in_a_row == MAX_ROW
    })
}

/// A box's numbers, bit by bit, and its label without a number at its end.
pub(super) fn as_written(parsed_box: &ParsedBox) -> ([u64; 4], Option<&str>) {
    // `+ 0.0` makes one zero of the two.
    (
        parsed_box.box_2d.map(|value| (value + 0.0).to_bits()),
        parsed_box.label.as_deref().map(label::stem),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(count: usize, of: impl Fn(usize) -> [f64; 4]) -> (Vec<ParsedBox>, Vec<Place>) {
        let boxes = (0..count).map(|index| ParsedBox {
            box_2d: of(index),
            label: Some("watch".to_owned()),
            coordinates: 0..0,
            named: false,
            label_span: None,
            confidence: None,
        });
        let boxes: Vec<ParsedBox> = boxes.collect();
        let place = |one: &ParsedBox| {
            let [y, x, y1, x1] = one.box_2d;
            Place { y, x, height: y1 - y, width: x1 - x }
        };
        let places = boxes.iter().map(place).collect();
        (boxes, places)
    }

    fn marched(count: usize, of: impl Fn(usize) -> [f64; 4]) -> usize {
        let (boxes, places) = boxes(count, of);
        marching(&boxes, &places).into_iter().filter(|marching| *marching).count()
    }

    #[test]
    fn a_march_is_twenty_overlapping_boxes_in_step() {
        let step = |by: f64, width: f64| {
            move |index: usize| [100.0, by * index as f64, 800.0, by * index as f64 + width]
        };
        assert_eq!(marched(194, step(5.0, 30.0)), 194);
        assert_eq!(marched(20, step(3.0, 121.0)), 20);
        assert_eq!(marched(19, step(3.0, 121.0)), 0, "too few");
        assert_eq!(marched(100, step(50.0, 50.0)), 0, "a shelf: side by side");
        assert_eq!(marched(100, step(10.0, 30.0)), 0, "an overlap of exactly a half");
        assert_eq!(marched(100, step(9.9, 30.0)), 100);
        // The step and the size may tremble a little.
        let tremble = |index: usize| {
            let (x, more) = (5.0 * index as f64 + (index % 2) as f64 * 0.4, (index % 3) as f64);
            [100.0, x, 800.0, x + 60.0 + more]
        };
        assert_eq!(marched(50, tremble), 50);
        let grows = |index: usize| {
            [100.0, 5.0 * index as f64, 800.0, 5.0 * index as f64 + 60.0 + 3.0 * index as f64]
        };
        assert_eq!(marched(50, grows), 0, "each is larger");
        let turns =
            |index: usize| [100.0, if index.is_multiple_of(2) { 0.0 } else { 5.0 }, 800.0, 60.0];
        assert_eq!(marched(50, turns), 0, "there and back");
    }

    #[test]
    fn the_rest_is_kept() {
        // Two apart, then a march, then two of its label somewhere else.
        let mixed = |index: usize| match index {
            0 => [0.0, 0.0, 50.0, 50.0],
            1 => [900.0, 0.0, 950.0, 50.0],
            2..30 => [100.0, 5.0 * index as f64, 800.0, 5.0 * index as f64 + 60.0],
            _ => [900.0, 20.0 * index as f64, 950.0, 20.0 * index as f64 + 9.0],
        };
        let (boxes, places) = boxes(32, mixed);
        let marching = marching(&boxes, &places);
        assert_eq!(marching.iter().position(|marching| *marching), Some(2));
        assert_eq!(marching.iter().filter(|marching| **marching).count(), 28);
    }

    #[test]
    fn labels_that_count_or_alternate_are_no_way_out() {
        let named = |count: usize, label: &dyn Fn(usize) -> String, step: f64| {
            let x = |index: usize| step * (index / 2 * 2) as f64;
            let (mut boxes, places) =
                boxes(count, |index| [100.0, x(index), 800.0, x(index) + 60.0]);
            boxes.iter_mut().enumerate().for_each(|(index, one)| one.label = Some(label(index)));
            let marched =
                marching(&boxes, &places).into_iter().filter(|marching| *marching).count();
            (marched, repeats_without_end(&boxes))
        };
        let two = |index: usize| ["person", "bag"][index % 2].to_owned();
        assert_eq!(named(60, &two, 4.0), (60, false), "each label marches");
        assert_eq!(named(38, &two, 4.0), (0, false), "nineteen of each");
        assert_eq!(named(40, &|index| format!("item {index}"), 0.0), (0, true));
        assert_eq!(named(40, &|index| format!("item_{index}"), 0.0), (0, true));
        let (mut boxes, places) =
            boxes(30, |index| [100.0, 5.0 * index as f64, 800.0, 5.0 * index as f64 + 60.0]);
        boxes
            .iter_mut()
            .enumerate()
            .for_each(|(index, one)| one.label = Some(format!("chair {index}")));
        assert!(marching(&boxes, &places).into_iter().all(|marching| marching));
    }

    #[test]
    fn repeats() {
        let repeats = |count: usize, of: usize| {
            repeats_without_end(&boxes(count, |index| [0.0, 0.0, 9.0, (index % of) as f64]).0)
        };
        assert!(repeats(21, 1) && repeats(22, 2) && repeats(300, 100));
        assert!(!repeats(20, 1) && !repeats(119, 100) && !repeats(300, 300));
    }
}
