//! The source of a session's answers: a model, a server, or engines of the caller.

use std::sync::Arc;

use super::remote::{self, ModelRequirements, RemoteModel};
use super::{
    DeviceSlot, ModelChoice, ModelFiles, ModelOptions, Observer, PromptSize, SessionError,
};
use crate::device::Device;
use crate::engine::{Engine, Script, ScriptedEngine, ServerEngine};
use crate::model::GraphFiles;
use crate::prompt::Prompts;
use crate::record::{Budget, ModelIdentity, ServerDescription, Settings};
use crate::server::Server;

/// Engines of the caller, and the names that a run keeps of them.
pub struct OwnEngines {
    /// The model's name in results.
    pub name: String,
    /// Which model it is: a run goes on only with the same.
    pub identity: ModelIdentity,
    /// At least one; each takes the next image.
    pub engines: Vec<Box<dyn Engine>>,
}

impl OwnEngines {
    /// One engine, known by its name alone.
    pub fn of(name: impl Into<String>, engine: impl Engine + 'static) -> Self {
        Self {
            name: name.into(),
            identity: ModelIdentity::default(),
            engines: vec![Box::new(engine)],
        }
    }
}

/// The source of answers.
pub(super) enum AnswerSource {
    /// A directory of graphs.
    Model(Box<ModelFiles>),
    /// Engines, and how questions are put to them.
    Own(OwnEngines),
    /// A server.
    Server(RemoteModel),
}

/// A model whose graphs are chosen and identified.
pub(super) struct IdentifiedModel {
    pub(super) identity: ModelIdentity,
    graphs: Option<GraphFiles>,
    server: Option<Arc<Server>>,
}

impl IdentifiedModel {
    /// Puts into `settings` how a server is asked, and how it really decodes.
    pub(super) fn complete(&self, settings: &mut Settings) {
        if let Some(server) = &self.server {
            let (used, decoding) = remote::used(server, settings.decoding);
            (settings.server, settings.decoding) = (Some(used), decoding);
        }
    }

    /// The server's description of itself.
    pub(super) fn server_description(&self) -> Option<ServerDescription> {
        self.server.as_deref().map(remote::describe)
    }
}

/// Engines that are ready to be made.
pub(super) struct PlacedModel<'r> {
    /// The device of each engine, at least one.
    pub(super) slots: Vec<DeviceSlot>,
    /// Known faults of the model's graphs.
    pub(super) inexact: Vec<String>,
    graphs: Option<GraphFiles>,
    runtime: Option<&'r crate::onnxruntime::Runtime>,
}

impl AnswerSource {
    /// # Errors
    /// [`SessionError`] if the model, or the script, cannot be read.
    pub(super) fn open(options: &ModelOptions) -> Result<Self, SessionError> {
        match &options.model {
            ModelChoice::Script(file) => {
                let engine = ScriptedEngine::new(Script::read(file)?);
                Ok(Self::Own(OwnEngines::of(format!("script {}", file.display()), engine)))
            }
            ModelChoice::Server(server) => {
                Ok(Self::Server(RemoteModel::of(server, options.runtime.offline)))
            }
            _ => Ok(Self::Model(Box::new(ModelFiles::open(options)?))),
        }
    }

    /// The budget of a view if none was chosen.
    pub(super) fn usual_budget(&self) -> Budget {
        match self {
            Self::Model(files) => files.config.default_budget,
            Self::Own(_) | Self::Server(_) => Budget::USUAL,
        }
    }

    /// Puts questions into prompts.
    pub(super) fn prompts(&self) -> Prompts {
        match self {
            Self::Model(files) => files.prompts(),
            Self::Own(_) | Self::Server(_) => Prompts::Plain,
        }
    }

    /// Whether answers are held to a list of boxes by means of its own.
    pub(super) fn takes_forms(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// The server, once it was tried.
    pub(super) fn server(&self) -> Option<&Server> {
        match self {
            Self::Server(remote) => remote.server().map(Arc::as_ref),
            Self::Model(_) | Self::Own(_) => None,
        }
    }

    /// Ids that end an answer.
    pub(super) fn stop_ids(&self) -> &[u32] {
        match self {
            Self::Model(files) => &files.config.stop_ids,
            Self::Own(_) | Self::Server(_) => &[],
        }
    }

    /// The model's name in results.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Model(files) => files.name(),
            Self::Own(own) => own.name.clone(),
            Self::Server(remote) => remote.name(),
        }
    }

    /// # Errors
    /// [`SessionError`] if the model's graphs are missing, or cannot be read; if a server is not
    /// reached, or lacks a needed capability.
    pub(super) fn identify(
        &self,
        needs: &ModelRequirements,
        observer: &dyn Observer,
    ) -> Result<IdentifiedModel, SessionError> {
        match self {
            Self::Model(files) => {
                let graphs = files.graphs(observer)?;
                let identity = files.identity(&graphs)?;
                Ok(IdentifiedModel { identity, graphs: Some(graphs), server: None })
            }
            Self::Own(own) => {
                Ok(IdentifiedModel { identity: own.identity.clone(), graphs: None, server: None })
            }
            Self::Server(remote) => {
                let server = remote.connect(needs, observer)?;
                Ok(IdentifiedModel {
                    identity: remote::identity(&server),
                    graphs: None,
                    server: Some(server),
                })
            }
        }
    }

    /// The devices of engines for prompts of up to `size`.
    ///
    /// # Errors
    /// [`SessionError`] if ONNX Runtime cannot be had.
    pub(super) fn place(
        &self,
        identified: IdentifiedModel,
        size: PromptSize,
        options: &ModelOptions,
        observer: &dyn Observer,
    ) -> Result<PlacedModel<'static>, SessionError> {
        let on_cpu = || vec![DeviceSlot { device: Device::Cpu, embed_on_device: false }];
        let (Self::Model(files), Some(graphs)) = (self, identified.graphs) else {
            return Ok(PlacedModel {
                slots: on_cpu(),
                inexact: Vec::new(),
                graphs: None,
                runtime: None,
            });
        };
        let runtime = options.load_runtime(observer)?;
        let slots = files.slots(&graphs, size, runtime, observer);
        let inexact = files.inexact(&graphs)?;
        Ok(PlacedModel { slots, inexact, graphs: Some(graphs), runtime: Some(runtime) })
    }

    /// The engines, at least one. Those that the caller has made are taken: they are given back by
    /// [`Self::give_back`].
    ///
    /// # Errors
    /// [`SessionError`] if the model cannot be loaded.
    pub(super) fn engines(
        &mut self,
        placed: PlacedModel<'_>,
        size: PromptSize,
        rows: Option<usize>,
    ) -> Result<Vec<Box<dyn Engine>>, SessionError> {
        match (self, placed) {
            (
                Self::Model(files),
                PlacedModel { slots, graphs: Some(graphs), runtime: Some(runtime), .. },
            ) => files.engines(&graphs, runtime, slots, size, rows),
            (Self::Own(own), _) if !own.engines.is_empty() => Ok(std::mem::take(&mut own.engines)),
            (Self::Server(remote), _) => match remote.server() {
                Some(server) => Ok(vec![Box::new(ServerEngine::new(Arc::clone(server)))]),
                None => Err(SessionError::NoEngine),
            },
            _ => Err(SessionError::NoEngine),
        }
    }

    /// Takes engines that [`Self::engines`] gave back, for the next run.
    pub(super) fn give_back(&mut self, engines: Vec<Box<dyn Engine>>) {
        if let Self::Own(own) = self {
            own.engines.extend(engines);
        }
    }
}
