//! What a newcomer asks of the command itself: short help, completions, man pages, flags of other
//! tools.

use std::fmt::Write as _;
use std::fs;

use predicates::str::contains;

use crate::support::gemscope;

fn printed(words: &[&str]) -> String {
    let output = gemscope().args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_short_help_has_the_main_flags_and_examples() {
    let short = printed(&["detect", "-h"]);
    assert!(short.lines().count() <= 80, "{} lines", short.lines().count());
    for word in ["--labels", "--model", "--server", "--out", "Examples:", "--help shows all"] {
        assert!(short.contains(word), "{word}");
    }
    assert!(!short.contains("--image-newlines"));
    assert!(printed(&["detect", "--help"]).contains("--image-newlines"));
}

#[test]
fn a_flag_of_another_tool_is_answered_with_ours() {
    gemscope()
        .args(["detect", "photos", "--out", "run", "--conf", "0.3"])
        .assert()
        .code(1)
        .stderr(contains("what other tools call --conf is here --min-score"));
}

#[test]
fn completions_know_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("detect") && script.contains("strict-labels"), "{shell}");
    }
}

#[test]
fn man_pages_are_written_once_and_over_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    assert!(printed(&["man", path]).contains("gemscope-detect.1"));
    let page = dir.path().join("gemscope-detect.1");
    assert!(fs::read_to_string(&page).unwrap().contains(".TH"));
    printed(&["man", path]);
    fs::write(&page, "mine").unwrap();
    gemscope().args(["man", path]).assert().code(1).stderr(contains("another page of this name"));
    assert_eq!(fs::read_to_string(&page).unwrap(), "mine");
}

/// All commands, in the order of the help.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(String::from)
        .collect()
}

#[test]
fn the_page_of_commands_has_every_command() {
    let page = include_str!("../../docs/COMMANDS.md");
    let names = commands();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("| `{name} ")) || page.contains(&format!("| `{name}`")),
            "{name}"
        );
    }
}

/// docs/FLAGS.md as the command's own help makes it.
fn page_of_flags() -> String {
    let mut page = String::from(
        "# Flags\n\nThe help of every command, as `--help` prints it. This page is made of it: \
         `GEMSCOPE_BLESS=1 cargo\ntest --test it help::` writes it again, and a test fails where \
         it is old. Flags that all commands have\nstand once, at the end.\n",
    );
    let whole = help_of(&[]);
    let (_, global) = whole.split_once("Options:\n").unwrap();
    for name in commands() {
        let mut words = vec![name.as_str()];
        let mut more = vec![Vec::new()];
        if name == "model" {
            more = ["download", "list", "inspect"].map(|name| vec![name]).to_vec();
        }
        for sub in more {
            words.truncate(1);
            words.extend(sub);
            let help = help_of(&words);
            let (help, rest) = help.split_once("Global options:\n").unwrap_or((help.as_str(), ""));
            // What stands behind the global options are examples.
            let behind = rest.split_once("\n\n").map_or("", |(_, behind)| behind);
            let text = format!("{}\n\n{behind}", help.trim_end());
            let title = words.join(" ");
            let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end());
        }
    }
    let _ = write!(page, "\n## Every command\n\n```text\n{}\n```\n", global.trim_end());
    page
}

fn help_of(words: &[&str]) -> String {
    let output = gemscope().args(words).arg("--help").env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_of_flags_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FLAGS.md");
    let page = page_of_flags();
    if std::env::var_os("GEMSCOPE_BLESS").is_some() {
        fs::write(path, &page).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    let first = page.lines().zip(kept.lines()).find(|(now, kept)| now != kept);
    assert!(page == kept, "docs/FLAGS.md is old, {first:?}: GEMSCOPE_BLESS=1 writes it again");
}

#[test]
fn the_version_says_what_was_built() {
    let version = printed(&["--version"]);
    for word in ["gemscope ", "features: ", "platform: ", "ONNX Runtime: "] {
        assert!(version.contains(word), "{version}");
    }
    assert_eq!(printed(&["-V"]).lines().count(), 1);
}
