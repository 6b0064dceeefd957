//! YOLO: one text file an image, one `class x_center y_center width height` a line, in parts of the image's size.
//!
//! The layout (docs.ultralytics.com/datasets/detect): `train`, `val` and `test` name folders of images (or lists of them) relative to
//! `path`, and a label file lies where its image lies, with the last folder `images` replaced by `labels`.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::write;
pub(crate) use write::{label_line, names};
