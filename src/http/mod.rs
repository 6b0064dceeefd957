//! The project's HTTP client.
//!
//! In: a URL and headers. Out: a response whose body is read as it comes. Promises: no redirect is
//! followed unless the caller does it, so that a header meant for one host reaches no other;
//! certificates are those that the system trusts, proxies those of the environment
//! (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`); a loopback host is never asked through a
//! proxy, and is all that is reached if the network is forbidden. A client for URLs that somebody
//! else chose ([`Client::public_only`]) reaches public addresses alone.

mod public_only;

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, Resolver as _};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use public_only::{NotPublic, PublicOnly, are_public};

/// Why there is no response.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The network is forbidden.
    #[error("{host} is not on this machine, and going on the network is forbidden (offline)")]
    Offline {
        /// The host that would have been asked.
        host: String,
    },
    /// A URL that somebody else chose leads to this machine or into a private network.
    #[error(
        "{host} is this machine, or on a network that is not public: it is not asked for a URL \
         that somebody else chose"
    )]
    NotPublic {
        /// The host that would have been asked.
        host: String,
    },
    /// Not a URL of a web server.
    #[error("{0:?} is no http:// or https:// URL")]
    Url(String),
    /// No connection, or it broke before there was a response.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host that was asked.
        host: String,
        /// Why.
        reason: String,
    },
    /// More than is read.
    #[error("{host} sends more than {} MB", most >> 20)]
    TooLong {
        /// The host that was asked.
        host: String,
        /// Bytes that are read at most.
        most: u64,
    },
    /// No response in time.
    #[error("{host} did not answer within {} s", longest.as_secs())]
    TimedOut {
        /// The host that was asked.
        host: String,
        /// The longest wait.
        longest: Duration,
    },
}

impl HttpError {
    /// Whether nothing answered at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A response, and the address that it came from.
pub(crate) type Response = ureq::http::Response<ureq::Body>;

/// The client. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// For loopback hosts.
    direct: Agent,
    /// For all others, through the environment's proxy if there is one.
    outward: Agent,
    offline: bool,
    /// Of a client for URLs that somebody else chose.
    restricted: Option<Restricted>,
}

/// How a client reaches public addresses alone.
#[derive(Debug, Clone)]
struct Restricted {
    /// The servers that are reached wherever they are: scheme, host and port.
    allowed: Vec<Url>,
    /// For all others.
    agent: Agent,
}

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Longest wait for the next bytes.
const SILENCE: Duration = Duration::from_mins(1);

type ConfigBuilder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

/// What every agent shares. Its proxy is that of the environment.
fn config() -> ConfigBuilder {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .user_agent(concat!("gemscope/", env!("CARGO_PKG_VERSION")))
        // Ranges count the bytes of the file, not of a compressed form of it.
        .accept_encoding("identity")
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
}

impl Client {
    /// A client that reaches loopback hosts only if `offline`.
    pub(crate) fn new(offline: bool) -> Self {
        let direct = config().proxy(None).build().new_agent();
        let outward = config().build().new_agent();
        Self { direct, outward, offline, restricted: None }
    }

    /// A client for URLs that somebody else chose: in a list, a task or a request. It reaches
    /// public addresses, and the servers of `allowed` (scheme, host and port) wherever they are.
    ///
    /// A host is resolved once, and only the addresses that were checked are connected to. Through
    /// a proxy of the environment, the proxy resolves it: then a host is refused if any address
    /// that it has here is not public, and one that is not known here is left to the proxy.
    /// Redirects are responses, as with every client: asking for their `Location` checks it, too.
    pub(crate) fn public_only(offline: bool, allowed: Vec<Url>) -> Self {
        Self::restricted_by(config(), offline, allowed)
    }

    fn restricted_by(config: ConfigBuilder, offline: bool, allowed: Vec<Url>) -> Self {
        let connector = DefaultConnector::default();
        let agent = Agent::with_parts(config.build(), connector, PublicOnly::default());
        Self { restricted: Some(Restricted { allowed, agent }), ..Self::new(offline) }
    }

    /// Asks for `url`. Every status is a response, also that of an error or a redirect. All of it,
    /// with the whole body, comes within `longest`; without it, as long as bytes come.
    ///
    /// # Errors
    /// [`HttpError`].
    pub(crate) fn get(
        &self,
        url: &Url,
        headers: &[(&str, String)],
        longest: Option<Duration>,
    ) -> Result<Response, HttpError> {
        let begun = Instant::now();
        let agent = self.agent(url, longest)?;
        // The check before it may have asked for an address.
        let left = longest.map(|longest| longest.saturating_sub(begun.elapsed()));
        let mut request = agent.get(url.text.as_str()).config().timeout_global(left).build();
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.call().map_err(|error| broken(url, &error, longest.unwrap_or(SILENCE)))
    }

