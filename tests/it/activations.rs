//! Graphs in 8 bits, alone and in company, and `--activations`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{fixture, gemscope, images, json, json_lines};

/// A run of `model` over `folder`, with further flags.
fn run(model: &str, folder: &Path, out: &Path, flags: &[&str]) -> Output {
    let model = fixture("variants").join(model);
    gemscope()
        .args(["detect", "--prompt", "detect shape", "--budget", "70", "--max-new-tokens", "24"])
        .args(["--decoding", "free", "--export", "none", "--model"])
        .arg(model)
        .arg(folder)
        .arg("--out")
        .arg(out)
        .args(flags)
        .output()
        .unwrap()
}

/// Each image's answers.
fn answers(out: &Path) -> BTreeMap<String, Value> {
    json_lines(std::fs::read_to_string(out.join("journal.jsonl")).unwrap())
        .into_iter()
        .map(|record| {
            let name = record["image"].as_str().unwrap().to_owned();
            (name, record["answers"].clone())
        })
        .collect()
}

/// A last digit that differs with the company may be rounded to another step, so not every answer
/// must be the same on every processor; rows that mixed would change them all.
#[test]
fn answers_in_8_bits_are_hardly_changed_by_company() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 5);
    for model in ["E2B-q8", "E2B-int8"] {
        let of = |name: &str, flags: &[&str]| {
            let out = dir.path().join(format!("{model}-{name}"));
            let ended = run(model, &folder, &out, flags);
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            answers(&out)
        };
        let alone = of("alone", &["--batch", "1"]);
        let texts = |answers: &BTreeMap<String, Value>| -> Vec<String> {
            answers.values().map(|answers| answers[0]["text"].to_string()).collect()
        };
        let together = of("together", &["--batch", "8"]);
        assert_eq!(alone.len(), 5);
        assert!(texts(&alone).iter().all(|text| text.len() > 4), "{:?}", texts(&alone));
        let (alone, together) = (texts(&alone), texts(&together));
        let same = alone.iter().zip(&together).filter(|(alone, together)| alone == together);
        assert!(same.count() >= 3, "{model}: {alone:?} {together:?}");
    }
}

#[test]
fn other_activations_are_another_model() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 2);
    let out = dir.path().join("run");
    let ended = run("E2B-q8", &folder, &out, &["--activations", "float"]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let manifest = json(out.join("run.json"));
    assert_eq!(manifest["settings"]["model"]["activations"], "float");
    // Going on with what the graphs say would mix two models' answers.
    for flags in [&[][..], &["--activations", "int8"]] {
        let ended = run("E2B-q8", &folder, &out, flags);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("model"), "{said}");
    }
    let ended = run("E2B-q8", &folder, &out, &["--activations", "float"]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn activations_of_graphs_without_such_products_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 1);
    let ended = run("E2B", &folder, &dir.path().join("run"), &["--activations", "int8"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1));
    assert!(said.contains("no product of its graphs has weights of 4 or 8 bits"), "{said}");
    assert!(!dir.path().join("run").exists());
}
