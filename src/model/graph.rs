//! One ONNX graph.
//!
//! In: a file, and the feeds of a run. Out: its ports as the session tells them, the outputs of a
//! run, the wall time of the run. Promises: every error names the file. With a device's memory,
//! outputs are left there, and feeds that lie there are not copied.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::builder::SessionBuilder;
use ort::session::{IoBinding, Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Shape, TensorElementType};
use serde::Serialize;

use super::activations::Source;
use super::error::GraphError;
use super::external;
use super::prepared::{self, OptimisedGraphs};
use crate::device::{self, Device, DeviceMemory, DeviceMemoryError};
use crate::onnxruntime;
use crate::record::Activations;

/// Name, dtype and shape of an input or output, as the session tells them.
#[derive(Debug, Clone, Serialize)]
pub struct PortInfo {
    /// Its name.
    pub name: String,
    /// Element type.
    #[serde(serialize_with = "as_text")]
    pub dtype: TensorElementType,
    /// Dimensions; -1 if symbolic.
    pub shape: Vec<i64>,
    /// The names of the symbolic dimensions; empty if there is none.
    pub symbols: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn as_text<S: serde::Serializer>(
    dtype: &TensorElementType,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&dtype.to_string())
}

impl PortInfo {
    /// The dimension, if it is a number.
    pub fn fixed(&self, axis: usize) -> Option<usize> {
        self.shape.get(axis).and_then(|&size| usize::try_from(size).ok())
    }

    fn of(outlet: &Outlet) -> Option<Self> {
        let dtype = outlet.dtype();
        let ort::value::ValueType::Tensor { ty, shape, dimension_symbols } = dtype else {
            return None;
        };
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

/// The outputs of one run.
pub(super) struct Outputs(Vec<(String, DynValue)>);

impl Outputs {
    /// Takes one out.
    pub(super) fn remove(&mut self, name: &str) -> Option<DynValue> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }
}

/// Tensors that stay on the graph's device.
pub(super) struct Resident {
    /// The device's memory.
    pub(super) memory: Arc<DeviceMemory>,
    allocator: Allocator,
    /// One for all runs: making one costs device memory.
    binding: IoBinding,
}

/// How a graph's session is made.
#[derive(Clone, Copy, Default)]
pub(super) struct Form {
    /// Threads inside ONNX Runtime; its own choice if `None`.
    pub(super) threads: Option<usize>,
    /// How its products take their activations; as its file says if `None`.
    pub(super) activations: Option<Activations>,
}

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
    /// The memory for its outputs; main memory if `None`.
    pub(super) resident: Option<Resident>,
    session: Session,
}

impl Graph {
    /// Loads `path` for a device; external data files are found beside it by ONNX Runtime, and none
    /// elsewhere.
    ///
    /// # Errors
    /// [`GraphError`], also if the device cannot be used: no other device takes its place.
    pub(super) fn open(
        path: &Path,
        environment: &Environment,
        form: Form,
        device: &Device,
        kept: Option<&OptimisedGraphs<'_>>,
    ) -> Result<Self, GraphError> {
        external::check(path)?;
        let source = Source::of(path, form.activations)?;
        let builder = || -> ort::Result<SessionBuilder> {
            // A pattern is planned for fixed shapes; here the sequence, the past and the patches
            // differ from run to run.
            let mut builder = Session::builder(environment)?.with_memory_pattern(false)?;
            if let Some(threads) = form.threads {
                builder = builder.with_intra_threads(threads)?;
            }
            if let Device::Cuda(card) = device {
                builder =
                    builder.with_execution_providers([onnxruntime::execution_provider(card)])?;
            }
            Ok(builder)
        };
        let session = match kept {
            // A graph prepared for a card may not suit its driver next time.
            Some(kept) if matches!(device, Device::Cpu) => prepared::open(&source, kept, &builder),
            _ => builder().and_then(|builder| source.commit(builder)),
        };
        let session =
            session.map_err(|error| GraphError::Runtime { path: path.to_owned(), error })?;
        let inputs = session.inputs().iter().filter_map(PortInfo::of).collect();
        let outputs = session.outputs().iter().filter_map(PortInfo::of).collect();
        Ok(Self {
            path: path.to_owned(),
            inputs,
            outputs,
            elapsed: Duration::ZERO,
            resident: None,
            session,
        })
    }

