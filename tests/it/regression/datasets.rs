//! Data sets on their way from one format to another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{gemscope, json as read_json};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A picture of 100 x 80 pixels.
    fn picture(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(100, 80).save_with_format(path, image::ImageFormat::Png).unwrap();
    }

    fn convert(&self, from: &str, to: &str, out: &str) -> Assert {
        gemscope()
            .arg("convert")
            .arg(self.path(from))
            .args(["--to", to, "--out"])
            .arg(self.path(out))
            .assert()
    }
}

/// COCO instances of these images, with a box of class `cat` each.
fn coco(names: &[&str]) -> String {
    let images: Vec<Value> = (names.iter().zip(1..))
        .map(|(name, id)| json!({"id": id, "file_name": name, "width": 100, "height": 80}))
        .collect();
    let annotations: Vec<Value> = (1..=names.len())
        .map(|id| {
            json!({"id": id, "image_id": id, "category_id": 1, "bbox": [40, 30, 20, 20],
            "area": 400, "iscrowd": 0})
        })
        .collect();
    json!({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]})
        .to_string()
}

/// Where Ultralytics looks for the labels of an image: `labels` for the last `/images/` of the
/// whole path, `.txt` for what follows the last dot.
fn label_file(image: &Path) -> PathBuf {
    let path = image.to_str().unwrap();
    let path = match path.rsplit_once("/images/") {
        Some((before, after)) => format!("{before}/labels/{after}"),
        None => path.to_owned(),
    };
    PathBuf::from(path.rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem).to_owned() + ".txt")
}

/// Names of images to how many boxes they have.
fn boxes(instances: &Value) -> BTreeMap<String, usize> {
    let list = |list: &str| instances[list].as_array().unwrap().clone();
    let count =
        |id: &Value| list("annotations").iter().filter(|one| one["image_id"] == *id).count();
    list("images")
        .iter()
        .map(|image| (image["file_name"].as_str().unwrap().to_owned(), count(&image["id"])))
        .collect()
}

/// The names of the classes that PyYAML would read: strings only where they are quoted, or look
/// like nothing else.
fn quoted_names(yaml: &str) -> Vec<String> {
    let names = yaml.split("names:\n").nth(1).unwrap();
    names
        .lines()
        .map(|line| serde_json::from_str(line.split_once(": ").unwrap().1).unwrap())
        .collect()
}

#[test]
fn labels_lie_where_ultralytics_looks_for_names_with_a_folder_images() {
    let files = Files::new();
    let names = [
        "images/1/a.png",
        "train/images/b.png",
        "images/images/c.png",
        "d.png",
        "x/e.png",
        "images.png",
    ];
    files.write("coco.json", coco(&names));
    files.convert("coco.json", "yolo", "yolo").success();
    for name in names {
        let image = files.path("yolo/images").join(name);
        let labels = fs::read_to_string(label_file(&image))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(labels.lines().count(), 1, "{name}");
        files.picture(image.strip_prefix(files.0.path()).unwrap().to_str().unwrap());
    }
    // Gemscope looks at the same places.
    files.convert("yolo", "coco", "back.json").success();
    let expected: BTreeMap<String, usize> =
        names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    assert_eq!(boxes(&read_json(files.path("back.json"))), expected);
    // Label files where nobody looks are no images with nothing in them.
    fs::create_dir_all(files.path("yolo/labels/train/images")).unwrap();
    fs::rename(
        files.path("yolo/images/train/labels/b.txt"),
        files.path("yolo/labels/train/images/b.txt"),
    )
    .unwrap();
    files
        .convert("yolo", "coco", "again.json")
        .code(1)
        .stderr(contains("b.txt: there is no image"));
}

