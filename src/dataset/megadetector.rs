//! MegaDetector's batch results: one JSON file, as Timelapse and AddaxAI open it.
//!
//! In: the file, and the images for their sizes. Out: a [`Dataset`], or that file. Promises: boxes
//! are shares of the image, `[x, y, width, height]`; an image that failed is left out and counted.
//!
//! The format is that of lila.science/megadetector-output-format, version 1.4.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::coco::parse_json;
use super::counted::counted;
use super::names;
use super::reading::{Reading, find_image, size_of};
use super::writing::{Keeps, Put, Written};
use super::{Dataset, DatasetError, Image, Object};
use crate::record::BBox;

/// The file's name in a directory that is written.
pub(crate) const FILE: &str = "megadetector.json";

/// By how much a part of the image may exceed 1, for rounding.
const ROUNDING: f64 = 0.01;

#[derive(Deserialize)]
struct Batch {
    detection_categories: BTreeMap<String, String>,
    images: Vec<Value>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    detections: Option<Vec<Detection>>,
    failure: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Deserialize)]
struct Detection {
    category: String,
    conf: Option<f64>,
    bbox: [f64; 4],
    #[serde(default)]
    classifications: Vec<Value>,
}

/// Whether `value` is such a file.
pub(super) fn is_it(value: &Value) -> bool {
    value.get("detection_categories").is_some() && value.get("images").is_some()
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let batch: Batch = parse_json(path)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let folders: Vec<&Path> = reading.images.into_iter().chain([beside]).collect();
    let mut ids: Vec<(&String, &String)> = batch.detection_categories.iter().collect();
    ids.sort_by_key(|(id, _)| (id.parse::<u64>().unwrap_or(u64::MAX), *id));
    let categories: Vec<String> = ids.iter().map(|(_, name)| (*name).clone()).collect();
    let place = |id: &str| ids.iter().position(|(known, _)| *known == id);
    let (mut entries, mut failed, mut classified) = (Vec::new(), 0, 0);
    for (entry, number) in batch.images.into_iter().zip(1..) {
        match serde_json::from_value::<Entry>(entry) {
            // Both are how the format says it.
            Ok(Entry { failure: Some(_), .. } | Entry { detections: None, .. }) => failed += 1,
            Ok(entry) => entries.push(entry),
            Err(error) => {
                let what = format!("image {number}: {error}");
                reading.problem(path, None, "images that cannot be read", what);
            }
        }
    }
    let written: Vec<&str> = entries.iter().map(|entry| entry.file.as_str()).collect();
    let (names, foreign) = names::relative(&written, &folders);
    names::remark(foreign, reading.remarks);
    let mut images = Vec::with_capacity(entries.len());
    for (entry, name) in entries.into_iter().zip(names) {
        let file = find_image(&name, &folders);
        let size = match (entry.width.zip(entry.height), &file) {
            (Some(size), _) => Some(size),
            (None, Some(file)) => reading.caught(size_of(file), "images that cannot be read")?,
            (None, None) => {
                let what = format!(
                    "{name} is not there, and boxes are in parts of its size: say where with \
                     --images DIR"
                );
                reading.problem(path, None, "images of which nobody knows the size", what);
                None
            }
        };
        let Some((width, height)) = size.filter(|(width, height)| *width > 0 && *height > 0) else {
            continue;
        };
        let mut image = Image { name, width, height, file, ..Image::default() };
        for detection in entry.detections.unwrap_or_default() {
            let Some(category) = place(&detection.category) else {
                let what =
                    format!("{}: the category {:?} has no name", image.name, detection.category);
                reading.problem(path, None, "boxes whose category has no name", what);
                continue;
            };
            classified += usize::from(!detection.classifications.is_empty());
            let [x, y, w, h] = detection.bbox;
            if detection.bbox.iter().any(|part| !(-ROUNDING..=1.0 + ROUNDING).contains(part)) {
                let what = format!(
                    "{}: a box is in parts of the image (0 to 1): {x}, {y}, {w}, {h}",
                    image.name
                );
                reading.problem(path, None, "boxes that are not in parts of the image", what);
                continue;
            }
            let (across, down) = (f64::from(width), f64::from(height));
            let bbox =
                BBox { x0: x * across, y0: y * down, x1: (x + w) * across, y1: (y + h) * down };
            if let Some(bbox) = reading.inside(bbox, width, height) {
                let score = detection.conf;
                image.objects.push(Object { score, ..Object::of_box(category, bbox) });
            }
        }
        images.push(image);
    }
    if failed > 0 {
        let failed = counted(failed, "image failed, and is", "images failed, and are");
        reading.remarks.push(format!("{failed} left out"));
    }
    if classified > 0 {
        let classified = counted(classified, "box has", "boxes have");
        reading.remarks.push(format!(
            "{classified} classifications (species), which are not kept: the label is the \
             detection's category"
        ));
    }
    Ok(Dataset { categories, images, ..Dataset::default() })
}

pub(crate) fn write(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let mut unscored = 0;
    let images: Vec<Value> = (dataset.images.iter())
        .map(|image| {
            let (across, down) = (f64::from(image.width), f64::from(image.height));
            let mut detections: Vec<Value> = Vec::with_capacity(image.objects.len());
            for object in &image.objects {
                unscored += usize::from(object.score.is_none());
                let b = object.bbox;
                detections.push(json!({
                    "category": (object.category + 1).to_string(),
                    "conf": object.score.unwrap_or(1.0),
                    "bbox": [b.x0 / across, b.y0 / down, b.width() / across, b.height() / down],
                }));
            }
            json!({"file": image.name, "detections": detections, "width": image.width, "height": image.height})
        })
        .collect();
    let names: serde_json::Map<String, Value> = (dataset.categories.iter().enumerate())
        .map(|(place, name)| ((place + 1).to_string(), name.clone().into()))
        .collect();
    let text = json!({
        "info": {"format_version": "1.4", "detector": format!("gemscope {}", env!("CARGO_PKG_VERSION"))},
        "detection_categories": names,
        "images": images,
    });
    put(FILE, format!("{text:#}\n").as_bytes())?;
    if unscored > 0 {
        remarks.push(format!(
            "{unscored} boxes have no score: they stand with the confidence 1, which \
             MegaDetector's format asks for"
        ));
    }
    let keeps = Keeps { scores: true, categories: true, ..Keeps::default() };
    dataset.remark_lost("MegaDetector's format", keeps, remarks);
    let places = dataset.images.iter().map(|image| image.name.clone()).collect();
    Ok(Written { first: vec![FILE.to_owned()], images: String::new(), places })
}
