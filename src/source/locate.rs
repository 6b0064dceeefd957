//! From an image's name back to its bytes, long after it was listed: for exports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
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

    /// Where the image called `image` is: a file, or inside an archive. A file that is not there is a place too.
    pub(crate) fn place(&self, image: &str) -> Place {
        let path = self.root.join(name::path(image));
        if !path.exists() {
            // The shortest beginning that is a file and not a folder.
            let slashes = image.match_indices('/').map(|(place, _)| place);
            for (archive, inside) in slashes.map(|place| (&image[..place], &image[place + 1..])) {
                let archive = self.root.join(name::path(archive));
                if archive.is_file() {
                    if let Some(Ok(span)) = self.entries(&archive).get(inside) {
                        return Place::Entry { archive: archive.into(), span: *span };
                    }
                    break;
                }
            }
        }
        Place::File(path)
    }

    fn entries(&self, path: &Path) -> Arc<Entries> {
        // Held while an archive is listed, so that it is listed once.
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = archives.get(path) {
            return Arc::clone(entries);
        }
        // What cannot be listed holds nothing; the place that is then given says why when it is read.
        let entries = Arc::new(archive::entries(path).map(|(entries, _)| entries).unwrap_or_default());
        archives.insert(path.to_owned(), Arc::clone(&entries));
        entries
    }
}
