//! Models from the Hugging Face Hub, in the cache that Python's `huggingface_hub` shares.
//!
//! In: `OWNER/NAME`, a revision, and which of its files are wanted. Out: the folder of a snapshot.
//! Promises: what Python put into the cache is used, and Python uses what is put there; a fetch
//! that was cut off goes on at the next byte, in this process or a later one; no file is kept whose
//! size and hash are not those that the Hub names; the token goes to the endpoint alone.
//!
//! ```text
//! HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
//!   .locks/models--OWNER--NAME/HASH.lock
//!   models--OWNER--NAME/refs/main                         the commit
//!   models--OWNER--NAME/blobs/HASH                        SHA-256, or git's SHA-1 of small files
//!   models--OWNER--NAME/blobs/HASH.incomplete             the bytes that are there of it
//!   models--OWNER--NAME/snapshots/COMMIT/onnx/x.onnx      a relative link to the blob, or the file
//! ```

mod cache;
mod client;
mod error;
mod fetch;
mod hash;
mod listing;
mod name;
mod options;
mod retry;

pub use cache::{
    CachedSnapshot, cached_snapshot, cached_snapshots, folder_snapshot, name_of_snapshot,
};
pub use client::Hub;
pub use error::HubError;
pub use fetch::Fetched;
pub use hash::FileHash;
pub use listing::{HubFile, Listing};
pub use name::{ModelId, ModelNameError, PREFIX, RepositoryName};
pub use options::{HubOptions, Reach};

/// Receives what happens while a model is fetched. Every method does nothing unless it is
/// implemented; `()` hears nothing.
pub trait FetchObserver {
    /// A sentence for the user.
    fn say(&self, _message: &str) {}

    /// A download of this many bytes in all begins; `there` are there already.
    fn begun(&self, _total: u64, _there: u64) {}

    /// This many of them are there now. It can be fewer than before: wrong bytes are thrown away.
    fn at(&self, _there: u64) {}

    /// All are there, or it failed.
    fn ended(&self) {}
}

impl FetchObserver for () {}

/// A count of bytes as people read it: `3.18 GB`, with powers of 1000 as the Hub's pages have.
pub fn in_words(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
