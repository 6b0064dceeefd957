//! The hashes that name files on the Hub.
//!
//! In: bytes as they come. Out: the hash as hex. Promises: a file is called whole only if it has
//! the size and the hash that its name promises.

use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::digest::in_hex;

/// The hash that a file of a repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileHash {
    /// SHA-256 of a large file's bytes.
    Sha256(String),
    /// SHA-1 of git's header and a small file's bytes.
    Git(String),
}

impl FileHash {
    /// The digits: the file's name in a cache.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(hash) | Self::Git(hash) => hash,
        }
    }

    /// The name of the hash, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "its SHA-256 is",
            Self::Git(_) => "its SHA-1 is",
        }
    }
}

/// Hashes the bytes of one file.
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    /// For a file of `size` bytes that is said to have this hash.
    pub(super) fn of(hash: &FileHash, size: u64) -> Self {
        match hash {
            FileHash::Sha256(_) => Self::Sha256(Sha256::new()),
            FileHash::Git(_) => Self::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// Takes all that `reader` gives, and counts it.
    pub(super) fn read(&mut self, mut reader: impl Read) -> io::Result<u64> {
        let mut buffer = vec![0; 1 << 20];
        let mut count = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(count),
                Ok(read) => {
                    self.update(&buffer[..read]);
                    count += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digits.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => in_hex(&hasher.finalize()),
            Self::Git(hasher) => in_hex(&hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_hashed_as_git_does() {
        // `printf 'hello\n' | git hash-object --stdin`
        let known = FileHash::Git("ce013625030ba8dba906f756967f9e9ca394464a".to_owned());
        let mut hasher = Hasher::of(&known, 6);
        assert_eq!(hasher.read(&b"hello\n"[..]).unwrap(), 6);
        assert_eq!(hasher.finish(), known.as_str());
    }
}
