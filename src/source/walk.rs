//! The images in a folder, at any depth.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;

use walkdir::{DirEntry, FilterEntry, IntoIter, WalkDir};

use super::choice::Excluded;
use super::passed_over::is_of_the_system;
use super::written::Written;
use super::{has_image_extension, is_hidden, video};

/// Entries that a search leaves out.
#[derive(Clone, Copy)]
pub(super) struct Search<'s> {
    /// The run's own directory, which may be inside a folder.
    pub(super) own: Option<&'s Path>,
    pub(super) excluded: &'s Excluded,
    /// How deep folders and archives are searched; 1 is the folder itself.
    pub(super) max_depth: usize,
    /// Whether videos are taken.
    pub(super) videos: bool,
    /// Whether images are taken.
    pub(super) images: bool,
    /// Earlier runs and exports that the search comes by.
    pub(super) written: &'s RefCell<Written>,
}

impl Search<'_> {
    /// Whether the extension of a path is one that is searched for.
    pub(super) fn takes(self, path: &Path) -> bool {
        self.images && has_image_extension(path) || self.takes_video(path)
    }

    /// The same of videos alone.
    pub(super) fn takes_video(self, path: &Path) -> bool {
        self.videos && video::has_video_extension(path)
    }

    /// Whether a path that is not walked is left out, or a folder on the way to it: `relative` is
    /// the part of the path that patterns are of.
    pub(super) fn leaves_out(self, path: &Path, relative: &Path) -> bool {
        let parts = path
            .ancestors()
            .zip(relative.ancestors())
            .take_while(|(_, part)| !part.as_os_str().is_empty());
        parts.into_iter().any(|(path, part)| self.excluded.has(path, part))
    }
}

/// Lists `folder`, links followed, without hidden entries, those of the system, those that the
/// search leaves out and the directories of runs.
pub(super) fn entries<'s>(
    folder: &'s Path,
    search: Search<'s>,
    depth: usize,
) -> FilterEntry<IntoIter, impl FnMut(&DirEntry) -> bool + 's> {
    WalkDir::new(folder).follow_links(true).max_depth(depth).into_iter().filter_entry(
        move |entry| {
            // The folder itself was named by the user and is always searched; runs inside it hold
            // crops, not images.
            let named = entry.depth() == 0;
            let is_wanted = named || is_wanted(folder, entry.path(), search);
            is_wanted
                && (!entry.file_type().is_dir()
                    || search.written.borrow_mut().enter(entry.path(), named))
        },
    )
}

fn is_wanted(folder: &Path, path: &Path, search: Search<'_>) -> bool {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    !is_hidden(path)
        && !is_of_the_system(path)
        && search.own != Some(path)
        && !search.excluded.has(path, relative)
}

/// Something in a folder.
pub(super) enum Found<'p> {
    /// A file that is an image, or a video that is taken, by its extension; whether a link is on the way from the folder to
    /// it.
    Image { path: &'p Path, linked: bool },
    /// Another file.
    Other(&'p Path),
    /// A pipe, a socket or a device, which may never end.
    Special(&'p Path),
    /// A place that cannot be listed, and why.
    Unlisted(&'p Path, String),
}

/// Calls `each` with every file in `folder`, and with every place that cannot be listed.
pub(super) fn each(folder: &Path, search: Search<'_>, mut each: impl FnMut(Found<'_>)) {
    // The depth of the folder that a link led into, while the walk is in it.
    let mut linked_at: Option<usize> = None;
    for entry in entries(folder, search, search.max_depth) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                if let Some(reason) =
                    reason(path, &error).filter(|_| is_wanted(folder, path, search))
                {
                    each(Found::Unlisted(path, reason));
                }
                continue;
            }
        };
        linked_at = linked_at.filter(|depth| entry.depth() > *depth);
        let is_link = entry.depth() > 0 && entry.path_is_symlink();
        if entry.file_type().is_dir() {
            linked_at = linked_at.or_else(|| is_link.then(|| entry.depth()));
        } else if entry.file_type().is_file() {
            let path = entry.path();
            if search.written.borrow_mut().has(path) {
                continue;
            }
            each(if search.takes(path) {
                Found::Image { path, linked: is_link || linked_at.is_some() }
            } else {
                Found::Other(path)
            });
        } else {
            each(Found::Special(entry.path()));
        }
    }
}

/// Why a place cannot be listed; nothing for a dangling link that would have been no image.
fn reason(path: &Path, error: &walkdir::Error) -> Option<String> {
    match error.io_error() {
        Some(io) if io.kind() == ErrorKind::NotFound && path.is_symlink() => {
            let target =
                path.read_link().map(|target| target.display().to_string()).unwrap_or_default();
            has_image_extension(path).then(|| format!("a link to {target}, which is not there"))
        }
        Some(io) if io.kind() == ErrorKind::NotFound && !has_image_extension(path) => None,
        Some(io) => Some(format!("cannot be listed: {io}")),
        None => Some("a link that leads back to a folder above it".to_owned()),
    }
}
