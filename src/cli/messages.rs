//! What is said on stderr.
#![allow(clippy::print_stderr)] // the one place that writes there

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::plain;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets how much is said, and the file that is told everything. `GEMSCOPE_LOG` takes the filters of the `tracing` crates and wins over `verbose`.
///
/// # Errors
/// Where the file cannot be opened.
pub(crate) fn start(quiet: bool, verbose: u8, log: Option<&Path>) -> io::Result<()> {
    QUIET.store(quiet, Ordering::Relaxed);
    let default = match verbose {
        0 => "error",
        1 => "warn",
        2 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("GEMSCOPE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = io::stderr().is_terminal();
    let said = fmt::layer().with_writer(io::stderr).with_ansi(terminal).with_filter(filter);
    let file = log.map(|path| {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        OpenOptions::new().create(true).append(true).open(path).map_err(named)
    });
    let logged = file.transpose()?.map(|file| {
        // ONNX Runtime says very much below warnings.
        let filter = EnvFilter::new("warn,gemscope=debug");
        fmt::layer().json().flatten_event(true).with_writer(Mutex::new(file)).with_filter(filter)
    });
    tracing_subscriber::registry().with(said).with(logged).init();
    Ok(())
}

/// Whether `--quiet` was given.
pub(crate) fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// One line, unless `--quiet` was given.
pub(crate) fn say(line: &str) {
    if !quiet() {
        eprintln!("{}", plain::block(line));
    }
}

/// One line, always.
pub(crate) fn error(line: &str) {
    eprintln!("gemscope: {}", plain::block(line));
}
