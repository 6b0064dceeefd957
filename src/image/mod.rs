//! Bytes of a file to an upright RGB image.
//!
//! In: the bytes of a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF file. Out: 8-bit RGB, turned as its EXIF
//! orientation says. Promises: the format is read from the bytes, never from the name; alpha is
//! composited over white as Hugging Face's processor does; an animation gives its first frame; a
//! file that claims more pixels than the limit is refused before anything is allocated. With the
//! feature `turbojpeg`, a JPEG's pixels equal Pillow's, bit for bit; without it they differ by a
//! few levels.
//!
//! HEIC and AVIF are decoded by an ffmpeg of the user's ([`crate::ffmpeg`]), and turned as the file
//! itself says.
//!
//! Two kinds of file are made good, with a note: a JPEG that ends early is decoded as far as it
//! goes, and samples of 16 bits that hold fewer are spread over all of them.
//!
//! ```
//! let image = gemscope::image::decode(&std::fs::read("fixtures/shapes/scene-01.png")?, true)?;
//! let pixels = image.array().unwrap();
//! assert_eq!(pixels.dim(), (384, 384, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod animation;
mod bit_depth;
pub(crate) mod boxes;
mod exif;
mod foreign;
mod heif;
mod jpeg_rows;
mod look;
mod measures;
mod png_rows;
mod segments;
pub(crate) mod tiff_block;
#[cfg(feature = "turbojpeg")]
mod turbo;

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{BufRead, Cursor, Read as _, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::metadata::Orientation;
use ::image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use ndarray::{Array3, ArrayView3};
use thiserror::Error;

pub use animation::{each_frame, frame_count};
pub use exif::capture;
pub use foreign::Foreign;
pub use heif::EXTENSIONS as BY_FFMPEG;
pub use look::look;
pub use measures::measure;

use self::tiff_block::Block;
use crate::ffmpeg::FfmpegError;
use crate::files;
use crate::record::{Note, NoteKind};

/// The default for the most pixels that a file may claim (Pillow warns of a decompression bomb from
/// the same count on).
pub const MAX_PIXELS: u64 = 178_956_970;

/// What reads such a file all the same.
fn hint(foreign: Foreign) -> &'static str {
    if foreign == Foreign::Video { "; `frames` every:1s asks about its frames" } else { "" }
}

