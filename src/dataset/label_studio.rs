//! Label Studio's tasks: one JSON file.
//!
//! In: an export (JSON or JSON-MIN) with what people drew, or tasks with predictions. Out: a
//! [`Dataset`], or tasks to import. Promises: what people drew counts before predictions; a task
//! that nobody has annotated is no image without boxes; a skipped annotation is none; keypoints are
//! points, and choices, numbers and texts about a whole image are its fields.
//!
//! The format is that of `labelstud.io/guide/task_format`; values are per cent of the image.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::coco::parse_json;
use super::counted::counted;
use super::cvat::turned_box;
use super::fields::{FieldKind, mark_unboxed, words};
use super::labels::{Labels, sort_categories};
use super::model;
use super::names;
use super::reading::{Reading, find_image, size_of};
use super::writing::{Keeps, Polygons, Put, Written};
use super::xml::escape;
use super::{Dataset, DatasetError, Image, Object};
use crate::digest;
use crate::record::BBox;
use crate::source::is_address;

/// Of the tags in the labelling configuration.
const FROM_NAME: &str = "label";
const POLYGON: &str = "polygon";
const POINT: &str = "point";
const TO_NAME: &str = "image";
/// Before the names of fields, which may be called as the others are.
const FIELDS: &str = "fields.";

/// How wide a point is shown, in per cent of the image.
const POINT_WIDTH: f64 = 0.5;

/// The kinds of results that are areas, by the key of their labels.
const KINDS: [&str; 4] = ["rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels"];

/// Whether `value` is a list of tasks.
pub(super) fn is_it(value: &Value) -> bool {
    let first = value.as_array().and_then(|tasks| tasks.first());
    first.is_some_and(|task| {
        let of_tasks = task.get("data").is_some()
            && (task.get("annotations").is_some()
                || task.get("predictions").is_some()
                || task.get("completions").is_some());
        // JSON-MIN has the data beside the results.
        let of_min = task.get("annotation_id").is_some() && task.get("data").is_none();
        of_tasks || of_min
    })
}

/// A task, as far as it is about an image.
struct Task {
    /// As the task names it, and the name that Gemscope gave it.
    image: String,
    own: Option<String>,
    results: Vec<Value>,
    by_model: bool,
    /// Gemscope was asked for no boxes.
    described: bool,
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let tasks: Vec<Value> = parse_json(path)?;
    let (mut found, mut open, mut predicted, mut several) = (Vec::new(), 0, 0, 0);
    for (task, number) in tasks.into_iter().zip(1..) {
        match task_of(&task, &mut several) {
            Ok(Some(task)) => {
                predicted += usize::from(task.by_model);
                found.push((task, number));
            }
            Ok(None) => open += 1,
            Err(what) => {
                let what = format!("task {number} {what}");
                reading.problem(path, None, "tasks that name no image", what);
            }
        }
    }
    for (count, what) in [
        (open, "tasks have neither annotations nor predictions, and are left out"),
        (predicted, "tasks have predictions alone: those are taken"),
        (several, "tasks have several annotations: the last of each is taken"),
    ] {
        if count > 0 {
            reading.remarks.push(format!("{count} {what}"));
        }
    }
    let beside = path.parent().unwrap_or(Path::new("."));
    let inner = beside.join("images");
    let folders: Vec<&Path> = reading.images.into_iter().chain([beside, &inner]).collect();
    let written: Vec<&str> =
        (found.iter()).map(|(task, _)| task.own.as_deref().unwrap_or(&task.image)).collect();
    let (names, foreign) = names::relative(&written, &folders);
    names::remark(foreign, reading.remarks);
    let mut labels = Labels::default();
    let mut others = BTreeMap::<String, usize>::new();
    let mut images = Vec::with_capacity(found.len());
    for ((task, number), name) in found.into_iter().zip(names) {
        let file = find_image(&name, &folders);
        let size = |key: &str| {
            let mut sizes = task.results.iter().filter_map(|result| result.get(key)?.as_u64());
            sizes.next_back().filter(|size| *size > 0).and_then(|size| u32::try_from(size).ok())
        };
        let size = match (size("original_width").zip(size("original_height")), &file) {
            (Some(size), _) => Some(size),
            (None, Some(file)) => reading.caught(size_of(file), "images that cannot be read")?,
            (None, None) => {
                let what = format!(
                    "task {number} ({name}) has no size, and the image is not there to look: say \
                     where with --images DIR"
                );
                reading.problem(path, None, "images of which nobody knows the size", what);
                None
            }
        };
        let Some((width, height)) = size else { continue };
        if is_of_several(&task.results) {
            let what = format!("task {number} has areas on several images: which is whose?");
            reading.problem(path, None, "tasks about several images", what);
            continue;
        }
        let unboxed = task.described;
        let mut image = Image { name, width, height, unboxed, file, ..Image::default() };
        for result in task.results {
            let kind = result.get("type").and_then(Value::as_str).unwrap_or_default();
            let value = result.get("value").unwrap_or(&result);
            if let Some((name, field)) = field_of(&result, value) {
                image.fields.get_or_insert_default().insert(name, field);
                continue;
            }
            if let Some((label, x, y)) = point_of(value, width, height) {
                if !image.add_point(labels.place(label), x, y) {
                    *others.entry(format!("{kind} outside of its image")).or_default() += 1;
                }
                continue;
            }
            let key = KINDS.into_iter().find(|key| value.get(key).is_some());
            let key = key.or_else(|| value.get("labels").map(|_| "labels"));
            let label = key.and_then(|key| value[key].get(0)).and_then(Value::as_str);
            let Some(area) = area_of(value, width, height) else {
                *others.entry(kind.to_owned()).or_default() += 1;
                continue;
            };
            let Some(label) = label else {
                // The shape of a pair of tags: its label is another result of the same id.
                *others.entry(format!("{kind} without a label")).or_default() += 1;
                continue;
            };
            let (bbox, polygon) = area;
            count_unkept(&result, value, key, reading);
            let category = labels.place(label);
            let Some(bbox) = reading.inside(bbox, width, height) else { continue };
            let mut object = Object::of_box(category, bbox);
            if task.by_model {
                object.score = result.get("score").and_then(Value::as_f64);
            }
            if let Some(polygon) = polygon {
                object.set_polygon(polygon);
            }
            image.objects.push(object);
        }
        images.push(image);
    }
    mark_unboxed(&mut images);
    for (kind, count) in others {
        let kind = if kind.is_empty() { "no kind" } else { &kind };
        reading.remarks.push(format!(
            "{count} results of the kind {kind} are left out: they are no labelled areas"
        ));
    }
    let mut dataset = Dataset { categories: labels.into_names(), images, ..Dataset::default() };
    sort_categories(&mut dataset, &[]);
    Ok(dataset)
}

