//! What a text says, and what became of it: `src/answer`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{fixture, folder_of, gemscope, json_lines};

/// The record that `parse` makes of a text about an image of 640 x 480 pixels.
fn record(text: &str) -> Value {
    let line = json!({"image": "a.jpg", "width": 640, "height": 480, "text": text}).to_string();
    let output = gemscope().args(["parse", "-"]).write_stdin(line).output().unwrap();
    json_lines(String::from_utf8(output.stdout).unwrap()).pop().unwrap()
}

/// Its status, and its boxes as label and `bbox`.
fn found(record: &Value) -> (String, Vec<(String, [f64; 4])>) {
    let detections = record["detections"].as_array().unwrap().iter().map(|detection| {
        let side = |place: usize| detection["bbox"][place].as_f64().unwrap();
        (detection["label"].as_str().unwrap().to_owned(), [0, 1, 2, 3].map(side))
    });
    (record["status"].as_str().unwrap().to_owned(), detections.collect())
}

/// Whether a note of that kind is there.
fn noted(record: &Value, kind: &str) -> bool {
    record["notes"].as_array().unwrap().iter().any(|note| note["kind"] == kind)
}

#[test]
fn shares_are_no_boxes_of_a_tenth_of_a_pixel() {
    // Among thousandths, so that shares are not what the input is written in.
    let thousandths = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;
    let shares = r#"[{"box_2d": [0.12, 0.08, 0.88, 0.92], "label": "whole"}]"#;
    let line = |image: &str, text: &str| {
        json!({"image": image, "width": 640, "height": 480, "text": text}).to_string()
    };
    let input = [line("a", thousandths), line("b", thousandths), line("c", shares)].join("\n");
    let output = gemscope().args(["parse", "-"]).write_stdin(input).output().unwrap();
    let records = json_lines(String::from_utf8(output.stdout).unwrap());
    assert_eq!(
        found(&records[0]),
        ("ok".to_owned(), vec![("cat".to_owned(), [128.0, 48.0, 256.0, 144.0])])
    );
    assert_eq!(found(&records[2]), ("refused".to_owned(), vec![]), "{}", records[2]);
    assert!(noted(&records[2], "coordinates_do_not_fit"));
}

#[test]
fn one_answer_alone_is_not_read_as_pixels() {
    let thousandths = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;
    let beyond = r#"[{"box_2d": [100, 1200, 300, 1400], "label": "dog"}]"#;
    let line = |image: usize, text: &str| {
        json!({"image": image.to_string(), "width": 1500, "height": 900, "text": text}).to_string()
    };
    let mut lines: Vec<String> = (0..40).map(|image| line(image, thousandths)).collect();
    lines.push(line(40, beyond));
    let output = gemscope().args(["parse", "-"]).write_stdin(lines.join("\n")).output().unwrap();
    let records = json_lines(String::from_utf8(output.stdout).unwrap());
    assert_eq!(found(&records[40]), ("refused".to_owned(), vec![]), "{}", records[40]);
    assert!(noted(&records[40], "coordinates_do_not_fit"));
}

#[test]
fn the_scale_and_the_order_can_be_named_and_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    let run = dir.path().join("run");
    let detect = |coordinates: &str| {
        let mut command = gemscope();
        command.arg("detect").arg(&images).args([
            "--labels",
            "circle,square,triangle,star",
            "--export",
            "none",
        ]);
        command.args(["--coordinates", coordinates, "--order", "xyxy", "--out"]).arg(&run);
        command.output().unwrap()
    };
    assert!(detect("pixels").status.success());
    let rules = &crate::support::json(run.join("run.json"))["settings"]["rules"];
    assert_eq!((&rules["coordinates"], &rules["order"]), (&json!("pixels"), &json!("xyxy")));
    assert_eq!(detect("1000").status.code(), Some(1), "another run");
}

const CAT: &str = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;

/// The cat of [`CAT`] and nothing else.
fn one_cat(status: &str) -> (String, Vec<(String, [f64; 4])>) {
    (status.to_owned(), vec![("cat".to_owned(), [128.0, 48.0, 256.0, 144.0])])
}

