//! Why a dataset cannot be read or written.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Format;
use crate::ownership::OwnershipError;

/// How many problems an error names.
const NAMED: usize = 200;

/// An entry of a dataset that is not what its format says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1, if the format has lines.
    pub line: Option<usize>,
    /// The problem.
    pub what: String,
    /// The kind of problem, in words that follow a count: "boxes whose class has no name".
    pub kind: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path.display(), self.what),
            None => write!(f, "{}: {}", self.path.display(), self.what),
        }
    }
}

/// Why a dataset cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A line that is not what the format says.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// A file that is not what the format says.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// Entries that are not what the format says, all of them.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),
    /// No format that is known, or more than one.
    #[error(
        "{}: cannot tell the format: it is none of {}, or several at once; say it with `from`",
        path.display(), Format::names()
    )]
    NotRecognized {
        /// The path that was examined.
        path: PathBuf,
    },
    /// Nothing is there.
    #[error("{}: there is no such file or folder", path.display())]
    Missing {
        /// The path that was named.
        path: PathBuf,
    },
    /// A folder of images alone.
    #[error(
        "{}: a folder of images without labels, and neither a dataset nor a run", path.display()
    )]
    OnlyImages {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is no dataset and holds one.
    #[error("{}: no dataset by itself; one of {format} is {}: name that", path.display(),
        inner.display())]
    Inside {
        /// The folder that was named.
        path: PathBuf,
        /// The dataset in it.
        inner: PathBuf,
        /// Its format.
        format: Format,
    },
    /// Files of the user's, or another process, are in the way.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// Not a name of a format.
    #[error("unknown format {name:?}; there are: {}", Format::names())]
    UnknownFormat {
        /// The kind of answer that was asked for.
        name: String,
    },
    /// A split that is missing from the path in the settings.
    #[error(
        "{}: {split} is {entry:?}, which is not there (looked for {})",
        path.display(), looked.display()
    )]
    NoSplit {
        /// The settings.
        path: PathBuf,
        /// The split.
        split: &'static str,
        /// The path of the split, as it is written.
        entry: String,
        /// The place that this stands for.
        looked: PathBuf,
    },
    /// An image whose name a list cannot hold.
    #[error(
        "the image {name:?} has a line break in its name, which the list of a split cannot hold: \
         rename it"
    )]
    NameOfSeveralLines {
        /// Its name.
        name: String,
    },
    /// An image whose name leads out of a folder.
    #[error("the image {name:?} has a name that leads out of the dataset's folder")]
    UnsafeName {
        /// Its name.
        name: String,
    },
    /// Two images that would have one label file.
    #[error("the images {first:?} and {second:?} would share one label file: rename one of them")]
    SameLabelFile {
        /// The first of them.
        first: String,
        /// The second of them.
        second: String,
    },
}

impl DatasetError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Line { path: path.to_owned(), line, problem: problem.into() }
    }
}

/// One problem as it is, several one a line.
fn listed(problems: &[Problem]) -> String {
    if let [one] = problems {
        return one.to_string();
    }
    let mut text = format!("{} problems:", problems.len());
    for problem in problems.iter().take(NAMED) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {problem}");
    }
    let more = problems.len().saturating_sub(NAMED);
    if more > 0 {
        let kinds = by_kind(&problems[NAMED..]).join("; ");
        let _ = write!(text, "\n  and {more} more: {kinds}");
    }
    text
}

/// How many problems of each kind there are, in the order in which the kinds first stand.
pub(crate) fn by_kind(problems: &[Problem]) -> Vec<String> {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for problem in problems {
        match kinds.iter_mut().find(|(kind, _)| *kind == problem.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((problem.kind, 1)),
        }
    }
    kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect()
}
