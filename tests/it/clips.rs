//! Whole videos: what the model is shown of them, and what it answers, equals Hugging Face's
//! processor and `generate()`; and `--clip`, on videos that an ffmpeg makes which the tests fetch.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use gemscope::generate::{GenerateOptions, Generated, Request, RequestKind, generate};
use gemscope::model::{Features, Model};
use gemscope::preprocess::{
    PATCH_SIDE, SOFT_TOKEN_SIDE, clip_frames, plan_frame, prepare_frame, time_stamp,
};
use gemscope::prompt::{Conversation, Prompter};
use gemscope::record::Sampling;
use serde_json::{Value, json};

use crate::clip_files::{H264, clip, cut_clip, make, of_every_kind};
use crate::support::{
    FEWEST_TOKENS, compare_tokens, ffmpeg, fixture, gemma4, gemscope, ids, json, json_lines,
    le_bytes_f32, le_bytes_i64, open, pattern, sha256,
};

/// How far the pattern of a frame is moved from that of the frame before.
const STEP: u32 = 5;

fn number(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap_or_else(|| panic!("{key} of {case}")) as usize
}

fn texts(case: &Value, key: &str) -> Vec<String> {
    case[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A frame of a clip of the golden data.
fn frame(case: &Value, index: usize) -> gemscope::image::UprightImage {
    let size = (number(case, "width") as u32, number(case, "height") as u32);
    pattern(case["pattern"].as_str().unwrap(), size, STEP * index as u32)
}

fn stamps(case: &Value) -> Vec<String> {
    let rate = case["fps"].as_f64().unwrap();
    clip_frames(number(case, "total")).iter().map(|index| time_stamp(*index, rate)).collect()
}

fn ids_hash(ids: &[u32]) -> String {
    sha256(&le_bytes_i64(&ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>()))
}

#[test]
fn the_frames_of_every_golden_clip_are_bit_exact() {
    let golden = json(fixture("golden/clips.json"));
    let clips = golden["clips"].as_array().unwrap();
    assert!(clips.len() >= 20, "only {} clips", clips.len());
    let prompter = Prompter::open(&gemma4("chat_template.jinja")).unwrap();
    let text = golden["prompt"].as_str().unwrap();
    let query = prompter.query_about_video(text, &Conversation::default()).unwrap();
    let mut lasts = [0; 2];
    for case in clips {
        let name =
            format!("{} {}x{}, {}", case["pattern"], case["width"], case["height"], case["total"]);
        let indices = clip_frames(number(case, "total"));
        assert_eq!(json!(indices), case["indices"], "{name}");
        assert_eq!(stamps(case), texts(case, "stamps"), "{name}");
        let (width, height) = (number(case, "width") as u32, number(case, "height") as u32);
        let soft_tokens = plan_frame(width, height).unwrap().size.soft_tokens();
        assert_eq!(soft_tokens as usize, number(case, "soft_tokens"), "{name}");
        let about = query.about_frames(&stamps(case), soft_tokens).unwrap();
        let ids = about.token_ids_of(&vec![soft_tokens; indices.len()]);
        assert_eq!(ids.len(), number(case, "input_count"), "{name}");
        assert_eq!(about.token_count(soft_tokens), ids.len(), "{name}");
        assert_eq!(ids_hash(&ids), case["ids_sha256"].as_str().unwrap(), "{name}: ids");
        for (at, place) in case["hashed"].as_array().unwrap().iter().enumerate() {
            let image = frame(case, indices[place.as_u64().unwrap() as usize]);
            for (last, (side, most, values)) in lasts.iter_mut().zip([
                (PATCH_SIDE, 630, "pixel_values_sha256"),
                (SOFT_TOKEN_SIDE, 70, "unified_pixel_values_sha256"),
            ]) {
                let mut view = prepare_frame(&image, side).unwrap();
                view.patches.pad_to(most);
                let pixels = le_bytes_f32(view.patches.pixel_values().as_slice().unwrap());
                assert_eq!(sha256(&pixels), case[values][at].as_str().unwrap(), "{name}: {values}");
                if side == PATCH_SIDE {
                    let positions = sha256(&le_bytes_i64(&view.patches.positions));
                    assert_eq!(
                        positions,
                        case["position_ids_sha256"][at].as_str().unwrap(),
                        "{name}"
                    );
                }
                *last += 1;
            }
        }
    }
    assert!(lasts.iter().all(|compared| *compared > 50), "{lasts:?} frames compared");
}

/// What a model answers, greedily, about a clip.
fn answer(
    (prompter, model): (&Prompter, &mut Model),
    clip: &Value,
    case: &Value,
    max_new_tokens: usize,
) -> Generated {
    let views = clip_frames(number(clip, "total")).into_iter().map(|index| {
        let view = prepare_frame(&frame(clip, index), model.patch_side()).unwrap();
        (view.patches, view.size.soft_tokens() as usize)
    });
    let views: Vec<_> = views.collect();
    let soft_tokens = views[0].1 as u32;
    let count = views.len();
    let features: Vec<Features> =
        views.into_iter().flat_map(|view| model.encode(vec![view]).unwrap()).collect();
    let features = Features::joined(&features.iter().collect::<Vec<_>>());
    let query =
        prompter.query_about_video(case["prompt"].as_str().unwrap(), &Conversation::default());
    let query = query.unwrap().about_frames(&stamps(clip), soft_tokens).unwrap();
    let mut prompt_ids = query.token_ids_of(&vec![soft_tokens; count]);
    assert_eq!(prompt_ids.len(), number(case, "input_count"));
    assert_eq!(ids_hash(&prompt_ids), case["input_ids_sha256"].as_str().unwrap());
    model.stand_in(&mut prompt_ids);
    let options =
        GenerateOptions { max_new_tokens, sampling: Sampling::Greedy, labels: 1, stream: 0 };
    let request = Request { prompt_ids, kind: RequestKind::Generate { options, grammar: None } };
    generate(model, &prompter.tokenizer, features, request).unwrap().into_answer().unwrap()
}

#[test]
fn greedy_tokens_about_clips_of_every_variant() {
    let golden = json(fixture("golden/clips.json"));
    let max_new_tokens = number(&golden, "max_new_tokens");
    for variant in ["12B", "26B-A4B", "31B", "E2B", "E4B"] {
        let (prompter, mut model) = open(&fixture("variants").join(variant));
        let mut compared = 0;
        for case in golden["answers"].as_array().unwrap() {
            if case["model"] != variant {
                continue;
            }
            let clip = &golden["clips"][number(case, "clip")];
            let name = format!("{variant}: clip {}", case["clip"]);
            let answer = answer((&prompter, &mut model), clip, case, max_new_tokens);
            compared += compare_tokens(&name, &answer, &ids(case));
        }
        assert!(compared >= 3 * FEWEST_TOKENS, "{variant}: only {compared} tokens compared");
    }
}

/// A clip of the golden data, without loss.
fn golden_clip(dir: &Path, name: &str, case: &Value) {
    let frames: Vec<u8> =
        (0..number(case, "total")).flat_map(|index| frame(case, index).rgb).collect();
    let (width, height) = (number(case, "width"), number(case, "height"));
    let rate = &case["fps"];
    let words = format!(
        "-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate} -i - -c:v ffv1 -pix_fmt bgr0 {name}"
    );
    make(dir, &words, &frames);
}

fn command(dir: &Path) -> Command {
    let mut command = gemscope();
    command.current_dir(dir).env("GEMSCOPE_FFMPEG", ffmpeg());
    command
}

fn asked(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = command(dir);
    let model = fixture("variants/E2B");
    command.args(["detect", "--clip", "--max-new-tokens", "32", "--model"]).arg(model);
    command.args(arguments);
    command
}

fn records(dir: &Path) -> Vec<Value> {
    let mut records = json_lines(fs::read_to_string(dir.join("run/journal.jsonl")).unwrap());
    records.sort_by_key(|record| record["image"].as_str().unwrap().to_owned());
    records
}

#[test]
fn the_command_answers_about_a_clip_as_hugging_face_does() {
    let golden = json(fixture("golden/clips.json"));
    let cases = golden["answers"].as_array().unwrap();
    let of_model = cases.iter().filter(|case| case["model"] == "E2B" && case["clip"] != 3);
    assert_eq!(of_model.clone().count(), 3);
    for case in of_model {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let clip = &golden["clips"][number(case, "clip")];
        golden_clip(dir, "a.mkv", clip);
        let prompt = case["prompt"].as_str().unwrap();
        asked(dir, &["a.mkv", "--prompt", prompt, "--out", "run"]).assert().success();
        let record = &records(dir)[0];
        let shown = &record["clip"]["frames"];
        let column = |key: &str| -> Vec<&Value> {
            shown.as_array().unwrap().iter().map(|frame| &frame[key]).collect()
        };
        assert_eq!(json!(column("index")), clip["indices"]);
        assert_eq!(json!(column("stamp")), clip["stamps"]);
        assert_eq!(record["clip"]["total_frames"], clip["total"]);
        let answer = &record["answers"][0];
        // Bytes that are no text are one mark each in Hugging Face's, also those that are letters.
        let (text, expected) = (answer["text"].as_str().unwrap(), case["text"].as_str().unwrap());
        let same = |(one, other): (char, char)| one == other || other == '\u{fffd}';
        let as_long = text.chars().count() <= expected.chars().count();
        assert!(as_long && text.chars().zip(expected.chars()).all(same), "{text} {expected}");
        assert!(answer["tokens"]["answer"].as_u64().unwrap() as usize >= FEWEST_TOKENS);
        assert_eq!(answer["tokens"]["prompt"], case["input_count"]);
    }
}

/// What a run would show of each video, by its name: frames, their size, how many there are in all;
/// or why it would fail.
fn planned(dir: &Path) -> std::collections::BTreeMap<String, (u64, String, u64)> {
    let mut command = asked(dir, &[".", "--prompt", "What happens?", "--dry-run", "--json"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["passed_over"], json!({".png": 1}), "images are passed over, and counted");
    let file = |file: &Value| {
        let size = match file["error"].as_str() {
            Some(error) => error.to_owned(),
            None => format!("{}x{}", file["width"], file["height"]),
        };
        let frames = file["views"].as_u64().unwrap_or_default();
        let total = file["clip"]["total_frames"].as_u64().unwrap_or_default();
        (file["image"].as_str().unwrap().to_owned(), (frames, size, total))
    };
    plan["files"].as_array().unwrap().iter().map(file).collect()
}

#[test]
fn videos_of_every_kind_are_counted_or_have_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    of_every_kind(dir);
    clip(dir, "33.mp4", "rate=25:duration=2", &format!("-frames:v 33 {H264}"));
    fs::copy(fixture("shapes/scene-01.png"), dir.join("still.png")).unwrap();
    let planned = planned(dir);
    let of = |frames: u64, size: &str, total: u64| (frames, size.to_owned(), total);
    for (name, expected) in [
        ("plain.mp4", of(32, "160x96", 50)),
        ("turned.mov", of(32, "96x160", 50)),
        ("b-frames.mkv", of(32, "160x96", 60)),
        ("one.mkv", of(1, "160x96", 1)),
        ("33.mp4", of(32, "160x96", 33)),
        ("deep.mkv", of(32, "160x96", 50)),
        ("-i odd: #t=1 'ü'.mp4", of(32, "160x96", 50)),
        ("100%d %04d\n\"[x]*.mp4", of(32, "160x96", 50)),
        // What is decoded is counted.
        ("vp8.webm", of(32, "160x96", 50)),
        ("varies.m4v", of(26, "160x96", 26)),
    ] {
        assert_eq!(planned[name], expected, "{name}");
    }
    assert_eq!(planned["old.avi"].0, 32);
    assert!(planned["sound.mp4"].1.contains("no video is in it"), "{planned:?}");
    assert!(planned["nonsense.webm"].1.contains("ffmpeg cannot read it"), "{planned:?}");
    assert_eq!(planned.len(), 13, "{planned:?}");
}

/// A run over a script that answers with `text`.
fn scripted(dir: &Path, text: &str, arguments: &[&str]) -> Command {
    let script = json!({"rows": 4, "answers": [{"text": text}]});
    fs::write(dir.join("script.json"), script.to_string()).unwrap();
    let mut command = command(dir);
    command.args(["detect", "--clip", "--model", "script:script.json", "--out", "run"]);
    command.args(arguments);
    command
}

#[test]
fn a_run_goes_on_and_a_damaged_clip_is_shown_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("clips")).unwrap();
    clip(dir, "clips/few.mp4", "rate=5:duration=1", H264);
    cut_clip(dir, "clips/cut.mkv");
    fs::write(dir.join("clips/nonsense.mp4"), "nonsense").unwrap();
    let words = &["clips", "--prompt", "detect what happens"][..];
    let output = scripted(dir, "A picture changes.", words).assert().code(2);
    let said = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(said.contains("1 images are videos of fewer than 32 frames"), "{said}");
    assert!(!said.contains("boxes were asked for"), "{said}");
    let answered = records(dir);
    let [cut, few, nonsense] = answered.as_slice() else { panic!("{answered:?}") };
    // Asked by words that would ask for boxes in an image, too.
    assert_eq!((&few["status"], &cut["status"]), (&json!("text"), &json!("text")));
    assert_eq!(few["notes"], json!([{"kind": "few_frames", "count": 1, "detail": "5 of 32"}]));
    assert_eq!(few["clip"]["seconds"], 1.0);
    assert_eq!(few["clip"]["frames"][3], json!({"index": 3, "seconds": 0.6, "stamp": "00:00"}));
    let hash = sha256(&fs::read(dir.join("clips/few.mp4")).unwrap());
    assert_eq!(few["sha256"], json!(hash));
    let total = cut["clip"]["total_frames"].as_u64().unwrap();
    assert!((33..100).contains(&total), "{total} frames of half a clip of 100");
    assert_eq!(cut["clip"]["frames"].as_array().unwrap().len(), 32);
    assert_eq!(nonsense["status"], "failed");
    assert!(nonsense["reason"].as_str().unwrap().contains("ffmpeg cannot read it"));
    let csv = fs::read_to_string(dir.join("run/detections.csv")).unwrap();
    assert!(csv.contains("A picture changes."), "{csv}");
    assert!(!dir.join("run/instances.json").exists());
    // Nothing is asked again, also not of a clip that has another name now.
    fs::rename(dir.join("clips/few.mp4"), dir.join("clips/renamed.mp4")).unwrap();
    scripted(dir, "Something else.", words).assert().code(2);
    let latest = records(dir);
    let renamed = latest.iter().find(|record| record["image"] == "renamed.mp4").unwrap();
    assert_eq!(renamed["moved_from"], "few.mp4");
    assert_eq!(renamed["answers"][0]["text"], "A picture changes.");
    assert!(latest.iter().all(|record| record["answers"][0]["text"] != "Something else."));
    // A page shows its first frame.
    let mut export = command(dir);
    export.args(["export", "run", "--to", "html"]).assert().success();
    assert_eq!(fs::read_dir(dir.join("run/report/thumbnails")).unwrap().count(), 2);
}

