//! CVAT for images 1.1: one XML file.
//!
//! In: `annotations.xml`, or the folder that it lies in. Out: a [`Dataset`], or that file.
//! Promises: boxes keep the decimals that are written; a turned box, an ellipse and a polygon have
//! the box around them; points are points, one each; attributes of an image's tags are its fields;
//! what is none of these (lines, tags alone) is counted; an attribute `subset` is a split.
//!
//! The format is that of docs.cvat.ai/docs/manual/advanced/formats/format-cvat.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde_json::Value;

use super::counted::counted;
use super::fields::{FieldKind, mark_unboxed, words};
use super::labels::Labels;
use super::model;
use super::names;
use super::reading::{Reading, find_image};
use super::writing::{Keeps, Polygons, Put, Written};
use super::xml::{self, escape};
use super::{Dataset, DatasetError, Image, Object, Split, Splits};
use crate::record::BBox;

/// The file's usual name.
const FILE: &str = "annotations.xml";

/// The label of the tag whose attributes are the fields of an image, unless a category is called
/// so.
const TAG: &str = "image";

/// The file at `path`, if that is one, or the folder of one.
pub(super) fn file_at(path: &Path) -> Option<PathBuf> {
    let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let head = crate::files::open(&file).ok().and_then(|file| {
        let mut head = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, 4096), &mut head).ok()?;
        Some(String::from_utf8_lossy(&head).replace('\0', ""))
    });
    head.is_some_and(|head| head.contains("<annotations>") || head.contains("<annotations "))
        .then_some(file)
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let file = file_at(path).ok_or_else(|| {
        DatasetError::file(path, format!("no {FILE} with <annotations> is there"))
    })?;
    let text = xml::read(&file)?;
    let document = Document::parse(&text)
        .map_err(|error| DatasetError::line(&file, error.pos().row as usize, error.to_string()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let inner = folder.join("images");
    let folders: Vec<&Path> = reading.images.into_iter().chain([folder, &inner]).collect();
    let mut labels = Labels::default();
    for label in document.descendants().filter(|node| node.has_tag_name("label")) {
        let name = label.children().find(|child| child.has_tag_name("name"));
        let name = name.and_then(|name| name.text()).map(str::trim);
        // Points of skeletons are labels of their own, without boxes.
        let outer = label.ancestors().skip(1).all(|above| !above.has_tag_name("label"));
        // A label of whole images is no category.
        let kind = label.children().find(|child| child.has_tag_name("type"));
        let of_tags = kind.and_then(|kind| kind.text()) == Some("tag");
        if let Some(name) = name.filter(|name| outer && !of_tags && !name.is_empty()) {
            labels.place(name);
        }
    }
    let kinds = kinds_of_fields(&document);
    let root = document.root_element();
    let nodes: Vec<Node<'_, '_>> =
        root.children().filter(|node| node.has_tag_name("image")).collect();
    if root.children().any(|node| node.has_tag_name("track")) {
        let problem = "tracks of a video (CVAT for video), which are not read: export as images";
        return Err(DatasetError::file(&file, problem));
    }
    let written: Vec<&str> =
        nodes.iter().map(|node| node.attribute("name").unwrap_or_default()).collect();
    let (names, foreign) = names::relative(&written, &folders);
    names::remark(foreign, reading.remarks);
    let mut others = BTreeMap::<String, usize>::new();
    let (mut images, mut fields, mut outside) = (Vec::with_capacity(nodes.len()), 0, 0);
    for (node, name) in nodes.into_iter().zip(names) {
        let line = |node: Node<'_, '_>| document.text_pos_at(node.range().start).row as usize;
        let size = |key: &str| node.attribute(key)?.parse::<u32>().ok().filter(|size| *size > 0);
        let (Some(width), Some(height)) = (size("width"), size("height")) else {
            let what = format!("the image {name:?} has no width and height");
            reading.problem(&file, Some(line(node)), "images without a size", what);
            continue;
        };
        if name.is_empty() {
            let what = "an image without a name".to_owned();
            reading.problem(&file, Some(line(node)), "images without a name", what);
            continue;
        }
        let subset = node.attribute("subset").filter(|subset| !["", "default"].contains(subset));
        let split = subset.and_then(Split::of_word);
        if let Some(subset) = subset.filter(|_| split.is_none()) {
            let what = format!("of the subset {subset:?}, which is no split");
            reading.count("image is", "images are", &what);
        }
        let mut image = Image {
            file: find_image(&name, &folders),
            name,
            width,
            height,
            id: node.attribute("id").and_then(|id| id.parse().ok()),
            splits: split.map(Splits::only).unwrap_or_default(),
            ..Image::default()
        };
        for shape in node.children().filter(Node::is_element) {
            let kind = shape.tag_name().name();
            if kind == "tag" && shape.children().any(|child| child.has_tag_name("attribute")) {
                add_fields(&mut image, shape, &kinds);
                continue;
            }
            let points = points_of(shape).unwrap_or_default();
            if let Some(label) = shape.attribute("label").filter(|_| !points.is_empty()) {
                let category = labels.place(label);
                let inside = points.iter().filter(|[x, y]| image.add_point(category, *x, *y));
                outside += points.len() - inside.count();
                continue;
            }
            let (bbox, outline) = match area_of(shape) {
                Ok(Some(area)) => area,
                Ok(None) => {
                    *others.entry(kind.to_owned()).or_default() += 1;
                    continue;
                }
                Err(what) => {
                    let what = format!("<{kind}> {what}");
                    reading.problem(&file, Some(line(shape)), "shapes that cannot be read", what);
                    continue;
                }
            };
            let Some(label) = shape.attribute("label").filter(|label| !label.is_empty()) else {
                let what = format!("<{kind}> without a label");
                reading.problem(&file, Some(line(shape)), "shapes without a label", what);
                continue;
            };
            count_unkept(shape, reading);
            fields += usize::from(shape.children().any(|child| child.has_tag_name("attribute")));
            let category = labels.place(label);
            let Some(bbox) = reading.inside(bbox, width, height) else { continue };
            let mut object = Object::of_box(category, bbox);
            if let Some(polygon) = outline {
                object.set_polygon(polygon);
            }
            image.objects.push(object);
        }
        images.push(image);
    }
    mark_unboxed(&mut images);
    for (kind, count) in others {
        reading.remarks.push(format!("{count} <{kind}> are left out: they are no boxes or areas"));
    }
    if outside > 0 {
        reading
            .remarks
            .push(format!("{outside} points lie outside of their image, and are left out"));
    }
    if fields > 0 {
        let fields = counted(fields, "shape has", "shapes have");
        reading.remarks.push(format!("{fields} attributes, which are not kept"));
    }
    Ok(Dataset { categories: labels.into_names(), images, ..Dataset::default() })
}

/// Counts what an area says and a box has no word for.
fn count_unkept(shape: Node<'_, '_>, reading: &mut Reading<'_>) {
    let kind = shape.tag_name().name();
    if matches!(kind, "ellipse" | "mask") {
        reading.count(
            "shape is",
            "shapes are",
            &format!("<{kind}>, of which the box around is kept"),
        );
    }
    if shape.attribute("occluded") == Some("1") || shape.attribute("group_id").is_some() {
        reading.count("shape is", "shapes are", "occluded, or in a group, which is not kept");
    }
}

/// The input types of the attributes that the file declares, by their label and their name.
type Kinds<'d> = BTreeMap<(&'d str, &'d str), &'d str>;

fn kinds_of_fields<'d>(document: &'d Document<'_>) -> Kinds<'d> {
    let mut kinds = BTreeMap::new();
    for label in document.descendants().filter(|node| node.has_tag_name("label")) {
        for attribute in label.descendants().filter(|node| node.has_tag_name("attribute")) {
            let named = child_text(label, "name").zip(child_text(attribute, "name"));
            kinds.extend(named.zip(child_text(attribute, "input_type")));
        }
    }
    kinds
}

/// The text of the child `tag`.
fn child_text<'d>(node: Node<'d, '_>, tag: &str) -> Option<&'d str> {
    node.children().find(|child| child.has_tag_name(tag))?.text()
}

/// Adds the attributes of a tag to the fields of its image. Those of a label that is not ours have
/// its name before their own.
fn add_fields(image: &mut Image, tag: Node<'_, '_>, kinds: &Kinds<'_>) {
    let label = tag.attribute("label").unwrap_or_default();
    let own = label.trim_end_matches('_') == TAG;
    let fields = image.fields.get_or_insert_default();
    for attribute in tag.children().filter(|child| child.has_tag_name("attribute")) {
        let name = attribute.attribute("name").unwrap_or_default();
        let text = attribute.text().unwrap_or_default();
        let kind = kinds.get(&(label, name)).copied().unwrap_or("text");
        let typed = matches!(kind, "checkbox" | "number").then(|| serde_json::from_str(text).ok());
        let value = typed.flatten().filter(|value: &Value| value.is_boolean() || value.is_number());
        let name = if own { name.to_owned() } else { format!("{label}.{name}") };
        fields.insert(name, value.unwrap_or_else(|| text.into()));
    }
}

/// The places of `<points>`; `None` of other shapes, and where one is no place.
fn points_of(shape: Node<'_, '_>) -> Option<Vec<[f64; 2]>> {
    let text = shape.attribute("points").filter(|_| shape.has_tag_name("points"))?;
    let place = |text: &str| {
        let (x, y) = text.split_once(',')?;
        Some([x.trim().parse().ok()?, y.trim().parse().ok()?])
    };
    text.split(';').map(place).collect()
}

/// A box, and a polygon where the shape is no upright one.
type Area = (BBox, Option<Vec<f64>>);

/// The area of a shape; `None` if shapes of its kind have none.
///
/// # Errors
/// What is wrong with it.
fn area_of(shape: Node<'_, '_>) -> Result<Option<Area>, String> {
    let number = |key: &str| {
        let text = shape.attribute(key).ok_or_else(|| format!("has no {key}"))?;
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("has the {key} {text:?}, which is no number"))
    };
    let turned = shape.attribute("rotation").and_then(|angle| angle.parse::<f64>().ok());
    match shape.tag_name().name() {
        "box" => {
            let (x0, y0, x1, y1) = (number("xtl")?, number("ytl")?, number("xbr")?, number("ybr")?);
            let bbox = BBox { x0: x0.min(x1), y0: y0.min(y1), x1: x0.max(x1), y1: y0.max(y1) };
            Ok(Some(match turned.filter(|angle| *angle != 0.0) {
                None => (bbox, None),
                Some(angle) => turned_box(bbox, angle),
            }))
        }
        "ellipse" => {
            let (x, y, rx, ry) = (number("cx")?, number("cy")?, number("rx")?, number("ry")?);
            let (sin, cos) = turned.unwrap_or(0.0).to_radians().sin_cos();
            let (w, h) = ((rx * cos).hypot(ry * sin), (rx * sin).hypot(ry * cos));
            Ok(Some((BBox { x0: x - w, y0: y - h, x1: x + w, y1: y + h }, None)))
        }
        "mask" => {
            let (x0, y0) = (number("left")?, number("top")?);
            let (x1, y1) = (x0 + number("width")?, y0 + number("height")?);
            Ok(Some((BBox { x0, y0, x1, y1 }, None)))
        }
        "polygon" => {
            let text = shape.attribute("points").ok_or("has no points")?;
            let numbers = text.split([';', ',']).map(|text| text.trim().parse::<f64>());
            let numbers: Vec<f64> = numbers
                .collect::<Result<_, _>>()
                .map_err(|error| format!("has points that are no numbers ({error})"))?;
            let bounds = model::bounds(std::slice::from_ref(&numbers));
            Ok(Some((bounds.ok_or("has fewer than three points")?, Some(numbers))))
        }
        _ => Ok(None),
    }
}

