//! What a newcomer asks of the command itself: short help, completions, man pages, flags of other
//! tools.

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

#[test]
fn the_page_of_commands_has_every_command() {
    let page = include_str!("../../docs/COMMANDS.md");
    let help = printed(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("| `{name} ")) || page.contains(&format!("| `{name}`")),
            "{name}"
        );
    }
}

#[test]
fn the_version_says_what_was_built() {
    let version = printed(&["--version"]);
    for word in ["gemscope ", "features: ", "platform: ", "ONNX Runtime: "] {
        assert!(version.contains(word), "{version}");
    }
    assert_eq!(printed(&["-V"]).lines().count(), 1);
}
