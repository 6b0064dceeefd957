//! One run on several machines: its shards, joined, are the run of one machine.
//!
//! `cargo test --test it shards::` is the named check of `docs/MANY_MACHINES.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gemscope::record::Shard;
use gemscope::session::{DetectConfig, Session};
use serde_json::{Value, json};

use crate::support::{binary, fixture, json, json_lines};

const FORMATS: &str = "jsonl,csv,coco,yolo,voc,label-studio,counts,crops,overlay,html";

/// `count` of the pictures of shapes, in two folders, under names of their own.
fn pictures(dir: &Path, count: usize) -> PathBuf {
    let images = dir.join("images");
    for index in 0..count {
        let folder = images.join(if index % 3 == 0 { "a" } else { "b" });
        fs::create_dir_all(&folder).unwrap();
        let scene = [1, 2, 3, 6, 7, 9][index % 6];
        let scene = fixture(&format!("shapes/scene-{scene:02}.png"));
        let mut bytes = fs::read(scene).unwrap();
        // A content of its own: bytes behind the end of a PNG are no part of the picture.
        bytes.extend(index.to_le_bytes());
        fs::write(folder.join(format!("{index:02}.png")), bytes).unwrap();
    }
    images
}

fn command(name: &str) -> Command {
    let mut command = Command::new(binary());
    command.arg(name).env("GEMSCOPE_DEVICE", "cpu").env_remove("GEMSCOPE_MODEL");
    command
}

fn detect(images: &Path, out: &Path, shard: Option<&str>) -> Command {
    let mut command = command("detect");
    command.arg(images).args(["--labels", "star", "--budget", "70", "--quiet", "--out"]).arg(out);
    command.args(["--export", "none"]);
    if let Some(shard) = shard {
        command.args(["--shard", shard]);
    }
    command
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
    said
}

fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    said
}

fn lines(out: &Path) -> usize {
    let journal = fs::read(out.join("journal.jsonl")).unwrap_or_default();
    journal.split(|byte| *byte == b'\n').count() - 1
}

