//! The texts of an EXIF block that makers of frames write.
//!
//! In: the block, a TIFF file. Out: its comments, and `ComfyUI`'s graphs. Promises: two directories
//! are read at most, no offset is followed further, so that a block that points at itself ends.
//!
//! Source: CIPA DC-008 (Exif 2.32), 4.6. Own code, since no crate at hand under a licence that is
//! allowed here reads comments, and since a broken entry must not cost the others.

use super::texts::{Texts, text};
use crate::image::tiff_block::Block;

const EXIF_DIRECTORY: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;
const MAKER_NOTE: u16 = 0x927C;
const SOFTWARE: u16 = 0x0131;
const IMAGE_DESCRIPTION: u16 = 0x010E;
/// `ComfyUI` counts down from the tag Model, and writes `prompt:` or `workflow:` before the graph
/// (`SaveAnimatedWEBP`).
const GRAPH_TAGS: std::ops::RangeInclusive<u16> = 0x0100..=0x0110;

/// Adds the texts of the block.
pub(super) fn read(bytes: &[u8], texts: &mut Texts) {
    let Some(block) = Block::new(bytes) else { return };
    let Some(first) = block.first_directory() else { return };
    // Fooocus writes the comment into the first directory, others into that of Exif, where it
    // belongs.
    let second = block.directory_of(first, EXIF_DIRECTORY);
    for directory in [Some(first), second].into_iter().flatten() {
        if let Some(at) = block.entry(directory, USER_COMMENT) {
            match block.bytes_of(at).map(|value| user_comment(value, block.is_big_endian())) {
                Some(Some(comment)) => texts.add("comment", comment),
                Some(None) => {
                    texts.notes.push("the EXIF comment is in JIS, which is not read".to_owned());
                }
                None => texts.notes.push("the EXIF block ends before its comment does".to_owned()),
            }
        }
        let scheme = block.entry(directory, MAKER_NOTE).and_then(|at| block.bytes_of(at));
        if let Some(b"fooocus" | b"fooocus\0" | b"a1111" | b"a1111\0") = scheme {
            texts.add("fooocus_scheme", scheme.map(text).unwrap_or_default());
        }
        for value in GRAPH_TAGS.filter_map(|tag| block.bytes_of(block.entry(directory, tag)?)) {
            let graph = |name: &[u8]| {
                let (word, graph) = value.split_at_checked(name.len())?;
                word.eq_ignore_ascii_case(name).then(|| text(graph))
            };
            if let Some(prompt) = graph(b"prompt:") {
                texts.add("prompt", prompt);
            } else if let Some(workflow) = graph(b"workflow:") {
                texts.add("workflow", workflow);
            }
        }
        if let Some(value) = block.entry(directory, SOFTWARE).and_then(|at| block.bytes_of(at)) {
            texts.add("Software", text(value));
        }
        if let Some(value) =
            block.entry(directory, IMAGE_DESCRIPTION).and_then(|at| block.bytes_of(at))
        {
            texts.add("comment", text(value));
        }
    }
}

/// A comment after its eight bytes that name the characters (Exif 2.32, table 9). `None` where they
/// are JIS and not just ASCII.
fn user_comment(value: &[u8], big_endian: bool) -> Option<String> {
    let Some((charset, comment)) = value.split_first_chunk::<8>() else { return Some(text(value)) };
    match charset {
        b"ASCII\0\0\0" | b"\0\0\0\0\0\0\0\0" => Some(text(comment)),
        b"UNICODE\0" => Some(utf16(comment, big_endian)),
        // ISO-2022-JP leaves ASCII with an escape.
        b"JIS\0\0\0\0\0" => (!comment.contains(&0x1B)).then(|| text(comment)),
        // Fooocus writes no charset.
        _ => Some(text(value)),
    }
}

/// UTF-16 in whichever byte order it is: by its mark, else by where the zero bytes of its ASCII
/// lie, since writers do not hold to the block's order. Without either sign, in the block's order.
fn utf16(bytes: &[u8], block_is_big_endian: bool) -> String {
    let zeros =
        |offset: usize| bytes.iter().skip(offset).step_by(2).filter(|&&byte| byte == 0).count();
    let (high_first, low_first) = (zeros(0), zeros(1));
    let (bytes, big_endian) = match bytes {
        [0xFE, 0xFF, rest @ ..] => (rest, true),
        [0xFF, 0xFE, rest @ ..] => (rest, false),
        _ if high_first == low_first => (bytes, block_is_big_endian),
        _ => (bytes, high_first > low_first),
    };
    let units = bytes.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    });
    let text: String =
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_in_any_charset() {
        let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(order).collect::<Vec<u8>>()
        };
        let big = utf16("a café, 猫", u16::to_be_bytes);
        let little = utf16("a café, 猫", u16::to_le_bytes);
        let marked = [b"\xFF\xFE".as_slice(), &utf16("猫", u16::to_le_bytes)].concat();
        for (charset, comment, expected) in [
            (b"UNICODE\0", big.as_slice(), "a café, 猫"),
            (b"UNICODE\0", &little, "a café, 猫"),
            (b"UNICODE\0", &marked, "猫"),
            (b"UNICODE\0", b"\x73\x2B", "猫"),
            (b"ASCII\0\0\0", b"plain\0\0", "plain"),
            (b"\0\0\0\0\0\0\0\0", "caf\u{e9}".as_bytes(), "café"),
            (b"\0\0\0\0\0\0\0\0", b"caf\xE9", "café"),
            (b"JIS\0\0\0\0\0", b"plain", "plain"),
            (b"{\"prompt", b"\": 1}", "{\"prompt\": 1}"),
        ] {
            assert_eq!(user_comment(&[charset, comment].concat(), true).as_deref(), Some(expected));
        }
        assert_eq!(user_comment(b"JIS\0\0\0\0\0\x1B$B", true), None);
        assert_eq!(user_comment(b"short", true).as_deref(), Some("short"));
    }
}
