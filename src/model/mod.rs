//! A directory of exported Gemma 4 graphs, ready to run.
//!
//! In: a model directory, patches, token ids. Out: soft tokens, embeddings, logits. Promises:
//! feeds, dtypes, KV heads and head sizes come from the sessions' own inputs; token ids and stop
//! ids from the files; what no file says is probed once and cached. A wrong row count or dtype is
//! an error that names the file, never a bad box.
//!
//! ```
//! use gemscope::model::{Dtypes, GraphFiles};
//!
//! // Without a precision, the first one that is complete is taken.
//! let graphs = GraphFiles::find("fixtures/demo-model".as_ref(), &Dtypes::default())?;
//! assert!(graphs.vision.is_file() && graphs.decoder.is_file());
//! let mixed: Dtypes = "vision=fp16,decoder=q4f16".parse()?;
//! assert!(GraphFiles::find("fixtures/demo-model".as_ref(), &mixed).is_err());
//! # Ok::<(), gemscope::model::LayoutError>(())
//! ```

mod activations;
mod cache;
mod config;
mod decoder;
pub mod demo;
mod device_check;
mod dtypes;
mod embedding;
mod error;
mod external;
mod folder;
mod foreign;
mod graph;
mod header;
mod identity;
mod inexact;
mod inspect;
mod layout;
mod layout_error;
mod locate;
mod log_sum;
mod prepared;
mod probe;
mod published;
pub mod random;
mod tensor;
mod top_k;
mod vision;
mod whole;
mod wire;

pub use cache::KvCache;
pub use config::ModelConfig;
pub use decoder::Logits;
pub use device_check::{DEVICE_CHECKS, DeviceCheck, check_device};
pub use dtypes::Dtypes;
pub use error::GraphError;
pub use foreign::Foreign;
pub use graph::PortInfo;
pub use inexact::Inexact;
pub use inspect::{GraphReport, ModelReport};
pub use layout::{GraphFiles, Layout};
pub use layout_error::LayoutError;
pub use locate::{check_settings, locate};
pub(crate) use log_sum::log_sum;
pub use probe::Probes;
pub use published::{Precision, Published};
pub use top_k::TopKRequest;
pub(crate) use top_k::rank;
#[cfg(test)]
pub(crate) use top_k::tests::of as top_k_of;
pub use vision::Features;
pub use whole::FileProblem;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ndarray::{ArrayView1, CowArray, Ix1};
use thiserror::Error;

pub use crate::device::kernels::{Allowed, TopK};
use crate::device::{BusTraffic, Device, DeviceMemory};
use crate::onnxruntime::Runtime;
use crate::preprocess::PatchGrid;
use crate::prompt::SpecialTokens;
use crate::record::Activations;
use decoder::Decoder;
use embedding::Embedding;
use graph::Graph;
use prepared::OptimisedGraphs;
use vision::VisionEncoder;

/// Why a model cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The directory's files.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A setting that changes nothing.
    #[error(
        "{}: no product of its graphs has weights of 4 or 8 bits, so that `activations` would \
         change nothing", path.display()
    )]
    NoPackedProducts {
        /// The model's directory.
        path: PathBuf,
    },
    /// A graph that cannot be loaded or run, or has other inputs than expected.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A settings file that cannot be read.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// A decoder whose logits are no numbers.
    #[error(
        "{}: {what} gave NaN or infinity on {device}: try graphs of another `dtype`, or ones whose \
         attention is written out", path.display()
    )]
    NotNumbers {
        /// The graph.
        path: PathBuf,
        /// The device that computed it.
        device: String,
        /// Its input.
        what: &'static str,
    },
    /// Unpacking the bundled model.
    #[error("cannot unpack the bundled model to {}: {error}", path.display())]
    Unpack {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
}

/// How a model is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Threads inside ONNX Runtime; its own choice (all cores) if `None`.
    pub threads: Option<usize>,
    /// The folder that keeps probe results; `None` keeps none.
    pub probe_cache: Option<PathBuf>,
    /// The folder that keeps optimised graphs, so that they open faster next time; `None` keeps
    /// none. Takes as much disk as the graphs do.
    pub graph_cache: Option<PathBuf>,
    /// The device: one that [`onnxruntime::load`](crate::onnxruntime::load) found.
    pub device: Device,
    /// Run the embedding graph on the device as well. Needs memory for its table, but then only
    /// token ids cross the bus.
    pub embed_on_device: bool,
    /// How products with weights of 4 or 8 bits take their activations; as the graphs say if
    /// `None`.
    pub activations: Option<Activations>,
}

