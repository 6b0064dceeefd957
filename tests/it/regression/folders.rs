//! A folder changes between two commands: images are deleted, renamed, moved, added.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

/// Scenes with a box each when the demo model is asked for shapes.
const SCENES: [&str; 4] =
    ["shapes/scene-01.png", "shapes/scene-02.png", "shapes/scene-06.png", "shapes/scene-16.png"];

/// The folder `images` with four scenes: a.png, b.png, c.png and d.png.
fn scenes(dir: &Path) -> std::path::PathBuf {
    folder_of(
        dir,
        &[(SCENES[0], "a.png"), (SCENES[1], "b.png"), (SCENES[2], "c.png"), (SCENES[3], "d.png")],
    )
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
    files
        .map(|file| (file.path().display().to_string(), fs::read(file.path()).unwrap_or_default()))
        .collect()
}

#[test]
fn deleted_images_leave_the_exports_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    assert_eq!(summary(&mut detect(dir.path(), &["images"]), 0)["missing"], 0);
    fs::remove_file(images.join("b.png")).unwrap();
    let output = detect(dir.path(), &["images"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("1 image is not there any more"),
        "{}",
        said(&output)
    );
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&again["missing"], &again["images"], &again["resumed"]),
        (&1.into(), &3.into(), &3.into())
    );
    assert_eq!(
        (coco_images(dir.path()), counted(dir.path()).len()),
        (["a.png", "c.png", "d.png"].map(String::from).into(), 3)
    );
    // The same holds for what is written later.
    fs::remove_file(images.join("c.png")).unwrap();
    let output = export(dir.path(), &["--to", "coco,counts,jsonl,crops,yolo"]);
    assert!(
        output.status.success() && said(&output).contains("2 images are not there any more"),
        "{}",
        said(&output)
    );
    assert_eq!(
        (coco_images(dir.path()), counted(dir.path()).len()),
        (["a.png", "d.png"].map(String::from).into(), 2)
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("run/detections.jsonl")).unwrap().lines().count(),
        2
    );
    // The journal has them all, and gives them to an archive.
    assert_eq!(
        json_lines(fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap()).len(),
        4
    );
    assert!(export(dir.path(), &["--to", "coco,counts", "--keep-missing"]).status.success());
    assert_eq!((coco_images(dir.path()).len(), counted(dir.path()).len()), (4, 4));
    let kept =
        summary(detect(dir.path(), &["images"]).args(["--keep-missing", "--export", "coco"]), 0);
    assert_eq!(
        (&kept["missing"], &kept["images"], coco_images(dir.path()).len()),
        (&2.into(), &4.into(), 4)
    );
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
    assert!(export(dir.path(), &["--to", "counts"]).status.success());
    assert_eq!(counted(dir.path()).len(), 4);
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
        assert!(
            output.status.success() && said(&output).contains("not mounted"),
            "{name}: {}",
            said(&output)
        );
        assert_eq!((coco_images(dir.path()).len(), counted(dir.path()).len()), (4, 4), "{name}");
        // Crops that cannot be cut again are not thrown away.
        let output = export(dir.path(), &["--to", "crops"]);
        assert!(
            !output.status.success() && said(&output).contains("stays as it was"),
            "{name}: {}",
            said(&output)
        );
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
        command
            .current_dir(dir.path())
            .args(["critique", "--quiet", "--out", "run"])
            .arg("--rubric")
            .arg(rubric());
        command.args(flags).output().unwrap()
    };
    assert!(critique(&["images", "--sort", "link"]).status.success());
    let sorted = files(&dir.path().join("run/sorted"));
    assert_eq!(sorted.len(), 2);
    fs::rename(&frames, dir.path().join("renamed")).unwrap();
    let output = critique(&["--report-only", "--sort", "link"]);
    assert!(
        !output.status.success() && said(&output).contains("stays as it was"),
        "{}",
        said(&output)
    );
    let names = |files: &BTreeSet<(String, Vec<u8>)>| {
        files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
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
    fs::write(dir.path().join("made.csv"), "image,prompt,seed\na.png,a star,-1\nb.png,a star,7\n")
        .unwrap();
    let output = gemscope()
        .current_dir(dir.path())
        .args([
            "critique",
            "images",
            "--generation",
            "made.csv",
            "--export",
            "jsonl",
            "--out",
            "run",
            "--rubric",
        ])
        .arg(rubric())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let verdicts = json_lines(fs::read_to_string(dir.path().join("run/verdicts.jsonl")).unwrap());
    assert_eq!(
        (&verdicts[0]["generation"]["seed"], &verdicts[1]["generation"]["seed"]),
        (&Value::Null, &7.into())
    );
    assert_eq!(verdicts[0]["generation"]["prompt"], "a star");
}

