//! `--watch`: answers about images while they are made.
//!
//! In: a listing that can be made again and again, and a session. Out: the last listing, without
//! what was still being written, and the run. Promises: an image that was answered about is not
//! read again unless it was changed; a folder that is still empty is waited for; it ends when it is
//! stopped, or when nothing came for as long as was said.

use std::time::{Duration, Instant};

use gemscope::journal::Placement;
use gemscope::session::{FinishedRun, RunOptions, Session, SessionError};
use gemscope::source::{Arrivals, Source, SourceError};

use super::{messages, raised};

/// Files of a generator are written within a second or two.
const SETTLE: Duration = Duration::from_secs(2);
/// How often the folder is listed, if a listing is fast.
const EVERY: Duration = Duration::from_secs(1);

/// Answering while images are made.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Watching")]
pub(crate) struct WatchArgs {
    /// Go on while the folders are filled: answer about images as they come, once each is written
    /// to its end. Ends with --idle, or when it is stopped (Ctrl-C); then everything is written
    #[arg(long)]
    pub(crate) watch: bool,
    /// With --watch, end after so long without a new image: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = duration)]
    idle: Option<Duration>,
}

/// `90s`, `10m`, `2h`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{text:?}: a time is a number with s, m or h, such as 10m")),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("{text:?}: a time is a number with s, m or h, such as 10m"))
}

/// The images of now, and how they lie to those of the run.
type Listing = (Source, Placement);

/// Runs `session` over what `list` finds, again and again; `list` is told whether an earlier run is
/// thrown away. `each` is called after every part.
pub(crate) fn run(
    args: &WatchArgs,
    session: &mut Session<'_>,
    options: &mut RunOptions<'_>,
    mut list: impl FnMut(bool) -> anyhow::Result<Listing>,
    mut each: impl FnMut(&Source, &FinishedRun) -> anyhow::Result<()>,
) -> anyhow::Result<(Source, FinishedRun)> {
    let mut arrivals = Arrivals::new(SETTLE);
    let mut last: Option<(Source, FinishedRun)> = None;
    let mut quiet_since = Instant::now();
    let mut waited = false;
    loop {
        let begun = Instant::now();
        let listing = match list(options.fresh) {
            Ok(listing) => Some(listing),
            // It is not filled yet, or emptied by somebody who takes the frames away.
            Err(error) if is_empty(&error) => None,
            Err(error) => return Err(error),
        };
        let took = begun.elapsed();
        if let Some((source, placement)) = &listing {
            let ready = arrivals.ready(source, Instant::now());
            let took_part = !ready.is_empty();
            if took_part {
                // The lock of the directory is taken anew.
                let earlier = last.take().map(|(_, finished)| finished.outcome);
                let part = source.with_only(ready);
                let mut finished = session.run(&part, placement, options).map_err(raised)?;
                options.fresh = false;
                let stopped = finished.outcome.left > 0;
                if let Some(earlier) = earlier {
                    finished.outcome.done += earlier.done;
                    finished.outcome.resumed += earlier.resumed;
                    finished.outcome.moved += earlier.moved;
                    finished.outcome.wall += earlier.wall;
                }
                let arrived = source.arrived(&arrivals);
                if !stopped {
                    each(&arrived, &finished)?;
                }
                last = Some((arrived, finished));
                waited = false;
            }
            // What is being written, or was just answered about, is no quiet.
            if took_part || arrivals.waiting(source) > 0 {
                quiet_since = Instant::now();
            }
        }
        let is_idle = args.idle.is_some_and(|idle| quiet_since.elapsed() >= idle);
        if options.control.is_stopped() || is_idle {
            let waiting = listing.as_ref().map_or(0, |(source, _)| arrivals.waiting(source));
            if waiting > 0 {
                messages::say(&format!(
                    "{waiting} files were still being written; the same command goes on with them."
                ));
            }
            if let (Some((source, _)), Some((shown, _))) = (&listing, &mut last) {
                *shown = source.arrived(&arrivals);
            }
            break;
        }
        if !waited {
            waited = true;
            messages::say("Waiting for images (Ctrl-C ends it).");
        }
        // A listing of a slow disk is not to keep it busy.
        std::thread::sleep(EVERY.max(took * 4));
    }
    last.ok_or_else(|| SessionError::NothingCame.into())
}

fn is_empty(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SourceError::NoImages { .. } | SourceError::NoMatch(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("90s", 90), ("90", 90), ("10m", 600), ("1.5h", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "10d", "m", "-5s", "1e400h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
