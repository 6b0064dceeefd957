//! A [`Dataset`] to a folder for YOLO.
//!
//! In: a [`Dataset`]. Out: label files, `data.yaml`, and the lists of a dataset with splits
//! (`train.txt` ...). Promises: boxes keep their edges to a thousandth of a pixel; a label file
//! lies at the place that Ultralytics derives from its image under `images/`; no name can break the
//! YAML, or be anything but a string there.

use std::fmt::Write as _;
use std::path::Path;

use super::super::counted::counted;
use super::super::writing::{
    Keeps, Polygons, Put, Written, label_files, list_of, remark_broken, remark_case,
};
use super::super::{Dataset, DatasetError, Image, Object, Split, Splits};
use super::label_of;
use crate::record::BBox;

pub(in super::super) fn write(
    dataset: &Dataset,
    save_conf: bool,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    // Refuses names that lead out, and images that would share a file.
    label_files(dataset, "txt")?;
    remark_case(dataset, remarks);
    // Readers take every line of a file for a box, or every line for an outline.
    let mut objects = dataset.objects().filter(|object| !object.crowd).peekable();
    let outlines = objects.peek().is_some() && objects.all(|object| one_polygon(object).is_some());
    let (mut crowds, mut inner) = (0, 0);
    for image in &dataset.images {
        let mut text = String::new();
        for object in &image.objects {
            let (class, width, height) = (object.category, image.width, image.height);
            match one_polygon(object).filter(|_| outlines) {
                _ if object.crowd => crowds += 1,
                Some(polygon) => {
                    let score = object.score.filter(|_| save_conf);
                    text.push_str(&outline_line(class, polygon, (width, height), score));
                }
                None => {
                    let score = object.score.filter(|_| save_conf);
                    text.push_str(&label_line(class, &object.bbox, (width, height), score));
                }
            }
        }
        let file = label_of(&Path::new("images").join(&image.name));
        inner += usize::from(!file.starts_with("labels"));
        put(&file.to_string_lossy().replace('\\', "/"), text.as_bytes())?;
    }
    if crowds > 0 {
        remarks.push(format!(
            "{} left out, which YOLO has no word for",
            counted(crowds, "box of a crowd is", "boxes of crowds are")
        ));
    }
    if outlines {
        remarks
            .push("every box has one polygon: lines are outlines, as for segmentation".to_owned());
    }
    let keeps = Keeps {
        crowds: true,
        splits: true,
        categories: true,
        polygons: if outlines { Polygons::One } else { Polygons::None },
        scores: true,
        ..Keeps::default()
    };
    dataset.remark_lost("YOLO", keeps, remarks);
    let scores = dataset.objects().filter(|object| object.score.is_some()).count();
    if scores > 0 {
        remarks.push(if save_conf {
            format!(
                "{scores} boxes have their scores behind them, as Ultralytics' predictions do: \
                 trainers refuse such labels"
            )
        } else {
            format!(
                "{}, which YOLO's labels lack (`save_conf` writes them)",
                counted(scores, "box has a score", "boxes have scores")
            )
        });
    }
    if inner > 0 {
        remarks.push(format!(
            "{inner} images lie in a folder \"images\" of their own: their labels are in the \
             \"labels\" beside it, where Ultralytics looks"
        ));
    }
    let names = names(dataset.categories.iter().map(String::as_str));
    let yaml = splits(dataset, put, remarks)? + names.as_str();
    put("data.yaml", yaml.as_bytes())?;
    let place = |image: &Image| format!("images/{}", image.name);
    let places = dataset.images.iter().map(place).collect();
    Ok(Written { first: vec!["data.yaml".to_owned()], images: "images".to_owned(), places })
}

/// The polygon of an object that has one alone, with its box as bounds.
fn one_polygon(object: &Object) -> Option<&[f64]> {
    match object.polygons()? {
        [polygon] => Some(polygon),
        _ => None,
    }
}

