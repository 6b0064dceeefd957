//! `yolo/`: a data set for Ultralytics and other trainers of YOLO.
//!
//! In: records and the images. Out: `images/{train,val}`, `labels/{train,val}` and `data.yaml`. Promises: a line a box, `class x_center
//! y_center width height` as shares of the upright image; every image has its label file, and it is empty only where the answer says that
//! nothing is there; subfolders are kept.
//!
//! The layout is that of docs.ultralytics.com/datasets/detect: a label file is found by putting `labels` for the last `images` of a path.

use std::fmt::Write as _;
use std::path::Path;

use super::dataset::{DataSet, Part, place_all, stems};
use super::folder::Fresh;
use super::{ExportError, Exported, Input};
use crate::files;
use crate::record::Record;

pub(super) fn write(
    input: &Input<'_>,
    data_set: &DataSet<'_>,
    out: &Path,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    data_set.remark("yolo", exported);
    let folder = Fresh::begin(out, "yolo")?;
    let part = |record: &Record| Part::of(record, input.options).as_str();
    let stems = stems(&data_set.images, without_images_folder);
    let images = |record: &Record| folder.path().join("images").join(part(record));
    let placed = place_all(input, data_set, &stems, images, "yolo", exported)?;
    let write = |path: &Path, text: &str| {
        files::replace(path, text.as_bytes()).map_err(|error| ExportError::Write { path: path.to_owned(), error })
    };
    for (record, stem, _) in &placed {
        let path = folder.path().join("labels").join(part(record)).join(format!("{stem}.txt"));
        write(&path, &lines(record, data_set))?;
    }
    let val = placed.iter().any(|(record, ..)| Part::of(record, input.options) == Part::Val);
    if input.options.split.is_some() && !val {
        exported.remarks.push("yolo: --split put no image into val; data.yaml validates on train".to_owned());
    }
    write(&folder.path().join("data.yaml"), &data_yaml(data_set, val))?;
    folder.put(exported)
}

/// A subfolder called `images` would be taken for the one whose counterpart holds the labels.
fn without_images_folder(stem: &str) -> String {
    let mut parts: Vec<&str> = stem.split('/').collect();
    let folders = parts.len() - 1; // split gives one part at least
    parts[..folders].iter_mut().filter(|part| **part == "images").for_each(|part| *part = "images_");
    parts.join("/")
}

fn lines(record: &Record, data_set: &DataSet<'_>) -> String {
    let (width, height) = (f64::from(record.width), f64::from(record.height));
    let mut lines = String::new();
    for detection in &record.detections {
        let bbox = &detection.bbox;
        let (x, y) = (f64::midpoint(bbox.x0, bbox.x1) / width, f64::midpoint(bbox.y0, bbox.y1) / height);
        let (w, h) = (bbox.width() / width, bbox.height() / height);
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{} {x:.8} {y:.8} {w:.8} {h:.8}", data_set.place(&detection.label));
    }
    lines
}

/// Without `path`, so that folders are relative to the file and the data set can be moved. Ultralytics asks for both parts.
fn data_yaml(data_set: &DataSet<'_>, val: bool) -> String {
    let mut yaml = String::from("# Made by gemscope\ntrain: images/train\n");
    yaml.push_str(if val { "val: images/val\n" } else { "val: images/train # no image is kept for validation\n" });
    if data_set.categories.is_empty() {
        yaml.push_str("names: {}\n");
        return yaml;
    }
    yaml.push_str("names:\n");
    for (place, category) in data_set.categories.iter().enumerate() {
        let _ = writeln!(yaml, "  {place}: {}", quoted(&category.name));
    }
    yaml
}

/// A double-quoted scalar (YAML 1.2.2, section 7.3.1), with escapes for all that is not printable (section 5.1).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_yaml() {
        assert_eq!(quoted("red circle"), "\"red circle\"");
        assert_eq!(quoted("no: \"x\" # \\ é\u{85}\u{1}\n"), "\"no: \\\"x\\\" # \\\\ é\\u0085\\u0001\\n\"");
    }

    #[test]
    fn a_folder_called_images_is_renamed_and_a_file_is_not() {
        assert_eq!(without_images_folder("images/a/images/images"), "images_/a/images_/images");
        assert_eq!(without_images_folder("images"), "images");
    }
}
