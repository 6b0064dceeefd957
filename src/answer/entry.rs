//! The beginning of a line that is about a box: its mark, its key.

use std::ops::Range;

/// The longest key of an entry, in bytes, and the most words of one.
const MAX_KEY_LENGTH: usize = 48;
const MAX_WORDS: usize = 4;

/// Whether an entry begins at `at`, the first character of a line.
pub(super) fn begins(text: &str, at: usize) -> bool {
    let line = start_of_line(text, at);
    let (mark, content) = after_mark(line);
    mark.is_some() && content.starts_with(['[', '('])
        || key_of(text, at + line.len() - content.len()).is_some()
}

/// As much of the line at `at` as is looked at to know whether an entry begins there.
pub(super) fn start_of_line(text: &str, at: usize) -> &str {
    let near = &text[at..text.floor_char_boundary(at + 2 * MAX_KEY_LENGTH)];
    &near[..near.find('\n').unwrap_or(near.len())]
}

/// The mark at the start of an item, and what stands behind it.
pub(super) fn after_mark(line: &str) -> (Option<&str>, &str) {
    let digits = line.bytes().take(4).take_while(u8::is_ascii_digit).count();
    let length = if digits > 0 {
        digits + usize::from(line[digits..].starts_with(['.', ')']))
    } else {
        line.chars().next().filter(|c| "-*•+".contains(*c)).map_or(0, char::len_utf8)
    };
    let (mark, rest) = line.split_at(length);
    let marks = length > digits && rest.starts_with([' ', '\t']);
    if marks { (Some(mark), rest.trim_start()) } else { (None, line) }
}

/// The key at `at`, without the quotes and stars around it, and the start of its value.
pub(super) fn key_of(text: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let edge = |c: char| matches!(c, '"' | '\'' | '`' | '*' | '_' | '“' | '”' | '「' | '」' | ' ');
    let near = &text[at..text.floor_char_boundary(at + MAX_KEY_LENGTH)];
    let start = near.find(|c: char| !edge(c))?;
    let colon = near.find([':', '：', '=', '\n', ',', '[', '{', '(', '.', '!', '?', ';'])?;
    let sign = near[colon..].chars().next()?;
    let key = near.get(start..colon)?.trim_end_matches(edge);
    let words = key.split_whitespace().count();
    let plain = key.chars().all(|c| c.is_alphanumeric() || " _-\\/#'".contains(c));
    let is_key = matches!(sign, ':' | '：' | '=')
        && (1..=MAX_WORDS).contains(&words)
        && plain
        && key.contains(char::is_alphabetic);
    let behind = &near[colon + sign.len_utf8()..];
    // `http://`, `a::b`.
    let value = behind.len() - behind.trim_start_matches('*').len();
    (is_key && !behind.starts_with(['/', ':']))
        .then(|| (at + start..at + start + key.len(), at + colon + sign.len_utf8() + value))
}
