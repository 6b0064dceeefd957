//! The address of a server, as its users write it.

use super::ServerError;
use crate::http::{HttpError, Url};

/// Ends of addresses that are routes of an API, not part of the server's address.
const ROUTES: [&str; 6] =
    ["/chat/completions", "/completions", "/models", "/api/chat", "/api", "/v1"];

/// The address without routes at its end; `http://` stands before one without a scheme.
///
/// # Errors
/// [`ServerError::Address`].
pub(super) fn base(text: &str) -> Result<String, ServerError> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let authority =
        with_scheme.split("://").nth(1).unwrap_or_default().split(['/', '?', '#']).next();
    if authority.is_some_and(|authority| authority.contains('@')) {
        // Not shown: there is a password in it.
        let reason =
            "a user and password are no part of it; a key comes from the environment".to_owned();
        return Err(ServerError::Address { reason });
    }
    let wrong = |error: HttpError| ServerError::Address { reason: error.to_string() };
    Url::parse(&with_scheme).map_err(wrong)?;
    let mut base = with_scheme.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    for route in ROUTES {
        base = base.strip_suffix(route).unwrap_or(base).trim_end_matches('/');
    }
    Ok(base.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_cut_off_and_a_password_is_refused() {
        for (text, expected) in [
            ("http://localhost:8000", "http://localhost:8000"),
            ("localhost:11434", "http://localhost:11434"),
            ("http://localhost:8000/v1/", "http://localhost:8000"),
            ("http://localhost:8000/v1/chat/completions", "http://localhost:8000"),
            ("http://localhost:11434/api/chat", "http://localhost:11434"),
            ("https://example.org/gemma/v1?x=1", "https://example.org/gemma"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(base(text).unwrap(), expected, "{text}");
        }
        let error = base("http://me:hunter2@localhost:1/v1").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("environment"), "{error}");
        assert!(base("ftp://localhost").is_err());
    }
}
