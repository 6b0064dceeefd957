//! A picture, encoded as it is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use thiserror::Error;

use super::PictureForm;

/// Quality of JPEGs.
const QUALITY: u8 = 95;

/// A picture cannot be sent.
#[derive(Debug, Error)]
#[error("a picture of {width}x{height} cannot be written: {reason}")]
pub struct PictureError {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Why.
    pub reason: String,
}

/// A picture, encoded: upright, without any word about orientation.
#[derive(Debug, Clone)]
pub struct Picture {
    base64: String,
    mime: &'static str,
}

impl Picture {
    /// Rows of `rgb`, `[height, width, 3]`, in that form.
    ///
    /// # Errors
    /// [`PictureError`].
    pub fn of(
        rgb: &[u8],
        width: u32,
        height: u32,
        form: PictureForm,
    ) -> Result<Self, PictureError> {
        let mut bytes = Vec::new();
        let written = match form {
            _ if rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 => {
                return Err(PictureError {
                    width,
                    height,
                    reason: format!("{} bytes of pixels", rgb.len()),
                });
            }
            PictureForm::Png => {
                let (compression, filter) = (CompressionType::Fast, FilterType::Adaptive);
                let encoder = PngEncoder::new_with_quality(&mut bytes, compression, filter);
                encoder.write_image(rgb, width, height, ExtendedColorType::Rgb8)
            }
            PictureForm::Jpeg => {
                let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
                encoder.write_image(rgb, width, height, ExtendedColorType::Rgb8)
            }
        };
        written.map_err(|error| PictureError { width, height, reason: error.to_string() })?;
        let mime = match form {
            PictureForm::Png => "image/png",
            PictureForm::Jpeg => "image/jpeg",
        };
        Ok(Self { base64: STANDARD.encode(bytes), mime })
    }

    /// Its bytes, as Ollama takes them.
    pub(super) fn base64(&self) -> &str {
        &self.base64
    }

    /// As a `data:` URL.
    pub(super) fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.mime, self.base64)
    }
}
