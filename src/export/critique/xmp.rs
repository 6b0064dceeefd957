//! Rating and label of frames in XMP files beside them, for photo managers.
//!
//! In: a judged run. Out: `a.xmp` beside `a.png`, with `xmp:Rating` (5 keep, 3 review, -1 reject)
//! and `xmp:Label` (Green, Yellow, Red). Promises: a file that is there keeps all its other fields,
//! byte for byte, and its permissions; one that is no XMP in UTF-8, or a symbolic link, is left as
//! it is, and said. A file is whole or not there.
//!
//! Source: the XMP specification, part 1 (ISO 16684-1), 7 and 8; -1 is Adobe's "rejected".

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Write as _};
use std::ops::Range;
use std::path::Path;

use roxmltree::{Document, Node};

use super::super::upright::Images;
use super::super::{ExportError, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::dataset::xml::declared_encoding;
use crate::files;
use crate::source::EXTENSIONS;

const XMP: &str = "http://ns.adobe.com/xap/1.0/";
const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";

/// What became of the files beside frames.
#[derive(Debug, Default)]
pub struct RatedFrames {
    /// How many have the rating now.
    pub rated: usize,
    /// The frames of which the file could not be written, each with the reason.
    pub left: Vec<(String, String)>,
}

/// Writes the verdicts of `critique` into files beside its frames.
///
/// # Errors
/// [`ExportError`] if the folder of the frames is not known, or out of reach.
pub fn rate_in_xmp(critique: &Critique<'_>, run: &Run) -> Result<RatedFrames, ExportError> {
    let images = Images::of(run, critique.records)?;
    let mut rated = RatedFrames::default();
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        if !images.is_there(record) {
            continue;
        }
        let written = match images.file(record) {
            Some(path) => write(&path, judged.verdict),
            None => Err("is in an archive".to_owned()),
        };
        match written {
            Ok(()) => rated.rated += 1,
            Err(reason) => rated.left.push((record.image.clone(), reason)),
        }
    }
    Ok(rated)
}

fn write(frame: &Path, verdict: Verdict) -> Result<(), String> {
    let others = EXTENSIONS.iter().map(|end| (end, frame.with_extension(end)));
    let mut others = others.filter(|(_, other)| other != frame);
    if let Some((end, _)) = others.find(|(_, other)| other.exists()) {
        return Err(format!("the .{end} beside it would have the same .xmp"));
    }
    let path = frame.with_extension("xmp");
    let (rating, label) = match verdict {
        Verdict::Keep => ("5", "Green"),
        Verdict::Review => ("3", "Yellow"),
        Verdict::Reject => ("-1", "Red"),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    rate(&path, rating, label).map_err(|why| format!("{name}: {why}"))
}

/// Gives the file at `path` the rating and the label, or makes it.
fn rate(path: &Path, rating: &str, label: &str) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let file = match files::open_unlinked(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return replace(path, &new(rating, label), None).map_err(said);
        }
        Err(error) => return Err(said(error)),
    };
    let permissions = file.metadata().map_err(said)?.permissions();
    let text = utf_8(files::read_within(file, files::MAX_TEXT_BYTES).map_err(said)?)?;
    let edited = rated(&text, rating, label)?;
    if edited == text {
        return Ok(());
    }
    replace(path, &edited, Some(permissions)).map_err(said)
}

/// [`files::replace`] that keeps the permissions of the file that is there.
fn replace(path: &Path, text: &str, permissions: Option<Permissions>) -> io::Result<()> {
    let mut temporary = files::temporary(0o666).tempfile_in(files::folder_of(path))?;
    let file = temporary.as_file();
    if let Some(permissions) = permissions {
        // Where all files have the same, a change of them may be refused.
        if file.metadata()?.permissions() != permissions {
            file.set_permissions(permissions)?;
        }
    }
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// The text in `bytes`, with its byte order mark; an error that says the encoding if it is not
/// UTF-8.
fn utf_8(bytes: Vec<u8>) -> Result<String, String> {
    // By the mark, or by the `<` that XML begins with.
    let encoding = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [b'<', 0, 0, 0, ..] => Some("UTF-32LE".to_owned()),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, b'<', ..] => Some("UTF-32BE".to_owned()),
        [0xff, 0xfe, ..] | [b'<', 0, ..] => Some("UTF-16LE".to_owned()),
        [0xfe, 0xff, ..] | [0, b'<', ..] => Some("UTF-16BE".to_owned()),
        [0xef, 0xbb, 0xbf, text @ ..] | text => {
            declared_encoding(text).filter(|label| !label.eq_ignore_ascii_case("UTF-8"))
        }
    };
    match encoding {
        Some(encoding) => Err(format!("it is in {encoding}, and only UTF-8 is edited")),
        None => String::from_utf8(bytes).map_err(|_| "it is not valid UTF-8".to_owned()),
    }
}