/// Why a file is not an image that can be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// None of the supported formats.
    #[error("not a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF image")]
    UnknownFormat,
    /// None of the supported formats, but one that is known.
    #[error("{} and not a JPEG, PNG, WebP, GIF, BMP or TIFF{}", .0.name(), hint(*.0))]
    Foreign(Foreign),
    /// A HEIC or AVIF file without a picture in it.
    #[error("{} without a picture", .0.name())]
    NoPicture(Foreign),
    /// A HEIC or AVIF file that ffmpeg did not decode.
    #[error("{}: {error}", kind.name())]
    ByFfmpeg {
        /// Its kind.
        kind: Foreign,
        /// Why.
        error: FfmpegError,
    },
    /// An array that is no image.
    #[error("an array of {shape:?} is no RGB image; expected [height, width, 3]")]
    NotRgb {
        /// Its shape.
        shape: [usize; 3],
    },
    /// The header promises more than is decoded.
    #[error("{width}x{height} is more than the limit of {max_pixels} pixels (`max_pixels`)")]
    TooLarge {
        /// Claimed width.
        width: u32,
        /// Claimed height.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// Zero pixels.
    #[error("the image has no pixels ({width}x{height})")]
    NoPixels {
        /// Claimed width.
        width: u32,
        /// Claimed height.
        height: u32,
    },
    /// The data end before the image does, and nothing of it is there.
    #[error("the JPEG data end before the first row of pixels")]
    TruncatedJpeg,
    /// A layout that the TIFF decoder stumbles over (tiff 0.11 asserts).
    #[error("a TIFF with tiles and separate colour planes, which is not supported")]
    PlanarTiles,
    /// A fault of the decoder, not of the file.
    #[error("the decoder panicked over this file")]
    Panicked,
    /// More bytes than an image within the limit of pixels can have.
    #[error("has more than {most} bytes, which no image within `max_pixels` has")]
    TooManyBytes {
        /// The limit.
        most: u64,
    },
    /// The system's reason.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The decoder's own words.
    #[error("cannot decode: {0}")]
    Decode(#[from] ::image::ImageError),
}

/// The values of an array in the order of its shape; not copied if they lie so.
fn row_by_row(array: Array3<u8>) -> Vec<u8> {
    let whole = array.len();
    if !array.is_standard_layout() {
        return array.into_iter().collect();
    }
    let (mut values, first) = array.into_raw_vec_and_offset();
    // A part of an array keeps the rest of the array in memory.
    values.drain(..first.unwrap_or(0));
    values.truncate(whole);
    values
}

/// An image the way a person sees it: upright, RGB, 8 bits a channel.
#[derive(Debug, Clone)]
pub struct UprightImage {
    /// Width in pixels, after the orientation was applied.
    pub width: u32,
    /// Height in pixels, after the orientation was applied.
    pub height: u32,
    /// Row-major RGB, `width * height * 3` bytes.
    pub rgb: Vec<u8>,
    /// The file's EXIF orientation, 1..8 (1 if it has none), applied or not.
    pub orientation: u8,
    /// The share of the stored image's rows that the file holds, 0..1: less than 1 for a JPEG that
    /// ends early. The rest is grey.
    pub rows_there: f64,
    /// How the file was made good.
    pub notes: Vec<Note>,
}

impl UprightImage {
    /// The upright image of pixels that are in memory: `[height, width, 3]`, u8, RGB. They are
    /// copied only if they do not lie row by row.
    ///
    /// # Errors
    /// [`ImageError::NotRgb`] for another shape, and for sides of no pixel or above `u32`.
    pub fn from_array(pixels: Array3<u8>) -> Result<Self, ImageError> {
        let shape = pixels.dim();
        let side = |length: usize| u32::try_from(length).ok().filter(|length| *length > 0);
        let ((Some(height), Some(width)), 3) = ((side(shape.0), side(shape.1)), shape.2) else {
            return Err(ImageError::NotRgb { shape: [shape.0, shape.1, shape.2] });
        };
        let rgb = row_by_row(pixels);
        Ok(Self { width, height, rgb, orientation: 1, rows_there: 1.0, notes: Vec::new() })
    }

    /// Its pixels, `[height, width, 3]`, u8, RGB; `None` if `rgb` is not as long as the sides say.
    pub fn array(&self) -> Option<ArrayView3<'_, u8>> {
        ArrayView3::from_shape((self.height as usize, self.width as usize, 3), &self.rgb).ok()
    }

    /// The RGB bytes of a part of it; copied only if the part is not the whole.
    ///
    /// # Panics
    /// If the part does not lie inside the image.
    pub fn pixels(&self, x: u32, y: u32, width: u32, height: u32) -> Cow<'_, [u8]> {
        if (x, y, width, height) == (0, 0, self.width, self.height) {
            return Cow::Borrowed(&self.rgb);
        }
        let stride = self.width as usize * 3;
        let row = |index: usize| {
            let start = (y as usize + index) * stride + x as usize * 3;
            &self.rgb[start..start + width as usize * 3]
        };
        Cow::Owned((0..height as usize).flat_map(row).copied().collect())
    }
}

/// An image that may have fewer decoded pixels than its file holds.
#[derive(Debug, Clone)]
pub struct ReducedImage {
    /// Width of the whole upright image.
    pub width: u32,
    /// Height of the whole upright image.
    pub height: u32,
    /// The pixels that were decoded: all of them, or a half, a quarter or an eighth of each side.
    pub decoded: UprightImage,
}

/// Whether this build has a decoder that [`decode_reduced`] can take fewer pixels from.
pub const CAN_REDUCE: bool = cfg!(feature = "turbojpeg");

/// Decodes `bytes`. With `apply_orientation` the pixels are turned as the EXIF orientation says.
///
/// # Errors
/// [`ImageError`]. A JPEG that ends early is an image as long as one row of it is there;
/// [`UprightImage::rows_there`] is the share of its rows.
pub fn decode(bytes: &[u8], apply_orientation: bool) -> Result<UprightImage, ImageError> {
    decode_within(bytes, apply_orientation, MAX_PIXELS)
}

