//! Progress of a session for the user: sentences on stderr, and a progress bar.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use gemscope::journal::{PairJournal, ResumeIndex, RunDirectory};
use gemscope::record::AnswerStatus;
use gemscope::session::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{messages, say_damaged};

/// Writes messages to stderr, and draws a bar there with images a second, the time left and the
/// count of each status. The bar is drawn only on a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    statuses: Mutex<BTreeMap<AnswerStatus, usize>>,
}

impl Progress {
    /// A bar that is drawn once a run begins.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, statuses: Mutex::default() }
    }
}

impl Observer for Progress {
    fn say(&self, message: &str) {
        messages::say(message);
    }

    fn opened(&self, directory: &RunDirectory, known: &ResumeIndex) {
        say_what_was_left(directory, known);
    }

    fn pairs_opened(&self, directory: &RunDirectory, journal: &PairJournal) {
        let out = directory.output().path();
        if let Some(copies) = &directory.last_copies {
            messages::say(&format!("{}: {copies}.", out.display()));
        }
        if journal.torn > 0 {
            messages::say(
                "The last line of pairs.jsonl was not written to its end, and is cut off; its \
                 pair is asked about again.",
            );
        }
        say_damaged(out, &journal.damaged);
    }

    fn begun(&self, images: usize) {
        self.bar.set_length(images as u64);
        if !messages::quiet() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.reset();
    }

    fn done(&self, status: AnswerStatus) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(status).or_default() += 1;
        let counts: Vec<_> =
            statuses.iter().map(|(status, count)| format!("{} {count}", status.as_str())).collect();
        self.bar.set_message(counts.join("  "));
        self.bar.inc(1);
    }

    fn resumed(&self) {
        self.bar.inc(1);
        // It does not count for the speed.
        self.bar.reset_eta();
    }

    fn ended(&self) {
        self.bar.finish_and_clear();
    }
}

/// Reports the leftovers of an earlier process that was killed, or of a disk that lost data.
pub(super) fn say_what_was_left(directory: &RunDirectory, known: &ResumeIndex) {
    let out = directory.output().path();
    if let Some(holder) = &directory.killed {
        messages::say(&format!(
            "An earlier process was killed while it wrote this run ({holder}); going on."
        ));
    }
    if let Some(copies) = &directory.last_copies {
        messages::say(&format!("{}: {copies}.", out.display()));
    }
    if let [first, others @ ..] = directory.kept.as_slice() {
        let others =
            if others.is_empty() { String::new() } else { format!(" and {} others", others.len()) };
        messages::say(&format!(
            "{first}{others} stay in {}: gemscope has no record of writing them, or they were \
             changed since. --adopt replaces what is in the way of an export.",
            out.display()
        ));
    }
    if known.torn > 0 {
        messages::say(
            "The last line of the journal was not written to its end, and is cut off; its image is \
             asked about again.",
        );
    }
    say_damaged(out, &known.damaged);
}
