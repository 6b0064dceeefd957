//! Hugging Face's imagefolder: images, and `metadata.jsonl` beside them.
//!
//! In: a folder with `metadata.jsonl`, or one with such a folder for each split. Out: a
//! [`Dataset`], or those folders. Promises: boxes are `[x, y, width, height]` in pixels, as the
//! library's guide to object detection has them; names of categories are written beside their
//! numbers; each field of an image is a column, and an image in which nobody has looked for boxes
//! has no `objects`.
//!
//! The format is that of `huggingface.co/docs/datasets/image_dataset`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::counted::counted;
use super::labels::Labels;
use super::names;
use super::reading::{Reading, find_image, images_under, remark_undescribed, size_of};
use super::writing::{Keeps, Put, Written};
use super::{Dataset, DatasetError, Image, Object, Split, Splits};
use crate::files;
use crate::record::BBox;

/// The file beside the images.
const FILE: &str = "metadata.jsonl";

/// The columns that the format or its readers know.
const COLUMNS: [&str; 6] = ["file_name", "image", "image_id", "width", "height", "objects"];

/// Before the name of a field that is called as one of them.
const PREFIX: &str = "fields.";

/// How the library calls the splits' folders.
pub(super) fn folder_of(split: Split) -> &'static str {
    if split == Split::Val { "validation" } else { split.as_str() }
}

/// The folders at `path` that hold such a file, and the split that each is.
pub(super) fn folders(path: &Path) -> Vec<(PathBuf, Option<Split>)> {
    if path.is_file() {
        let folder = path.parent().unwrap_or(Path::new("."));
        return vec![(folder.to_owned(), None)];
    }
    if path.join(FILE).is_file() {
        return vec![(path.to_owned(), None)];
    }
    let mut found = Vec::new();
    for root in [path.to_owned(), path.join("data")] {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        folders.retain(|folder| folder.join(FILE).is_file());
        folders.sort();
        found.extend(folders);
    }
    let split = |folder: &PathBuf| Split::of_word(&folder.file_name()?.to_string_lossy());
    found.into_iter().map(|folder| (folder.clone(), split(&folder))).collect()
}

