//! A box in pixels, and the overlap of two boxes.

use serde::{Deserialize, Serialize};

/// A box in f64 pixels of the upright image, written as `[x0, y0, x1, y1]`.
///
/// Always `0 <= x0 < x1 <= width` and `0 <= y0 < y1 <= height` in a record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct BBox {
    /// Left edge.
    pub x0: f64,
    /// Top edge.
    pub y0: f64,
    /// Right edge.
    pub x1: f64,
    /// Bottom edge.
    pub y1: f64,
}

impl BBox {
    /// The whole of an image.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x0: 0.0, y0: 0.0, x1: f64::from(width), y1: f64::from(height) }
    }

    /// Width in pixels.
    pub fn width(&self) -> f64 {
        self.x1 - self.x0
    }

    /// Height in pixels.
    pub fn height(&self) -> f64 {
        self.y1 - self.y0
    }

    /// Area in square pixels.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }

    /// Area of the overlap of two boxes.
    pub fn intersection(&self, other: &Self) -> f64 {
        let width = self.x1.min(other.x1) - self.x0.max(other.x0);
        let height = self.y1.min(other.y1) - self.y0.max(other.y0);
        width.max(0.0) * height.max(0.0)
    }

    /// Whether it is a box of an image of that size: inside it, and with an area.
    pub fn is_within(&self, width: u32, height: u32) -> bool {
        let inside =
            |from: f64, to: f64, size: u32| 0.0 <= from && from < to && to <= f64::from(size);
        inside(self.x0, self.x1, width) && inside(self.y0, self.y1, height)
    }

    /// Intersection over union.
    pub fn iou(&self, other: &Self) -> f64 {
        let common = self.intersection(other);
        common / (self.area() + other.area() - common)
    }

    /// Intersection over the smaller area: 1 if one box lies inside the other.
    pub fn intersection_over_smaller(&self, other: &Self) -> f64 {
        self.intersection(other) / self.area().min(other.area())
    }

    /// The smallest box around both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// The same box, moved.
    #[must_use]
    pub fn translated(&self, x: f64, y: f64) -> Self {
        Self { x0: self.x0 + x, y0: self.y0 + y, x1: self.x1 + x, y1: self.y1 + y }
    }
}

impl From<[f64; 4]> for BBox {
    fn from([x0, y0, x1, y1]: [f64; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }
}

impl From<BBox> for [f64; 4] {
    fn from(b: BBox) -> Self {
        [b.x0, b.y0, b.x1, b.y1]
    }
}
