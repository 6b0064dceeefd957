//! `crops/`: one picture a detection, cut from the upright image.
//!
//! In: records and the images. Out: a folder that mirrors the images' names. Promises: a crop comes
//! from the very file that was answered about; no two crops share a path and none leaves the
//! folder; the old crops stay until the new ones are whole.

use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

use super::folder::{Fresh, inside};
use super::upright::Images;
use super::{CropFormat, CropOptions, ExportError, Exported, Format, Input, Padding};
use crate::ownership::OutputDirectory;
use crate::record::{BBox, Record};

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let mut with_boxes: Vec<&Record> =
        input.records.iter().filter(|record| !record.detections.is_empty()).collect();
    let folder = Fresh::begin(out, "crops")?;
    if !with_boxes.is_empty() {
        let options = &input.options.crops;
        let write =
            |record: &Record, pixels: &RgbImage| write_crops(record, pixels, options, &folder);
        let images = Images::of(input.run, input.records)?;
        // Crops of an image that is not there any more cannot be cut again.
        with_boxes.retain(|record| images.is_there(record) || !keep_crops(record, &folder));
        images.for_each(&with_boxes, Format::Crops, exported, write)?;
    }
    folder.put(exported)
}

/// The quality of JPEG crops, of 100: that of most cameras.
const JPEG_QUALITY: u8 = 95;

/// Leaves the crops of an image that an earlier export cut, whatever their format; whether all are
/// there.
fn keep_crops(record: &Record, folder: &Fresh<'_>) -> bool {
    let crops = record.detections.iter().enumerate();
    crops.fold(true, |all, (index, crop)| {
        let name = crop_name(&record.image, index, &crop.label);
        let kept =
            [ImageFormat::Png, ImageFormat::Jpeg].map(|format| folder.keep(&file(&name, format)));
        kept.contains(&true) && all
    })
}

/// The crops of one image; the inner error says why there is not each of them.
fn write_crops(
    record: &Record,
    pixels: &RgbImage,
    options: &CropOptions,
    folder: &Fresh<'_>,
) -> Result<Result<(), String>, ExportError> {
    let mut written = Ok(());
    let format = format_of(&record.image, options.format);
    for (index, detection) in record.detections.iter().enumerate() {
        let (x, y, width, height) = region(&detection.bbox, record.width, record.height, options);
        let crop = image::imageops::crop_imm(pixels, x, y, width, height).to_image();
        let name = file(&crop_name(&record.image, index, &detection.label), format);
        let mut bytes = Vec::new();
        let encoded = match format {
            ImageFormat::Jpeg => {
                JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&crop)
            }
            _ => crop.write_to(&mut Cursor::new(&mut bytes), format),
        };
        encoded.map_err(|error| ExportError::Write {
            path: name.clone().into(),
            error: std::io::Error::other(error),
        })?;
        written = written.and(folder.write_named(&name, &bytes)?);
    }
    Ok(written)
}

/// Left, top, width and height of a crop: every pixel that the padded box touches, then grown to
/// the least size and to a square. Padding is cut off at the image's edges; the growth is moved
/// inward, and is limited only by the image's size.
fn region(bbox: &BBox, width: u32, height: u32, options: &CropOptions) -> (u32, u32, u32, u32) {
    let (pad_x, pad_y) = match options.padding {
        Padding::Share(share) => (bbox.width() * share, bbox.height() * share),
        Padding::Pixels(pixels) => (pixels, pixels),
    };
    let across = whole_pixels(bbox.x0 - pad_x, bbox.x1 + pad_x, width);
    let down = whole_pixels(bbox.y0 - pad_y, bbox.y1 + pad_y, height);
    let least = if options.square { across.1.max(down.1) } else { 0 }.max(options.min_size);
    let (x, crop_width) = grown(across, least, width);
    let (y, crop_height) = grown(down, least, height);
    (x, y, crop_width, crop_height)
}

/// First pixel and number of the pixels that are touched, at least one.
fn whole_pixels(from: f64, to: f64, size: u32) -> (u32, u32) {
    let first = (from.floor().max(0.0) as u32).min(size - 1);
    let end = (to.ceil() as u32).clamp(first + 1, size);
    (first, end - first)
}

