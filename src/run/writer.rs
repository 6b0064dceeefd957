//! The one thread that writes the journal and counts.
//!
//! In: the results of images, in any order. Out: the journal, the observer's events, and the counts
//! of images. Promises: an image counts as done once its record is on disk.

use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::observer::Observer;
use crate::journal::{Journal, JournalError};
use crate::record::{Record, Stages};

/// The result of one image.
pub(super) enum Done {
    /// The journal has its record already.
    Resumed,
    /// The journal has its answer under an earlier name: its record, under the name of now.
    Renamed(Box<Record>),
    /// Its record of now.
    New(Box<Record>),
    /// The journal has its record, which stays: this one says why it was not asked again.
    NotAskedAgain(Box<Record>),
}

/// How many images came through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// Images of which the journal had a record.
    pub(super) resumed: usize,
    /// Those of them that have another name now.
    pub(super) renamed: usize,
    /// Frames that keep their record, since they could not be asked again.
    pub(super) not_asked_again: usize,
    /// Images with a new record.
    pub(super) new: usize,
}

/// Writes until all senders are gone.
///
/// # Errors
/// [`JournalError`]; records that were appended before are in the journal.
pub(super) fn write_all(
    done: &Receiver<Done>,
    journal: &mut Journal,
    observer: &dyn Observer,
) -> Result<Written, JournalError> {
    let mut written = Written::default();
    let mut unsynced = Vec::new();
    loop {
        let received = match journal.due() {
            Some(due) => done.recv_deadline(due),
            None => done.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(Done::Resumed) => {
                written.resumed += 1;
                observer.resumed();
            }
            Ok(Done::Renamed(record)) => {
                journal.append(&record)?;
                tracing::info!(
                    image = record.image,
                    earlier = record.moved_from,
                    "image has another name"
                );
                written.resumed += 1;
                written.renamed += 1;
                observer.resumed();
            }
            Ok(Done::NotAskedAgain(record)) => {
                let reason = record.reason.unwrap_or_default();
                observer.say(&format!(
                    "{}: not asked again, and its earlier answers stay: {reason}",
                    record.image
                ));
                written.not_asked_again += 1;
                observer.resumed();
            }
            Ok(Done::New(mut record)) => {
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
            written.new += unsynced.len();
            unsynced.drain(..).for_each(|status| observer.done(status));
        }
    }
    journal.sync()?;
    written.new += unsynced.len();
    unsynced.drain(..).for_each(|status| observer.done(status));
    observer.ended();
    Ok(written)
}

fn say(record: &Record) {
    let Stages { read, prepare, answer } = record.timings.unwrap_or_default().stages;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;

    /// The result of [`write_all`] for `records` that come at once, and how often it synced the
    /// journal.
    fn written(sync_every: Duration, records: usize) -> (Written, usize) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path(), sync_every).unwrap();
        let (sender, done) = crossbeam_channel::unbounded();
        for index in 0..records {
            sender
                .send(Done::New(Box::new(Record::failed(index.to_string(), String::new()))))
                .unwrap();
        }
        sender.send(Done::Resumed).unwrap();
        drop(sender);
        let written = write_all(&done, &mut journal, &()).unwrap();
        (written, journal.syncs.load(Ordering::Relaxed))
    }

    #[test]
    fn records_are_synced_as_often_as_was_asked() {
        let (each, syncs) = written(Duration::ZERO, 3);
        assert_eq!((each.new, each.resumed, syncs), (3, 1, 4), "each record, and once at the end");
        let (all, syncs) = written(Duration::from_hours(1), 3);
        assert_eq!((all.new, all.resumed, syncs), (3, 1, 1));
    }

    #[test]
    fn a_record_is_synced_in_time_though_no_other_comes() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path(), Duration::from_millis(10)).unwrap();
        let syncs = std::sync::Arc::clone(&journal.syncs);
        let (sender, done) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || write_all(&done, &mut journal, &()).unwrap());
            sender
                .send(Done::New(Box::new(Record::failed("a.png".into(), String::new()))))
                .unwrap();
            let begun = Instant::now();
            while syncs.load(Ordering::Relaxed) == 0 {
                assert!(
                    begun.elapsed() < Duration::from_mins(1),
                    "the record stays unsynced while the channel is open"
                );
                std::thread::sleep(Duration::from_millis(2));
            }
            drop(sender);
            assert_eq!(writer.join().unwrap().new, 1);
        });
    }
}
