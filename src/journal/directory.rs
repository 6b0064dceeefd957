//! A run's directory: its contents, and the right to write it.
//!
//! In: a path. Out: the directory of a run that this process alone writes. Promises: a directory is
//! a run if its `run.json` is one of gemscope's; only the run's own files are removed: the journal,
//! `run.json`, and files that the list of written files proves.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::answers::AnswerJournal;
use super::difference::Difference;
use super::error::RunDirectoryError;
use super::manifest::{self, ManifestError};
use super::pairs::{self, PairJournal};
use super::placement::Placement;
use super::records::{self, Journal, ResumeIndex, each_record, whole_bytes};
use crate::files;
use crate::ownership::{self, Holder, OutputDirectory, OwnershipError};
use crate::record::{AnswerStatus, Manifest, Record};

/// A run that this process alone writes, until it is dropped.
#[derive(Debug)]
pub struct RunDirectory {
    output: OutputDirectory,
    /// The process that wrote here last, if it was killed.
    pub killed: Option<Holder>,
    /// Files that a fresh run left: changed since gemscope wrote them, or with no record of their
    /// writing.
    pub kept: Vec<String>,
    /// How many answers a fresh run threw away.
    pub discarded: usize,
    /// How many copies of images that are gone a fresh run left, in words.
    pub last_copies: Option<String>,
    /// Whether the `run.json` that is there is of a run that was thrown away.
    cleared: AtomicBool,
}

impl RunDirectory {
    /// Takes `path` for a run: a new directory, an empty one or an earlier run. With `fresh`,
    /// gemscope's files in it are removed.
    ///
    /// # Errors
    /// [`RunDirectoryError`] if it holds something else, or another process writes it.
    pub fn open(path: &Path, fresh: bool) -> Result<Self, RunDirectoryError> {
        let io = |error| RunDirectoryError::Directory { path: path.to_owned(), error };
        if !Manifest::is_there(path)? && !ownership::is_empty(path).map_err(io)? {
            // Another process may have begun a run here between the two questions.
            ownership::look_at_lock(path).map_err(in_run)?;
            if !Manifest::is_there(path)? {
                return Err(RunDirectoryError::NotARun(path.to_owned()));
            }
        }
        let mut directory = Self::take(path)?;
        if fresh && Manifest::is_there(path)? {
            directory.clear()?;
        }
        Ok(directory)
    }

    /// Takes the run that is in `path`.
    ///
    /// # Errors
    /// [`RunDirectoryError`] if there is none, or another process writes it.
    pub fn of_run(path: &Path) -> Result<Self, RunDirectoryError> {
        if !Manifest::is_there(path)? {
            return Err(ManifestError::NoRun(path.to_owned()).into());
        }
        Self::take(path)
    }

    fn take(path: &Path) -> Result<Self, RunDirectoryError> {
        let output = OutputDirectory::open(path).map_err(in_run)?;
        Ok(Self {
            killed: output.killed.clone(),
            output,
            kept: Vec::new(),
            discarded: 0,
            last_copies: None,
            cleared: AtomicBool::new(false),
        })
    }

    /// Whether files that are in the way are replaced, whoever wrote them.
    #[must_use]
    pub fn adopting(self, adopt: bool) -> Self {
        Self { output: self.output.adopting(adopt), ..self }
    }

    /// The directory for exports.
    pub fn output(&self) -> &OutputDirectory {
        &self.output
    }

