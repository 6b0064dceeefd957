//! How much of a JPEG is in its file.
//!
//! In: the bytes of a JPEG whose end may be missing. Out: the rows of pixels whose blocks are all
//! there, and the first block that is not. Promises: no pixel is decoded; any bytes give an answer,
//! in time that grows with the file; a broken code ends the image as a missing byte does.
//!
//! Source: ITU-T T.81, annexes B (segments), C and F.2 (Huffman codes), G (progressive scans). The
//! available decoders fill in missing rows and do not report the first of them.

use ::image::DynamicImage;

use crate::record::{Note, NoteKind};

/// The part of a JPEG that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Height of the stored image in pixels.
    pub(super) height: u32,
    /// Rows of pixels, from the top, whose blocks are all there.
    pub(super) rows: u32,
    /// In the row of blocks below them, the pixels from the left whose blocks are there.
    pub(super) columns: u32,
    /// Height of that row of blocks in pixels.
    pub(super) row_height: u32,
    /// Whether the image comes in scans, each finer than the one before: rows may be there without
    /// their finest detail.
    pub(super) progressive: bool,
    /// The bytes that decoders can read: without a segment that is not there to its end, which they
    /// stumble over.
    pub(super) bytes: usize,
}

/// The colour that the decoders show for missing pixels: all coefficients are 0, as libjpeg leaves
/// them.
const GREY: u8 = 128;

impl Extent {
    /// The share of the image's rows that is there, 0..1.
    pub(super) fn share(self) -> f64 {
        f64::from(self.rows) / f64::from(self.height)
    }

    /// The note in its record.
    pub(super) fn note(self) -> Note {
        // Rounded down, so that not all is never said to be all.
        let detail = match (self.share() * 100.0).floor() {
            _ if self.rows == self.height && self.progressive => {
                "all of its rows (some may lack fine detail)".to_owned()
            }
            _ if self.rows == self.height => "all of its rows".to_owned(),
            0.0 => "less than 1 % of its rows".to_owned(),
            percent => format!("{percent} % of its rows"),
        };
        Note { detail: Some(detail), ..Note::new(NoteKind::TruncatedImage, 1) }
    }

    /// Paints missing rows grey: decoders fill them with misread bytes.
    pub(super) fn blank_rest(self, decoded: &mut DynamicImage) {
        let width = decoded.width() as usize;
        let (pixels, channels): (&mut [u8], usize) = match decoded {
            DynamicImage::ImageLuma8(image) => (image, 1),
            DynamicImage::ImageRgb8(image) => (image, 3),
            _ => return,
        };
        let rows = pixels.chunks_exact_mut(width * channels).enumerate().skip(self.rows as usize);
        for (y, row) in rows {
            let is_cut = y < (self.rows + self.row_height) as usize;
            let from = if is_cut { self.columns as usize * channels } else { 0 };
            row[from..].fill(GREY);
        }
    }
}

/// A run of zero bytes at the end that is at least this long is space that was never written to,
/// not pixels: a sector.
const UNWRITTEN: usize = 512;

/// How much of `bytes` is there. Nothing for JPEGs that no decoder here reads (arithmetic,
/// lossless, 12 bits), or that end before their first scan.
pub(super) fn extent(bytes: &[u8]) -> Option<Extent> {
    let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let bytes = if bytes.len() - written >= UNWRITTEN { &bytes[..written] } else { bytes };
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut at = 2;
    while let Some((marker, segment, behind)) = segment(bytes, at) {
        at = behind;
        match marker {
            0xC0..=0xC2 => frame = Some(Frame::read(segment, marker == 0xC2)?),
            // The other kinds of frame; C4, C8 and CC are not frames.
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return None,
            0xC4 => tables.read(segment)?,
            0xDD => tables.restart_interval = u32::from(u16_at(segment, 0)?),
            0xDA => at = frame.as_mut()?.scan(&tables, segment, bytes, at)?,
            0xD9 => break,
            _ => {}
        }
    }
    let readable = marker_from(bytes, at).unwrap_or(bytes.len());
    frame.filter(|frame| frame.scans > 0).map(|frame| Extent { bytes: readable, ..frame.extent() })
}

