//! Receives the events of a run.

use crate::journal::{PairJournal, ResumeIndex, RunDirectory};
use crate::record::AnswerStatus;

/// Receives the events of opening a session and of a run. Every method does nothing unless it is
/// implemented; `()` is an observer that ignores everything.
pub trait Observer: Send + Sync {
    /// A sentence for the user.
    fn say(&self, _message: &str) {}

    /// The directory of a run is taken; `known` is the index of its journal.
    fn opened(&self, _directory: &RunDirectory, _known: &ResumeIndex) {}

    /// The directory of a run of pairs is taken; `journal` is its journal.
    fn pairs_opened(&self, _directory: &RunDirectory, _journal: &PairJournal) {}

    /// A run over this many images begins.
    fn begun(&self, _images: usize) {}

    /// The journal holds a new record of an image, synced to the disk.
    fn done(&self, _status: AnswerStatus) {}

    /// The journal had the record of an image already.
    fn resumed(&self) {}

    /// The run is over: all its images have a record, or it was stopped.
    fn ended(&self) {}
}

impl Observer for () {}
