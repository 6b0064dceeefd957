//! Figures are pycocotools' own, and what does not match is said.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use gemscope::record::{AnswerStatus, BBox, Detection, Manifest, Record};
use serde_json::{Value, json};

use crate::support::{fixture, gemscope, json as read_json};

fn eval(truth: &Path, more: &[&str], of: &Path) -> Command {
    let mut command = gemscope();
    command.arg("eval").arg("--truth").arg(truth).args(more).arg(of);
    command
}

fn printed(command: &mut Command) -> Value {
    serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap()
}

/// The twelve figures' largest difference.
fn difference(figures: &Value, expected: &Value) -> f64 {
    let expected = expected.as_object().unwrap();
    assert_eq!(
        figures.as_object().unwrap().keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    let of = |(name, value): (&String, &Value)| {
        (figures[name].as_f64().unwrap() - value.as_f64().unwrap()).abs()
    };
    expected.iter().map(of).fold(0.0, f64::max)
}

fn write(folder: &Path, name: &str, value: &Value) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, value.to_string()).unwrap();
    path
}

#[test]
fn the_figures_are_those_of_pycocotools() {
    let expected = read_json(fixture("coco/expected.json"));
    let result = printed(&mut eval(
        &fixture("coco/truth.json"),
        &["--json", "--predictions"],
        &fixture("coco/results.json"),
    ));
    assert!(difference(&result["figures"], &expected["figures"]) < 1e-6, "{}", result["figures"]);
    let labels = result["labels"].as_array().unwrap();
    for label in labels {
        let expected = &expected["labels"][label["label"].as_str().unwrap()];
        for name in ["AP", "AP50", "AR100"] {
            let difference = label[name].as_f64().unwrap() - expected[name].as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{label}: {name}");
        }
    }
    assert_eq!(labels.len(), expected["labels"].as_object().unwrap().len());
    // Every truth is in one cell of its row; the diagonal are the right detections of the best F1.
    let counts: Vec<Vec<u64>> =
        serde_json::from_value(result["confusion"]["counts"].clone()).unwrap();
    let rows = counts[..counts.len() - 1].iter().map(|row| row.iter().sum::<u64>());
    assert_eq!(rows.sum::<u64>(), 830);
    assert_eq!(result["counts"]["truths"], 830);
    assert_eq!(result["counts"]["crowds"], 9);
    let right: u64 = (0..counts.len()).map(|place| counts[place][place]).sum();
    let best = &result["best_f1"];
    assert!((right as f64 / 830.0 - best["recall"].as_f64().unwrap()).abs() < 1e-12);
    let kept: u64 = counts.iter().map(|row| row[..row.len() - 1].iter().sum::<u64>()).sum();
    assert!((right as f64 / kept as f64 - best["precision"].as_f64().unwrap()).abs() < 1e-12);
}

#[test]
fn ids_may_be_strings_and_areas_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let expected = &read_json(fixture("coco/expected.json"))["figures"];
    let (mut truth, mut results) =
        (read_json(fixture("coco/truth.json")), read_json(fixture("coco/results.json")));
    let text = |value: &mut Value| *value = Value::String(value.to_string());
    for image in truth["images"].as_array_mut().unwrap() {
        text(&mut image["id"]);
    }
    for category in truth["categories"].as_array_mut().unwrap() {
        text(&mut category["id"]);
    }
    for (place, annotation) in truth["annotations"].as_array_mut().unwrap().iter_mut().enumerate() {
        text(&mut annotation["image_id"]);
        annotation["id"] = place.into(); // pycocotools takes a match with the id 0 for none
        if annotation["iscrowd"] == 0 {
            annotation.as_object_mut().unwrap().remove("iscrowd");
        } else {
            annotation["iscrowd"] = true.into();
        }
    }
    for result in results.as_array_mut().unwrap() {
        text(&mut result["category_id"]);
    }
    let results = write(dir.path(), "results.json", &results);
    let path = write(dir.path(), "truth.json", &truth);
    let result = printed(&mut eval(&path, &["--json", "--predictions"], &results));
    assert!(difference(&result["figures"], expected) < 1e-6, "{}", result["figures"]);
    let remarks = result["remarks"].to_string();
    assert!(remarks.contains("830 annotations have no iscrowd"), "{remarks}");
    // Without areas, those of the boxes: what does not depend on area stays.
    for annotation in truth["annotations"].as_array_mut().unwrap() {
        annotation.as_object_mut().unwrap().remove("area");
    }
    let path = write(dir.path(), "truth.json", &truth);
    let result = printed(&mut eval(&path, &["--json", "--predictions"], &results));
    assert!(
        (result["figures"]["AP"].as_f64().unwrap() - expected["AP"].as_f64().unwrap()).abs() < 1e-6
    );
    assert!(result["remarks"].to_string().contains("839 annotations have no area: width x height"));
}

