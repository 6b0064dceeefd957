//! The parts of an image file that are no pixels.
//!
//! In: the bytes of a PNG, JPEG, WebP or TIFF file. Out: the bytes of one part. Promises: no pixel
//! is decoded; a part that the file does not hold to its end is not there.
//!
//! Sources: PNG 3rd edition, 5.3; ITU-T T.81, annex B; RFC 9649, 2.3; CIPA DC-008 (Exif 2.32), 4.5
//! and 4.7.

use std::io::{self, BufRead, Seek};

/// The contents of the first chunk of that kind in a PNG.
pub(super) fn png_chunk(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let data = behind.get(..length)?;
        if head[4..] == kind {
            return Some(data);
        }
        rest = behind.get(length.checked_add(4)?..)?;
    }
    None
}

/// The most bytes of a JPEG's segments before its pixels, without those that are skipped: tables,
/// and one EXIF block.
const MAX_JPEG_HEAD_BYTES: usize = 4 << 20;

/// The beginning of a JPEG up to its first scan, without profiles, comments and other programs'
/// data: they are passed over unread.
pub(super) fn jpeg_head(reader: &mut (impl BufRead + Seek)) -> io::Result<Vec<u8>> {
    const START_OF_SCAN: u8 = 0xDA;
    const EXIF: u8 = 0xE1;
    const COMMENT: u8 = 0xFE;
    let mut head = vec![0; 2];
    reader.read_exact(&mut head)?;
    let mut has_exif = false;
    loop {
        let mut marker = [0; 2];
        // Its decoder reports the fault of a head that breaks off.
        if reader.read_exact(&mut marker).is_err() || marker[0] != 0xFF {
            return Ok(head);
        }
        while marker[1] == 0xFF {
            reader.read_exact(&mut marker[1..])?; // a fill byte
        }
        head.extend(marker);
        if matches!(marker[1], 0x01 | 0xD0..=0xD9) {
            continue; // markers without a length
        }
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        let behind = usize::from(u16::from_be_bytes(length)).saturating_sub(2);
        // Not 0xE0 and 0xEE, which say how colours are stored.
        let other =
            matches!(marker[1], 0xE2..=0xED | 0xEF | COMMENT) || marker[1] == EXIF && has_exif;
        if other {
            head.truncate(head.len() - 2);
            reader.seek_relative(behind as i64)?;
            continue;
        }
        head.extend(length);
        let start = head.len();
        head.resize(start + behind, 0);
        reader.read_exact(&mut head[start..])?;
        has_exif |= marker[1] == EXIF && head[start..].starts_with(b"Exif\0\0");
        if marker[1] == EXIF && !has_exif {
            head.truncate(start - 4);
        }
        if marker[1] == START_OF_SCAN {
            return Ok(head);
        }
        if head.len() > MAX_JPEG_HEAD_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the JPEG has too many tables before its pixels",
            ));
        }
    }
}

/// The EXIF block of a file, which is a TIFF file of its own.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let block = match bytes {
        [0xFF, 0xD8, ..] => return jpeg_exif(bytes),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => return Some(bytes),
        [b'R', b'I', b'F', b'F', ..] => webp_exif(bytes)?,
        _ => png_chunk(bytes, *b"eXIf")?,
    };
    // Some writers keep the name that the block has in a JPEG.
    Some(block.strip_prefix(b"Exif\0\0").unwrap_or(block))
}

fn jpeg_exif(bytes: &[u8]) -> Option<&[u8]> {
    const APP1: u8 = 0xE1;
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 2;
    while let &[0xFF, marker, high, low] = bytes.get(at..)?.first_chunk()? {
        if marker == START_OF_SCAN {
            return None;
        }
        if marker == 0xFF {
            at += 1; // a fill byte
            continue;
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == APP1
            && let Some(block) =
                bytes.get(at + 4..end).and_then(|data| data.strip_prefix(b"Exif\0\0"))
        {
            return Some(block);
        }
        at = end;
    }
    None
}

fn webp_exif(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(12..).filter(|_| bytes[8..12] == *b"WEBP")?;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let data = behind.get(..length)?;
        if head[..4] == *b"EXIF" {
            return Some(data);
        }
        // Chunks begin at even places.
        rest = behind.get(length.checked_add(length % 2)?..)?;
    }
    None
}
