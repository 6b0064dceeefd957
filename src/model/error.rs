//! Why a graph cannot be loaded or run.

use std::path::PathBuf;

use thiserror::Error;

use crate::device::DeviceMemoryError;

/// Why a graph cannot be loaded or run. Every message names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// ONNX Runtime's own words.
    #[error("{}: {error}", path.display())]
    Runtime {
        /// The graph.
        path: PathBuf,
        /// The reason.
        error: ort::Error,
    },
    /// An operation on its tensors on a card.
    #[error("{}: {error}", path.display())]
    Device {
        /// The graph.
        path: PathBuf,
        /// The reason.
        error: DeviceMemoryError,
    },
    /// A port that the graph must have, or a shape or dtype that cannot be served.
    #[error("{}: {reason}", path.display())]
    Contract {
        /// The graph.
        path: PathBuf,
        /// The expected and the actual value.
        reason: String,
    },
}
