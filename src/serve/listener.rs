//! The connections of a server.
//!
//! In: an address, and a function that answers requests. Out: its answers, sent. Promises: the
//! number of connections is bounded, and further ones wait; a client that is slow with the head of
//! a request, or does not read its response, is let go; every request gets a response.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::Sleep;

use super::ServeError;
use super::reply::Reply;

/// The most connections at the same time; further ones wait for one to end.
const MAX_CONNECTIONS: usize = 256;
/// The most threads that decode bodies, and read and fetch images.
const BLOCKING_THREADS: usize = 8;
/// A client that is slower with the head of a request is let go.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// A client that takes nothing of its response for so long is let go.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the listener checks whether it is to end.
const POLL: Duration = Duration::from_millis(50);

/// An address that is listened on.
pub(super) struct Listener {
    runtime: Runtime,
    socket: TcpListener,
    connections: Arc<Semaphore>,
    write_timeout: Duration,
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
            write_timeout: WRITE_TIMEOUT,
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
        let Self { runtime, socket: listener, connections, write_timeout } = self;
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
                let stream = TimedStream::new(stream, write_timeout);
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

/// A connection whose writes fail when the other end takes nothing for a while.
struct TimedStream {
    stream: TcpStream,
    limit: Duration,
    /// Since when the other end takes nothing, and until when that may go on.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, stalled: None }
    }

    /// The outcome of a write, or that it has taken too long.
    fn timed(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.timed(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::super::reply::of_bytes;
    use super::*;

    #[test]
    fn a_client_that_never_reads_is_let_go_and_a_slow_one_is_not() {
        let limit = Duration::from_millis(600);
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.write_timeout = limit;
        let address = listener.address().unwrap();
        let ask = move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        };
        let length = 32 << 20;
        let reading = std::thread::spawn(move || {
            let mut stream = ask();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let (mut buffer, mut read) = (vec![0; 8 << 20], 0);
            // It takes longer than the limit, and something all the time.
            while read < length {
                std::thread::sleep(limit / 8);
                read += stream.read(&mut buffer).unwrap();
            }
        });
        let silent = ask();
        let begun = Instant::now();
        let is_over = move || begun.elapsed() > Duration::from_millis(300);
        let connections = listener.accept(&is_over, move |_| async move {
            of_bytes(hyper::StatusCode::OK, "text/plain", vec![b'x'; length])
        });
        connections.run_until(Instant::now() + Duration::from_mins(1), || reading.is_finished());
        reading.join().unwrap();
        // The one that has read may ask again, and holds its connection for that.
        connections.run_until(Instant::now() + Duration::from_secs(20), || {
            connections.open.available_permits() >= MAX_CONNECTIONS - 1
        });
        assert!(connections.open.available_permits() >= MAX_CONNECTIONS - 1);
        drop(silent);
    }
}