/// [`decode`] with another limit of pixels.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(
    bytes: &[u8],
    apply_orientation: bool,
    max_pixels: u64,
) -> Result<UprightImage, ImageError> {
    Ok(decode_reduced(bytes, apply_orientation, max_pixels, |width, height| (width, height))?
        .decoded)
}

/// [`decode_within`], but only as many pixels of a JPEG as are `needed`: given the width and height
/// of the upright image, it returns the size that the pixels will be resized to. The inverse DCT
/// then gives a half, a quarter or an eighth of each side, never less than that. It takes a
/// fraction of the time and is not what decoding all and resizing gives: answers may change. Only
/// with [`CAN_REDUCE`].
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(
    bytes: &[u8],
    apply_orientation: bool,
    max_pixels: u64,
    needed: impl FnOnce(u32, u32) -> (u32, u32),
) -> Result<ReducedImage, ImageError> {
    guarded(|| decode_unguarded(bytes, apply_orientation, max_pixels, needed))
}

/// Does `work`; a decoder that panics has failed at this file, not at the run.
fn guarded<T>(work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(ImageError::Panicked))
}

fn decode_unguarded(
    bytes: &[u8],
    apply_orientation: bool,
    max_pixels: u64,
    needed: impl FnOnce(u32, u32) -> (u32, u32),
) -> Result<ReducedImage, ImageError> {
    if heif::is_heif(bytes) {
        let pixels = heif::decode(bytes, max_pixels)?;
        let (width, height) = pixels.dimensions();
        let (rgb, orientation, rows_there, notes) = (pixels.into_raw(), 1, 1.0, Vec::new());
        let decoded = UprightImage { width, height, rgb, orientation, rows_there, notes };
        return Ok(ReducedImage { width, height, decoded });
    }
    let (decoder, orientation) = open(Cursor::new(bytes), max_pixels)?;
    let is_jpeg = bytes.starts_with(&[0xFF, 0xD8]);
    let cut = if is_jpeg && !jpeg_has_its_end(bytes) {
        Some(
            jpeg_rows::extent(bytes)
                .filter(|extent| extent.rows > 0)
                .ok_or(ImageError::TruncatedJpeg)?,
        )
    } else {
        None
    };
    if has_planar_tiles(bytes) {
        return Err(ImageError::PlanarTiles);
    }
    let stored = decoder.dimensions();
    let (width, height) = upright_size(stored, orientation, apply_orientation);
    let divisor = divisor((width, height), needed(width, height));
    let whole_jpeg = Some(bytes).filter(|_| is_jpeg && cut.is_none());
    let mut decoded = match (cut, whole_jpeg.and_then(|bytes| decode_turbo(bytes, stored, divisor)))
    {
        (Some(extent), _) => decode_cut(bytes, extent, max_pixels)?,
        (None, Some(pixels)) => DynamicImage::ImageRgb8(pixels),
        (None, None) => match png_rows::Header::of(bytes).filter(|header| header.is_long()) {
            Some(header) => png_rows::decode(bytes, header)?,
            None => read(decoder)?,
        },
    };
    let damaged = is_jpeg && cut.is_none() && jpeg_rows::is_damaged(bytes);
    let notes = cut.map(jpeg_rows::Extent::note).into_iter();
    let notes = notes
        .chain(damaged.then(|| Note::new(NoteKind::DamagedImage, 1)))
        .chain(bit_depth::spread(&mut decoded, bytes))
        .chain(animation::note(bytes))
        .collect();
    if apply_orientation {
        decoded.apply_orientation(orientation);
    }
    let decoded = UprightImage {
        width: decoded.width(),
        height: decoded.height(),
        rgb: into_rgb(decoded),
        orientation: orientation.to_exif(),
        rows_there: cut.map_or(1.0, jpeg_rows::Extent::share),
        notes,
    };
    Ok(ReducedImage { width, height, decoded })
}