/// At least `least` pixels around the same middle, as far as the image has them.
fn grown((first, length): (u32, u32), least: u32, size: u32) -> (u32, u32) {
    let wanted = length.max(least.min(size));
    let first = first.saturating_sub((wanted - length) / 2);
    (first.min(size - wanted), wanted)
}

/// The format of the crops of an image.
fn format_of(image: &str, asked: CropFormat) -> ImageFormat {
    let is_jpeg = || {
        let extension = Path::new(image).extension().unwrap_or_default().to_ascii_lowercase();
        extension == "jpg" || extension == "jpeg"
    };
    match asked {
        CropFormat::Jpeg => ImageFormat::Jpeg,
        CropFormat::Auto if is_jpeg() => ImageFormat::Jpeg,
        CropFormat::Auto | CropFormat::Png => ImageFormat::Png,
    }
}

fn file(name: &str, format: ImageFormat) -> String {
    let extension = if format == ImageFormat::Jpeg { "jpg" } else { "png" };
    format!("{name}.{extension}")
}

/// `sub/photo.jpg_003_red-circle`, without the extension. The image's whole name stands in it and
/// the label's part holds no `_`, so no two crops share a path.
fn crop_name(image: &str, index: usize, label: &str) -> String {
    const LONGEST_LABEL: usize = 40;
    let words =
        label.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    let label: String = words.collect::<Vec<_>>().join("-").chars().take(LONGEST_LABEL).collect();
    format!("{}_{index:03}_{}", inside(image), label.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bbox: [f64; 4], padding: &str, min_size: u32, square: bool) -> (u32, u32, u32, u32) {
        let options = CropOptions {
            padding: padding.parse().unwrap(),
            min_size,
            square,
            ..CropOptions::default()
        };
        region(&BBox::from(bbox), 100, 50, &options)
    }

    #[test]
    fn a_crop_holds_every_pixel_that_the_box_touches() {
        assert_eq!(cut([1.5, 0.0, 3.2, 0.4], "0", 0, false), (1, 0, 3, 1));
        assert_eq!(cut([99.9, 49.9, 100.0, 50.0], "0", 0, false), (99, 49, 1, 1));
    }

    #[test]
    fn crops_are_padded_grown_and_squared_inside_the_image() {
        assert_eq!(cut([10.0, 10.0, 30.0, 20.0], "0.5", 0, false), (0, 5, 40, 20));
        assert_eq!(cut([10.0, 10.0, 30.0, 20.0], "3px", 0, false), (7, 7, 26, 16));
        assert_eq!(cut([0.0, 40.0, 20.0, 50.0], "0.5", 0, false), (0, 35, 30, 15));
        assert_eq!(cut([50.0, 20.0, 54.0, 22.0], "0", 10, false), (47, 16, 10, 10));
        assert_eq!(cut([98.0, 0.0, 100.0, 2.0], "0", 10, false), (90, 0, 10, 10));
        assert_eq!(cut([10.0, 20.0, 30.0, 24.0], "0", 0, true), (10, 12, 20, 20));
        assert_eq!(
            cut([10.0, 20.0, 90.0, 24.0], "0", 0, true),
            (10, 0, 80, 50),
            "as square as the image allows"
        );
        assert_eq!(cut([0.0, 0.0, 100.0, 50.0], "1000px", 4000, true), (0, 0, 100, 50));
    }

    #[test]
    fn names_cannot_leave_the_folder_or_collide() {
        let path = crop_name;
        assert_eq!(path("a/b.jpg", 3, "Red circle"), "a/b.jpg_003_red-circle");
        assert_eq!(path("b.jpg", 0, "../../etc/passwd"), "b.jpg_000_etc-passwd");
        assert_ne!(path("b.jpg", 0, "x"), path("b.png", 0, "x"));
        assert_eq!(path("b.jpg", 0, "<>"), "b.jpg_000_");
        assert!(path("/etc/../b.jpg", 0, "x").ends_with("/b.jpg_000_x"));
        let long = "long".repeat(60);
        assert!(path(&long, 0, "x").len() < 240);
        assert!(!path("../../b.jpg", 0, "x").contains(".."));
        assert_ne!(path("../b.jpg", 0, "x"), path("b.jpg", 0, "x"));
    }
}
