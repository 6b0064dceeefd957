//! HEIC and AVIF, decoded by the user's ffmpeg.
//!
//! In: the bytes of a file. Out: its size, and upright pixels. Promises: the file's own cutting and
//! turning (`clap`, `irot`, `imir`) is applied once, by this module, whatever version of ffmpeg decodes it; an
//! EXIF orientation, which in these formats only repeats that, is not applied; the size in the
//! header is checked before anything is decoded. Transparency is not read.
//!
//! Source: ISO/IEC 23008-12 (HEIF), 6.5.3 (`ispe`), 6.5.9 (`clap`), 6.5.10 (`irot`), 6.5.12 (`imir`), 9.3 (`ipma`).

use std::ops::Range;

use ::image::imageops::{crop_imm, flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
use ::image::{ImageFormat, RgbImage};

use super::ImageError;
use super::boxes::{boxes, find, items, meta, number};
use super::foreign::Foreign;
use crate::ffmpeg::{Ffmpeg, FfmpegError};

/// Extensions of these files.
pub const EXTENSIONS: [&str; 4] = ["heic", "heif", "hif", "avif"];

/// The first version of ffmpeg that puts the tiles of a picture together.
const FOR_TILES: (u32, u32) = (7, 1);

/// Bytes of a file in which its description stands, before the pixels.
pub(super) const MOST_DESCRIPTION: u64 = 4 << 20;

/// Whether a file that begins with these bytes is one of these.
pub(super) fn is_heif(bytes: &[u8]) -> bool {
    matches!(Foreign::of_bytes(bytes), Some(Foreign::Heif | Foreign::Avif))
}

/// The description of a file's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Description {
    /// As it is stored.
    width: u32,
    height: u32,
    /// The part of it that is the picture: left, top, width, height.
    part: Option<[u32; 4]>,
    /// Quarter turns against the clock.
    turns: u8,
    /// Set if it is mirrored after that: whether left and right change places, else top and
    /// bottom.
    mirrored: Option<bool>,
    /// Whether it consists of tiles.
    is_tiled: bool,
}

impl Description {
    /// Of a file of which at least the first [`MOST_DESCRIPTION`] bytes are there.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let meta = meta(bytes)?;
        let primary = find(bytes, meta.clone(), *b"pitm")?;
        let of_id = if *bytes.get(primary.start)? == 0 { 2 } else { 4 };
        let primary = number(bytes, primary.start + 4, of_id)?;
        let is_tiled = items(bytes, meta.clone())
            .iter()
            .any(|item| item.id == primary && item.kind == *b"grid");
        let properties = find(bytes, meta, *b"iprp")?;
        let all: Vec<_> = {
            let container = find(bytes, properties.clone(), *b"ipco")?;
            boxes(bytes, container).collect()
        };
        let mut found =
            Self { width: 0, height: 0, part: None, turns: 0, mirrored: None, is_tiled };
        let mut aperture = None;
        for index in properties_of(bytes, properties, primary)? {
            // They count from 1.
            let Some(property) = index.checked_sub(1).and_then(|index| all.get(index)) else {
                continue;
            };
            let at = property.inside.start;
            let in_it = |from: usize, size| {
                number(bytes, at + from, size).filter(|_| at + from + size <= property.inside.end)
            };
            match &property.kind {
                b"ispe" => {
                    found.width = u32::try_from(in_it(4, 4)?).ok()?;
                    found.height = u32::try_from(in_it(8, 4)?).ok()?;
                }
                b"clap" => {
                    let numbers = (0..8).map(|place| in_it(place * 4, 4));
                    aperture = Some(numbers.collect::<Option<Vec<usize>>>()?);
                }
                b"irot" => found.turns = (in_it(0, 1)? & 3) as u8,
                b"imir" => found.mirrored = Some(in_it(0, 1)? & 1 == 1),
                _ => {}
            }
        }
        if let Some(aperture) = aperture {
            found.part = Some(part(&aperture, [found.width, found.height])?);
        }
        (found.width > 0 && found.height > 0).then_some(found)
    }

    /// Width and height of the upright picture.
    pub(super) fn size(self) -> (u32, u32) {
        let [_, _, width, height] = self.part.unwrap_or([0, 0, self.width, self.height]);
        if self.turns % 2 == 1 { (height, width) } else { (width, height) }
    }

    fn check(self, max_pixels: u64) -> Result<(), ImageError> {
        let Self { width, height, .. } = self;
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(ImageError::TooLarge { width, height, max_pixels });
        }
        Ok(())
    }

    /// The stored picture as it is to be seen.
    fn upright(self, stored: RgbImage) -> RgbImage {
        let stored = match self.part {
            Some([x, y, width, height]) => crop_imm(&stored, x, y, width, height).to_image(),
            None => stored,
        };
        let turned = match self.turns {
            1 => rotate270(&stored),
            2 => rotate180(&stored),
            3 => rotate90(&stored),
            _ => stored,
        };
        match self.mirrored {
            Some(true) => flip_horizontal(&turned),
            Some(false) => flip_vertical(&turned),
            None => turned,
        }
    }
}

