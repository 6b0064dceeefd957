//! Texts that are hidden in the pixels of a PNG file.
//!
//! In: the bytes of a PNG file. Out: its hidden text. Promises: no more rows are decoded than the
//! sign needs, if there is none; the text ends at a fixed size.
//!
//! The lowest bits of the alpha channel, or of red, green and blue, column by column:
//! `stealth_pnginfo` or `stealth_rgbinfo`, then the number of bits as 32 bits, then the text;
//! `...comp`: packed by gzip. Source: github.com/ashen-sensored/sd_webui_stealth_pnginfo, and
//! `NovelAI`'s reader of it.

use std::io::{Cursor, Read as _};

use flate2::read::GzDecoder;
use image::{ImageDecoder as _, codecs::png::PngDecoder};

use super::texts::MOST_TEXT;

/// Bytes of the sign.
const SIGN: usize = 15;
/// The most pixels that are looked through.
const MOST_PIXELS: u64 = 64 << 20;

/// The hidden text of a file, if it has one.
pub(super) fn read(bytes: &[u8]) -> Option<String> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(1 << 30);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).ok()?;
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type() {
        image::ColorType::Rgba8 => 4,
        image::ColorType::Rgb8 => 3,
        _ => return None,
    };
    if u64::from(width) * u64::from(height) > MOST_PIXELS || width == 0 || height == 0 {
        return None;
    }
    let mut pixels = vec![0; usize::try_from(decoder.total_bytes()).ok()?];
    decoder.read_image(&mut pixels).ok()?;
    let (width, height) = (width as usize, height as usize);
    let bit = |index: usize, of_alpha: bool| {
        let (pixel, channel) = if of_alpha { (index, 3) } else { (index / 3, index % 3) };
        let (column, row) = (pixel / height, pixel % height);
        (column < width).then(|| pixels[(row * width + column) * channels + channel] & 1)
    };
    let read_bytes = |from: usize, count: usize, of_alpha: bool| {
        (0..count)
            .map(|byte| {
                (0..8).try_fold(0_u8, |sum, at| {
                    Some(sum << 1 | bit((from + byte) * 8 + at, of_alpha)?)
                })
            })
            .collect::<Option<Vec<u8>>>()
    };
    for of_alpha in [true, false] {
        if of_alpha && channels < 4 {
            continue;
        }
        let Some(sign) = read_bytes(0, SIGN, of_alpha) else { continue };
        let is_packed = match sign.as_slice() {
            b"stealth_pnginfo" | b"stealth_rgbinfo" => false,
            b"stealth_pngcomp" | b"stealth_rgbcomp" => true,
            _ => continue,
        };
        let length = read_bytes(SIGN, 4, of_alpha)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize / 8;
        let hidden = read_bytes(SIGN + 4, length.min(MOST_TEXT), of_alpha)?;
        if !is_packed {
            return String::from_utf8(hidden).ok();
        }
        let mut text = Vec::new();
        GzDecoder::new(hidden.as_slice()).take(MOST_TEXT as u64).read_to_end(&mut text).ok()?;
        return String::from_utf8(text).ok();
    }
    None
}
