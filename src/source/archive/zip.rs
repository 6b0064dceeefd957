//! Zip archives.
//!
//! In: an archive. Out: its images, from the directory at its end. Promises: no entry is looked at
//! until it is read; what is encrypted, packed in another way than deflate, or would be unpacked to
//! more than it can hold is a reason and no place.

use std::io::{self, BufRead, Seek};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{Listing, Packed, Span};

/// Deflate makes at most so many bytes of one.
const MOST_OF_ONE: u64 = 1032;

/// Lists the contents of an archive.
///
/// # Errors
/// If one of its entries cannot be read.
pub(super) fn list(file: impl BufRead + Seek) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let zip = match ZipArchive::new(file) {
        Ok(zip) => zip,
        Err(error) => {
            listing.broken = Some(format!("the archive cannot be read: {}", in_words(error)));
            return Ok(listing);
        }
    };
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(io::Error::from)?;
        if entry.is_dir() {
            continue;
        }
        let (packed, size) = (entry.compressed_size(), entry.size());
        let deflated = entry.compression() == CompressionMethod::Deflated;
        let place = match entry.compression() {
            _ if entry.encrypted() => Err("is encrypted: unpack it".to_owned()),
            _ if entry.is_symlink() => Err("a link in an archive, not a file".to_owned()),
            CompressionMethod::Stored if packed != size => {
                Err(format!("a damaged archive: {packed} stored bytes are called {size}"))
            }
            CompressionMethod::Deflated if size / MOST_OF_ONE > packed => {
                Err(format!("a damaged archive: {packed} bytes cannot hold {size}"))
            }
            CompressionMethod::Stored | CompressionMethod::Deflated => {
                let packed = Some(Packed { bytes: packed, deflated, crc32: entry.crc32() });
                Ok(Span { offset: entry.header_start(), size, packed })
            }
            other => Err(format!("is packed by {other}, which is not read in place: unpack it")),
        };
        match std::str::from_utf8(entry.name_raw()) {
            Ok(name) => listing.add(name.as_bytes(), place),
            // What is not called UTF-8 and is none is of the code page of MS-DOS.
            Err(_) => match entry.name() {
                Ok(name) => listing.add(name.as_bytes(), place),
                Err(_) => listing.add(entry.name_raw(), place),
            },
        }
    }
    Ok(listing)
}

fn in_words(error: ZipError) -> String {
    match error {
        ZipError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it is cut off".to_owned()
        }
        error => error.to_string(),
    }
}
