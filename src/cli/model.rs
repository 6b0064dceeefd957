//! `gemscope model inspect`: everything that is known about a model directory.

use std::path::PathBuf;

use gemscope::model::ModelReport;
use gemscope::preprocess::Budget;
use gemscope::prompt::SpecialTokens;
use serde::Serialize;

use super::engine::{ModelArgs, open_texts};
use super::{Ending, Global, output};

/// Look at a model directory
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print layout, graphs, tokens and what the probes found, as JSON
    Inspect(InspectArgs),
}

#[derive(Debug, clap::Args)]
struct InspectArgs {
    /// The model directory. Default: the bundled demo model
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Which graphs, by their suffix
    #[arg(long, value_name = "SUFFIX")]
    dtype: Option<String>,
    /// The budget to probe for. Default: the model's own
    #[arg(long, short, value_name = "TOKENS")]
    budget: Option<Budget>,
}

#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    model: ModelReport,
    vocabulary_size: usize,
    special_tokens: Special,
    /// Whether views that fill the probed budget can be run.
    serves_budget: Option<bool>,
}

#[derive(Serialize)]
struct Special {
    bos: String,
    pad: u32,
    image: u32,
    begin_image: u32,
    end_image: u32,
}

impl From<&SpecialTokens> for Special {
    fn from(special: &SpecialTokens) -> Self {
        Self {
            bos: special.bos.clone(),
            pad: special.pad_id,
            image: special.image_id,
            begin_image: special.begin_image_id,
            end_image: special.end_image_id,
        }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let Action::Inspect(args) = &args.action;
    let model_args = ModelArgs { model: args.directory.clone(), dtype: args.dtype.clone(), threads: None };
    let directory = model_args.directory()?;
    let (prompter, config) = open_texts(&directory)?;
    let budget = args.budget.unwrap_or(config.default_budget);
    let model = model_args.open(&directory, &prompter, budget, &global.runtime())?;
    output::json(&Inspected {
        serves_budget: model.probes.serves(budget),
        model: model.report(),
        vocabulary_size: prompter.tokenizer.vocabulary_size(),
        special_tokens: Special::from(&prompter.tokenizer.special),
    })?;
    Ok(Ending::Complete)
}
