//! Texts that a picture file carries beside its pixels.
//!
//! In: the bytes of a PNG, JPEG, WebP or AVIF file. Out: the texts under the names that makers of
//! frames use, and notes of what is broken. Promises: no pixel is decoded; a compressed text is
//! opened only under such a name and never beyond [`MOST_TEXT`]; chunks behind the pixels are read
//! too.
//!
//! Sources: PNG 3rd edition, 11.3.3 (tEXt, zTXt, iTXt) and 11.3.4.5 (eXIf); ITU-T T.81, annex B
//! (JPEG segments); RFC 9649 (WebP). The decoders of the `image` crate give none of the texts, and
//! stop at faults of the pixels.

use std::io::Read as _;

use flate2::Crc;
use flate2::read::ZlibDecoder;

use super::texts::{MOST_TEXT, Texts, text};
use super::{draw_things, exif, isobmff, named};

/// Names of PNG texts that settings stand under.
const NAMES: [&str; 15] = [
    "parameters",
    "prompt",
    "workflow",
    "invokeai_metadata",
    "sd-metadata",
    "Dream",
    "fooocus_scheme",
    "Software",
    "Source",
    "Comment",
    "Description",
    "UserComment",
    "generation_data",
    "Software version",
    "XML:com.adobe.xmp",
];

/// The texts of a file; none of what is of another format.
pub(super) fn texts(bytes: &[u8]) -> Texts {
    let mut texts = Texts::default();
    if let Some(chunks) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        png(chunks, &mut texts);
    } else if let Some(segments) = bytes.strip_prefix(b"\xFF\xD8") {
        jpeg(segments, &mut texts);
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        webp(&bytes[12..], &mut texts);
    } else if let Some(block) = isobmff::exif(bytes) {
        exif::read(block, &mut texts);
    }
    texts
}

fn png(mut rest: &[u8], texts: &mut Texts) {
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = &head[4..];
        let data = after.get(..length);
        match kind {
            b"tEXt" | b"zTXt" | b"iTXt" => {
                let sum = data.and_then(|_| after.get(length..)?.first_chunk().copied());
                let state = match sum {
                    None => State::Cut,
                    Some(sum) if u32::from_be_bytes(sum) != checksum(&rest[4..8 + length]) => {
                        State::Changed
                    }
                    Some(_) => State::Whole,
                };
                png_text(kind, data.unwrap_or(after), state, texts);
            }
            b"eXIf" => exif::read(data.unwrap_or(after), texts),
            b"IEND" => return,
            _ => {}
        }
        rest = after.get(length.saturating_add(4)..).unwrap_or_default();
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Whole,
    Cut,
    Changed,
}

fn png_text(kind: &[u8], data: &[u8], state: State, texts: &mut Texts) {
    let Some((keyword, data)) = split_at_zero(data) else { return };
    let known = NAMES.into_iter().find(|name| keyword.eq_ignore_ascii_case(name.as_bytes()));
    // Easy Diffusion has a text for each setting.
    let of_field = str::from_utf8(keyword).ok().filter(|keyword| named::field(keyword).is_some());
    let Some(name) = known.or(of_field) else { return };
    match state {
        State::Whole => {}
        State::Cut => texts.notes.push(format!("the file ends within the text {name}")),
        State::Changed => texts.notes.push(format!("the text {name} has a wrong checksum")),
    }
    let (compressed, data) = match (kind, data) {
        (b"tEXt", data) => (false, data),
        (b"zTXt", [_, data @ ..]) => (true, data),
        (b"iTXt", [flag, _, data @ ..]) => {
            let text = split_at_zero(data).and_then(|(_, data)| split_at_zero(data));
            (*flag == 1, text.map_or(&[][..], |(_, text)| text))
        }
        _ => return,
    };
    if !compressed {
        add(name, text(&data[..data.len().min(MOST_TEXT + 1)]), texts);
        return;
    }
    let most = texts.left();
    let mut opened = Vec::new();
    let end = ZlibDecoder::new(data).take(most as u64 + 1).read_to_end(&mut opened);
    if opened.len() > most {
        // Counts as all that a file may take: a file of many such texts would cost as much again
        // for each.
        texts.fill();
        texts.notes.push(format!("{name} takes more than {} MiB and is not read", MOST_TEXT >> 20));
        return;
    }
    if end.is_err() && state != State::Cut {
        texts.notes.push(format!("the compressed text {name} is broken"));
    }
    add(name, text(&opened), texts);
}

/// Adds a text, or the texts in it.
fn add(name: &str, text: String, texts: &mut Texts) {
    if name == "XML:com.adobe.xmp" { xmp(&text, texts) } else { texts.add(name, text) }
}

fn xmp(packet: &str, texts: &mut Texts) {
    for (name, text) in draw_things::texts(packet) {
        texts.add(&format!("xmp {name}"), text);
    }
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn jpeg(mut rest: &[u8], texts: &mut Texts) {
    const START_OF_SCAN: u8 = 0xDA;
    const APP1: u8 = 0xE1;
    const COMMENT: u8 = 0xFE;
    while let &[0xFF, marker, ref after @ ..] = rest {
        rest = match marker {
            START_OF_SCAN => return,
            0xFF => &rest[1..],                 // a fill byte
            0x01 | 0xD0..=0xD7 | 0xD8 => after, // markers without a length
            _ => {
                let Some(&[high, low]) = after.first_chunk() else { return };
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 {
                    return;
                }
                let data = after.get(2..length).unwrap_or(&after[2..]);
                match marker {
                    APP1 => {
                        if let Some(tiff) = data.strip_prefix(b"Exif\0\0") {
                            exif::read(tiff, texts);
                        } else if let Some(packet) =
                            data.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0")
                        {
                            xmp(&text(packet), texts);
                        }
                    }
                    COMMENT => texts.add("comment", text(data)),
                    _ => {}
                }
                after.get(length..).unwrap_or_default()
            }
        };
    }
}

fn webp(mut rest: &[u8], texts: &mut Texts) {
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let data = after.get(..length).unwrap_or(after);
        if &head[..4] == b"XMP " {
            xmp(&text(&data[..data.len().min(MOST_TEXT)]), texts);
        } else if &head[..4] == b"EXIF" {
            exif::read(data.strip_prefix(b"Exif\0\0").unwrap_or(data), texts);
        }
        // Chunks begin at even places.
        rest = after.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
}