/// Kills a process once its run has `count` records.
fn kill_at(mut child: Child, out: &Path, count: usize) {
    let begun = Instant::now();
    while lines(out) < count {
        assert!(begun.elapsed() < Duration::from_mins(5), "nothing is written");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// `report/index.html` says when a run was begun, which is never the same.
fn begun_at_once(run: &Path) {
    let mut manifest = json(run.join("run.json"));
    manifest["started"] = 0.into();
    fs::write(run.join("run.json"), manifest.to_string()).unwrap();
}

fn export(runs: &[&PathBuf], out: &Path) -> Command {
    let mut command = command("export");
    command.args(runs).args(["--to", FORMATS, "--copy-images", "--out"]).arg(out);
    command
}

/// Every file that an export wrote, but for what it keeps for itself.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let entries = entries.filter(|entry| entry.file_type().is_file());
    let named = entries.map(|entry| {
        let name = entry.path().strip_prefix(folder).unwrap().to_owned();
        (name, fs::read(entry.path()).unwrap())
    });
    named
        .filter(|(name, _)| !name.starts_with(".gemscope") && *name != Path::new(".lock"))
        .collect()
}

fn assert_same(expected: &Path, given: &Path) {
    let (expected, given) = (files(expected), files(given));
    assert_eq!(expected.keys().collect::<Vec<_>>(), given.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(*bytes == given[name], "{} differs", name.display());
    }
}

#[test]
fn four_shards_one_killed_twice_are_byte_for_byte_the_run_of_one_machine() {
    const IMAGES: usize = 24;
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), IMAGES);
    let whole = dir.path().join("whole");
    succeeds(&mut detect(&images, &whole, None));
    begun_at_once(&whole);
    let expected = dir.path().join("expected");
    succeeds(&mut export(&[&whole], &expected));
    assert!(files(&expected).len() > IMAGES * 5, "the images of YOLO and VOC, labels, crops ...");

    let shards: Vec<PathBuf> = (0..4).map(|index| dir.path().join(format!("s{index}"))).collect();
    let of = |index: usize| detect(&images, &shards[index], Some(&format!("{index}/4")));
    for index in [1, 0, 2] {
        succeeds(&mut of(index));
    }
    // One answer at a time, so that it is killed in the middle.
    for records in [1, 3] {
        let child = of(3).args(["--batch", "1"]).stderr(Stdio::null()).spawn().unwrap();
        kill_at(child, &shards[3], records);
    }
    let own = json(shards[3].join("shard.json"))["images"].as_array().unwrap().len();
    assert!(lines(&shards[3]) < own, "{own} images: it was killed too late");
    for shard in &shards {
        begun_at_once(shard);
    }
    let all: Vec<&PathBuf> = shards.iter().collect();

    // Not finished: the shard is named, and images of it.
    let merged = dir.path().join("merged");
    let said = refused(&mut export(&all, &merged));
    assert!(said.contains("s3 (shard 3/4) has no record of"), "{said}");
    assert!(said.contains("--partial"), "{said}");
    succeeds(&mut of(3));
    assert_eq!(json(shards[3].join("run.json"))["shard"], "3/4");

    let records: usize = shards.iter().map(|shard| lines(shard)).sum();
    assert_eq!(records, IMAGES, "none was asked twice, and none left out");
    assert!(shards.iter().all(|shard| lines(shard) >= 2), "the images are spread");
    succeeds(&mut export(&[all[2], all[0], all[3], all[1]], &merged));
    assert_same(&expected, &merged);

    // A missing one, one that is there twice, and one of another configuration.
    let said = refused(&mut export(&[all[0], all[1], all[3]], &dir.path().join("no")));
    assert!(said.contains("no run is shard 2/4"), "{said}");
    let copy = dir.path().join("copy-of-2");
    succeeds(&mut detect(&images, &copy, Some("2/4")));
    let said =
        refused(&mut export(&[all[0], all[1], all[2], all[3], &copy], &dir.path().join("no")));
    assert!(said.contains("overlap: both are shard 2/4") && said.contains("copy-of-2"), "{said}");
    let other = dir.path().join("shorter");
    succeeds(detect(&images, &other, Some("2/4")).args(["--max-new-tokens", "64"]));
    let said = refused(&mut export(&[all[0], all[1], &other, all[3]], &dir.path().join("no")));
    assert!(said.contains("shorter (shard 2/4) was made with other settings"), "{said}");
    assert!(said.contains("max_new_tokens: 2048 -> 64"), "{said}");
    let said = refused(&mut export(&[all[0], all[1], &whole, all[3]], &dir.path().join("no")));
    assert!(said.contains("whole is no shard"), "{said}");
    // Other filters are other boxes, unless the export says which.
    succeeds(detect(&images, &shards[0], Some("0/4")).args(["--min-score", "0.5"]));
    let said = refused(&mut export(&all, &dir.path().join("no")));
    assert!(said.contains("filters.min_score"), "{said}");
    let mut filtered = command("export");
    filtered.args(&all).args(["--to", "jsonl", "--min-score", "0.05", "--out"]).arg(&merged);
    succeeds(&mut filtered);

    // What there is of one shard, by its own directory or on request.
    succeeds(command("export").arg(&shards[2]).args(["--to", "jsonl"]));
    let part = dir.path().join("part");
    let of_one = |partial: &[&str]| {
        let mut command = command("export");
        command.arg(&shards[2]).args(["--to", "jsonl", "--out"]).arg(&part).args(partial);
        command
    };
    assert!(refused(&mut of_one(&[])).contains("no run is shard 0/4 or 1/4 or 3/4"));
    succeeds(&mut of_one(&["--partial"]));
    let alone = fs::read(shards[2].join("detections.jsonl")).unwrap();
    assert_eq!(fs::read(part.join("detections.jsonl")).unwrap(), alone);
}

