//! From the name of a model to graphs that are loaded on a device.
//!
//! In: which model, which of its graphs, which device. Out: the directory's tokenizer, template and
//! settings ([`ModelFiles::open`], no graph is read), then one engine for each device. Promises:
//! the bundled demo model is never asked about anything but its own words unless it is named; a
//! model that does not fit on a card goes to the CPU, unless the card was insisted on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Observer, PromptSize, SessionError};
use crate::device::devices::CudaDevice;
use crate::device::{Device, DeviceChoice, ModelSize, memory_budget};
use crate::engine::{Engine, OnnxEngine};
use crate::generate::BatchLimits;
use crate::hub::{self, HubOptions, ModelId};
use crate::model::{self, Dtypes, GraphFiles, Model, ModelConfig, ModelError, OpenOptions, demo};
use crate::onnxruntime::{self, Runtime, RuntimeOptions};
use crate::prompt::{Conversation, Prompter, Prompts, Room};
use crate::record::{Activations, Budget, ModelIdentity, Task};
use crate::server::ServerOptions;

/// The cache of all answers that are written at the same time takes at most this much on the CPU.
const CACHE_BYTES: usize = 1 << 30;
/// Tokens of an answer and its prompt, without soft tokens, that a row of the cache is sized for.
const USUAL_TOKENS: usize = 256;

/// Which model answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// None was named: the bundled demo model, for questions made of its own words.
    #[default]
    Unnamed,
    /// The bundled demo model by its name, for any question.
    Demo,
    /// The model in a directory.
    Directory(PathBuf),
    /// A model of the Hub, as it is in the cache. It is never fetched.
    Hub(ModelId),
    /// No model: answers that a file holds, see [`Script`](crate::engine::Script).
    Script(PathBuf),
    /// A model on a server.
    Server(ServerOptions),
    /// Engines that the caller has made: see
    /// [`Session::with_engines`](super::Session::with_engines).
    Engines,
}

impl ModelChoice {
    /// The model that `name` names, else the one of the environment variable `GEMSCOPE_MODEL`:
    /// `demo`, `script:FILE`, a directory, or a model of the Hub, as `hf:OWNER/NAME@REVISION`, or
    /// as `OWNER/NAME` if there is no such directory.
    pub fn of(name: Option<&Path>) -> Self {
        let variable = || {
            std::env::var_os("GEMSCOPE_MODEL").filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        match name.map(Path::to_owned).or_else(variable) {
            None => Self::Unnamed,
            Some(name) if name.as_os_str() == demo::NAME => Self::Demo,
            Some(name) => {
                match (
                    name.to_str().map(str::parse),
                    name.to_str().and_then(|name| name.strip_prefix("script:")),
                ) {
                    (_, Some(file)) => Self::Script(file.into()),
                    (Some(Ok(id)), _)
                        if name.to_string_lossy().starts_with(hub::PREFIX) || !name.exists() =>
                    {
                        Self::Hub(id)
                    }
                    _ => Self::Directory(name),
                }
            }
        }
    }

    /// Whether the model may be asked `task` in such a conversation.
    ///
    /// # Errors
    /// [`SessionError::NeedsModel`] if the demo model was not named, and the question is not made
    /// of its words.
    pub fn check(&self, task: &Task, conversation: &Conversation) -> Result<(), SessionError> {
        let Conversation { system, thinking, .. } = conversation;
        if *self != Self::Unnamed || system.is_none() && !thinking && demo::knows(task) {
            return Ok(());
        }
        let question = match (system, thinking) {
            (Some(_), _) => "a system prompt".to_owned(),
            (None, true) => "thinking".to_owned(),
            (None, false) => format!("{:?}", task.text()),
        };
        Err(SessionError::NeedsModel { question })
    }
}

/// The model that answers, and its device.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ModelOptions {
    /// The model.
    pub model: ModelChoice,
    /// Which of its graphs, by their suffix.
    pub dtypes: Dtypes,
    /// How products with weights of 4 or 8 bits take their activations; `None` as the graphs say.
    pub activations: Option<Activations>,
    /// Threads inside ONNX Runtime; `None` is one for each core.
    pub threads: Option<usize>,
    /// Whether ONNX Runtime's optimised graphs are kept in the cache directory, for faster starts.
    pub keep_graphs: bool,
    /// The device; `None` is a CUDA card if one can be used, else the CPU.
    pub device: Option<DeviceChoice>,
    /// Whether a model runs whose graphs are known to compute something else than Gemma 4.
    pub allow_inexact: bool,
    /// How ONNX Runtime is found, and whether it may be fetched.
    pub runtime: RuntimeOptions,
}

