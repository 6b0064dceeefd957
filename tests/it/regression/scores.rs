//! Boxes that were let in, left out or lost by their scores and by filters.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

/// A scene with a star, in which `star,red circle` gives boxes that are right (0.3) and wrong
/// (below 0.05).
const SCENES: [(&str, &str); 3] = [
    ("shapes/scene-16.png", "a.png"),
    ("shapes/scene-11.png", "b.png"),
    ("shapes/scene-02.png", "c.png"),
];

struct Run {
    dir: tempfile::TempDir,
    images: PathBuf,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = folder_of(dir.path(), &SCENES);
        Self { dir, images }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same question each time.
    fn detect(&self, flags: &[&str]) -> Command {
        let mut command = gemscope();
        command.arg("detect").arg(&self.images).args([
            "--labels",
            "star,red circle",
            "--json",
            "--quiet",
        ]);
        command.args(["--export", "jsonl,coco,counts", "--out"]).arg(self.path("run")).args(flags);
        command
    }

    /// Its summary.
    fn detected(&self, flags: &[&str]) -> Value {
        serde_json::from_slice(&self.detect(flags).assert().success().get_output().stdout).unwrap()
    }

    fn export(&self, name: &str, flags: &[&str]) -> Command {
        let mut command = gemscope();
        command.arg("export").arg(self.path("run")).args(["--to", "jsonl,coco"]).args(flags);
        command.arg("--out").arg(self.path(name));
        command
    }
}

/// The scores of all boxes in a file of lines, and whether one has none.
fn scores(path: &Path) -> Vec<Option<f64>> {
    let lines = json_lines(fs::read_to_string(path).unwrap());
    let boxes = lines.iter().flat_map(|line| line["detections"].as_array().unwrap());
    boxes.map(|detection| detection["score"].as_f64()).collect()
}

fn count(path: &Path, key: &str) -> usize {
    json(path)[key].as_array().unwrap().len()
}

#[test]
fn boxes_of_a_score_of_nothing_are_not_exported_by_default() {
    let run = Run::new();
    let summary = run.detected(&[]);
    let all = scores(&run.path("run/journal.jsonl"));
    let low = all.iter().filter(|score| score.unwrap() < 0.05).count();
    assert!(low >= 3, "the demo model gives some: {all:?}");
    let shown = scores(&run.path("run/detections.jsonl"));
    assert_eq!(
        (shown.len(), shown.iter().filter(|score| score.unwrap() < 0.05).count()),
        (all.len() - low, 0)
    );
    assert_eq!(
        (&summary["left_out_by_score"], &summary["detections"]),
        (&low.into(), &shown.len().into())
    );
    assert_eq!(
        (&summary["min_score"], &summary["min_score_is_default"]),
        (&0.05.into(), &true.into())
    );
    assert_eq!(count(&run.path("run/instances.json"), "annotations"), shown.len());
    // In words, also where that is nothing; one flag keeps them all.
    let mut words = gemscope();
    words.arg("detect").arg(&run.images).args(["--labels", "star,red circle", "--quiet", "--out"]);
    let words = words.arg(run.path("run")).args(["--export", "jsonl"]);
    words.assert().success().stdout(contains(format!("{low} boxes left out by score")));
    words
        .args(["--min-score", "0"])
        .assert()
        .success()
        .stdout(contains("no boxes left out by score"));
    assert_eq!(scores(&run.path("run/detections.jsonl")).len(), all.len());
}

#[test]
fn another_min_score_is_no_other_run() {
    let run = Run::new();
    run.detected(&[]);
    let journal = fs::read(run.path("run/journal.jsonl")).unwrap();
    let by_default = fs::read(run.path("run/detections.jsonl")).unwrap();
    let exports = |flags: &[&str]| {
        let summary = run.detected(flags);
        assert_eq!(summary["resumed"], 3, "no image is asked again");
        assert_eq!(fs::read(run.path("run/journal.jsonl")).unwrap(), journal);
        (
            scores(&run.path("run/detections.jsonl")),
            json(run.path("run/run.json"))["filters"].clone(),
        )
    };
    let (high, filters) = exports(&["--min-score", "0.3", "--nms", "0.5", "--drop-edge"]);
    assert!(high.iter().all(|score| score.unwrap() >= 0.3));
    assert_eq!(filters["min_score"], json!({"asked": 0.3}));
    assert_eq!((&filters["nms"], &filters["drop_edge"]), (&0.5.into(), &true.into()));
    let (every, filters) = exports(&["--min-score", "0", "--duplicates", "0"]);
    assert!(every.len() > high.len());
    assert_eq!((&filters["duplicates"], &filters["drop_edge"]), (&Value::Null, &false.into()));
    let (by_label, _) = exports(&["--score", "label"]);
    assert!(by_label.iter().all(|score| score.unwrap() >= 0.2));
    // The first one again is the first one again.
    exports(&[]);
    assert_eq!(fs::read(run.path("run/detections.jsonl")).unwrap(), by_default);
}

