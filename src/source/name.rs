//! Names of images.
//!
//! In: a path relative to the root of a run, or inside an archive. Out: its name, which is text
//! with `/` between its parts, and the path again. Promises: no two paths share a name, and a name
//! gives its path back, whatever bytes are in it: what is not UTF-8 is written `\xHH`, and so is
//! the backslash of what looks like that already.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The name of a relative path. `None` on systems whose names are not bytes, if this one is no text
/// (lone surrogates on Windows).
pub(crate) fn of(path: &Path) -> Option<String> {
    let mut name = String::new();
    for part in path.components() {
        if !name.is_empty() {
            name.push('/');
        }
        match part.as_os_str().to_str() {
            Some(text) => escape(text.as_bytes(), &mut name),
            None if cfg!(unix) => escape(part.as_os_str().as_encoded_bytes(), &mut name),
            None => return None,
        }
    }
    Some(name)
}

/// The name of a path in an archive, whose paths are bytes on every system.
pub(super) fn of_bytes(path: &[u8]) -> String {
    let mut name = String::new();
    escape(path, &mut name);
    name
}

/// The relative path of a name.
pub(crate) fn path(name: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if let Some(byte) = escaped(rest) {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => PathBuf::from(text),
        Err(error) => {
            os_string(error.into_bytes()).map_or_else(|| PathBuf::from(name), PathBuf::from)
        }
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // other systems have no such names
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(_: Vec<u8>) -> Option<OsString> {
    None
}

/// A path of the bytes; `None` if the system has no such paths.
pub(super) fn path_of_bytes(bytes: &[u8]) -> Option<PathBuf> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(PathBuf::from(text)),
        Err(_) => os_string(bytes.to_vec()).map(PathBuf::from),
    }
}

fn escape(bytes: &[u8], name: &mut String) {
    let mut place = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if escaped(&bytes[place..]).is_some() {
                name.push_str("\\x5c");
            } else {
                name.push(character);
            }
            place += character.len_utf8();
        }
        for byte in chunk.invalid() {
            let _ = write!(name, "\\x{byte:02x}");
            place += 1;
        }
    }
}

/// The byte that `\xHH` at the beginning of `text` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let hex = |digit: u8| char::from(digit).to_digit(16).filter(|_| !digit.is_ascii_uppercase());
    let &[b'\\', b'x', high, low, ..] = text else { return None };
    Some((hex(high)? * 16 + hex(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_stays_as_it_is() {
        for plain in
            ["a/b.png", "комма,\n\"'.png", "back\\slash.png", "50%.png", "\\x.png", "\\xFF.png"]
        {
            assert_eq!(of_bytes(plain.as_bytes()), plain);
            assert_eq!(path(plain), Path::new(plain));
        }
        assert_eq!(of_bytes(b"a\\xff.png"), "a\\x5cxff.png");
        assert_eq!(of_bytes(b"a\xff\xe2.png"), "a\\xff\\xe2.png");
    }

    #[cfg(unix)]
    proptest! {
        #[test]
        fn every_path_comes_back(bytes in prop::collection::vec(prop_oneof![Just(b'\\'), Just(b'x'),
            Just(b'5'), Just(b'f'), 1..=255_u8], 1..20)) {
            use std::os::unix::ffi::OsStrExt as _;
            let name = of_bytes(&bytes);
            let back = path(&name);
            prop_assert_eq!(back.as_os_str().as_bytes(), &bytes[..]);
        }
    }
}
