//! A directory that gemscope writes, and the user's files in it.
//!
//! In: a directory, and files for it. Out: those files, in place. Promises: only files that
//! gemscope wrote, and that nobody changed since, are replaced or removed; a file of the user's in
//! the way is an error that names it, before anything is changed; nothing is written through a
//! symbolic link inside the directory; one process writes at a time.
//!
//! The proof is a list, `.gemscope/files.jsonl`, with name, size and hash of every file. A file
//! whose bytes equal those to be written counts as gemscope's too: so a directory from before there
//! was a list is taken over as far as nothing can be lost.
//!
//! The list also says of which image of the user's a file is a copy or a second name. If that image
//! is gone, the copy may be the last: it is neither replaced nor removed, and is the user's from
//! then on.
//!
//! One file appears in its place at once, by a rename; a reader never sees a part of it. A set of
//! files (crops, a data set) is put in place file by file, in steps that a kill at any moment may
//! cut short:
//!
//! 1. All files are made in `.gemscope/new`.
//! 2. Every place is looked at. A file of the user's ends it here, with nothing changed.
//! 3. The list gets an entry for each file, synced once.
//! 4. The files are renamed into their places.
//! 5. Files of an earlier set that are not in this one are removed, and then folders that were made
//!    for them and are empty.
//!
//! Killed before 4, the directory is as it was. Killed later, it holds files of both sets, whole
//! each and all on the list: the same command again puts it right. The next process that takes the
//! lock removes what is left in `.gemscope/new`; no other process is at work then.
//!
//! ```
//! use gemscope::ownership::{OutputDirectory, OwnershipError};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("mine.txt"), "the user's")?;
//! let out = OutputDirectory::open(folder.path())?;
//! out.write("made.txt", b"first")?;
//! out.write("made.txt", b"second")?; // its own file is replaced
//! assert!(matches!(out.write("mine.txt", b"third"), Err(OwnershipError::InTheWay { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod list;
mod lock;
mod new_file;
mod staging;

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::files;
pub(crate) use list::FileList;
use list::{Content, WrittenList};
pub use lock::Holder;
use lock::{Lock, LockAttempt};
pub use new_file::write_new_file;
use staging::Made;
pub(crate) use staging::Staging;

/// The folder of gemscope's own, hidden in a directory that it writes.
const PRIVATE: &str = ".gemscope";
/// In [`PRIVATE`]: files that are being made.
const NEW: &str = "new";

/// Why a directory cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnershipError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A symbolic link on the way to a file.
    #[error("{}: a symbolic link, and nothing is written through links: move it away, or choose \
             another directory", .0.display())]
    Link(PathBuf),
    /// A file that is the user's.
    #[error(
        "{}{} in the way: gemscope has no record of writing it, it was changed since, or it is a \
         copy of an image that is gone. Nothing was replaced; move it away, or choose another \
         directory",
        path.display(),
        if *others == 0 { " is".to_owned() } else { format!(" and {others} others are") }
    )]
    InTheWay {
        /// The first of them.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// Another process writes the directory.
    #[error("{}: another process is writing here{}", path.display(), named(holder.as_ref()))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, if it is known.
        holder: Option<Holder>,
    },
    /// The directory holds other files.
    #[error("{} is not empty, and not written by gemscope: choose a new directory", .0.display())]
    NotEmpty(PathBuf),
}

impl OwnershipError {
    /// Whether the disk is full.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == ErrorKind::StorageFull)
    }
}

/// Files of an earlier set that stay, and are the user's from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Files that were changed.
    pub(crate) changed: Vec<String>,
    /// Copies of images of the user's that are not there any more: each may be the last.
    pub(crate) last_copies: Vec<String>,
}

impl Left {
    /// `10 copies of images that are gone stay in yolo/images`; `None` if there are none.
    pub(crate) fn last_copies_in_words(&self) -> Option<String> {
        let [first, others @ ..] = self.last_copies.as_slice() else { return None };
        let folders =
            |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut folder = folders(first);
        while !others.iter().all(|name| Path::new(name).starts_with(&folder)) {
            folder = folders(&folder);
        }
        let place = if folder.is_empty() { String::new() } else { format!(" in {folder}") };
        Some(match self.last_copies.len() {
            1 => format!("1 copy of an image that is gone stays{place}, and is yours now"),
            count => {
                format!("{count} copies of images that are gone stay{place}, and are yours now")
            }
        })
    }
}

/// ` (process 4711, begun ...)`; nothing if it is not known.
pub(crate) fn named(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| format!(" ({holder})"))
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> OwnershipError {
    move |error| OwnershipError::Io { path: path.to_owned(), error }
}