#[test]
fn rows_of_generation_that_match_nothing_are_named_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    folder_of(dir.path(), &[(SCENES[0], "a.png")]);
    fs::write(dir.path().join("made.csv"), "image,prompt\nimages/a.png,a star\nb.png,a star\n")
        .unwrap();
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

fn put(scene: &str, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(fixture(scene), to).unwrap();
}

/// The exports that hold names, of `run` in `dir`, and what an uninterrupted run over `inputs`
/// writes.
fn assert_as_uninterrupted(dir: &Path, inputs: &[&str]) {
    const FILES: [&str; 4] = ["instances.json", "results.json", "counts.csv", "detections.jsonl"];
    let mut fresh = gemscope();
    fresh.current_dir(dir).arg("detect").args(inputs);
    fresh.args(["--prompt", "detect shape", "--budget", "70", "--quiet", "--out", "uninterrupted"]);
    assert!(fresh.output().unwrap().status.success());
    for file in FILES {
        let [given, expected] = ["run", "uninterrupted"]
            .map(|run| fs::read_to_string(dir.join(run).join(file)).unwrap());
        assert_eq!(given, expected, "{file}");
    }
    let crops = |run: &str| {
        files(&dir.join(run).join("crops")).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    assert_eq!(crops("run").len(), crops("uninterrupted").len());
    fs::remove_dir_all(dir.join("uninterrupted")).unwrap();
}

#[test]
fn renamed_images_keep_their_answers() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    // A picture that breaks off failed before, and is not tried again under another name.
    let picture = fs::read(images.join("a.png")).unwrap();
    fs::write(images.join("broken.png"), &picture[..picture.len() / 2]).unwrap();
    summary(&mut detect(dir.path(), &["images"]), 2);
    fs::create_dir(images.join("best")).unwrap();
    for (from, to) in [("a.png", "z.png"), ("b.png", "best/b.png"), ("broken.png", "best/x.png")] {
        fs::rename(images.join(from), images.join(to)).unwrap();
    }
    let again = summary(&mut detect(dir.path(), &["images"]), 2);
    assert_eq!(
        (&again["resumed"], &again["moved"], &again["missing"]),
        (&5.into(), &3.into(), &0.into()),
        "{again}"
    );
    assert_eq!(again["effort"]["generated_tokens"], 0, "nothing is asked");
    fs::remove_file(images.join("best/x.png")).unwrap();
    summary(&mut detect(dir.path(), &["images"]), 0);
    assert_eq!(coco_images(dir.path()), ["best/b.png", "c.png", "d.png", "z.png"]);
    assert_as_uninterrupted(dir.path(), &["images"]);
    // The report counts images, not names.
    let report =
        gemscope().current_dir(dir.path()).args(["report", "run", "--json"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&report.stdout).unwrap()["images"], 5);
}

#[test]
fn copies_and_hard_links_are_asked_and_take_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    summary(&mut detect(dir.path(), &["images"]), 0);
    fs::copy(images.join("a.png"), images.join("copy.png")).unwrap();
    fs::hard_link(images.join("b.png"), images.join("link.png")).unwrap();
    let again = summary(&mut detect(dir.path(), &["images"]), 0);
    assert_eq!(
        (&again["images"], &again["resumed"], &again["moved"]),
        (&6.into(), &4.into(), &0.into())
    );
    // Two new names of one old one: an answer moves once.
    fs::copy(images.join("c.png"), images.join("c1.png")).unwrap();
    fs::rename(images.join("c.png"), images.join("c2.png")).unwrap();
    let again = summary(&mut detect(dir.path(), &["images"]), 0);
    assert_eq!(
        (&again["images"], &again["resumed"], &again["moved"]),
        (&7.into(), &6.into(), &1.into())
    );
    assert_as_uninterrupted(dir.path(), &["images"]);
}

