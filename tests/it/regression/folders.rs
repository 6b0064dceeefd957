//! A folder changes between two commands: images are deleted, renamed, moved, added.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

/// Scenes with a box each when the demo model is asked for shapes.
const SCENES: [&str; 4] = ["shapes/scene-01.png", "shapes/scene-02.png", "shapes/scene-06.png", "shapes/scene-16.png"];

/// The folder `images` with four scenes: a.png, b.png, c.png and d.png.
fn scenes(dir: &Path) -> std::path::PathBuf {
    folder_of(dir, &[(SCENES[0], "a.png"), (SCENES[1], "b.png"), (SCENES[2], "c.png"), (SCENES[3], "d.png")])
}

/// The rubric that the demo model knows.
fn rubric() -> std::path::PathBuf {
    fixture("../pipelines/demo-critique.toml")
}

/// `detect` in `dir`, over `inputs`, into `run`.
fn detect(dir: &Path, inputs: &[&str]) -> Command {
    let mut command = gemscope();
    command.current_dir(dir).arg("detect").args(inputs);
    command.args(["--prompt", "detect shape", "--budget", "70", "--json", "--out", "run"]);
    command
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// The summary of a command that ended with `code`.
fn summary(command: &mut Command, code: i32) -> Value {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn export(dir: &Path, flags: &[&str]) -> Output {
    gemscope().current_dir(dir).args(["export", "run"]).args(flags).output().unwrap()
}

/// The images in the COCO file of `run` in `dir`.
fn coco_images(dir: &Path) -> Vec<String> {
    let coco = json(dir.join("run/instances.json"));
    let images = coco["images"].as_array().unwrap().iter();
    images.map(|image| image["file_name"].as_str().unwrap().to_owned()).collect()
}

/// The names in `counts.csv` of `run` in `dir`.
fn counted(dir: &Path) -> Vec<String> {
    let mut table = csv::Reader::from_path(dir.join("run/counts.csv")).unwrap();
    table.records().map(|row| row.unwrap()[0].to_owned()).collect()
}

/// Every file below `folder`, with its bytes.
fn files(folder: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| !entry.file_type().is_dir());
    files.map(|file| (file.path().display().to_string(), fs::read(file.path()).unwrap_or_default())).collect()
}

#[test]
fn deleted_images_leave_the_exports_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    assert_eq!(summary(&mut detect(dir.path(), &["images"]), 0)["missing"], 0);
    fs::remove_file(images.join("b.png")).unwrap();
    let output = detect(dir.path(), &["images"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 image is not there any more"), "{}", said(&output));
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&again["missing"], &again["images"], &again["resumed"]), (&1.into(), &3.into(), &3.into()));
    assert_eq!(
        (coco_images(dir.path()), counted(dir.path()).len()),
        (["a.png", "c.png", "d.png"].map(String::from).into(), 3)
    );
    // The same holds for what is written later.
    fs::remove_file(images.join("c.png")).unwrap();
    let output = export(dir.path(), &["--to", "coco,counts,jsonl,crops,yolo"]);
    assert!(output.status.success() && said(&output).contains("2 images are not there any more"), "{}", said(&output));
    assert_eq!((coco_images(dir.path()), counted(dir.path()).len()), (["a.png", "d.png"].map(String::from).into(), 2));
    assert_eq!(fs::read_to_string(dir.path().join("run/detections.jsonl")).unwrap().lines().count(), 2);
    // The journal has them all, and gives them to an archive.
    assert_eq!(json_lines(fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap()).len(), 4);
    assert!(export(dir.path(), &["--to", "coco,counts", "--keep-missing"]).status.success());
    assert_eq!((coco_images(dir.path()).len(), counted(dir.path()).len()), (4, 4));
    let kept = summary(detect(dir.path(), &["images"]).args(["--keep-missing", "--export", "coco"]), 0);
    assert_eq!((&kept["missing"], &kept["images"], coco_images(dir.path()).len()), (&2.into(), &4.into(), 4));
}

#[test]
fn an_image_that_could_not_be_read_and_was_deleted_fails_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    fs::write(images.join("broken.png"), "no image").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere.png", images.join("dangling.png")).unwrap();
    summary(&mut detect(dir.path(), &["images"]), 2);
    fs::remove_file(images.join("broken.png")).unwrap();
    #[cfg(unix)]
    fs::remove_file(images.join("dangling.png")).unwrap();
    let again = summary(&mut detect(dir.path(), &["images"]), 0);
    assert_eq!((&again["images"], &again["failures"]), (&4.into(), &serde_json::json!([])));
}

