//! A directory of exported Gemma 4 graphs, ready to run.
//!
//! In: a model directory, patches, token ids. Out: soft tokens, embeddings, logits. Promises: feeds, dtypes, KV heads and head sizes
//! come from the sessions' own inputs; token ids and stop ids from the files; what no file says is probed once and cached. A wrong
//! row count or dtype is an error that names the file, never a bad box.

mod config;
mod decoder;
pub mod demo;
mod embedding;
mod external;
mod graph;
mod inspect;
mod layout;
mod probe;
mod tensor;
mod vision;

pub use config::ModelConfig;
pub use decoder::{KvCache, Step};
pub use embedding::Embedded;
pub use graph::{GraphError, PortInfo};
pub use inspect::{GraphReport, ModelReport};
pub use layout::{Dtypes, GraphFiles, Layout, LayoutError};
pub use probe::Probes;
pub use vision::Features;

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::preprocess::PatchGrid;
use crate::prompt::SpecialTokens;
use crate::runtime::Runtime;
use decoder::Decoder;
use embedding::Embedding;
use graph::Graph;
use vision::VisionEncoder;

/// Why a model cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The directory's files.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A graph that cannot be loaded or run, or has other inputs than expected.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A settings file that cannot be read.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Unpacking the bundled model.
    #[error("cannot unpack the bundled model to {}: {error}", path.display())]
    Unpack {
        /// Where to.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
}

/// How a model is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Threads inside ONNX Runtime; its own choice (all cores) where `None`.
    pub threads: Option<usize>,
    /// Where probe results are kept; they are not kept where `None`.
    pub probe_cache: Option<PathBuf>,
}

/// The three graphs of a model directory and what is known about them.
pub struct Model {
    /// Where the model lies.
    pub directory: PathBuf,
    /// How its files are laid out, and which were chosen.
    pub files: GraphFiles,
    /// What its settings files say.
    pub config: ModelConfig,
    /// What was found by trying.
    pub probes: Probes,
    probe_file: Option<PathBuf>,
    special: SpecialTokens,
    vision: VisionEncoder,
    embedding: Embedding,
    decoder: Decoder,
}

impl Model {
    /// Loads the graphs `files` of `directory` and probes what no file says.
    ///
    /// # Errors
    /// [`ModelError`] that names the file.
    pub fn open(
        directory: &Path,
        files: GraphFiles,
        special: &SpecialTokens,
        runtime: &Runtime,
        options: &OpenOptions,
    ) -> Result<Self, ModelError> {
        let open = |path: &Path| Graph::open(path, &runtime.environment, options.threads);
        let mut model = Self {
            vision: VisionEncoder::new(open(&files.vision)?)?,
            embedding: Embedding::new(open(&files.embedding)?, special)?,
            decoder: Decoder::new(open(&files.decoder)?)?,
            directory: directory.to_owned(),
            config: ModelConfig::read(directory)?,
            probes: Probes::default(),
            probe_file: options.probe_cache.as_ref().map(|cache| probe::file(&files, &runtime.version, cache)),
            special: special.clone(),
            files,
        };
        model.probes = Probes::kept_or_run(&mut model)?;
        model.embedding.feed_padding_for_images = !model.probes.image_ids_masked;
        Ok(model)
    }

    /// Side of a patch in pixels: 16, or 48 where there is no vision encoder (12B).
    pub fn patch_side(&self) -> u32 {
        self.vision.patch_side()
    }

    /// Soft tokens of one view, `soft_tokens` rows.
    ///
    /// # Errors
    /// [`GraphError`] where the graph fails or gives another number of rows.
    pub fn encode(&mut self, patches: PatchGrid, soft_tokens: u32) -> Result<Features, GraphError> {
        self.vision.encode(patches, soft_tokens as usize)
    }

    /// Embeddings of `ids`, image rows replaced by `features`.
    ///
    /// # Errors
    /// [`GraphError`] where the graph fails or the rows do not match the image ids.
    pub fn embed(&mut self, ids: &[i64], features: Option<&Features>) -> Result<Embedded, GraphError> {
        self.embedding.embed(ids, features)
    }

    /// An empty KV cache.
    ///
    /// # Errors
    /// [`GraphError`] where ONNX Runtime cannot make the tensors.
    pub fn empty_cache(&self) -> Result<KvCache, GraphError> {
        self.decoder.empty_cache()
    }

    /// Runs the decoder over `step` and gives the logits of its last position, one for each id of the vocabulary.
    ///
    /// # Errors
    /// [`GraphError`].
    pub fn decode(&mut self, step: Step<'_>, cache: &mut KvCache) -> Result<Vec<f32>, GraphError> {
        self.decoder.step(step, cache)
    }

    /// Wall time spent inside ONNX Runtime so far, over all three graphs.
    pub fn runtime_time(&self) -> Duration {
        self.vision.graph.elapsed + self.embedding.graph.elapsed + self.decoder.graph.elapsed
    }
}