    /// Sends `json` to `url`, and waits at most `longest` for the response, and as long again for
    /// its whole body. Every status is a response.
    ///
    /// # Errors
    /// [`HttpError`].
    pub(crate) fn post(
        &self,
        url: &Url,
        headers: &[(&str, String)],
        json: &[u8],
        longest: Duration,
    ) -> Result<Response, HttpError> {
        let request = self.agent(url, Some(longest))?.post(url.text.as_str()).config();
        let mut request = request
            .timeout_recv_response(Some(longest))
            .timeout_per_read(Some(longest))
            .timeout_recv_body(Some(longest))
            .build()
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.send(json).map_err(|error| broken(url, &error, longest))
    }

    /// The agent for `url`. A check before the request takes no longer than `longest`.
    fn agent(&self, url: &Url, longest: Option<Duration>) -> Result<&Agent, HttpError> {
        if let Some(restricted) = &self.restricted
            && !restricted.allowed.iter().any(|allowed| allowed.same_origin(url))
        {
            let host = || url.host().to_owned();
            return if url.is_loopback() || !restricted.proxy_may_ask(url, longest) {
                Err(HttpError::NotPublic { host: host() })
            } else if self.offline {
                Err(HttpError::Offline { host: host() })
            } else {
                Ok(&restricted.agent)
            };
        }
        match (url.is_loopback(), self.offline) {
            (true, _) => Ok(&self.direct),
            (false, false) => Ok(&self.outward),
            (false, true) => Err(HttpError::Offline { host: url.host().to_owned() }),
        }
    }
}

impl Restricted {
    /// Whether a proxy, which resolves hosts by itself, may be given this URL.
    fn proxy_may_ask(&self, url: &Url, longest: Option<Duration>) -> bool {
        let config = self.agent.config();
        if config.proxy().is_none_or(|proxy| proxy.is_no_proxy(&url.uri)) {
            return true;
        }
        let after = longest.unwrap_or(SILENCE).into();
        let timeout = NextTimeout { after, ..NextTimeout::default() };
        let found = DefaultResolver::default().resolve(&url.uri, config, timeout);
        match found {
            Ok(addresses) => are_public(&addresses),
            // Not known here, which the proxy may be.
            Err(error) => !matches!(error, ureq::Error::Timeout(_)),
        }
    }
}

/// The body of a response that came from `url`, of at most `most` bytes. `longest` is what it was
/// asked with, for the message.
///
/// # Errors
/// [`HttpError`] if it breaks off, takes too long, or is longer.
pub(crate) fn read_body(
    url: &Url,
    response: Response,
    most: u64,
    longest: Duration,
) -> Result<Vec<u8>, HttpError> {
    let body = response.into_body().into_with_config().limit(most).read_to_vec();
    body.map_err(|error| broken(url, &error, longest))
}

fn broken(url: &Url, error: &ureq::Error, longest: Duration) -> HttpError {
    // Several servers of one machine differ by their ports.
    let port = url.uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    let host = format!("{}{port}", url.host());
    match error {
        ureq::Error::Timeout(
            ureq::Timeout::RecvResponse
            | ureq::Timeout::PerRead
            | ureq::Timeout::RecvBody
            | ureq::Timeout::Global,
        ) => HttpError::TimedOut { host, longest },
        ureq::Error::Other(other) if other.is::<NotPublic>() => HttpError::NotPublic { host },
        ureq::Error::BodyExceedsLimit(most) => HttpError::TooLong { host, most: *most },
        error => HttpError::Unreachable { host, reason: error.to_string() },
    }
}

