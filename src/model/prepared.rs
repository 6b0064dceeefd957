//! Graphs as ONNX Runtime made them ready, kept for the next start.
//!
//! In: a graph's file and a folder for optimised graphs. Out: the session: from the optimised graph
//! if it is of this very graph, this ONNX Runtime and this processor; else from the graph, whose
//! optimised form is then kept. Promises: answers are the same either way, since the same optimised
//! graph is run; a kept graph is whole or not there; if it cannot be written or read, the graph
//! itself is opened, with a warning.
//!
//! Folding constants, fusing nodes and laying weights out anew takes most of the time in which a
//! large graph is opened; the weights of an optimised graph are mapped from a file. It takes about
//! as much disk as the graph does.

use std::io;
use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::activations::Source;
use super::external;
use crate::{digest, files};

/// The graph in its folder.
const GRAPH: &str = "graph.onnx";
/// Its weights, beside it.
const WEIGHTS: &str = "graph.onnx_data";

/// The folder of optimised graphs, and their key.
pub(super) struct OptimisedGraphs<'k> {
    /// The folder.
    pub(super) folder: PathBuf,
    /// ONNX Runtime's version.
    pub(super) runtime_version: &'k str,
}

/// Opens a graph by way of what is kept; `builder` makes the settings of a session, which are the
/// same either way.
pub(super) fn open(
    source: &Source<'_>,
    kept: &OptimisedGraphs<'_>,
    builder: &dyn Fn() -> ort::Result<SessionBuilder>,
) -> ort::Result<Session> {
    let folder = kept.folder.as_path();
    let path = source.path;
    let place = match key(source, kept.runtime_version) {
        Ok(key) => folder.join(key),
        Err(error) => {
            tracing::warn!("{}: not kept for the next start: {error}", path.display());
            return source.commit(builder()?);
        }
    };
    let kept = place.join(GRAPH);
    if std::fs::symlink_metadata(&kept).is_ok_and(|metadata| metadata.is_file()) {
        let opened = builder()?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .commit_from_file(&kept);
        match opened {
            Ok(session) => return Ok(session),
            Err(error) => {
                tracing::warn!(
                    "{}: what was kept of it cannot be used, and is made again: {error}",
                    path.display()
                );
                let _ = std::fs::remove_dir_all(&place);
            }
        }
    }
    match keep(source, folder, &place, builder) {
        Ok(session) => Ok(session),
        Err(reason) => {
            tracing::warn!("{}: not kept for the next start: {reason}", path.display());
            source.commit(builder()?)
        }
    }
}

/// Opens a graph, and puts what ONNX Runtime made of it in its place.
fn keep(
    source: &Source<'_>,
    folder: &Path,
    place: &Path,
    builder: &dyn Fn() -> ort::Result<SessionBuilder>,
) -> Result<Session, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let temporary = files::temporary(0o777).tempdir_in(folder)?;
    let builder = builder()?
        .with_optimized_model_path(temporary.path().join(GRAPH))?
        .with_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)?;
    let session = source.commit(builder)?;
    // Another process may have been faster; its graph is the same.
    let made = temporary.keep();
    if let Err(error) = std::fs::rename(&made, place) {
        std::fs::remove_dir_all(&made)?;
        if !place.is_dir() {
            return Err(error.into());
        }
    }
    Ok(session)
}

/// The key of an optimised graph: the graph and its weights, ONNX Runtime, the processor, which
/// decides how weights are laid out.
fn key(source: &Source<'_>, runtime_version: &str) -> io::Result<String> {
    let path = source.path;
    let mut content = format!("{runtime_version}\n{}\n{}\n", std::env::consts::ARCH, processor());
    if let Some((_, activations)) = &source.patched {
        content = format!("{content}{activations}\n");
    }
    let data = external::data_files(path).map_err(io::Error::other)?;
    let beside = data.keys().map(|name| path.with_file_name(name));
    for file in std::iter::once(path.to_owned()).chain(beside) {
        content.push_str(&digest::fingerprint(&file)?);
    }
    Ok(digest::hex(content)[..32].to_owned())
}

/// The processor's name and features, as the system tells them; empty if they are not known and the
/// folder is not shared between machines.
fn processor() -> String {
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| {
        known.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
    };
    format!("{}\n{}", line("model name"), line("flags"))
}
