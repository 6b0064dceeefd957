//! COCO instances.
//!
//! In: a JSON file of images, annotations and categories (cocodataset.org/#format-data), or folders
//! of them as Roboflow lays them out. Out: the same with every reference checked and every missing
//! field given or refused. Promises: ids may be numbers or strings; images and categories are
//! sorted by id, as pycocotools sorts them; an error names the annotation.

mod json;
mod read;
pub(super) mod roboflow;
mod write;
mod written;

pub(crate) use json::RawResult;
pub use json::{Category, Id};
pub(super) use read::read;
pub use read::{Annotation, CategoryEntry, ImageEntry, Instances};
pub(crate) use read::{checked_bbox, parse_json};
pub(crate) use write::{Ids, Numbered};
pub(crate) use written::{
    Info, Skeleton, WrittenAnnotation, WrittenImage, WrittenInstances, WrittenResult,
};
