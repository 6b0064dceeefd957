//! The lock of a directory.
//!
//! In: a directory. Out: the right to write there, until it is dropped or the process dies: it is a
//! lock of the system, so it never outlives its process. The text in the file (the process and its
//! start) is for people, and tells a killed process from one that ended. Promises: a `.lock` of
//! somebody else is not written into.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::files;

/// The file's name in a directory.
pub(super) const FILE: &str = ".lock";

/// A directory that this process alone writes.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// The process that holds a lock, or held it when it was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number, on its machine.
    pub process: u32,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl Holder {
    fn this_process() -> Self {
        Self { process: std::process::id(), since: seconds_now() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = seconds_now().saturating_sub(self.since);
        write!(
            f,
            "process {}, begun {}:{:02}:{:02} ago",
            self.process,
            age / 3600,
            age / 60 % 60,
            age % 60
        )
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The result of asking for a lock.
pub(super) enum LockAttempt {
    /// It is held now. An earlier process that was killed is named.
    Taken(Lock, Option<Holder>),
    /// Another process has it.
    Held(Option<Holder>),
}

/// Asks for the lock of `directory`, without waiting.
///
/// # Errors
/// The file system's error, or that the file is a link or somebody else's. A file system without
/// locks is no error: directories there (some network shares) are used without.
pub(super) fn take(directory: &Path) -> io::Result<LockAttempt> {
    let path = directory.join(FILE);
    let mut file = files::open_to_write(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Held(read(&mut file))),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            tracing::warn!(
                "{}: no locks on this file system; make sure that no other process writes there",
                path.display()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if !is_ours(&mut file)? {
        return Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "a .lock is here that gemscope did not write: move it away",
        ));
    }
    let earlier = read(&mut file);
    let text = serde_json::to_vec(&Holder::this_process())?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)?;
    Ok(LockAttempt::Taken(Lock { file }, earlier))
}

/// Looks whether `directory` is locked, and makes no lock.
///
/// # Errors
/// The process that holds the lock, if it is known.
pub(super) fn look(directory: &Path) -> Result<(), Option<Holder>> {
    let Ok(mut file) = files::open_unlinked(&directory.join(FILE)) else { return Ok(()) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(read(&mut file)),
        _ => Ok(()),
    }
}

/// Whether the file is a [`Holder`] as it is written, or the beginning of one: a process may have
/// been killed while it wrote that.
fn is_ours(file: &mut File) -> io::Result<bool> {
    const MAX_LENGTH: u64 = 100;
    let mut text = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut text)?;
    file.rewind()?;
    let mut rest = text.as_slice();
    for part in [b"{\"process\":".as_slice(), b",\"since\":", b"}"] {
        match rest.strip_prefix(part) {
            Some(behind) => {
                rest = &behind[behind.iter().take_while(|byte| byte.is_ascii_digit()).count()..];
            }
            None => return Ok(part.starts_with(rest)),
        }
    }
    Ok(rest.is_empty())
}

/// The process that the file names. It only serves messages: `None` if it cannot be read.
fn read(file: &mut File) -> Option<Holder> {
    const MAX_LENGTH: u64 = 1000;
    let mut text = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file says that the process ended in order. If that cannot be written, the next
        // one only says too much.
        let _ = self.file.set_len(0);
    }
}
