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
