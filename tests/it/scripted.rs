//! A run over an engine that fails, dies, answers out of order, or never: the script of
//! [`gemscope::engine::ScriptedEngine`] behind the real command.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gemscope::engine::{Answered, Effort, Engine, EngineError, Shown, ViewForm};
use gemscope::session::{DetectConfig, OwnEngines, RunOptions, Session};
use gemscope::source;
use serde_json::{Value, json};

use crate::support::{gemscope, images, json_lines};

const BOX: &str = r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}]"#;

/// The command over a script, which is written beside the images.
fn detect(dir: &Path, images: &Path, script: &Value) -> assert_cmd::Command {
    let file = dir.join("script.json");
    fs::write(&file, script.to_string()).unwrap();
    let mut command = gemscope();
    command.args(["detect", "--labels", "cat", "--export", "coco,jsonl", "--model"]);
    command.arg(format!("script:{}", file.display())).arg("--out").arg(dir.join("run")).arg(images);
    command
}

/// What the journal of the run holds, by image.
fn journal(dir: &Path) -> Vec<(String, String)> {
    let lines = json_lines(fs::read_to_string(dir.join("run/journal.jsonl")).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines.iter().map(|record| (text(&record["image"]), text(&record["status"]))).collect()
}

fn statuses(dir: &Path) -> HashMap<String, String> {
    journal(dir).into_iter().collect()
}

#[test]
fn three_failures_in_a_row_stop_the_run_and_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 6);
    let fails = json!({"image": "01.png", "does": "fail", "reason": "no memory"});
    let all_fail = json!({"does": "fail", "reason": "no memory"});
    let one_by_one = |answers: Value| json!({"rows": 1, "answers": answers});

    let refused = detect(dir.path(), &images, &one_by_one(json!([all_fail]))).assert().code(1);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("no memory"));
    let failed = journal(dir.path());
    assert_eq!(failed.len(), 2, "the third ends the run, and has no record: {failed:?}");
    assert!(failed.iter().all(|(_, status)| status == "failed"));

    // One that fails by itself is a record, and the others are answered.
    fs::remove_dir_all(dir.path().join("run")).unwrap();
    let script = one_by_one(json!([fails, {"text": BOX}]));
    detect(dir.path(), &images, &script).assert().code(2);
    let found = statuses(dir.path());
    assert_eq!(found.len(), 6);
    assert_eq!(found.values().filter(|status| *status == "ok").count(), 5);
    assert_eq!(found["01.png"], "failed");

    let script = one_by_one(json!([{"text": BOX}]));
    detect(dir.path(), &images, &script).arg("--retry-failed").assert().success();
    assert!(statuses(dir.path()).values().all(|status| status == "ok"));
}

#[test]
fn answers_out_of_order_make_the_same_exports() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 5);
    let late = |index: u64| {
        json!({"image": format!("{index:02}.png"), "text": BOX,
        "after_ms": 250 - 50 * index})
    };
    let script = json!({"answers": (0..5).map(late).collect::<Vec<_>>()});
    detect(dir.path(), &images, &script).assert().success();
    let order: Vec<String> = journal(dir.path()).into_iter().map(|(image, _)| image).collect();
    assert_ne!(
        order,
        ["00.png", "01.png", "02.png", "03.png", "04.png"],
        "the script is out of order"
    );
    let read = |name: &str| fs::read(dir.path().join("run").join(name)).unwrap();
    let first = [read("instances.json"), read("detections.jsonl")];

    fs::remove_dir_all(dir.path().join("run")).unwrap();
    detect(dir.path(), &images, &json!({"rows": 1, "answers": [{"text": BOX}]})).assert().success();
    assert!(first == [read("instances.json"), read("detections.jsonl")]);
}

#[test]
fn an_engine_that_dies_stops_the_run_and_keeps_what_it_answered() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 4);
    let dies =
        json!({"image": "02.png", "does": "die", "reason": "the card is gone", "after_ms": 300});
    let script = json!({"rows": 4, "answers": [dies, {"text": BOX}]});
    let died = detect(dir.path(), &images, &script).assert().code(1);
    let said = String::from_utf8_lossy(&died.get_output().stderr).into_owned();
    assert!(said.contains("02.png: the card is gone"), "{said}");
    let answered = statuses(dir.path());
    assert!(!answered.contains_key("02.png") && answered.values().all(|status| status == "ok"));

    detect(dir.path(), &images, &json!({"answers": [{"text": BOX}]})).assert().success();
    assert_eq!(journal(dir.path()).len(), 4, "each image once");
}

