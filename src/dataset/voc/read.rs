//! A folder of Pascal VOC to a [`Dataset`].
//!
//! In: a directory with `Annotations/*.xml` (or of XML files). Out: a [`Dataset`]. Promises: an error names the file and the line; categories
//! are sorted by name.

use std::collections::BTreeSet;
use std::path::Path;

use roxmltree::{Document, Node};

use super::super::{Dataset, DatasetError, Image, Object, Reading, files_under, find_size};
use crate::files;
use crate::record::BBox;

/// A box as it stands in a file.
struct Found {
    name: String,
    /// `xmin`, `ymin`, `xmax`, `ymax`.
    corners: [f64; 4],
    difficult: bool,
}

pub(in super::super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let annotations = path.join("Annotations");
    let annotations = if annotations.is_dir() { annotations } else { path.to_owned() };
    let files = files_under(&annotations, &["xml"])?;
    if files.is_empty() {
        return Err(DatasetError::file(&annotations, "no .xml files"));
    }
    let jpeg_images = path.join("JPEGImages");
    let folders: Vec<&Path> = reading.images.into_iter().chain([jpeg_images.as_path(), &annotations]).collect();
    let (mut images, mut found) = (Vec::new(), Vec::new());
    for file in files {
        let (image, objects) = read_file(&annotations, &file, &folders)?;
        images.push(image);
        found.push(objects);
    }
    let all = || found.iter().flatten();
    let from_zero = all().any(|object| object.corners[0] == 0.0 || object.corners[1] == 0.0);
    if from_zero {
        reading.remarks.push("some boxes begin at 0: pixels are taken to count from 0, not from 1 as VOC's do".into());
    }
    let first = if from_zero { 0.0 } else { 1.0 };
    let names: BTreeSet<&str> = all().map(|object| object.name.as_str()).collect();
    let categories: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut difficult = 0;
    for (image, objects) in images.iter_mut().zip(&found) {
        for object in objects {
            let [xmin, ymin, x1, y1] = object.corners;
            let Some(bbox) =
                reading.inside(BBox { x0: xmin - first, y0: ymin - first, x1, y1 }, image.width, image.height)
            else {
                continue;
            };
            // Every name is among the categories, which were made from them.
            let category = categories.binary_search(&object.name).unwrap_or(0);
            difficult += usize::from(object.difficult);
            image.objects.push(Object { category, bbox, crowd: object.difficult });
        }
    }
    if difficult > 0 {
        reading
            .remarks
            .push(format!("{difficult} boxes are \"difficult\", which counts as a crowd: neither for nor against"));
    }
    Ok(Dataset { categories, images })
}

fn read_file(root: &Path, file: &str, folders: &[&Path]) -> Result<(Image, Vec<Found>), DatasetError> {
    let path = root.join(file);
    let text = files::read_text(&path).map_err(DatasetError::io(&path))?;
    let document = Document::parse(&text)
        .map_err(|error| DatasetError::line(&path, error.pos().row as usize, error.to_string()))?;
    let annotation = document.root_element();
    let problem = |node: Node<'_, '_>, problem: String| {
        DatasetError::line(&path, document.text_pos_at(node.range().start).row as usize, problem)
    };
    let required = |node: Node<'_, '_>, tag: &str| {
        text_of(node, tag).map(str::to_owned).ok_or_else(|| problem(node, format!("no <{tag}>")))
    };
    let number = |node: Node<'_, '_>, tag: &str| -> Result<f64, DatasetError> {
        let text = required(node, tag)?;
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| problem(node, format!("<{tag}> is {text:?}, not a number")))
    };
    if !annotation.has_tag_name("annotation") {
        let tag = annotation.tag_name().name();
        return Err(problem(annotation, format!("<{tag}> instead of VOC's <annotation>")));
    }
    let file_name = required(annotation, "filename")?.replace('\\', "/");
    // Only its last part: tools write whole paths of the machine where the box was drawn. Folders are those of the XML file.
    let base = file_name.rsplit('/').next().unwrap_or_default();
    let name = file.rsplit_once('/').map_or_else(|| base.to_owned(), |(folder, _)| format!("{folder}/{base}"));
    let size = child(annotation, "size");
    let pixels = |tag| match size {
        Some(size) => number(size, tag).map(|length| length.round().clamp(0.0, f64::from(u32::MAX)) as u32),
        None => Ok(0),
    };
    let (width, height) = match (pixels("width")?, pixels("height")?) {
        (width, height) if width > 0 && height > 0 => (width, height),
        _ => find_size(&name, folders).unwrap_or_else(|| {
            Err(problem(annotation, format!("no size, and {name} is not there to look: say where with --images DIR")))
        })?,
    };
    let mut objects = Vec::new();
    for object in annotation.children().filter(|child| child.has_tag_name("object")) {
        let bndbox = child(object, "bndbox").ok_or_else(|| problem(object, "<object> without <bndbox>".into()))?;
        let corners =
            [number(bndbox, "xmin")?, number(bndbox, "ymin")?, number(bndbox, "xmax")?, number(bndbox, "ymax")?];
        if corners[2] < corners[0] || corners[3] < corners[1] {
            return Err(problem(bndbox, format!("<bndbox> is inside out: {corners:?}")));
        }
        let difficult = text_of(object, "difficult").is_some_and(|text| text == "1");
        objects.push(Found { name: required(object, "name")?, corners, difficult });
    }
    Ok((Image { name, width, height, objects: Vec::new() }, objects))
}

fn child<'d, 'i>(node: Node<'d, 'i>, tag: &str) -> Option<Node<'d, 'i>> {
    node.children().find(|child| child.has_tag_name(tag))
}

fn text_of<'d>(node: Node<'d, '_>, tag: &str) -> Option<&'d str> {
    child(node, tag)?.text().map(str::trim).filter(|text| !text.is_empty())
}
