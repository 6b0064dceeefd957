//! The rules of access: which requests are served.
//!
//! In: the headers of a request. Out: whether it is served. Promises: a web page of another origin
//! is refused, also one whose name was made to point to this machine (DNS rebinding); with a token,
//! nobody is served without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use sha2::{Digest as _, Sha256};

use super::reply::Refusal;

/// The rules of one server.
pub(super) struct Guard {
    /// The hash of the token, if one is needed.
    token: Option<[u8; 32]>,
    /// Whether it listens on a loopback address alone.
    local: bool,
}

impl Guard {
    pub(super) fn new(token: Option<&str>, local: bool) -> Self {
        Self { token: token.map(hash), local }
    }

    /// Whether a request with these headers is served.
    ///
    /// # Errors
    /// 403 for a host or an origin of elsewhere, 401 without the token.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        // One, and no other that a proxy might have believed.
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().filter(|_| hosts.next().is_none());
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        if self.local && !is_loopback(host) {
            return Err(forbidden(format!(
                "the Host of the request is {host:?}, and only localhost and loopback addresses \
                 are served"
            )));
        }
        if let Some(origin) = headers.get(ORIGIN) {
            let own = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            if own.is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host)) {
                return Err(forbidden("web pages are not served".to_owned()));
            }
        }
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
            return Err(forbidden("web pages are not served".to_owned()));
        }
        match &self.token {
            Some(token) if !given(headers).any(|given| hash(&given) == *token) => {
                Err(Refusal::new(
                    StatusCode::UNAUTHORIZED,
                    "a token is needed: in the header Token or Authorization (Bearer, or the password \
                 of Basic)",
                ))
            }
            _ => Ok(()),
        }
    }
}

fn forbidden(why: String) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, why)
}

/// Compared by their hashes: how long that takes tells nothing of the token.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The tokens that a request has: X-AnyLabeling's header, or those of HTTP.
fn given(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let text = |value: &HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
    let own = headers.get("token").and_then(text);
    let standard = headers.get(AUTHORIZATION).and_then(text).and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            return pair.split_once(':').map(|(_, password)| password.to_owned());
        }
        let known = ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known.then(|| rest.to_owned())
    });
    own.into_iter().chain(standard)
}

/// Whether a `Host` names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(guard: &Guard, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard.admit(&map).map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_programs_of_this_machine_are_served() {
        let guard = Guard::new(None, true);
        for host in ["localhost:8000", "LOCALHOST", "127.0.0.1:1", "127.3.4.5", "[::1]:8000"] {
            assert_eq!(admitted(&guard, &[("host", host)]), 200, "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:8000", "10.0.0.1", "[fe80::1]:1"] {
            assert_eq!(admitted(&guard, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(admitted(&guard, &[("host", "localhost"), ("host", "evil.example")]), 403);
        let here = ("host", "localhost:8000");
        assert_eq!(admitted(&guard, &[here, ("origin", "http://localhost:8000")]), 200);
        for origin in ["http://localhost:3000", "https://evil.example", "null"] {
            assert_eq!(admitted(&guard, &[here, ("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(admitted(&guard, &[here, ("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(admitted(&guard, &[here, ("sec-fetch-site", "none")]), 200);
    }

    #[test]
    fn a_token_is_needed_where_one_is_set() {
        let guard = Guard::new(Some("a long enough token"), false);
        let host = ("host", "box.example:8000");
        assert_eq!(admitted(&guard, &[host]), 401);
        assert_eq!(admitted(&guard, &[host, ("token", "another")]), 401);
        assert_eq!(admitted(&guard, &[host, ("token", "a long enough token")]), 200);
        let bearer = ("authorization", "Bearer a long enough token");
        assert_eq!(admitted(&guard, &[host, bearer]), 200);
        let basic = format!("Basic {}", STANDARD.encode("anyone:a long enough token"));
        assert_eq!(admitted(&guard, &[host, ("authorization", &basic)]), 200);
        assert_eq!(admitted(&guard, &[host, ("authorization", "Basic !!")]), 401);
    }
}
