//! Files that are not what their names say.
//!
//! In: a file of a model. Out: its fault, if it has one. Promises: pointers, pages and empty files
//! that clones and browsers leave in place of files are told from the first bytes.

use std::io::Read as _;
use std::path::Path;

use thiserror::Error;

use super::external;
use crate::files;
use crate::hub::in_words;

/// The fault of a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The stand-in of a large file in a clone, until the file is fetched.
    #[error(
        "a git-lfs pointer{}, and not the file itself: `git lfs pull` in its folder fetches it, \
         or `gemscope model download` the model",
        bytes.map_or(String::new(), |bytes| format!(" to {}", in_words(bytes)))
    )]
    Pointer {
        /// Bytes of the file that it stands for.
        bytes: Option<u64>,
    },
    /// A page about the file, or one that asks for a login.
    #[error(
        "a web page, and not the file itself (its page on the Hub, or one that asks for a login): \
         fetch the file again"
    )]
    Page,
    /// No bytes at all.
    #[error("empty: fetch the file again")]
    Empty,
    /// It is not there, or cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Something else that belongs to it is not whole.
    #[error("{0}")]
    Data(String),
}

/// The fault of `path`, judged by its first bytes.
pub(super) fn problem(path: &Path) -> Option<FileProblem> {
    const LFS: &str = "version https://git-lfs.github.com/spec/";
    let mut head = Vec::new();
    let read = files::open(path).and_then(|file| file.take(1024).read_to_end(&mut head));
    if let Err(error) = read {
        return Some(FileProblem::Unreadable(error.to_string()));
    }
    let text = String::from_utf8_lossy(&head);
    if head.is_empty() {
        Some(FileProblem::Empty)
    } else if text.starts_with(LFS) {
        let bytes = text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse().ok());
        Some(FileProblem::Pointer { bytes })
    } else {
        let start: String =
            text.trim_start_matches('\u{feff}').trim_start().chars().take(15).collect();
        let start = start.to_ascii_lowercase();
        (start.starts_with("<!doctype html") || start.starts_with("<html"))
            .then_some(FileProblem::Page)
    }
}

/// The fault of a graph, or of its external data.
pub(super) fn problem_of_graph(graph: &Path) -> Option<FileProblem> {
    problem(graph).or_else(|| {
        // A name that leads out of the folder is an error of its own, when the graph is loaded.
        let names = external::data_files(graph).ok()?;
        let data = names.keys().find_map(|name| {
            let path = graph.with_file_name(name);
            let pointer =
                problem(&path).filter(|problem| !matches!(problem, FileProblem::Unreadable(_)));
            pointer.map(|problem| {
                FileProblem::Data(format!("its weights lie in {name:?}, which is {problem}"))
            })
        });
        data.or_else(|| external::shortage(graph).map(FileProblem::Data))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_place_of_a_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.onnx");
        let of = |content: &str| {
            std::fs::write(&path, content).unwrap();
            problem(&path)
        };
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1519700992\n";
        assert_eq!(of(pointer), Some(FileProblem::Pointer { bytes: Some(1_519_700_992) }));
        assert!(of(pointer).unwrap().to_string().contains("pointer to 1.52 GB"));
        assert_eq!(of("\n  <!DOCTYPE HTML><html>"), Some(FileProblem::Page));
        assert_eq!(of("<html lang=en>"), Some(FileProblem::Page));
        assert_eq!(of(""), Some(FileProblem::Empty));
        assert_eq!(of("\u{8}\u{8}"), None);
        assert!(matches!(problem(dir.path()), Some(FileProblem::Unreadable(_))));
    }
}
