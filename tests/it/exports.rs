//! Exports are what the journal says.

use std::fs;
use std::path::Path;

use image::GenericImageView as _;
use serde_json::Value;

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

#[test]
fn every_box_lies_in_its_image_and_has_its_crop() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    gemscope()
        .arg("detect")
        .arg(fixture("shapes"))
        .args(["--labels", "star,red circle", "--min-score", "0", "--out"])
        .arg(&run)
        .assert()
        .success();
    let instances = json(run.join("instances.json"));
    let records = json_lines(fs::read_to_string(run.join("detections.jsonl")).unwrap());
    let images = instances["images"].as_array().unwrap();
    let annotations = instances["annotations"].as_array().unwrap();
    // Ids count from 1 in the order of the names; the labels that were asked for come first, in
    // their order.
    let names: Vec<&str> =
        images.iter().map(|image| image["file_name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && images.iter().zip(1..).all(|(image, id)| image["id"] == id));
    assert!(annotations.iter().zip(1..).all(|(annotation, id)| annotation["id"] == id));
    assert_eq!(instances["categories"][0]["name"], "star");
    assert_eq!(instances["categories"][1]["name"], "red circle");
    let detections: usize =
        records.iter().map(|record| record["detections"].as_array().unwrap().len()).sum();
    assert!(detections > 10 && annotations.len() == detections);
    for annotation in annotations {
        let image = &images[annotation["image_id"].as_u64().unwrap() as usize - 1];
        let [x, y, w, h] = [0, 1, 2, 3].map(|place| annotation["bbox"][place].as_f64().unwrap());
        assert!(x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0, "{annotation}");
        assert!(
            x + w <= image["width"].as_f64().unwrap() + 1e-9
                && y + h <= image["height"].as_f64().unwrap() + 1e-9
        );
    }
    let results = json(run.join("results.json"));
    assert_eq!(results.as_array().unwrap().len(), detections);
    assert!(
        results
            .as_array()
            .unwrap()
            .iter()
            .all(|result| (0.0..=1.0).contains(&result["score"].as_f64().unwrap()))
    );
    for record in &records {
        for (index, detection) in record["detections"].as_array().unwrap().iter().enumerate() {
            let label = detection["label"].as_str().unwrap().replace(' ', "-");
            let image = record["image"].as_str().unwrap();
            let is_jpeg = Path::new(image).extension().is_some_and(|extension| extension == "jpg");
            let format = if is_jpeg { "jpg" } else { "png" };
            let crop = run.join(format!("crops/{image}_{index:03}_{label}.{format}"));
            let crop =
                image::open(&crop).unwrap_or_else(|error| panic!("{}: {error}", crop.display()));
            let [x0, y0, x1, y1] =
                [0, 1, 2, 3].map(|place| detection["bbox"][place].as_f64().unwrap());
            assert_eq!(
                crop.dimensions(),
                ((x1.ceil() - x0.floor()) as u32, (y1.ceil() - y0.floor()) as u32)
            );
        }
    }
    // A format asked for later is the same, without a model.
    let later = dir.path().join("later");
    gemscope()
        .arg("export")
        .arg(&run)
        .args(["--to", "coco,crops,counts,jsonl", "--ort-lib", "/nowhere", "--out"])
        .arg(&later)
        .assert()
        .success();
    for file in ["instances.json", "results.json", "counts.csv", "detections.jsonl"] {
        assert_eq!(
            fs::read(run.join(file)).unwrap(),
            fs::read(later.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn crops_are_cut_only_from_the_image_that_was_answered_about() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(
        dir.path(),
        &[("shapes/scene-01.png", "a.png"), ("shapes/scene-11.png", "b.png")],
    );
    let run = dir.path().join("run");
    gemscope()
        .arg("detect")
        .arg(&images)
        .args(["--prompt", "detect shape", "--out"])
        .arg(&run)
        .assert()
        .success();
    let crops = |name: &str| {
        let names = fs::read_dir(run.join("crops"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|crop| crop.starts_with(name)).count()
    };
    assert!(crops("a.png") > 0 && crops("b.png") > 0);
    // Another picture of the same size under the same name.
    fs::copy(fixture("shapes/scene-01.png"), images.join("b.png")).unwrap();
    let export = || {
        let mut command = gemscope();
        command.arg("export").arg(&run).args(["--to", "crops"]);
        command
    };
    export().assert().code(2).stderr(predicates::str::contains("b.png: the file is not the one"));
    assert!(crops("a.png") > 0 && crops("b.png") == 0);
    // Somebody's folder is not written into.
    export()
        .arg("--out")
        .arg(&images)
        .assert()
        .code(1)
        .stderr(predicates::str::contains("not empty"));
    assert!(images.join("a.png").exists());
}

#[test]
fn answers_of_elsewhere_are_exported_too() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "=a,b.png")]);
    let text = r#"[{"box_2d": [0, 0, 500, 1000], "label": "=SUM(A1)"}]"#;
    let lines = [
        serde_json::json!({"image": "=a,b.png", "width": 384, "height": 384, "text": text}),
        serde_json::json!({"image": "../outside.png", "width": 100, "height": 100, "text": "I see \
            nothing."}),
    ];
    let run = dir.path().join("run");
    gemscope()
        .args(["parse", "-", "--out"])
        .arg(&run)
        .write_stdin(lines.map(|line: Value| line.to_string()).join("\n"))
        .assert()
        .success();
    gemscope()
        .arg("export")
        .arg(&run)
        .args(["--to", "coco,counts,crops", "--images"])
        .arg(&images)
        .assert()
        .success();
    let instances = json(run.join("instances.json"));
    assert_eq!(instances["annotations"][0]["bbox"], serde_json::json!([0.0, 0.0, 384.0, 192.0]));
    assert_eq!(
        instances["images"].as_array().unwrap().len(),
        1,
        "a refused image is not an image without objects"
    );
    assert!(
        !run.join("results.json").exists(),
        "no score is invented, and loadRes opens no empty list"
    );
    let counts = fs::read_to_string(run.join("counts.csv")).unwrap();
    assert_eq!(counts, "image,status,'=SUM(A1)\n../outside.png,refused,0\n\"'=a,b.png\",ok,1\n");
    assert!(run.join("crops/=a,b.png_000_sum-a1.png").exists());
    gemscope().arg("export").arg(&run).args(["--to", "yolo9"]).assert().code(1).stderr(
        predicates::str::contains("jsonl, csv, coco, yolo, voc, label-studio, counts, crops"),
    );
}
