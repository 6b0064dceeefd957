//! JPEG by libjpeg-turbo, with the feature `turbojpeg`.
//!
//! In: a JPEG's bytes. Out: its pixels as they are stored, RGB, at full size or at a half, a
//! quarter or an eighth of it. Promises: at full size they equal Pillow's, bit for bit, since both
//! are libjpeg-turbo with its default inverse DCT and chroma upsampling.

use ::image::RgbImage;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

/// The pixels of a JPEG of `width` x `height`, each side divided by `divisor` (1, 2, 4 or 8) and
/// rounded up. `None` if libjpeg-turbo has no RGB of it (CMYK) or warns about the data: the
/// caller's other decoder then decides.
pub(super) fn decode(bytes: &[u8], (width, height): (u32, u32), divisor: u32) -> Option<RgbImage> {
    let mut decompressor = Decompressor::new().ok()?;
    let header = decompressor.read_header(bytes).ok()?;
    let same_size = header.width == width as usize && header.height == height as usize;
    if !same_size || matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
        return None;
    }
    decompressor.set_scaling_factor(ScalingFactor::new(1, divisor as usize)).ok()?;
    let (width, height) = (width.div_ceil(divisor), height.div_ceil(divisor));
    let pitch = width as usize * 3;
    let mut pixels = super::spare(pitch * height as usize);
    let output = Image {
        pixels: &mut pixels[..],
        width: width as usize,
        pitch,
        height: height as usize,
        format: PixelFormat::RGB,
    };
    decompressor.decompress(bytes, output).ok()?;
    RgbImage::from_raw(width, height, pixels)
}
