//! Answers that point at things.

use std::fs;

use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{gemscope, images, json, json_lines};

#[test]
fn points_are_read_counted_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 4);
    let pointed =
        r#"[{"point": [250, 500], "label": "cat"}, {"point": [0, 1000], "label": "dog"}]"#;
    let script = json!({"answers": [
        {"image": "00.png", "text": pointed},
        {"image": "01.png", "text": "[]"},
        {"image": "02.png", "text": r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}]"#, "probability": 0.9},
        {"image": "03.png", "text": r#"[{"point": [250, 5000], "label": "cat"}]"#},
    ]});
    let file = dir.path().join("script.json");
    fs::write(&file, script.to_string()).unwrap();
    let out = dir.path().join("run");
    let run = gemscope()
        .args(["detect", "--prompt", "Point to every cat and dog.", "--json"])
        .args(["--export", "coco,csv,jsonl,counts,yolo", "--model"])
        .arg(format!("script:{}", file.display()))
        .arg("--out")
        .arg(&out)
        .arg(&folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    let summary: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(summary["statuses"], json!({"ok": 2, "empty": 1, "refused": 1}), "{stderr}");
    assert_eq!(summary["labels"], json!({"cat": 2, "dog": 1}));
    assert!(stderr.contains("yolo: 1 image is left out, with 2 points and no boxes"), "{stderr}");

    let lines = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    let points =
        json!([{"label": "cat", "x": 48.0, "y": 24.0}, {"label": "dog", "x": 96.0, "y": 0.0}]);
    assert_eq!(lines[0]["points"], points);
    assert!(lines[2].get("points").is_none());
    let table = fs::read_to_string(out.join("detections.csv")).unwrap();
    assert!(table.lines().any(|row| row.starts_with("00.png,96,96,ok,cat,48,24,,,,")), "{table}");
    let counts = fs::read_to_string(out.join("counts.csv")).unwrap();
    assert!(counts.contains("00.png,ok,1,1\n") && counts.contains("02.png,ok,1,0\n"), "{counts}");

    let coco = json(out.join("instances.json"));
    let names: Vec<&Value> =
        coco["images"].as_array().unwrap().iter().map(|image| &image["file_name"]).collect();
    assert_eq!(names, ["00.png", "01.png", "02.png"]);
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), 3);
    assert_eq!(annotations[0]["keypoints"], json!([48.0, 24.0, 2]));
    assert_eq!(annotations[0]["num_keypoints"], 1);
    assert_eq!(annotations[0]["bbox"], json!([48.0, 24.0, 0.0, 0.0]));
    assert!(annotations[2].get("keypoints").is_none());
    for category in coco["categories"].as_array().unwrap() {
        assert_eq!(category["keypoints"], json!(["point"]), "{category}");
    }
    let ids: Vec<u64> =
        annotations.iter().map(|annotation| annotation["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn points_are_in_the_formats_that_have_a_word_for_them_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 3);
    let pointed =
        r#"[{"point": [250, 500], "label": "cat"}, {"point": [0, 1000], "label": "dog"}]"#;
    let boxed = r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}]"#;
    let script = json!({"answers": [
        {"image": "00.png", "text": pointed},
        {"image": "01.png", "text": "[]"},
        {"image": "02.png", "text": boxed, "probability": 0.9},
    ]});
    let file = dir.path().join("script.json");
    fs::write(&file, script.to_string()).unwrap();
    let run = dir.path().join("run");
    gemscope()
        .args(["detect", "--prompt", "Point to every cat and dog.", "--export"])
        .args(["coco,jsonl,labelme,xanylabeling,cvat,label-studio", "--model"])
        .arg(format!("script:{}", file.display()))
        .arg("--out")
        .args([&run, &folder])
        .assert()
        .success();
    let shape = &json(run.join("labelme/00.json"))["shapes"][0];
    assert_eq!(shape["shape_type"], "point");
    assert_eq!(shape["points"], json!([[48.0, 24.0]]));
    let cvat = fs::read_to_string(run.join("cvat.xml")).unwrap();
    assert!(cvat.contains("<points label=\"cat\"") && cvat.contains("\"48.00,24.00\""), "{cvat}");
    let task = &json(run.join("label-studio/tasks.json"))[0];
    let result = &task["predictions"][0]["result"][0];
    assert_eq!(result["type"], "keypointlabels");
    assert_eq!((&result["value"]["x"], &result["value"]["y"]), (&json!(50.0), &json!(25.0)));
    let config = fs::read_to_string(run.join("label-studio/label_config.xml")).unwrap();
    assert!(config.contains("<KeyPointLabels name=\"point\""), "{config}");

    let convert = |from: &str, to: &str, out: &str| {
        let mut command = gemscope();
        command.args(["convert", "--to", to, "--images"]).arg(&folder).arg("--out");
        command.arg(dir.path().join(out)).arg(run.join(from));
        command.assert().success()
    };
    let found = |coco: &Value| {
        let find = |list: &str, id: &Value, key: &str| -> String {
            let list = coco[list].as_array().unwrap();
            list.iter().find(|one| one["id"] == *id).unwrap()[key].as_str().unwrap().to_owned()
        };
        let annotations = coco["annotations"].as_array().unwrap();
        let mut found: Vec<String> = annotations
            .iter()
            .map(|one| {
                let name = find("images", &one["image_id"], "file_name");
                let label = find("categories", &one["category_id"], "name");
                format!("{name} {label} {} {}", one["bbox"], one["keypoints"])
            })
            .collect();
        found.sort();
        found
    };
    let expected = [
        "00.png cat [48.0,24.0,0.0,0.0] [48.0,24.0,2]",
        "00.png dog [96.0,0.0,0.0,0.0] [96.0,0.0,2]",
        "02.png cat [0.0,0.0,48.0,48.0] null",
    ];
    let formats = ["instances.json", "detections.jsonl", "labelme", "xanylabeling", "cvat.xml"];
    for from in formats.into_iter().chain(["label-studio", ""]) {
        let out = format!("{}.coco.json", from.replace('.', "-"));
        convert(from, "coco", &out);
        let coco = json(dir.path().join(out));
        assert_eq!(found(&coco), expected, "{from}");
        assert_eq!(coco["images"].as_array().unwrap().len(), 3, "{from}");
    }
    // An image of which only points are known is none in which nothing is.
    convert("labelme", "yolo", "yolo")
        .stderr(contains("1 image is left out: nobody looked for boxes there"));
    assert!(!dir.path().join("yolo/labels/00.txt").exists());
    assert!(dir.path().join("yolo/labels/01.txt").exists());
}
