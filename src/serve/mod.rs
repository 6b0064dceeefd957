//! A local server for the tools that draw boxes.
//!
//! In: a session, an address, and requests over HTTP: X-AnyLabeling's remote protocol, Label
//! Studio's ML backend, and `POST /v1/detect`. Out: detections, and a journal of all answers.
//! Promises: one question is asked of the model once, also after a restart; an answer is in the
//! journal before it is sent; the queue, bodies, images, pixels, questions and connections are
//! bounded, and what is too much is a 503, a 413 or a 400; only programs of this machine are served,
//! unless a token is set; a web page can ask nothing; no private address is fetched from unless the
//! user named it.
//!
//! The way of a request: `guard` (who asks) -> `memory` (how much) -> `detect`, `any_labeling` or
//! `label_studio` (which protocol) -> `question` (what is asked) -> `queue` (the model, one batch
//! after another).

mod any_labeling;
mod detect;
mod fetch;
mod guard;
mod label_studio;
mod listener;
mod memory;
mod pictures;
mod question;
mod queue;
mod reply;
mod routes;
mod sheet;
mod site;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::journal::RunDirectoryError;
use crate::session::{DetectConfig, KeptBatches, Session, SessionError};

pub use fetch::LabelStudioOptions;
use listener::Listener;
use queue::{Queue, Worker};
pub use sheet::SheetServer;
use site::Site;

/// How long answers that are ready may take on their way out when the server ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(700);
/// Why a server does not begin, or ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another machine could ask.
    #[error(
        "{0} can be reached from other machines: a server there needs a token (`token`), or listen \
         on 127.0.0.1"
    )]
    NeedsToken(SocketAddr),
    /// A token that protects nothing.
    #[error("the token is shorter than {least} characters: choose a longer one (`token`)")]
    ShortToken {
        /// The fewest characters.
        least: usize,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
    /// A setting that is no address of a web server.
    #[error("{url:?} is no address of a server: begin it with http:// or https:// (`{setting}`)")]
    Url {
        /// The setting.
        setting: &'static str,
        /// What it says.
        url: String,
    },
    /// The system gives no thread.
    #[error("cannot begin: {0}")]
    Threads(io::Error),
    /// A run without a contact sheet.
    #[error(
        "{} has no contact sheet (sheet/index.html): `critique --report-only --export sheet` writes \
         it",
        .0.display()
    )]
    NoSheet(PathBuf),
    /// A contact sheet is for this machine alone.
    #[error("{0} can be reached from other machines: a contact sheet is shown on 127.0.0.1 alone")]
    OnlyHere(SocketAddr),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] RunDirectoryError),
    /// An error of the session.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Where a server listens, and how much it takes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Where it listens; port 0 is any free one.
    pub address: SocketAddr,
    /// The token that every request must have; needed for an address that is not loopback.
    pub token: Option<String>,
    /// The most images that wait for the model.
    pub queue: usize,
    /// The most bytes of a body.
    pub max_body: u64,
    /// The most pixels of an image.
    pub max_pixels: u64,
    /// The folder of the images that requests name by their paths; without it, images are sent.
    pub images: Option<PathBuf>,
    /// The settings for Label Studio, and for images on the web.
    pub label_studio: LabelStudioOptions,
}

impl ServeOptions {
    /// The fewest characters of a token.
    pub const LEAST_TOKEN: usize = 16;

    /// A server on 127.0.0.1 with the usual limits.
    pub fn on_port(port: u16) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            token: None,
            queue: 64,
            max_body: 64 << 20,
            max_pixels: crate::image::MAX_PIXELS,
            images: None,
            label_studio: LabelStudioOptions::default(),
        }
    }
}

/// How many requests for an image ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Images that the model answered about.
    pub asked: usize,
    /// Answers that were in the journal, or on their way to it.
    pub known: usize,
    /// Images that were refused because the queue was full.
    pub refused: usize,
    /// Images that could not be read or answered.
    pub failed: usize,
}

/// A server that has its address, and its model loaded.
pub struct Server {
    listener: Listener,
    site: Arc<Site>,
    worker: Worker,
}

impl Server {
    /// Takes the address. `session` was opened with `config`, whose task is that of requests which
    /// name none; `kept` is what [`Session::keep_batches`] gave.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind(
        session: Session<'static>,
        config: DetectConfig,
        kept: KeptBatches,
        options: ServeOptions,
    ) -> Result<Self, ServeError> {
        let local = options.address.ip().is_loopback();
        match &options.token {
            None if !local => return Err(ServeError::NeedsToken(options.address)),
            Some(token) if token.chars().count() < ServeOptions::LEAST_TOKEN => {
                return Err(ServeError::ShortToken { least: ServeOptions::LEAST_TOKEN });
            }
            _ => {}
        }
        let queue = Arc::new(Queue::new(options.queue, kept.directory.answers()?));
        let address = options.address;
        let site = Site::new(&session, config.clone(), Arc::clone(&queue), options)?;
        let listener = Listener::bind(address)?;
        let worker = Worker { session, config, kept, queue };
        Ok(Self { listener, site: Arc::new(site), worker })
    }

    /// The address that it has.
    ///
    /// # Errors
    /// The system's reason.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// How many answers its journal has.
    pub fn known(&self) -> usize {
        self.worker.queue.known()
    }

    /// Serves until `stop` is raised, or the journal cannot be written. A batch that the model is
    /// at work on is then given up; its requests are told so.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn run(self, stop: &Arc<AtomicBool>) -> Result<Served, ServeError> {
        let Self { listener, site, worker } = self;
        let queue = Arc::clone(&worker.queue);
        let (ended, worker_ended) = mpsc::channel();
        let (over, work_stop) = (Arc::new(AtomicBool::new(false)), Arc::clone(stop));
        let worker_over = Arc::clone(&over);
        std::thread::Builder::new()
            .name("gemscope-model".to_owned())
            .spawn(move || {
                // Also after a panic: nobody waits for a thread that is gone.
                let ends = EndServer { queue: Arc::clone(&worker.queue), over: worker_over };
                let worked = worker.work(&work_stop);
                drop(ends);
                // Nobody listens any more if the server has ended without it.
                let _ = ended.send(worked);
            })
            .map_err(ServeError::Threads)?;
        let is_over = || stop.load(Ordering::Relaxed) || over.load(Ordering::Relaxed);
        let shared = Arc::clone(&site);
        let connections = listener.accept(&is_over, move |request| {
            let site = Arc::clone(&shared);
            async move { routes::respond(&site, request).await }
        });
        queue.close();
        // A step of the model that takes longer is not waited for: what was answered is on disk.
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        let mut worked = None;
        connections.run_until(deadline, || {
            worked = worker_ended.try_recv().ok();
            worked.is_some()
        });
        connections.run_until(deadline, || connections.are_closed() || !site.is_answering());
        connections.leave();
        worked.unwrap_or(Ok(()))?;
        Ok(queue.served())
    }
}

/// Ends the server when it is dropped: with the model's thread.
struct EndServer {
    queue: Arc<Queue>,
    over: Arc<AtomicBool>,
}

impl Drop for EndServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.queue.close();
    }
}
