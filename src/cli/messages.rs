//! What is said on stderr.
//!
//! In: lines, and events of the `tracing` crates. Out: stderr and the file of `--log`. Promises: a
//! stderr that cannot be written stops nothing and changes no exit code; a log that cannot be
//! written is said once.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gemscope::files;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::plain;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets how much is said, and the file that is told everything. `GEMSCOPE_LOG` takes the filters of
/// the `tracing` crates and wins over `verbose`.
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
    let filter =
        EnvFilter::try_from_env("GEMSCOPE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = io::stderr().is_terminal();
    let said = fmt::layer().with_writer(|| Unfailing).with_ansi(terminal).with_filter(filter);
    let file = log.map(|path| {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        files::open_log(path).map_err(named)
    });
    let logged = file.transpose()?.map(|file| {
        // ONNX Runtime says very much below warnings.
        let filter = EnvFilter::new("warn,gemscope=debug");
        let file = Mutex::new(LogFile { file, failed: false });
        fmt::layer().json().flatten_event(true).with_writer(file).with_filter(filter)
    });
    tracing_subscriber::registry().with(said).with(logged).init();
    Ok(())
}

/// Stderr, for writers that would panic over an error.
struct Unfailing;

impl Write for Unfailing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file of `--log`.
struct LogFile {
    file: File,
    failed: bool,
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(reason) = self.file.write_all(bytes)
            && !std::mem::replace(&mut self.failed, true)
        {
            error(&format!("--log: {reason}; the log is not whole"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `--quiet` was given.
pub(crate) fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// One line, unless `--quiet` was given.
pub(crate) fn say(line: &str) {
    if !quiet() {
        write_line(&plain::block(line));
    }
}

/// One line, always.
pub(crate) fn error(line: &str) {
    write_line(&format!("gemscope: {}", plain::block(line)));
}

fn write_line(line: &str) {
    // A stderr that cannot be written leaves no place to say so; the run goes on.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
