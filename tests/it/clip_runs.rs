//! Runs over whole videos (`--clip`), and over their frames: stopped, in shards, sorted, with a
//! question for each.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

use crate::clip_files::{H264, clip};
use crate::support::{ffmpeg, gemscope, json_lines};

const NAMES: [&str; 4] = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"];

/// A folder with `clips`, and a script that answers `text`.
fn folder(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("clips")).unwrap();
    clip(dir.path(), "clips/a.mp4", "rate=5:duration=1", H264);
    // Not the same content, or they would be one clip under several names.
    for (index, name) in NAMES.iter().enumerate().skip(1) {
        let source = format!("rate=5:duration={}", index + 1);
        clip(dir.path(), &format!("clips/{name}"), &source, H264);
    }
    let script = json!({"rows": 4, "answers": [{"text": text, "probability": 0.9}]});
    fs::write(dir.path().join("script.json"), script.to_string()).unwrap();
    dir
}

fn asking(dir: &Path, out: &str, arguments: &[&str]) -> Command {
    let mut command = gemscope();
    command.current_dir(dir).env("GEMSCOPE_FFMPEG", ffmpeg());
    command.args(["detect", "clips", "--model", "script:script.json", "--out", out]);
    command.args(arguments);
    command
}

fn records(dir: &Path, out: &str) -> Vec<Value> {
    let mut records = json_lines(fs::read_to_string(dir.join(out).join("journal.jsonl")).unwrap());
    records.sort_by_key(|record| record["image"].as_str().unwrap().to_owned());
    records
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["image"].as_str().unwrap()).collect()
}

#[test]
fn shards_of_clips_are_joined() {
    let dir = folder("A picture changes.");
    let dir = dir.path();
    let asked = &["--clip", "--prompt", "What happens?"][..];
    let mut both = Vec::new();
    for shard in ["0/2", "1/2"] {
        let out = format!("part-{}", &shard[..1]);
        asking(dir, &out, &[asked, &["--shard", shard]].concat()).assert().success();
        both.extend(records(dir, &out));
    }
    both.sort_by_key(|record| record["image"].as_str().unwrap().to_owned());
    assert_eq!(names(&both), NAMES);
    let mut join = gemscope();
    join.current_dir(dir).args(["export", "part-0", "part-1", "--to", "csv", "--out", "joined"]);
    join.assert().success();
    let table = fs::read_to_string(dir.join("joined/detections.csv")).unwrap();
    assert!(NAMES.iter().all(|name| table.contains(name)), "{table}");
}

#[test]
fn each_clip_may_have_its_own_question() {
    let dir = folder("Yes.");
    let dir = dir.path();
    fs::write(dir.join("rows.csv"), "image,prompt\na.mp4,Is it red?\nc.mp4,Does it stop?\n")
        .unwrap();
    let asked = &["--clip", "--prompts", "rows.csv"][..];
    let refused = asking(dir, "run", asked).assert().code(1);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("no row for 2 of 4"), "{said}");
    asking(dir, "run", &[asked, &["--prompt", "What is it?"]].concat()).assert().success();
    let records = records(dir, "run");
    let asked: Vec<_> = records.iter().map(|record| &record["answers"][0]["prompt"]).collect();
    assert_eq!(asked, ["Is it red?", "What is it?", "Does it stop?", "What is it?"]);
}

#[cfg(unix)]
#[test]
fn clips_are_sorted_by_links() {
    let dir = folder("A picture changes.");
    let dir = dir.path();
    let asked = ["--clip", "--prompt", "What happens?", "--sort", "link"];
    asking(dir, "run", &asked).assert().success();
    for name in NAMES {
        let mut sorted = files(&dir.join("run/sorted")).into_iter();
        let link = sorted.find(|path| path.ends_with(name));
        let link = link.unwrap_or_else(|| panic!("{name} is in no folder"));
        let clip = dir.join("clips").join(name).canonicalize().unwrap();
        assert!(link.is_symlink() && link.canonicalize().unwrap() == clip, "{}", link.display());
    }
    // A copy of a clip may be large.
    let copied = asking(dir, "copied", &[&asked[..4], &["copy"]].concat()).assert().code(2);
    let said = String::from_utf8_lossy(&copied.get_output().stderr).into_owned();
    assert_eq!(said.matches("a whole clip is sorted by links, not copied").count(), 4, "{said}");
}

