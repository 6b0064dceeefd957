//! The frames of an animation.
//!
//! In: the bytes of a file. Out: the number of its frames, if there are several; some of them as
//! upright images. Promises: no pixel is decoded to count them; a file that breaks off has the
//! frames that begin in it; one decoded frame is held at a time.
//!
//! Sources: `GIF89a`, appendix A; PNG 3rd edition, 11.3.6.1; RFC 9649, 2.7.1.3.

use std::io::Cursor;

use ::image::codecs::gif::GifDecoder;
use ::image::codecs::png::PngDecoder;
use ::image::codecs::webp::WebPDecoder;
use ::image::{AnimationDecoder as _, DynamicImage};

use super::segments::png_chunk;
use super::{ImageError, UprightImage, guarded, into_rgb, open};
use crate::record::{Note, NoteKind};

/// The note about a file of which only the first frame is seen.
pub(super) fn note(bytes: &[u8]) -> Option<Note> {
    let detail = format!("the first of {} frames", frame_count(bytes)?);
    Some(Note { detail: Some(detail), ..Note::new(NoteKind::Animated, 1) })
}

/// Calls `each` with these frames of an animation, in their order; they are counted from 0 and
/// sorted.
///
/// # Errors
/// [`ImageError`] if one of them cannot be decoded, or what `each` gives, in words.
pub fn each_frame(
    bytes: &[u8],
    wanted: &[usize],
    apply_orientation: bool,
    max_pixels: u64,
    mut each: impl FnMut(UprightImage) -> Result<(), String>,
) -> Result<(), String> {
    let said = |error: ImageError| error.to_string();
    let orientation = guarded(|| Ok(open(Cursor::new(bytes), max_pixels)?.1)).map_err(said)?;
    let mut frames = guarded(|| decoded(bytes)).map_err(said)?.enumerate();
    for &index in wanted {
        let next = guarded(|| {
            let found = frames.find(|(at, _)| *at == index);
            Ok(found.map(|(_, frame)| frame).transpose()?)
        });
        let frame = next.map_err(|error| format!("frame {}: {error}", index + 1))?;
        let frame = frame.ok_or_else(|| format!("frame {} is not there", index + 1))?;
        let mut pixels = DynamicImage::ImageRgba8(frame.into_buffer());
        if apply_orientation {
            pixels.apply_orientation(orientation);
        }
        each(UprightImage {
            width: pixels.width(),
            height: pixels.height(),
            rgb: into_rgb(pixels),
            orientation: orientation.to_exif(),
            rows_there: 1.0,
            notes: Vec::new(),
        })?;
    }
    Ok(())
}

/// All frames, each as it is seen: drawn over those before it.
fn decoded(bytes: &[u8]) -> Result<::image::Frames<'_>, ImageError> {
    let reader = Cursor::new(bytes);
    Ok(match bytes {
        [b'G', ..] => GifDecoder::new(reader)?.into_frames(),
        [b'R', ..] => WebPDecoder::new(reader)?.into_frames(),
        _ => PngDecoder::new(reader)?.apng()?.into_frames(),
    })
}

/// How many frames an animation has; `None` if the file is no animation of GIF, PNG or WebP.
pub fn frame_count(bytes: &[u8]) -> Option<usize> {
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
            assert_eq!(frame_count(&gif(count)), frames_there, "{count}");
        }
        let whole = gif(3);
        for end in 0..whole.len() {
            assert!(frame_count(&whole[..end]).is_none_or(|count| count <= 3), "{end}");
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
        assert_eq!(frame_count(&webp.concat()), Some(2));
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x08acTL".to_vec();
        png.extend([0, 0, 0, 7, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(frame_count(&png), Some(7));
        assert_eq!((frame_count(b""), frame_count(b"GIF89a")), (None, None));
        let said = crate::image::decode(&gif(3), true).unwrap().notes;
        assert_eq!(said[0].detail.as_deref(), Some("the first of 3 frames"));
    }

    #[test]
    fn frames_are_decoded_one_by_one() {
        let levels = |bytes: &[u8], wanted: &[usize]| {
            let mut seen = Vec::new();
            let read = each_frame(bytes, wanted, true, 1000, |frame| {
                assert_eq!((frame.width, frame.height, frame.rgb.len()), (30, 20, 1800));
                seen.push(frame.rgb[0]);
                Ok(())
            });
            read.map(|()| seen)
        };
        let whole = gif(5);
        assert_eq!(levels(&whole, &[0, 2, 4]), Ok(vec![0, 80, 160]));
        assert_eq!(levels(&whole, &[1]), Ok(vec![40]));
        assert_eq!(levels(&whole, &[0, 5]), Err("frame 6 is not there".to_owned()));
        let small = each_frame(&whole, &[0], true, 599, |_| Ok(())).unwrap_err();
        assert!(small.contains("max_pixels"), "{small}");
        assert!(levels(&whole[..whole.len() / 2], &[0, 4]).is_err());
        assert_eq!(
            each_frame(&whole, &[0, 1], true, 1000, |_| Err("no".to_owned())),
            Err("no".into())
        );
    }
}