fn tiny_truth() -> Value {
    json!({
        "images": [
            {"id": 1, "file_name": "x/a.jpg", "width": 100, "height": 100},
            {"id": 2, "file_name": "x/same.jpg", "width": 100, "height": 100},
            {"id": 3, "file_name": "y/same.jpg", "width": 100, "height": 100},
            {"id": 4, "file_name": "z/b.jpg", "width": 100, "height": 100},
            {"id": 5, "file_name": "never.jpg", "width": 100, "height": 100},
        ],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400,
                "iscrowd": 0},
            {"id": 12, "image_id": 1, "category_id": 2, "bbox": [50, 50, 30, 30], "area": 900,
                "iscrowd": 0},
            {"id": 13, "image_id": 4, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500,
                "iscrowd": 0},
            {"id": 14, "image_id": 2, "category_id": 2, "bbox": [0, 0, 90, 90], "area": 8100,
                "iscrowd": 1},
        ],
        "categories": [{"id": 1, "name": "Dog"}, {"id": 2, "name": "cat"}],
    })
}

/// A run of these records.
fn run(folder: &Path, records: &[Record]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("run.json"), serde_json::to_string(&Manifest::new(None, None)).unwrap())
        .unwrap();
    let lines: String =
        records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
    fs::write(folder.join("journal.jsonl"), lines).unwrap();
    folder.to_owned()
}

fn record(image: &str, detections: &[(&str, [f64; 4], Option<f64>)]) -> Record {
    let detections = detections
        .iter()
        .map(|(label, bbox, score)| Detection {
            score: *score,
            ..Detection::new((*label).into(), BBox::from(*bbox))
        })
        .collect();
    Record {
        status: AnswerStatus::Ok,
        reason: None,
        width: 100,
        height: 100,
        detections,
        ..Record::failed(image.into(), String::new())
    }
}

#[test]
fn a_run_is_matched_by_names_and_what_does_not_match_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let truth = write(dir.path(), "truth.json", &tiny_truth());
    let run = run(
        &dir.path().join("run"),
        &[
            // By its whole path; one label in another case, one that the truth does not have.
            record(
                "x/a.jpg",
                &[
                    ("dog", [10.0, 10.0, 30.0, 30.0], Some(0.9)),
                    ("dog", [50.0, 50.0, 80.0, 80.0], Some(0.8)),
                    ("horse", [50.0, 50.0, 80.0, 80.0], Some(0.8)),
                ],
            ),
            // By its file name alone, which two of the truth have.
            record("same.jpg", &[("cat", [0.0, 0.0, 10.0, 10.0], Some(0.9))]),
            // A detection in a crowd counts neither way.
            record("x/same.jpg", &[("cat", [5.0, 5.0, 20.0, 20.0], Some(0.95))]),
            // By its file name alone, which is the only one.
            Record::failed("elsewhere/b.jpg".into(), "no such luck".into()),
            record("other.jpg", &[]),
        ],
    );
    let result = printed(&mut eval(&truth, &["--json", "--run"], &run));
    let remarks = result["remarks"].to_string();
    for said in [
        "1 images of the run are not in the truth; they are left out (named other.jpg)",
        "1 images of the run could be several of the truth by their file name, or share one; they \
         are left out (named same.jpg)",
        "2 of 5 images of the truth are not in the run",
        "1 images failed: they count as images where nothing was found (named elsewhere/b.jpg)",
        "1 detections have labels that the truth does not have; they are left out (labelled horse)",
        r#"without regard to case: \"dog\" as \"Dog\""#,
    ] {
        assert!(remarks.contains(said), "{said}\n{remarks}");
    }
    assert_eq!(result["counts"]["detections"], 3);
    assert_eq!(result["counts"]["images_without_answer"], 3);
    // One of two dogs was found, first of its label; no cat: AP50 of dog is 51/101.
    assert!((result["labels"][0]["AP50"].as_f64().unwrap() - 51.0 / 101.0).abs() < 1e-9);
    assert_eq!(result["labels"][1]["AP50"], 0.0);
    // At 0.9 on: 1 right of 1, 1 of 3 found.
    assert_eq!(result["best_f1"]["threshold"], 0.9);
    assert_eq!(result["best_f1"]["f1"], 0.5);
    // Only some labels.
    let dogs = printed(&mut eval(&truth, &["--json", "--labels", "Dog", "--run"], &run));
    assert_eq!(
        (&dogs["counts"]["truths"], &dogs["labels"].as_array().unwrap().len()),
        (&json!(2), &1)
    );
    eval(&truth, &["--labels", "dog", "--run"], &run)
        .assert()
        .code(1)
        .stderr(predicates::str::contains("the truth has no label \"dog\"; it has: Dog, cat"));
}