#[test]
fn a_leaked_thought_is_no_box() {
    let draft = "First guess: {\"box_2d\": [1, 2, 30, 40], \"label\": \"draft\"}";
    for text in [
        format!("<unused94>thought\n{draft}\n<unused95>{CAT}"),
        format!("<reasoning>{draft}</reasoning>\n<answer>{CAT}</answer>"),
        format!("[THINK]{draft}[/THINK]{CAT}"),
        format!(
            "<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{CAT}"
        ),
        format!("<|channel>thought\n{draft}<channel|><|channel>final\n{CAT}<channel|>"),
        format!("{draft}</channel|>{CAT}"),
    ] {
        let record = record(&text);
        assert_eq!(found(&record), one_cat("ok"), "{text}");
        assert!(noted(&record, "thinking_removed"), "{text}");
    }
}

#[test]
fn a_second_turn_is_no_answer() {
    let next = r#"user detect dogs [{"box_2d": [1, 2, 30, 40], "label": "dog"}]"#;
    for end in
        ["<|im_end|>\n<|im_start|>", "<|endoftext|>", "</s>", "<|eot_id|>", "<｜end▁of▁sentence｜>"]
    {
        assert_eq!(found(&record(&format!("{CAT}{end}{next}"))), one_cat("ok"), "{end}");
    }
}

#[test]
fn full_width_punctuation_is_read() {
    for text in [
        "［{\"box_2d\"： ［100， 200， 300， 400］， \"label\"： \"cat\"}］",
        "[{“box_2d”: [100, 200, 300, 400], “label”: “cat”}]",
        "[{「box_2d」：[100、200、300、400]、「label」：「cat」}]",
    ] {
        assert_eq!(found(&record(text)), one_cat("salvaged"), "{text}");
    }
}

#[test]
fn a_caption_is_no_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    let ask = |run: &str, prompt: &[&str]| {
        let out = dir.path().join(run);
        let mut command = gemscope();
        command.arg("detect").arg(&images).arg("--model").arg(fixture("demo-model")).args(prompt);
        command.args(["--tiles", "2x2", "--export", "jsonl,csv,coco,html", "--out"]).arg(&out);
        assert!(command.output().unwrap().status.success());
        out
    };
    let said = ask("said", &["--prompt", "What is in the picture?"]);
    let line =
        json_lines(fs::read_to_string(said.join("detections.jsonl")).unwrap()).pop().unwrap();
    assert_eq!(line["status"], "text");
    let text = line["text"].as_str().unwrap();
    assert!(!text.is_empty() && !text.contains('\n'), "of the whole image alone: {text}");
    let last = |file: &str| fs::read_to_string(said.join(file)).unwrap().trim_end().to_owned();
    assert!(last("detections.csv").ends_with(&format!(",{text}")));
    assert!(last("report/index.html").contains(&format!("\"answer\":\"{text}\"")));
    assert_eq!(crate::support::json(said.join("instances.json"))["images"], json!([]));
    let found = ask("found", &["--prompt", " Please DETECT shape"]);
    let status = |out: &Path| {
        json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap())[0]["status"].clone()
    };
    assert_ne!(status(&found), "text");
    let named = ask("named", &["--prompt", "What is in the picture?", "--answer", "boxes"]);
    assert_eq!(status(&named), "refused");
    assert_eq!(crate::support::json(named.join("run.json"))["settings"]["answer"], "boxes");
}

#[test]
fn an_answer_that_lost_a_box_is_not_ok() {
    for lost in [
        r#""box_2d": "[500, 600, 700, 800]""#,
        r#""box_2d": [500, 600, 700, 800, 0.9]"#,
        r#""box_2d": [500, 600, 700]"#,
        r#""box_2d": [[500, 600], [700, 800]]"#,
    ] {
        let record = record(&format!(
            r#"[{{{lost}, "label": "car"}}, {}]"#,
            CAT.trim_matches(['[', ']'].as_slice())
        ));
        assert_eq!(found(&record), one_cat("salvaged"), "{lost}");
        let notes = record["notes"].as_array().unwrap();
        assert!(
            notes.iter().any(|note| note["kind"] == "unreadable_box" && note["detail"] == "box_2d"),
            "{record}"
        );
    }
}

