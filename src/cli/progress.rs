//! Progress of a session for the user: sentences on stderr, and a progress bar.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use gemscope::journal::{PairJournal, ResumeIndex, RunDirectory};
use gemscope::record::AnswerStatus;
use gemscope::session::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::clock;
use super::{messages, say_damaged};

/// How often a line is written where no bar is drawn.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Writes messages to stderr, and there shows images a second, the time left and the count of each
/// status: in a bar on a terminal, elsewhere in a line every half a minute.
pub(crate) struct Progress {
    bar: ProgressBar,
    statuses: Mutex<BTreeMap<AnswerStatus, usize>>,
    /// Ends the lines when it is dropped.
    lines: Mutex<Option<Sender<()>>>,
}

impl Progress {
    /// A bar that is drawn once a run begins.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(
            "{bar:30} {pos}/{len}  {elapsed}  {per_sec}  {eta} left  {msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, statuses: Mutex::default(), lines: Mutex::default() }
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
        say_discarded(directory);
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
        self.bar.reset();
        self.bar.set_message("waiting for the first answers");
        if messages::quiet() {
            return;
        }
        if io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_secs(1));
        } else {
            let lines = every(LINE_EVERY, self.bar.clone(), messages::say);
            *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines);
        }
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
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.bar.finish_and_clear();
    }
}

/// Says how far `bar` is, again and again until the sender is dropped.
fn every(period: Duration, bar: ProgressBar, say: impl Fn(&str) + Send + 'static) -> Sender<()> {
    let (sender, dropped) = mpsc::channel();
    thread::spawn(move || {
        while dropped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
            say(&line(&bar));
        }
    });
    sender
}

/// `12 of 200 images in 0:01:02, 0.19/s, 0:16:29 left; ok 10  empty 2`.
fn line(bar: &ProgressBar) -> String {
    let (done, all) = (bar.position(), bar.length().unwrap_or(0));
    let (elapsed, speed) = (bar.elapsed(), bar.per_sec());
    let left = if speed > 0.0 {
        format!(", {speed:.2}/s, {} left", clock(all.saturating_sub(done) as f64 / speed))
    } else {
        String::new()
    };
    format!("{done} of {all} images in {}{left}; {}", clock(elapsed.as_secs_f64()), bar.message())
}

/// Reports how many answers `--fresh` threw away.
fn say_discarded(directory: &RunDirectory) {
    let out = directory.output().path().display();
    match directory.discarded {
        0 => {}
        1 => messages::say(&format!("--fresh threw the answer that was in {out} away.")),
        n => messages::say(&format!("--fresh threw the {n} answers that were in {out} away.")),
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
    say_discarded(directory);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_far_it_is_until_the_end() {
        let bar = ProgressBar::with_draw_target(Some(200), ProgressDrawTarget::hidden());
        bar.set_message("waiting for the first answers");
        let (said, lines) = mpsc::channel();
        let sender = every(Duration::from_millis(5), bar.clone(), move |line| {
            let _ = said.send(line.to_owned());
        });
        let first = lines.recv().unwrap();
        assert_eq!(first, "0 of 200 images in 0:00:00; waiting for the first answers");
        bar.set_message("ok 50");
        bar.inc(50);
        let with_speed = lines.iter().find(|line| line.contains("/s, ")).unwrap();
        assert!(with_speed.starts_with("50 of 200 images in 0:00:0"), "{with_speed}");
        assert!(with_speed.ends_with(" left; ok 50"), "{with_speed}");
        drop(sender);
        // The thread ends, and its end of the channel with it.
        while lines.recv().is_ok() {}
    }
}
