//! How much is read.
//!
//! In: the body of a request. Out: its bytes, and the right to hold them. Promises: no body is
//! longer than the limit; all bodies together take a bounded memory, and one that finds no room is
//! refused at once; a client that stops in the middle is let go.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reply::Refusal;

/// The longest that a body may take.
const LONGEST: Duration = Duration::from_mins(1);
/// The unit of memory.
const KIB: u64 = 1024;
/// Bodies of the largest size that fit into memory at the same time.
const LARGEST_AT_ONCE: u64 = 4;
/// A picture in a body is held twice: as text, and as bytes.
const TWICE: u64 = 2;

/// The memory of bodies and images.
pub(super) struct Memory {
    room: Arc<Semaphore>,
    most: u64,
}

/// A part of the memory, until it is dropped.
pub(super) type Held = Arc<OwnedSemaphorePermit>;

impl Memory {
    /// `most` are the bytes of one body.
    pub(super) fn new(most: u64) -> Self {
        let all = units(most * LARGEST_AT_ONCE) as usize;
        Self { room: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))), most }
    }

    /// The most bytes of one body.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// The body of a request.
    ///
    /// # Errors
    /// 413, 503 if too much else is held, 408 if it does not come, 400 if it breaks off.
    pub(super) async fn read(&self, request: Request<Incoming>) -> Result<(Bytes, Held), Refusal> {
        let announced = request.body().size_hint().exact();
        let length = announced.unwrap_or(self.most);
        if length > self.most {
            return Err(self.too_large());
        }
        let held = Arc::clone(&self.room).try_acquire_many_owned(units(length));
        let held =
            held.map_err(|_| Refusal::busy("too many images are on their way: try again"))?;
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        let body = Limited::new(request.into_body(), most).collect();
        match tokio::time::timeout(LONGEST, body).await {
            Ok(Ok(body)) => Ok((body.to_bytes(), Arc::new(held))),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(self.too_large())
            }
            Ok(Err(error)) => Err(Refusal::bad(format!("the body breaks off: {error}"))),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body does not come")),
        }
    }

    /// Waits for room for an image of `bytes`.
    ///
    /// # Errors
    /// 413 if it is larger than a body may be.
    pub(super) async fn wait(&self, bytes: u64) -> Result<Held, Refusal> {
        if bytes > self.most {
            return Err(self.too_large());
        }
        let held = Arc::clone(&self.room).acquire_many_owned(units(bytes)).await;
        held.map(Arc::new).map_err(|_| Refusal::busy("the server ends"))
    }

    fn too_large(&self) -> Refusal {
        let most = self.most >> 20;
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("more than {most} MB, which is the limit of a body"),
        )
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from((bytes * TWICE).div_ceil(KIB).max(1)).unwrap_or(u32::MAX)
}
