//! `gemscope parse`: answers that were made elsewhere.

use std::fs;

use crate::support::{fixture, gemscope, json_lines};

#[test]
fn every_sample_answer_gives_its_boxes() {
    let samples = json_lines(fs::read_to_string(fixture("answers/box2d_answers.jsonl")).unwrap());
    let lines: Vec<String> = samples
        .iter()
        .map(|sample| {
            let id = sample["id"].to_string();
            serde_json::json!({"image": id, "width": 2000, "height": 1600, "text": sample["text"]})
                .to_string()
        })
        .collect();
    let output = gemscope().args(["parse", "-"]).write_stdin(lines.join("\n")).output().unwrap();
    assert!(output.status.success());
    let records = json_lines(String::from_utf8(output.stdout).unwrap());
    assert_eq!(records.len(), samples.len());
    for (record, sample) in records.iter().zip(&samples) {
        let detections = record["detections"].as_array().unwrap();
        // One writes pixels among the others' thousandths: it is named, and none of its boxes is
        // read.
        let pixels = record["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|note| note["kind"] == "coordinates_do_not_fit");
        assert_eq!(pixels, sample["id"] == 55, "{record}");
        let boxes = if pixels { 0 } else { sample["complete_boxes"].as_u64().unwrap() };
        assert_eq!(detections.len() as u64, boxes, "{sample}\n{record}");
        for detection in detections {
            assert_eq!(detection["score"], serde_json::Value::Null);
            let [x0, y0, x1, y1] =
                [0, 1, 2, 3].map(|place| detection["bbox"][place].as_f64().unwrap());
            assert!(
                0.0 <= x0 && x0 < x1 && x1 <= 2000.0 && 0.0 <= y0 && y0 < y1 && y1 <= 1600.0,
                "{record}"
            );
        }
    }
}

#[test]
fn a_bad_line_is_named_and_the_others_are_read() {
    let good = r#"{"image":"a","width":10,"height":10,"text":"[{\"box_2d\":[0,0,500,500],\"label\":\"x\"}]"}"#;
    let input = format!("{good}\nnot json\n\n{{\"image\":\"b\"}}\n{good}\n");
    let output = gemscope().args(["parse", "-"]).write_stdin(input).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("-:2:") && stderr.contains("-:4: neither a text"), "{stderr}");
    // Two answers to one question: one counts.
    assert_eq!(json_lines(String::from_utf8(output.stdout).unwrap()).len(), 1);
}

#[test]
fn a_run_has_one_record_an_image_and_is_never_contradicted() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let line = |image: &str, text: &str| {
        serde_json::json!({"image": image, "width": 10, "height": 10, "text": text}).to_string()
    };
    let parse = |input: String| {
        gemscope().args(["parse", "-", "--out"]).arg(&run).write_stdin(input).assert()
    };
    let journal = || json_lines(fs::read_to_string(run.join("journal.jsonl")).unwrap());
    parse([line("a", "[]"), line("b", "[]"), line("a", "[]")].join("\n")).code(0);
    assert_eq!(journal().len(), 2);
    parse(line("c", "[]")).code(0);
    assert_eq!(journal().len(), 3);
    parse([line("d", "[]"), line("c", "another")].join("\n")).code(1);
    assert_eq!(journal().len(), 3);
}
