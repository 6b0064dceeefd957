//! The files of a repository.
//!
//! In: the name of a model. Out: its commit, and its files with sizes and hashes. Promises: the
//! token goes to the endpoint alone; every path stays inside the model's folder.

use serde::Deserialize;
use serde_json::Value;

use super::client::Hub;
use super::name::{is_commit, is_hex};
use super::retry::pause;
use super::{FetchObserver, FileHash, HubError, ModelId};
use crate::http::Url;
use crate::percent;

/// The files of a repository in one revision.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Listing {
    /// The model that was asked for.
    pub id: ModelId,
    /// The commit that its revision is now: 40 hex digits.
    pub commit: String,
    /// The files, by path.
    pub files: Vec<HubFile>,
}

/// A file of a repository.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HubFile {
    /// Its path in the repository, with `/` between folders.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Its hash.
    pub hash: FileHash,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// A repository with more pages than this is no model.
const MAX_PAGES: usize = 1000;
/// Nor is one with more files.
const MAX_FILES: usize = 100_000;
/// No file has more bytes.
const MAX_BYTES_OF_FILE: u64 = 1 << 50;

impl Hub {
    /// The files of a repository as they are now.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn listing(&self, id: &ModelId, observer: &dyn FetchObserver) -> Result<Listing, HubError> {
        let repository = id.repository.as_str();
        let asked = self.url(&format!(
            "/api/models/{repository}/revision/{}",
            percent::segment(id.revision())
        ))?;
        let (answer, _) = self.json(id, &asked, observer)?;
        let commit = answer["sha"].as_str().filter(|sha| is_commit(sha)).ok_or_else(|| {
            HubError::NoHub { url: asked.to_string(), reason: "it names no commit".to_owned() }
        })?;
        let mut files = Vec::new();
        let mut page =
            Some(self.url(&format!("/api/models/{repository}/tree/{commit}?recursive=true"))?);
        let mut pages = 0;
        while let Some(url) = page {
            let (answer, next) = self.json(id, &url, observer)?;
            let no_list = |error: serde_json::Error| HubError::NoHub {
                url: url.to_string(),
                reason: error.to_string(),
            };
            let entries: Vec<Entry> = serde_json::from_value(answer).map_err(no_list)?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                files.push(entry.file(id, &url)?);
            }
            let endless = || HubError::NoHub {
                url: url.to_string(),
                reason: "its list of files has no end".to_owned(),
            };
            pages += 1;
            if pages > MAX_PAGES || files.len() > MAX_FILES || next.as_ref() == Some(&url) {
                return Err(endless());
            }
            page = next;
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Listing { id: id.clone(), commit: commit.to_owned(), files })
    }

    /// The JSON at `url`, and the address of its next page.
    fn json(
        &self,
        id: &ModelId,
        url: &Url,
        observer: &dyn FetchObserver,
    ) -> Result<(Value, Option<Url>), HubError> {
        const MAX_BYTES: u64 = 64 << 20;
        let mut failures = 0;
        let (mut response, from) = loop {
            let error = match self.get(id, url, None) {
                Ok(response) => break response,
                // Without a network, fail at once.
                Err(error @ HubError::Http(_)) => return Err(error),
                Err(error) => error,
            };
            failures += 1;
            let Some(wait) = pause(&error, failures) else { return Err(error) };
            observer.say(&format!("The Hub asks to wait {} seconds.", wait.as_secs()));
            std::thread::sleep(wait);
        };
        let no_hub = |reason: String| HubError::NoHub { url: url.to_string(), reason };
        let next = response.headers().get("link").and_then(|link| next_page(link.to_str().ok()?));
        let next = next.map(|next| from.join(&next)).transpose().map_err(HubError::Http)?;
        let body = response.body_mut().with_config().limit(MAX_BYTES).read_to_vec();
        let body = body.map_err(|error| no_hub(error.to_string()))?;
        let answer = serde_json::from_slice(&body).map_err(|_| {
            let text =
                String::from_utf8_lossy(&body[..body.len().min(512)]).trim_start().to_lowercase();
            no_hub(
                if text.starts_with('<') { "a web page and no JSON" } else { "no JSON" }.to_owned(),
            )
        })?;
        Ok((answer, next))
    }
}

impl Entry {
    fn file(self, id: &ModelId, url: &Url) -> Result<HubFile, HubError> {
        let Self { path, size, oid, lfs, .. } = self;
        // Windows would read `\` and `:` as parts of a path.
        let inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !path.contains(['\\', ':'])
            && !path.contains(char::is_control);
        if !inside {
            return Err(HubError::Path { id: id.clone(), path });
        }
        let (size, hash) = match lfs {
            Some(Lfs { oid, size }) if is_hex(&oid, 64) => (size, FileHash::Sha256(oid)),
            None if is_hex(&oid, 40) => (size, FileHash::Git(oid)),
            _ => {
                let reason = format!("it gives no hash of {path}");
                return Err(HubError::NoHub { url: url.to_string(), reason });
            }
        };
        if size > MAX_BYTES_OF_FILE {
            let reason = format!("it gives {path} a size of {size} bytes");
            return Err(HubError::NoHub { url: url.to_string(), reason });
        }
        Ok(HubFile { path, size, hash })
    }
}

/// The URL that a `Link` header gives as `rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_that_of_the_link() {
        assert_eq!(
            next_page("<https://h/a?cursor=x>; rel=\"next\"").as_deref(),
            Some("https://h/a?cursor=x")
        );
        assert_eq!(next_page("</p>; rel=\"prev\", </n>; rel=\"next\"").as_deref(), Some("/n"));
        assert_eq!(next_page("</p>; rel=\"prev\""), None);
    }
}
