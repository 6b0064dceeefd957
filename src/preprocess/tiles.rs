//! Which views an image is shown in: the whole of it, and tiles.
//!
//! In: the size of an upright image, how it is to be tiled, and the budget. Out: regions in whole
//! pixels, the whole image first. Promises: every region lies inside the image and none is empty;
//! the tiles together cover the image; equal inputs give equal tiles.

use thiserror::Error;

use super::budget::SOFT_TOKEN_SIDE;
use crate::record::{Budget, Overlap, Tiling};

/// More tiles of one image than this are a slip of the finger.
const MAX_TILES: u64 = 4096;

/// A part of an image in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Never 0.
    pub width: u32,
    /// Never 0.
    pub height: u32,
}

impl Region {
    /// The whole of an image.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x: 0, y: 0, width, height }
    }
}

/// Why there are no tiles.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TilingError {
    /// The overlap eats the tile.
    #[error("an overlap of {overlap} px leaves nothing of tiles of {side} px")]
    Overlap {
        /// Pixels.
        overlap: u32,
        /// Pixels.
        side: u32,
    },
    /// Too many.
    #[error("{width}x{height} px would be {tiles} tiles (at most {MAX_TILES}): choose larger ones")]
    TooMany {
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
        /// How many.
        tiles: u64,
    },
}

/// The views of an image: the whole, and the tiles if there are at least two.
///
/// # Errors
/// [`TilingError`].
pub(super) fn views(
    width: u32,
    height: u32,
    tiling: Option<Tiling>,
    budget: Budget,
) -> Result<Vec<Region>, TilingError> {
    let whole = Region::whole(width, height);
    let Some(tiling) = tiling else { return Ok(vec![whole]) };
    let (columns, rows) = match tiling {
        Tiling::Size { side, overlap } => {
            (steps(width, side, overlap)?, steps(height, side, overlap)?)
        }
        Tiling::Grid { columns, rows, overlap } => {
            (cells(width, columns, overlap)?, cells(height, rows, overlap)?)
        }
        Tiling::Auto => {
            let shown =
                u64::from(budget.soft_tokens()) * u64::from(SOFT_TOKEN_SIDE * SOFT_TOKEN_SIDE);
            if u64::from(width) * u64::from(height) <= shown {
                return Ok(vec![whole]);
            }
            let side = shown.isqrt() as u32;
            let overlap = Overlap::default();
            (steps(width, side, overlap)?, steps(height, side, overlap)?)
        }
    };
    let tiles = columns.len() as u64 * rows.len() as u64;
    if tiles > MAX_TILES {
        return Err(TilingError::TooMany { width, height, tiles });
    }
    let mut views = vec![whole];
    if tiles > 1 {
        for &(y, height) in &rows {
            views.extend(columns.iter().map(|&(x, width)| Region { x, y, width, height }));
        }
    }
    Ok(views)
}

/// Places and lengths of pieces of `side` along `length`.
fn steps(length: u32, side: u32, overlap: Overlap) -> Result<Vec<(u32, u32)>, TilingError> {
    if side >= length {
        return Ok(vec![(0, length)]);
    }
    let common = match overlap {
        Overlap::Share(share) => (f64::from(side) * share) as u32,
        Overlap::Pixels(pixels) => pixels,
    };
    let step = side.checked_sub(common).filter(|step| *step > 0);
    let step = step.ok_or(TilingError::Overlap { overlap: common, side })?;
    let count = (length - side).div_ceil(step) + 1;
    // The last piece ends at the edge, so it overlaps more instead of being smaller.
    Ok((0..count).map(|index| ((index * step).min(length - side), side)).collect())
}

