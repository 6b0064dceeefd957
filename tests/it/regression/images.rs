//! Image files as they are: cut short, of few bits, with dates; and folders as they are.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder as _, ImageFormat};
use serde_json::Value;

use crate::support::{fixture, gemscope, json_lines};

/// The records of a run of the demo model over `inputs` in `dir` into `out`, and the exit code.
fn detect(dir: &Path, inputs: &[&str], flags: &[&str], out: &str) -> (Vec<Value>, Option<i32>) {
    let output = gemscope()
        .current_dir(dir)
        .arg("detect")
        .args(inputs)
        .args(["--prompt", "detect shape", "--budget", "70", "--quiet", "--out", out])
        .args(flags)
        .output()
        .unwrap();
    let records = fs::read_to_string(dir.join(out).join("detections.jsonl"));
    (json_lines(records.unwrap_or_default()), output.status.code())
}

/// A scene of the demo model's as a JPEG.
fn scene_jpeg(scene: &str) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let scene = image::open(fixture("shapes").join(scene)).unwrap().into_rgb8();
    scene.write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg).unwrap();
    jpeg
}

fn note<'r>(record: &'r Value, kind: &str) -> Option<&'r str> {
    let notes = record["notes"].as_array()?;
    notes
        .iter()
        .find(|note| note["kind"] == kind)
        .map(|note| note["detail"].as_str().unwrap_or_default())
}

#[test]
fn a_jpeg_that_lost_its_end_is_looked_at_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let jpeg = scene_jpeg("scene-01.png");
    fs::create_dir(dir.path().join("in")).unwrap();
    for (name, kept) in
        [("a.jpg", jpeg.len()), ("b.jpg", jpeg.len() - 2), ("c.jpg", jpeg.len() * 95 / 100)]
    {
        fs::write(dir.path().join("in").join(name), &jpeg[..kept]).unwrap();
    }
    let (records, code) = detect(dir.path(), &["in"], &["--export", "jsonl,yolo"], "run");
    assert_eq!((records.len(), code), (3, Some(0)));
    assert_eq!(note(&records[0], "truncated_image"), None);
    assert_eq!(note(&records[1], "truncated_image"), Some("all of its rows"));
    assert!(
        note(&records[2], "truncated_image").unwrap().ends_with("% of its rows"),
        "{}",
        records[2]
    );
    assert_eq!(
        records[0]["detections"], records[1]["detections"],
        "nothing of the picture is missing"
    );
    // What trainers would repair in place is no link to the file.
    let images = dir.path().join("run/yolo/images/train");
    assert!(
        images.join("a.jpg").exists()
            && images.join("b.png").exists()
            && images.join("c.png").exists()
    );
}

#[test]
fn a_jpeg_of_which_too_little_is_there_fails_by_a_share_that_can_be_set() {
    let dir = tempfile::tempdir().unwrap();
    let jpeg = scene_jpeg("scene-01.png");
    let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    fs::write(dir.path().join("half.jpg"), &jpeg[..scan + (jpeg.len() - scan) / 2]).unwrap();
    let (records, code) = detect(dir.path(), &["half.jpg"], &["--min-rows", "0.9"], "1");
    assert_eq!((code, &records[0]["status"]), (Some(2), &Value::from("failed")));
    assert!(
        records[0]["reason"].as_str().unwrap().contains("90 % are asked for"),
        "{}",
        records[0]
    );
    // It is a setting of the run, not of its answers.
    let (records, code) =
        detect(dir.path(), &["half.jpg"], &["--min-rows", "0.1", "--retry-failed"], "1");
    assert_eq!(code, Some(0), "{}", records[0]);
    assert!(note(&records[0], "truncated_image").is_some());
    // Nothing at all is no image, whatever is asked for.
    fs::write(dir.path().join("header.jpg"), &jpeg[..scan + 20]).unwrap();
    let (records, code) = detect(dir.path(), &["header.jpg"], &["--min-rows", "0"], "2");
    assert_eq!((code, &records[0]["status"]), (Some(2), &Value::from("failed")));
}