/// A box that is turned around its middle by `angle` degrees, clockwise: the box around it, and its
/// corners.
pub(super) fn turned_box(bbox: BBox, angle: f64) -> Area {
    let (x, y) = (f64::midpoint(bbox.x0, bbox.x1), f64::midpoint(bbox.y0, bbox.y1));
    let (sin, cos) = angle.to_radians().sin_cos();
    let (w, h) = (bbox.width() / 2.0, bbox.height() / 2.0);
    let corner = |(u, v): (f64, f64)| [x + u * cos - v * sin, y + u * sin + v * cos];
    let corners: Vec<f64> =
        [(-w, -h), (w, -h), (w, h), (-w, h)].into_iter().flat_map(corner).collect();
    // Four corners of finite numbers.
    (model::bounds(std::slice::from_ref(&corners)).unwrap_or(bbox), Some(corners))
}

pub(crate) fn write(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let is_split = dataset.is_split();
    let subset_of = |image: &Image| {
        let split = Split::ALL.into_iter().find(|split| image.splits.has(*split));
        split.map_or("default", Split::as_str)
    };
    // Subsets are those of a project; a task has none.
    let (outer, mut subsets) = (if is_split { "project" } else { "task" }, Vec::new());
    for image in dataset.images.iter().filter(|_| is_split) {
        if !subsets.contains(&subset_of(image)) {
            subsets.push(subset_of(image));
        }
    }
    // Writing to a string cannot fail.
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  \
         <meta>\n    <{outer}>\n"
    );
    if is_split {
        text.push_str("      <subsets>\n");
        for subset in subsets {
            let _ = writeln!(text, "        <subset>{subset}</subset>");
        }
        text.push_str("      </subsets>\n");
    }
    text.push_str("      <labels>\n");
    let fields = Fields::of(dataset);
    let _ = fields.declare(&mut text);
    let mut names: Vec<&str> = Vec::new();
    for name in &dataset.categories {
        if !names.contains(&name.as_str()) {
            names.push(name);
            let name = escape(name);
            let _ = writeln!(
                text,
                "        <label>\n          <name>{name}</name>\n          \
                 <attributes></attributes>\n        </label>"
            );
        }
    }
    let _ = writeln!(text, "      </labels>\n    </{outer}>\n  </meta>");
    let mut several = 0;
    for (number, image) in dataset.images.iter().enumerate() {
        let splits = Split::ALL.into_iter().filter(|split| image.splits.has(*split)).count();
        several += usize::from(is_split && splits > 1);
        let subset = is_split.then(|| format!(" subset=\"{}\"", subset_of(image)));
        let _ = writeln!(
            text,
            "  <image id=\"{number}\" name=\"{}\"{} width=\"{}\" height=\"{}\">",
            escape(&image.name),
            subset.unwrap_or_default(),
            image.width,
            image.height
        );
        for object in &image.objects {
            let label = escape(&dataset.categories[object.category]);
            let source = if object.score.is_some() { "auto" } else { "manual" };
            let head = format!("label=\"{label}\" source=\"{source}\" occluded=\"0\"");
            // A shape of several polygons would become several objects.
            if let Some([polygon]) = object.polygons() {
                let points = polygon.as_chunks::<2>().0.iter();
                let points: Vec<String> = points.map(|[x, y]| format!("{x:.2},{y:.2}")).collect();
                let points = points.join(";");
                let _ = writeln!(
                    text,
                    "    <polygon {head} points=\"{points}\" z_order=\"0\">\n    </polygon>"
                );
            } else {
                let b = object.bbox;
                let _ = writeln!(
                    text,
                    "    <box {head} xtl=\"{:.3}\" ytl=\"{:.3}\" xbr=\"{:.3}\" ybr=\"{:.3}\" \
                     z_order=\"0\">\n    </box>",
                    b.x0, b.y0, b.x1, b.y1
                );
            }
        }
        for point in &image.points {
            let label = escape(&dataset.categories[point.category]);
            let _ = writeln!(
                text,
                "    <points label=\"{label}\" source=\"auto\" occluded=\"0\" \
                 points=\"{:.2},{:.2}\" z_order=\"0\">\n    </points>",
                point.x, point.y
            );
        }
        let _ = fields.tag(image, &mut text);
        text.push_str("  </image>\n");
    }
    text.push_str("</annotations>\n");
    put(FILE, text.as_bytes())?;
    if several > 0 {
        remarks.push(format!(
            "{} in several splits: only the first of each counts",
            counted(several, "image is", "images are")
        ));
    }
    let parts =
        dataset.objects().filter(|object| object.polygons().is_some_and(|parts| parts.len() > 1));
    let parts = parts.count();
    if parts > 0 {
        remarks.push(format!(
            "{} several polygons, and CVAT gets the box alone",
            counted(parts, "box has", "boxes have")
        ));
    }
    let keeps = Keeps {
        polygons: Polygons::One,
        splits: true,
        points: true,
        image_fields: true,
        ..Keeps::default()
    };
    dataset.remark_lost("CVAT", keeps, remarks);
    let places = dataset.images.iter().map(|image| format!("images/{}", image.name)).collect();
    Ok(Written { first: vec![FILE.to_owned()], images: "images".to_owned(), places })
}