#[derive(Deserialize)]
struct Row {
    #[serde(alias = "image")]
    file_name: String,
    width: Option<u32>,
    height: Option<u32>,
    image_id: Option<u64>,
    objects: Option<Objects>,
    /// Columns of the user's own.
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
struct Objects {
    #[serde(alias = "bboxes")]
    bbox: Vec<Vec<f64>>,
    #[serde(alias = "category", default)]
    categories: Vec<Value>,
    #[serde(alias = "label", default)]
    labels: Vec<Value>,
    #[serde(default)]
    id: Vec<Option<u64>>,
    #[serde(default)]
    area: Vec<Option<f64>>,
    #[serde(default)]
    iscrowd: Vec<Option<u8>>,
    #[serde(default)]
    score: Vec<Option<f64>>,
    /// Columns of the user's own.
    #[serde(flatten)]
    more: Map<String, Value>,
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let mut labels = Labels::default();
    let (mut images, mut plain, mut numbers) = (Vec::new(), 0, 0);
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    for (folder, split) in folders(path) {
        let file = folder.join(FILE);
        let below = folder.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy();
        let below = below.replace('\\', "/");
        let elsewhere = reading.images.map(|images| images.join(&below));
        let places: Vec<&Path> = elsewhere
            .as_deref()
            .into_iter()
            .chain(reading.images)
            .chain([folder.as_path()])
            .collect();
        let text = files::read_text(&file).map_err(DatasetError::io(&file))?;
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let row: Row = match serde_json::from_str(line) {
                Ok(row) => row,
                Err(error) => {
                    let kind = "lines that cannot be read";
                    reading.problem(&file, Some(number), kind, error.to_string());
                    continue;
                }
            };
            let (mut named, _) = names::relative(&[&row.file_name], &places);
            let name = named.pop().unwrap_or_default();
            let image_file = find_image(&name, &places);
            let size = match (row.width.zip(row.height), &image_file) {
                (Some(size), _) => Some(size),
                (None, Some(image)) => {
                    reading.caught(size_of(image), "images that cannot be read")?
                }
                (None, None) => {
                    let what = format!(
                        "{name} has no size, and is not there to look: say where with --images DIR"
                    );
                    let kind = "images of which nobody knows the size";
                    reading.problem(&file, Some(number), kind, what);
                    None
                }
            };
            let Some((width, height)) = size.filter(|(width, height)| *width > 0 && *height > 0)
            else {
                continue;
            };
            let fields = fields_of(row.more);
            let mut image = Image {
                name: if below.is_empty() { name } else { format!("{below}/{name}") },
                width,
                height,
                id: row.image_id,
                splits: split.map(Splits::only).unwrap_or_default(),
                file: image_file,
                unboxed: row.objects.is_none() && !fields.is_empty(),
                fields: (!fields.is_empty()).then(|| Box::new(fields)),
                ..Image::default()
            };
            let further = row.objects.as_ref().map(|objects| &objects.more);
            if let Some(column) = further.and_then(|further| further.keys().next()) {
                let what = format!("further columns of objects ({column} ...): left out");
                reading.count("row has", "rows have", &what);
            }
            plain += usize::from(row.objects.is_none() && !image.unboxed);
            let objects = row.objects.into_iter().flat_map(|objects| {
                (0..objects.bbox.len()).map(|place| one(&objects, place)).collect::<Vec<_>>()
            });
            for object in objects {
                let (label, bbox, object) = match object {
                    Ok(object) => object,
                    Err(what) => {
                        reading.problem(&file, Some(number), "boxes that cannot be read", what);
                        continue;
                    }
                };
                numbers += usize::from(label.is_number());
                let label = label.as_str().map_or_else(|| label.to_string(), str::to_owned);
                let category = labels.place(&label);
                if let Some(bbox) = reading.inside(bbox, width, height) {
                    let area = object.area;
                    let mut object = Object { category, bbox, ..object };
                    if area.is_nan() {
                        object.area = bbox.area();
                    }
                    image.objects.push(object);
                }
            }
            images.push(image);
        }
        let inner = format!("{below}/");
        let read = images
            .iter()
            .map(|image: &Image| image.name.strip_prefix(&inner).unwrap_or(&image.name));
        let read: HashSet<&str> = read.collect();
        let names = images_under(&folder, reading.remarks)?;
        remark_undescribed(&names, &read, &format!("row in {}", file.display()), reading.remarks);
    }
    if plain > 0 {
        let rows = counted(plain, "row has no objects", "rows have no objects");
        reading.remarks.push(format!("{rows}: nothing is in such images"));
    }
    if numbers > 0 {
        let numbers = counted(
            numbers,
            "box has a number for a category",
            "boxes have numbers for categories",
        );
        reading
            .remarks
            .push(format!("{numbers}, and the file has no names: the numbers are their names"));
    }
    let mut dataset = Dataset { categories: labels.into_names(), images, ..Dataset::default() };
    super::labels::sort_categories(&mut dataset, &[]);
    Ok(dataset)
}

/// The columns of the user's own under the names of fields; `null` is what a row lacks.
fn fields_of(columns: Map<String, Value>) -> Map<String, Value> {
    let name = |column: String| column.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(column);
    let columns = columns.into_iter().filter(|(_, value)| !value.is_null());
    columns.map(|(column, value)| (name(column), value)).collect()
}

/// The column of a field: its name, unless the format has a column that is called so.
fn column_of(name: &str) -> String {
    let taken = COLUMNS.contains(&name) || name.starts_with(PREFIX);
    if taken { format!("{PREFIX}{name}") } else { name.to_owned() }
}