    /// Leaves the outputs of coming runs in `memory`, which is that of the device it was opened
    /// for.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime gives none of it.
    pub(super) fn stay_in(&mut self, memory: Arc<DeviceMemory>) -> Result<(), GraphError> {
        let allocator = memory.allocator(&self.session).map_err(|error| self.device(error))?;
        let binding = self.session.create_binding().map_err(|error| self.runtime(error))?;
        self.resident = Some(Resident { memory, allocator, binding });
        Ok(())
    }

    /// A tensor on the graph's device, with undefined contents.
    ///
    /// # Errors
    /// [`GraphError`] if there is no memory for it.
    pub(super) fn tensor(
        &self,
        dtype: TensorElementType,
        shape: &[usize],
    ) -> Result<DynValue, GraphError> {
        let made = match &self.resident {
            Some(resident) => device::tensor(&resident.allocator, dtype, shape),
            None => device::tensor(&Allocator::default(), dtype, shape),
        };
        made.map_err(|error| self.device(error))
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
        self.outputs
            .iter()
            .find(|port| port.name == name)
            .ok_or_else(|| self.missing("output", name, &self.outputs))
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

    /// Whether its tensors lie in a device's memory.
    pub(super) fn is_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// The operations on `value`, if it lies in a device's memory.
    pub(super) fn resident_for(&self, value: &DynValue) -> Option<&Resident> {
        self.resident.as_ref().filter(|resident| resident.memory.holds(value))
    }

    /// Counts a feed that lies in main memory and has to go over the bus.
    pub(super) fn carries(&self, value: &DynValue) {
        if let Some(resident) = &self.resident {
            let count = value.dtype().tensor_shape().map_or(0, Shape::num_elements);
            let bytes =
                value.dtype().tensor_type().and_then(|dtype| dtype.byte_size(count)).unwrap_or(0);
            resident.memory.carried(bytes);
        }
    }

    /// An error of a device's memory about this graph.
    pub(super) fn device(&self, error: DeviceMemoryError) -> GraphError {
        GraphError::Device { path: self.path.clone(), error }
    }

    /// Runs the graph once.
    pub(super) fn run(&mut self, feeds: Feeds<'_>) -> Result<Outputs, GraphError> {
        let started = Instant::now();
        let result = match &mut self.resident {
            Some(resident) => resident.run(&mut self.session, &feeds, &self.outputs),
            None => self.session.run(feeds).map(|outputs| {
                outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        };
        self.elapsed += started.elapsed();
        result.map(Outputs).map_err(|error| GraphError::Runtime { path: self.path.clone(), error })
    }
}

impl Resident {
    /// Feeds that lie in main memory are carried over by ONNX Runtime; they must be tensors of
    /// their own, no views (ort 2.0.0-rc.15 waits for itself when it binds a view).
    fn run(
        &mut self,
        session: &mut Session,
        feeds: &Feeds<'_>,
        outputs: &[PortInfo],
    ) -> ort::Result<Vec<(String, DynValue)>> {
        let Self { memory, binding, .. } = self;
        for (name, value) in feeds {
            binding.bind_input(name.as_ref(), value)?;
        }
        // Otherwise the next output would overwrite that of the last run.
        binding.clear_outputs();
        for port in outputs {
            binding.bind_output_to_device(port.name.as_str(), memory.info())?;
        }
        binding.synchronize_inputs()?;
        let made = session.run_binding(binding)?;
        let made = made.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // A cache that was fed is not needed any more.
        binding.clear();
        Ok(made)
    }
}
