//! A run's directory: who may write it, and what is in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::RunError;
use super::journal::{self, Journal, Known};
use super::manifest::{self, Manifest};

/// Held by the process that writes the run.
const LOCK: &str = ".lock";

/// A directory that this process alone writes, until it is dropped.
pub struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

impl RunDirectory {
    /// Takes `path` for a run: a new directory, an empty one or an earlier run. With `overwrite`, what gemscope wrote there is removed.
    ///
    /// # Errors
    /// [`RunError`] where it holds something else, or another process writes it.
    pub fn open(path: &Path, overwrite: bool) -> Result<Self, RunError> {
        let io = |error| RunError::Directory { path: path.to_owned(), error };
        let is_run = path.join(manifest::FILE).is_file();
        let is_empty = match fs::read_dir(path) {
            // A lock without a manifest is all that a process leaves that stopped right at its start.
            Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(io(error)),
        };
        if !is_run && !is_empty {
            return Err(RunError::NotARun(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(io)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.join(LOCK)).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RunError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let directory = Self { path: path.to_owned(), _lock: lock };
        if overwrite && is_run {
            directory.clear().map_err(io)?;
        }
        Ok(directory)
    }

    /// The journal first: without it, what is left says nothing.
    fn clear(&self) -> std::io::Result<()> {
        for name in [journal::FILE].into_iter().chain(crate::export::FILES).chain([manifest::FILE]) {
            let path = self.path.join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes `manifest`, or compares it with the one of the run that is there.
    ///
    /// # Errors
    /// [`RunError::OtherSettings`] that names what differs.
    pub fn settle(&self, manifest: &Manifest) -> Result<(), RunError> {
        if !self.path.join(manifest::FILE).exists() {
            return Ok(manifest.write(&self.path)?);
        }
        let differing = Manifest::read(&self.path)?.differing(manifest);
        if differing.is_empty() {
            return Ok(());
        }
        Err(RunError::OtherSettings { path: self.path.clone(), differing: differing.join(", ") })
    }

    /// The journal, and what it holds already.
    ///
    /// # Errors
    /// [`RunError::Journal`].
    pub fn journal(&self) -> Result<(Journal, Known), RunError> {
        Ok(Journal::open(&self.path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_writes_and_only_runs_are_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let held = RunDirectory::open(&path, false).unwrap();
        held.settle(&Manifest::new(None, None)).unwrap();
        assert!(matches!(RunDirectory::open(&path, true), Err(RunError::InUse(_))));
        drop(held);
        fs::write(path.join("instances.json"), "old").unwrap();
        fs::write(path.join("mine.txt"), "mine").unwrap();
        let held = RunDirectory::open(&path, true).unwrap();
        assert!(!path.join("instances.json").exists() && path.join("mine.txt").exists());
        held.settle(&Manifest::new(None, None)).unwrap();
        let other = Manifest::new(Some("elsewhere".into()), None);
        assert!(matches!(held.settle(&other), Err(RunError::OtherSettings { differing, .. }) if differing == "root"));
        assert!(matches!(RunDirectory::open(dir.path(), true), Err(RunError::NotARun(_))));
    }
}
