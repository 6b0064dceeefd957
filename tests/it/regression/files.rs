//! Files of the user's in directories that gemscope writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::str::contains;

use crate::support::{fixture, folder_of, gemscope};

/// A folder of these images, and a run of answers about them: one box in each.
fn run_over(dir: &Path, names: &[&str]) -> (PathBuf, PathBuf) {
    let copies: Vec<(&str, &str)> =
        names.iter().map(|name| ("shapes/scene-01.png", *name)).collect();
    let images = folder_of(dir, &copies);
    let run = dir.join("run");
    parse(&run, names).assert().success();
    (images, run)
}

fn parse(run: &Path, names: &[&str]) -> Command {
    let text = r#"[{"box_2d": [100, 100, 500, 600], "label": "star"}]"#;
    let line = |name: &&str| {
        serde_json::json!({"image": name, "width": 384, "height": 384, "text": text}).to_string()
            + "\n"
    };
    let mut command = gemscope();
    command
        .args(["parse", "-", "--out"])
        .arg(run)
        .write_stdin(names.iter().map(line).collect::<String>());
    command
}

fn export(run: &Path, images: &Path, formats: &str) -> Command {
    let mut command = gemscope();
    command.arg("export").arg(run).args(["--to", formats, "--images"]).arg(images);
    command
}

/// Every file under `folder` by its path, with its bytes; but for those of gemscope's own
/// housekeeping.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let name = entry.path().strip_prefix(folder).unwrap().to_owned();
        (name, fs::read(entry.path()).unwrap())
    });
    files.filter(|(name, _)| !name.starts_with(".lock") && !name.starts_with(".gemscope")).collect()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A critique of one frame by the demo model.
fn critique(dir: &Path) -> PathBuf {
    let frames = folder_of(dir, &[("shapes/scene-16.png", "frame.png")]);
    let run = dir.join("run");
    let mut command = gemscope();
    command
        .arg("critique")
        .arg(frames)
        .arg("--rubric")
        .arg(fixture("../pipelines/demo-critique.toml"));
    command.args([
        "--model",
        fixture("demo-model").to_str().unwrap(),
        "--export",
        "lists",
        "--sort",
        "copy",
        "--out",
    ]);
    command.arg(&run).assert().success();
    run
}

fn report_only(run: &Path) -> Command {
    let mut command = gemscope();
    command
        .args(["critique", "--report-only", "--export", "lists", "--sort", "link", "--out"])
        .arg(run);
    command
}

#[test]
fn captions_beside_sorted_frames_stay() {
    let dir = tempfile::tempdir().unwrap();
    let run = critique(dir.path());
    let mine = ["keep/frame.txt", "keep/retouched.png", "review/notes/why.md", "best/frame.png"];
    for name in mine {
        write(&run.join("sorted").join(name), "mine");
    }
    report_only(&run).assert().success();
    for name in mine {
        assert_eq!(fs::read_to_string(run.join("sorted").join(name)).unwrap(), "mine", "{name}");
    }
    let sorted: Vec<_> =
        ["keep", "review", "reject"].map(|verdict| run.join("sorted").join(verdict)).into();
    let links = sorted.iter().filter(|verdict| verdict.join("frame.png").is_symlink()).count();
    assert_eq!(links, 1, "the copy became a link");
}

#[test]
fn a_report_on_a_run_that_is_being_written_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = critique(dir.path());
    let lock = fs::OpenOptions::new().write(true).open(run.join(".lock")).unwrap();
    lock.lock().unwrap();
    report_only(&run).assert().code(1).stderr(contains("another process is writing"));
}

#[test]
fn files_of_the_users_in_exports_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png", "b.png"]);
    let again = || {
        export(&run, &images, "coco,yolo,voc,label-studio,crops,overlay,html")
            .arg("--write-upright")
            .assert()
            .success()
    };
    again();
    let folders = [
        "upright",
        "yolo/labels/train",
        "voc/Annotations",
        "label-studio",
        "crops",
        "overlays",
        "report/thumbnails",
    ];
    let mine: Vec<PathBuf> =
        folders.iter().map(|folder| run.join(folder).join("mine/of me.txt")).collect();
    for path in &mine {
        write(path, "mine");
    }
    again();
    for path in mine {
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), "mine", "{}", path.display());
    }
}

