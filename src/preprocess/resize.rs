//! Bicubic resizing that equals torchvision's on bytes.

use std::borrow::Cow;
use std::cell::Cell;

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::budget::TargetSize;
use super::long;
use super::pass::{ResizeError, scale};
use super::patches::{Layout, PatchGrid, Rescaling, patchify, positions};

/// Resizes RGB bytes to `target`, antialiased bicubic (a = -0.5), rounding to bytes after each
/// pass.
///
/// torchvision's `resize(BICUBIC, antialias=True)` on uint8 goes over the width first;
/// `fast_image_resize` in one call goes over the height first, which differs by up to 26 levels.
/// Two calls, one a side, are bit-exact, and so are the passes for AVX-512.
///
/// # Errors
/// [`ResizeError`] if `rgb` is not `width * height * 3` bytes.
pub fn resize(
    rgb: &[u8],
    width: u32,
    height: u32,
    target: TargetSize,
) -> Result<Cow<'_, [u8]>, ResizeError> {
    if let Some(resized) = in_one_sweep(rgb, (width, height), target, Layout::uncut(target.width)) {
        return Ok(Cow::Owned(resized));
    }
    step_by_step(rgb, width, height, target)
}

/// [`resize`], and the result cut into patches of `side` pixels.
///
/// # Errors
/// As there.
pub(super) fn resize_to_patches(
    rgb: &[u8],
    width: u32,
    height: u32,
    target: TargetSize,
    side: u32,
) -> Result<PatchGrid, ResizeError> {
    if let Some(pixels) = in_one_sweep(rgb, (width, height), target, Layout::patches(side)) {
        let rescaling = Rescaling::default();
        return Ok(PatchGrid { side, pixels, positions: positions(target, side), rescaling });
    }
    let resized = step_by_step(rgb, width, height, target)?;
    let patches = patchify(&resized, target, side);
    recycle(resized);
    Ok(patches)
}

/// Both passes at once, if there is something to resize and the processor supports it.
fn in_one_sweep(
    rgb: &[u8],
    from: (u32, u32),
    target: TargetSize,
    layout: Layout,
) -> Option<Vec<u8>> {
    let other = from == (target.width, target.height) || is_long(from);
    if other { None } else { avx512::resize(rgb, from, target, layout) }
}

fn is_long((width, height): (u32, u32)) -> bool {
    width.max(height) > long::MAX_SIDE
}

/// [`resize`] for every processor and shape.
fn step_by_step(
    rgb: &[u8],
    width: u32,
    height: u32,
    target: TargetSize,
) -> Result<Cow<'_, [u8]>, ResizeError> {
    let same = (width, height) == (target.width, target.height);
    if is_long((width, height)) && !same {
        return long::resize(rgb, (width, height), target).map(Cow::Owned);
    }
    in_two_calls(rgb, width, height, target)
}

/// [`resize`] by the library, one call a side.
pub(super) fn in_two_calls(
    rgb: &[u8],
    width: u32,
    height: u32,
    target: TargetSize,
) -> Result<Cow<'_, [u8]>, ResizeError> {
    let [mut between, mut resized] = SPARE.take();
    let narrowed = if width == target.width {
        rgb
    } else {
        scale(rgb, (width, height), &mut between, (target.width, height))?;
        &between
    };
    let (result, left) = if height != target.height {
        scale(narrowed, (target.width, height), &mut resized, (target.width, target.height))?;
        (Cow::Owned(resized), [between, Vec::new()])
    } else if width != target.width {
        (Cow::Owned(between), [resized, Vec::new()])
    } else {
        (Cow::Borrowed(rgb), [between, resized])
    };
    SPARE.set(left);
    Ok(result)
}

/// Gives the buffers of [`in_two_calls`] to the next image of the same thread.
fn recycle(resized: Cow<'_, [u8]>) {
    if let Cow::Owned(resized) = resized {
        let [between, other] = SPARE.take();
        SPARE.set([between, if other.capacity() < resized.capacity() { resized } else { other }]);
    }
}

thread_local! {
    /// Two buffers, for the image between the two passes and for the one after them: several
    /// megabytes each, which the system would hand out page by page for every image anew.
    static SPARE: Cell<[Vec<u8>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

#[cfg(not(target_arch = "x86_64"))]
mod avx512 {
    use super::{Layout, TargetSize};

    /// There is no such processor.
    pub(super) fn resize(_: &[u8], _: (u32, u32), _: TargetSize, _: Layout) -> Option<Vec<u8>> {
        None
    }
}
