//! `gemscope detect`, end to end on the bundled model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

fn detect(inputs: &Path, out: &Path, extra: &[&str]) -> Value {
    let output = gemscope()
        .arg("detect")
        .arg(inputs)
        .arg("--out")
        .arg(out)
        .arg("--json")
        .args(extra)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// Intersection over union of two COCO boxes.
fn iou(a: &[f64], b: &[f64]) -> f64 {
    let overlap =
        |a0: f64, aw: f64, b0: f64, bw: f64| ((a0 + aw).min(b0 + bw) - a0.max(b0)).max(0.0);
    let both = overlap(a[0], a[2], b[0], b[2]) * overlap(a[1], a[3], b[1], b[3]);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

/// Boxes by image and label.
fn boxes(coco: &Value) -> BTreeMap<(String, String), Vec<Vec<f64>>> {
    let name = |list: &str, key: &str, id: &Value| {
        let found = coco[list].as_array().unwrap().iter().find(|item| &item["id"] == id).unwrap();
        found[key].as_str().unwrap().to_owned()
    };
    let mut boxes: BTreeMap<_, Vec<Vec<f64>>> = BTreeMap::new();
    for annotation in coco["annotations"].as_array().unwrap() {
        let image = name("images", "file_name", &annotation["image_id"]);
        let label = name("categories", "name", &annotation["category_id"]);
        let bbox = annotation["bbox"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect();
        boxes.entry((image, label)).or_default().push(bbox);
    }
    boxes
}

#[test]
fn the_shapes_are_found_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let summary = detect(&fixture("shapes"), dir.path(), &["--prompt", "detect shape"]);
    assert_eq!(summary["images"], 20);
    assert_eq!(summary["failures"], serde_json::json!([]));
    let truth = boxes(&json(fixture("shapes/truth.json")));
    let mut found = boxes(&json(dir.path().join("instances.json")));
    let all: usize = truth.values().map(Vec::len).sum();
    let given: usize = found.values().map(Vec::len).sum();
    let mut right = 0;
    for (key, boxes) in &truth {
        for bbox in boxes {
            let candidates = found.entry(key.clone()).or_default();
            if let Some(place) = candidates.iter().position(|candidate| iou(candidate, bbox) >= 0.5)
            {
                candidates.remove(place);
                right += 1;
            }
        }
    }
    let (recall, precision) = (f64::from(right) / all as f64, f64::from(right) / given as f64);
    assert!(
        recall >= RECALL && precision >= PRECISION,
        "recall {recall:.3}, precision {precision:.3} ({right} of {all}, {given} given)"
    );
    // Scenes with nothing in them are answered with nothing.
    let counts = read(dir.path().join("counts.csv"));
    for empty in ["scene-03.png", "scene-13.png", "scene-19.png"] {
        assert!(
            counts.lines().any(|line| line.starts_with(&format!("{empty},empty,"))),
            "{counts}"
        );
    }
}

/// The bundled model finds the 37 objects of fixtures/shapes, label included, at an overlap of 0.5,
/// and gives 37 boxes. One less may be another processor's rounding.
const RECALL: f64 = 36.0 / 37.0;
const PRECISION: f64 = 36.0 / 37.0;

#[test]
fn the_exports_do_not_depend_on_threads_or_on_being_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (one, many, resumed) =
        (dir.path().join("one"), dir.path().join("many"), dir.path().join("resumed"));
    let labels = ["--labels", "red circle,star"];
    detect(&fixture("shapes"), &one, &[&labels[..], &["--threads", "1"]].concat());
    detect(&fixture("shapes"), &many, &[&labels[..], &["--threads", "4"]].concat());
    // What a run that was killed in the middle leaves: some records and half a line.
    detect(&fixture("shapes"), &resumed, &labels);
    let journal = read(resumed.join("journal.jsonl"));
    let kept: Vec<&str> = journal.lines().take(7).collect();
    fs::write(resumed.join("journal.jsonl"), format!("{}\n{{\"schema\":1,\"ima", kept.join("\n")))
        .unwrap();
    for file in ["instances.json", "results.json", "counts.csv"] {
        fs::remove_file(resumed.join(file)).unwrap();
    }
    let summary = detect(&fixture("shapes"), &resumed, &labels);
    assert_eq!(summary["resumed"], 7);
    for file in ["instances.json", "results.json", "counts.csv", "detections.jsonl"] {
        assert_eq!(read(one.join(file)), read(many.join(file)), "{file}");
        assert_eq!(read(one.join(file)), read(resumed.join(file)), "{file} of the resumed run");
    }
    assert_eq!(json_lines(read(resumed.join("journal.jsonl"))).len(), 20);
}

#[test]
fn a_run_with_other_settings_is_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    let out = dir.path().join("run");
    detect(&images, &out, &["--labels", "star"]);
    let other = || {
        let mut command = gemscope();
        command.arg("detect").arg(&images).args(["--labels", "circle", "--out"]).arg(&out);
        command
    };
    other().assert().code(1).stderr(contains("other settings"));
    assert_eq!(json_lines(read(out.join("journal.jsonl"))).len(), 1);
    other().arg("--overwrite").assert().success();
    assert!(read(out.join("journal.jsonl")).contains("detect circle"));
    // A run of a version with other settings is named as that.
    let manifest = read(out.join("run.json")).replace("\"prompts\"", "\"prompt\"");
    fs::write(out.join("run.json"), manifest).unwrap();
    other()
        .assert()
        .code(1)
        .stderr(contains("written by another version of gemscope (missing field `prompts`"));
    // A folder with somebody's files is not taken for a run.
    other().arg("--overwrite").arg("--out").arg(&images).assert().code(1);
    gemscope()
        .arg("detect")
        .arg(&images)
        .args(["--labels", "star", "--out"])
        .arg(&images)
        .assert()
        .code(1)
        .stderr(contains("not a run"));
    assert!(images.join("a.png").exists());
}

