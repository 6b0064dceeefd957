//! A server of models, as an engine.
//!
//! In: views as rows of pixels. Out: their answers, in the order in which the server gives them.
//! Promises: all questions about a view are asked in turn on one thread, so that the server's
//! prefix cache serves them; a cancelled view is forgotten, even if the server still works on it;
//! if the server fails, the answers that it gave before are returned first.

mod asked;
mod words;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::{Answered, Effort, Engine, EngineError, Learned, Shown, ViewForm};
use crate::server::{AskError, Server};

/// How long new views are waited for while the server could take more of them.
const WAIT_WITH_ROOM: Duration = Duration::from_millis(20);

/// States of a view.
const QUEUED: u8 = 0;
const ASKED: u8 = 1;
const DONE: u8 = 2;
const CANCELLED: u8 = 3;

/// A view on its way to a thread.
struct Job {
    shown: Shown,
    state: Arc<AtomicU8>,
}

/// The result of a view, from its thread.
type Outcome = (usize, Result<Learned, AskError>);

/// State shared by all threads.
struct Shared {
    server: Arc<Server>,
    words: words::ServerWords,
    jobs: Receiver<Job>,
    outcomes: Sender<Outcome>,
    /// The engine is gone, or the server.
    closed: AtomicBool,
    prompts: AtomicUsize,
    prompt_tokens: AtomicUsize,
    answer_tokens: AtomicUsize,
}

/// A server that is asked about several views at the same time.
pub struct ServerEngine {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    outcomes: Receiver<Outcome>,
    concurrency: usize,
    threads: usize,
    /// Views that are not answered, by their ids.
    open: HashMap<usize, Arc<AtomicU8>>,
    /// The error that ended the server; returned after its last answers.
    ended: Option<EngineError>,
}

impl ServerEngine {
    /// The engine of `server`.
    pub fn new(server: Arc<Server>) -> Self {
        let (jobs, queue) = crossbeam_channel::unbounded();
        let (done, outcomes) = crossbeam_channel::unbounded();
        let concurrency = server.concurrency();
        let shared = Arc::new(Shared {
            server,
            words: words::ServerWords::default(),
            jobs: queue,
            outcomes: done,
            closed: AtomicBool::new(false),
            prompts: AtomicUsize::new(0),
            prompt_tokens: AtomicUsize::new(0),
            answer_tokens: AtomicUsize::new(0),
        });
        Self { shared, jobs, outcomes, concurrency, threads: 0, open: HashMap::new(), ended: None }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// A thread that asks about one view after another.
    fn start_thread(&self) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            while let Ok(job) = shared.jobs.recv() {
                if !shared.work_on(job) {
                    break;
                }
            }
        });
    }

    /// Takes a result; it becomes an answer unless its view was cancelled.
    fn receive(&mut self, (id, outcome): Outcome, answered: &mut Vec<Answered>) {
        if self.open.remove(&id).is_none() {
            return;
        }
        let learned = match outcome {
            Ok(learned) => Ok(learned),
            Err(AskError::Cancelled) => return,
            Err(AskError::View(reason)) => Err(EngineError::new(reason)),
            Err(AskError::Server(reason)) => {
                self.ended.get_or_insert(EngineError::new(reason).at(id));
                return;
            }
        };
        answered.push(Answered { id, learned });
    }
}

impl Shared {
    /// Asks about a view. False if its thread is not needed any more: another one was started in
    /// its place.
    fn work_on(&self, Job { shown, state }: Job) -> bool {
        if state.compare_exchange(QUEUED, ASKED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return true;
        }
        let id = shown.id;
        let stop =
            || self.closed.load(Ordering::Acquire) || state.load(Ordering::Acquire) == CANCELLED;
        // A thread that ends without an outcome would be waited for for ever.
        let learned = catch_unwind(AssertUnwindSafe(|| self.learned(shown, &stop)));
        let outcome = learned
            .unwrap_or_else(|_| Err(AskError::View("the answer could not be read".to_owned())));
        let cancelled = state.swap(DONE, Ordering::AcqRel) == CANCELLED;
        // The engine may be gone.
        let sent = cancelled || self.outcomes.send((id, outcome)).is_ok();
        sent && !cancelled
    }
}

impl Drop for ServerEngine {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Engine for ServerEngine {
    fn view_form(&self) -> ViewForm {
        ViewForm::Rgb
    }

    fn submit(&mut self, shown: Shown) {
        let state = Arc::new(AtomicU8::new(QUEUED));
        self.open.insert(shown.id, Arc::clone(&state));
        if self.threads < self.concurrency {
            self.threads += 1;
            self.start_thread();
        }
        // Its receiver is in `shared`.
        let _ = self.jobs.send(Job { shown, state });
    }

    /// Counted in views: the questions about one are asked one after another.
    fn room(&self) -> usize {
        self.concurrency.saturating_sub(self.open.len())
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn advance(&mut self, wait: Duration) -> Result<Vec<Answered>, EngineError> {
        let mut answered = Vec::new();
        if self.ended.is_none() && !self.open.is_empty() {
            let wait = if self.room() > 0 { wait.min(WAIT_WITH_ROOM) } else { wait };
            if let Ok(outcome) = self.outcomes.recv_timeout(wait) {
                self.receive(outcome, &mut answered);
            }
        }
        while let Ok(outcome) = self.outcomes.try_recv() {
            self.receive(outcome, &mut answered);
        }
        if answered.is_empty()
            && let Some(error) = self.ended.take()
        {
            self.shared.closed.store(true, Ordering::Release);
            self.open.clear();
            return Err(error);
        }
        Ok(answered)
    }

    fn cancel(&mut self, id: usize) {
        let Some(state) = self.open.remove(&id) else { return };
        if state.swap(CANCELLED, Ordering::AcqRel) == ASKED {
            // Its thread may wait for the server for long, and ends then.
            self.start_thread();
        }
    }

    fn effort(&self) -> Effort {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Effort {
            prefill_runs: count(&self.shared.prompts),
            prefill_tokens: count(&self.shared.prompt_tokens),
            generated_tokens: count(&self.shared.answer_tokens),
            ..Effort::default()
        }
    }
}
