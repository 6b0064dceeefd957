//! PNG files whose rows are very long.
//!
//! In: the bytes of a PNG file. Out: its pixels, as the `image` crate gives them. Promises: beside
//! the pixels, at most one row is held as the file stores it, and none for an image of 8-bit RGB,
//! or of one row. That crate's decoder holds a row three times over, which is three times the image
//! if one row is all of it.
//!
//! Source: PNG 3rd edition: 7.2 (scanlines), 8 (Adam7), 9 (filters), 11.3.1 (tRNS).

use std::io::{self, BufRead, Read};

use ::image::{DynamicImage, ImageBuffer, Pixel};
use flate2::Crc;
use flate2::bufread::ZlibDecoder;

use super::ImageError;
use super::segments::png_chunk;

/// A row of this many bytes is long: shorter ones are not worth another way.
const LONG_ROW: u64 = 4 << 20;
/// Bytes of a row that are unfiltered at once: a whole number of pixels of any kind.
const BLOCK: usize = 48 << 10;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Fields of the header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    width: u32,
    height: u32,
    depth: u8,
    colour: u8,
    interlaced: bool,
}

impl Header {
    /// The header of a file that begins with `bytes`; `None` if it is no PNG.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let header = bytes.strip_prefix(SIGNATURE)?.get(..21)?;
        let number = |at: usize| Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?));
        let is_header = number(0)? == 13 && &header[4..8] == b"IHDR";
        let [depth, colour, _, _, interlace] = *header[16..].first_chunk()?;
        let header = Self {
            width: number(8)?,
            height: number(12)?,
            depth,
            colour,
            interlaced: interlace == 1,
        };
        Some(header).filter(|_| is_header)
    }

    /// Samples of a pixel as they are stored.
    fn channels(self) -> usize {
        match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        }
    }

    fn bits(self) -> usize {
        self.channels() * usize::from(self.depth)
    }

    /// Bytes of a row of this many pixels.
    fn row(self, width: usize) -> usize {
        (width * self.bits()).div_ceil(8)
    }

    /// Pixels of a row.
    pub(super) fn row_pixels(self) -> u64 {
        u64::from(self.width)
    }

    /// Whether this module is for the file.
    pub(super) fn is_long(self) -> bool {
        self.row(self.width as usize) as u64 > LONG_ROW
    }
}

/// The pixels of a PNG file whose header was found to be in order.
pub(super) fn decode(bytes: &[u8], header: Header) -> Result<DynamicImage, ImageError> {
    let failed = |error: io::Error| ImageError::Decode(::image::ImageError::IoError(error));
    let kind = Kind::of(header, bytes)
        .ok_or_else(|| failed(invalid("a kind of pixels that PNG does not have")))?;
    let data = ZlibDecoder::new(Data {
        rest: bytes.get(SIGNATURE.len()..).unwrap_or_default(),
        chunk: &[],
    });
    let (width, height) = (header.width, header.height);
    let samples = width as usize * height as usize * kind.channels;
    let none = || ImageError::NoPixels { width, height };
    if header.depth == 16 {
        let mut pixels = vec![0_u16; samples];
        rows(data, header, &kind, &mut pixels).map_err(failed)?;
        return match kind.channels {
            1 => image(width, height, pixels).map(DynamicImage::ImageLuma16),
            2 => image(width, height, pixels).map(DynamicImage::ImageLumaA16),
            3 => image(width, height, pixels).map(DynamicImage::ImageRgb16),
            _ => image(width, height, pixels).map(DynamicImage::ImageRgba16),
        }
        .ok_or_else(none);
    }
    let mut pixels = vec![0_u8; samples];
    rows(data, header, &kind, &mut pixels).map_err(failed)?;
    match kind.channels {
        1 => image(width, height, pixels).map(DynamicImage::ImageLuma8),
        2 => image(width, height, pixels).map(DynamicImage::ImageLumaA8),
        3 => image(width, height, pixels).map(DynamicImage::ImageRgb8),
        _ => image(width, height, pixels).map(DynamicImage::ImageRgba8),
    }
    .ok_or_else(none)
}

