//! Text in XML.

use std::borrow::Cow;
use std::path::Path;

use super::DatasetError;
use crate::files;

/// How far into a file its declaration may reach.
const DECLARATION: usize = 200;

/// The text of an XML file, in the encoding that its mark or its declaration says.
///
/// # Errors
/// [`DatasetError::File`] of an encoding that is not known, or of bytes that are not of it.
pub(crate) fn read(path: &Path) -> Result<String, DatasetError> {
    let bytes = files::read(path, files::MAX_TEXT_BYTES).map_err(DatasetError::io(path))?;
    let declared = declared_encoding(&bytes).filter(|_| !has_mark(&bytes));
    let Some(label) = declared else {
        return files::decode_text(bytes).map_err(DatasetError::io(path));
    };
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes())
        .ok_or_else(|| DatasetError::file(path, format!("the encoding {label:?} is not known")))?;
    // UTF-16 without its mark would not show the declaration as plain letters.
    let wide = [encoding_rs::UTF_16LE, encoding_rs::UTF_16BE, encoding_rs::UTF_8];
    if wide.contains(&encoding) {
        return files::decode_text(bytes).map_err(DatasetError::io(path));
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
    text.map(Cow::into_owned)
        .ok_or_else(|| DatasetError::file(path, format!("not valid {label}, which it says it is")))
}

fn has_mark(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0xef, 0xbb, 0xbf, ..])
}

/// What stands behind `encoding` in the `<?xml ... ?>` that a file without a mark begins with.
pub(crate) fn declared_encoding(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION)]).into_owned();
    let declaration = head.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split_once(quote).map(|(label, _)| label.to_owned())
}

/// `text` as it may stand between tags or in an attribute. Characters that XML 1.0 cannot hold
/// (section 2.2) become U+FFFD.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let plain = |character: char| {
        !matches!(character, '&' | '<' | '>' | '"' | '\'' | '\0'..' ' | '\u{fffe}' | '\u{ffff}')
    };
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // As they stand, a reader would make spaces of them in an attribute.
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            other if plain(other) => escaped.push(other),
            _ => escaped.push('\u{fffd}'),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_is_read_in_the_encoding_that_it_declares() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xml");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            super::read(&path).map_err(|error| error.to_string())
        };
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>caf\xe9</a>";
        assert!(read(latin).unwrap().ends_with("<a>caf\u{e9}</a>"));
        let chinese = b"<?xml version=\"1.0\" encoding = \"GBK\" ?><a>\xc3\xa8</a>";
        assert!(read(chinese).unwrap().ends_with("<a>\u{732b}</a>"));
        assert!(read(b"<a>caf\xe9</a>").unwrap_err().contains("UTF-8"));
        assert!(read(b"<?xml version='1.0' encoding='runes'?><a/>").unwrap_err().contains("runes"));
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_replaced() {
        assert_eq!(
            super::escape("dog & <cat>'s \"é\""),
            "dog &amp; &lt;cat&gt;&apos;s &quot;é&quot;"
        );
        assert_eq!(super::escape("a\nb\t\u{1}\u{ffff}"), "a&#10;b&#9;\u{fffd}\u{fffd}");
        assert!(matches!(super::escape("plain ✓"), std::borrow::Cow::Borrowed(_)));
    }
}
