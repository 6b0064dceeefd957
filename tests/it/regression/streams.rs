//! Exit codes, signals, figures, and text that comes in and goes out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{fixture, gemscope, json, json_lines};

/// The command as `std` has it, for streams that `assert_cmd` cannot close.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(gemscope().get_program());
    command.env("GEMSCOPE_DEVICE", "cpu").args(args);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What may become of stdout or stderr.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
enum Stream {
    Read,
    /// A pipe whose reader is gone: `| head -1`.
    ClosedPipe,
    /// `>&-`
    Closed,
    /// A full disk.
    Full,
}

/// The exit code of the command with such streams.
#[cfg(unix)]
fn code(args: &[&str], stdout: Stream, stderr: Stream) -> Option<i32> {
    let stdio = |stream| match stream {
        Stream::Read | Stream::Closed => Stdio::null(),
        Stream::ClosedPipe => {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer.into()
        }
        Stream::Full => File::options().write(true).open("/dev/full").unwrap().into(),
    };
    let close =
        |stream, redirection| if matches!(stream, Stream::Closed) { redirection } else { "" };
    let script = format!("exec \"$@\" {} {}", close(stdout, ">&-"), close(stderr, "2>&-"));
    let mut command = Command::new("sh");
    command
        .env("GEMSCOPE_DEVICE", "cpu")
        .args(["-c", &script, "sh"])
        .arg(gemscope().get_program())
        .args(args);
    command.stdin(Stdio::null()).stdout(stdio(stdout)).stderr(stdio(stderr));
    command.status().unwrap().code()
}

#[cfg(unix)]
const STREAMS: [(Stream, Stream); 6] = [
    (Stream::ClosedPipe, Stream::Read),
    (Stream::Closed, Stream::Closed),
    (Stream::Full, Stream::Read),
    (Stream::Read, Stream::ClosedPipe),
    (Stream::Read, Stream::Full),
    (Stream::Full, Stream::Full),
];

