//! Data sets that say more than is kept, or lie in other places: each is read as it is meant, or
//! what is left out is counted, or it is an error.

use std::fs;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::datasets::{Dir, boxes, one};
use crate::support::{fixture, json as read_json};

/// A COCO file of one box with these fields.
fn coco(fields: &Value) -> Value {
    let mut box_ = json!({"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20],
        "area": 400, "iscrowd": 0});
    for (key, value) in fields.as_object().unwrap() {
        box_[key] = value.clone();
    }
    json!({
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [box_],
        "categories": [{"id": 1, "name": "cat"}],
    })
}

#[test]
fn a_segmentation_is_polygons_or_a_mask_or_left_out() {
    let dir = Dir::new();
    let mask = json!({"counts": [810, 10, 7180], "size": [80, 100]});
    let triangle = json!([[10.0, 10.0, 30.0, 10.0, 10.0, 30.0]]);
    let odd = "1 annotation has a segmentation that is neither polygons nor one mask";
    for (name, segmentation, read, says) in [
        ("mask", json!([mask]), mask.clone(), "coco to coco"),
        ("masks", json!([mask, mask]), json!([]), odd),
        ("true", json!(true), json!([]), odd),
        ("null", json!([[10, 10, null, 10, 10, 30]]), json!([]), odd),
        ("named", json!([[{"x": 10, "y": 10}, {"x": 30, "y": 10}]]), json!([]), odd),
        ("empty", json!([[], triangle[0]]), triangle.clone(), "coco to coco"),
        ("pairs", json!([[[10, 10], [30, 10], [10, 30]]]), triangle.clone(), "coco to coco"),
    ] {
        dir.write("in.json", coco(&json!({"segmentation": segmentation})).to_string());
        let out = format!("{name}.json");
        dir.convert("in.json", "coco", &out, &[]).success().stderr(contains(says));
        assert_eq!(read_json(dir.path(&out))["annotations"][0]["segmentation"], read, "{name}");
    }
    dir.write("in.json", coco(&json!({"score": "high"})).to_string());
    let odd = "1 annotation has a score that is no number";
    dir.convert("in.json", "coco", "score.json", &[]).success().stderr(contains(odd));
}

#[test]
fn names_that_were_not_read_and_sizes_that_are_not_the_files_are_said() {
    let dir = Dir::new();
    dir.picture("a.jpg");
    let mut set = coco(&json!({}));
    set["images"][0]["width"] = json!(80);
    set["images"][0]["height"] = json!(100);
    let text = set.to_string().replace("\"cat\"", "\"c\\ud83d\"");
    dir.write("in.json", text);
    dir.convert("in.json", "coco", "out.json", &[])
        .success()
        .stderr(contains("1 name has characters that could not be read"))
        .stderr(contains("1 image has another size").and(contains("a.jpg is 100x80, and said")));
    dir.write("in.json", coco(&json!({})).to_string());
    dir.convert("in.json", "coco", "same.json", &[])
        .success()
        .stderr(contains("another size").not().and(contains("could not be read").not()));
    let mut set = coco(&json!({}));
    set["categories"][0]["name"] = json!(" ");
    dir.write("in.json", set.to_string());
    dir.convert("in.json", "coco", "none.json", &[])
        .code(1)
        .stderr(contains("category 1 has no name"));
}