#[test]
fn parts_of_an_earlier_split_do_not_stay_beside_other_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png", "b.png"]);
    export(&run, &images, "coco").args(["--split", "0.5", "--write-upright"]).assert().success();
    assert!(run.join("instances_val.json").exists() && run.join("upright/a.png").exists());
    export(&run, &images, "coco").assert().success();
    let left: Vec<PathBuf> = files(&run).into_keys().collect();
    // Its answers have no scores, so there is no results.json.
    assert_eq!(left, ["instances.json", "journal.jsonl", "run.json"].map(PathBuf::from));
}

#[test]
fn a_retouched_crop_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png", "b.png"]);
    export(&run, &images, "crops").assert().success();
    let crop = run.join("crops/a.png_000_star.png");
    fs::write(&crop, "retouched").unwrap();
    export(&run, &images, "crops")
        .assert()
        .code(1)
        .stderr(contains("crops/a.png_000_star.png"))
        .stderr(contains("--adopt"));
    assert_eq!(fs::read(&crop).unwrap(), b"retouched");
    export(&run, &images, "crops").arg("--adopt").assert().success();
    assert_ne!(fs::read(&crop).unwrap(), b"retouched");
}

#[test]
fn exports_of_an_older_version_are_taken_over_where_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png"]);
    export(&run, &images, "jsonl,crops").assert().success();
    let _ = fs::remove_dir_all(run.join(".gemscope"));
    let before = files(&run);
    export(&run, &images, "jsonl,crops").assert().success();
    assert_eq!(files(&run), before);
    // Another version may have written it otherwise.
    let _ = fs::remove_dir_all(run.join(".gemscope"));
    fs::write(run.join("detections.jsonl"), "of before").unwrap();
    export(&run, &images, "jsonl").assert().code(1).stderr(contains("detections.jsonl"));
    assert_eq!(fs::read(run.join("detections.jsonl")).unwrap(), b"of before");
}

#[test]
fn a_run_json_of_another_tool_is_no_leave_to_delete() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("experiment");
    write(&mine.join("run.json"), r#"{"name": "lr-sweep", "settings": {"lr": 0.1}}"#);
    for name in [
        "crops/a.png",
        "report/index.html",
        "yolo/data.yaml",
        "sorted/keep/a.png",
        "keep.txt",
        "instances.json",
        "journal.jsonl",
    ] {
        write(&mine.join(name), "mine");
    }
    let before = files(&mine);
    parse(&mine, &["a.png"]).arg("--fresh").assert().code(1).stderr(contains("not a run"));
    assert_eq!(files(&mine), before);
}

#[test]
fn a_fresh_run_removes_what_gemscope_wrote_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png"]);
    export(&run, &images, "crops,coco,yolo").assert().success();
    write(&run.join("crops/mine.png"), "mine");
    write(&run.join("keep.txt"), "mine");
    parse(&run, &["b.png"]).arg("--fresh").assert().success();
    let left: Vec<PathBuf> = files(&run).into_keys().collect();
    assert_eq!(
        left,
        ["crops/mine.png", "journal.jsonl", "keep.txt", "run.json"].map(PathBuf::from)
    );
}

#[test]
fn a_fresh_run_says_what_it_threw_away() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run) = run_over(dir.path(), &["a.png", "b.png"]);
    let thrown = "--fresh threw the 2 answers that were in ";
    parse(&run, &["b.png"]).arg("--fresh").assert().success().stderr(contains(thrown));
}

#[test]
fn a_run_json_of_another_tool_hides_no_images() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    write(&images.join("wandb/run.json"), r#"{"name": "lr-sweep"}"#);
    fs::copy(images.join("a.png"), images.join("wandb/b.png")).unwrap();
    assert_eq!(planned(&images), ["a.png", "wandb/b.png"]);
}