#[test]
fn a_jpeg_with_other_bytes_in_its_middle_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut jpeg = scene_jpeg("scene-01.png");
    fs::write(dir.path().join("whole.jpg"), &jpeg).unwrap();
    let middle = jpeg.len() / 2;
    for (index, byte) in jpeg[middle..middle + 300].iter_mut().enumerate() {
        *byte = (index.wrapping_mul(2_654_435_761) >> 13) as u8;
    }
    fs::write(dir.path().join("damaged.jpg"), jpeg).unwrap();
    let (records, code) = detect(dir.path(), &["damaged.jpg", "whole.jpg"], &[], "run");
    assert_eq!(code, Some(0), "{records:?}");
    let is_noted = |record: &Value| record["notes"].to_string().contains("damaged_image");
    assert!(is_noted(&records[0]) && !is_noted(&records[1]), "{records:?}");
}

/// Writes a scene with 16 bits a sample, each of which is `of` its 8 bits.
fn write_16_bits(scene: &str, to: &Path, of: impl Fn(u8) -> u16) {
    let scene = image::open(fixture("shapes").join(scene)).unwrap().into_rgb8();
    let samples: Vec<u8> =
        scene.as_raw().iter().flat_map(|&sample| of(sample).to_ne_bytes()).collect();
    let file = fs::File::create(to).unwrap();
    if to.extension().is_some_and(|extension| extension == "png") {
        let encoder = image::codecs::png::PngEncoder::new(file);
        encoder
            .write_image(&samples, scene.width(), scene.height(), ExtendedColorType::Rgb16)
            .unwrap();
    } else {
        let encoder = image::codecs::tiff::TiffEncoder::new(file);
        encoder
            .write_image(&samples, scene.width(), scene.height(), ExtendedColorType::Rgb16)
            .unwrap();
    }
}

#[test]
fn twelve_bits_in_a_file_of_sixteen_are_not_black() {
    let dir = tempfile::tempdir().unwrap();
    write_16_bits("scene-01.png", &dir.path().join("all.png"), |sample| u16::from(sample) * 257);
    write_16_bits("scene-01.png", &dir.path().join("twelve.png"), |sample| {
        (u32::from(sample) * 4095 / 255) as u16
    });
    write_16_bits("scene-01.png", &dir.path().join("twelve.tif"), |sample| {
        (u32::from(sample) * 4095 / 255) as u16
    });
    let (records, code) = detect(dir.path(), &["all.png", "twelve.png", "twelve.tif"], &[], "run");
    assert_eq!(code, Some(0));
    assert!(!records[0]["detections"].as_array().unwrap().is_empty());
    assert_eq!(note(&records[0], "scaled_bit_depth"), None);
    for record in &records[1..] {
        assert_eq!(
            record["detections"].as_array().map(Vec::len),
            records[0]["detections"].as_array().map(Vec::len)
        );
        assert_eq!(note(record, "scaled_bit_depth"), Some("12 of 16 bits"));
    }
}