/// A label file where nobody looks would make an example with nothing in it of its image.
#[test]
fn label_files_of_yolo_that_lie_elsewhere_are_refused() {
    let line = "0 0.5 0.5 0.2 0.25\n";
    for (image, label) in [
        ("images/a.png", "images/a.txt"),
        ("images/train/a.png", "labels/a.txt"),
        ("images/a.png", "Labels/a.txt"),
        ("images/A.png", "other/a.txt"),
    ] {
        let dir = Dir::new();
        dir.write("set/data.yaml", "train: images\nval: images\nnames: [cat]\n");
        dir.picture(&format!("set/{image}"));
        let label = dir.write(&format!("set/{label}"), line);
        dir.convert("set", "coco", "out.json", &[]).code(1);
        let skipped = dir.convert("set", "coco", "out.json", &["--skip-invalid"]).success();
        let said = String::from_utf8_lossy(&skipped.get_output().stderr).into_owned();
        assert!(said.contains(label.file_name().unwrap().to_str().unwrap()), "{said}");
        // A text that is no label lies there in peace.
        fs::write(&label, "a photo of 3 cats\n").unwrap();
        dir.convert("set", "coco", "caption.json", &[]).success();
    }
    // That of an image in no split is its own.
    let dir = Dir::new();
    dir.write("set/data.yaml", "train: images/train\nval: images/train\nnames: [cat]\n");
    dir.picture("set/images/train/1.png");
    dir.picture("set/images/test/1.png");
    dir.write("set/labels/test/1.txt", line);
    dir.convert("set", "coco", "out.json", &[])
        .success()
        .stderr(contains("1 image lies in no split").and(contains("1 image has no label file")));
}

#[test]
fn classes_of_yolo_without_a_name_are_an_error_and_stills_are_images() {
    let dir = Dir::new();
    dir.picture("set/images/a.png");
    dir.write("set/labels/a.txt", "1 0.5 0.5 0.2 0.25\n");
    dir.write("set/classes.txt", "cat\n\ndog\n\n");
    dir.convert("set", "coco", "out.json", &[])
        .code(1)
        .stderr(contains("classes.txt:2: a line without a name"));
    dir.write("set/classes.txt", "cat\ndog\n\n");
    for (file, name) in [("turned.heic", "b.heic"), ("turned.avif", "c.avif")] {
        let still = fs::read(fixture(&format!("images/by-ffmpeg/{file}"))).unwrap();
        dir.write(&format!("set/images/{name}"), still);
        dir.write(&format!("set/labels/{}.txt", &name[..1]), "0 0.5 0.5 1 1\n");
    }
    dir.convert("set", "coco", "out.json", &[]).success();
    let found = dir.boxes("out.json");
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!((found[1].0.as_str(), found[1].2), ("b.heic", [0.0, 0.0, 96.0, 144.0]));
}

const BNDBOX: &str =
    "<bndbox><xmin>11</xmin><ymin>12</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>";

fn voc(filename: &str, object: &str) -> String {
    format!(
        "<annotation><filename>{filename}</filename><size><width>100</width><height>80</height>\
         </size><object>{object}{BNDBOX}</object></annotation>"
    )
}

#[test]
fn voc_says_what_is_not_kept_and_finds_images_in_folders() {
    let dir = Dir::new();
    let object = "<name>c<!-- not a dog -->at</name><name>dog</name><pose>Left</pose>\
                  <truncated>1</truncated><occluded>0</occluded><deleted>0</deleted>\
                  <polygon><x1>1</x1></polygon>";
    dir.write("set/Annotations/a.xml", voc("sub/a.png", object));
    dir.picture("set/JPEGImages/sub/a.png");
    dir.picture("set/JPEGImages/b.png");
    dir.write("set/more/c.xml", voc("c.png", "<name>cat</name>"));
    dir.write("set/ImageSets/Main/train.txt", "a.png 1\n");
    dir.write("set/ImageSets/Layout/train.txt", "a\n");
    dir.convert("set", "coco", "out.json", &[])
        .success()
        .stderr(contains("1 objects have a second <name>, which is left out"))
        .stderr(contains("1 object has the tag <pose>, which is not kept"))
        .stderr(
            contains("1 object has the tag <truncated>")
                .and(contains("1 object has the tag <polygon>")),
        )
        .stderr(contains("<occluded>").not().and(contains("<deleted>").not()))
        .stderr(contains("1 image has no .xml file (the first: b.png)"))
        .stderr(contains("1 file .xml is not below"))
        .stderr(contains("Layout of ImageSets: left out").and(contains("the splits (train 1 ")));
    assert_eq!(dir.boxes("out.json"), one("sub/a.png", "cat", [10.0, 11.0, 20.0, 29.0]));
}

