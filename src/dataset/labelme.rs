//! LabelMe's and X-AnyLabeling's JSON: one file an image, beside it.
//!
//! In: a folder of such files. Out: a [`Dataset`], or those files. Promises: a rectangle is its
//! box, a polygon, a turned rectangle and a circle have the box around them; points are points, and
//! what is neither (lines) is counted; the file's own stem names the image if one of that name is beside
//! it.
//!
//! The format is that of labelme 5 (`labelme/label_file.py`); X-AnyLabeling adds `score`,
//! `difficult` and `attributes`, and writes rectangles with four corners.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::coco::parse_json;
use super::labels::{Labels, sort_categories};
use super::model::{self, Outline};
use super::reading::{
    Reading, files_under, find_image, images_under, remark_undescribed, size_of, stem,
};
use super::writing::{Keeps, Polygons, Put, Written, label_files, remark_case};
use super::{Dataset, DatasetError, Image, Object};
use crate::record::BBox;

/// Whose files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    LabelMe,
    XAnyLabeling,
}

#[derive(Deserialize)]
struct File {
    shapes: Vec<Value>,
    #[serde(rename = "imagePath")]
    image_path: Option<String>,
    #[serde(rename = "imageWidth")]
    width: Option<f64>,
    #[serde(rename = "imageHeight")]
    height: Option<f64>,
    #[serde(default)]
    flags: Value,
    #[serde(default)]
    description: Value,
}

#[derive(Deserialize)]
struct Shape {
    label: String,
    points: Vec<[f64; 2]>,
    // Files of early versions have polygons alone.
    #[serde(rename = "shape_type")]
    kind: Option<String>,
    group_id: Option<Value>,
    score: Option<f64>,
    #[serde(default)]
    difficult: Option<bool>,
    #[serde(default)]
    flags: Value,
    #[serde(default)]
    attributes: Value,
    #[serde(default)]
    description: Value,
}

/// Whether the folder `path` holds such files: its first JSON file has shapes, or begins as one that
/// has.
pub(super) fn is_at(path: &Path) -> bool {
    let Ok(files) = files_under(path, &["json"]) else { return false };
    let Some(first) = files.first().map(|file| path.join(file)) else { return false };
    parse_json::<File>(&first).is_ok() || {
        // One that is broken, or in another encoding, is an error of its own.
        let head = crate::files::read(&first, 1 << 26).unwrap_or_default();
        let head = String::from_utf8_lossy(&head);
        head.contains("\"shapes\"") && head.contains("\"imagePath\"")
    }
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let files = files_under(path, &["json"])?;
    let elsewhere: Vec<&Path> = reading.images.into_iter().chain([path]).collect();
    let mut by_stem: HashMap<String, String> = HashMap::new();
    for folder in &elsewhere {
        for name in images_under(folder, reading.remarks)? {
            by_stem.entry(stem(&name).to_owned()).or_insert(name);
        }
    }
    let mut labels = Labels::default();
    let (mut images, mut others) = (Vec::new(), BTreeMap::<String, usize>::new());
    let mut foreign = 0;
    for name in &files {
        let file_path = path.join(name);
        let value: Value = match reading.caught(parse_json(&file_path), "files that are no JSON")? {
            Some(value) => value,
            None => continue,
        };
        if value.get("shapes").is_none() {
            foreign += 1;
            continue;
        }
        let file: File = match serde_json::from_value(value) {
            Ok(file) => file,
            Err(error) => {
                let kind = "files that are not LabelMe's";
                reading.problem(&file_path, None, kind, error.to_string());
                continue;
            }
        };
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let inner = |base: &str| {
            if folder.is_empty() { base.to_owned() } else { format!("{folder}/{base}") }
        };
        let stated = file
            .image_path
            .as_deref()
            .map(|path| inner(path.rsplit(['/', '\\']).next().unwrap_or_default()));
        let own = by_stem.get(stem(name)).cloned();
        let is_there = |name: &String| find_image(name, &elsewhere).is_some();
        let named = file.image_path.as_deref().and_then(|path| resolved(folder, path));
        let named = named.filter(is_there).or_else(|| stated.clone().filter(is_there));
        let Some(image_name) = own.or(named).or(stated).filter(|name| !name.is_empty()) else {
            let what = "no imagePath, and no image is called as the file is";
            reading.problem(&file_path, None, "files that name no image", what);
            continue;
        };
        let image_file = find_image(&image_name, &elsewhere);
        let stated = file.width.zip(file.height).filter(|(w, h)| *w >= 1.0 && *h >= 1.0);
        let (width, height) = match (&image_file, stated) {
            (_, Some((width, height))) => (width as u32, height as u32),
            (Some(image), None) => {
                match reading.caught(size_of(image), "images that cannot be read")? {
                    Some(size) => size,
                    None => continue,
                }
            }
            (None, None) => {
                let what =
                    "no size, and the image is not there to look: say where with --images DIR";
                reading.problem(&file_path, None, "images of which nobody knows the size", what);
                continue;
            }
        };
        if says(&file.flags) || says(&file.description) {
            let what = "flags or a description of the image, which are not kept";
            reading.count("file has", "files have", what);
        }
        let mut image =
            Image { name: image_name, width, height, file: image_file, ..Image::default() };
        add_shapes(&mut image, file.shapes, &file_path, &mut labels, &mut others, reading);
        image.unboxed = image.objects.is_empty() && !image.points.is_empty();
        images.push(image);
    }
    let read: HashSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
    remark_undescribed(by_stem.values(), &read, ".json file", reading.remarks);
    for (kind, count) in others {
        reading
            .remarks
            .push(format!("{count} shapes of the kind {kind} are left out: no boxes or points"));
    }
    if foreign > 0 {
        reading.remarks.push(format!("{foreign} .json files have no shapes, and are left out"));
    }
    if images.is_empty() && foreign > 0 {
        return Err(DatasetError::file(path, "none of its .json files has shapes"));
    }
    let mut dataset = Dataset { categories: labels.into_names(), images, ..Dataset::default() };
    sort_categories(&mut dataset, &[]);
    Ok(dataset)
}

