//! The views of an image before any of its pixels is read.
//!
//! In: the size of an upright image, how it is tiled, and the budget. Out: the views with their
//! budgets and target sizes, the whole image first. Promises: the loader, its memory gate and the
//! dry run see the same views.

use thiserror::Error;

use super::budget::{BudgetError, TargetSize, target_size};
use super::tiles::{Region, TilingError, views};
use crate::record::{Budget, BudgetChoice, Tiling};

/// Why an image has no views.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PlanError {
    /// It cannot be cut into these tiles.
    #[error(transparent)]
    Tiling(#[from] TilingError),
    /// A view has no target size.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// A view before any pixel is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedView {
    /// The part of the image.
    pub region: Region,
    /// Its budget.
    pub budget: Budget,
    /// The size that it is resized to.
    pub size: TargetSize,
}

impl PlannedView {
    /// The view that shows `region` under `choice`.
    ///
    /// # Errors
    /// [`BudgetError::NoTargetSize`].
    pub fn of(region: Region, choice: BudgetChoice) -> Result<Self, BudgetError> {
        let budget = choice.resolve(region.width, region.height)?;
        Ok(Self { region, budget, size: target_size(region.width, region.height, budget)? })
    }
}

/// The views of an image of `width` x `height` px: the whole, and the tiles if there are at least
/// two.
///
/// # Errors
/// [`PlanError`].
pub fn plan_views(
    width: u32,
    height: u32,
    tiling: Option<Tiling>,
    choice: BudgetChoice,
) -> Result<Vec<PlannedView>, PlanError> {
    let regions = views(width, height, tiling, choice.largest())?;
    Ok(regions
        .into_iter()
        .map(|region| PlannedView::of(region, choice))
        .collect::<Result<_, _>>()?)
}
