//! SHA-256: the identity of contents.
//!
//! In: bytes, or a file. Out: the hash in lower-case hex, or its first eight bytes as a number.
//! Records, caches and installed files use the same.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::files;

/// Files up to this size are hashed whole; of larger ones as many bytes in [`SAMPLES`] pieces from
/// end to end.
const HASHED_BYTES: u64 = 64 << 20;
const SAMPLES: u64 = 64;

/// A hash that tells one weights file from another without reading gigabytes: over its size and all
/// of it, or evenly spread pieces.
///
/// # Errors
/// Whatever the file says.
pub(crate) fn fingerprint(path: &Path) -> io::Result<String> {
    let mut file = files::open(path)?;
    let size = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    // One piece that holds all of it, or pieces from the first byte to the last.
    let piece = if size <= HASHED_BYTES { size } else { HASHED_BYTES / SAMPLES };
    let samples = if size <= HASHED_BYTES { 1 } else { SAMPLES };
    let mut bytes = Vec::new();
    for sample in 0..samples {
        file.seek(SeekFrom::Start((size - piece) * sample / (samples - 1).max(1)))?;
        bytes.clear();
        (&file).take(piece).read_to_end(&mut bytes)?;
        hash.update(&bytes);
    }
    Ok(in_hex(&hash.finalize()))
}

/// The hash of `bytes`, 64 hex digits.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    in_hex(&Sha256::digest(bytes))
}

/// The hash of all that `reader` gives, 64 hex digits.
///
/// # Errors
/// Errors of the reader.
pub(crate) fn hex_of(mut reader: impl io::Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(in_hex(&hash.finalize())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The first eight bytes of the hash as a big-endian number.
pub(crate) fn number(bytes: impl AsRef<[u8]>) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Bytes of a hash as lower-case hex.
pub(crate) fn in_hex(hash: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(b""), known);
        assert_eq!(number(b""), u64::from_str_radix(&known[..16], 16).unwrap());
    }

    /// Weights of one architecture have equal sizes, and may begin alike: a fingerprint looks at
    /// all of a small file, and at pieces from end to end of a large one.
    #[test]
    fn a_fingerprint_sees_every_part_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        let with = |size: u64, at: u64| {
            // A sparse file: its zeros take no disk.
            let mut file = std::fs::File::create(&path).unwrap();
            file.set_len(size).unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(b"x").unwrap();
            fingerprint(&path).unwrap()
        };
        let large = HASHED_BYTES + (1 << 20);
        let prints = [0, large / 2, large - 1].map(|at| with(large, at));
        assert!(
            prints[0] != prints[1] && prints[1] != prints[2] && prints[0] != prints[2],
            "{prints:?}"
        );
        assert_eq!(prints[2], with(large, large - 1));
        let small = [0, 500, 999].map(|at| with(1000, at));
        assert!(small[0] != small[1] && small[1] != small[2] && small[0] != small[2], "{small:?}");
        assert_ne!(with(1000, 0), with(1001, 0), "the size is a part of it");
    }
}
