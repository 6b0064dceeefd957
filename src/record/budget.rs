//! How many soft tokens a view may become.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most soft tokens of a view: 70, 140, 280, 560 or 1120, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Budget(u32);

impl Budget {
    /// Every budget that Gemma 4 was trained with, ascending.
    pub const ALL: [Self; 5] = [Self(70), Self(140), Self(280), Self(560), Self(1120)];
    /// The largest budget.
    pub const MAX: Self = Self(1120);
    /// The smallest.
    pub const SMALLEST: Self = Self(70);
    /// The budget of a model whose files name none.
    pub const USUAL: Self = Self(280);

    /// The most soft tokens.
    pub fn soft_tokens(self) -> u32 {
        self.0
    }

    /// The most 16-px patches: nine to a soft token.
    pub fn max_patches(self) -> u32 {
        self.0 * 9
    }
}

/// Not a [`Budget`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0} is not a soft-token budget; Gemma 4 knows 70, 140, 280, 560, 1120")]
pub struct UnknownBudget(String);

impl TryFrom<u32> for Budget {
    type Error = UnknownBudget;

    fn try_from(value: u32) -> Result<Self, UnknownBudget> {
        Self::ALL
            .into_iter()
            .find(|budget| budget.0 == value)
            .ok_or_else(|| UnknownBudget(value.to_string()))
    }
}

impl From<Budget> for u32 {
    fn from(budget: Budget) -> Self {
        budget.0
    }
}

impl FromStr for Budget {
    type Err = UnknownBudget;

    fn from_str(text: &str) -> Result<Self, UnknownBudget> {
        text.parse::<u32>().map_err(|_| UnknownBudget(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The budget that was asked for: one for all images, or the one that fits each.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_budgets() {
        assert!("280".parse::<Budget>().is_ok());
        assert_eq!("256".parse::<Budget>(), Err(UnknownBudget("256".into())));
        assert!("auto".parse::<Budget>().is_err());
    }
}
