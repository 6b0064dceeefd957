//! Datasets as other tools write them: what is read, what is carried, what is refused.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{gemscope, json as read_json};

/// A folder for a test's files.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A picture of 100 x 80 pixels.
    pub(crate) fn picture(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(100, 80).save(path).unwrap();
    }

    pub(crate) fn convert(&self, from: &str, to: &str, out: &str, more: &[&str]) -> Assert {
        let mut command = gemscope();
        command.arg("convert").arg(self.path(from)).args(["--to", to, "--out"]);
        command.arg(self.path(out)).args(more).assert()
    }

    /// Image, category and box of every annotation of a COCO file, sorted.
    pub(crate) fn boxes(&self, coco: &str) -> Vec<(String, String, [f64; 4])> {
        boxes(&read_json(self.path(coco)))
    }
}

pub(crate) fn boxes(coco: &Value) -> Vec<(String, String, [f64; 4])> {
    let name = |list: &str, key: &str, id: &Value| {
        let list = coco[list].as_array().unwrap();
        let found = list.iter().find(|entry| entry["id"] == *id).unwrap();
        found[key].as_str().unwrap().to_owned()
    };
    let annotations = coco["annotations"].as_array().unwrap().iter();
    let mut boxes: Vec<_> = annotations
        .map(|annotation| {
            let image = name("images", "file_name", &annotation["image_id"]);
            let category = name("categories", "name", &annotation["category_id"]);
            let edges = [0, 1, 2, 3].map(|place| {
                (annotation["bbox"][place].as_f64().unwrap() * 1000.0).round() / 1000.0
            });
            (image, category, edges)
        })
        .collect();
    boxes.sort_by(|a, b| a.partial_cmp(b).unwrap());
    boxes
}

pub(crate) fn one(image: &str, category: &str, edges: [f64; 4]) -> Vec<(String, String, [f64; 4])> {
    vec![(image.to_owned(), category.to_owned(), edges)]
}

/// A COCO file of two images and three annotations, with everything that COCO has a word for.
fn rich() -> Value {
    let mask = json!({"counts": [810, 10, 7180], "size": [80, 100]});
    json!({
        "info": {"year": 2024},
        "licenses": [{"id": 1, "name": "CC0"}],
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80, "license": 1},
            {"id": 9, "file_name": "b.jpg", "width": 100, "height": 80},
        ],
        "annotations": [
            {"id": 3, "image_id": 7, "category_id": 4, "bbox": [10.0, 10.0, 20.0, 20.0], "area": 200.0,
             "iscrowd": 0, "segmentation": [[10.0, 10.0, 30.0, 10.0, 10.0, 30.0]],
             "attributes": {"occluded": true}},
            {"id": 5, "image_id": 7, "category_id": 4, "bbox": [1.0, 2.0, 3.0, 4.0], "area": 12.0,
             "iscrowd": 1, "segmentation": mask},
            {"id": 6, "image_id": 9, "category_id": 8, "bbox": [5.5, 6.5, 7.25, 8.5], "area": 61.625,
             "iscrowd": 0, "segmentation": [], "score": 0.5},
        ],
        "categories": [
            {"id": 4, "name": "cat", "supercategory": "animal"},
            {"id": 8, "name": "dog", "supercategory": "animal", "keypoints": ["nose"]},
        ],
    })
}

#[test]
fn coco_to_coco_loses_nothing() {
    let dir = Dir::new();
    dir.write("in.json", rich().to_string());
    dir.convert("in.json", "coco", "out.json", &[]).success().stderr(
        contains("coco to coco: 2 images, 3 boxes, 2 categories\n").and(contains("no word").not()),
    );
    assert_eq!(read_json(dir.path("out.json")), rich());
}

use predicates::prelude::PredicateBooleanExt as _;

