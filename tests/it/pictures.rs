//! Overlays and the HTML report.

use std::fs;
use std::path::{Path, PathBuf};

use image::GenericImageView as _;
use predicates::prelude::PredicateBooleanExt as _;
use serde_json::Value;

use crate::support::{fixture, folder_of, gemscope};

/// Legal on every file system but Windows', and markup wherever it is not escaped.
const HOSTILE: &str = "\"><script>alert(1)<script>.png";

/// A folder of images, and a run of answers about them that were made elsewhere.
fn run_of(dir: &Path) -> (PathBuf, PathBuf) {
    let (images, run) = (dir.join("my images"), dir.join("run"));
    fs::create_dir_all(images.join("sub")).unwrap();
    fs::copy(fixture("shapes/scene-01.png"), images.join("sub/scene.png")).unwrap();
    fs::copy(fixture("photos/coffee-orientation-6.jpg"), images.join("coffee.jpg")).unwrap();
    fs::copy(fixture("images/one-pixel.png"), images.join(HOSTILE)).unwrap();
    let upright = |name: &str| {
        let bytes = fs::read(images.join(name)).unwrap();
        let upright = gemscope::image::decode(&bytes, true).unwrap();
        (upright.width, upright.height)
    };
    let label = "</script><script>alert(2)</script>";
    let found = serde_json::json!([
        {"box_2d": [100, 100, 500, 600], "label": "cup"},
        {"box_2d": [100, 100, 520, 600], "label": label},
        {"box_2d": [0, 0, 1000, 1000], "label": "Ж猫"},
    ]);
    let lines = [
        ("sub/scene.png", found.to_string()),
        ("coffee.jpg", found.to_string()),
        (HOSTILE, "I see <b>nothing</b> that I could name.".to_owned()),
    ];
    let lines = lines.map(|(name, text)| {
        let (width, height) = upright(name);
        serde_json::json!({"image": name, "width": width, "height": height, "text": text})
            .to_string()
    });
    gemscope()
        .args(["parse", "-", "--out"])
        .arg(&run)
        .write_stdin(lines.join("\n"))
        .assert()
        .success();
    (images, run)
}

fn export(run: &Path, to: &str, images: &Path) -> assert_cmd::assert::Assert {
    gemscope().arg("export").arg(run).args(["--to", to, "--images"]).arg(images).assert()
}

/// What a page knows, read back the way a browser does: up to the first end of the element.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn overlays_show_the_boxes_on_the_upright_image() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_of(dir.path());
    export(&run, "overlay", &images).success();
    let overlay =
        |name: &str| image::open(run.join("overlays").join(format!("{name}_boxes.jpg"))).unwrap();
    let coffee =
        gemscope::image::decode(&fs::read(images.join("coffee.jpg")).unwrap(), true).unwrap();
    let drawn = overlay("coffee.jpg");
    let times = drawn.width() / coffee.width;
    assert_eq!(
        drawn.dimensions(),
        (coffee.width * times, coffee.height * times),
        "upright, and enlarged evenly"
    );
    // The left edge of the first box, halfway down, has its colour (JPEG and antialiasing aside).
    let scene = overlay("sub/scene.png");
    let (width, height) = scene.dimensions();
    let edge = scene.get_pixel(width / 10, height * 3 / 10).0;
    let labels = ["</script><script>alert(2)</script>", "cup", "Ж猫"];
    assert!(labels.is_sorted());
    let cup: [u8; 3] = [0xE6, 0x9F, 0x00];
    let other: [u8; 3] = [0x56, 0xB4, 0xE9];
    let near = |colour: [u8; 3]| (0..3).all(|channel| edge[channel].abs_diff(colour[channel]) < 24);
    assert!(near(cup) || near(other), "{edge:?}");
    // An image of one pixel is enlarged until text could be read on it; one without boxes is there
    // too.
    assert!(overlay(HOSTILE).width() >= 640);
    // The same bytes every time.
    let before = fs::read(run.join("overlays/sub/scene.png_boxes.jpg")).unwrap();
    export(&run, "overlay", &images).success();
    assert_eq!(before, fs::read(run.join("overlays/sub/scene.png_boxes.jpg")).unwrap());
}

