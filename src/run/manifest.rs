//! What a run was asked to do: `run.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::generate::Sampling;
use crate::model::GraphFiles;
use crate::preprocess::BudgetChoice;
use crate::prompt::Task;

const FILE: &str = "run.json";

/// Why a run's settings cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not a run at all.
    #[error("{}: no run here (no {FILE})", .0.display())]
    NoRun(PathBuf),
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The file is not what gemscope writes.
    #[error("{}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Everything that an answer depends on, but for the image itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is asked.
    pub task: Task,
    /// A system prompt.
    pub system: Option<String>,
    /// Whether the model may think first.
    pub thinking: bool,
    /// Soft tokens of a view.
    pub budget: BudgetChoice,
    /// Whether EXIF orientation is applied.
    pub apply_orientation: bool,
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Which weights answer.
    pub model: ModelIdentity,
}

/// Which model a run was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Its directory; `null` for the bundled demo model.
    pub directory: Option<PathBuf>,
    /// The graphs and their sizes in bytes.
    pub graphs: BTreeMap<String, u64>,
}

impl ModelIdentity {
    /// The identity of `files`, under the directory that the user named.
    pub fn of(directory: Option<&Path>, files: &GraphFiles) -> Self {
        let graphs = [&files.vision, &files.embedding, &files.decoder].into_iter().map(|path| {
            let parts = path.iter().rev().take(2).collect::<Vec<_>>().into_iter().rev();
            let name = parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            (name, path.metadata().map_or(0, |metadata| metadata.len()))
        });
        let directory =
            directory.map(|directory| std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()));
        Self { directory, graphs: graphs.collect() }
    }
}

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of gemscope that made the run.
    pub gemscope: String,
    /// The folder that the images' names are relative to; `null` where the answers were made elsewhere.
    pub root: Option<PathBuf>,
    /// What answers depend on; `null` where they were made elsewhere.
    pub settings: Option<Settings>,
}

impl Manifest {
    /// A manifest of this version.
    pub fn new(root: Option<PathBuf>, settings: Option<Settings>) -> Self {
        Self { gemscope: env!("CARGO_PKG_VERSION").to_owned(), root, settings }
    }

    /// The labels that were asked for, in order.
    pub fn labels(&self) -> &[String] {
        self.settings.as_ref().map_or(&[], |settings| settings.task.labels())
    }

    /// Whether EXIF orientation was applied.
    pub fn apply_orientation(&self) -> bool {
        self.settings.as_ref().is_none_or(|settings| settings.apply_orientation)
    }

    /// The manifest of the run in `directory`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| ManifestError::Parse { path, error }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ManifestError::NoRun(directory.to_owned()))
            }
            Err(error) => Err(ManifestError::Io { path, error }),
        }
    }

    /// Writes it into `directory`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn write(&self, directory: &Path) -> Result<(), ManifestError> {
        let path = directory.join(FILE);
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|error| ManifestError::Parse { path: path.clone(), error })?;
        text.push(b'\n');
        std::fs::write(&path, text).map_err(|error| ManifestError::Io { path, error })
    }
}
