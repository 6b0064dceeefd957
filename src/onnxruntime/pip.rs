//! Fetching a wheel with the user's own pip, which knows the user's proxy, mirror and certificates.
//!
//! In: the wheel. Out: the wheel's path. Promises: pip runs no code of the package, resolves no
//! dependency, asks nothing, and takes nothing from the current directory; its last words are in
//! the error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::RuntimeError;
use super::wheels::Wheel;

/// Downloads `wheel` into the directory `into`.
pub(super) fn download(wheel: &Wheel, into: &Path) -> Result<PathBuf, RuntimeError> {
    let requirement = wheel.requirement();
    let pip = find_pip(into).ok_or_else(|| RuntimeError::NoPip {
        wheel: requirement.clone(),
        tried: PIPS.iter().map(|pip| format!("`{}`", pip.join(" "))).collect::<Vec<_>>().join(", "),
    })?;
    // Which Python runs pip does not matter: the wheel's libraries are the same for all, and one of
    // them has the pinned hash.
    let mut arguments = vec![
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        "3.12",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--dest",
        ".",
    ];
    arguments.extend(wheel.tags.iter().flat_map(|tag| ["--platform", tag]));
    arguments.push(&requirement);
    let mut command = start(pip, into);
    let output =
        command.args(&arguments).output().map_err(RuntimeError::file("run pip in", into))?;
    let failed = |stderr: String| RuntimeError::Pip {
        wheel: requirement.clone(),
        command: format!("{} {}", pip.join(" "), arguments.join(" ")),
        stderr,
    };
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

/// Commands that may be pip, in the order in which they are tried. The last is for an environment
/// whose Python has no pip of its own.
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

/// `python -m pip` would import a folder `pip` of the current directory, so it runs in one that is
/// ours.
fn start(pip: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(pip[0]);
    command.args(&pip[1..]).current_dir(directory).stdin(Stdio::null());
    command
}

/// pip ends with what it concluded ("no matching distribution"), which without a network hides the
/// cause; the line before tells it.
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
