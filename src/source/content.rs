//! The bytes of an image, read from their place.
//!
//! In: a file, a part of an archive, or bytes that were made. Out: its bytes, the first ones before the others are read.
//! Promises: only regular files are opened; nothing beyond the part is read; of a file that grows
//! without end no more than is asked for; what is packed is unpacked as far as it is read, block by
//! block, to no more bytes than the archive says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::Span;
use super::archive::Packed;
use crate::files;

/// An image's bytes, to be read and sought like a file of their own.
#[derive(Debug)]
pub struct Content {
    bytes: Bytes,
    span: Span,
    /// The next byte, from the beginning of the span.
    at: u64,
}

#[derive(Debug)]
enum Bytes {
    /// As they stand in the file, from the offset of the span.
    Plain(BufReader<File>),
    /// Deflated.
    Deflated(Box<Inflated>),
    /// Made, and held in memory.
    Held(Vec<u8>),
}

impl Content {
    /// The whole of a file.
    ///
    /// # Errors
    /// As [`files::open`].
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        let file = files::open(path)?;
        let span = Span::plain(0, file.metadata()?.len());
        Ok(Self { bytes: Bytes::Plain(BufReader::new(file)), span, at: 0 })
    }

    /// A part of an archive.
    ///
    /// # Errors
    /// As [`files::open`]; an archive that has become shorter, or is another one.
    pub(super) fn of_span(archive: &Path, mut span: Span) -> io::Result<Self> {
        let mut file = files::open(archive)?;
        let mut length = span.size;
        if let Some(packed) = span.packed {
            (span.offset, length) = (behind_header(&mut file, span.offset)?, packed.bytes);
        }
        let end = span.offset.checked_add(length);
        if end.is_none_or(|end| file.metadata().is_ok_and(|metadata| metadata.len() < end)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(span.offset))?;
        let bytes = match span.packed {
            Some(Packed { deflated: true, .. }) => {
                Bytes::Deflated(Box::new(Inflated::new(file, span.offset, length)))
            }
            _ => Bytes::Plain(BufReader::new(file)),
        };
        Ok(Self { bytes, span, at: 0 })
    }

    /// Bytes that are in memory.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        let span = Span::plain(0, bytes.len() as u64);
        Self { bytes: Bytes::Held(bytes), span, at: 0 }
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.span.size
    }

    /// All bytes, from the first on.
    ///
    /// # Errors
    /// Whatever the file system says; a file that has become shorter; bytes that do not add up to
    /// what the archive says.
    pub fn read_all(mut self) -> io::Result<Vec<u8>> {
        /// What is packed may be called larger than it is.
        const MOST_AT_ONCE: u64 = 64 << 20;
        if let Bytes::Held(bytes) = self.bytes {
            return Ok(bytes);
        }
        self.rewind()?;
        let size = self.size();
        let room = if self.span.packed.is_some() { size.min(MOST_AT_ONCE) } else { size };
        let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        self.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(packed) = self.span.packed {
            let mut crc = Crc::new();
            crc.update(&bytes);
            if crc.sum() != packed.crc32 {
                return Err(invalid("damaged in its archive: its checksum is wrong"));
            }
        }
        Ok(bytes)
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The first byte behind the header of a zip's entry that stands at `at`: a name and more, of
/// lengths that only the header says.
pub(super) fn behind_header(file: &mut (impl Read + Seek), at: u64) -> io::Result<u64> {
    let mut header = [0; 30];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut header)?;
    let [.., n0, n1, m0, m1] = header;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(invalid("damaged in its archive: it has no header"));
    }
    let behind = [[n0, n1], [m0, m1]].map(|length| u64::from(u16::from_le_bytes(length)));
    let [name, more] = behind;
    at.checked_add(30 + name + more).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The `size` bytes of an entry of a zip, whose bytes there are `raw`.
///
/// # Errors
/// Bytes that do not add up to what the archive says.
pub(super) fn unpacked(raw: &[u8], packed: Packed, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut from: Box<dyn Read> =
        if packed.deflated { Box::new(DeflateDecoder::new(raw)) } else { Box::new(raw) };
    from.by_ref().take(size.saturating_add(1)).read_to_end(&mut bytes)?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    if bytes.len() as u64 != size || crc.sum() != packed.crc32 {
        return Err(invalid("damaged in its archive: its checksum is wrong"));
    }
    Ok(bytes)
}

