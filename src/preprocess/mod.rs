//! An upright image to the input of the vision graph.
//!
//! In: RGB bytes. Out: patches, bytes that are floats in 0..1 once they are rescaled, and their
//! positions. Promises: the target size and every value equal those of Hugging Face's
//! `Gemma4ImageProcessor` (torchvision backend), bit for bit, from the same RGB bytes.
//!
//! ```
//! use gemscope::preprocess::{PATCH_SIDE, prepare};
//! use gemscope::record::{Budget, BudgetChoice};
//!
//! let image = gemscope::image::decode(&std::fs::read("fixtures/shapes/scene-01.png")?, true)?;
//! let view = prepare(&image, BudgetChoice::Fixed(Budget::USUAL), PATCH_SIDE)?;
//! assert_eq!((view.size.width, view.size.height, view.size.soft_tokens()), (768, 768, 256));
//! assert_eq!(view.patches.pixel_values().dim(), (256 * 9, 16 * 16 * 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(target_arch = "x86_64")]
mod avx512;
mod budget;
mod clip;
mod long;
mod pass;
mod patches;
mod plan;
mod resize;
mod tiles;
mod weights;

pub use budget::{BudgetError, SOFT_TOKEN_SIDE, TargetSize, target_size};
pub use clip::{
    CLIP_BUDGET, CLIP_FRAMES, UNKNOWN_RATE, clip_frames, plan_frame, prepare_frame, time_stamp,
};
pub use pass::ResizeError;
pub use patches::{PATCH_SIDE, PatchGrid, Rescaling, patchify};
pub use plan::{PlanError, PlannedView, plan_views};
pub use resize::resize;
pub use tiles::{Region, TilingError};

use crate::image::{ReducedImage, UprightImage};
use crate::record::{Budget, BudgetChoice};

/// One view, ready for the vision graph.
#[derive(Debug, Clone)]
pub struct PreparedView {
    /// The budget that was used.
    pub budget: Budget,
    /// The size that the view was resized to.
    pub size: TargetSize,
    /// Patches and positions, unpadded.
    pub patches: PatchGrid,
}

/// Resizes the part of an image that `view` shows and cuts it into patches of `patch_side` pixels
/// (16, or 48 for the encoder-free variant).
///
/// # Errors
/// [`ResizeError`] if the resizer refuses the buffers.
///
/// # Panics
/// If the view's region does not lie inside the image.
pub fn prepare_view(
    image: &UprightImage,
    view: &PlannedView,
    patch_side: u32,
) -> Result<PreparedView, ResizeError> {
    let PlannedView { region: Region { x, y, width, height }, budget, size } = *view;
    let pixels = image.pixels(x, y, width, height);
    let patches = resize::resize_to_patches(&pixels, width, height, size, patch_side)?;
    Ok(PreparedView { budget, size, patches })
}

/// [`prepare_view`] of the whole image under `choice`.
///
/// # Errors
/// As there, and if no target size exists.
pub fn prepare(
    image: &UprightImage,
    choice: BudgetChoice,
    patch_side: u32,
) -> Result<PreparedView, ResizeError> {
    let whole = PlannedView::of(Region::whole(image.width, image.height), choice)?;
    prepare_view(image, &whole, patch_side)
}

/// [`prepare`] for an image that may have fewer decoded pixels: the budget and the target size are
/// those of the whole image.
///
/// # Errors
/// As there.
pub fn prepare_reduced(
    image: &ReducedImage,
    choice: BudgetChoice,
    patch_side: u32,
) -> Result<PreparedView, ResizeError> {
    let PlannedView { budget, size, .. } =
        PlannedView::of(Region::whole(image.width, image.height), choice)?;
    let ReducedImage { decoded, .. } = image;
    let patches =
        resize::resize_to_patches(&decoded.rgb, decoded.width, decoded.height, size, patch_side)?;
    Ok(PreparedView { budget, size, patches })
}

/// The size that an image of `width` x `height` is resized to, or its own if there is none:
/// [`decode_reduced`](crate::image::decode_reduced) must not go below it.
pub fn needed_size(width: u32, height: u32, choice: BudgetChoice) -> (u32, u32) {
    let whole = PlannedView::of(Region::whole(width, height), choice);
    whole.map_or((width, height), |view| (view.size.width, view.size.height))
}
