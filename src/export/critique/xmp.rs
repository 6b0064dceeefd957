//! Rating and label of frames in XMP files beside them, for photo managers.
//!
//! In: a judged run. Out: `a.xmp` beside `a.png`, with `xmp:Rating` (5 keep, 3 review, -1 reject)
//! and `xmp:Label` (Green, Yellow, Red). Promises: a file that is there keeps all its other fields,
//! byte for byte; one that is no XMP is left as it is, and said.
//!
//! Source: the XMP specification, part 1 (ISO 16684-1), 7 and 8; -1 is Adobe's "rejected".

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use roxmltree::{Document, Node};

use super::super::upright::Images;
use super::super::{ExportError, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::files;
use crate::ownership::write_new_file;
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
    let (text, is_there) = match files::read_text(&path) {
        Ok(text) => (rated(&text, rating, label).map_err(|why| format!("its .xmp: {why}"))?, true),
        Err(error) if error.kind() == ErrorKind::NotFound => (new(rating, label), false),
        Err(error) => return Err(format!("its .xmp: {error}")),
    };
    write_new_file(&path, text.as_bytes(), is_there).map_err(|error| error.to_string())
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
    let descriptions: Vec<Node<'_, '_>> =
        document.descendants().filter(|node| node.has_tag_name((RDF, "Description"))).collect();
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
}
