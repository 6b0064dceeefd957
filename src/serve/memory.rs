//! The memory of requests: how much is read, and how much of it at a time.
//!
//! In: the body of a request, or the size of a file. Out: bytes, and a [`Share`] of the memory for
//! as long as they are held. Promises: no body or image is longer than the limit; all bodies, and
//! all images beside them, each take a bounded memory; a body that finds no room is refused at
//! once; what was reserved and is not needed is given back; a client that stops in the middle is
//! let go; few images are fetched at the same time.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reply::Refusal;

/// The longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);
/// The unit of memory.
const KIB: u64 = 1024;
/// Room is taken in steps of this size for a body of unknown length.
const STEP: u64 = 1 << 20;
/// Bodies of the largest size that fit into memory at the same time, and images beside them.
const LARGEST_AT_ONCE: u64 = 4;
/// An image in a body is held twice for a moment: as text, and as bytes.
const BODY_COPIES: u64 = 2;
/// Images that are fetched at the same time. Fewer than the threads for blocking work, so that
/// slow hosts leave some of these to other requests.
const FETCHES: usize = 4;

/// The memory that requests share.
pub(super) struct Memory {
    /// In KiB, for bodies and the images in them.
    bodies: Arc<Semaphore>,
    /// In KiB, for images from files that requests name; those who find no room are refused. Also
    /// for files that are given out, which wait for it.
    images: Arc<Semaphore>,
    /// In KiB, for images of tasks; they wait for room, which takes none from those before.
    task_images: Arc<Semaphore>,
    /// One permit for each image that is being fetched.
    fetches: Arc<Semaphore>,
    max_bytes: u64,
}

/// A share of the memory, until it is dropped.
pub(super) struct Share(OwnedSemaphorePermit);

impl Share {
    /// Gives back what `bytes` do not need.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let spare = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(spare));
    }
}

/// Bytes, and the memory that is reserved for them.
pub(super) struct SharedBytes {
    pub(super) bytes: Vec<u8>,
    /// Held for its drop.
    pub(super) _share: Share,
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The right to fetch an image, until it is dropped.
pub(super) struct FetchSlot(
    #[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit,
);

impl Memory {
    /// `max_bytes` are the most of one body, and of one image.
    pub(super) fn new(max_bytes: u64) -> Self {
        let room = |bytes: u64| {
            let all = units(bytes.saturating_mul(LARGEST_AT_ONCE)) as usize;
            Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)))
        };
        Self {
            bodies: room(max_bytes.saturating_mul(BODY_COPIES)),
            images: room(max_bytes),
            task_images: room(max_bytes),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            max_bytes,
        }
    }

    /// The most bytes of one body, and of one image.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The body of a request.
    ///
    /// # Errors
    /// 413, 503 if too much else is held, 408 if it does not come, 400 if it breaks off.
    pub(super) async fn read(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Vec<u8>, Share), Refusal> {
        let announced = request.body().size_hint().exact();
        if announced.is_some_and(|length| length > self.max_bytes) {
            return Err(self.too_large());
        }
        let body = self.collect(request.into_body(), announced.unwrap_or(0));
        tokio::time::timeout(BODY_TIMEOUT, body).await.unwrap_or_else(|_| {
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body does not come"))
        })
    }

    async fn collect(
        &self,
        mut body: Incoming,
        announced: u64,
    ) -> Result<(Vec<u8>, Share), Refusal> {
        let mut reserved = announced;
        let mut share = self.reserve_body(announced)?;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Refusal::bad(format!("the body breaks off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = (bytes.len() + data.len()) as u64;
            if length > self.max_bytes {
                return Err(self.too_large());
            }
            if length > reserved {
                let more = (length - reserved).next_multiple_of(STEP);
                share.0.merge(self.reserve_body(more)?.0);
                reserved += more;
            }
            bytes.extend_from_slice(&data);
        }
        share.shrink_to(bytes.len() as u64 * BODY_COPIES);
        Ok((bytes, share))
    }

    fn reserve_body(&self, bytes: u64) -> Result<Share, Refusal> {
        reserve(&self.bodies, bytes * BODY_COPIES)
    }

    /// Room for an image of `bytes` from a file, if there is some now.
    ///
    /// # Errors
    /// 413 if it is larger than an image may be, 503 if too much else is held.
    pub(super) fn reserve_image(&self, bytes: u64) -> Result<Share, Refusal> {
        if bytes > self.max_bytes {
            return Err(self.too_large());
        }
        reserve(&self.images, bytes)
    }

    /// Room for an image of a task; waits for it.
    ///
    /// # Errors
    /// 413 if it is larger than an image may be.
    pub(super) async fn wait_for_image(&self, bytes: u64) -> Result<Share, Refusal> {
        if bytes > self.max_bytes {
            return Err(self.too_large());
        }
        let permit = Arc::clone(&self.task_images).acquire_many_owned(units(bytes)).await;
        permit.map(Share).map_err(|_| Refusal::busy("the server ends"))
    }

    /// Room for a file of `bytes` that is given out; waits for it. One that needs all room gets
    /// all, also if it is larger.
    ///
    /// # Errors
    /// 503 if the server ends.
    pub(super) async fn wait_for_file(&self, bytes: u64) -> Result<Share, Refusal> {
        let permits = units(bytes).min(units(self.max_bytes.saturating_mul(LARGEST_AT_ONCE)));
        let permit = Arc::clone(&self.images).acquire_many_owned(permits).await;
        permit.map(Share).map_err(|_| Refusal::busy("the server ends"))
    }

    /// Waits until an image may be fetched: until then its size is not known, and may be the
    /// largest.
    ///
    /// # Errors
    /// 503 if the server ends.
    pub(super) async fn fetch_slot(&self) -> Result<FetchSlot, Refusal> {
        let permit = Arc::clone(&self.fetches).acquire_owned().await;
        permit.map(FetchSlot).map_err(|_| Refusal::busy("the server ends"))
    }

    fn too_large(&self) -> Refusal {
        let max = self.max_bytes >> 20;
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("more than {max} MB, which is the limit of a body and of an image"),
        )
    }
}

fn reserve(room: &Arc<Semaphore>, bytes: u64) -> Result<Share, Refusal> {
    let permit = Arc::clone(room).try_acquire_many_owned(units(bytes));
    permit.map(Share).map_err(|_| Refusal::busy("too many images are on their way: try again"))
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(KIB).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_given_back() {
        let memory = Memory::new(1 << 20);
        let mut largest: Vec<Share> =
            (0..LARGEST_AT_ONCE).map(|_| memory.reserve_image(1 << 20).unwrap()).collect();
        assert_eq!(memory.reserve_image(1).err().unwrap().status(), 503);
        largest[0].shrink_to(10);
        assert!(memory.reserve_image((1 << 20) - KIB).is_ok());
        // More than is held takes nothing.
        largest[0].shrink_to(1 << 20);
        assert_eq!(largest[0].0.num_permits(), 1);
        assert_eq!(memory.reserve_image(2 << 20).err().unwrap().status(), 413);
        assert!(memory.reserve_body(1 << 20).is_ok(), "bodies have room of their own");
    }
}
