//! Tiles, several questions about a view, filters and pipelines, through the real command.

use std::fs;

use serde_json::Value;

use crate::support::{fixture, gemscope, json_lines};

/// The lines of one of the files of a run over one picture.
fn lines_of(file: &str, flags: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = gemscope()
        .arg("detect")
        .arg(fixture("shapes/scene-16.png"))
        .args(["--export", "jsonl", "--quiet", "--out"])
        .arg(&out)
        .args(flags)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    json_lines(fs::read_to_string(out.join(file)).unwrap())
}

/// Its records.
fn detect(flags: &[&str]) -> Vec<Value> {
    lines_of("journal.jsonl", flags)
}

/// What is exported of them.
fn exported(flags: &[&str]) -> Value {
    lines_of("detections.jsonl", flags).swap_remove(0)
}

#[test]
fn every_tile_is_asked_every_question() {
    let record = &detect(&["--labels", "star,circle", "--per-label", "--tiles", "2x1:0.0"])[0];
    let answers = record["answers"].as_array().unwrap();
    let prompts: Vec<&str> =
        answers.iter().map(|answer| answer["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["detect star", "detect circle"].repeat(3));
    let (width, height) = (record["width"].as_f64().unwrap(), record["height"].as_f64().unwrap());
    assert_eq!(answers[0]["view"], serde_json::json!([0.0, 0.0, width, height]));
    assert_eq!(answers[2]["view"], serde_json::json!([0.0, 0.0, width / 2.0, height]));
    assert_eq!(answers[4]["view"], serde_json::json!([width / 2.0, 0.0, width, height]));
}

#[test]
fn scores_and_filters() {
    let all = &detect(&["--prompt", "detect shape"])[0];
    let found = all["detections"].as_array().unwrap();
    assert!(found.len() >= 2, "{all}");
    for detection in found {
        let [coordinates, label] =
            ["coordinates", "label"].map(|name| detection["probabilities"][name].as_f64().unwrap());
        assert!((detection["score"].as_f64().unwrap() - coordinates * label).abs() < 1e-12);
    }
    let by_label = &exported(&["--prompt", "detect shape", "--score", "label"])["detections"][0];
    assert_eq!(by_label["score"], by_label["probabilities"]["label"]);
    let none = exported(&["--prompt", "detect shape", "--min-area", "90%"]);
    assert_eq!(none["detections"].as_array().unwrap().len(), 0);
    assert_eq!(none["status"], "ok", "the model said something; the filter took it away");
    assert_eq!(none["notes"], serde_json::json!([{ "kind": "filtered", "count": found.len() }]));
}

#[test]
fn the_ready_pipelines_are_in_order() {
    let pipelines = fixture("../pipelines");
    let mut checked = 0;
    for entry in fs::read_dir(pipelines).unwrap() {
        let path = entry.unwrap().path();
        // The list of what no picture can show is no pipeline.
        if path.ends_with("clauses.toml") {
            continue;
        }
        let run = gemscope().arg("run").arg(&path).arg("--check").output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        // Rubrics are told by their names here, and by their axes by the command.
        let rates =
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("critique"));
        let job = if rates { "critique" } else { "detect" };
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(said.starts_with(&format!("gemscope {job} --")), "{said}");
        checked += 1;
    }
    assert!(checked >= 7, "{checked}");
}

#[test]
fn a_pipeline_does_what_the_flags_do() {
    let dir = tempfile::tempdir().unwrap();
    let (pipeline, out) = (dir.path().join("p.toml"), dir.path().join("run"));
    let picture = fixture("shapes/scene-16.png");
    let text = format!(
        "[task]\nlabels = [\"cat\"]\n[source]\ninputs = [{:?}]\n[export]\nexport = \"none\"\n",
        picture.display().to_string()
    );
    fs::write(&pipeline, &text).unwrap();
    let run = gemscope()
        .args(["run", "--quiet"])
        .arg(&pipeline)
        .args(["--labels", "star", "--out"])
        .arg(&out)
        .output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let record = &json_lines(fs::read_to_string(out.join("journal.jsonl")).unwrap())[0];
    assert_eq!(record["answers"][0]["prompt"], "detect star", "a flag overrides the pipeline");
    assert!(fs::read_to_string(out.join("pipeline.toml")).unwrap().ends_with(&text));

    fs::write(&pipeline, "[answer]\nmin_scor = 1\n").unwrap();
    let run = gemscope().arg("run").arg(&pipeline).arg("--check").output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    let says = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        says.contains("p.toml: line 2") && says.contains("did you mean \"min_score\"?"),
        "{says}"
    );

    // Settings that a file says are its keys, not flags.
    for flags in [&["--check"][..], &["--out", "run"]] {
        fs::write(&pipeline, "[source]\ninputs = \".\"\n[answer]\nnms_agnostic = true\n").unwrap();
        let run = gemscope()
            .current_dir(dir.path())
            .arg("run")
            .arg(&pipeline)
            .args(flags)
            .output()
            .unwrap();
        let says = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(1));
        assert!(says.contains("p.toml: \"nms_agnostic\" goes with \"nms\""), "{says}");
    }
}