/// A directory that this process alone writes, until it is dropped.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    /// The process that wrote here last, if it was killed.
    pub killed: Option<Holder>,
    adopt: bool,
    /// Whether it was not there before.
    made: bool,
    list: Mutex<WrittenList>,
    staged: AtomicUsize,
    // Dropped last: until then the list is tidied.
    _lock: Lock,
}

impl OutputDirectory {
    /// Takes `path`, and makes it if it is missing.
    ///
    /// # Errors
    /// [`OwnershipError`] if another process writes it, or the system says why not.
    pub fn open(path: &Path) -> Result<Self, OwnershipError> {
        let made = !path.exists();
        fs::create_dir_all(path).map_err(io_at(path))?;
        let (lock, killed) = match lock::take(path).map_err(io_at(&path.join(lock::FILE)))? {
            LockAttempt::Taken(lock, killed) => (lock, killed),
            LockAttempt::Held(holder) => {
                return Err(OwnershipError::InUse { path: path.to_owned(), holder });
            }
        };
        let private = path.join(PRIVATE);
        match fs::symlink_metadata(&private) {
            Ok(metadata) if metadata.is_symlink() => return Err(OwnershipError::Link(private)),
            Ok(_) => remove_leftovers(&private).map_err(io_at(&private))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_at(&private)(error)),
        }
        let list = Mutex::new(WrittenList::open(path).map_err(io_at(&private.join(list::FILE)))?);
        let path = path.to_owned();
        Ok(Self {
            path,
            killed,
            adopt: false,
            made,
            list,
            staged: AtomicUsize::new(0),
            _lock: lock,
        })
    }

    /// Takes `path` if that is a new or an empty directory, or one that gemscope wrote: by its
    /// list, or as far as all names in it are among `usual`. With `adopt`, any directory.
    ///
    /// # Errors
    /// As [`Self::open`], and [`OwnershipError::NotEmpty`].
    pub fn open_new(path: &Path, usual: &[&str], adopt: bool) -> Result<Self, OwnershipError> {
        if !adopt && !is_ours(path, usual).map_err(io_at(path))? {
            return Err(OwnershipError::NotEmpty(path.to_owned()));
        }
        Ok(Self::open(path)?.adopting(adopt))
    }

    /// Whether files that are in the way are replaced, whoever wrote them.
    #[must_use]
    pub fn adopting(mut self, adopt: bool) -> Self {
        self.adopt = adopt;
        self
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes one file, and gives its path.
    ///
    /// # Errors
    /// As [`Self::place`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, OwnershipError> {
        let staged = self.stage()?;
        staged.write(name, bytes).map_err(io_at(&staged.place_of(name)))?;
        self.place(&staged, &[name])?;
        Ok(self.join(name))
    }

    /// Room for files that are to be put in place together.
    ///
    /// # Errors
    /// [`OwnershipError::Io`].
    pub(crate) fn stage(&self) -> Result<Staging, OwnershipError> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let folder = self.path.join(PRIVATE).join(NEW).join(number.to_string());
        Staging::new(self.path.clone(), folder).map_err(io_at(&self.path))
    }

    /// Puts staged files in place, and removes those of gemscope's in `scope` (names, folders, `""`
    /// for all) that are not among them. Gives those that stay, and are the user's now: changed
    /// ones, and the last copies of images of the user's.
    ///
    /// # Errors
    /// [`OwnershipError::InTheWay`] and [`OwnershipError::Link`], before anything is changed;
    /// [`OwnershipError::Io`], after which the same again puts right what is half done.
    pub(crate) fn place(&self, staged: &Staging, scope: &[&str]) -> Result<Left, OwnershipError> {
        let made = staged.take();
        let mut list = self.list();
        let missing = self.look_at_folders(list.list(), &made)?;
        let to_place = self.look_at_files(list.list(), &made)?;
        let mut entries = made.files.clone();
        let folder = |name: &String| (name.clone(), Content::Folder { folder: true });
        entries.extend(missing.iter().map(folder));
        list.promise(&entries).map_err(io_at(&self.path.join(PRIVATE).join(list::FILE)))?;
        for name in &missing {
            let path = self.join(name);
            let make = || {
                // A file of gemscope's may stand at the path of a folder that is needed now.
                if looked_at(&path)?.is_some() {
                    fs::remove_file(&path)?;
                }
                fs::create_dir(&path)
            };
            make().map_err(io_at(&path))?;
        }
        for name in to_place {
            let path = self.join(name);
            fs::rename(staged.path_of(name), &path).map_err(io_at(&path))?;
        }
        let left = self.remove_stale(&mut list, scope, &made)?;
        list.settle(entries);
        Ok(left)
    }

    /// Removes all files of gemscope's. Gives those that stay, as [`Self::place`] does.
    ///
    /// # Errors
    /// [`OwnershipError::Io`].
    pub(crate) fn remove_own(&self) -> Result<Left, OwnershipError> {
        self.remove_stale(&mut self.list(), &[""], &Made::default())
    }

    /// Puts a file in its place that is known by its content and is not on the list; on disk when
    /// this returns.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn replace_unlisted(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.path.join(PRIVATE).join(NEW);
        fs::create_dir_all(&folder)?;
        let temporary = folder.join(name);
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(temporary, self.join(name))?;
        files::sync_folder(&self.path)
    }

    fn list(&self) -> MutexGuard<'_, WrittenList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders that are to be made, the outermost first.
    fn look_at_folders(&self, list: &FileList, made: &Made) -> Result<Vec<String>, OwnershipError> {
        let mut missing = Vec::new();
        for name in &made.folders {
            let path = self.join(name);
            match looked_at(&path).map_err(io_at(&path))? {
                None => missing.push(name.clone()),
                Some(metadata) if metadata.is_dir() => {}
                Some(metadata) if list.owns(name, &path, &metadata).map_err(io_at(&path))? => {
                    missing.push(name.clone());
                }
                Some(metadata) if metadata.is_symlink() => return Err(OwnershipError::Link(path)),
                Some(_) => return Err(OwnershipError::InTheWay { path, others: 0 }),
            }
        }
        Ok(missing)
    }

    /// The files that are to be put in place. Those that are there already, byte for byte, are not:
    /// a rename over a file makes many file systems write it to the disk at once.
    fn look_at_files<'m>(
        &self,
        list: &FileList,
        made: &'m Made,
    ) -> Result<Vec<&'m String>, OwnershipError> {
        let among = made.contents();
        let look = |(name, content): (&'m String, &Content)| {
            let path = self.join(name);
            let place = self.look_at(list, name, content, &path, &among).map_err(io_at(&path))?;
            Ok((name, place))
        };
        let places: Vec<(&String, Place)> =
            made.files.par_iter().map(look).collect::<Result<_, _>>()?;
        let mut taken = places.iter().filter(|(_, place)| *place == Place::Taken);
        if let Some((name, _)) = taken.next() {
            return Err(OwnershipError::InTheWay { path: self.join(name), others: taken.count() });
        }
        Ok(places
            .into_iter()
            .filter(|(_, place)| *place == Place::Free)
            .map(|(name, _)| name)
            .collect())
    }

    fn look_at(
        &self,
        list: &FileList,
        name: &str,
        content: &Content,
        path: &Path,
        among: &HashSet<&str>,
    ) -> io::Result<Place> {
        let Some(metadata) = looked_at(path)? else { return Ok(Place::Free) };
        if metadata.is_dir() {
            return Ok(Place::Taken);
        }
        if content.is_at(path, &metadata)? {
            return Ok(if content.is_shared(&metadata) { Place::Free } else { Place::Done });
        }
        let is_own = list.owns(name, path, &metadata)? && !list.may_be_last_copy(name, among);
        let may_be_replaced = is_own || self.adopt;
        Ok(if may_be_replaced { Place::Free } else { Place::Taken })
    }

    fn remove_stale(
        &self,
        list: &mut WrittenList,
        scope: &[&str],
        made: &Made,
    ) -> Result<Left, OwnershipError> {
        let mut names = list.list().files_in(scope);
        let goes = |name: &String| {
            !made.files.contains_key(name)
                && !made.folders.contains(name)
                && !made.kept.contains(name)
        };
        names.retain(goes);
        let mut chains = FolderChains::new(&self.path);
        let (names, lost): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|name| chains.reach(name));
        list.forget(&lost);
        let state = |name: &String| -> Result<(bool, bool), OwnershipError> {
            let path = self.join(name);
            let Some(metadata) = looked_at(&path).map_err(io_at(&path))? else {
                return Ok((false, false));
            };
            Ok((true, list.list().owns(name, &path, &metadata).map_err(io_at(&path))?))
        };
        let states: Vec<(bool, bool)> = names.par_iter().map(state).collect::<Result<_, _>>()?;
        let among = made.contents();
        let mut left = Left::default();
        for (name, (is_there, is_own)) in names.iter().zip(states) {
            if is_own && list.list().may_be_last_copy(name, &among) {
                left.last_copies.push(name.clone());
            } else if is_own {
                let path = self.join(name);
                fs::remove_file(&path).map_err(io_at(&path))?;
            } else if is_there {
                left.changed.push(name.clone());
            }
        }
        list.forget(&names);
        let folders = list.list().folders_in(scope);
        for name in
            folders.iter().filter(|name| !made.folders.contains(*name) && chains.reach(name))
        {
            match fs::remove_dir(self.join(name)) {
                // It holds something of the user's.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                _ => list.forget([name]),
            }
        }
        Ok(left)
    }
}

