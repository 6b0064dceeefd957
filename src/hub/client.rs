//! Asking the Hub.
//!
//! In: a URL of the endpoint. Out: a response of status 200 or 206, from wherever it led. Promises:
//! the token goes to the endpoint's scheme, host and port, and to no host of a redirect; everything
//! else that the Hub says is an error with what to do about it.

use ureq::http::HeaderMap;

use super::{HubError, HubOptions, ModelId, Reach};
use crate::http::{Client, HttpError, Response, Url};

/// The Hub, at its endpoint.
pub struct Hub {
    pub(super) options: HubOptions,
    client: Client,
    endpoint: Url,
}

/// More redirects than this lead nowhere.
const MAX_REDIRECTS: usize = 8;

impl Hub {
    /// The Hub that `options` name. Nothing is asked yet.
    ///
    /// # Errors
    /// [`HubError::Variable`] if its endpoint is no URL.
    pub fn new(options: HubOptions) -> Result<Self, HubError> {
        let wrong = |error: HttpError| HubError::Variable {
            variable: "HF_ENDPOINT",
            reason: error.to_string(),
        };
        let endpoint = Url::parse(&options.endpoint).map_err(wrong)?;
        Ok(Self { client: Client::new(options.reach != Reach::Network), endpoint, options })
    }

    /// Checks that the Hub may be asked at all.
    ///
    /// # Errors
    /// [`HubError::Offline`] with what forbids it.
    pub fn check_reach(&self, id: &ModelId) -> Result<(), HubError> {
        let forbidden = match self.options.reach {
            Reach::Network => return Ok(()),
            Reach::Loopback if self.endpoint.is_loopback() => return Ok(()),
            Reach::Loopback => "a setting of gemscope's (offline)",
            Reach::Nowhere => "HF_HUB_OFFLINE",
        };
        Err(HubError::Offline { id: id.clone(), cache: self.options.cache.clone(), forbidden })
    }

    /// The page of a model, for people.
    pub fn page(&self, id: &ModelId) -> String {
        format!("{}/{}", self.endpoint.to_string().trim_end_matches('/'), id.repository)
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, HubError> {
        Url::parse(&format!("{}{path}", self.options.endpoint)).map_err(HubError::Http)
    }

    /// Asks for `url`, from byte `from` on, and follows redirects. A response of status 200 or 206,
    /// and the URL that gave it.
    pub(super) fn get(
        &self,
        id: &ModelId,
        url: &Url,
        from: Option<u64>,
    ) -> Result<(Response, Url), HubError> {
        self.check_reach(id)?;
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = Vec::new();
            let token = self.options.token.as_ref().filter(|_| url.same_origin(&self.endpoint));
            headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
            headers.extend(from.map(|from| ("range", format!("bytes={from}-"))));
            let response = self.client.get(&url, &headers, None).map_err(HubError::Http)?;
            let status = response.status();
            if status.is_redirection() {
                let location =
                    response.headers().get("location").and_then(|location| location.to_str().ok());
                let no_hub = || HubError::NoHub {
                    url: url.to_string(),
                    reason: "a redirect to nowhere".to_owned(),
                };
                url = url.join(location.ok_or_else(no_hub)?).map_err(HubError::Http)?;
                continue;
            }
            return match status.as_u16() {
                200 | 206 => Ok((response, url)),
                status => Err(self.refused(id, &url, status, response.headers())),
            };
        }
        Err(HubError::NoHub { url: url.to_string(), reason: "redirects without end".to_owned() })
    }

    /// The error that a status other than success stands for.
    fn refused(&self, id: &ModelId, url: &Url, status: u16, headers: &HeaderMap) -> HubError {
        let header = |name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let (id, page, token) = (id.clone(), self.page(id), self.options.token.is_some());
        // Hosts of files know no models: what they refuse is theirs.
        let of_the_hub = url.same_origin(&self.endpoint);
        match (status, header("x-error-code")) {
            (401 | 403, "GatedRepo") => HubError::Gated { id, page, token },
            (401 | 404, "RepoNotFound") => HubError::NoRepository { id, page },
            (404, "RevisionNotFound") => HubError::NoRevision { id, page },
            (404, "EntryNotFound") => HubError::NoFile { id, path: url.to_string() },
            (401 | 403, _) if of_the_hub && token => HubError::Token { id, status },
            (401 | 403 | 404, _) if of_the_hub => HubError::NoRepository { id, page },
            (429, _) => {
                let asked = header("retry-after").trim().parse().ok();
                HubError::RateLimited {
                    seconds: asked.or_else(|| until_reset(header("ratelimit"))),
                }
            }
            _ => {
                let mut message: String =
                    header("x-error-message").chars().filter(|c| !c.is_control()).collect();
                message.truncate(message.floor_char_boundary(300));
                HubError::Status { url: url.to_string(), status, message }
            }
        }
    }
}

/// The seconds of a `RateLimit` header until requests are taken again: `"api";r=0;t=55`.
fn until_reset(header: &str) -> Option<u64> {
    header.split(';').find_map(|part| part.trim().strip_prefix("t=")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_says_when_requests_are_taken_again() {
        assert_eq!(until_reset("\"api\";r=0;t=55"), Some(55));
        assert_eq!(until_reset("\"resolvers\"; r = 0"), None);
        assert_eq!(until_reset(""), None);
    }
}
