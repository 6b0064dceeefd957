//! How a run goes, as far as no answer depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a run is to go. None of it is among the settings that make two runs different.
#[derive(Debug, Clone)]
pub struct Control {
    /// Raised from outside to stop: images in flight are finished and written.
    pub stop: Arc<AtomicBool>,
    /// Whether images that failed before are tried again, although their files are the same.
    pub retry_failed: bool,
    /// Files that claim more pixels than this fail.
    pub max_pixels: u64,
    /// Images with a smaller share of their rows fail, 0..1.
    pub min_rows: f64,
    /// Images whose answers take longer fail; `None` waits for ever.
    pub answer_timeout: Option<Duration>,
}

/// A quarter of an image shows its subject; with less, an answer of "nothing" says little.
pub const MIN_ROWS: f64 = 0.25;

impl Control {
    /// Whether enough of an image is there.
    ///
    /// # Errors
    /// The reason for failing, if too few are there.
    pub(super) fn check_rows(&self, there: f64) -> Result<(), String> {
        if there >= self.min_rows {
            return Ok(());
        }
        let percent = |share: f64| (share * 100.0).floor();
        Err(format!(
            "the JPEG data end early: {} % of its rows are there, and {} % are asked for",
            percent(there),
            (self.min_rows * 100.0).ceil()
        ))
    }

    /// Whether the run is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            stop: Arc::default(),
            retry_failed: false,
            max_pixels: crate::image::MAX_PIXELS,
            min_rows: MIN_ROWS,
            answer_timeout: None,
        }
    }
}