/// Whether markers that no scan holds stand among the bytes of the image: it is there to its end,
/// and damaged before it.
pub(super) fn is_damaged(bytes: &[u8]) -> bool {
    const FIRST_FRAME: std::ops::RangeInclusive<u8> = 0xC0..=0xC2;
    let (mut at, mut scanned) = (2, false);
    loop {
        let Some(next) =
            bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xFF))
        else {
            return false;
        };
        at += next;
        let (Some(&marker), length) = (bytes.get(at + 1), u16_at(bytes, at + 2)) else {
            return false;
        };
        match marker {
            0xFF => at += 1,
            // A byte of 255 among those of the image, and markers without a segment.
            0x00 | 0xD0..=0xD7 => at += 2,
            0xD9 => return false,
            0xC4 | 0xDA..=0xDD | 0xE0..=0xEF | 0xFE => at += 2 + usize::from(length.unwrap_or(0)),
            marker if !scanned && FIRST_FRAME.contains(&marker) => {
                at += 2 + usize::from(length.unwrap_or(0));
            }
            // Segments before the first scan are left to the decoders.
            _ => return scanned,
        }
        scanned |= marker == 0xDA;
    }
}

/// The next marker from `at` on, the contents of its segment, and the segment's end. `None` if the
/// bytes end before that.
fn segment(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let at = marker_from(bytes, at)?;
    let marker = bytes[at + 1];
    if marker == 0xD9 {
        return Some((marker, &[], at + 2));
    }
    let length = usize::from(u16_at(bytes, at + 2)?);
    Some((marker, bytes.get(at + 4..at + 2 + length)?, at + 2 + length))
}

/// The position of the next marker that has a segment, or ends the image.
fn marker_from(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Bytes between segments do not belong there; decoders pass over them.
    while *bytes.get(at)? != 0xFF || matches!(bytes.get(at + 1)?, 0x00 | 0x01 | 0xD0..=0xD8 | 0xFF)
    {
        at += 1;
    }
    Some(at)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[derive(Default)]
struct Tables {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Units between two restart markers; 0 if there are none.
    restart_interval: u32,
}

impl Tables {
    fn read(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&class_and_place, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let place = usize::from(class_and_place & 3);
            let class = if class_and_place >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            class[place] = Some(Huffman::new(counts, symbols));
            segment = rest;
        }
        Some(())
    }
}

/// Codes of one table, by their length (T.81, F.2.2.3).
struct Huffman {
    /// For the codes of each length: the first, their number, and the start of their symbols.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Huffman {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Self {
        let (mut code, mut begin) = (0, 0);
        let lengths = counts.map(|count| {
            let length = (code, u32::from(count), begin);
            code = (code + u32::from(count)) << 1;
            begin += usize::from(count);
            length
        });
        Self { lengths, symbols: symbols.to_vec() }
    }
}

/// One component of the frame.
struct Component {
    id: u8,
    horizontal: u32,
    vertical: u32,
    /// The extent of its first scan: whole rows of the image in pixels, and in the next row of
    /// blocks the pixels from the left. `None` without a scan.
    reached: Option<(u32, u32)>,
}

struct Frame {
    width: u32,
    height: u32,
    progressive: bool,
    components: Vec<Component>,
    scans: usize,
}

