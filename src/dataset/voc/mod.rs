//! Pascal VOC: one XML file an image.
//!
//! VOC's pixels count from 1 and `xmax`, `ymax` are the last ones inside (VOC2012 devkit), so `xmin
//! = x0 + 1` and `xmax = x1`, as Detectron2 reads them. Many later tools count from 0: a dataset in
//! which any `xmin` or `ymin` is 0 must be theirs and is read that way.

mod read;
mod write;

use std::path::Path;

use super::Split;
use super::reading::has_extension;
pub(super) use read::read;
pub(super) use write::write;
pub(crate) use write::{Annotation, Labelled, labelmap};

/// Whether folders of splits (`train`, `valid` ...) hold XML files beside their images, as Roboflow
/// lays them out.
pub(super) fn has_split_folders(path: &Path) -> bool {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders = entries
        .filter(|entry| Split::of_word(&entry.file_name().to_string_lossy()).is_some())
        .map(|entry| entry.path());
    folders.any(|folder| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        // That name is CVAT's.
        let is_voc = |file: &Path| {
            has_extension(file, &["xml"])
                && file.file_name().is_some_and(|n| n != "annotations.xml")
        };
        files.into_iter().any(|file| is_voc(&file.path()))
    })
}
