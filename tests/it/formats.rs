//! Formats of annotation tools: each is written, read, and goes to every other and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{gemscope, json as read_json};

/// Every format, and what `--out` is called.
const FORMATS: [(&str, &str); 11] = [
    ("coco", "set.json"),
    ("roboflow", "roboflow"),
    ("yolo", "yolo"),
    ("voc", "voc"),
    ("labelme", "labelme"),
    ("xanylabeling", "xanylabeling"),
    ("cvat", "cvat"),
    ("label-studio", "label-studio"),
    ("imagefolder", "imagefolder"),
    ("megadetector", "megadetector"),
    ("jsonl", "jsonl"),
];

fn write(path: PathBuf, text: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn convert(from: &Path, to: &str, out: &Path, more: &[&str]) -> Assert {
    gemscope().arg("convert").arg(from).args(["--to", to, "--out"]).arg(out).args(more).assert()
}

/// File names of images to labels and boxes, sorted.
fn boxes(coco: &Path) -> BTreeMap<String, Vec<(String, [f64; 4])>> {
    let coco = read_json(coco);
    let list = |name: &str| coco[name].as_array().unwrap().clone();
    let mut found: BTreeMap<String, Vec<(String, [f64; 4])>> = BTreeMap::new();
    for image in list("images") {
        let name = image["file_name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut of_image = Vec::new();
        for annotation in list("annotations") {
            if annotation["image_id"] == image["id"] {
                let category = annotation["category_id"].clone();
                let category =
                    list("categories").into_iter().find(|one| one["id"] == category).unwrap();
                let [x, y, w, h] =
                    [0, 1, 2, 3].map(|place| annotation["bbox"][place].as_f64().unwrap());
                of_image
                    .push((category["name"].as_str().unwrap().to_owned(), [x, y, x + w, y + h]));
            }
        }
        of_image.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert!(found.insert(name, of_image).is_none());
    }
    found
}

/// The largest difference of an edge; everything else has to be equal.
fn difference(a: &Path, b: &Path) -> f64 {
    let (a, b) = (boxes(a), boxes(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let mut largest: f64 = 0.0;
    for (name, ours) in &a {
        let theirs = &b[name];
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for ((label, one), (other_label, other)) in ours.iter().zip(theirs) {
            assert_eq!(label, other_label, "{name}");
            largest = one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(largest, f64::max);
        }
    }
    largest
}

/// A COCO file with pictures beside it, in folders and without; splits are not COCO's.
fn small_set(folder: &Path) -> PathBuf {
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (id, name) in (1..).zip(["train/a b.png", "train/é.png", "c.png", "val/empty.png"]) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::new(300 + id, 200).save(path).unwrap();
        images.push(json!({"id": id, "file_name": name, "width": 300 + id, "height": 200}));
        if name.contains("empty") {
            continue;
        }
        for n in 0..3 {
            let (x, y) = (f64::from(n * 40 + id) + 0.25, 10.5 + f64::from(n));
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": id, "category_id": n % 2 + 1,
                "bbox": [x, y, 30.5, 20.25], "area": 617.625, "iscrowd": 0,
            }));
        }
    }
    let categories = json!([{"id": 1, "name": "traffic light"}, {"id": 2, "name": "Köter & <Co>"}]);
    let set = json!({"images": images, "annotations": annotations, "categories": categories});
    write(folder.join("in.json"), set.to_string())
}

#[test]
fn every_format_goes_to_every_other_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let source = small_set(&dir.path().join("images"));
    for (format, out) in FORMATS {
        let out = dir.path().join(out);
        let more: &[&str] = if format == "coco" { &[] } else { &["--copy-images"] };
        convert(&source, format, &out, more).success();
        let back = dir.path().join(format!("{format}-back.json"));
        let images = dir.path().join("images");
        convert(&out, "coco", &back, &["--images", images.to_str().unwrap()]).success();
        let off = difference(&source, &back);
        let limit = if format == "voc" { 0.5 + 1e-9 } else { 0.01 };
        assert!(off <= limit, "{format}: {off}");
    }
    // From each to each, by way of what it wrote: the formats do not know each other's names.
    for (first, place) in FORMATS.into_iter().skip(1).step_by(2) {
        for (second, _) in FORMATS.into_iter().skip(2).step_by(3) {
            let out = dir.path().join(format!("{first}-{second}"));
            convert(&dir.path().join(place), second, &out, &["--copy-images"]).success();
            let back = dir.path().join(format!("{first}-{second}.json"));
            convert(&out, "coco", &back, &[]).success();
            let off = difference(&source, &back);
            assert!(off <= 1.01, "{first} {second}: {off}");
        }
    }
}