/// The label, the box and the rest of one object; its area is NaN if the row has none.
fn one(objects: &Objects, place: usize) -> Result<(Value, BBox, Object), String> {
    let label = objects.labels.get(place).or_else(|| objects.categories.get(place));
    let label = label.cloned().ok_or_else(|| format!("box {} has no category", place + 1))?;
    let [x, y, width, height]: [f64; 4] =
        objects.bbox[place].clone().try_into().map_err(|bbox: Vec<f64>| {
            format!("box {} has {} numbers instead of 4", place + 1, bbox.len())
        })?;
    if width < 0.0 || height < 0.0 {
        return Err(format!("box {} has a negative width or height", place + 1));
    }
    let bbox = BBox { x0: x, y0: y, x1: x + width, y1: y + height };
    let object = Object {
        id: objects.id.get(place).copied().flatten(),
        area: objects.area.get(place).copied().flatten().unwrap_or(f64::NAN),
        crowd: objects.iscrowd.get(place).copied().flatten() == Some(1),
        score: objects.score.get(place).copied().flatten(),
        ..Object::of_box(0, bbox)
    };
    Ok((label, bbox, object))
}

pub(crate) fn write(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let is_split = dataset.is_split();
    let scores = dataset.objects().any(|object| object.score.is_some());
    let folder = |image: &Image| {
        let split = Split::ALL.into_iter().find(|split| image.splits.has(*split));
        folder_of(split.filter(|_| is_split).unwrap_or(Split::Train))
    };
    let mut written =
        Written { images: "the folders of the splits".to_owned(), ..Written::default() };
    for split in Split::ALL.map(folder_of) {
        let mut text = String::new();
        for (number, image) in dataset.images.iter().enumerate() {
            if folder(image) != split {
                continue;
            }
            let list = |value: &dyn Fn(&Object) -> Value| -> Vec<Value> {
                image.objects.iter().map(value).collect()
            };
            let b = |object: &Object| {
                let b = object.bbox;
                json!([b.x0, b.y0, b.width(), b.height()])
            };
            let mut objects = Map::new();
            objects.insert("bbox".into(), list(&b).into());
            objects.insert("categories".into(), list(&|object| object.category.into()).into());
            let name = |object: &Object| dataset.categories[object.category].clone().into();
            objects.insert("labels".into(), list(&name).into());
            objects.insert("area".into(), list(&|object| json!(object.area)).into());
            objects.insert("iscrowd".into(), list(&|object| u8::from(object.crowd).into()).into());
            if scores {
                objects.insert("score".into(), list(&|object| json!(object.score)).into());
            }
            let mut row = json!({
                "file_name": image.name,
                "image_id": image.id.unwrap_or(number as u64 + 1),
                "width": image.width,
                "height": image.height,
            });
            if !image.unboxed {
                row["objects"] = objects.into();
            }
            for (name, value) in image.fields.iter().flat_map(|fields| fields.iter()) {
                row[column_of(name)] = value.clone();
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{row}");
        }
        if !text.is_empty() {
            let file = format!("{split}/{FILE}");
            put(&file, text.as_bytes())?;
            written.first.push(file);
        }
    }
    let several = |image: &&Image| {
        Split::ALL.into_iter().filter(|split| image.splits.has(*split)).count() > 1
    };
    let several = dataset.images.iter().filter(several).count();
    if is_split && several > 0 {
        remarks.push(format!(
            "{} in several splits: only the first of each counts",
            counted(several, "image is", "images are")
        ));
    }
    let keeps = Keeps {
        areas: true,
        crowds: true,
        scores: true,
        splits: true,
        image_fields: true,
        ..Keeps::default()
    };
    dataset.remark_lost("imagefolder", keeps, remarks);
    let place = |image: &Image| format!("{}/{}", folder(image), image.name);
    written.places = dataset.images.iter().map(place).collect();
    Ok(written)
}
