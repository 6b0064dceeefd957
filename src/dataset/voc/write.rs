//! A [`Dataset`] to a folder of Pascal VOC.
//!
//! In: a [`Dataset`]. Out: `Annotations/*.xml`, and of a dataset with splits
//! `ImageSets/Main/*.txt`. Promises: whole pixels inside the image, as VOC's readers expect; no
//! name can become markup.

use std::fmt::Write as _;

use super::super::counted::counted;
use super::super::reading::stem;
use super::super::writing::{
    Keeps, Put, Written, label_files, list_of, remark_broken, remark_case,
};
use super::super::xml::escape;
use super::super::{Dataset, DatasetError, Image, Split};
use crate::record::BBox;

pub(in super::super) fn write(
    dataset: &Dataset,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let files = label_files(dataset, "xml")?;
    remark_case(dataset, remarks);
    let mut crowds = 0;
    for (image, file) in dataset.images.iter().zip(files) {
        let (folder, file_name) =
            image.name.rsplit_once('/').unwrap_or(("JPEGImages", &image.name));
        crowds += image.objects.iter().filter(|object| object.crowd).count();
        let (width, height) = (image.width, image.height);
        let annotation = Annotation { folder, file_name, database: None, width, height };
        let xml = annotation.xml(image.objects.iter().map(|object| Labelled {
            label: &dataset.categories[object.category],
            bbox: object.bbox,
            difficult: object.crowd,
        }));
        put(&format!("Annotations/{file}"), xml.as_bytes())?;
    }
    if crowds > 0 {
        remarks.push(format!(
            "{} written as \"difficult\"",
            counted(crowds, "box of a crowd is", "boxes of crowds are")
        ));
    }
    let keeps = Keeps { crowds: true, splits: true, ..Keeps::default() };
    dataset.remark_lost("VOC", keeps, remarks);
    put("labelmap.txt", labelmap(dataset.categories.iter().map(String::as_str)).as_bytes())?;
    let mut broken = 0;
    if dataset.is_split() {
        for split in Split::ALL {
            let list = list_of(dataset, split, &mut broken, |name| stem(name).to_owned());
            if !list.is_empty() {
                put(&format!("ImageSets/Main/{}.txt", split.as_str()), list.as_bytes())?;
            }
        }
    } else {
        let mut whole = dataset.clone();
        whole.images.iter_mut().for_each(|image| image.splits.add(Split::Train));
        let list = list_of(&whole, Split::Train, &mut broken, |name| stem(name).to_owned());
        put("ImageSets/Main/trainval.txt", list.as_bytes())?;
    }
    remark_broken(broken, remarks);
    let place = |image: &Image| format!("JPEGImages/{}", image.name);
    let places = dataset.images.iter().map(place).collect();
    Ok(Written { first: vec!["Annotations".to_owned()], images: "JPEGImages".to_owned(), places })
}

/// `labelmap.txt` as CVAT and datumaro read it: a class a line, without colours, parts and actions.
pub(crate) fn labelmap<'l>(labels: impl Iterator<Item = &'l str>) -> String {
    let mut map = String::from("# label:color_rgb:parts:actions\nbackground:0,0,0::\n");
    for label in labels.filter(|label| *label != "background") {
        // The sign between the fields cannot be written in one.
        let _ = writeln!(map, "{}:::", label.replace([':', '\n', '\r'], "_"));
    }
    map
}

/// The head of a file: which image it is about.
pub(crate) struct Annotation<'a> {
    /// The folder that the image lies in.
    pub(crate) folder: &'a str,
    /// The image's name in it.
    pub(crate) file_name: &'a str,
    /// The program that made the boxes.
    pub(crate) database: Option<&'a str>,
    /// In pixels; not 0.
    pub(crate) width: u32,
    /// In pixels; not 0.
    pub(crate) height: u32,
}

/// One box.
pub(crate) struct Labelled<'a> {
    pub(crate) label: &'a str,
    /// In pixels, inside the image.
    pub(crate) bbox: BBox,
    pub(crate) difficult: bool,
}

impl Annotation<'_> {
    /// The whole file.
    pub(crate) fn xml<'a>(&self, objects: impl Iterator<Item = Labelled<'a>>) -> String {
        let source = self.database.map_or_else(String::new, |database| {
            format!("  <source>\n    <database>{}</database>\n  </source>\n", escape(database))
        });
        let mut xml = format!(
            "<annotation>\n  <folder>{}</folder>\n  <filename>{}</filename>\n{source}  \
             <size>\n    <width>{}</width>\n    \
             <height>{}</height>\n    <depth>3</depth>\n  </size>\n  <segmented>0</segmented>\n",
            escape(self.folder),
            escape(self.file_name),
            self.width,
            self.height
        );
        for Labelled { label, bbox, difficult } in objects {
            let (xmin, xmax) = pixels(bbox.x0, bbox.x1, self.width);
            let (ymin, ymax) = pixels(bbox.y0, bbox.y1, self.height);
            // Writing to a string cannot fail.
            let _ = writeln!(
                xml,
                "  <object>\n    <name>{}</name>\n    <pose>Unspecified</pose>\n    \
                 <truncated>0</truncated>\n    \
                 <difficult>{}</difficult>\n    <bndbox>\n      <xmin>{xmin}</xmin>\n      \
                 <ymin>{ymin}</ymin>\n      \
                 <xmax>{xmax}</xmax>\n      <ymax>{ymax}</ymax>\n    </bndbox>\n  </object>",
                escape(label),
                u8::from(difficult)
            );
        }
        xml.push_str("</annotation>\n");
        xml
    }
}

/// The first and the last pixel of a box, counted from 1. One that is thinner than a pixel may lie
/// between two edges: it becomes the pixel that its middle is in.
fn pixels(from: f64, to: f64, size: u32) -> (u32, u32) {
    let (first, end) = (from.round() as u32, to.round() as u32);
    if first < end {
        return (first + 1, end);
    }
    let pixel = (f64::midpoint(from, to) as u32).min(size - 1);
    (pixel + 1, pixel + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn boxes_keep_their_edges_within_half_a_pixel(from in 0.0..999.0_f64,
            length in 1.0..1000.0_f64) {
            let to = (from + length).min(1000.0);
            let (first, last) = pixels(from, to, 1000);
            prop_assert!((f64::from(first - 1) - from).abs() <= 0.5
                && (f64::from(last) - to).abs() <= 0.5);
            prop_assert!(1 <= first && first <= last && last <= 1000);
        }

        #[test]
        fn thin_boxes_are_a_pixel_of_the_image(from in 0.0..9.99_f64, length in 0.001..1.0_f64) {
            let (first, last) = pixels(from, (from + length).min(10.0), 10);
            prop_assert!(1 <= first && first <= last && last <= 10);
        }
    }
}
