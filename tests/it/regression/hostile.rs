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
    fs::write(
        &rubric,
        format!("name = \"r\"\nmin_mass = 0.0\nbudget = 70\n{axes}\n[gate]\nrules = {rules}\n"),
    )
    .unwrap();
    let mut command = patient();
    command.arg("critique").arg(frames).arg("--model").arg(fixture("demo-model"));
    command.arg("--rubric").arg(rubric).arg("--out").arg(dir.join("run")).output().unwrap()
}

fn report_only(dir: &Path, axes: &str, rules: &str) -> Output {
    let rubric = dir.join("rubric.toml");
    fs::write(
        &rubric,
        format!("name = \"r\"\nmin_mass = 0.0\nbudget = 70\n{axes}\n[gate]\nrules = {rules}\n"),
    )
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

const ADHERENCE: &str = "[[axis]]\nname = \"adherence\"\nkind = \"yes_no\"\nquestion = \"Does \
                         this image show the following: {clause}?\"";
const SHARPNESS: &str = "[[axis]]\nname = \"sharpness\"\nkind = \"level\"\nquestion = \"Rate the \
                         sharpness of this image\"";

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
    let output = critique(
        dir.path(),
        &frames(dir.path()),
        &axes,
        r#"["reject if adherence < 0.0", "keep otherwise"]"#,
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(
        [list(dir.path(), "keep.txt"), list(dir.path(), "review.txt")],
        ["known.png\n", "unknown.png\n"]
    );
    assert!(
        said(&output).contains("not asked about adherence (their prompt is not known, or"),
        "{}",
        said(&output)
    );
    let verdicts = json_lines(list(dir.path(), "verdicts.jsonl"));
    assert_eq!(verdicts[1]["not_asked"], serde_json::json!(["adherence"]));
    assert!(
        list(dir.path(), "verdicts.csv")
            .contains("unknown.png,review,not asked,not asked: adherence")
    );
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
    for (axes, says) in [(changed, "asked in other words: sharpness"), (added, "not asked: noise")]
    {
        let output = report_only(dir.path(), &axes, keep);
        assert!(
            output.status.code() == Some(1) && said(&output).contains(says),
            "{}",
            said(&output)
        );
        assert_eq!(list(dir.path(), "keep.txt"), kept);
    }
}

#[test]
fn a_rule_that_sleeps_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"["reject if sleep(100000) == ()", "keep otherwise"]"#;
    let output = critique(dir.path(), &fixture("shapes/scene-01.png"), SHARPNESS, rules);
    assert!(
        output.status.code() == Some(1) && said(&output).contains("there is no sleep"),
        "{}",
        said(&output)
    );
    // Nor does --check wait.
    let pipeline = dir.path().join("pipeline.toml");
    fs::copy(dir.path().join("rubric.toml"), &pipeline).unwrap();
    let output = patient().arg("run").arg(&pipeline).arg("--check").output().unwrap();
    assert!(
        output.status.code() == Some(1) && said(&output).contains("there is no sleep"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_yes_or_no_is_compared_with_nothing_but_another() {
    let dir = tempfile::tempdir().unwrap();
    for rule in [
        "0.0 <= sharpness < 0.99",
        "0.1 < sharpness < 0.9",
        "(sharpness < 2) > 0.5",
        "1 < 2 < 3",
        "0.5 >= (1 < 2)",
        "(sharpness < 2) == 1",
        "true == sharpness",
        "(1 < 2) != \"yes\"",
        "1.0 == (2 < 3)",
    ] {
        let rules =
            format!("[{}, \"keep otherwise\"]", serde_json::json!(format!("reject if {rule}")));
        let output = critique(dir.path(), &fixture("shapes/scene-01.png"), SHARPNESS, &rules);
        assert!(
            output.status.code() == Some(1) && said(&output).contains("a yes or no"),
            "{rule}: {}",
            said(&output)
        );
        let is_range = !rule.contains("==") && !rule.contains("!=") || rule.contains(">=");
        assert_eq!(
            said(&output).contains("0.1 < sharpness && sharpness < 0.9"),
            is_range,
            "{}",
            said(&output)
        );
        let output = patient()
            .arg("run")
            .arg(dir.path().join("rubric.toml"))
            .arg("--check")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{rule}");
    }
    let rules = r#"["keep if (sharpness < 2) == (1 < 2) && \"a\" < \"b\" && 1 == 1.0 && \"a\" == \"a\" && \"a\" + \"b\" == \"ab\""]"#;
    let output = critique(dir.path(), &fixture("shapes/scene-01.png"), SHARPNESS, rules);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(list(dir.path(), "keep.txt"), "scene-01.png\n");
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
    assert!(
        output.status.code() == Some(1) && said(&output).contains("never reached"),
        "{}",
        said(&output)
    );
}

/// Finds circles in a fixture with the demo model.
fn find(dir: &Path) -> Command {
    let mut command = patient();
    command
        .arg("detect")
        .arg(fixture("shapes/scene-01.png"))
        .arg("--model")
        .arg(fixture("demo-model"));
    command.args(["--export", "none", "--out"]).arg(dir.join("run"));
    command
}

/// A copy of the demo model.
fn model(dir: &Path) -> PathBuf {
    let copy = dir.join("model");
    for entry in walkdir::WalkDir::new(fixture("demo-model")) {
        let entry = entry.unwrap();
        let to = copy.join(entry.path().strip_prefix(fixture("demo-model")).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
    copy
}

/// Runs `detect` with a model, and gives what it said of its failure.
fn fails_with(model: &Path, dir: &Path) -> String {
    let mut command = patient();
    command
        .arg("detect")
        .arg(fixture("shapes/scene-01.png"))
        .args(["--labels", "star", "--model"])
        .arg(model);
    let output = command.arg("--out").arg(dir.join("run")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn journal(dir: &Path) -> Vec<serde_json::Value> {
    json_lines(fs::read_to_string(dir.join("run/journal.jsonl")).unwrap())
}

#[test]
fn a_special_token_in_a_label_is_a_word() {
    let dir = tempfile::tempdir().unwrap();
    // As a token it ended the turn, and the model answered something else.
    let labels = "circle,<turn|>";
    let inspected = patient()
        .arg("inspect")
        .arg(fixture("shapes/scene-01.png"))
        .args(["--labels", labels])
        .output()
        .unwrap();
    let plain = patient()
        .arg("inspect")
        .arg(fixture("shapes/scene-01.png"))
        .args(["--labels", "circle"])
        .output()
        .unwrap();
    let turns = |output: &Output| {
        let ids = &json_lines(String::from_utf8(output.stdout.clone()).unwrap())[0]["token_ids"];
        ids.as_array().unwrap().iter().filter(|id| **id == 6).count()
    };
    assert_eq!(turns(&inspected), turns(&plain), "{}", said(&inspected));
    assert!(said(&inspected).contains("circle and <turn|>"), "it is read as it was written");
    assert_eq!(
        find(dir.path()).args(["--labels", labels]).output().unwrap().status.code(),
        Some(0)
    );
    assert_ne!(journal(dir.path())[0]["status"], "failed");
}

#[test]
fn a_special_token_in_a_prompts_file_or_a_system_prompt_is_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let prompts = dir.path().join("prompts.csv");
    fs::write(&prompts, "image,prompt\nscene-01.png,detect circle <|image|>\n").unwrap();
    let output = find(dir.path()).arg("--prompts").arg(&prompts).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let mut inspect = patient();
    inspect.arg("inspect").arg(fixture("shapes/scene-01.png")).args([
        "--labels",
        "star",
        "--system",
        "Be <|image|> brief.",
    ]);
    let output = inspect.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn three_thousand_labels_are_refused_with_the_length_of_their_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.txt");
    fs::write(
        &labels,
        (0..3000).map(|number| format!("thing number {number}\n")).collect::<String>(),
    )
    .unwrap();
    let output =
        find(dir.path()).arg("--labels").arg(format!("@{}", labels.display())).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for words in ["3000 labels", "tokens of text, and the model takes 7069"] {
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn a_stop_id_out_of_range_is_an_error_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    fs::write(model.join("generation_config.json"), r#"{"eos_token_id": [6, 99999999]}"#).unwrap();
    let said = fails_with(&model, dir.path());
    assert!(said.contains("the stop id 99999999") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_template_does_not_make_texts_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    for template in [
        "{{ messages|tojson(indent=100000000) }}",
        "{{ {'a': [1, 2]}|tojson(1000000000000) }}",
        "{{ '{:>1000000000}'.format('x') }}",
        "{% set long = 'x' * 1000000 %}{{ ('{0}' * 100000).format(long) }}",
        "{{ (range(100000)|list * 1000)|tojson }}",
    ] {
        fs::write(model.join("chat_template.jinja"), template).unwrap();
        let said = fails_with(&model, dir.path());
        assert!(
            said.contains("more than 16 MiB") || said.contains("out of fuel"),
            "{template}: {said}"
        );
    }
}

/// A FIFO that nobody writes into.
#[cfg(unix)]
fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Whatever is read: a command that meets a pipe in its place ends, and says so.
#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let [pipe, tar] = ["pipe", "pipe.tar"].map(|name| dir.path().join(name));
    fifo(&pipe);
    fifo(&tar);
    let pipe_text = pipe.to_str().unwrap();
    let scene = fixture("shapes/scene-01.png");
    let [scene, tar] = [scene.to_str().unwrap(), tar.to_str().unwrap()];
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    let list = format!("@{pipe_text}");
    let commands: &[&[&str]] = &[
        &["inspect", pipe_text],
        &["detect", pipe_text, "--labels", "star", "--out", run],
        &["detect", tar, "--labels", "star", "--out", run],
        &["detect", &list, "--labels", "star", "--out", run],
        &["detect", scene, "--labels", &list, "--out", run],
        &["detect", scene, "--prompts", pipe_text, "--out", run],
        &["detect", scene, "--prompts", "/dev/zero", "--out", run],
        &["detect", "@/dev/zero", "--labels", "star", "--out", run],
        &["detect", scene, "--labels", "star", "--calibration", pipe_text, "--out", run],
        &["detect", scene, "--labels", "star", "--labels-map", pipe_text, "--out", run],
        &["detect", scene, "--labels", "star", "--ort-lib", pipe_text, "--out", run],
        &["eval", "--truth", pipe_text, "--predictions", pipe_text],
        &["convert", pipe_text, "--to", "coco", "--out", run],
        &["critique", scene, "--rubric", pipe_text, "--out", run],
        &["critique", scene, "--generation", pipe_text, "--out", run],
        &["run", pipe_text, scene, "--out", run],
        &["parse", pipe_text, "--out", run],
    ];
    for command in commands {
        let output = patient().args(*command).output().unwrap();
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{command:?}: {:?} {}",
            output.status,
            said(&output)
        );
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_runs_directory_is_refused_and_not_waited_for() {
    for name in ["run.json", "journal.jsonl", ".lock"] {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            find(dir.path()).args(["--labels", "circle"]).output().unwrap().status.code(),
            Some(0)
        );
        let path = dir.path().join("run").join(name);
        let _ = fs::remove_file(&path);
        fifo(&path);
        let again = find(dir.path()).args(["--labels", "circle"]).output().unwrap();
        assert_eq!(again.status.code(), Some(1), "{name}: {}", said(&again));
        assert!(said(&again).contains("not a regular file"), "{name}: {}", said(&again));
        let export = patient()
            .arg("export")
            .arg(dir.path().join("run"))
            .args(["--export", "csv"])
            .output()
            .unwrap();
        assert!(export.status.code().is_some(), "{name}: {}", said(&export));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_model_directory_is_refused_and_not_waited_for() {
    let names = [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "processor_config.json",
        "onnx/vision_encoder.onnx",
        "onnx/decoder_model_merged.onnx",
        "onnx/decoder_model_merged.onnx_data",
    ];
    for name in names {
        let dir = tempfile::tempdir().unwrap();
        let model = model(dir.path());
        let _ = fs::remove_file(model.join(name));
        fifo(&model.join(name));
        let said = fails_with(&model, dir.path());
        assert!(said.contains(name) && said.contains("not a regular file"), "{name}: {said}");
    }
}

/// The most memory that a command had, in bytes, and what it said.
#[cfg(target_os = "linux")]
fn peak(arguments: &[&str]) -> (u64, Option<i32>, String) {
    let built =
        std::env::var_os("GEMSCOPE_TEST_BINARY").unwrap_or(env!("CARGO_BIN_EXE_gemscope").into());
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = std::process::Command::new(built)
        .args(arguments)
        .env("GEMSCOPE_DEVICE", "cpu")
        .env("RAYON_NUM_THREADS", "2")
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let started = std::time::Instant::now();
    let mut most = 0;
    loop {
        // The peak so far; it is gone with the process.
        let line = fs::read_to_string(&status).unwrap_or_default();
        let peak =
            line.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        most = most.max(peak.map_or(0, |kib| kib.trim().parse::<u64>().unwrap() << 10));
        if let Some(ended) = child.try_wait().unwrap() {
            return (most, ended.code(), fs::read_to_string(log.path()).unwrap());
        }
        if started.elapsed() > PATIENCE || most > 4 << 30 {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The most memory of finding circles in a folder.
#[cfg(target_os = "linux")]
fn peak_of_finding(folder: &Path) -> (u64, Option<i32>, String) {
    let out = folder.with_extension("run");
    let model = fixture("demo-model");
    let [folder, out, model] = [folder, &out, &model].map(|path| path.to_str().unwrap());
    peak(&[
        "detect", folder, "--labels", "circle", "--model", model, "--budget", "70", "--export",
        "none", "--out", out,
    ])
}

/// Files that are called images, and are gigabytes of zeros (sparse: they take no disk).
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_image_is_not_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder_of(
        dir.path(),
        &[("shapes/scene-01.png", "a.png"), ("shapes/scene-02.png", "b.png")],
    );
    let (without, ..) = peak_of_finding(&folder);
    for (name, first) in [
        ("zeros.png", &b""[..]),
        ("zeros.jpg", b""),
        ("jpeg.jpg", b"\xFF\xD8\xFF"),
        ("png.png", b"\x89PNG\r\n\x1a\n"),
        ("tiff.tif", b"II*\0"),
        ("webp.webp", b"RIFF\xff\xff\xff\x50WEBPVP8 "),
        ("gif.gif", b"GIF89a"),
        ("bmp.bmp", b"BM"),
    ] {
        fs::write(folder.join(name), first).unwrap();
        fs::File::options()
            .write(true)
            .open(folder.join(name))
            .unwrap()
            .set_len(1_400 << 20)
            .unwrap();
    }
    fs::remove_dir_all(folder.with_extension("run")).unwrap();
    let (with, code, said) = peak_of_finding(&folder);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        with < without + without / 10,
        "{} MB, and {} MB without them",
        with >> 20,
        without >> 20
    );
}

/// A PNG of that size, all black.
#[cfg(target_os = "linux")]
fn black_png(path: &Path, width: u32, height: u32) {
    let picture = image::RgbImage::new(width, height);
    picture.save_with_format(path, image::ImageFormat::Png).unwrap();
}

/// One row, one column, and a square of as many pixels. With 178 million of them it is the same
/// (docs/IMAGES.md has the figures).
#[cfg(target_os = "linux")]
#[test]
fn extreme_shapes_cost_what_their_pixels_cost() {
    let peak_of = |width: u32, height: u32| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("images");
        fs::create_dir(&folder).unwrap();
        black_png(&folder.join("a.png"), width, height);
        let (most, code, said) = peak_of_finding(&folder);
        assert_eq!(code, Some(0), "{width}x{height}: {} MB: {said}", most >> 20);
        most
    };
    let square = peak_of(1000, 1000);
    for (width, height) in [(1_000_000, 1), (1, 1_000_000), (333_333, 3)] {
        let most = peak_of(width, height);
        let ratio = most as f64 / square as f64;
        assert!(ratio < 1.3, "{width}x{height}: {} MB, a square {} MB", most >> 20, square >> 20);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_profile_or_a_name_of_gigabytes_is_not_taken_into_memory() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    let (without, ..) = peak_of_finding(&folder);
    // Four hundred megabytes of an ICC profile, packed into four hundred kilobytes.
    let picture = fs::read(folder.join("a.png")).unwrap();
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..400 {
        std::io::Write::write_all(&mut packed, &vec![0; 1 << 20]).unwrap();
    }
    let data = [&b"iCCPicc\0\0"[..], &packed.finish().unwrap()].concat();
    let mut sum = flate2::Crc::new();
    sum.update(&data);
    let mut spoiled = picture[..33].to_vec();
    spoiled.extend(((data.len() - 4) as u32).to_be_bytes());
    spoiled.extend(data);
    spoiled.extend(sum.sum().to_be_bytes());
    spoiled.extend(&picture[33..]);
    fs::write(folder.join("icc.png"), spoiled).unwrap();
    // An archive whose first name is said to have three gigabytes, and has them.
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(3 << 30);
    header.set_cksum();
    let archive = folder.join("names.tar");
    fs::write(&archive, header.as_bytes()).unwrap();
    fs::File::options().write(true).open(&archive).unwrap().set_len((3 << 30) + 4096).unwrap();
    fs::remove_dir_all(folder.with_extension("run")).unwrap();
    let out = dir.path().join("out");
    let model = fixture("demo-model");
    let [folder, archive, out, model] =
        [&folder, &archive, &out, &model].map(|path| path.to_str().unwrap());
    let (with, code, said) = peak(&[
        "detect", folder, archive, "--labels", "circle", "--model", model, "--budget", "70",
        "--export", "none", "--out", out,
    ]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("a name or header of 3221225472 bytes"), "{said}");
    assert!(
        with < without + (150 << 20),
        "{} MB, and {} MB without them",
        with >> 20,
        without >> 20
    );
}

/// The telemetry of ONNX Runtime writes its device id and its events there before it sends them.
#[cfg(target_os = "linux")]
#[test]
fn onnx_runtime_keeps_no_telemetry() {
    let dir = tempfile::tempdir().unwrap();
    let cache = gemscope::onnxruntime::cache_dir().unwrap();
    let users = dir.path().join("cache");
    fs::create_dir(&users).unwrap();
    let mut command = find(dir.path());
    command.args(["--labels", "circle"]).env("XDG_CACHE_HOME", &users).env("GEMSCOPE_CACHE", cache);
    // Where these are set, it is off anyway.
    for name in ["CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_dir(&users).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_onnx_runtime_of_the_right_size_is_not_loaded() {
    let runtime = crate::support::runtime();
    let library =
        runtime.library.as_ref().filter(|_| runtime.origin == gemscope::onnxruntime::Origin::Cache);
    let Some(library) = library else { return };
    let cache = tempfile::tempdir().unwrap();
    let installed = library.parent().unwrap();
    let copy = cache.path().join(installed.file_name().unwrap());
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(installed).unwrap().flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let damaged = copy.join(library.file_name().unwrap());
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + (1 << 20)].fill(0xFF);
    fs::write(&damaged, bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = find(dir.path());
    command.env("GEMSCOPE_CACHE", cache.path()).env("PATH", "/usr/bin:/bin");
    let output = command.args(["--labels", "circle", "--offline", "-v"]).output().unwrap();
    // Where another ONNX Runtime is installed, that one is taken.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?} {}", output.status, said(&output));
    assert!(output.status.success() || said(&output).contains("has sha256"), "{}", said(&output));
}
