//! Images from anywhere, under any name.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};
use serde_json::Value;

use crate::support::{fixture, gemscope, json_lines};

/// The records of a run over `inputs` in `dir`, and the exit code.
fn run(dir: &Path, inputs: &[&str], stdin: &[u8], out: &str) -> (Vec<Value>, Option<i32>) {
    let output = gemscope()
        .current_dir(dir)
        .arg("detect")
        .args(inputs)
        .args(["--prompt", "detect shape", "--budget", "70", "--quiet", "--out", out])
        .write_stdin(stdin)
        .output()
        .unwrap();
    let records = fs::read_to_string(dir.join(out).join("detections.jsonl"));
    let records = records.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (json_lines(records), output.status.code())
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["image"].as_str().unwrap()).collect()
}

fn copy(scene: &str, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(fixture("shapes").join(scene), to).unwrap();
}

#[test]
fn patterns_and_lists() {
    let dir = tempfile::tempdir().unwrap();
    for name in
        ["in/one/x.png", "in/one/y.png", "in/two/deep/x.png", "in/notes.txt", "in/.hidden/x.png"]
    {
        copy("scene-01.png", &dir.path().join(name));
    }
    let given = |inputs: &[&str], stdin: &[u8], out: &str| {
        let (records, code) = run(dir.path(), inputs, stdin, out);
        (names(&records).join(" "), code)
    };
    // A pattern's names are relative to the folder where it begins to vary, so that they stay when
    // more files come.
    assert_eq!(given(&["in/**/x.png"], b"", "1"), ("one/x.png two/deep/x.png".into(), Some(0)));
    assert_eq!(given(&["in/o*/[y-z].png"], b"", "2"), ("one/y.png".into(), Some(0)));
    assert_eq!(
        given(&["in/{one,two}"], b"", "3"),
        ("one/x.png one/y.png two/deep/x.png".into(), Some(0))
    );
    // What a list names may be missing: that is one image's fault.
    fs::write(dir.path().join("list.txt"), "in/one/x.png\r\n\nin/two\nin/gone.png\n").unwrap();
    let (records, code) = run(dir.path(), &["@list.txt"], b"", "4");
    assert_eq!(
        (names(&records).join(" ").as_str(), code),
        ("gone.png one/x.png two/deep/x.png", Some(2))
    );
    assert!(records[0]["reason"].as_str().unwrap().contains("No such file"), "{}", records[0]);
    assert_eq!(
        given(&["-"], b"in/one/x.png\0in/one/y.png\0", "5"),
        ("x.png y.png".into(), Some(0))
    );
    for (input, says) in [
        ("in/*.webp", "nothing fits the pattern"),
        ("@gone", "the list gone"),
        ("in/[", "neither a file nor a pattern"),
    ] {
        let output = gemscope()
            .current_dir(dir.path())
            .args(["detect", input, "--labels", "star", "--out", "6"])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains(says), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_go_through_every_format() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}.png", "n".repeat(251));
    let odd: [&[u8]; 10] = [
        b"a,b.png",
        b"line\nbreak.png",
        b"quo\"te'.png",
        b"=1+1.png",
        b"\x1b[31mred.png",
        b"latin-\xe9.png",
        b"<b>&amp;.png",
        "\u{202e}gnp.png".as_bytes(),
        long.as_bytes(),
        b"back\\xe9slash.png",
    ];
    for (index, name) in odd.iter().enumerate() {
        let scene = ["scene-01.png", "scene-02.png"][index % 2];
        copy(scene, &dir.path().join("in").join(std::ffi::OsStr::from_bytes(name)));
    }
    copy("scene-01.png", &dir.path().join("in/sub/a,b.png"));
    let (records, code) = run(dir.path(), &["in"], b"", "run");
    assert_eq!((records.len(), code), (11, Some(0)));
    assert!(
        names(&records).contains(&"latin-\\xe9.png")
            && names(&records).contains(&"back\\x5cxe9slash.png")
    );
    // Every format finds every image again, under whatever name, and every box has its crop.
    let output = gemscope()
        .current_dir(dir.path())
        .args([
            "export",
            "run",
            "--to",
            "jsonl,csv,coco,yolo,voc,label-studio,counts,crops,overlay,html",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let boxes: usize =
        records.iter().map(|record| record["detections"].as_array().unwrap().len()).sum();
    let files = |folder: &str| {
        walkdir::WalkDir::new(dir.path().join("run").join(folder))
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
            .count()
    };
    assert_eq!((files("crops"), files("overlays")), (boxes, 11));
    assert_eq!(files("voc/JPEGImages"), files("voc/Annotations"));
    let rows: Vec<csv::StringRecord> = csv::Reader::from_path(dir.path().join("run/counts.csv"))
        .unwrap()
        .records()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows.len(), 11);
    assert!(
        rows.iter().any(|row| &row[0] == "line\nbreak.png")
            && rows.iter().any(|row| &row[0] == "'=1+1.png")
    );
    // Again: all are known by their names.
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
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["resumed"], 11);
    // Nothing that is printed makes a terminal do something.
    for flags in [&["--dry-run"][..], &["--max-pixels", "1", "--out", "run2"]] {
        let output = gemscope()
            .current_dir(dir.path())
            .args(["detect", "in", "--prompt", "detect shape"])
            .args(flags)
            .output()
            .unwrap();
        for printed in [&output.stdout, &output.stderr] {
            assert!(
                !printed.contains(&0x1b) && !String::from_utf8_lossy(printed).contains('\u{202e}')
            );
        }
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("line\\nbreak.png"),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// What a zip says of the entry called `name`, in its directory and in front of the entry, with the
/// field at `at` of the directory's header, and `local` of the other, changed.
fn patch(zip: &mut [u8], name: &str, (at, local): (usize, usize), value: &[u8]) {
    let mut patched = 0;
    for (magic, at, length) in [(b"PK\x01\x02", at, 46), (b"PK\x03\x04", local, 30)] {
        for start in 0..zip.len() - length {
            let is_it = zip[start..].starts_with(magic)
                && zip[start + length..].starts_with(name.as_bytes());
            if is_it {
                zip[start + at..start + at + value.len()].copy_from_slice(value);
                patched += 1;
            }
        }
    }
    assert_eq!(patched, 2, "{name}");
}

#[test]
fn zips_are_read_in_place() {
    use std::io::Write as _;
    use zip::CompressionMethod::{Deflated, Stored};
    let dir = tempfile::tempdir().unwrap();
    let scene = fs::read(fixture("shapes/scene-01.png")).unwrap();
    let other = fs::read(fixture("shapes/scene-04.jpg")).unwrap();
    let pixels = image::load_from_memory(&scene).unwrap();
    let mut tiff = Cursor::new(Vec::new());
    // Its directory stands at the end, and is read first.
    pixels.write_to(&mut tiff, ImageFormat::Tiff).unwrap();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, method, bytes: &[u8]| {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("000.png", Stored, &scene);
    add("000.json", Deflated, b"{}");
    add("deep/001.jpg", Deflated, &other);
    add("deep/002.tif", Deflated, tiff.get_ref());
    add("__MACOSX/deep/._001.jpg", Deflated, b"of macOS");
    add("../outside.png", Stored, &scene);
    add("secret.png", Stored, &scene);
    add("lzma.png", Deflated, &scene);
    add("bomb.png", Deflated, &scene);
    add("damaged.png", Stored, &scene);
    add("damaged-too.png", Deflated, &scene);
    add("caf\u{e9}.png", Stored, &other);
    zip.add_symlink("link.png", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
    zip.add_directory("empty.png", zip::write::SimpleFileOptions::default()).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    patch(&mut bytes, "secret.png", (8, 6), &[1, 0]);
    patch(&mut bytes, "lzma.png", (10, 8), &[14, 0]);
    patch(&mut bytes, "bomb.png", (24, 22), &4_000_000_000_u32.to_le_bytes());
    for name in ["damaged.png", "damaged-too.png"] {
        patch(&mut bytes, name, (16, 14), &[1, 2, 3, 4]);
    }
    fs::write(dir.path().join("set.ZIP"), &bytes).unwrap();
    let (records, code) = run(dir.path(), &["set.ZIP"], b"", "run");
    assert_eq!(code, Some(2));
    let failed: Vec<(&str, &str)> = records
        .iter()
        .filter(|record| record["status"] == "failed")
        .map(|record| (record["image"].as_str().unwrap(), record["reason"].as_str().unwrap()))
        .collect();
    let says = [
        ("set.ZIP/../outside.png", "leaves the archive"),
        ("set.ZIP/bomb.png", "cannot hold 4000000000"),
        ("set.ZIP/damaged-too.png", "checksum is wrong"),
        ("set.ZIP/damaged.png", "checksum is wrong"),
        ("set.ZIP/link.png", "a link"),
        ("set.ZIP/lzma.png", "not read in place"),
        ("set.ZIP/secret.png", "encrypted"),
    ];
    assert_eq!(failed.len(), says.len(), "{failed:?}");
    for ((image, reason), (expected, says)) in failed.iter().zip(says) {
        assert!(*image == expected && reason.contains(says), "{image}: {reason}");
    }
    // As from a folder, the crops too.
    copy("scene-01.png", &dir.path().join("in/000.png"));
    copy("scene-04.jpg", &dir.path().join("in/caf\u{e9}.png"));
    copy("scene-04.jpg", &dir.path().join("in/deep/001.jpg"));
    fs::write(dir.path().join("in/deep/002.tif"), tiff.get_ref()).unwrap();
    let (plain, _) = run(dir.path(), &["in"], b"", "plain");
    let answered = |records: &[Value]| {
        let answered = records.iter().filter(|record| record["status"] != "failed");
        let named = answered.map(|record| {
            let name = record["image"].as_str().unwrap();
            let name = name.strip_prefix("set.ZIP/").unwrap_or(name).to_owned();
            (name, record["sha256"].clone(), record["detections"].clone())
        });
        named.collect::<Vec<_>>()
    };
    assert_eq!(answered(&records), answered(&plain));
    assert_eq!(answered(&plain).len(), 4);
    let crops = |run: &str| {
        let crops = walkdir::WalkDir::new(dir.path().join(run).join("crops")).into_iter();
        let mut crops: Vec<Vec<u8>> =
            crops.filter_map(|entry| fs::read(entry.unwrap().path()).ok()).collect();
        crops.sort();
        crops
    };
    assert!(!crops("run").is_empty());
    assert_eq!(crops("run"), crops("plain"));
    // The directory stands at the end: of a zip that is cut off nothing is known.
    fs::write(dir.path().join("cut.zip"), &bytes[..bytes.len() / 2]).unwrap();
    let (records, code) = run(dir.path(), &["cut.zip"], b"", "cut");
    assert_eq!((code, records.len()), (Some(2), 1));
    let reason = records[0]["reason"].as_str().unwrap();
    assert!(reason.contains("the archive cannot be read"), "{reason}");
}

#[test]
fn archives_are_read_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let scene = fs::read(fixture("shapes/scene-01.png")).unwrap();
    let other = fs::read(fixture("shapes/scene-04.jpg")).unwrap();
    let mut shard = tar::Builder::new(fs::File::create(dir.path().join("shard.tar")).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Names as a hostile archive has them, which the library itself would not write.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        shard.append(&header, bytes).unwrap();
    };
    add("000.png", &scene);
    add("000.json", b"{}");
    add("deep/001.jpg", &other);
    add("deep/._001.jpg", b"of macOS");
    add("../../outside.png", &scene);
    add("/absolute.png", &scene);
    add("broken.png", b"no image");
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    shard.append_link(&mut link, "link.png", "/etc/passwd").unwrap();
    shard.finish().unwrap();
    drop(shard);
    let (records, code) = run(dir.path(), &["shard.tar"], b"", "run");
    assert_eq!(code, Some(2));
    let reason = |name: &str| {
        let record = records
            .iter()
            .find(|record| record["image"] == name)
            .unwrap_or_else(|| panic!("{name}: {:?}", names(&records)));
        record["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(records.len(), 6, "{:?}", names(&records));
    assert_eq!(
        (reason("shard.tar/000.png").as_str(), reason("shard.tar/deep/001.jpg").as_str()),
        ("", "")
    );
    assert!(reason("shard.tar/../../outside.png").contains("leaves the archive"));
    assert!(reason("shard.tar//absolute.png").contains("leaves the archive"));
    assert!(reason("shard.tar/link.png").contains("a link"));
    assert!(reason("shard.tar/broken.png").contains("not a JPEG"));
    // As from a folder, the crops too.
    copy("scene-01.png", &dir.path().join("in/000.png"));
    copy("scene-04.jpg", &dir.path().join("in/deep/001.jpg"));
    let (plain, _) = run(dir.path(), &["in"], b"", "plain");
    let boxes = |records: &[Value], name: &str| {
        records.iter().find(|record| record["image"] == name).unwrap()["detections"].clone()
    };
    for name in ["000.png", "deep/001.jpg"] {
        assert_eq!(boxes(&records, &format!("shard.tar/{name}")), boxes(&plain, name));
    }
    let crops = |folder: &Path| {
        let mut crops: Vec<Vec<u8>> = walkdir::WalkDir::new(folder)
            .sort_by_file_name()
            .into_iter()
            .filter_map(|entry| fs::read(entry.unwrap().path()).ok())
            .collect();
        crops.sort();
        crops
    };
    assert!(!crops(&dir.path().join("run/crops")).is_empty());
    assert_eq!(crops(&dir.path().join("run/crops")), crops(&dir.path().join("plain/crops")));
    // An archive that breaks off gives what stands before that, and says so.
    let bytes = fs::read(dir.path().join("shard.tar")).unwrap();
    fs::write(dir.path().join("cut.tar"), &bytes[..512 + scene.len() / 2]).unwrap();
    let (records, code) = run(dir.path(), &["cut.tar"], b"", "cut");
    assert_eq!(code, Some(2));
    assert!(records.iter().all(|record| record["status"] == "failed"), "{records:?}");
    fs::write(dir.path().join("x.tar.gz"), b"").unwrap();
    let output = gemscope()
        .current_dir(dir.path())
        .args(["detect", "x.tar.gz", "--labels", "star", "--out", "gz"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("compressed archives"));
}

/// A file of `upright` in `format`, stored as `orientation` undoes it.
fn stored(upright: &DynamicImage, format: ImageFormat, orientation: Orientation) -> Vec<u8> {
    let mut stored = upright.clone();
    // The two quarter turns undo each other; the others undo themselves.
    stored.apply_orientation(match orientation {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        other => other,
    });
    let (width, height) = (stored.width(), stored.height());
    let pixels = stored.to_rgb8();
    // One entry of TIFF's: tag, type SHORT, count 1, value; then no further directory.
    let entry = |tag: u16, value: u32| {
        [&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()]
            .concat()
    };
    let exif = [
        b"II*\0\x08\0\0\0\x01\0",
        &entry(0x0112, u32::from(orientation.to_exif()))[..2],
        &[3, 0, 1, 0, 0, 0, orientation.to_exif(), 0, 0, 0],
        &[0; 4],
    ]
    .concat();
    let mut bytes = Cursor::new(Vec::new());
    match format {
        ImageFormat::Tiff => {
            let strip = 8 + 2 + 12 * 10 + 4;
            let bits = strip + pixels.len() as u32;
            let entries = [
                entry(256, width),
                entry(257, height),
                [
                    &258_u16.to_le_bytes()[..],
                    &3_u16.to_le_bytes(),
                    &3_u32.to_le_bytes(),
                    &bits.to_le_bytes(),
                ]
                .concat(),
                entry(259, 1),
                entry(262, 2),
                entry(273, strip),
                entry(274, u32::from(orientation.to_exif())),
                entry(277, 3),
                entry(278, height),
                entry(279, pixels.len() as u32),
            ];
            return [
                b"II*\0\x08\0\0\0\x0a\0",
                &entries.concat()[..],
                &[0; 4],
                &pixels,
                &[8, 0, 8, 0, 8, 0],
            ]
            .concat();
        }
        ImageFormat::Png => {
            let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
            encoder.set_exif_metadata(exif).unwrap();
            encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8).unwrap();
        }
        ImageFormat::WebP => {
            let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
            encoder.set_exif_metadata(exif).unwrap();
            encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8).unwrap();
        }
        _ => {
            let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 98);
            encoder.set_exif_metadata(exif).unwrap();
            encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8).unwrap();
        }
    }
    bytes.into_inner()
}

#[test]
fn every_orientation_in_every_format_gives_the_same_pixels_and_boxes() {
    let upright = image::open(fixture("shapes/scene-01.png")).unwrap().crop_imm(0, 0, 320, 231);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let formats = [
        (ImageFormat::Png, "png"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Tiff, "tiff"),
        (ImageFormat::Jpeg, "jpg"),
    ];
    for (format, extension) in formats {
        for exif in 1..=8 {
            let bytes = stored(&upright, format, Orientation::from_exif(exif).unwrap());
            let decoded = gemscope::image::decode(&bytes, true).unwrap();
            assert_eq!(
                (decoded.width, decoded.height, decoded.orientation),
                (upright.width(), upright.height(), exif),
                "{extension} {exif}"
            );
            assert_eq!(
                gemscope::image::size(Cursor::new(&bytes), true).unwrap(),
                (upright.width(), upright.height())
            );
            let off = decoded
                .rgb
                .iter()
                .zip(upright.to_rgb8().iter())
                .map(|(a, b)| a.abs_diff(*b))
                .max()
                .unwrap();
            assert!(
                off == 0 || format == ImageFormat::Jpeg && off < 90,
                "{extension} {exif}: off by {off}"
            );
            fs::write(dir.path().join(format!("in/{exif}.{extension}")), bytes).unwrap();
        }
    }
    let (records, code) = run(dir.path(), &["in"], b"", "run");
    assert_eq!((records.len(), code), (32, Some(0)));
    let expected = records.iter().find(|record| record["image"] == "1.png").unwrap()["detections"]
        .as_array()
        .unwrap();
    assert!(!expected.is_empty());
    for record in &records {
        let given = record["detections"].as_array().unwrap();
        if !record["image"].as_str().unwrap().ends_with("jpg") {
            assert_eq!(given, expected, "{}", record["image"]);
            continue;
        }
        // JPEG's blocks lie otherwise in a turned image: a pixel here or there.
        assert_eq!(given.len(), expected.len(), "{record}");
        for (given, expected) in given.iter().zip(expected) {
            assert_eq!(given["label"], expected["label"]);
            for edge in 0..4 {
                let off = given["bbox"][edge].as_f64().unwrap()
                    - expected["bbox"][edge].as_f64().unwrap();
                assert!(off.abs() <= 4.0, "{record}");
            }
        }
    }
}

#[test]
fn thin_images_have_their_size_or_a_reason_at_every_budget() {
    use gemscope::preprocess::prepare;
    use gemscope::record::{Budget, BudgetChoice};
    let mut refused = 0;
    for length in [1, 2, 7, 48, 1000, 5000, 20_000, 65_535] {
        for (width, height) in [(1, length), (length, 1)] {
            let mut png = Cursor::new(Vec::new());
            DynamicImage::new_rgb8(width, height).write_to(&mut png, ImageFormat::Png).unwrap();
            let decoded = gemscope::image::decode(png.get_ref(), true).unwrap();
            for budget in Budget::ALL {
                match prepare(&decoded, BudgetChoice::Fixed(budget), 16) {
                    Ok(view) => {
                        assert!(
                            view.size.soft_tokens() <= budget.soft_tokens()
                                && view.size.soft_tokens() > 0
                        );
                        assert_eq!(view.patches.count() as u32, view.size.patches());
                    }
                    Err(error) => {
                        refused += 1;
                        assert!(
                            error.to_string().contains("no target size"),
                            "{width}x{height}: {error}"
                        );
                    }
                }
            }
        }
    }
    assert!(refused < 8 * 2 * 5 / 2, "{refused} refused");
}

#[test]
fn odd_files_give_pixels_or_a_reason() {
    let decode = |bytes: &[u8]| gemscope::image::decode(bytes, true);
    // The precision of the frame, 12 bits for 8: a valid header that no decoder here serves.
    let mut jpeg = fs::read(fixture("shapes/scene-04.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 4] = 12;
    assert!(decode(&jpeg).unwrap_err().to_string().contains("cannot decode"));
    // A name says nothing.
    let dir = tempfile::tempdir().unwrap();
    copy("scene-01.png", &dir.path().join("in/png.jpg"));
    copy("scene-04.jpg", &dir.path().join("in/jpg.png"));
    // Claims of a bomb, in a few bytes: a PNG header with a right checksum.
    let header =
        [b"IHDR", &40_000_u32.to_be_bytes()[..], &40_000_u32.to_be_bytes(), &[8, 2, 0, 0, 0]]
            .concat();
    let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bomb.extend(&header);
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    bomb.extend(crc.sum().to_be_bytes());
    bomb.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    fs::write(dir.path().join("in/bomb.png"), &bomb).unwrap();
    let (records, code) = run(dir.path(), &["in"], b"", "run");
    assert_eq!(code, Some(2));
    assert_eq!(
        records[0]["reason"],
        "40000x40000 is more than the limit of 178956970 pixels (`max_pixels`)"
    );
    assert!(records[1]["status"] != "failed" && records[2]["status"] != "failed");
    // The limit is a setting of the run, not of its answers: the same run goes on with another.
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
            "--retry-failed",
        ])
        .args(["--max-pixels", "1000000000"])
        .output()
        .unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["resumed"], 2);
    assert!(
        summary["failures"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("40000x40000 is more than the limit of 1000000000")
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    copy("scene-01.png", &dir.path().join("in/a.png"));
    let pipe = dir.path().join("in/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (records, code) = run(dir.path(), &["in", "in/pipe.png"], b"", "run");
    assert_eq!((names(&records), code), (vec!["a.png", "pipe.png"], Some(2)));
    assert_eq!(records[1]["reason"], "is not a file");
}

#[test]
fn a_second_folder_in_a_run_is_said() {
    let dir = tempfile::tempdir().unwrap();
    copy("scene-01.png", &dir.path().join("one/a.png"));
    copy("scene-02.png", &dir.path().join("two/b.png"));
    let said = |folder: &str| {
        let mut detect = gemscope();
        detect.current_dir(dir.path()).args(["detect", folder, "--labels", "star", "--out", "run"]);
        String::from_utf8(detect.output().unwrap().stderr).unwrap()
    };
    assert!(!said("one").contains("already"));
    assert!(!said("one").contains("already"));
    let second = said("two");
    assert!(second.contains("one already: it goes on with both folders"), "{second}");
    assert!(second.contains("(one/...)"), "{second}");
}
