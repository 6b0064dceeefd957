//! The cache on the disk.
//!
//! In: a model's name. Out: the paths of its snapshot, its blobs and its locks. Promises: the
//! layout is that of Python's `huggingface_hub`; a snapshot is looked up without a request.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::name::is_commit;
use super::{HubError, HubFile, ModelId, RepositoryName};
use crate::files;

/// A snapshot that is in the cache, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedSnapshot {
    /// The repository.
    pub repository: RepositoryName,
    /// The branches and tags that stand for this commit, sorted.
    pub revisions: Vec<String>,
    /// Its commit.
    pub commit: String,
    /// The folder with its files.
    pub directory: PathBuf,
}

/// The snapshot of a model in `cache`, by its commit, or by the commit that its branch or tag had
/// when it was fetched.
///
/// # Errors
/// [`HubError::NotThere`] with what else is there of the model.
pub fn cached_snapshot(cache: &Path, id: &ModelId) -> Result<CachedSnapshot, HubError> {
    let paths = Paths::of(cache, &id.repository);
    let of_reference = || {
        let bytes = files::read(&paths.reference(id.revision()), 1 << 10).ok()?;
        Some(String::from_utf8(bytes).ok()?.trim().to_owned())
    };
    let commit =
        id.commit().map(str::to_owned).or_else(of_reference).filter(|commit| is_commit(commit));
    let snapshots = paths.snapshots_there(&id.repository);
    let found =
        commit.and_then(|commit| snapshots.iter().find(|snapshot| snapshot.commit == commit));
    found.cloned().ok_or_else(|| {
        let named = |snapshot: &CachedSnapshot| {
            let name = snapshot.revisions.first().unwrap_or(&snapshot.commit);
            format!("{}@{name}", snapshot.repository)
        };
        let others: Vec<_> = snapshots.iter().map(named).collect();
        let others = if others.is_empty() {
            String::new()
        } else {
            format!(" (there is {})", others.join(", "))
        };
        HubError::NotThere { id: id.clone(), cache: cache.to_owned(), others }
    })
}

/// The snapshot in a model's folder of a cache (`models--OWNER--NAME`): that of `main`, else the
/// one that was made last. `None` if the folder is no such one, or has none.
pub fn folder_snapshot(folder: &Path) -> Option<PathBuf> {
    let name = folder.file_name()?.to_str()?;
    let repository = RepositoryName::of_folder(name)?;
    let snapshots = Paths::of(folder.parent()?, &repository).snapshots_there(&repository);
    let of_main = snapshots
        .iter()
        .find(|snapshot| snapshot.revisions.iter().any(|revision| revision == "main"));
    let made = |snapshot: &&CachedSnapshot| {
        fs::metadata(&snapshot.directory).and_then(|folder| folder.modified()).ok()
    };
    of_main.or_else(|| snapshots.iter().max_by_key(made)).map(|snapshot| snapshot.directory.clone())
}

/// The name on the Hub of the model whose snapshot `directory` is.
pub fn name_of_snapshot(directory: &Path) -> Option<RepositoryName> {
    let snapshots = directory.parent()?;
    let folder = snapshots
        .parent()
        .filter(|_| snapshots.file_name().is_some_and(|name| name == "snapshots"))?;
    RepositoryName::of_folder(folder.file_name()?.to_str()?)
}

/// All snapshots of models in `cache`, by name and commit.
pub fn cached_snapshots(cache: &Path) -> Vec<CachedSnapshot> {
    let mut repositories: Vec<_> =
        names(cache).iter().filter_map(|folder| RepositoryName::of_folder(folder)).collect();
    repositories.sort();
    repositories
        .iter()
        .flat_map(|repository| Paths::of(cache, repository).snapshots_there(repository))
        .collect()
}

/// The folders of one model in a cache.
pub(super) struct Paths {
    folder: PathBuf,
    locks: PathBuf,
}

impl Paths {
    pub(super) fn of(cache: &Path, repository: &RepositoryName) -> Self {
        let name = repository.folder();
        Self { locks: cache.join(".locks").join(&name), folder: cache.join(name) }
    }