#[cfg(unix)]
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn frames_are_judged_by_clip() {
    let dir = folder("");
    let dir = dir.path();
    let rubric = r#"name = "r"
[[axis]]
name = "sharp"
kind = "yes_no"
question = "Is it sharp?"
"#;
    fs::write(dir.join("rubric.toml"), rubric).unwrap();
    let script = json!({"rows": 4, "answers": [{"text": "Yes", "probability": 0.9}]});
    fs::write(dir.join("script.json"), script.to_string()).unwrap();
    let mut command = gemscope();
    command.current_dir(dir).env("GEMSCOPE_FFMPEG", ffmpeg());
    command.args(["critique", "clips", "--rubric", "rubric.toml", "--frames", "every:1s"]);
    command.args(["--model", "script:script.json", "--group-by", "clip", "--out", "run"]);
    command.assert().success();
    assert_eq!(records(dir, "run").len(), 1 + 2 + 3 + 4);
    let groups = fs::read_to_string(dir.join("run/groups.csv")).unwrap();
    let of =
        |name: &str| groups.lines().filter(|line| line.starts_with(&format!("{name},"))).count();
    assert_eq!(NAMES.map(of), [1, 2, 3, 4], "{groups}");
    let best = fs::read_to_string(dir.join("run/best.txt")).unwrap();
    let best: Vec<&str> = best.lines().map(|line| line.split('#').next().unwrap()).collect();
    assert_eq!(best, NAMES);
}

/// Processes of ffmpeg, and whether they are left.
#[cfg(unix)]
mod processes {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// An ffmpeg that never ends once it is to read `c.mp4`, and leaves its id in a file.
    fn hanging(dir: &Path) -> PathBuf {
        let program = dir.join("ffmpeg");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *c.mp4*) echo $$ > id.tmp; mv id.tmp id; exec sleep 600;; \
             esac\nexec {} \"$@\"\n",
            ffmpeg().display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn within_seconds(what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Begins a run that hangs with `c.mp4`; the run, and the id of its ffmpeg.
    fn begun(dir: &Path, arguments: &[&str]) -> (Child, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gemscope"));
        command.current_dir(dir).env("GEMSCOPE_FFMPEG", hanging(dir));
        command.args(["detect", "clips", "--model", "script:script.json", "--out", "run"]);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        within_seconds("ffmpeg is run", || dir.join("id").exists());
        let id = fs::read_to_string(dir.join("id")).unwrap().trim().to_owned();
        fs::remove_file(dir.join("id")).unwrap();
        assert!(runs(&id));
        (child, id)
    }

    fn runs(id: &str) -> bool {
        let state = Command::new("ps").args(["-o", "stat=", "-p", id]).output().unwrap();
        let state = String::from_utf8(state.stdout).unwrap();
        !state.trim().is_empty() && !state.starts_with('Z')
    }

    fn signal(child: &Child, name: &str) {
        let id = child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    #[test]
    fn a_stop_does_not_wait_for_a_clip() {
        let dir = folder("A picture changes.");
        let dir = dir.path();
        let asked = ["--clip", "--prompt", "What happens?"];
        let (mut child, id) = begun(dir, &asked);
        signal(&child, "-INT");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        within_seconds("no ffmpeg is left", || !runs(&id));
        let stopped = records(dir, "run");
        assert!(stopped.iter().all(|record| record["status"] == "text"), "{stopped:?}");
        assert!(!names(&stopped).contains(&"c.mp4"));
        asking(dir, "run", &asked).assert().success();
        assert_eq!(names(&records(dir, "run")), NAMES);
    }

    #[test]
    fn no_ffmpeg_is_left_behind_a_command_that_is_ended() {
        let dir = folder("[]");
        let dir = dir.path();
        // Frames are listed before a run heeds signals.
        let (mut child, id) = begun(dir, &["--labels", "cat", "--frames", "every:1s"]);
        signal(&child, "-TERM");
        assert_eq!(child.wait().unwrap().code(), None, "the signal ends it");
        within_seconds("no ffmpeg is left", || !runs(&id));
    }
}
