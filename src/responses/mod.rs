//! Answers that were made elsewhere: what servers of models wrote.
//!
//! In: the responses of a server, saved as they came, and what the images' folder and a file of
//! requests say about them. Out: the responses about each image, and of them a record
//! ([`ImageResponses::record`]). Promises: the format is told by what a line holds, never by a
//! name; a line that cannot be used is a [`Problem`] with its number and costs no other line; no
//! name leads out of the images' folder; no response is counted twice, and none is dropped without
//! a remark.
//!
//! # Formats
//!
//! | response | what it is known by |
//! |---|---|
//! | own lines | `text` |
//! | result of an OpenAI or vLLM batch | `response.body`, with `custom_id` and `error` |
//! | OpenAI chat completion, completion (also pieces of a stream) | `choices` |
//! | OpenAI response (`/v1/responses`) | `output` |
//! | Ollama `/api/chat` (also pieces of a stream) | `message` |
//! | Ollama `/api/generate` (also pieces of a stream) | `response`, a text |
//! | llama.cpp `/completion` (also pieces of a stream) | `content` |
//!
//! Beside these keys each object may name its `image` (else `custom_id` does), its `question` or
//! `prompt`, and `width` and `height` of the upright image. An object may also hold one of these as
//! its `response`.
//!
//! # Several answers about an image
//!
//! Answers to different questions are one record. Of several answers to the same question one
//! counts: the last one of the best kind. A whole answer (`ok`, `empty`, `text`) is better than a
//! salvaged one, that than a cut one (`truncated`, `looped`), that than a refused one, and any of
//! them than a failed request. A question is identified by its text, else by its `custom_id`; if
//! neither is known, all answers about an image are to one question. A question in words that ask
//! for no boxes is answered by text.
//!
//! ```
//! let lines = r#"{"image": "a.png", "width": 640, "height": 480,
//!     "text": "[{\"box_2d\": [0, 0, 500, 500], \"label\": \"cat\"}]"}"#;
//! let collected = gemscope::responses::collect(lines.as_bytes(), None, None)?;
//! assert_eq!(collected.images.len(), 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod body;
mod documents;
mod images;
mod llama_cpp;
mod ollama;
mod openai;
mod own;
mod record;
mod requests;
mod response;
mod tokens;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use body::Outcome;
pub use images::ImageFolder;
pub use record::{Asked, Collected, ImageResponses, collect};
pub use requests::{Request, Requests};
pub use response::Response;

/// Why a line, or an object of several lines, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not JSON, or JSON that is no object.
    #[error("not a JSON object: {0}")]
    NotJson(String),
    /// None of the formats.
    #[error(
        "neither a text nor the response of a known server: it has {}",
        if .keys.is_empty() { "no keys" } else { .keys }
    )]
    UnknownFormat {
        /// The keys that are there.
        keys: String,
    },
    /// A request, in the place of its response.
    #[error("this is a request, not its response")]
    IsRequest,
    /// A key with a value that it cannot have.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// The problem.
        problem: String,
    },
    /// Nothing says which image a response is about.
    #[error("nothing names the image that this is about (image, or custom_id)")]
    NoImage,
    /// Nothing says how large the image is.
    #[error("the size of {image} is not known: neither width and height, nor the image itself")]
    NoSize {
        /// The image's name.
        image: String,
    },
    /// A size that the image contradicts.
    #[error(
        "{image}: the line says {}x{}, the file is {}x{}{}",
        stated.0, stated.1, found.0, found.1, if *.turned { " once it is turned as its EXIF \
            orientation says" } else { "" }
    )]
    OtherSize {
        /// The image's name.
        image: String,
        /// Width and height as stated.
        stated: (u32, u32),
        /// Width and height of the upright image.
        found: (u32, u32),
        /// Whether the stated size is that of the image as it is stored.
        turned: bool,
    },
    /// Two lines that contradict each other.
    #[error("{image}: the line says {}x{}, line {line} says {}x{}", stated.0, stated.1, earlier.0,
        earlier.1)]
    TwoSizes {
        /// The image's name.
        image: String,
        /// Width and height as stated here.
        stated: (u32, u32),
        /// Width and height as stated before.
        earlier: (u32, u32),
        /// The line.
        line: usize,
    },
    /// A name that is no place inside of the folder.
    #[error("{name}: leads out of the images' folder")]
    LeadsOut {
        /// As given.
        name: String,
    },
    /// No such file.
    #[error("{name}: no such image in {}", folder.display())]
    Missing {
        /// As given.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
    /// A name without its extension, and files of several extensions.
    #[error("{name}: could be {}", files.join(" or "))]
    Ambiguous {
        /// As given.
        name: String,
        /// The files that match.
        files: Vec<String>,
    },
}

/// Why responses cannot be read at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResponsesError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A request that says nothing about its image or contradicts another one.
    #[error("{}:{line}: {problem}", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// The images' folder is not a folder.
    #[error("{}: not a folder of images", .0.display())]
    NoFolder(PathBuf),
}