/// Counts what a labelled area says and a box has no word for. `key` is that of its labels.
fn count_unkept(result: &Value, value: &Value, key: Option<&str>, reading: &mut Reading<'_>) {
    if key.is_some_and(|key| value[key].get(1).is_some()) {
        reading.count("result has", "results have", "several labels: the first counts");
    }
    if value.get("radiusX").is_some() {
        let ellipses = ["result is an ellipse,", "results are ellipses,"];
        reading.count(ellipses[0], ellipses[1], "of which the box around is kept");
    }
    let notes = result.get("meta").and_then(Value::as_object);
    if notes.is_some_and(|notes| !notes.is_empty()) {
        reading.count("result has", "results have", "notes (meta), which are not kept");
    }
}

/// Whether the areas of a task are on several images, or on several pages of one.
fn is_of_several(results: &[Value]) -> bool {
    let is_area = |result: &&Value| {
        let value = result.get("value");
        value.is_some_and(|value| ["x", "points"].iter().any(|key| value.get(key).is_some()))
    };
    let mut on = results.iter().filter(is_area).map(|result| {
        let page = result.get("item_index").and_then(Value::as_u64).unwrap_or(0);
        (result.get("to_name").and_then(Value::as_str), page)
    });
    let first = on.next();
    on.any(|other| Some(other) != first)
}

