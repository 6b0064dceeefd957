//! Datasets go from one format to another and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use serde_json::{Value, json};

use crate::support::{fixture, gemscope, json as read_json};

fn convert(from: &Path, to: &str, out: &Path, more: &[&str]) -> Assert {
    gemscope().arg("convert").arg(from).args(["--to", to, "--out"]).arg(out).args(more).assert()
}

/// Image and category names to boxes `[x, y, width, height]`, crowds left out.
fn boxes(instances: &Value) -> BTreeMap<(String, String), Vec<[f64; 4]>> {
    let names = |list: &str, name: &str| -> BTreeMap<String, String> {
        let entries = instances[list].as_array().unwrap().iter();
        entries
            .map(|entry| (entry["id"].to_string(), entry[name].as_str().unwrap().to_owned()))
            .collect()
    };
    let (images, categories) = (names("images", "file_name"), names("categories", "name"));
    let mut boxes: BTreeMap<_, Vec<[f64; 4]>> = BTreeMap::new();
    for annotation in
        instances["annotations"].as_array().unwrap().iter().filter(|one| one["iscrowd"] != 1)
    {
        let key = (
            images[&annotation["image_id"].to_string()].clone(),
            categories[&annotation["category_id"].to_string()].clone(),
        );
        boxes
            .entry(key)
            .or_default()
            .push([0, 1, 2, 3].map(|place| annotation["bbox"][place].as_f64().unwrap()));
    }
    boxes
}