/// The three graphs of a model directory and what is known about them.
pub struct Model {
    /// The model's directory.
    pub directory: PathBuf,
    /// How its files are laid out, and which were chosen.
    pub files: GraphFiles,
    /// Its settings files.
    pub config: ModelConfig,
    /// The device.
    pub device: Device,
    /// Whether embeddings are looked up there too.
    pub embed_on_device: bool,
    /// Its probes.
    pub probes: Probes,
    probe_file: Option<PathBuf>,
    special: SpecialTokens,
    vision: VisionEncoder,
    embedding: Embedding,
    decoder: Decoder,
    /// The device's memory, if tensors stay there between runs.
    memory: Option<Arc<DeviceMemory>>,
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
        let device = &options.device;
        let kept = options.graph_cache.as_ref().map(|folder| OptimisedGraphs {
            folder: folder.clone(),
            runtime_version: &runtime.version,
        });
        let form = graph::Form { threads: options.threads, activations: options.activations };
        let open = |path: &Path, device| {
            Graph::open(path, &runtime.environment, form, device, kept.as_ref())
        };
        let embedder = if options.embed_on_device { device } else { &Device::Cpu };
        let mut model = Self {
            vision: VisionEncoder::new(open(&files.vision, device)?)?,
            embedding: Embedding::new(open(&files.embedding, embedder)?, special)?,
            decoder: Decoder::new(open(&files.decoder, device)?)?,
            memory: None,
            directory: directory.to_owned(),
            device: device.clone(),
            embed_on_device: options.embed_on_device,
            config: ModelConfig::read(directory)?,
            probes: Probes::default(),
            probe_file: options
                .probe_cache
                .as_ref()
                .map(|cache| probe::file(&files, &runtime.version, options, cache)),
            special: special.clone(),
            files,
        };
        model.stay_on_device()?;
        model.probes = Probes::kept_or_run(&mut model)?;
        model.embedding.feed_padding_for_images = !model.probes.image_ids_masked;
        Ok(model)
    }

    /// On a card, has what one graph gives the other lie in its memory.
    fn stay_on_device(&mut self) -> Result<(), GraphError> {
        let memory =
            DeviceMemory::of(&self.device).map_err(|error| self.decoder.graph.device(error))?;
        let Some(memory) = memory.map(Arc::new) else { return Ok(()) };
        self.decoder.graph.stay_in(Arc::clone(&memory))?;
        self.vision.graph.stay_in(Arc::clone(&memory))?;
        // Graphs of different dtypes exchange tensors through main memory, where they are cast.
        if self.embed_on_device && self.embedding.is_in_dtype_of(&self.decoder.graph) {
            self.embedding.graph.stay_in(Arc::clone(&memory))?;
            self.vision.keeps = self.embedding.takes_as_they_are(&self.vision.graph);
        }
        self.memory = Some(memory);
        Ok(())
    }

    /// Bytes over the bus to and from the device so far; 0 on the CPU.
    pub fn traffic(&self) -> BusTraffic {
        self.memory.as_ref().map(|memory| memory.traffic()).unwrap_or_default()
    }

    /// Side of a patch in pixels: 16, or 48 if there is no vision encoder (12B).
    pub fn patch_side(&self) -> u32 {
        self.vision.patch_side()
    }

    /// Soft tokens of views of one patch count; each view comes with its expected number of them.
    /// Several views only if [`Probes::vision_batch`] allows it.
    ///
    /// # Errors
    /// [`GraphError`] if the graph fails or gives another number of rows.
    pub fn encode(&mut self, views: Vec<(PatchGrid, usize)>) -> Result<Vec<Features>, GraphError> {
        self.vision.encode(views)
    }

    /// The values of soft tokens, `[rows, width]` in f32, copied to main memory if they lie
    /// elsewhere.
    ///
    /// # Errors
    /// [`GraphError`] if the device does not give them.
    pub fn soft_tokens(&self, features: &Features) -> Result<Vec<f32>, GraphError> {
        self.vision.values(features)
    }

    /// A KV cache for `rows` sequences of no tokens.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime cannot make the tensors.
    pub fn empty_cache(&self, rows: usize) -> Result<KvCache, GraphError> {
        self.decoder.empty_cache(rows)
    }

    /// Runs the next tokens of every row of `cache` through embedding and decoder. `ids` are
    /// `[rows, sequence]`; the soft tokens of `features`, in the order of the rows, take the places
    /// of the image ids.
    ///
    /// # Errors
    /// [`GraphError`] if a graph fails, or the soft tokens do not match the image ids.
    pub fn decode(
        &mut self,
        ids: &[i64],
        features: &[&Features],
        cache: &mut KvCache,
    ) -> Result<Logits, GraphError> {
        let embedded = self.embedding.embed(ids, cache.rows(), features)?;
        self.decoder.step(ids, embedded, cache, 1)
    }

    /// The same without image ids, and with the logits of every position.
    ///
    /// # Errors
    /// [`GraphError`] if a graph fails.
    pub fn decode_all(&mut self, ids: &[i64], cache: &mut KvCache) -> Result<Logits, GraphError> {
        let embedded = self.embedding.embed(ids, cache.rows(), &[])?;
        self.decoder.step(ids, embedded, cache, ids.len() / cache.rows())
    }

    /// The logits of a row's last position, `[vocabulary]`, f32; those of a graph in f32 are not
    /// copied.
    ///
    /// # Errors
    /// [`GraphError`] if they are not `[rows, positions, vocabulary]`.
    pub fn logits<'l>(
        &self,
        logits: &'l Logits,
        row: usize,
    ) -> Result<CowArray<'l, f32, Ix1>, GraphError> {
        Ok(match self.decoder.logits(logits, row, 0)? {
            Cow::Borrowed(row) => ArrayView1::from(row).into(),
            Cow::Owned(row) => ndarray::Array1::from(row).into(),
        })
    }

    /// The best ids of some positions, in the order of the requests, and what their probabilities
    /// need. If the logits lie on a device, only that leaves it.
    ///
    /// # Errors
    /// [`GraphError`] if the logits have no such position.
    pub fn top_k(
        &self,
        logits: &Logits,
        wanted: &[TopKRequest<'_>],
    ) -> Result<Vec<TopK>, GraphError> {
        self.decoder.top_k(logits, wanted)
    }

    /// Drops a row of `cache`; the last one takes its place.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime does not hand out the data.
    pub fn remove_row(&self, cache: &mut KvCache, row: usize) -> Result<(), GraphError> {
        cache.swap_remove(&self.decoder.graph, row)
    }

    /// Removes tokens from the ends of rows of `cache`, `(row, count)`. Only with
    /// [`Probes::left_padding_harmless`], since the rows get padding.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime does not hand out the data.
    pub fn rewind_rows(
        &self,
        cache: &mut KvCache,
        rows: &[(usize, usize)],
    ) -> Result<(), GraphError> {
        cache.rewind(&self.decoder.graph, rows)
    }

    /// A cache of the given rows of others; a row may occur several times. Rows of different length
    /// only with [`Probes::left_padding_harmless`].
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime has no memory for it.
    pub fn join_rows(&self, rows: &[(&KvCache, usize)]) -> Result<KvCache, GraphError> {
        let whole: Vec<_> =
            rows.iter().map(|(cache, row)| (*cache, *row, cache.length(*row))).collect();
        KvCache::of_rows(&self.decoder.graph, &whole)
    }

    /// A cache of the first `length` tokens of one row.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime has no memory for it.
    pub fn first_tokens(
        &self,
        cache: &KvCache,
        row: usize,
        length: usize,
    ) -> Result<KvCache, GraphError> {
        KvCache::of_rows(&self.decoder.graph, &[(cache, row, length)])
    }

    /// Bytes in a KV cache for one token of one row.
    ///
    /// # Errors
    /// [`GraphError`] if the graph does not say the cache's shape.
    pub fn cache_bytes_per_token(&self) -> Result<usize, GraphError> {
        self.decoder.cache_bytes_per_token()
    }

    /// Whether several prompts with images can be run at once: graphs that put the soft tokens into
    /// their places themselves are fed one view at a time.
    pub fn batches_prompts(&self) -> bool {
        self.probes.prompt_batch && !self.embedding.merges
    }

    /// Puts the id of an image's soft token in place of a video's: Hugging Face's model makes no
    /// difference between the two, since it looks up padding for both and puts the soft tokens over
    /// it, and not every export knows the second one.
    pub fn stand_in(&self, ids: &mut [u32]) {
        let Some(video_id) = self.special.video_id else { return };
        ids.iter_mut().filter(|id| **id == video_id).for_each(|id| *id = self.special.image_id);
    }

    /// The id that stands for a soft token.
    pub fn image_id(&self) -> u32 {
        self.special.image_id
    }

    /// Wall time spent inside ONNX Runtime so far, over all three graphs.
    pub fn runtime_time(&self) -> Duration {
        self.vision.graph.elapsed + self.embedding.graph.elapsed + self.decoder.graph.elapsed
    }
}