/// An absolute `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    text: String,
    uri: Uri,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub(crate) fn parse(text: &str) -> Result<Self, HttpError> {
        let wrong = || HttpError::Url(shown(text));
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty());
        if web { Ok(Self { text: text.to_owned(), uri }) } else { Err(wrong()) }
    }

    /// The URL that a `Location` or `Link` header of a response from here names.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub(crate) fn join(&self, location: &str) -> Result<Self, HttpError> {
        let scheme = self.uri.scheme_str().unwrap_or("https");
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        if location.contains("://") && !location.starts_with('/') {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        if location.starts_with('/') {
            return Self::parse(&format!("{scheme}://{authority}{location}"));
        }
        let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::parse(&format!("{scheme}://{authority}{folder}/{location}"))
    }

    /// The host, without its port.
    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Whether what is sent and answered is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// True if both name one server: scheme, host and port are equal.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        let origin = |url: &Self| {
            let https = url.uri.scheme_str() == Some("https");
            let port = url.uri.port_u16().unwrap_or(if https { 443 } else { 80 });
            (https, url.host().to_ascii_lowercase(), port)
        };
        origin(self) == origin(other)
    }

    /// True if the host is this machine: `localhost` or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl std::fmt::Display for Url {
    /// Without the query, which may hold a signature, and without a user and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&without_secrets(&self.text))
    }
}

/// What was given for a URL, for messages: as [`without_secrets`], and not longer than anybody
/// reads.
pub(crate) fn shown(text: &str) -> String {
    const MAX_CHARACTERS: usize = 200;
    let mut shown = without_secrets(text);
    if let Some((end, _)) = shown.char_indices().nth(MAX_CHARACTERS) {
        shown.truncate(end);
        shown.push_str("...");
    }
    shown
}

/// A URL without its query, which may hold a signature, and without a user and password.
fn without_secrets(url: &str) -> String {
    let text = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Whether a body broke off since nothing came for too long.
pub(crate) fn is_timeout(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(ureq::Error::Timeout(_)))
}

