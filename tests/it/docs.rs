//! The pages of docs/: links lead somewhere, the book has every page, and every command line that
//! a page shows is one that the command understands.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::support::gemscope;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages for people: those at the top, in docs/, and the notes beside data and code.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, name) = {
                let entry = entry.unwrap();
                (entry.path(), entry.file_name().into_string().unwrap())
            };
            let is_made = ["target", "runs", "node_modules", "book"].contains(&name.as_str());
            if path.is_dir() && !is_made && !name.starts_with('.') && !name.contains("venv") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// A page: the targets of its links, the names of its headings, and its blocks of code.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: HashSet<String>,
    code: Vec<(String, String)>,
}

fn read(path: &Path) -> Page {
    let text = fs::read_to_string(path).unwrap();
    let mut page = Page::default();
    let (mut heading, mut code) = (None::<(HeadingLevel, String)>, None::<(String, String)>);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { level, .. }) => heading = Some((level, String::new())),
            Event::End(TagEnd::Heading(_)) => {
                let (_, title) = heading.take().unwrap();
                page.anchors.insert(anchor(&title));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                code = Some((language.into_string(), String::new()));
            }
            Event::End(TagEnd::CodeBlock) => page.code.extend(code.take()),
            Event::Text(words) | Event::Code(words) => {
                if let Some((_, title)) = &mut heading {
                    title.push_str(&words);
                }
                if let Some((_, block)) = &mut code {
                    block.push_str(&words);
                }
            }
            _ => {}
        }
    }
    page
}

/// The name of a heading in addresses, as GitHub and mdBook make it.
fn anchor(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages: HashMap<PathBuf, Page> =
        pages().into_iter().map(|path| (path.clone(), read(&path))).collect();
    let (mut wrong, mut links) = (Vec::new(), 0);
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}: {link}: there is no such file", path.display()));
                continue;
            };
            let known = || pages.get(&target).is_some_and(|page| page.anchors.contains(anchor));
            if !anchor.is_empty() && !known() {
                wrong.push(format!("{}: {link}: there is no such heading", path.display()));
            }
        }
    }
    assert!(links > 80, "{links} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_book_has_every_page() {
    let contents = read(&root().join("docs/SUMMARY.md"));
    let listed: HashSet<&str> = contents.links.iter().map(String::as_str).collect();
    assert_eq!(listed.len(), contents.links.len(), "a page is listed twice");
    let docs = root().join("docs");
    let pages = pages();
    let there = pages.iter().filter_map(|path| path.strip_prefix(&docs).ok()?.to_str());
    let there: HashSet<&str> = there.filter(|name| *name != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}

/// The command lines of a block: without comments, what they are piped into, and what they run
/// before.
fn command_lines(block: &str) -> Vec<Vec<String>> {
    let block = block.replace("\\\n", " ");
    let lines = block.lines().filter_map(shlex::split).filter_map(|words| {
        let run = ["cargo", "run", "--release", "--"].as_slice();
        let from_source = words.windows(run.len()).position(|window| window == run);
        let first = match from_source {
            Some(at) => at + run.len() - 1,
            // What installs it is no command line of its own.
            None if ["pip", "cargo"].contains(&words.first()?.as_str()) => return None,
            None => words.iter().position(|word| word == "gemscope")?,
        };
        // Words in front are settings of the environment, or programs that run it.
        let mut line = vec!["gemscope".to_owned()];
        let ends = ["|", ">", ">>", "&&", ";", "&", "2>"];
        line.extend(
            words[first + 1..].iter().take_while(|word| !ends.contains(&word.as_str())).cloned(),
        );
        Some(line)
    });
    lines.collect()
}

#[test]
fn every_command_line_is_understood() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for path in pages() {
        for (language, block) in read(&path).code {
            // Text holds help, whose examples begin so, and output, which shows no command.
            let block = match language.as_str() {
                "sh" => block,
                "text" | "" => block
                    .lines()
                    .filter(|line| line.starts_with("  gemscope "))
                    .fold(String::new(), |block, line| block + line + "\n"),
                _ => continue,
            };
            for words in command_lines(&block) {
                tried += 1;
                let parsed = gemscope::cli::command().try_get_matches_from(&words);
                if let Err(error) = parsed
                    && error.use_stderr()
                {
                    wrong.push(format!("{}: {words:?}: {error}", path.display()));
                }
            }
        }
    }
    assert!(tried > 30, "{tried} command lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn exit_codes_are_in_the_reference() {
    let help = gemscope().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let page = fs::read_to_string(root().join("docs/COMMANDS.md")).unwrap();
    let codes: Vec<(&str, &str)> =
        codes.lines().filter_map(|line| line.trim().split_once("  ")).collect();
    assert!(codes.len() >= 5, "{codes:?}");
    for (code, meaning) in codes {
        assert!(page.contains(&format!("| {code} | {meaning} |")), "{code}: {meaning}");
    }
}
