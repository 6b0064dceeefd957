//! COCO.
//!
//! In: records. Out: `instances.json` (images, categories, annotations) and `results.json` (for
//! evaluation: every scored box of these images and categories, those too that filters left out);
//! with a split also `instances_train.json` and `instances_val.json`, with the same ids; with
//! upright copies `upright/`. Promises: ids follow the sorted names; an image has no annotations
//! only if the answer says that nothing is there. A point is an annotation with one keypoint and a
//! box without an area.
//!
//! Ids count from 1.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use super::examples::{Examples, Part, place_all, stems};
use super::folder::Fresh;
use super::{ExportError, Exported, Input};
use crate::dataset::{
    self,
    coco::{Info, Skeleton, WrittenAnnotation, WrittenImage, WrittenInstances, WrittenResult},
};
use crate::ownership::{OutputDirectory, Staging};
use crate::record::{AnswerStatus, Record};
use crate::source::is_address;

pub(super) fn write(
    input: &Input<'_>,
    examples: &Examples<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let records = examples.of(dataset::Format::Coco, exported);
    let images: Vec<(&Record, Cow<'_, str>)> = if input.options.write_upright {
        write_upright(input, &records, out, exported)?
    } else {
        records.iter().map(|record| (*record, Cow::Borrowed(record.image.as_str()))).collect()
    };
    let addresses: Vec<Option<Map<String, Value>>> =
        images.iter().map(|(record, _)| address_of(record)).collect();
    let mut instances = WrittenInstances::new("Made by gemscope", Vec::new(), Vec::new());
    if let Info::Own { models, .. } = &mut instances.info {
        *models = Some(&input.run.models);
    }
    instances.categories = examples.categories.iter().map(Into::into).collect();
    for category in &mut instances.categories {
        let mut points = images.iter().flat_map(|(record, _)| &record.points);
        let has_points = points.any(|point| point.label == category.name);
        category.skeleton = has_points.then(Skeleton::default);
    }
    let mut results = Vec::new();
    let mut unscored = 0;
    for (((record, file_name), address), image_id) in images.iter().zip(&addresses).zip(1..) {
        let (width, height, status) = (record.width, record.height, Some(record.status));
        instances.images.push(WrittenImage {
            id: image_id,
            file_name,
            width,
            height,
            status,
            attributes: record.fields.as_deref(),
            more: address.as_ref(),
        });
        let exported = || {
            let boxes = record.detections.iter();
            // Boxes that stand in a text are none.
            let boxes = boxes.filter(|_| record.status != AnswerStatus::Text);
            boxes.map(|detection| (detection, examples.place(&detection.label)))
        };
        for (detection, place) in exported() {
            let id = instances.annotations.len() as u64 + 1;
            let category_id = examples.categories[place].id;
            let annotation = WrittenAnnotation::new(id, image_id, category_id, &detection.bbox);
            instances.annotations.push(annotation);
        }
        for point in &record.points {
            let id = instances.annotations.len() as u64 + 1;
            let category_id = examples.categories[examples.place(&point.label)].id;
            let annotation =
                WrittenAnnotation::of_point(id, image_id, category_id, point.x, point.y);
            instances.annotations.push(annotation);
        }
        for (detection, place) in exported().chain(examples.left_out_of(&record.image)) {
            let category_id = examples.categories[place].id;
            match detection.score {
                Some(score) => {
                    results.push(WrittenResult::new(image_id, category_id, &detection.bbox, score));
                }
                None => unscored += 1,
            }
        }
    }
    if unscored > 0 {
        let boxes = dataset::counted(unscored, "box without a score", "boxes without scores");
        exported.remarks.push(format!("coco: results.json lacks {boxes}"));
    }
    let staged = out.stage()?;
    let mut written = vec!["instances.json".to_owned()];
    stage_json(&staged, "instances.json", &instances)?;
    if input.options.split.is_some() {
        for part in [Part::Train, Part::Val] {
            let in_part = |id: u64| Part::of(images[id as usize - 1].0, input.options) == part;
            let mut instances_of_part = instances.clone();
            instances_of_part.images.retain(|image| in_part(image.id));
            instances_of_part.annotations.retain(|annotation| in_part(annotation.image_id));
            let name = format!("instances_{}.json", part.as_str());
            stage_json(&staged, &name, &instances_of_part)?;
            written.push(name);
        }
    }
    // An empty list of results is no file that loadRes opens.
    if !results.is_empty() {
        stage_json(&staged, "results.json", &results)?;
        written.push("results.json".to_owned());
    }
    // Parts and copies that this export does not have would have other ids and names.
    let scope = if input.options.write_upright { &SCOPE[..SCOPE.len() - 1] } else { &SCOPE };
    let left = out.place(&staged, scope)?;
    exported.remark_left(&left);
    exported.written.extend(written.iter().map(|name| out.join(name)));
    Ok(())
}

/// An image on the web is called by its address, which COCO says once more.
fn address_of(record: &Record) -> Option<Map<String, Value>> {
    let address = is_address(&record.image).then(|| Value::from(record.image.as_str()))?;
    Some(Map::from_iter([("coco_url".to_owned(), address)]))
}

/// Everything that the format writes, `upright/` last, which is put in place by itself.
const SCOPE: [&str; 5] =
    ["instances.json", "instances_train.json", "instances_val.json", "results.json", "upright"];

/// Makes `value` the file `name`, as one line of JSON.
fn stage_json<T: Serialize>(staged: &Staging, name: &str, value: &T) -> Result<(), ExportError> {
    let bytes = serde_json::to_vec(value).map_err(Into::into);
    let staged_json = bytes.and_then(|mut bytes| {
        bytes.push(b'\n');
        staged.write(name, &bytes)
    });
    staged_json.map_err(|error| ExportError::Write { path: staged.place_of(name), error })
}

/// `upright/`: the images as the boxes describe them, and the names that they have there.
fn write_upright<'r>(
    input: &Input<'_>,
    records: &[&'r Record],
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<Vec<(&'r Record, Cow<'r, str>)>, ExportError> {
    let stems = stems(records, str::to_owned);
    let folder = Fresh::begin(out, "upright")?;
    let placed = place_all(input, records, &stems, &folder, |_| String::new(), "coco", exported)?;
    folder.put(exported)?;
    Ok(placed.into_iter().map(|(record, _, name)| (record, Cow::Owned(name))).collect())
}