#[test]
fn the_report_is_one_page_in_which_nothing_is_markup() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_of(dir.path());
    export(&run, "html", &images).success();
    let page = fs::read_to_string(run.join("report/index.html")).unwrap();
    assert!(
        !page.contains("alert(1)<")
            && !page.contains("<script>alert")
            && !page.contains("<b>nothing")
    );
    assert_eq!(page.matches("<script").count(), 2, "the data and the page's own");
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    assert!(!page.contains("unsafe-inline") && !page.contains("https:"));
    let data = data(&page);
    assert_eq!(data["folder"], "../../my%20images/");
    let known = data["images"].as_array().unwrap();
    assert_eq!(known[0]["name"], HOSTILE);
    assert_eq!(known[0]["status"], "refused");
    assert_eq!(
        known[0]["answer"], "I see <b>nothing</b> that I could name.",
        "the reader sees why"
    );
    assert_eq!(known[1]["name"], "coffee.jpg");
    assert!(known[1].get("answer").is_none());
    assert_eq!(known[1]["boxes"].as_array().unwrap().len(), 3);
    assert_eq!(known[1]["boxes"][0]["score"], Value::Null, "no score is invented");
    assert_eq!(data["labels"][0]["name"], "</script><script>alert(2)</script>");
    for index in 1..=3 {
        let thumbnail = image::open(run.join(format!("report/thumbnails/{index:06}.jpg"))).unwrap();
        assert!(thumbnail.width().max(thumbnail.height()) <= 320);
    }
    let coffee = image::open(run.join("report/thumbnails/000002.jpg")).unwrap();
    let (width, height) =
        (known[1]["width"].as_u64().unwrap(), known[1]["height"].as_u64().unwrap());
    assert_eq!(coffee.width() > coffee.height(), width > height, "turned as the image is");
    // The same bytes every time.
    export(&run, "html", &images).success();
    assert_eq!(page, fs::read_to_string(run.join("report/index.html")).unwrap());
}

#[test]
fn images_that_are_gone_are_told_and_do_not_end_the_export() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = run_of(dir.path());
    fs::remove_file(images.join("coffee.jpg")).unwrap();
    export(&run, "overlay,html", &images).code(2).stderr(
        predicates::str::contains("overlay: coffee.jpg")
            .and(predicates::str::contains("no thumbnail of coffee.jpg")),
    );
    assert!(
        run.join("overlays/sub/scene.png_boxes.jpg").exists()
            && !run.join("overlays/coffee.jpg_boxes.jpg").exists()
    );
    let page = data(&fs::read_to_string(run.join("report/index.html")).unwrap());
    let seen: Vec<bool> =
        page["images"].as_array().unwrap().iter().map(|image| image["thumbnail"] == true).collect();
    assert_eq!(seen, [true, false, true]);
    // Without a word about the images there is a page all the same, and no overlay.
    gemscope().arg("export").arg(&run).args(["--to", "html"]).assert().success();
    let failed = gemscope().arg("export").arg(&run).args(["--to", "overlay"]).assert().code(1);
    failed.stderr(predicates::str::contains("say with --images in which folder they are"));
}

#[test]
fn a_run_and_a_later_export_make_the_same_report() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(
        dir.path(),
        &[("shapes/scene-01.png", "a.png"), ("images/bad/text.png", "b.png")],
    );
    let run = dir.path().join("run");
    let detect = || {
        let mut command = gemscope();
        command.arg("detect").arg(&images).args([
            "--prompt",
            "detect shape",
            "--export",
            "overlay,html",
            "--out",
        ]);
        command.arg(&run).assert().code(2)
    };
    detect();
    let read = |name: &str| fs::read(run.join(name)).unwrap();
    let names = ["report/index.html", "report/thumbnails/000001.jpg", "overlays/a.png_boxes.jpg"];
    let before = names.map(read);
    detect();
    assert_eq!(before, names.map(read), "a run that goes on was begun when it was begun");
    gemscope().arg("export").arg(&run).args(["--to", "html,overlay"]).assert().success();
    assert_eq!(before, names.map(read));
    let page = data(&String::from_utf8(read("report/index.html")).unwrap());
    assert_eq!(page["title"], "detect shape");
    assert_eq!(page["facts"][0], serde_json::json!(["Model", "the bundled demo model"]));
    assert!(page["started"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(page["images"][1]["status"], "failed");
    assert!(page["images"][1]["reason"].as_str().unwrap().contains("not a JPEG"));
    assert!(
        !String::from_utf8(read("report/index.html"))
            .unwrap()
            .contains(dir.path().to_str().unwrap())
    );
}