#[test]
fn splits_are_made_by_groups_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let images: Vec<Value> = (0..60)
        .map(|n| json!({"id": n, "file_name": format!("cam/clip{}_{n:03}.jpg", n / 6), "width": 9, "height": 9}))
        .collect();
    let set =
        json!({"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]});
    let source = write(dir.path().join("in.json"), set.to_string());
    let yolo = dir.path().join("yolo");
    convert(&source, "yolo", &yolo, &["--split", "0.3,0.2", "--split-by", "clip"])
        .success()
        .stderr(contains("split by a hash of 10 groups"));
    let mut split_of: BTreeMap<String, &str> = BTreeMap::new();
    for split in ["train", "val", "test"] {
        let list = fs::read_to_string(yolo.join(format!("{split}.txt"))).unwrap_or_default();
        for line in list.lines() {
            let clip = line.rsplit_once('_').unwrap().0.to_owned();
            assert_eq!(*split_of.entry(clip).or_insert(split), split, "one clip is in one split");
        }
    }
    assert_eq!(split_of.len(), 10);
    // A table says the groups; what is flat has no folders.
    let rows: String =
        (0..60).map(|n| format!("cam/clip{}_{n:03}.jpg,{}\n", n / 6, n % 2)).collect();
    let table = write(dir.path().join("groups.csv"), format!("image,group\n{rows}"));
    let by = ["--split", "0.5", "--split-by", table.to_str().unwrap(), "--flat"];
    convert(&source, "roboflow", &dir.path().join("rf"), &by)
        .success()
        .stderr(contains("split by a hash of 2 groups"))
        .stderr(contains("60 images have other names"));
    convert(&source, "roboflow", &dir.path().join("x"), &["--split", "0.9,0.2"]).code(1);
    convert(&source, "coco", &dir.path().join("x.json"), &["--copy-images"]).code(1);
    let zero = dir.path().join("zero.json");
    convert(&source, "coco", &zero, &["--ids-from", "0"]).success();
    let zero = read_json(&zero);
    assert_eq!((&zero["images"][0]["id"], &zero["categories"][0]["id"]), (&json!(0), &json!(0)));
}

#[test]
fn labels_are_mapped_and_missing_images_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let source = small_set(&dir.path().join("images"));
    let map = write(
        dir.path().join("map.toml"),
        "\"traffic light\" = \"light\"\n\"Köter & <Co>\" = \"\"\n",
    );
    let out = dir.path().join("mapped.json");
    convert(&source, "coco", &out, &["--labels-map", map.to_str().unwrap()])
        .success()
        .stderr(contains("3 boxes are left out, whose labels the map leaves out"));
    assert!(boxes(&out).values().flatten().all(|(label, _)| label == "light"));
    fs::remove_file(dir.path().join("images/c.png")).unwrap();
    convert(&source, "yolo", &dir.path().join("yolo"), &["--copy-images"])
        .code(2)
        .stderr(contains("1 images are not there to copy"));
    assert!(dir.path().join("yolo/images/train/a b.png").is_file());
}

/// A run of boxes that were found elsewhere, about the pictures of `small_set`.
fn run(dir: &Path, images: &Path) -> PathBuf {
    let run = dir.join("run");
    let line = |image: &str, width: u32, text: &str| {
        json!({"image": image, "width": width, "height": 200, "text": text}).to_string()
    };
    let lines = [
        line(
            "train/a b.png",
            301,
            r#"[{"box_2d": [50, 0, 150, 100], "label": "dog"}, {"box_2d": [500, 500, 900, 900], "label": "cat"}]"#,
        ),
        line("val/empty.png", 304, "[]"),
    ];
    gemscope()
        .args(["parse", "-", "--out"])
        .arg(&run)
        .arg("--images")
        .arg(images)
        .write_stdin(lines.join("\n"))
        .assert()
        .success();
    run
}

#[test]
fn a_run_is_a_dataset_and_a_persons_boxes_win() {
    let dir = tempfile::tempdir().unwrap();
    let source = small_set(&dir.path().join("images"));
    let run = run(dir.path(), &dir.path().join("images"));
    let out = dir.path().join("run.json");
    convert(&run, "coco", &out, &[]).success().stderr(contains("run to coco: 2 images, 2 boxes"));
    assert_eq!(boxes(&out)["a b.png"].len(), 2);
    // The dog lies where a traffic light was drawn; the cat is new.
    let joined = dir.path().join("joined.json");
    gemscope()
        .arg("convert")
        .args([&source, &run])
        .args(["--to", "coco", "--out"])
        .arg(&joined)
        .assert()
        .success()
        .stderr(contains("coco and run to coco: 4 images, 10 boxes, 4 categories"))
        .stderr(contains("1 boxes are added to images that were there"))
        .stderr(contains("1 boxes lie where a box was already, which stays"));
    let labels: Vec<String> =
        boxes(&joined)["a b.png"].iter().map(|(label, _)| label.clone()).collect();
    assert!(
        labels.contains(&"cat".to_owned()) && !labels.contains(&"dog".to_owned()),
        "{labels:?}"
    );
}