#[test]
fn an_answer_that_never_comes_fails_its_image_after_the_time_limit() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 4);
    let script =
        json!({"rows": 2, "answers": [{"image": "01.png", "does": "wait"}, {"text": BOX}]});
    let begun = Instant::now();
    detect(dir.path(), &images, &script).args(["--answer-timeout", "0.5"]).assert().code(2);
    assert!(begun.elapsed() < Duration::from_secs(30));
    let records = json_lines(fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap());
    assert_eq!(records.len(), 4);
    let late = records.iter().find(|record| record["image"] == "01.png").unwrap();
    assert_eq!(late["reason"], "no answer within 0.5 s");
    assert_eq!(records.iter().filter(|record| record["status"] == "ok").count(), 3);
}

/// The first signal waits for what is in flight, which never comes here; the second leaves at once.
#[cfg(unix)]
#[test]
fn a_second_signal_leaves_an_engine_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 3);
    let hangs = json!({"image": "02.png", "does": "hang", "after_ms": 400});
    let script = json!({"rows": 3, "answers": [hangs, {"text": BOX}]});
    let command = detect(dir.path(), &images, &script);
    let mut child = std::process::Command::new(command.get_program())
        .args(command.get_args())
        .args(["--sync-every", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    let lines = || fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap_or_default();
    while lines().lines().count() < 2 {
        assert!(Instant::now() < until, "the others are answered while one hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(600));
    let signal = |name: &str| {
        let id = child.id().to_string();
        assert!(
            std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success()
        );
    };
    signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    signal("INT");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(journal(dir.path()).len(), 2);

    detect(dir.path(), &images, &json!({"answers": [{"text": BOX}]})).assert().success();
    assert_eq!(journal(dir.path()).len(), 3);
}

#[test]
fn a_script_that_is_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let misspelt =
        detect(dir.path(), &images, &json!({"answers": [{"txt": "[]"}]})).assert().code(1);
    assert!(String::from_utf8_lossy(&misspelt.get_output().stderr).contains("unknown field `txt`"));
    assert!(!dir.path().join("run").exists());
    let missing = gemscope()
        .args(["detect", "--labels", "cat", "--model", "script:missing.json", "--out", "run"])
        .arg(&images)
        .current_dir(dir.path())
        .assert()
        .code(1);
    assert!(String::from_utf8_lossy(&missing.get_output().stderr).contains("missing.json"));
}

/// Answers from many threads, as a server's do: each view by a thread of its own, in no order.
struct Threads {
    answers: Arc<Mutex<Vec<Answered>>>,
    open: usize,
    most: Arc<AtomicUsize>,
}

impl Engine for Threads {
    fn view_form(&self) -> ViewForm {
        ViewForm::Rgb
    }

    fn submit(&mut self, shown: Shown) {
        self.open += 1;
        self.most.fetch_max(self.open, Ordering::Relaxed);
        let answers = Arc::clone(&self.answers);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(shown.image.len() as u64 % 7));
            let answer = shown.answered_by(|_| BOX.to_owned());
            answers.lock().unwrap().push(answer);
        });
    }

    fn room(&self) -> usize {
        5 - self.open.min(5)
    }

    fn is_idle(&self) -> bool {
        self.open == 0
    }

    fn advance(&mut self, wait: Duration) -> Result<Vec<Answered>, EngineError> {
        std::thread::sleep(wait.min(Duration::from_millis(1)));
        let answered = std::mem::take(&mut *self.answers.lock().unwrap());
        self.open -= answered.len();
        Ok(answered)
    }

    fn cancel(&mut self, _id: usize) {}

    fn effort(&self) -> Effort {
        Effort::default()
    }
}

#[test]
fn an_engine_of_ones_own_answers_from_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 40);
    let most = Arc::new(AtomicUsize::new(0));
    let engine = Threads { answers: Arc::default(), open: 0, most: Arc::clone(&most) };
    let config = DetectConfig::of_labels(["cat"]);
    let mut session =
        Session::with_engines(config, OwnEngines::of("threads", engine), &()).unwrap();
    let (source, placement) = (source::list(&[images], None).unwrap(), run_placement());
    let out = dir.path().join("run");
    let finished = session.run(&source, &placement, &RunOptions::of(&out)).unwrap();
    assert_eq!((finished.outcome.done, finished.outcome.left), (40, 0));
    drop(finished);
    assert!((2..=5).contains(&most.load(Ordering::Relaxed)), "views are given while there is room");
    assert!(statuses(dir.path()).values().all(|status| status == "ok"));
}

fn run_placement() -> gemscope::journal::Placement {
    gemscope::journal::Placement::default()
}