/// The fields of a data set's images as attributes of a tag.
struct Fields<'d> {
    /// The label of the tag, which is no category.
    label: String,
    /// Their names, and whether all values are truth values, or all numbers.
    kinds: Vec<(&'d str, FieldKind)>,
}

impl<'d> Fields<'d> {
    fn of(dataset: &'d Dataset) -> Self {
        let mut label = TAG.to_owned();
        while dataset.categories.contains(&label) {
            label.push('_');
        }
        Self { label, kinds: FieldKind::of_fields(dataset) }
    }

    /// Declares the label and its attributes among the labels of the file.
    fn declare(&self, text: &mut String) -> std::fmt::Result {
        if self.kinds.is_empty() {
            return Ok(());
        }
        let label = &self.label;
        writeln!(
            text,
            "        <label>\n          <name>{label}</name>\n          <type>tag</type>\n          \
             <attributes>"
        )?;
        for (name, kind) in &self.kinds {
            let (kind, default) = match kind {
                FieldKind::Flag => ("checkbox", "false"),
                FieldKind::Number => ("number", "0"),
                FieldKind::Words => ("text", ""),
            };
            let name = escape(name);
            writeln!(
                text,
                "            <attribute>\n              <name>{name}</name>\n              \
                 <mutable>False</mutable>\n              <input_type>{kind}</input_type>\n              \
                 <default_value>{default}</default_value>\n              <values></values>\n            \
                 </attribute>"
            )?;
        }
        writeln!(text, "          </attributes>\n        </label>")
    }

    /// The tag of an image that has fields.
    fn tag(&self, image: &Image, text: &mut String) -> std::fmt::Result {
        let Some(fields) = &image.fields else { return Ok(()) };
        writeln!(text, "    <tag label=\"{}\" source=\"auto\">", self.label)?;
        for (name, value) in fields.iter() {
            let (name, value) = (escape(name), words(value));
            let value = escape(&value);
            writeln!(text, "      <attribute name=\"{name}\">{value}</attribute>")?;
        }
        writeln!(text, "    </tag>")
    }
}
