//! `crops/`: one PNG a detection, cut from the upright image.
//!
//! In: records and the images. Out: a folder that mirrors the images' names. Promises: a crop comes from the very file that was answered
//! about; no two crops share a path and none leaves the folder; the old crops stay until the new ones are whole.

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};

use super::folder::{Fresh, inside};
use super::upright::Images;
use super::{ExportError, Exported, Format, Input};
use crate::record::{BBox, Record};

pub(super) fn write(input: &Input<'_>, out: &Path, exported: &mut Exported) -> Result<(), ExportError> {
    let with_boxes: Vec<&Record> = input.records.iter().filter(|record| !record.detections.is_empty()).collect();
    let folder = Fresh::begin(out, "crops")?;
    if !with_boxes.is_empty() {
        let write = |record: &Record, pixels: &RgbImage| write_crops(record, pixels, folder.path());
        Images::of(input)?.for_each(&with_boxes, Format::Crops, exported, write)?;
    }
    folder.put(exported)
}

/// The crops of one image.
fn write_crops(record: &Record, pixels: &RgbImage, folder: &Path) -> Result<(), ExportError> {
    for (index, detection) in record.detections.iter().enumerate() {
        let (x, y, width, height) = whole_pixels(&detection.bbox, record.width, record.height);
        let crop = image::imageops::crop_imm(pixels, x, y, width, height).to_image();
        let path = crop_path(folder, &record.image, index, &detection.label);
        let write = || -> Result<(), image::ImageError> {
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            crop.save_with_format(&path, ImageFormat::Png)
        };
        write().map_err(|error| ExportError::Write { path: path.clone(), error: std::io::Error::other(error) })?;
    }
    Ok(())
}

/// Every pixel that the box touches, at least one.
fn whole_pixels(bbox: &BBox, width: u32, height: u32) -> (u32, u32, u32, u32) {
    let span = |from: f64, to: f64, size: u32| {
        let first = (from.floor().max(0.0) as u32).min(size - 1);
        let end = (to.ceil() as u32).clamp(first + 1, size);
        (first, end - first)
    };
    let (x, crop_width) = span(bbox.x0, bbox.x1, width);
    let (y, crop_height) = span(bbox.y0, bbox.y1, height);
    (x, y, crop_width, crop_height)
}

/// `crops/sub/photo.jpg_003_red-circle.png`. The image's whole name stands in it and the label's part holds no `_`, so no two crops
/// share a path.
fn crop_path(folder: &Path, image: &str, index: usize, label: &str) -> PathBuf {
    const LONGEST_LABEL: usize = 40;
    let words = label.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    let label: String = words.collect::<Vec<_>>().join("-").chars().take(LONGEST_LABEL).collect();
    folder.join(format!("{}_{index:03}_{}.png", inside(image), label.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_holds_every_pixel_that_the_box_touches() {
        let bbox = BBox { x0: 1.5, y0: 0.0, x1: 3.2, y1: 0.4 };
        assert_eq!(whole_pixels(&bbox, 10, 10), (1, 0, 3, 1));
        assert_eq!(whole_pixels(&BBox { x0: 9.9, y0: 9.9, x1: 10.0, y1: 10.0 }, 10, 10), (9, 9, 1, 1));
    }

    #[test]
    fn names_cannot_leave_the_folder_or_collide() {
        let path = |image, index, label| crop_path(Path::new("crops"), image, index, label).display().to_string();
        assert_eq!(path("a/b.jpg", 3, "Red circle"), "crops/a/b.jpg_003_red-circle.png");
        assert_eq!(path("b.jpg", 0, "../../etc/passwd"), "crops/b.jpg_000_etc-passwd.png");
        assert_ne!(path("b.jpg", 0, "x"), path("b.png", 0, "x"));
        assert_eq!(path("b.jpg", 0, "<>"), "crops/b.jpg_000_.png");
        assert!(path("/etc/../b.jpg", 0, "x").ends_with("/b.jpg_000_x.png"));
        let long = "long".repeat(60);
        assert!(path(&long, 0, "x").len() < 240);
        assert!(!path("../../b.jpg", 0, "x").contains(".."));
        assert_ne!(path("../b.jpg", 0, "x"), path("b.jpg", 0, "x"));
    }
}
