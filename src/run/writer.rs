//! The one thread that writes the journal and counts.
//!
//! In: what came of every image, in any order. Out: the journal, the progress bar, and how many images were known. Promises: an image counts as done
//! once its record is on disk.

use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::journal::{Journal, JournalError};
use super::progress::Progress;
use crate::record::{Record, Timings};

/// What came of an image.
pub(super) enum Done {
    /// The journal has its record already.
    Known,
    /// Its record of now.
    Now(Box<Record>),
}

/// How many images came through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// Those of which the journal had a record.
    pub(super) known: usize,
    /// Those of which it has one now.
    pub(super) now: usize,
}

/// Writes until nobody sends any more.
///
/// # Errors
/// [`JournalError`]; what was appended before is in the journal.
pub(super) fn write_all(
    done: &Receiver<Done>,
    journal: &mut Journal,
    progress: &mut Progress,
) -> Result<Written, JournalError> {
    let mut written = Written::default();
    let mut unsynced = Vec::new();
    loop {
        let received = match journal.due() {
            Some(due) => done.recv_deadline(due),
            None => done.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(Done::Known) => {
                written.known += 1;
                progress.resumed();
            }
            Ok(Done::Now(mut record)) => {
                if let Some(timings) = &mut record.timings {
                    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                    timings.finished = now.map_or(0.0, |now| now.as_secs_f64());
                }
                journal.append(&record)?;
                say(&record);
                unsynced.push(record.status);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if journal.due().is_some_and(|due| due <= Instant::now()) {
            journal.sync()?;
            written.now += unsynced.len();
            unsynced.drain(..).for_each(|status| progress.done(status));
        }
    }
    journal.sync()?;
    written.now += unsynced.len();
    unsynced.drain(..).for_each(|status| progress.done(status));
    progress.finish();
    Ok(written)
}

fn say(record: &Record) {
    let Timings { read, prepare, answer, .. } = record.timings.unwrap_or_default();
    let (status, detections) = (record.status.as_str(), record.detections.len());
    tracing::info!(
        image = record.image,
        status,
        reason = record.reason,
        detections,
        read,
        prepare,
        answer,
        "image done"
    );
}