#[test]
fn export_can_lower_what_detect_left_out() {
    let run = Run::new();
    run.detected(&["--min-score", "0.3", "--max-area", "50%", "--strict-labels"]);
    let all = scores(&run.path("run/journal.jsonl")).len();
    run.export("same", &[]).assert().success();
    let [run_file, same] = ["run", "same"].map(|name| run.path(name).join("detections.jsonl"));
    assert_eq!(fs::read(run_file).unwrap(), fs::read(same).unwrap(), "the run's own filters count");
    let all_flags =
        ["--min-score", "0", "--max-area", "100%", "--strict-labels=false", "--duplicates", "0"];
    run.export("all", &all_flags).assert().success();
    assert_eq!(scores(&run.path("all/detections.jsonl")).len(), all);
    assert_eq!(
        json(run.path("run/run.json"))["filters"]["min_score"],
        json!({"asked": 0.3}),
        "an export changes no run"
    );
}

#[test]
fn an_image_that_only_the_default_score_empties_is_no_negative() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("photos/rocket.png", "rocket.png")]);
    let run = dir.path().join("run");
    // The demo model sees no deer in a rocket, but the grammar lets it say nothing else.
    let detect = |flags: &[&str]| {
        let mut command = gemscope();
        command
            .env("GEMSCOPE_MODEL", "demo")
            .arg("detect")
            .arg(&images)
            .args(["--labels", "deer,fox", "--quiet"]);
        command
            .arg("--out")
            .arg(&run)
            .args(["--export", "coco,yolo,jsonl"])
            .args(flags)
            .assert()
            .success();
        (count(&run.join("instances.json"), "images"), scores(&run.join("detections.jsonl")).len())
    };
    let record = &json_lines({
        detect(&[]);
        fs::read_to_string(run.join("journal.jsonl")).unwrap()
    })[0];
    let boxes = record["detections"].as_array().unwrap().len();
    assert!(record["status"] == "ok" && boxes > 0, "{record}");
    assert_eq!(detect(&[]), (0, 0), "nobody knows whether it shows a deer");
    assert!(!run.join("yolo/labels/train/rocket.txt").exists());
    assert_eq!(
        detect(&["--min-score", "0.05"]),
        (1, 0),
        "who asks for it has an image without deer"
    );
    assert_eq!(detect(&["--min-score", "0"]), (1, boxes));
}

#[test]
fn results_and_evaluation_have_all_boxes() {
    let run = Run::new();
    run.detected(&["--duplicates", "0"]);
    let all = scores(&run.path("run/journal.jsonl")).len();
    let shown = scores(&run.path("run/detections.jsonl")).len();
    assert!(shown < all);
    // Of the images that are in instances.json, which results refer to.
    let lines = json_lines(fs::read_to_string(run.path("run/journal.jsonl")).unwrap());
    let instances = json(run.path("run/instances.json"));
    let named = |line: &Value| {
        instances["images"]
            .as_array()
            .unwrap()
            .iter()
            .any(|image| image["file_name"] == line["image"])
    };
    let boxes = |line: &Value| line["detections"].as_array().unwrap().len();
    let expected: usize = lines.iter().filter(|line| named(line)).map(boxes).sum();
    let results = json(run.path("run/results.json"));
    assert_eq!(results.as_array().unwrap().len(), expected);
    assert!(
        results.as_array().unwrap().iter().any(|result| result["score"].as_f64().unwrap() < 0.05)
    );
    let truth = json!({
        "images": [
            {"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"},
                {"id": 3, "file_name": "c.png"}
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 50]}],
        "categories": [{"id": 1, "name": "star"}, {"id": 2, "name": "red circle"}]
    });
    fs::write(run.path("truth.json"), truth.to_string()).unwrap();
    let evaluated = |flags: &[&str]| {
        run.detected(flags);
        let mut eval = gemscope();
        eval.args(["eval", "--json", "--quiet", "--truth"]).arg(run.path("truth.json"));
        let printed =
            eval.arg("--run").arg(run.path("run")).assert().success().get_output().stdout.clone();
        serde_json::from_slice::<Value>(&printed).unwrap()["counts"]["detections"].clone()
    };
    assert_eq!(evaluated(&[]), all);
    assert_eq!(evaluated(&["--min-score", "0.9"]), all);
}

