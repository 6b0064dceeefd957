//! An XMP packet in the file of a picture.
//!
//! In: the bytes of a JPEG, PNG or WebP file. Out: what is replaced in them so that its packet has a
//! rating and a label. Promises: pixels and all other segments and chunks stay as they are, byte for
//! byte, and so does what stands behind the picture; an existing packet keeps its other fields; a
//! file whose parts cannot be told apart is an error.
//!
//! Sources: the XMP specification, part 3 (Adobe, 2020), 1.1.3 to 1.1.5; PNG 3rd edition, 5.3 and
//! 11.3.3.4; RFC 9649, 2.5 to 2.7. Crates for this (img-parts) write whole files anew, without what
//! stands behind the picture, and cannot say what they changed.

use std::ops::Range;

use super::packet;

/// Bytes of a file, and those that take their place.
pub(super) type Replacement = (Range<usize>, Vec<u8>);

const JPEG_NAME: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const PNG_NAME: &[u8] = b"XML:com.adobe.xmp\0";
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What is replaced, in the order of the file; nothing if the packet has this rating and label.
///
/// # Errors
/// Why the file stays as it is, in words.
pub(super) fn rated(bytes: &[u8], rating: &str, label: &str) -> Result<Vec<Replacement>, String> {
    let edit = |packet: Option<&[u8]>| -> Result<Option<String>, String> {
        let Some(packet) = packet else { return Ok(Some(packet::new(rating, label))) };
        let text = packet::utf_8(packet.to_vec()).map_err(|why| format!("its XMP: {why}"))?;
        let edited = packet::rated(&text, rating, label);
        let edited = edited.map_err(|why| format!("its XMP: {why}"))?;
        Ok((edited != text).then_some(edited))
    };
    match bytes {
        [0xFF, 0xD8, ..] => in_jpeg(bytes, edit),
        _ if bytes.starts_with(PNG_SIGNATURE) => in_png(bytes, edit),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => in_webp(bytes, edit),
        _ => Err("only JPEG, PNG and WebP files take a rating in themselves".to_owned()),
    }
}

const ENDS_EARLY: &str = "it ends early";
const SEVERAL: &str = "it has several XMP packets";

fn in_jpeg(
    bytes: &[u8],
    edit: impl Fn(Option<&[u8]>) -> Result<Option<String>, String>,
) -> Result<Vec<Replacement>, String> {
    const APP0: u8 = 0xE0;
    const APP1: u8 = 0xE1;
    const START_OF_SCAN: u8 = 0xDA;
    let (mut at, mut insert) = (2, 2);
    let mut there: Option<Range<usize>> = None;
    let mut leading = true;
    loop {
        let head = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(ENDS_EARLY)?;
        let &[0xFF, marker, high, low] = head else {
            return Err("its segments cannot be told apart".to_owned());
        };
        if marker == 0xFF {
            at += 1; // a fill byte
            continue;
        }
        if marker == START_OF_SCAN {
            break;
        }
        if matches!(marker, 0x01 | 0xD0..=0xD9) {
            return Err("its segments cannot be told apart".to_owned());
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        let data = bytes.get(at + 4..end).ok_or(ENDS_EARLY)?;
        if marker == APP1 && data.starts_with(JPEG_NAME) && there.replace(at..end).is_some() {
            return Err(SEVERAL.to_owned());
        }
        // JFIF and EXIF come first.
        leading &= marker == APP0 || marker == APP1 && data.starts_with(b"Exif\0");
        if leading {
            insert = end;
        }
        at = end;
    }
    let old = there.as_ref().map(|at| &bytes[at.start + 4 + JPEG_NAME.len()..at.end]);
    let Some(text) = edit(old)? else { return Ok(Vec::new()) };
    let length = u16::try_from(2 + JPEG_NAME.len() + text.len())
        .map_err(|_| "its XMP packet would be longer than a segment of JPEG".to_owned())?;
    let segment = [&[0xFF, APP1], &length.to_be_bytes()[..], JPEG_NAME, text.as_bytes()].concat();
    Ok(vec![(there.unwrap_or(insert..insert), segment)])
}

fn in_png(
    bytes: &[u8],
    edit: impl Fn(Option<&[u8]>) -> Result<Option<String>, String>,
) -> Result<Vec<Replacement>, String> {
    let mut at = PNG_SIGNATURE.len();
    let (mut insert, mut there) = (None, None::<(Range<usize>, &[u8])>);
    loop {
        let head: &[u8; 8] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(ENDS_EARLY)?;
        let (length, kind) = head.split_at(4);
        let length = u32::from_be_bytes(length.try_into().unwrap_or_default()) as usize;
        let end = at.checked_add(12).and_then(|end| end.checked_add(length)).ok_or(ENDS_EARLY)?;
        let data = bytes.get(at + 8..end - 4).filter(|_| end <= bytes.len()).ok_or(ENDS_EARLY)?;
        match kind {
            b"IDAT" => insert = insert.or(Some(at)),
            b"IEND" => break,
            b"iTXt"
                if data.starts_with(PNG_NAME)
                    && there.replace((at..end, &data[PNG_NAME.len()..])).is_some() =>
            {
                return Err(SEVERAL.to_owned());
            }
            _ => {}
        }
        at = end;
    }
    let insert = insert.ok_or("it has no pixels")?;
    // Compression, its method, the language, the name in that language.
    let fields: &[u8] = &[0; 4];
    let (place, fields, old) = match there {
        None => (insert..insert, fields, None),
        Some((_, [1, ..])) => return Err("its XMP is compressed".to_owned()),
        Some((place, data)) => {
            let behind = |data: &[u8]| data.iter().position(|byte| *byte == 0).map(|end| end + 1);
            let rest = data.get(2..).ok_or("its XMP has no text")?;
            let language = behind(rest).ok_or("its XMP has no text")?;
            let name = behind(&rest[language..]).ok_or("its XMP has no text")?;
            let (fields, text) = data.split_at(2 + language + name);
            (place, fields, Some(text))
        }
    };
    let Some(text) = edit(old)? else { return Ok(Vec::new()) };
    let content = [b"iTXt", PNG_NAME, fields, text.as_bytes()].concat();
    let length = u32::try_from(content.len() - 4).map_err(|error| error.to_string())?;
    let sum = checksum(&content).to_be_bytes();
    Ok(vec![(place, [&length.to_be_bytes()[..], &content, &sum].concat())])
}

/// The checksum of a chunk: of its kind and its data.
fn checksum(chunk: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(chunk);
    crc.sum()
}

/// A chunk of a WebP file.
struct Chunk<'b> {
    kind: &'b [u8],
    place: Range<usize>,
    data: &'b [u8],
}

