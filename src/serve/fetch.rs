//! The images of tasks.
//!
//! In: what a task's field says: `/data/local-files/?d=...`, `/data/upload/...`, an address on the
//! web, or a `data:` URL. Out: the bytes of the image, and its name. Promises: files come out of the
//! folder of images alone; the token goes to Label Studio's own address alone; other addresses are
//! fetched only if that was asked for; no redirect is followed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::pictures::{decoded, in_folder};
use super::reply::Refusal;
use crate::files;
use crate::http::{Client, Url, read_body};
use crate::source::percent_decoded;

/// The path at which Label Studio serves files of its disk.
const LOCAL: &str = "/data/local-files/";
/// The longest that an image may take.
const LONGEST: Duration = Duration::from_secs(30);
/// A JWT for access lasts five minutes; a new one is asked for earlier.
const ACCESS: Duration = Duration::from_mins(4);

/// What concerns Label Studio alone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LabelStudioOptions {
    /// Its address, for images that were uploaded to it or come through it.
    pub url: Option<String>,
    /// Its token: a legacy one, or a personal access token.
    pub token: Option<String>,
    /// Whether images of any other address on the web are fetched.
    pub fetch: bool,
    /// How long its tasks may take together; it waits 100 seconds itself.
    pub longest: Duration,
}

impl Default for LabelStudioOptions {
    fn default() -> Self {
        Self { url: None, token: None, fetch: false, longest: Duration::from_secs(90) }
    }
}

impl LabelStudioOptions {
    /// The address and the token that the environment names, as Label Studio's own SDK reads them.
    #[must_use]
    pub fn from_env(self) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            url: self.url.or_else(|| variable("LABEL_STUDIO_URL")),
            token: self.token.or_else(|| variable("LABEL_STUDIO_API_KEY")),
            ..self
        }
    }

    /// The folder of images that Label Studio itself serves, if its environment is this one's.
    pub fn images_from_env() -> Option<PathBuf> {
        std::env::var_os("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }
}

/// Gets the images of tasks.
pub(super) struct Fetcher {
    options: LabelStudioOptions,
    client: Client,
    /// What Label Studio said of itself, and a token for access with its age.
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    url: Option<Url>,
    token: Option<String>,
    access: Option<(String, Instant)>,
}

/// What Label Studio gives for a personal access token.
#[derive(Deserialize)]
struct Refreshed {
    access: String,
}

/// An image of a task.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    /// Relative to the folder of images, if it is there.
    pub(super) name: Option<String>,
}

impl Fetcher {
    pub(super) fn new(options: LabelStudioOptions, offline: bool) -> Self {
        Self { options, client: Client::new(offline), learned: Mutex::default() }
    }

    /// Takes note of the address that Label Studio gives itself, if it is on this machine, and of
    /// its token for it.
    pub(super) fn learn(&self, hostname: &str, token: &str) {
        if let Ok(url) = Url::parse(hostname)
            && url.is_loopback()
        {
            let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
            let token = Some(token.to_owned()).filter(|token| !token.is_empty());
            *learned = Learned { url: Some(url), token, access: None };
        }
    }

