//! What is said on stderr.
#![allow(clippy::print_stderr)] // the one place that writes there

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets how much is said. `GEMSCOPE_LOG` takes the filters of the `tracing` crates and wins over `verbose`.
pub(crate) fn start(quiet: bool, verbose: u8) {
    QUIET.store(quiet, Ordering::Relaxed);
    let default = match verbose {
        0 => "error",
        1 => "warn",
        2 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("GEMSCOPE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
}

/// Whether `--quiet` was given.
pub(crate) fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// One line, unless `--quiet` was given.
pub(crate) fn say(line: &str) {
    if !quiet() {
        eprintln!("{line}");
    }
}

/// One line, always.
pub(crate) fn error(line: &str) {
    eprintln!("gemscope: {line}");
}
