//! Reading a TIFF block, which EXIF is written in.
//!
//! In: the block's bytes. Out: entries of its directories. Promises: an offset that leads outside the block is an
//! entry that is not there; nothing is followed from one directory to the next, so that a block that points at
//! itself ends.
//!
//! Source: TIFF 6.0, section 2. Own code: the crates at hand give up a whole block over one broken entry.

/// A block and the order of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Block<'b> {
    bytes: &'b [u8],
    big_endian: bool,
}

impl<'b> Block<'b> {
    /// The block; nothing where the bytes do not begin as one.
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
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) } as usize)
    }

    /// Where the first directory begins.
    pub(crate) fn first_directory(self) -> Option<usize> {
        self.u32(4)
    }

    /// Where the directory begins that an entry of `directory` points at.
    pub(crate) fn directory_of(self, directory: usize, tag: u16) -> Option<usize> {
        self.u32(self.entry(directory, tag)?.checked_add(8)?)
    }

    /// Where a directory's entry of that tag begins.
    pub(crate) fn entry(self, directory: usize, tag: u16) -> Option<usize> {
        let count = usize::from(self.u16(directory)?);
        (0..count).map(|index| directory + 2 + index * 12).find(|&at| self.u16(at) == Some(tag))
    }

    /// The bytes of an entry of text or of anything. `None` where they lie outside, or are numbers.
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
