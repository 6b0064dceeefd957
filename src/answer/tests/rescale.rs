//! From boxes as written to pixels.

use super::check;
use crate::answer::{Located, to_detections};
use crate::record::NoteKind::{
    Clamped, CoordinatesDoNotFit, DegenerateDropped, MissingLabel, RepeatDropped, SwappedCorners,
};
use crate::record::{CoordinateOrder, CoordinateScale, Ended, NoteKind};

fn detect(
    text: &str,
    ended: Ended,
    size: (u32, u32),
    default: Option<&str>,
) -> (Vec<Located>, Vec<(NoteKind, usize)>) {
    read((CoordinateScale::Thousand, CoordinateOrder::Yxyx), text, ended, size, default)
}

fn read(
    coordinates: (CoordinateScale, CoordinateOrder),
    text: &str,
    ended: Ended,
    size: (u32, u32),
    default: Option<&str>,
) -> (Vec<Located>, Vec<(NoteKind, usize)>) {
    let (located, notes) = to_detections(&check(text, ended), size, coordinates, default);
    (located, notes.into_iter().map(|note| (note.kind, note.count)).collect())
}

fn bbox(located: &Located) -> [f64; 4] {
    located.detection.bbox.into()
}

#[test]
fn the_grid_becomes_pixels() {
    let text = r#"[{"box_2d": [244, 256, 948, 405.5], "label": "person"}]"#;
    let (located, notes) = detect(text, Ended::StopToken, (640, 480), Some("cat"));
    assert_eq!(bbox(&located[0]), [0.256 * 640.0, 0.244 * 480.0, 0.4055 * 640.0, 0.948 * 480.0]);
    assert_eq!((located[0].detection.label.as_str(), located[0].detection.score), ("person", None));
    assert_eq!(notes, []);
    let whole = r#"{"box_2d": [0, 0, 1000, 1000]}"#;
    assert_eq!(
        bbox(&detect(whole, Ended::StopToken, (641, 479), None).0[0]),
        [0.0, 0.0, 641.0, 479.0]
    );
}

#[test]
fn corners_are_sorted_and_clamped() {
    let text = r#"[{"box_2d": [900, 10, 100, 20], "label": "a"}, {"box_2d": [-5, 0, 10, 1001], "label": "b"}]"#;
    let (located, notes) = detect(text, Ended::StopToken, (1000, 1000), None);
    assert_eq!(bbox(&located[0]), [10.0, 100.0, 20.0, 900.0]);
    assert_eq!(bbox(&located[1]), [0.0, 0.0, 1000.0, 10.0]);
    assert_eq!(notes, [(SwappedCorners, 1), (Clamped, 1)]);
}

#[test]
fn boxes_without_an_area_are_dropped_and_sources_kept() {
    let text = r#"[{"box_2d": [500, 500, 500, 500]}, {"box_2d": [0, 0, 1, 1]}, {"box_2d": [-9, -9, -1, -9]}]"#;
    let (located, notes) = detect(text, Ended::StopToken, (100, 100), Some("dog"));
    assert_eq!(
        (located.len(), located[0].source, located[0].detection.label.as_str()),
        (1, 1, "dog")
    );
    assert_eq!(notes, [(Clamped, 1), (DegenerateDropped, 2), (MissingLabel, 1)]);
    let (located, _) = detect(text, Ended::StopToken, (100, 100), None);
    assert_eq!(located[0].detection.label, "object");
    assert!(detect(text, Ended::StopToken, (0, 100), None).0.is_empty());
    // Apart in the answer, one spot in pixels.
    let thin = r#"{"box_2d": [0, 1, 10, 1.0000000000000002]}"#;
    assert!(detect(thin, Ended::StopToken, (100, 100), None).0.len() <= 1);
}