/// A run of answers that were made elsewhere, with an image beside it.
fn parsed_run(dir: &Path) -> (PathBuf, PathBuf) {
    let images = dir.join("pictures");
    fs::create_dir_all(&images).unwrap();
    image::GrayImage::new(40, 30).save(images.join("a.png")).unwrap();
    let answers = dir.join("answers.jsonl");
    let answer = r#"[{\"box_2d\": [0, 0, 500, 500], \"label\": \"dog\"}]"#;
    let line = format!(r#"{{"image": "a.png", "width": 40, "height": 30, "text": "{answer}"}}"#);
    fs::write(&answers, line + "\n").unwrap();
    let run = dir.join("run");
    gemscope().arg("parse").arg(&answers).arg("--out").arg(&run).assert().success();
    (run, answers)
}

#[cfg(target_os = "linux")]
#[test]
fn each_command_ends_with_its_own_code_when_nobody_reads_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let (run, answers) = parsed_run(dir.path());
    let broken = dir.path().join("broken.jsonl");
    fs::write(&broken, fs::read_to_string(&answers).unwrap() + "{oops\n").unwrap();
    let pipeline = dir.path().join("pipeline.toml");
    fs::write(&pipeline, "[task]\nlabels = [\"star\"]\n").unwrap();
    let (run, broken, pipeline) = (path(&run), path(&broken), path(&pipeline));
    let (shapes, truth) = (fixture("shapes"), fixture("coco/truth.json"));
    let (shapes, truth) = (path(&shapes), path(&truth));
    let out = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let parse_out = out("parsed");
    let mut cases: Vec<(Vec<&str>, i32)> = vec![
        (vec!["--help"], 0),
        (vec!["detect"], 1),
        (vec!["detect", shapes, "--labels", "star", "--dry-run"], 0),
        (vec!["detect", shapes, "--labels", "star", "--dry-run", "--json"], 0),
        (vec!["run", pipeline, "--check"], 0),
        (vec!["parse", broken, "--out", &parse_out, "--fresh"], 2),
        (vec!["export", run, "--to", "csv,counts"], 0),
        (vec!["report", run], 0),
        (vec!["eval", run, "--truth", truth], 1),
    ];
    let outs: Vec<String> =
        (0..STREAMS.len()).map(|place| out(&format!("converted-{place}.json"))).collect();
    for (place, (stdout, stderr)) in STREAMS.into_iter().enumerate() {
        cases.push((vec!["convert", truth, "--to", "coco", "--out", &outs[place]], 0));
        for (args, expected) in &cases {
            assert_eq!(
                code(args, stdout, stderr),
                Some(*expected),
                "{args:?} with {stdout:?} and {stderr:?}"
            );
        }
        cases.pop();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_with_a_model_ends_with_its_own_code_when_nobody_reads_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir(&images).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), images.join("a.png")).unwrap();
    fs::write(images.join("broken.png"), "no picture").unwrap();
    let (images, whole) = (path(&images), images.join("a.png"));
    let (found, judged) = (dir.path().join("found"), dir.path().join("judged"));
    let detect = [
        "detect",
        images,
        "--labels",
        "star",
        "--budget",
        "70",
        "--export",
        "jsonl",
        "--out",
        path(&found),
    ];
    let (rubric, demo) = (dir.path().join("rubric.toml"), fixture("demo-model"));
    fs::write(&rubric, gemscope::critique::Rubric::DEMO).unwrap();
    let critique =
        ["critique", images, "--model", path(&demo), "--rubric", path(&rubric), "--budget", "70"];
    let critique = [&critique[..], &["--export", "jsonl", "--out", path(&judged)]].concat();
    let inspect = ["inspect", path(&whole)];
    let model = ["model", "inspect"];
    let few = [(Stream::ClosedPipe, Stream::Full), (Stream::Full, Stream::ClosedPipe)];
    for (stdout, stderr) in STREAMS {
        assert_eq!(code(&detect, stdout, stderr), Some(2), "detect with {stdout:?} and {stderr:?}");
    }
    for (args, expected) in
        [(&critique[..], 2), (&inspect, 0), (&model, 0), (&["doctor"], 0), (&["setup"], 0)]
    {
        for (stdout, stderr) in few {
            assert_eq!(
                code(args, stdout, stderr),
                Some(expected),
                "{args:?} with {stdout:?} and {stderr:?}"
            );
        }
    }
}

/// Without `--out` the printed records are all there is.
#[cfg(target_os = "linux")]
#[test]
fn records_that_a_full_disk_does_not_take_are_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let (_, answers) = parsed_run(dir.path());
    assert_eq!(code(&["parse", path(&answers)], Stream::Full, Stream::Read), Some(1));
    assert_eq!(code(&["parse", path(&answers)], Stream::ClosedPipe, Stream::Read), Some(0));
}

/// `count` pictures, and the arguments of a run over them that takes a while.
#[cfg(unix)]
fn slow_run(dir: &Path, count: usize) -> Vec<String> {
    let images = dir.join("images");
    fs::create_dir(&images).unwrap();
    for index in 0..count {
        fs::copy(fixture("shapes/scene-01.png"), images.join(format!("{index:03}.png"))).unwrap();
    }
    let mut args: Vec<String> =
        ["detect", "--labels", "star", "--budget", "70", "--batch", "1", "--sync-every", "0"]
            .map(str::to_owned)
            .to_vec();
    args.extend(["--export".into(), "jsonl".into()]);
    args.extend(
        [images, "--out".into(), dir.join("run")]
            .map(|path: PathBuf| path.to_str().unwrap().to_owned()),
    );
    args
}

#[cfg(unix)]
fn records(run: &Path) -> usize {
    fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default().lines().count()
}