impl ModelOptions {
    /// Options for `model` with everything else at its default.
    pub fn of(model: ModelChoice) -> Self {
        Self { model, ..Self::default() }
    }

    /// ONNX Runtime for the device, installed first if it is missing and may be fetched.
    ///
    /// # Errors
    /// [`SessionError::Runtime`] if there is none, or the CUDA card that was required cannot be
    /// used.
    pub fn load_runtime(&self, observer: &dyn Observer) -> Result<&'static Runtime, SessionError> {
        let options = self.runtime.clone().with_device(self.device.unwrap_or(DeviceChoice::Auto));
        let runtime = onnxruntime::load(&options, &mut |line| observer.say(line))?;
        // A user without a card who did not ask for one is told nothing.
        if let Some(state) = &runtime.without_cuda
            && (self.device == Some(DeviceChoice::Auto) || state.cards > 0)
        {
            let advice = state
                .advice()
                .first()
                .map_or(String::new(), |advice| format!(" To use a card: {advice}."));
            observer.say(&format!("Running on the CPU: {}.{advice}", state.obstacle()));
        }
        Ok(runtime)
    }

    fn insists_on_cuda(&self) -> bool {
        matches!(self.device, Some(DeviceChoice::Cuda(_)))
    }
}

/// The location of a model.
fn directory_of(model: &ModelChoice) -> Result<PathBuf, SessionError> {
    Ok(match model {
        ModelChoice::Directory(named) => model::locate(named)?,
        ModelChoice::Hub(id) => hub::cached_snapshot(&HubOptions::cache_from_env()?, id)?.directory,
        ModelChoice::Demo | ModelChoice::Unnamed => demo::unpack(&onnxruntime::cache_dir()?)?,
        ModelChoice::Script(file) => return Err(SessionError::NoModel(file.clone())),
        ModelChoice::Server(_) => return Err(SessionError::ServerHasNoFiles),
        ModelChoice::Engines => return Err(SessionError::NoEngine),
    })
}

/// A model directory whose graphs are not loaded yet.
pub struct ModelFiles {
    /// The directory.
    pub directory: PathBuf,
    /// Tokenizer and chat template.
    pub prompter: Arc<Prompter>,
    /// The model's own settings.
    pub config: ModelConfig,
    options: ModelOptions,
}

impl ModelFiles {
    /// Reads the files besides the graphs: tokenizer, template and settings. The demo model is
    /// unpacked into the cache directory first if it is not there.
    ///
    /// # Errors
    /// [`SessionError`] if there is no such directory, or a file of it is missing or broken.
    pub fn open(options: &ModelOptions) -> Result<Self, SessionError> {
        Self::read(directory_of(&options.model)?, options)
    }

