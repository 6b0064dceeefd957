//! A truth and predictions as hotcoco takes them.

use hotcoco::params::IouType;
use hotcoco::{Annotation, COCO, COCOeval, Category, Dataset, Image};

use super::{EvalError, Predictions, Truth};

/// hotcoco's id of a place: ids count from 1, since 0 stands for "unmatched" in COCO's matching.
fn id(place: usize) -> u64 {
    place as u64 + 1
}

/// The place of one of hotcoco's ids.
pub(super) fn place(id: u64) -> usize {
    id as usize - 1
}

/// An evaluator of boxes with COCO's settings. Ids of images and categories are places in the
/// truth, which is sorted by id, plus 1: equal scores keep the order that they have in pycocotools.
/// Ids of annotations and detections are places plus 1, too.
pub(super) fn evaluator(truth: &Truth, predictions: &Predictions) -> Result<COCOeval, EvalError> {
    let instances = &truth.instances;
    let images = (0..instances.images.len())
        .map(|place| Image { id: id(place), ..Image::default() })
        .collect();
    let categories = (instances.categories.iter().enumerate())
        .map(|(place, category)| Category {
            id: id(place),
            name: category.name.clone(),
            ..Category::default()
        })
        .collect();
    let annotations = (instances.annotations.iter().enumerate())
        .map(|(place, annotation)| Annotation {
            id: id(place),
            image_id: id(annotation.image),
            category_id: id(annotation.category),
            bbox: Some(annotation.bbox),
            area: Some(annotation.area),
            iscrowd: annotation.crowd,
            ..Annotation::default()
        })
        .collect();
    let truth_side =
        COCO::from_dataset(Dataset { images, categories, annotations, ..Dataset::default() });
    let scores = || predictions.detections.iter().filter_map(|detection| detection.score);
    // Behind every score that there is.
    let unscored = scores().fold(0.0, f64::min) - 1.0;
    let detections = (predictions.detections.iter())
        .map(|detection| Annotation {
            image_id: id(detection.image),
            category_id: id(detection.category),
            bbox: Some(detection.bbox),
            score: Some(detection.score.unwrap_or(unscored)),
            ..Annotation::default()
        })
        .collect();
    // Gives them the ids 1, 2, ... in their order.
    let detections = truth_side
        .load_res_anns(detections)
        .map_err(|error| EvalError::Hotcoco(error.to_string()))?;
    let mut evaluator = COCOeval::new(truth_side, detections, IouType::Bbox);
    evaluator.params.cat_ids =
        (0..instances.categories.len()).filter(|place| truth.wanted[*place]).map(id).collect();
    Ok(evaluator)
}