#[test]
fn detections_without_scores_are_not_given_any() {
    let dir = tempfile::tempdir().unwrap();
    let truth = write(dir.path(), "truth.json", &tiny_truth());
    let boxes = [("Dog", [10.0, 10.0, 30.0, 30.0], None), ("Dog", [50.0, 50.0, 80.0, 80.0], None)];
    let unscored = run(&dir.path().join("run"), &[record("x/a.jpg", &boxes)]);
    let result = printed(&mut eval(&truth, &["--json", "--run"], &unscored));
    assert!(
        result["remarks"]
            .to_string()
            .contains("no detection has a score: they are ranked by their order alone")
    );
    assert_eq!(result["best_f1"]["threshold"], Value::Null);
    assert_eq!(result["best_f1"]["precision"], 0.5);
    assert_eq!(result["reliability"], Value::Null);
    // The second detection is of the wrong label: a cat taken for a dog.
    assert_eq!(result["confusion"]["counts"], json!([[1, 0, 1], [1, 0, 0], [0, 0, 0]]));
    eval(&truth, &["--run"], &unscored)
        .assert()
        .success()
        .stdout(predicates::str::contains("most often confused: cat taken for Dog (1)"))
        .stdout(predicates::str::contains("with all detections"));
    let file = dir.path().join("calibration.json");
    eval(&truth, &["--calibrate", file.to_str().unwrap(), "--run"], &unscored)
        .assert()
        .code(1)
        .stderr(predicates::str::contains("no detection that is right or wrong has a score"));
    assert!(!file.exists());
    // A mixture says so, too.
    let mixed =
        [("Dog", [10.0, 10.0, 30.0, 30.0], None), ("Dog", [50.0, 50.0, 80.0, 80.0], Some(0.0))];
    let mixed = run(&dir.path().join("mixed"), &[record("x/a.jpg", &mixed)]);
    let result = printed(&mut eval(&truth, &["--json", "--run"], &mixed));
    assert!(
        result["remarks"]
            .to_string()
            .contains("1 of 2 detections have no score: they are ranked behind")
    );
    assert!((result["labels"][0]["AP50"].as_f64().unwrap() - 0.5 * 51.0 / 101.0).abs() < 1e-9);
}

