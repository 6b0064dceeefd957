//! Which views are begun before the first answer is there.
//!
//! In: the time that was spent on views and prompts so far. Out: whether another view is begun.
//! Promises: of the time until the first answer, at most a sixth goes to other views.
//!
//! A full batch answers more images a second, but the first of them only after all views of the
//! batch were encoded, and with slower steps. Whoever looks at a run wants to see soon what it
//! finds; a run of hundreds of images ends a few percent later for it.

use std::time::{Duration, Instant};

/// Views and prompts may take one part in so many of the time since the first one was taken in.
const PARTS: u32 = 6;

/// Where an engine stands with its first answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Opening {
    /// No view was taken in.
    #[default]
    Empty,
    /// The first one is encoded, and its answer written.
    Begun(Instant),
    /// The first answer is there.
    Over,
}

impl Opening {
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Over)
    }

    /// Whether another view may be begun, when all views and prompts so far took `spent`.
    pub(super) fn admits(&mut self, spent: Duration) -> bool {
        match *self {
            Self::Empty => {
                *self = Self::Begun(Instant::now());
                true
            }
            // The first view's own time is in it, as the time that one more would take.
            Self::Begun(begun) => spent <= begun.elapsed() / PARTS,
            Self::Over => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_wait_until_they_hardly_delay_the_first_answer() {
        let mut opening = Opening::default();
        assert!(opening.admits(Duration::ZERO) && !opening.is_over());
        // The first view took all of the time so far.
        assert!(!opening.admits(Duration::from_millis(100)));
        let begun = Instant::now().checked_sub(Duration::from_secs(6)).unwrap();
        opening = Opening::Begun(begun);
        assert!(opening.admits(Duration::from_millis(900)));
        assert!(!opening.admits(Duration::from_millis(1100)));
        assert!(Opening::Over.admits(Duration::MAX));
    }
}