fn image<P: Pixel>(
    width: u32,
    height: u32,
    samples: Vec<P::Subpixel>,
) -> Option<ImageBuffer<P, Vec<P::Subpixel>>> {
    ImageBuffer::from_raw(width, height, samples)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The data of all IDAT chunks, one after the other.
struct Data<'b> {
    /// Behind the chunk.
    rest: &'b [u8],
    /// The rest of it.
    chunk: &'b [u8],
}

impl BufRead for Data<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            let Some((head, behind)) = self.rest.split_first_chunk::<8>() else { break };
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let (kind, cut) = (&head[4..], || io::Error::from(io::ErrorKind::UnexpectedEof));
            if kind == b"IEND" {
                break;
            }
            let data = behind.get(..length).ok_or_else(cut)?;
            let sum = behind.get(length..).and_then(|rest| rest.first_chunk()).ok_or_else(cut)?;
            if kind == b"IDAT" {
                let mut crc = Crc::new();
                crc.update(&self.rest[4..8 + length]);
                if crc.sum() != u32::from_be_bytes(*sum) {
                    return Err(invalid("a chunk of pixels has a wrong checksum"));
                }
                self.chunk = data;
            }
            self.rest = &behind[length + 4..];
        }
        Ok(self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk = &self.chunk[amount..];
    }
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// Conversion of stored samples.
struct Kind {
    /// Samples of a pixel of the result.
    channels: usize,
    /// The colours of a palette.
    palette: Option<Vec<[u8; 4]>>,
    /// The colour that is transparent, in a kind of pixels without alpha.
    transparent: Option<[u16; 3]>,
}

impl Kind {
    fn of(header: Header, bytes: &[u8]) -> Option<Self> {
        let valid = match header.colour {
            0 => matches!(header.depth, 1 | 2 | 4 | 8 | 16),
            3 => matches!(header.depth, 1 | 2 | 4 | 8),
            2 | 4 | 6 => matches!(header.depth, 8 | 16),
            _ => false,
        };
        let transparency = png_chunk(bytes, *b"tRNS");
        let mut kind = Self { channels: header.channels(), palette: None, transparent: None };
        match (header.colour, transparency) {
            (3, transparency) => {
                let alpha = transparency.unwrap_or_default();
                let colours = png_chunk(bytes, *b"PLTE")?.chunks_exact(3).enumerate();
                let colour = |(index, colour): (usize, &[u8])| {
                    [colour[0], colour[1], colour[2], alpha.get(index).copied().unwrap_or(u8::MAX)]
                };
                kind.channels = if transparency.is_some() { 4 } else { 3 };
                kind.palette = Some(colours.map(colour).collect());
            }
            // A key that is cut off does not count, as in the other decoder.
            (0 | 2, Some(key)) if key.len() >= 2 * kind.channels => {
                let sample = |channel: usize| {
                    let at = 2 * channel.min(kind.channels - 1);
                    u16::from_be_bytes([key[at], key[at + 1]])
                };
                kind.transparent = Some([0, 1, 2].map(sample));
                kind.channels += 1;
            }
            _ => {}
        }
        Some(kind).filter(|_| valid)
    }

    /// Whether the result holds the very bytes of the file, row after row.
    fn is_stored(&self, header: Header) -> bool {
        header.depth == 8
            && !header.interlaced
            && self.palette.is_none()
            && self.transparent.is_none()
    }
}

/// A sample of the result.
trait Sample: Copy {
    /// Of this many bits.
    fn of(value: u16, depth: u8) -> Self;
    const WHITE: Self;
    const NONE: Self;
    /// The bytes of samples of the stored width.
    fn bytes(samples: &mut [Self]) -> Option<&mut [u8]>;
}