#[test]
fn the_yolo_export_of_a_run_lies_where_ultralytics_looks() {
    let files = Files::new();
    let names = ["images/a.png", "train/images/b.png", "images/images/c.png", "images_/d.png"];
    let answer = r#"[{"box_2d": [0, 0, 500, 500], "label": "dog"}]"#;
    let lines: Vec<String> = names
        .iter()
        .map(|name| {
            files.picture(&format!("pictures/{name}"));
            json!({"image": name, "width": 100, "height": 80, "text": answer}).to_string()
        })
        .collect();
    let answers = files.write("answers.jsonl", lines.join("\n"));
    gemscope().arg("parse").arg(answers).arg("--out").arg(files.path("run")).assert().success();
    gemscope()
        .arg("export")
        .arg(files.path("run"))
        .args(["--to", "yolo", "--images"])
        .arg(files.path("pictures"))
        .assert()
        .success();
    let images: Vec<PathBuf> = walkdir::WalkDir::new(files.path("run/yolo/images"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(images.len(), names.len());
    for image in images {
        let labels = fs::read_to_string(label_file(&image))
            .unwrap_or_else(|error| panic!("{image:?}: {error}"));
        assert_eq!(labels.lines().count(), 1, "{image:?}");
    }
}

#[test]
fn a_split_that_is_not_there_does_not_vanish() {
    let files = Files::new();
    for (image, label) in
        [("train/images/a", "train/labels/a"), ("valid/images/b", "valid/labels/b")]
    {
        files.picture(&format!("set/{image}.png"));
        files.write(&format!("set/{label}.txt"), "0 0.5 0.5 0.2 0.25\n");
    }
    let yaml = |val: &str| {
        files.write("set/data.yaml", format!("train: train/images\nval: {val}\nnames: [cat]\n"))
    };
    yaml("project-1/pictures");
    files.convert("set", "coco", "one.json").code(1).stderr(
        contains("data.yaml: val is \"project-1/pictures\", which is not there")
            .and(contains("--images DIR")),
    );
    assert!(!files.path("one.json").exists());
    // The folder of a project that is gone is cut off, and that is said.
    yaml("project-1/valid/images");
    files.convert("set", "coco", "one.json").success().stderr(
        contains("val is \"project-1/valid/images\", which is not there")
            .and(contains("is taken for it")),
    );
    assert_eq!(boxes(&read_json(files.path("one.json"))).len(), 2);
    // Roboflow writes a folder too high; Windows writes backslashes; others call it valid.
    for (place, val) in ["../valid/images", ".\\valid\\images", "[valid/images]"].iter().enumerate()
    {
        yaml(val);
        let out = format!("two-{place}.json");
        files.convert("set", "coco", &out).success();
        assert_eq!(boxes(&read_json(files.path(&out))).len(), 2, "{val}");
    }
    files.write(
        "set/data.yaml",
        "path: /no/such/place\ntrain: train/images\nvalid: valid/images\nnames: [cat]\n",
    );
    files
        .convert("set", "coco", "three.json")
        .success()
        .stderr(contains("path is \"/no/such/place\", which is not there"));
    assert_eq!(boxes(&read_json(files.path("three.json"))).len(), 2);
    // One that is there and empty is said.
    fs::create_dir_all(files.path("set/test/images")).unwrap();
    files.write(
        "set/data.yaml",
        "train: train/images\nval: valid/images\ntest: test/images\nnames: [cat]\n",
    );
    files.convert("set", "coco", "empty.json").success().stderr(contains("test has no images"));
    // Those of another machine are found by the ends of their paths, and what they leave out is
    // counted.
    files.picture("set/images/c.png");
    files.write(
        "set/data.yaml",
        "train: /home/someone/images\nval: /home/someone/images\nnames: [cat]\n",
    );
    files.convert("set", "coco", "four.json").success().stderr(
        contains("train is \"/home/someone/images\"").and(contains("2 images lie in no split")),
    );
    files.write(
        "set/data.yaml",
        "train: /home/someone/pictures\nval: /home/someone/pictures\nnames: [cat]\n",
    );
    files
        .convert("set", "coco", "five.json")
        .code(1)
        .stderr(contains("train is \"/home/someone/pictures\""));
}

#[test]
fn splits_are_kept_or_counted() {
    let files = Files::new();
    for (part, image) in [("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")] {
        files.picture(&format!("set/images/{part}/{image}.png"));
        files.write(&format!("set/labels/{part}/{image}.txt"), "0 0.5 0.5 0.2 0.25\n");
    }
    files.write(
        "set/data.yaml",
        "train: images/train\nval: images/val\ntest: images/test\nnames: [cat]\n",
    );
    files
        .convert("set", "coco", "one.json")
        .success()
        .stderr(contains("the splits (train 2, val 1, test 1 images) are not kept"));
    let check = |from: &str, to: &str| {
        files.convert(from, "yolo", to).success();
        let read = |name: &str| fs::read_to_string(files.path(to).join(name)).unwrap();
        assert!(
            read("data.yaml").starts_with("train: train.txt\nval: val.txt\ntest: test.txt\n"),
            "{}",
            read("data.yaml")
        );
        assert_eq!(read("train.txt"), "./images/train/a.png\n./images/train/b.png\n");
        assert_eq!(
            (read("val.txt"), read("test.txt")),
            ("./images/val/c.png\n".into(), "./images/test/d.png\n".into())
        );
    };
    check("set", "yolo");
    // They come back from the lists, and go through VOC.
    for name in ["train/a.png", "train/b.png", "val/c.png", "test/d.png"] {
        files.picture(&format!("yolo/images/{name}"));
    }
    check("yolo", "again");
    files.convert("yolo", "voc", "voc").success();
    let train = fs::read_to_string(files.path("voc/ImageSets/Main/train.txt")).unwrap();
    assert_eq!(train, "train/a\ntrain/b\n");
    check("voc", "from-voc");
    // What has no parts is the same for both, and says so.
    files.write("coco.json", coco(&["a.png"]));
    files
        .convert("coco.json", "yolo", "no-parts")
        .success()
        .stderr(contains("no split for validation"));
}

#[test]
fn areas_ids_and_outlines_of_coco_are_kept_or_counted() {
    let files = Files::new();
    let instances = json!({
        "images": [
            {"id": 42, "file_name": "b.jpg", "width": 100, "height": 80},
            {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80},
        ],
        "annotations": [
            {"id": 900, "image_id": 42, "category_id": 18, "bbox": [10, 10, 20, 20], "area": 123.5,
                "iscrowd": 0,
             "segmentation": [[10, 10, 30, 10, 30, 30]]},
            {"id": 901, "image_id": 7, "category_id": 3, "bbox": [90, 10, 20, 20], "area": 400,
                "iscrowd": 0,
             "segmentation": []},
            {"id": 17, "image_id": 7, "category_id": 3, "bbox": [1, 1, 2, 2], "area": 4,
                "iscrowd": 1,
             "segmentation": {"counts": [1, 2, 3], "size": [80, 100]}},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    });
    files.write("coco.json", instances.to_string());
    files.convert("coco.json", "coco", "out.json").success();
    let out = read_json(files.path("out.json"));
    let outlines: Vec<&Value> =
        out["annotations"].as_array().unwrap().iter().map(|one| &one["segmentation"]).collect();
    let mask = json!({"counts": [1, 2, 3], "size": [80, 100]});
    assert_eq!(outlines, [&json!([]), &mask, &json!([[10.0, 10.0, 30.0, 10.0, 30.0, 30.0]])]);
    let rows = |list: &str, keys: &[&str]| -> Vec<Value> {
        let entries = out[list].as_array().unwrap().iter();
        entries.map(|entry| keys.iter().map(|key| entry[key].clone()).collect()).collect()
    };
    assert_eq!(rows("images", &["id", "file_name"]), [json!([7, "a.jpg"]), json!([42, "b.jpg"])]);
    assert_eq!(rows("categories", &["id", "name"]), [json!([3, "car"]), json!([18, "dog"])]);
    assert_eq!(
        rows("annotations", &["id", "image_id", "category_id", "area"]),
        // The box that reaches out of its image is cut, and its area with it.
        [json!([901, 7, 3, 200.0]), json!([17, 7, 3, 4.0]), json!([900, 42, 18, 123.5])]
    );
    files
        .convert("coco.json", "yolo", "yolo")
        .success()
        .stderr(contains("1 box has an area of its own").and(contains("ids are not kept")))
        .stderr(contains("1 box has polygons").and(contains("1 box has a mask")));
}

#[test]
fn words_that_yaml_takes_for_something_else_are_names() {
    let files = Files::new();
    let words = ["N", "Y", "no", "off", "null", "~", "True", "7", "1e3", ".nan", "01"];
    for (place, names) in [format!("[{}]", words.join(", ")), format!("\n- {}", words.join("\n- "))]
        .into_iter()
        .enumerate()
    {
        let set = format!("set-{place}");
        files.picture(&format!("{set}/images/a.png"));
        files.write(&format!("{set}/labels/a.txt"), "0 0.5 0.5 0.2 0.25\n");
        files.write(
            &format!("{set}/data.yaml"),
            format!("train: images\nval: images\nnames: {names}\n"),
        );
        files.convert(&set, "coco", &format!("{set}.json")).success();
        let instances = read_json(files.path(&format!("{set}.json")));
        let read: Vec<&str> = instances["categories"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(read, words);
        // As they are written they are strings for PyYAML too.
        files.convert(&set, "yolo", &format!("{set}-yolo")).success();
        assert_eq!(
            quoted_names(
                &fs::read_to_string(files.path(&format!("{set}-yolo/data.yaml"))).unwrap()
            ),
            words
        );
    }
}

#[test]
fn the_box_of_a_pose_is_its_box() {
    let files = Files::new();
    files.picture("set/images/a.png");
    let keypoints = "0.9 0.05 2 ".repeat(4);
    files.write("set/labels/a.txt", format!("0 0.5 0.5 0.2 0.25 {keypoints}\n"));
    files
        .write("set/data.yaml", "train: images\nval: images\nkpt_shape: [4, 3]\nnames: [person]\n");
    files.convert("set", "coco", "one.json").success().stderr(contains("1 line is a pose"));
    assert_eq!(
        read_json(files.path("one.json"))["annotations"][0]["bbox"],
        json!([40.0, 30.0, 20.0, 20.0])
    );
    // Without how visible they are, they look like an outline.
    files.write("set/labels/a.txt", format!("0 0.5 0.5 0.2 0.25 {}\n", "0.9 0.05 ".repeat(4)));
    files
        .write("set/data.yaml", "train: images\nval: images\nkpt_shape: [4, 2]\nnames: [person]\n");
    files.convert("set", "coco", "two.json").success();
    assert_eq!(
        read_json(files.path("two.json"))["annotations"][0]["bbox"],
        json!([40.0, 30.0, 20.0, 20.0])
    );
    // Outlines and turned boxes stay what they were.
    files.write("set/labels/a.txt", "0 0.1 0.1 0.4 0.1 0.4 0.6 0.1 0.6\n");
    files.write("set/data.yaml", "train: images\nval: images\nnames: [person]\n");
    files.convert("set", "coco", "three.json").success().stderr(contains("1 line is an outline"));
    assert_eq!(
        read_json(files.path("three.json"))["annotations"][0]["bbox"],
        json!([10.0, 8.0, 30.0, 40.0])
    );
}

fn voc(filename: &str) -> String {
    format!(
        "<annotation><filename>{filename}</filename><size><width>100</width><height>80</height></size><object>\
         <name>cat</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
}

#[test]
fn a_renamed_voc_image_is_named_by_its_own_file() {
    let files = Files::new();
    files.write("set/Annotations/new_001.xml", voc("DSC_0042.JPG"));
    files.picture("set/JPEGImages/new_001.jpg");
    files.write("set/Annotations/b.xml", voc("b"));
    files.picture("set/JPEGImages/b.png");
    // This one is there.
    files.write("set/Annotations/c.xml", voc("other.png"));
    files.picture("set/JPEGImages/other.png");
    files
        .convert("set", "coco", "one.json")
        .success()
        .stderr(contains("2 files name an image in <filename>"));
    let names: Vec<String> = boxes(&read_json(files.path("one.json"))).into_keys().collect();
    assert_eq!(names, ["b.png", "new_001.jpg", "other.png"]);
    // Two that name the same image, which is gone.
    files.write("twice/Annotations/a.xml", voc("DSC_0042.JPG"));
    files.write("twice/Annotations/b.xml", voc("DSC_0042.JPG"));
    files.convert("twice", "coco", "two.json").success();
    let names: Vec<String> = boxes(&read_json(files.path("two.json"))).into_keys().collect();
    assert_eq!(names, ["a.JPG", "b.JPG"]);
    // The file is believed if there is no image to look at.
    files.write("alone/Annotations/a.xml", voc("DSC_0042.JPG"));
    files.convert("alone", "coco", "three.json").success();
    assert!(boxes(&read_json(files.path("three.json"))).contains_key("DSC_0042.JPG"));
}

/// The same text with a byte order mark, and as UTF-16.
fn encodings(text: &str) -> [Vec<u8>; 2] {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    [[b"\xef\xbb\xbf", text.as_bytes()].concat(), units.flat_map(u16::to_le_bytes).collect()]
}

#[test]
fn data_sets_are_read_as_editors_write_them() {
    let files = Files::new();
    for (place, encoding) in [0, 1].into_iter().zip(["mark", "utf-16"]) {
        let in_it = |text: &str| encodings(text)[place].clone();
        let out = |kind: &str| format!("{encoding}-{kind}.json");
        let expect = |out: &str, category: &str| {
            let instances = read_json(files.path(out));
            assert_eq!(
                (&instances["categories"][0]["name"], boxes(&instances).len()),
                (&json!(category), 1),
                "{out}"
            );
        };
        files.write("coco.json", in_it(&coco(&["a.png"])));
        files.convert("coco.json", "coco", &out("coco")).success();
        expect(&out("coco"), "cat");
        files.picture("yolo/images/a.png");
        files.write("yolo/labels/a.txt", in_it("0 0.5 0.5 0.2 0.25\r\n"));
        files.write(
            "yolo/data.yaml",
            in_it("train: train.txt\r\nval: train.txt\r\nnames: [K\u{fc}che]\r\n"),
        );
        files.write("yolo/train.txt", in_it("./images/a.png\r\n"));
        files.convert("yolo", "coco", &out("yolo")).success();
        expect(&out("yolo"), "K\u{fc}che");
        files.picture("plain/images/a.png");
        files.write("plain/labels/a.txt", "0 0.5 0.5 0.2 0.25\n");
        files.write("plain/classes.txt", in_it("cat\r\ndog\r\n"));
        files.convert("plain", "coco", &out("classes")).success();
        expect(&out("classes"), "cat");
        files.write("voc/Annotations/a.xml", in_it(&voc("a.jpg")));
        files.convert("voc", "coco", &out("voc")).success();
        expect(&out("voc"), "cat");
    }
    // A text in another encoding is named, with what to do.
    files.write("plain/classes.txt", b"cat\nK\xfcche\n");
    files
        .convert("plain", "coco", "latin.json")
        .code(1)
        .stderr(contains("classes.txt: line 2 is not valid UTF-8"));
}

#[test]
fn declared_splits_of_other_names_are_not_left_out_in_silence() {
    let files = Files::new();
    for name in ["a", "b"] {
        files.picture(&format!("voc/JPEGImages/{name}.png"));
        files.write(&format!("voc/Annotations/{name}.xml"), voc(&format!("{name}.png")));
        files.write(&format!("yolo/images/mini/{name}.txt"), "");
        files.picture(&format!("yolo/images/train/{name}.png"));
    }
    for name in ["fold1", "fold2", "cat_train", "train"] {
        files.write(&format!("voc/ImageSets/Main/{name}.txt"), "a\n");
    }
    files
        .convert("voc", "yolo", "of-voc")
        .success()
        .stderr(contains("fold1.txt and 1 more").and(contains("left out")));
    for (key, is_said) in
        [("minival: images/gone", true), ("extra: images/mini", true), ("license: MIT", false)]
    {
        files.write(
            "yolo/data.yaml",
            format!("train: images/train\nval: images/train\n{key}\nnames: [cat]\n"),
        );
        let said =
            files.convert("yolo", "coco", &format!("{is_said}-{}.json", key.len())).success();
        let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
        assert_eq!(
            said.contains("is left out: splits are train, val and test"),
            is_said,
            "{key}: {said}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_refuses_no_data_set() {
    let files = Files::new();
    files.picture("yolo/images/a.png");
    files.write("yolo/labels/a.txt", "0 0.5 0.5 0.2 0.2\n");
    files.write("yolo/data.yaml", "train: images\nval: images\nnames: [cat]\n");
    std::os::unix::fs::symlink("gone.png", files.path("yolo/images/b.png")).unwrap();
    files.convert("yolo", "coco", "out.json").success().stderr(contains("1 link leads"));
    assert_eq!(
        boxes(&read_json(files.path("out.json"))),
        BTreeMap::from([("a.png".to_owned(), 1)])
    );
}

#[test]
fn names_that_differ_in_case_alone_are_named() {
    let files = Files::new();
    files.write("truth.json", coco(&["a.png", "A.png", "b.png"]));
    for format in ["yolo", "voc"] {
        files
            .convert("truth.json", format, format)
            .success()
            .stderr(contains("\"A.png\" and \"a.png\""));
    }
    files.write("truth.json", coco(&["a.png", "b.png"]));
    files
        .convert("truth.json", "yolo", "other")
        .success()
        .stderr(contains("upper and lower case").not());
}

#[test]
fn an_out_that_is_no_file_name_leaves_nothing_and_a_long_one_is_written() {
    let files = Files::new();
    files.write("truth.json", coco(&["a.png"]));
    files.convert("truth.json", "coco", "folder/").code(1).stderr(contains("a folder is named"));
    assert_eq!(fs::read_dir(files.path("")).unwrap().count(), 1);
    let long = format!("{}.json", "l".repeat(245));
    files.convert("truth.json", "coco", &long).success();
    assert_eq!(fs::read_dir(files.path("")).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn names_with_line_breaks_and_spaces_at_their_ends_come_back_from_voc() {
    let files = Files::new();
    let names = ["a\nb.png", " lead trail .png", "plain.png"];
    for name in names {
        files.picture(&format!("images/{name}"));
    }
    let mut detect = gemscope();
    detect
        .current_dir(files.path(""))
        .args(["detect", "images", "--labels", "star", "--export", "voc", "--out", "run"]);
    detect.assert().success();
    files.convert("run/voc", "coco", "out.json").success().stderr(contains("name no file").not());
    let run = files.path("run");
    let list = fs::read_to_string(run.join("voc/ImageSets/Main/train.txt")).unwrap();
    assert_eq!(list, "_lead trail_\na_b\nplain\n");
}