#[test]
fn a_shard_goes_on_as_the_same_shard_only() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (pictures(dir.path(), 6), dir.path().join("run"));
    succeeds(&mut detect(&images, &out, Some("0/2")));
    let before = fs::read(out.join("journal.jsonl")).unwrap();
    for (shard, says) in [
        (Some("1/2"), r#"shard: "0/2" -> "1/2""#),
        (Some("0/3"), r#"shard: "0/2" -> "0/3""#),
        (None, r#"shard: "0/2" -> nothing"#),
    ] {
        let said = refused(&mut detect(&images, &out, shard));
        assert!(said.contains(says), "{said}");
    }
    // Under another root, its names would be of other shards.
    let said = refused(&mut detect(dir.path(), &out, Some("0/2")));
    assert!(said.contains("root: "), "{said}");
    assert_eq!(fs::read(out.join("journal.jsonl")).unwrap(), before);
    // Files that come later move none of the others.
    fs::write(images.join("a/later.png"), fs::read(fixture("shapes/scene-01.png")).unwrap())
        .unwrap();
    succeeds(&mut detect(&images, &out, Some("0/2")));
    assert!(fs::read(out.join("journal.jsonl")).unwrap().starts_with(&before));
    // A folder that was moved is the same root.
    let moved = dir.path().join("moved");
    fs::rename(&images, &moved).unwrap();
    succeeds(&mut detect(&moved, &out, Some("0/2")));
}

#[test]
fn schedulers_name_the_shard_only_if_they_are_asked() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 12);
    let array = [("ID", "30"), ("MIN", "10"), ("MAX", "40"), ("STEP", "10"), ("COUNT", "4")];
    let planned = |arguments: &[&str]| {
        let mut plan = command("detect");
        plan.arg(&images).args(["--labels", "star", "--dry-run"]).args(arguments);
        plan.envs(array.map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value)));
        plan.env("JOB_COMPLETION_INDEX", "1");
        let output = plan.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = |arguments: &[&str]| -> Value {
        serde_json::from_str(&planned(&[arguments, &["--json"]].concat())).unwrap()
    };
    let slurm = plan(&["--shard", "slurm"]);
    assert_eq!(slurm["shard"], "2/4");
    assert_eq!(slurm["files"], plan(&["--shard", "2/4"])["files"]);
    let pod = plan(&["--shard", "kubernetes/3"]);
    assert_eq!(pod["shard"], "1/3");
    let all = plan(&[]);
    assert_eq!((&all["images"], all.get("shard")), (&json!(12), None));
    let images = |plan: &Value| plan["images"].as_u64().unwrap();
    assert_eq!(images(&slurm) + slurm["other_shards"].as_u64().unwrap(), 12);
    let shards = (0..3).map(|index| images(&plan(&["--shard", &format!("{index}/3")])));
    assert_eq!(shards.sum::<u64>(), 12);
    let line = format!("shard 1/3: {} of 12 images", images(&pod));
    assert!(planned(&["--shard", "kubernetes/3"]).contains(&line), "{line}");

    let pipeline = dir.path().join("p.toml");
    fs::write(&pipeline, "[task]\nlabels = 'star'\n[source]\nshard = '1/3'\n").unwrap();
    let mut run = command("run");
    run.arg(&pipeline).arg(dir.path().join("images")).args(["--dry-run", "--json"]);
    let by_file: Value = serde_json::from_slice(&run.output().unwrap().stdout).unwrap();
    assert_eq!(by_file, pod);

    let nothing = dir.path().join("nothing");
    let mut outside = detect(&dir.path().join("images"), &nothing, Some("slurm"));
    let said = refused(&mut outside);
    assert!(said.contains("SLURM_ARRAY_TASK_ID: is not set"), "{said}");
    let said = refused(&mut detect(&dir.path().join("images"), &nothing, Some("4/4")));
    assert!(said.contains("\"4/4\" is no shard: take I/N (from 0/4 to 3/4)"), "{said}");
    assert!(!nothing.exists());
}

#[test]
fn shards_may_be_empty_and_a_renamed_image_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 3);
    let shards: Vec<PathBuf> = (0..8).map(|index| dir.path().join(format!("s{index}"))).collect();
    let of = |index: u32| format!("{index}/8");
    let shard_of =
        |name: &str| (0..8).find(|index| Shard::new(*index, 8).unwrap().holds(name)).unwrap();
    let then = "a/00.png";
    let mut names = (0..100).map(|number| format!("a/renamed-{number}.png"));
    let now = names.find(|name| shard_of(name) > shard_of(then)).unwrap();
    for index in 0..8 {
        if index == shard_of(&now) {
            fs::rename(images.join(then), images.join(&now)).unwrap();
        }
        let said = succeeds(&mut detect(&images, &shards[index as usize], Some(&of(index))));
        assert!(!said.contains("panicked"), "{said}");
    }
    assert!(shards.iter().any(|shard| lines(shard) == 0), "3 images in 8 shards");
    let all: Vec<&PathBuf> = shards.iter().collect();
    for (keep, out) in [(&[][..], "merged"), (&["--keep-missing"][..], "kept")] {
        let out = dir.path().join(out);
        let said = succeeds(export(&all, &out).args(keep));
        assert!(said.contains("1 images were renamed between the shards"), "{said}");
        assert!(!said.contains("not there any more"), "{said}");
        let records = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
        let names: Vec<&str> =
            records.iter().map(|record| record["image"].as_str().unwrap()).collect();
        assert_eq!(names, [now.as_str(), "b/01.png", "b/02.png"]);
    }
}

