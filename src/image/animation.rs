//! How many frames an animation has.
//!
//! In: the bytes of a file. Out: the number of its frames, if there are several. Promises: no pixel
//! is decoded; a file that breaks off has the frames that begin in it.
//!
//! Sources: `GIF89a`, appendix A; PNG 3rd edition, 11.3.6.1; RFC 9649, 2.7.1.3.

use super::segments::png_chunk;
use crate::record::{Note, NoteKind};

/// The note about a file of which only the first frame is seen.
pub(super) fn note(bytes: &[u8]) -> Option<Note> {
    let detail = format!("the first of {} frames", frames(bytes)?);
    Some(Note { detail: Some(detail), ..Note::new(NoteKind::Animated, 1) })
}

/// `None` if the file is no animation of GIF, PNG or WebP.
fn frames(bytes: &[u8]) -> Option<usize> {
    let frames = match bytes {
        [b'G', b'I', b'F', b'8', ..] => frames_of_gif(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', rest @ ..] => {
            frames_of_webp(rest)
        }
        _ => {
            let count = png_chunk(bytes, *b"acTL")?.first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*count)).ok()?
        }
    };
    (frames > 1).then_some(frames)
}

fn frames_of_webp(mut rest: &[u8]) -> usize {
    let mut frames = 0;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        frames += usize::from(head.starts_with(b"ANMF"));
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        // Of an odd length, one more byte.
        let Some(next) = behind.get(length.saturating_add(length % 2)..) else { break };
        rest = next;
    }
    frames
}

fn frames_of_gif(bytes: &[u8]) -> usize {
    const FRAME: u8 = 0x2C;
    const EXTENSION: u8 = 0x21;
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut frames = 0;
    let mut at = 13 + bytes.get(10).map_or(0, |flags| colours(*flags));
    loop {
        at += match bytes.get(at) {
            Some(&FRAME) => {
                frames += 1;
                // Its place, its colours, and how long its codes are.
                11 + bytes.get(at + 9).map_or(0, |flags| colours(*flags))
            }
            Some(&EXTENSION) => 2,
            _ => return frames,
        };
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gif(count: usize) -> Vec<u8> {
        use ::image::codecs::gif::GifEncoder;
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for level in 0..count {
            let picture =
                ::image::RgbaImage::from_pixel(30, 20, [level as u8 * 40, 0, 0, 255].into());
            encoder.encode_frame(::image::Frame::new(picture)).unwrap();
        }
        drop(encoder);
        bytes
    }

    #[test]
    fn frames_are_counted() {
        for (count, frames_there) in [(1, None), (2, Some(2)), (5, Some(5))] {
            assert_eq!(frames(&gif(count)), frames_there, "{count}");
        }
        let whole = gif(3);
        for end in 0..whole.len() {
            assert!(frames(&whole[..end]).is_none_or(|count| count <= 3), "{end}");
        }
        let chunk = |kind: &[u8; 4], length: usize| {
            let mut chunk = kind.to_vec();
            chunk.extend((length as u32).to_le_bytes());
            chunk.resize(8 + length + length % 2, 0);
            chunk
        };
        let webp = [
            b"RIFF\0\0\0\0WEBP".to_vec(),
            chunk(b"VP8X", 10),
            chunk(b"ANMF", 17),
            chunk(b"ANMF", 4),
        ];
        assert_eq!(frames(&webp.concat()), Some(2));
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x08acTL".to_vec();
        png.extend([0, 0, 0, 7, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(frames(&png), Some(7));
        assert_eq!((frames(b""), frames(b"GIF89a")), (None, None));
        let said = crate::image::decode(&gif(3), true).unwrap().notes;
        assert_eq!(said[0].detail.as_deref(), Some("the first of 3 frames"));
    }
}
