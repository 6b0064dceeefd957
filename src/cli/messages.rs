//! Messages on stderr.
//!
//! In: lines, and events of the `tracing` crates. Out: stderr and the file of `--log`. Promises: a
//! stderr that cannot be written stops nothing and changes no exit code; a log that cannot be
//! written is reported once; a setting in a message of the library is shown as its flag.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use clap::{Command, CommandFactory as _};
use gemscope::files;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::{Cli, plain};

static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets how much is said, and the file that is told everything. `GEMSCOPE_LOG` takes the filters of
/// the `tracing` crates and wins over `verbose`.
///
/// # Errors
/// If the file cannot be opened.
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
        write_line(&plain::block(&in_flags(line)));
    }
}

/// One line, always.
pub(crate) fn error(line: &str) {
    write_line(&format!("gemscope: {}", plain::block(&in_flags(line))));
}

fn write_line(line: &str) {
    // A stderr that cannot be written leaves no place to say so; the run goes on.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The library's message with its settings as flags: "`max_pixels`" becomes "--max-pixels".
///
/// A setting stands in backticks and is the name of some command's flag. serde writes the fields of
/// a file in backticks, too ("missing field `images`"): the text behind its words is left as it is.
pub(crate) fn in_flags(text: &str) -> Cow<'_, str> {
    if !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let of_serde = ["field `", "variant `"].iter().filter_map(|words| text.find(words)).min();
    let (mut rest, of_serde) = text.split_at(of_serde.unwrap_or(text.len()));
    let mut shown = String::with_capacity(text.len() + 8);
    while let Some((before, after)) = rest.split_once('`') {
        shown.push_str(before);
        rest = after;
        match after.split_once('`') {
            Some((setting, after)) if SETTINGS.contains(setting) => {
                shown.push_str("--");
                shown.push_str(&setting.replace('_', "-"));
                rest = after;
            }
            _ => shown.push('`'),
        }
    }
    shown.push_str(rest);
    shown.push_str(of_serde);
    Cow::Owned(shown)
}

/// The long flags of all commands, as settings are called.
static SETTINGS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    fn add(command: &Command, settings: &mut HashSet<String>) {
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        settings.extend(flags.map(|flag| flag.replace('-', "_")));
        command.get_subcommands().for_each(|command| add(command, settings));
    }
    let mut settings = HashSet::new();
    add(&Cli::command(), &mut settings);
    settings
});

/// A count with its noun: `1 image`, `2 images`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_as_flags() {
        for (said, shown) in [
            ("more than 9 pixels (`max_pixels`)", "more than 9 pixels (--max-pixels)"),
            ("`nms_agnostic` goes with `nms`", "--nms-agnostic goes with --nms"),
            (
                "`offline` forbids it: run `gemscope setup`",
                "--offline forbids it: run `gemscope setup`",
            ),
            ("a`b/c.png: choose another `out`", "a`b/c.png: choose another --out"),
            ("``fresh` `", "`--fresh `"),
            (
                "see `chat_template` in `tokenizer_config.json`",
                "see `chat_template` in `tokenizer_config.json`",
            ),
            (
                "c.json: missing field `images` at line 1",
                "c.json: missing field `images` at line 1",
            ),
            (
                "unknown variant `x`, expected `labels` or `out`",
                "unknown variant `x`, expected `labels` or `out`",
            ),
            ("nothing", "nothing"),
        ] {
            assert_eq!(in_flags(said), shown);
        }
    }

    /// A setting that the library names and no flag sets would reach the user in backticks.
    #[test]
    fn every_setting_that_the_library_names_is_a_flag() {
        for setting in [
            "out",
            "fresh",
            "max_pixels",
            "no_exif",
            "ort_lib",
            "offline",
            "device",
            "dtype",
            "budget",
        ] {
            assert!(SETTINGS.contains(setting), "{setting}");
        }
        for setting in
            ["images", "split", "categories", "include_status", "write_upright", "labels", "from"]
        {
            assert!(SETTINGS.contains(setting), "{setting}");
        }
    }
}
