//! Label Studio's ML backend.
//!
//! In: `POST /setup` and `POST /predict` with a project's labelling configuration and tasks. Out:
//! predictions, one entry a task in their order. Promises: labels, names of tags and the field of
//! the image are those of the configuration; an entry without an answer in time is an empty list,
//! which Label Studio passes over and asks about again; nothing that it did not ask for is fetched.
//!
//! The formats are those of label-studio 1.23 (`ml/api_connector.py`, `ml/models.py`).

mod configuration;
mod images;
mod predict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;
use serde_json::json;

use super::detect::blocking;
use super::reply::{Refusal, Reply, json as reply_json};
use super::site::Site;
use configuration::Configuration;
use images::Fetcher;
pub(super) use predict::predict;

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

/// The same, ready to be used.
pub(super) struct LabelStudio {
    fetcher: Arc<Fetcher>,
    longest: Duration,
}

impl LabelStudio {
    pub(super) fn new(options: LabelStudioOptions, offline: bool) -> Self {
        let longest = options.longest;
        Self { fetcher: Arc::new(Fetcher::new(options, offline)), longest }
    }
}

#[derive(Deserialize)]
struct Setup {
    #[serde(default)]
    schema: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    access_token: String,
}

impl Site {
    /// What Label Studio calls the version of a model: tasks with predictions of it are not asked
    /// about again.
    pub(super) fn version(&self) -> String {
        format!("gemscope {}", self.model)
    }
}

/// Answers whether a project can be served.
pub(super) async fn setup(site: &Arc<Site>, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (body, held) = site.memory.read(request).await?;
    let there = Arc::clone(site);
    blocking(move || {
        let _held = held;
        set_up(&there, &body)
    })
    .await??;
    Ok(reply_json(&json!({ "model_version": site.version() })))
}

fn set_up(site: &Site, body: &Bytes) -> Result<(), Refusal> {
    let Setup { schema, hostname, access_token } =
        serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
    site.label_studio.fetcher.learn(&hostname, &access_token);
    // A project that is being made has no configuration yet.
    if !schema.trim().is_empty() {
        let configuration = Configuration::parse(&schema).map_err(Refusal::bad)?;
        site.question(Some(configuration.task()))?;
    }
    Ok(())
}