    /// The same for a directory that may have no graphs: enough to show the model's input.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_settings(options: &ModelOptions) -> Result<Self, SessionError> {
        match &options.model {
            ModelChoice::Directory(named) if named.join("tokenizer.json").is_file() => {
                Self::read(named.clone(), options)
            }
            _ => Self::open(options),
        }
    }

    fn read(directory: PathBuf, options: &ModelOptions) -> Result<Self, SessionError> {
        model::check_settings(&directory)?;
        let prompter = Prompter::open(&directory).map_err(SessionError::IncompleteModel)?;
        let config = ModelConfig::read(&directory)?;
        config.check_tokenizer(&directory, &prompter.tokenizer)?;
        // The budget is not chosen yet: room for the largest, with the tokens around it.
        let image = Budget::MAX.soft_tokens() as usize + 2;
        let prompter = Arc::new(prompter.within(Room { context: config.context, image }));
        Ok(Self { directory, prompter, config, options: options.clone() })
    }

    /// Puts questions into the model's prompts.
    pub fn prompts(&self) -> Prompts {
        Prompts::Model(Arc::clone(&self.prompter))
    }

    /// The model's name in results: that of the Hub, or of its directory.
    pub fn name(&self) -> String {
        let directory = self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone());
        match (&self.options.model, directory.file_name()) {
            (ModelChoice::Hub(id), _) => id.to_string(),
            (ModelChoice::Directory(_), Some(name)) => match hub::name_of_snapshot(&directory) {
                Some(of_hub) => of_hub.to_string(),
                None => name.to_string_lossy().into_owned(),
            },
            (ModelChoice::Directory(_), None) => directory.display().to_string(),
            _ => "the bundled demo model".to_owned(),
        }
    }

    /// The graphs that the options choose. Their known faults are reported first.
    ///
    /// # Errors
    /// [`SessionError::Layout`], [`SessionError::Inexact`] unless that is allowed, and
    /// [`SessionError::Model`] if the tokenizer is of another model.
    pub fn graphs(&self, observer: &dyn Observer) -> Result<GraphFiles, SessionError> {
        let graphs = GraphFiles::find(&self.directory, &self.options.dtypes)?;
        graphs.check_vocabulary(&self.directory, &self.prompter.tokenizer)?;
        let inexact = self.inexact(&graphs)?;
        if !inexact.is_empty() {
            let (directory, faults) = (self.directory.clone(), inexact.join("; "));
            let error = SessionError::Inexact { directory, faults };
            if !self.options.allow_inexact {
                return Err(error);
            }
            observer.say(&format!("{error}. It runs, since that is allowed."));
        }
        if matches!(self.options.model, ModelChoice::Directory(_) | ModelChoice::Hub(_)) {
            for (path, problem) in &graphs.passed_over {
                observer.say(&format!("Passed over: {}: {problem}", path.display()));
            }
            let name = |path: &Path| {
                path.strip_prefix(&self.directory).unwrap_or(path).display().to_string()
            };
            let names = [&graphs.vision, &graphs.embedding, &graphs.decoder]
                .map(|path| name(path))
                .join(", ");
            observer.say(&format!("Graphs: {names}"));
            let slow = graphs.slow_products()?;
            if slow > 0 && self.options.activations != Some(Activations::Int8) {
                observer.say(&format!(
                    "{slow} of its products have 8-bit weights without accuracy_level 4, which \
                     ONNX Runtime computes many times slower on the CPU than f32: another \
                     precision is faster, and so are activations of int8 (another model)."
                ));
            }
        }
        if self.options.activations.is_some() && graphs.packed_products()? == 0 {
            return Err(ModelError::NoPackedProducts { path: self.directory.clone() }.into());
        }
        Ok(graphs)
    }

    /// Which model it is, as it is opened.
    ///
    /// # Errors
    /// [`SessionError::Model`] if a file cannot be read.
    pub(super) fn identity(&self, graphs: &GraphFiles) -> Result<ModelIdentity, SessionError> {
        let activations = self.options.activations;
        let identity = ModelIdentity::of(&self.directory, graphs, &self.config)?;
        Ok(ModelIdentity { activations, ..identity })
    }

    /// Known faults of this model's graphs, a sentence each; most have none.
    ///
    /// # Errors
    /// [`SessionError::Graph`] if a graph cannot be read.
    pub fn inexact(&self, graphs: &GraphFiles) -> Result<Vec<String>, SessionError> {
        Ok(graphs.inexact(&self.directory)?.iter().map(ToString::to_string).collect())
    }

    /// Loads the graphs in one place.
    ///
    /// # Errors
    /// [`SessionError::OnCard`] on a card, else [`SessionError::Model`].
    pub fn load(
        &self,
        graphs: GraphFiles,
        runtime: &Runtime,
        slot: DeviceSlot,
    ) -> Result<Model, SessionError> {
        let DeviceSlot { device, embed_on_device } = slot;
        let on_card = matches!(device, Device::Cuda(_)).then(|| device.to_string());
        let options = OpenOptions {
            threads: self.options.threads,
            activations: self.options.activations,
            // Without a cache directory, the probes run every time.
            probe_cache: onnxruntime::cache_dir().ok(),
            graph_cache: if self.options.keep_graphs {
                Some(onnxruntime::cache_dir()?.join("graphs"))
            } else {
                None
            },
            device,
            embed_on_device,
        };
        let opened = Model::open(
            &self.directory,
            graphs,
            &self.prompter.tokenizer.special,
            runtime,
            &options,
        );
        opened.map_err(|error| match on_card {
            Some(card) => SessionError::OnCard { card, error },
            None => error.into(),
        })
    }

    /// One engine for each slot, each with its own copy of the graphs. `rows` is the most answers
    /// that are written at the same time; `None` is as many as memory has room for.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn engines(
        &self,
        graphs: &GraphFiles,
        runtime: &Runtime,
        slots: Vec<DeviceSlot>,
        size: PromptSize,
        rows: Option<usize>,
    ) -> Result<Vec<Box<dyn Engine>>, SessionError> {
        let engine = |slot| -> Result<Box<dyn Engine>, SessionError> {
            let model = self.load(graphs.clone(), runtime, slot)?;
            let limits = limits(&model, size, rows)?;
            Ok(Box::new(OnnxEngine::new(model, &self.prompter, limits)))
        };
        slots.into_iter().map(engine).collect()
    }

    /// The devices for the graphs: a slot for each device that was found. Falls back to the CPU if
    /// the model does not fit on a card and the card was not required. At least one.
    pub fn slots(
        &self,
        graphs: &GraphFiles,
        size: PromptSize,
        runtime: &Runtime,
        observer: &dyn Observer,
    ) -> Vec<DeviceSlot> {
        let devices = std::iter::once(&runtime.device).chain(&runtime.others);
        let mut slots: Vec<DeviceSlot> =
            devices.filter_map(|device| self.slot(device, graphs, size, observer)).collect();
        if slots.is_empty() {
            slots.push(DeviceSlot { device: Device::Cpu, embed_on_device: false });
        }
        slots
    }

    /// The slot on a card; `None` if the CPU is to be used instead.
    fn slot(
        &self,
        device: &Device,
        graphs: &GraphFiles,
        size: PromptSize,
        observer: &dyn Observer,
    ) -> Option<DeviceSlot> {
        let Device::Cuda(card) = device else { return None };
        let on_card =
            |embed_on_device| Some(DeviceSlot { device: device.clone(), embed_on_device });
        let Some(free) = card.free_bytes else { return on_card(false) };
        let model = ModelSize {
            weights: graphs.computing_bytes(),
            cache_per_token: 0,
            tokens: 0,
            soft_tokens: size.soft_tokens(),
        };
        let needed = memory_budget(free, model, 1);
        if needed.rows > 0 {
            observer.say(&format!("Running on {device}."));
            // Half of the remaining memory is for the answers that are written at once.
            let left = free - needed.weights - needed.workspace;
            return on_card(graphs.embedding_bytes() <= left / 2);
        }
        let short = format!(
            "{device} has {} MiB free, and the model is thought to take {needed}",
            free >> 20
        );
        if self.options.insists_on_cuda() {
            observer.say(&format!(
                "{short}. It is tried, as you asked for it; a smaller budget or dtype takes less."
            ));
            return on_card(false);
        }
        observer.say(&format!("Running on the CPU: {short}."));
        None
    }
}