#[test]
fn voc_in_folders_of_splits_is_read_as_roboflow_lays_it_out() {
    let dir = Dir::new();
    for split in ["train", "valid"] {
        dir.picture(&format!("set/{split}/{split}.png"));
        let text = voc(&format!("{split}.png"), "<name>cat</name>");
        dir.write(&format!("set/{split}/{split}.xml"), text);
    }
    dir.convert("set", "coco", "out.json", &[]).success().stderr(
        contains("voc to coco: 2 images").and(contains("the splits (train 1, val 1 images)")),
    );
}

fn labelme(shape: &Value, top: &Value) -> String {
    let mut shapes = json!({"label": "cat", "points": [[10, 10], [30, 30]], "group_id": null,
        "shape_type": "rectangle", "flags": {}, "description": "", "attributes": {}});
    for (key, value) in shape.as_object().unwrap() {
        shapes[key] = value.clone();
    }
    let mut file = json!({"version": "5.5.0", "flags": {}, "shapes": [shapes],
        "imagePath": "a.png", "imageData": null, "imageHeight": 80, "imageWidth": 100});
    for (key, value) in top.as_object().unwrap() {
        file[key] = value.clone();
    }
    file.to_string()
}

#[test]
fn labelme_says_what_is_not_kept() {
    let none = json!({});
    let around = ", of which the box around is kept";
    let further = "1 shape has flags, attributes or a description, which are not kept";
    let circle = json!({"shape_type": "circle", "points": [[50, 40], [60, 40]]});
    for (shape, top, says) in [
        (circle, none.clone(), around),
        (json!({"shape_type": "mask", "mask": "iVBORw0KGgo"}), none.clone(), around),
        (json!({"attributes": {"color": "red"}}), none.clone(), further),
        (json!({"flags": {"hidden": true, "small": false}}), none.clone(), further),
        (none.clone(), json!({"flags": {"blurred": true}}), "1 file has flags"),
        (none.clone(), none.clone(), "1 image has no .json file (the first: z.png)"),
    ] {
        let dir = Dir::new();
        dir.picture("set/a.png");
        dir.picture("set/z.png");
        dir.write("set/a.json", labelme(&shape, &top));
        let done = dir.convert("set", "coco", "out.json", &[]).success().stderr(contains(says));
        let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(says == further || !said.contains(further), "{said}");
        assert_eq!(dir.boxes("out.json").len(), 1);
    }
    let dir = Dir::new();
    dir.picture("set/a.png");
    dir.write("set/a.json", labelme(&json!({"label": ""}), &none));
    dir.convert("set", "coco", "out.json", &[]).code(1).stderr(contains("an empty label"));
    // Its image may lie beside its folder; four corners may be turned.
    let dir = Dir::new();
    dir.picture("set/images/a.png");
    let turned = json!({"points": [[20, 10], [30, 20], [20, 30], [10, 20]]});
    dir.write("set/labels/a.json", labelme(&turned, &json!({"imagePath": "..\\images\\a.png"})));
    dir.convert("set", "coco", "out.json", &[]).success();
    let out = read_json(dir.path("out.json"));
    assert_eq!(boxes(&out), one("images/a.png", "cat", [10.0, 10.0, 20.0, 20.0]));
    assert_eq!(out["annotations"][0]["area"], 200.0);
}

