//! Why a run stopped.

use thiserror::Error;

use crate::engine::EngineError;
use crate::journal::JournalError;

/// Why a run stopped. The journal holds all answers until then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing can be answered any more.
    #[error("{image}: {error}")]
    Engine {
        /// The image at which it happened.
        image: String,
        /// The reason.
        error: EngineError,
    },
    /// The threads for loading cannot be started.
    #[error("cannot start the loading threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl RunError {
    /// Whether the disk is full: the run can go on once it has room.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Journal(error) if error.is_full_disk())
    }
}
