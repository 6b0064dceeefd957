//! Bad input gives a clear error and loses nothing.

use std::fs;
use std::process::Stdio;

use predicates::prelude::*;

use crate::support::{fixture, gemscope, json_lines};

#[test]
fn bad_files_fail_with_a_reason_and_the_rest_is_processed() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir_all(images.join("locked")).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), images.join("good.png")).unwrap();
    fs::copy(fixture("shapes/scene-04.jpg"), images.join("good.jpg")).unwrap();
    let jpeg = fs::read(fixture("shapes/scene-05.jpg")).unwrap();
    let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    fs::write(images.join("cut.jpg"), &jpeg[..scan + 20]).unwrap();
    fs::write(images.join("empty.png"), b"").unwrap();
    fs::write(images.join("text.png"), "I am not an image").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", images.join("locked/loop")).unwrap();
    let out = dir.path().join("run");
    let output = gemscope()
        .arg("detect")
        .arg(&images)
        .args(["--labels", "star", "--json", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let records = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    let reason = |name: &str| {
        let record = records.iter().find(|record| record["image"] == name).unwrap();
        assert_eq!(record["status"], "failed", "{record}");
        record["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason("cut.jpg").contains("end before the first row"));
    assert!(reason("empty.png").contains("empty"));
    assert!(reason("text.png").contains("not a JPEG, PNG"));
    #[cfg(unix)]
    assert!(reason("locked/loop").contains("leads back"));
    for good in ["good.png", "good.jpg"] {
        assert!(
            records.iter().any(|record| record["image"] == good && record["status"] != "failed")
        );
    }
    // A failed image whose file has changed is asked about again, the others are not.
    fs::copy(fixture("shapes/scene-05.jpg"), images.join("cut.jpg")).unwrap();
    let output = gemscope()
        .arg("detect")
        .arg(&images)
        .args(["--labels", "star", "--json", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["resumed"], 5);
    assert!(!summary["failures"].to_string().contains("cut.jpg"));
}

/// Root reads everything, so the command is run as nobody where the test is run as root.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_without_permission_fails_and_the_rest_is_processed() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir_all(images.join("locked")).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), images.join("good.png")).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), images.join("locked/hidden.png")).unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(dir.path(), 0o777);
    mode(&images, 0o755);
    mode(&images.join("locked"), 0o000);
    let is_root = fs::read_dir(images.join("locked")).is_ok();
    let binary = dir.path().join("gemscope");
    fs::copy(env!("CARGO_BIN_EXE_gemscope"), &binary).unwrap();
    mode(&binary, 0o755);
    // Nobody sees neither the build folder nor the user's cache: the library goes where it can be
    // read, as the command does.
    let library = dir.path().join("libonnxruntime.so");
    fs::copy(crate::support::runtime().library.clone().unwrap(), &library).unwrap();
    mode(&library, 0o755);
    let out = dir.path().join("run");
    let mut command = if is_root {
        let mut command = assert_cmd::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        command
    } else {
        assert_cmd::Command::new(&binary)
    };
    let output = command
        .env("GEMSCOPE_CACHE", dir.path().join("cache"))
        .env("ORT_DYLIB_PATH", &library)
        .current_dir(dir.path())
        .arg("detect")
        .arg(&images)
        .args(["--labels", "star", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    mode(&images.join("locked"), 0o755);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let records = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    assert_eq!(records.len(), 2);
    assert!(records[0]["image"] == "good.png" && records[0]["status"] == "ok", "{}", records[0]);
    assert!(records[1]["image"] == "locked" && records[1]["status"] == "failed", "{}", records[1]);
    assert!(records[1]["reason"].as_str().unwrap().contains("cannot be listed"), "{}", records[1]);
}

#[test]
fn what_cannot_be_done_is_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let fails = |args: &[&str], says: &str| {
        gemscope()
            .arg("detect")
            .args(args)
            .arg("--out")
            .arg(&out)
            .assert()
            .code(1)
            .stdout("")
            .stderr(predicate::str::contains(says));
    };
    let folder = dir.path().to_str().unwrap();
    let shapes = fixture("shapes");
    let shapes = shapes.to_str().unwrap();
    fails(&[folder, "--labels", "star"], "no images in");
    fails(&["/no/such/folder", "--labels", "star"], "no such file or folder");
    fails(&[shapes], "--labels");
    fails(&[shapes, "--labels", ","], "--labels names nothing");
    fails(&[shapes, "--labels", "star", "--budget", "256"], "70, 140, 280, 560, 1120");
    fails(&[shapes, "--labels", "star", "--export", "tfrecord"], "unknown format");
    fails(&[shapes, "--labels", "x", "--model", folder], "no model found");
    fails(&[shapes, "--labels", "x", "--model", "/no/such/model"], "no such model directory");
    fails(&[shapes, "--labels", "star", "--ort-lib", "/no/such/library.so"], "/no/such/library.so");
    fails(&[shapes, "--prompt", "find {labels}", "--model", "demo"], "no --labels");
    fails(
        &[shapes, "--labels", "star", "--max-budget", "280"],
        "--max-budget goes with --budget auto",
    );
    fails(&[shapes, "--labels", "star", "--nms-agnostic"], "--nms-agnostic goes with --nms");
    fails(
        &[
            shapes,
            "--labels",
            "x",
            "--model",
            fixture("demo-model").to_str().unwrap(),
            "--dtype",
            "q4",
        ],
        "vision_encoder_q4.onnx",
    );
    assert!(!out.exists());
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_gemscope"))
        .arg("detect")
        .arg(fixture("shapes"))
        .args(["--labels", "star", "--dry-run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_second_label_that_stands_alone_is_no_input() {
    let images = fixture("shapes");
    gemscope()
        .arg("detect")
        .arg(images)
        .args(["--labels", "circle", "square", "--dry-run"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("no such file or folder: square"))
        .stderr(predicate::str::contains(
            "if \"square\" is a further label: --labels \"circle,square\"",
        ));
}

#[test]
fn a_label_without_its_flag_and_a_folder_that_is_not_there_are_said_first() {
    let asked = |inputs: &[&str], flags: &[&str]| {
        let assert = gemscope()
            .arg("detect")
            .arg(fixture("shapes"))
            .args(inputs)
            .args(flags)
            .arg("--dry-run")
            .assert()
            .code(1);
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    let said = asked(&["star"], &[]);
    assert!(said.contains("no such file or folder: star"), "{said}");
    assert!(said.contains("did you mean --labels \"star\"?") && !said.contains("nothing is asked"));
    // A path is no label, and what is asked needs no other.
    let said = asked(&["photos/old"], &[]);
    assert!(said.contains("no such file or folder: photos/old") && !said.contains("--labels"));
    let said = asked(&["star"], &["--phrase", "a red circle"]);
    assert!(said.contains("no such file or folder: star") && !said.contains("--labels"), "{said}");
    assert!(asked(&[], &[]).contains("nothing is asked"));
}

#[test]
fn what_says_how_a_server_is_asked_needs_a_server() {
    for flags in [["--server-model", "gemma4"], ["--concurrency", "8"], ["--server-wait", "5"]] {
        gemscope()
            .arg("detect")
            .arg(fixture("shapes"))
            .args(["--labels", "circle", "--dry-run"])
            .args(flags)
            .assert()
            .code(1)
            .stderr(
                predicate::str::contains(flags[0])
                    .and(predicate::str::contains(" goes with --server")),
            );
    }
}
