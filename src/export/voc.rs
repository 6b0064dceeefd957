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

use super::examples::{Examples, Part, place_all, stems};
use super::folder::Fresh;
use super::{ExportError, Exported, Input};
use crate::dataset::voc;
use crate::files;
use crate::record::Record;

pub(super) fn write(
    input: &Input<'_>,
    examples: &Examples<'_>,
    out: &Path,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    examples.remark("voc", exported);
    let folder = Fresh::begin(out, "voc")?;
    let stems = stems(&examples.images, |stem| stem.replace('/', "__"));
    let placed = place_all(input, examples, &stems, |_| folder.path().join("JPEGImages"), "voc", exported)?;
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
    let (width, height) = (record.width, record.height);
    let annotation = voc::Annotation { folder: "JPEGImages", file_name, database: Some("gemscope"), width, height };
    annotation.xml(record.detections.iter().map(|detection| voc::Labelled {
        label: &detection.label,
        bbox: detection.bbox,
        difficult: false,
    }))
}
