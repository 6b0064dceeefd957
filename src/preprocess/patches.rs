//! RGB bytes to patches and their positions.

use ndarray::{Array2, ArrayView2};

use super::budget::TargetSize;

/// Side of a patch in pixels, for every variant with a vision encoder.
pub const PATCH_SIDE: u32 = 16;

/// The patches of one view, row by row, without padding. They stay bytes until a graph takes them:
/// floats would take four times the memory while they wait, and four times the traffic to a card.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchGrid {
    /// Side of a patch in pixels: 16, or 48 for the encoder-free variant.
    pub side: u32,
    /// `[count, side * side * 3]`, u8; inside a patch row, column, channel.
    pub pixels: Vec<u8>,
    /// `[count, 2]`, i64: column, row, in units of a patch.
    pub positions: Vec<i64>,
    /// How its bytes become floats.
    pub rescaling: Rescaling,
}

/// How a byte becomes a float in 0..1. The two differ in the last bit of 126 of 256 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rescaling {
    /// Times 1/255, in f32: of an image, which Hugging Face only rescales.
    #[default]
    Multiply,
    /// Through 255: of a frame of a video, which it also normalizes, by a mean of 0 and a deviation
    /// of 1, in one division.
    Divide,
}

impl Rescaling {
    /// The float of a byte.
    #[inline]
    pub fn of(self, byte: u8) -> f32 {
        const RESCALE_FACTOR: f32 = 1.0 / 255.0; // processor_config.json: rescale_factor
        match self {
            Self::Multiply => f32::from(byte) * RESCALE_FACTOR,
            Self::Divide => f32::from(byte) / 255.0,
        }
    }
}

impl PatchGrid {
    /// How many patches.
    pub fn count(&self) -> usize {
        self.positions.len() / 2
    }

    /// How many values one patch has: 768, or 6912 for the encoder-free variant.
    pub fn patch_values(&self) -> usize {
        (self.side * self.side * 3) as usize
    }

    /// How many bytes the grid holds.
    pub fn bytes(&self) -> usize {
        self.pixels.len() + size_of_val(self.positions.as_slice())
    }

    /// Pads to `count` patches as Hugging Face does: values with 0, positions with -1.
    pub fn pad_to(&mut self, count: usize) {
        let count = count.max(self.count());
        self.pixels.resize(count * self.patch_values(), 0);
        self.positions.resize(count * 2, -1);
    }

    /// The patches, `[count, side * side * 3]`, u8; inside a patch row, column, channel.
    pub fn patches(&self) -> ArrayView2<'_, u8> {
        view(&self.pixels, [self.count(), self.patch_values()])
    }

    /// `image_position_ids` as Hugging Face has them: `[count, 2]`, i64; column, row, in units of a
    /// patch.
    pub fn position_ids(&self) -> ArrayView2<'_, i64> {
        view(&self.positions, [self.count(), 2])
    }

    /// `pixel_values` as Hugging Face has them: `[count, side * side * 3]`, f32 in 0..1.
    pub fn pixel_values(&self) -> Array2<f32> {
        self.patches().mapv(|byte| self.rescaling.of(byte))
    }
}

/// `values` as rows; no rows if their number does not match the shape.
fn view<T>(values: &[T], shape: [usize; 2]) -> ArrayView2<'_, T> {
    ArrayView2::from_shape(shape, values).unwrap_or_else(|_| ArrayView2::from(&[] as &[[T; 0]]))
}

/// The order of a view's bytes: row after row, or patch after patch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Rows in a band; bands follow each other.
    pub(super) rows: usize,
    /// Bytes per run (one row of a patch). The runs of a patch are stored top to bottom, then those
    /// of the next patch of the band.
    pub(super) run: usize,
}

impl Layout {
    /// Rows of `width` pixels, uncut.
    pub(super) fn uncut(width: u32) -> Self {
        Self { rows: 1, run: width as usize * 3 }
    }

    /// Patches of `side` pixels.
    pub(super) fn patches(side: u32) -> Self {
        Self { rows: side as usize, run: side as usize * 3 }
    }
}

/// Cuts `rgb` (`size.width * size.height * 3` bytes) into patches of `side` pixels.
pub fn patchify(rgb: &[u8], size: TargetSize, side: u32) -> PatchGrid {
    let Layout { rows, run } = Layout::patches(side);
    let row = size.width as usize * 3;
    let mut pixels = Vec::with_capacity(rgb.len());
    for band in rgb.chunks_exact(row * rows) {
        for first in (0..row).step_by(run) {
            for line in band.chunks_exact(row) {
                pixels.extend_from_slice(&line[first..first + run]);
            }
        }
    }
    PatchGrid { side, pixels, positions: positions(size, side), rescaling: Rescaling::default() }
}

/// Column and row of each patch.
pub(super) fn positions(size: TargetSize, side: u32) -> Vec<i64> {
    let (columns, rows) = (i64::from(size.width / side), i64::from(size.height / side));
    (0..rows).flat_map(|row| (0..columns).flat_map(move |column| [column, row])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_rows_of_pixels_and_positions_are_columns_first() {
        let size = TargetSize { width: 96, height: 48 };
        let rgb: Vec<u8> = (0..96 * 48 * 3).map(|i| (i % 251) as u8).collect();
        let grid = patchify(&rgb, size, PATCH_SIDE);
        assert_eq!(grid.count(), 18);
        assert_eq!(grid.positions[..4], [0, 0, 1, 0]);
        assert_eq!(grid.positions[12..14], [0, 1]);
        // Patch 7 is column 1 of row 1; its second line begins at pixel (16, 17).
        let expected = f32::from(rgb[(17 * 96 + 16) * 3]) * (1.0 / 255.0);
        assert_eq!(grid.pixel_values()[[7, 16 * 3]].to_bits(), expected.to_bits());
    }

    #[test]
    fn padding_is_zero_and_minus_one() {
        let mut grid =
            patchify(&[255; 48 * 48 * 3], TargetSize { width: 48, height: 48 }, PATCH_SIDE);
        grid.pad_to(10);
        assert_eq!(grid.count(), 10);
        assert_eq!(grid.positions[18..], [-1, -1]);
        assert!(grid.pixel_values().iter().skip(9 * 768).all(|&value| value == 0.0));
    }
}