/// Places and lengths of `count` pieces of one length that cover `length`, at most one piece a
/// pixel.
fn cells(length: u32, count: u32, overlap: Overlap) -> Result<Vec<(u32, u32)>, TilingError> {
    let count = count.clamp(1, length.max(1));
    let even = f64::from(length) / f64::from(count);
    let side = match overlap {
        // side - share * side = (length - side) / (count - 1), for the pieces to end at the edge.
        Overlap::Share(share) => {
            f64::from(length) / (1.0 + (f64::from(count) - 1.0) * (1.0 - share))
        }
        Overlap::Pixels(pixels) => {
            (f64::from(length) + f64::from(count - 1) * f64::from(pixels)) / f64::from(count)
        }
    };
    let side = (side.ceil().max(even.ceil()) as u32).clamp(1, length);
    if count > 1 && side == length {
        return Err(TilingError::Overlap { overlap: side, side });
    }
    let last = f64::from(length - side);
    let place =
        |index: u32| (last * f64::from(index) / f64::from((count - 1).max(1))).round() as u32;
    Ok((0..count).map(|index| (place(index), side)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn budget(tokens: u32) -> Budget {
        Budget::try_from(tokens).unwrap()
    }

    fn tiles(width: u32, height: u32, tiling: &str) -> Vec<Region> {
        views(width, height, Some(tiling.parse().unwrap()), budget(280)).unwrap()
    }

    #[test]
    fn sizes_and_grids() {
        let whole = Region::whole(1000, 600);
        assert_eq!(views(1000, 600, None, budget(280)).unwrap(), [whole]);
        let seen = tiles(1000, 600, "500:100");
        assert_eq!(seen[0], whole);
        let places: Vec<(u32, u32)> = seen[1..].iter().map(|tile| (tile.x, tile.y)).collect();
        assert_eq!(places, [(0, 0), (400, 0), (500, 0), (0, 100), (400, 100), (500, 100)]);
        assert_eq!(tiles(1000, 600, "1000").len(), 1, "one tile is the whole image");
        assert_eq!(tiles(1000, 600, "3x2").len(), 7);
        assert_eq!(
            tiles(1000, 600, "2x1:0.0")[1..],
            [
                Region { x: 0, y: 0, width: 500, height: 600 },
                Region { x: 500, y: 0, width: 500, height: 600 },
            ]
        );
    }

    #[test]
    fn auto_tiles_only_what_the_budget_cannot_show() {
        // 280 soft tokens show 645,120 pixels.
        assert_eq!(tiles(800, 800, "auto").len(), 1);
        let seen = tiles(2304, 1728, "auto");
        assert_eq!((seen[1].width, seen[1].height), (803, 803));
        assert_eq!(seen.len(), 1 + 4 * 3);
    }

    #[test]
    fn what_cannot_be_cut() {
        let refused = |width, text: &str| {
            views(width, width, Some(text.parse().unwrap()), budget(70)).unwrap_err()
        };
        assert!(matches!(refused(1000, "100:100"), TilingError::Overlap { .. }));
        assert!(matches!(refused(100_000, "48:0"), TilingError::TooMany { .. }));
    }

    proptest! {
        #[test]
        fn tiles_cover_the_image(
            width in 1_u32..5000, height in 1_u32..5000, side in 64_u32..900, share in 0.0..0.5_f64,
                columns in 1_u32..9,
            rows in 1_u32..9, which in 0..3,
        ) {
            let overlap = Overlap::Share(share);
            let tiling = match which {
                0 => Tiling::Size { side, overlap },
                1 => Tiling::Grid { columns, rows, overlap },
                _ => Tiling::Auto,
            };
            let Ok(seen) = views(width, height, Some(tiling), budget(140)) else { return Ok(()) };
            prop_assert_eq!(seen[0], Region::whole(width, height));
            for one in &seen {
                prop_assert!(one.width > 0 && one.height > 0);
                prop_assert!(one.x + one.width <= width && one.y + one.height <= height);
            }
            if seen.len() > 1 {
                let covered = |at: u32, along: fn(&Region) -> (u32, u32)| {
                    let mut spans = seen[1..].iter().map(along);
                    spans.any(|(start, length)| (start..start + length).contains(&at))
                };
                for at in 0..width.max(height) {
                    prop_assert!(at >= width || covered(at, |one| (one.x, one.width)), "column {}",
                        at);
                    prop_assert!(at >= height || covered(at, |one| (one.y, one.height)), "row {}",
                        at);
                }
            }
        }
    }
}
