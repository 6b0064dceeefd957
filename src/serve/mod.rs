//! A local server for the tools that draw boxes.
//!
//! In: a session, an address, and requests over HTTP: X-AnyLabeling's remote protocol, Label
//! Studio's ML backend, and `POST /v1/detect`. Out: detections, and a journal of all answers.
//! Promises: one question is asked of the model once, also after a restart; an answer is in the
//! journal before it is sent; the queue, bodies, pixels and connections are bounded, and what is too
//! much is a 503 or a 413; only programs of this machine are served, unless a token is set; a web
//! page can ask nothing.
//!
//! The way of a request: `guard` (who asks) -> `body` (how much) -> `detect`, `any_labeling` or
//! `label_studio` (what is asked) -> `queue` (the model, one batch after another).

mod any_labeling;
mod body;
mod detect;
mod fetch;
mod guard;
mod label_studio;
mod pictures;
mod queue;
mod reply;
mod routes;
mod site;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::journal::RunDirectoryError;
use crate::session::{DetectConfig, KeptBatches, Session, SessionError};

pub use fetch::LabelStudioOptions;
use queue::{Queue, Worker};
use site::Site;

/// The most connections at the same time; further ones wait for one to end.
const CONNECTIONS: usize = 256;
/// The most threads that read bodies and files.
const THREADS: usize = 8;
/// A client that is slower with the head of a request is let go.
const HEAD: Duration = Duration::from_secs(20);
/// How long answers that are ready may take on their way out when the server ends.
const LAST_ANSWERS: Duration = Duration::from_millis(700);
/// How often the listener looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

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
    /// The system gives no thread.
    #[error("cannot begin: {0}")]
    Threads(io::Error),
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
    /// What concerns Label Studio alone.
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
    runtime: Runtime,
    listener: TcpListener,
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(THREADS)
            .build()
            .map_err(ServeError::Threads)?;
        let address = options.address;
        let listen = |error| ServeError::Listen { address, error };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(listen)?;
        let queue = Arc::new(Queue::new(options.queue, kept.directory.answers()?));
        let site = Arc::new(Site::new(&session, config.clone(), Arc::clone(&queue), options));
        let worker = Worker { session, config, kept, queue };
        Ok(Self { runtime, listener, site, worker })
    }

    /// The address that it has.
    ///
    /// # Errors
    /// The system's reason.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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
        let Self { runtime, listener, site, worker } = self;
        let queue = Arc::clone(&worker.queue);
        let (ended, worker_ended) = mpsc::channel();
        let (over, work_stop) = (Arc::new(AtomicBool::new(false)), Arc::clone(stop));
        let worker_over = Arc::clone(&over);
        std::thread::Builder::new()
            .name("gemscope-model".to_owned())
            .spawn(move || {
                // Also after a panic: nobody waits for a thread that is gone.
                let ends = Ends { queue: Arc::clone(&worker.queue), over: worker_over };
                let worked = worker.work(&work_stop);
                drop(ends);
                // Nobody listens any more if the server has ended without it.
                let _ = ended.send(worked);
            })
            .map_err(ServeError::Threads)?;
        let is_over = || stop.load(Ordering::Relaxed) || over.load(Ordering::Relaxed);
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        runtime.block_on(accept(&listener, &site, &connections, &is_over));
        drop(listener);
        queue.close();
        // A step of the model that takes longer is not waited for: what was answered is on disk.
        let until = Instant::now() + LAST_ANSWERS;
        let worked = runtime.block_on(async {
            loop {
                if let Ok(worked) = worker_ended.try_recv() {
                    break Some(worked);
                }
                if Instant::now() >= until {
                    break None;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        runtime.block_on(async {
            while connections.available_permits() < CONNECTIONS && site.is_answering() {
                if Instant::now() >= until {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        runtime.shutdown_background();
        worked.unwrap_or(Ok(()))?;
        Ok(queue.served())
    }
}

/// Ends the server when the model's thread does.
struct Ends {
    queue: Arc<Queue>,
    over: Arc<AtomicBool>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.queue.close();
    }
}

/// Takes connections until `is_over`.
async fn accept(
    listener: &TcpListener,
    site: &Arc<Site>,
    connections: &Arc<Semaphore>,
    is_over: &dyn Fn() -> bool,
) {
    while !is_over() {
        let permit = tokio::time::timeout(LOOK, Arc::clone(connections).acquire_owned());
        let Ok(Ok(permit)) = permit.await else { continue };
        let Ok(accepted) = tokio::time::timeout(LOOK, listener.accept()).await else { continue };
        let Ok((stream, _)) = accepted else {
            // Too many files are open, for example.
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let site = Arc::clone(site);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let site = Arc::clone(&site);
                async move { Ok::<_, std::convert::Infallible>(routes::respond(&site, request).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD);
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("a connection ended early: {error}");
            }
            drop(permit);
        });
    }
}
