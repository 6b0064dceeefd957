//! `gemscope model inspect`: everything that is known about a model directory.

use std::path::PathBuf;

use gemscope::model::{Dtypes, ModelReport};
use gemscope::record::Budget;
use gemscope::session::pipeline::{DeviceSection, ModelSection};
use gemscope::session::{ModelFiles, PromptSize};
use serde::Serialize;

use super::super::device;
use super::super::progress::Progress;
use super::super::{Ending, Global, output};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model: a directory, OWNER/NAME of the Hub, or demo. Default: $GEMSCOPE_MODEL, else the
    /// bundled demo model
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Which graphs, by their suffix
    #[arg(long, value_name = "SUFFIX")]
    dtype: Option<Dtypes>,
    /// The budget to probe for. Default: the model's own
    #[arg(long, short, value_name = "TOKENS")]
    budget: Option<Budget>,
    #[command(flatten)]
    device: DeviceSection,
}

#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    model: ModelReport,
    vocabulary_size: usize,
    special_tokens: Special,
    /// The device that the probes ran on.
    device: String,
    /// The budget that was probed.
    budget: Budget,
    /// Whether views that fill it can be run.
    serves_budget: bool,
    /// Why the graph refused such a view.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_error: Option<String>,
}

#[derive(Serialize)]
struct Special {
    bos: Option<u32>,
    pad: u32,
    image: u32,
    begin_image: u32,
    end_image: u32,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let model_args = ModelSection {
        model: args.directory.clone(),
        dtype: args.dtype.clone(),
        device: args.device.clone(),
        // Warnings go to stderr, everything else to stdout.
        allow_inexact: true,
        ..ModelSection::default()
    };
    let (progress, options) = (Progress::new(), device::options(&model_args, global)?);
    let files = ModelFiles::open(&options)?;
    let budget = args.budget.unwrap_or(files.config.default_budget);
    let (graphs, runtime) = (files.graphs(&progress)?, options.load_runtime(&progress)?);
    let slot = files.slots(&graphs, PromptSize::of_view(budget), runtime, &progress).swap_remove(0);
    let mut model = files.load(graphs, runtime, slot)?;
    let probed = model.probe_budget(budget);
    let tokenizer = &files.prompter.tokenizer;
    output::json(&Inspected {
        device: model.device.to_string(),
        budget,
        serves_budget: probed.as_ref().is_ok_and(|serves| *serves),
        budget_error: probed.err().map(|error| error.to_string()),
        model: model.report(),
        vocabulary_size: tokenizer.vocabulary_size(),
        special_tokens: Special {
            bos: tokenizer.id(&tokenizer.special.bos),
            pad: tokenizer.special.pad_id,
            image: tokenizer.special.image_id,
            begin_image: tokenizer.special.begin_image_id,
            end_image: tokenizer.special.end_image_id,
        },
    })?;
    Ok(Ending::Complete)
}
