//! Every kind of image file gives the upright RGB that it should.

use std::fs;

use crate::support::{fixture, json, sha256};

#[test]
fn every_format_and_orientation() {
    let expected = json(fixture("images/expected.json"));
    let cases = expected["images"].as_array().unwrap();
    assert!(cases.len() >= 25, "only {} files", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let decoded =
            match gemscope::image::decode(&fs::read(fixture("images").join(file)).unwrap(), true) {
                Ok(decoded) => decoded,
                Err(error) => {
                    wrong.push(format!("{file}: {error}"));
                    continue;
                }
            };
        let size =
            (case["width"].as_u64().unwrap() as u32, case["height"].as_u64().unwrap() as u32);
        if (decoded.width, decoded.height) != size {
            wrong.push(format!("{file}: {}x{} instead of {size:?}", decoded.width, decoded.height));
        } else if let Some(hash) = case["rgb_sha256"].as_str() {
            if sha256(&decoded.rgb) != hash {
                wrong.push(format!("{file}: other pixels"));
            }
        } else {
            let picture = image::open(fixture("images").join(case["expected"].as_str().unwrap()))
                .unwrap()
                .into_rgb8();
            let off = picture.iter().zip(&decoded.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            if u64::from(off) > case["tolerance"].as_u64().unwrap() {
                wrong.push(format!("{file}: off by {off}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_jpeg_that_ends_early_gives_the_rows_that_are_there() {
    let cases = json(fixture("images/expected.json"));
    for case in cases["cut"].as_array().unwrap() {
        let decoded = gemscope::image::decode(
            &fs::read(fixture("images").join(case["file"].as_str().unwrap())).unwrap(),
            true,
        );
        let decoded = decoded.unwrap();
        let rows = case["rows"].as_u64().unwrap() as usize;
        assert_eq!(
            (decoded.rows_there * f64::from(decoded.height)).round() as usize,
            rows,
            "{case}"
        );
        assert_eq!(decoded.notes[0].kind, gemscope::record::NoteKind::TruncatedImage);
        // The last row that is there is blended with what is below it, which decoders fill
        // differently.
        let picture = image::open(fixture("images").join(case["expected"].as_str().unwrap()))
            .unwrap()
            .into_rgb8();
        let sure = if rows < decoded.height as usize { rows - 1 } else { rows }
            * decoded.width as usize
            * 3;
        let off =
            picture.iter().zip(&decoded.rgb).take(sure).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(u64::from(off) <= case["tolerance"].as_u64().unwrap(), "{case}: off by {off}");
        let below = decoded.rgb.chunks_exact(decoded.width as usize * 3).skip(rows + 16).flatten();
        assert!(below.into_iter().all(|&value| value == 128), "{case}");
    }
}

/// Wherever a JPEG is cut, its rows are there or the reason why there are none; the decoder never
/// stumbles.
#[test]
fn a_jpeg_may_be_cut_anywhere() {
    for file in [
        "444.jpg",
        "420.jpg",
        "progressive.jpg",
        "grey.jpg",
        "cmyk-adobe.jpg",
        "cut/444-restarts.jpg",
    ] {
        let bytes = fs::read(fixture("images").join(file)).unwrap();
        let mut rows = 0.0;
        for end in 1..bytes.len() - 1 {
            match gemscope::image::decode(&bytes[..end], true) {
                Ok(cut) => {
                    assert!(cut.rows_there >= rows, "{file} of {end} bytes");
                    rows = cut.rows_there;
                }
                Err(gemscope::image::ImageError::Panicked) => {
                    panic!("{file} of {end} bytes: the decoder panicked")
                }
                Err(error) => assert!(rows == 0.0, "{file} of {end} bytes: {error}"),
            }
        }
        assert!(rows > 0.0, "{file}");
    }
}

#[test]
fn every_bad_file_is_refused() {
    let expected = json(fixture("images/expected.json"));
    for case in expected["bad"].as_array().unwrap() {
        let file = fixture("images").join(case["file"].as_str().unwrap());
        let decoded = gemscope::image::decode(&fs::read(&file).unwrap(), true);
        assert!(decoded.is_err(), "{} was decoded ({})", file.display(), case["why"]);
    }
}

#[test]
fn the_header_gives_the_size_of_the_upright_image() {
    for case in json(fixture("images/expected.json"))["images"].as_array().unwrap() {
        let bytes = fs::read(fixture("images").join(case["file"].as_str().unwrap())).unwrap();
        let (width, height) = gemscope::image::size(std::io::Cursor::new(&bytes), true).unwrap();
        assert_eq!(
            (u64::from(width), u64::from(height)),
            (case["width"].as_u64().unwrap(), case["height"].as_u64().unwrap()),
            "{case}"
        );
    }
}

#[cfg(feature = "turbojpeg")]
#[test]
fn libjpeg_turbo_decodes_what_pillow_does() {
    let golden = json(fixture("golden/jpeg.json"));
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 20, "only {} files", cases.len());
    let wrong: Vec<&str> = cases
        .iter()
        .filter_map(|case| {
            let file = case["file"].as_str().unwrap();
            let decoded = gemscope::image::decode(&fs::read(fixture(file)).unwrap(), true).unwrap();
            (sha256(&decoded.rgb) != case["rgb_sha256"].as_str().unwrap()).then_some(file)
        })
        .collect();
    assert!(wrong.is_empty(), "other pixels than Pillow's: {}", wrong.join(", "));
}

#[cfg(feature = "turbojpeg")]
#[test]
fn a_reduced_jpeg_is_never_smaller_than_needed() {
    let bytes = fs::read(fixture("photos/coffee-orientation-6.jpg")).unwrap();
    let whole = gemscope::image::decode(&bytes, true).unwrap();
    for divisor in [1, 2, 3, 4, 7, 8, 100] {
        let needed = (whole.width / divisor, whole.height / divisor);
        let reduced =
            gemscope::image::decode_reduced(&bytes, true, gemscope::image::MAX_PIXELS, |_, _| {
                needed
            })
            .unwrap();
        assert_eq!((reduced.width, reduced.height), (whole.width, whole.height));
        let decoded = reduced.decoded;
        assert!(
            decoded.width >= needed.0 && decoded.height >= needed.1,
            "{}x{}",
            decoded.width,
            decoded.height
        );
        assert!(
            divisor < 2 || decoded.width < whole.width,
            "nothing was left out at a {divisor}th"
        );
        // Turned like the whole, and of the same picture: the mean of all pixels hardly changes.
        assert_eq!(decoded.width > decoded.height, whole.width > whole.height);
        let mean =
            |rgb: &[u8]| rgb.iter().map(|&byte| f64::from(byte)).sum::<f64>() / rgb.len() as f64;
        assert!((mean(&decoded.rgb) - mean(&whole.rgb)).abs() < 2.0);
    }
}

#[cfg(not(feature = "turbojpeg"))]
#[test]
fn fast_decode_needs_its_feature() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let ended = crate::support::gemscope()
        .args(["detect", "--labels", "star", "--fast-decode", "--out"])
        .args([&out, &fixture("shapes")])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--features turbojpeg"));
    assert!(!out.exists());
}

/// A palette whose length is no multiple of three makes png 0.18.1 panic where there is
/// transparency, too (found by fuzzing).
fn png_that_the_decoder_panics_over() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        for bytes in [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()]
        {
            png.extend(bytes);
        }
    };
    chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0]);
    chunk(b"PLTE", &[10, 20, 30, 40]);
    chunk(b"tRNS", &[0, 128]);
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut pixels, &[0, 0, 1]).unwrap();
    chunk(b"IDAT", &pixels.finish().unwrap());
    chunk(b"IEND", b"");
    png
}

#[test]
fn a_decoder_that_panics_is_an_error() {
    let decoded = gemscope::image::decode(&png_that_the_decoder_panics_over(), true);
    assert!(matches!(decoded, Err(gemscope::image::ImageError::Panicked)), "{decoded:?}");
}

/// The other images of the run are answered.
#[test]
fn an_image_that_the_decoder_panics_over_is_a_failed_record() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("images"), folder.path().join("run"));
    fs::create_dir(&images).unwrap();
    fs::write(images.join("a.png"), png_that_the_decoder_panics_over()).unwrap();
    fs::copy(fixture("images/444.jpg"), images.join("b.jpg")).unwrap();
    let run = crate::support::gemscope()
        .args(["detect", "--labels", "star", "--max-new-tokens", "4", "--export", "none", "--out"])
        .args([&out, &images])
        .assert();
    run.code(2);
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
    let record = |name: &str| -> serde_json::Value {
        let line = journal.lines().find(|line| line.contains(name)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(record("a.png")["reason"], "the decoder panicked over this file");
    assert!(record("b.jpg")["reason"].is_null(), "{journal}");
}