#[test]
fn label_studio_says_what_is_not_kept_and_refuses_several_images() {
    let result = |value: Value| {
        let mut result = json!({"type": "x", "from_name": "label", "to_name": "image",
            "original_width": 100, "original_height": 80});
        result["value"] = value;
        result
    };
    let plain = json!({"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]});
    let of = |results: &[Value]| {
        json!([{"id": 1, "data": {"image": "a.png", "other": "b.png"},
            "annotations": [{"result": results}]}])
        .to_string()
    };
    let mut two = plain.clone();
    two["rectanglelabels"] = json!(["cat", "dog"]);
    let ellipse = json!({"x": 50, "y": 50, "radiusX": 9, "radiusY": 9, "ellipselabels": ["cat"]});
    let mut noted = result(plain.clone());
    noted["meta"] = json!({"text": ["unsure"]});
    for (result, says) in [
        (result(two), "1 result has several labels: the first counts"),
        (result(ellipse), "1 result is an ellipse, of which"),
        (noted, "1 result has notes (meta)"),
    ] {
        let dir = Dir::new();
        dir.write("in.json", of(&[result]));
        dir.convert("in.json", "coco", "out.json", &[]).success().stderr(contains(says));
        assert_eq!(dir.boxes("out.json").len(), 1);
    }
    for (key, value) in [("to_name", json!("second")), ("item_index", json!(1))] {
        let dir = Dir::new();
        let mut other = result(plain.clone());
        other[key] = value;
        dir.write("in.json", of(&[result(plain.clone()), other]));
        dir.convert("in.json", "coco", "out.json", &[])
            .code(1)
            .stderr(contains("task 1 has areas on several images"));
    }
}

#[test]
fn cvat_imagefolder_and_megadetector_say_what_is_not_kept() {
    let dir = Dir::new();
    let cvat = |attributes: &str, shapes: &str| {
        format!(
            "<?xml version=\"1.0\"?><annotations><version>1.1</version><image id=\"0\" \
             name=\"a.png\" width=\"100\" height=\"80\" {attributes}>{shapes}</image></annotations>"
        )
    };
    let hidden = "<box label=\"cat\" occluded=\"1\" xtl=\"1\" ytl=\"1\" xbr=\"9\" ybr=\"9\"/>";
    let ellipse = "<ellipse label=\"cat\" occluded=\"0\" cx=\"50\" cy=\"40\" rx=\"9\" ry=\"5\"/>";
    dir.write("cvat/annotations.xml", cvat("subset=\"holdout\"", &format!("{hidden}{ellipse}")));
    dir.convert("cvat", "coco", "cvat.json", &[])
        .success()
        .stderr(contains("1 image is of the subset \"holdout\", which is no split"))
        .stderr(contains("1 shape is <ellipse>, of which the box around is kept"))
        .stderr(contains("1 shape is occluded, or in a group"));
    dir.picture("hf/train/a.png");
    dir.picture("hf/train/z.png");
    let row = json!({"file_name": "a.png",
        "objects": {"bbox": [[1, 1, 5, 5]], "categories": ["cat"], "occluded": [true]}});
    dir.write("hf/train/metadata.jsonl", format!("{row}\n"));
    dir.convert("hf", "coco", "hf.json", &[])
        .success()
        .stderr(contains("1 row has further columns of objects (occluded ...)"))
        .stderr(contains("1 image has no row in").and(contains("the first: z.png")));
    let batch = |entry: &Value| {
        json!({"info": {}, "detection_categories": {"1": "animal"}, "images": [entry]}).to_string()
    };
    let image = |detections: &Value| json!({"file": "a.png", "width": 100, "height": 80, "detections": detections});
    dir.write("failed.json", batch(&image(&json!(null))));
    dir.convert("failed.json", "coco", "failed.out.json", &[])
        .success()
        .stderr(contains("1 image failed, and is left out"));
    let pixels = json!([{"category": "1", "conf": 0.5, "bbox": [10, 10, 20, 20]}]);
    dir.write("pixels.json", batch(&image(&pixels)));
    dir.convert("pixels.json", "coco", "pixels.out.json", &[])
        .code(1)
        .stderr(contains("a box is in parts of the image (0 to 1): 10, 10, 20, 20"));
}

/// Splits may count their categories in different ways.
#[test]
fn the_category_that_roboflow_puts_before_the_others_is_none_in_any_split() {
    let dir = Dir::new();
    let split = |name: &str, categories: &[&str]| {
        let mut all = vec![json!({"id": 0, "name": "things", "supercategory": "none"})];
        for (id, category) in (1..).zip(categories) {
            all.push(json!({"id": id, "name": category, "supercategory": "things"}));
        }
        let set = json!({
            "images": [{"id": 0, "file_name": format!("{name}.png"), "width": 100, "height": 80}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4],
                "area": 12, "iscrowd": 0}],
            "categories": all,
        });
        dir.write(&format!("set/{name}/_annotations.coco.json"), set.to_string());
    };
    split("train", &["cat"]);
    split("valid", &["dog", "cat"]);
    dir.convert("set", "coco", "out.json", &[])
        .success()
        .stderr(contains("2 images, 2 boxes, 2 categories"));
    let found = dir.boxes("out.json");
    assert_eq!((found[0].1.as_str(), found[1].1.as_str()), ("cat", "dog"));
}

