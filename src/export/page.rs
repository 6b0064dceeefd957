//! A page for a browser, in one file.
//!
//! In: a template, a style, scripts, data. Out: HTML that loads nothing but pictures beside it. Promises: nothing in the data can become markup or
//! script; only these very scripts are run.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::digest;

/// The whole page.
///
/// # Errors
/// That the data cannot be written as JSON.
pub(super) fn whole<T: Serialize>(
    template: &str,
    style: &str,
    scripts: &[&str],
    data: &T,
) -> Result<String, serde_json::Error> {
    let script = scripts.concat();
    // Only this very script and style are run, only pictures are loaded, and only from where the page is.
    let policy = format!(
        "default-src 'none'; img-src 'self' file:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        sha256_base64(style),
        sha256_base64(&script)
    );
    let data = in_script(&serde_json::to_string(data)?);
    Ok(fill(template, &[("policy", &policy), ("style", style), ("data", &data), ("script", &script)]))
}

/// The template with `{{name}}` replaced, each once and in one pass: what is put in is never looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    filled + rest
}

/// JSON that can stand in a `script` element: HTML sees no tag, comment or entity in it, JavaScript no line end.
fn in_script(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 16);
    for character in json.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The hash of a script as a content security policy names it.
fn sha256_base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hash = Sha256::digest(text);
    let mut encoded = String::new();
    for three in hash.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}

/// The link from a page in `from` to the folder `to`, which ends in `/`; `None` where there is no way (another drive) or no text for it.
pub(super) fn relative_link(from: &Path, to: &Path) -> Option<String> {
    let absolute = |path: &Path| -> Option<PathBuf> {
        // The report's own folder may not be there yet.
        match path.canonicalize() {
            Ok(path) => Some(path),
            Err(_) => Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)),
        }
    };
    let (from, to) = (absolute(from)?, absolute(to)?);
    let common = from.components().zip(to.components()).take_while(|(ours, theirs)| ours == theirs).count();
    if from.components().next() != to.components().next() {
        return None;
    }
    let mut link = "../".repeat(from.components().count() - common);
    for part in to.components().skip(common) {
        let Component::Normal(name) = part else { return None };
        for byte in name.to_str()?.bytes() {
            // What a path may hold as it is, RFC 3986.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                link.push(char::from(byte));
            } else {
                link.push('%');
                link.push_str(&digest::in_hex(&[byte]));
            }
        }
        link.push('/');
    }
    // Never empty, and never what could be read as a scheme.
    Some(if link.starts_with("../") { link } else { format!("./{link}") })
}

/// That a template has every place once and no script of its own, and that its scripts make no markup of text.
#[cfg(test)]
pub(super) fn check(template: &str, scripts: &[&str]) {
    for name in ["policy", "style", "data", "script"] {
        assert_eq!(template.matches(&format!("{{{{{name}}}}}")).count(), 1, "{name}");
    }
    // A policy with hashes runs no handler attribute and applies no style attribute.
    assert!(!template.contains(" onclick") && !template.contains(" style=") && !template.contains("://"));
    for script in scripts {
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</script"] {
            assert!(!script.contains(markup), "{markup}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_data_is_markup() {
        let hostile =
            serde_json::json!({"a": "</script><script>alert(1)</script>&amp;<!--\u{2028}\u{2029}", "b": "{{script}}"});
        let text = in_script(&hostile.to_string());
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), hostile);
        let filled = fill("<{{data}}|{{script}}>", &[("data", &text), ("script", "S")]);
        assert!(filled.contains("{{script}}") && filled.ends_with("|S>"), "what was put in is not looked at again");
    }

    #[test]
    fn hashes_are_those_of_other_tools() {
        // printf '' | openssl dgst -sha256 -binary | base64
        assert_eq!(sha256_base64(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn links_lead_from_the_report_to_the_images() {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("my photos #1");
        std::fs::create_dir_all(&images).unwrap();
        std::fs::create_dir_all(dir.path().join("runs/a")).unwrap();
        let link = relative_link(&dir.path().join("runs/a/report"), &images).unwrap();
        assert_eq!(link, "../../../my%20photos%20%231/");
        assert_eq!(relative_link(&images.join("report"), &images).unwrap(), "../");
        assert_eq!(relative_link(dir.path(), &dir.path().join("runs")).unwrap(), "./runs/");
    }
}
