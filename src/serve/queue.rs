//! One model, one batch after another.
//!
//! In: images, each with a question. Out: their records, from the journal or from the model.
//! Promises: what is being asked or was answered is not asked again; no more images wait than the
//! queue holds; a record is on disk before it is given out; two images that were sent under one
//! name have a line each in exports, also if one of them is called as a file is; nobody waits for a
//! server that ends, and only those who look into the journal wait for the disk.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use tokio::sync::oneshot;

use super::memory::Share;
use super::question::Question;
use super::reply::Refusal;
use super::{ServeError, Served};
use crate::journal::{AnswerJournal, RunDirectoryError};
use crate::record::{AnswerStatus, Record};
use crate::session::{BatchContent, BatchImage, DetectConfig, KeptBatches, Session, SessionError};

/// The most images that the model is at work on together.
const BATCH: usize = 8;
/// The most pixels of a batch; a larger image is one by itself.
const BATCH_PIXELS: u64 = 64 << 20;
/// How often the worker checks whether it is to end.
const POLL: Duration = Duration::from_millis(100);
/// Characters of a hash in the name of an image whose own name is another's.
const HASH_IN_NAME: usize = 8;

/// An image, and the question about it. Cheap to clone.
#[derive(Clone)]
pub(super) struct QueuedImage {
    /// Its name in the journal, unless that already stands for other content.
    pub(super) name: String,
    /// Whether it is a file of that name: then newer content takes the place of the older.
    pub(super) is_file: bool,
    /// The hash of its bytes.
    pub(super) sha256: String,
    /// The bytes of its file.
    pub(super) bytes: Arc<Vec<u8>>,
    /// Pixels that the file claims.
    pub(super) pixels: u64,
    /// The question.
    pub(super) question: Arc<Question>,
    /// The memory that its bytes take.
    pub(super) _share: Arc<Share>,
}

/// The record of an image, or why there is none.
pub(super) type Answer = Result<Arc<Record>, Refusal>;
/// Gives the answer, once it is there.
pub(super) type PendingAnswer = oneshot::Receiver<Answer>;

/// A hash of content and the question.
type Key = (String, String, Vec<String>);

/// Images that wait for the model, and answers that are known.
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    more: Condvar,
    journal: Mutex<AnswerJournal>,
    asked: AtomicUsize,
    known: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Key, QueuedImage)>,
    /// Who waits for each that is waiting or being asked about.
    listeners: HashMap<Key, Vec<Listener>>,
    /// How many images were told of.
    told: u64,
    closed: bool,
}

/// Who waits for an answer, and what the image is called there.
struct Listener {
    name: String,
    sender: oneshot::Sender<Answer>,
}

impl Queue {
    pub(super) fn new(capacity: usize, journal: AnswerJournal) -> Self {
        let count = AtomicUsize::default;
        Self {
            capacity: capacity.max(1),
            state: Mutex::default(),
            more: Condvar::new(),
            journal: Mutex::new(journal),
            asked: count(),
            known: count(),
            refused: count(),
            failed: count(),
        }
    }

    /// How many answers the journal has.
    pub(super) fn known(&self) -> usize {
        self.journal().len()
    }

