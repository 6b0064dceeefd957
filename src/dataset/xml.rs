//! Text in XML.

use std::borrow::Cow;

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
    fn what_xml_cannot_hold_is_escaped_or_replaced() {
        assert_eq!(
            super::escape("dog & <cat>'s \"é\""),
            "dog &amp; &lt;cat&gt;&apos;s &quot;é&quot;"
        );
        assert_eq!(super::escape("a\nb\t\u{1}\u{ffff}"), "a&#10;b&#9;\u{fffd}\u{fffd}");
        assert!(matches!(super::escape("plain ✓"), std::borrow::Cow::Borrowed(_)));
    }
}