#[test]
fn what_a_format_has_no_word_for_is_counted() {
    let dir = Dir::new();
    dir.write("in.json", rich().to_string());
    dir.convert("in.json", "voc", "voc", &[])
        .success()
        .stderr(contains("1 box has an area of its own (of an outline), which VOC has no word for"))
        .stderr(contains("1 box has polygons (segmentation), which VOC has no word for"))
        .stderr(contains("1 box has a mask (segmentation), which VOC has no word for"))
        .stderr(contains("1 box has a score, which VOC has no word for"))
        .stderr(contains("1 box of a crowd is written as \"difficult\""))
        .stderr(contains("1 box has further fields (attributes), which VOC has no word for"))
        .stderr(contains("1 image has further fields (license), which VOC has no word for"))
        .stderr(contains("2 categories have further fields (supercategory, keypoints)"))
        .stderr(contains("of 2 images, 3 boxes, 2 categories"));
    let map = fs::read_to_string(dir.path("voc/labelmap.txt")).unwrap();
    assert_eq!(map, "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:::\ndog:::\n");
    assert_eq!(fs::read_to_string(dir.path("voc/ImageSets/Main/trainval.txt")).unwrap(), "a\nb\n");
}

#[test]
fn all_problems_are_said_at_once_or_skipped_and_counted() {
    let dir = Dir::new();
    let mut coco = rich();
    coco["annotations"][0]["image_id"] = json!(77);
    coco["annotations"][1]["bbox"] = json!([1, 2, 3]);
    coco["images"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": 10, "file_name": "b.jpg", "width": 9, "height": 9}));
    let annotation =
        json!({"id": 8, "image_id": 10, "category_id": 4, "bbox": [1, 1, 2, 2], "iscrowd": 0});
    coco["annotations"].as_array_mut().unwrap().push(annotation);
    dir.write("bad.json", coco.to_string());
    dir.convert("bad.json", "coco", "out.json", &[])
        .code(1)
        .stderr(contains("3 problems:\n"))
        .stderr(contains("bad.json: annotation 3 is of image 77, which is not there"))
        .stderr(contains("bad.json: annotation 5 has a bbox of 3 numbers instead of 4"))
        .stderr(contains("bad.json: image 10 has the file_name \"b.jpg\", as image 9 has"))
        .stderr(contains("--skip-invalid"));
    assert!(!dir.path("out.json").exists());
    dir.convert("bad.json", "coco", "out.json", &["--skip-invalid"])
        .success()
        .stderr(contains("left out: 1 annotations of images that are not there (the first: "))
        .stderr(contains("left out: 1 annotations with no bbox that is one"))
        .stderr(contains("left out: 1 images with the name of another one"))
        .stderr(contains("1 annotation is of images that are left out"));
    assert_eq!(dir.boxes("out.json"), one("b.jpg", "dog", [5.5, 6.5, 7.25, 8.5]));

    dir.write("yolo/data.yaml", "names: [cat]\ntrain: images\nval: images\n");
    dir.picture("yolo/images/a.png");
    dir.write("yolo/images/broken.jpg", "no picture");
    dir.write("yolo/labels/a.txt", "0 0.5 0.5 0.2 0.25\n5 0.5 0.5 0.2 0.25\n0 0.5 0.5 0 1\n");
    dir.write("yolo/labels/README.txt", "Labels of cats\n");
    dir.convert("yolo", "coco", "yolo.json", &[])
        .code(1)
        .stderr(contains("3 problems:"))
        .stderr(contains("a.txt:2: class 5 has no name"))
        .stderr(contains("a.txt:3: a box of the size 0 x 1"))
        .stderr(contains("broken.jpg: not a JPEG"));
    dir.convert("yolo", "coco", "yolo.json", &["--skip-invalid"])
        .success()
        .stderr(contains("left out: 2 lines that are no labels"))
        .stderr(contains("left out: 1 images that cannot be read"))
        .stderr(contains("README.txt: no label file, and left out"));
    assert_eq!(dir.boxes("yolo.json"), one("a.png", "cat", [40.0, 30.0, 20.0, 20.0]));

    dir.write(
        "voc/Annotations/a.xml",
        "<annotation><filename>a.jpg</filename><size><width>10</width>",
    );
    dir.write(
        "voc/Annotations/b.xml",
        "<annotation><filename>b.jpg</filename><size><width>100</width><height>80</height></size>\n\
         <object><name>cat</name></object>\n<object><bndbox/></object>\n\
         <object><name>dog</name><bndbox>\
         <xmin>11</xmin><ymin>12</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>",
    );
    dir.convert("voc", "coco", "voc.json", &[])
        .code(1)
        .stderr(contains("a.xml:1: "))
        .stderr(contains("b.xml:2: <object> without <bndbox>"))
        .stderr(contains("b.xml:3: no <xmin>"));
    dir.convert("voc", "coco", "voc.json", &["--skip-invalid"]).success();
    assert_eq!(dir.boxes("voc.json"), one("b.jpg", "dog", [10.0, 11.0, 20.0, 29.0]));
}

#[test]
fn coco_as_other_tools_write_it() {
    let dir = Dir::new();
    let read = |name: &str, value: &str, remark: &str| {
        dir.write(name, value);
        let out = format!("{name}.out.json");
        dir.convert(name, "coco", &out, &[]).success().stderr(contains(remark));
        dir.boxes(&out)
    };
    let file = |image: &str, annotation: &str, name: &str| {
        format!(
            r#"{{"images": [{{"id": 0, {image}}}], "annotations": [{{"id": 1, "image_id": "0", "category_id": 1.0, {annotation}}}],
               "categories": [{{"id": 1, "name": {name}}}]}}"#
        )
    };
    let sized = r#""file_name": "a.jpg", "width": "100", "height": 80"#;
    let plain = r#""bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0"#;
    let cat = |image: &str| one(image, "cat", [1.0, 2.0, 3.0, 4.0]);
    // Python writes NaN, and halves of characters.
    let nan = plain.replace("12", "NaN");
    assert_eq!(
        read("nan.json", &file(sized, &nan, "\"cat\""), "1 annotation has no area"),
        cat("a.jpg")
    );
    let half = read("half.json", &file(sized, plain, "\"c\\ud83d\""), "");
    assert_eq!(half[0].1, "c\u{fffd}");
    assert_eq!(read("number.json", &file(sized, plain, "7"), "")[0].1, "7");
    let quoted = plain.replace("\"iscrowd\": 0", "\"iscrowd\": \"1\"");
    read("quoted.json", &file(sized, &quoted, "\"cat\""), "");
    assert_eq!(read_json(dir.path("quoted.json.out.json"))["annotations"][0]["iscrowd"], 1);
    let negative = plain.replace("12", "-1");
    assert_eq!(
        read("area.json", &file(sized, &negative, "\"cat\""), "an area that is none"),
        cat("a.jpg")
    );
    let outlined = r#""segmentation": [[1, 2, 4, 2, 4, 6]], "area": 6, "iscrowd": 0"#;
    assert_eq!(
        read("seg.json", &file(sized, outlined, "\"cat\""), "the box around the outline"),
        cat("a.jpg")
    );
    // LVIS and Label Studio have other names for images, other machines other folders.
    let rest = r#""width": 100, "height": 80"#;
    for (key, value, name) in [
        ("coco_url", "http://images.cocodataset.org/val2017/000000397133.jpg", "000000397133.jpg"),
        ("file_name", "/data/local-files/?d=imgs/a%20b.jpg", "a b.jpg"),
        ("file_name", "/data/imgs/a.jpg", "a.jpg"),
        ("file_name", "C:\\\\imgs\\\\a.jpg", "a.jpg"),
        ("file_name", "https://x.org/i.jpg?d=1&e=2", "i.jpg"),
        ("file_name", "../a.jpg", "a.jpg"),
    ] {
        let image = format!(r#""{key}": "{value}", {rest}"#);
        let found = read(
            "name.json",
            &file(&image, plain, "\"cat\""),
            "1 image is named by an absolute path",
        );
        assert_eq!(found, cat(name), "{value}");
        fs::remove_file(dir.path("name.json.out.json")).unwrap();
    }
    // Ids may be there twice, or be larger than any number.
    let twice = json!({
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 5, 5], "area": 25, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 1, "name": "cat"}],
    });
    assert_eq!(
        read("twice.json", &twice.to_string(), "1 id is there twice in annotations").len(),
        2
    );
    let packed = dir.path("packed.json");
    let mut encoder = flate2::write::GzEncoder::new(
        fs::File::create(&packed).unwrap(),
        flate2::Compression::fast(),
    );
    encoder.write_all(file(sized, plain, "\"cat\"").as_bytes()).unwrap();
    encoder.finish().unwrap();
    dir.convert("packed.json", "coco", "unpacked.json", &[]).success();
    assert_eq!(dir.boxes("unpacked.json"), cat("a.jpg"));
}

