//! The images of tasks.
//!
//! In: what a task's field says: `/data/local-files/?d=...`, `/data/upload/...`, an address on the
//! web, or a `data:` URL. Out: where the image is ([`ImageSource`]), and then its bytes. Promises:
//! files come out of the folder of images alone; Label Studio's token goes to its own address
//! alone; other addresses are fetched only if that was asked for, and of those only public ones and
//! the servers that the user named; no redirect is followed; a fetch ends after [`FETCH_TIMEOUT`],
//! however slow the host is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::StatusCode;

use super::ServeError;
use super::label_studio::{Account, Accounts};
use super::pictures::{decoded, in_folder};
use super::reply::Refusal;
use crate::files;
use crate::http::{Client, HttpError, Url, read_body, shown};
use crate::percent;

/// The path at which Label Studio serves files of its disk.
const LOCAL_FILES: &str = "/data/local-files/";
/// The longest that a fetch may take in all, with the exchange of a token.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings for Label Studio, and for images on the web.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LabelStudioOptions {
    /// Its address, for images that were uploaded to it or come through it.
    pub url: Option<String>,
    /// Its token: a legacy one, or a personal access token.
    pub token: Option<String>,
    /// Whether images of any public address on the web are fetched.
    pub fetch: bool,
    /// Servers that images are fetched from wherever they are, as `http://10.0.0.5:9000`.
    pub fetch_from: Vec<String>,
    /// How long its tasks may take together; it waits 100 seconds itself.
    pub answer_within: Duration,
}

impl Default for LabelStudioOptions {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            fetch: false,
            fetch_from: Vec::new(),
            answer_within: Duration::from_secs(90),
        }
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

/// Finds and gets the images of tasks.
pub(super) struct Fetcher {
    /// What is known of Label Studio.
    pub(super) accounts: Accounts,
    fetch_any: bool,
    fetch_from: Vec<Url>,
    /// For Label Studio's own address, which is anywhere.
    own: Client,
    /// For all other addresses.
    web: Client,
}

/// Where the image of a task is.
#[derive(Debug)]
pub(super) enum ImageSource {
    /// In the task, as a `data:` URL.
    Inline(String),
    /// In the folder of images.
    File {
        path: PathBuf,
        /// Relative to the folder.
        name: String,
        bytes: u64,
    },
    /// On another host; with Label Studio's account if it is there.
    Web { url: Url, account: Option<Account> },
}

impl Fetcher {
    /// `believes` if what Label Studio says of itself counts: only programs of this machine ask.
    ///
    /// # Errors
    /// [`ServeError::Url`] for an address that is none.
    pub(super) fn new(
        options: LabelStudioOptions,
        offline: bool,
        believes: bool,
    ) -> Result<Self, ServeError> {
        let LabelStudioOptions { url, token, fetch, fetch_from, .. } = options;
        let parse = |setting: &'static str, text: &str| {
            Url::parse(text).map_err(|_| ServeError::Url { setting, url: text.to_owned() })
        };
        let url = url.map(|url| parse("label_studio_url", &url)).transpose()?;
        let fetch_from = fetch_from.iter().map(|url| parse("fetch_from", url));
        let fetch_from: Vec<Url> = fetch_from.collect::<Result<_, _>>()?;
        Ok(Self {
            accounts: Accounts::new(url, token, believes),
            fetch_any: fetch,
            own: Client::new(offline),
            web: Client::public_only(offline, fetch_from.clone()),
            fetch_from,
        })
    }

    /// Where the image is that a field says.
    ///
    /// # Errors
    /// 404 if there is none, 400 if it may not be fetched or its place is not known.
    pub(super) fn locate(
        &self,
        field: &str,
        folder: Option<&Path>,
    ) -> Result<ImageSource, Refusal> {
        let field = field.trim();
        if field.starts_with("data:") {
            return Ok(ImageSource::Inline(field.to_owned()));
        }
        let account = self.accounts.current();
        if let Some(name) = local_name(field) {
            match in_folder(folder, &name) {
                Ok(path) => {
                    let metadata = path.metadata().map_err(|error| unread(&name, &error))?;
                    return Ok(ImageSource::File { path, name, bytes: metadata.len() });
                }
                // Label Studio itself may have it.
                Err(refusal) if account.is_none() => return Err(refusal),
                Err(_) => {}
            }
        }
        let url = match &account {
            Some(account) if field.starts_with('/') => account.url.join(field),
            None if field.starts_with('/') => {
                let field = shown(field);
                return Err(Refusal::bad(format!(
                    "{field} is in Label Studio, whose address is not known: say it with \
                     LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or name the folder of the images"
                )));
            }
            _ => Url::parse(field),
        };
        let url = url.map_err(|error| Refusal::bad(error.to_string()))?;
        let account = account.filter(|account| account.url.same_origin(&url));
        let is_named = || self.fetch_from.iter().any(|named| named.same_origin(&url));
        if account.is_none() && !self.fetch_any && !is_named() {
            return Err(Refusal::bad(format!(
                "{url} is on the web: images there are fetched only if the server was begun so"
            )));
        }
        Ok(ImageSource::Web { url, account })
    }

    /// The bytes of an image on another host, at most `max_bytes`.
    ///
    /// # Errors
    /// 400 if it may not be asked, 502 if it gives none.
    pub(super) fn fetch(
        &self,
        url: &Url,
        account: Option<&Account>,
        max_bytes: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let deadline = Instant::now() + FETCH_TIMEOUT;
        let client = if account.is_some() { &self.own } else { &self.web };
        let token =
            account.and_then(|account| self.accounts.authorization(account, client, deadline));
        let headers: Vec<_> = token.into_iter().map(|token| ("authorization", token)).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let response = client.get(url, &headers, Some(left)).map_err(not_fetched)?;
        if !response.status().is_success() {
            let status = response.status();
            let hint = match (status.as_u16(), account) {
                (301 | 302 | 401 | 403, Some(_)) => " (does LABEL_STUDIO_API_KEY hold its token?)",
                (300..=399, None) => " (redirects are not followed: name where it leads)",
                _ => "",
            };
            let why = format!("{url} answers with {status}{hint}");
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, why));
        }
        read_body(url, response, max_bytes, FETCH_TIMEOUT).map_err(not_fetched)
    }
}