/// What a task says about its image; `None` if nobody said anything.
///
/// # Errors
/// It names no image.
fn task_of(task: &Value, several: &mut usize) -> Result<Option<Task>, String> {
    let data = task.get("data").unwrap_or(task);
    let fields = data.as_object().ok_or("has no data")?;
    let is_image = |value: &&str| {
        let path = value.split('?').next().unwrap_or_default();
        let path = if value.contains("?d=") { *value } else { path };
        super::reading::is_picture(Path::new(path))
    };
    let usual = ["image", "img", "picture", "photo"];
    let named = usual.into_iter().find_map(|key| fields.get(key)?.as_str());
    let any = || fields.values().filter_map(Value::as_str).find(is_image);
    let image = named.or_else(any).ok_or("names no image")?.to_owned();
    let own = fields.get("name").and_then(Value::as_str).filter(|_| fields.contains_key("status"));
    let own = own.map(str::to_owned);
    let described = fields.get("status").is_some_and(|status| status == "text");
    let list = |key: &str| task.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    if task.get("data").is_none() {
        // JSON-MIN: each list among the fields is of one tag.
        let results = fields.values().filter_map(Value::as_array).flatten();
        let results =
            results.filter(|value| value.get("original_width").is_some()).cloned().collect();
        return Ok(Some(Task { image, own, results, by_model: false, described }));
    }
    let mut annotations = list("annotations");
    annotations.extend(list("completions"));
    annotations.retain(|annotation| annotation.get("was_cancelled") != Some(&Value::Bool(true)));
    *several += usize::from(annotations.len() > 1);
    let truth =
        annotations.iter().rposition(|one| one.get("ground_truth") == Some(&Value::Bool(true)));
    let chosen = truth.map(|place| annotations.swap_remove(place)).or_else(|| annotations.pop());
    let by_model = chosen.is_none();
    let chosen = chosen.or_else(|| list("predictions").pop());
    let results = |chosen: Value| chosen.get("result").and_then(Value::as_array).cloned();
    Ok(chosen.and_then(results).map(|results| Task { image, own, results, by_model, described }))
}

/// The name and the value of a result about the whole image: a choice, a number or a text.
fn field_of(result: &Value, value: &Value) -> Option<(String, Value)> {
    // Those about a region say where that lies.
    let of_region = ["x", "points", "rle"].iter().any(|key| value.get(key).is_some());
    let of_region = of_region || result.get("parentID").is_some();
    let name = result.get("from_name").and_then(Value::as_str).filter(|_| !of_region)?;
    let list = |key: &str| value.get(key).and_then(Value::as_array);
    let one = |list: &Vec<Value>| match list.as_slice() {
        [one] => one.clone(),
        several => several.into(),
    };
    let value = if let Some(choices) = list("choices") {
        let one = one(choices);
        match one.as_str() {
            Some("true") => true.into(),
            Some("false") => false.into(),
            _ => one,
        }
    } else if let Some(number) = value.get("number") {
        number.clone()
    } else {
        // One that is no list is of an old version.
        list("text").map(one).or_else(|| value.get("text").cloned())?
    };
    Some((name.strip_prefix(FIELDS).unwrap_or(name).to_owned(), value))
}

/// The label and the place of a keypoint.
fn point_of(value: &Value, width: u32, height: u32) -> Option<(&str, f64, f64)> {
    let label = value.get("keypointlabels")?.get(0)?.as_str()?;
    let at = |key: &str, size: u32| Some(value.get(key)?.as_f64()? * f64::from(size) / 100.0);
    Some((label, at("x", width)?, at("y", height)?))
}

/// The box of a result, and its polygon if it is no upright box; `None` if it is no area.
fn area_of(value: &Value, width: u32, height: u32) -> Option<(BBox, Option<Vec<f64>>)> {
    let (across, down) = (f64::from(width) / 100.0, f64::from(height) / 100.0);
    let number = |key: &str| value.get(key).and_then(Value::as_f64);
    if let Some(points) = value.get("points").and_then(Value::as_array) {
        let mut polygon = Vec::with_capacity(2 * points.len());
        for point in points {
            polygon.push(point.get(0)?.as_f64()? * across);
            polygon.push(point.get(1)?.as_f64()? * down);
        }
        return Some((model::bounds(std::slice::from_ref(&polygon))?, Some(polygon)));
    }
    let (x, y) = (number("x")? * across, number("y")? * down);
    if let (Some(rx), Some(ry)) = (number("radiusX"), number("radiusY")) {
        let (sin, cos) = number("rotation").unwrap_or(0.0).to_radians().sin_cos();
        let (rx, ry) = (rx * across, ry * down);
        let (w, h) = ((rx * cos).hypot(ry * sin), (rx * sin).hypot(ry * cos));
        return Some((BBox { x0: x - w, y0: y - h, x1: x + w, y1: y + h }, None));
    }
    let (w, h) = (number("width")? * across, number("height")? * down);
    let bbox = BBox { x0: x, y0: y, x1: x + w, y1: y + h };
    match number("rotation").filter(|angle| *angle != 0.0) {
        None => Some((bbox, None)),
        // It turns around its upper left corner, others around their middle.
        Some(angle) => {
            let (sin, cos) = angle.to_radians().sin_cos();
            let (u, v) = (w / 2.0, h / 2.0);
            let (dx, dy) = (u * cos - v * sin - u, u * sin + v * cos - v);
            let moved = BBox { x0: x + dx, y0: y + dy, x1: x + w + dx, y1: y + h + dy };
            Some(turned_box(moved, angle))
        }
    }
}

