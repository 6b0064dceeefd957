//! Draw Things, and other settings in XMP.
//!
//! In: an XMP packet. Out: its texts by the names of their properties; of the object in
//! `exif:UserComment`, [`GenerationSettings`]. Promises: no entity is opened but the five of XML
//! and numbers; a packet that is no XML gives nothing.
//!
//! Source: files that Draw Things made; XMP specification, part 1, 7.

use serde_json::{Map, Value};

use super::{GenerationSettings, Tool, named};

/// The texts of a packet that makers of frames write: what was commented, what is described, and
/// the program.
pub(super) fn texts(packet: &str) -> Vec<(&'static str, String)> {
    const NAMES: [(&str, &str); 4] = [
        ("UserComment", "comment"),
        ("description", "description"),
        ("CreatorTool", "software"),
        ("parameters", "parameters"),
    ];
    // What stands before and behind the packet is no XML for this reader.
    let Some(start) = packet.find("<x:xmpmeta").or_else(|| packet.find("<rdf:RDF")) else {
        return Vec::new();
    };
    let end = packet.rfind('>').map_or(packet.len(), |end| end + 1);
    let end = packet.find("<?xpacket end").filter(|end| *end > start).unwrap_or(end);
    let Ok(document) = roxmltree::Document::parse(packet.get(start..end).unwrap_or_default())
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for node in document.descendants() {
        if let Some((_, name)) = NAMES.iter().find(|(name, _)| node.tag_name().name() == *name) {
            let text: String = node
                .descendants()
                .filter_map(|node| node.text().filter(|_| node.is_text()))
                .collect();
            found.push((*name, text.trim().to_owned()));
        }
        for attribute in node.attributes() {
            if let Some((_, name)) = NAMES.iter().find(|(name, _)| attribute.name() == *name) {
                found.push((*name, attribute.value().trim().to_owned()));
            }
        }
    }
    found.retain(|(_, text)| !text.is_empty());
    found
}

/// The settings of its object; `None` of another one.
pub(super) fn read(object: &Map<String, Value>) -> Option<GenerationSettings> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let prompt = text("c")?;
    let mut settings = named::read(object).by(Tool::DrawThings);
    settings.prompt = Some(prompt);
    settings.denoise = settings.denoise.or_else(|| object.get("strength").and_then(Value::as_f64));
    Some(settings)
}
