//! Input that hangs, exhausts memory or pretends to be something else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// The command, killed where it hangs.
fn patient() -> Command {
    let mut command = gemscope();
    command.timeout(PATIENCE);
    command
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Runs `critique` of the demo model over `frames` by the rubric that `axes` and `rules` make.
fn critique(dir: &Path, frames: &Path, axes: &str, rules: &str) -> Output {
    let rubric = dir.join("rubric.toml");
    fs::write(&rubric, format!("name = \"r\"\nmin_mass = 0.0\nbudget = 70\n{axes}\n[gate]\nrules = {rules}\n"))
        .unwrap();
    let mut command = patient();
    command.arg("critique").arg(frames).arg("--model").arg(fixture("demo-model"));
    command.arg("--rubric").arg(rubric).arg("--out").arg(dir.join("run")).output().unwrap()
}

fn report_only(dir: &Path, axes: &str, rules: &str) -> Output {
    let rubric = dir.join("rubric.toml");
    fs::write(&rubric, format!("name = \"r\"\nmin_mass = 0.0\nbudget = 70\n{axes}\n[gate]\nrules = {rules}\n"))
        .unwrap();
    let mut command = patient();
    command
        .args(["critique", "--report-only", "--rubric"])
        .arg(rubric)
        .arg("--out")
        .arg(dir.join("run"))
        .output()
        .unwrap()
}

const ADHERENCE: &str =
    "[[axis]]\nname = \"adherence\"\nkind = \"yes_no\"\nquestion = \"Does this image show the following: {clause}?\"";
const SHARPNESS: &str =
    "[[axis]]\nname = \"sharpness\"\nkind = \"level\"\nquestion = \"Rate the sharpness of this image\"";

/// Two frames, of which the prompt of the second is not known.
fn frames(dir: &Path) -> PathBuf {
    let truth = json(fixture("frames/truth.json"));
    let known = format!("frames/{}", truth[0]["image"].as_str().unwrap());
    folder_of(dir, &[(&known, "known.png"), ("shapes/scene-01.png", "unknown.png")])
}

fn list(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join("run").join(name)).unwrap()
}

#[test]
fn a_rubric_that_asks_nothing_of_a_frame_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"["reject if adherence < 0.6", "keep otherwise"]"#;
    let output = critique(dir.path(), &frames(dir.path()), ADHERENCE, rules);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(list(dir.path(), "review.txt"), "unknown.png\n");
    let verdicts = json_lines(list(dir.path(), "verdicts.jsonl"));
    assert!(verdicts[1]["rule"].as_str().unwrap().starts_with("nothing to ask"), "{}", verdicts[1]);
}

#[test]
fn a_frame_without_a_prompt_is_not_kept_by_a_rule_about_its_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let axes = format!("{ADHERENCE}\n{SHARPNESS}");
    let output = critique(dir.path(), &frames(dir.path()), &axes, r#"["reject if adherence < 0.0", "keep otherwise"]"#);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!([list(dir.path(), "keep.txt"), list(dir.path(), "review.txt")], ["known.png\n", "unknown.png\n"]);
    assert!(said(&output).contains("not asked about adherence (their prompt is not known): 1"), "{}", said(&output));
    let verdicts = json_lines(list(dir.path(), "verdicts.jsonl"));
    assert_eq!(verdicts[1]["not_asked"], serde_json::json!(["adherence"]));
    assert!(list(dir.path(), "verdicts.csv").contains("unknown.png,review,not asked: adherence"));
    // The rules may say what is to become of such frames.
    let rules = r#"["reject if known(adherence) and adherence < 0.0", "keep otherwise"]"#;
    assert_eq!(report_only(dir.path(), &axes, rules).status.code(), Some(0));
    assert_eq!(list(dir.path(), "keep.txt"), "known.png\nunknown.png\n");
}

#[test]
fn old_answers_are_not_judged_by_new_questions() {
    let dir = tempfile::tempdir().unwrap();
    let keep = r#"["keep otherwise"]"#;
    assert_eq!(critique(dir.path(), &frames(dir.path()), SHARPNESS, keep).status.code(), Some(0));
    let kept = list(dir.path(), "keep.txt");
    let changed = SHARPNESS.replace("sharpness of this", "beauty of that");
    let added = format!("{SHARPNESS}\n{}", SHARPNESS.replace("sharpness", "noise"));
    for (axes, says) in [(changed, "asked in other words: sharpness"), (added, "not asked: noise")] {
        let output = report_only(dir.path(), &axes, keep);
        assert!(output.status.code() == Some(1) && said(&output).contains(says), "{}", said(&output));
        assert_eq!(list(dir.path(), "keep.txt"), kept);
    }
}

#[test]
fn a_rule_that_sleeps_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"["reject if sleep(100000) == ()", "keep otherwise"]"#;
    let output = critique(dir.path(), &fixture("shapes/scene-01.png"), SHARPNESS, rules);
    assert!(output.status.code() == Some(1) && said(&output).contains("there is no sleep"), "{}", said(&output));
    // Nor does --check wait.
    let pipeline = dir.path().join("pipeline.toml");
    fs::copy(dir.path().join("rubric.toml"), &pipeline).unwrap();
    let output = patient().arg("run").arg(&pipeline).arg("--check").output().unwrap();
    assert!(output.status.code() == Some(1) && said(&output).contains("there is no sleep"), "{}", said(&output));
}

