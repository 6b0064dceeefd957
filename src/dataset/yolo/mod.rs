//! YOLO: one text file an image, one `class x_center y_center width height` a line, in parts of the
//! image's size.
//!
//! The layout (docs.ultralytics.com/datasets/detect): `train`, `val` and `test` name folders of
//! images (or lists of them) relative to `path`. The path of a label file is its image's, with the
//! last folder `images` replaced by `labels`.

mod line;
mod read;
mod settings;
mod write;

use std::path::{Component, Path, PathBuf};

pub(super) use read::read;
pub(super) use settings::names_file;
pub(super) use write::write;
pub(crate) use write::{label_line, names};

/// The label file of the image at `path`, as Ultralytics looks for it: with `labels` for the last
/// folder `images`, at any depth, and beside the image if there is none.
fn label_of(path: &Path) -> PathBuf {
    let folder = path.parent().map(labels_beside).unwrap_or_default();
    folder.join(path.file_name().unwrap_or_default()).with_extension("txt")
}

/// `folder` with its last part `images` replaced by `labels`.
fn labels_beside(folder: &Path) -> PathBuf {
    let components: Vec<Component<'_>> = folder.components().collect();
    match components.iter().rposition(|component| component.as_os_str() == "images") {
        Some(place) => components[..place]
            .iter()
            .copied()
            .chain([Component::Normal("labels".as_ref())])
            .chain(components[place + 1..].iter().copied())
            .collect(),
        None => folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_beside_the_last_images_folder() {
        let beside = |path: &str| labels_beside(Path::new(path)).to_string_lossy().into_owned();
        assert_eq!(beside("a/images/b/images/c"), "a/images/b/labels/c");
        assert_eq!(beside("a/pictures"), "a/pictures");
        for (image, label) in [
            ("x/images/train/1.jpg", "x/labels/train/1.txt"),
            ("images/train/images/a.b.jpg", "images/train/labels/a.b.txt"),
            ("/ds/images/images/a", "/ds/images/labels/a.txt"),
            ("images/x/images", "labels/x/images.txt"),
            ("pictures/a.jpg", "pictures/a.txt"),
        ] {
            assert_eq!(label_of(Path::new(image)), PathBuf::from(label));
        }
    }
}
