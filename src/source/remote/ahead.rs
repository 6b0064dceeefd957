//! Images of the web, fetched before they are asked for.
//!
//! In: images in the order in which they will be asked for. Out: the bytes of each. Promises: a few
//! downloads are on their way at a time; the bytes that wait are bounded, whatever servers send;
//! the image that is needed next is never held up by those behind it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fetch::{RemoteFile, Waiting};
use crate::source::{Content, Place, SourceImage, Span};

/// Downloads on their way at a time.
const DOWNLOADS: usize = 8;
/// Bytes that wait, beside those of the image that is needed next.
const BYTES_AHEAD: u64 = 256 << 20;
/// How soon a run that is stopped is noticed.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// Downloads that run ahead of a run.
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

struct Shared {
    jobs: Vec<Job>,
    capacity: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// Raised once nothing is to be fetched any more.
    over: Arc<AtomicBool>,
}

struct Job {
    /// Which image.
    index: usize,
    file: Arc<RemoteFile>,
    span: Option<Span>,
}

#[derive(Default)]
struct State {
    /// The next of the jobs.
    next: usize,
    /// Bytes of downloads that are on their way, or wait to be taken.
    held: u64,
    /// Images that are not there yet.
    missing: BTreeSet<usize>,
    /// Those that are, and the bytes that are held for each.
    there: HashMap<usize, (Result<Content, String>, u64)>,
    closed: bool,
}

/// The right to hold an image's bytes.
pub(crate) struct Hold {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Ahead {
    /// Begins to fetch those of `images` that are `wanted` and lie at addresses; `None` if there
    /// are none.
    pub(crate) fn begin(
        images: &[SourceImage],
        wanted: impl Fn(&SourceImage) -> bool,
        stop: &Arc<AtomicBool>,
    ) -> Option<Self> {
        Self::within(BYTES_AHEAD, images, wanted, stop)
    }

    fn within(
        capacity: u64,
        images: &[SourceImage],
        wanted: impl Fn(&SourceImage) -> bool,
        stop: &Arc<AtomicBool>,
    ) -> Option<Self> {
        let jobs: Vec<Job> = images
            .iter()
            .enumerate()
            .filter_map(|(index, image)| match &image.place {
                Ok(Place::Remote { file, span }) if wanted(image) => {
                    Some(Job { index, file: Arc::clone(file), span: *span })
                }
                _ => None,
            })
            .collect();
        if jobs.is_empty() {
            return None;
        }
        let missing = jobs.iter().map(|job| job.index).collect();
        let downloads = DOWNLOADS.min(jobs.len());
        let state = Mutex::new(State { missing, ..State::default() });
        let shared = Arc::new(Shared {
            jobs,
            capacity,
            state,
            changed: Condvar::new(),
            over: Arc::default(),
        });
        for _ in 0..downloads {
            let shared = Arc::clone(&shared);
            // Not joined: a stopped run does not wait for a server that is silent.
            std::thread::spawn(move || shared.work());
        }
        Some(Self { shared, stop: Arc::clone(stop) })
    }

    /// The content of the image at `index` among those that it was begun with, once it is there;
    /// `None` if it is not fetched here, or the run is over.
    pub(crate) fn take(&self, index: usize) -> Option<(Result<Content, String>, Hold)> {
        let mut state = self.shared.lock();
        loop {
            if let Some((content, bytes)) = state.there.remove(&index) {
                return Some((content, Hold { shared: Arc::clone(&self.shared), bytes }));
            }
            if state.closed || !state.missing.contains(&index) {
                return None;
            }
            if self.stop.load(Ordering::Relaxed) {
                drop(state);
                self.close();
                return None;
            }
            let waited = self.shared.changed.wait_timeout(state, STOP_CHECK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nothing more is fetched or waited for.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.lock().held -= self.bytes;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and a count stays a count.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` once there is none, or all is over.
    fn next(&self) -> Option<&Job> {
        let mut state = self.lock();
        // A download that has begun should not have to wait.
        while !state.closed && state.held > self.capacity / 2 {
            state = self.wait(state);
        }
        if state.closed {
            return None;
        }
        let job = self.jobs.get(state.next)?;
        state.next += 1;
        Some(job)
    }

    /// Holds `bytes` more for the image at `index`, once there is room; `false` once all is over.
    fn hold(&self, index: usize, bytes: u64) -> bool {
        let mut state = self.lock();
        while !state.closed
            && state.held.saturating_add(bytes) > self.capacity
            && state.missing.first() != Some(&index)
        {
            state = self.wait(state);
        }
        state.held += bytes;
        !state.closed
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            let mut held = 0;
            let mut count = |bytes| {
                held += bytes;
                self.hold(job.index, bytes)
            };
            let stop = Some(Arc::clone(&self.over));
            let content = job.file.fetch(job.span, &mut Waiting { count: &mut count, stop });
            let mut state = self.lock();
            // A failure holds nothing, and a file that was begun anew what it has.
            let size = content.as_ref().map_or(0, Content::size);
            state.held = state.held - held + size;
            state.missing.remove(&job.index);
            state.there.insert(job.index, (content, size));
            self.changed.notify_all();
        }
    }
}
