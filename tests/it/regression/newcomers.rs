//! What somebody tries first with runs and data sets, and what is said then.

use std::fs;
use std::path::PathBuf;

use assert_cmd::assert::Assert;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::json;

use crate::support::{gemscope, images};

/// A run over three images in a folder of its own.
struct Tried(tempfile::TempDir);

impl Tried {
    fn new() -> Self {
        let tried = Self(tempfile::tempdir().unwrap());
        let folder = images(tried.0.path(), 3);
        let star = r#"[{"box_2d": [0, 0, 500, 500], "label": "star"}]"#;
        let script = json!({"answers": [
            {"image": "00.png", "text": star, "probability": 0.9},
            {"image": "01.png", "text": star, "probability": 0.5},
            {"image": "02.png", "text": "[]"},
        ]});
        fs::rename(folder, tried.path("photos")).unwrap();
        fs::write(tried.path("script.json"), script.to_string()).unwrap();
        let model = format!("script:{}", tried.path("script.json").display());
        let detect = ["detect", "photos", "--labels", "star", "--out", "run", "--export"];
        tried.run(&[&detect[..], &["csv,jsonl", "--model", &model]].concat()).success();
        tried
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        gemscope().current_dir(self.0.path()).args(arguments).assert()
    }
}

#[test]
fn a_folder_of_images_is_no_run_and_no_dataset() {
    let tried = Tried::new();
    tried
        .run(&["report", "photos"])
        .code(1)
        .stderr(contains("photos: no run here (no run.json): a run is the directory that detect"));
    tried
        .run(&["compare", "run", "photos"])
        .code(1)
        .stderr(contains("photos: a folder of images without labels"));
    tried.run(&["eval", "run"]).code(1).stderr(contains("--truth <DATASET>"));
    tried.run(&["eval", "run", "--truth", "run"]).success().stdout(contains("AP50"));
}

#[test]
fn the_dataset_in_a_folder_that_an_export_made_is_named() {
    let tried = Tried::new();
    tried.run(&["export", "run", "--to", "yolo", "--out", "y1"]).success();
    let inner = PathBuf::from("y1").join("yolo").display().to_string();
    tried
        .run(&["convert", "y1", "--to", "coco", "--out", "back.json"])
        .code(1)
        .stderr(contains(format!("y1: no dataset by itself; one of yolo is {inner}: name that")));
    tried
        .run(&["convert", "run", "--to", "yolo", "--out", "y2"])
        .success()
        .stderr(contains("(--copy-images copies them there)"))
        .stderr(contains("which YOLO has no word for: of 1 category\n"));
}

#[test]
fn exports_that_keep_other_filters_are_named() {
    let tried = Tried::new();
    let stale = "as an earlier export with other filters wrote them: detections.jsonl (--to";
    tried
        .run(&["export", "run", "--to", "csv", "--min-score", "0.7"])
        .success()
        .stderr(contains(stale));
    let filters = ["--min-score", "0.7"];
    tried
        .run(&[&["export", "run", "--to", "csv,jsonl"][..], &filters].concat())
        .success()
        .stderr(contains("as an earlier export").not());
    tried
        .run(&["export", "run", "--to", "roboflow", "--out", "rf"])
        .success()
        .stderr(contains("roboflow: all images are in train").and(contains("--split 0.2")));
}

#[test]
fn a_run_that_was_stopped_does_not_look_finished() {
    let tried = Tried::new();
    let file = tried.path("run/.gemscope/unfinished.json");
    assert!(!file.exists(), "it came to its end");
    tried.run(&["report", "run"]).success().stdout(contains("3 images: 2 ok, 1 empty"));
    fs::write(file, r#"{"images": 40}"#).unwrap();
    tried
        .run(&["report", "run"])
        .success()
        .stdout(contains("3 of 40 images: ").and(contains("has not come to its end")));
    tried
        .run(&["export", "run", "--to", "csv"])
        .success()
        .stderr(contains("run: 3 of 40 images: the run has not come to its end"));
}
