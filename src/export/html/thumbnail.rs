//! Thumbnails: the upright image, at most 320 pixels on its longer side, as a JPEG.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};

use super::super::upright::Images;
use crate::preprocess::{ResizeError, TargetSize, resize};
use crate::record::Record;

const LONG_SIDE: u32 = 320;
const JPEG_QUALITY: u8 = 80;

/// The thumbnail of a record's image, as a JPEG.
///
/// # Errors
/// The reason why there is none, in words.
pub(super) fn of(record: &Record, images: &Images<'_>) -> Result<Vec<u8>, String> {
    if record.width == 0 {
        return Err("it could not be decoded".to_owned());
    }
    images.with(record, |pixels| encode(&pixels))?
}

/// The thumbnail of an image as JPEG bytes.
fn encode(pixels: &RgbImage) -> Result<Vec<u8>, String> {
    let size = size(pixels.width(), pixels.height());
    let small = resize(pixels.as_raw(), pixels.width(), pixels.height(), size)
        .map_err(|error: ResizeError| error.to_string())?;
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    let written = encoder.write_image(&small, size.width, size.height, ExtendedColorType::Rgb8);
    written.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The image's own size, or shrunk to the longer side; never enlarged, never without a pixel.
fn size(width: u32, height: u32) -> TargetSize {
    let scale = (f64::from(LONG_SIDE) / f64::from(width.max(height))).min(1.0);
    let side = |value: u32| ((f64::from(value) * scale).round() as u32).max(1);
    TargetSize { width: side(width), height: side(height) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_are_small_and_keep_the_shape() {
        let of = |width, height| (size(width, height).width, size(width, height).height);
        assert_eq!(of(4000, 3000), (320, 240));
        assert_eq!(of(100, 50), (100, 50));
        assert_eq!(of(1, 9000), (1, 320));
    }

    #[test]
    fn the_bytes_are_the_same_every_time() {
        let picture =
            RgbImage::from_fn(900, 700, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
        assert_eq!(encode(&picture).unwrap(), encode(&picture).unwrap());
    }
}
