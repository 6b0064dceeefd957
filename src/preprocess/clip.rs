//! A whole video to the input of the vision graph.
//!
//! In: how many frames a video has, at which rate; its frames, as upright images. Out: which of them
//! the model is shown, the times that stand before them in the prompt, and their patches. Promises:
//! all of it equals Hugging Face's `Gemma4VideoProcessor` and `Gemma4Processor` (transformers
//! 5.23.0), which refuse a video of fewer than [`CLIP_FRAMES`] frames: all of its frames are taken
//! here.

use super::budget::target_size;
use super::pass::ResizeError;
use super::patches::Rescaling;
use super::plan::PlannedView;
use super::tiles::Region;
use super::{PreparedView, prepare_view};
use crate::image::UprightImage;
use crate::record::Budget;

/// How many frames of a video are shown (`num_frames` of the video processor).
pub const CLIP_FRAMES: usize = 32;

/// The soft tokens of a frame (`max_soft_tokens` of the video processor).
pub const CLIP_BUDGET: Budget = Budget::SMALLEST;

/// The rate that is assumed of a video that does not say it, in frames a second.
pub const UNKNOWN_RATE: f64 = 24.0;

/// Which frames of a video of `total` are shown: `i * total / 32`, rounded down; all, if there are
/// fewer than 32.
pub fn clip_frames(total: usize) -> Vec<usize> {
    let shown = total.min(CLIP_FRAMES);
    (0..shown).map(|index| index * total / shown).collect()
}

/// The time of a frame as the prompt says it, `mm:ss`: its index through the average rate, rounded
/// down. Minutes are not wrapped at 60.
pub fn time_stamp(index: usize, rate: f64) -> String {
    let seconds = index as f64 / rate;
    // Python's `//` and `%`.
    let rest = seconds % 60.0;
    let minutes = ((seconds - rest) / 60.0).round();
    format!("{minutes:02}:{:02}", rest.floor())
}

/// The frame of a video as a view, whole.
///
/// # Errors
/// [`ResizeError`] if there is no target size.
pub fn plan_frame(width: u32, height: u32) -> Result<PlannedView, ResizeError> {
    let size = target_size(width, height, CLIP_BUDGET)?;
    Ok(PlannedView { region: Region::whole(width, height), budget: CLIP_BUDGET, size })
}

/// A frame of a video, resized and cut into patches of `patch_side` pixels.
///
/// # Errors
/// [`ResizeError`] if there is no target size, or the resizer refuses the buffers.
pub fn prepare_frame(image: &UprightImage, patch_side: u32) -> Result<PreparedView, ResizeError> {
    let mut view = prepare_view(image, &plan_frame(image.width, image.height)?, patch_side)?;
    view.patches.rescaling = Rescaling::Divide;
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_evenly_and_few_are_all_shown() {
        assert_eq!(clip_frames(0), [] as [usize; 0]);
        assert_eq!(clip_frames(1), [0]);
        assert_eq!(clip_frames(31), (0..31).collect::<Vec<_>>());
        assert_eq!(clip_frames(32), (0..32).collect::<Vec<_>>());
        let of_33 = clip_frames(33);
        assert_eq!((of_33.len(), of_33[31]), (32, 31));
        assert_eq!(clip_frames(300)[..4], [0, 9, 18, 28]);
    }

    #[test]
    fn times_are_rounded_down_and_minutes_go_on() {
        assert_eq!(time_stamp(0, 25.0), "00:00");
        assert_eq!(time_stamp(24, 25.0), "00:00");
        assert_eq!(time_stamp(25, 25.0), "00:01");
        assert_eq!(time_stamp(1499, 25.0), "00:59");
        assert_eq!(time_stamp(1500, 25.0), "01:00");
        assert_eq!(time_stamp(25 * 3600 * 2, 25.0), "120:00");
        // 2997 / 29.97 would be 100 seconds.
        assert_eq!(time_stamp(2997, 30_000.0 / 1001.0), "01:39");
    }
}