/// Waits for two records, sends SIGHUP, and waits for the end.
#[cfg(unix)]
fn hang_up(mut command: Command, run: &Path) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while records(run) < 2 {
        assert!(begun.elapsed() < Duration::from_mins(2), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..2 {
        assert!(
            Command::new("kill")
                .args(["-HUP", &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_closed_terminal_stops_a_run_with_its_exports_and_its_true_speed() {
    // More than are done before a busy machine delivers the signal.
    const IMAGES: usize = 600;
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut args = slow_run(dir.path(), IMAGES);
    args.push("--json".into());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = hang_up(command(&args), &run);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let exported = json_lines(fs::read_to_string(run.join("detections.jsonl")).unwrap());
    assert_eq!(exported.len(), records(&run));
    // The speed is of images that were done, not of those that were planned.
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (done, left) = (summary["done"].as_u64().unwrap(), summary["left"].as_u64().unwrap());
    assert_eq!(
        (done, done + left, &summary["stopped"]),
        (exported.len() as u64, IMAGES as u64, &Value::Bool(true))
    );
    let speed =
        summary["images_per_second"].as_f64().unwrap() * summary["wall_seconds"].as_f64().unwrap();
    assert!((speed - done as f64).abs() < 1e-6, "{speed} of {done}");
}

#[cfg(unix)]
#[test]
fn nohup_keeps_a_run_alive() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut command = Command::new("sh");
    command.env("GEMSCOPE_DEVICE", "cpu").args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(gemscope().get_program()).args(slow_run(dir.path(), 6));
    let output = hang_up(command, &run);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(records(&run), 6);
    assert!(text(&output.stdout).contains("6 images: "), "{}", text(&output.stdout));
}

/// Characters that a terminal acts on: a mark that turns the direction of writing, DEL, and one of
/// C1.
const ACTING: &str = "\u{202e}gpj\u{7f}\u{9b}1m";

#[cfg(unix)]
#[test]
fn json_on_stdout_is_json_whatever_names_are_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir(&images).unwrap();
    let name = format!("a{ACTING}.png");
    fs::copy(fixture("shapes/scene-01.png"), images.join(&name)).unwrap();
    let read = |args: &[&str]| -> Value {
        let output = command(args).output().unwrap();
        let said = text(&output.stdout);
        assert!(
            !said.contains(|c: char| ACTING.contains(c) && !c.is_ascii_alphanumeric()),
            "{args:?}: {said:?}"
        );
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"))
    };
    let image = images.join(&name);
    let (images, run) = (path(&images), dir.path().join("run"));
    let plan = read(&["detect", images, "--labels", "star", "--dry-run", "--json"]);
    assert_eq!(plan["files"][0]["image"], name);
    assert!(read(&["inspect", path(&image)])["path"].as_str().unwrap().ends_with(&name));
    let answers = dir.path().join("answers.jsonl");
    let line = serde_json::json!({"image": name, "width": 10, "height": 10, "text": ACTING});
    fs::write(&answers, format!("{line}\n")).unwrap();
    assert_eq!(read(&["parse", path(&answers)])["image"], name);
    command(&["parse", path(&answers), "--out", path(&run)]).output().unwrap();
    let report = read(&["report", path(&run), "--json"]);
    assert_eq!(report["images"], 1);
    // The text for people stays one that no terminal acts on.
    let shown = command(&["detect", images, "--labels", "star", "--dry-run"]).output().unwrap();
    assert!(
        text(&shown.stdout).contains("a\\u{202e}gpj\\u{7f}\\u{9b}1m.png"),
        "{}",
        text(&shown.stdout)
    );
}

/// The same text as editors write it: with a byte order mark, and as UTF-16 in both orders.
fn encodings(text: &str) -> [Vec<u8>; 3] {
    let units = || std::iter::once(0xfeff).chain(text.encode_utf16());
    [
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        units().flat_map(u16::to_le_bytes).collect(),
        units().flat_map(u16::to_be_bytes).collect(),
    ]
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_label() {
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.txt");
    let (shapes, model) = (fixture("shapes"), fixture("demo-model"));
    for bytes in encodings("star\r\nK\u{fc}che\r\n") {
        fs::write(&labels, bytes).unwrap();
        let output = command(&[
            "detect",
            path(&shapes),
            "--model",
            path(&model),
            "--dry-run",
            "--json",
            "--labels",
        ])
        .arg(format!("@{}", labels.display()))
        .output()
        .unwrap();
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        let prompt = plan["prompts"][0].as_str().unwrap();
        assert!(
            prompt.contains("star and K\u{fc}che") && !prompt.contains(['\u{feff}', '\0']),
            "{prompt:?}"
        );
    }
    // Without its mark it is no text; what is wrong is said.
    fs::write(&labels, &encodings("star\ndog\n")[1][2..]).unwrap();
    let output =
        command(&["detect", path(&shapes), "--model", path(&model), "--dry-run", "--labels"])
            .arg(format!("@{}", labels.display()))
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("labels.txt: line 1 has a NUL byte"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn lists_of_paths_are_read_as_editors_write_them_also_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.txt");
    let (one, two) = (fixture("shapes/scene-01.png"), fixture("shapes/scene-02.png"));
    let lines = format!("{}\r\n{}\r\n", one.display(), two.display());
    for bytes in encodings(&lines) {
        fs::write(&list, bytes).unwrap();
        for input in [format!("@{}", list.display()), "-".into()] {
            let output = command(&["detect", "--labels", "star", "--dry-run", "--json", &input])
                .stdin(File::open(&list).unwrap())
                .output()
                .unwrap();
            let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
            let files = plan["files"].as_array().unwrap();
            assert!(
                files.len() == 2 && files.iter().all(|file| file.get("error").is_none()),
                "{input}: {plan}"
            );
        }
    }
}

#[test]
fn tables_and_settings_are_read_as_editors_write_them() {
    let dir = tempfile::tempdir().unwrap();
    let (run, _) = parsed_run(dir.path());
    let file = dir.path().join("file");
    let (scene, model) = (fixture("shapes/scene-01.png"), fixture("demo-model"));
    let detect = ["detect", path(&scene), "--model", path(&model), "--dry-run", "--json"];
    // Per image questions, a CSV.
    for bytes in encodings("image,labels\nscene-01.png,Stra\u{df}e\n") {
        fs::write(&file, bytes).unwrap();
        let output = command(&detect).args(["--prompts", path(&file)]).output().unwrap();
        assert!(text(&output.stdout).contains("Stra\u{df}e"), "{}", text(&output.stderr));
    }
    // Other words for labels, and the categories of a data set.
    for (flag, content) in
        [("--labels-map", "dog = \"Stra\u{df}e\"\n"), ("--categories", "dog\nStra\u{df}e\n")]
    {
        for bytes in encodings(content) {
            fs::write(&file, bytes).unwrap();
            let output = command(&["export", path(&run), "--to", "coco", flag, path(&file)])
                .output()
                .unwrap();
            assert!(output.status.success(), "{flag}: {}", text(&output.stderr));
            let instances = json(run.join("instances.json"));
            let names: Vec<&str> = instances["categories"]
                .as_array()
                .unwrap()
                .iter()
                .map(|category| category["name"].as_str().unwrap())
                .collect();
            let expected: &[&str] =
                if flag == "--labels-map" { &["Stra\u{df}e"] } else { &["dog", "Stra\u{df}e"] };
            assert_eq!(names, expected, "{flag}");
        }
    }
    // A pipeline, and a rubric.
    let rubric = format!("# Stra\u{df}e\n{}", gemscope::critique::Rubric::DEMO);
    for (name, content) in [
        ("pipeline.toml", "[task]\nlabels = [\"Stra\u{df}e\"]\n"),
        ("rubric.toml", rubric.as_str()),
    ] {
        let file = dir.path().join(name);
        for bytes in encodings(content) {
            fs::write(&file, bytes).unwrap();
            let output = command(&["run", path(&file), "--check"]).output().unwrap();
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn one_format_that_fails_keeps_no_other_from_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let (run, _) = parsed_run(dir.path());
    // Nothing says where the images are, which crops need.
    let output = command(&["export", path(&run), "--to", "crops,csv,coco"]).output().unwrap();
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("crops: ") && error.contains("needs the images"), "{error}");
    for file in ["detections.csv", "instances.json"] {
        assert!(run.join(file).is_file() && said.contains(file), "{file}: {said}");
    }
    assert!(!said.contains("crops"), "{said}");
}

/// A folder of the user's stands where a table is to be written.
#[test]
fn a_run_whose_export_failed_is_no_success_and_has_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let scene = fixture("shapes/scene-01.png");
    let (found, judged) = (dir.path().join("found"), dir.path().join("judged"));
    let detect =
        ["detect", path(&scene), "--labels", "star", "--budget", "70", "--out", path(&found)];
    let (rubric, model) = (dir.path().join("rubric.toml"), fixture("demo-model"));
    fs::write(&rubric, gemscope::critique::Rubric::DEMO).unwrap();
    let [rubric, model] = [path(&rubric), path(&model)];
    let critique = [
        "critique",
        path(&scene),
        "--model",
        model,
        "--rubric",
        rubric,
        "--budget",
        "70",
        "--out",
        path(&judged),
    ];
    for (args, run, formats, blocked, other) in [
        (&detect[..], &found, "counts,csv", "counts.csv", "detections.csv"),
        (&critique, &judged, "csv,jsonl", "verdicts.csv", "verdicts.jsonl"),
    ] {
        let output = command(args).args(["--export", "none"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        fs::create_dir_all(run.join(blocked).join("of the user")).unwrap();
        let output = command(args).args(["--export", formats]).output().unwrap();
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(blocked), "{error}");
        assert!(
            run.join(other).is_file() && said.contains(other) && !said.contains(blocked),
            "{said}{error}"
        );
        assert!(run.join(blocked).join("of the user").is_dir());
    }
}

#[test]
fn a_long_path_stops_no_export() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vec!["folder-with-a-long-name".repeat(4); 4].join("/");
    fs::create_dir_all(dir.path().join("pictures").join(&folder)).unwrap();
    let name = format!("{folder}/a.png");
    image::GrayImage::new(40, 30).save(dir.path().join("pictures").join(&name)).unwrap();
    let answers = dir.path().join("answers.jsonl");
    let answer = r#"[{"box_2d": [0, 0, 500, 500], "label": "dog"}]"#;
    let line = serde_json::json!({"image": name, "width": 40, "height": 30, "text": answer});
    fs::write(&answers, format!("{line}\n")).unwrap();
    let run = dir.path().join("run");
    gemscope().arg("parse").arg(&answers).arg("--out").arg(&run).assert().success();
    let images = dir.path().join("pictures");
    let output =
        command(&["export", path(&run), "--to", "voc,yolo,crops,csv", "--images", path(&images)])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(run.join("voc/Annotations")).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn input_without_an_end_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let endless = |input: &str, command: &[&str]| {
        let arguments =
            command.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let binary = crate::support::binary().into_string().unwrap();
        let script = format!("ulimit -v 3000000; {input} | timeout 120 '{binary}' {arguments}");
        let output =
            Command::new("sh").current_dir(dir.path()).args(["-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{input}: {}", text(&output.stderr));
        text(&output.stderr)
    };
    let parse = ["parse", "-", "-q"];
    assert!(endless("yes [", &parse).contains("in a row are no JSON"));
    assert!(endless("yes '{\"a\":'", &parse).contains("in a row are no JSON"));
    assert!(endless("cat /dev/zero", &parse).contains("NUL byte"));
    let detect = ["detect", "-", "--labels", "star", "--out", "run"];
    assert!(endless("cat /dev/zero", &detect).contains("NUL bytes"));
}

#[test]
fn lines_of_old_macs_are_lines() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("labels.txt"), "star\rcircle\r").unwrap();
    let scene = fixture("shapes/scene-01.png");
    let mut plan = gemscope();
    plan.current_dir(dir.path()).args([
        "detect",
        path(&scene),
        "--labels",
        "@labels.txt",
        "--dry-run",
        "--json",
    ]);
    let plan = text(&plan.output().unwrap().stdout);
    assert!(plan.contains("star and circle") && !plan.contains("\\r"), "{plan}");
}