fn in_webp(
    bytes: &[u8],
    edit: impl Fn(Option<&[u8]>) -> Result<Option<String>, String>,
) -> Result<Vec<Replacement>, String> {
    const HAS_XMP: u8 = 0x04;
    let number = |at: usize| -> Option<usize> {
        Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
    };
    let size = number(4).ok_or(ENDS_EARLY)?;
    let whole = size.checked_add(8).filter(|whole| *whole <= bytes.len()).ok_or(ENDS_EARLY)?;
    let mut chunks: Vec<Chunk<'_>> = Vec::new();
    let mut at = 12;
    while at + 8 <= whole {
        let length = number(at + 4).ok_or(ENDS_EARLY)?;
        let data = bytes[..whole].get(at + 8..at + 8 + length).ok_or(ENDS_EARLY)?;
        // Chunks begin at even places; the last one may lack its padding.
        let end = (at + 8 + length + length % 2).min(whole);
        chunks.push(Chunk { kind: &bytes[at..at + 4], place: at..end, data });
        at = end;
    }
    let mut packets = chunks.iter().filter(|chunk| chunk.kind == b"XMP ");
    let there = packets.next();
    if packets.next().is_some() {
        return Err(SEVERAL.to_owned());
    }
    let Some(text) = edit(there.map(|chunk| chunk.data))? else { return Ok(Vec::new()) };
    let mut changes: Vec<Replacement> = Vec::new();
    let first = chunks.first().ok_or(ENDS_EARLY)?;
    if first.kind == b"VP8X" {
        let (at, flags) = (first.place.start + 8, first.data.first().ok_or(ENDS_EARLY)?);
        if flags & HAS_XMP == 0 {
            changes.push((at..at + 1, vec![flags | HAS_XMP]));
        }
    } else {
        let head = extended_head(first).ok_or("its first chunk is no picture")?;
        changes.push((first.place.start..first.place.start, head));
    }
    let mut packet = b"XMP ".to_vec();
    let length = u32::try_from(text.len()).map_err(|error| error.to_string())?;
    packet.extend(length.to_le_bytes());
    packet.extend(text.as_bytes());
    if text.len() % 2 == 1 {
        packet.push(0);
    }
    let place = there.map_or(whole..whole, |chunk| chunk.place.clone());
    if whole % 2 == 1 && place.end == whole && place.start == whole {
        packet.insert(0, 0);
    }
    changes.push((place, packet));
    let grown: usize = changes.iter().map(|(_, with)| with.len()).sum();
    let gone: usize = changes.iter().map(|(place, _)| place.len()).sum();
    let size = u32::try_from(size + grown - gone).map_err(|error| error.to_string())?;
    changes.insert(0, (4..8, size.to_le_bytes().to_vec()));
    Ok(changes)
}