#[test]
fn every_depth_is_found_also_beside_hot_pixels_and_overshoot() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for bits in 9..=15 {
        let white = (1_u32 << bits) - 1;
        names.push((format!("{bits}.png"), bits));
        write_16_bits("scene-01.png", &dir.path().join(&names[names.len() - 1].0), |sample| {
            (u32::from(sample) * white / 255) as u16
        });
    }
    for (name, value, side) in [("hot.png", 65535, 1), ("overshoot.png", 4596, 3)] {
        let mut image = image::open(dir.path().join("12.png")).unwrap().into_rgb16();
        for at in 0..side * side {
            image.put_pixel(100 + at % side, 100 + at / side, image::Rgb([value; 3]));
        }
        image.save(dir.path().join(name)).unwrap();
        names.push((name.to_owned(), 12));
    }
    let inputs: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let (records, _) = detect(dir.path(), &inputs, &[], "run");
    assert_eq!(records.len(), names.len());
    for (name, bits) in &names {
        let record = records.iter().find(|record| record["image"] == name.as_str()).unwrap();
        assert_eq!(
            note(record, "scaled_bit_depth"),
            Some(&*format!("{bits} of 16 bits")),
            "{name}"
        );
        assert!(!record["detections"].as_array().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn an_image_that_is_just_dark_stays_dark_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_16_bits("scene-01.png", &dir.path().join("dark.png"), |sample| u16::from(sample) * 6 / 5);
    let (records, _) = detect(dir.path(), &["dark.png"], &[], "run");
    assert_eq!(note(&records[0], "scaled_bit_depth"), None);
    assert!(note(&records[0], "near_black").is_some(), "{}", records[0]);
}

/// A JPEG with an EXIF block of a camera, as cameras write them.
fn with_exif(jpeg: &[u8]) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
            .concat()
    };
    let texts: [&[u8]; 4] =
        [b"RECONYX\0", b"HP2X \"a,b\"\0", b"2024:05:01 12:34:56\0", b"+02:00\0"];
    let first = 8 + 2 + 3 * 12 + 4;
    let second = first + 2 + 3 * 12 + 4;
    let mut at = second as u32;
    let mut place = |text: &&[u8]| {
        at += text.len() as u32;
        at - text.len() as u32
    };
    let places: Vec<u32> = texts.iter().map(&mut place).collect();
    let text = |tag, index: usize| entry(tag, 2, texts[index].len() as u32, places[index]);
    let mut block = b"II*\0\x08\0\0\0\x03\0".to_vec();
    block.extend([text(0x010F, 0), text(0x0110, 1), entry(0x8769, 4, 1, first as u32)].concat());
    block.extend(b"\0\0\0\0\x03\0");
    block.extend(
        [text(0x9003, 2), text(0x9011, 3), entry(0x9291, 2, 3, u32::from_le_bytes(*b"78\0\0"))]
            .concat(),
    );
    block.extend(b"\0\0\0\0");
    block.extend(texts.concat());
    let mut with = jpeg[..2].to_vec();
    with.extend([0xFF, 0xE1]);
    with.extend((block.len() as u16 + 8).to_be_bytes());
    with.extend(b"Exif\0\0");
    with.extend(block);
    with.extend(&jpeg[2..]);
    with
}

#[test]
fn date_and_camera_stand_in_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jpg"), with_exif(&scene_jpeg("scene-01.png"))).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), dir.path().join("b.png")).unwrap();
    let (records, code) =
        detect(dir.path(), &["a.jpg", "b.png"], &["--export", "jsonl,csv"], "run");
    assert_eq!(code, Some(0));
    assert_eq!(records[0]["taken"], "2024-05-01T12:34:56.78+02:00");
    assert_eq!(
        (&records[0]["camera_make"], &records[0]["camera_model"]),
        (&"RECONYX".into(), &"HP2X \"a,b\"".into())
    );
    assert!(records[1].get("taken").is_none());
    let mut table = csv::Reader::from_path(dir.path().join("run/detections.csv")).unwrap();
    let taken = table.headers().unwrap().iter().position(|name| name == "taken").unwrap();
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().unwrap();
    for row in &rows {
        let expected = if &row[0] == "a.jpg" {
            ["2024-05-01T12:34:56.78+02:00", "RECONYX", "HP2X \"a,b\""]
        } else {
            [""; 3]
        };
        assert_eq!([&row[taken], &row[taken + 1], &row[taken + 2]], expected);
    }
}

/// What a run over `inputs` in `dir` would do; the exit code and the words on stderr where it would
/// not.
fn plan(dir: &Path, inputs: &[&str], flags: &[&str]) -> Result<Value, (Option<i32>, String)> {
    let output = gemscope()
        .current_dir(dir)
        .arg("detect")
        .args(inputs)
        .args(["--labels", "star", "--dry-run", "--json"])
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err((output.status.code(), said))
    }
}

/// The names of the images that a run would be about.
fn names(plan: &Value) -> Vec<&str> {
    plan["files"].as_array().unwrap().iter().map(|file| file["image"].as_str().unwrap()).collect()
}

/// Makes files of this content, and copies of a scene where there is none.
fn make(dir: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if content.is_empty() {
            fs::copy(fixture("shapes/scene-01.png"), path).unwrap();
        } else {
            fs::write(path, content).unwrap();
        }
    }
}

const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";