#[test]
fn a_disk_that_is_not_mounted_is_no_deletion() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    summary(&mut detect(dir.path(), &["images"]), 0);
    let crops = files(&dir.path().join("run/crops"));
    assert!(!crops.is_empty());
    for (name, remains) in [("nothing", false), ("an empty folder", true)] {
        fs::rename(&images, dir.path().join("elsewhere")).unwrap();
        if remains {
            fs::create_dir(&images).unwrap();
        }
        let output = export(dir.path(), &["--to", "coco,counts"]);
        assert!(output.status.success() && said(&output).contains("not mounted"), "{name}: {}", said(&output));
        assert_eq!((coco_images(dir.path()).len(), counted(dir.path()).len()), (4, 4), "{name}");
        // Crops that cannot be cut again are not thrown away.
        let output = export(dir.path(), &["--to", "crops"]);
        assert!(!output.status.success() && said(&output).contains("stays as it was"), "{name}: {}", said(&output));
        assert_eq!(files(&dir.path().join("run/crops")), crops, "{name}");
        if remains {
            fs::remove_dir(&images).unwrap();
        }
        fs::rename(dir.path().join("elsewhere"), &images).unwrap();
    }
    assert!(export(dir.path(), &["--to", "crops"]).status.success());
}

#[cfg(unix)]
#[test]
fn frames_that_moved_do_not_empty_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let frames = folder_of(dir.path(), &[(SCENES[0], "a.png"), (SCENES[1], "b.png")]);
    let critique = |flags: &[&str]| {
        let mut command = gemscope();
        command.current_dir(dir.path()).args(["critique", "--quiet", "--out", "run"]).arg("--rubric").arg(rubric());
        command.args(flags).output().unwrap()
    };
    assert!(critique(&["images", "--sort", "link"]).status.success());
    let sorted = files(&dir.path().join("run/sorted"));
    assert_eq!(sorted.len(), 2);
    fs::rename(&frames, dir.path().join("renamed")).unwrap();
    let output = critique(&["--report-only", "--sort", "link"]);
    assert!(!output.status.success() && said(&output).contains("stays as it was"), "{}", said(&output));
    let names = |files: &BTreeSet<(String, Vec<u8>)>| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&files(&dir.path().join("run/sorted"))), names(&sorted));
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_named_and_not_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    summary(&mut detect(dir.path(), &["images"]), 0);
    fs::remove_file(images.join("b.png")).unwrap();
    std::os::unix::fs::symlink("nowhere.png", images.join("b.png")).unwrap();
    let output = export(dir.path(), &["--to", "crops"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("images/b.png: cannot be read"), "{}", said(&output));
}

#[test]
fn a_seed_of_minus_one_stops_no_run() {
    let dir = tempfile::tempdir().unwrap();
    folder_of(dir.path(), &[(SCENES[0], "a.png"), (SCENES[1], "b.png")]);
    fs::write(dir.path().join("made.csv"), "image,prompt,seed\na.png,a star,-1\nb.png,a star,7\n").unwrap();
    let output = gemscope()
        .current_dir(dir.path())
        .args(["critique", "images", "--generation", "made.csv", "--export", "jsonl", "--out", "run", "--rubric"])
        .arg(rubric())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let verdicts = json_lines(fs::read_to_string(dir.path().join("run/verdicts.jsonl")).unwrap());
    assert_eq!((&verdicts[0]["generation"]["seed"], &verdicts[1]["generation"]["seed"]), (&Value::Null, &7.into()));
    assert_eq!(verdicts[0]["generation"]["prompt"], "a star");
}

#[test]
fn rows_of_generation_that_match_nothing_are_named_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    folder_of(dir.path(), &[(SCENES[0], "a.png")]);
    fs::write(dir.path().join("made.csv"), "image,prompt\nimages/a.png,a star\nb.png,a star\n").unwrap();
    let output = gemscope()
        .current_dir(dir.path())
        .args([
            "critique",
            "images",
            "--generation",
            "made.csv",
            "--export",
            "none",
            "--json",
            "--out",
            "run",
            "--rubric",
        ])
        .arg(rubric())
        .output()
        .unwrap();
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["rows_of_no_frame"], 2);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("b.png, images/a.png (a frame is called a.png)"), "{stderr}");
}
