//! From arguments to a model that answers.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gemscope::model::{self, Model, ModelConfig, OpenOptions};
use gemscope::preprocess::Budget;
use gemscope::prompt::Prompter;
use gemscope::runtime::{self, Runtime, RuntimeOptions};

use super::messages;

/// Which model.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// A directory with a Gemma 4 ONNX export. Default: the bundled demo model, which knows only coloured shapes
    #[arg(long, short, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Which graphs of the directory, by their suffix: fp32, fp16, q8, q4, q4f16 ... Default: the first of these that is there
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) dtype: Option<String>,
    /// Threads inside ONNX Runtime. Default: all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

impl ModelArgs {
    /// The model's directory; the demo model is unpacked where it is not yet.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        directory(self.model.as_deref())
    }

    /// Loads ONNX Runtime and the graphs.
    pub(crate) fn open(
        &self,
        directory: &Path,
        prompter: &Prompter,
        budget: Budget,
        runtime: &RuntimeOptions,
    ) -> anyhow::Result<Model> {
        let runtime = load_runtime(runtime)?;
        let options = OpenOptions {
            dtype: self.dtype.clone(),
            threads: self.threads.map(usize::from),
            probe_cache: Some(runtime::cache_dir()?),
        };
        Ok(Model::open(directory, &prompter.tokenizer.special, budget, &runtime.environment, &options)?)
    }
}

/// The directory that was named, or that of the demo model.
pub(crate) fn directory(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    match named {
        Some(directory) => Ok(directory.to_owned()),
        None => Ok(model::demo::unpack(&runtime::cache_dir()?)?),
    }
}

/// Tokenizer, template and settings of a model directory: all that needs no graph.
pub(crate) fn open_texts(directory: &Path) -> anyhow::Result<(Prompter, ModelConfig)> {
    if !directory.is_dir() {
        anyhow::bail!("{}: no such model directory", directory.display());
    }
    let prompter = Prompter::open(directory).context("the model directory is not complete")?;
    Ok((prompter, ModelConfig::read(directory)?))
}

/// ONNX Runtime, installed first where that is needed and allowed.
pub(crate) fn load_runtime(options: &RuntimeOptions) -> anyhow::Result<&'static Runtime> {
    Ok(runtime::load(options, &mut |line| messages::say(line))?)
}
