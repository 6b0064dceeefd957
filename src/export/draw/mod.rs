//! Frames, filled rectangles, text and colours on an RGB image.

pub(super) mod palette;
pub(super) mod text;

use image::{Rgb, RgbImage};
use palette::Colour;

/// Whole pixels, `x0 <= x < x1`; may reach over the image's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x0: i64,
    pub(super) y0: i64,
    pub(super) x1: i64,
    pub(super) y1: i64,
}

impl Rect {
    /// The same, larger by `margin` on every side.
    pub(super) fn grown(self, margin: i64) -> Self {
        Self {
            x0: self.x0 - margin,
            y0: self.y0 - margin,
            x1: self.x1 + margin,
            y1: self.y1 + margin,
        }
    }

    /// How many pixels both hold.
    pub(super) fn overlap(self, other: Self) -> i64 {
        let across = self.x1.min(other.x1) - self.x0.max(other.x0);
        let down = self.y1.min(other.y1) - self.y0.max(other.y0);
        across.max(0) * down.max(0)
    }
}

/// Fills `rect`.
pub(super) fn fill(image: &mut RgbImage, rect: Rect, colour: Colour) {
    let inside = |value: i64, size: u32| value.clamp(0, i64::from(size)) as u32;
    for y in inside(rect.y0, image.height())..inside(rect.y1, image.height()) {
        for x in inside(rect.x0, image.width())..inside(rect.x1, image.width()) {
            image.put_pixel(x, y, Rgb(colour.0));
        }
    }
}

/// The outline of `rect`, `line` pixels thick, inside it.
pub(super) fn frame(image: &mut RgbImage, rect: Rect, line: i64, colour: Colour) {
    let Rect { x0, y0, x1, y1 } = rect;
    for side in [
        Rect { y1: (y0 + line).min(y1), ..rect },
        Rect { y0: (y1 - line).max(y0), ..rect },
        Rect { x1: (x0 + line).min(x1), ..rect },
        Rect { x0: (x1 - line).max(x0), ..rect },
    ] {
        fill(image, side, colour);
    }
}