impl Sample for u8 {
    fn of(value: u16, depth: u8) -> Self {
        // 1, 2 and 4 bits are spread over 8.
        if depth < 8 { (value * (255 / ((1 << depth) - 1))) as Self } else { value as Self }
    }
    const WHITE: Self = Self::MAX;
    const NONE: Self = 0;

    fn bytes(samples: &mut [Self]) -> Option<&mut [u8]> {
        Some(samples)
    }
}

impl Sample for u16 {
    fn of(value: u16, _: u8) -> Self {
        value
    }
    const WHITE: Self = Self::MAX;
    const NONE: Self = 0;

    fn bytes(_: &mut [Self]) -> Option<&mut [u8]> {
        None
    }
}

/// A part of the image whose rows stand together in the file: first pixel and step, across and
/// down.
type Pass = [usize; 4];

const WHOLE: [Pass; 1] = [[0, 1, 0, 1]];
const ADAM7: [Pass; 7] = [
    [0, 8, 0, 8],
    [4, 8, 0, 8],
    [0, 4, 4, 8],
    [2, 4, 0, 4],
    [0, 2, 2, 4],
    [1, 2, 0, 2],
    [0, 1, 1, 2],
];

/// Reads all rows of all passes into `pixels`.
fn rows<S: Sample>(
    mut data: impl Read,
    header: Header,
    kind: &Kind,
    pixels: &mut [S],
) -> io::Result<()> {
    let size = |length: u32, first: usize, step: usize| {
        (length as usize).saturating_sub(first).div_ceil(step)
    };
    let passes = if header.interlaced { &ADAM7[..] } else { &WHOLE[..] };
    for &[x, dx, y, dy] in passes {
        let (width, height) = (size(header.width, x, dx), size(header.height, y, dy));
        if width == 0 {
            continue;
        }
        let row_bytes = header.row(width);
        // The row above, if there is one and the result does not hold it as it is stored.
        let mut above = vec![0; if kind.is_stored(header) || height < 2 { 0 } else { row_bytes }];
        for row in 0..height {
            let mut filter = [0];
            data.read_exact(&mut filter)?;
            let mut unfilter = Unfilter::new(filter[0], header)?;
            let mut block = vec![0; BLOCK.min(row_bytes)];
            let nothing = vec![0; block.len()];
            for at in (0..row_bytes).step_by(BLOCK) {
                let block = &mut block[..BLOCK.min(row_bytes - at)];
                data.read_exact(block)?;
                let first = (row * row_bytes).wrapping_sub(row_bytes) + at;
                let stored = if kind.is_stored(header) { S::bytes(pixels) } else { None };
                let up = match &stored {
                    Some(bytes) if row > 0 => &bytes[first..first + block.len()],
                    None if !above.is_empty() => &above[at..at + block.len()],
                    _ => &nothing[..block.len()],
                };
                unfilter.block(block, up);
                if let Some(bytes) = stored {
                    bytes[row * row_bytes + at..][..block.len()].copy_from_slice(block);
                    continue;
                }
                if !above.is_empty() {
                    above[at..at + block.len()].copy_from_slice(block);
                }
                let line = (y + row * dy) * header.width as usize;
                let place = |pixel: usize| (line + x + pixel * dx) * kind.channels;
                let first = at * 8 / header.bits();
                let count = (block.len() * 8 / header.bits()).min(width - first);
                for pixel in 0..count {
                    let to = &mut pixels[place(first + pixel)..][..kind.channels];
                    write(block, pixel, header, kind, to);
                }
            }
        }
    }
    Ok(())
}

