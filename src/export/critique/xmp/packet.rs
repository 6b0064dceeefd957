//! The text of an XMP packet.
//!
//! In: a packet, a rating, a label. Out: the packet with them. Promises: all other fields stay as
//! they are, byte for byte; what is no XMP in UTF-8 is an error.
//!
//! Source: the XMP specification, part 1 (ISO 16684-1), 7 and 8.

use std::fmt::Write as _;
use std::ops::Range;

use roxmltree::{Document, Node};

use crate::dataset::xml::declared_encoding;

const XMP: &str = "http://ns.adobe.com/xap/1.0/";
const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";

/// The text in `bytes`, with its byte order mark; an error that says the encoding if it is not
/// UTF-8.
pub(super) fn utf_8(bytes: Vec<u8>) -> Result<String, String> {
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

/// A packet with nothing else.
pub(super) fn new(rating: &str, label: &str) -> String {
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n <rdf:RDF xmlns:rdf=\"{RDF}\">\n  \
         <rdf:Description rdf:about=\"\" xmlns:xmp=\"{XMP}\" xmp:Rating=\"{rating}\" \
         xmp:Label=\"{label}\"/>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>\n"
    )
}

/// `text` with the rating and the label, and all else as it is.
pub(super) fn rated(text: &str, rating: &str, label: &str) -> Result<String, String> {
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
}
