//! Images of the web, fetched before they are asked for.
//!
//! In: images in the order in which they will be asked for. Out: the bytes of each. Promises: a few
//! downloads are on their way at a time; the bytes that wait are bounded, whatever servers send;
//! the image that is needed next is never held up by those behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    there: BTreeMap<usize, (Result<Content, String>, u64)>,
    closed: bool,
}

impl State {
    /// Whether the image is the one that is needed next: all before it are taken.
    fn is_next(&self, index: usize) -> bool {
        self.missing.first() == Some(&index)
            && self.there.first_key_value().is_none_or(|(first, _)| *first > index)
    }
}

/// The right to hold an image's bytes.
pub(crate) struct Hold {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Ahead {
    /// Begins to fetch those of `images` that are `wanted`, by their places among them, and lie at
    /// addresses; `None` if there are none.
    pub(crate) fn begin(
        images: &[SourceImage],
        wanted: impl Fn(usize) -> bool,
        stop: &Arc<AtomicBool>,
    ) -> Option<Self> {
        Self::within(BYTES_AHEAD, images, wanted, stop)
    }

    fn within(
        capacity: u64,
        images: &[SourceImage],
        wanted: impl Fn(usize) -> bool,
        stop: &Arc<AtomicBool>,
    ) -> Option<Self> {
        let jobs: Vec<Job> = images
            .iter()
            .enumerate()
            .filter_map(|(index, image)| match &image.place {
                Ok(Place::Remote { file, span }) if wanted(index) => {
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
                // The one behind it may be the next now.
                self.shared.changed.notify_all();
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
            && !state.is_next(index)
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
            let fetch = || job.file.fetch(job.span, &mut Waiting { count: &mut count, stop });
            // Whoever waits for it must not wait for ever.
            let content = catch_unwind(AssertUnwindSafe(fetch))
                .unwrap_or_else(|_| Err("cannot be read".to_owned()));
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::path::PathBuf;

    use super::*;
    use crate::source::{Choice, WebOptions, list_chosen};

    /// A server that answers everything with so many bytes.
    fn serve(bytes: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {bytes}");
                let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes());
                let _ = stream.write_all(&vec![7; bytes]);
            }
        });
        origin
    }

    #[test]
    fn what_waits_is_bounded_and_comes_as_it_is_asked_for() {
        let origin = serve(600);
        let inputs: Vec<PathBuf> =
            (0..30).map(|index| format!("{origin}/{index:02}.png").into()).collect();
        let web = WebOptions { offline: true, ..WebOptions::default() };
        let source = list_chosen(&inputs, None, &Choice { web, ..Choice::default() }).unwrap();
        let wanted = |index: usize| index != 7;
        let ahead = Ahead::within(1000, &source.images, wanted, &Arc::default()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        // Those that fit, and the first one.
        assert!(ahead.shared.lock().held <= 1600);
        for index in 0..30 {
            let taken = ahead.take(index).map(|(content, _hold)| content.unwrap().size());
            assert_eq!(taken, (index != 7).then_some(600), "{index}");
        }
        assert_eq!(ahead.shared.lock().held, 0);
        ahead.close();
        assert!(ahead.take(0).is_none());
    }
}