    /// The image that a field says, of at most `most` bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn get(
        &self,
        field: &str,
        folder: Option<&Path>,
        most: u64,
    ) -> Result<Fetched, Refusal> {
        let field = field.trim();
        if field.starts_with("data:") {
            return Ok(Fetched { bytes: decoded(field)?, name: None });
        }
        if let Some(name) = local_name(field) {
            match in_folder(folder, &name) {
                Ok(path) => {
                    let bytes = files::read(&path, most).map_err(|error| {
                        let status = if error.kind() == ErrorKind::FileTooLarge {
                            StatusCode::PAYLOAD_TOO_LARGE
                        } else {
                            StatusCode::NOT_FOUND
                        };
                        Refusal::new(status, format!("{name}: {error}"))
                    })?;
                    return Ok(Fetched { bytes, name: Some(name) });
                }
                // Label Studio itself may have it.
                Err(refusal) if self.own().is_none() => return Err(refusal),
                Err(_) => {}
            }
        }
        let own = self.own();
        let url = if field.starts_with('/') {
            let own = own.as_ref().ok_or_else(|| {
                Refusal::bad(format!(
                    "{field} is in Label Studio, whose address is not known: say it with \
                     LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or name the folder of the images"
                ))
            })?;
            own.join(field)
        } else {
            Url::parse(field)
        };
        let url = url.map_err(|error| Refusal::bad(error.to_string()))?;
        let is_own = own.is_some_and(|own| own.same_origin(&url));
        if !is_own && !self.options.fetch {
            return Err(Refusal::bad(format!(
                "{url} is on the web: images there are fetched only if the server was begun so"
            )));
        }
        let bytes = self.fetch(&url, is_own, most)?;
        Ok(Fetched { bytes, name: None })
    }

    fn fetch(&self, url: &Url, is_own: bool, most: u64) -> Result<Vec<u8>, Refusal> {
        let failed = |why: String| Refusal::new(StatusCode::BAD_GATEWAY, why);
        let token = if is_own { self.authorization() } else { None };
        let headers: Vec<_> = token.into_iter().map(|token| ("authorization", token)).collect();
        let response = self.client.get(url, &headers, Some(LONGEST));
        let response = response.map_err(|error| failed(error.to_string()))?;
        if !response.status().is_success() {
            let status = response.status();
            let hint = if matches!(status.as_u16(), 301 | 302 | 401 | 403) {
                " (does LABEL_STUDIO_API_KEY hold its token?)"
            } else {
                ""
            };
            return Err(failed(format!("{url} answers with {status}{hint}")));
        }
        read_body(url, response, most, LONGEST).map_err(|error| failed(error.to_string()))
    }

    /// Label Studio's address: the one that was named, or else the one that it gives itself.
    fn own(&self) -> Option<Url> {
        match &self.options.url {
            Some(named) => Url::parse(named).ok(),
            None => self.learned().url.clone(),
        }
    }

    /// The token for Label Studio's own address. The user's goes to the address that the user
    /// named, and nowhere else: anybody on this machine may say to be Label Studio.
    fn token(&self) -> Option<String> {
        let learned = self.learned();
        match &self.options.url {
            Some(named) => self.options.token.clone().or_else(|| {
                let same = |url: &Url| Url::parse(named).is_ok_and(|named| named.same_origin(url));
                learned.token.clone().filter(|_| learned.url.as_ref().is_some_and(same))
            }),
            None => learned.token.clone(),
        }
    }

    fn learned(&self) -> std::sync::MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header that shows Label Studio its token. A personal access token is a JWT that is
    /// exchanged for another one, which lasts minutes.
    fn authorization(&self) -> Option<String> {
        let token = self.token()?;
        if token.split('.').count() != 3 {
            return Some(format!("Token {token}"));
        }
        if let Some((access, since)) = &self.learned().access
            && since.elapsed() < ACCESS
        {
            return Some(format!("Bearer {access}"));
        }
        let url = self.own()?.join("/api/token/refresh").ok()?;
        let body = json!({ "refresh": token }).to_string();
        let response = self.client.post(&url, &[], body.as_bytes(), LONGEST).ok()?;
        let text = read_body(&url, response, 1 << 20, LONGEST).ok()?;
        let Refreshed { access } = serde_json::from_slice(&text).ok()?;
        self.learned().access = Some((access.clone(), Instant::now()));
        Some(format!("Bearer {access}"))
    }
}

/// The name behind `/data/local-files/?d=`, wherever Label Studio is.
fn local_name(field: &str) -> Option<String> {
    let (before, query) = field.split_once('?')?;
    if !before.ends_with(LOCAL) && !before.ends_with(LOCAL.trim_end_matches('/')) {
        return None;
    }
    let name = query.split('&').find_map(|pair| pair.strip_prefix("d="))?;
    let name = String::from_utf8(percent_decoded(&name.replace('+', " "))).ok()?;
    Some(name.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_disk_are_known_by_their_address() {
        for (field, name) in [
            ("/data/local-files/?d=a/b.jpg", Some("a/b.jpg")),
            ("http://ls:8080/data/local-files/?d=a%20b.jpg&x=1", Some("a b.jpg")),
            ("/data/local-files?d=%2Fa.jpg", Some("a.jpg")),
            ("/data/upload/1/a.jpg", None),
            ("https://example.org/a.jpg?d=b", None),
        ] {
            assert_eq!(local_name(field).as_deref(), name, "{field}");
        }
    }

    #[test]
    fn only_what_was_allowed_is_fetched() {
        let fetcher = Fetcher::new(LabelStudioOptions::default(), true);
        let says = |field: &str| fetcher.get(field, None, 9).err().unwrap().why().to_owned();
        assert!(says("https://example.org/a.jpg").contains("only if the server"));
        assert!(says("/data/upload/1/a.jpg").contains("LABEL_STUDIO_URL"));
        assert!(says("s3://bucket/a.jpg").contains("no http"));
        fetcher.learn("https://elsewhere.example", "token");
        assert!(fetcher.own().is_none(), "an address of elsewhere is not believed");
        fetcher.learn("http://localhost:8080", "legacy");
        assert_eq!(fetcher.authorization().as_deref(), Some("Token legacy"));
    }

    #[test]
    fn the_users_token_goes_to_the_named_address_alone() {
        let of = |url: Option<&str>| {
            let (url, token) = (url.map(str::to_owned), Some("mine".to_owned()));
            let options = LabelStudioOptions { url, token, ..LabelStudioOptions::default() };
            let fetcher = Fetcher::new(options, true);
            fetcher.learn("http://127.0.0.1:9", "its own");
            (fetcher.own().map(|url| url.to_string()), fetcher.authorization())
        };
        let its_own = Some("Token its own".to_owned());
        assert_eq!(of(None), (Some("http://127.0.0.1:9".to_owned()), its_own));
        let (url, token) = of(Some("http://ls.example:8080"));
        assert!(url.unwrap().starts_with("http://ls.example:8080"));
        assert_eq!(token.as_deref(), Some("Token mine"));
        assert_eq!(of(Some("ls.example:8080")).0, None, "no address, and no other in its place");
    }
}
