//! Fetching the wheel of ONNX Runtime with the user's own pip, which knows the user's proxy, mirror and certificates.
//!
//! In: the platform's tag. Out: the wheel's path. Promises: pip runs no code of the package, resolves no dependency, asks nothing,
//! and takes nothing from the current directory; its last words are in the error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{PINNED_VERSION, RuntimeError};

/// Downloads the wheel for `tag` (a platform tag of wheels, for example `manylinux_2_28_x86_64`) into the directory `into`.
pub(super) fn download(tag: &str, into: &Path) -> Result<PathBuf, RuntimeError> {
    let pip = find_pip(into).ok_or_else(|| RuntimeError::NoPip {
        tried: PIPS.iter().map(|pip| format!("`{}`", pip.join(" "))).collect::<Vec<_>>().join(", "),
    })?;
    let requirement = format!("onnxruntime=={PINNED_VERSION}");
    // Which Python runs pip does not matter: the wheel's libraries are the same for all, and one of them has the pinned hash.
    let arguments = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        "3.12",
        "--platform",
        tag,
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--dest",
        ".",
        &requirement,
    ];
    let mut command = start(pip, into);
    let output = command.args(arguments).output().map_err(RuntimeError::file("run pip in", into))?;
    let failed =
        |stderr: String| RuntimeError::Pip { command: format!("{} {}", pip.join(" "), arguments.join(" ")), stderr };
    if !output.status.success() {
        return Err(failed(last_lines(&String::from_utf8_lossy(&output.stderr))));
    }
    let entries = into.read_dir().map_err(RuntimeError::file("read", into))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| failed("(success, but there is no wheel)".to_owned()))
}

/// Commands that may be pip, in the order in which they are tried. The last is for an environment whose Python has no pip of its
/// own.
const PIPS: &[&[&str]] = if cfg!(windows) {
    &[&["python", "-m", "pip"], &["py", "-3", "-m", "pip"], &["python3", "-m", "pip"], &["pip"]]
} else {
    &[&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"]]
};

fn find_pip(directory: &Path) -> Option<&'static [&'static str]> {
    PIPS.iter().copied().find(|pip| {
        let output = start(pip, directory).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    })
}

/// Whether there is a pip, for a report.
pub(super) fn is_present() -> bool {
    find_pip(&std::env::temp_dir()).is_some()
}

/// `python -m pip` would import a folder `pip` of the current directory, so it runs in one that is ours.
fn start(pip: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(pip[0]);
    command.args(&pip[1..]).current_dir(directory).stdin(Stdio::null());
    command
}

/// pip ends with what it concluded ("no matching distribution"), which without a network hides the cause; the line before tells it.
fn last_lines(stderr: &str) -> String {
    let lines: Vec<_> = stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_pip_are_kept() {
        assert_eq!(last_lines(""), "");
        assert_eq!(last_lines("one\n\ntwo\nthree\nfour\n"), "two\nthree\nfour");
    }
}
