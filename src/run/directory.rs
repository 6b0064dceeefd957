//! A run's directory: who may write it, and what is in it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RunError;
use super::journal::{self, Journal, Known};
use super::lock::{self, Asked, Holder, Lock};
use super::manifest::{self, Manifest};
use super::pairs;
use crate::files;
use crate::record::{AnswerStatus, Record};

/// A directory that this process alone writes, until it is dropped.
pub struct RunDirectory {
    path: PathBuf,
    /// The process that wrote here last, where it was killed.
    pub killed: Option<Holder>,
    _lock: Lock,
}

impl RunDirectory {
    /// Takes `path` for a run: a new directory, an empty one or an earlier run. With `fresh`, what gemscope wrote there is removed.
    ///
    /// # Errors
    /// [`RunError`] where it holds something else, or another process writes it.
    pub fn open(path: &Path, fresh: bool) -> Result<Self, RunError> {
        let io = |error| RunError::Directory { path: path.to_owned(), error };
        if !is_run(path) && !is_empty(path).map_err(io)? {
            return Err(RunError::NotARun(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(io)?;
        let (lock, killed) = match lock::take(path).map_err(io)? {
            Asked::Taken(lock, killed) => (lock, killed),
            Asked::Held(holder) => return Err(RunError::InUse { path: path.to_owned(), holder }),
        };
        let directory = Self { path: path.to_owned(), killed, _lock: lock };
        directory.remove_temporaries().map_err(io)?;
        if fresh && is_run(path) {
            directory.clear().map_err(io)?;
        }
        Ok(directory)
    }

    /// What a killed process was about to put in its place.
    fn remove_temporaries(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if is_temporary(&entry.file_name()) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The journal first: without it, what is left says nothing.
    fn clear(&self) -> std::io::Result<()> {
        for name in [journal::FILE, pairs::FILE].into_iter().chain(crate::export::files()).chain([manifest::FILE]) {
            remove(&self.path.join(name))?;
        }
        Ok(())
    }

    /// Writes `manifest`, or compares it with the one of the run that is there, whose filters become those of `manifest`.
    ///
    /// # Errors
    /// [`RunError::OtherSettings`] that shows what differs; [`ManifestError::Filtered`](super::ManifestError::Filtered) where the records of an
    /// earlier version lack what the filters would show.
    pub fn settle(&self, manifest: &Manifest) -> Result<(), RunError> {
        if !is_run(&self.path) {
            return Ok(manifest.write(&self.path)?);
        }
        // One that this version cannot read is of another, which says more than what differs.
        let there = Manifest::read(&self.path)?;
        let differences = manifest.differences(&self.path)?;
        if differences.is_empty() {
            there.can_show(&manifest.filters)?;
            if there.filters != manifest.filters {
                there.with_filters(manifest.filters.clone()).write(&self.path)?;
            }
            return Ok(());
        }
        Err(RunError::OtherSettings { path: self.path.clone(), differences })
    }

    /// The journal, and what it holds already. Appended records are to be on disk after `sync_every`.
    ///
    /// # Errors
    /// [`RunError::Journal`].
    pub fn journal(&self, sync_every: Duration) -> Result<(Journal, Known), RunError> {
        Ok(Journal::open(&self.path, sync_every)?)
    }

    /// Of `records`, whether the journal holds each already. A journal that was written in part is completed with the others; an
    /// answer takes the place of a failure, and not the other way round.
    ///
    /// # Errors
    /// [`RunError::OtherAnswers`] where it holds another answer about one of their images, before anything is written.
    pub fn held(&self, records: &[Record]) -> Result<Vec<bool>, RunError> {
        let images: HashMap<&str, usize> =
            records.iter().enumerate().map(|(index, record)| (record.image.as_str(), index)).collect();
        // As it would be read: the last digits of a number may change between writing and reading.
        let as_read = |record: &Record| serde_json::from_slice::<Record>(&serde_json::to_vec(record)?);
        let failed = |record: &Record| record.status == AnswerStatus::Failed;
        let (mut held, mut others) = (vec![false; records.len()], BTreeSet::new());
        journal::each_record(&self.path, |there| {
            if let Some(&index) = images.get(there.image.as_str()) {
                let wanted = &records[index];
                let same = as_read(wanted).is_ok_and(|record| record == there);
                held[index] = same || failed(wanted) && !failed(&there);
                if held[index] || failed(&there) {
                    others.remove(&there.image);
                } else {
                    others.insert(there.image);
                }
            }
        })?;
        match others.len() {
            0 => Ok(held),
            count => Err(RunError::OtherAnswers {
                path: self.path.clone(),
                count,
                first: others.pop_first().unwrap_or_default(),
            }),
        }
    }
}

fn is_run(path: &Path) -> bool {
    path.join(manifest::FILE).is_file()
}

/// Whether there is nothing but what a process leaves that stopped right at its start: a lock, and a manifest that was not in its place yet.
fn is_empty(path: &Path) -> std::io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries
            .all(|entry| entry.is_ok_and(|entry| entry.file_name() == lock::FILE || is_temporary(&entry.file_name())))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(files::TEMPORARY.as_bytes())
}

fn remove(path: &Path) -> std::io::Result<()> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    match if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
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
        let Err(error) = RunDirectory::open(&path, true) else { panic!("two writers") };
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        fs::write(path.join("instances.json"), "old").unwrap();
        fs::write(path.join("mine.txt"), "mine").unwrap();
        let held = RunDirectory::open(&path, true).unwrap();
        assert!(!path.join("instances.json").exists() && path.join("mine.txt").exists());
        held.settle(&Manifest::new(None, None)).unwrap();
        let other = Manifest::new(Some("elsewhere".into()), None);
        assert!(
            matches!(held.settle(&other), Err(RunError::OtherSettings { differences, .. }) if differences[0].setting == "root")
        );
        assert!(matches!(RunDirectory::open(dir.path(), true), Err(RunError::NotARun(_))));
    }

    #[test]
    fn a_journal_is_completed_and_never_contradicted() {
        let dir = tempfile::tempdir().unwrap();
        let held = RunDirectory::open(&dir.path().join("run"), false).unwrap();
        held.settle(&Manifest::new(None, None)).unwrap();
        let empty = |image: &str| Record { status: AnswerStatus::Empty, ..Record::failed(image.into(), "why".into()) };
        let records = ["a", "b"].map(empty);
        let (mut journal, _) = held.journal(Duration::ZERO).unwrap();
        assert_eq!(held.held(&records).unwrap(), [false, false]);
        journal.append(&records[1]).unwrap();
        assert_eq!(held.held(&records).unwrap(), [false, true]);
        let other = Record { reason: Some("another".into()), ..empty("b") };
        let error = held.held(std::slice::from_ref(&other)).unwrap_err();
        assert!(error.to_string().contains("other answers about 1 of these images, b among them"), "{error}");
        journal.append(&other).unwrap();
        assert_eq!(held.held(&[other]).unwrap(), [true], "the last record of an image counts");
        let failed = Record::failed("b".into(), "failed".into());
        assert_eq!(held.held(std::slice::from_ref(&failed)).unwrap(), [true], "an answer stays");
        journal.append(&failed).unwrap();
        assert_eq!(held.held(&records).unwrap(), [false, false], "a failure does not");
    }

    #[test]
    fn what_a_killed_process_left_is_known_and_in_no_ones_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".lock"), r#"{"process":4711,"since":1}"#).unwrap();
        fs::write(dir.path().join(".gemscope-x1"), "half of a run.json").unwrap();
        fs::create_dir(dir.path().join(".gemscope-x2")).unwrap();
        let held = RunDirectory::open(dir.path(), false).unwrap();
        assert_eq!(held.killed, Some(Holder { process: 4711, since: 1 }));
        held.settle(&Manifest::new(None, None)).unwrap();
        drop(held);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the lock and the manifest");
        assert_eq!(RunDirectory::open(dir.path(), false).unwrap().killed, None, "this one ended in order");
    }
}
