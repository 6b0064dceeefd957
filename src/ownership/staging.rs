//! Files that are being made, out of sight.
//!
//! In: names relative to a directory, and bytes or the files to link. Out: the same files in a
//! hidden folder of that directory, and the list entry of each. Promises: until
//! [`super::OutputDirectory::place`] puts them in place, nothing that a reader sees has changed;
//! from several threads at once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::list::Content;

/// Files on their way into a directory. Dropped without being placed, they are gone.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The directory that they are for.
    out: PathBuf,
    /// The folder that they are made in.
    folder: PathBuf,
    made: Mutex<Made>,
}

/// The files that were made, by name.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) files: BTreeMap<String, Content>,
    pub(super) folders: BTreeSet<String>,
    /// Files of an earlier set, which stay.
    pub(super) kept: BTreeSet<String>,
    /// Hashes of the images that symbolic links lead to.
    pub(super) linked: BTreeSet<String>,
}

impl Made {
    /// The hashes of what was made, and of what symbolic links lead to.
    pub(super) fn contents(&self) -> HashSet<&str> {
        let made = self.files.values().filter_map(Content::sha256);
        made.chain(self.linked.iter().map(String::as_str)).collect()
    }
}

impl Staging {
    pub(super) fn new(out: PathBuf, folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { out, folder, made: Mutex::default() })
    }

    /// The path that `name` will have.
    pub(crate) fn place_of(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The path that `name` has until then.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file with these bytes.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::AlreadyExists`] if one was made under that
    /// name.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.make(name, Content::file(bytes), |path| File::create_new(path)?.write_all(bytes))
    }

    /// A copy of the user's image at `original`, as these bytes. It stays if it may be the last
    /// one.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn copy(&self, name: &str, bytes: &[u8], original: &Path) -> io::Result<()> {
        self.make(name, Content::copy(bytes, original), |path| {
            File::create_new(path)?.write_all(bytes)
        })
    }

    /// A second name of `file`, whose bytes have that hash.
    ///
    /// # Errors
    /// Whatever the file system says: many know no such links, and none links to another disk.
    pub(crate) fn hard_link(&self, name: &str, file: &Path, sha256: String) -> io::Result<()> {
        let hard_link = file.to_string_lossy().into_owned();
        let size = file.metadata()?.len();
        self.make(name, Content::HardLink { size, sha256, hard_link }, |path| {
            std::fs::hard_link(file, path)
        })
    }

    /// A symbolic link to `target`, whose bytes have that hash.
    ///
    /// # Errors
    /// Whatever the file system says; on Windows few may make them.
    pub(crate) fn symbolic_link(
        &self,
        name: &str,
        target: &Path,
        sha256: Option<&str>,
    ) -> io::Result<()> {
        let link = target.to_string_lossy().into_owned();
        self.make(name, Content::Link { link }, |path| symbolic_link(target, path))?;
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .linked
            .extend(sha256.map(str::to_owned));
        Ok(())
    }

    /// A folder, which is there also if no file is put into it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn folder(&self, name: &str) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.folders.contains(name) {
            std::fs::create_dir_all(self.folder.join(name))?;
            made.folders.extend(ancestors(name).map(str::to_owned));
            made.folders.insert(name.to_owned());
        }
        Ok(())
    }

    /// Keeps the file of an earlier set under that name.
    pub(crate) fn keep(&self, name: String) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).kept.insert(name);
    }

    /// Takes a file back.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn discard(&self, name: &str) -> io::Result<()> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).files.remove(name);
        std::fs::remove_file(self.folder.join(name))
    }

    fn make(
        &self,
        name: &str,
        content: Content,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder)?;
        }
        write(&self.folder.join(name))?;
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .files
            .insert(name.to_owned(), content);
        Ok(())
    }

    /// Takes the files that were made; the staging forgets them.
    pub(super) fn take(&self) -> Made {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A folder that stays is removed by the next process that writes here.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The folders that a name lies in, the outermost first.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(end, _)| &name[..end])
}

#[cfg(unix)]
fn symbolic_link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symbolic_link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}
