//! The part of a whole video that was shown.

use serde::{Deserialize, Serialize};

/// The frames of a video that one question was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownClip {
    /// How many frames the video has.
    pub total_frames: usize,
    /// Frames a second, on average; 24 if the video does not say it.
    pub fps: f64,
    /// Seconds from the beginning of its first frame to the end of its last one.
    pub seconds: f64,
    /// The frames that were shown, in their order: 32, or all if there are fewer.
    pub frames: Vec<ShownFrame>,
}

/// A frame of a video that was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownFrame {
    /// Counted from 0.
    pub index: usize,
    /// When it is shown, in seconds from the first frame.
    pub seconds: f64,
    /// The time as the prompt says it, `mm:ss`: of a frame rate that varies, not the one above.
    pub stamp: String,
}
