//! Every format, byte for byte, and the options of `gemscope export`, on a journal that was written
//! by hand.
//!
//! `GEMSCOPE_WRITE_GOLDEN=1 cargo test --test it export_formats` writes the golden files again;
//! what `python/checks/formats_open.py` says of them comes first, the bytes are only there so that
//! nothing changes unseen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gemscope::export::{self, Format, Options, Run, Selection};
use gemscope::ownership::OutputDirectory;
use gemscope::record::{AnswerStatus, BBox, Detection, Record};
use image::GenericImageView as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{fixture, gemscope, json, json_lines};

/// The images of `journal.jsonl`, and the files in `fixtures/images` that they are.
const IMAGES: [(&str, &str); 10] = [
    ("=a,b.png", "rgba.png"),
    ("cut.jpg", "444.jpg"),
    ("looped.jpg", "422.jpg"),
    ("nested/images/lossy.webp", "lossy.webp"),
    ("nested/plain.bmp", "plain.bmp"),
    ("nested/plain.tif", "plain.tif"),
    ("nothing.jpg", "420.jpg"),
    ("photo é/animated.gif", "animated.gif"),
    ("refused.png", "grey.png"),
    ("turned.jpg", "orientation-6.jpg"),
];
const FORMATS: &str = "jsonl,csv,coco,yolo,voc,label-studio,counts,crops";

/// A run with the journal of the golden data, and its images.
struct Golden {
    dir: tempfile::TempDir,
}

impl Golden {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, file) in IMAGES {
            let path = dir.path().join("images").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(fixture("images").join(file), path).unwrap();
        }
        // The image that failed is there, too.
        fs::write(dir.path().join("images/broken.jpg"), "no image").unwrap();
        let golden = Self { dir };
        let journal = fs::read_to_string(fixture("golden/exports/journal.jsonl")).unwrap();
        write_run(&golden.path("run"), &golden.path("images"), &journal);
        golden
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Exports into a new folder; gives it and what was said.
    fn export(&self, name: &str, to: &str, arguments: &[&str]) -> (PathBuf, String) {
        let out = self.path(name);
        let mut command = gemscope();
        command
            .arg("export")
            .arg(self.path("run"))
            .args(["--to", to])
            .args(arguments)
            .arg("--out")
            .arg(&out);
        let said = command.assert().success().get_output().stderr.clone();
        (out, String::from_utf8(said).unwrap())
    }
}

fn write_run(run: &Path, images: &Path, journal: &str) {
    fs::create_dir(run).unwrap();
    let manifest = json!({"gemscope": "0", "root": images, "settings": null});
    fs::write(run.join("run.json"), manifest.to_string()).unwrap();
    fs::write(run.join("journal.jsonl"), journal).unwrap();
}

/// Every file below `folder`, by its path.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| !entry.file_type().is_dir());
    files
        .map(|entry| {
            let name =
                entry.path().strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
            (name, entry.into_path())
        })
        .collect()
}

fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_picture(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| gemscope::source::EXTENSIONS.contains(&extension))
}

