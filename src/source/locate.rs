//! From an image's name back to its bytes, long after it was listed: for exports, and for answers
//! that were made elsewhere.
//!
//! In: the name of an image. Out: its file, or its part of an archive. Promises: a name never leads
//! out of the folder that it is relative to.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::archive::{self, Entries};
use super::{Place, name};

/// Finds the images of a run by their names. An archive is listed once.
pub(crate) struct Locator<'r> {
    root: &'r Path,
    archives: Mutex<HashMap<PathBuf, Arc<Entries>>>,
}

impl<'r> Locator<'r> {
    /// Names are relative to `root`.
    pub(crate) fn new(root: &'r Path) -> Self {
        Self { root, archives: Mutex::default() }
    }

    /// Whether the image called `image` is there: a file or a link of that name, or an archive that
    /// it was in. A name that cannot be looked up (a folder without permission) counts as there.
    pub(crate) fn exists(&self, image: &str) -> bool {
        let gone = |error: &io::Error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        };
        match self.root.join(name::path(image)).symlink_metadata() {
            Err(error) if gone(&error) => {
                archives(image).any(|(archive, _)| self.archive(archive).is_file())
            }
            _ => true,
        }
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.root.join(name::path(name))
    }

    /// The place of the image called `image`: a file, or inside an archive. A missing file has a
    /// place too; `None` if the name leads out of the folder.
    pub(crate) fn place(&self, image: &str) -> Option<Place> {
        let path = name::path(image);
        if leads_out(&path) {
            return None;
        }
        let path = self.root.join(path);
        if !path.exists() {
            // The shortest beginning that is a file and not a folder.
            for (archive, inside) in archives(image) {
                let archive = self.archive(archive);
                if archive.is_file() {
                    if let Some(Ok(span)) = self.entries(&archive).get(inside) {
                        return Some(Place::Entry { archive: archive.into(), span: *span });
                    }
                    break;
                }
            }
        }
        Some(Place::File(path))
    }

    /// Whether the file at `path` lies in the folder once all links are followed. A file that is
    /// not there does not.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let resolved = |path: &Path| path.canonicalize().ok();
        resolved(path).zip(resolved(self.root)).is_some_and(|(path, root)| path.starts_with(root))
    }

    fn entries(&self, path: &Path) -> Arc<Entries> {
        // Held while an archive is listed, so that it is listed once.
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = archives.get(path) {
            return Arc::clone(entries);
        }
        // An archive that cannot be listed counts as empty; reading the place then reports the
        // error.
        let entries =
            Arc::new(archive::list(path).map(|listing| listing.entries).unwrap_or_default());
        archives.insert(path.to_owned(), Arc::clone(&entries));
        entries
    }
}

/// Every archive that the image called `image` may be in, the shortest name first, and its name
/// there.
fn archives(image: &str) -> impl Iterator<Item = (&str, &str)> {
    image.match_indices('/').map(|(place, _)| (&image[..place], &image[place + 1..]))
}

/// Whether a path is not relative to a folder, or leaves it.
pub(crate) fn leads_out(path: &Path) -> bool {
    !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