/// Adds the objects that `shapes` of the file `file` are; counts those that are none in `others`.
fn add_shapes(
    image: &mut Image,
    shapes: Vec<Value>,
    file: &Path,
    labels: &mut Labels,
    others: &mut BTreeMap<String, usize>,
    reading: &mut Reading<'_>,
) {
    let (width, height) = (image.width, image.height);
    let mut groups: HashMap<(String, String), usize> = HashMap::new();
    for (shape, number) in shapes.into_iter().zip(1..) {
        let shape: Shape = match serde_json::from_value(shape) {
            Ok(shape) => shape,
            Err(error) => {
                let what = format!("shape {number}: {error}");
                reading.problem(file, None, "shapes that cannot be read", what);
                continue;
            }
        };
        let kind = shape.kind.as_deref().unwrap_or("polygon");
        if shape.label.trim().is_empty() {
            let what = format!("shape {number} has an empty label");
            reading.problem(file, None, "shapes without a label", what);
            continue;
        }
        if says(&shape.flags) || says(&shape.attributes) || says(&shape.description) {
            let what = "flags, attributes or a description, which are not kept";
            reading.count("shape has", "shapes have", what);
        }
        if let ("point", [[x, y]]) = (kind, shape.points.as_slice()) {
            let category = labels.place(&shape.label);
            if !image.add_point(category, *x, *y) {
                *others.entry("point outside of its image".to_owned()).or_default() += 1;
            }
            continue;
        }
        let (bbox, polygon) = match area_of(kind, &shape.points) {
            Ok(area) => area,
            Err(true) => {
                *others.entry(kind.to_owned()).or_default() += 1;
                continue;
            }
            Err(false) => {
                let what = format!("shape {number}: a {kind} of {} points", shape.points.len());
                reading.problem(file, None, "shapes with too few points", what);
                continue;
            }
        };
        if matches!(kind, "circle" | "mask") {
            let what = format!("of the kind {kind}, of which the box around is kept");
            reading.count("shape is", "shapes are", &what);
        }
        let category = labels.place(&shape.label);
        // Polygons of one group are the parts of one object.
        let group = shape.group_id.filter(|id| !id.is_null() && polygon.is_some());
        let group = group.map(|id| (shape.label.clone(), id.to_string()));
        let first = group.as_ref().and_then(|group| groups.get(group));
        if let (Some(first), Some(part)) = (first, &polygon) {
            join(&mut image.objects[*first], part.clone(), &BBox::whole(width, height));
            continue;
        }
        let Some(bbox) = reading.inside(bbox, width, height) else { continue };
        let mut object = Object::of_box(category, bbox);
        object.score = shape.score;
        object.crowd = shape.difficult == Some(true);
        if let Some(polygon) = polygon {
            object.set_polygon(polygon);
        }
        groups.extend(group.map(|group| (group, image.objects.len())));
        image.objects.push(object);
    }
}

/// Whether the corners of a rectangle lie on two columns and two rows, to a tenth of a pixel.
fn is_upright(corners: &[[f64; 2]]) -> bool {
    let axis = |axis: usize| {
        let along = corners.iter().map(move |corner| corner[axis]);
        let least = along.clone().fold(f64::INFINITY, f64::min);
        let most = along.clone().fold(f64::NEG_INFINITY, f64::max);
        along.into_iter().all(|at| (at - least).abs() < 0.1 || (at - most).abs() < 0.1)
    };
    axis(0) && axis(1)
}

/// Whether a value says something.
fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(says),
        Value::Object(fields) => fields.values().any(says),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The name of the image at `path`, seen from `folder`; `None` if that is elsewhere.