/// Writes one pixel of a block of stored bytes.
fn write<S: Sample>(block: &[u8], pixel: usize, header: Header, kind: &Kind, to: &mut [S]) {
    let channels = header.channels();
    let sample = |channel: usize| -> u16 {
        let index = pixel * channels + channel;
        match header.depth {
            16 => u16::from_be_bytes([block[index * 2], block[index * 2 + 1]]),
            8 => u16::from(block[index]),
            depth => {
                let bit = index * usize::from(depth);
                let shift = 8 - bit % 8 - usize::from(depth);
                u16::from(block[bit / 8] >> shift) & ((1 << depth) - 1)
            }
        }
    };
    if let Some(palette) = &kind.palette {
        // An index without a colour is black, as in libpng.
        let colour = palette.get(usize::from(sample(0))).copied().unwrap_or([0, 0, 0, u8::MAX]);
        to.iter_mut().zip(colour).for_each(|(to, value)| *to = S::of(u16::from(value), 8));
        return;
    }
    let mut is_key = kind.transparent.is_some();
    for (channel, to) in to.iter_mut().take(channels).enumerate() {
        let value = sample(channel);
        is_key &= kind.transparent.is_some_and(|key| key[channel.min(2)] == value);
        *to = S::of(value, header.depth);
    }
    if kind.transparent.is_some() {
        to[channels] = if is_key { S::NONE } else { S::WHITE };
    }
}

/// Undoes a row's filter, block by block.
struct Unfilter {
    filter: u8,
    /// Bytes from one pixel to the next, at least one.
    step: usize,
    /// The last pixel of the block before, and of the row above it.
    left: Vec<u8>,
    up_left: Vec<u8>,
}

impl Unfilter {
    fn new(filter: u8, header: Header) -> io::Result<Self> {
        let step = (header.bits() / 8).max(1);
        if filter > 4 {
            return Err(invalid("a row has a filter that PNG does not have"));
        }
        Ok(Self { filter, step, left: vec![0; step], up_left: vec![0; step] })
    }

    fn block(&mut self, block: &mut [u8], up: &[u8]) {
        let step = self.step;
        for index in 0..block.len() {
            let before = |own: &[u8], earlier: &[u8]| {
                if index < step { earlier[index] } else { own[index - step] }
            };
            let (left, up_left) = (before(block, &self.left), before(up, &self.up_left));
            let predicted = match self.filter {
                0 => 0,
                1 => left,
                2 => up[index],
                3 => u16::midpoint(u16::from(left), u16::from(up[index])) as u8,
                _ => paeth(left, up[index], up_left),
            };
            block[index] = block[index].wrapping_add(predicted);
        }
        if let Some(last) = block.len().checked_sub(step) {
            self.left.copy_from_slice(&block[last..]);
            self.up_left.copy_from_slice(&up[last..]);
        }
    }
}

