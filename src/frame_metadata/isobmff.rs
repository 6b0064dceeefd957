//! The EXIF block of an AVIF or HEIF file.
//!
//! In: the bytes of a file. Out: the block, a TIFF file. Promises: no box is followed outside the
//! file; a broken one gives nothing.
//!
//! Source: ISO/IEC 14496-12, 8.11 (`meta`, `iinf`, `iloc`); ISO/IEC 23008-12, A.2.1 (EXIF).

use crate::image::boxes::{find, items, meta, number};

/// The block, if the file has one.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    let meta = meta(bytes)?;
    let item = items(bytes, meta.clone()).into_iter().find(|item| item.kind == *b"Exif")?.id;
    let place = location(bytes.get(find(bytes, meta, *b"iloc")?)?, item)?;
    let data = bytes.get(place.0..place.0.checked_add(place.1)?)?;
    // Before the block stands how far away it is.
    let skipped = u32::from_be_bytes(*data.first_chunk()?) as usize;
    let block = data.get(4..)?.get(skipped..)?;
    Some(block.strip_prefix(b"Exif\0\0").unwrap_or(block))
}

/// Where an item of one piece lies in the file, and how long it is.
fn location(iloc: &[u8], item: usize) -> Option<(usize, usize)> {
    let version = *iloc.first()?;
    let sizes = number(iloc, 4, 2)?;
    let (of_offset, of_length, of_base) = (sizes >> 12 & 15, sizes >> 8 & 15, sizes >> 4 & 15);
    let of_index = if version == 0 { 0 } else { sizes & 15 };
    let of_id = if version < 2 { 2 } else { 4 };
    let count = number(iloc, 6, of_id)?;
    let mut at = 6 + of_id;
    for _ in 0..count {
        let id = number(iloc, at, of_id)?;
        at += of_id + if version == 0 { 2 } else { 4 };
        let base = number(iloc, at, of_base)?;
        let extents = number(iloc, at + of_base, 2)?;
        at += of_base + 2;
        let offset = number(iloc, at + of_index, of_offset)?;
        let length = number(iloc, at + of_index + of_offset, of_length)?;
        if id == item {
            return Some((base.checked_add(offset)?, length));
        }
        at += extents * (of_index + of_offset + of_length);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::boxes::made;

    /// A file with one item, which is EXIF.
    fn file() -> Vec<u8> {
        let iinf = |offset: u8| {
            let other = made(b"infe", &[b"\x02\0\0\0\0\x01\0\0av01\0"]);
            let exif = made(b"infe", &[b"\x02\0\0\0\0\x02\0\0Exif\0"]);
            let iinf = made(b"iinf", &[b"\0\0\0\0\0\x02", &other, &exif]);
            let place = [0, 2, 0, 0, 0, 1, 0, 0, 0, offset, 0, 0, 0, 14];
            let iloc = made(b"iloc", &[b"\0\0\0\0\x44\0\0\x01", &place]);
            let meta = made(b"meta", &[b"\0\0\0\0", &iinf, &iloc]);
            [made(b"ftyp", &[b"avif\0\0\0\0"]), meta].concat()
        };
        let offset = u8::try_from(iinf(0).len() + 8).unwrap();
        [iinf(offset), made(b"mdat", &[b"\0\0\0\0II*\0\x08\0\0\0\0\0"])].concat()
    }

    #[test]
    fn the_block_is_found_and_nothing_broken_hangs() {
        let file = file();
        assert_eq!(exif(&file), Some(&b"II*\0\x08\0\0\0\0\0"[..]));
        for at in 0..file.len() {
            exif(&file[..at]);
            for byte in [0, 1, 7, 255] {
                let mut changed = file.clone();
                changed[at] = byte;
                exif(&changed);
            }
        }
    }
}
