//! A reader of TIFF blocks: TIFF files, and EXIF.
//!
//! In: the block's bytes. Out: entries of its directories. Promises: an offset that leads outside
//! the block is an entry that is not there; nothing is followed from one directory to the next, so
//! that a block that points at itself ends.
//!
//! Source: TIFF 6.0, section 2. Own code: the crates at hand give up a whole block over one broken
//! entry.

/// A block and the order of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Block<'b> {
    bytes: &'b [u8],
    big_endian: bool,
}

impl<'b> Block<'b> {
    /// The block; `None` if the bytes do not begin as one.
    pub(crate) fn new(bytes: &'b [u8]) -> Option<Self> {
        let big_endian = match bytes.first_chunk()? {
            b"II*\0" => false,
            b"MM\0*" => true,
            _ => return None,
        };
        Some(Self { bytes, big_endian })
    }

    /// Whether its numbers begin with their highest byte.
    pub(crate) fn is_big_endian(self) -> bool {
        self.big_endian
    }

    fn u16(self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(self, at: usize) -> Option<usize> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            as usize)
    }

    /// The start of the first directory.
    pub(crate) fn first_directory(self) -> Option<usize> {
        self.u32(4)
    }

    /// The start of the directory that an entry of `directory` points at.
    pub(crate) fn directory_of(self, directory: usize, tag: u16) -> Option<usize> {
        self.u32(self.entry(directory, tag)?.checked_add(8)?)
    }

    /// The start of a directory's entry of that tag.
    pub(crate) fn entry(self, directory: usize, tag: u16) -> Option<usize> {
        let count = usize::from(self.u16(directory)?);
        (0..count).map(|index| directory + 2 + index * 12).find(|&at| self.u16(at) == Some(tag))
    }

    /// The number in a directory's entry of that tag; `None` if there is none, or not exactly one.
    pub(super) fn number(self, directory: usize, tag: u16) -> Option<u32> {
        const BYTE: u16 = 1;
        const SHORT: u16 = 3;
        const LONG: u16 = 4;
        let entry = self.entry(directory, tag)?;
        if self.u32(entry + 4)? != 1 {
            return None;
        }
        match self.u16(entry + 2)? {
            BYTE => self.bytes.get(entry + 8).map(|&byte| byte.into()),
            SHORT => self.u16(entry + 8).map(u32::from),
            LONG => self.u32(entry + 8).map(|number| number as u32),
            _ => None,
        }
    }

    /// The bytes of an entry of text or of anything. `None` if they lie outside, or are numbers.
    pub(crate) fn bytes_of(self, entry: usize) -> Option<&'b [u8]> {
        const BYTE: u16 = 1;
        const ASCII: u16 = 2;
        const UNDEFINED: u16 = 7;
        if !matches!(self.u16(entry + 2)?, BYTE | ASCII | UNDEFINED) {
            return None;
        }
        let length = self.u32(entry + 4)?;
        let start = if length <= 4 { entry + 8 } else { self.u32(entry + 8)? };
        self.bytes.get(start..start.checked_add(length)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A block in little-endian order of one directory: tag, type, count, value or offset.
    pub(crate) fn block(entries: &[(u16, u16, u32, u32)]) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
            bytes.extend(count.to_le_bytes().into_iter().chain(value.to_le_bytes()));
        }
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn a_number_is_one_of_its_types_and_alone() {
        let bytes = block(&[
            (1, 1, 1, 200),
            (2, 3, 1, 4000),
            (3, 4, 1, 70_000),
            (4, 3, 3, 26),
            (5, 2, 1, 65),
        ]);
        let block = Block::new(&bytes).unwrap();
        let page = block.first_directory().unwrap();
        let numbers = [1, 2, 3, 4, 5, 6].map(|tag| block.number(page, tag));
        assert_eq!(numbers, [Some(200), Some(4000), Some(70_000), None, None, None]);
    }
}
