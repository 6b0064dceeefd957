//! The real answers of `fixtures/answers`.

use std::fs;

use serde::Deserialize;

use super::{ENDS, check, kinds};
use crate::answer::{ScaleEvidence, to_detections};
use crate::record::{AnswerStatus, CoordinateOrder, CoordinateScale, Ended, Note, NoteKind};

#[derive(Deserialize)]
struct Sample {
    id: u32,
    text: String,
    complete_boxes: usize,
}

#[derive(Deserialize)]
struct Expected {
    id: u32,
    status: AnswerStatus,
    notes: Vec<NoteKind>,
    labels: Option<Vec<Option<String>>>,
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let path = format!("{}/fixtures/answers/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn samples() -> Vec<(Sample, Expected)> {
    let samples: Vec<Sample> = read("box2d_answers.jsonl");
    let expected: Vec<Expected> = read("expected.jsonl");
    assert_eq!(samples.len(), expected.len());
    samples
        .into_iter()
        .zip(expected)
        .inspect(|(sample, expected)| assert_eq!(sample.id, expected.id))
        .collect()
}

#[test]
fn status_boxes_notes_and_labels() {
    for (sample, expected) in samples() {
        let answer = check(&sample.text, Ended::Unknown);
        assert_eq!(answer.status, expected.status, "{}: {}", sample.id, sample.text);
        assert_eq!(kinds(&answer), expected.notes, "{}", sample.id);
        let with_area = answer.boxes.iter().filter(|parsed| {
            let [y0, x0, y1, x1] = parsed.box_2d;
            y0 != y1 && x0 != x1
        });
        assert_eq!(with_area.count(), sample.complete_boxes, "{}", sample.id);
        if let Some(labels) = expected.labels {
            let found: Vec<_> = answer.boxes.iter().map(|parsed| parsed.label.clone()).collect();
            assert_eq!(found, labels, "{}", sample.id);
        } else {
            assert!(answer.boxes.iter().all(|parsed| parsed.label.is_some()), "{}", sample.id);
        }
    }
}

#[test]
fn how_it_ended_changes_the_status_and_never_the_boxes() {
    for (sample, expected) in samples() {
        let boxes = check(&sample.text, Ended::Unknown).boxes;
        for ended in ENDS {
            let answer = check(&sample.text, ended);
            assert_eq!(answer.boxes, boxes);
            // Words behind the boxes, or several parts.
            let more_could_come = [35].contains(&sample.id);
            let status = match ended {
                Ended::TokenLimit if more_could_come => AnswerStatus::Truncated,
                Ended::Looped => AnswerStatus::Looped,
                // 37 says that its turn was over.
                Ended::TokenLimit if boxes.is_empty() && sample.id != 37 => AnswerStatus::Truncated,
                _ => expected.status,
            };
            assert_eq!(answer.status, status, "{} {ended:?}", sample.id);
        }
    }
}

#[test]
fn pixels_under_the_key_box_2d() {
    let (sample, _) = samples().into_iter().find(|(sample, _)| sample.id == 55).unwrap();
    let answer = check(&sample.text, Ended::StopToken);
    let order = CoordinateOrder::Yxyx;
    let mut evidence = ScaleEvidence::default();
    evidence.add(&answer.boxes, order, 1500, 1200);
    let decision = evidence.decide();
    assert_eq!((decision.scale, decision.contradictory), (CoordinateScale::Pixels, 0));
    let (located, notes) = to_detections(&answer, (1500, 1200), (decision.scale, order), None);
    assert_eq!(notes, []);
    let bbox: [f64; 4] = located[0].detection.bbox.into();
    assert_eq!(bbox, [1057.0, 11.0, 1254.0, 531.0]);

    // Nobody named pixels: none of them is a box.
    let (located, notes) =
        to_detections(&answer, (1500, 1200), (CoordinateScale::Thousand, order), None);
    assert_eq!((located.len(), notes), (0, vec![Note::new(NoteKind::CoordinatesDoNotFit, 3)]));

    // In a smaller view they cannot be pixels either: what lies in the grid is kept.
    let (located, notes) =
        to_detections(&answer, (1300, 1200), (CoordinateScale::Thousand, order), None);
    assert_eq!(located.len(), 1);
    assert_eq!(located[0].detection.label, "frame_R2_C1");
    assert_eq!(located[0].source, 2);
    assert_eq!(
        notes,
        [Note::new(NoteKind::Clamped, 1), Note::new(NoteKind::CoordinatesDoNotFit, 2)]
    );
}