fn resolved(folder: &str, path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Adds a part to an object of polygons.
fn join(object: &mut Object, part: Vec<f64>, whole: &BBox) {
    let Some(Outline::Polygons(polygons)) = object.outline.as_deref_mut() else { return };
    polygons.push(part);
    object.area = model::area(polygons);
    if let Some(bounds) = model::bounds(polygons) {
        object.bbox = BBox {
            x0: bounds.x0.max(whole.x0),
            y0: bounds.y0.max(whole.y0),
            x1: bounds.x1.min(whole.x1),
            y1: bounds.y1.min(whole.y1),
        };
    }
}

/// The box of a shape, and its polygon if it is no upright rectangle; else whether a shape of that
/// kind has no area at all.
fn area_of(kind: &str, points: &[[f64; 2]]) -> Result<(BBox, Option<Vec<f64>>), bool> {
    let around = |points: &[[f64; 2]]| {
        let axis = |axis: usize| points.iter().map(move |point| point[axis]);
        BBox {
            x0: axis(0).fold(f64::INFINITY, f64::min),
            y0: axis(1).fold(f64::INFINITY, f64::min),
            x1: axis(0).fold(f64::NEG_INFINITY, f64::max),
            y1: axis(1).fold(f64::NEG_INFINITY, f64::max),
        }
    };
    match (kind, points) {
        ("rectangle", [_, _, _, _]) if !is_upright(points) => {
            Ok((around(points), Some(points.as_flattened().to_vec())))
        }
        ("rectangle" | "mask", [_, _, ..]) => Ok((around(points), None)),
        ("polygon" | "rotation" | "quadrilateral", [_, _, _, ..]) => {
            Ok((around(points), Some(points.as_flattened().to_vec())))
        }
        // The middle, and a point on the edge.
        ("circle", [[x, y], [u, v]]) => {
            let radius = (u - x).hypot(v - y);
            let bbox = BBox { x0: x - radius, y0: y - radius, x1: x + radius, y1: y + radius };
            Ok((bbox, None))
        }
        ("rectangle" | "mask" | "polygon" | "rotation" | "quadrilateral" | "circle", _) => {
            Err(false)
        }
        _ => Err(true),
    }
}

#[derive(Serialize)]
struct WrittenShape<'d> {
    label: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    points: Vec<[f64; 2]>,
    group_id: Option<usize>,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    difficult: Option<bool>,
    shape_type: &'static str,
    flags: Map<String, Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl<'d> WrittenShape<'d> {
    fn of(label: &'d str, shape_type: &'static str, points: Vec<[f64; 2]>, is_x: bool) -> Self {
        let mut more = Map::new();
        if is_x {
            more.insert("attributes".to_owned(), json!({}));
            more.insert("kie_linking".to_owned(), json!([]));
        } else {
            more.insert("mask".to_owned(), Value::Null);
        }
        Self {
            label,
            score: None,
            points,
            group_id: None,
            description: "",
            difficult: is_x.then_some(false),
            shape_type,
            flags: Map::new(),
            more,
        }
    }
}

pub(crate) fn write(
    dataset: &Dataset,
    flavour: Flavour,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let is_x = flavour == Flavour::XAnyLabeling;
    let (name, version) = if is_x { ("X-AnyLabeling", "2.4.4") } else { ("LabelMe", "5.5.0") };
    remark_case(dataset, remarks);
    for (image, file) in dataset.images.iter().zip(label_files(dataset, "json")?) {
        let mut shapes = Vec::new();
        for (number, object) in image.objects.iter().enumerate() {
            let b = object.bbox;
            let corners = [[b.x0, b.y0], [b.x1, b.y0], [b.x1, b.y1], [b.x0, b.y1]];
            let (kind, parts): (&'static str, Vec<Vec<[f64; 2]>>) = match object.polygons() {
                Some(polygons) => {
                    let points = |polygon: &Vec<f64>| polygon.as_chunks::<2>().0.to_vec();
                    ("polygon", polygons.iter().map(points).collect())
                }
                None if is_x => ("rectangle", vec![corners.to_vec()]),
                None => ("rectangle", vec![vec![corners[0], corners[2]]]),
            };
            let group_id = (parts.len() > 1).then_some(number);
            for points in parts {
                shapes.push(WrittenShape {
                    score: object.score.filter(|_| is_x),
                    group_id,
                    difficult: is_x.then_some(object.crowd),
                    ..WrittenShape::of(&dataset.categories[object.category], kind, points, is_x)
                });
            }
        }
        for point in &image.points {
            let (label, at) = (&dataset.categories[point.category], vec![[point.x, point.y]]);
            shapes.push(WrittenShape::of(label, "point", at, is_x));
        }
        let base = image.name.rsplit('/').next().unwrap_or(&image.name);
        let text = json!({
            "version": version,
            "flags": {},
            "shapes": shapes,
            "imagePath": base,
            "imageData": null,
            "imageHeight": image.height,
            "imageWidth": image.width,
        });
        put(&file, format!("{text:#}\n").as_bytes())?;
    }
    let keeps = Keeps {
        polygons: Polygons::All,
        scores: is_x,
        crowds: is_x,
        points: true,
        ..Keeps::default()
    };
    dataset.remark_lost(name, keeps, remarks);
    let places = dataset.images.iter().map(|image| image.name.clone()).collect();
    Ok(Written { first: vec![String::new()], images: String::new(), places })
}
