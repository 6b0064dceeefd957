//! Boxes of ISO media files: HEIC, AVIF.
//!
//! In: the bytes of a file, or of a box. Out: boxes in it, by their kinds, and the items that they
//! list. Promises: no box is followed outside the bytes; a broken one gives nothing.
//!
//! Source: ISO/IEC 14496-12, 4.2 (boxes) and 8.11 (`meta`, `iinf`).

use std::ops::Range;

/// A box.
#[derive(Debug, Clone)]
pub(crate) struct MediaBox {
    /// Its four letters.
    pub(crate) kind: [u8; 4],
    /// Where these letters stand.
    pub(crate) at: usize,
    /// Where its content stands.
    pub(crate) inside: Range<usize>,
}

/// The boxes in a part of `bytes`, one after the other, up to the first that is broken.
pub(crate) fn boxes(bytes: &[u8], within: Range<usize>) -> impl Iterator<Item = MediaBox> + '_ {
    let mut next = within.start;
    std::iter::from_fn(move || {
        let end = within.end.min(bytes.len());
        let kind: [u8; 4] =
            bytes.get(next.checked_add(4)?..next.checked_add(8)?)?.try_into().ok()?;
        let length = match number(bytes, next, 4)? {
            0 => end.checked_sub(next)?,
            1 => return None, // of more than 4 GiB
            length => length,
        };
        let behind = next.checked_add(length).filter(|behind| length >= 8 && *behind <= end)?;
        let found = MediaBox { kind, at: next + 4, inside: next + 8..behind };
        next = behind;
        Some(found)
    })
}

/// The content of the first box of a kind in a part of `bytes`.
pub(crate) fn find(bytes: &[u8], within: Range<usize>, kind: [u8; 4]) -> Option<Range<usize>> {
    boxes(bytes, within).find(|found| found.kind == kind).map(|found| found.inside)
}

/// The content of the `meta` box of a file, without its version.
pub(crate) fn meta(bytes: &[u8]) -> Option<Range<usize>> {
    let meta = find(bytes, 0..bytes.len(), *b"meta")?;
    Some(meta.start.checked_add(4).filter(|start| *start <= meta.end)?..meta.end)
}

/// A number of `size` bytes, the highest first.
pub(crate) fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    bytes
        .iter()
        .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
}

/// An item of a file: a picture, a tile of one, metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: usize,
    /// Its four letters.
    pub(crate) kind: [u8; 4],
    /// Where these stand in the file.
    pub(crate) at: usize,
}

/// The items that the `meta` box lists.
pub(crate) fn items(bytes: &[u8], meta: Range<usize>) -> Vec<Item> {
    let read = || {
        let iinf = find(bytes, meta, *b"iinf")?;
        let head = if *bytes.get(iinf.start)? == 0 { 6 } else { 8 };
        let entries = boxes(bytes, iinf.start.checked_add(head)?..iinf.end);
        let entries = entries.filter(|entry| entry.kind == *b"infe");
        Some(entries.filter_map(|entry| {
            let wide = *bytes.get(entry.inside.start)? >= 3;
            let (of_id, at) = if wide { (4, 10) } else { (2, 8) };
            let at = entry.inside.start + at;
            let kind = bytes.get(at..at + 4).filter(|_| at + 4 <= entry.inside.end)?;
            let id = number(bytes, entry.inside.start + 4, of_id)?;
            Some(Item { id, kind: kind.try_into().ok()?, at })
        }))
    };
    read().into_iter().flatten().collect()
}

/// A box of that kind that holds `parts`.
#[cfg(test)]
#[allow(clippy::unwrap_used)] // for tests
pub(crate) fn made(kind: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let inside = parts.concat();
    let length = u32::try_from(inside.len() + 8).unwrap().to_be_bytes();
    [&length, kind, &inside].concat()
}