fn new(rating: &str, label: &str) -> String {
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n <rdf:RDF xmlns:rdf=\"{RDF}\">\n  \
         <rdf:Description rdf:about=\"\" xmlns:xmp=\"{XMP}\" xmp:Rating=\"{rating}\" \
         xmp:Label=\"{label}\"/>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>\n"
    )
}

/// `text` with the rating and the label, and all else as it is.
fn rated(text: &str, rating: &str, label: &str) -> Result<String, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    // Those further in are of other resources: what the frame was made of, its history.
    let rdf = document.descendants().find(|node| node.has_tag_name((RDF, "RDF")));
    let descriptions: Vec<Node<'_, '_>> = rdf
        .iter()
        .flat_map(Node::children)
        .filter(|node| node.has_tag_name((RDF, "Description")))
        .collect();
    let first = *descriptions.first().ok_or("it has no rdf:Description")?;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    for (name, value) in [("Rating", rating), ("Label", label)] {
        let attribute = descriptions.iter().find_map(|node| {
            node.attributes().find(|one| one.namespace() == Some(XMP) && one.name() == name)
        });
        let element = descriptions
            .iter()
            .flat_map(Node::children)
            .find(|node| node.has_tag_name((XMP, name)));
        match (attribute, element) {
            (Some(attribute), _) => edits.push((attribute.range_value(), value.to_owned())),
            (None, Some(element)) => {
                let inner = element.first_child().filter(|_| element.children().count() == 1);
                let inner = inner.filter(Node::is_text).ok_or(format!("its {name} is no text"))?;
                edits.push((inner.range(), value.to_owned()));
            }
            (None, None) => {
                let prefix = first.lookup_prefix(XMP).unwrap_or("gemscope-xmp");
                if first.lookup_prefix(XMP).is_none() && added.is_empty() {
                    added = format!(" xmlns:{prefix}=\"{XMP}\"");
                }
                let _ = write!(added, " {prefix}:{name}=\"{value}\"");
            }
        }
    }
    let start = first.range().start;
    let tag = text[start..].find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
    let behind = start + tag.ok_or("its rdf:Description has no end")?;
    edits.push((behind..behind, added));
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut edited = text.to_owned();
    for (range, value) in edits {
        edited.replace_range(range, &value);
    }
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_fields_stay() {
        let fresh = new("5", "Green");
        assert_eq!(rated(&fresh, "-1", "Red").unwrap(), new("-1", "Red"));
        let theirs = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF \
                      xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description \
                      xmlns:dc='http://purl.org/dc/elements/1.1/' \
                      xmlns:a='http://ns.adobe.com/xap/1.0/' dc:title='mine'>\
                      <a:Rating>2</a:Rating><!-- note --></rdf:Description></rdf:RDF></x:xmpmeta>";
        let ours = rated(theirs, "3", "Yellow").unwrap();
        let expected = theirs
            .replace("<a:Rating>2<", "<a:Rating>3<")
            .replace("<rdf:Description ", "<rdf:Description a:Label=\"Yellow\" ");
        assert_eq!(ours, expected);
        let bare = theirs
            .replace(" xmlns:a='http://ns.adobe.com/xap/1.0/'", "")
            .replace("<a:Rating>2</a:Rating>", "");
        let ours = rated(&bare, "5", "Green").unwrap();
        let again = rated(&ours, "-1", "Red").unwrap();
        assert!(again.contains(":Rating=\"-1\"") && again.contains(":Label=\"Red\""), "{again}");
        assert_eq!(again.matches("Rating").count(), 1);
        for wrong in ["", "no xml", "<x/>"] {
            assert!(rated(wrong, "5", "Green").is_err());
        }
    }

    #[test]
    fn a_file_that_is_no_xmp_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a.png", "b.png", "c.png", "c.jpg"] {
            std::fs::write(path(name), "").unwrap();
        }
        std::fs::write(path("b.xmp"), "mine").unwrap();
        assert_eq!(write(&path("a.png"), Verdict::Reject), Ok(()));
        assert_eq!(write(&path("a.png"), Verdict::Keep), Ok(()));
        assert_eq!(std::fs::read_to_string(path("a.xmp")).unwrap(), new("5", "Green"));
        assert!(write(&path("b.png"), Verdict::Keep).is_err());
        assert_eq!(std::fs::read(path("b.xmp")).unwrap(), b"mine");
        assert!(write(&path("c.png"), Verdict::Keep).unwrap_err().contains(".jpg"));
    }

    #[test]
    fn a_description_within_another_is_not_the_frames() {
        let nested = "<xmpMM:Pantry><rdf:Bag><rdf:li><rdf:Description xmp:Rating='1' \
                      xmp:Label='Blue'/></rdf:li></rdf:Bag></xmpMM:Pantry>";
        let sidecar = |top: &str, nested: &str| {
            format!(
                "<rdf:RDF xmlns:rdf='{RDF}' xmlns:xmp='{XMP}' \
                 xmlns:xmpMM='http://ns.adobe.com/xap/1.0/mm/'><rdf:Description{top}>{nested}\
                 </rdf:Description></rdf:RDF>"
            )
        };
        let ours = rated(&sidecar("", nested), "5", "Green").unwrap();
        assert_eq!(ours, sidecar(" xmp:Rating=\"5\" xmp:Label=\"Green\"", nested));
        let elements = nested.replace(
            " xmp:Rating='1' xmp:Label='Blue'/>",
            "><xmp:Rating>1</xmp:Rating></rdf:Description>",
        );
        let ours = rated(&sidecar(" xmp:Label='Blue'", &elements), "5", "Green").unwrap();
        assert_eq!(ours, sidecar(" xmp:Rating=\"5\" xmp:Label='Green'", &elements));
    }

    #[test]
    fn only_utf_8_is_edited() {
        let dir = tempfile::tempdir().unwrap();
        let (frame, path) = (dir.path().join("a.png"), dir.path().join("a.xmp"));
        let text = new("3", "Yellow");
        let in_utf_16 = |text: &str, unit: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        let declared = |label: &str| format!("<?xml version=\"1.0\" encoding='{label}'?>\n{text}");
        let latin = [declared("ISO-8859-1").as_bytes(), b"<!-- caf\xe9 -->"].concat();
        for (encoding, bytes) in [
            ("UTF-16LE", in_utf_16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
            ("UTF-16BE", in_utf_16(&format!("\u{feff}{text}"), u16::to_be_bytes)),
            ("UTF-16LE", in_utf_16(&text, u16::to_le_bytes)),
            ("UTF-16BE", in_utf_16(&declared("UTF-16"), u16::to_be_bytes)),
            ("UTF-16", declared("UTF-16").into_bytes()),
            ("windows-1252", declared("windows-1252").into_bytes()),
            ("ISO-8859-1", latin),
            ("UTF-8", [text.as_bytes(), b"<!-- caf\xe9 -->"].concat()),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let said = write(&frame, Verdict::Keep).expect_err(encoding);
            assert!(said.contains("a.xmp") && said.contains(encoding), "{said}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{encoding}");
        }
        for before in ["", "\u{feff}", "\u{feff}<?xml version='1.0' encoding=\"utf-8\"?>\r"] {
            // Not even the ends of lines of an old Mac are changed.
            let text =
                |rating, label| format!("{before}{}", new(rating, label).replace('\n', "\r"));
            std::fs::write(&path, text("3", "Yellow")).unwrap();
            assert_eq!(write(&frame, Verdict::Keep), Ok(()));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text("5", "Green"));
        }
    }

    #[test]
    fn nothing_else_in_the_folder_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a.xmp", "b.xmp"] {
            let part = path(&format!(".{name}.gemscope-part"));
            std::fs::write(&part, "mine").unwrap();
            if name == "a.xmp" {
                std::fs::write(path(name), new("3", "Yellow")).unwrap();
            }
            let frame = path(name).with_extension("png");
            assert_eq!(write(&frame, Verdict::Keep), Ok(()), "{name}");
            assert_eq!(std::fs::read_to_string(path(name)).unwrap(), new("5", "Green"));
            assert_eq!(std::fs::read(&part).unwrap(), b"mine");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "no temporary is left");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xmp");
        for mode in [0o600, 0o664, 0o440] {
            std::fs::write(&path, new("3", "Yellow")).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(write(&dir.path().join("a.png"), Verdict::Keep), Ok(()));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), new("5", "Green"));
            let kept = path.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(kept, mode, "{kept:o}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("mine.xmp"), new("3", "Yellow")).unwrap();
        for (link, target) in [("a.xmp", "mine.xmp"), ("b.xmp", "missing.xmp")] {
            std::os::unix::fs::symlink(target, path(link)).unwrap();
            let said = write(&path(link).with_extension("png"), Verdict::Keep).unwrap_err();
            assert!(said.contains(link) && said.contains("symbolic link"), "{said}");
            assert_eq!(std::fs::read_link(path(link)).unwrap(), Path::new(target));
        }
        assert_eq!(std::fs::read_to_string(path("mine.xmp")).unwrap(), new("3", "Yellow"));
        assert!(!path("missing.xmp").exists());
    }
}
