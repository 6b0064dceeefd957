//! `voc/`: a data set in the layout of Pascal VOC.
//!
//! In: records and the images. Out: `JPEGImages/`, `Annotations/` (an XML file an image) and `ImageSets/Main/`. Promises: whole pixels as
//! the VOC devkit counts them, from 1 and inclusive, each edge within half a pixel of the box; an XML file has no object only where the
//! answer says that nothing is there.
//!
//! Readers look into flat folders, so the folders of a name become part of the file name. That edges are inclusive means that `xmin` is
//! the left edge plus one and `xmax` the right edge: what supervision reads and writes, and the devkit's own files hold.

use std::fmt::Write as _;
use std::path::Path;

use super::dataset::{DataSet, Part, place_all, stems};
use super::folder::Fresh;
use super::xml::escape;
use super::{ExportError, Exported, Input};
use crate::files;
use crate::record::Record;

pub(super) fn write(
    input: &Input<'_>,
    data_set: &DataSet<'_>,
    out: &Path,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    data_set.remark("voc", exported);
    let folder = Fresh::begin(out, "voc")?;
    let stems = stems(&data_set.images, |stem| stem.replace('/', "__"));
    let placed = place_all(input, data_set, &stems, |_| folder.path().join("JPEGImages"), "voc", exported)?;
    let write = |path: &Path, text: &str| {
        files::replace(path, text.as_bytes()).map_err(|error| ExportError::Write { path: path.to_owned(), error })
    };
    let (mut all, mut train, mut val) = (String::new(), String::new(), String::new());
    for (record, stem, file_name) in &placed {
        write(&folder.path().join("Annotations").join(format!("{stem}.xml")), &annotation(record, file_name))?;
        let part = if Part::of(record, input.options) == Part::Val { &mut val } else { &mut train };
        for list in [&mut all, part] {
            // Writing to a string cannot fail.
            let _ = writeln!(list, "{stem}");
        }
    }
    for (name, list) in [("trainval", all), ("train", train), ("val", val)] {
        write(&folder.path().join("ImageSets/Main").join(format!("{name}.txt")), &list)?;
    }
    folder.put(exported)
}

fn annotation(record: &Record, file_name: &str) -> String {
    let mut xml = format!(
        "<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{}</filename>\n  <source>\n    <database>gemscope</database>\n  \
         </source>\n  <size>\n    <width>{}</width>\n    <height>{}</height>\n    <depth>3</depth>\n  </size>\n  \
         <segmented>0</segmented>\n",
        escape(file_name),
        record.width,
        record.height
    );
    for detection in &record.detections {
        let (xmin, xmax) = pixels(detection.bbox.x0, detection.bbox.x1, record.width);
        let (ymin, ymax) = pixels(detection.bbox.y0, detection.bbox.y1, record.height);
        let _ = writeln!(
            xml,
            "  <object>\n    <name>{}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n    \
             <difficult>0</difficult>\n    <bndbox>\n      <xmin>{xmin}</xmin>\n      <ymin>{ymin}</ymin>\n      \
             <xmax>{xmax}</xmax>\n      <ymax>{ymax}</ymax>\n    </bndbox>\n  </object>",
            escape(&detection.label)
        );
    }
    xml.push_str("</annotation>\n");
    xml
}

/// The first and the last pixel of a box, counted from 1. One that is thinner than a pixel may lie between two edges: it becomes the
/// pixel that its middle is in.
fn pixels(from: f64, to: f64, size: u32) -> (u32, u32) {
    let (first, end) = (from.round() as u32, to.round() as u32);
    if first < end {
        return (first + 1, end);
    }
    let pixel = (f64::midpoint(from, to) as u32).min(size - 1);
    (pixel + 1, pixel + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn boxes_keep_their_edges_within_half_a_pixel(from in 0.0..999.0_f64, length in 1.0..1000.0_f64) {
            let to = (from + length).min(1000.0);
            let (first, last) = pixels(from, to, 1000);
            prop_assert!((f64::from(first - 1) - from).abs() <= 0.5 && (f64::from(last) - to).abs() <= 0.5);
            prop_assert!(1 <= first && first <= last && last <= 1000);
        }

        #[test]
        fn thin_boxes_are_a_pixel_of_the_image(from in 0.0..9.99_f64, length in 0.001..1.0_f64) {
            let (first, last) = pixels(from, (from + length).min(10.0), 10);
            prop_assert!(1 <= first && first <= last && last <= 10);
        }
    }
}
