//! The bytes of an image, read from their place.
//!
//! In: a file, or a part of an archive. Out: its bytes, the first ones before the others are read.
//! Promises: only regular files are opened; nothing beyond the part is read; of a file that grows
//! without end no more than is asked for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::Span;
use crate::files;

/// An image's bytes, to be read and sought like a file of their own.
#[derive(Debug)]
pub struct Content {
    file: BufReader<File>,
    span: Span,
    /// The next byte, from the beginning of the span.
    at: u64,
}

impl Content {
    /// The whole of a file.
    ///
    /// # Errors
    /// As [`files::open`].
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        let file = files::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file: BufReader::new(file), span: Span { offset: 0, size }, at: 0 })
    }

    /// A part of an archive.
    ///
    /// # Errors
    /// As [`files::open`]; an archive that has become shorter.
    pub(super) fn of_span(archive: &Path, span: Span) -> io::Result<Self> {
        let mut file = files::open(archive)?;
        let end = span.offset.checked_add(span.size);
        if end.is_none_or(|end| file.metadata().is_ok_and(|metadata| metadata.len() < end)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(span.offset))?;
        Ok(Self { file: BufReader::new(file), span, at: 0 })
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.span.size
    }

    /// All bytes, from the first on.
    ///
    /// # Errors
    /// Whatever the file system says; a file that has become shorter.
    pub fn read_all(mut self) -> io::Result<Vec<u8>> {
        self.rewind()?;
        let size = self.size();
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.read_to_end(&mut bytes)?;
        if bytes.len() as u64 == size {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl BufRead for Content {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.span.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(&[]);
        }
        let buffer = self.file.fill_buf()?;
        Ok(&buffer[..buffer.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        self.file.consume(amount);
        self.at += amount as u64;
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.span.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read(&mut buffer[..wanted])?;
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
        // Short moves keep the buffer.
        let here = self.span.offset + self.at;
        match i64::try_from(i128::from(absolute) - i128::from(here)) {
            Ok(way) => self.file.seek_relative(way)?,
            Err(_) => {
                self.file.seek(SeekFrom::Start(absolute))?;
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
        let mut content = Content::of_span(&path, Span { offset: 1000, size: 40_000 }).unwrap();
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
        assert!(Content::of_span(&path, Span { offset: 59_000, size: 1001 }).is_err());
    }
}