#[test]
fn a_run_is_exported_in_the_formats_of_annotation_tools() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    small_set(&images);
    let run = run(dir.path(), &images);
    let formats = "coco,roboflow,labelme,xanylabeling,cvat,imagefolder,megadetector,label-studio";
    gemscope().arg("export").arg(&run).args(["--to", formats]).assert().success();
    for place in [
        "roboflow",
        "labelme",
        "xanylabeling",
        "cvat.xml",
        "imagefolder",
        "megadetector.json",
        "label-studio/tasks.json",
    ] {
        let back = dir.path().join("back.json");
        let images = images.to_str().unwrap();
        convert(&run.join(place), "coco", &back, &["--images", images, "--adopt"]).success();
        let off = difference(&run.join("instances.json"), &back);
        assert!(off < 0.01, "{place}: {off}");
    }
    assert!(
        run.join("labelme/train/a b.png").is_file() && run.join("labelme/train/a b.json").is_file()
    );
    assert!(run.join("roboflow/train/val/empty.png").is_file());
}

#[test]
fn lines_of_records_are_the_dataset_that_their_run_is() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    small_set(&images);
    let run = run(dir.path(), &images);
    let [of_run, of_lines, of_parts] =
        ["run", "lines", "parts"].map(|name| dir.path().join(format!("{name}.json")));
    convert(&run, "coco", &of_run, &[]).success();
    gemscope().arg("export").arg(&run).args(["--to", "jsonl"]).assert().success();
    let lines = fs::read_to_string(run.join("detections.jsonl")).unwrap();
    convert(&run.join("detections.jsonl"), "coco", &of_lines, &[]).success();
    assert_eq!(read_json(&of_run), read_json(&of_lines));
    // Parts as Ray's actors write them: whole lines, or rows with a line among other columns.
    let parts = dir.path().join("ray/records");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    write(parts.join("1.jsonl"), json!({"path": "x", "record": lines[0]}).to_string() + "\n");
    let failed = r#"{"image": "f.png", "width": 0, "height": 0, "status": "failed", "reason": "no image", "detections": [], "notes": []}"#;
    let hidden = r#"{"image": "h.png", "width": 9, "height": 9, "status": "ok", "detections": [], "notes": [{"kind": "low_score_dropped", "count": 1}]}"#;
    let filtered = hidden.replace("low_score_dropped", "suppressed").replace("h.png", "s.png");
    let text = hidden.replace("\"ok\"", "\"text\"");
    write(parts.join("2.jsonl"), [lines[1], failed, hidden, &filtered, &text].join("\n"));
    write(dir.path().join("ray/checkpoint/1.parquet"), "no lines");
    let asked = json!({"root": images, "categories": ["eel", "dog"]});
    write(dir.path().join("ray/ray.json"), asked.to_string());
    let ray = dir.path().join("ray");
    convert(&ray, "coco", &of_parts, &[])
        .success()
        .stderr(contains("jsonl to coco: 3 images, 2 boxes, 3 categories"))
        .stderr(contains("1 image is left out, of which nothing is known"))
        .stderr(contains("1 image is left out, whose boxes were all left out"))
        .stderr(contains("1 image is left out, whose answers are text"));
    let categories = read_json(&of_parts)["categories"].clone();
    let names: Vec<&Value> =
        categories.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["eel", "dog", "cat"]);
    convert(&ray, "yolo", &dir.path().join("yolo"), &["--copy-images"]).code(2);
    assert!(dir.path().join("yolo/images/train/a b.png").is_file());
    // A line that was cut off, and one of an image that is there already.
    write(parts.join("3.jsonl"), [lines[1], r#"{"image": "c.pn"#].join("\n"));
    convert(&ray, "coco", &of_parts, &[])
        .code(1)
        .stderr(contains("3.jsonl:2: ").and(contains("two images are named")));
}

#[test]
fn corrections_in_label_studio_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let region = |kind: &str, value: Value| json!({"type": kind, "value": value, "original_width": 200, "original_height": 100, "score": 0.4});
    let rectangle = |x: f64, rotation: f64| {
        let value = json!({"x": x, "y": 10.0, "width": 20.0, "height": 40.0, "rotation": rotation, "rectanglelabels": ["cat"]});
        region("rectanglelabels", value)
    };
    let polygon =
        json!({"points": [[10.0, 10.0], [30.0, 10.0], [30.0, 50.0]], "polygonlabels": ["dog"]});
    let prediction = json!({"result": [rectangle(70.0, 0.0)]});
    let task = |image: &str, annotations: Value, predictions: Value| json!({"data": {"image": format!("/data/local-files/?d=imgs/{image}")}, "annotations": annotations, "predictions": predictions});
    let skipped = json!({"was_cancelled": true, "result": [rectangle(1.0, 0.0)]});
    let tasks = json!([
        task(
            "corrected.jpg",
            json!([skipped, {"result": [rectangle(10.0, 0.0), region("polygonlabels", polygon), rectangle(50.0, 90.0)]}]),
            json!([prediction])
        ),
        task(
            "nothing.jpg",
            json!([{"result": [region("choices", json!({"choices": ["x"]}))]}]),
            json!([])
        ),
        task("open.jpg", json!([]), json!([prediction])),
        task("untouched.jpg", json!([skipped]), json!([])),
    ]);
    // An image of which no result says the size.
    image::RgbImage::new(200, 100).save(write(dir.path().join("nothing.jpg"), "")).unwrap();
    let tasks = write(dir.path().join("export.json"), tasks.to_string());
    let out = dir.path().join("out.json");
    convert(&tasks, "coco", &out, &[])
        .success()
        .stderr(contains("label-studio to coco: 3 images, 4 boxes"))
        .stderr(contains("1 tasks have neither annotations nor predictions, and are left out"))
        .stderr(contains("1 tasks have predictions alone"))
        .stderr(contains("1 results of the kind choices are left out"));
    let found = boxes(&out);
    let label = |label: &str, edges: [f64; 4]| (label.to_owned(), edges);
    // Turned by a right angle around its upper left corner, it lies to the left of it.
    let expected = [
        label("cat", [20.0, 10.0, 60.0, 50.0]),
        label("cat", [60.0, 10.0, 100.0, 50.0]),
        label("dog", [20.0, 10.0, 60.0, 50.0]),
    ];
    for ((label, edges), (name, wanted)) in found["corrected.jpg"].iter().zip(&expected) {
        assert_eq!(label, name);
        assert!(
            edges.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6),
            "{edges:?} {wanted:?}"
        );
    }
    assert!(found["nothing.jpg"].is_empty());
    let scores: Vec<Value> = read_json(&out)["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["score"].clone())
        .collect();
    assert_eq!(
        scores.iter().filter(|score| **score == json!(0.4)).count(),
        1,
        "of the prediction alone"
    );
}

