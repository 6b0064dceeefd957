//! The images in a folder, at any depth.

use std::io::ErrorKind;
use std::path::Path;

use walkdir::{FilterEntry, IntoIter, WalkDir};

use super::{has_image_extension, is_hidden};

/// What is in `folder`, links followed, without hidden entries, `exclude` and the directories of runs.
pub(super) fn entries(
    folder: &Path,
    exclude: Option<&Path>,
    depth: usize,
) -> FilterEntry<IntoIter, impl FnMut(&walkdir::DirEntry) -> bool> {
    WalkDir::new(folder).follow_links(true).max_depth(depth).into_iter().filter_entry(move |entry| {
        // The folder itself was named by the user and is always searched; runs inside it hold crops, not images.
        entry.depth() == 0
            || !is_hidden(entry.path()) && exclude != Some(entry.path()) && !entry.path().join("run.json").is_file()
    })
}

/// Calls `each` with every image in `folder`, and with every place that cannot be listed and why.
pub(super) fn images(folder: &Path, exclude: Option<&Path>, mut each: impl FnMut(&Path, Result<(), String>)) {
    for entry in entries(folder, exclude, usize::MAX) {
        match entry {
            Ok(entry) if entry.file_type().is_file() && has_image_extension(entry.path()) => each(entry.path(), Ok(())),
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                // A dangling link counts only where it would have been an image.
                let dangling = error.io_error().is_some_and(|io| io.kind() == ErrorKind::NotFound);
                if is_hidden(path) || dangling && !has_image_extension(path) {
                    continue;
                }
                let reason = match error.io_error() {
                    Some(io) => format!("cannot be listed: {io}"),
                    None => "a link that leads back to a folder above it".to_owned(),
                };
                each(path, Err(reason));
            }
        }
    }
}
