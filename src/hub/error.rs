//! Why a model cannot be fetched from the Hub, or opened from its cache.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{ModelId, ModelNameError, in_words};
use crate::http::HttpError;

/// Why a model cannot be fetched or opened. Every message says what can be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// Not the name of a model.
    #[error(transparent)]
    Name(#[from] ModelNameError),
    /// There is no home directory to keep a cache in.
    #[error("no home directory was found for the cache: set HF_HOME or HF_HUB_CACHE to a folder")]
    NoHome,
    /// A variable that cannot be used.
    #[error("{variable}: {reason}")]
    Variable {
        /// The environment variable.
        variable: &'static str,
        /// The fault.
        reason: String,
    },
    /// The model is not in the cache.
    #[error("{id} is not in {}{others}", cache.display())]
    NotThere {
        /// The model.
        id: ModelId,
        /// The cache.
        cache: PathBuf,
        /// Other revisions of it that are there.
        others: String,
    },
    /// The Hub may not be asked.
    #[error("{id} is not whole in {}, and {forbidden} forbids fetching it", cache.display())]
    Offline {
        /// The model.
        id: ModelId,
        /// The cache.
        cache: PathBuf,
        /// The setting that forbids it.
        forbidden: &'static str,
    },
    /// No response.
    #[error(
        "{0}; the same command goes on where this one stopped. HTTPS_PROXY names a proxy, \
         HF_ENDPOINT a mirror"
    )]
    Http(HttpError),
    /// Neither public nor readable with the token.
    #[error(
        "the Hub knows no model {id}, or it is private: check the name at {page}; for a private \
         one, set HF_TOKEN to a token that may read it"
    )]
    NoRepository {
        /// The model.
        id: ModelId,
        /// Its page.
        page: String,
    },
    /// The owner's conditions have to be accepted.
    #[error("{id} is gated: accept its conditions at {page}, then {}", if *token {
        "try again; HF_TOKEN must be a token of the account that accepted them, with the right to \
         read gated models"
    } else {
        "set HF_TOKEN to a token of that account (made under Settings, Access Tokens)"
    })]
    Gated {
        /// The model.
        id: ModelId,
        /// Its page.
        page: String,
        /// True if a token was sent.
        token: bool,
    },
    /// The token is not taken.
    #[error(
        "the Hub refuses the token ({status}): make another one that may read {id}, and set \
         HF_TOKEN to it"
    )]
    Token {
        /// The model.
        id: ModelId,
        /// The status.
        status: u16,
    },
    /// No such revision.
    #[error("{id}: the repository has no revision of that name; its page lists them: {page}")]
    NoRevision {
        /// The model.
        id: ModelId,
        /// Its page.
        page: String,
    },
    /// The file is not there any more.
    #[error("{id} has no file {path}: was it changed meanwhile? Try again")]
    NoFile {
        /// The model.
        id: ModelId,
        /// The file.
        path: String,
    },
    /// Too many requests.
    #[error(
        "the Hub asks to wait {} before anything else is fetched (429): the same command goes on \
         then. A token (HF_TOKEN) is allowed more", seconds.map_or("a while".to_owned(), |seconds| format!("{seconds} \
             seconds"))
    )]
    RateLimited {
        /// Its `Retry-After`, in seconds.
        seconds: Option<u64>,
    },
    /// Another status.
    #[error("{url} answered {status}{}; the same command goes on where this one stopped",
        if message.is_empty() { String::new() } else { format!(" ({message})") })]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The Hub's own words.
        message: String,
    },
    /// Not the answer of a hub.
    #[error(
        "{url} does not answer as the Hub does ({reason}): is HF_ENDPOINT right, and does a proxy \
         ask for a login?"
    )]
    NoHub {
        /// The address.
        url: String,
        /// The fault.
        reason: String,
    },
    /// The connection ends again and again.
    #[error(
        "{path}: the connection ended {times} times without a byte more, at {} of {} ({reason}); \
         the same command goes on there", in_words(*there), in_words(*size)
    )]
    Cut {
        /// The file.
        path: String,
        /// How often.
        times: u32,
        /// Bytes that are there.
        there: u64,
        /// Bytes of the whole file.
        size: u64,
        /// Why it ended the last time.
        reason: String,
    },
    /// Other bytes than the Hub's.
    #[error(
        "{path}: {what} {found}, and the Hub says {expected}: not kept. A proxy or mirror between \
         here and the Hub changes files; try another HF_ENDPOINT or network"
    )]
    WrongContent {
        /// The file.
        path: String,
        /// The property that was compared.
        what: &'static str,
        /// Its value in the file that came.
        found: String,
        /// Its value by the Hub's listing.
        expected: String,
    },
    /// Not enough room.
    #[error(
        "{} is needed and {} is free in {}: make room, or set HF_HOME to a folder on a larger disk",
        in_words(*needed), in_words(*free), cache.display()
    )]
    NoRoom {
        /// Bytes that are to be fetched.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// The cache.
        cache: PathBuf,
    },
    /// A path that leads out of the model's folder.
    #[error(
        "{id} lists a file {path:?}, whose name leads out of the model's folder: nothing is fetched"
    )]
    Path {
        /// The model.
        id: ModelId,
        /// The file.
        path: String,
    },
    /// The file system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

impl HubError {
    /// True if a disk is full.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { error, .. }
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Io { path, error }
    }
}
