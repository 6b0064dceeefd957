//! How a picture looks, in 64 bits: near copies differ in few of them.
//!
//! In: 8-bit RGB. Out: the difference hash. Promises: the same pixels give the same bits; another
//! size or quality of the same picture changes few of them.
//!
//! Source: the hash is dHash (Neal Krawetz, "Kind of Like That", 2013). The `image` crate makes the
//! picture small; what is left are 64 comparisons, for which crates of perceptual hashes would bring
//! cosine transforms.

use ::image::GrayImage;
use ::image::imageops::{FilterType, resize};

/// Columns and rows of neighbours that are compared.
const SIDE: u32 = 8;

/// Of row-major RGB of `width * height * 3` bytes, for each of 8 by 8 places, from the left of the
/// first row on, whether the picture gets darker to the right; the first is the highest bit. `None`
/// if the bytes are not those of such a picture.
pub fn look(width: u32, height: u32, rgb: &[u8]) -> Option<u64> {
    // Rec. 601, in whole numbers.
    let luma = |pixel: &[u8]| {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
    };
    if width == 0 || height == 0 {
        return None;
    }
    let grey = GrayImage::from_raw(width, height, rgb.chunks_exact(3).map(luma).collect())?;
    let small = resize(&grey, SIDE + 1, SIDE, FilterType::Triangle);
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let darker = |(x, y)| small.get_pixel(x, y).0[0] > small.get_pixel(x + 1, y).0[0];
    Some(places.fold(0, |bits, place| bits << 1 | u64::from(darker(place))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blots, of which each seed has others.
    fn picture(width: u32, height: u32, seed: u32) -> Vec<u8> {
        let level = |x: u32, y: u32| {
            let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
            let wave = (x * (3.0 + f64::from(seed)) + f64::from(seed)).sin()
                * (y * 7.0 + f64::from(seed * 3)).cos();
            (127.0 + 100.0 * wave) as u8
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [level(x, y); 3])).collect()
    }

    #[test]
    fn near_copies_differ_in_few_bits() {
        let bits = |one: u64, other: u64| (one ^ other).count_ones();
        let first = look(256, 192, &picture(256, 192, 1)).unwrap();
        let mut noisy = picture(256, 192, 1);
        noisy
            .iter_mut()
            .enumerate()
            .for_each(|(at, level)| *level = level.wrapping_add((at % 5) as u8));
        assert!(bits(first, look(256, 192, &noisy).unwrap()) <= 4);
        assert!(bits(first, look(512, 384, &picture(512, 384, 1)).unwrap()) <= 4, "another size");
        assert!(bits(first, look(256, 192, &picture(256, 192, 4)).unwrap()) > 12);
        // Darker to the right everywhere, and nowhere.
        let ramp = |down: bool| -> Vec<u8> {
            (0..64_u8).flat_map(|x| [if down { 255 - x } else { x }; 3]).collect()
        };
        assert_eq!(look(64, 1, &ramp(true)), Some(u64::MAX));
        assert_eq!(look(64, 1, &ramp(false)), Some(0));
        assert_eq!((look(0, 0, &[]), look(4, 4, &[0; 6])), (None, None));
    }
}
