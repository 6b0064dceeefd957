//! What answers the questions of a session: a model, a server, or engines that the caller has made.

use std::sync::Arc;

use super::remote::{self, Needs, Remote};
use super::{DeviceSlot, ModelChoice, ModelFiles, ModelOptions, Observer, SessionError};
use crate::device::Device;
use crate::engine::{Engine, Script, ScriptedEngine, ServerEngine};
use crate::model::GraphFiles;
use crate::prompt::Prompts;
use crate::record::{Budget, ModelIdentity, ServerSaid, Settings};
use crate::server::Server;

/// Engines that the caller has made, and what a run keeps of them.
pub struct OwnEngines {
    /// What results call the model.
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

/// What answers.
pub(super) enum Answers {
    /// A directory of graphs.
    Model(Box<ModelFiles>),
    /// Engines, and how questions are put to them.
    Own(OwnEngines),
    /// A server.
    Server(Remote),
}

/// A model of which is known which graphs it has.
pub(super) struct Identified {
    pub(super) identity: ModelIdentity,
    graphs: Option<GraphFiles>,
    server: Option<Arc<Server>>,
}

impl Identified {
    /// Puts into `settings` how a server is asked, and how it really decodes.
    pub(super) fn settle(&self, settings: &mut Settings) {
        if let Some(server) = &self.server {
            let (used, decoding) = remote::used(server, settings.decoding);
            (settings.server, settings.decoding) = (Some(used), decoding);
        }
    }

    /// What a server says of itself.
    pub(super) fn said(&self) -> Option<ServerSaid> {
        self.server.as_deref().map(remote::said)
    }
}

/// Engines that are ready to be made.
pub(super) struct Placed<'r> {
    /// Where each computes, at least one.
    pub(super) slots: Vec<DeviceSlot>,
    /// What is known to be wrong with the model's graphs.
    pub(super) inexact: Vec<String>,
    graphs: Option<GraphFiles>,
    runtime: Option<&'r crate::onnxruntime::Runtime>,
}

impl Answers {
    /// # Errors
    /// [`SessionError`] if the model, or the script, cannot be read.
    pub(super) fn open(options: &ModelOptions) -> Result<Self, SessionError> {
        match &options.model {
            ModelChoice::Script(file) => {
                let engine = ScriptedEngine::new(Script::read(file)?);
                Ok(Self::Own(OwnEngines::of(format!("script {}", file.display()), engine)))
            }
            ModelChoice::Server(server) => {
                Ok(Self::Server(Remote::of(server, options.runtime.offline)))
            }
            _ => Ok(Self::Model(Box::new(ModelFiles::open(options)?))),
        }
    }

    /// The budget of a view where none was chosen.
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

    /// The name by which results call the model.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Model(files) => files.name(),
            Self::Own(own) => own.name.clone(),
            Self::Server(remote) => remote.name(),
        }
    }

    /// # Errors
    /// [`SessionError`] if the model's graphs are not there, or cannot be read; if a server is not
    /// reached, or cannot do what is needed.
    pub(super) fn identify(
        &self,
        needs: &Needs,
        observer: &dyn Observer,
    ) -> Result<Identified, SessionError> {
        match self {
            Self::Model(files) => {
                let graphs = files.graphs(observer)?;
                let identity = ModelIdentity::of(&files.directory, &graphs, &files.config)?;
                Ok(Identified { identity, graphs: Some(graphs), server: None })
            }
            Self::Own(own) => {
                Ok(Identified { identity: own.identity.clone(), graphs: None, server: None })
            }
            Self::Server(remote) => {
                let server = remote.connect(needs, observer)?;
                Ok(Identified {
                    identity: remote::identity(&server),
                    graphs: None,
                    server: Some(server),
                })
            }
        }
    }

    /// Where engines for views of up to `budget` compute.
    ///
    /// # Errors
    /// [`SessionError`] if ONNX Runtime cannot be had.
    pub(super) fn place(
        &self,
        identified: Identified,
        budget: Budget,
        options: &ModelOptions,
        observer: &dyn Observer,
    ) -> Result<Placed<'static>, SessionError> {
        let on_cpu = || vec![DeviceSlot { device: Device::Cpu, embed_on_device: false }];
        let (Self::Model(files), Some(graphs)) = (self, identified.graphs) else {
            return Ok(Placed {
                slots: on_cpu(),
                inexact: Vec::new(),
                graphs: None,
                runtime: None,
            });
        };
        let runtime = options.load_runtime(observer)?;
        let slots = files.slots(&graphs, budget, runtime, observer);
        let inexact = files.inexact(&graphs)?;
        Ok(Placed { slots, inexact, graphs: Some(graphs), runtime: Some(runtime) })
    }

    /// The engines, at least one. Those that the caller has made are taken: they are given back by
    /// [`Self::give_back`].
    ///
    /// # Errors
    /// [`SessionError`] if the model cannot be loaded.
    pub(super) fn engines(
        &mut self,
        placed: Placed<'_>,
        budget: Budget,
        rows: Option<usize>,
    ) -> Result<Vec<Box<dyn Engine>>, SessionError> {
        match (self, placed) {
            (
                Self::Model(files),
                Placed { slots, graphs: Some(graphs), runtime: Some(runtime), .. },
            ) => files.engines(&graphs, runtime, slots, budget, rows),
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
            own.engines = engines;
        }
    }
}