#[test]
fn a_box_under_another_key_is_named() {
    for (lost, keys) in [
        (r#""bbox_2d": [500, 600, 700, 800]"#, "bbox_2d"),
        (r#""point": [500, 600]"#, "point"),
        (r#""x": 500, "y": 600, "width": 100, "height": 200"#, "x/y"),
    ] {
        let cat = CAT.trim_matches(['[', ']'].as_slice());
        for (text, boxes) in [(format!("[{{{lost}}}, {cat}]"), 1), (format!("[{{{lost}}}]"), 0)] {
            // Points alone are an answer; beside boxes they are none.
            if (keys, boxes) == ("point", 0) {
                assert_eq!(record(&text)["points"].as_array().unwrap().len(), 1);
                continue;
            }
            let record = record(&text);
            let (status, found) = found(&record);
            assert_eq!(
                (status.as_str(), found.len()),
                (if boxes == 1 { "salvaged" } else { "refused" }, boxes)
            );
            let notes = record["notes"].as_array().unwrap();
            assert!(
                notes.iter().any(|note| note["kind"] == "unread_key" && note["detail"] == keys),
                "{record}"
            );
        }
    }
}

#[test]
fn labels_under_other_keys_are_labels() {
    for key in [
        "object_name",
        "class_name",
        "object_label",
        "item",
        "tag",
        "type",
        "species",
        "categoryName",
        "rotulo",
    ] {
        let text = format!(r#"[{{"{key}": "cat", "box_2d": [100, 200, 300, 400]}}]"#);
        assert_eq!(found(&record(&text)), one_cat("ok"), "{key}");
    }
}

#[test]
fn labels_of_groups_are_labels() {
    for text in [
        r#"{"cat": [{"box_2d": [100, 200, 300, 400]}], "dog": []}"#,
        r#"{"cat": [[100, 200, 300, 400]], "dog": []}"#,
        r#"{"cat": {"box_2d": [100, 200, 300, 400]}}"#,
        r#"{"objects": [{"label": "cat", "instances": [{"box_2d": [100, 200, 300, 400]}]}]}"#,
        r#"[{"label": "cat", "boxes": [[100, 200, 300, 400]]}]"#,
    ] {
        assert_eq!(found(&record(text)), one_cat("ok"), "{text}");
    }
}

#[test]
fn boxes_that_march_over_the_image_are_dropped() {
    let march = |count: usize, step: usize, width: usize| {
        let boxes = (0..count).map(|index| {
            let x = index * step;
            format!(r#"{{"box_2d": [118, {x}, 825, {}], "label": "watch"}}"#, x + width)
        });
        boxes.collect::<Vec<_>>().join(", ")
    };
    let cat = CAT.trim_matches(['[', ']'].as_slice());
    let record_of = |inside: String| record(&format!("[{cat}, {inside}]"));
    assert_eq!(found(&record_of(march(150, 5, 30))), one_cat("looped"));
    assert_eq!(
        found(&record(&format!("[{cat}, {}, {{\"box_2d\": [118,", march(150, 3, 121)))),
        one_cat("looped")
    );
    // Nineteen, a shelf, and an overlap of a half are what they are.
    for (count, step, width) in [(19, 5, 30), (20, 40, 40), (90, 10, 30)] {
        let (status, boxes) = found(&record_of(march(count, step, width)));
        assert_eq!((status.as_str(), boxes.len()), ("ok", count + 1));
    }
}

#[test]
fn a_thought_whose_marks_were_dropped_is_no_box() {
    let draft = r#"{"box_2d": [1, 2, 30, 40], "label": "draft"}"#;
    assert_eq!(
        found(&record(&format!("thought\nThe user wants cats. {draft}\n{CAT}"))),
        one_cat("salvaged")
    );
    assert_eq!(found(&record(&format!("thought\n{CAT}"))), one_cat("ok"));
    assert_eq!(
        found(&record(&format!("analysisA guess: {draft}.assistantfinal{CAT}"))),
        one_cat("ok")
    );
}

#[test]
fn an_earlier_attempt_or_an_example_is_not_added() {
    let other = r#"[{"box_2d": [90, 190, 280, 390], "label": "cat"}, {"box_2d": [0, 0, 50, 50], "label": "cup"}]"#;
    let example = r#"[{"box_2d": [10, 20, 300, 400], "label": "example"}]"#;
    let fence = |json: &str| format!("```json\n{json}\n```");
    for text in [
        format!(
            "First attempt:\n{}\nWait, there is no cup. Corrected answer:\n{}",
            fence(other),
            fence(CAT)
        ),
        format!("The format is:\n{}\nFor this image:\n{}", fence(example), fence(CAT)),
        format!("I see a cat at {}.\n{}", &other[1..48], fence(CAT)),
        format!("{other}\nOn closer inspection:\n{CAT}"),
    ] {
        let record = record(&text);
        assert_eq!(found(&record), one_cat("salvaged"), "{text}");
        assert!(noted(&record, "earlier_answer_dropped"), "{text}");
    }
    // One fence a class, and lists one after another, are one answer.
    let dog = r#"[{"box_2d": [500, 100, 900, 300], "label": "dog"}]"#;
    for text in [format!("Cats:\n{}\nDogs:\n{}", fence(CAT), fence(dog)), format!("{CAT}\n{dog}")] {
        let (status, boxes) = found(&record(&text));
        assert_eq!((status.as_str(), boxes.len()), ("ok", 2), "{text}");
    }
}

#[test]
fn boxes_in_yaml_are_read() {
    for text in [
        "```yaml\n- box_2d: [100, 200, 300, 400]\n  label: cat\n- box_2d: [500, 100, 900, 300]\n  \
         label: dog\n```",
        "- label: cat\n  box_2d: [100, 200, 300, 400]\n- label: dog\n  box_2d: [500, 100, 900, \
         300]\n",
        "- label: cat\n  box_2d:\n    - 100\n    - 200\n    - 300\n    - 400\n- label: dog\n  \
         box_2d: [500, 100, 900, 300]\n",
        "1. label: cat, box_2d: [100, 200, 300, 400]\n2. label: dog, box_2d: [500, 100, 900, \
         300]\n",
    ] {
        let (status, boxes) = found(&record(text));
        let labels: Vec<&str> = boxes.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!((status.as_str(), labels), ("salvaged", vec!["cat", "dog"]), "{text}");
    }
}

#[test]
fn doubt_is_not_ok() {
    let dog = r#"[{"box_2d": [500, 100, 900, 300], "label": "dog"}]"#;
    let inner = CAT.trim_matches(['[', ']'].as_slice());
    let rows = [
        // Boxes of other keys, labels of other boxes, boxes that are lost.
        (r#"{"target_bbox": [100, 200, 300, 400]}"#.to_owned(), "refused", 0, "unread_key"),
        (format!("[{inner}, {{\"loc\": [500, 100, 900, 300]}}]"), "salvaged", 1, "unread_key"),
        (inner.replace('}', r#", "face_box": [500, 100, 900, 300]}"#), "salvaged", 1, "unread_key"),
        (format!("{CAT}\n- dog: [500, 100, 900, 300]"), "salvaged", 1, "unread_key"),
        (r#"{"labels": ["a", "b"], "boxes_2d": [[1, 2, 300, 400]]}"#.to_owned(), "ok", 1, ""),
        (
            r#"{"labels": ["a"], "boxes_2d": [[1, 2, 300, 400], [5, 6, 700, 800]]}"#.to_owned(),
            "salvaged",
            2,
            "label_guessed",
        ),
        // Answers that were taken back.
        (
            format!("{}\nMy bad, a cat:\n{CAT}", CAT.replace("cat", "fox")),
            "salvaged",
            1,
            "earlier_answer_dropped",
        ),
        (format!("Option 1:\n{CAT}\nOption 2:\n{dog}"), "salvaged", 2, "several_answers"),
        (format!("{CAT}\nActually, please ignore the box above."), "salvaged", 1, "doubtful_words"),
        (
            format!("{{\"original\": {dog}, \"corrected\": {CAT}}}"),
            "salvaged",
            1,
            "earlier_answer_dropped",
        ),
        (format!("<deep_think>{dog}</deep_think>{CAT}"), "ok", 1, "thinking_removed"),
        (format!("{CAT}\n\nHuman: detect dogs\n\nAssistant: {dog}"), "ok", 1, ""),
        // A plain answer with polite words stays one.
        (
            format!("Here are the boxes:\n```json\n{CAT}\n```\nLet me know if you need more."),
            "ok",
            1,
            "",
        ),
        (format!("### Cats\n```json\n{CAT}\n```\n### Dogs\n```json\n{dog}\n```"), "ok", 2, ""),
    ];
    for (text, status, count, note) in rows {
        let record = record(&text);
        let (told, boxes) = found(&record);
        assert_eq!((told.as_str(), boxes.len()), (status, count), "{text}");
        assert!(note.is_empty() || noted(&record, note), "{text}: {}", record["notes"]);
    }
}

#[test]
fn counting_labels_march_too() {
    let boxes = (0..60).map(|index| {
        let x = 5 * index;
        format!(r#"{{"box_2d": [118, {x}, 825, {}], "label": "chair {index}"}}"#, x + 60)
    });
    let record = record(&format!("[{}]", boxes.collect::<Vec<_>>().join(", ")));
    assert_eq!(found(&record), ("looped".to_owned(), vec![]));
}
