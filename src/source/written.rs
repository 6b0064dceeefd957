//! Images that gemscope wrote itself: crops, copies for data sets, thumbnails.
//!
//! In: the folders of a search. Out: for a file in them, whether it is the work of an earlier run
//! or export. Promises: a folder counts as a run by the content of its `run.json`, since other
//! tools write files of that name; in other folders the list of written files decides, by name and
//! size, so the user's images beside them are found.

use std::path::{Path, PathBuf};

use super::has_image_extension;
use crate::ownership::{self, FileList};

/// The lists that a search has come by.
#[derive(Default)]
pub(super) struct Written {
    lists: Vec<(PathBuf, FileList)>,
    /// Images that were passed over.
    pub(super) images: usize,
}

impl Written {
    /// Looks at a folder before its files, and says whether it is searched: not if it is a run,
    /// unless the user `named` it.
    pub(super) fn enter(&mut self, folder: &Path, named: bool) -> bool {
        if self.lists.iter().any(|(known, _)| known == folder) {
            return true;
        }
        let list = FileList::read(folder).unwrap_or_default();
        if !named && ownership::is_run(folder).unwrap_or(false) {
            self.images += list.names().filter(|name| has_image_extension(Path::new(name))).count();
            return false;
        }
        if list.names().next().is_some() {
            self.lists.push((folder.to_owned(), list));
        }
        true
    }

    /// Whether gemscope wrote the file at `path`. Images are counted.
    pub(super) fn has(&mut self, path: &Path) -> bool {
        let is_listed = |(folder, list): &(PathBuf, FileList)| {
            let name = path.strip_prefix(folder).ok().and_then(Path::to_str);
            name.is_some_and(|name| list.looks_own(folder, &name.replace('\\', "/")))
        };
        let written = self.lists.iter().any(is_listed);
        self.images += usize::from(written && has_image_extension(path));
        written
    }
}
