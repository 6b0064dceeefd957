//! `report/`: a page for a browser that shows a run, and the thumbnails beside it.
//!
//! In: records, the manifest and, where they are to be had, the images. Out: `index.html`, which holds style, script and data and loads
//! nothing but pictures, and `thumbnails/`. Promises: nothing that comes from a run (names, labels, answers) can become markup or
//! script; the page needs no network; an image that cannot be read has a placeholder and a remark.

mod data;
mod thumbnail;

use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::folder::Fresh;
use super::upright::Images;
use super::{ExportError, Exported, Input};
use crate::digest;
use data::Data;

const PAGE: &str = include_str!("page/report.html");
const STYLE: &str = include_str!("page/report.css");
/// One script: what is shown, how, and what the keys do.
const SCRIPTS: [&str; 3] =
    [include_str!("page/select.js"), include_str!("page/report.js"), include_str!("page/view.js")];

pub(super) fn write(input: &Input<'_>, out: &Path, exported: &mut Exported) -> Result<(), ExportError> {
    let failed = |path: &Path, error: std::io::Error| ExportError::Write { path: path.to_owned(), error };
    let folder = Fresh::begin(out, "report")?;
    let thumbnails = folder.path().join("thumbnails");
    std::fs::create_dir(&thumbnails).map_err(|error| failed(&thumbnails, error))?;
    // Without a folder of images the page is still worth having.
    let seen = if let Ok(images) = Images::of(input) {
        draw_thumbnails(input, &images, &thumbnails, exported)?
    } else {
        let remark = "html: no thumbnails, since nothing says where the images are (--images DIR)";
        exported.remarks.push(remark.to_owned());
        vec![false; input.records.len()]
    };
    let link = input.images.and_then(|images| relative_link(&out.join("report"), images));
    let page = page(&Data::of(input, &seen, link)).map_err(|error| failed(out, error.into()))?;
    let path = folder.path().join("index.html");
    std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
    folder.put(exported)
}

/// Writes a thumbnail of every image that can be read, and says of each record whether there is one.
fn draw_thumbnails(
    input: &Input<'_>,
    images: &Images<'_>,
    folder: &Path,
    exported: &mut Exported,
) -> Result<Vec<bool>, ExportError> {
    let path = |index| folder.join(data::thumbnail_name(index));
    let indexed = input.records.par_iter().enumerate();
    let made: Vec<Result<(), String>> =
        indexed.map(|(index, record)| thumbnail::write(record, images, &path(index))).collect::<Result<_, _>>()?;
    // What was not an image when it was answered about is told by its record.
    let answered = input.records.iter().zip(&made).filter(|(record, _)| record.width > 0);
    let missing: Vec<_> = answered.filter_map(|(record, made)| Some((&record.image, made.as_ref().err()?))).collect();
    if let [(image, reason), rest @ ..] = missing.as_slice() {
        let others = if rest.is_empty() { String::new() } else { format!(" (and of {} others)", rest.len()) };
        exported.remarks.push(format!("html: no thumbnail of {image}{others}: {reason}"));
        exported.images_missed += missing.len();
    }
    Ok(made.iter().map(Result::is_ok).collect())
}

/// The whole page.
fn page(data: &Data<'_>) -> Result<String, serde_json::Error> {
    let script = SCRIPTS.concat();
    // Only this very script and style are run, only pictures are loaded, and only from where the page is.
    let policy = format!(
        "default-src 'none'; img-src 'self' file:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        sha256_base64(STYLE),
        sha256_base64(&script)
    );
    let data = in_script(&serde_json::to_string(data)?);
    Ok(fill(PAGE, &[("policy", &policy), ("style", STYLE), ("data", &data), ("script", &script)]))
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
fn relative_link(from: &Path, to: &Path) -> Option<String> {
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
    fn the_template_has_every_place_once_and_no_script_of_its_own() {
        for name in ["policy", "style", "data", "script"] {
            assert_eq!(PAGE.matches(&format!("{{{{{name}}}}}")).count(), 1, "{name}");
        }
        // A policy with hashes runs no handler attribute and applies no style attribute.
        assert!(!PAGE.contains(" onclick") && !PAGE.contains(" style=") && !PAGE.contains("://"));
        for script in SCRIPTS {
            for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</script"] {
                assert!(!script.contains(markup), "{markup}");
            }
        }
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