impl Drop for OutputDirectory {
    fn drop(&mut self) {
        // A list that cannot be written anew is longer than it needs to be, and says the same.
        let _ = self.list().tidy();
        let private = self.path.join(PRIVATE);
        let _ = fs::remove_dir_all(private.join(NEW));
        // Stays if there is a list.
        let _ = fs::remove_dir(private);
        if self.made
            && is_empty(&self.path).unwrap_or(false)
            && self.list().list().names().next().is_none()
        {
            let _ = fs::remove_file(self.path.join(lock::FILE))
                .and_then(|()| fs::remove_dir(&self.path));
        }
    }
}

/// The place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing is there, or something of gemscope's, or something that is taken over.
    Free,
    /// The same file is there.
    Done,
    /// Something of the user's is there.
    Taken,
}

/// Checks the folders on the way to names in a directory: each is a folder, and no link that leads
/// elsewhere.
struct FolderChains<'d> {
    directory: &'d Path,
    known: HashMap<String, bool>,
}

impl<'d> FolderChains<'d> {
    fn new(directory: &'d Path) -> Self {
        Self { directory, known: HashMap::new() }
    }

    fn reach(&mut self, name: &str) -> bool {
        let Some((folder, _)) = name.rsplit_once('/') else { return true };
        if let Some(known) = self.known.get(folder) {
            return *known;
        }
        let is_folder =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let reached = self.reach(folder) && is_folder(&self.directory.join(folder));
        self.known.insert(folder.to_owned(), reached);
        reached
    }
}

