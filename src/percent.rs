//! `%HH` in addresses (RFC 3986, 2.1).
//!
//! In: text, and which bytes of it may stand as they are; or an address. Out: the text as it stands
//! in an address; or the bytes that an address means.

use std::fmt::Write as _;

/// `text` with `%HH` for every byte that does not stay.
pub(crate) fn escaped(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            escaped.push(char::from(byte));
        } else {
            // A String takes every write.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// `segment` as one part of a path: everything but letters, digits and `-._~` is escaped.
#[cfg(feature = "onnx")]
pub(crate) fn segment(segment: &str) -> String {
    escaped(segment, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Bytes for `%HH`; what is no such thing stays.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        if let (b'%', Some(high), Some(low)) = (first, hex(0), hex(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "onnx")]
    #[test]
    fn parts_of_a_path_are_escaped() {
        assert_eq!(segment("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(segment("ä b#?"), "%C3%A4%20b%23%3F");
    }

    #[test]
    fn what_is_escaped_is_found_again() {
        assert_eq!(decoded("a%20b%C3%a4"), "a bä".as_bytes());
        assert_eq!(decoded("100%%2"), b"100%%2");
        assert_eq!(decoded(&escaped("a/ü%", |byte| byte == b'a')), "a/ü%".as_bytes());
    }
}