#[test]
fn sampled_answers_are_drawn_anew_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    let sample = || {
        let mut command = detect(dir.path(), &["images"]);
        command.args(["--temperature", "1.5", "--seed", "3"]);
        summary(&mut command, 0)
    };
    sample();
    fs::rename(images.join("a.png"), images.join("z.png")).unwrap();
    let again = sample();
    assert_eq!(
        (&again["resumed"], &again["moved"], &again["missing"]),
        (&3.into(), &0.into(), &1.into())
    );
}

#[test]
fn a_folder_that_was_renamed_or_moved_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    scenes(dir.path());
    summary(&mut detect(dir.path(), &["images"]), 0);
    fs::create_dir(dir.path().join("archive")).unwrap();
    for (from, to) in [("images", "pictures"), ("pictures", "archive/pictures")] {
        fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
        let again = summary(&mut detect(dir.path(), &[to]), 0);
        assert_eq!(
            (&again["resumed"], &again["moved"], &again["missing"]),
            (&4.into(), &0.into(), &0.into()),
            "{to}"
        );
        assert_eq!(coco_images(dir.path()), ["a.png", "b.png", "c.png", "d.png"], "{to}");
    }
    // The old mount point stays as an empty folder; and one more image has come.
    fs::create_dir(dir.path().join("mnt")).unwrap();
    fs::rename(dir.path().join("archive/pictures"), dir.path().join("mnt/disk")).unwrap();
    fs::create_dir(dir.path().join("archive/pictures")).unwrap();
    put("shapes/scene-07.png", &dir.path().join("mnt/disk/e.png"));
    let again = summary(&mut detect(dir.path(), &["mnt/disk"]), 0);
    assert_eq!(
        (&again["resumed"], &again["images"], &again["missing"]),
        (&4.into(), &5.into(), &0.into())
    );
    // The folder above it, where the names are other ones.
    fs::rename(dir.path().join("mnt"), dir.path().join("media")).unwrap();
    let again = summary(&mut detect(dir.path(), &["media"]), 0);
    assert_eq!(
        (&again["resumed"], &again["moved"], &again["missing"]),
        (&5.into(), &5.into(), &0.into())
    );
    assert_as_uninterrupted(dir.path(), &["media"]);
}

#[test]
fn a_second_folder_beside_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // Images of one name, and of another content, in both.
    for (scene, name) in
        [(0, "one/x.png"), (1, "one/y.png"), (2, "two/x.png"), (3, "two/deep/z.png"), (3, "x.png")]
    {
        put(SCENES[scene], &dir.path().join("in").join(name));
    }
    summary(&mut detect(dir.path(), &["in/one"]), 0);
    assert_eq!(coco_images(dir.path()), ["x.png", "y.png"]);
    let both = ["one/x.png", "one/y.png", "two/deep/z.png", "two/x.png"];
    let again = summary(&mut detect(dir.path(), &["in/two"]), 0);
    assert_eq!(
        (&again["images"], &again["resumed"], &again["missing"]),
        (&4.into(), &0.into(), &0.into())
    );
    assert_eq!(coco_images(dir.path()), both);
    assert_as_uninterrupted(dir.path(), &["in/one", "in/two"]);
    // Together, one of them, a folder in it: all are known.
    for (inputs, images) in [
        (&["in/two", "in/one"][..], 4),
        (&["in/one"], 2),
        (&["in/two/deep"], 1),
        (&["in/one/x.png"], 1),
    ] {
        let again = summary(&mut detect(dir.path(), inputs), 0);
        assert_eq!(
            (&again["images"], &again["resumed"], &again["moved"]),
            (&4.into(), &images.into(), &0.into()),
            "{inputs:?}"
        );
        assert_eq!(coco_images(dir.path()), both);
    }
    // The folder above has an image of a name that the first one's had alone at first.
    let again = summary(&mut detect(dir.path(), &["in"]), 0);
    assert_eq!(
        (&again["images"], &again["resumed"], &again["moved"]),
        (&5.into(), &4.into(), &0.into())
    );
    assert_as_uninterrupted(dir.path(), &["in"]);
    // Deleted images of either folder are counted.
    fs::remove_file(dir.path().join("in/one/x.png")).unwrap();
    let again = summary(&mut detect(dir.path(), &["in/two"]), 0);
    assert_eq!((&again["images"], &again["missing"]), (&4.into(), &1.into()));
    assert_as_uninterrupted(dir.path(), &["in"]);
}