    /// The journal goes first: without it, the other files are meaningless. The `run.json` stays
    /// until another takes its place: without one, the user's files would keep a killed process
    /// from beginning again.
    fn clear(&mut self) -> Result<(), RunDirectoryError> {
        let remove = |name: &str| {
            let path = self.output.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(RunDirectoryError::Directory { path, error })
                }
                _ => Ok(()),
            }
        };
        for journal in [records::FILE, pairs::FILE] {
            self.discarded += lines_of(&self.output.join(journal));
            remove(journal)?;
        }
        let left = self.output.remove_own()?;
        self.last_copies = left.last_copies_in_words();
        let path = self.output.path();
        let others = ownership::others(path)
            .map_err(|error| RunDirectoryError::Directory { path: path.to_owned(), error })?;
        let is_of_copies =
            |name: &String| left.last_copies.iter().any(|copy| Path::new(copy).starts_with(name));
        self.kept = left.changed;
        self.kept.extend(
            others.into_iter().filter(|name| name != manifest::FILE && !is_of_copies(name)),
        );
        self.cleared = AtomicBool::new(true);
        Ok(())
    }

    /// Writes `manifest`, or compares it with the one of the run that is there, whose filters
    /// become those of `manifest`.
    ///
    /// # Errors
    /// [`RunDirectoryError::OtherSettings`] with the differences; [`ManifestError::Filtered`] if
    /// the records of an earlier version lack boxes that the filters would show.
    pub fn create_or_verify(&self, manifest: &Manifest) -> Result<(), RunDirectoryError> {
        self.create_or_verify_placed(manifest, &Placement::default())
    }

    /// The same for a run whose images may have been renamed: it goes on under the root of
    /// `manifest`, and `placement` leads there from its own.
    ///
    /// # Errors
    /// As [`Self::create_or_verify`], and [`RunDirectoryError::ChangedMeanwhile`].
    pub fn create_or_verify_placed(
        &self,
        manifest: &Manifest,
        placement: &Placement,
    ) -> Result<(), RunDirectoryError> {
        let path = self.output.path();
        if self.cleared.swap(false, Ordering::Relaxed) || !Manifest::is_there(path)? {
            return Ok(manifest.write(&self.output)?);
        }
        // If this version cannot read it, that error says more than a difference.
        let there = Manifest::read(path)?;
        let differences = manifest.differences(path)?;
        if !differences.is_empty() {
            return Err(RunDirectoryError::OtherSettings { path: path.to_owned(), differences });
        }
        match &placement.earlier {
            Some(earlier) if there.root.as_ref() != Some(earlier) => {
                return Err(RunDirectoryError::ChangedMeanwhile(path.to_owned()));
            }
            None if there.root != manifest.root => {
                let differences =
                    vec![Difference::of_roots(there.root.as_deref(), manifest.root.as_deref())];
                return Err(RunDirectoryError::OtherSettings {
                    path: path.to_owned(),
                    differences,
                });
            }
            // Which names a shard holds depends on the folder that they are relative to.
            _ if manifest.shard.is_some() && !placement.prefix.is_empty() => {
                let differences =
                    vec![Difference::of_roots(there.root.as_deref(), manifest.root.as_deref())];
                return Err(RunDirectoryError::OtherSettings {
                    path: path.to_owned(),
                    differences,
                });
            }
            _ => {}
        }
        there.can_show(&manifest.filters)?;
        let now = there.clone().resumed_as(manifest, &placement.prefix, whole_bytes(path)?);
        if now != there {
            now.write(&self.output)?;
        }
        Ok(())
    }

    /// The journal, and the index of its records. Appended records are to be on disk after
    /// `sync_every`.
    ///
    /// # Errors
    /// [`RunDirectoryError::Journal`].
    pub fn journal(
        &self,
        sync_every: Duration,
    ) -> Result<(Journal, ResumeIndex), RunDirectoryError> {
        Ok(Journal::open(self.output.path(), sync_every)?)
    }

    /// The journal by what was asked about which content. Other than [`Self::journal`], it finds
    /// every answer about an image, not only the last one.
    ///
    /// # Errors
    /// [`RunDirectoryError::Journal`].
    pub fn answers(&self) -> Result<AnswerJournal, RunDirectoryError> {
        Ok(AnswerJournal::open(self.output.path())?)
    }

    /// The journal of pairs, with its records.
    ///
    /// # Errors
    /// [`RunDirectoryError::Journal`].
    pub fn pairs(&self) -> Result<PairJournal, RunDirectoryError> {
        Ok(PairJournal::open(self.output.path())?)
    }

    /// Of `records`, whether the journal holds each already. A journal that was written in part is
    /// completed with the others; an answer takes the place of a failure, and not the other way
    /// round.
    ///
    /// # Errors
    /// [`RunDirectoryError::OtherAnswers`] if it holds another answer about one of their images,
    /// before anything is written.
    pub fn already_held(&self, records: &[Record]) -> Result<Vec<bool>, RunDirectoryError> {
        let images: HashMap<&str, usize> = records
            .iter()
            .enumerate()
            .map(|(index, record)| (record.image.as_str(), index))
            .collect();
        // As it would be read: the last digits of a number may change between writing and reading.
        let as_read =
            |record: &Record| serde_json::from_slice::<Record>(&serde_json::to_vec(record)?);
        let failed = |record: &Record| record.status == AnswerStatus::Failed;
        let (mut held, mut others) = (vec![false; records.len()], BTreeSet::new());
        each_record(self.output.path(), |there| {
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
            count => Err(RunDirectoryError::OtherAnswers {
                path: self.output.path().to_owned(),
                count,
                first: others.pop_first().unwrap_or_default(),
            }),
        }
    }
}

/// The error of a directory, said of a run.
fn in_run(error: OwnershipError) -> RunDirectoryError {
    match error {
        OwnershipError::InUse { path, holder } => RunDirectoryError::InUse { path, holder },
        OwnershipError::Io { path, error } => RunDirectoryError::Directory { path, error },
        other => other.into(),
    }
}

