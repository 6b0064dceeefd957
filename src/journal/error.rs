//! Why the directory of a run cannot be written.

use std::io::ErrorKind;
use std::path::PathBuf;

use thiserror::Error;

use super::difference::Difference;
use super::json_log::JournalError;
use super::manifest::ManifestError;
use crate::ownership::{Holder, OwnershipError, named};

/// Why the directory of a run cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunDirectoryError {
    /// The directory holds something else.
    #[error(
        "{} is not empty and not a run (no run.json of gemscope in it): choose another `out`",
        .0.display()
    )]
    NotARun(PathBuf),
    /// Another process writes the run.
    #[error("{}: another process is writing this run{}", path.display(), named(holder.as_ref()))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, if it is known.
        holder: Option<Holder>,
    },
    /// Something in the directory is not gemscope's.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The directory cannot be used.
    #[error("{}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The directory holds a run that was made otherwise.
    #[error("{} holds a run with other settings:\n{}", path.display(), lines(differences))]
    OtherSettings {
        /// The directory.
        path: PathBuf,
        /// The differences.
        differences: Vec<Difference>,
    },
    /// The directory holds other answers about these images.
    #[error("{} holds other answers about {count} of these images, {first} among them",
        path.display())]
    OtherAnswers {
        /// The directory.
        path: PathBuf,
        /// How many images.
        count: usize,
        /// The first one.
        first: String,
    },
    /// Between the listing of the images and now.
    #[error("{}: another process has changed this run meanwhile; run the command again",
        .0.display())]
    ChangedMeanwhile(PathBuf),
    /// `run.json` cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl RunDirectoryError {
    /// Whether the disk is full: the run can go on once it has room.
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::Ownership(error) => error.is_full_disk(),
            Self::Journal(error) => error.is_full_disk(),
            Self::Directory { error, .. } | Self::Manifest(ManifestError::Io { error, .. }) => {
                error.kind() == ErrorKind::StorageFull
            }
            _ => false,
        }
    }
}

pub(super) fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("  {difference}")).collect::<Vec<_>>().join("\n")
}
