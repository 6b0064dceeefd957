//! Samples of 16 bits that hold fewer.
//!
//! In: decoded samples of 16 bits. Out: the same, spread over all 16, and a note. Promises:
//! brightness is multiplied by one number for the whole image; at most one sample of a thousand is
//! clipped; an image that uses its 16 bits, or is just dark, stays as it is.
//!
//! Cameras write 10, 12 or 14 bits into files of 16 without scaling them; such images look black.
//! The number of bits is taken from the file if it says so (PNG's sBIT, TIFF's `MaxSampleValue`);
//! writers that follow PNG's rule scale samples up and need nothing. Otherwise a depth is assumed
//! on two conditions together: the brightest sample comes close to the depth's white ([`REACHES`]),
//! and enough samples are not dark at that depth ([`ENOUGH`]). Twelve bits, the most frequent
//! depth, are assumed on the second condition alone if it holds in full.
//!
//! The brightest sample is that of all but [`HOT`], the share that hot pixels and the overshoot of
//! sharpening may have.

use std::ops::RangeInclusive;

use ::image::DynamicImage;

use super::segments::png_chunk;
use super::tiff_block::Block;
use crate::record::{Note, NoteKind};

/// The depths in bits that are tried if the file does not say.
const DEPTHS: RangeInclusive<u32> = 8..=15;
/// The share of samples that may be brighter than white, and are then white.
const HOT: f64 = 0.001;
/// The share of a depth's white that its brightest sample has.
const REACHES: f64 = 7.0 / 8.0;
/// The share of samples that are not dark.
const ENOUGH: f64 = 0.01;
/// Samples are not dark from this share of white on: if the brightest sample reaches white, and if
/// it does not.
const NOT_DARK: [f64; 2] = [1.0 / 16.0, 1.0 / 4.0];
/// Samples of 16 bits that are all below this look black.
const BLACK: u16 = 1 << 12;

/// Spreads the samples of an image with 16 bits a sample over the whole range; `file` are the bytes
/// of its file. Returns a note about it, or that the image looks black.
pub(super) fn spread(decoded: &mut DynamicImage, file: &[u8]) -> Option<Note> {
    let (samples, channels, has_alpha): (&mut [u16], usize, bool) = match decoded {
        DynamicImage::ImageLuma16(image) => (image, 1, false),
        DynamicImage::ImageLumaA16(image) => (image, 2, true),
        DynamicImage::ImageRgb16(image) => (image, 3, false),
        DynamicImage::ImageRgba16(image) => (image, 4, true),
        _ => return None,
    };
    let colours = channels - usize::from(has_alpha);
    let of_colours =
        Samples::count(samples.chunks_exact(channels).flat_map(|pixel| &pixel[..colours]));
    let brightest = of_colours.brightest_but(HOT);
    if brightest == 0 {
        return None;
    }
    let white = match claimed_white(file) {
        // Samples that follow PNG's rule have nothing in the bits below the depth, or repeat
        // themselves there.
        Some(white) => Some(white).filter(|_| {
            brightest <= white && !of_colours.all_multiples_of(65536 / (usize::from(white) + 1))
        }),
        None => of_colours.likely_white(brightest),
    };
    let Some(white) = white.filter(|white| *white < u16::MAX) else {
        let dark = brightest < BLACK && !of_colours.all_multiples_of(257);
        let detail = match of_colours.brightest_but(0.0) {
            all if all == brightest => format!("none of the 16-bit samples is above {brightest}"),
            _ => format!("of a thousand 16-bit samples at most one is above {brightest}"),
        };
        return dark.then(|| Note { detail: Some(detail), ..Note::new(NoteKind::NearBlack, 1) });
    };
    // An alpha channel may be of the same depth, or of all 16 bits.
    let alpha_too =
        has_alpha && samples.chunks_exact(channels).all(|pixel| pixel[colours] <= white);
    let spread = if alpha_too { channels } else { colours };
    let of = |sample: u16| {
        ((u32::from(sample.min(white)) * 65535 + u32::from(white) / 2) / u32::from(white)) as u16
    };
    for pixel in samples.chunks_exact_mut(channels) {
        pixel[..spread].iter_mut().for_each(|sample| *sample = of(*sample));
    }
    let detail = format!("{} of 16 bits", u16::BITS - white.leading_zeros());
    Some(Note { detail: Some(detail), ..Note::new(NoteKind::ScaledBitDepth, 1) })
}

/// How many samples of all channels but alpha have each value.
struct Samples {
    counts: Vec<usize>,
    all: usize,
}

impl Samples {
    fn count<'s>(samples: impl Iterator<Item = &'s u16>) -> Self {
        let mut counts = vec![0; 1 << u16::BITS];
        samples.for_each(|&sample| counts[usize::from(sample)] += 1);
        Self { all: counts.iter().sum(), counts }
    }

    /// How many are at least `level`.
    fn from(&self, level: f64) -> usize {
        self.counts[level.ceil() as usize..].iter().sum()
    }

    /// The brightest sample without the brightest of all: at most `share` of them.
    fn brightest_but(&self, share: f64) -> u16 {
        let mut left = (self.all as f64 * share) as usize;
        let brightest = self.counts.iter().rposition(|count| {
            let is_left_out = *count <= left;
            left = left.saturating_sub(*count);
            !is_left_out
        });
        brightest.unwrap_or(0) as u16
    }

    fn all_multiples_of(&self, factor: usize) -> bool {
        self.counts.iter().enumerate().all(|(sample, count)| *count == 0 || sample % factor == 0)
    }

    /// The white of the depth that the samples seem to have, judged by the `brightest`.
    fn likely_white(&self, brightest: u16) -> Option<u16> {
        let mut whites = DEPTHS.map(|bits| ((1_u32 << bits) - 1) as u16);
        let reached = |white: &u16| {
            brightest <= *white && f64::from(brightest) >= REACHES * f64::from(*white)
        };
        let (white, not_dark) = match whites.find(reached) {
            Some(white) => (white, NOT_DARK[0]),
            None if brightest < BLACK => (BLACK - 1, NOT_DARK[1]),
            None => return None,
        };
        let bright = self.from(f64::from(white) * not_dark);
        // Eight bits that were spread over 16, of a dark image.
        let enough = bright as f64 >= ENOUGH * self.all as f64 && !self.all_multiples_of(257);
        enough.then_some(white)
    }
}

