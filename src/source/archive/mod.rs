//! Archives as folders of images.
//!
//! In: an archive. Out: its images, each with the place of its bytes. Promises: nothing is unpacked
//! onto the disk; the whole archive is never in memory; a path that leaves the archive is a reason
//! and no path; an archive that breaks off gives what stands before that, and the reason.

mod tar;
mod zip;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Component, Path};

use super::passed_over::{PassedOver, is_in_the_systems};
use super::{has_image_extension, name};
use crate::files;

/// The bytes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte, from the archive's beginning: of an entry of a zip, that of its header.
    pub offset: u64,
    /// Number of bytes, of what is packed once it is unpacked.
    pub size: u64,
    /// How it stands there; `None` is as it is.
    pub packed: Option<Packed>,
}

impl Span {
    /// Bytes that stand there as they are.
    pub(super) fn plain(offset: u64, size: u64) -> Self {
        Self { offset, size, packed: None }
    }
}

/// How an entry of a zip stands behind its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Number of bytes there.
    pub bytes: u64,
    /// Whether they are deflated; otherwise they are stored.
    pub deflated: bool,
    /// What its bytes add up to once they are unpacked.
    pub crc32: u32,
}

/// The images of an archive by their names in it: their bytes, or the reason why they cannot be
/// read.
pub(super) type Entries = BTreeMap<String, Result<Span, String>>;

/// The contents of an archive.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) entries: Entries,
    /// Files that are no images.
    pub(super) others: PassedOver,
    /// Why there may be more than that.
    pub(super) broken: Option<String>,
}

impl Listing {
    /// Takes up the file that the archive calls `path`, if it is an image.
    fn add(&mut self, bytes: &[u8], place: Result<Span, String>) {
        let Some(path) = name::path_of_bytes(bytes) else { return };
        if is_hidden(&path) || is_in_the_systems(&path) {
            return;
        }
        if !has_image_extension(&path) {
            self.others.count(&path, true);
            return;
        }
        let inside = stays_inside(&path);
        let place = if inside { place } else { Err("its path leaves the archive".to_owned()) };
        // Of several entries of one path the last counts, as it does for tar.
        let name = name::of_bytes(bytes.strip_prefix(b"./").unwrap_or(bytes));
        self.entries.insert(name, place);
    }
}

/// Whether a file of this name is read as an archive.
pub(super) fn is_archive(path: &Path) -> bool {
    has_extension(path, "tar") || has_extension(path, "zip")
}

pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|of_path| of_path.eq_ignore_ascii_case(extension))
}

/// Lists the contents of `archive`: a zip if it is called one, else a tar.
///
/// # Errors
/// If it cannot be opened.
pub(super) fn list(archive: &Path) -> io::Result<Listing> {
    list_in(BufReader::new(files::open(archive)?), has_extension(archive, "zip"))
}

/// Lists the contents of an archive that stands in `file`.
///
/// # Errors
/// If it cannot be read at all.
pub(super) fn list_in(file: impl BufRead + Seek, is_zip: bool) -> io::Result<Listing> {
    if is_zip { zip::list(file) } else { Ok(tar::list(file)) }
}

/// As in folders: whatever stands under a name that begins with a dot (macOS puts such doubles into
/// archives).
fn is_hidden(path: &Path) -> bool {
    let is_hidden =
        |part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b"."));
    path.components().any(is_hidden)
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
