//! The size that an image is resized to under a budget of soft tokens.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::{Budget, BudgetChoice};

/// Side of the square of pixels that becomes one soft token: 3x3 patches of 16 px.
pub const SOFT_TOKEN_SIDE: u32 = 48;

/// Why there is no target size.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetError {
    /// Hugging Face refuses such a shape too.
    #[error("{width}x{height} has no target size under a budget of {budget} soft tokens")]
    NoTargetSize {
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
        /// Soft tokens.
        budget: u32,
    },
}

impl BudgetChoice {
    /// The budget of an image of this size.
    ///
    /// # Errors
    /// [`BudgetError::NoTargetSize`], as [`target_size`].
    pub fn resolve(self, width: u32, height: u32) -> Result<Budget, BudgetError> {
        let max = match self {
            Self::Fixed(budget) => return Ok(budget),
            Self::Auto { max } => max,
        };
        for budget in Budget::ALL.into_iter().filter(|budget| *budget < max) {
            let size = target_size(width, height, budget)?;
            if size.width >= width && size.height >= height {
                return Ok(budget);
            }
        }
        Ok(max)
    }
}

/// The size that a view is resized to: both sides multiples of 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSize {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl TargetSize {
    /// How many soft tokens the view becomes.
    pub fn soft_tokens(self) -> u32 {
        (self.width / SOFT_TOKEN_SIDE) * (self.height / SOFT_TOKEN_SIDE)
    }

    /// How many 16-px patches the view becomes.
    pub fn patches(self) -> u32 {
        self.soft_tokens() * 9
    }
}

/// The size that an image of `width` x `height` is resized to under `budget`.
///
/// The formula, its order of operations in f64 and its errors are those of
/// `get_aspect_ratio_preserving_size` in Hugging Face transformers 5.23.0
/// (`models/gemma4/image_processing_gemma4.py`): small images grow, both sides are floored to
/// multiples of 48, and a side that would vanish becomes 48.
///
/// # Errors
/// [`BudgetError::NoTargetSize`] if the image has no pixels or the result would exceed the budget.
pub fn target_size(width: u32, height: u32, budget: Budget) -> Result<TargetSize, BudgetError> {
    let no_size = || BudgetError::NoTargetSize { width, height, budget: budget.soft_tokens() };
    if width == 0 || height == 0 {
        return Err(no_size());
    }
    let side = f64::from(SOFT_TOKEN_SIDE);
    let (w, h) = (f64::from(width), f64::from(height));
    let target_pixels = f64::from(budget.max_patches() * 256);
    let factor = (target_pixels / (h * w)).sqrt();
    let mut target_height = ((factor * h) / side).floor() * side;
    let mut target_width = ((factor * w) / side).floor() * side;
    let max_side = f64::from(budget.soft_tokens()) * side;
    match (target_height == 0.0, target_width == 0.0) {
        (true, true) => return Err(no_size()),
        (true, false) => {
            target_height = side;
            target_width = ((w / h).floor() * side).min(max_side);
        }
        (false, true) => {
            target_width = side;
            target_height = ((h / w).floor() * side).min(max_side);
        }
        (false, false) => {}
    }
    if target_height * target_width > target_pixels {
        return Err(no_size());
    }
    Ok(TargetSize { width: target_width as u32, height: target_height as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32, budget: u32) -> (u32, u32) {
        let size = target_size(width, height, budget.try_into().unwrap()).unwrap();
        (size.width, size.height)
    }

    #[test]
    fn sizes_of_the_model_card() {
        assert_eq!(size(640, 480, 280), (912, 672));
        assert_eq!(size(1, 1, 280), (768, 768));
        assert_eq!(size(1000, 1, 1120), (50_784, 48));
        assert_eq!(size(100, 1, 560), (11_328, 96));
    }

    #[test]
    fn auto_takes_the_smallest_that_does_not_shrink() {
        let auto = |width, height, max| {
            BudgetChoice::Auto { max: Budget::try_from(max).unwrap() }
                .resolve(width, height)
                .unwrap()
                .soft_tokens()
        };
        assert_eq!(auto(384, 384, 1120), 70);
        assert_eq!(auto(385, 384, 1120), 140);
        assert_eq!(auto(640, 480, 1120), 280);
        assert_eq!(auto(4000, 3000, 1120), 1120);
        assert_eq!(auto(4000, 3000, 280), 280);
    }
}
