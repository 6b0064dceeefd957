//! When to ask again.

use std::time::Duration;

use super::HubError;
use crate::http::HttpError;

/// Tries that bring nothing, one after another, before it is given up.
pub(super) const MAX_FAILURES: u32 = 5;
/// Longest wait that the Hub may ask for; beyond that it is told to the user instead.
const MAX_WAIT: Duration = Duration::from_mins(2);

/// How long to wait before the next try, after `failures` tries that brought nothing, the last with
/// `error`. `None` if another try is of no use.
pub(super) fn pause(error: &HubError, failures: u32) -> Option<Duration> {
    let wait = match error {
        HubError::RateLimited { seconds } => Duration::from_secs(seconds.unwrap_or(30)),
        HubError::Cut { .. }
        | HubError::Http(HttpError::Unreachable { .. } | HttpError::TimedOut { .. })
        | HubError::Status { status: 408 | 500..=599, .. } => match failures {
            0 => Duration::ZERO,
            failures => Duration::from_millis(500 << failures.min(5)),
        },
        _ => return None,
    };
    Some(wait).filter(|wait| *wait <= MAX_WAIT && failures < MAX_FAILURES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_pass_is_waited_for_and_what_cannot_is_not() {
        let limited = |seconds| HubError::RateLimited { seconds };
        assert_eq!(pause(&limited(Some(7)), 1), Some(Duration::from_secs(7)));
        assert_eq!(pause(&limited(None), 1), Some(Duration::from_secs(30)));
        assert_eq!(pause(&limited(Some(121)), 1), None, "told to the user");
        let status =
            |status| HubError::Status { url: String::new(), status, message: String::new() };
        assert_eq!(
            [pause(&status(503), 1), pause(&status(451), 1)],
            [Some(Duration::from_secs(1)), None]
        );
        let gone =
            HubError::Http(HttpError::Unreachable { host: "h".to_owned(), reason: "r".to_owned() });
        let waits: Vec<_> =
            (0..=5).map(|failures| pause(&gone, failures).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(0), Some(1000), Some(2000), Some(4000), Some(8000), None]);
        assert_eq!(pause(&HubError::Http(HttpError::Offline { host: "h".to_owned() }), 0), None);
    }
}
