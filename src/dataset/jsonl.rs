//! Lines of `detections.jsonl`: what the command writes, and the actors of `gemscope.ray`.
//!
//! In: a file of such lines, or a folder of parts, each a file of them; a line may stand as a text
//! in the field `record` of a row. Out: a [`Dataset`], or the file. Promises: an image whose answer
//! does not say what is in it (failed, refused, a text, cut off before the first box) is left out
//! and counted, as by an export of a run.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::counted::counted;
use super::labels::{self, Labels};
use super::reading::{Reading, find_image, has_extension};
use super::writing::{Keeps, Put, Written};
use super::{Dataset, DatasetError, Image, Object, names};
use crate::files;
use crate::record::{AnswerStatus, Detection, FoundPoint, Note, NoteKind};

/// The file's name in a directory that is written.
const FILE: &str = "detections.jsonl";
/// The folder of the parts in a directory that `gemscope.ray` writes, and what it says of them.
const PARTS: &str = "records";
const ASKED: &str = "ray.json";
/// A longer first line is not looked at to tell the format.
const FIRST_LINE: u64 = 1 << 24;

#[derive(Deserialize)]
struct Row {
    record: String,
}

#[derive(Deserialize)]
struct Line {
    image: String,
    width: u32,
    height: u32,
    status: AnswerStatus,
    detections: Vec<Detection>,
    #[serde(default)]
    points: Vec<FoundPoint>,
    #[serde(default)]
    fields: Option<Box<Map<String, Value>>>,
    #[serde(default)]
    notes: Vec<Note>,
}

/// What is said of the parts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// The folder that the names are relative to.
    root: Option<PathBuf>,
    /// The labels that were asked for: categories, found or not.
    categories: Vec<String>,
}

/// Whether the file at `path` begins with such a line.
pub(super) fn is_file(path: &Path) -> bool {
    let Ok(file) = files::open(path) else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(file.take(FIRST_LINE)).read_until(b'\n', &mut line);
    let line = files::without_mark(line).unwrap_or_default();
    // COCO files of one line may be large: they are not read for this.
    let line = String::from_utf8(line).unwrap_or_default();
    if read.is_err() || !line.contains("detections") {
        return false;
    }
    let is_line = |value: &Value| value.get("image").is_some() && value.get("detections").is_some();
    serde_json::from_str::<Value>(&line).is_ok_and(|value| {
        let record = value.get("record").and_then(Value::as_str);
        let record = record.and_then(|text| serde_json::from_str::<Value>(text).ok());
        is_line(record.as_ref().unwrap_or(&value))
    })
}

/// Whether the folder at `path` holds parts.
pub(super) fn is_folder(path: &Path) -> bool {
    parts(path).is_ok_and(|parts| parts.first().is_some_and(|part| is_file(part)))
}

/// The file at `path`, or the one of its own name in the folder there, or the parts in it or in its
/// folder `records`, sorted.
fn parts(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let whole = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    if whole.is_file() || !path.is_dir() {
        return Ok(vec![whole]);
    }
    let inner = path.join(PARTS);
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let entries = std::fs::read_dir(&folder).map_err(DatasetError::io(&folder))?;
    let mut parts = Vec::new();
    for entry in entries {
        let part = entry.map_err(DatasetError::io(&folder))?.path();
        let is_part = has_extension(&part, &["jsonl", "json"]) && part.is_file();
        if is_part && part.file_name().is_none_or(|name| name != ASKED) {
            parts.push(part);
        }
    }
    parts.sort();
    Ok(parts)
}