#[test]
fn a_dry_run_needs_no_model_run_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let output = gemscope()
        .arg("detect")
        .arg(fixture("photos"))
        .args([
            "--labels",
            "cat",
            "--model",
            "demo",
            "--dry-run",
            "--budget",
            "auto",
            "--json",
            "--ort-lib",
            "/nowhere",
            "--out",
        ])
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["prompts"][0], "detect cat");
    let rocket = plan["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["image"] == "rocket.png")
        .unwrap();
    assert_eq!(
        (&rocket["width"], &rocket["budget"], &rocket["resized_width"]),
        (&300.into(), &70.into(), &480.into())
    );
    assert!(!out.exists());
}

#[test]
fn the_plan_of_a_large_folder_is_one_screen() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("images"), dir.path().join("run"));
    fs::create_dir(&images).unwrap();
    for index in 0..200 {
        fs::copy(fixture("shapes/scene-01.png"), images.join(format!("{index}.png"))).unwrap();
        if index < 20 {
            fs::write(images.join(format!("broken-{index}.png")), "no picture").unwrap();
        }
    }
    let plan = |out: &Path| {
        let mut plan = gemscope();
        plan.arg("detect").arg(&images).args(["--labels", "star", "--dry-run", "--out"]).arg(out);
        let output = plan.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = plan(&out);
    assert!(text.lines().count() < 40, "{text}");
    for words in
        ["would fail:\n  20 images: not a ", "and 17 more", "220 images, ", "prompt: detect star"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("images/s"));
    // A run says how fast it is.
    detect(&images, &out, &["--labels", "star", "--limit", "40"]);
    let text = plan(&out);
    // So does what is said at its end: a line for all that fail alike.
    let mut rest = gemscope();
    rest.arg("detect").arg(&images).args(["--labels", "star", "--out"]).arg(&out);
    rest.assert().code(2).stdout(contains("  20 images: not a ").and(contains("journal.jsonl")));
    assert!(
        text.contains("40 images are answered, at ") && text.contains("180 more take"),
        "{text}"
    );
}

