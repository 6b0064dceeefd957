//! What the package `gemscope` of Python is made on.
//!
//! In: settings as JSON, images as paths, bytes or pixels. Out: records as JSON. Promises: nothing
//! holds Python's global lock while a model works; an error is one of the classes of
//! `gemscope._errors`, and says what the library says. What users see is written in Python, in
//! `python/gemscope/`.

mod engine;
mod errors;
mod images;
mod results;
mod run;
mod signals;

use pyo3::prelude::*;

/// Private: use the names of `gemscope`.
#[pymodule(name = "_native")]
mod native {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use pyo3::prelude::*;

    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::results::{parse, read_run, ready_rubric};
    #[pymodule_export]
    use super::run::list_images;

    /// Runs the command with these words, of which the first is the program's name, and gives its
    /// exit code.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<OsString>, onnxruntime: Option<PathBuf>) -> u8 {
        py.detach(|| gemscope::cli::run(arguments, onnxruntime))
    }

    /// The sections of a pipeline, each with its settings.
    #[pyfunction]
    fn sections() -> Vec<(&'static str, Vec<&'static str>)> {
        gemscope::session::Pipeline::sections().into()
    }
}
