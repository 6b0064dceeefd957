//! Asking the web for files that were named.
//!
//! In: an address, and which of its bytes. Out: a response that begins at the first of them.
//! Promises: redirects are followed here, a few, and only to the same server or to a public one by
//! `https`; a user and password go to the server that they were named with, and no header of ours
//! to another one but what bytes are wanted; what another try cannot change is told from what it
//! can.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::Address;
use super::options::WebOptions;
use crate::http::{Client, HttpError, Response, Url, retry_after};
use crate::percent;

/// More redirects than this lead nowhere.
const MAX_REDIRECTS: usize = 5;
/// The longest that a server may ask to be waited for (`Retry-After`).
const MAX_ASKED_WAIT: Duration = Duration::from_mins(2);

/// What all files of a source share.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) options: WebOptions,
    /// For servers that were named.
    named: Client,
    /// For those that a redirect leads to.
    elsewhere: Client,
    /// Servers that asked to be left alone, and until when.
    pauses: Mutex<HashMap<String, Instant>>,
}

/// Why there are no bytes.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whether another try may bring them.
    pub(super) passes: bool,
    /// How long the server asks to be left alone.
    pub(super) asked: Option<Duration>,
}

impl Failure {
    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), passes: false, asked: None }
    }

    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), passes: true, asked: None }
    }
}

impl Web {
    pub(super) fn new(options: WebOptions) -> Self {
        Self {
            named: Client::new(options.offline),
            elsewhere: Client::public_only(options.offline, Vec::new()),
            options,
            pauses: Mutex::default(),
        }
    }

    /// How long the server of `address` still asks to be left alone.
    pub(super) fn pause_of(&self, address: &Address) -> Duration {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let until = pauses.get(address.host());
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Notes that the server of `address` asks to be left alone.
    pub(super) fn pause_server(&self, address: &Address, time: Duration) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.insert(address.host().to_owned(), Instant::now() + time);
    }

    /// Asks for `address` with these headers, and follows redirects. A response of status 200 or
    /// 206, whose body comes before `deadline`.
    pub(super) fn get(
        &self,
        address: &Address,
        headers: &[(&'static str, String)],
        deadline: Option<Instant>,
    ) -> Result<Response, Failure> {
        let unreadable = |_| Failure::lasting("is no address that can be asked for");
        let named = Url::parse(address.text()).map_err(unreadable)?;
        let mut url = named.clone();
        for _ in 0..=MAX_REDIRECTS {
            let is_named = url.same_origin(&named);
            let mut headers = headers.to_vec();
            if let Some(user) = address.user().filter(|_| is_named) {
                let user = percent::decoded(user);
                headers.push(("authorization", format!("Basic {}", STANDARD.encode(user))));
            }
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Failure::passing("the server answers with slow redirects"));
            }
            let client = if is_named { &self.named } else { &self.elsewhere };
            let response = client.get(&url, &headers, left).map_err(|error| failure(&error))?;
            let status = response.status();
            match status.as_u16() {
                200 | 206 => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let location = response.headers().get("location");
                    let location = location.and_then(|location| location.to_str().ok());
                    url = next(&named, &url, location)?;
                }
                _ => return Err(Self::refused(address, &response)),
            }
        }
        Err(Failure::lasting(format!(
            "the server answers with more than {MAX_REDIRECTS} redirects"
        )))
    }

    /// The failure that a status other than success stands for.
    fn refused(address: &Address, response: &Response) -> Failure {
        let status = response.status();
        let is_signed = address.text() != address.name();
        let hint = match status.as_u16() {
            401 | 403 if is_signed => " (the signature in the address may be out of date)",
            _ => "",
        };
        let reason = format!("the server answers {status}{hint}");
        if !matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504) {
            return Failure::lasting(reason);
        }
        match retry_after(response.headers()) {
            None => Failure::passing(reason),
            Some(asked) if asked <= MAX_ASKED_WAIT => {
                Failure { reason, passes: true, asked: Some(asked) }
            }
            Some(asked) => Failure::lasting(format!(
                "{reason}, and asks to be left alone for {} s",
                asked.as_secs()
            )),
        }
    }
}

/// Where a redirect leads to: the server that was named, or another one by `https`.
fn next(named: &Url, here: &Url, location: Option<&str>) -> Result<Url, Failure> {
    let lost = || Failure::lasting("the server answers with a redirect to no address of the web");
    let next = here.join(location.ok_or_else(lost)?).map_err(|_| lost())?;
    if next.same_origin(named) || next.is_https() {
        Ok(next)
    } else {
        Err(Failure::lasting(format!(
            "the server answers with a redirect to {} without encryption (http), which is not \
             followed",
            next.host()
        )))
    }
}

fn failure(error: &HttpError) -> Failure {
    match error {
        HttpError::Url(_) => Failure::lasting("is no address that can be asked for"),
        HttpError::Unreachable { .. } | HttpError::TimedOut { .. } => {
            Failure::passing(error.to_string())
        }
        HttpError::NotPublic { host } => Failure::lasting(format!(
            "the server answers with a redirect to {host}, which is this machine or in a network \
             that is not public, and is not followed"
        )),
        error => Failure::lasting(error.to_string()),
    }
}
