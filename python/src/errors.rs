//! Errors of the library as exceptions.

use gemscope::session::{PipelineError, SessionError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The classes of `gemscope._errors`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Fork,
    Image,
    Model,
    NeedsModel,
    OnnxRuntime,
    Run,
    Server,
    Settings,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Self::Fork => "ForkError",
            Self::Image => "ImageError",
            Self::Model => "ModelError",
            Self::NeedsModel => "NeedsModelError",
            Self::OnnxRuntime => "OnnxRuntimeError",
            Self::Run => "RunError",
            Self::Server => "ServerError",
            Self::Settings => "SettingsError",
        }
    }

    fn of(error: &SessionError) -> Self {
        match error {
            SessionError::NeedsModel { .. } | SessionError::RubricNeedsModel { .. } => {
                Self::NeedsModel
            }
            SessionError::Inexact { .. }
            | SessionError::IncompleteModel(_)
            | SessionError::OnCard { .. }
            | SessionError::NoPrecision { .. }
            | SessionError::NotPublished { .. }
            | SessionError::NoModel(_)
            | SessionError::NoEngine
            | SessionError::Hub(_)
            | SessionError::Layout(_)
            | SessionError::Model(_)
            | SessionError::Graph(_)
            | SessionError::Engine(_)
            | SessionError::Script(_) => Self::Model,
            SessionError::Runtime(_) => Self::OnnxRuntime,
            SessionError::Server(_) | SessionError::ServerHasNoFiles => Self::Server,
            SessionError::Run(_)
            | SessionError::Directory(_)
            | SessionError::Ownership(_)
            | SessionError::Stopped => Self::Run,
            SessionError::Image(_) => Self::Image,
            _ => Self::Settings,
        }
    }
}

/// An exception of this kind.
pub(crate) fn error(kind: Kind, message: impl Into<String>) -> PyErr {
    Python::attach(|py| {
        let message = PyString::new(py, &message.into());
        let made = py
            .import("gemscope._errors")
            .and_then(|errors| errors.getattr(kind.class()))
            .and_then(|class| class.call1((message,)));
        match made {
            Ok(made) => PyErr::from_value(made),
            Err(error) => error,
        }
    })
}

/// The exception of a session's error.
pub(crate) fn of_session(problem: &SessionError) -> PyErr {
    error(Kind::of(problem), problem.to_string())
}

/// The exception of settings that cannot be used.
pub(crate) fn of_settings(problem: &PipelineError) -> PyErr {
    error(Kind::Settings, problem.to_string())
}