/// Deflated bytes, of which one block at a time is unpacked. Steps back beyond it begin from the
/// first byte again: headers of images are read forwards, but for TIFF, whose parts stand near each
/// other.
#[derive(Debug)]
struct Inflated {
    from: DeflateDecoder<io::Take<File>>,
    /// Where the packed bytes stand in the file.
    offset: u64,
    /// How many these are.
    packed: u64,
    block: Vec<u8>,
    /// The first unpacked byte in `block`.
    start: u64,
}

impl Inflated {
    const BLOCK: u64 = 256 << 10;

    fn new(file: File, offset: u64, packed: u64) -> Self {
        let from = DeflateDecoder::new(file.take(packed));
        Self { from, offset, packed, block: Vec::new(), start: 0 }
    }

    /// The unpacked bytes from `at` on, as far as they are in one block; none behind the last.
    fn from(&mut self, at: u64) -> io::Result<&[u8]> {
        if at < self.start {
            let mut file = self.from.get_mut().get_ref().try_clone()?;
            file.seek(SeekFrom::Start(self.offset))?;
            *self = Self::new(file, self.offset, self.packed);
        }
        while at >= self.start + self.block.len() as u64 {
            self.start += self.block.len() as u64;
            self.block.clear();
            if self.from.by_ref().take(Self::BLOCK).read_to_end(&mut self.block)? == 0 {
                return Ok(&[]);
            }
        }
        Ok(&self.block[(at - self.start) as usize..])
    }
}

impl BufRead for Content {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.span.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(&[]);
        }
        let buffer = match &mut self.bytes {
            Bytes::Plain(file) => file.fill_buf()?,
            Bytes::Deflated(inflated) => inflated.from(self.at)?,
            Bytes::Held(bytes) => bytes.get(self.at as usize..).unwrap_or_default(),
        };
        Ok(&buffer[..buffer.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        if let Bytes::Plain(file) = &mut self.bytes {
            file.consume(amount);
        }
        self.at += amount as u64;
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.span.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = match &mut self.bytes {
            Bytes::Plain(file) => file.read(&mut buffer[..wanted])?,
            Bytes::Deflated(inflated) => {
                let there = inflated.from(self.at)?;
                let read = there.len().min(wanted);
                buffer[..read].copy_from_slice(&there[..read]);
                read
            }
            Bytes::Held(bytes) => {
                bytes.get(self.at as usize..).unwrap_or_default().read(&mut buffer[..wanted])?
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Content {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.at, by),
            SeekFrom::End(by) => (self.span.size, by),
        };
        let at = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        let absolute = self.span.offset.checked_add(at).ok_or(io::ErrorKind::InvalidInput)?;
        if let Bytes::Plain(file) = &mut self.bytes {
            // Short moves keep the buffer.
            let here = self.span.offset + self.at;
            match i64::try_from(i128::from(absolute) - i128::from(here)) {
                Ok(way) => file.seek_relative(way)?,
                Err(_) => {
                    file.seek(SeekFrom::Start(absolute))?;
                }
            }
        }
        self.at = at;
        Ok(at)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_like_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive");
        let bytes: Vec<u8> = (0..60_000_u32).map(|index| (index % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let part = &bytes[1000..41_000];
        let mut content = Content::of_span(&path, Span::plain(1000, 40_000)).unwrap();
        for (to, at) in [
            (SeekFrom::Start(30_000), 30_000),
            (SeekFrom::Current(-30_010), 10),
            (SeekFrom::End(-5), 39_995),
            (SeekFrom::Start(50_000), 50_000),
            (SeekFrom::Start(3), 3),
        ] {
            assert_eq!(content.seek(to).unwrap(), at as u64);
            let mut read = [0; 20];
            let count = content.read(&mut read).unwrap();
            assert_eq!(&read[..count], &part[at.min(part.len())..(at + count).min(part.len())]);
            assert_eq!(content.stream_position().unwrap(), (at + count) as u64);
        }
        assert!(content.seek(SeekFrom::Current(-1_000_000)).is_err());
        assert_eq!(content.read_all().unwrap(), part);
        assert_eq!(Content::of_file(&path).unwrap().read_all().unwrap(), bytes);
        assert!(Content::of_span(&path, Span::plain(59_000, 1001)).is_err());
    }
}