#[test]
fn labelme_and_cvat_as_people_draw() {
    let dir = tempfile::tempdir().unwrap();
    let shape = |kind: &str, label: &str, points: Value, group: Value| json!({"shape_type": kind, "label": label, "points": points, "group_id": group, "flags": {}});
    let file = json!({
        "version": "5.5.0", "imagePath": "..\\old\\stale.jpg", "imageData": null, "imageHeight": 100, "imageWidth": 200,
        "shapes": [
            shape("rectangle", "cat", json!([[30, 40], [10, 20]]), Value::Null),
            shape("circle", "ball", json!([[100, 50], [103, 54]]), Value::Null),
            shape("polygon", "dog", json!([[1, 1], [5, 1], [5, 5]]), json!(1)),
            shape("polygon", "dog", json!([[8, 8], [9, 8], [9, 12]]), json!(1)),
            shape("point", "nose", json!([[3, 3]]), Value::Null),
        ],
    });
    write(dir.path().join("lm/a.json"), file.to_string());
    image::RgbImage::new(200, 100).save(dir.path().join("lm/a.png")).unwrap();
    write(dir.path().join("lm/.config/settings.json"), "{}");
    let out = dir.path().join("lm.json");
    convert(&dir.path().join("lm"), "coco", &out, &["--from", "labelme"])
        .success()
        .stderr(contains("1 .json files have no shapes"));
    let label = |label: &str, edges: [f64; 4]| (label.to_owned(), edges);
    assert_eq!(
        boxes(&out)["a.png"],
        [
            label("ball", [95.0, 45.0, 105.0, 55.0]),
            label("cat", [10.0, 20.0, 30.0, 40.0]),
            label("dog", [1.0, 1.0, 9.0, 12.0]),
            label("nose", [3.0, 3.0, 3.0, 3.0])
        ],
        "a point is a box without an area"
    );
    let xml = "<?xml version=\"1.0\" \
               encoding=\"utf-8\"?><annotations><version>1.1</version><meta><task><labels>\
        <label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>\
        <image id=\"3\" name=\"sub/a.jpg\" subset=\"Validation\" width=\"200\" height=\"100\">\
        <box label=\"cat\" xtl=\"10.5\" ytl=\"20\" xbr=\"30\" ybr=\"40\"><attribute \
               name=\"age\">2</attribute></box>\
        <box label=\"cat\" xtl=\"100\" ytl=\"20\" xbr=\"140\" ybr=\"40\" rotation=\"90\"/>\
        <polygon label=\"dog\" points=\"1,1;5,1;5,5\"/><mask label=\"dog\" rle=\"1,2\" left=\"7\" \
               top=\"8\" width=\"3\" height=\"4\"/>\
        <points label=\"dog\" points=\"1,1\"/></image></annotations>";
    let xml = write(dir.path().join("cvat/annotations.xml"), xml);
    let yolo = dir.path().join("cvat-yolo");
    convert(&dir.path().join("cvat"), "yolo", &yolo, &[])
        .success()
        .stderr(contains("cvat to yolo: 1 image, 4 boxes, 2 categories"))
        .stderr(contains("1 point is left out, which YOLO has no word for"))
        .stderr(contains("1 shape has attributes, which are not kept"));
    assert_eq!(fs::read_to_string(yolo.join("val.txt")).unwrap(), "./images/sub/a.jpg\n");
    let out = dir.path().join("cvat.json");
    convert(&xml, "coco", &out, &[]).success();
    let found = boxes(&out);
    let turned = &found["a.jpg"][1].1;
    assert!(
        turned.iter().zip([110.0, 10.0, 130.0, 50.0]).all(|(a, b)| (a - b).abs() < 1e-6),
        "{turned:?}"
    );
    write(
        dir.path().join("cvat/annotations.xml"),
        "<annotations>\n<image name=\"a\" width=\"9\" height=\"9\">\n<box label=\"x\" \
         xtl=\"a\"/></image></annotations>",
    );
    convert(&xml, "coco", &out, &[])
        .code(1)
        .stderr(contains("annotations.xml:3: <box> has the xtl \"a\""));
}