#[test]
fn yolo_as_other_tools_write_it() {
    let dir = Dir::new();
    let cat = one("a.png", "cat", [40.0, 30.0, 20.0, 20.0]);
    let line = "0 0.5 0.5 0.2 0.25\n";
    // Paths of elsewhere count by their end, a key that is there twice as its last.
    dir.write(
        "abs/data.yaml",
        "train: /home/bob/x/images\nval: /home/bob/x/images\nnc: 1.0\nnames: [dog]\nnames: [cat]\n",
    );
    dir.picture("abs/images/a.png");
    dir.write("abs/images/b.heic", "");
    dir.write("abs/labels/a.txt", line);
    dir.convert("abs", "coco", "abs.json", &[])
        .success()
        .stderr(contains("train is \"/home/bob/x/images\", which is not there"))
        .stderr(contains("1 picture is of a kind").and(contains("the first: b.heic")));
    assert_eq!(dir.boxes("abs.json"), cat);
    // Roboflow's project folder may be gone; `train: train` is the folder that holds images.
    dir.write("rf/data.yaml", "train: train\nval: proj-1/valid/images\nnames: [cat]\n");
    for split in ["train", "valid", "extra"] {
        dir.picture(&format!("rf/{split}/images/{split}.png"));
        dir.write(&format!("rf/{split}/labels/{split}.txt"), line);
    }
    dir.convert("rf", "yolo", "rf-yolo", &[])
        .success()
        .stderr(contains("1 image lies in no split: left out (the first: extra/images/extra.png)"));
    let list = |name: &str| fs::read_to_string(dir.path(&format!("rf-yolo/{name}.txt"))).unwrap();
    assert_eq!(
        (list("train"), list("val")),
        (
            "./images/train/images/train.png\n".to_owned(),
            "./images/valid/images/valid.png\n".to_owned()
        )
    );
    // Two splits never get one place by the ends of their paths.
    dir.write("two/data.yaml", "train: /x/train/images\nval: /x/val/images\nnames: [cat]\n");
    dir.picture("two/images/a.png");
    dir.convert("two", "coco", "two.json", &[])
        .code(1)
        .stderr(contains("train is \"/x/train/images\", which is not there"));
    // Darknet, as CVAT writes it.
    dir.write("dark/obj.data", "classes = 2\nnames = data/obj.names\nbackup = backup/\n");
    dir.write("dark/obj.names", "cat\ndog\n");
    dir.write("dark/train.txt", "data/obj_train_data/a.png\n");
    dir.picture("dark/obj_train_data/a.png");
    dir.write("dark/obj_train_data/a.txt", line);
    dir.convert("dark", "coco", "dark.json", &[]).success();
    assert_eq!(
        dir.boxes("dark.json"),
        one("obj_train_data/a.png", "cat", [40.0, 30.0, 20.0, 20.0])
    );
    // Predictions have a confidence; outlines become COCO's.
    dir.write("pred/labels/classes.txt", "cat\nHuman face\n");
    dir.picture("pred/images/a.png");
    dir.write("pred/labels/a.txt", "Human face 0.5 0.5 0.2 0.25 0.87\n");
    dir.picture("pred/images/b.png");
    dir.write("pred/labels/b.txt", "0 0.1 0.1 0.4 0.1 0.4 0.6 0.1 0.6 0.9\n");
    dir.convert("pred", "coco", "pred.json", &[]).success();
    let pred = read_json(dir.path("pred.json"));
    assert_eq!(boxes(&pred)[0], one("a.png", "Human face", [40.0, 30.0, 20.0, 20.0])[0]);
    assert_eq!(
        (&pred["annotations"][0]["score"], &pred["annotations"][1]["score"]),
        (&json!(0.87), &json!(0.9))
    );
    assert_eq!(pred["annotations"][1]["area"], 1200.0);
    assert_eq!(
        pred["annotations"][1]["segmentation"],
        json!([[10.0, 8.0, 40.0, 8.0, 40.0, 48.0, 10.0, 48.0]])
    );
}