#[test]
fn a_score_that_was_asked_for_drops_boxes_without_one_and_the_default_never_does() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let text = r#"[{"box_2d": [0, 0, 500, 500], "label": "dog"}]"#;
    let line = json!({"image": "a.png", "width": 100, "height": 100, "text": text}).to_string();
    gemscope().args(["parse", "-", "--out"]).arg(&run).write_stdin(line).assert().success();
    let exported = |name: &str, flags: &[&str]| {
        let out = dir.path().join(name);
        let mut command = gemscope();
        command
            .arg("export")
            .arg(&run)
            .args(["--to", "jsonl,coco"])
            .args(flags)
            .arg("--out")
            .arg(&out);
        let said = command.assert().success().get_output().stderr.clone();
        (
            scores(&out.join("detections.jsonl")).len(),
            count(&out.join("instances.json"), "images"),
            said,
        )
    };
    let (boxes, images, _) = exported("default", &[]);
    assert_eq!((boxes, images), (1, 1));
    let (boxes, images, said) = exported("asked", &["--min-score", "0.1"]);
    assert_eq!((boxes, images), (0, 0), "and the image is not one without dogs");
    assert!(String::from_utf8(said).unwrap().contains("1 box is left out, which have no score"));
}

/// A run as an earlier version wrote it, which had dropped the boxes below 0.3 and renamed the
/// others.
fn earlier_run(run: &Run) -> Value {
    run.detected(&[]);
    let path = run.path("run");
    let mut manifest = json(path.join("run.json"));
    let filters = manifest.as_object_mut().unwrap().remove("filters").unwrap();
    let rules = manifest["settings"]["rules"].as_object_mut().unwrap();
    rules.extend(filters.as_object().unwrap().clone());
    rules.insert("min_score".into(), json!(0.3));
    for key in ["coordinates", "order"] {
        rules.remove(key);
    }
    fs::write(path.join("run.json"), manifest.to_string()).unwrap();
    let mut journal = String::new();
    for mut record in json_lines(fs::read_to_string(path.join("journal.jsonl")).unwrap()) {
        record["schema"] = json!(1);
        record["detections"]
            .as_array_mut()
            .unwrap()
            .retain(|found| found["score"].as_f64().unwrap() >= 0.3);
        journal += &(record.to_string() + "\n");
    }
    fs::write(path.join("journal.jsonl"), journal).unwrap();
    manifest
}

#[test]
fn an_earlier_run_says_that_its_score_cannot_be_lowered() {
    let run = Run::new();
    earlier_run(&run);
    let kept = scores(&run.path("run/journal.jsonl")).len();
    // As it was made, and stricter: as ever.
    run.export("as it was", &[]).assert().success();
    assert_eq!(scores(&run.path("as it was/detections.jsonl")).len(), kept);
    run.export("stricter", &["--min-score", "0.4"]).assert().success();
    // What is not there cannot be shown.
    let weaker = contains(
        "earlier version of gemscope, which left boxes out before it wrote its records: min_score",
    );
    run.export("lower", &["--min-score", "0.1"]).assert().code(1).stderr(weaker.clone());
    assert!(!run.path("lower").exists());
    run.export("repeats", &["--duplicates", "0"]).assert().code(1).stderr(contains("duplicates"));
    // The same for the run itself, which goes on with what it had or with more.
    run.detect(&[]).assert().code(1).stderr(weaker);
    assert_eq!(run.detected(&["--min-score", "0.3"])["resumed"], 3);
    assert_eq!(run.detected(&["--min-score", "0.35"])["resumed"], 3);
    assert_eq!(json(run.path("run/run.json"))["filters"]["min_score"], json!({"asked": 0.35}));
    run.export("still lower", &["--min-score", "0.1"]).assert().code(1);
}

#[test]
fn the_ready_pipelines_keep_boxes_that_are_right() {
    for entry in fs::read_dir(fixture("../pipelines")).unwrap() {
        let path = entry.unwrap().path();
        let pipeline: toml::Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let least = pipeline
            .get("answer")
            .and_then(|answer| answer.get("min_score"))
            .and_then(toml::Value::as_float);
        // Right boxes of the demo model score from 0.2 on.
        assert!(least.is_none_or(|least| least < 0.2), "{}: {least:?}", path.display());
    }
}