    /// How many images wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Whether an image would be refused for a full queue now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= self.capacity
    }

    pub(super) fn served(&self) -> Served {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Served {
            asked: count(&self.asked),
            known: count(&self.known),
            refused: count(&self.refused),
            failed: count(&self.failed),
        }
    }

    /// Puts an image into the queue, unless its answer is known or on its way. Reads a line of the
    /// journal.
    ///
    /// # Errors
    /// 503 if the queue is full or the server ends.
    pub(super) fn submit(&self, image: QueuedImage) -> Result<PendingAnswer, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let labels = image.question.task.labels().to_vec();
        let key = (image.sha256.clone(), image.question.hash.clone(), labels);
        // How many were told of before the journal was looked into.
        let mut looked = None;
        let mut state = loop {
            let mut state = self.state();
            if state.closed {
                return Err(Refusal::busy("the server ends"));
            }
            if let Some(listeners) = state.listeners.get_mut(&key) {
                listeners.push(Listener { name: image.name, sender });
                self.known.fetch_add(1, Ordering::Relaxed);
                return Ok(receiver);
            }
            // An answer is in the journal before its listeners are told: it is not there if none
            // were told since.
            if looked == Some(state.told) {
                break state;
            }
            looked = Some(state.told);
            // The journal may be on its way to the disk, and nobody else is to wait for that.
            drop(state);
            if let Some(record) = self.known_record(&key, &image) {
                self.known.fetch_add(1, Ordering::Relaxed);
                let _ = sender.send(Ok(Arc::new(record)));
                return Ok(receiver);
            }
        };
        if state.waiting.len() >= self.capacity {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::busy("the queue is full: try again"));
        }
        let first = Listener { name: image.name.clone(), sender };
        state.listeners.insert(key.clone(), vec![first]);
        state.waiting.push_back((key, image));
        drop(state);
        self.more.notify_one();
        Ok(receiver)
    }

    /// The journal's record of what `key` asks. Under a name that is another image's, it keeps the
    /// one that it has in the journal.
    fn known_record(&self, key: &Key, image: &QueuedImage) -> Option<Record> {
        let journal = self.journal();
        let record = journal.find(&key.0, &key.1, &key.2)?;
        let is_taken = journal.is_taken(&image.name, &image.sha256);
        let name = if is_taken { record.image.clone() } else { image.name.clone() };
        Some(Record { image: name, ..record })
    }

    /// Whether it takes no more images.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Takes no more images; those that wait are told.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        for listener in state.listeners.drain().flat_map(|(_, listeners)| listeners) {
            let _ = listener.sender.send(Err(Refusal::busy("the server ends")));
        }
        drop(state);
        self.more.notify_all();
    }

    /// The next images that are asked the same; `None` once the queue is closed.
    fn next(&self, stop: &AtomicBool) -> Option<Vec<(Key, QueuedImage)>> {
        let mut state = self.state();
        loop {
            if state.closed || stop.load(Ordering::Relaxed) {
                return None;
            }
            let State { waiting, listeners, .. } = &mut *state;
            // Clients that are gone are not answered.
            waiting.retain(|(key, _)| {
                let wanted = listeners.get(key).is_some_and(|listeners| {
                    listeners.iter().any(|waits| !waits.sender.is_closed())
                });
                if !wanted {
                    listeners.remove(key);
                }
                wanted
            });
            if let Some(first) = waiting.pop_front() {
                let mut pixels = first.1.pixels;
                let question = Arc::clone(&first.1.question);
                let mut batch = vec![first];
                let mut others = VecDeque::with_capacity(waiting.len());
                while let Some(next) = waiting.pop_front() {
                    let fits = pixels.saturating_add(next.1.pixels) <= BATCH_PIXELS;
                    if batch.len() < BATCH && fits && next.1.question == question {
                        pixels += next.1.pixels;
                        batch.push(next);
                    } else {
                        others.push_back(next);
                    }
                }
                *waiting = others;
                return Some(batch);
            }
            let waited = self.more.wait_timeout(state, POLL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives an answer about the image that was submitted as `name` to all who wait for it. Each
    /// sees the name that it gave the image; under `name`, the one in the journal.
    fn tell(&self, key: &Key, name: &str, answer: &Answer) {
        let mut state = self.state();
        let listeners = state.listeners.remove(key).unwrap_or_default();
        state.told += 1;
        drop(state);
        let count = if answer.is_ok() { &self.asked } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        for listener in listeners {
            let renamed = |record: &Arc<Record>| {
                if listener.name == name {
                    Arc::clone(record)
                } else {
                    Arc::new(Record { image: listener.name.clone(), ..Record::clone(record) })
                }
            };
            let answer = answer.as_ref().map(renamed).map_err(Clone::clone);
            let _ = listener.sender.send(answer);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, AnswerJournal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one thread that asks the model and writes the journal.
pub(super) struct Worker {
    pub(super) session: Session<'static>,
    pub(super) config: DetectConfig,
    pub(super) kept: KeptBatches,
    pub(super) queue: Arc<Queue>,
}

impl Worker {
    /// Asks until `stop` is raised or the queue is closed.
    ///
    /// # Errors
    /// [`ServeError`] if the journal cannot be written; all who wait are told.
    pub(super) fn work(mut self, stop: &AtomicBool) -> Result<(), ServeError> {
        let queue = Arc::clone(&self.queue);
        let mut worked = Ok(());
        while let Some(batch) = queue.next(stop) {
            worked = self.answer(&batch, stop);
            if worked.is_err() {
                break;
            }
        }
        queue.close();
        worked
    }

    fn answer(
        &mut self,
        batch: &[(Key, QueuedImage)],
        stop: &AtomicBool,
    ) -> Result<(), ServeError> {
        let records = match self.records(batch, stop) {
            Ok(records) => records,
            Err(error @ SessionError::Directory(_)) => return Err(error.into()),
            Err(error) => {
                let refusal = match error {
                    SessionError::Stopped => Refusal::busy("the server ends"),
                    error => {
                        tracing::error!("the model does not answer: {error}");
                        Refusal::new(StatusCode::BAD_GATEWAY, error.to_string())
                    }
                };
                for (key, image) in batch {
                    self.queue.tell(key, &image.name, &Err(refusal.clone()));
                }
                return Ok(());
            }
        };
        let answered: Vec<&Record> =
            records.iter().filter(|record| record.status != AnswerStatus::Failed).collect();
        if !answered.is_empty() {
            self.queue.journal().append(&answered).map_err(RunDirectoryError::from)?;
        }
        for ((key, image), record) in batch.iter().zip(records) {
            let answer = match (record.status, &record.reason) {
                (AnswerStatus::Failed, reason) => {
                    // An image that was not decoded is at fault itself.
                    let status = if record.width == 0 {
                        StatusCode::UNPROCESSABLE_ENTITY
                    } else {
                        StatusCode::BAD_GATEWAY
                    };
                    Err(Refusal::new(status, reason.clone().unwrap_or_default()))
                }
                _ => Ok(Arc::new(record)),
            };
            self.queue.tell(key, &image.name, &answer);
        }
        Ok(())
    }

    /// The model's records of a batch, as the journal keeps them.
    fn records(
        &mut self,
        batch: &[(Key, QueuedImage)],
        stop: &AtomicBool,
    ) -> Result<Vec<Record>, SessionError> {
        let Some((_, first)) = batch.first() else { return Ok(Vec::new()) };
        let question = Arc::clone(&first.question);
        let labels = question.task.labels().to_vec();
        if self.config.task.as_ref() != Some(&question.task) {
            let task = Some(question.task.clone());
            let config = DetectConfig { task, ..self.config.clone() };
            self.session.ask(config.clone())?;
            self.config = config;
            self.kept.asking(&labels)?;
        }
        let names = self.names(batch);
        let images: Vec<BatchImage<'_>> = batch
            .iter()
            .zip(names)
            .map(|((_, image), name)| BatchImage {
                name,
                content: BatchContent::Bytes(Cow::Borrowed(image.bytes.as_slice())),
            })
            .collect();
        let mut records = self.session.answer(&images, &|| stop.load(Ordering::Relaxed))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0.0, |now| now.as_secs_f64());
        for (record, (_, image)) in records.iter_mut().zip(batch) {
            record.asked = Some(labels.clone());
            record.sent = !image.is_file;
            if let Some(timings) = &mut record.timings {
                timings.finished = now;
            }
        }
        Ok(records)
    }

    /// The names of a batch in the journal. A name that was given to other content gets a part of
    /// the hash, since exports have one line a name.
    fn names(&self, batch: &[(Key, QueuedImage)]) -> Vec<String> {
        let journal = self.queue.journal();
        let mut names: Vec<String> = Vec::with_capacity(batch.len());
        for (_, image) in batch {
            let in_batch = || {
                let mut others = batch.iter().zip(&names);
                others.any(|((_, other), name)| *name == image.name && other.sha256 != image.sha256)
            };
            let is_taken = journal.is_taken(&image.name, &image.sha256) || in_batch();
            // Newer content of a file takes the place of the older, and not of an image that was
            // sent.
            let sent_in_batch = || {
                let mut others = batch.iter().zip(&names);
                others.any(|((_, other), name)| *name == image.name && !other.is_file)
            };
            let replaces = image.is_file
                && !journal.is_taken_by_sent(&image.name, &image.sha256)
                && !sent_in_batch();
            if is_taken && replaces {
                tracing::warn!("{:?} has other content now: exports show that", image.name);
            }
            names.push(if is_taken && !replaces {
                let name = name_with_hash(&image.name, &image.sha256);
                tracing::warn!("{:?} was another image before: this one is {name:?}", image.name);
                name
            } else {
                image.name.clone()
            });
        }
        names
    }
}

/// The name with a part of the content's hash before its extension: `a/b-0123abcd.jpg`.
fn name_with_hash(name: &str, sha256: &str) -> String {
    let hash = &sha256[..sha256.len().min(HASH_IN_NAME)];
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => {
            let (stem, extension) = name.split_at(file + dot);
            format!("{stem}-{hash}{extension}")
        }
        None => format!("{name}-{hash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_stands_before_the_extension() {
        let sha256 = "0123456789abcdef";
        for (name, with_hash) in [
            ("a.jpg", "a-01234567.jpg"),
            ("a.b/c", "a.b/c-01234567"),
            ("a/.hidden", "a/.hidden-01234567"),
            ("b.tar.png", "b.tar-01234567.png"),
        ] {
            assert_eq!(name_with_hash(name, sha256), with_hash);
        }
    }

    fn image(name: &str) -> QueuedImage {
        let task = crate::record::Task::Labels(vec!["cat".to_owned()]);
        QueuedImage {
            name: name.to_owned(),
            is_file: false,
            sha256: crate::digest::hex(name.as_bytes()),
            bytes: Arc::default(),
            pixels: 1,
            question: Arc::new(Question { task, hash: "q".to_owned() }),
            _share: Arc::new(super::super::memory::Memory::new(1024).reserve_image(1).unwrap()),
        }
    }

    #[test]
    fn nobody_waits_for_the_journal_but_who_looks_into_it() {
        let dir = tempfile::tempdir().unwrap();
        let journal = AnswerJournal::open(dir.path()).unwrap();
        let queue = Arc::new(Queue::new(2, journal));
        // As while it is on its way to the disk.
        let writing = queue.journal();
        let shared = Arc::clone(&queue);
        let submitting = std::thread::spawn(move || shared.submit(image("a.png")).is_ok());
        let (sent, counted) = std::sync::mpsc::channel();
        let shared = Arc::clone(&queue);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            sent.send(shared.is_full()).unwrap();
        });
        assert_eq!(counted.recv_timeout(Duration::from_secs(10)), Ok(false));
        assert!(!submitting.is_finished(), "it may be answered already");
        drop(writing);
        assert!(submitting.join().unwrap());
        assert_eq!(queue.waiting(), 1);
        // The same question joins it.
        assert!(queue.submit(image("a.png")).is_ok());
        assert_eq!((queue.waiting(), queue.served().known), (1, 1));
    }
}