/// An area that no outline brings back is counted, also where the format has outlines.
#[test]
fn areas_are_counted_where_their_outlines_are_not_written() {
    let dir = Dir::new();
    let triangle = json!([[10, 10, 30, 10, 10, 30]]);
    let lost =
        |format: &str| format!("1 box has an area of its own (of an outline), which {format}");
    for (fields, is_lost) in [
        (json!({"area": 200}), true),
        (json!({"area": 200, "segmentation": triangle}), false),
        (json!({"area": 250, "segmentation": triangle}), true),
        (json!({"area": 400}), false),
    ] {
        dir.write("in.json", coco(&fields).to_string());
        for (format, name) in [
            ("labelme", "LabelMe has"),
            ("xanylabeling", "X-AnyLabeling has"),
            ("cvat", "CVAT has"),
            ("label-studio", "Label Studio has"),
            ("yolo", "YOLO has"),
        ] {
            let out = format!("{format}-{}-{is_lost}", fields["area"]);
            let done = dir.convert("in.json", format, &out, &[]).success();
            let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
            assert_eq!(said.contains(&lost(name)), is_lost, "{fields} to {format}: {said}");
        }
    }
}

/// A set of fields alone has no labels to draw with.
#[test]
fn fields_alone_make_no_tag_of_labels_for_label_studio() {
    let dir = Dir::new();
    let mut set = coco(&json!({}));
    set["annotations"] = json!([]);
    set["categories"] = json!([]);
    set["images"][0]["attributes"] = json!({"people": 3});
    dir.write("in.json", set.to_string());
    dir.convert("in.json", "label-studio", "out", &[]).success();
    let config = fs::read_to_string(dir.path("out/label_config.xml")).unwrap();
    assert!(config.contains("<Number name=\"fields.people\""), "{config}");
    assert!(!config.contains("RectangleLabels"), "{config}");
}

#[test]
fn what_is_no_dataset_by_itself_says_which_is_one_or_what_is_wrong_with_it() {
    let dir = Dir::new();
    dir.picture("coco/train2017/a.jpg");
    let file = dir.write("coco/annotations/instances.json", coco(&json!({})).to_string());
    let inner = format!("one of coco is {}: name that", file.display());
    dir.convert("coco", "coco", "out.json", &[]).code(1).stderr(contains(inner));
    let file = dir.write("kit/VOC2007/Annotations/a.xml", voc("a.png", "<name>cat</name>"));
    let inner = format!("one of voc is {}", file.parent().unwrap().parent().unwrap().display());
    dir.convert("kit", "coco", "out.json", &[]).code(1).stderr(contains(inner));
    // The only file in another encoding, and the only image broken.
    dir.picture("latin/a.png");
    let text = labelme(&json!({"label": "caf\u{e9}"}), &json!({}));
    let bytes: Vec<u8> = text.chars().map(|sign| u8::try_from(u32::from(sign)).unwrap()).collect();
    dir.write("latin/a.json", bytes);
    dir.convert("latin", "coco", "out.json", &[]).code(1).stderr(contains("not valid UTF-8"));
    dir.write("broken/data.yaml", "names: [cat]\ntrain: images\nval: images\n");
    dir.write("broken/images/a.jpg", "no image");
    dir.convert("broken", "coco", "out.json", &[])
        .code(1)
        .stderr(contains("a.jpg: not a JPEG").and(contains("no images").not()));
}