/// The line of an outline, as Ultralytics' segmentation has it.
fn outline_line(
    class: usize,
    polygon: &[f64],
    (width, height): (u32, u32),
    score: Option<f64>,
) -> String {
    let (width, height) = (f64::from(width), f64::from(height));
    let mut line = class.to_string();
    for [x, y] in polygon.as_chunks::<2>().0 {
        let part = |edge: f64, size: f64| (edge / size).clamp(0.0, 1.0);
        // Writing to a string cannot fail.
        let _ = write!(line, " {:.8} {:.8}", part(*x, width), part(*y, height));
    }
    let score = score.map(|score| format!(" {score:.6}")).unwrap_or_default();
    line + score.as_str() + "\n"
}

/// The lines of `data.yaml` about splits: one folder if there are none, else a list of each.
/// Ultralytics asks for train and val in any case.
fn splits(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<String, DatasetError> {
    if !dataset.is_split() {
        if dataset.images_of(Split::Val).next().is_none() {
            remarks.push(
                "no split for validation: train and val of data.yaml are the same images"
                    .to_owned(),
            );
        }
        return Ok("train: images\nval: images\n".to_owned());
    }
    let mut yaml = String::new();
    let mut broken = 0;
    let present: Vec<Split> =
        Split::ALL.into_iter().filter(|split| dataset.images_of(*split).next().is_some()).collect();
    for split in &present {
        let list = list_of(dataset, *split, &mut broken, |name| format!("./images/{name}"));
        let file = format!("{}.txt", split.as_str());
        put(&file, list.as_bytes())?;
        // Writing to a string cannot fail.
        let _ = writeln!(yaml, "{}: {file}", split.as_str());
    }
    remark_broken(broken, remarks);
    for (missing, instead) in [(Split::Train, Split::Val), (Split::Val, Split::Train)] {
        if !present.contains(&missing) {
            let instead = if present.contains(&instead) { instead } else { Split::Test };
            let (missing, instead) = (missing.as_str(), instead.as_str());
            remarks.push(format!(
                "no image is in {missing}: data.yaml names those of {instead} for it"
            ));
            let _ = writeln!(yaml, "{missing}: {instead}.txt");
        }
    }
    let left = dataset.images.iter().filter(|image| image.splits == Splits::default()).count();
    if left > 0 {
        remarks.push(format!(
            "{left} images are in no split: they have labels, and stand in no list of data.yaml"
        ));
    }
    Ok(yaml)
}

/// The line of a box in an image of `width` x `height` pixels, with its end. Eight decimals are a
/// thousandth of a pixel even if an image is 100,000 pixels wide.
///
/// A `score` stands behind it, where Ultralytics' `save_conf` has it.
pub(crate) fn label_line(
    class: usize,
    bbox: &BBox,
    (width, height): (u32, u32),
    score: Option<f64>,
) -> String {
    let (width, height) = (f64::from(width), f64::from(height));
    let (x, y) =
        (f64::midpoint(bbox.x0, bbox.x1) / width, f64::midpoint(bbox.y0, bbox.y1) / height);
    let (w, h) = (bbox.width() / width, bbox.height() / height);
    let score = score.map(|score| format!(" {score:.6}")).unwrap_or_default();
    format!("{class} {x:.8} {y:.8} {w:.8} {h:.8}{score}\n")
}

/// `names` of a `data.yaml`, in the order of the classes.
pub(crate) fn names<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    if names.len() == 0 {
        return "names: {}\n".into();
    }
    let mut yaml = String::from("names:\n");
    for (class, name) in names.enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(yaml, "  {class}: {}", quoted(name));
    }
    yaml
}

/// A double-quoted scalar (YAML 1.2.2, section 7.3.1), with escapes for all that is not printable
/// (section 5.1).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..' '
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_yaml() {
        assert_eq!(quoted("red circle"), "\"red circle\"");
        assert_eq!(quoted("N"), "\"N\"");
        assert_eq!(
            quoted("no: \"x\" # \\ é\u{85}\u{1}\n"),
            "\"no: \\\"x\\\" # \\\\ é\\u0085\\u0001\\n\""
        );
    }
}
