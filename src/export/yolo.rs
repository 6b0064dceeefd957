//! `yolo/`: a data set for Ultralytics and other trainers of YOLO.
//!
//! In: records and the images. Out: `images/{train,val}`, `labels/{train,val}` and `data.yaml`.
//! Promises: a line a box, `class x_center y_center width height` as shares of the upright image,
//! and its score behind that if it is asked for;
//! every image has its label file, which is empty only if the answer says that nothing is there;
//! subfolders are kept.
//!
//! The layout is that of docs.ultralytics.com/datasets/detect: a label file is found by putting
//! `labels` for the last `images` of a path.

use super::examples::{Examples, Part, Placed, describe_all, place_all, stems};
use super::folder::Fresh;
use super::{ExportError, Exported, Input};
use crate::dataset;
use crate::ownership::OutputDirectory;
use crate::record::{Detection, Record};

pub(super) fn write(
    input: &Input<'_>,
    examples: &Examples<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let shown = examples.of(dataset::Format::Yolo, exported);
    let folder = Fresh::begin(out, "yolo")?;
    let part = |record: &Record| Part::of(record, input.options).as_str();
    let stems = stems(&shown, without_images_folder);
    let images = |record: &Record| format!("images/{}/", part(record));
    let placed = place_all(input, &shown, &stems, &folder, images, "yolo", exported)?;
    let save_conf = input.options.save_conf;
    let label = |(record, stem, _): &Placed<'_>| {
        (
            format!("labels/{}/{stem}.txt", part(record)),
            lines(record, examples, save_conf).into_bytes(),
        )
    };
    let placed = describe_all(placed, &folder, images, label, "yolo", exported)?;
    let val = placed.iter().any(|(record, ..)| Part::of(record, input.options) == Part::Val);
    if input.options.split.is_some() && !val {
        exported
            .remarks
            .push("yolo: `split` put no image into val; data.yaml validates on train".to_owned());
    }
    folder.write("data.yaml", data_yaml(examples, val).as_bytes())?;
    folder.put(exported)
}

/// A subfolder called `images` would be taken for the one whose counterpart holds the labels.
fn without_images_folder(stem: &str) -> String {
    let mut parts: Vec<&str> = stem.split('/').collect();
    let folders = parts.len() - 1; // split gives one part at least
    parts[..folders]
        .iter_mut()
        .filter(|part| **part == "images")
        .for_each(|part| *part = "images_");
    parts.join("/")
}

fn lines(record: &Record, examples: &Examples<'_>, save_conf: bool) -> String {
    let line = |detection: &Detection| {
        dataset::yolo::label_line(
            examples.place(&detection.label),
            &detection.bbox,
            (record.width, record.height),
            detection.score.filter(|_| save_conf),
        )
    };
    record.detections.iter().map(line).collect()
}

/// Without `path`, so that folders are relative to the file and the data set can be moved.
/// Ultralytics asks for both parts.
fn data_yaml(examples: &Examples<'_>, val: bool) -> String {
    let mut yaml = String::from("# Made by gemscope\ntrain: images/train\n");
    yaml.push_str(if val {
        "val: images/val\n"
    } else {
        "val: images/train # no image is kept for validation\n"
    });
    yaml.push_str(&dataset::yolo::names(
        examples.categories.iter().map(|category| category.name.as_str()),
    ));
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_called_images_is_renamed_and_a_file_is_not() {
        assert_eq!(without_images_folder("images/a/images/images"), "images_/a/images_/images");
        assert_eq!(without_images_folder("images"), "images");
    }
}
