//! A [`Dataset`] to a folder for YOLO.
//!
//! In: a [`Dataset`]. Out: `labels/` and `data.yaml`. Promises: boxes keep their edges to a thousandth of a pixel; no name can break the YAML.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::{Dataset, DatasetError, label_files, write_file};
use crate::record::BBox;

pub(in super::super) fn write(
    dataset: &Dataset,
    out: &Path,
    remarks: &mut Vec<String>,
) -> Result<Vec<PathBuf>, DatasetError> {
    let files = label_files(dataset, "txt")?;
    let mut crowds = 0;
    for (image, file) in dataset.images.iter().zip(files) {
        let mut text = String::new();
        for object in &image.objects {
            if object.crowd {
                crowds += 1;
            } else {
                text.push_str(&label_line(object.category, &object.bbox, image.width, image.height));
            }
        }
        write_file(out.join("labels").join(file), text.as_bytes())?;
    }
    if crowds > 0 {
        remarks.push(format!("{crowds} boxes of crowds are left out: YOLO has no word for them"));
    }
    remarks.push(format!("the images belong into {}", out.join("images").display()));
    let names = names(dataset.categories.iter().map(String::as_str));
    let yaml = format!("train: images\nval: images\n{names}");
    Ok(vec![write_file(out.join("data.yaml"), yaml.as_bytes())?])
}

/// The line of a box in an image of `width` x `height` pixels, with its end. Eight decimals are a thousandth of a pixel even where an image
/// is 100,000 pixels wide.
pub(crate) fn label_line(class: usize, bbox: &BBox, width: u32, height: u32) -> String {
    let (width, height) = (f64::from(width), f64::from(height));
    let (x, y) = (f64::midpoint(bbox.x0, bbox.x1) / width, f64::midpoint(bbox.y0, bbox.y1) / height);
    format!("{class} {x:.8} {y:.8} {:.8} {:.8}\n", bbox.width() / width, bbox.height() / height)
}

/// `names` of a `data.yaml`, in the order of the classes.
pub(crate) fn names<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    if names.len() == 0 {
        return "names: {}\n".into();
    }
    let mut yaml = String::from("names:\n");
    for (class, name) in names.enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(yaml, "  {class}: {}", quoted(name));
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
}