#[test]
fn a_foreign_journal_is_in_no_export() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    let other = tempfile::tempdir().unwrap();
    folder_of(other.path(), &[("shapes/scene-07.png", "p.png"), ("shapes/scene-09.png", "a.png")]);
    summary(&mut detect(dir.path(), &["images"]), 0);
    summary(&mut detect(other.path(), &["images"]), 0);
    fs::copy(other.path().join("run/journal.jsonl"), dir.path().join("run/journal.jsonl")).unwrap();
    let again = summary(&mut detect(dir.path(), &["images"]), 0);
    assert_eq!(
        (&again["images"], &again["resumed"], &again["missing"]),
        (&4.into(), &0.into(), &1.into())
    );
    assert_eq!(coco_images(dir.path()), ["a.png", "b.png", "c.png", "d.png"]);
    assert_as_uninterrupted(dir.path(), &["images"]);
    drop(images);
}

#[test]
fn a_table_of_prompts_may_grow_and_change() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    fs::remove_file(images.join("d.png")).unwrap();
    let detect = |rows: &str| {
        fs::write(dir.path().join("prompts.csv"), format!("image,labels\n{rows}")).unwrap();
        let mut command = gemscope();
        command.current_dir(dir.path()).args([
            "detect",
            "images",
            "--prompts",
            "prompts.csv",
            "--json",
            "--out",
            "run",
        ]);
        let summary = summary(&mut command, 0);
        (
            summary["images"].as_u64().unwrap(),
            summary["resumed"].as_u64().unwrap(),
            summary["moved"].as_u64().unwrap(),
        )
    };
    assert_eq!(detect("a.png,star\nb.png,circle\nc.png,square\n"), (3, 0, 0));
    // A row for a new image; another question about one; a renamed image with the same question,
    // and with another.
    put(SCENES[3], &images.join("d.png"));
    assert_eq!(detect("a.png,star\nb.png,circle\nc.png,square\nd.png,star\n"), (4, 3, 0));
    assert_eq!(detect("a.png,triangle\nb.png,circle\nc.png,square\nd.png,star\n"), (4, 3, 0));
    fs::rename(images.join("a.png"), images.join("e.png")).unwrap();
    fs::rename(images.join("b.png"), images.join("f.png")).unwrap();
    assert_eq!(detect("c.png,square\nd.png,star\ne.png,triangle\nf.png,star\n"), (4, 3, 1));
    let labels =
        json(dir.path().join("run/run.json"))["settings"]["image_prompts"]["labels"].clone();
    assert_eq!(labels, serde_json::json!(["star", "circle", "square", "triangle"]));
}

