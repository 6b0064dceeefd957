//! A data set as COCO instances.

use super::super::Dataset;
use super::json::{Category, WrittenAnnotation, WrittenImage, WrittenInstances};

/// The ids of a list: those that it has, or numbers from 1 if one has none.
fn ids_of(
    known: impl Iterator<Item = Option<u64>>,
    what: &str,
    remarks: &mut Vec<String>,
) -> Vec<u64> {
    let known: Vec<Option<u64>> = known.collect();
    let ids: Vec<u64> = known.iter().flatten().copied().collect();
    if ids.len() == known.len() {
        return ids;
    }
    if !ids.is_empty() {
        remarks.push(format!(
            "{} of {} {what} have no id that is a whole number: all are numbered anew, from 1",
            known.len() - ids.len(),
            known.len()
        ));
    }
    (1..=known.len() as u64).collect()
}

/// The file of a data set.
///
/// # Errors
/// None that is known: it is plain data.
pub(crate) fn text(dataset: &Dataset, remarks: &mut Vec<String>) -> serde_json::Result<String> {
    let category_ids: Vec<u64> = if dataset.category_ids.is_empty() {
        (1..=dataset.categories.len() as u64).collect()
    } else {
        dataset.category_ids.clone()
    };
    let image_ids = ids_of(dataset.images.iter().map(|image| image.id), "images", remarks);
    let objects = dataset.images.iter().flat_map(|image| &image.objects);
    let mut annotation_ids =
        ids_of(objects.map(|object| object.id), "annotations", remarks).into_iter();
    let mut instances = WrittenInstances::new("Made by gemscope convert");
    for (image, image_id) in dataset.images.iter().zip(image_ids) {
        let (file_name, width, height) = (image.name.as_str(), image.width, image.height);
        instances.images.push(WrittenImage {
            id: image_id,
            file_name,
            width,
            height,
            status: None,
        });
        for (object, id) in image.objects.iter().zip(annotation_ids.by_ref()) {
            let mut annotation =
                WrittenAnnotation::new(id, image_id, category_ids[object.category], &object.bbox);
            (annotation.area, annotation.iscrowd) = (object.area, object.crowd.into());
            instances.annotations.push(annotation);
        }
    }
    if dataset.is_split() {
        remarks.push(format!(
            "one COCO file holds one set: the splits ({} images) are not kept",
            dataset.split_counts()
        ));
    }
    let category = |(name, id): (&String, u64)| Category {
        id,
        name: name.clone(),
        supercategory: String::new(),
    };
    instances.categories = dataset.categories.iter().zip(category_ids).map(category).collect();
    Ok(serde_json::to_string(&instances)? + "\n")
}