/// For how long a server asks to be left alone: the seconds of `Retry-After`, or those from the
/// response's own `Date` to the time that it names (RFC 9110, 10.2.3). A time that is over says
/// nothing.
pub(crate) fn retry_after(headers: &ureq::http::HeaderMap) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |text: &str| httpdate::parse_http_date(text.trim()).ok();
    let asked = header("retry-after")?.trim();
    if let Ok(seconds) = asked.parse::<f64>() {
        return (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    // Of a server whose clock is wrong, the time between its two dates is right.
    let now = header("date").and_then(date).unwrap_or_else(SystemTime::now);
    date(asked)?.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_location_leads_on_from_where_it_was_given() {
        let here = Url::parse("https://hub.example:8443/api/models/a?x=1").unwrap();
        let lead = |location: &str| here.join(location).unwrap().text;
        assert_eq!(lead("/b/c"), "https://hub.example:8443/b/c");
        assert_eq!(lead("c?cursor=2"), "https://hub.example:8443/api/models/c?cursor=2");
        assert_eq!(lead("//cdn.example/d"), "https://cdn.example/d");
        assert_eq!(lead("http://cdn.example/d"), "http://cdn.example/d");
        assert!(here.join("ftp://cdn.example/d").is_err() && Url::parse("hub.example").is_err());
        assert_eq!(here.to_string(), "https://hub.example:8443/api/models/a");
        let wrong = Url::parse("https://me:hunter2@h/a b?signature=x").unwrap_err().to_string();
        assert!(wrong.contains("https://h/a b") && !wrong.contains("hunter2"), "{wrong}");
        assert!(!wrong.contains("signature"), "{wrong}");
        assert!(Url::parse(&"A".repeat(1 << 20)).unwrap_err().to_string().len() < 400);
        let with_password = Url::parse("https://me:hunter2@hub.example/a@b?x=1").unwrap();
        assert_eq!(with_password.to_string(), "https://hub.example/a@b");
    }

    /// Answers the first request with this head, then with a blank every 50 ms.
    fn drips(head: &'static str) -> Url {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        url
    }

    #[test]
    fn a_body_that_never_ends_is_left() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
        let longest = Duration::from_millis(500);
        let client = Client::new(true);
        for posts in [true, false] {
            let url = drips(head);
            let began = Instant::now();
            let response = if posts {
                client.post(&url, &[], b"{}", longest)
            } else {
                client.get(&url, &[], Some(longest))
            };
            let error = read_body(&url, response.unwrap(), 1 << 20, longest).unwrap_err();
            assert!(matches!(error, HttpError::TimedOut { .. }), "{error}");
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    }

    #[test]
    fn a_head_that_never_ends_is_left() {
        let url = drips("HTTP/1.1 200 OK\r\nX-Slow: ");
        let began = Instant::now();
        let error = Client::new(true).get(&url, &[], Some(Duration::from_millis(500))).unwrap_err();
        assert!(matches!(error, HttpError::TimedOut { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    /// Answers every request with a page.
    fn page() -> Url {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            }
        });
        url
    }

    #[test]
    fn a_url_that_somebody_else_chose_leads_to_public_addresses_alone() {
        let own = page();
        let port = own.uri.port_u16().unwrap();
        let client = Client::restricted_by(config().proxy(None), false, Vec::new());
        for host in
            ["127.0.0.1", "localhost", "127.1", "2130706433", "0", "[::1]", "[::ffff:127.0.0.1]"]
        {
            let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
            let error = client.get(&url, &[], Some(CONNECT)).unwrap_err();
            assert!(matches!(error, HttpError::NotPublic { .. }), "{host}: {error}");
        }
        let allowed = Client::restricted_by(config().proxy(None), false, vec![own.clone()]);
        assert_eq!(allowed.get(&own, &[], None).unwrap().status(), 200);
        let other = page();
        let error = allowed.get(&other, &[], None).unwrap_err();
        assert!(matches!(error, HttpError::NotPublic { .. }), "another port: {error}");
        assert!(matches!(
            Client::public_only(true, Vec::new()).get(
                &Url::parse("http://8.8.8.8").unwrap(),
                &[],
                None
            ),
            Err(HttpError::Offline { .. })
        ));
    }

    /// Sends everything on to a page, as far as it is asked.
    #[test]
    fn a_proxy_is_not_given_a_host_that_is_not_public_here() {
        let proxy = page();
        let proxy = ureq::Proxy::new(&proxy.to_string()).unwrap();
        let client = Client::restricted_by(config().proxy(Some(proxy)), false, Vec::new());
        let get = |url: &str| client.get(&Url::parse(url).unwrap(), &[], Some(CONNECT));
        for url in ["http://10.0.0.1/", "http://169.254.169.254/latest", "http://[fd00::1]/"] {
            let error = get(url).unwrap_err();
            assert!(matches!(error, HttpError::NotPublic { .. }), "{url}: {error}");
        }
        // The proxy itself is on this machine, and is asked.
        let error = get("http://192.0.1.1/").err();
        assert!(!matches!(error, Some(HttpError::NotPublic { .. })), "{error:?}");
    }

    #[test]
    fn a_body_that_is_too_long_is_no_lost_connection() {
        let url = drips("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        let response = Client::new(true).get(&url, &[], None).unwrap();
        let error = read_body(&url, response, 3, SILENCE).unwrap_err();
        assert!(matches!(error, HttpError::TooLong { most: 3, .. }), "{error}");
    }

    #[test]
    fn another_scheme_host_or_port_is_another_server() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("https://Hub.example/a", "https://hub.example:443/b"));
        assert!(!same("https://hub.example/a", "http://hub.example/a"));
        assert!(!same("http://127.0.0.1:80/a", "http://127.0.0.1:81/a"));
        assert!(!same("https://hub.example/a", "https://cdn.hub.example/a"));
    }

    #[test]
    fn offline_reaches_this_machine_alone() {
        for (url, loopback) in [
            ("http://localhost:1/", true),
            ("http://127.9.0.1/", true),
            ("http://[::1]:8/", true),
            ("http://localhost.example/", false),
            ("https://hub.example/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(Url::parse(url).unwrap().is_loopback(), loopback, "{url}");
        }
        let url = Url::parse("https://hub.example/").unwrap();
        let error = Client::new(true).get(&url, &[], None).unwrap_err();
        assert!(matches!(error, HttpError::Offline { host } if host == "hub.example"));
    }

    #[test]
    fn a_server_may_ask_for_a_wait_in_seconds_or_up_to_a_time() {
        let asked = |after: &str, date: &str| {
            let mut headers = ureq::http::HeaderMap::new();
            headers.insert("retry-after", after.parse().unwrap());
            if !date.is_empty() {
                headers.insert("date", date.parse().unwrap());
            }
            retry_after(&headers)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(asked(" 3 ", ""), seconds(3));
        let date = "Wed, 21 Oct 2026 07:28:00 GMT";
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:09 GMT", date), seconds(9));
        assert_eq!(asked("Wed, 21 Oct 2026 07:27:00 GMT", date), None);
        assert_eq!(asked("Sunday, 06-Nov-94 08:49:37 GMT", ""), None);
        assert!(asked("Fri, 01 Jan 2100 00:00:00 GMT", "").unwrap() > Duration::from_hours(24));
        for wrong in ["-1", "soon", "1e9", "Wed, 21 Oct 2026 25:28:00 GMT"] {
            assert_eq!(asked(wrong, date), None, "{wrong}");
        }
        assert_eq!(retry_after(&ureq::http::HeaderMap::new()), None);
    }
}