/// The largest divisor that leaves both sides as long as is needed; 1 if the image is to grow.
fn divisor((width, height): (u32, u32), needed: (u32, u32)) -> u32 {
    // Of the scales in eighths that libjpeg-turbo supports, these three have fast code.
    let enough = |divisor: &u32| width / divisor >= needed.0 && height / divisor >= needed.1;
    [8, 4, 2].into_iter().find(enough).unwrap_or(1)
}

/// A JPEG without its end: the rows that are there, then grey. Never by libjpeg-turbo, whose
/// binding gives no pixels with a warning.
fn decode_cut(
    bytes: &[u8],
    extent: jpeg_rows::Extent,
    max_pixels: u64,
) -> Result<DynamicImage, ImageError> {
    // Told that the image ends, the decoder takes the last bits, and then zeros for the blocks that
    // are not there. In a scan that makes finer, those would spoil blocks that are: bits that are
    // all 1 are no code, and end it.
    let (end, no_code) = (b"\xFF\xD9".to_vec(), b"\xFF\0".repeat(16));
    let mut ends = [end, no_code];
    if extent.progressive {
        ends.reverse();
    }
    // A decoder that stops early leaves pixels as they were, and those of another image must not be
    // seen.
    drop(SPARE.take());
    let decode = |end: &[u8]| {
        let (decoder, _) = open(Cursor::new([&bytes[..extent.bytes], end].concat()), max_pixels)?;
        read(decoder)
    };
    let mut decoded = guarded(|| decode(&ends[0])).or_else(|_| decode(&ends[1]))?;
    extent.blank_rest(&mut decoded);
    Ok(decoded)
}

/// All pixels of a decoder, in the kind that it gives.
fn read(decoder: impl ImageDecoder) -> Result<DynamicImage, ImageError> {
    let (width, height) = decoder.dimensions();
    if decoder.color_type() != ColorType::Rgb8 {
        return Ok(DynamicImage::from_decoder(decoder)?);
    }
    let mut pixels = spare(width as usize * height as usize * 3);
    decoder.read_image(&mut pixels)?;
    let pixels =
        RgbImage::from_raw(width, height, pixels).ok_or(ImageError::NoPixels { width, height })?;
    Ok(DynamicImage::ImageRgb8(pixels))
}

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The most bytes that [`recycle`] keeps for a thread: a photograph of 21 megapixels.
const MAX_SPARE: usize = 64 << 20;

/// Gives an image's memory to the next one that the same thread decodes. A large buffer that comes
/// from the system for every image anew, page by page, costs a quarter of decoding it.
pub fn recycle(image: UprightImage) {
    if image.rgb.capacity() <= MAX_SPARE {
        SPARE.set(image.rgb);
    }
}

/// A buffer of `length` bytes of any value.
fn spare(length: usize) -> Vec<u8> {
    let mut pixels = SPARE.take();
    if pixels.capacity() < length {
        return vec![0; length];
    }
    pixels.resize(length, 0);
    pixels
}

#[cfg(feature = "turbojpeg")]
use turbo::decode as decode_turbo;

/// In a build without libjpeg-turbo, the other decoder does everything.
#[cfg(not(feature = "turbojpeg"))]
fn decode_turbo(_: &[u8], _: (u32, u32), _: u32) -> Option<RgbImage> {
    None
}

/// Facts from a file's header, before its pixels are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, after the orientation was applied.
    pub width: u32,
    /// Height in pixels, after the orientation was applied.
    pub height: u32,
    /// The most bytes of pixels that are held at once while it is decoded and turned.
    pub decoded_bytes: u64,
    /// How many times the file's bytes are held while it is decoded.
    pub file_copies: u64,
}