#[test]
fn outlines_are_written_as_yolo_has_them_if_every_box_has_one() {
    let dir = Dir::new();
    dir.write("seg/data.yaml", "train: images\nval: images\nnames: [cat]\n");
    dir.picture("seg/images/a.png");
    let line = "0 0.10000000 0.10000000 0.40000000 0.10000000 0.40000000 0.60000000\n";
    dir.write("seg/labels/a.txt", line);
    dir.convert("seg", "coco", "seg.json", &[]).success();
    dir.convert("seg.json", "yolo", "back", &[])
        .success()
        .stderr(contains("every box has one polygon"));
    assert_eq!(fs::read_to_string(dir.path("back/labels/a.txt")).unwrap(), line);
    // Beside a box without one, all are boxes: readers take lines of both kinds for one.
    dir.write("seg/labels/a.txt", format!("{line}0 0.5 0.5 0.2 0.25\n"));
    dir.convert("seg", "coco", "mixed.json", &[]).success();
    dir.convert("mixed.json", "yolo", "mixed", &[])
        .success()
        .stderr(contains("1 box has polygons"));
    let labels = fs::read_to_string(dir.path("mixed/labels/a.txt")).unwrap();
    assert!(labels.lines().all(|line| line.split(' ').count() == 5), "{labels}");
}

