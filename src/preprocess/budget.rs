//! The soft-token budget and the size that an image is resized to under it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Side of the square of pixels that becomes one soft token: 3x3 patches of 16 px.
pub const SOFT_TOKEN_SIDE: u32 = 48;

/// The most soft tokens of a view: 70, 140, 280, 560 or 1120, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Budget(u32);

impl Budget {
    /// Every budget that Gemma 4 was trained with, ascending.
    pub const ALL: [Self; 5] = [Self(70), Self(140), Self(280), Self(560), Self(1120)];
    /// The largest budget.
    pub const MAX: Self = Self(1120);

    /// The most soft tokens.
    pub fn soft_tokens(self) -> u32 {
        self.0
    }

    /// The most 16-px patches: nine to a soft token.
    pub fn max_patches(self) -> u32 {
        self.0 * 9
    }
}

/// Why there is no budget or no target size.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetError {
    /// Not one of the five.
    #[error("{0} is not a soft-token budget; Gemma 4 knows 70, 140, 280, 560, 1120")]
    NotABudget(String),
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

impl TryFrom<u32> for Budget {
    type Error = BudgetError;

    fn try_from(value: u32) -> Result<Self, BudgetError> {
        Self::ALL.into_iter().find(|budget| budget.0 == value).ok_or_else(|| BudgetError::NotABudget(value.to_string()))
    }
}

impl From<Budget> for u32 {
    fn from(budget: Budget) -> Self {
        budget.0
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        text.parse::<u32>().map_err(|_| BudgetError::NotABudget(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was asked for: one budget for all images, or the one that fits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetChoice {
    /// The same for every image.
    Fixed(Budget),
    /// The smallest budget under which neither side of the image shrinks, capped by `max`.
    Auto {
        /// The cap.
        max: Budget,
    },
}

impl BudgetChoice {
    /// The largest budget that any image of a run can get.
    pub fn largest(self) -> Budget {
        match self {
            Self::Fixed(budget) => budget,
            Self::Auto { max } => max,
        }
    }

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
/// The formula, its order of operations in f64 and its errors are those of `get_aspect_ratio_preserving_size` in Hugging Face
/// transformers 5.23.0 (`models/gemma4/image_processing_gemma4.py`): small images grow, both sides are floored to multiples of 48,
/// and a side that would vanish becomes 48.
///
/// # Errors
/// [`BudgetError::NoTargetSize`] where the image has no pixels or the result would exceed the budget.
pub fn target_size(width: u32, height: u32, budget: Budget) -> Result<TargetSize, BudgetError> {
    let no_size = || BudgetError::NoTargetSize { width, height, budget: budget.0 };
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
    fn only_five_budgets() {
        assert!("280".parse::<Budget>().is_ok());
        assert_eq!("256".parse::<Budget>(), Err(BudgetError::NotABudget("256".into())));
        assert!("auto".parse::<Budget>().is_err());
    }

    #[test]
    fn auto_takes_the_smallest_that_does_not_shrink() {
        let auto = |width, height, max| {
            BudgetChoice::Auto { max: Budget::try_from(max).unwrap() }.resolve(width, height).unwrap().soft_tokens()
        };
        assert_eq!(auto(384, 384, 1120), 70);
        assert_eq!(auto(385, 384, 1120), 140);
        assert_eq!(auto(640, 480, 1120), 280);
        assert_eq!(auto(4000, 3000, 1120), 1120);
        assert_eq!(auto(4000, 3000, 280), 280);
    }
}
