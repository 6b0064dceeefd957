//! COCO.
//!
//! In: records. Out: `instances.json` (images, categories, annotations) and `results.json` (scored boxes, for evaluation). Promises: ids
//! follow the sorted names; an image stands without annotations only where the answer says that nothing is there.
//!
//! The format is that of cocodataset.org/#format-data: boxes are `[x, y, width, height]` in pixels, ids count from 1.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::{ExportError, Exported, Input, labels, write_file};
use crate::record::{AnswerStatus, BBox, Record};

#[derive(Serialize)]
struct Instances<'r> {
    info: Info,
    licenses: [(); 0],
    images: Vec<Image<'r>>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Serialize)]
struct Info {
    description: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Image<'r> {
    id: usize,
    file_name: &'r str,
    width: u32,
    height: u32,
    /// Not part of COCO; readers ignore what they do not know.
    status: AnswerStatus,
}

#[derive(Serialize)]
struct Annotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    segmentation: [(); 0],
}

#[derive(Serialize)]
struct Category {
    id: usize,
    name: String,
    supercategory: &'static str,
}

#[derive(Serialize)]
struct ScoredBox {
    image_id: usize,
    category_id: usize,
    bbox: [f64; 4],
    score: f64,
}

/// Only an answer that says "nothing" makes an image without annotations; one that failed, was refused or cut off before its first box
/// says nothing about the image.
fn says_something(record: &Record) -> bool {
    !record.detections.is_empty() || record.status == AnswerStatus::Empty
}

pub(super) fn write(input: &Input<'_>, out: &Path, exported: &mut Exported) -> Result<(), ExportError> {
    let names = labels(input);
    let category_ids: HashMap<&str, usize> = names.iter().zip(1..).map(|(name, id)| (name.as_str(), id)).collect();
    let (mut images, mut annotations, mut results) = (Vec::new(), Vec::new(), Vec::new());
    let mut unscored = 0;
    for record in input.records.iter().filter(|record| says_something(record)) {
        let image_id = images.len() + 1;
        images.push(Image {
            id: image_id,
            file_name: &record.image,
            width: record.width,
            height: record.height,
            status: record.status,
        });
        for detection in &record.detections {
            let category_id = category_ids[detection.label.as_str()];
            let bbox = xywh(&detection.bbox);
            annotations.push(Annotation {
                id: annotations.len() + 1,
                image_id,
                category_id,
                bbox,
                area: bbox[2] * bbox[3],
                iscrowd: 0,
                segmentation: [],
            });
            match detection.score {
                Some(score) => results.push(ScoredBox { image_id, category_id, bbox, score }),
                None => unscored += 1,
            }
        }
    }
    let left_out = input.records.len() - images.len();
    if left_out > 0 {
        exported.remarks.push(format!(
            "coco: {left_out} images are left out, of which nothing is known (failed, refused, or cut off before the first box)"
        ));
    }
    if unscored > 0 {
        exported.remarks.push(format!("coco: results.json lacks {unscored} boxes that have no score"));
    }
    let categories = names.into_iter().zip(1..).map(|(name, id)| Category { id, name, supercategory: "" }).collect();
    let instances = Instances {
        info: Info { description: "Made by gemscope", version: env!("CARGO_PKG_VERSION") },
        licenses: [],
        images,
        annotations,
        categories,
    };
    write_json(out, "instances.json", &instances, exported)?;
    write_json(out, "results.json", &results, exported)
}

fn xywh(bbox: &BBox) -> [f64; 4] {
    [bbox.x0, bbox.y0, bbox.width(), bbox.height()]
}

fn write_json<T: Serialize>(out: &Path, name: &str, value: &T, exported: &mut Exported) -> Result<(), ExportError> {
    let mut bytes =
        serde_json::to_vec(value).map_err(|error| ExportError::Write { path: out.join(name), error: error.into() })?;
    bytes.push(b'\n');
    write_file(out, name, &bytes, exported)
}
