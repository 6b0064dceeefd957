//! `gemscope model download`: brings a model of the Hub into the cache.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

use gemscope::hub::{FetchObserver, HubOptions, ModelId, in_words};
use gemscope::model::Dtypes;
use gemscope::session::pipeline::DeviceSection;
use gemscope::session::{self, Downloaded};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::super::{Ending, Global, messages, output, plain};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model: OWNER/NAME, as its page on the Hub is called; hf:OWNER/NAME@REVISION says both
    #[arg(value_name = "OWNER/NAME")]
    model: ModelId,
    /// Which graphs, by their suffix: fp32, fp16, q8, q4, q4f16 ..., for all or for each:
    /// vision=fp16,embedding=q4,decoder=q4. Default: one that suits this machine's memory; which,
    /// and why, is said
    #[arg(long, value_name = "SUFFIX")]
    dtype: Option<Dtypes>,
    /// A branch, a tag or a commit. Default: main
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceSection,
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

/// Bytes of a fetch that is told in lines: less is there in seconds.
const LONG: u64 = 50_000_000;

/// A bar with bytes, bytes a second and the time left; if stderr is no terminal, a line for each
/// tenth.
struct Bar {
    drawn: ProgressBar,
    in_lines: bool,
    total: AtomicU64,
    /// Tenths that were said.
    tenths: AtomicU64,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style =
            "{bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let in_lines = !std::io::stderr().is_terminal();
        Self { drawn: bar, in_lines, total: AtomicU64::new(0), tenths: AtomicU64::new(0) }
    }

    fn tenth(&self, there: u64) -> u64 {
        there * 10 / self.total.load(Ordering::Relaxed).max(1)
    }
}

impl FetchObserver for Bar {
    fn say(&self, message: &str) {
        self.drawn.suspend(|| messages::say(message));
    }

    fn begun(&self, total: u64, there: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.tenths.store(self.tenth(there), Ordering::Relaxed);
        self.drawn.set_length(total);
        self.drawn.reset();
        if !messages::quiet() && !self.in_lines && there < total {
            self.drawn.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.drawn.set_position(there);
        // Bytes that were there before do not count for the rate.
        self.drawn.reset_eta();
    }

    fn at(&self, there: u64) {
        self.drawn.set_position(there);
        let tenth = self.tenth(there);
        let is_long = self.total.load(Ordering::Relaxed) >= LONG;
        if self.in_lines && is_long && tenth > self.tenths.fetch_max(tenth, Ordering::Relaxed) {
            let total = self.total.load(Ordering::Relaxed);
            let (rate, left) =
                (in_words(self.drawn.per_sec() as u64), HumanDuration(self.drawn.eta()));
            let left = if there == total { String::new() } else { format!(", {left} left") };
            messages::say(&format!("{} of {}, {rate}/s{left}", in_words(there), in_words(total)));
        }
    }

    fn ended(&self) {
        self.drawn.finish_and_clear();
    }
}
