//! Frames of videos as images, read by an ffmpeg that the tests fetch.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

use crate::clip_files::{H264, clip, cut_clip, make, of_every_kind};
use crate::support::{ffmpeg, fixture, gemscope, json, json_lines};

fn command(dir: &Path) -> Command {
    let mut command = gemscope();
    command.current_dir(dir).env("GEMSCOPE_FFMPEG", ffmpeg());
    command
}

/// Names, widths and heights of the images that a run would ask about; errors in place of sizes.
fn planned(dir: &Path, arguments: &[&str]) -> Vec<(String, String)> {
    let mut command = command(dir);
    command.args(["detect", ".", "--labels", "star", "--dry-run", "--json"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = |file: &Value| {
        let size = match file["error"].as_str() {
            Some(error) => error.to_owned(),
            None => format!("{}x{}", file["width"], file["height"]),
        };
        (file["image"].as_str().unwrap().to_owned(), size)
    };
    plan["files"].as_array().unwrap().iter().map(file).collect()
}

fn names(planned: Vec<(String, String)>) -> Vec<String> {
    planned.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn frames_are_those_that_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    clip(dir, "a.mp4", "rate=30000/1001:duration=4", &format!("{H264} -g 40 -bf 2"));
    let of = |arguments: &[&str]| names(planned(dir, arguments));
    let at = |times: &[&str]| -> Vec<String> {
        times.iter().map(|time| format!("a.mp4#t=00:00:{time}")).collect()
    };
    assert_eq!(of(&["--frames", "every:1s"]), at(&["00.000", "01.001", "02.002", "03.003"]));
    assert_eq!(of(&["--frames", "every:50"]), at(&["00.000", "01.668", "03.337"]));
    assert_eq!(of(&["--frames", "keyframes"]), at(&["00.000", "01.335", "02.669"]));
    // 120 frames: those at 0, 40 and 80.
    assert_eq!(of(&["--frames", "3"]), at(&["00.000", "01.335", "02.669"]));
    assert_eq!(
        of(&["--frames", "every:0.5s", "--start", "1", "--end", "0:02"]),
        at(&["01.001", "01.502"])
    );
    assert_eq!(of(&["--frames", "scene:1"]), at(&["00.000"]));
    // A pipeline says the same, and --limit counts frames.
    fs::write(
        dir.join("p.toml"),
        "[source]\ninputs = [\".\"]\nframes = 2\n[task]\nlabels = \"star\"\n",
    )
    .unwrap();
    command(dir).args(["run", "p.toml", "--out", "run", "--limit", "1"]).assert().success();
    let records = json_lines(fs::read_to_string(dir.join("run/journal.jsonl")).unwrap());
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["image"], "a.mp4#t=00:00:00.000");
    assert!(json(dir.join("run/run.json"))["ffmpeg"].as_str().unwrap().starts_with("ffmpeg "));
}

#[test]
fn clips_of_every_kind_give_frames_or_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    of_every_kind(dir);
    make(dir, "-ss 0.5 -i plain.mp4 -c copy trimmed.mp4", &[]);
    let whole = fs::read(dir.join("plain.mp4")).unwrap();
    fs::write(dir.join("no-index.mp4"), &whole[..whole.len() / 2]).unwrap();
    cut_clip(dir, "cut.mkv");
    // A list of other files, which ffmpeg would follow.
    fs::write(
        dir.join("list.mp4"),
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nplain.mp4\n#EXT-X-ENDLIST\n",
    )
    .unwrap();
    fs::write(dir.join("empty.mov"), "").unwrap();
    let planned = planned(dir, &["--frames", "every:1s"]);
    let sizes = |clip: &str| -> Vec<(String, &str)> {
        let of_clip = planned.iter().filter(|(name, _)| name.starts_with(clip));
        of_clip.map(|(name, size)| (name[clip.len()..].to_owned(), size.as_str())).collect()
    };
    let (first, second) = ("#t=00:00:00.000".to_owned(), "#t=00:00:01.000".to_owned());
    let two = |size| vec![(first.clone(), size), (second.clone(), size)];
    assert_eq!(sizes("plain.mp4"), two("160x96"));
    assert_eq!(sizes("turned.mov"), two("96x160"));
    assert_eq!(sizes("trimmed.mp4"), two("160x96"));
    assert_eq!(sizes("one.mkv"), two("160x96")[..1]);
    for clip in ["deep.mkv", "vp8.webm", "-i odd: #t=1 'ü'.mp4", "100%d %04d\n\"[x]*.mp4"] {
        assert_eq!(sizes(clip), two("160x96"), "{clip}");
    }
    // Its first frame comes late, by its B-frames.
    assert_eq!(sizes("old.avi")[1], (second.clone(), "160x96"));
    assert_eq!(
        sizes("varies.m4v"),
        [(first.clone(), "160x96"), ("#t=00:00:01.040".into(), "160x96")]
    );
    assert!(sizes("cut.mkv").len() < 4 && sizes("cut.mkv")[..2] == two("160x96"), "{planned:?}");
    for (clip, reason) in [
        ("no-index.mp4", "moov atom not found"),
        ("sound.mp4", "no video is in it"),
        ("list.mp4", "ffmpeg cannot read it"),
        ("nonsense.webm", "ffmpeg cannot read it"),
        ("empty.mov", "ffmpeg cannot read it"),
    ] {
        let sizes = sizes(clip);
        assert!(sizes.len() == 1 && sizes[0].1.contains(reason), "{clip}: {sizes:?}");
    }
}

