//! A pipeline's text as it may be kept.
//!
//! In: TOML. Out: the same text without the passwords and signatures of addresses in it. Promises:
//! what TOML means is looked at, not how it is written: a string of any kind, in any table or list;
//! comments, too; all else stays as it was written.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::source::without_secrets;

/// `text` without the secrets of addresses in it.
pub fn shareable(text: &str) -> String {
    let mut shareable = text.to_owned();
    if let Ok(table) = DeTable::parse(text) {
        let mut changed = Vec::new();
        for (key, value) in table.get_ref() {
            find(key.get_ref(), value, &mut changed);
        }
        // From the end, so that the places before stay.
        changed.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(place.start));
        for (place, value) in changed {
            shareable.replace_range(place, &basic_string(&value));
        }
    }
    // What is left stands in comments. No address goes on over the end of a line.
    shareable.split_inclusive('\n').map(without_secrets).collect()
}

/// The places of strings that hold a secret, and what they are without it.
fn find(key: &str, value: &Spanned<DeValue<'_>>, changed: &mut Vec<(Range<usize>, String)>) {
    match value.get_ref() {
        DeValue::String(text) => {
            let mut shown = without_secrets(text);
            // The key of a server may stand in its query.
            if key == "server" {
                shown.truncate(shown.find('?').unwrap_or(shown.len()));
            }
            if shown != **text {
                changed.push((value.span(), shown));
            }
        }
        DeValue::Array(values) => values.iter().for_each(|value| find(key, value, changed)),
        DeValue::Table(table) => {
            table.iter().for_each(|(key, value)| find(key.get_ref(), value, changed));
        }
        _ => {}
    }
}

/// `text` as TOML's basic string.
fn basic_string(text: &str) -> String {
    // JSON escapes less: it lets DEL stand.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_writing_a_secret_lets_it_stay() {
        let text = r#"
# https://me:comment@h/a and 'https://h/b?X-Amz-Signature=comment'
source.inputs = ["https://me:plain@h/a.jpg", 'https://me:literal@h/b.jpg',
    """https://me:\
       multi@h/c.jpg""", '''
https://me:raw@h/d.jpg''', "https\u003a//me:escaped@h/e f.jpg", "plain.jpg", ] # kept
model = { server = "http://me:inline@h:8000/v1?key=query", "server\u005fmodel" = "x" }
[task]
prompt = "what is at https://h/x?sig=mid&sv=2 there?"
[[many]]
inner.deep = [["https://h/?x-goog-signature=deep"]]
"#;
        let kept = shareable(text);
        for secret in [
            "comment", "plain@", "literal", "multi", "raw", "escaped", "inline", "query", "mid",
            "deep@", "=deep",
        ] {
            assert!(!kept.contains(secret), "{secret}: {kept}");
        }
        let table: toml::Table = toml::from_str(&kept).unwrap();
        let inputs: Vec<&str> = table["source"]["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s.as_str().unwrap())
            .collect();
        let at = |name: &str| format!("https://h/{name}.jpg");
        assert_eq!(
            inputs,
            [&at("a"), &at("b"), &at("c"), "\nhttps://h/d.jpg".trim(), &at("e%20f"), "plain.jpg"]
        );
        assert_eq!(table["model"]["server"].as_str(), Some("http://h:8000/v1"));
        assert_eq!(table["task"]["prompt"].as_str(), Some("what is at https://h/x there?"));
        assert!(kept.contains("] # kept"), "{kept}");
    }

    #[test]
    fn what_has_no_secret_stays_as_it_was_written() {
        let text = "[source] # https://h/?q=1\ninputs = ['https://h/a.jpg#t=1', \"a\\u0062\"]\r\n";
        assert_eq!(shareable(text), text);
        assert_eq!(shareable("no = toml = https://me:pw@h/"), "no = toml = https://h/");
    }
}