impl ImageSource {
    /// The bytes of an image that is in the task or in a file.
    ///
    /// # Errors
    /// 400, 404 or 413 if there is none.
    pub(super) fn read(&self) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Inline(text) => decoded(text),
            Self::File { path, name, bytes } => {
                files::read(path, *bytes).map_err(|error| unread(name, &error))
            }
            Self::Web { url, .. } => Err(Refusal::bad(format!("{url} is on another host"))),
        }
    }
}

fn not_fetched(error: HttpError) -> Refusal {
    match error {
        HttpError::NotPublic { host } => Refusal::bad(format!(
            "{host} is this machine, or on a network that is not public: images of it are fetched \
             only if the server was begun with its address (`fetch_from`)"
        )),
        error => Refusal::new(StatusCode::BAD_GATEWAY, error.to_string()),
    }
}

fn unread(name: &str, error: &std::io::Error) -> Refusal {
    let status = match error.kind() {
        ErrorKind::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::NOT_FOUND,
    };
    Refusal::new(status, format!("{name}: {error}"))
}

/// The name behind `/data/local-files/?d=`, wherever Label Studio is.
fn local_name(field: &str) -> Option<String> {
    let (before, query) = field.split_once('?')?;
    if !before.ends_with(LOCAL_FILES) && !before.ends_with(LOCAL_FILES.trim_end_matches('/')) {
        return None;
    }
    let name = query.split('&').find_map(|pair| pair.strip_prefix("d="))?;
    let name = String::from_utf8(percent::decoded(&name.replace('+', " "))).ok()?;
    Some(name.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(change: impl FnOnce(&mut LabelStudioOptions)) -> Fetcher {
        let mut options = LabelStudioOptions::default();
        change(&mut options);
        Fetcher::new(options, false, true).unwrap()
    }

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
        let says = |fetcher: &Fetcher, field: &str| {
            let located = fetcher.locate(field, None);
            let fetched = located.and_then(|located| match located {
                ImageSource::Web { url, account } => fetcher.fetch(&url, account.as_ref(), 9),
                source => source.read(),
            });
            fetched.err().unwrap().why().to_owned()
        };
        let careful = fetcher(|_| {});
        assert!(says(&careful, "https://example.org/a.jpg").contains("only if the server"));
        assert!(says(&careful, "/data/upload/1/a.jpg").contains("LABEL_STUDIO_URL"));
        assert!(says(&careful, "s3://bucket/a.jpg").contains("no http"));
        let any = fetcher(|options| options.fetch = true);
        for url in ["http://127.0.0.1:1/", "http://10.0.0.1/a", "http://[::ffff:7f00:1]:1/a.jpg"] {
            assert!(says(&any, url).contains("not public"), "{url}");
        }
        // Nothing listens there; it is asked.
        let named = fetcher(|options| options.fetch_from = vec!["http://127.0.0.1:1".into()]);
        assert!(says(&named, "http://127.0.0.1:1/a.jpg").contains("cannot be reached"));
        assert!(says(&named, "http://127.0.0.1:2/a.jpg").contains("only if the server"));
        let own = fetcher(|options| options.url = Some("http://127.0.0.1:1/".into()));
        assert!(says(&own, "/data/upload/1/a.jpg").contains("cannot be reached"));
    }

    #[test]
    fn an_address_without_its_scheme_is_an_error() {
        for (url, from) in [(Some("ls.example:8080"), None), (None, Some("10.0.0.1:9000"))] {
            let options = LabelStudioOptions {
                url: url.map(str::to_owned),
                fetch_from: from.map(str::to_owned).into_iter().collect(),
                ..LabelStudioOptions::default()
            };
            let error = Fetcher::new(options, true, true).err().unwrap().to_string();
            assert!(error.contains("http://") && error.contains(url.or(from).unwrap()), "{error}");
        }
    }
}