impl Frame {
    fn read(segment: &[u8], progressive: bool) -> Option<Self> {
        let &[8, _, _, _, _, count, ref rest @ ..] = segment else { return None };
        let components: Vec<Component> = rest
            .chunks_exact(3)
            .take(usize::from(count))
            .map(|of| Component {
                id: of[0],
                horizontal: u32::from(of[1] >> 4),
                vertical: u32::from(of[1] & 15),
                reached: None,
            })
            .collect();
        let (height, width) = (u32::from(u16_at(segment, 1)?), u32::from(u16_at(segment, 3)?));
        let sound =
            |of: &Component| (1..=4).contains(&of.horizontal) && (1..=4).contains(&of.vertical);
        let sound =
            width > 0 && height > 0 && !components.is_empty() && components.iter().all(sound);
        sound.then_some(Self { width, height, progressive, components, scans: 0 })
    }

    /// The largest sampling factors, horizontal and vertical.
    fn most(&self) -> (u32, u32) {
        let most =
            |factor: fn(&Component) -> u32| self.components.iter().map(factor).max().unwrap_or(1);
        (most(|of| of.horizontal), most(|of| of.vertical))
    }

    /// Walks the scan whose data begin at `at`, if pixels depend on it, and gives the place behind
    /// it.
    fn scan(&mut self, tables: &Tables, header: &[u8], bytes: &[u8], at: usize) -> Option<usize> {
        let (&count, rest) = header.split_first()?;
        let (chosen, rest) = rest.split_at_checked(usize::from(count) * 2)?;
        let &[first, _, approximation, ..] = rest else { return None };
        self.scans += 1;
        // A scan of a progressive image that only makes finer, by its higher frequencies or by one
        // more bit.
        if self.progressive && (first != 0 || approximation >> 4 != 0) {
            return Some(at);
        }
        let mut blocks = Vec::new();
        let mut places = Vec::new();
        for of in chosen.chunks_exact(2) {
            let place = self.components.iter().position(|component| component.id == of[0])?;
            let component = &self.components[place];
            let coder = Coder {
                dc: tables.dc[usize::from(of[1] >> 4 & 3)].as_ref()?,
                ac: if self.progressive {
                    None
                } else {
                    Some(tables.ac[usize::from(of[1] & 3)].as_ref()?)
                },
            };
            // A scan of one component has one block a unit, whatever its sampling.
            let of_unit = if count == 1 { 1 } else { component.horizontal * component.vertical };
            blocks.extend((0..of_unit).map(|_| coder));
            places.push(place);
        }
        let (most_horizontal, most_vertical) = self.most();
        let alone = self.components.get(*places.first()?).filter(|_| count == 1);
        let (horizontal, vertical) =
            alone.map_or((1, 1), |component| (component.horizontal, component.vertical));
        // Pixels of the image that a unit covers.
        let (unit_width, unit_height) =
            (8 * most_horizontal / horizontal, 8 * most_vertical / vertical);
        let across = (self.width * horizontal).div_ceil(8 * most_horizontal);
        let down = (self.height * vertical).div_ceil(8 * most_vertical);
        let mut reader = Reader::new(bytes, at);
        let units = reader.units(&blocks, across * down, tables.restart_interval);
        let reached = (units / across * unit_height, units % across * unit_width);
        for place in places {
            self.components[place].reached.get_or_insert(reached);
        }
        Some(reader.at)
    }

    /// How far the scans came; the bytes are not known here.
    fn extent(&self) -> Extent {
        let reached = self.components.iter().map(|component| component.reached.unwrap_or_default());
        let (rows, columns) = reached.min().unwrap_or_default();
        let row_height = 8 * self.most().1;
        Extent {
            height: self.height,
            rows: rows.min(self.height),
            columns: columns.min(self.width),
            row_height,
            progressive: self.progressive,
            bytes: 0,
        }
    }
}

/// The codes of a component's blocks; without those of its frequencies in a scan that has none.
#[derive(Clone, Copy)]
struct Coder<'t> {
    dc: &'t Huffman,
    ac: Option<&'t Huffman>,
}