#[test]
fn a_calibration_is_written_applied_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (truth, results) = (fixture("coco/truth.json"), fixture("coco/results.json"));
    let file = dir.path().join("calibration.json");
    let plain = printed(&mut eval(&truth, &["--json", "--predictions"], &results));
    let learned = printed(&mut eval(
        &truth,
        &["--json", "--calibrate", file.to_str().unwrap(), "--predictions"],
        &results,
    ));
    let ece = |name: &str| learned["calibration"]["ece"][name].as_f64().unwrap();
    assert!((ece("before") - plain["reliability"]["ece"].as_f64().unwrap()).abs() < 1e-12);
    assert!(
        ece("after") < ece("before") && ece("cross_validated") < ece("before"),
        "{}",
        learned["calibration"]
    );
    assert_eq!(read_json(&file), learned["calibration"]);
    let applied = printed(&mut eval(
        &truth,
        &["--json", "--calibration", file.to_str().unwrap(), "--predictions"],
        &results,
    ));
    assert!((applied["calibrated"]["ece"].as_f64().unwrap() - ece("after")).abs() < 1e-12);
    assert_eq!(applied["figures"], plain["figures"], "a calibration keeps the order");
    assert_eq!(applied["best_f1"]["f1"], plain["best_f1"]["f1"]);
    assert_eq!(applied["confusion"]["counts"], plain["confusion"]["counts"]);
    assert_eq!(applied["confusion"]["threshold"], applied["best_f1"]["threshold"]);
    assert_ne!(applied["best_f1"]["threshold"], plain["best_f1"]["threshold"]);
    // Without a name it lies in the run.
    let of_run = run(
        &dir.path().join("run"),
        &[record(
            "x/a.jpg",
            &[
                ("Dog", [10.0, 10.0, 30.0, 30.0], Some(0.9)),
                ("Dog", [0.0, 0.0, 9.0, 9.0], Some(0.4)),
            ],
        )],
    );
    let tiny = write(dir.path(), "truth.json", &tiny_truth());
    let mut command = eval(&tiny, &["--run"], &of_run);
    command
        .arg("--calibrate")
        .assert()
        .success()
        .stdout(predicates::str::contains("not cross-validated"));
    assert_eq!(read_json(of_run.join("calibration.json"))["score"], "joint");
    eval(&tiny, &["--calibration", file.to_str().unwrap(), "--run"], &of_run)
        .assert()
        .success()
        .stdout(predicates::str::contains("after the calibration"));
}

#[test]
fn the_report_is_one_page_and_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let mut truth = tiny_truth();
    truth["categories"][0]["name"] = "<script>alert(1)</script>".into();
    let truth = write(dir.path(), "truth & more.json", &truth);
    let results = write(
        dir.path(),
        "results.json",
        &json!([
            {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.9},
            {"image_id": 1, "category_id": 1, "bbox": [50, 50, 30, 30], "score": 0.3},
        ]),
    );
    let out = dir.path().join("report");
    eval(&truth, &["--by-label", "--report", out.to_str().unwrap(), "--predictions"], &results)
        .assert()
        .success()
        .stdout(predicates::str::contains("at score"));
    let page = fs::read_to_string(out.join("eval.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert") && !page.contains("<script"), "{page}");
    assert!(page.contains("truth &amp; more.json"));
    assert!(page.matches("<svg").count() == 4 && page.matches("<polyline").count() == 3, "{page}");
    assert!(!page.contains("src=") && !page.contains("href="));
    assert!(read_json(out.join("eval.json"))["figures"]["AP"].is_number());
    let one = dir.path().join("one.html");
    eval(&truth, &["--report", one.to_str().unwrap(), "--predictions"], &results)
        .assert()
        .success();
    assert_eq!(fs::read_to_string(one).unwrap(), page);
}

