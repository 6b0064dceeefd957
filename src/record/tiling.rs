//! How images are cut into tiles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How images are cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Tiling {
    /// Squares of this many pixels; the last of a row is moved back to end at the image's edge.
    Size {
        /// Side in pixels.
        side: u32,
        /// The overlap of neighbours.
        overlap: Overlap,
    },
    /// This many columns and rows.
    Grid {
        /// Tiles from left to right.
        columns: u32,
        /// Tiles from top to bottom.
        rows: u32,
        /// The overlap of neighbours.
        overlap: Overlap,
    },
    /// Squares that the budget shows without shrinking them, if the image is larger than that; else
    /// only the whole image.
    Auto,
}

/// The overlap of neighbouring tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Overlap {
    /// Share of the tile's side, from 0 to below 0.9.
    Share(f64),
    /// Pixels.
    Pixels(u32),
}

impl Default for Overlap {
    /// The default of SAHI.
    fn default() -> Self {
        Self::Share(0.2)
    }
}

/// Not a [`Tiling`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} says no tiles: write SIZE (640), SIZE:OVERLAP (640:0.25 or 640:100), COLUMNSxROWS \
     (3x2), or auto"
)]
pub struct UnknownTiling(String);

impl FromStr for Tiling {
    type Err = UnknownTiling;

    fn from_str(text: &str) -> Result<Self, UnknownTiling> {
        let unreadable = || UnknownTiling(text.to_owned());
        let (main, overlap) = match text.split_once(':') {
            None => (text, Overlap::default()),
            Some((main, overlap)) => (main, parse_overlap(overlap).ok_or_else(unreadable)?),
        };
        let number = |text: &str| {
            text.parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(unreadable)
        };
        if let Some((columns, rows)) = main.split_once(['x', 'X']) {
            return Ok(Self::Grid { columns: number(columns)?, rows: number(rows)?, overlap });
        }
        if text == "auto" {
            return Ok(Self::Auto);
        }
        Ok(Self::Size { side: number(main)?, overlap })
    }
}

fn parse_overlap(text: &str) -> Option<Overlap> {
    if let Ok(pixels) = text.parse::<u32>() {
        return Some(Overlap::Pixels(pixels));
    }
    text.parse().ok().filter(|share| (0.0..0.9).contains(share)).map(Overlap::Share)
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // With its point, so that it is read as a share again.
            Self::Share(share) => write!(f, "{share:?}"),
            Self::Pixels(pixels) => write!(f, "{pixels}"),
        }
    }
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { side, overlap } => write!(f, "{side}:{overlap}"),
            Self::Grid { columns, rows, overlap } => write!(f, "{columns}x{rows}:{overlap}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl From<Tiling> for String {
    fn from(tiling: Tiling) -> Self {
        tiling.to_string()
    }
}

impl TryFrom<String> for Tiling {
    type Error = UnknownTiling;

    fn try_from(text: String) -> Result<Self, UnknownTiling> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read() {
        for text in
            ["", "0", "x", "3x", "0x2", "640:", "640:1.5", "640:-1", "a:0.2", "auto:0.2", "nan"]
        {
            assert!(text.parse::<Tiling>().is_err(), "{text}");
        }
        for text in ["640:0.2", "640:100", "3x2:0.25", "auto"] {
            let tiling: Tiling = text.parse().unwrap();
            assert_eq!(tiling.to_string(), text);
            assert_eq!(
                serde_json::from_str::<Tiling>(&serde_json::to_string(&tiling).unwrap()).unwrap(),
                tiling
            );
        }
    }
}
