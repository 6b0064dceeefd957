//! Retries: when a server is asked again.
//!
//! In: why there was no answer. Out: how long to wait before the next try, or that it is given up.
//! Promises: what another try cannot change is not tried again; all waits together are bounded.

use std::time::{Duration, Instant};

/// The longest wait that a server may ask for; beyond it the run stops, and says so.
const MAX_ASKED_WAIT: Duration = Duration::from_mins(2);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// Waits that the server asked for, one after another.
const MAX_ASKED_WAITS: u32 = 10;

/// The tries of one request, and its waits.
pub(super) struct RetrySchedule {
    since: Instant,
    most: Duration,
    /// Waits that the server asked for: they do not count.
    asked: Duration,
    failures: u32,
    times_asked: u32,
}

impl RetrySchedule {
    pub(super) fn of(most: Duration) -> Self {
        Self { since: Instant::now(), most, asked: Duration::ZERO, failures: 0, times_asked: 0 }
    }

    /// How long to wait before the next try, after one that failed in a way that can pass; `None`
    /// gives it up. `retry_after` is what the server asks for, `spread` tells threads apart that
    /// failed together.
    pub(super) fn next_pause(
        &mut self,
        retry_after: Option<Duration>,
        spread: u32,
    ) -> Option<Duration> {
        if let Some(asked) = retry_after {
            self.times_asked += 1;
            self.asked += asked;
            return Some(asked)
                .filter(|asked| *asked <= MAX_ASKED_WAIT && self.times_asked <= MAX_ASKED_WAITS);
        }
        let pause = Duration::from_millis(500 << self.failures.min(4)).min(MAX_PAUSE);
        let pause = pause + pause * (spread % 8) / 32;
        self.failures += 1;
        let waited = self.since.elapsed().saturating_sub(self.asked);
        (waited + pause <= self.most).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut retries = RetrySchedule::of(Duration::from_secs(20));
        let pauses: Vec<_> = std::iter::from_fn(|| retries.next_pause(None, 0)).take(20).collect();
        let whole = |millis: u64| Duration::from_millis(millis);
        assert_eq!(pauses[..5], [whole(500), whole(1000), whole(2000), whole(4000), whole(8000)]);
        assert!(RetrySchedule::of(Duration::ZERO).next_pause(None, 0).is_none());
    }

    #[test]
    fn the_server_may_ask_for_a_wait() {
        let mut retries = RetrySchedule::of(Duration::ZERO);
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(retries.next_pause(asked(3), 5), asked(3));
        assert_eq!(retries.next_pause(asked(3600), 0), None);
    }
}
