//! The JSON of COCO instances and results, as it is written: with every field of the format.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::super::model::Outline;
use super::json::Category;
use crate::record::{AnswerStatus, BBox};

/// A file of instances, whose `images` and `annotations` are lists of [`WrittenImage`] and of
/// [`WrittenAnnotation`].
#[derive(Clone, Serialize)]
pub(crate) struct WrittenInstances<'d, I, A> {
    pub(crate) info: Info<'d>,
    pub(crate) licenses: Cow<'d, Value>,
    pub(crate) images: I,
    pub(crate) annotations: A,
    pub(crate) categories: Vec<WrittenCategory<'d>>,
}

impl<I, A> WrittenInstances<'_, I, A> {
    /// A file without a category that says of itself what `description` says.
    pub(crate) fn new(description: &'static str, images: I, annotations: A) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let info = Info::Own { description, version, models: None };
        let licenses = Cow::Owned(Value::Array(Vec::new()));
        Self { info, licenses, images, annotations, categories: Vec::new() }
    }
}

/// A list whose elements are made one by one, as they are written.
pub(crate) struct InTurn<F>(pub(crate) F);

impl<F, I> Serialize for InTurn<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// The maker of the file.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Info<'d> {
    Own {
        description: &'static str,
        version: &'static str,
        /// The model of each run. Not part of COCO.
        #[serde(skip_serializing_if = "Option::is_none")]
        models: Option<&'d [String]>,
    },
    /// What the file said that it was read from.
    Read(&'d Value),
}

#[derive(Clone, Serialize)]
pub(crate) struct WrittenImage<'d> {
    pub(crate) id: u64,
    pub(crate) file_name: &'d str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Not part of COCO; readers ignore what they do not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<AnswerStatus>,
    /// What is said about the whole image. Not part of COCO either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attributes: Option<&'d Map<String, Value>>,
    #[serde(flatten)]
    pub(crate) more: Option<&'d Map<String, Value>>,
}

#[derive(Clone, Serialize)]
pub(crate) struct WrittenAnnotation<'d> {
    pub(crate) id: u64,
    pub(crate) image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    pub(crate) area: f64,
    pub(crate) iscrowd: u8,
    pub(crate) segmentation: WrittenOutline<'d>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<f64>,
    #[serde(flatten)]
    keypoint: Option<Keypoint>,
    #[serde(flatten)]
    pub(crate) more: Option<&'d Map<String, Value>>,
}

impl WrittenAnnotation<'_> {
    /// A single object whose area is that of its box.
    pub(crate) fn new(id: u64, image_id: u64, category_id: u64, bbox: &BBox) -> Self {
        let (bbox, area) = (xywh(bbox), bbox.area());
        Self {
            id,
            image_id,
            category_id,
            bbox,
            area,
            iscrowd: 0,
            segmentation: WrittenOutline(None),
            score: None,
            keypoint: None,
            more: None,
        }
    }

    /// A point: one keypoint, and a box without an area.
    pub(crate) fn of_point(id: u64, image_id: u64, category_id: u64, x: f64, y: f64) -> Self {
        let spot = BBox { x0: x, y0: y, x1: x, y1: y };
        let keypoint = Some(Keypoint { keypoints: (x, y, SEEN), num_keypoints: 1 });
        Self { keypoint, ..Self::new(id, image_id, category_id, &spot) }
    }
}

/// COCO's word for a keypoint that is labelled and seen.
const SEEN: u8 = 2;

/// The fields of an annotation of one keypoint.
#[derive(Clone, Serialize)]
struct Keypoint {
    keypoints: (f64, f64, u8),
    num_keypoints: u8,
}

/// The fields of a category whose things have one keypoint.
#[derive(Clone, Serialize)]
pub(crate) struct Skeleton {
    keypoints: [&'static str; 1],
    skeleton: [u8; 0],
}

impl Default for Skeleton {
    fn default() -> Self {
        Self { keypoints: ["point"], skeleton: [] }
    }
}

/// An outline as COCO has it; an empty list if there is none.
#[derive(Clone, Copy)]
pub(crate) struct WrittenOutline<'d>(pub(crate) Option<&'d Outline>);

impl Serialize for WrittenOutline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.collect_seq(std::iter::empty::<f64>()),
            Some(Outline::Polygons(polygons)) => polygons.serialize(serializer),
            Some(Outline::Mask(mask)) => mask.serialize(serializer),
        }
    }
}

#[derive(Clone, Serialize)]
pub(crate) struct WrittenCategory<'d> {
    pub(crate) id: u64,
    pub(crate) name: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) supercategory: Option<&'d str>,
    #[serde(flatten)]
    pub(crate) skeleton: Option<Skeleton>,
    #[serde(flatten)]
    pub(crate) more: Option<&'d Map<String, Value>>,
}

impl<'d> From<&'d Category> for WrittenCategory<'d> {
    fn from(category: &'d Category) -> Self {
        let supercategory = Some(category.supercategory.as_str());
        Self { id: category.id, name: &category.name, supercategory, skeleton: None, more: None }
    }
}

/// One element of a results file.
#[derive(Serialize)]
pub(crate) struct WrittenResult {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    score: f64,
}

impl WrittenResult {
    /// A box of an image and a category.
    pub(crate) fn new(image_id: u64, category_id: u64, bbox: &BBox, score: f64) -> Self {
        Self { image_id, category_id, bbox: xywh(bbox), score }
    }
}

fn xywh(bbox: &BBox) -> [f64; 4] {
    [bbox.x0, bbox.y0, bbox.width(), bbox.height()]
}
