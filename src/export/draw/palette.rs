//! Colours of labels.
//!
//! In: a label's place among the run's labels. Out: its colour. Promises: the same place has the
//! same colour in every picture and every version; the first twelve are told apart by colour-blind
//! people too; no two places below some hundreds share one.

/// sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::export) struct Colour(pub(in crate::export) [u8; 3]);

const BLACK: Colour = Colour([0; 3]);
const WHITE: Colour = Colour([0xFF; 3]);

/// Seven colours of Okabe and Ito (jfly.uni-koeln.de/color), then five of Paul Tol's "muted"
/// (personal.sron.nl/~pault) that stay apart from those: both made for all kinds of colour vision.
const FIRST: [u32; 12] = [
    0xE6_9F00, 0x56_B4E9, 0x00_9E73, 0xF0_E442, 0x00_72B2, 0xD5_5E00, 0xCC_79A7, 0x88_2255,
    0x44_AA99, 0x99_9933, 0x33_2288, 0xDD_CC77,
];

/// The colour of the label at `place`.
pub(in crate::export) fn colour(place: usize) -> Colour {
    // steps of it never meet again, and each falls into the widest gap so far
    const GOLDEN_ANGLE: f64 = 137.507_764;
    const LIGHTNESS: [f64; 3] = [0.42, 0.66, 0.54];
    match FIRST.get(place) {
        Some(&rgb) => Colour([(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8]),
        None => {
            from_hsl(place as f64 * GOLDEN_ANGLE % 360.0, 0.65, LIGHTNESS[place % LIGHTNESS.len()])
        }
    }
}

/// The formula of CSS Color 4, section "HSL to sRGB".
fn from_hsl(hue: f64, saturation: f64, lightness: f64) -> Colour {
    let chroma = saturation * lightness.min(1.0 - lightness);
    let channel = |n: f64| {
        let k = (n + hue / 30.0) % 12.0;
        let value = lightness - chroma * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    Colour([channel(0.0), channel(8.0), channel(4.0)])
}

impl Colour {
    /// `#e69f00`.
    pub(in crate::export) fn css(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Black or white, whichever reads better on it.
    pub(in crate::export) fn ink(self) -> Self {
        if self.contrast(BLACK) >= self.contrast(WHITE) { BLACK } else { WHITE }
    }

    /// Contrast ratio of WCAG 2, 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (ours, theirs) = (self.luminance(), other.luminance());
        (ours.max(theirs) + 0.05) / (ours.min(theirs) + 0.05)
    }

    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn colours_are_stable_distinct_and_readable() {
        assert_eq!(colour(0).css(), "#e69f00");
        assert_eq!(colour(11).css(), "#ddcc77");
        assert_eq!(colour(12).css(), colour(12).css());
        let some: Vec<Colour> = (0..300).map(colour).collect();
        assert_eq!(some.iter().map(|colour| colour.0).collect::<HashSet<_>>().len(), 300);
        // The least contrast of text by WCAG.
        assert!(some.iter().all(|colour| colour.contrast(colour.ink()) >= 4.5));
        // Neighbours differ plainly.
        let apart =
            |a: Colour, b: Colour| (0..3).map(|i| u32::from(a.0[i].abs_diff(b.0[i]))).sum::<u32>();
        assert!(some.windows(2).all(|pair| apart(pair[0], pair[1]) > 90));
    }

    #[test]
    fn hsl_is_that_of_css() {
        assert_eq!(from_hsl(120.0, 1.0, 0.25), Colour([0, 128, 0]));
        assert_eq!(from_hsl(210.0, 0.5, 0.4), Colour([51, 102, 153]));
    }
}