/// The header of the file that `reader` reads. Only the beginning is read of a file that is no
/// image, and only the part before the pixels of an image.
///
/// # Errors
/// [`ImageError`], as [`decode`], except for faults of the pixels.
pub fn header(
    reader: &mut (impl BufRead + Seek),
    apply_orientation: bool,
    max_pixels: u64,
) -> Result<Header, ImageError> {
    if is_heif(reader)? {
        let (width, height) = heif::size(&heif_head(reader)?, max_pixels)?;
        // What ffmpeg gives, its pixels, and the turned ones; its file has a copy without turning.
        let decoded_bytes = u64::from(width) * u64::from(height) * 9;
        return Ok(Header { width, height, decoded_bytes, file_copies: 2 });
    }
    with_header(reader, max_pixels, |decoder, orientation, is_jpeg| {
        let stored = decoder.dimensions();
        let rgb = u64::from(stored.0) * u64::from(stored.1) * 3;
        let (width, height) = upright_size(stored, orientation, apply_orientation);
        let is_turned = apply_orientation && orientation != Orientation::NoTransforms;
        let copies = u64::from(is_turned) + u64::from(decoder.color_type() != ColorType::Rgb8);
        let decoded_bytes = decoder.total_bytes().saturating_add(rgb * copies);
        // A JPEG's decoder has a copy of its own.
        Header { width, height, decoded_bytes, file_copies: 1 + u64::from(is_jpeg) }
    })
}

fn is_heif(reader: &mut impl BufRead) -> Result<bool, ImageError> {
    let first = reader.fill_buf().map_err(::image::ImageError::IoError)?;
    Ok(heif::is_heif(first))
}

/// The first bytes of a HEIC or AVIF file, in which its description stands.
fn heif_head(reader: &mut impl BufRead) -> Result<Vec<u8>, ImageError> {
    let mut head = Vec::new();
    let read = reader.take(heif::MOST_DESCRIPTION).read_to_end(&mut head);
    read.map_err(::image::ImageError::IoError)?;
    Ok(head)
}

/// `of` applied to a decoder that has read only the header, the orientation, and whether it is a
/// JPEG.
fn with_header<T>(
    reader: &mut (impl BufRead + Seek),
    max_pixels: u64,
    of: impl FnOnce(&dyn ImageDecoder, Orientation, bool) -> T,
) -> Result<T, ImageError> {
    let io = |error| ImageError::Decode(::image::ImageError::IoError(error));
    guarded(|| {
        if reader.fill_buf().map_err(io)?.starts_with(&[0xFF, 0xD8]) {
            // The decoder would read all of it.
            let head = segments::jpeg_head(reader).map_err(io)?;
            let (decoder, orientation) = open(Cursor::new(head), max_pixels)?;
            return Ok(of(&decoder, orientation, true));
        }
        let (decoder, orientation) = open(reader, max_pixels)?;
        Ok(of(&decoder, orientation, false))
    })
}

/// All bytes of the file that `reader` reads, whose header is looked at before the rest is read.
///
/// # Errors
/// As [`header`]; [`ImageError::TooManyBytes`]; [`ImageError::Read`].
pub fn read_file(
    mut reader: impl BufRead + Seek,
    apply_orientation: bool,
    max_pixels: u64,
) -> Result<Vec<u8>, ImageError> {
    header(&mut reader, apply_orientation, max_pixels)?;
    reader.rewind()?;
    let most = most_bytes(max_pixels);
    files::read_within(reader, most).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => ImageError::TooManyBytes { most },
        _ => ImageError::Read(error),
    })
}

/// Width and height of the upright image, from the header alone.
///
/// # Errors
/// As [`header`].
pub fn size(
    reader: impl BufRead + Seek,
    apply_orientation: bool,
) -> Result<(u32, u32), ImageError> {
    size_within(reader, apply_orientation, MAX_PIXELS)
}

/// [`size`] with another limit of pixels.
///
/// # Errors
/// As [`size`].
pub fn size_within(
    mut reader: impl BufRead + Seek,
    apply_orientation: bool,
    max_pixels: u64,
) -> Result<(u32, u32), ImageError> {
    let header = header(&mut reader, apply_orientation, max_pixels)?;
    Ok((header.width, header.height))
}

/// EXIF orientations 5 to 8 lie on their side.
fn upright_size(
    (width, height): (u32, u32),
    orientation: Orientation,
    apply_orientation: bool,
) -> (u32, u32) {
    if apply_orientation && orientation.to_exif() > 4 { (height, width) } else { (width, height) }
}

/// The file's EXIF orientation, 1..8, from the header alone.
///
/// # Errors
/// [`ImageError`], as [`size`].
pub fn orientation(mut reader: impl BufRead + Seek) -> Result<u8, ImageError> {
    if is_heif(&mut reader)? {
        // Its own turning is no orientation that a reader may leave out.
        return Ok(1);
    }
    with_header(&mut reader, MAX_PIXELS, |_, orientation, _| orientation.to_exif())
}