/// The neighbour that is nearest to `left + up - up_left`.
fn paeth(left: u8, up: u8, up_left: u8) -> u8 {
    let [a, b, c] = [left, up, up_left].map(i16::from);
    let estimate = a + b - c;
    let [far_a, far_b, far_c] = [a, b, c].map(|value| (estimate - value).abs());
    if far_a <= far_b && far_a <= far_c {
        left
    } else if far_b <= far_c {
        up
    } else {
        up_left
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every PNG of the fixtures, whatever its rows, decodes as with the other decoder.
    #[test]
    fn pixels_are_those_of_the_other_decoder() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")) {
            let entry = entry.unwrap();
            if !entry.file_type().is_file() {
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let Some(header) = Header::of(&bytes) else { continue };
            let Ok(expected) = ::image::load_from_memory(&bytes) else { continue };
            if seen.len() > 20 && expected.width() * expected.height() > 100_000 {
                continue;
            }
            let decoded = decode(&bytes, header).unwrap();
            assert!(decoded == expected, "{}", entry.path().display());
            seen.insert((
                header.colour,
                header.depth,
                header.interlaced,
                expected.color().has_alpha(),
            ));
        }
        assert!(seen.len() > 5, "{seen:?}");
    }

    /// A PNG of that kind, with arbitrary stored bits, without filters; `key` is the contents of
    /// tRNS.
    fn made(header: Header, key: Option<&[u8]>) -> Vec<u8> {
        let size = |length: u32, first: usize, step: usize| {
            (length as usize).saturating_sub(first).div_ceil(step)
        };
        let mut stored = Vec::new();
        let mut state = 7_u32;
        for &[x, dx, y, dy] in if header.interlaced { &ADAM7[..] } else { &WHOLE[..] } {
            let (width, height) = (size(header.width, x, dx), size(header.height, y, dy));
            for _ in 0..if width == 0 { 0 } else { height } {
                stored.push(0);
                stored.extend((0..header.row(width)).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                }));
            }
        }
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &stored).unwrap();
        let mut png = SIGNATURE.to_vec();
        let mut chunk = |kind: &[u8; 4], data: &[u8]| {
            png.extend((data.len() as u32).to_be_bytes());
            let mut crc = Crc::new();
            crc.update(kind);
            crc.update(data);
            png.extend(kind);
            png.extend(data);
            png.extend(crc.sum().to_be_bytes());
        };
        let mut start = [header.width.to_be_bytes(), header.height.to_be_bytes()].concat();
        start.extend([header.depth, header.colour, 0, 0, u8::from(header.interlaced)]);
        chunk(b"IHDR", &start);
        if header.colour == 3 {
            chunk(
                b"PLTE",
                &(0..3 << header.depth).map(|value: u32| (value * 37) as u8).collect::<Vec<_>>(),
            );
        }
        if let Some(key) = key {
            chunk(b"tRNS", key);
        }
        let packed = packed.finish().unwrap();
        let (one, other) = packed.split_at(packed.len() / 3);
        chunk(b"IDAT", one);
        chunk(b"IDAT", other);
        chunk(b"IEND", &[]);
        png
    }

    #[test]
    fn every_kind_of_pixels() {
        let kinds = [
            (0, &[1, 2, 4, 8, 16][..]),
            (2, &[8, 16]),
            (3, &[1, 2, 4, 8]),
            (4, &[8, 16]),
            (6, &[8, 16]),
        ];
        for (colour, depths) in kinds {
            for (&depth, interlaced) in
                depths.iter().flat_map(|depth| [(depth, false), (depth, true)])
            {
                for (width, height) in [(1, 1), (37, 9), (5, 1), (1, 8), (13_001, 2)] {
                    let header = Header { width, height, depth, colour, interlaced };
                    let keys: &[Option<&[u8]>] = match colour {
                        0 => &[None, Some(&[0, 1])],
                        2 => &[None, Some(&[0, 1, 0, 2, 0, 3])],
                        3 => &[None, Some(&[0, 100])],
                        _ => &[None],
                    };
                    for key in keys {
                        let bytes = made(header, *key);
                        let expected = ::image::load_from_memory(&bytes).unwrap();
                        assert!(decode(&bytes, header).unwrap() == expected, "{header:?} {key:?}");
                        assert_eq!(Header::of(&bytes).unwrap().bits(), header.bits());
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_ends_early_or_was_changed_is_an_error() {
        let mut bytes = Vec::new();
        let picture = ::image::RgbImage::from_fn(700, 3, |x, y| {
            ::image::Rgb([x as u8, y as u8, (x * y) as u8])
        });
        picture.write_to(&mut io::Cursor::new(&mut bytes), ::image::ImageFormat::Png).unwrap();
        let header = Header::of(&bytes).unwrap();
        assert!(!header.is_long());
        assert_eq!(decode(&bytes, header).unwrap(), DynamicImage::ImageRgb8(picture));
        for cut in [40, bytes.len() / 2, bytes.len() - 30] {
            assert!(decode(&bytes[..cut], header).is_err(), "{cut}");
        }
        // Headers that promise more, or another kind, than there is.
        for (depth, colour, interlaced) in
            [(8, 2, false), (8, 6, false), (16, 2, true), (4, 3, true), (16, 4, false)]
        {
            let other = Header { height: header.height + 1, depth, colour, interlaced, ..header };
            assert!(decode(&bytes, other).is_err(), "{other:?}");
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(decode(&bytes, header).is_err());
    }
}