#[test]
fn bad_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let results =
        json!([{"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.9}]);
    let check = |truth: &Value, results: &Value, reason: &str| {
        let (truth, results) =
            (write(dir.path(), "truth.json", truth), write(dir.path(), "results.json", results));
        eval(&truth, &["--predictions"], &results)
            .assert()
            .code(1)
            .stderr(predicates::str::contains(reason));
    };
    let with = |pointer: &str, value: Value| {
        let mut truth = tiny_truth();
        *truth.pointer_mut(pointer).unwrap() = value;
        truth
    };
    check(
        &with("/annotations/1/bbox/2", json!(-1)),
        &results,
        "truth.json: annotation 12 has the bbox",
    );
    check(
        &with("/annotations/1/iscrowd", json!(2)),
        &results,
        "annotation 12 has the iscrowd 2, not 0 or 1",
    );
    check(&with("/categories/1/name", json!(null)), &results, "category 2 has no name");
    check(&with("/categories/1/id", json!(1)), &results, "two of categories have the id 1");
    check(&with("/images/0/id", json!(1.5)), &results, "is of image 1, which is not there");
    check(&with("/annotations", json!([])), &results, "there is no box to find");
    let truth = tiny_truth();
    check(&truth, &json!({"images": []}), "results.json: not COCO instances");
    check(&truth, &json!([{"image_id": 1, "category_id": 1}]), "the result in place 1 has no bbox");
    check(
        &truth,
        &json!([{"category_id": 1, "bbox": [1, 1, 1, 1]}]),
        "the result in place 1 has no image_id",
    );
    let negative = json!([{"image_id": 1, "category_id": 1, "bbox": [1, 1, -1, 1]}]);
    check(&truth, &negative, "the result in place 1 has the bbox");
    let other = json!([{"image_id": 99, "category_id": 1, "bbox": [1, 1, 1, 1]}]);
    check(&truth, &other, "its image_ids begin with 99, those of the truth with 1");
    gemscope().args(["eval", "--truth", "t.json"]).assert().code(1);
    let truth = write(dir.path(), "truth.json", &tiny_truth());
    eval(&truth, &["--iou", "1.5", "--predictions"], &truth).assert().code(1);
    // Nothing found is a result.
    let nothing = write(dir.path(), "results.json", &json!([]));
    let result = printed(&mut eval(&truth, &["--json", "--predictions"], &nothing));
    assert_eq!((&result["figures"]["AP"], &result["figures"]["APm"]), (&json!(0.0), &json!(0.0)));
}

#[test]
fn truth_and_predictions_may_be_of_any_format_and_bars_end_with_a_code() {
    let dir = tempfile::tempdir().unwrap();
    let coco = json!({
        "images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [
            {"id": 0, "image_id": 5, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0},
            {"id": 1, "image_id": 5, "category_id": 1, "bbox": [50, 50, 20, 20], "area": 400, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "dog"}],
    });
    let truth = write(dir.path(), "truth.json", &coco);
    let to = |from: &Path, format: &str| {
        let out = dir.path().join(format);
        let mut command = gemscope();
        command
            .arg("convert")
            .arg(from)
            .args(["--to", format, "--out"])
            .arg(&out)
            .assert()
            .success();
        out
    };
    let voc = to(&truth, "voc");
    let mut found = coco.clone();
    found["annotations"].as_array_mut().unwrap().truncate(1);
    found["annotations"][0]["score"] = json!(0.75);
    let drawn = to(&write(dir.path(), "found.json", &found), "xanylabeling");
    let result = printed(&mut eval(&voc, &["--json", "--predictions"], &drawn));
    assert_eq!(result["best_f1"]["recall"], 0.5);
    assert_eq!(result["best_f1"]["threshold"], 0.75);
    // pycocotools misreads the id 0.
    let said = eval(&truth, &["--predictions"], &drawn).assert().success();
    said.stderr(predicates::str::contains("an annotation has the id 0"));
    let bars = |bars: &str| eval(&voc, &["--fail-under", bars, "--predictions"], &drawn).assert();
    bars("recall=0.5,precision=1").success();
    bars("recall=0.6,AP50=0.1")
        .code(3)
        .stderr(predicates::str::contains("recall is 0.5000, below 0.6"));
    bars("APP=0.6").code(1).stderr(predicates::str::contains("no figure is called"));
}

#[test]
fn more_than_a_hundred_detections_count_if_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let annotations: Vec<Value> = (0..150)
        .map(|n| {
            json!({"id": n + 1, "image_id": 1, "category_id": 1, "bbox": [n * 10, 0, 9, 9], "area": 81, "iscrowd": 0})
        })
        .collect();
    let truth = json!({
        "images": [{"id": 1, "file_name": "a.jpg", "width": 1500, "height": 10}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "dog"}],
    });
    let results: Vec<Value> = annotations
        .iter()
        .map(|one| json!({"image_id": 1, "category_id": 1, "bbox": one["bbox"], "score": 0.5}))
        .collect();
    let truth = write(dir.path(), "truth.json", &truth);
    let results = write(dir.path(), "results.json", &Value::Array(results));
    let recall = |more: &[&str]| {
        let more = [more, &["--json", "--predictions"]].concat();
        printed(&mut eval(&truth, &more, &results))["best_f1"]["recall"].as_f64().unwrap()
    };
    assert!((recall(&[]) - 100.0 / 150.0).abs() < 1e-9);
    assert!((recall(&["--max-dets", "200"]) - 1.0).abs() < 1e-9);
}
