//! Records as a [`Dataset`], and the formats that are written by way of one.
//!
//! In: the records that are examples, and for some formats the images. Out: a data set, or the
//! files of a format of [`crate::dataset`]. Promises: the boxes, categories and parts are those of
//! all other data sets of the export.

use std::collections::HashMap;

use super::examples::{Examples, Part, place_all, stems};
use super::folder::Fresh;
use super::select::choose;
use super::{Category, ExportError, Exported, Input, Options, Run};
use crate::dataset::{
    self, Dataset, DatasetError, Image, Object, Point, Split, Splits, WriteOptions,
};
use crate::ownership::OutputDirectory;
use crate::record::{AnswerStatus, Detection, FoundPoint, Record};

/// What `run` found, as a data set. What is left out goes to `remarks`.
pub fn data_set(run: &Run, options: &Options, remarks: &mut Vec<String>) -> Dataset {
    let mut exported = Exported::default();
    let chosen = choose(&run.selection, options, &mut exported);
    let examples = Examples::new(&chosen);
    examples.remark_images("run", &mut exported);
    remarks.append(&mut exported.remarks);
    let names = examples.of_any_format().into_iter().map(|record| (record, record.image.clone()));
    let mut dataset = of_records(examples.categories, names, options);
    for image in &mut dataset.images {
        let file = run.images.as_ref().map(|folder| folder.join(&image.name));
        image.file = file.filter(|file| file.is_file());
    }
    dataset
}

/// The data set of images under the names that they get. Boxes that stand in a text are none.
pub(super) fn of_records<'e>(
    categories: &[Category],
    images: impl Iterator<Item = (&'e Record, String)>,
    options: &Options,
) -> Dataset {
    let places = categories.iter().enumerate();
    let places: HashMap<&str, usize> =
        places.map(|(place, category)| (category.name.as_str(), place)).collect();
    let images = images.map(|(record, name)| {
        let object = |detection: &Detection| Object {
            score: detection.score,
            ..Object::of_box(places[detection.label.as_str()], detection.bbox)
        };
        let point = |point: &FoundPoint| Point {
            category: places[point.label.as_str()],
            x: point.x,
            y: point.y,
            id: None,
        };
        let is_text = record.status == AnswerStatus::Text;
        let boxes = if is_text { &[] } else { record.detections.as_slice() };
        let split = match Part::of(record, options) {
            Part::Val => Split::Val,
            Part::Train => Split::Train,
        };
        Image {
            name,
            width: record.width,
            height: record.height,
            splits: options.split.map(|_| Splits::only(split)).unwrap_or_default(),
            objects: boxes.iter().map(object).collect(),
            points: record.points.iter().map(point).collect(),
            fields: record.fields.clone(),
            unboxed: boxes.is_empty() && (is_text || !record.points.is_empty()),
            ..Image::default()
        }
    });
    Dataset {
        categories: categories.iter().map(|category| category.name.clone()).collect(),
        category_ids: categories.iter().map(|category| category.id).collect(),
        images: images.collect(),
        ..Dataset::default()
    }
}

/// Writes a format that lays out its own folder, with the images where it looks for them.
pub(super) fn write_folder(
    input: &Input<'_>,
    examples: &Examples<'_>,
    format: dataset::Format,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let name = format.as_str();
    let images = examples.of(format, exported);
    let folder = Fresh::begin(out, name)?;
    let stems = stems(&images, str::to_owned);
    let split = |record: &Record| match Part::of(record, input.options) {
        Part::Val => Split::Val,
        Part::Train => Split::Train,
    };
    let prefix = |record: &Record| dataset::folder_of_split(format, split(record));
    let placed = place_all(input, &images, &stems, &folder, prefix, name, exported)?;
    let in_place: Vec<&Record> = placed.iter().map(|(record, ..)| *record).collect();
    let images = placed.into_iter().map(|(record, _, name)| (record, name));
    let mut dataset = of_records(examples.categories, images, input.options);
    // Formats that have ids of their own for classes count them.
    dataset.category_ids.clear();
    without_unheld_points(&mut dataset, format);
    // Formats with a folder for each split have one for all images at least.
    if !dataset::folder_of_split(format, Split::Train).is_empty() {
        for (image, record) in dataset.images.iter_mut().zip(&in_place) {
            image.splits = Splits::only(split(record));
        }
    }
    if format == dataset::Format::Roboflow && input.options.split.is_none() {
        exported.remarks.push(
            "roboflow: all images are in train, and trainers want some in valid (`split` 0.2)"
                .to_owned(),
        );
    }
    let mut put = |file: &str, bytes: &[u8]| folder.write(file, bytes).map_err(unplaced);
    let mut remarks = Vec::new();
    dataset::write_files(&dataset, format, WriteOptions::default(), &mut put, &mut remarks)
        .map_err(failed(out, name))?;
    exported.remarks.extend(remarks.into_iter().map(|remark| format!("{name}: {remark}")));
    folder.put(exported)
}

/// Writes a format of one file that names the images as the records do.
pub(super) fn write_file(
    input: &Input<'_>,
    examples: &Examples<'_>,
    format: dataset::Format,
    file: &str,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let name = format.as_str();
    let images = examples.of(format, exported);
    let images = images.into_iter().map(|record| (record, record.image.clone()));
    let mut dataset = of_records(examples.categories, images, input.options);
    dataset.category_ids.clear();
    without_unheld_points(&mut dataset, format);
    let mut text = Vec::new();
    let mut put = |_: &str, bytes: &[u8]| {
        text = bytes.to_vec();
        Ok(())
    };
    let mut remarks = Vec::new();
    dataset::write_files(&dataset, format, WriteOptions::default(), &mut put, &mut remarks)
        .map_err(failed(out, name))?;
    exported.remarks.extend(remarks.into_iter().map(|remark| format!("{name}: {remark}")));
    super::write_file(out, file, &text, exported)
}

/// Takes the points out of a data set for a format without any, which has been said.
fn without_unheld_points(dataset: &mut Dataset, format: dataset::Format) {
    if !format.holds_points() {
        dataset.images.iter_mut().for_each(|image| image.points.clear());
    }
}

fn failed(out: &OutputDirectory, name: &str) -> impl FnOnce(DatasetError) -> ExportError {
    let path = out.join(name);
    move |error| match error {
        DatasetError::Ownership(error) => error.into(),
        DatasetError::Io { path, error } => ExportError::Write { path, error },
        other => ExportError::NotUnderstood { path, reason: other.to_string() },
    }
}

/// The error of a file that could not be made, for a writer of data sets.
fn unplaced(error: ExportError) -> DatasetError {
    match error {
        ExportError::Write { path, error } => DatasetError::Io { path, error },
        ExportError::Ownership(error) => error.into(),
        other => DatasetError::File { path: std::path::PathBuf::new(), problem: other.to_string() },
    }
}
