//! A data set as COCO instances.

use serde::Serialize;

use super::super::Dataset;

#[derive(Serialize)]
struct WrittenImage<'d> {
    id: u64,
    file_name: &'d str,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct WrittenAnnotation {
    id: u64,
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    segmentation: [(); 0],
}

/// The ids of a list: those that it has, or numbers from 1 if one has none.
fn ids_of(known: impl Iterator<Item = Option<u64>>, what: &str, remarks: &mut Vec<String>) -> Vec<u64> {
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
pub(crate) fn text(dataset: &Dataset, remarks: &mut Vec<String>) -> String {
    let category_ids: Vec<u64> = if dataset.category_ids.is_empty() {
        (1..=dataset.categories.len() as u64).collect()
    } else {
        dataset.category_ids.clone()
    };
    let image_ids = ids_of(dataset.images.iter().map(|image| image.id), "images", remarks);
    let objects = dataset.images.iter().flat_map(|image| &image.objects);
    let mut annotation_ids = ids_of(objects.map(|object| object.id), "annotations", remarks).into_iter();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (image, image_id) in dataset.images.iter().zip(image_ids) {
        images.push(WrittenImage { id: image_id, file_name: &image.name, width: image.width, height: image.height });
        for (object, id) in image.objects.iter().zip(annotation_ids.by_ref()) {
            annotations.push(WrittenAnnotation {
                id,
                image_id,
                category_id: category_ids[object.category],
                bbox: [object.bbox.x0, object.bbox.y0, object.bbox.width(), object.bbox.height()],
                area: object.area,
                iscrowd: object.crowd.into(),
                segmentation: [],
            });
        }
    }
    if dataset.is_split() {
        remarks
            .push(format!("one COCO file holds one set: the splits ({} images) are not kept", dataset.split_counts()));
    }
    let categories: Vec<_> = (dataset.categories.iter().zip(category_ids))
        .map(|(name, id)| serde_json::json!({"id": id, "name": name, "supercategory": ""}))
        .collect();
    let instances = serde_json::json!({
        "info": {"description": "Made by gemscope convert", "version": env!("CARGO_PKG_VERSION")},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    });
    format!("{instances}\n")
}