/// The most bytes that are read of the file of an image of this many pixels: those of 16-bit RGBA,
/// and never less than animations take.
pub fn most_bytes(max_pixels: u64) -> u64 {
    const ALWAYS: u64 = 256 << 20;
    max_pixels.saturating_mul(8).max(ALWAYS)
}

/// The most decompressed bytes before a file's pixels: texts, an ICC profile.
const MAX_BEFORE_PIXELS: u64 = 32 << 20;

/// A decoder that has read the header, within the limits, and the file's orientation.
fn open<'r, R: BufRead + Seek + 'r>(
    mut reader: R,
    max_pixels: u64,
) -> Result<(impl ImageDecoder + use<'r, R>, Orientation), ImageError> {
    let first = reader.fill_buf().map_err(::image::ImageError::IoError)?;
    if first.is_empty() {
        return Err(ImageError::Empty);
    }
    let foreign = Foreign::of_bytes(first);
    // A PNG's decoder counts a row of pixels, of 8 bytes at most, as part of the bytes before them.
    let row =
        png_rows::Header::of(first).map_or(0, |header| header.row_pixels().min(max_pixels) * 8);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BEFORE_PIXELS.saturating_add(row));
    let mut reader =
        ImageReader::new(reader).with_guessed_format().map_err(::image::ImageError::IoError)?;
    reader.limits(limits.clone());
    if reader.format().is_none() {
        return Err(foreign.map_or(ImageError::UnknownFormat, ImageError::Foreign));
    }
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::NoPixels { width, height });
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(ImageError::TooLarge { width, height, max_pixels });
    }
    // RGBA in 16 bits, and as much again for the decoder's own buffers
    limits.max_alloc = Some(max_pixels.saturating_mul(16));
    decoder.set_limits(limits)?;
    // A broken EXIF block is no reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

/// Whether the first page of a TIFF has tiles and a plane for each colour.
fn has_planar_tiles(bytes: &[u8]) -> bool {
    const PLANAR_CONFIGURATION: u16 = 284;
    const SEPARATE_PLANES: u32 = 2;
    const TILE_WIDTH: u16 = 322;
    let Some(block) = Block::new(bytes) else { return false };
    let Some(page) = block.first_directory() else { return false };
    block.number(page, PLANAR_CONFIGURATION) == Some(SEPARATE_PLANES)
        && block.entry(page, TILE_WIDTH).is_some()
}

