//! Who is told what happens.

use crate::journal::{Known, PairJournal, RunDirectory};
use crate::record::AnswerStatus;

/// Receives what happens while a session is opened and while a run goes on. Every method does
/// nothing unless it is implemented; `()` is an observer that hears nothing.
pub trait Observer: Send + Sync {
    /// A sentence for the user.
    fn say(&self, _message: &str) {}

    /// The directory of a run is taken; `known` is what its journal holds.
    fn opened(&self, _directory: &RunDirectory, _known: &Known) {}

    /// The directory of a run of pairs is taken; `journal` is what it holds.
    fn pairs_opened(&self, _directory: &RunDirectory, _journal: &PairJournal) {}

    /// A run over so many images begins.
    fn begun(&self, _images: usize) {}

    /// The journal holds a new record of an image, synced to the disk.
    fn done(&self, _status: AnswerStatus) {}

    /// The journal had the record of an image already.
    fn resumed(&self) {}

    /// The run is over: all its images have a record, or it was stopped.
    fn ended(&self) {}
}

impl Observer for () {}
