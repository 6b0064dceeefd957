//! Runs that are killed, stopped, or get in each other's way lose nothing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::support::{fixture, json, json_lines};

const FORMATS: &str = "jsonl,csv,coco,yolo,voc,label-studio,counts,crops";

/// Pictures of 150 images take a minute without optimisation: they are compared only where the
/// number of kills was asked for.
const PICTURES: &str = ",overlay,html";

/// `count` pictures in two folders, under names of their own.
fn pictures(dir: &Path, count: usize) -> PathBuf {
    let images = dir.join("images");
    for folder in ["a", "b"] {
        fs::create_dir_all(images.join(folder)).unwrap();
    }
    let mut scenes: Vec<PathBuf> =
        fs::read_dir(fixture("shapes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    scenes.retain(|path| {
        path.extension().is_some_and(|extension| extension == "png" || extension == "jpg")
    });
    scenes.sort();
    for index in 0..count {
        let scene = &scenes[index % scenes.len()];
        let folder = if index % 3 == 0 { "a" } else { "b" };
        let name = format!("{index:03}.{}", scene.extension().unwrap().to_str().unwrap());
        fs::copy(scene, images.join(folder).join(name)).unwrap();
    }
    images
}

fn detect(images: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gemscope"));
    command
        .arg("detect")
        .arg(images)
        .args([
            "--labels", "star", "--budget", "70", "--batch", "4", "--device", "cpu", "--quiet",
            "--out",
        ])
        .arg(out);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn journal(out: &Path) -> Vec<u8> {
    fs::read(out.join("journal.jsonl")).unwrap_or_default()
}

/// The lines that have their end.
fn whole_lines(journal: &[u8]) -> &[u8] {
    &journal[..journal.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)]
}

fn count(journal: &[u8]) -> usize {
    journal.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).count()
}