/// The part that a `clap` leaves (ISO/IEC 14496-12, 12.1.4.3): width, height, and how far its middle
/// lies from that of the picture, each as a fraction.
fn part(aperture: &[usize], [width, height]: [u32; 2]) -> Option<[u32; 4]> {
    // Offsets have a sign.
    let fraction = |place: usize| {
        let (above, below) = (*aperture.get(place)? as u32, *aperture.get(place + 1)? as u32);
        (below > 0).then(|| f64::from(above.cast_signed()) / f64::from(below))
    };
    let side = |size: f64, offset: f64, whole: u32| {
        let (size, whole) = (size.round(), f64::from(whole));
        // Half a pixel belongs to the side before it.
        let from = ((whole - size) / 2.0 + offset).floor();
        let fits = size >= 1.0 && from >= 0.0 && from + size <= whole;
        fits.then_some((from as u32, size as u32))
    };
    let (x, part_width) = side(fraction(0)?, fraction(4)?, width)?;
    let (y, part_height) = side(fraction(2)?, fraction(6)?, height)?;
    Some([x, y, part_width, part_height])
}

/// The numbers of the properties of an item.
fn properties_of(bytes: &[u8], properties: Range<usize>, item: usize) -> Option<Vec<usize>> {
    for found in boxes(bytes, properties).filter(|found| found.kind == *b"ipma") {
        let start = found.inside.start;
        let (of_id, wide) = {
            let version = *bytes.get(start)?;
            (if version == 0 { 2 } else { 4 }, bytes.get(start + 3)? & 1 == 1)
        };
        let entries = number(bytes, start + 4, 4)?;
        let mut at = start + 8;
        for _ in 0..entries {
            let id = number(bytes, at, of_id).filter(|_| at < found.inside.end)?;
            let count = number(bytes, at + of_id, 1)?;
            at += of_id + 1;
            let size = if wide { 2 } else { 1 };
            if id == item {
                // The highest bit says that a reader has to know the property.
                let mask = if wide { 0x7FFF } else { 0x7F };
                return (0..count)
                    .map(|index| Some(number(bytes, at + index * size, size)? & mask))
                    .collect();
            }
            at += count * size;
        }
    }
    None
}

/// Width and height of the upright picture of a file of which the first bytes are `head`.
pub(super) fn size(head: &[u8], max_pixels: u64) -> Result<(u32, u32), ImageError> {
    let kind = Foreign::of_bytes(head).unwrap_or(Foreign::Heif);
    let description = Description::of(head).ok_or(ImageError::NoPicture(kind))?;
    description.check(max_pixels)?;
    Ok(description.size())
}

/// The upright picture of a file.
pub(super) fn decode(bytes: &[u8], max_pixels: u64) -> Result<RgbImage, ImageError> {
    let kind = Foreign::of_bytes(bytes).unwrap_or(Foreign::Heif);
    let description = Description::of(bytes).ok_or(ImageError::NoPicture(kind))?;
    description.check(max_pixels)?;
    let of_ffmpeg = |error| ImageError::ByFfmpeg { kind, error };
    let ffmpeg = Ffmpeg::find().map_err(of_ffmpeg)?;
    if description.is_tiled && ffmpeg.release().is_some_and(|release| release < FOR_TILES) {
        let (version, (major, minor)) = (ffmpeg.version, FOR_TILES);
        return Err(of_ffmpeg(FfmpegError::NoTiles { version, major, minor }));
    }
    // As libavif does, and libheif does not: each picture has the colours of its own library, to two
    // levels.
    let smooth = kind == Foreign::Avif;
    let (width, height) = (description.width, description.height);
    let still = ffmpeg.still(&without_turning(bytes), (width, height), smooth);
    let bmp = still.map_err(|error| match (error, ffmpeg.release()) {
        (FfmpegError::Unreadable(reason), Some(release))
            if kind != Foreign::Avif && release < FOR_TILES =>
        {
            let (version, (major, minor)) = (ffmpeg.version, FOR_TILES);
            of_ffmpeg(FfmpegError::OldForHeic { version, reason, major, minor })
        }
        (error, _) => of_ffmpeg(error),
    })?;
    let stored = ::image::load_from_memory_with_format(&bmp, ImageFormat::Bmp)?.into_rgb8();
    if stored.dimensions() != (width, height) {
        let (got_width, got_height) = stored.dimensions();
        let what = format!("{got_width}x{got_height} of {width}x{height} pixels");
        return Err(of_ffmpeg(FfmpegError::Unreadable(what)));
    }
    Ok(description.upright(stored))
}

