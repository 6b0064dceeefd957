//! A demo model that was taken for a real one (`--model` was forgotten).

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::support::{fixture, folder_of, gemscope, json};

/// `detect` over one scene into `dir/run`, without a model.
fn detect(dir: &Path) -> Command {
    let mut command = gemscope();
    command
        .arg("detect")
        .arg(fixture("shapes/scene-16.png"))
        .args(["--quiet", "--out"])
        .arg(dir.join("run"));
    command
}

#[test]
fn a_forgotten_model_finds_no_deer() {
    let dir = tempfile::tempdir().unwrap();
    let says = || contains("--model DIR").and(contains("--model demo"));
    for question in [
        ["--labels", "deer,fox"],
        ["--labels", "star,deer"],
        ["--labels", "Star"],
        ["--labels", "shape"],
        ["--phrase", "the cup on the left"],
        ["--prompt", "describe this image"],
        ["--prompt", "detect shape and deer"],
    ] {
        detect(dir.path()).args(question).assert().code(1).stderr(says());
    }
    // Words of another kind may come in by other ways.
    detect(dir.path())
        .args(["--prompt", "detect shape", "--labels", "deer"])
        .assert()
        .code(1)
        .stderr(says());
    detect(dir.path())
        .args(["--labels", "star", "--system", "Find deer"])
        .assert()
        .code(1)
        .stderr(says());
    detect(dir.path()).args(["--labels", "star", "--thinking"]).assert().code(1).stderr(says());
    detect(dir.path()).args(["--labels", "deer", "--dry-run"]).assert().code(1).stderr(says());
    detect(dir.path())
        .args(["--labels", "deer"])
        .env("GEMSCOPE_MODEL", "")
        .assert()
        .code(1)
        .stderr(says());
    assert!(!dir.path().join("run").exists(), "nothing is written");
}

#[test]
fn rows_of_prompts_are_held_to_the_demo_models_words() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(
        dir.path(),
        &[("shapes/scene-16.png", "a.png"), ("shapes/scene-01.png", "b.png")],
    );
    let prompts = dir.path().join("prompts.csv");
    fs::write(&prompts, "image,labels\na.png,star\nb.png,deer\n").unwrap();
    let run = |model: &[&str]| {
        let mut command = gemscope();
        command.arg("detect").arg(&images).arg("--prompts").arg(&prompts).args(model);
        command.args(["--export", "none", "--out"]).arg(dir.path().join("run"));
        command
    };
    run(&[]).assert().code(1).stderr(contains("prompts.csv:3: b.png").and(contains("deer")));
    run(&["--model", "demo"]).assert().success();
}

#[test]
fn the_demo_model_answers_its_own_words_and_any_by_its_name() {
    for flags in [
        &["--labels", "star,red circle"][..],
        &["--phrase", "blue square"],
        &["--prompt", "detect shape"],
        &["--prompt", "Detect the {labels} in this image", "--labels", "star"],
        &["--labels", "deer", "--model", "demo"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        detect(dir.path()).args(["--export", "none"]).args(flags).assert().success();
    }
    let dir = tempfile::tempdir().unwrap();
    detect(dir.path())
        .args(["--labels", "deer", "--export", "none"])
        .env("GEMSCOPE_MODEL", "demo")
        .assert()
        .success();
}

#[test]
fn a_model_can_be_named_once_for_all_commands() {
    let dir = tempfile::tempdir().unwrap();
    let command = |name: &str| {
        let mut command = detect(dir.path());
        command
            .args(["--labels", "deer", "--json", "--export", "none"])
            .env("GEMSCOPE_MODEL", fixture(name));
        command
    };
    command("no-such-model")
        .assert()
        .code(1)
        .stderr(contains("no-such-model: no such model directory"));
    let summary = command("demo-model").assert().success().get_output().stdout.clone();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["model"], "demo-model");
    // A flag comes before the variable.
    let dir = tempfile::tempdir().unwrap();
    detect(dir.path())
        .args(["--labels", "star", "--model", "demo", "--export", "none"])
        .env("GEMSCOPE_MODEL", "/no/such/model")
        .assert()
        .success();
}

#[test]
fn frames_are_judged_by_the_demo_model_only_by_its_own_rubric() {
    let dir = tempfile::tempdir().unwrap();
    let frames = folder_of(dir.path(), &[("frames/00001-4093977593.png", "a.png")]);
    let critique = |name: &str, flags: &[&str]| {
        let mut command = gemscope();
        command
            .arg("critique")
            .arg(&frames)
            .args(["--quiet", "--out"])
            .arg(dir.path().join(name))
            .args(flags);
        command
    };
    let says = || contains("--model DIR").and(contains("--rubric demo"));
    critique("ready", &[]).assert().code(1).stderr(says());
    let own = fs::read_to_string(fixture("../pipelines/demo-critique.toml")).unwrap();
    let file = dir.path().join("own.toml");
    let file_name = file.to_str().unwrap();
    // Other rules are no other questions; another question under the rubric's name is.
    fs::write(&file, own.replace("overall < 0.6", "overall < 0.5")).unwrap();
    critique("rules", &["--rubric", file_name, "--export", "lists"]).assert().success();
    fs::write(&file, own.replace("Rate the noise", "How well formed are the hands")).unwrap();
    critique("hands", &["--rubric", file_name]).assert().code(1).stderr(says());
    critique("other", &["--rubric", file_name, "--model", "demo", "--export", "lists"])
        .assert()
        .success();
    critique("named", &["--rubric", "demo", "--export", "lists"]).assert().success();
    // Of two frames the demo model knows nothing.
    let mut pair = critique("pair", &["--pair", "--rubric", "demo"]);
    pair.arg(&frames).assert().code(1).stderr(says());
}

#[test]
fn every_output_names_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let summary = detect(dir.path())
        .args(["--labels", "star", "--export", "coco,html"])
        .assert()
        .success()
        .stderr("")
        .get_output()
        .stdout
        .clone();
    assert!(
        String::from_utf8(summary).unwrap().contains("model: the bundled demo model"),
        "even with --quiet"
    );
    assert_eq!(json(run.join("instances.json"))["info"]["models"][0], "the bundled demo model");
    assert!(
        fs::read_to_string(run.join("report/index.html"))
            .unwrap()
            .contains("the bundled demo model")
    );
    gemscope()
        .arg("report")
        .arg(&run)
        .assert()
        .success()
        .stdout(contains("model: the bundled demo model"));
    let report = gemscope()
        .arg("report")
        .arg(&run)
        .arg("--json")
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["model"], "the bundled demo model");
    // Of answers that were made elsewhere, that is all that is known; several runs have several
    // models.
    let (parsed, both) = (dir.path().join("parsed"), dir.path().join("both"));
    let line = r#"{"image":"x.png","width":10,"height":10,"text":"[]"}"#;
    gemscope().args(["parse", "-", "--out"]).arg(&parsed).write_stdin(line).assert().success();
    gemscope().arg("report").arg(&parsed).assert().success().stdout(contains("model: not known"));
    let images = dir.path().to_str().unwrap();
    gemscope()
        .arg("export")
        .args([&run, &parsed])
        .args(["--images", images, "--keep-missing", "--to", "coco", "--out"])
        .arg(&both)
        .assert()
        .success();
    let models = json(both.join("instances.json"))["info"]["models"].clone();
    assert_eq!(
        models,
        serde_json::json!(["the bundled demo model", "not known: the answers were made elsewhere"])
    );
}
