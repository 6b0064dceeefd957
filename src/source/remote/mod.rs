//! Images on the web.
//!
//! In: addresses (`https://`, `http://`) of images and archives that the user named. Out: names of
//! images, and their bytes. Promises: nothing is asked for that was not named; names and messages
//! hold no password and no signature; memory, temporary files and waiting are bounded, whatever a
//! server does.

mod address;
#[cfg(feature = "onnx")]
mod ahead;
#[cfg(feature = "onnx")]
mod download;
#[cfg(feature = "onnx")]
mod fetch;
#[cfg(feature = "onnx")]
mod lists;
#[cfg(not(feature = "onnx"))]
mod nothing;
mod options;
#[cfg(feature = "onnx")]
mod ranged;
mod signature;
#[cfg(feature = "onnx")]
mod web;

pub(super) use address::Address;
pub use address::{is_address, shown, without_secrets};
#[cfg(feature = "onnx")]
pub(crate) use ahead::{Ahead, Hold};
#[cfg(feature = "onnx")]
pub(super) use fetch::Fetcher;
#[cfg(feature = "onnx")]
pub use fetch::RemoteFile;
#[cfg(not(feature = "onnx"))]
pub(super) use nothing::Fetcher;
#[cfg(not(feature = "onnx"))]
pub use nothing::RemoteFile;
pub use options::{ByteSize, MAX_BYTES, WebOptions};