/// The file with the names of what would turn or cut it changed, so that no version of ffmpeg does.
fn without_turning(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let Some(meta) = meta(bytes) else { return changed };
    let mut rename = |at: usize| changed[at..at + 4].copy_from_slice(b"skip");
    for item in items(bytes, meta.clone()).iter().filter(|item| item.kind == *b"Exif") {
        rename(item.at);
    }
    let container = find(bytes, meta, *b"iprp").and_then(|found| find(bytes, found, *b"ipco"));
    for property in container.into_iter().flat_map(|container| boxes(bytes, container)) {
        if [*b"irot", *b"imir", *b"clap"].contains(&property.kind) {
            rename(property.at);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::super::boxes::made;
    use super::*;

    /// A file whose second item is its picture, of 3 by 2 pixels, turned by `irot` and `imir`.
    fn file(irot: u8, imir: u8) -> Vec<u8> {
        let infe = |id: u8, kind: &[u8]| made(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind, b"\0"]);
        let iinf = made(b"iinf", &[b"\0\0\0\0\0\x02", &infe(1, b"Exif"), &infe(2, b"grid")]);
        let ispe = made(b"ispe", &[b"\0\0\0\0", &3_u32.to_be_bytes(), &2_u32.to_be_bytes()]);
        let ipco = made(b"ipco", &[&ispe, &made(b"irot", &[&[irot]]), &made(b"imir", &[&[imir]])]);
        let ipma = made(b"ipma", &[&[0; 4], &1_u32.to_be_bytes(), &[0, 2, 3, 1, 0x82, 0x83]]);
        let iprp = made(b"iprp", &[&ipco, &ipma]);
        let pitm = made(b"pitm", &[b"\0\0\0\0\0\x02"]);
        let meta = made(b"meta", &[b"\0\0\0\0", &pitm, &iinf, &iprp]);
        [made(b"ftyp", &[b"heic\0\0\0\0"]), meta, made(b"mdat", &[b"pixels"])].concat()
    }

    #[test]
    fn a_description_is_that_of_the_primary_picture() {
        let found = Description::of(&file(1, 1)).unwrap();
        let expected = Description {
            part: None,
            width: 3,
            height: 2,
            turns: 1,
            mirrored: Some(true),
            is_tiled: true,
        };
        assert_eq!(found, expected);
        assert_eq!(found.size(), (2, 3));
        assert!(matches!(size(&file(0, 0), 5), Err(ImageError::TooLarge { .. })));
        let whole = file(2, 0);
        for at in 0..whole.len() {
            Description::of(&whole[..at]);
            for byte in [0, 1, 7, 255] {
                let mut broken = whole.clone();
                broken[at] = byte;
                Description::of(&broken);
                without_turning(&broken);
            }
        }
    }

    #[test]
    fn a_picture_is_turned_as_the_file_says() {
        let pixel = |value: u8| ::image::Rgb([value; 3]);
        let stored = RgbImage::from_fn(3, 2, |x, y| pixel((10 * y + x) as u8));
        let seen = |irot: u8, imir: Option<u8>| {
            let mut description = Description::of(&file(irot, imir.unwrap_or(0))).unwrap();
            description.mirrored = imir.map(|axis| axis == 1);
            let upright = description.upright(stored.clone());
            assert_eq!(upright.dimensions(), description.size());
            upright
                .rows()
                .map(|row| row.map(|pixel| pixel.0[0]).collect())
                .collect::<Vec<Vec<u8>>>()
        };
        assert_eq!(seen(0, None), [[0, 1, 2], [10, 11, 12]]);
        // Against the clock: what was on the right is on top.
        assert_eq!(seen(1, None), [[2, 12], [1, 11], [0, 10]]);
        assert_eq!(seen(2, None), [[12, 11, 10], [2, 1, 0]]);
        assert_eq!(seen(3, None), [[10, 0], [11, 1], [12, 2]]);
        // Axis 0 changes top and bottom, axis 1 left and right (libheif and Pillow agree).
        assert_eq!(seen(0, Some(0)), [[10, 11, 12], [0, 1, 2]]);
        assert_eq!(seen(0, Some(1)), [[2, 1, 0], [12, 11, 10]]);
    }

    #[test]
    fn a_picture_may_be_a_part_of_what_is_stored() {
        // 257x129 of 258x130, half a pixel to the left and above of the middle.
        let minus = u32::MAX as usize;
        assert_eq!(part(&[257, 1, 129, 1, minus, 2, minus, 2], [258, 130]), Some([0, 0, 257, 129]));
        assert_eq!(part(&[100, 1, 50, 1, 10, 1, 0, 1], [200, 100]), Some([60, 25, 100, 50]));
        for wrong in
            [[300, 1, 50, 1, 0, 1, 0, 1], [100, 0, 50, 1, 0, 1, 0, 1], [100, 1, 50, 1, 90, 1, 0, 1]]
        {
            assert_eq!(part(&wrong, [200, 100]), None);
        }
    }

    #[test]
    fn nothing_is_left_that_would_turn_it() {
        let changed = without_turning(&file(1, 1));
        let has = |word: &[u8; 4]| changed.windows(4).any(|four| four == word);
        assert!(!has(b"irot") && !has(b"imir") && !has(b"Exif") && has(b"ispe"));
        assert_eq!(changed.len(), file(1, 1).len());
    }
}
