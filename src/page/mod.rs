//! Pages for a browser, each in one file.
//!
//! In: a template, and what it shows. Out: HTML that loads nothing but pictures beside it.
//! Promises: nothing in what it shows can become markup or script; on a page with scripts, only
//! these very scripts are run.

use std::io;
use std::path::{Component, Path, PathBuf};

use minijinja::{Environment, Value, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::digest;

/// Parts that the pages of a run share: the base template, the style and the script.
const BASE: &str = include_str!("base.html");
const STYLE: &str = include_str!("base.css");
const SCRIPT: &str = include_str!("base.js");

/// The page that `template` makes of `values`. All of them are escaped but the strings that are
/// marked as safe.
///
/// # Errors
/// [`minijinja::Error`]; templates are part of the program.
pub(crate) fn render(template: &str, values: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // The ending of the names turns escaping on.
    environment.add_template("base.html", BASE)?;
    environment.add_template("page.html", template)?;
    environment.get_template("page.html")?.render(values)
}

/// A page that shows the items of a run, one a card, and one of them large.
pub(crate) struct RunPage {
    /// Its title.
    pub(crate) kind: &'static str,
    /// The subject of one of its cards, in the singular.
    pub(crate) item: &'static str,
    /// The effect of the key for searching.
    pub(crate) search: &'static str,
    /// The blocks of the template that are its own.
    pub(crate) template: &'static str,
    /// Its style, behind that of all pages.
    pub(crate) style: &'static str,
    /// The controls for filtering and sorting items; they run first.
    pub(crate) choice: &'static str,
    /// How they are shown.
    pub(crate) scripts: &'static [&'static str],
}

impl RunPage {
    fn style(&self) -> String {
        [STYLE, self.style].concat()
    }

    fn script(&self) -> String {
        [self.choice, SCRIPT].iter().chain(self.scripts).copied().collect()
    }

    /// The whole page with `data`.
    ///
    /// # Errors
    /// If the data cannot be written as JSON.
    pub(crate) fn whole<T: Serialize>(&self, data: &T) -> io::Result<String> {
        let (style, script) = (self.style(), self.script());
        // Only this very script and style are run; pictures are loaded only from the page's own
        // place, and nothing is sent anywhere else.
        let policy = format!(
            "default-src 'none'; img-src 'self' file:; connect-src 'self'; style-src 'sha256-{}'; \
             script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
            sha256_base64(&style),
            sha256_base64(&script)
        );
        let data = in_script(&serde_json::to_string(data)?);
        let safe = Value::from_safe_string;
        let values = context! {
            kind => self.kind,
            item => self.item,
            search => self.search,
            policy => safe(policy),
            style => safe(style),
            data => safe(data),
            script => safe(script),
        };
        Ok(render(self.template, values).map_err(io::Error::other)? + "\n")
    }

    /// Checks that the template has no script of its own, and that the scripts make no markup of
    /// text.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        for place in ["{{ policy }}", "{{ style }}", "{{ data }}", "{{ script }}"] {
            assert_eq!(
                (BASE.matches(place).count(), self.template.matches(place).count()),
                (1, 0),
                "{place}"
            );
        }
        let template = [BASE, self.template].concat();
        // A policy with hashes runs no handler attribute and applies no style attribute.
        assert!(
            !template.contains(" onclick")
                && !template.contains(" style=")
                && !template.contains("://")
        );
        assert!(!template.contains("safe") && !template.contains("autoescape"));
        let script = self.script();
        for markup in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</script"]
        {
            assert!(!script.contains(markup), "{markup}");
        }
        assert!(!self.style().contains("</style"));
        let page = self.whole(&"</script>").unwrap();
        assert_eq!(page.matches("</script>").count(), 2);
    }
}

/// JSON that can stand in a `script` element: HTML sees no tag, comment or entity in it, JavaScript
/// no line end.
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
        let bits = three.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}

/// The link from a page in `from` to the folder `to`, which ends in `/`; `None` if there is no path
/// (another drive) or no text for it.
pub(crate) fn relative_link(from: &Path, to: &Path) -> Option<String> {
    let absolute = |path: &Path| -> Option<PathBuf> {
        // The report's own folder may not be there yet.
        match path.canonicalize() {
            Ok(path) => Some(path),
            Err(_) => Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)),
        }
    };
    let (from, to) = (absolute(from)?, absolute(to)?);
    let common =
        from.components().zip(to.components()).take_while(|(ours, theirs)| ours == theirs).count();
    if from.components().next() != to.components().next() {
        return None;
    }
    let mut link = "../".repeat(from.components().count() - common);
    for part in to.components().skip(common) {
        let Component::Normal(name) = part else { return None };
        for byte in name.to_str()?.bytes() {
            // Characters that a path may hold as they are, RFC 3986.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_data_is_markup() {
        let markup = "</script><script>alert(1)</script>&amp;<!--\u{2028}\u{2029}";
        let hostile = serde_json::json!({"a": markup, "b": "{{script}}"});
        let text = in_script(&hostile.to_string());
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), hostile);
        let values = context! { data => Value::from_safe_string(text), script => "<S>" };
        let filled = render("<{{ data }}|{{ script }}>", values).unwrap();
        assert!(filled.contains("{{script}}"), "what was put in is not looked at again");
        assert!(filled.ends_with("|&lt;S&gt;>"), "what is not marked as safe is escaped");
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