/// The largest difference of an edge; everything else has to be equal.
fn largest_difference(a: &Value, b: &Value) -> f64 {
    let (a, b) = (boxes(a), boxes(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let mut largest: f64 = 0.0;
    for (key, ours) in &a {
        let theirs = &b[key];
        assert_eq!(ours.len(), theirs.len(), "{key:?}");
        for (one, other) in ours.iter().zip(theirs) {
            let edges = |[x, y, w, h]: [f64; 4]| [x, y, x + w, y + h];
            for (one, other) in edges(*one).into_iter().zip(edges(*other)) {
                largest = largest.max((one - other).abs());
            }
        }
    }
    largest
}

/// Empty pictures of the sizes that a COCO file says.
fn draw_images(instances: &Value, folder: &Path) {
    for image in instances["images"].as_array().unwrap() {
        let path = folder.join(image["file_name"].as_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let size = ["width", "height"].map(|side| image[side].as_u64().unwrap() as u32);
        image::GrayImage::new(size[0], size[1])
            .save_with_format(path, image::ImageFormat::Png)
            .unwrap();
    }
}

#[test]
fn coco_to_yolo_and_back_keeps_boxes_within_half_a_pixel() {
    let dir = tempfile::tempdir().unwrap();
    let truth = fixture("coco/truth.json");
    let (yolo, back) = (dir.path().join("yolo"), dir.path().join("back.json"));
    convert(&truth, "yolo", &yolo, &[])
        .success()
        .stderr(predicates::str::contains("coco to yolo: 100 images, 839 boxes, 80 categories"))
        .stderr(predicates::str::contains("9 boxes of crowds are left out"));
    // Without the images nobody knows their sizes.
    convert(&yolo, "coco", &back, &[]).code(1).stderr(predicates::str::contains("--images DIR"));
    let original = read_json(&truth);
    draw_images(&original, &yolo.join("images"));
    convert(&yolo, "coco", &back, &[]).success();
    let difference = largest_difference(&original, &read_json(&back));
    assert!(difference < 0.01, "{difference}");
    // What was written is written again, and not over the user's files.
    convert(&yolo, "coco", &back, &[]).success();
    convert(&truth, "yolo", &yolo, &[]).success();
    assert!(yolo.join("images").is_dir());
    for (from, format, out, changed) in
        [(&yolo, "coco", &back, &back), (&truth, "yolo", &yolo, &yolo.join("data.yaml"))]
    {
        let written = fs::read(changed).unwrap();
        fs::write(changed, "mine").unwrap();
        convert(from, format, out, &[]).code(1).stderr(predicates::str::contains("in the way"));
        assert_eq!(fs::read(changed).unwrap(), b"mine");
        fs::write(changed, written).unwrap();
    }
    convert(&truth, "yolo", dir.path(), &[]).code(1).stderr(predicates::str::contains("not empty"));
}

#[test]
fn coco_to_voc_and_back_keeps_boxes_within_half_a_pixel_and_crowds() {
    let dir = tempfile::tempdir().unwrap();
    let truth = fixture("coco/truth.json");
    let (voc, back) = (dir.path().join("voc"), dir.path().join("back.json"));
    convert(&truth, "voc", &voc, &[]).success();
    convert(&voc, "coco", &back, &[]).success();
    let (original, back) = (read_json(&truth), read_json(&back));
    let difference = largest_difference(&original, &back);
    assert!(difference <= 0.5 + 1e-9, "{difference}");
    let crowds =
        back["annotations"].as_array().unwrap().iter().filter(|one| one["iscrowd"] == 1).count();
    assert_eq!(crowds, 9);
}

#[test]
fn splits_outlines_and_classes_txt_are_read_as_their_makers_mean_them() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let picture = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(200, 100).save(path).unwrap();
    };
    // Roboflow's layout, whose paths begin a folder too high.
    write(
        "robo/data.yaml",
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', \"dog, small\"]\n",
    );
    picture("robo/train/images/a.png");
    write("robo/train/labels/a.txt", "1 0.5 0.5 0.5 0.5\n0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4\n");
    picture("robo/valid/images/b.png");
    let out = dir.path().join("robo.json");
    convert(&dir.path().join("robo"), "coco", &out, &[])
        .success()
        .stderr(predicates::str::contains("1 line is an outline"))
        .stderr(predicates::str::contains("1 image has no label file"));
    let instances = read_json(&out);
    let boxes = boxes(&instances);
    assert_eq!(
        boxes[&("train/images/a.png".into(), "dog, small".into())],
        [[50.0, 25.0, 100.0, 50.0]]
    );
    let [x, y, w, h] = boxes[&("train/images/a.png".into(), "cat".into())][0];
    assert!((x - 20.0).abs() + (y - 10.0).abs() + (w - 40.0).abs() + (h - 30.0).abs() < 1e-9);
    assert_eq!(instances["images"].as_array().unwrap().len(), 2);
    // The folders are kept on the way to the other formats. Ultralytics puts `labels` for the last
    // `images` of a path.
    let yolo = dir.path().join("robo-yolo");
    convert(&out, "yolo", &yolo, &[]).success();
    assert_eq!(fs::read_to_string(yolo.join("images/valid/labels/b.txt")).unwrap(), "");
    // labelImg's layout: labels beside the images.
    write("flat/classes.txt", "cat\ndog\n");
    picture("flat/c.png");
    write("flat/c.txt", "1 0.5 0.5 1 1\n");
    let out = dir.path().join("flat.json");
    convert(&dir.path().join("flat"), "coco", &out, &[]).success();
    assert_eq!(
        self::boxes(&read_json(&out))[&("c.png".into(), "dog".into())],
        [[0.0, 0.0, 200.0, 100.0]]
    );
    // Bad lines are named.
    write("flat/c.txt", "1 0.5 0.5 1 1\n\n7 0.5 0.5 1 1\n");
    convert(&dir.path().join("flat"), "coco", &dir.path().join("bad.json"), &[])
        .code(1)
        .stderr(predicates::str::contains("c.txt:3: class 7 has no name"));
}

#[test]
fn voc_files_of_other_tools_and_broken_ones() {
    let dir = tempfile::tempdir().unwrap();
    let annotations = dir.path().join("voc/Annotations");
    fs::create_dir_all(&annotations).unwrap();
    let xml = |xmin: &str, more: &str| {
        format!(
            "<annotation>\n<filename>C:\\pictures\\a &amp; b.jpg</filename>\n\
             <size><width>100</width><height>80</height></size>\n\
             <object>\n<name>dog</name>\n\
             <part><name>head</name><bndbox><xmin>5</xmin></bndbox></part>\n\
             <bndbox>\n\
             <xmin>{xmin}</xmin><ymin>11</ymin><xmax>50.5</xmax><ymax>60</ymax></bndbox></object>{more}</annotation>"
        )
    };
    let read = |text: &str, name: &str| {
        fs::write(annotations.join("a.xml"), text).unwrap();
        let out: PathBuf = dir.path().join(name);
        (convert(&dir.path().join("voc"), "coco", &out, &[]), out)
    };
    let (assert, out) = read(&xml("21", ""), "one.json");
    assert.success();
    let key = ("a & b.jpg".to_owned(), "dog".to_owned());
    assert_eq!(boxes(&read_json(out))[&key], [[20.0, 10.0, 30.5, 50.0]]);
    // A zero shows that pixels count from 0.
    let (assert, out) = read(&xml("0", ""), "zero.json");
    assert.success().stderr(predicates::str::contains("count from 0"));
    assert_eq!(boxes(&read_json(out))[&key], [[0.0, 11.0, 50.5, 49.0]]);
    for (text, reason) in [
        (xml("x", ""), "a.xml:7: <xmin> is \"x\", not a number"),
        (xml("90", ""), "a.xml:7: <bndbox> is inside out"),
        (xml("21", "<object><name>cat</name></object>"), "a.xml:8: <object> without <bndbox>"),
        (xml("21", "</oops>"), "a.xml:8:"),
        ("<html/>".to_owned(), "a.xml:1: <html> instead of VOC's <annotation>"),
    ] {
        read(&text, "bad.json").0.code(1).stderr(predicates::str::contains(reason));
    }
}

#[test]
fn what_is_no_dataset_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let coco = |value: &Value| {
        let path = dir.path().join("coco.json");
        fs::write(&path, value.to_string()).unwrap();
        convert(&path, "yolo", &dir.path().join("out"), &[])
    };
    let good = || {
        json!({
            "images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}],
            "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "iscrowd": 0}],
            "categories": [{"id": 1, "name": "dog"}],
        })
    };
    let with = |pointer: &str, value: Value| {
        let mut changed = good();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    for (value, reason) in [
        (with("/annotations/0/bbox", json!([1, 1, -2, 2])), "annotation 5 has the bbox"),
        (with("/annotations/0/bbox", json!([1, 1, 2])), "annotation 5 has a bbox of 3 numbers"),
        (with("/annotations/0/bbox", json!(null)), "annotation 5 has no bbox"),
        (
            with("/annotations/0/image_id", json!(9)),
            "annotation 5 is of image 9, which is not there",
        ),
        (
            with("/annotations/0/category_id", json!("x")),
            "annotation 5 is of category x, which is not there",
        ),
        (with("/images/0/width", json!(null)), "image 1 (a.jpg) has no width and height"),
        (with("/images/0/id", json!(null)), "image in place 1 has no id"),
        (with("/images", json!(null)), "there is no list \"images\""),
        (with("/annotations/0/bbox", json!("all")), "has the bbox \"all\", which is no list"),
        (with("/annotations/0/iscrowd", json!("maybe")), "has the iscrowd \"maybe\", not 0 or 1"),
        (json!([[], [], []]), "invalid type: sequence, expected an object with images"),
    ] {
        coco(&value).code(1).stderr(predicates::str::contains(reason));
    }
    fs::write(dir.path().join("coco.json"), "{\"images\": [],\n oops").unwrap();
    convert(&dir.path().join("coco.json"), "yolo", &dir.path().join("out"), &[])
        .code(1)
        .stderr(predicates::str::contains("coco.json:2:"));
    convert(dir.path().join("nothing").as_path(), "yolo", &dir.path().join("out"), &[])
        .code(1)
        .stderr(predicates::str::contains("nothing: there is no such file or folder"));
    assert!(!dir.path().join("out").exists());
    coco(&good()).success();
}