/// The chunk that a file with more than a picture begins with, from the picture's own head.
fn extended_head(picture: &Chunk<'_>) -> Option<Vec<u8>> {
    const HAS_XMP: u8 = 0x04;
    const HAS_ALPHA: u8 = 0x10;
    let (width, height, alpha) = match (picture.kind, picture.data) {
        (b"VP8 ", [_, _, _, 0x9D, 0x01, 0x2A, rest @ ..]) => {
            let &[w0, w1, h0, h1] = rest.first_chunk()?;
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
            (side(w0, w1).checked_sub(1)?, side(h0, h1).checked_sub(1)?, false)
        }
        (b"VP8L", [0x2F, rest @ ..]) => {
            let bits = u32::from_le_bytes(*rest.first_chunk()?);
            (bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1 == 1)
        }
        _ => return None,
    };
    let mut head = b"VP8X\x0a\0\0\0".to_vec();
    head.extend([HAS_XMP | if alpha { HAS_ALPHA } else { 0 }, 0, 0, 0]);
    head.extend(&width.to_le_bytes()[..3]);
    head.extend(&height.to_le_bytes()[..3]);
    Some(head)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, RgbImage};

    use super::*;

    fn picture(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = RgbImage::from_fn(33, 20, |x, y| image::Rgb([x as u8 * 7, y as u8 * 9, 80]));
        DynamicImage::ImageRgb8(pixels).write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn changed(bytes: &[u8], replaced: &[Replacement]) -> Vec<u8> {
        let mut new = bytes.to_vec();
        for (range, with) in replaced.iter().rev() {
            new.splice(range.clone(), with.iter().copied());
        }
        new
    }

    fn pixels(bytes: &[u8]) -> Vec<u8> {
        image::load_from_memory(bytes).unwrap().into_rgb8().into_raw()
    }

    #[test]
    fn a_rating_is_put_in_and_changed_and_nothing_else_is() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            // What stands behind a picture (a video of a phone) stays, too.
            let whole = [picture(format), b"behind the picture".to_vec()].concat();
            let first = changed(&whole, &rated(&whole, "5", "Green").unwrap());
            let text = String::from_utf8_lossy(&first).into_owned();
            assert!(text.contains("xmp:Rating=\"5\" xmp:Label=\"Green\""), "{format:?}");
            assert!(text.ends_with("behind the picture"), "{format:?}");
            assert_eq!(pixels(&first), pixels(&whole), "{format:?}");
            assert!(rated(&first, "5", "Green").unwrap().is_empty(), "{format:?}");
            let second = changed(&first, &rated(&first, "-1", "Red").unwrap());
            assert_eq!(String::from_utf8_lossy(&second).matches("Rating").count(), 1);
            assert_eq!(pixels(&second), pixels(&whole), "{format:?}");
            let back = changed(&second, &rated(&second, "5", "Green").unwrap());
            assert_eq!(back, first, "{format:?}");
        }
    }

    #[test]
    fn a_packet_that_is_there_keeps_its_fields() {
        let theirs = packet::new("2", "mine").replace("<rdf:Description", "<rdf:Description a='b'");
        let theirs = theirs.replace(" a='b'", " xmlns:d='urn:d' d:title='a title'");
        let plain = picture(ImageFormat::Png);
        let with = |packet: &str, compressed: u8| {
            let data = [b"iTXt", PNG_NAME, &[compressed, 0], b"en\0a name\0", packet.as_bytes()];
            let data = data.concat();
            let length = (data.len() as u32 - 4).to_be_bytes();
            let chunk = [&length[..], &data, &checksum(&data).to_be_bytes()].concat();
            // Behind the header of 33 bytes.
            [&plain[..33], &chunk, &plain[33..]].concat()
        };
        let bytes = with(&theirs, 0);
        let replaced = rated(&bytes, "5", "Green").unwrap();
        let expected = theirs.replace("\"2\"", "\"5\"").replace("\"mine\"", "\"Green\"");
        assert_eq!(changed(&bytes, &replaced), with(&expected, 0));
        let error = |bytes: &[u8]| rated(bytes, "5", "Green").unwrap_err();
        assert!(error(&with(&theirs, 1)).contains("compressed"));
        assert!(error(&with("no xml", 0)).starts_with("its XMP: "));
        let twice = [&bytes[..33], &with(&theirs, 0)[33..bytes.len() - plain.len() + 33]].concat();
        assert!(error(&[&twice, &bytes[33..]].concat()).contains("several"));
        let long = format!("{}{}", packet::new("2", "mine"), " ".repeat(66_000));
        let jpeg = picture(ImageFormat::Jpeg);
        let segment = |text: &str| {
            let length = (2 + JPEG_NAME.len() + text.len()) as u16;
            [&[0xFF, 0xE1], &length.to_be_bytes()[..], JPEG_NAME, text.as_bytes()].concat()
        };
        let full = &long[..65_504];
        let bytes = [&jpeg[..2], &segment(full), &jpeg[2..]].concat();
        assert!(error(&bytes).contains("longer than a segment"));
    }

    #[test]
    fn files_that_cannot_be_understood_are_left() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let whole = picture(format);
            for end in 0..whole.len().min(400) {
                // A cut JPEG has its segments, and keeps what is there.
                if let Ok(replaced) = rated(&whole[..end], "5", "Green") {
                    assert_eq!(format, ImageFormat::Jpeg, "{end}");
                    assert_eq!(replaced.len(), 1);
                }
            }
        }
        for bytes in [&b"GIF89a"[..], b"", b"\xFF\xD8\xFF\xD9", b"RIFF\x04\0\0\0WEBP"] {
            assert!(rated(bytes, "5", "Green").is_err(), "{bytes:?}");
        }
    }
}