/// The names of the images that `detect` would look at.
fn planned(images: &Path) -> Vec<String> {
    let mut command = gemscope();
    let output = command
        .arg("detect")
        .arg(images)
        .args(["--labels", "star", "--dry-run", "--json"])
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    plan["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["image"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn pictures_that_an_export_wrote_into_the_input_are_no_images() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png"]);
    let exported = images.join("exported");
    export(&run, &images, "crops,overlay,yolo,voc,html")
        .arg("--out")
        .arg(&exported)
        .assert()
        .success();
    fs::copy(images.join("a.png"), exported.join("crops/mine.png")).unwrap();
    assert_eq!(planned(&images), ["a.png", "exported/crops/mine.png"]);
}

#[cfg(unix)]
#[test]
fn no_file_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png"]);
    export(&run, &images, "crops,jsonl").assert().success();
    let victim = dir.path().join("victim");
    write(&victim.join("file"), "a line\nthe user's, without an end");
    for name in [".lock", "journal.jsonl", "run.json", ".gemscope/files.jsonl"] {
        let kept = fs::read(run.join(name)).unwrap_or_default();
        let _ = fs::remove_file(run.join(name));
        fs::create_dir_all(run.join(name).parent().unwrap()).unwrap();
        symlink(victim.join("file"), run.join(name)).unwrap();
        parse(&run, &["b.png"]).assert().code(1).stderr(contains(name));
        fs::remove_file(run.join(name)).unwrap();
        fs::write(run.join(name), kept).unwrap();
    }
    fs::remove_dir_all(run.join("crops")).unwrap();
    symlink(&victim, run.join("crops")).unwrap();
    export(&run, &images, "crops").assert().code(1).stderr(contains("crops: a symbolic link"));
    assert!(run.join("crops").is_symlink());
    let left = files(&victim);
    assert_eq!(
        left,
        BTreeMap::from([("file".into(), b"a line\nthe user's, without an end".to_vec())])
    );
}

#[test]
fn a_run_that_is_being_written_is_exported_elsewhere_only() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png", "b.png"]);
    // As a living process has it: the lock, and a line that is not written to its end.
    let lock = fs::OpenOptions::new().write(true).open(run.join(".lock")).unwrap();
    lock.lock().unwrap();
    let journal = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    fs::write(run.join("journal.jsonl"), &journal[..journal.len() - 10]).unwrap();
    export(&run, &images, "jsonl")
        .assert()
        .code(1)
        .stderr(contains("another process"))
        .stderr(contains("--out"));
    assert!(!run.join("detections.jsonl").exists());
    let out = dir.path().join("snapshot");
    export(&run, &images, "jsonl").arg("--out").arg(&out).assert().success();
    assert_eq!(fs::read_to_string(out.join("detections.jsonl")).unwrap().lines().count(), 1);
}

#[test]
fn of_two_exports_into_one_folder_one_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png"]);
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let lock = fs::File::create(out.join(".lock")).unwrap();
    lock.lock().unwrap();
    export(&run, &images, "crops")
        .arg("--out")
        .arg(&out)
        .assert()
        .code(1)
        .stderr(contains("another process"));
    drop(lock);
    export(&run, &images, "crops").arg("--out").arg(&out).assert().success();
}

#[test]
fn temporaries_of_another_process_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png"]);
    // An export of a version that took no lock, into the run.
    write(&run.join(".gemscope-Ab3dEf/a.png_000_star.png"), "half");
    let _ = parse(&run, &["a.png"]).output().unwrap();
    export(&run, &images, "crops").assert().success();
    assert!(run.join(".gemscope-Ab3dEf/a.png_000_star.png").exists());
}

#[test]
fn an_export_that_was_killed_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png", "b.png"]);
    let formats = "jsonl,coco,crops,yolo";
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    export(&run, &images, formats).arg("--out").arg(&whole).assert().success();
    // Killed behind the last file, and somewhere before it.
    for _ in 0..2 {
        export(&run, &images, formats).arg("--out").arg(&out).assert().success();
        assert_eq!(files(&out), files(&whole));
        fs::remove_file(out.join("yolo/data.yaml")).unwrap();
        fs::remove_file(out.join("crops/a.png_000_star.png")).unwrap();
    }
}