/// Compares the text files of an export, the names of all its files and what was said with the
/// golden ones.
fn assert_golden(name: &str, out: &Path, said: &str) {
    let golden = fixture("golden/exports").join(name);
    let mut made = files(out);
    made.retain(|name, _| name != ".lock" && !name.starts_with(".gemscope/"));
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (name, path) in made.iter().filter(|(name, _)| !is_picture(name)) {
        // The one thing in them that changes with every release.
        texts.insert(name.clone(), text(path).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }
    texts.insert("files.txt".into(), made.keys().map(|name| format!("{name}\n")).collect());
    texts.insert("said.txt".into(), said.to_owned());
    if std::env::var_os("GEMSCOPE_WRITE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(&golden);
        for (name, text) in &texts {
            let path = golden.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    assert_eq!(
        files(&golden).into_keys().collect::<Vec<_>>(),
        texts.keys().cloned().collect::<Vec<_>>()
    );
    for (name, made) in texts {
        assert_eq!(made, text(golden.join(&name)), "{name}");
    }
}

#[test]
fn every_format_is_as_it_was() {
    let golden = Golden::new();
    let (out, said) = golden.export("out", FORMATS, &[]);
    assert_golden("default", &out, &said);
    // The images of a data set are the files that were answered about, but for those that no
    // trainer reads.
    let same = |a: &str, b: &str| {
        assert_eq!(
            fs::read(out.join(a)).unwrap(),
            fs::read(golden.path("images").join(b)).unwrap()
        );
    };
    same("yolo/images/train/turned.jpg", "turned.jpg");
    same("voc/JPEGImages/nested__images__lossy.webp", "nested/images/lossy.webp");
    assert_eq!(
        image::open(out.join("yolo/images/train/photo é/animated.png")).unwrap().dimensions(),
        (48, 32)
    );
}

#[test]
fn every_option_does_as_it_did() {
    let golden = Golden::new();
    let (map, categories) = (golden.path("map.toml"), golden.path("categories.txt"));
    fs::write(&map, "\"dog & <cat>, 'both'\" = \"cat\"\n\"line\\nbreak\" = \"\"\n").unwrap();
    fs::write(&categories, "cat\n-1\ndog\n").unwrap();
    let options = [
        ["--labels-map", map.to_str().unwrap()],
        ["--categories", categories.to_str().unwrap()],
        ["--min-score", "0.1"],
        ["--include-status", "ok,empty,salvaged,truncated,failed"],
        ["--split", "0.5"],
        ["--crop-padding", "0.25"],
        ["--crop-min-size", "20"],
        ["--crop-format", "png"],
        ["--label-studio-url", "https://images.example/a b/"],
    ];
    let mut arguments = options.concat();
    arguments.extend(["--crop-square", "--copy-images", "--write-upright"]);
    let (out, said) = golden.export("out", FORMATS, &arguments);
    assert_golden("options", &out, &said);
    // A picture that EXIF turned lies the way that the boxes describe it, whatever reads it.
    for upright in ["upright/turned.png", "voc/JPEGImages/turned.png"] {
        assert_eq!(image::open(out.join(upright)).unwrap().dimensions(), (48, 32), "{upright}");
    }
    let crop = image::open(out.join("crops/nested/plain.tif_000_dog.png")).unwrap();
    assert_eq!(crop.dimensions(), (48, 32), "padding and squares end with the image");
}

#[test]
fn linked_images_can_be_copies_and_lost_ones_are_left_out_with_their_labels() {
    let golden = Golden::new();
    let images = golden.path("images");
    fs::write(images.join("nothing.jpg"), "another file").unwrap();
    fs::remove_file(images.join("turned.jpg")).unwrap();
    let out = golden.path("out");
    let mut command = gemscope();
    command
        .arg("export")
        .arg(golden.path("run"))
        .args(["--to", "yolo,voc", "--copy-images", "--out"])
        .arg(&out);
    let assert = command.assert().code(2);
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("yolo: nothing.jpg: the file is not the one that was answered about"),
        "{said}"
    );
    assert!(said.contains("1 image is not there any more"), "{said}");
    for lost in ["nothing", "turned"] {
        assert!(!out.join(format!("yolo/labels/train/{lost}.txt")).exists());
        assert!(!out.join(format!("voc/Annotations/{lost}.xml")).exists());
    }
    // A copy is a file of its own.
    fs::write(images.join("looped.jpg"), "changed").unwrap();
    assert_ne!(fs::read(out.join("yolo/images/train/looped.jpg")).unwrap(), b"changed");
}

#[test]
fn runs_over_the_same_images_become_one_set() {
    let golden = Golden::new();
    let journal = text(golden.path("run/journal.jsonl"));
    // The second run found a cat where the first found a dog, and failed at the image where the
    // first found nothing.
    let mut second = String::new();
    for mut record in json_lines(&journal) {
        match record["image"].as_str().unwrap() {
            "turned.jpg" => record["detections"][0]["label"] = json!("cat"),
            "nothing.jpg" => record["status"] = json!("failed"),
            "nested/plain.bmp" => {}
            _ => continue,
        }
        second += &(record.to_string() + "\n");
    }
    write_run(&golden.path("second"), &golden.path("images"), &second);
    // The third is over another folder with a file of the same name.
    fs::create_dir(golden.path("other")).unwrap();
    fs::copy(fixture("images/444.jpg"), golden.path("other/turned.jpg")).unwrap();
    let third = json!({
        "schema": 1, "image": "turned.jpg", "sha256": null, "width": 40, "height": 24,
            "orientation": 1,
        "status": "ok", "detections": [{"label": "dog", "bbox": [0.0, 0.0, 1.0, 1.0],
            "score": null}]
    });
    write_run(&golden.path("third"), &golden.path("other"), &format!("{third}\n"));
    let export = |runs: &[&str], name: &str| {
        let out = golden.path(name);
        let mut command = gemscope();
        command
            .arg("export")
            .args(runs.iter().map(|run| golden.path(run)))
            .args(["--to", "coco,yolo", "--out"])
            .arg(&out);
        let said = command.assert().success().get_output().stderr.clone();
        (json(out.join("instances.json")), String::from_utf8(said).unwrap(), out)
    };
    let unique = |instances: &Value, key: &str| {
        let ids: Vec<u64> = instances[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "{key}");
        ids.len()
    };
    let (two, said, _) = export(&["run", "second"], "two");
    // One box more, of a label more; the image that one of them failed at is not one without
    // objects.
    assert_eq!(
        (unique(&two, "images"), unique(&two, "annotations"), unique(&two, "categories")),
        (7, 9, 6)
    );
    assert!(said.contains("1 boxes are in several runs"), "{said}");
    assert!(!two["images"].to_string().contains("nothing.jpg"));
    let (three, said, out) = export(&["third", "run", "second"], "three");
    assert_eq!(
        (unique(&three, "images"), unique(&three, "annotations"), unique(&three, "categories")),
        (8, 10, 6)
    );
    let names = three["images"].to_string();
    assert!(
        names.contains("\"images/turned.jpg\"") && names.contains("\"other/turned.jpg\""),
        "{names}"
    );
    assert!(said.contains("names are relative to"), "{said}");
    assert_eq!(text(out.join("yolo/labels/train/other/turned.txt")).lines().count(), 1);
    assert_eq!(text(out.join("yolo/labels/train/images_/turned.txt")).lines().count(), 2);
    // Ids do not depend on the order in which the runs are named.
    assert_eq!(three["images"], export(&["second", "third", "run"], "three again").0["images"]);
    let several = || {
        let mut command = gemscope();
        command
            .arg("export")
            .arg(golden.path("run"))
            .arg(golden.path("third"))
            .args(["--to", "coco"]);
        command
    };
    several().assert().code(1).stderr(predicates::str::contains("several runs need --out"));
    let images = golden.path("images");
    let images = images.to_str().unwrap();
    several()
        .args(["--images", images, "--images", images, "--images", images, "--out", "x"])
        .assert()
        .code(1);
}

#[test]
fn files_and_words_that_are_not_understood_are_named() {
    let golden = Golden::new();
    let wrong = golden.path("wrong");
    fs::write(&wrong, "a\nb\na\n").unwrap();
    let wrong = wrong.to_str().unwrap();
    for (arguments, said) in [
        (["--include-status", "ok,fine"], "no status \"fine\"; there are: ok, empty,"),
        (["--categories", wrong], "is there twice"),
        (["--labels-map", wrong], wrong),
        (["--min-score", "2"], "from 0 to 1"),
        (["--crop-padding", "10"], "a share of the box (0.1 or 10%, up to 5) or pixels (12px)"),
    ] {
        let mut command = gemscope();
        command.arg("export").arg(golden.path("run")).args(["--to", "coco"]).args(arguments);
        command.assert().code(1).stderr(predicates::str::contains(said));
    }
    assert!(!golden.path("run/instances.json").exists());
}

#[test]
fn detect_writes_every_format_with_its_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut command = gemscope();
    command
        .arg("detect")
        .arg(fixture("shapes/scene-01.png"))
        .args(["--labels", "star", "--export", FORMATS, "--out"]);
    command.arg(&run).assert().success();
    for file in [
        "detections.csv",
        "yolo/data.yaml",
        "voc/Annotations/scene-01.xml",
        "label-studio/tasks.json",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    // What --overwrite removes is all of it.
    let mut command = gemscope();
    command
        .arg("detect")
        .arg(fixture("shapes/scene-01.png"))
        .args(["--labels", "star", "--export", "none"]);
    command.args(["--overwrite", "--out"]).arg(&run).assert().success();
    let left: Vec<String> = files(&run).into_keys().collect();
    assert_eq!(left, [".lock", "journal.jsonl", "run.json"]);
}

/// A record of an image of any size with boxes anywhere in it.
fn any_record() -> impl Strategy<Value = Record> {
    let share = || 0.0..1.0_f64;
    let boxes = prop::collection::vec((share(), share(), share(), share()), 1..5);
    (3_u32..3000, 3_u32..3000, boxes).prop_map(|(width, height, boxes)| {
        let mut record = Record::failed("a.png".into(), String::new());
        (record.width, record.height, record.status) = (width, height, AnswerStatus::Ok);
        // At least a pixel, which VOC cannot divide.
        let span = |from: f64, length: f64, size: u32| {
            let size = f64::from(size);
            let from = from * (size - 1.0);
            (from, (from + 1.0 + length * size).min(size))
        };
        let bbox = |(x, y, w, h)| {
            let ((x0, x1), (y0, y1)) = (span(x, w, width), span(y, h, height));
            BBox { x0, y0, x1, y1 }
        };
        let detection =
            |place| Detection { score: Some(0.5), ..Detection::new("thing".into(), bbox(place)) };
        record.detections = boxes.into_iter().map(detection).collect();
        record
    })
}

fn numbers<const N: usize>(values: [&Value; N]) -> [f64; N] {
    values.map(|value| value.as_f64().unwrap())
}

/// The number between two tags that follow in `xml`.
fn tag(xml: &str, name: &str) -> f64 {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn boxes_survive_every_format_within_half_a_pixel(mut record in any_record()) {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let picture = image::RgbImage::new(record.width, record.height);
        picture.save(dir.path().join("a.png")).unwrap();
        record.sha256 = Some(crate::support::sha256(&fs::read(dir.path().join("a.png")).unwrap()));
        let run = Run {
            selection: Selection { records: vec![record], ..Selection::default() },
            images: Some(dir.path().to_owned()),
            apply_orientation: true,
            ..Run::default()
        };
        let formats: Vec<Format> = Format::ALL.into_iter().filter(|format| *format != Format::Crops).collect();
        let exported = export::export(&run, &Options::default(), &formats, &OutputDirectory::open(&out).unwrap());
        // Some formats have no word for scores, and one wants splits.
        let expected = ["has a score", "have scores", "trainers want some in valid"];
        let others = exported.remarks.iter().filter(|remark| !expected.iter().any(|words| remark.contains(words)));
        prop_assert_eq!(others.count(), 0, "{:?}", exported.remarks);
        let record = &run.selection.records[0];
        let (width, height) = (f64::from(record.width), f64::from(record.height));
        let coco = json(out.join("instances.json"));
        let tasks = json(out.join("label-studio/tasks.json"));
        let lines = json_lines(text(out.join("detections.jsonl")));
        let yolo = text(out.join("yolo/labels/train/a.txt"));
        let xml = text(out.join("voc/Annotations/a.xml"));
        let table = text(out.join("detections.csv"));
        for (index, detection) in record.detections.iter().enumerate() {
            let near = |bbox: [f64; 4], limit: f64, format: &str| {
                let expected = <[f64; 4]>::from(detection.bbox);
                let apart = bbox.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0,
                    f64::max);
                prop_assert!(apart <= limit, "{}: {:?} for {:?}", format, bbox, expected);
                Ok(())
            };
            let bbox = &coco["annotations"][index]["bbox"];
            let [x, y, w, h] = numbers([&bbox[0], &bbox[1], &bbox[2], &bbox[3]]);
            near([x, y, x + w, y + h], 1e-9, "coco")?;
            let bbox = &lines[0]["detections"][index]["bbox"];
            near(numbers([&bbox[0], &bbox[1], &bbox[2], &bbox[3]]), 1e-9, "jsonl")?;
            let value = &tasks[0]["predictions"][0]["result"][index]["value"];
            let [x, y, w, h] = numbers([&value["x"], &value["y"], &value["width"],
                &value["height"]]).map(|part| part / 100.0);
            near([x * width, y * height, (x + w) * width, (y + h) * height], 1e-9, "label-studio")?;
            let line = yolo.lines().nth(index).unwrap();
            let cells: Vec<f64> = line.split(' ').map(|cell| cell.parse().unwrap()).collect();
            let (x, y, w, h) = (cells[1] * width, cells[2] * height, cells[3] * width / 2.0,
                cells[4] * height / 2.0);
            near([x - w, y - h, x + w, y + h], 1e-4, "yolo")?;
            let object = xml.split("<object>").nth(index + 1).unwrap();
            near([tag(object, "xmin") - 1.0, tag(object, "ymin") - 1.0, tag(object, "xmax"),
                tag(object, "ymax")], 0.5, "voc")?;
            let cells: Vec<&str> = table.lines().nth(index + 1).unwrap().split(',').collect();
            near([5, 6, 7, 8].map(|cell| cells[cell].parse().unwrap()), 0.0, "csv")?;
        }
    }
}