#[test]
fn what_a_folder_holds_besides_images_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    make(
        dir.path(),
        &[
            ("in/a.png", b""),
            ("in/b.HEIC", HEIC),
            ("in/c.heic", HEIC),
            ("in/sub/d.mp4", b"\0\0\0\x18ftypisom"),
            ("in/e.zip", b"PK\x03\x04"),
            ("in/f.jpg", HEIC),
            ("in/notes.txt", b"x"),
            ("in/.DS_Store", b"x"),
            ("in/Thumbs.db", b"x"),
        ],
    );
    let expected = serde_json::json!({".heic": 2, ".mp4": 1, ".txt": 1, ".zip": 1});
    let planned = plan(dir.path(), &["in"], &[]).unwrap();
    assert_eq!((&planned["passed_over"], names(&planned)), (&expected, vec!["a.png", "f.jpg"]));
    let output = gemscope()
        .current_dir(dir.path())
        .args(["detect", "in", "--prompt", "detect shape", "--budget", "70", "--out", "run"])
        .output()
        .unwrap();
    let (printed, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("passed over: 2 .heic, 1 .mp4, 1 .txt, 1 .zip"), "{printed}");
    assert!(printed.contains("f.jpg: a HEIC image without a picture"), "{printed}");
    assert!(
        said.contains("HEIC and AVIF are read if there is an ffmpeg")
            && said.contains("--frames every:1s")
            && said.contains("name the .tar or .zip"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn pipes_sockets_and_devices_in_a_folder_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("in/c.png", b"")]);
    let folder = dir.path().join("in");
    assert!(
        std::process::Command::new("mkfifo").arg(folder.join("a.png")).status().unwrap().success()
    );
    std::os::unix::fs::symlink("/dev/zero", folder.join("b.png")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("d.png")).unwrap();
    let plan = plan(dir.path(), &["in"], &[]).unwrap();
    assert_eq!(names(&plan), ["c.png"]);
    assert_eq!(plan["passed_over"], serde_json::json!({"pipes, sockets or devices": 3}));
}

#[test]
fn a_folder_of_only_heic_says_that_it_is_that() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("in/a.heic", HEIC), ("in/b.heic", HEIC), ("a.7z", b"7z\xBC\xAF")]);
    let (code, said) = plan(dir.path(), &["in"], &[]).unwrap_err();
    assert!(
        code == Some(1) && said.contains("passed over 2 .heic") && said.contains("install it"),
        "{said}"
    );
    let (code, said) = plan(dir.path(), &["a.7z"], &[]).unwrap_err();
    assert!(code == Some(1) && said.contains("only .tar and .zip are read"), "{said}");
}

#[test]
fn thumbnails_and_waste_baskets_of_systems_are_no_images() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 8] = [
        ("in/a.png", b""),
        ("in/b.jpe", b""),
        ("in/@eaDir/a.png/SYNOPHOTO_THUMB_M.png", b""),
        ("in/$RECYCLE.BIN/S-1-5/x.png", b""),
        ("in/sub/__MACOSX/x.png", b""),
        ("in/System Volume Information/x.png", b""),
        ("in/lost+found/x.png", b""),
        ("in/.thumbnails/x.png", b""),
    ];
    make(dir.path(), &files);
    assert_eq!(names(&plan(dir.path(), &["in"], &[]).unwrap()), ["a.png", "b.jpe"]);
    assert_eq!(names(&plan(dir.path(), &["in/**/*.png"], &[]).unwrap()), ["a.png"]);
    // What is named is meant.
    assert_eq!(names(&plan(dir.path(), &["in/lost+found"], &[]).unwrap()), ["x.png"]);
}

#[test]
fn folders_and_names_can_be_left_out_and_depth_be_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<(&str, &[u8])> =
        ["in/a.png", "in/a_thumb.png", "in/raw/b.png", "in/2023/raw/c.png", "in/2023/d.png"]
            .map(|name| (name, &b""[..]))
            .into();
    make(dir.path(), &files);
    for (flags, expected) in [
        (&["--exclude", "*_thumb.png", "--exclude", "raw"][..], &["2023/d.png", "a.png"][..]),
        (&["--exclude", "2023/raw"], &["2023/d.png", "a.png", "a_thumb.png", "raw/b.png"]),
        (&["--exclude", "in/raw/"], &["2023/d.png", "2023/raw/c.png", "a.png", "a_thumb.png"]),
        (&["--max-depth", "1"], &["a.png", "a_thumb.png"]),
        (&["--max-depth", "2"], &["2023/d.png", "a.png", "a_thumb.png", "raw/b.png"]),
    ] {
        assert_eq!(names(&plan(dir.path(), &["in"], flags).unwrap()), expected, "{flags:?}");
    }
    let (code, said) = plan(dir.path(), &["in"], &["--exclude", "["]).unwrap_err();
    assert!(code == Some(1) && said.contains('['), "{said}");
}