#[test]
fn events_have_times_of_the_clip() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    clip(dir, "a.mp4", "rate=5:duration=3", H264);
    let event = |start: &str, end: &str| json!({"start": start, "end": end, "what": "it moves"});
    let answer = json!({"events": [event("00:00", "00:02"), event("00:02", "00:09")]});
    let words = &["a.mp4", "--prompt", "What happens?", "--schema", "events"];
    scripted(dir, &answer.to_string(), words).assert().success();
    let record = &records(dir)[0];
    assert_eq!(record["fields"], answer);
    let notes = record["notes"].as_array().unwrap();
    assert!(notes.contains(&json!({"kind": "times_do_not_fit", "count": 1})), "{notes:?}");
    let settings = json(dir.join("run/run.json"));
    assert_eq!(settings["settings"]["clip"], true);
    fs::remove_dir_all(dir.join("run")).unwrap();
    scripted(dir, r#"{"events": [{"start": "soon"}]}"#, words).assert().success();
    assert_eq!(records(dir)[0]["status"], "refused");
    // The grammar holds a random model to it.
    fs::remove_dir_all(dir.join("run")).unwrap();
    asked(dir, words).args(["--out", "run"]).assert().success();
    let record = &records(dir)[0];
    let text = record["answers"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("{\"events\": ["), "{text}");
    assert_ne!(record["status"], "refused");
}