/// The address of the files in the folder `images`. Label Studio serves folders inside its document
/// root, never the root itself: the root is the folder's parent, and the folder's name a part of
/// the address.
pub(crate) fn local_files(images: Option<&Path>) -> String {
    const LOCAL_FILES: &str = "/data/local-files/?d=";
    match images.and_then(Path::file_name) {
        Some(folder) => address(LOCAL_FILES, &folder.to_string_lossy()) + "/",
        None => LOCAL_FILES.to_owned(),
    }
}

/// The image's name behind `url`, per-cent-encoded as an address needs it (RFC 3986, unreserved
/// characters and `/` stand as they are); the plain name where there is no address.
pub(crate) fn address(url: &str, name: &str) -> String {
    if url.is_empty() || is_address(name) {
        return name.to_owned();
    }
    let mut address = url.to_owned();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                address.push(byte.into());
            }
            other => {
                // Writing to a string cannot fail.
                let _ = write!(address, "%{other:02X}");
            }
        }
    }
    address
}

/// The labelling interface that goes with the tasks of a data set: labels for boxes, and for
/// polygons and points if there are some, and a question for each field of the images.
pub(crate) fn label_config(dataset: &Dataset) -> String {
    let labels = dataset.categories.iter().map(|label| {
        let label = escape(label);
        format!("    <Label value=\"{label}\"/>\n")
    });
    let labels: Vec<String> = labels.collect();
    let labels = labels.concat();
    let polygons = dataset.objects().any(|object| one_polygon(object).is_some());
    let points = dataset.points().next().is_some();
    let tags = [
        // Fields alone name no labels, and a tag without any would be nothing to draw with.
        ("RectangleLabels", FROM_NAME, !dataset.categories.is_empty()),
        ("PolygonLabels", POLYGON, polygons),
        ("KeyPointLabels", POINT, points),
    ];
    let mut xml = format!("<View>\n  <Image name=\"{TO_NAME}\" value=\"$image\"/>\n");
    // Writing to a string cannot fail.
    for (tag, name, _) in tags.into_iter().filter(|(.., is_there)| *is_there) {
        let _ = write!(xml, "  <{tag} name=\"{name}\" toName=\"{TO_NAME}\">\n{labels}  </{tag}>\n");
    }
    for (name, kind) in FieldKind::of_fields(dataset) {
        let name = escape(name);
        let head = format!("name=\"{FIELDS}{name}\" toName=\"{TO_NAME}\"");
        let _ = writeln!(xml, "  <Header value=\"{name}\"/>");
        let _ = match kind {
            FieldKind::Flag => writeln!(
                xml,
                "  <Choices {head} choice=\"single\">\n    <Choice value=\"true\"/>\n    <Choice \
                 value=\"false\"/>\n  </Choices>"
            ),
            FieldKind::Number => writeln!(xml, "  <Number {head}/>"),
            FieldKind::Words => writeln!(xml, "  <TextArea {head} editable=\"true\"/>"),
        };
    }
    xml + "</View>\n"
}

/// The polygon of an object that has one alone.
fn one_polygon(object: &Object) -> Option<&[f64]> {
    match object.polygons() {
        Some([polygon]) => Some(polygon),
        _ => None,
    }
}

