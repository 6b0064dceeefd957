//! `gemscope model`: fetches a model, lists the fetched ones, describes one.

mod download;
mod inspect;
mod list;

use super::{Ending, Global};

/// Fetch a model, list those that are there, look at one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Fetch a model from the Hugging Face Hub into the cache that Python's huggingface_hub shares
    ///
    /// Only the graphs of one precision are fetched, with tokenizer, template and settings, and
    /// nothing of audio. An interrupted download continues at the next byte; every file, also one
    /// that is there already, is compared with the hash on the Hub. The cache is $HF_HUB_CACHE,
    /// else $HF_HOME/hub, else ~/.cache/huggingface/hub. HF_TOKEN (or HF_TOKEN_PATH) is sent to the
    /// Hub alone; HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy.
    Download(download::Args),
    /// List the models that are in the cache, with their precisions, size and last use
    List(list::Args),
    /// Print layout, graphs, tokens and probe results, as JSON
    Inspect(inspect::Args),
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    match &args.action {
        Action::Download(args) => download::run(args, global),
        Action::List(args) => list::run(args),
        Action::Inspect(args) => inspect::run(args, global),
    }
}