/// Groups and statistics are of all frames: they are made of the shards' run.
#[test]
fn shards_of_a_critique_become_a_run_that_is_judged_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let frames = pictures(dir.path(), 8);
    let critique = |out: &Path, more: &[&str]| {
        let mut command = command("critique");
        command.args(["--out"]).arg(out).args(["--group-by", "folder", "--quiet"]).args(more);
        command
    };
    let rate = |out: &Path, shard: &[&str]| {
        let mut command = critique(out, &["--rubric", "demo"]);
        command.arg(&frames).args(shard);
        succeeds(&mut command)
    };
    let whole = dir.path().join("whole");
    rate(&whole, &[]);
    let shards: Vec<PathBuf> = (0..3).map(|index| dir.path().join(format!("s{index}"))).collect();
    for (index, shard) in shards.iter().enumerate() {
        rate(shard, &["--shard", &format!("{index}/3")]);
    }
    for run in [&whole, &shards[0], &shards[1], &shards[2]] {
        begun_at_once(run);
    }
    let joined = dir.path().join("joined");
    let join = || {
        let mut join = command("export");
        join.args(&shards).args(["--to", "run", "--out"]).arg(&joined);
        succeeds(&mut join)
    };
    join();
    assert_eq!(lines(&joined), 8);
    assert!(json(joined.join("run.json")).get("shard").is_none());
    let raw = |run: &Path| {
        let text = fs::read_to_string(run.join("journal.jsonl")).unwrap();
        let records = json_lines(text);
        let raw =
            records.iter().map(|record| (record["image"].to_string(), record["answers"].clone()));
        raw.map(|(image, mut answers)| {
            for answer in answers.as_array_mut().unwrap() {
                answer.as_object_mut().unwrap().remove("seconds");
            }
            (image, answers)
        })
        .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(raw(&joined), raw(&whole), "raw answers are kept");
    join();
    assert_eq!(lines(&joined), 8, "what is there is not added again");
    for run in [&whole, &joined] {
        succeeds(&mut critique(run, &["--report-only"]));
    }
    let judged = |run: &Path| {
        let mut files = files(run);
        for name in ["run.json", "journal.jsonl"] {
            files.remove(Path::new(name));
        }
        files
    };
    assert!(judged(&whole).contains_key(Path::new("groups.csv")));
    assert_eq!(judged(&whole), judged(&joined));
    // One machine may go on with it, and has nothing left to ask.
    let before = lines(&joined);
    rate(&joined, &[]);
    assert_eq!(lines(&joined), before);

    let mut pairs = command("critique");
    pairs
        .args(["--pair", "--shard", "0/2", "--out"])
        .arg(dir.path().join("p"))
        .arg(&frames)
        .arg(&frames);
    assert!(refused(&mut pairs).contains("--shard"));
    let mut no_shards = command("export");
    no_shards.arg(&whole).args(["--to", "run", "--out"]).arg(dir.path().join("r"));
    assert!(refused(&mut no_shards).contains("is for the shards of a run"));
}

#[test]
fn the_library_divides_a_plan_as_the_command_does() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 9);
    let source = gemscope::source::list(&[images], None).unwrap();
    let mut names: Vec<String> = Vec::new();
    for index in 0..4 {
        let config = DetectConfig::of_labels(["star"]).with_shard(Shard::new(index, 4).unwrap());
        let plan = Session::open(config, &()).unwrap().plan(&source, u64::MAX).unwrap().unwrap();
        assert_eq!((plan.files.len(), plan.images + plan.besides.other_shards), (plan.images, 9));
        names.extend(plan.files.into_iter().map(|file| file.image));
    }
    names.sort();
    let all: Vec<&str> = source.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, all);
}