#[test]
fn another_question_is_refused_with_a_way_on() {
    let dir = tempfile::tempdir().unwrap();
    scenes(dir.path());
    summary(&mut detect(dir.path(), &["images"]), 0);
    let output = gemscope()
        .current_dir(dir.path())
        .args(["detect", "images", "--labels", "star", "--budget", "70", "--quiet", "--out", "run"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("task"), "{stderr}");
    for way in [
        "another --out",
        "gemscope export run --to FORMATS --min-score",
        "gemscope export run OTHER-RUN",
        "--fresh",
    ] {
        assert!(stderr.contains(way), "{way}: {stderr}");
    }
}

#[test]
fn threads_batches_and_exports_are_no_other_run() {
    let dir = tempfile::tempdir().unwrap();
    scenes(dir.path());
    summary(&mut detect(dir.path(), &["images"]), 0);
    let mut again = detect(dir.path(), &["images"]);
    again.args([
        "--threads",
        "1",
        "--batch",
        "2",
        "--export",
        "csv,jsonl",
        "--sync-every",
        "0",
        "--max-pixels",
        "1000000",
    ]);
    assert_eq!(summary(&mut again, 0)["resumed"], 4);
}

#[test]
fn critique_goes_on_after_a_rename_and_beside_another_folder() {
    let dir = tempfile::tempdir().unwrap();
    for (scene, name) in [(0, "one/a.png"), (1, "one/b.png"), (2, "two/a.png")] {
        put(SCENES[scene], &dir.path().join(name));
    }
    let critique = |flags: &[&str]| {
        let mut command = gemscope();
        command
            .current_dir(dir.path())
            .args(["critique", "--json", "--out", "run", "--rubric"])
            .arg(rubric());
        let figures = summary(command.args(flags), 0);
        (
            figures["frames"].as_u64().unwrap(),
            figures["run"]["resumed"].as_u64(),
            figures["missing"].as_u64().unwrap(),
        )
    };
    assert_eq!(critique(&["one"]), (2, Some(0), 0));
    fs::rename(dir.path().join("one/b.png"), dir.path().join("one/c.png")).unwrap();
    assert_eq!(critique(&["one"]), (2, Some(2), 0));
    fs::rename(dir.path().join("one"), dir.path().join("first")).unwrap();
    assert_eq!(critique(&["first"]), (2, Some(2), 0));
    assert_eq!(critique(&["two"]), (3, Some(0), 0));
    assert_eq!(critique(&["--report-only"]), (3, None, 0));
    fs::remove_file(dir.path().join("first/a.png")).unwrap();
    assert_eq!(critique(&["--report-only"]), (2, None, 1));
    assert_eq!(critique(&["--report-only", "--keep-missing", "--export", "jsonl"]), (3, None, 1));
    assert_eq!(critique(&["first", "two"]), (2, Some(2), 1));
}

#[test]
fn a_list_of_kept_frames_is_read_from_any_folder() {
    let dir = tempfile::tempdir().unwrap();
    let frames = folder_of(dir.path(), &[(SCENES[0], "a.png"), (SCENES[1], "b.png")]);
    put(SCENES[2], &frames.join("sub/c.png"));
    // A file of the same name where the command is run is not meant.
    put(SCENES[3], &dir.path().join("a.png"));
    let all = dir.path().join("all.toml");
    let demo = fs::read_to_string(rubric()).unwrap();
    let (axes, _) = demo.split_once("[gate]").unwrap();
    fs::write(&all, format!("{axes}\n[gate]\nrules = ['keep otherwise']\n")).unwrap();
    let mut critique = gemscope();
    critique
        .current_dir(dir.path())
        .args(["critique", "images", "--quiet", "--out", "runs/frames", "--rubric"])
        .arg(all);
    assert!(critique.output().unwrap().status.success());
    for (from, list) in [
        (".", "@runs/frames/keep.txt"),
        ("runs/frames", "@keep.txt"),
        ("images", "@../runs/frames/keep.txt"),
    ] {
        let out = dir.path().join("found").join(from.replace('.', "here"));
        let mut command = gemscope();
        command.current_dir(dir.path().join(from)).args([
            "detect",
            list,
            "--prompt",
            "detect shape",
            "--json",
        ]);
        let found =
            summary(command.args(["--budget", "70", "--export", "jsonl", "--out"]).arg(&out), 0);
        assert_eq!(found["images"], 3, "{from}");
        let records = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
        let names: Vec<&str> =
            records.iter().map(|record| record["image"].as_str().unwrap()).collect();
        assert_eq!(names, ["a.png", "b.png", "sub/c.png"], "{from}");
        assert_eq!(json(out.join("run.json"))["root"], frames.to_str().unwrap(), "{from}");
    }
}

#[test]
fn the_last_copy_of_a_frame_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let frames =
        folder_of(dir.path(), &[(SCENES[0], "a.png"), (SCENES[1], "b.png"), (SCENES[2], "c.png")]);
    let sort = |flags: &[&str]| {
        let mut command = gemscope();
        command
            .current_dir(dir.path())
            .args(["critique", "--export", "lists", "--out", "run", "--rubric"])
            .arg(rubric());
        command.args(flags).output().unwrap()
    };
    let sorted = || {
        let copies = files(&dir.path().join("run/sorted")).into_iter();
        copies
            .map(|(name, bytes)| (name.rsplit('/').next().unwrap().to_owned(), bytes))
            .collect::<Vec<_>>()
    };
    assert!(sort(&["images", "--sort", "copy"]).status.success());
    let before = sorted();
    assert_eq!(before.len(), 3);
    // A renamed frame is under its new name alone; the copy of a deleted one stays, whatever is
    // asked for.
    let deleted = fs::read(frames.join("b.png")).unwrap();
    fs::rename(frames.join("a.png"), frames.join("z.png")).unwrap();
    fs::remove_file(frames.join("b.png")).unwrap();
    for (flags, is_said) in [
        (&["images", "--sort", "copy"][..], true),
        (&["--report-only", "--sort", "copy"], false), // it is the user's since
        (&["--report-only", "--sort", "link"], false),
    ] {
        let output = sort(flags);
        let says = said(&output).contains("1 copy of an image that is gone stays in sorted/");
        assert!(output.status.success() && says == is_said, "{}", said(&output));
        let mut names: Vec<(String, Vec<u8>)> = sorted();
        names.sort();
        assert_eq!(
            names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["b.png", "c.png", "z.png"],
            "{flags:?}"
        );
        assert_eq!(names[0].1, deleted);
    }
    assert_eq!(
        fs::read_to_string(dir.path().join("run/keep.txt")).unwrap().matches("b.png").count(),
        0
    );
}