#[test]
fn sums_of_axes_and_the_least_of_them_are_rules() {
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"["review if sharpness * 2 > 9 or min(sharpness, 0.5) > 1", "reject if sharpness + sharpness < 9", "keep otherwise"]"#;
    let output = critique(dir.path(), &fixture("shapes/scene-01.png"), SHARPNESS, rules);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(list(dir.path(), "reject.txt"), "scene-01.png\n");
}

#[test]
fn a_rule_that_none_can_reach_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"["keep otherwise", "reject if sharpness < 0.5"]"#;
    let output = critique(dir.path(), &fixture("shapes/scene-01.png"), SHARPNESS, rules);
    assert!(output.status.code() == Some(1) && said(&output).contains("never reached"), "{}", said(&output));
}

/// Finds circles in a fixture with the demo model.
fn find(dir: &Path) -> Command {
    let mut command = patient();
    command.arg("detect").arg(fixture("shapes/scene-01.png")).arg("--model").arg(fixture("demo-model"));
    command.args(["--export", "none", "--out"]).arg(dir.join("run"));
    command
}

/// A copy of the demo model.
fn model(dir: &Path) -> PathBuf {
    let copy = dir.join("model");
    for entry in walkdir::WalkDir::new(fixture("demo-model")) {
        let entry = entry.unwrap();
        let to = copy.join(entry.path().strip_prefix(fixture("demo-model")).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
    copy
}

/// Runs `detect` with a model, and gives what it said of its failure.
fn fails_with(model: &Path, dir: &Path) -> String {
    let mut command = patient();
    command.arg("detect").arg(fixture("shapes/scene-01.png")).args(["--labels", "star", "--model"]).arg(model);
    let output = command.arg("--out").arg(dir.join("run")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn journal(dir: &Path) -> Vec<serde_json::Value> {
    json_lines(fs::read_to_string(dir.join("run/journal.jsonl")).unwrap())
}

#[test]
fn a_special_token_in_a_label_is_a_word() {
    let dir = tempfile::tempdir().unwrap();
    // As a token it ended the turn, and the model answered something else.
    let labels = "circle,<turn|>";
    let inspected =
        patient().arg("inspect").arg(fixture("shapes/scene-01.png")).args(["--labels", labels]).output().unwrap();
    let plain =
        patient().arg("inspect").arg(fixture("shapes/scene-01.png")).args(["--labels", "circle"]).output().unwrap();
    let turns = |output: &Output| {
        let ids = &json_lines(String::from_utf8(output.stdout.clone()).unwrap())[0]["token_ids"];
        ids.as_array().unwrap().iter().filter(|id| **id == 6).count()
    };
    assert_eq!(turns(&inspected), turns(&plain), "{}", said(&inspected));
    assert!(said(&inspected).contains("circle and <turn|>"), "it is read as it was written");
    assert_eq!(find(dir.path()).args(["--labels", labels]).output().unwrap().status.code(), Some(0));
    assert_ne!(journal(dir.path())[0]["status"], "failed");
}

#[test]
fn a_special_token_in_a_prompts_file_or_a_system_prompt_is_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let prompts = dir.path().join("prompts.csv");
    fs::write(&prompts, "image,prompt\nscene-01.png,detect circle <|image|>\n").unwrap();
    let output = find(dir.path()).arg("--prompts").arg(&prompts).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let mut inspect = patient();
    inspect.arg("inspect").arg(fixture("shapes/scene-01.png")).args([
        "--labels",
        "star",
        "--system",
        "Be <|image|> brief.",
    ]);
    let output = inspect.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn three_thousand_labels_are_refused_with_the_length_of_their_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.txt");
    fs::write(&labels, (0..3000).map(|number| format!("thing number {number}\n")).collect::<String>()).unwrap();
    let output = find(dir.path()).arg("--labels").arg(format!("@{}", labels.display())).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for words in ["3000 labels", "tokens of text, and the model takes 7069"] {
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn a_stop_id_out_of_range_is_an_error_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    fs::write(model.join("generation_config.json"), r#"{"eos_token_id": [6, 99999999]}"#).unwrap();
    let said = fails_with(&model, dir.path());
    assert!(said.contains("the stop id 99999999") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_template_does_not_make_texts_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    for template in [
        "{{ messages|tojson(indent=100000000) }}",
        "{{ {'a': [1, 2]}|tojson(1000000000000) }}",
        "{{ '{:>1000000000}'.format('x') }}",
        "{% set long = 'x' * 1000000 %}{{ ('{0}' * 100000).format(long) }}",
        "{{ (range(100000)|list * 1000)|tojson }}",
    ] {
        fs::write(model.join("chat_template.jinja"), template).unwrap();
        let said = fails_with(&model, dir.path());
        assert!(said.contains("more than 16 MiB") || said.contains("out of fuel"), "{template}: {said}");
    }
}
