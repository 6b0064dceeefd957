//! How the text of a label, and of other values beside a box, is read.

/// The longest label in bytes. Real ones are a few words; the limit keeps the memory of one runaway
/// label that many boxes share proportional to the text.
pub(super) const MAX_LABEL: usize = 1024;

/// Reads a label: escapes decoded, runs of white space and control characters made one space, at
/// most [`MAX_LABEL`] bytes.
///
/// The second value says whether it was cut to that length. `None` for a label with nothing in it.
pub(super) fn clean(raw: &str) -> Option<(String, bool)> {
    let mut label = String::new();
    for word in decode(raw)
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !label.is_empty() {
            label.push(' ');
        }
        label.push_str(word);
    }
    let whole = label.len();
    if whole > MAX_LABEL {
        label.truncate(label.floor_char_boundary(MAX_LABEL));
        label.truncate(label.trim_end().len());
    }
    (!label.is_empty()).then(|| {
        let cut = label.len() < whole;
        (label, cut)
    })
}

/// A label without the number that counts things of one kind: `chair` of `chair 12` and of
/// `chair_12`.
pub(super) fn stem(label: &str) -> &str {
    let stem =
        label.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches([' ', '_', '-', '#']);
    if stem.is_empty() { label } else { stem }
}

/// Reads a confidence: a finite number as it is, or divided by 100 if it has a percent sign. Words
/// are not read.
pub(super) fn confidence(raw: &str) -> Option<f64> {
    let raw = raw.trim();
    let (number, most) =
        raw.strip_suffix('%').map_or((raw, 1.0), |percent| (percent.trim_end(), 100.0));
    let digits = number.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
    let value: f64 = digits.then(|| number.parse().ok()).flatten()?;
    value.is_finite().then_some(value / most)
}

/// Whether an unquoted value stands for "no value" in JSON, JavaScript or Python.
pub(super) fn is_null(word: &str) -> bool {
    ["null", "none", "undefined", "nan"].iter().any(|null| word.eq_ignore_ascii_case(null))
}

/// Whether an unquoted value is a boolean in JSON or Python.
pub(super) fn is_boolean(word: &str) -> bool {
    word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false")
}

/// Decodes JSON's escapes and `\'`; an escape that means nothing stays as it is written.
pub(super) fn decode(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (c, length) = decode_one(&rest[at..]).unwrap_or(('\\', 1));
        text.push(c);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    text
}

/// The character of the escape at the start of `escape`, and the escape's length in bytes.
fn decode_one(escape: &str) -> Option<(char, usize)> {
    let c = match escape.as_bytes().get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'"' => '"',
        b'\'' => '\'',
        b'/' => '/',
        b'\\' => '\\',
        b'u' => {
            let unit = code_unit(escape)?;
            if let Some(c) = char::from_u32(unit) {
                return Some((c, 6));
            }
            // A surrogate: of use only with its other half.
            let low = code_unit(escape.get(6..)?)?;
            let (high, low) = (unit.checked_sub(0xD800)?, low.checked_sub(0xDC00)?);
            (high < 0x400 && low < 0x400).then_some(())?;
            return Some((char::from_u32(0x1_0000 + (high << 10) + low)?, 12));
        }
        _ => return None,
    };
    Some((c, 2))
}

/// The UTF-16 code unit of a `\uXXXX` at the start of `escape`.
fn code_unit(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn cleaned(raw: &str) -> Option<String> {
        clean(raw).map(|(label, _)| label)
    }

    #[test]
    fn escapes() {
        assert_eq!(cleaned(r"caf\u00e9 \ud83d\udc31").as_deref(), Some("café 🐱"));
        assert_eq!(cleaned(r"  07:32\n").as_deref(), Some("07:32"));
        assert_eq!(
            cleaned(r#"say \"hi\" a\/b c\\d it\'s"#).as_deref(),
            Some(r#"say "hi" a/b c\d it's"#)
        );
        for broken in [
            r"a\ud83d",
            r"\ud83dx",
            r"\udc31",
            r"\ud83d\ud83d",
            r"\u12",
            r"\uzzzz",
            r"\u+123",
            r"\x",
            r"a\",
            r"\é",
        ] {
            assert_eq!(cleaned(broken).as_deref(), Some(broken), "kept as text");
        }
    }

    #[test]
    fn white_space_and_length() {
        assert_eq!(cleaned(" \\n\\t \u{a0}\\u0000"), None);
        assert_eq!(cleaned("a\r\n b \u{3000} c").as_deref(), Some("a b c"));
        let (label, cut) = clean(&"é ".repeat(1000)).unwrap();
        assert!(cut && label.len() <= MAX_LABEL && label.ends_with('é'));
        assert_eq!(clean(&"x".repeat(MAX_LABEL)), Some(("x".repeat(MAX_LABEL), false)));
    }
}
