//! One pass of a resize by the library: over the width, or over the height.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use thiserror::Error;

use super::budget::BudgetError;

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

/// One pass: one of the sides stays.
pub(super) fn scale(
    source: &[u8],
    from: (u32, u32),
    target: &mut Vec<u8>,
    to: (u32, u32),
) -> Result<(), ResizeError> {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let source = ImageRef::new(from.0, from.1, source, PixelType::U8x3)?;
    target.resize(to.0 as usize * to.1 as usize * 3, 0);
    let mut target = Image::from_slice_u8(to.0, to.1, target, PixelType::U8x3)?;
    Ok(Resizer::new().resize(&source, &mut target, &options)?)
}
