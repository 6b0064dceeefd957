//! `label-studio/`: tasks with predictions, to be put right by hand.
//!
//! In: records. Out: `tasks.json` and `label_config.xml`, whose names go together. Promises: boxes
//! in per cent of the upright image, as Label Studio shows it; an image without a usable answer is
//! a task without predictions, an image in which nothing was found has a prediction without boxes;
//! region ids are the same in every export.
//!
//! The format is that of labelstud.io/guide/predictions. Images that cannot be decoded are left
//! out: there would be nothing to see.

use serde::Serialize;

use super::folder::Fresh;
use super::select::Chosen;
use super::{ExportError, Exported, Input};
use crate::dataset::label_studio::{FROM_NAME, TO_NAME, address, label_config, local_files};
use crate::digest;
use crate::ownership::OutputDirectory;
use crate::record::{Detection, Record};

#[derive(Serialize)]
struct Task<'r> {
    data: Data<'r>,
    predictions: Vec<Prediction<'r>>,
}

#[derive(Serialize)]
struct Data<'r> {
    /// The address for the `Image` tag.
    image: String,
    /// The image's name in the journal, for later readers of the annotations.
    name: &'r str,
    /// Shown in the list of tasks, which can be sorted by it.
    status: &'static str,
}

#[derive(Serialize)]
struct Prediction<'r> {
    model_version: &'static str,
    /// The mean of the boxes' scores, for sorting tasks; absent if a box has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    result: Vec<Region<'r>>,
}

#[derive(Serialize)]
struct Region<'r> {
    id: String,
    r#type: &'static str,
    from_name: &'static str,
    to_name: &'static str,
    original_width: u32,
    original_height: u32,
    image_rotation: u32,
    value: Value<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

#[derive(Serialize)]
struct Value<'r> {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    rotation: u32,
    rectanglelabels: [&'r str; 1],
}

pub(super) fn write(
    input: &Input<'_>,
    chosen: &Chosen<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let seen = chosen.records.iter().zip(&chosen.answered).filter(|(record, _)| record.width > 0);
    let url = match &input.options.label_studio_url {
        Some(url) => url.clone(),
        None => local_files(input.run.images.as_deref()),
    };
    let tasks: Vec<Task<'_>> =
        seen.map(|(record, answered)| task(record, *answered, &url)).collect();
    let left_out = chosen.records.len() - tasks.len();
    if left_out > 0 {
        exported.remarks.push(format!(
            "label-studio: {left_out} images are left out, which could not be decoded"
        ));
    }
    let folder = Fresh::begin(out, "label-studio")?;
    let mut json = serde_json::to_vec(&tasks).map_err(|error| ExportError::Write {
        path: out.join("label-studio/tasks.json"),
        error: error.into(),
    })?;
    json.push(b'\n');
    folder.write("tasks.json", &json)?;
    let labels = chosen.categories.iter().map(|category| category.name.as_str());
    folder.write("label_config.xml", label_config(labels, false).as_bytes())?;
    folder.put(exported)
}

fn task<'r>(record: &'r Record, answered: bool, url: &str) -> Task<'r> {
    let scores: Option<Vec<f64>> =
        record.detections.iter().map(|detection| detection.score).collect();
    let score = scores
        .filter(|scores| !scores.is_empty())
        .map(|scores| scores.iter().sum::<f64>() / scores.len() as f64);
    let regions = record
        .detections
        .iter()
        .enumerate()
        .map(|(index, detection)| region(record, index, detection));
    let prediction = answered.then(|| Prediction {
        model_version: "gemscope",
        score,
        result: regions.collect(),
    });
    let data = Data {
        image: address(url, &record.image),
        name: &record.image,
        status: record.status.as_str(),
    };
    Task { data, predictions: prediction.into_iter().collect() }
}

fn region<'r>(record: &Record, index: usize, detection: &'r Detection) -> Region<'r> {
    let bbox = &detection.bbox;
    let per_cent = |pixels: f64, size: u32| 100.0 * pixels / f64::from(size);
    Region {
        id: format!("{:016x}-{index}", digest::number(&record.image)),
        r#type: "rectanglelabels",
        from_name: FROM_NAME,
        to_name: TO_NAME,
        original_width: record.width,
        original_height: record.height,
        image_rotation: 0,
        value: Value {
            x: per_cent(bbox.x0, record.width),
            y: per_cent(bbox.y0, record.height),
            width: per_cent(bbox.width(), record.width),
            height: per_cent(bbox.height(), record.height),
            rotation: 0,
            rectanglelabels: [&detection.label],
        },
        score: detection.score,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn addresses_are_encoded_and_plain_names_are_not() {
        assert_eq!(
            address("/data/local-files/?d=", "a b/ü&#.jpg"),
            "/data/local-files/?d=a%20b/%C3%BC%26%23.jpg"
        );
        assert_eq!(address("", "a b.jpg"), "a b.jpg");
        assert_eq!(
            local_files(Some(Path::new("/data/my photos"))),
            "/data/local-files/?d=my%20photos/"
        );
    }
}
