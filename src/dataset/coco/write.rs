//! A data set as COCO instances.

use std::borrow::Cow;

use serde::ser::Error as _;

use super::super::{Dataset, Image};
use super::json::{
    Info, WrittenAnnotation, WrittenCategory, WrittenImage, WrittenInstances, WrittenOutline,
};

/// Bytes of an image or an annotation, more than most have.
const ROOM: usize = 512;

/// How a COCO file counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ids {
    /// The first id, where all are to be counted anew; else known ids stay.
    pub(crate) from: Option<u64>,
}

/// The ids of a list: those that it has, or numbers from 1 if one has none, or if one is there
/// twice.
fn ids_of(
    known: impl Iterator<Item = Option<u64>>,
    what: &str,
    ids: Ids,
    remarks: &mut Vec<String>,
) -> Vec<u64> {
    let known: Vec<Option<u64>> = known.collect();
    let count = known.len() as u64;
    if let Some(from) = ids.from {
        return (from..from + count).collect();
    }
    let own: Vec<u64> = known.iter().flatten().copied().collect();
    let mut sorted = own.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if own.len() == known.len() && sorted.len() == own.len() {
        return own;
    }
    if own.len() == known.len() {
        remarks.push(format!(
            "{} ids of {what} are there twice: all of them are numbered anew, from 1",
            own.len() - sorted.len()
        ));
    } else if !own.is_empty() {
        remarks.push(format!(
            "{} of {} {what} have no id that is a whole number: all are numbered anew, from 1",
            known.len() - own.len(),
            known.len()
        ));
    }
    (1..=count).collect()
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

/// The file of those images of a data set that are `wanted`. Ids are those of the whole set.
///
/// # Errors
/// None that is known: it is plain data.
pub(crate) fn text(
    dataset: &Dataset,
    wanted: impl Fn(&Image) -> bool,
    ids: Ids,
    remarks: &mut Vec<String>,
) -> serde_json::Result<String> {
    let category_ids = category_ids(dataset, ids);
    let image_ids = ids_of(dataset.images.iter().map(|image| image.id), "images", ids, remarks);
    let known = dataset.objects().map(|object| object.id);
    let mut annotation_ids = ids_of(known, "annotations", ids, remarks).into_iter();
    let mut instances = WrittenInstances::new("Made by gemscope convert");
    if let Some(coco) = &dataset.coco {
        if let Some(info) = coco.file.get("info") {
            instances.info = Info::Read(info);
        }
        if let Some(licenses) = coco.file.get("licenses") {
            instances.licenses = Cow::Borrowed(licenses);
        }
    }
    for (image, id) in dataset.images.iter().zip(image_ids) {
        let own = annotation_ids.by_ref().take(image.objects.len());
        if !wanted(image) {
            own.for_each(drop);
            continue;
        }
        let file_name = image.name.as_str();
        let (width, height, more) = (image.width, image.height, image.more.as_deref());
        instances.images.push(WrittenImage { id, file_name, width, height, status: None, more });
        for (object, annotation_id) in image.objects.iter().zip(own) {
            let category_id = category_ids[object.category];
            let mut annotation =
                WrittenAnnotation::new(annotation_id, id, category_id, &object.bbox);
            (annotation.area, annotation.iscrowd) = (object.area, object.crowd.into());
            annotation.segmentation = WrittenOutline(object.outline.as_deref());
            (annotation.score, annotation.more) = (object.score, object.more.as_deref());
            instances.annotations.push(annotation);
        }
    }
    let fields = dataset.coco.as_deref().map(|coco| coco.categories.as_slice()).unwrap_or_default();
    for (place, (name, id)) in dataset.categories.iter().zip(category_ids).enumerate() {
        let more = fields.get(place);
        let supercategory =
            more.is_none_or(|more| !more.contains_key("supercategory")).then_some("");
        instances.categories.push(WrittenCategory { id, name, supercategory, more });
    }
    // A text that grows is copied, and for a moment there three times; what is not written of its
    // room takes no memory.
    let entries = instances.images.len() + instances.annotations.len();
    let mut text = Vec::with_capacity(ROOM * (entries + 1));
    serde_json::to_writer(&mut text, &instances)?;
    text.push(b'\n');
    String::from_utf8(text).map_err(serde_json::Error::custom)
}
