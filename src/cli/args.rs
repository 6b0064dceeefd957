//! Arguments that several commands share, beside those of the library's pipeline.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gemscope::session::RunOptions;
use gemscope::session::pipeline::{LimitSection, RunSection};

/// How a run goes on from what its directory holds.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Going on")]
pub(crate) struct ControlArgs {
    /// Throw away the earlier run in --out: its journal, and the files that gemscope is on record
    /// to have written
    #[arg(long, visible_alias = "overwrite")]
    pub(crate) fresh: bool,
    /// Replace files in --out that are in the way of an export although gemscope cannot prove that
    /// it wrote them: a version without a list of its files did, or they were changed since
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Try images again that failed before. Without it, only those whose files have changed
    #[arg(long)]
    pub(crate) retry_failed: bool,
}

impl ControlArgs {
    /// A run in `out` that `stop` can stop.
    pub(crate) fn run_options<'r>(
        &self,
        out: &'r Path,
        run: &RunSection,
        limits: &LimitSection,
        stop: Arc<AtomicBool>,
    ) -> RunOptions<'r> {
        let mut options = RunOptions::of(out);
        (options.fresh, options.adopt, options.sync_every) =
            (self.fresh, self.adopt, run.sync_every());
        options.control = run.control(limits);
        (options.control.stop, options.control.retry_failed) = (stop, self.retry_failed);
        options
    }
}
