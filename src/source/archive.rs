//! Tar archives, `WebDataset`'s shards among them, as folders of images.
//!
//! In: an archive. Out: its images, each with the place of its bytes. Promises: nothing is unpacked; the whole archive is never in memory; a path
//! that leaves the archive is a reason and no path; an archive that breaks off gives what stands before that, and the reason.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path};

use tar::EntryType;

use super::passed_over::{PassedOver, is_in_the_systems};
use super::{has_image_extension, name};

/// Where the bytes of an entry stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte, from the archive's beginning.
    pub offset: u64,
    /// Number of bytes.
    pub size: u64,
}

/// The images of an archive by their names in it: where they stand, or why they cannot be had.
pub(super) type Entries = BTreeMap<String, Result<Span, String>>;

/// What an archive holds.
pub(super) struct Listing {
    pub(super) entries: Entries,
    /// What is no image.
    pub(super) others: PassedOver,
    /// Why there may be more than that.
    pub(super) broken: Option<String>,
}

/// What is in `archive`.
///
/// # Errors
/// Where it cannot be opened.
pub(super) fn list(archive: &Path) -> io::Result<Listing> {
    let (mut entries, mut others) = (Entries::new(), PassedOver::default());
    // The reader's own entries borrow it, so what went wrong comes out beside them.
    let mut read = || -> io::Result<()> {
        let mut archive = tar::Archive::new(BufReader::new(File::open(archive)?));
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let bytes = entry.path_bytes();
            let Some(path) = name::path_of_bytes(&bytes) else { continue };
            let kind = entry.header().entry_type();
            if kind.is_dir() || is_hidden(&path) || is_in_the_systems(&path) {
                continue;
            }
            if !has_image_extension(&path) {
                others.count(&path, true);
                continue;
            }
            let place = match kind {
                _ if !stays_inside(&path) => Err("its path leaves the archive".to_owned()),
                EntryType::Regular | EntryType::Continuous => {
                    Ok(Span { offset: entry.raw_file_position(), size: entry.size() })
                }
                EntryType::GNUSparse => Err("a sparse file in an archive: unpack it".to_owned()),
                _ => Err("a link or device in an archive, not a file".to_owned()),
            };
            // Of several entries of one path the last counts, as it does for tar.
            entries.insert(name::of_bytes(bytes.strip_prefix(b"./").unwrap_or(&bytes)), place);
        }
        Ok(())
    };
    match read() {
        Ok(()) => Ok(Listing { entries, others, broken: None }),
        Err(error) if entries.is_empty() && error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(error) => Ok(Listing { entries, others, broken: Some(format!("the archive cannot be read on: {error}")) }),
    }
}

/// As in folders: whatever stands under a name that begins with a dot (macOS puts such doubles into archives).
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b".")))
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The bytes of an entry.
///
/// # Errors
/// Whatever the file system says; an archive that has become shorter.
pub(super) fn read(archive: &Path, span: Span) -> io::Result<Vec<u8>> {
    let mut file = File::open(archive)?;
    file.seek(SeekFrom::Start(span.offset))?;
    let mut bytes = Vec::new();
    file.take(span.size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == span.size { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
