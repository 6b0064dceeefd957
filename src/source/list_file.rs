//! Lists of images.
//!
//! In: the bytes of a list. Out: the paths that it names. Promises: a list is read as it came from
//! whatever wrote it: lines, with quotes around them or without; lines between NUL bytes (`find
//! -print0`); `file://` addresses; JSON, an array of texts or of objects, an object a line, or a
//! COCO file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::name::path_of_bytes;
use super::remote::is_address;
use crate::percent;

/// Keys under which an object names its image.
const KEYS: [&str; 5] = ["image", "path", "file_name", "file", "url"];

/// The paths in a list.
///
/// # Errors
/// Which entry of a JSON list names none.
pub(super) fn paths(bytes: &[u8]) -> Result<Vec<PathBuf>, String> {
    // Names between NUL bytes are exact: a quote in one belongs to it.
    if bytes.contains(&0) {
        return Ok(bytes
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .filter_map(path_of_bytes)
            .collect());
    }
    if let Some(entries) = json_entries(bytes) {
        let named = |(index, entry): (usize, &Value)| {
            path_in(entry)
                .ok_or_else(|| format!("entry {} names no image ({})", index + 1, KEYS.join(", ")))
        };
        return entries.iter().enumerate().map(named).collect();
    }
    let lines =
        bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines.filter(|line| !line.trim_ascii().is_empty()).filter_map(path_of_line).collect())
}

/// The entries of a list that is JSON as a whole. A path may begin with a bracket, too, and is then
/// no JSON.
fn json_entries(bytes: &[u8]) -> Option<Vec<Value>> {
    if !matches!(bytes.trim_ascii_start(), [b'[' | b'{', ..]) {
        return None;
    }
    match serde_json::from_slice(bytes).ok()? {
        Value::Array(entries) => Some(entries),
        Value::Object(mut object) => match object.remove("images") {
            Some(Value::Array(entries)) => Some(entries),
            _ => None,
        },
        _ => None,
    }
}

/// The path that a text or an object is of.
fn path_in(entry: &Value) -> Option<PathBuf> {
    let text = match entry {
        Value::String(text) => text,
        Value::Object(object) => KEYS.iter().find_map(|key| object.get(*key)?.as_str())?,
        _ => return None,
    };
    of_word(text.as_bytes()).filter(|path| !path.as_os_str().is_empty())
}

fn path_of_line(line: &[u8]) -> Option<PathBuf> {
    let trimmed = line.trim_ascii();
    if trimmed.starts_with(b"{")
        && let Ok(entry) = serde_json::from_slice(trimmed)
        && let Some(path) = path_in(&entry)
    {
        return Some(path);
    }
    if let Some(inner) = unquoted(trimmed) {
        let literal = path_of_bytes(line)?;
        // The quotes are part of the name of a file that is called so.
        return if literal.symlink_metadata().is_ok() { Some(literal) } else { of_word(&inner) };
    }
    let is_word =
        trimmed.starts_with(b"file:") || std::str::from_utf8(trimmed).is_ok_and(is_address);
    if is_word { of_word(trimmed) } else { path_of_bytes(line) }
}

/// The text between quotes, with doubled ones as one (CSV). A comma may follow, as in a list of
/// another language.
fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b",").unwrap_or(line);
    let &[quote @ (b'"' | b'\''), ref inner @ .., last] = line else { return None };
    if last != quote || inner.is_empty() {
        return None;
    }
    let mut path = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        path.push(byte);
        if byte == quote {
            bytes.next_if_eq(&quote);
        }
    }
    Some(path)
}

fn of_word(word: &[u8]) -> Option<PathBuf> {
    match std::str::from_utf8(word).ok().and_then(of_address) {
        Some(path) => Some(path),
        None => path_of_bytes(word),
    }
}

/// The path of a `file:` address (RFC 8089); `None` for other text.
pub(super) fn of_address(text: &str) -> Option<PathBuf> {
    let rest = text.strip_prefix("file:")?;
    let path = match rest.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        // `file://host/path`: this machine's, or one that cannot be reached.
        Some(rest) => {
            rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest)
        }
        None => Some(rest).filter(|path| path.starts_with('/'))?,
    };
    let path = path_of_bytes(&percent::decoded(path))?;
    let drive = path
        .to_str()
        .and_then(|path| path.strip_prefix('/'))
        .filter(|path| path.get(1..).is_some_and(|rest| rest.starts_with(':')));
    Some(
        drive
            .filter(|_| cfg!(windows))
            .map_or_else(|| path.clone(), |path| Path::new(path).to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Vec<String> {
        paths(list.as_bytes())
            .unwrap()
            .iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_kind_of_list_names_the_same() {
        let expected = ["in/a b.jpg", "in/c.jpg"];
        for list in [
            "in/a b.jpg\nin/c.jpg\n",
            "in/a b.jpg\r\n\r\nin/c.jpg",
            "\"in/a b.jpg\"\n'in/c.jpg'\n",
            "\"in/a b.jpg\",\n\"in/c.jpg\",\n",
            "in/a b.jpg\0in/c.jpg\0",
            r#"["in/a b.jpg", "in/c.jpg"]"#,
            "\n [{\"image\": \"in/a b.jpg\", \"n\": 1},\n {\"path\": \"in/c.jpg\"}]",
            r#"{"images": [{"file_name": "in/a b.jpg"}, {"file_name": "in/c.jpg"}]}"#,
            "{\"file\": \"in/a b.jpg\"}\n{\"file_name\": \"in/c.jpg\"}\n",
        ] {
            assert_eq!(read(list), expected, "{list:?}");
        }
    }

    #[test]
    fn addresses_of_files_are_paths() {
        for (address, path) in [
            ("file:///in/a%20b%C3%A9.jpg", "/in/a bé.jpg"),
            ("file://localhost/in/a.jpg", "/in/a.jpg"),
            ("file:/in/100%.jpg", "/in/100%.jpg"),
            ("\"file:///in/a.jpg\"", "/in/a.jpg"),
            ("[\"file:///in/a%5B.jpg\"]", "/in/a[.jpg"),
        ] {
            assert_eq!(read(address), [path]);
        }
        assert_eq!(read("file.jpg\nfile:name.jpg"), ["file.jpg", "file:name.jpg"]);
    }

    #[test]
    fn what_only_looks_like_quotes_or_json_is_a_name() {
        for name in ["it's.jpg", "\"a\".jpg", "[a].jpg", "{a}.jpg", " a.jpg", "'", "\"\"\"", "a,"] {
            assert_eq!(read(name), [if name == "\"\"\"" { "\"" } else { name }], "{name}");
        }
        assert_eq!(read("'it''s.jpg'"), ["it's.jpg"]);
        assert_eq!(
            paths(br#"["a.jpg", 3]"#).unwrap_err(),
            "entry 2 names no image (image, path, file_name, file, url)"
        );
    }
}
