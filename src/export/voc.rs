//! `voc/`: a data set in the layout of Pascal VOC.
//!
//! In: records and the images. Out: `JPEGImages/`, `Annotations/` (an XML file an image) and
//! `ImageSets/Main/`. Promises: whole pixels as the VOC devkit counts them, from 1 and inclusive,
//! each edge within half a pixel of the box; an XML file has no object only if the answer says that
//! nothing is there.
//!
//! Readers look into flat folders, so the folders of a name become part of the file name. That
//! edges are inclusive means that `xmin` is the left edge plus one and `xmax` the right edge: what
//! supervision reads and writes, and the devkit's own files hold.

use std::fmt::Write as _;

use super::examples::{Examples, Part, Placed, describe_all, place_all, stems};
use super::folder::Fresh;
use super::{ExportError, Exported, Input};
use crate::dataset::{self, voc};
use crate::digest;
use crate::ownership::OutputDirectory;
use crate::record::Record;

pub(super) fn write(
    input: &Input<'_>,
    examples: &Examples<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let shown = examples.of(dataset::Format::Voc, exported);
    let folder = Fresh::begin(out, "voc")?;
    let stems = stems(&shown, flat);
    let images = |_: &Record| "JPEGImages/".to_owned();
    let placed = place_all(input, &shown, &stems, &folder, images, "voc", exported)?;
    let xml = |(record, stem, file_name): &Placed<'_>| {
        (format!("Annotations/{stem}.xml"), annotation(record, file_name).into_bytes())
    };
    let placed = describe_all(placed, &folder, images, xml, "voc", exported)?;
    let (mut all, mut train, mut val) = (String::new(), String::new(), String::new());
    for (record, stem, _) in &placed {
        let part = if Part::of(record, input.options) == Part::Val { &mut val } else { &mut train };
        for list in [&mut all, part] {
            // Writing to a string cannot fail.
            let _ = writeln!(list, "{stem}");
        }
    }
    let labels = examples.categories.iter().map(|category| category.name.as_str());
    folder.write("labelmap.txt", voc::labelmap(labels).as_bytes())?;
    for (name, list) in [("trainval", all), ("train", train), ("val", val)] {
        folder.write(&format!("ImageSets/Main/{name}.txt"), list.as_bytes())?;
    }
    folder.put(exported)
}

/// A stem without folders, and without what a list of lines cannot hold: line breaks and other
/// signs without a shape, spaces at the ends. One that would be too long for a file's name keeps
/// its end, and a hash tells it from others.
fn flat(stem: &str) -> String {
    // of the 255 bytes that file systems allow, with room for a hash and an extension
    const LONGEST_STEM: usize = 200;
    let flat = stem.replace('/', "__").replace(char::is_control, "_");
    let inner = flat.trim();
    let before = flat.chars().count() - flat.trim_start().chars().count();
    let behind = flat.trim_start().chars().count() - inner.chars().count();
    let flat = format!("{}{inner}{}", "_".repeat(before), "_".repeat(behind));
    if flat.len() <= LONGEST_STEM {
        return flat;
    }
    format!(
        "{:016x}_{}",
        digest::number(stem),
        &flat[flat.ceil_char_boundary(flat.len() - LONGEST_STEM)..]
    )
}

fn annotation(record: &Record, file_name: &str) -> String {
    let (width, height) = (record.width, record.height);
    let annotation = voc::Annotation {
        folder: "JPEGImages",
        file_name,
        database: Some("gemscope"),
        width,
        height,
    };
    annotation.xml(record.detections.iter().map(|detection| voc::Labelled {
        label: &detection.label,
        bbox: detection.bbox,
        difficult: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_flat_and_never_too_long() {
        assert_eq!(flat("a/b/c"), "a__b__c");
        assert_eq!(
            ["a\nb", " lead trail ", "  ", "a b"].map(flat),
            ["a_b", "_lead trail_", "__", "a b"]
        );
        let (long, other) =
            (format!("{}/é/c", "é".repeat(300)), format!("e{}/é/c", "é".repeat(300)));
        assert!(flat(&long).len() <= 217 && flat(&long).ends_with("é__é__c"), "{}", flat(&long));
        assert_ne!(flat(&long), flat(&other));
    }
}