#[test]
fn a_sample_comes_first_and_the_rest_later_into_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    for index in 0..12 {
        make(dir.path(), &[(&format!("in/{index:02}.png"), b"")]);
    }
    let limited = plan(dir.path(), &["in"], &["--limit", "2"]).unwrap();
    assert_eq!((names(&limited), &limited["not_chosen"]), (vec!["00.png", "01.png"], &10.into()));
    let sampled = plan(dir.path(), &["in"], &["--sample", "4"]).unwrap();
    assert_ne!(
        names(&sampled),
        names(&plan(dir.path(), &["in"], &["--sample", "4", "--seed", "7"]).unwrap())
    );
    let (records, code) = detect(dir.path(), &["in"], &["--sample", "4"], "run");
    let of = |records: &[Value]| {
        records
            .iter()
            .map(|record| record["image"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of(&records), code),
        (names(&sampled).into_iter().map(str::to_owned).collect(), Some(0))
    );
    let output = gemscope()
        .current_dir(dir.path())
        .args([
            "detect",
            "in",
            "--prompt",
            "detect shape",
            "--budget",
            "70",
            "--json",
            "--out",
            "run",
        ])
        .output()
        .unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["resumed"], &summary["images"]), (&4.into(), &12.into()));
    // And a sample of what is there leaves the rest where it is.
    let (records, code) = detect(dir.path(), &["in"], &["--sample", "2"], "run");
    assert_eq!((records.len(), code), (12, Some(0)));
}

#[cfg(unix)]
#[test]
fn a_file_that_links_lead_to_is_one_image() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("in/z/own.png", b""), ("out/of/it.png", b"")]);
    symlink("z", dir.path().join("in/a")).unwrap();
    symlink("z/own.png", dir.path().join("in/b.png")).unwrap();
    symlink("../out/of/it.png", dir.path().join("in/c.png")).unwrap();
    symlink("../out/of/it.png", dir.path().join("in/d.png")).unwrap();
    symlink("gone.png", dir.path().join("in/e.png")).unwrap();
    fs::hard_link(dir.path().join("in/z/own.png"), dir.path().join("in/hard.png")).unwrap();
    let planned = plan(dir.path(), &["in"], &[]).unwrap();
    assert_eq!(names(&planned), ["c.png", "e.png", "hard.png", "z/own.png"]);
    assert_eq!(planned["repeated_links"], 3);
    let dangling = planned["files"][1]["error"].as_str().unwrap();
    assert!(dangling.contains("a link to gone.png"), "{dangling}");
    // The folder by its own name and by another.
    symlink("in", dir.path().join("other")).unwrap();
    let planned = plan(dir.path(), &["other", "in/z"], &[]).unwrap();
    assert_eq!(names(&planned), ["in/z/own.png", "other/c.png", "other/e.png", "other/hard.png"]);
}

#[test]
fn lists_in_quotes_addresses_and_json_are_lists() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("in/a b.png", b""), ("in/c.png", b"")]);
    let here = dir.path().canonicalize().unwrap().display().to_string().replace(' ', "%20");
    for list in [
        "\"in/a b.png\"\r\n'in/c.png'\r\n".to_owned(),
        format!("file://{here}/in/a%20b.png\nfile://{here}/in/c.png\n"),
        r#"["in/a b.png", "in/c.png"]"#.to_owned(),
        r#"[{"file_name": "in/a b.png"}, {"image": "in/c.png"}]"#.to_owned(),
        "\u{feff}\"in/a b.png\"\nin/c.png".to_owned(),
    ] {
        fs::write(dir.path().join("list"), &list).unwrap();
        let planned =
            plan(dir.path(), &["@list"], &[]).unwrap_or_else(|said| panic!("{list}: {said:?}"));
        assert_eq!(names(&planned), ["a b.png", "c.png"], "{list}");
        assert!(
            planned["files"].as_array().unwrap().iter().all(|file| file.get("error").is_none()),
            "{list}"
        );
    }
    fs::write(dir.path().join("list"), "[{\"id\": 1}]").unwrap();
    let (code, said) = plan(dir.path(), &["@list"], &[]).unwrap_err();
    assert!(code == Some(1) && said.contains("entry 1 names no image"), "{said}");
}
