//! When to ask again.

use std::time::Duration;

use super::HubError;

/// Tries that bring nothing, one after another, before it is given up.
pub(super) const MOST_FAILURES: u32 = 5;
/// Longest wait that the Hub may ask for; beyond that it is told to the user instead.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// How long to wait before the next try, after `failures` tries that brought nothing, the last with
/// `error`. `None` if another try is of no use.
pub(super) fn pause(error: &HubError, failures: u32) -> Option<Duration> {
    let wait = match error {
        HubError::RateLimited { seconds } => Duration::from_secs(seconds.unwrap_or(30)),
        HubError::Cut { .. } | HubError::Http(_) | HubError::Status { status: 408 | 500..=599, .. } => match failures {
            0 => Duration::ZERO,
            failures => Duration::from_millis(500 << failures.min(5)),
        },
        _ => return None,
    };
    Some(wait).filter(|wait| *wait <= LONGEST_WAIT && failures < MOST_FAILURES)
}
