//! The progress bar.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::record::AnswerStatus;

/// A bar on stderr with images a second, the time left and the count of each status. Draws only on a terminal.
pub struct Progress {
    bar: ProgressBar,
    statuses: BTreeMap<AnswerStatus, usize>,
}

impl Progress {
    /// A bar for `images`; nothing is drawn where `quiet`.
    pub fn new(images: usize, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(images as u64), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, statuses: BTreeMap::new() }
    }

    /// One image is done.
    pub fn done(&mut self, status: AnswerStatus) {
        *self.statuses.entry(status).or_default() += 1;
        let counts: Vec<_> =
            self.statuses.iter().map(|(status, count)| format!("{} {count}", status.as_str())).collect();
        self.bar.set_message(counts.join("  "));
        self.bar.inc(1);
    }

    /// One image was done before: it does not count for the speed.
    pub fn resumed(&mut self) {
        self.bar.inc(1);
        self.bar.reset_eta();
    }

    /// The run is over; the bar disappears.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