/// Waits until `out` has `lines` records.
fn wait_for(out: &Path, lines: usize) {
    let begun = Instant::now();
    while count(&journal(out)) < lines {
        assert!(begun.elapsed() < Duration::from_mins(5), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every file of every format, by its path. Times and links to folders are those of the test, so
/// that two runs can be compared.
fn exports(images: &Path, run: &Path, into: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let manifest = run.join("run.json");
    let mut settings = json(&manifest);
    settings["started"] = 0.into();
    fs::write(&manifest, settings.to_string()).unwrap();
    let pictures = if std::env::var_os("GEMSCOPE_KILLS").is_some() { PICTURES } else { "" };
    let export = Command::new(env!("CARGO_BIN_EXE_gemscope"))
        .arg("export")
        .arg(run)
        .args(["--to", &format!("{FORMATS}{pictures}"), "--copy-images", "--images"])
        .arg(images)
        .arg("--out")
        .arg(into)
        .output()
        .unwrap();
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let mut files = HashMap::new();
    for entry in walkdir::WalkDir::new(into) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(into).unwrap().to_owned();
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn assert_same(expected: &HashMap<PathBuf, Vec<u8>>, given: &HashMap<PathBuf, Vec<u8>>) {
    let names = |files: &HashMap<PathBuf, Vec<u8>>| {
        files.keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(expected), names(given));
    for (name, bytes) in expected {
        assert!(bytes == &given[name], "{} differs", name.display());
    }
}

/// `GEMSCOPE_KILLS` says how often it is killed: 15 where it says nothing.
#[test]
fn a_run_that_is_killed_at_any_moment_goes_on_and_loses_nothing() {
    const IMAGES: usize = 150;
    let kills: usize = std::env::var("GEMSCOPE_KILLS").map_or(15, |kills| kills.parse().unwrap());
    let seed = std::env::var("GEMSCOPE_SEED").map_or(6, |seed| seed.parse().unwrap());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), IMAGES);

    // Uninterrupted; how long it takes to the first record, and from there to the end.
    let whole = dir.path().join("whole");
    let begun = Instant::now();
    let mut child = detect(&images, &whole).spawn().unwrap();
    wait_for(&whole, 1);
    let to_first = begun.elapsed();
    assert!(child.wait().unwrap().success());
    let rest = begun.elapsed().saturating_sub(to_first);
    assert_eq!(count(&journal(&whole)), IMAGES);
    let expected = exports(&images, &whole, &dir.path().join("expected"));
    // At least the images of YOLO and VOC, and what each says of them.
    assert!(expected.len() > IMAGES * 4, "{} files", expected.len());

    let (out, log) = (dir.path().join("killed"), dir.path().join("log.jsonl"));
    let (mut killed, mut finished, mut asked, mut torn) = (0, 0, 0, 0);
    let mut moments = Vec::new();
    while killed < kills || out.exists() {
        let before = journal(&out);
        let mut child = detect(&images, &out).arg("--log").arg(&log).spawn().unwrap();
        if killed < kills {
            // Of the way to the first record all moments, of the rest so much that a run is killed
            // about eight times.
            let moment = random.random_range(0.0..(to_first + rest / 8).as_secs_f64());
            std::thread::sleep(Duration::from_secs_f64(moment));
        }
        let ended = if killed < kills { end(&mut child) } else { child.wait().unwrap().code() };
        let after = journal(&out);
        assert!(after.starts_with(whole_lines(&before)), "a record was lost");
        match ended {
            None => {
                killed += 1;
                torn += usize::from(whole_lines(&after).len() < after.len());
                moments.push(count(&after));
            }
            Some(0) => {
                // No image has two records, and none is missing.
                let names: std::collections::BTreeSet<String> =
                    json_lines(String::from_utf8(after).unwrap())
                        .iter()
                        .map(|record| record["image"].as_str().unwrap().to_owned())
                        .collect();
                assert_eq!((names.len(), count(&journal(&out))), (IMAGES, IMAGES));
                let into = dir.path().join(format!("exports-{finished}"));
                assert_same(&expected, &exports(&images, &out, &into));
                asked += questions(&log);
                finished += 1;
                for path in [&out, &into] {
                    fs::remove_dir_all(path).unwrap();
                }
                fs::remove_file(&log).unwrap();
            }
            Some(code) => {
                let mut stderr = String::new();
                std::io::Read::read_to_string(&mut child.stderr.unwrap(), &mut stderr).unwrap();
                panic!("exit code {code}: {stderr}");
            }
        }
    }
    let again = asked - finished * IMAGES;
    eprintln!(
        "{killed} kills with {moments:?} records written; {torn} torn lines; {finished} runs \
         finished, all exports equal; \
         {asked} images asked about for {} needed: {again} again, which were in flight",
        finished * IMAGES
    );
    assert!(
        again <= killed * IN_FLIGHT,
        "{again} images were asked about twice after {killed} kills"
    );
}

/// So many images may be with the model when a run is killed: a batch of four, those that wait for
/// a place in it, and what is answered and not written yet.
const IN_FLIGHT: usize = 8;

/// Kills the process; nothing where it did not end by itself before.
fn end(child: &mut Child) -> Option<i32> {
    child.kill().unwrap();
    child.wait().unwrap().code()
}

fn questions(log: &Path) -> usize {
    // The last line of a killed process may have no end.
    let lines = fs::read_to_string(log).unwrap();
    lines.lines().filter(|line| line.contains("\"message\":\"asking\"")).count()
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_what_is_in_flight_and_exports_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 60);
    let out = dir.path().join("run");
    let interrupt = |child: &Child| {
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    };
    let child = detect(&images, &out).spawn().unwrap();
    wait_for(&out, 3);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(journal(&out)).unwrap();
    let records = json_lines(&text);
    assert!(text.ends_with('\n') && (3..60).contains(&records.len()), "{} records", records.len());
    assert_eq!(
        json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap()).len(),
        records.len()
    );
    // The second one leaves at once, without exports; what is written stays.
    fs::remove_file(out.join("detections.jsonl")).unwrap();
    let child = detect(&images, &out).spawn().unwrap();
    wait_for(&out, records.len() + 3);
    interrupt(&child);
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert!(journal(&out).starts_with(text.as_bytes()));
    assert!(detect(&images, &out).status().unwrap().success());
    assert_eq!(count(&journal(&out)), 60);
}

#[test]
fn of_two_processes_one_works_and_the_other_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 40);
    let out = dir.path().join("run");
    let mut first = detect(&images, &out).spawn().unwrap();
    wait_for(&out, 1);
    let second = detect(&images, &out).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(
        stderr.contains(&format!("another process is writing this run (process {}", first.id())),
        "{stderr}"
    );
    assert!(first.wait().unwrap().success());
    assert_eq!(count(&journal(&out)), 40);
}