/// What is said of the parts in `folder`: beside them, or beside their folder.
fn asked(folder: &Path) -> Result<Asked, DatasetError> {
    let places = [folder.join(ASKED), folder.join("..").join(ASKED)];
    let Some(file) = places.iter().find(|place| place.is_file()) else {
        return Ok(Asked::default());
    };
    let text = files::read_text(file).map_err(DatasetError::io(file))?;
    serde_json::from_str(&text).map_err(|error| DatasetError::file(file, error.to_string()))
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let beside = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let asked = asked(beside)?;
    let mut entries = Vec::new();
    let (mut failed, mut texts, mut unsure) = (0, 0, 0);
    for part in parts(path)? {
        let text = files::read_text(&part).map_err(DatasetError::io(&part))?;
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let row: Option<Row> =
                line.contains("\"record\"").then(|| serde_json::from_str(line).ok()).flatten();
            let line = row.map_or(Cow::Borrowed(line), |row| Cow::Owned(row.record));
            match serde_json::from_str::<Line>(&line) {
                Ok(line) if says_something(&line) => entries.push((part.clone(), number, line)),
                Ok(line) => match line.status {
                    AnswerStatus::Text => texts += 1,
                    AnswerStatus::Ok => unsure += 1,
                    _ => failed += 1,
                },
                Err(error) => {
                    let kind = "lines that cannot be read";
                    reading.problem(&part, Some(number), kind, error.to_string());
                }
            }
        }
    }
    for (count, why) in [
        (failed, "of which nothing is known (failed, refused, or cut off before the first box)"),
        (texts, "whose answers are text"),
        (unsure, "whose boxes were all left out, and which may be there"),
    ] {
        if count > 0 {
            let images = counted(count, "image is", "images are");
            reading.remarks.push(format!("{images} left out, {why}"));
        }
    }
    let folders: Vec<&Path> =
        reading.images.into_iter().chain(asked.root.as_deref()).chain([beside]).collect();
    let written: Vec<&str> = entries.iter().map(|(.., line)| line.image.as_str()).collect();
    let (names, foreign) = names::relative(&written, &folders);
    names::remark(foreign, reading.remarks);
    let mut found = Labels::default();
    let (mut images, mut outside) = (Vec::with_capacity(entries.len()), 0);
    for ((part, number, line), name) in entries.into_iter().zip(names) {
        let (width, height) = (line.width, line.height);
        if width == 0 || height == 0 {
            let what = format!("{name}: {width}x{height} pixels");
            reading.problem(&part, Some(number), "images without pixels", what);
            continue;
        }
        let file = find_image(&name, &folders);
        let unboxed = !says_what_is_there(&line);
        let fields = line.fields;
        let mut image = Image { name, width, height, fields, unboxed, file, ..Image::default() };
        for point in line.points {
            let is_inside = image.add_point(found.place(&point.label), point.x, point.y);
            outside += usize::from(!is_inside);
        }
        // Boxes that stand in a text are none.
        let boxes = line.detections.into_iter().filter(|_| line.status != AnswerStatus::Text);
        for detection in boxes {
            let category = found.place(&detection.label);
            if let Some(bbox) = reading.inside(detection.bbox, width, height) {
                let score = detection.score;
                image.objects.push(Object { score, ..Object::of_box(category, bbox) });
            }
        }
        images.push(image);
    }
    if outside > 0 {
        let points = counted(outside, "point lies", "points lie");
        reading.remarks.push(format!("{points} outside of the image, and left out"));
    }
    let mut dataset = Dataset { categories: found.into_names(), images, ..Dataset::default() };
    labels::sort_categories(&mut dataset, &asked.categories);
    Ok(dataset)
}

/// Whether an answer is about boxes, points or fields of its image.
fn says_something(line: &Line) -> bool {
    let pointed = line.status == AnswerStatus::Ok && !line.points.is_empty();
    pointed || line.fields.is_some() || says_what_is_there(line)
}

/// Whether an image is an example of its boxes: it has some, its whole answer said that there are
/// none, or all were left out by request, and none since it may be wrong.
fn says_what_is_there(line: &Line) -> bool {
    let noted = |kinds: &[NoteKind]| line.notes.iter().any(|note| kinds.contains(&note.kind));
    match line.status {
        AnswerStatus::Empty => true,
        AnswerStatus::Failed | AnswerStatus::Text => false,
        _ if !line.detections.is_empty() => true,
        AnswerStatus::Ok => {
            let by_request = [
                NoteKind::Filtered,
                NoteKind::UnaskedDropped,
                NoteKind::DuplicateDropped,
                NoteKind::Suppressed,
            ];
            noted(&by_request) && !noted(&[NoteKind::LowScoreDropped, NoteKind::UnscoredDropped])
        }
        _ => false,
    }
}

pub(crate) fn write(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let mut text = String::new();
    for image in &dataset.images {
        let detection = |object: &Object| {
            json!({
                "label": dataset.categories[object.category],
                "bbox": object.bbox,
                "score": object.score,
            })
        };
        let detections: Vec<Value> = image.objects.iter().map(detection).collect();
        let points = image.points.iter().map(|point| {
            json!({"label": dataset.categories[point.category], "x": point.x, "y": point.y})
        });
        let points: Vec<Value> = points.collect();
        let status = match (detections.is_empty() && points.is_empty(), image.unboxed) {
            (false, _) => AnswerStatus::Ok,
            (true, true) => AnswerStatus::Text,
            (true, false) => AnswerStatus::Empty,
        };
        let mut line = json!({
            "image": image.name,
            "width": image.width,
            "height": image.height,
            "status": status,
            "detections": detections,
            "notes": [],
        });
        if !points.is_empty() {
            line["points"] = points.into();
        }
        if let Some(fields) = &image.fields {
            line["fields"] = Value::Object(fields.as_ref().clone());
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    put(FILE, text.as_bytes())?;
    let keeps = Keeps { scores: true, points: true, image_fields: true, ..Keeps::default() };
    dataset.remark_lost(FILE, keeps, remarks);
    let places = dataset.images.iter().map(|image| image.name.clone()).collect();
    Ok(Written { first: vec![FILE.to_owned()], images: String::new(), places })
}