#[test]
fn repeats_are_dropped_in_a_looped_answer_only() {
    let text = r#"[{"box_2d": [1, 2, 3, 4], "label": "a"}, {"box_2d": [1, 2, 3, 4.0], "label": "a"},
        {"box_2d": [1, 2, 3, 4], "label": "b"}, {"box_2d": [1, 2, 3, 4], "label": "a"}, {"box_2d": [1, 2"#;
    let (located, notes) = detect(text, Ended::Looped, (100, 100), None);
    assert_eq!(located.iter().map(|located| located.source).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(notes, [(RepeatDropped, 2)]);
    assert_eq!(detect(text, Ended::TokenLimit, (100, 100), None).0.len(), 4);
}

#[test]
fn coordinates_of_another_scale_are_left_out() {
    let beyond = r#"[{"box_2d": [1100, 20, 1200, 30]}, {"box_2d": [1, 2, 3, 4]}]"#;
    let (located, notes) = detect(beyond, Ended::StopToken, (30, 1200), None);
    assert_eq!((located.len(), notes), (0, vec![(CoordinatesDoNotFit, 2)]));
    let pixels = (CoordinateScale::Pixels, CoordinateOrder::Yxyx);
    let (located, notes) = read(pixels, beyond, Ended::StopToken, (30, 1200), None);
    assert_eq!(bbox(&located[0]), [20.0, 1100.0, 30.0, 1200.0]);
    assert_eq!(notes, [(MissingLabel, 2)]);
    // No scale that the answer could be in: only the box that strays goes.
    let (located, notes) = detect(beyond, Ended::StopToken, (10, 10), None);
    assert_eq!((located[0].source, notes), (1, vec![(MissingLabel, 1), (CoordinatesDoNotFit, 1)]));
    // Clamping leaves something of it, or nothing is lost with it.
    for text in [r#"[{"box_2d": [900, 20, 1200, 30]}]"#, r#"[{"box_2d": [1000, 20, 1000, 30]}]"#] {
        let (_, notes) = detect(text, Ended::StopToken, (4000, 4000), None);
        assert!(notes.iter().all(|(kind, _)| *kind != CoordinatesDoNotFit), "{text}");
    }
}

#[test]
fn scale_and_order_are_those_that_were_named() {
    let text = r#"[{"box_2d": [0.1, 0.2, 0.5, 1.1]}]"#;
    let shares = (CoordinateScale::One, CoordinateOrder::Xyxy);
    let (located, notes) = read(shares, text, Ended::StopToken, (1000, 100), None);
    assert_eq!(bbox(&located[0]), [100.0, 20.0, 500.0, 100.0]);
    assert_eq!(notes, [(Clamped, 1), (MissingLabel, 1)]);
    let text = r#"[{"box_2d": [10, 20, 50, 70]}]"#;
    let pixels = (CoordinateScale::Pixels, CoordinateOrder::Xyxy);
    assert_eq!(
        bbox(&read(pixels, text, Ended::StopToken, (51, 69), None).0[0]),
        [10.0, 20.0, 50.0, 69.0]
    );
}

#[test]
fn only_what_lies_beyond_a_side_is_said_to_be_clamped() {
    let notes = |four: [f64; 4]| {
        let text = format!(r#"{{"box_2d": {four:?}, "label": "a"}}"#);
        let (located, notes) = detect(&text, Ended::StopToken, (1000, 1000), None);
        assert_eq!(located.len(), 1, "{text}");
        notes
    };
    assert_eq!(notes([0.0, 0.0, 1000.0, 1000.0]), []);
    for (side, beyond) in [(0, -1.0), (1, -1.0), (2, 1001.0), (3, 1001.0)] {
        let mut four = [100.0, 100.0, 900.0, 900.0];
        four[side] = beyond;
        assert_eq!(notes(four), [(Clamped, 1)], "side {side}");
    }
}

#[test]
fn a_line_is_no_box_whichever_way_it_runs() {
    for four in ["[500, 100, 500, 900]", "[100, 500, 900, 500]"] {
        let text = format!(r#"{{"box_2d": {four}, "label": "a"}}"#);
        let (located, notes) = detect(&text, Ended::StopToken, (100, 100), None);
        assert_eq!((located.len(), notes), (0, vec![(DegenerateDropped, 1)]), "{four}");
    }
}