#[test]
fn sampling_repeats_with_its_seed() {
    let dir = tempfile::tempdir().unwrap();
    let sample = |name: &str, seed: &str| {
        let out = dir.path().join(name);
        detect(
            &fixture("shapes"),
            &out,
            &["--labels", "star", "--temperature", "1.5", "--seed", seed, "--threads", "2"],
        );
        read(out.join("detections.jsonl"))
    };
    let first = sample("a", "1");
    assert_eq!(first, sample("b", "1"));
    assert_ne!(first, sample("c", "2"));
}

#[test]
fn an_answer_that_is_cut_off_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let summary = detect(
        &fixture("shapes"),
        dir.path(),
        &["--prompt", "detect shape", "--max-new-tokens", "20"],
    );
    assert_eq!(summary["statuses"]["truncated"], 17);
    assert_eq!(summary["statuses"]["empty"], 3);
    assert_eq!(summary["detections"], 0);
    // Only the answers that say "nothing" are images without objects.
    assert_eq!(json(dir.path().join("instances.json"))["images"].as_array().unwrap().len(), 3);
}

#[test]
fn two_processes_do_not_write_one_run_and_another_model_is_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    detect(&fixture("shapes"), &out, &["--labels", "star"]);
    let lock = fs::OpenOptions::new().write(true).open(out.join(".lock")).unwrap();
    lock.lock().unwrap();
    let again = || {
        let mut command = gemscope();
        command.arg("detect").arg(fixture("shapes")).args(["--labels", "star", "--out"]).arg(&out);
        command
    };
    again().arg("--overwrite").assert().code(1).stderr(contains("another process"));
    assert_eq!(json_lines(read(out.join("journal.jsonl"))).len(), 20);
    drop(lock);
    // The same files elsewhere are the same model; with another template they are another one.
    let model = dir.path().join("model");
    copy_folder(&fixture("demo-model"), &model);
    let resumed =
        detect(&fixture("shapes"), &out, &["--labels", "star", "--model", model.to_str().unwrap()]);
    assert_eq!(resumed["resumed"], 20);
    let template = read(model.join("chat_template.jinja")).replace("<turn|>", "<turn|> ");
    fs::write(model.join("chat_template.jinja"), template).unwrap();
    again().arg("--model").arg(&model).assert().code(1).stderr(contains("  prompts: "));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The graphs are opened as ONNX Runtime made them ready the last time, and answer the same.
#[test]
fn kept_graphs_answer_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let run = |name: &str, flags: &[&str]| {
        let out = dir.path().join(name);
        let mut command = gemscope();
        command
            .args(["detect", "--prompt", "detect shape", "--export", "jsonl", "--verbose", "--out"])
            .arg(&out)
            .args(flags);
        // ONNX Runtime itself is found where it always is.
        let library = crate::support::runtime().library.clone();
        command.env("GEMSCOPE_CACHE", &cache);
        if let Some(library) = library {
            command.arg("--ort-lib").arg(library);
        }
        let ended = command.arg(fixture("shapes")).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && !said.contains("not kept"), "{said}");
        (fs::read(out.join("detections.jsonl")).unwrap(), said)
    };
    let (plain, _) = run("plain", &[]);
    assert!(!cache.join("graphs").exists());
    let (first, _) = run("first", &["--keep-graphs"]);
    let kept: Vec<_> =
        fs::read_dir(cache.join("graphs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let (second, _) = run("second", &["--keep-graphs"]);
    assert!(plain == first && plain == second);
    // What is damaged is made again.
    fs::write(kept[0].join("graph.onnx"), b"no graph").unwrap();
    let (third, said) = run("third", &["--keep-graphs"]);
    assert!(plain == third && said.contains("made again"), "{said}");
    assert!(fs::metadata(kept[0].join("graph.onnx")).unwrap().len() > 1000);
}
