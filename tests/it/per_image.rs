//! `--prompts`: what is asked about each image by itself.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::support::{folder_of, gemscope, json, json_lines};

fn detect(dir: &Path, prompts: &str) -> Command {
    let file = dir.join("prompts.csv");
    fs::write(&file, prompts).unwrap();
    let mut command = gemscope();
    command
        .arg("detect")
        .arg(dir.join("images"))
        .arg("--prompts")
        .arg(file)
        .arg("--out")
        .arg(dir.join("run"));
    command
}

#[test]
fn every_image_is_asked_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let from = "shapes/scene-16.png";
    folder_of(dir.path(), &[(from, "a.png"), (from, "b.png"), (from, "c.png")]);
    let rows = "image,labels,prompt\na.png,star,\nb.png,\"circle,square\",\nc.png,,detect shape\n";
    detect(dir.path(), rows).assert().success();
    let records = json_lines(fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap());
    let mut prompts: Vec<&str> =
        records.iter().map(|record| record["answers"][0]["prompt"].as_str().unwrap()).collect();
    prompts.sort_unstable();
    assert_eq!(prompts, ["detect circle and square", "detect shape", "detect star"]);
    // Labels of all rows are those of the run.
    let counts = fs::read_to_string(dir.path().join("run/counts.csv")).unwrap();
    assert!(counts.starts_with("image,status,star,circle,square"), "{counts}");
    let settings = &json(dir.path().join("run/run.json"))["settings"];
    assert_eq!(settings["image_prompts"]["images"], 3);
    assert_eq!(settings["task"], serde_json::Value::Null);

    // The same again is done; another question about one image asks that image again.
    for (rows, resumed) in [(rows, 3), (&rows.replace("star", "triangle"), 2)] {
        let again = detect(dir.path(), rows).arg("--json").output().unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&again.stdout).unwrap()["resumed"],
            resumed
        );
    }
    let records = json_lines(fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap());
    assert_eq!(
        (records.len(), &records[3]["answers"][0]["prompt"]),
        (4, &"detect triangle".into())
    );
    // Another question about all of them is another run.
    let every = detect(dir.path(), rows).args(["--labels", "star"]).output().unwrap();
    assert!(
        every.status.code() == Some(1)
            && String::from_utf8_lossy(&every.stderr).contains("  task: nothing -> ")
    );
}

#[test]
fn rows_and_images_that_do_not_meet_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let from = "shapes/scene-16.png";
    let images = folder_of(dir.path(), &[(from, "a.png"), (from, "b.png")]);
    let rows = "image,labels\na.png,star\nimages/b.png,circle\n";
    let missing = contains("no row for 1 of 2 images: b.png")
        .and(contains("1 rows are of no image here: images/b.png"));
    detect(dir.path(), rows).assert().code(1).stderr(missing);
    assert!(!dir.path().join("run").exists(), "nothing was begun");
    // The flags say what is asked about the others; what cannot be read needs no row.
    fs::write(images.join("c.png"), "no picture").unwrap();
    let plan = detect(dir.path(), rows)
        .args(["--labels", "square", "--dry-run", "--json"])
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["prompts"], serde_json::json!(["detect square"]));
    assert_eq!(plan["files"][0]["prompts"], serde_json::json!(["detect star"]));
    assert_eq!(plan["files"][1].get("prompts"), None);
    // A prompt with a place for labels is one for the rows alone.
    let shown = detect(dir.path(), "image,labels\na.png,star\nb.png,circle\nc.png,circle\n")
        .args(["--prompt", "detect {labels}", "--per-label", "--dry-run"])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("its own prompt") && shown.contains("detect circle"), "{shown}");
}