/// Whether the end-of-image marker stands behind the first scan. Earlier segments are skipped one
/// by one: a thumbnail in the EXIF block is a JPEG with an end of its own.
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let mut place = 2;
    while let Some(&[0xFF, marker, high, low]) =
        bytes.get(place..place + 4).and_then(|head| head.first_chunk())
    {
        if marker == START_OF_SCAN {
            // Inside a scan every FF is followed by 00 or a restart marker, so this pair is the
            // marker.
            return bytes[place..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
        }
        // A fill byte may stand before a marker; the other markers here have a length.
        place += if marker == 0xFF { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
    }
    false
}

fn into_rgb(decoded: DynamicImage) -> Vec<u8> {
    if !decoded.color().has_alpha() {
        return decoded.into_rgb8().into_raw();
    }
    let rgba = decoded.into_rgba8().into_raw();
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.chunks_exact(4) {
        rgb.extend(pixel[..3].iter().map(|&channel| over_white(channel, pixel[3])));
    }
    rgb
}

/// One channel composited over white in the fixed-point arithmetic of Pillow's `alpha_composite`
/// over an opaque background (src/libImaging/AlphaComposite.c), as Hugging Face's `convert_to_rgb`
/// does it.
fn over_white(channel: u8, alpha: u8) -> u8 {
    let weighted = u32::from(channel) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    let scaled = (weighted + 0x80) << 7;
    ((((scaled >> 8) + scaled) >> 8) >> 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_an_image_and_an_image_an_array() {
        let whole =
            Array3::from_shape_fn((4, 3, 3), |(y, x, channel)| (y * 9 + x * 3 + channel) as u8);
        let image = UprightImage::from_array(whole.clone()).unwrap();
        assert_eq!((image.width, image.height, image.rgb.len()), (3, 4, 36));
        assert_eq!(image.array().unwrap(), whole);
        // A part, and columns that come before rows.
        let part = whole.clone().slice_move(ndarray::s![1..3, .., ..]);
        assert_eq!(UprightImage::from_array(part.clone()).unwrap().array().unwrap(), part);
        let turned = whole.permuted_axes([1, 0, 2]);
        assert_eq!(UprightImage::from_array(turned.clone()).unwrap().array().unwrap(), turned);
        for shape in [(4, 3, 4), (0, 3, 3), (4, 0, 3)] {
            assert!(matches!(
                UprightImage::from_array(Array3::zeros(shape)),
                Err(ImageError::NotRgb { .. })
            ));
        }
    }

    #[test]
    fn white_shows_through_a_transparent_pixel() {
        assert_eq!(over_white(0, 0), 255);
        assert_eq!(over_white(17, 255), 17);
        assert_eq!(over_white(0, 128), 127);
    }

    #[test]
    fn a_thumbnails_end_is_not_the_images() {
        let mut jpeg = Vec::new();
        let picture = DynamicImage::ImageRgb8(::image::RgbImage::from_fn(64, 64, |x, y| {
            ::image::Rgb([x as u8, y as u8, 7])
        }));
        picture.write_to(&mut Cursor::new(&mut jpeg), ::image::ImageFormat::Jpeg).unwrap();
        // An APP1 segment that holds a whole JPEG of its own, right behind the start of the image.
        let mut with_thumbnail = jpeg[..2].to_vec();
        with_thumbnail.extend([0xFF, 0xE1]);
        with_thumbnail.extend((jpeg.len() as u16 + 2).to_be_bytes());
        with_thumbnail.extend(&jpeg);
        with_thumbnail.extend(&jpeg[2..]);
        let whole = decode(&with_thumbnail, true).unwrap();
        assert!(whole.notes.is_empty() && whole.rows_there > 0.99);
        let cut = decode(&with_thumbnail[..with_thumbnail.len() - 40], true).unwrap();
        assert!(
            cut.rows_there < 1.0 && cut.notes[0].kind == NoteKind::TruncatedImage,
            "{:?}",
            cut.notes
        );
    }

    /// The decoder asserts that there is none.
    #[test]
    fn a_tiff_of_planar_tiles_is_refused_before_it_is_decoded() {
        const SHORT: u16 = 3;
        const LONG: u16 = 4;
        let directory = |planes| {
            let (samples, tiles) = (146, 152);
            let mut tiff = tiff_block::tests::block(&[
                (256, SHORT, 1, 16),
                (257, SHORT, 1, 16),
                (258, SHORT, 3, samples),
                (259, SHORT, 1, 1),
                (262, SHORT, 1, 2),
                (277, SHORT, 1, 3),
                (284, SHORT, 1, planes),
                (322, SHORT, 1, 16),
                (323, SHORT, 1, 16),
                (324, LONG, 3, tiles),
                (325, LONG, 3, tiles + 12),
            ]);
            assert_eq!(tiff.len(), samples as usize);
            tiff.extend([8_u16; 3].into_iter().flat_map(u16::to_le_bytes));
            tiff.extend([176_u32, 432, 688, 256, 256, 256].into_iter().flat_map(u32::to_le_bytes));
            tiff.extend([7; 768]);
            tiff
        };
        let planar = decode(&directory(2), true);
        assert!(matches!(planar, Err(ImageError::PlanarTiles)), "{planar:?}");
        assert!(!matches!(decode(&directory(1), true), Err(ImageError::PlanarTiles)));
    }

    #[test]
    fn what_is_not_an_image_says_so() {
        assert!(matches!(decode(b"", true), Err(ImageError::Empty)));
        assert!(matches!(decode(b"hello, I am text", true), Err(ImageError::UnknownFormat)));
        assert!(decode(b"\xFF\xD8\xFF\xE0 no more", true).is_err());
    }
}
