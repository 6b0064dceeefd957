//! Pascal VOC: one XML file an image.
//!
//! VOC's pixels count from 1 and `xmax`, `ymax` are the last ones inside (VOC2012 devkit), so `xmin
//! = x0 + 1` and `xmax = x1`, as Detectron2 reads them. Many later tools count from 0: a dataset in
//! which any `xmin` or `ymin` is 0 must be theirs and is read that way.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::write;
pub(crate) use write::{Annotation, Labelled, labelmap};