/// The sample value of white, if the file says it.
fn claimed_white(file: &[u8]) -> Option<u16> {
    const MAX_SAMPLE_VALUE: u16 = 281;
    if let Some(bits) = png_chunk(file, *b"sBIT") {
        // Grey and alpha, or three colours and alpha: alpha is no smaller than the others.
        let colours = if bits.len() < 3 { 1 } else { 3 };
        let bits =
            bits.iter().take(colours).copied().max().filter(|bits| (8..=16).contains(bits))?;
        return Some(((1_u32 << bits) - 1) as u16);
    }
    let header = Block::new(file)?;
    let white = header.number(header.first_directory()?, MAX_SAMPLE_VALUE)?;
    u16::try_from(white).ok().filter(|white| *white >= 255)
}

#[cfg(test)]
mod tests {
    use ::image::{ImageBuffer, Luma};

    use super::*;

    /// An image of these samples, and the note about its conversion.
    fn spread_of(samples: Vec<u16>, file: &[u8]) -> (Vec<u16>, Option<(NoteKind, String)>) {
        let image: ImageBuffer<Luma<u16>, _> =
            ImageBuffer::from_raw(samples.len() as u32, 1, samples).unwrap();
        let mut image = DynamicImage::ImageLuma16(image);
        let note = spread(&mut image, file).map(|note| (note.kind, note.detail.unwrap()));
        (image.into_luma16().into_raw(), note)
    }

    fn ramp(most: u16) -> Vec<u16> {
        (0..=1000).map(|step| (u32::from(most) * step / 1000) as u16).collect()
    }

    /// The beginning of a PNG with this number of bits in its sBIT chunk.
    fn png_of(bits: u8) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x01sBIT".to_vec();
        file.extend([bits, 0, 0, 0, 0]);
        file
    }

    #[test]
    fn depths_are_found_beside_hot_pixels_and_overshoot() {
        for bits in 8..=15 {
            let white = ((1_u32 << bits) - 1) as u16;
            for hot in [white, u16::MAX, (u32::from(white) * 9 / 8) as u16] {
                let (samples, note) = spread_of([ramp(white), vec![hot]].concat(), b"");
                assert!(samples.is_sorted());
                assert_eq!(
                    (samples[0], samples[500], samples[1000], samples[1001]),
                    (0, samples[500], 65535, 65535)
                );
                assert!(samples[500].abs_diff(32767) < 200, "{bits}: {}", samples[500]);
                assert_eq!(
                    note,
                    Some((NoteKind::ScaledBitDepth, format!("{bits} of 16 bits"))),
                    "{hot}"
                );
            }
            // Two of a thousand are no accident.
            let bright = (u32::from(white) * 3 / 2) as u16;
            let (_, note) = spread_of([ramp(white), vec![bright; 3]].concat(), b"");
            assert_ne!(note, Some((NoteKind::ScaledBitDepth, format!("{bits} of 16 bits"))));
        }
        // Twelve bits of a scene without white.
        assert_eq!(spread_of(ramp(2500), b"").0[1000], 40009);
    }

    #[test]
    fn what_is_dark_or_uses_its_bits_stays() {
        let dark_with_a_lamp: Vec<u16> =
            (0..10_000).map(|at| if at == 0 { 4000 } else { 90 + at % 30 }).collect();
        let eight_bits_spread: Vec<u16> = (0..=15).map(|level| level * 257).collect();
        for samples in [
            ramp(65535),
            ramp(20_000),
            ramp(9000),
            dark_with_a_lamp,
            ramp(600),
            eight_bits_spread,
            vec![0; 9],
        ] {
            let (after, note) = spread_of(samples.clone(), b"");
            assert_eq!(after, samples);
            let looks_black =
                (300..4096).contains(samples.iter().max().unwrap()) && samples.len() > 16;
            assert_eq!(note.map(|(kind, _)| kind), looks_black.then_some(NoteKind::NearBlack));
        }
    }

    #[test]
    fn a_file_that_says_its_depth_is_believed() {
        assert_eq!(spread_of(ramp(600), &png_of(12)).0[1000], 9602);
        let tiff = crate::image::tiff_block::tests::block(&[(281, 3, 1, 4095)]);
        assert_eq!(spread_of(ramp(600), &tiff), spread_of(ramp(600), &png_of(12)));
        assert_eq!(spread_of(ramp(4095), &png_of(16)).0, ramp(4095));
        assert_eq!(
            spread_of([ramp(600), vec![5000]].concat(), &png_of(12)).0[1000..],
            [9602, 65535]
        );
        // Scaled as PNG wants it: brighter than 12 bits, or nothing below them.
        assert_eq!(spread_of(ramp(65520), &png_of(12)).0, ramp(65520));
        let scaled: Vec<u16> = ramp(255).iter().map(|sample| sample << 4).collect();
        assert_eq!(spread_of(scaled.clone(), &png_of(12)).0, scaled);
    }
}