#[test]
fn a_conversion_that_was_killed_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_over(dir.path(), &["a.png", "b.png"]);
    export(&run, &images, "coco").assert().success();
    for (format, name) in [("yolo", "yolo"), ("voc", "voc"), ("coco", "coco.json")] {
        let out = dir.path().join(name);
        let convert = || {
            let mut command = gemscope();
            command
                .arg("convert")
                .arg(run.join("instances.json"))
                .args(["--to", format, "--out"])
                .arg(&out);
            command
        };
        convert().assert().success();
        let before = files(dir.path());
        convert().assert().success();
        assert_eq!(files(dir.path()), before);
    }
    // What the user made of it is not lost.
    fs::write(dir.path().join("coco.json"), "mine").unwrap();
    let mut command = gemscope();
    command
        .arg("convert")
        .arg(run.join("instances.json"))
        .args(["--to", "coco", "--out"])
        .arg(dir.path().join("coco.json"));
    command.assert().code(1).stderr(contains("coco.json"));
    assert_eq!(fs::read(dir.path().join("coco.json")).unwrap(), b"mine");
}

#[test]
fn an_evaluation_replaces_its_own_files_only() {
    let dir = tempfile::tempdir().unwrap();
    let (_, run) = run_over(dir.path(), &["scene-01.png"]);
    let calibration = run.join("calibration.json");
    let evaluate = |more: &[&str]| {
        let mut command = gemscope();
        command
            .args(["eval", "--truth", fixture("shapes/truth.json").to_str().unwrap(), "--run"])
            .arg(&run);
        command.args(more).assert()
    };
    let report = dir.path().join("report");
    let page = report.join("eval.html");
    let to = ["--report", report.to_str().unwrap()];
    // Its own, again and again; not one that somebody has edited.
    evaluate(&to).success();
    evaluate(&to).success();
    write(&page, "mine");
    evaluate(&to).code(1).stderr(contains("eval.html is in the way")).stderr(contains("--adopt"));
    assert_eq!(fs::read_to_string(&page).unwrap(), "mine");
    evaluate(&[to.as_slice(), &["--adopt"]].concat()).success();
    assert_ne!(fs::read_to_string(&page).unwrap(), "mine");
    // A run that another process writes is not written.
    let lock = fs::OpenOptions::new().write(true).open(run.join(".lock")).unwrap();
    lock.lock().unwrap();
    let inside = run.join("eval.html");
    evaluate(&["--report", inside.to_str().unwrap()]).code(1).stderr(contains("another process"));
    assert!(!inside.exists() && !calibration.exists());
    // What makes a run one is replaced by nothing.
    drop(lock);
    let before = files(&run);
    for name in ["run.json", "journal.jsonl"] {
        let mut inspect = gemscope();
        inspect
            .arg("inspect")
            .arg(fixture("shapes/scene-01.png"))
            .args(["--adopt", "--tensors"])
            .arg(run.join(name));
        inspect.assert().failure().stderr(contains("belongs to a run"));
    }
    assert_eq!(files(&run), before);
}