/// Reads the bits of a scan.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Bits that are next, the first of them the highest of `count`.
    bits: u64,
    count: u32,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at, bits: 0, count: 0 }
    }

    /// How many of `most` units can be read whole.
    fn units(&mut self, blocks: &[Coder<'_>], most: u32, restart_interval: u32) -> u32 {
        for unit in 0..most {
            if restart_interval > 0
                && unit > 0
                && unit % restart_interval == 0
                && self.restart().is_none()
            {
                return unit;
            }
            if blocks.iter().any(|block| self.block(*block).is_none()) {
                return unit;
            }
        }
        most
    }

    /// Skips one block; `None` if it is incomplete.
    fn block(&mut self, coder: Coder<'_>) -> Option<()> {
        let size = self.symbol(coder.dc)?;
        self.skip(u32::from(size & 15))?;
        let Some(table) = coder.ac else { return Some(()) };
        let mut frequency = 1;
        while frequency < 64 {
            let symbol = self.symbol(table)?;
            let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, size) {
                (15, 0) => frequency += 16,
                (_, 0) => break,
                _ => {
                    self.skip(size)?;
                    frequency += zeros + 1;
                }
            }
        }
        Some(())
    }

    fn symbol(&mut self, table: &Huffman) -> Option<u8> {
        self.fill();
        for (length, &(first, count, begin)) in (1..).zip(&table.lengths) {
            let code = (self.bits >> self.count.checked_sub(length)?) as u32 & ((1 << length) - 1);
            if code >= first && code - first < count {
                self.count -= length;
                return table.symbols.get(begin + (code - first) as usize).copied();
            }
        }
        None
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.fill();
        self.count = self.count.checked_sub(bits)?;
        Some(())
    }

    /// Takes bytes up to the next marker while there is room for them.
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xFF {
                // FF 00 is the byte FF; anything else is a marker, or the file ends here.
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.bits = self.bits << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// Skips the next restart marker, and the bytes before it.
    fn restart(&mut self) -> Option<()> {
        while self.count > 0 || self.bytes.get(self.at)? != &0xFF {
            self.count = 0;
            self.fill();
        }
        while self.bytes.get(self.at + 1)? == &0xFF {
            self.at += 1;
        }
        matches!(self.bytes[self.at + 1], 0xD0..=0xD7).then(|| self.at += 2)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_whole_jpeg_is_all_there() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut walked = 0;
        for folder in ["photos", "shapes", "images"] {
            for entry in std::fs::read_dir(fixtures.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "jpg") {
                    continue;
                }
                let extent = extent(&std::fs::read(&path).unwrap()).unwrap();
                assert_eq!(extent.rows, extent.height, "{}", path.display());
                walked += 1;
            }
        }
        assert!(walked > 20, "only {walked} files");
    }

    #[test]
    fn more_bytes_are_never_fewer_rows() {
        for file in ["cut/no-end.jpg", "cut/progressive-no-end.jpg", "cut/444-restarts.jpg"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images").join(file);
            let bytes = std::fs::read(path).unwrap();
            let rows: Vec<u32> = (0..=bytes.len())
                .map(|end| extent(&bytes[..end]).map_or(0, |extent| extent.rows))
                .collect();
            assert!(rows.is_sorted(), "{file}");
            // One row of blocks after the other: no count is left out.
            assert!(rows.windows(2).all(|pair| pair[1] - pair[0] <= 16), "{file}");
        }
    }

    #[test]
    fn space_that_was_never_written_to_is_not_there() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images/cut/420.jpg");
        let mut bytes = std::fs::read(path).unwrap();
        let cut = extent(&bytes).unwrap();
        bytes.extend([0; UNWRITTEN]);
        assert_eq!(extent(&bytes), Some(cut));
    }

    #[test]
    fn any_bytes_give_an_answer() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images/420.jpg");
        let bytes = std::fs::read(path).unwrap();
        for at in 2..bytes.len() {
            for value in [0x00, 0x01, 0xDA, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let Some(extent) = extent(&changed) {
                    assert!(extent.rows <= extent.height && (0.0..=1.0).contains(&extent.share()));
                }
            }
        }
    }
}