#[test]
fn folders_of_roboflow_are_read_and_written_with_their_splits() {
    let dir = Dir::new();
    let part = |image: &str, category: u64| {
        json!({
            "images": [{"id": 0, "file_name": image, "width": 100, "height": 80}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": category, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
            "categories": [
                {"id": 0, "name": "pets", "supercategory": "none"},
                {"id": 1, "name": "cat", "supercategory": "pets"},
                {"id": 2, "name": "dog", "supercategory": "pets"},
            ],
        })
    };
    dir.write("rf/train/_annotations.coco.json", part("a.jpg", 1).to_string());
    dir.write("rf/valid/_annotations.coco.json", part("b.jpg", 2).to_string());
    dir.write("rf/test/_annotations.coco.json", part("c.jpg", 2).to_string());
    dir.convert("rf", "yolo", "yolo", &[]).success();
    let yaml = fs::read_to_string(dir.path("yolo/data.yaml")).unwrap();
    assert_eq!(
        yaml,
        "train: train.txt\nval: val.txt\ntest: test.txt\nnames:\n  0: \"cat\"\n  1: \"dog\"\n"
    );
    assert_eq!(fs::read_to_string(dir.path("yolo/val.txt")).unwrap(), "./images/valid/b.jpg\n");
    // The names and the categories of the folders are as they were.
    dir.convert("rf", "roboflow", "again", &[]).success();
    for (split, image, category) in
        [("train", "a.jpg", "cat"), ("valid", "b.jpg", "dog"), ("test", "c.jpg", "dog")]
    {
        let file = read_json(dir.path(&format!("again/{split}/_annotations.coco.json")));
        assert_eq!(boxes(&file), one(image, category, [1.0, 2.0, 3.0, 4.0]));
        assert_eq!(file["categories"], part("", 0)["categories"]);
    }
    // Ids with gaps would be numbers of classes that are not there.
    dir.write("gaps.json", rich().to_string());
    dir.convert("gaps.json", "roboflow", "gaps", &[])
        .success()
        .stderr(contains("the ids of 2 categories have gaps"))
        .stderr(contains("all images are in train, and trainers want some in valid (--split 0.2)"));
    let gaps = read_json(dir.path("gaps/train/_annotations.coco.json"));
    let ids: Vec<u64> = gaps["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    assert_eq!((ids, boxes(&gaps).len()), (vec![0, 1, 2], 3));
}

#[test]
fn voc_as_other_tools_write_it() {
    let dir = Dir::new();
    let xml = b"<?xml version='1.0' encoding='ISO-8859-1'?><Annotation><filename>a.jpg</filename>\
        <size><width>100</width><height>80</height></size><object><name>caf\xe9</name>\
        <bndbox><xmin>11</xmin><ymin>12</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>\
        <part><name>head</name></part></object></Annotation>";
    dir.write("voc/annotations/a.xml", xml);
    dir.convert("voc", "coco", "voc.json", &[]).success().stderr(contains("1 parts of objects"));
    assert_eq!(dir.boxes("voc.json"), one("a.jpg", "caf\u{e9}", [10.0, 11.0, 20.0, 29.0]));
}

/// Line breaks in names, which no list can hold, break nothing else.
#[cfg(unix)]
#[test]
fn a_line_break_in_a_name_breaks_no_list() {
    let dir = Dir::new();
    dir.write("set/data.yaml", "train: train\nval: val\nnames: [cat]\n");
    for name in ["train/images/a\nb.png", "train/images/c.png", "val/images/d.png"] {
        dir.picture(&format!("set/{name}"));
    }
    for to in ["voc", "yolo"] {
        dir.convert("set", to, to, &[])
            .success()
            .stderr(contains("1 images have a line break in their name"));
    }
    let lists = ["voc/ImageSets/Main/train.txt", "yolo/train.txt"]
        .map(|list| fs::read_to_string(dir.path(list)).unwrap());
    assert_eq!(lists, ["train/images/c\n".to_owned(), "./images/train/images/c.png\n".to_owned()]);
    assert!(Path::new(&dir.path("yolo/images/train/labels/a\nb.txt")).exists());
}

#[test]
fn scores_stand_behind_yolos_boxes_where_they_are_asked_for() {
    let dir = Dir::new();
    let mut coco = rich();
    coco["images"][1]["file_name"] = json!("b.png");
    coco["images"].as_array_mut().unwrap().remove(0);
    coco["annotations"] = json!([coco["annotations"][2]]);
    dir.write("in.json", coco.to_string());
    dir.convert("in.json", "yolo", "plain", &[])
        .success()
        .stderr(contains("1 box has a score, which YOLO's labels lack (--save-conf writes them)"));
    let labels = fs::read_to_string(dir.path("plain/labels/b.txt")).unwrap();
    assert_eq!(labels.split_whitespace().count(), 5, "{labels}");
    dir.convert("in.json", "yolo", "scored", &["--save-conf"])
        .success()
        .stderr(contains("trainers refuse such labels"));
    let labels = fs::read_to_string(dir.path("scored/labels/b.txt")).unwrap();
    assert!(labels.ends_with(" 0.500000\n"), "{labels}");
    dir.picture("scored/images/b.png");
    dir.convert("scored", "coco", "back.json", &[]).success();
    assert_eq!(read_json(dir.path("back.json"))["annotations"][0]["score"], 0.5);
}

#[test]
fn an_image_that_somebody_described_beside_others_with_boxes_is_one_with_nothing_in_it() {
    let dir = Dir::new();
    let size = json!({"original_width": 100, "original_height": 80, "to_name": "image"});
    let result = |kind: &str, from: &str, value: Value| {
        let mut result = size.clone();
        (result["type"], result["from_name"], result["value"]) = (kind.into(), from.into(), value);
        result
    };
    let good = || result("choices", "quality", json!({"choices": ["good"]}));
    let bbox = json!({"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]});
    let bbox = result("rectanglelabels", "label", bbox);
    let task = |image: &str, results: Vec<Value>| json!({"data": {"image": image}, "annotations": [{"result": results}]});
    let tasks = json!([task("a.png", vec![bbox, good()]), task("b.png", vec![good()])]);
    dir.write("ls/tasks.json", tasks.to_string());
    dir.convert("ls", "yolo", "yolo", &[])
        .success()
        .stderr(contains("label-studio to yolo: 2 images, 1 box"))
        .stderr(contains("2 images have fields (quality), which YOLO has no word for"));
    assert_eq!(fs::read(dir.path("yolo/labels/b.txt")).unwrap(), b"");
    // Tags of several labels keep their names.
    dir.write(
        "tags/annotations.xml",
        r#"<annotations><image id="0" name="a.png" width="100" height="80">
        <tag label="weather"><attribute name="value">rain</attribute></tag>
        <tag label="quality"><attribute name="value">3</attribute></tag></image></annotations>"#,
    );
    dir.convert("tags", "coco", "tags.json", &[]).success();
    let fields = &read_json(dir.path("tags.json"))["images"][0]["attributes"];
    assert_eq!(*fields, json!({"weather.value": "rain", "quality.value": "3"}));
    // Trainers of Roboflow's folders take a point for a box without an area.
    let mut coco = rich();
    coco["annotations"][0] = json!({"id": 3, "image_id": 7, "category_id": 8,
        "bbox": [5, 6, 0, 0], "area": 0, "iscrowd": 0, "segmentation": [],
        "keypoints": [5, 6, 2], "num_keypoints": 1});
    dir.write("points.json", coco.to_string());
    dir.convert("points.json", "roboflow", "rf", &[]).success().stderr(contains("1 point is left"));
    let written = read_json(dir.path("rf/train/_annotations.coco.json"));
    assert_eq!(written["annotations"].as_array().unwrap().len(), 2);
}