#[cfg(unix)]
#[test]
fn one_file_that_is_written_is_no_other_one() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let scene = dir.path().join("s.png");
    fs::copy(fixture("shapes/scene-01.png"), &scene).unwrap();
    write(&dir.path().join("notes.txt"), "mine");
    symlink("notes.txt", dir.path().join("link")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(dir.path().join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let run = |args: &[&str]| {
        let mut command = gemscope();
        command
            .current_dir(dir.path())
            .timeout(std::time::Duration::from_mins(2))
            .args(args)
            .assert()
    };
    let tensors = |file: &str| run(&["inspect", "s.png", "--model", "demo", "--tensors", file]);
    for file in ["s.png", "notes.txt", "link", "pipe"] {
        tensors(file).code(1).stderr(contains(file));
        run(&["inspect", "s.png", "--log", file]).code(1).stderr(contains(file));
    }
    run(&["doctor", "--json", "notes.txt"]).code(1).stderr(contains("notes.txt is in the way"));
    assert_eq!(fs::read(&scene).unwrap(), fs::read(fixture("shapes/scene-01.png")).unwrap());
    assert_eq!(fs::read(dir.path().join("notes.txt")).unwrap(), b"mine");
    for _ in 0..2 {
        tensors("t.safetensors").success();
        run(&["inspect", "s.png", "--log", "log.jsonl"]).success();
    }
}

#[test]
fn a_lock_of_another_tool_is_not_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    for foreign in [
        r#"{"process": "backup"}"#,
        r#"{"process":12,"host":"a"}"#,
        r#"{"process":1,"since":2} and more"#,
    ] {
        fs::write(run.join(".lock"), foreign).unwrap();
        parse(&run, &["a.png"])
            .assert()
            .code(1)
            .stderr(contains("a .lock is here that gemscope did not write"));
        assert_eq!(fs::read_to_string(run.join(".lock")).unwrap(), foreign);
    }
    // Of a process that was killed while it wrote that, or later.
    for own in ["", r#"{"process":1"#, r#"{"process":12,"si"#, r#"{"process":1,"since":2}"#] {
        fs::write(run.join(".lock"), own).unwrap();
        parse(&run, &["a.png"]).assert().success();
        fs::remove_dir_all(&run).unwrap();
        fs::create_dir(&run).unwrap();
    }
}

#[test]
fn a_run_that_rates_frames_is_no_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let run = critique(dir.path());
    let before = files(&run);
    export(&run, &dir.path().join("images"), "coco,yolo")
        .assert()
        .code(1)
        .stderr(contains("rates frames"));
    export(&run, &dir.path().join("images"), "jsonl")
        .arg("--out")
        .arg(dir.path().join("out"))
        .assert()
        .success();
    let mut eval = gemscope();
    eval.args(["eval", "--truth"]).arg(fixture("shapes/truth.json")).arg("--run").arg(&run);
    eval.assert().code(1).stderr(contains("rates frames"));
    assert_eq!(files(&run), before);
}

#[test]
fn one_long_path_costs_its_own_image() {
    let dir = tempfile::tempdir().unwrap();
    let deep = format!("{0}/{0}/deep.png", "d".repeat(130));
    let long = format!("{}.png", "l".repeat(150));
    let images =
        folder_of(dir.path(), &[("shapes/scene-01.png", "a.png"), ("shapes/scene-01.png", &long)]);
    fs::create_dir_all(images.join(&deep).parent().unwrap()).unwrap();
    fs::copy(images.join("a.png"), images.join(&deep)).unwrap();
    let run = dir.path().join("run");
    parse(&run, &["a.png", &deep]).assert().success();
    export(&run, &images, "voc,counts,crops").assert().success();
    assert!(run.join("voc/Annotations/a.xml").exists() && run.join("counts.csv").exists());
    assert!(run.join("crops").join(format!("{deep}_000_star.png")).exists());
    // A label that makes the name of its crop longer than file systems allow.
    let run = dir.path().join("another");
    let label = "猫".repeat(40);
    let line = |name: &str| {
        let text = format!(r#"[{{"box_2d": [100, 100, 500, 600], "label": "{label}"}}]"#);
        serde_json::json!({"image": name, "width": 384, "height": 384, "text": text}).to_string()
            + "\n"
    };
    let mut parse = gemscope();
    parse
        .args(["parse", "-", "--out"])
        .arg(&run)
        .write_stdin(["a.png", long.as_str()].map(line).concat())
        .assert()
        .success();
    export(&run, &images, "crops,html").assert().code(2).stderr(contains("name is too long"));
    assert!(
        run.join(format!("crops/a.png_000_{label}.png")).exists()
            && run.join("report/index.html").exists()
    );
}
