//! Bicubic resizing that equals torchvision's on bytes.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use thiserror::Error;

use super::budget::{BudgetError, TargetSize};

/// Why a view could not be resized.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// No target size.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The buffer does not hold `width * height * 3` bytes.
    #[error("the image buffer does not match its size: {0}")]
    Buffer(#[from] fast_image_resize::ImageBufferError),
    /// The resizer's own words.
    #[error("cannot resize: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
}

/// Resizes RGB bytes to `target`, antialiased bicubic (a = -0.5), rounding to bytes after each pass.
///
/// torchvision's `resize(BICUBIC, antialias=True)` on uint8 goes over the width first; `fast_image_resize` in one call goes over the
/// height first, which differs by up to 26 levels. Two calls, one a side, are bit-exact.
///
/// # Errors
/// [`ResizeError`] where `rgb` is not `width * height * 3` bytes.
pub fn resize(rgb: &[u8], width: u32, height: u32, target: TargetSize) -> Result<Cow<'_, [u8]>, ResizeError> {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let mut resizer = Resizer::new();
    let mut pixels = Cow::Borrowed(rgb);
    for (from, to) in
        [((width, height), (target.width, height)), ((target.width, height), (target.width, target.height))]
    {
        if from == to {
            continue;
        }
        let source = ImageRef::new(from.0, from.1, &pixels, PixelType::U8x3)?;
        let mut resized = Image::new(to.0, to.1, PixelType::U8x3);
        resizer.resize(&source, &mut resized, &options)?;
        pixels = Cow::Owned(resized.into_vec());
    }
    Ok(pixels)
}
