//! From arguments to a model that answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use gemscope::model::{self, Dtypes, GraphFiles, Model, ModelConfig, OpenOptions};
use gemscope::prompt::Prompter;
use gemscope::runtime::{self, Runtime};

use super::messages;

/// Which model.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// A directory with a Gemma 4 ONNX export. Default: the bundled demo model, which knows only coloured shapes
    #[arg(long, short, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Which graphs, by their suffix: fp32, fp16, q8, q4, q4f16 ..., for all or for each: vision=fp16,decoder=q4f16. Default: the
    /// first that is there
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) dtype: Option<Dtypes>,
    /// Threads inside ONNX Runtime. Default: all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

/// A model directory, of which no graph is loaded yet.
pub(crate) struct ModelFiles {
    pub(crate) directory: PathBuf,
    pub(crate) prompter: Arc<Prompter>,
    pub(crate) config: ModelConfig,
}

impl ModelFiles {
    /// Tokenizer, template and settings of a model directory: all that needs no graph. The demo model is unpacked where it is not yet.
    pub(crate) fn open(named: Option<&Path>) -> anyhow::Result<Self> {
        let directory = match named {
            Some(directory) => directory.to_owned(),
            None => model::demo::unpack(&runtime::cache_dir()?)?,
        };
        if !directory.is_dir() {
            anyhow::bail!("{}: no such model directory", directory.display());
        }
        let prompter = Prompter::open(&directory).context("the model directory is not complete")?;
        let config = ModelConfig::read(&directory)?;
        Ok(Self { directory, prompter: Arc::new(prompter), config })
    }

    /// What a reader of results knows the model by.
    pub(crate) fn name(&self, args: &ModelArgs) -> String {
        let directory = self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone());
        match directory.file_name() {
            Some(name) if args.model.is_some() => name.to_string_lossy().into_owned(),
            _ => "the bundled demo model".to_owned(),
        }
    }

    /// The graphs that are to be used.
    pub(crate) fn graphs(&self, args: &ModelArgs) -> anyhow::Result<GraphFiles> {
        let graphs = GraphFiles::find(&self.directory, &args.dtype.clone().unwrap_or_default())?;
        if args.model.is_some() {
            let name = |path: &Path| path.strip_prefix(&self.directory).unwrap_or(path).display().to_string();
            let names = [&graphs.vision, &graphs.embedding, &graphs.decoder].map(|path| name(path)).join(", ");
            messages::say(&format!("Graphs: {names}"));
        }
        Ok(graphs)
    }

    /// Loads the graphs.
    pub(crate) fn load(&self, graphs: GraphFiles, args: &ModelArgs, runtime: &Runtime) -> anyhow::Result<Model> {
        let options = OpenOptions {
            threads: args.threads.map(usize::from),
            // Without a cache directory, the probes run every time.
            probe_cache: runtime::cache_dir().ok(),
        };
        Ok(Model::open(&self.directory, graphs, &self.prompter.tokenizer.special, runtime, &options)?)
    }
}
