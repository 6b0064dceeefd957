//! Text that a terminal cannot be made to act on.
//!
//! Names of files, labels and answers come from elsewhere. Printed as they are, an escape sequence
//! in one could colour, move or erase other text on the screen, and a line break could make two
//! lines of one.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Control characters escaped as in a string literal (`\u{1b}`), except for line breaks and tabs.
pub(crate) fn block(text: &str) -> Cow<'_, str> {
    escape(text, |character| character.is_control() && !matches!(character, '\n' | '\t'))
}

/// All control characters as they are written in a string, so that one line stays one.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

/// JSON with the same values: control characters occur only in its strings, and there `\u001b` is
/// the same character.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let acts = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    escape_as(text, acts, |plain, character| {
        let mut units = [0; 2];
        // Writing to a string cannot fail.
        character
            .encode_utf16(&mut units)
            .iter()
            .for_each(|unit| _ = write!(plain, "\\u{unit:04x}"));
    })
}

fn escape(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    escape_as(text, acts, |plain, character| plain.extend(character.escape_default()))
}

fn escape_as(
    text: &str,
    acts: impl Fn(char) -> bool,
    write_out: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    // Marks that turn the direction of writing make `gpj.exe` of `exe.jpg`.
    let acts = |character| {
        acts(character) || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if acts(character) { write_out(&mut plain, character) } else { plain.push(character) }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out() {
        assert_eq!(block("a\n\tb é"), "a\n\tb é");
        assert_eq!(block("\x1b[31mred\x07\r"), "\\u{1b}[31mred\\u{7}\\r");
        assert_eq!(line("a\nb\u{202E}c\u{9b}"), "a\\nb\\u{202e}c\\u{9b}");
        assert!(matches!(line("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_json() {
        let text = "exe.\u{202E}gpj \u{7f}\u{9b}31m é 🐕 \u{2066}";
        let written = json(&serde_json::to_string_pretty(&[text]).unwrap()).into_owned();
        assert!(written.contains("exe.\\u202egpj \\u007f\\u009b31m é 🐕 \\u2066"), "{written}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&written).unwrap(), [text]);
    }
}
