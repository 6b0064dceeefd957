//! One ONNX graph.
//!
//! In: a file, and the feeds of a run. Out: its ports as the session tells them, the outputs of a run, the wall time spent in it.
//! Promises: every error names the file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, TensorElementType};
use serde::Serialize;
use thiserror::Error;

use super::external;
use super::prepared::{self, Kept};
use crate::runtime::{self, Device};

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
    /// A port that the graph must have, or a shape or dtype that cannot be served.
    #[error("{}: {reason}", path.display())]
    Contract {
        /// The graph.
        path: PathBuf,
        /// What was expected and what is there.
        reason: String,
    },
}

/// Name, dtype and shape of an input or output, as the session tells them.
#[derive(Debug, Clone, Serialize)]
pub struct PortInfo {
    /// Its name.
    pub name: String,
    /// Element type.
    #[serde(serialize_with = "as_text")]
    pub dtype: TensorElementType,
    /// Dimensions; -1 where symbolic.
    pub shape: Vec<i64>,
    /// The names of the symbolic dimensions; empty where there is none.
    pub symbols: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn as_text<S: serde::Serializer>(dtype: &TensorElementType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&dtype.to_string())
}

impl PortInfo {
    /// The dimension, where it is a number.
    pub fn fixed(&self, axis: usize) -> Option<usize> {
        self.shape.get(axis).and_then(|&size| usize::try_from(size).ok())
    }

    fn of(outlet: &Outlet) -> Option<Self> {
        let dtype = outlet.dtype();
        let ort::value::ValueType::Tensor { ty, shape, dimension_symbols } = dtype else { return None };
        Some(Self {
            name: outlet.name().to_owned(),
            dtype: *ty,
            shape: shape.iter().copied().collect(),
            symbols: dimension_symbols.iter().cloned().collect(),
        })
    }
}

/// The inputs of one run: name and value.
pub(super) type Feeds<'v> = Vec<(Cow<'v, str>, SessionInputValue<'v>)>;

/// A loaded graph.
pub(super) struct Graph {
    /// Its file.
    pub(super) path: PathBuf,
    /// Its inputs.
    pub(super) inputs: Vec<PortInfo>,
    /// Its outputs.
    pub(super) outputs: Vec<PortInfo>,
    /// Wall time of all runs so far.
    pub(super) elapsed: Duration,
    session: Session,
}

impl Graph {
    /// Loads `path` for a device; external data files are found beside it by ONNX Runtime, and none elsewhere.
    ///
    /// # Errors
    /// [`GraphError`], also where the device cannot be had: it is never another one in its place.
    pub(super) fn open(
        path: &Path,
        environment: &Environment,
        threads: Option<usize>,
        device: &Device,
        kept: Option<&Kept<'_>>,
    ) -> Result<Self, GraphError> {
        external::data_files(path)?;
        let builder = || -> ort::Result<SessionBuilder> {
            // A pattern is planned for fixed shapes; here the sequence, the past and the patches differ from run to run.
            let mut builder = Session::builder(environment)?.with_memory_pattern(false)?;
            if let Some(threads) = threads {
                builder = builder.with_intra_threads(threads)?;
            }
            if let Device::Cuda(card) = device {
                builder = builder.with_execution_providers([runtime::execution_provider(card)])?;
            }
            Ok(builder)
        };
        let session = match kept {
            // What is made ready for a card is not what its driver may be given next time.
            Some(kept) if matches!(device, Device::Cpu) => prepared::open(path, kept, &builder),
            _ => builder().and_then(|mut builder| builder.commit_from_file(path)),
        };
        let session = session.map_err(|error| GraphError::Runtime { path: path.to_owned(), error })?;
        let inputs = session.inputs().iter().filter_map(PortInfo::of).collect();
        let outputs = session.outputs().iter().filter_map(PortInfo::of).collect();
        Ok(Self { path: path.to_owned(), inputs, outputs, elapsed: Duration::ZERO, session })
    }

    /// The input of that name, if the graph declares it.
    pub(super) fn input(&self, name: &str) -> Option<&PortInfo> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// The input of that name.
    ///
    /// # Errors
    /// [`GraphError::Contract`] that lists the inputs there are.
    pub(super) fn require_input(&self, name: &str) -> Result<&PortInfo, GraphError> {
        self.input(name).ok_or_else(|| self.missing("input", name, &self.inputs))
    }

    /// The output of that name.
    ///
    /// # Errors
    /// [`GraphError::Contract`] that lists the outputs there are.
    pub(super) fn require_output(&self, name: &str) -> Result<&PortInfo, GraphError> {
        self.outputs.iter().find(|port| port.name == name).ok_or_else(|| self.missing("output", name, &self.outputs))
    }

    fn missing(&self, kind: &str, name: &str, ports: &[PortInfo]) -> GraphError {
        let there = ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
        self.contract(format!("no {kind} `{name}`; it has {there}"))
    }

    /// An error about this graph.
    pub(super) fn contract(&self, reason: String) -> GraphError {
        GraphError::Contract { path: self.path.clone(), reason }
    }

    /// An error of ONNX Runtime about this graph.
    pub(super) fn runtime(&self, error: ort::Error) -> GraphError {
        GraphError::Runtime { path: self.path.clone(), error }
    }

    /// Runs the graph once.
    pub(super) fn run<'s>(&'s mut self, feeds: Feeds<'_>) -> Result<SessionOutputs<'s>, GraphError> {
        let started = Instant::now();
        let result = self.session.run(feeds);
        self.elapsed += started.elapsed();
        result.map_err(|error| GraphError::Runtime { path: self.path.clone(), error })
    }
}