/// The lines of the file at `path`; 0 if it cannot be read.
fn lines_of(path: &Path) -> usize {
    files::open(path)
        .map_or(0, |file| BufReader::new(file).split(b'\n').map_while(Result::ok).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_writes_and_only_runs_are_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let held = RunDirectory::open(&path, false).unwrap();
        held.create_or_verify(&Manifest::new(None, None)).unwrap();
        let Err(error) = RunDirectory::open(&path, true) else { panic!("two writers") };
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        held.output().write("instances.json", b"of the run").unwrap();
        drop(held);
        fs::write(path.join("results.json"), "somebody's, though a run may write such a file")
            .unwrap();
        fs::write(path.join("mine.txt"), "mine").unwrap();
        let held = RunDirectory::open(&path, true).unwrap();
        assert!(!path.join("instances.json").exists() && path.join("mine.txt").exists());
        assert!(path.join("results.json").exists());
        assert_eq!(held.kept, ["mine.txt", "results.json"]);
        held.create_or_verify(&Manifest::new(None, None)).unwrap();
        let other = Manifest::new(Some("elsewhere".into()), None);
        assert!(matches!(held.create_or_verify(&other), Err(RunDirectoryError::OtherSettings {
                differences, .. }) if differences[0].setting == "root"));
        let stale =
            Placement { earlier: Some("of another process".into()), ..Placement::default() };
        assert!(matches!(
            held.create_or_verify_placed(&other, &stale),
            Err(RunDirectoryError::ChangedMeanwhile(_))
        ));
        assert_eq!(Manifest::read(&path).unwrap().root, None);
        assert!(matches!(RunDirectory::open(dir.path(), true), Err(RunDirectoryError::NotARun(_))));
        fs::write(dir.path().join("run.json"), r#"{"settings": {"lr": 0.1}, "version": 3}"#)
            .unwrap();
        assert!(
            matches!(RunDirectory::open(dir.path(), true), Err(RunDirectoryError::NotARun(_))),
            "of another tool"
        );
    }

    #[test]
    fn a_journal_is_completed_and_never_contradicted() {
        let dir = tempfile::tempdir().unwrap();
        let held = RunDirectory::open(&dir.path().join("run"), false).unwrap();
        held.create_or_verify(&Manifest::new(None, None)).unwrap();
        let empty = |image: &str| Record {
            status: AnswerStatus::Empty,
            ..Record::failed(image.into(), "why".into())
        };
        let records = ["a", "b"].map(empty);
        let (mut journal, _) = held.journal(Duration::ZERO).unwrap();
        assert_eq!(held.already_held(&records).unwrap(), [false, false]);
        journal.append(&records[1]).unwrap();
        assert_eq!(held.already_held(&records).unwrap(), [false, true]);
        let other = Record { reason: Some("another".into()), ..empty("b") };
        let error = held.already_held(std::slice::from_ref(&other)).unwrap_err();
        assert!(
            error.to_string().contains("other answers about 1 of these images, b among them"),
            "{error}"
        );
        journal.append(&other).unwrap();
        assert_eq!(
            held.already_held(&[other]).unwrap(),
            [true],
            "the last record of an image counts"
        );
        let failed = Record::failed("b".into(), "failed".into());
        assert_eq!(
            held.already_held(std::slice::from_ref(&failed)).unwrap(),
            [true],
            "an answer stays"
        );
        journal.append(&failed).unwrap();
        assert_eq!(held.already_held(&records).unwrap(), [false, false], "a failure does not");
    }

    #[test]
    fn a_fresh_run_that_was_killed_can_be_begun_again_beside_the_users_files() {
        let dir = tempfile::tempdir().unwrap();
        let held = RunDirectory::open(dir.path(), false).unwrap();
        held.create_or_verify(&Manifest::new(None, None)).unwrap();
        held.output().write("instances.json", b"of the run").unwrap();
        drop(held);
        fs::write(dir.path().join("mine.txt"), "mine").unwrap();
        // Killed before the new manifest is written.
        drop(RunDirectory::open(dir.path(), true).unwrap());
        let held = RunDirectory::open(dir.path(), true).unwrap();
        held.create_or_verify(&Manifest::new(Some("elsewhere".into()), None)).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap().root, Some("elsewhere".into()));
        assert!(
            !dir.path().join("instances.json").exists() && dir.path().join("mine.txt").exists()
        );
    }

    #[test]
    fn what_a_killed_process_left_is_known_and_in_no_ones_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".lock"), r#"{"process":4711,"since":1}"#).unwrap();
        fs::create_dir_all(dir.path().join(".gemscope/new/0/crops")).unwrap();
        fs::write(dir.path().join(".gemscope/new/run.json"), "half of a run.json").unwrap();
        let held = RunDirectory::open(dir.path(), false).unwrap();
        assert_eq!(held.killed, Some(Holder { process: 4711, since: 1 }));
        held.create_or_verify(&Manifest::new(None, None)).unwrap();
        drop(held);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the lock and the manifest");
        assert_eq!(
            RunDirectory::open(dir.path(), false).unwrap().killed,
            None,
            "this one ended in order"
        );
    }
}