    pub(super) fn blob(&self, file: &HubFile) -> PathBuf {
        self.folder.join("blobs").join(file.hash.as_str())
    }

    /// The path of a file's first bytes until all are there.
    pub(super) fn partial(&self, file: &HubFile) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.incomplete", file.hash.as_str()))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The path of a file in a snapshot.
    pub(super) fn pointer(&self, commit: &str, file: &HubFile) -> PathBuf {
        self.snapshot(commit).join(&file.path)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// The target of the link in a snapshot, relative to it.
    pub(super) fn link(file: &HubFile) -> PathBuf {
        // `snapshots`, the commit, and the folders of the path.
        let up = "../".repeat(2 + file.path.matches('/').count());
        PathBuf::from(format!("{up}blobs/{}", file.hash.as_str()))
    }

    /// Keeps what commit a branch or tag is now.
    pub(super) fn keep_reference(&self, id: &ModelId, commit: &str) -> Result<(), HubError> {
        if id.commit().is_some() {
            return Ok(());
        }
        let path = self.reference(id.revision());
        files::replace(&path, commit.as_bytes()).map_err(HubError::io(path))
    }

    fn snapshots_there(&self, repository: &RepositoryName) -> Vec<CachedSnapshot> {
        let mut references = Vec::new();
        collect_references(&self.folder.join("refs"), "", &mut references);
        let mut commits: Vec<_> = names(&self.folder.join("snapshots"))
            .into_iter()
            .filter(|name| is_commit(name))
            .collect();
        commits.sort();
        let snapshot = |commit: String| {
            let mut revisions: Vec<String> = references
                .iter()
                .filter(|(_, of)| *of == commit)
                .map(|(name, _)| name.clone())
                .collect();
            revisions.sort();
            let directory = self.snapshot(&commit);
            CachedSnapshot { repository: repository.clone(), revisions, commit, directory }
        };
        commits.into_iter().map(snapshot).filter(|snapshot| snapshot.directory.is_dir()).collect()
    }

    /// Waits for the lock of one file; says if it has to. `None` if the file system has no locks.
    pub(super) fn lock(
        &self,
        file: &HubFile,
        say: impl Fn(&str),
    ) -> Result<Option<File>, HubError> {
        let path = self.locks.join(format!("{}.lock", file.hash.as_str()));
        fs::create_dir_all(&self.locks).map_err(HubError::io(&self.locks))?;
        loop {
            let lock = files::open_to_write(&path).map_err(HubError::io(&path))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    say(&format!("Another process is fetching {}: waiting for it.", file.path));
                    lock.lock().map_err(HubError::io(&path))?;
                }
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                    return Ok(None);
                }
                Err(TryLockError::Error(error)) => return Err(HubError::io(&path)(error)),
            }
            // Python's lock removes its file when it is done: what was waited for may be no lock
            // any more.
            if is_the_file_at(&lock, &path) {
                return Ok(Some(lock));
            }
        }
    }
}

#[cfg(unix)]
fn is_the_file_at(open: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: io::Result<fs::Metadata>| {
        metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()))
    };
    identity(open.metadata()) == identity(fs::metadata(path))
}

/// Windows removes no file that is open.
#[cfg(not(unix))]
fn is_the_file_at(_: &File, _: &Path) -> bool {
    true
}

/// Marks a cache for backup programs, as Python does.
pub(super) fn tag(cache: &Path) -> io::Result<()> {
    const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
        # This file is a cache directory tag created by huggingface_hub.\n\
        # For information about cache directory tags, see:\n\
        #\thttps://bford.info/cachedir/\n";
    fs::create_dir_all(cache)?;
    let path = cache.join("CACHEDIR.TAG");
    if path.exists() { Ok(()) } else { files::replace(&path, TAG.as_bytes()) }
}

/// The branches and tags under `folder`, whose names have folders, with their commits.
fn collect_references(folder: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
    for name in names(folder) {
        let (path, name) = (folder.join(&name), format!("{prefix}{name}"));
        if path.is_dir() {
            collect_references(&path, &format!("{name}/"), into);
        } else if let Ok(commit) = files::read(&path, 1 << 10) {
            into.push((name, String::from_utf8_lossy(&commit).trim().to_owned()));
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
