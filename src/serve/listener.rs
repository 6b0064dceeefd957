//! The connections of a server.
//!
//! In: an address, and a function that answers requests. Out: its answers, sent. Promises: the
//! number of connections is bounded, and further ones wait; a client that is slow with the head of
//! a request is let go; every request gets a response.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::ServeError;
use super::reply::Reply;

/// The most connections at the same time; further ones wait for one to end.
const MAX_CONNECTIONS: usize = 256;
/// The most threads that decode bodies, and read and fetch images.
const BLOCKING_THREADS: usize = 8;
/// A client that is slower with the head of a request is let go.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the listener checks whether it is to end.
const POLL: Duration = Duration::from_millis(50);

/// An address that is listened on.
pub(super) struct Listener {
    runtime: Runtime,
    socket: TcpListener,
    connections: Arc<Semaphore>,
}

impl Listener {
    /// Takes the address; port 0 is any free one.
    ///
    /// # Errors
    /// [`ServeError::Listen`], [`ServeError::Threads`].
    pub(super) fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(ServeError::Threads)?;
        let listen = |error| ServeError::Listen { address, error };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(listen)?;
        Ok(Self {
            runtime,
            socket: listener,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        })
    }

    /// The address that it has.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes connections until `is_over`, and answers their requests by `respond`. Then it listens
    /// no more; requests go on as long as the result is there.
    pub(super) fn accept<A: Future<Output = Reply> + Send + 'static>(
        self,
        is_over: &dyn Fn() -> bool,
        respond: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    ) -> Connections {
        let Self { runtime, socket: listener, connections } = self;
        runtime.block_on(async {
            while !is_over() {
                let permit = tokio::time::timeout(POLL, Arc::clone(&connections).acquire_owned());
                let Ok(Ok(permit)) = permit.await else { continue };
                let accepted = tokio::time::timeout(POLL, listener.accept()).await;
                let Ok(accepted) = accepted else { continue };
                let Ok((stream, _)) = accepted else {
                    // Too many files are open, for example.
                    tokio::time::sleep(POLL).await;
                    continue;
                };
                let respond = respond.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = respond(request);
                        async move { Ok::<_, std::convert::Infallible>(answer.await) }
                    });
                    let mut server = http1::Builder::new();
                    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await
                    {
                        tracing::debug!("a connection ended early: {error}");
                    }
                    drop(permit);
                });
            }
        });
        drop(listener);
        Connections { runtime, open: connections }
    }
}

/// Connections that are left when a listener has ended.
pub(super) struct Connections {
    runtime: Runtime,
    open: Arc<Semaphore>,
}

impl Connections {
    /// Goes on with them until `is_done` or `deadline`.
    pub(super) fn run_until(&self, deadline: Instant, mut is_done: impl FnMut() -> bool) {
        self.runtime.block_on(async {
            while !is_done() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    /// Whether none is open.
    pub(super) fn are_closed(&self) -> bool {
        self.open.available_permits() == MAX_CONNECTIONS
    }

    /// Leaves them, without waiting for threads that are at work for them.
    pub(super) fn leave(self) {
        self.runtime.shutdown_background();
    }
}
