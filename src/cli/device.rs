//! `--model` and `--device`, from arguments.

use std::path::PathBuf;

use anyhow::anyhow;
use gemscope::device::{Cards, DeviceChoice};
use gemscope::model::{Dtypes, demo};
use gemscope::session::{ModelChoice, ModelOptions};

use super::{Global, messages};

/// Which model, and on what.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ModelArgs {
    /// A directory with a Gemma 4 ONNX export; or OWNER/NAME (hf:OWNER/NAME@REVISION), a model that `gemscope model download` has fetched; or
    /// demo, the bundled model, which knows only coloured shapes (./demo is a folder of that name).
    /// Default: $GEMSCOPE_MODEL; without it the demo model answers, but only questions made of its own words
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Which graphs, by their suffix: fp32, fp16, q8, q4, q4f16 ..., for all or for each: vision=fp16,decoder=q4f16. Default: the
    /// first that is there
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) dtype: Option<Dtypes>,
    /// Threads inside ONNX Runtime. Default: all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Keep the graphs as ONNX Runtime makes them ready in the cache directory: the next start with this model is several times as fast. Takes
    /// about as much disk as the graphs do
    #[arg(long)]
    pub(crate) keep_graphs: bool,
    /// Run graphs that are known to compute something else than Gemma 4, as some exports do
    #[arg(long)]
    pub(crate) allow_inexact: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

impl ModelArgs {
    /// The model that is named, by the flag or the environment.
    pub(crate) fn choice(&self) -> ModelChoice {
        ModelChoice::of(self.model.as_deref())
    }

    /// The options that these flags and the environment say.
    ///
    /// # Errors
    /// If `GEMSCOPE_DEVICE` is no device.
    pub(crate) fn options(&self, global: &Global) -> anyhow::Result<ModelOptions> {
        let mut options = ModelOptions::of(self.choice());
        options.dtypes = self.dtype.clone().unwrap_or_default();
        options.threads = self.threads.map(usize::from);
        options.keep_graphs = self.keep_graphs;
        options.allow_inexact = self.allow_inexact;
        options.device = self.device.asked()?;
        options.runtime = global.runtime_options();
        Ok(options)
    }

    /// Says which model answers if none was named.
    pub(crate) fn say(&self) {
        if self.choice() == ModelChoice::Unnamed {
            messages::say(&format!("Using {}. For anything else: --model DIR.", demo::DESCRIPTION));
        }
    }
}

/// What computes.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct DeviceArgs {
    /// What computes: auto, cpu, cuda (the card with the most free memory), cuda:N, or several cards: cuda:0,1 or cuda:all; else
    /// $GEMSCOPE_DEVICE. `auto` is a CUDA card where one can be used, and the CPU where not; `cuda` never becomes the CPU [default: auto]
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
}

impl DeviceArgs {
    /// The device that the flag or the environment names, if any.
    pub(crate) fn asked(self) -> anyhow::Result<Option<DeviceChoice>> {
        let variable = || std::env::var("GEMSCOPE_DEVICE").ok().filter(|value| !value.is_empty());
        match (self.device, variable()) {
            (Some(device), _) => Ok(Some(device)),
            (None, Some(text)) => text.parse().map(Some).map_err(|error: String| anyhow!("GEMSCOPE_DEVICE: {error}")),
            (None, None) => Ok(None),
        }
    }

    /// The cards that were asked for; the best one if none was.
    pub(crate) fn cards(self) -> anyhow::Result<Cards> {
        Ok(match self.asked()? {
            Some(DeviceChoice::Cuda(cards)) => cards,
            _ => Cards::Best,
        })
    }
}
