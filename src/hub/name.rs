//! Names of models on the Hub.
//!
//! In: `OWNER/NAME[@REVISION]`, with `hf:` before it or without. Out: its parts. Promises: a name
//! that is read makes a path inside the cache, and no other.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A repository of the Hub: `OWNER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// A model on the Hub, in one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    /// The repository.
    pub repository: RepositoryName,
    /// A branch, a tag or a commit; `None` is the branch `main`.
    pub revision: Option<String>,
}

/// Not the name of a model on the Hub.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelNameError {
    /// Not a name of the Hub.
    #[error(
        "{0:?} is no name of a model on the Hub, which is OWNER/NAME or hf:OWNER/NAME@REVISION"
    )]
    Model(String),
    /// Not a revision.
    #[error("{0:?} is no name of a revision: a branch, a tag or a commit")]
    Revision(String),
}

/// The prefix of a name that is meant for the Hub and no folder.
pub const PREFIX: &str = "hf:";
/// The branch that is meant if no revision is named.
const MAIN: &str = "main";
/// The longest name that the Hub takes.
const MAX_LENGTH: usize = 96;

impl RepositoryName {
    /// The name, `OWNER/NAME`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder of a cache that holds it.
    pub(super) fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// The repository that a folder of a cache holds.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        folder.strip_prefix("models--")?.replacen("--", "/", 1).parse().ok()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = ModelNameError;

    fn from_str(text: &str) -> Result<Self, ModelNameError> {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
                && !part.starts_with(['-', '.'])
                && !part.ends_with(['-', '.'])
                && !part.contains("--")
                && !part.contains("..")
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) && text.len() <= MAX_LENGTH => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(ModelNameError::Model(text.to_owned())),
        }
    }
}

impl ModelId {
    /// A repository in its branch `main`.
    pub fn of(repository: RepositoryName) -> Self {
        Self { repository, revision: None }
    }

    /// The same in another revision.
    ///
    /// # Errors
    /// [`ModelNameError::Revision`] if it cannot be the name of one.
    pub fn at(self, revision: &str) -> Result<Self, ModelNameError> {
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && part.chars().all(|c| c.is_ascii_graphic() && !"\\:*?\"<>|~^[".contains(c))
        };
        if revision.split('/').all(part) {
            return Ok(Self { revision: Some(revision.to_owned()), ..self });
        }
        Err(ModelNameError::Revision(revision.to_owned()))
    }

    /// The revision: the branch `main` if none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// The commit that the revision is, if it is one by its full name.
    pub(super) fn commit(&self) -> Option<&str> {
        self.revision.as_deref().filter(|revision| is_commit(revision))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

impl FromStr for ModelId {
    type Err = ModelNameError;

    fn from_str(text: &str) -> Result<Self, ModelNameError> {
        let name = text.strip_prefix(PREFIX).unwrap_or(text);
        match name.split_once('@') {
            Some((name, revision)) => Self::of(name.parse()?).at(revision),
            None => Ok(Self::of(name.parse()?)),
        }
    }
}

/// True for the full name of a commit: 40 hex digits.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// True for a text of `length` lower-case hex digits.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_owner_and_name() {
        let id: ModelId = "hf:onnx-community/gemma-4-E2B-it-ONNX@refs/pr/1".parse().unwrap();
        assert_eq!(
            (id.repository.as_str(), id.revision()),
            ("onnx-community/gemma-4-E2B-it-ONNX", "refs/pr/1")
        );
        assert_eq!(id.repository.folder(), "models--onnx-community--gemma-4-E2B-it-ONNX");
        assert_eq!(RepositoryName::of_folder(&id.repository.folder()).unwrap(), id.repository);
        assert_eq!("a/b".parse::<ModelId>().unwrap().revision(), "main");
        for wrong in [
            "",
            "a",
            "a/b/c",
            "../b",
            "a/..",
            "a/b--c",
            "a /b",
            "/a/b",
            "gemma4:e2b",
            "a/b@",
            "a/b@../x",
            "a\\b/c",
        ] {
            assert!(wrong.parse::<ModelId>().is_err(), "{wrong:?}");
        }
    }
}
