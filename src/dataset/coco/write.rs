//! A data set as COCO instances.
//!
//! In: a data set. Out: the JSON, written entry by entry: a file of a gigabyte is never in memory.

use std::borrow::Cow;
use std::io::Write;

use super::super::counted::counted;
use super::super::{Dataset, Image};
use super::written::{
    InTurn, Info, Skeleton, WrittenAnnotation, WrittenCategory, WrittenImage, WrittenInstances,
    WrittenOutline,
};
use crate::record::AnswerStatus;

/// How a COCO file counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ids {
    /// The first id, where all are to be counted anew; else known ids stay.
    pub(crate) from: Option<u64>,
}

/// The ids of a list.
#[derive(Debug, Clone, Copy)]
enum Numbering {
    /// Those that its entries have.
    Own,
    /// Numbers from this one on.
    From(u64),
}

impl Numbering {
    /// The own ids, or numbers from 1 if an entry has none, or if an id is there twice.
    fn of(
        known: impl Iterator<Item = Option<u64>>,
        what: &str,
        ids: Ids,
        remarks: &mut Vec<String>,
    ) -> Self {
        if let Some(from) = ids.from {
            return Self::From(from);
        }
        let mut count = 0;
        let mut own: Vec<u64> = known.inspect(|_| count += 1).flatten().collect();
        let with_id = own.len();
        own.sort_unstable();
        own.dedup();
        if with_id == count && own.len() == count {
            return Self::Own;
        }
        if with_id == count {
            remarks.push(format!(
                "{} there twice in {what}: all are numbered anew, from 1",
                counted(count - own.len(), "id is", "ids are")
            ));
        } else if with_id > 0 {
            remarks.push(format!(
                "{} of {count} {what} have no id that is a whole number: all are numbered anew, \
                 from 1",
                count - with_id
            ));
        }
        Self::From(1)
    }

    /// The id of the entry at `place`, whose own is `own`.
    fn id(self, place: usize, own: Option<u64>) -> u64 {
        match (self, own) {
            (Self::Own, Some(own)) => own,
            (Self::Own, None) => place as u64 + 1,
            (Self::From(first), _) => first + place as u64,
        }
    }
}

/// The ids of the categories.
pub(crate) fn category_ids(dataset: &Dataset, ids: Ids) -> Vec<u64> {
    let count = dataset.categories.len() as u64;
    match ids.from {
        Some(from) => (from..from + count).collect(),
        None if dataset.category_ids.is_empty() => (1..=count).collect(),
        None => dataset.category_ids.clone(),
    }
}

/// A data set with the ids that its entries get in COCO files.
pub(crate) struct Numbered<'d> {
    dataset: &'d Dataset,
    categories: Vec<u64>,
    images: Numbering,
    annotations: Numbering,
}

impl<'d> Numbered<'d> {
    /// The ids of `dataset`; where known ones do not stay, `remarks` says so.
    pub(crate) fn of(dataset: &'d Dataset, ids: Ids, remarks: &mut Vec<String>) -> Self {
        let of_images = dataset.images.iter().map(|image| image.id);
        let of_objects = dataset.images.iter().flat_map(|image| {
            let objects = image.objects.iter().map(|object| object.id);
            objects.chain(image.points.iter().map(|point| point.id))
        });
        Self {
            dataset,
            categories: category_ids(dataset, ids),
            images: Numbering::of(of_images, "images", ids, remarks),
            annotations: Numbering::of(of_objects, "annotations", ids, remarks),
        }
    }

    /// Writes the file of those images that are `wanted`. Ids are those of the whole set.
    ///
    /// # Errors
    /// Those of `sink`.
    pub(crate) fn write(
        &self,
        wanted: impl Fn(&Image) -> bool,
        sink: &mut dyn Write,
    ) -> std::io::Result<()> {
        let images = InTurn(|| {
            let images = self.images().filter(|(image, ..)| wanted(image));
            images.map(|(image, id, _)| WrittenImage {
                id,
                file_name: &image.name,
                width: image.width,
                height: image.height,
                status: is_described(image).then_some(AnswerStatus::Text),
                attributes: image.fields.as_deref(),
                more: image.more.as_deref(),
            })
        });
        let annotations = InTurn(|| {
            let images = self.images().filter(|(image, ..)| wanted(image));
            images.flat_map(|(image, id, first)| self.annotations(image, id, first))
        });
        let mut instances = WrittenInstances::new("Made by gemscope convert", images, annotations);
        if let Some(coco) = &self.dataset.coco {
            if let Some(info) = coco.file.get("info") {
                instances.info = Info::Read(info);
            }
            if let Some(licenses) = coco.file.get("licenses") {
                instances.licenses = Cow::Borrowed(licenses);
            }
        }
        let mut pointed = vec![false; self.categories.len()];
        self.dataset.points().for_each(|point| pointed[point.category] = true);
        let fields = self.dataset.coco.as_deref().map(|coco| coco.categories.as_slice());
        let fields = fields.unwrap_or_default();
        for (place, (name, &id)) in self.dataset.categories.iter().zip(&self.categories).enumerate()
        {
            let more = fields.get(place);
            let lacks = |key: &str| more.is_none_or(|more| !more.contains_key(key));
            let supercategory = lacks("supercategory").then_some("");
            let skeleton =
                (pointed[place] && lacks("keypoints") && lacks("skeleton")).then(Skeleton::default);
            let category = WrittenCategory { id, name, supercategory, skeleton, more };
            instances.categories.push(category);
        }
        serde_json::to_writer(&mut *sink, &instances)?;
        sink.write_all(b"\n")
    }

    /// Every image, its id, and how many annotations stand before its own.
    fn images(&self) -> impl Iterator<Item = (&'d Image, u64, usize)> {
        let mut before = 0;
        self.dataset.images.iter().enumerate().map(move |(place, image)| {
            let first = before;
            before += image.objects.len() + image.points.len();
            (image, self.images.id(place, image.id), first)
        })
    }

    fn annotations(
        &self,
        image: &'d Image,
        image_id: u64,
        first: usize,
    ) -> impl Iterator<Item = WrittenAnnotation<'d>> {
        let of_points = first + image.objects.len();
        let points = image.points.iter().zip(of_points..).map(move |(point, place)| {
            let id = self.annotations.id(place, point.id);
            let category_id = self.categories[point.category];
            WrittenAnnotation::of_point(id, image_id, category_id, point.x, point.y)
        });
        let objects = image.objects.iter().zip(first..).map(move |(object, place)| {
            let id = self.annotations.id(place, object.id);
            let category_id = self.categories[object.category];
            let mut annotation = WrittenAnnotation::new(id, image_id, category_id, &object.bbox);
            (annotation.area, annotation.iscrowd) = (object.area, object.crowd.into());
            annotation.segmentation = WrittenOutline(object.outline.as_deref());
            (annotation.score, annotation.more) = (object.score, object.more.as_deref());
            annotation
        });
        objects.chain(points)
    }
}

/// Whether an image is there for its fields alone, and its file has not said so.
fn is_described(image: &Image) -> bool {
    let has_status = image.more.as_ref().is_some_and(|more| more.contains_key("status"));
    image.unboxed && image.points.is_empty() && !has_status
}
