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
        let decoded = match gemscope::image::decode(&fs::read(fixture("images").join(file)).unwrap(), true) {
            Ok(decoded) => decoded,
            Err(error) => {
                wrong.push(format!("{file}: {error}"));
                continue;
            }
        };
        let size = (case["width"].as_u64().unwrap() as u32, case["height"].as_u64().unwrap() as u32);
        if (decoded.width, decoded.height) != size {
            wrong.push(format!("{file}: {}x{} instead of {size:?}", decoded.width, decoded.height));
        } else if let Some(hash) = case["rgb_sha256"].as_str() {
            if sha256(&decoded.rgb) != hash {
                wrong.push(format!("{file}: other pixels"));
            }
        } else {
            let picture = image::open(fixture("images").join(case["expected"].as_str().unwrap())).unwrap().into_rgb8();
            let off = picture.iter().zip(&decoded.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            if u64::from(off) > case["tolerance"].as_u64().unwrap() {
                wrong.push(format!("{file}: off by {off}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
