//! Why a directory is not a model.
//!
//! In: a directory without graphs. Out: its files, and the way on.

use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::folder::{DECODER, EMBEDDING, VISION, entries, list, names};
use super::foreign::Foreign;
use super::whole::FileProblem;
use crate::files;
use crate::hub::{ModelId, ModelNameError};

/// Why a directory is not a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Not a directory at all.
    #[error("{}: no such model directory", .0.display())]
    NoDirectory(PathBuf),
    /// A URL, which may be a server's.
    #[error("{0} is a URL, and a model is a directory, or OWNER/NAME of the Hub")]
    Url(String),
    /// The page of a model of the Hub.
    #[error("{url} is a page of the Hub, and its model is called {id}")]
    HubPage {
        /// The page.
        url: String,
        /// The model.
        id: ModelId,
    },
    /// Meant for the Hub, and no name of its.
    #[error(transparent)]
    HubName(ModelNameError),
    /// A name of Ollama's.
    #[error("{0} is a name of Ollama's, and a model is a directory, or OWNER/NAME of the Hub")]
    OllamaTag(String),
    /// A file in place of a directory.
    #[error("{} is a file, and a model is a directory: name the one with its config.json and \
             tokenizer.json", .0.display())]
    File(PathBuf),
    /// More than one model.
    #[error("{} holds {} models: name one: {}", directory.display(), models.len(), list(models))]
    Several {
        /// The directory.
        directory: PathBuf,
        /// The models.
        models: Vec<String>,
    },
    /// Files that are not run here.
    #[error("{} is {foreign}", path.display())]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// Its kind.
        foreign: Foreign,
    },
    /// A file that is not what its name says.
    #[error("{}: {problem}", path.display())]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Its fault.
        problem: FileProblem,
    },
    /// Neither layout.
    #[error(
        "{}: no model found. Looked for onnx/{VISION}*.onnx, onnx/{EMBEDDING}*.onnx and \
         onnx/{DECODER}*.onnx (or the same beside config.json), \
         and for genai_config.json. There is: {found}", directory.display()
    )]
    NoModel {
        /// The directory.
        directory: PathBuf,
        /// The files that are there instead.
        found: String,
    },
    /// A graph is missing.
    #[error("{}: no {graph} graph. Looked for {looked_for}. There is: {found}",
        directory.display())]
    NoGraph {
        /// The directory.
        directory: PathBuf,
        /// Which graph.
        graph: &'static str,
        /// The names that would have done.
        looked_for: String,
        /// The files that are there instead.
        found: String,
    },
    /// A precision was asked for although there is no choice.
    #[error("{}: this layout has one precision: leave out `dtype`", .0.display())]
    OnePrecision(PathBuf),
    /// Not a precision, nor one for a graph.
    #[error(
        "{0:?} does not name a graph's precision: write q4f16 for all, or \
         vision=fp16,embedding=fp16,decoder=q4f16"
    )]
    Dtype(String),
    /// `genai_config.json` is broken.
    #[error("{}: {reason}", path.display())]
    GenaiConfig {
        /// The file.
        path: PathBuf,
        /// Its fault.
        reason: String,
    },
}

impl LayoutError {
    /// The error for a folder without graphs: the kind of its files, or their names.
    pub(super) fn no_graphs(directory: &Path) -> Self {
        let mut found = names(directory);
        for folder in found.clone() {
            found.extend(
                names(&directory.join(&folder)).into_iter().map(|name| format!("{folder}/{name}")),
            );
        }
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let config =
            files::read(&directory.join("config.json"), files::MAX_TEXT_BYTES).unwrap_or_default();
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        match Foreign::of(&found, config["model_type"].as_str()) {
            Some(foreign) => Self::Foreign { path: directory.to_owned(), foreign },
            None => Self::NoModel { directory: directory.to_owned(), found: entries(directory) },
        }
    }
}
