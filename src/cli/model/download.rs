//! `gemscope model download`: brings a model of the Hub into the cache.

use gemscope::hub::{FetchObserver, HubOptions, ModelId, in_words};
use gemscope::model::Dtypes;
use gemscope::session::{self, Downloaded};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::super::device::DeviceArgs;
use super::super::{Ending, Global, messages, output, plain};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model: OWNER/NAME, as its page on the Hub is called; hf:OWNER/NAME@REVISION says both
    #[arg(value_name = "OWNER/NAME")]
    model: ModelId,
    /// Which graphs, by their suffix: fp32, fp16, q8, q4, q4f16 ..., for all or for each: vision=fp16,embedding=q4,decoder=q4. Default:
    /// one that suits this machine's memory; which, and why, is said
    #[arg(long, value_name = "SUFFIX")]
    dtype: Option<Dtypes>,
    /// A branch, a tag or a commit. Default: main
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Serialize)]
struct Done<'d> {
    model: String,
    commit: &'d str,
    directory: &'d std::path::Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed_dtype: Option<&'d str>,
    files: usize,
    bytes: u64,
    files_fetched: usize,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let id = match &args.revision {
        Some(revision) => args.model.clone().at(revision)?,
        None => args.model.clone(),
    };
    let options = HubOptions::from_env(global.runtime_options().offline)?;
    let device = args.device.asked()?;
    let done = session::download(&options, &id, args.dtype.as_ref(), device, &Bar::new())?;
    let Downloaded { commit, directory, proposed, files, bytes, fetched, .. } = &done;
    if args.json {
        output::json(&Done {
            model: id.to_string(),
            commit,
            directory,
            proposed_dtype: proposed.as_deref(),
            files: *files,
            bytes: *bytes,
            files_fetched: *fetched,
        })?;
        return Ok(Ending::Complete);
    }
    let dtype = match (proposed, &args.dtype) {
        (Some(dtype), _) => format!(" --dtype {dtype}"),
        (None, Some(dtypes)) => format!(" --dtype {dtypes}"),
        (None, None) => String::new(),
    };
    messages::say(&format!(
        "{id}: {files} files, {}, all with the right hash. To use it: --model {id}{dtype}",
        in_words(*bytes)
    ));
    output::text(&format!("{}\n", plain::line(&directory.display().to_string())));
    Ok(Ending::Complete)
}

/// A bar with bytes, bytes a second and the time left, drawn only on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = "{bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }
}

impl FetchObserver for Bar {
    fn say(&self, message: &str) {
        self.0.suspend(|| messages::say(message));
    }

    fn begun(&self, total: u64, there: u64) {
        self.0.set_length(total);
        self.0.reset();
        if !messages::quiet() && there < total {
            self.0.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.0.set_position(there);
        // What was there before does not count for the rate.
        self.0.reset_eta();
    }

    fn at(&self, there: u64) {
        self.0.set_position(there);
    }

    fn ended(&self) {
        self.0.finish_and_clear();
    }
}
