//! HEIC and AVIF, decoded by an ffmpeg that the tests fetch.

use std::fs;

use gemscope::image::{self, UprightImage};
use serde_json::{Value, json};

use crate::support::{ffmpeg, fixture, gemscope, json, json_lines};

/// The colours in the middle of the four quarters, whether each channel is bright.
fn quarters(image: &UprightImage) -> Vec<[bool; 3]> {
    let pixels = image.array().unwrap();
    let at = |x: usize, y: usize| {
        let (x, y) = (x * image.width as usize / 4, y * image.height as usize / 4);
        [0, 1, 2].map(|channel| pixels[[y, x, channel]] > 100)
    };
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| at(x, y)).to_vec()
}

#[test]
fn a_still_is_turned_once_as_its_file_says() {
    gemscope::ffmpeg::use_program(ffmpeg().to_owned());
    let (red, green) = ([true, false, false], [false, true, false]);
    let (blue, yellow) = ([false, false, true], [true, true, false]);
    for (name, expected) in [
        ("turned.heic", [blue, red, yellow, green]),
        ("turned.avif", [blue, red, yellow, green]),
        ("mirrored.heic", [red, blue, green, yellow]),
        ("tiles.heic", [green, yellow, red, blue]),
    ] {
        let bytes = fs::read(fixture("images/by-ffmpeg").join(name)).unwrap();
        for exif in [true, false] {
            let image = image::decode(&bytes, exif).unwrap();
            assert_eq!((image.width, image.height, image.orientation), (96, 144, 1), "{name}");
            assert_eq!(quarters(&image), expected, "{name}");
        }
        let size = image::size(std::io::Cursor::new(&bytes), true).unwrap();
        assert_eq!(size, (96, 144), "{name}");
        let too_large = image::decode_within(&bytes, true, 1000).unwrap_err().to_string();
        assert!(too_large.contains("144x96"), "{too_large}");
        for end in [10, 100, 300, bytes.len() - 40] {
            assert!(image::decode(&bytes[..end], true).is_err(), "{name}, {end} bytes");
        }
    }
}

#[test]
fn stills_are_images_if_there_is_an_ffmpeg() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir(&images).unwrap();
    for name in ["turned.heic", "tiles.heic", "turned.avif"] {
        fs::copy(fixture("images/by-ffmpeg").join(name), images.join(name)).unwrap();
    }
    fs::copy(fixture("shapes/scene-01.png"), images.join("a.png")).unwrap();
    fs::write(images.join("b.mp4"), "").unwrap();
    fs::write(images.join("broken.heic"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
    let answers = json!({"answers": [{"text": r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}]"#, "probability": 0.9}]});
    fs::write(dir.path().join("script.json"), answers.to_string()).unwrap();
    let run = |out: &str, ffmpeg: &str| -> Value {
        let mut command = gemscope();
        command.current_dir(dir.path()).env("GEMSCOPE_FFMPEG", ffmpeg);
        command.args(["detect", "images", "--labels", "cat", "--model", "script:script.json"]);
        command.args(["--json", "--min-score", "0", "--export", "crops,yolo", "--out", out]);
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let summary = run("with", ffmpeg().to_str().unwrap());
    assert_eq!(summary["passed_over"], json!({".mp4": 1}), "{summary}");
    let out = dir.path().join("with");
    let records = json_lines(fs::read_to_string(out.join("journal.jsonl")).unwrap());
    let of = |name: &str| records.iter().find(|record| record["image"] == name).unwrap();
    assert_eq!(records.len(), 5);
    assert_eq!(
        (&of("turned.avif")["width"], &of("turned.avif")["height"]),
        (&json!(96), &json!(144))
    );
    let broken = of("broken.heic")["reason"].as_str().unwrap();
    assert!(broken.contains("a HEIC image without a picture"), "{broken}");
    assert!(json(out.join("run.json"))["ffmpeg"].as_str().unwrap().contains("GPL"));
    // Trainers read no HEIC.
    let set = out.join("yolo/images/train");
    let names = fs::read_dir(&set).unwrap().map(|entry| entry.unwrap().path());
    let pngs = names.filter(|path| path.extension().is_some_and(|extension| extension == "png"));
    assert_eq!(pngs.count(), 4);
    assert!(fs::read_dir(out.join("crops")).unwrap().count() >= 4);

    let summary = run("without", "/nowhere");
    assert_eq!(summary["passed_over"], json!({".mp4": 1, ".heic": 3, ".avif": 1}), "{summary}");
    // What is named is read, or it is said why not.
    let named = gemscope()
        .current_dir(&images)
        .env("GEMSCOPE_FFMPEG", "/nowhere")
        .args(["detect", "turned.heic", "--labels", "star", "--dry-run", "--json"])
        .output()
        .unwrap();
    let plan: Value = serde_json::from_slice(&named.stdout).unwrap();
    assert_eq!(plan["files"][0]["width"], 96, "{plan}");
}

#[cfg(unix)]
#[test]
fn an_old_ffmpeg_is_said_to_be_too_old_for_heic() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("ffmpeg");
    let script = "#!/bin/sh\n\
        case \"$1\" in -version) echo 'ffmpeg version 5.1.9 Copyright (c)'; exit;; esac\n\
        echo '[mov,mp4 @ 0x1] [error] moov atom not found' >&2\n\
        echo '[error] file:/dev/stdin: Invalid data found when processing input' >&2\n\
        exit 1\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = gemscope();
    run.current_dir(dir.path()).env("GEMSCOPE_FFMPEG", &program);
    run.arg("detect").arg(fixture("images/by-ffmpeg/turned.heic"));
    run.args(["--labels", "star", "--out", "run"]).assert().code(2);
    let record = &json_lines(fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap())[0];
    let reason = "a HEIC image: ffmpeg 5.1.9 cannot read it (moov atom not found; Invalid data \
                  found when processing input); 7.1 reads HEIC";
    assert_eq!(record["reason"], reason);
}
