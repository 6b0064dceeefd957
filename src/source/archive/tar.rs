//! Tar archives, `WebDataset`'s shards among them.
//!
//! In: an archive. Out: its images, each with the place of its bytes. Promises: an archive that has
//! a header that is longer than any name gives what stands before that, and the reason.

use std::io::{self, BufRead, Seek, SeekFrom};

use tar::{EntryType, Header};

use super::{Listing, Span};

/// The most bytes of a header that names an entry, or tells more of it: no file system has longer
/// paths.
const LONGEST_HEADER: u64 = 1 << 20;
/// The most bytes of all names, and what goes with them.
const MOST_NAMES: usize = 2 << 30;
/// Archives are made of blocks.
const BLOCK: u64 = 512;

/// Lists the contents of an archive.
pub(super) fn list(file: impl BufRead + Seek) -> Listing {
    let mut listing = Listing::default();
    let mut headers = Headers { file, at: 0 };
    let mut names = 0;
    loop {
        if names > MOST_NAMES {
            listing.broken = Some(format!("its names have more than {} MB", MOST_NAMES >> 20));
            return listing;
        }
        let entry = match headers.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return listing,
            Err(error) => {
                listing.broken = Some(format!("the archive cannot be read on: {error}"));
                return listing;
            }
        };
        let Entry { path, kind, span } = entry;
        names += path.len() + size_of::<Entry>();
        let place = match kind {
            kind if kind.is_dir() => continue,
            EntryType::Regular | EntryType::Continuous => Ok(span),
            EntryType::GNUSparse => Err("a sparse file in an archive: unpack it".to_owned()),
            _ => Err("a link or device in an archive, not a file".to_owned()),
        };
        listing.add(&path, place);
    }
}

/// One file of an archive.
struct Entry {
    path: Vec<u8>,
    kind: EntryType,
    span: Span,
}

/// The headers of an archive, one after the other. The crate's own reader takes names of any length
/// into memory.
struct Headers<R> {
    file: R,
    /// The position of the next header.
    at: u64,
}

impl<R: BufRead + Seek> Headers<R> {
    /// The next file; nothing at the end.
    fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let (mut long_name, mut pax_path, mut pax_size) = (None, None, None);
        loop {
            // An archive ends with its file, or with an empty block.
            let header =
                self.block()?.filter(|header| header.as_bytes().iter().any(|&byte| byte != 0));
            let Some(header) = header else { return Ok(None) };
            check_sum(&header)?;
            let kind = header.entry_type();
            if kind == EntryType::GNUSparse {
                self.skip_sparse_map(&header)?;
            }
            let is_file = !(kind.is_gnu_longname()
                || kind.is_gnu_longlink()
                || kind.is_pax_local_extensions()
                || kind.is_pax_global_extensions());
            let size = match pax_size {
                Some(size) if is_file => size,
                _ => header.entry_size()?,
            };
            let span = Span::plain(self.at, size);
            let end =
                size.checked_next_multiple_of(BLOCK).and_then(|length| self.at.checked_add(length));
            self.at = end.ok_or_else(|| invalid("an entry of more bytes than there can be"))?;
            if is_file {
                let path =
                    pax_path.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
                return Ok(Some(Entry { path, kind, span }));
            }
            if kind.is_gnu_longname() {
                let mut name = self.read(span)?;
                name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
                long_name = Some(name);
            } else if kind.is_pax_local_extensions() {
                let values = self.read(span)?;
                for value in tar::PaxExtensions::new(&values) {
                    let value = value?;
                    match value.key_bytes() {
                        b"path" => pax_path = Some(value.value_bytes().to_vec()),
                        b"size" => pax_size = value.value().ok().and_then(|size| size.parse().ok()),
                        _ => {}
                    }
                }
            }
        }
    }

    /// The header at `self.at`, which then moves behind it; `None` at the end of the file.
    fn block(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        self.file.seek(SeekFrom::Start(self.at))?;
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.file.read_exact(header.as_mut_bytes())?;
        self.at += BLOCK;
        Ok(Some(header))
    }

    /// A sparse file's map goes on in blocks of its own, behind the header.
    fn skip_sparse_map(&mut self, header: &Header) -> io::Result<()> {
        const IS_EXTENDED: usize = 504;
        let mut goes_on = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while goes_on {
            let block = self.block()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            goes_on = block.as_bytes()[IS_EXTENDED] == 1;
        }
        Ok(())
    }

    fn read(&mut self, span: Span) -> io::Result<Vec<u8>> {
        if span.size > LONGEST_HEADER {
            return Err(invalid(&format!("a name or header of {} bytes", span.size)));
        }
        self.file.seek(SeekFrom::Start(span.offset))?;
        let mut bytes = vec![0; span.size as usize];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A header's bytes are added up, with spaces in the place of the sum.
fn check_sum(header: &Header) -> io::Result<()> {
    const SUM: std::ops::Range<usize> = 148..156;
    let bytes = header.as_bytes().iter().enumerate();
    let sum: u32 =
        bytes.map(|(at, &byte)| if SUM.contains(&at) { 32 } else { u32::from(byte) }).sum();
    if header.cksum()? == sum { Ok(()) } else { Err(invalid("a header has a wrong checksum")) }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