/// The entry at `path`, links not followed; `None` if there is none.
fn looked_at(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Removes what a killed process was making.
fn remove_leftovers(private: &Path) -> io::Result<()> {
    for entry in fs::read_dir(private)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == NEW {
            fs::remove_dir_all(entry.path())?;
        } else if name.as_encoded_bytes().starts_with(files::TEMPORARY.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The file that makes a directory a run.
pub(crate) const RUN: &str = "run.json";

/// Whether `directory` is a run: by the content of its [`RUN`], since other tools write files of
/// that name, too.
///
/// # Errors
/// Whatever the file system says, and that the file is a symbolic link.
pub(crate) fn is_run(directory: &Path) -> io::Result<bool> {
    /// The fields that every version of the file has.
    #[derive(Deserialize)]
    struct MadeBy {
        #[serde(rename = "gemscope")]
        _version: String,
        #[serde(rename = "settings")]
        _settings: IgnoredAny,
    }
    match files::open_unlinked(&directory.join(RUN))
        .and_then(|file| files::read_within(file, files::MAX_TEXT_BYTES))
    {
        Ok(bytes) => Ok(serde_json::from_slice::<MadeBy>(&bytes).is_ok()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Looks whether another process writes `path`.
///
/// # Errors
/// [`OwnershipError::InUse`].
pub(crate) fn look_at_lock(path: &Path) -> Result<(), OwnershipError> {
    lock::look(path).map_err(|holder| OwnershipError::InUse { path: path.to_owned(), holder })
}

/// Whether `path` is missing, or holds nothing but what gemscope leaves in every directory that it
/// writes.
pub(crate) fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(others(path)?.is_empty())
}

/// Whether `path` is empty, or has a list, or holds nothing but names that are `usual`.
fn is_ours(path: &Path, usual: &[&str]) -> io::Result<bool> {
    let list = path.join(PRIVATE).join(list::FILE);
    let only_usual = others(path)?.iter().all(|name| usual.contains(&name.as_str()));
    // Asked last: another process may have written the first files meanwhile, and its list
    // before them.
    Ok(only_usual || list.is_file())
}

/// The names of what is in `path`, sorted, besides what gemscope leaves in every directory that it
/// writes: the lock, the list, and temporaries of a version that had them elsewhere. None if `path`
/// is missing.
pub(crate) fn others(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if name != lock::FILE && !name.as_encoded_bytes().starts_with(PRIVATE.as_bytes()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