#[cfg(unix)]
#[test]
fn failed_images_are_tried_again_when_asked_and_changed_ones_always() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 3);
    let out = dir.path().join("run");
    let good = fs::read(images.join("a/000.png")).unwrap();
    fs::write(images.join("a/000.png"), b"no image").unwrap();
    let run = |extra: &[&str]| {
        let output = detect(&images, &out)
            .args(["--json"])
            .args(extra)
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), summary["resumed"].as_u64().unwrap(), count(&journal(&out)))
    };
    assert_eq!(run(&[]), (Some(2), 0, 3));
    assert_eq!(run(&[]), (Some(2), 3, 3), "left as it is");
    assert_eq!(run(&["--retry-failed"]), (Some(2), 2, 4), "tried again");
    fs::write(images.join("a/000.png"), &good).unwrap();
    assert_eq!(run(&[]), (Some(0), 2, 5), "the file is another one");
    // What is answered stays where its file cannot be read; a changed file is asked about again.
    fs::remove_file(images.join("b/001.png")).unwrap();
    std::os::unix::fs::symlink("gone", images.join("b/001.png")).unwrap();
    let scene = fs::read(fixture("shapes/scene-09.png")).unwrap();
    fs::write(images.join("b/002.png"), scene).unwrap();
    assert_eq!(run(&[]), (Some(2), 2, 6), "and a crop cannot be cut any more");
    let report = Command::new(env!("CARGO_BIN_EXE_gemscope"))
        .arg("report")
        .arg(&out)
        .arg("--json")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["images"], &report["records"]), (&3.into(), &6.into()));
    assert_eq!(
        report["retried"][0],
        serde_json::json!({"image": "a/000.png", "statuses": ["failed", "failed",
            report["retried"][0]["statuses"][2]]})
    );
    assert_eq!(report["slowest"].as_array().unwrap().len(), 6);
}

#[test]
fn a_damaged_journal_costs_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 6);
    let out = dir.path().join("run");
    assert!(detect(&images, &out).status().unwrap().success());
    let text = String::from_utf8(journal(&out)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let lost =
        serde_json::from_str::<Value>(lines[2]).unwrap()["image"].as_str().unwrap().to_owned();
    let broken: String = lines
        .iter()
        .enumerate()
        .map(|(index, line)| if index == 2 { &line[..40] } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(out.join("journal.jsonl"), broken).unwrap();
    let before = fs::read(out.join("instances.json")).unwrap();
    let output = detect(&images, &out).output().unwrap();
    assert!(output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("journal.jsonl:3: not a record"), "{stderr}");
    let records = String::from_utf8(journal(&out)).unwrap();
    assert_eq!(records.lines().count(), 7);
    assert!(records.lines().last().unwrap().contains(&lost));
    assert_eq!(fs::read(out.join("instances.json")).unwrap(), before);
}

/// A file system of its own of so many bytes; nothing where that is not permitted.
#[cfg(target_os = "linux")]
struct Tmpfs(PathBuf);

#[cfg(target_os = "linux")]
impl Tmpfs {
    fn mount(path: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "gemscope-test"])
            .arg(&path)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: this user may not mount a tmpfs ({options})");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_room_lets_it_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 80);
    let whole = dir.path().join("whole");
    assert!(detect(&images, &whole).status().unwrap().success());
    let Some(disk) = Tmpfs::mount(dir.path().join("disk"), "size=1m") else { return };
    let (out, filler) = (disk.0.join("run"), disk.0.join("filler"));
    // Room for the manifest and some records.
    fs::write(&filler, vec![0; (1 << 20) - (32 << 10)]).unwrap();
    let output = detect(&images, &out).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("journal.jsonl: No space left") && stderr.contains("once there is room"),
        "{stderr}"
    );
    let written = whole_lines(&journal(&out)).to_vec();
    assert!((1..80).contains(&count(&written)), "{} records", count(&written));
    let report =
        Command::new(env!("CARGO_BIN_EXE_gemscope")).arg("report").arg(&out).output().unwrap();
    assert!(report.status.success(), "the journal is readable");
    // Still full: still said. Then with room.
    assert_eq!(detect(&images, &out).status().unwrap().code(), Some(1));
    fs::remove_file(&filler).unwrap();
    let output = detect(&images, &out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(journal(&out).starts_with(&written));
    for file in ["instances.json", "results.json", "counts.csv", "detections.jsonl"] {
        assert_eq!(
            fs::read(out.join(file)).unwrap(),
            fs::read(whole.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_output_is_said_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let images = pictures(dir.path(), 1);
    let Some(disk) = Tmpfs::mount(dir.path().join("disk"), "ro,size=1m") else { return };
    let output = detect(&images, &disk.0.join("run")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("disk/run: Read-only file system"), "{stderr}");
}