/// What a data set says about one of its images, as the results of a task.
pub(crate) fn results(dataset: &Dataset, image: &Image, kinds: &[(&str, FieldKind)]) -> Vec<Value> {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let part = |pixels: f64, size: f64| 100.0 * pixels / size;
    let of_image = digest::number(&image.name);
    let mut number = 0;
    let mut result = |kind: &str, from_name: &str, value: Value| {
        let id = format!("{of_image:016x}-{number}");
        number += 1;
        json!({
            "id": id,
            "type": kind,
            "from_name": from_name,
            "to_name": TO_NAME,
            "original_width": image.width,
            "original_height": image.height,
            "image_rotation": 0,
            "value": value,
        })
    };
    let mut results = Vec::with_capacity(image.objects.len() + image.points.len());
    for object in &image.objects {
        let label = &dataset.categories[object.category];
        let mut region = if let Some(polygon) = one_polygon(object) {
            let points = polygon.as_chunks::<2>().0.iter();
            let points: Vec<[f64; 2]> =
                points.map(|[x, y]| [part(*x, width), part(*y, height)]).collect();
            let value = json!({"points": points, "closed": true, "polygonlabels": [label]});
            result("polygonlabels", POLYGON, value)
        } else {
            let b = object.bbox;
            let value = json!({
                "x": part(b.x0, width),
                "y": part(b.y0, height),
                "width": part(b.width(), width),
                "height": part(b.height(), height),
                "rotation": 0,
                "rectanglelabels": [label],
            });
            result("rectanglelabels", FROM_NAME, value)
        };
        if let Some(score) = object.score {
            region["score"] = score.into();
        }
        results.push(region);
    }
    for point in &image.points {
        let value = json!({
            "x": part(point.x, width),
            "y": part(point.y, height),
            "width": POINT_WIDTH,
            "keypointlabels": [dataset.categories[point.category]],
        });
        results.push(result("keypointlabels", POINT, value));
    }
    for (name, value) in image.fields.iter().flat_map(|fields| fields.iter()) {
        let kind = kinds.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        let (kind, value) = match (kind, value) {
            (Some(FieldKind::Flag), value) => ("choices", json!({"choices": [words(value)]})),
            (Some(FieldKind::Number), value) => ("number", json!({"number": value})),
            (_, Value::Array(items)) => {
                let items: Vec<String> = items.iter().map(words).collect();
                ("textarea", json!({"text": items}))
            }
            (_, value) => ("textarea", json!({"text": [words(value)]})),
        };
        results.push(result(kind, &format!("{FIELDS}{name}"), value));
    }
    results
}

pub(super) fn write(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    // The folder of the images, if they all lie in one.
    let folders = dataset.images.iter().map(|image| {
        let file = image.file.as_ref()?;
        file.ancestors().nth(Path::new(&image.name).components().count())
    });
    let mut folders: Vec<Option<&Path>> = folders.collect();
    folders.dedup();
    let url = match folders.as_slice() {
        [Some(folder)] => local_files(std::path::absolute(folder).ok().as_deref()),
        _ => local_files(None) + "images/",
    };
    let kinds = FieldKind::of_fields(dataset);
    let mut tasks: Vec<Value> = Vec::with_capacity(dataset.images.len());
    for image in &dataset.images {
        // Boxes with scores are a model's: something to correct. All others are somebody's work.
        let by_model = image.objects.iter().all(|object| object.score.is_some());
        let by_model = by_model && !image.objects.is_empty();
        let status = if image.unboxed && image.points.is_empty() { "text" } else { "ok" };
        let results = results(dataset, image, &kinds);
        let mut task = Map::new();
        let data =
            json!({"image": address(&url, &image.name), "name": image.name, "status": status});
        task.insert("data".to_owned(), data);
        if by_model {
            let scores = image.objects.iter().filter_map(|object| object.score);
            let mean = scores.sum::<f64>() / image.objects.len() as f64;
            let prediction = json!({"model_version": "gemscope", "score": mean, "result": results});
            task.insert("predictions".to_owned(), json!([prediction]));
        } else {
            task.insert("annotations".to_owned(), json!([{"result": results}]));
        }
        tasks.push(task.into());
    }
    let text = serde_json::to_string(&tasks)
        .map_err(|error| DatasetError::io(Path::new("tasks.json"))(error.into()))?;
    put("tasks.json", (text + "\n").as_bytes())?;
    put("label_config.xml", label_config(dataset).as_bytes())?;
    let parts = |object: &&Object| object.polygons().is_some_and(|parts| parts.len() > 1);
    let parts = dataset.objects().filter(parts).count();
    if parts > 0 {
        remarks.push(format!(
            "{} several polygons, and Label Studio gets the box alone",
            counted(parts, "box has", "boxes have")
        ));
    }
    let keeps = Keeps {
        polygons: Polygons::One,
        scores: true,
        points: true,
        image_fields: true,
        ..Keeps::default()
    };
    dataset.remark_lost("Label Studio", keeps, remarks);
    let places = dataset.images.iter().map(|image| format!("images/{}", image.name)).collect();
    let first = vec!["tasks.json".to_owned(), "label_config.xml".to_owned()];
    Ok(Written { first, images: "images".to_owned(), places })
}
