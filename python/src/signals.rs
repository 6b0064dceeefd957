//! Ctrl-C while a model works.

use std::sync::Mutex;

use pyo3::prelude::*;

/// Asks Python whether a handler of a signal has raised an exception, and keeps that.
#[derive(Default)]
pub(crate) struct Signals(Mutex<Option<PyErr>>);

impl Signals {
    /// Whether one has. Python runs handlers in its main thread alone: in another, this is never
    /// so.
    pub(crate) fn is_raised(&self) -> bool {
        let Ok(mut raised) = self.0.lock() else { return true };
        if raised.is_none() {
            *raised = Python::attach(|py| py.check_signals().err());
        }
        raised.is_some()
    }

    /// The exception.
    pub(crate) fn into_error(self) -> Option<PyErr> {
        self.0.into_inner().ok().flatten()
    }
}