#[test]
fn a_frame_is_an_image_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir_all(dir.join("stills")).unwrap();
    // Of one size.
    let scenes = ["02.png", "09.png", "12.png", "19.png"];
    for (index, scene) in scenes.iter().enumerate() {
        let still = dir.join(format!("stills/{index}.png"));
        fs::copy(fixture("shapes").join(format!("scene-{scene}")), still).unwrap();
    }
    // Without loss: the frames have the pixels of the stills.
    fs::create_dir(dir.join("clips")).unwrap();
    make(dir, "-framerate 1 -i stills/%d.png -c:v ffv1 -pix_fmt bgr0 clips/c.mkv", &[]);
    let run = |inputs: &str, out: &str, arguments: &[&str]| {
        let mut command = command(dir);
        command.args(["detect", inputs, "--out", out, "--labels", "red circle,star,blue square"]);
        command
            .args(["--export", "crops,yolo,overlay,html,labelme", "--min-score", "0"])
            .args(arguments);
        command.assert().success();
        let mut records =
            json_lines(fs::read_to_string(dir.join(out).join("journal.jsonl")).unwrap());
        records.sort_by_key(|record| record["image"].to_string());
        records
    };
    let of_clip =
        run("clips", "clip-run", &["--frames", "every:1", "--sort", "link", "--group-by", "clip"]);
    let of_stills = run("stills", "still-run", &[]);
    assert_eq!(of_clip.len(), scenes.len());
    let mut found = 0;
    for (frame, still) in of_clip.iter().zip(&of_stills) {
        assert_eq!(frame["detections"], still["detections"], "{}", frame["image"]);
        found += frame["detections"].as_array().unwrap().len();
    }
    assert!(found > 0);
    let out = dir.join("clip-run");
    let files = |folder: &str| fs::read_dir(out.join(folder)).map_or(0, Iterator::count);
    assert_eq!(files("yolo/images/train"), files("yolo/labels/train"));
    assert!(files("yolo/images/train") > 0 && files("sorted/unsure") < scenes.len());
    let crops = fs::read_dir(out.join("crops")).unwrap();
    let crops: Vec<String> =
        crops.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(crops.len(), found);
    assert!(crops.iter().all(|name| name.starts_with("c.mkv_00-00-0")), "{crops:?}");
    let clips = fs::read_to_string(out.join("clips.csv")).unwrap();
    assert!(
        clips.starts_with("clip,frames,failed,label,found_in,first,last,most,most_at\nc.mkv,4,0,"),
        "{clips}"
    );

    // Again, and later: nothing is asked anew, and the same crops are cut.
    let mut again = command(dir);
    again.args(["detect", "clips", "--out", "clip-run", "--labels", "red circle,star,blue square"]);
    again.args(["--frames", "every:1", "--json", "--export", "none"]);
    let again = again.output().unwrap();
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&summary["resumed"], &summary["videos"]), (&json!(scenes.len()), &json!(1)));
    fs::remove_dir_all(out.join("crops")).unwrap();
    command(dir)
        .args(["export", "clip-run", "--to", "crops", "--min-score", "0"])
        .assert()
        .success();
    assert_eq!(fs::read_dir(out.join("crops")).unwrap().count(), found);
    // A clip that is gone takes its frames with it.
    fs::rename(dir.join("clips/c.mkv"), dir.join("clips/d.mkv")).unwrap();
    let gone = command(dir).args(["export", "clip-run", "--to", "overlay"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1), "{}", String::from_utf8_lossy(&gone.stderr));
}

#[test]
fn a_run_goes_on_in_the_middle_of_a_clip() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    clip(dir, "a.mp4", "rate=10:duration=15", &format!("{H264} -g 25"));
    let answers = json!({"answers": [{"text": "[]", "probability": 0.9}]});
    fs::write(dir.join("script.json"), answers.to_string()).unwrap();
    let run = |out: &str, arguments: &[&str]| {
        let mut command = command(dir);
        command.args(["detect", "a.mp4", "--labels", "cat", "--model", "script:script.json"]);
        command.args(["--frames", "every:1", "--export", "jsonl", "--out", out]).args(arguments);
        command.assert().success();
        fs::read_to_string(dir.join(out).join("detections.jsonl")).unwrap()
    };
    let whole = run("whole", &[]);
    assert_eq!(whole.lines().count(), 150);
    run("parts", &["--limit", "70"]);
    let journal = dir.join("parts/journal.jsonl");
    // Killed while it wrote a record.
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &text[..text.len() * 2 / 3]).unwrap();
    run("parts", &["--sample", "100"]);
    assert_eq!(run("parts", &[]), whole);
}

#[test]
fn without_frames_or_without_ffmpeg_videos_are_passed_over_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("a.mp4"), "never read").unwrap();
    fs::copy(fixture("shapes/scene-01.png"), dir.join("b.png")).unwrap();
    let run = |arguments: &[&str], path: &str| {
        let mut command = gemscope();
        command.current_dir(dir).env_remove("GEMSCOPE_FFMPEG").env("PATH", path);
        command.args(["detect", ".", "--labels", "star", "--dry-run"]).args(arguments);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = run(&[], "/nowhere");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("passed over: 1 .mp4") && said.contains("--frames every:1s"), "{said}");
    let (code, said) = run(&["--frames", "keyframes"], "/nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no ffmpeg") && said.contains("--ffmpeg"), "{said}");
    let (code, said) = run(&["--frames", "keyframes", "--ffmpeg", "/bin/echo"], "/nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/bin/echo"), "{said}");
    let (code, said) = run(&["--start", "3"], "/nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--frames"), "{said}");
    let named = ffmpeg().to_str().unwrap();
    let (code, said) = run(&["--frames", "keyframes", "--ffmpeg", named], "/nowhere");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ffmpeg cannot read it"), "{said}");
}
