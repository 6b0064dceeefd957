//! JSON as Python writes it: with `NaN` and `Infinity`, which are no JSON.
//!
//! In: a text. Out: its value, with null in the place of these. Promises: no text inside quotes is
//! changed.

use std::borrow::Cow;

use serde_json::Value;

/// What Python's `json.dumps` writes of floats that JSON has no words for. The longer comes before
/// what it ends with.
const NOT_JSON: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// # Errors
/// What `serde_json` says, which holds no text of the file.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|error| match without_nan(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(text) => serde_json::from_str(&text),
    })
}

fn without_nan(text: &str) -> Cow<'_, str> {
    let mut changed = String::new();
    let (mut rest, mut quoted) = (text, false);
    let mut kept = 0; // how much of `rest` has been looked at and stays
    while let Some(&byte) = rest.as_bytes().get(kept) {
        match byte {
            b'"' => quoted = !quoted,
            // Whatever is escaped is no end of a text; a character of several bytes is passed over
            // in parts.
            b'\\' if quoted => kept += 1,
            b'-' | b'I' | b'N' if !quoted => {
                if let Some(word) = NOT_JSON.iter().find(|word| rest[kept..].starts_with(**word)) {
                    changed.push_str(&rest[..kept]);
                    changed.push_str("null");
                    rest = &rest[kept + word.len()..];
                    kept = 0;
                    continue;
                }
            }
            _ => {}
        }
        kept += 1;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    changed.push_str(rest);
    Cow::Owned(changed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let text =
            r#"{"a": NaN, "b": [Infinity, -Infinity, -1], "c": "NaN, \"NaN\" é", "d\\": NaN}"#;
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": null, "b": [null, null, -1], "c": "NaN, \"NaN\" é", "d\\": null})
        );
        for broken in ["", "{", "NaN}", "\"\\", "{\"a\": \"NaN", "Nope", "-"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
