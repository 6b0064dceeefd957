//! Text in pixels.
//!
//! In: a line of text and its size. Out: its width, or its pixels on an image. Promises: every
//! character takes its place and is seen: one that the bundled font (Latin, Greek, Cyrillic) lacks
//! is an empty box, so that two labels never look the same for what was left out.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _, point};
use image::RgbImage;

use super::palette::Colour;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../assets/fonts/DejaVuSans-Bold-subset.ttf");
    #[allow(clippy::expect_used)] // the bytes are part of the program, and the tests read them
    FontRef::try_from_slice(bytes).expect("the bundled font is one")
});

/// The scale at which an em is `size` pixels.
fn scale(size: f32) -> PxScale {
    let em = FONT.units_per_em().unwrap_or(2048.0);
    PxScale::from(size * FONT.height_unscaled() / em)
}

/// Characters as they are drawn: what takes no place (line breaks, direction marks) is a space.
fn drawn(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|character| if character.is_control() { ' ' } else { character })
}

/// Width of `text` in pixels at `size` pixels an em.
pub(in crate::export) fn width(text: &str, size: f32) -> f32 {
    let font = FONT.as_scaled(scale(size));
    drawn(text).map(|character| font.h_advance(font.glyph_id(character))).sum()
}

/// Height of a line, in ems: room for an accent on a capital above and for descenders below.
pub(in crate::export) const LINE_HEIGHT: f32 = 1.3;

/// The baseline of a line, in ems from its top.
pub(in crate::export) const BASELINE: f32 = 1.0;

/// `text` whole, or as much of it as fits into `room` pixels with an ellipsis.
pub(in crate::export) fn fit(text: &str, size: f32, room: f32) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let font = FONT.as_scaled(scale(size));
    let mut left = room - width("…", size);
    let kept = drawn(text).take_while(|&character| {
        left -= font.h_advance(font.glyph_id(character));
        left >= 0.0
    });
    kept.chain(['…']).collect()
}

/// Draws `text` with its left end and baseline at `(x, y)`.
pub(in crate::export) fn draw(
    image: &mut RgbImage,
    text: &str,
    (x, y): (f32, f32),
    size: f32,
    colour: Colour,
) {
    let scale = scale(size);
    let font = FONT.as_scaled(scale);
    let mut pen = x;
    for character in drawn(text) {
        let id = font.glyph_id(character);
        let glyph = id.with_scale_and_position(scale, point(pen, y));
        pen += font.h_advance(id);
        let Some(outline) = FONT.outline_glyph(glyph) else { continue };
        let corner = outline.px_bounds().min;
        outline.draw(|column, row, coverage| {
            let place = (corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row));
            let (Ok(column), Ok(row)) = (u32::try_from(place.0), u32::try_from(place.1)) else {
                return;
            };
            if let Some(pixel) = image.get_pixel_mut_checked(column, row) {
                for (channel, ink) in pixel.0.iter_mut().zip(colour.0) {
                    let mixed = f32::from(*channel)
                        + (f32::from(ink) - f32::from(*channel)) * coverage.min(1.0);
                    *channel = mixed.round() as u8;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Colour = Colour([255, 255, 255]);

    fn pixels(text: &str) -> RgbImage {
        let mut image = RgbImage::new(300, 30);
        draw(&mut image, text, (2.0, 22.0), 20.0, INK);
        image
    }

    #[test]
    fn latin_greek_and_cyrillic_have_their_letters_and_the_rest_a_box() {
        for letters in ["abc XYZ 0123456789.,%", "äöüßéñçø", "αβγΩ", "жЩя", "ăĐệ", "…–"]
        {
            assert!(letters.chars().all(|letter| FONT.glyph_id(letter).0 != 0), "{letters}");
        }
        assert_eq!(FONT.glyph_id('猫').0, 0);
        assert!(pixels("猫").pixels().any(|pixel| pixel.0 == INK.0), "the box is seen");
        assert_ne!(pixels("猫"), pixels("猫猫"));
        assert_eq!(pixels("a\nb"), pixels("a b"));
    }

    #[test]
    fn text_is_as_wide_as_it_is_drawn_and_is_cut_to_fit() {
        let text = "red circle 0.87";
        let image = pixels(text);
        let last = image
            .enumerate_pixels()
            .filter(|(_, _, pixel)| pixel.0 != [0; 3])
            .map(|(x, ..)| x)
            .max()
            .unwrap();
        assert!((last as f32 - 2.0 - width(text, 20.0)).abs() < 3.0);
        assert_eq!(fit(text, 20.0, 300.0), text);
        let cut = fit(text, 20.0, 80.0);
        assert!(cut.starts_with("red") && cut.ends_with('…') && width(&cut, 20.0) <= 80.0, "{cut}");
        assert_eq!(fit(text, 20.0, 1.0), "…");
    }

    #[test]
    fn text_may_leave_the_image() {
        let mut image = RgbImage::new(4, 4);
        draw(&mut image, "wide text", (-30.0, 3.0), 40.0, INK);
        draw(&mut image, "wide text", (2.0, -300.0), 40.0, INK);
    }
}
