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
use serde_json::Value;

use super::data_set::of_records;
use super::folder::Fresh;
use super::select::Chosen;
use super::{ExportError, Exported, Input};
use crate::dataset::counted;
use crate::dataset::fields::FieldKind;
use crate::dataset::label_studio::{address, label_config, local_files, results};
use crate::ownership::OutputDirectory;
use crate::record::Record;

#[derive(Serialize)]
struct Task<'r> {
    data: Data<'r>,
    predictions: Vec<Prediction>,
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
struct Prediction {
    model_version: &'static str,
    /// The mean of the boxes' scores, for sorting tasks; absent if a box has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    result: Vec<Value>,
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
    let seen: Vec<(&Record, bool)> = seen.map(|(record, answered)| (record, *answered)).collect();
    let names = seen.iter().map(|(record, _)| (*record, record.image.clone()));
    let dataset = of_records(&chosen.categories, names, input.options);
    let kinds = FieldKind::of_fields(&dataset);
    let tasks = seen.iter().zip(&dataset.images).map(|((record, answered), image)| {
        // A text says nothing about boxes that stand in it.
        let is_said = *answered || !image.points.is_empty() || image.fields.is_some();
        let results = is_said.then(|| results(&dataset, image, &kinds));
        task(record, results, &url)
    });
    let tasks: Vec<Task<'_>> = tasks.collect();
    let left_out = chosen.records.len() - tasks.len();
    if left_out > 0 {
        exported.remarks.push(format!(
            "label-studio: {} left out, which could not be decoded",
            counted(left_out, "image is", "images are")
        ));
    }
    let folder = Fresh::begin(out, "label-studio")?;
    let mut json = serde_json::to_vec(&tasks).map_err(|error| ExportError::Write {
        path: out.join("label-studio/tasks.json"),
        error: error.into(),
    })?;
    json.push(b'\n');
    folder.write("tasks.json", &json)?;
    folder.write("label_config.xml", label_config(&dataset).as_bytes())?;
    folder.put(exported)
}

fn task<'r>(record: &'r Record, results: Option<Vec<Value>>, url: &str) -> Task<'r> {
    let scores: Option<Vec<f64>> =
        record.detections.iter().map(|detection| detection.score).collect();
    let score = scores
        .filter(|scores| !scores.is_empty())
        .map(|scores| scores.iter().sum::<f64>() / scores.len() as f64);
    let prediction = results.map(|result| Prediction { model_version: "gemscope", score, result });
    let data = Data {
        image: address(url, &record.image),
        name: &record.image,
        status: record.status.as_str(),
    };
    Task { data, predictions: prediction.into_iter().collect() }
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
