//! Files of the user's that a run wrote ratings into, since it was asked to.
//!
//! In: which bytes of a file are replaced. Out: the file with them, and `rated.jsonl` in the run's
//! directory, with a line for each before it is changed. Promises: a file is changed only if it is
//! the one that the line is about, whole or not at all; [`RatedFiles::undo`] brings the first
//! content back, byte for byte; a changed file is still known as the frame that was judged, whatever
//! was killed in between.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::error::RunDirectoryError;
use super::json_log::{JournalError, JsonLog, read_entries};
use crate::source::path_of;
use crate::{digest, files};

/// The log's name in a run's directory.
const FILE: &str = "rated.jsonl";

/// The largest file that is changed.
const MAX_BYTES: u64 = 1 << 30;

/// Bytes of a file that were replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Edit {
    /// Where the new ones begin, in the changed file.
    at: usize,
    /// How many the new ones are.
    put: usize,
    /// The earlier ones, in hex.
    was: String,
}

/// A change of a file: a line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The name of the file when it was changed.
    name: String,
    /// The hash of its content before.
    before: String,
    /// The hash of its content afterwards.
    after: String,
    /// In the order of the file.
    edits: Vec<Edit>,
}

impl FileChange {
    /// The change of the file of that name from `bytes`, in which the ranges are replaced; they are
    /// sorted and do not overlap. Also the new bytes.
    pub fn of(
        name: &str,
        bytes: &[u8],
        replaced: &[(std::ops::Range<usize>, Vec<u8>)],
    ) -> (Self, Vec<u8>) {
        let (mut changed, mut edits, mut from) = (Vec::with_capacity(bytes.len()), Vec::new(), 0);
        for (range, with) in replaced {
            changed.extend_from_slice(&bytes[from..range.start]);
            let was = in_hex(&bytes[range.clone()]);
            edits.push(Edit { at: changed.len(), put: with.len(), was });
            changed.extend_from_slice(with);
            from = range.end;
        }
        changed.extend_from_slice(&bytes[from..]);
        let (before, after) = (digest::hex(bytes), digest::hex(&changed));
        (Self { name: name.to_owned(), before, after, edits }, changed)
    }

    /// The hash of the content afterwards.
    pub fn after(&self) -> &str {
        &self.after
    }

    /// The content before; `None` if these bytes are not those that the change made.
    fn taken_back(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (mut before, mut from) = (Vec::with_capacity(bytes.len()), 0);
        for Edit { at, put, was } in &self.edits {
            before.extend_from_slice(bytes.get(from..*at)?);
            before.extend(from_hex(was)?);
            from = at.checked_add(*put)?;
        }
        before.extend_from_slice(bytes.get(from..)?);
        (digest::hex(&before) == self.before).then_some(before)
    }
}

fn in_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Which contents are one frame: by its hash now, the hash that it had first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SameFrames {
    first: HashMap<String, String>,
}

impl SameFrames {
    /// Those of the run in `directory`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(directory: &Path) -> Result<Self, JournalError> {
        Ok(State::read(directory)?.same())
    }

    /// By each hash, that of the frame's first content.
    pub fn into_first(self) -> HashMap<String, String> {
        self.first
    }

    /// The hash of the frame's first content.
    fn first<'h>(&'h self, hash: &'h str) -> &'h str {
        self.first.get(hash).map_or(hash, String::as_str)
    }
}

/// The changes of a log, by the content that each made.
#[derive(Default)]
struct State {
    by_after: HashMap<String, FileChange>,
    known: HashSet<String>,
}

impl State {
    fn read(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(FILE);
        let mut state = Self::default();
        let file = match files::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(state),
            file => file.map_err(JournalError::io(&path))?,
        };
        read_entries(&path, &file, |change: FileChange, _| {
            state.take_up(change);
            Ok(())
        })?;
        Ok(state)
    }

    /// A content that was there earlier has its own way back already.
    fn take_up(&mut self, change: FileChange) {
        self.known.insert(change.before.clone());
        if self.known.insert(change.after.clone()) {
            self.by_after.insert(change.after.clone(), change);
        }
    }

    fn same(&self) -> SameFrames {
        let first = self.by_after.keys().map(|after| {
            let mut first = after;
            while let Some(change) = self.by_after.get(first) {
                first = &change.before;
            }
            (after.clone(), first.clone())
        });
        SameFrames { first: first.collect() }
    }
}

/// The log of a run.
pub struct RatedFiles {
    log: JsonLog,
    state: State,
}

/// What an undo did.
#[derive(Debug, Default)]
pub struct Unrated {
    /// How many files have their first content again.
    pub back: usize,
    /// The names of the others, each with the reason.
    pub left: Vec<(String, String)>,
}