#[test]
fn the_last_copies_outlive_a_fresh_run_and_a_new_export() {
    let dir = tempfile::tempdir().unwrap();
    let copies = || {
        let files = files(&dir.path().join("run")).into_iter();
        files
            .filter(|(name, _)| name.ends_with("b.png"))
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
    };
    let frames = folder_of(dir.path(), &[(SCENES[0], "a.png"), (SCENES[1], "b.png")]);
    let bytes = fs::read(frames.join("b.png")).unwrap();
    let critique = |flags: &[&str]| {
        let mut command = gemscope();
        let out = [
            "critique", "images", "--export", "lists", "--sort", "copy", "--out", "run", "--rubric",
        ];
        command.current_dir(dir.path()).args(out).arg(rubric()).args(flags).output().unwrap()
    };
    assert!(critique(&[]).status.success());
    fs::remove_file(frames.join("b.png")).unwrap();
    let output = critique(&["--fresh"]);
    assert!(
        output.status.success()
            && said(&output).contains("1 copy of an image that is gone stays in sorted")
    );
    assert_eq!(copies(), std::slice::from_ref(&bytes));
    fs::remove_dir_all(dir.path().join("run")).unwrap();
    for (formats, flags) in
        [("yolo", &["--copy-images"][..]), ("voc", &["--copy-images"]), ("yolo,voc", &[])]
    {
        fs::write(frames.join("b.png"), &bytes).unwrap();
        summary(&mut detect(dir.path(), &["images", "--fresh"]), 0);
        let to = [&["--to", formats][..], flags].concat();
        assert!(export(dir.path(), &to).status.success());
        let written = copies().len();
        fs::remove_file(frames.join("b.png")).unwrap();
        let output = export(dir.path(), &to);
        assert!(
            output.status.success()
                && said(&output).contains("1 copy of an image that is gone stays in")
        );
        assert!(
            copies().len() == written && copies().iter().all(|copy| *copy == bytes),
            "{formats}"
        );
        let named = files(&dir.path().join("run")).into_iter();
        let is_named = |(name, bytes): (String, Vec<u8>)| {
            name.starts_with("voc/ImageSets")
                && String::from_utf8_lossy(&bytes).lines().any(|line| line == "b")
        };
        assert!(!named.into_iter().any(is_named));
        fs::remove_dir_all(dir.path().join("run")).unwrap();
    }
}

#[test]
fn crops_of_archived_images_stay_with_their_records() {
    let dir = tempfile::tempdir().unwrap();
    let images = scenes(dir.path());
    summary(detect(dir.path(), &["images"]).args(["--export", "crops,overlay"]), 0);
    let pictures =
        || [files(&dir.path().join("run/crops")), files(&dir.path().join("run/overlays"))];
    let all = pictures();
    for name in ["a.png", "c.png", "d.png"] {
        fs::remove_file(images.join(name)).unwrap();
    }
    let output = export(dir.path(), &["--to", "crops,overlay", "--keep-missing"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(pictures(), all);
    // Without it they leave, as the image has left everything else.
    assert!(export(dir.path(), &["--to", "crops,overlay"]).status.success());
    assert!(
        pictures().iter().zip(&all).all(|(left, all)| !left.is_empty() && left.len() < all.len())
    );
}