/// One device, and the part of the model on it.
#[derive(Debug, Clone)]
pub struct DeviceSlot {
    /// The device.
    pub device: Device,
    /// Whether the embedding table lies on it too, so that only token ids cross the bus.
    pub embed_on_device: bool,
}

/// How many answers are written at the same time with this model and prompts of up to `size`:
/// `rows`, else as many as memory has room for, up to the default.
fn limits(
    model: &Model,
    size: PromptSize,
    rows: Option<usize>,
) -> Result<BatchLimits, SessionError> {
    let limits = BatchLimits::default();
    if let Some(rows) = rows {
        return Ok(BatchLimits { rows, ..limits });
    }
    let tokens = size.image_tokens() + USUAL_TOKENS;
    let cache_per_token = model.cache_bytes_per_token()?;
    if let Device::Cuda(CudaDevice { free_bytes: Some(free), .. }) = model.device {
        let embedding = if model.embed_on_device { model.files.embedding_bytes() } else { 0 };
        let model = ModelSize {
            weights: model.files.computing_bytes() + embedding,
            cache_per_token: cache_per_token as u64,
            tokens: tokens as u64,
            soft_tokens: size.soft_tokens(),
        };
        return Ok(BatchLimits {
            rows: memory_budget(free, model, limits.rows).rows.max(1),
            ..limits
        });
    }
    let row = cache_per_token * tokens;
    Ok(BatchLimits { rows: (CACHE_BYTES / row.max(1)).clamp(1, limits.rows), ..limits })
}
