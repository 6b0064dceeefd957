//! What a run heeds and no answer depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a run is to go. None of it is among the settings that make two runs different.
#[derive(Debug, Clone)]
pub struct Control {
    /// Raised from outside to stop: what is in flight is finished and written.
    pub stop: Arc<AtomicBool>,
    /// Whether images that failed before are tried again, although their files are the same.
    pub retry_failed: bool,
    /// Files that claim more pixels than this fail.
    pub max_pixels: u64,
}

impl Control {
    /// Whether the run is to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { stop: Arc::default(), retry_failed: false, max_pixels: crate::image::MAX_PIXELS }
    }
}