#[test]
fn what_changed_is_found_in_datasets_of_any_format() {
    let dir = tempfile::tempdir().unwrap();
    let source = small_set(&dir.path().join("images"));
    let mut coco = read_json(&source);
    let annotations = coco["annotations"].as_array_mut().unwrap();
    annotations[0]["bbox"][0] = json!(annotations[0]["bbox"][0].as_f64().unwrap() + 6.0);
    annotations[1]["category_id"] = json!(1);
    annotations.remove(2);
    let new = json!({"id": 99, "image_id": 4, "category_id": 2, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0});
    annotations.push(new);
    let after = write(dir.path().join("after.json"), coco.to_string());
    let voc = dir.path().join("before-voc");
    convert(&source, "voc", &voc, &[]).success();
    let page = dir.path().join("changes.html");
    let compare = |before: &Path, after: &Path| {
        let mut command = gemscope();
        command.arg("compare").arg(before).arg(after).args(["--json", "--report"]).arg(&page);
        let said = command.arg("--adopt").assert().success();
        serde_json::from_slice::<Value>(&said.get_output().stdout).unwrap()
    };
    let found = compare(&voc, &after);
    let total = json!({"kept": 6, "moved": 1, "relabelled": 1, "removed": 1, "added": 1});
    assert_eq!(found["total"], total, "{found}");
    let changed: Vec<&str> = found["changed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["image"].as_str().unwrap())
        .collect();
    assert_eq!(changed, ["train/a b.png", "val/empty.png"]);
    assert!(fs::read_to_string(&page).unwrap().contains("a b.png"));
    let same = compare(&voc, &source);
    assert_eq!(same["total"]["kept"], 9);
    assert_eq!(same["changed"], json!([]));
    gemscope()
        .arg("compare")
        .args([&voc, &after])
        .assert()
        .success()
        .stdout(contains("4 images in both, 2 changed"));
}

#[test]
fn only_images_without_boxes_are_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    let source = small_set(&images);
    let mut command = gemscope();
    command.arg("detect").arg(&images).args(["--labels", "red circle", "--dry-run", "--json"]);
    command.arg("--only-unlabelled").arg(&source);
    command.assert().success().stderr(contains("3 images are left out, of which"));
}