#[test]
fn what_does_not_go_with_a_clip_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    clip(dir, "a.mp4", "rate=5:duration=1", H264);
    let says = |arguments: &[&str]| {
        let mut command = command(dir);
        command.args(["detect", "--clip", "a.mp4", "--out", "run"]).args(arguments);
        let output = command.assert().code(1);
        String::from_utf8_lossy(&output.get_output().stderr).into_owned()
    };
    for (arguments, words) in [
        (&["--labels", "star"][..], "--clip cannot be used with --labels"),
        (&["--prompt", "x", "--budget", "280"], "--clip cannot be used with --budget"),
        (&["--prompt", "x", "--frames", "2"], "--frames"),
        (&["--prompt", "x", "--no-exif"], "--clip cannot be used with --no-exif"),
        (&["--prompt", "x", "--answer", "boxes"], "boxes are of single frames"),
        (&["--prompt", "x", "--server", "http://localhost:1"], "a server takes no video here"),
    ] {
        let said = says(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let mut judged = command(dir);
    let said = judged.args(["critique", "--clip", "a.mp4", "--out", "run"]).assert().code(1);
    assert!(String::from_utf8_lossy(&said.get_output().stderr).contains("--clip"));
    fs::create_dir(dir.join("images")).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), dir.join("images/a.png")).unwrap();
    let mut none = asked(dir, &["images", "--prompt", "x", "--out", "run"]);
    let said = none.assert().code(1);
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("no videos in images") && said.contains("1 .png"), "{said}");
    let mut named = asked(dir, &["images/a.png", "--prompt", "x", "--out", "run"]);
    named.assert().code(2);
    assert!(records(dir)[0]["reason"].as_str().unwrap().starts_with("a video: "));
}