impl RatedFiles {
    /// The log of the run in `directory`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(directory: &RunDirectory) -> Result<Self, JournalError> {
        let mut state = State::default();
        let (log, _) = JsonLog::open(directory.output().join(FILE), |change: FileChange, _| {
            state.take_up(change);
            Ok(())
        })?;
        Ok(Self { log, state })
    }

    /// Whether the run in `directory` has one.
    pub fn is_there(directory: &Path) -> bool {
        directory.join(FILE).is_file()
    }

    /// Puts changes into the log, before any of them is made.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn announce<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c FileChange>,
    ) -> Result<(), JournalError> {
        for change in changes {
            self.log.append(change)?;
            self.state.take_up(change.clone());
        }
        self.log.sync()
    }

    /// Gives the records of frames that were changed the hash that their file has, if a killed
    /// process did not come to it; `root` is the folder of the run's images.
    ///
    /// # Errors
    /// [`RunDirectoryError`] if the journal cannot be read or written.
    pub fn settle(&self, directory: &RunDirectory, root: &Path) -> Result<(), RunDirectoryError> {
        let same = self.state.same();
        let (mut journal, known) = directory.journal(Duration::ZERO)?;
        let mut renewed = Vec::new();
        for (name, hash) in known.hashes().filter(|(_, hash)| self.state.known.contains(*hash)) {
            let now = files::open_unlinked(&root.join(path_of(name))).and_then(digest::hex_of);
            if let Ok(now) = now
                && now != hash
                && same.first(&now) == same.first(hash)
            {
                renewed.push((name.to_owned(), now));
            }
        }
        let mut reader = journal.reader(&known)?;
        for (name, hash) in renewed {
            let Some(record) = known.get(&name).and_then(|known| reader.read(known)) else {
                continue;
            };
            journal.append(&crate::record::Record { sha256: Some(hash), ..record })?;
        }
        Ok(journal.sync()?)
    }

    /// Brings back the first content of all files in `root`, the folder of the run's images, that
    /// the run changed and nobody else since.
    ///
    /// # Errors
    /// [`RunDirectoryError`] if the journal cannot be read or written.
    pub fn undo(
        &self,
        directory: &RunDirectory,
        root: &Path,
    ) -> Result<Unrated, RunDirectoryError> {
        self.settle(directory, root)?;
        let mut undone = Unrated::default();
        let (_, known) = directory.journal(Duration::ZERO)?;
        let changed: Vec<String> = known
            .hashes()
            .filter(|(_, hash)| self.state.by_after.contains_key(*hash))
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in changed {
            match self.take_back(&root.join(path_of(&name))) {
                Ok(()) => undone.back += 1,
                Err(error) => undone.left.push((name, error.to_string())),
            }
        }
        self.settle(directory, root)?;
        undone.left.sort_unstable();
        Ok(undone)
    }

    fn take_back(&self, path: &Path) -> io::Result<()> {
        let mut bytes = files::read_unlinked(path, MAX_BYTES)?;
        let changed = || io::Error::other("was changed since its rating was written");
        let mut hash = digest::hex(&bytes);
        if !self.state.by_after.contains_key(&hash) {
            return Err(changed());
        }
        while let Some(change) = self.state.by_after.get(&hash) {
            bytes = change.taken_back(&bytes).ok_or_else(changed)?;
            hash.clone_from(&change.before);
        }
        let permissions = path.symlink_metadata()?.permissions();
        files::replace_alike(path, &bytes, Some(permissions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_back_byte_for_byte() {
        let first = b"abcdef".as_slice();
        let (change, changed) =
            FileChange::of("a.png", first, &[(1..3, b"XYZ".to_vec()), (6..6, b"!".to_vec())]);
        assert_eq!(changed, b"aXYZdef!");
        assert_eq!(change.taken_back(&changed).as_deref(), Some(first));
        assert_eq!(change.taken_back(b"aXYZdeg!"), None);
        assert_eq!(change.taken_back(b"a"), None);
        let line = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<FileChange>(&line).unwrap(), change);
    }

    #[test]
    fn contents_of_one_frame_lead_to_its_first() {
        let change = |before: &str, after: &str| FileChange {
            name: String::new(),
            before: before.to_owned(),
            after: after.to_owned(),
            edits: Vec::new(),
        };
        let mut state = State::default();
        // Rated as keep, as reject, as keep again; and one that had its rating from the beginning.
        for (before, after) in [("0", "k"), ("k", "r"), ("r", "k"), ("x", "y"), ("y", "x")] {
            state.take_up(change(before, after));
        }
        let same = state.same();
        for (hash, first) in [("0", "0"), ("k", "0"), ("r", "0"), ("x", "x"), ("y", "x")] {
            assert_eq!(same.first(hash), first, "{hash}");
        }
        assert_eq!(same.first("other"), "other");
    }
}
