//! Label Studio's ML backend.
//!
//! In: `POST /setup` and `POST /predict` with a project's labelling configuration and tasks. Out:
//! predictions, one entry a task in their order. Promises: labels, names of tags and the field of
//! the image are those of the configuration; an entry without an answer in time is an empty list,
//! which Label Studio passes over and asks about again; nothing that it did not ask for is fetched.
//!
//! The formats are those of label-studio 1.23 (`ml/api_connector.py`, `ml/models.py`).

mod account;
mod configuration;
mod predict;
mod tasks;

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::detect::blocking;
use super::reply::{Refusal, Reply, json as reply_json};
use super::site::Site;
pub(super) use account::{Account, Accounts};
use configuration::Configuration;
pub(super) use predict::predict;

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
    let (body, share) = site.memory.read(request).await?;
    let shared = Arc::clone(site);
    blocking(move || {
        let _share = share;
        set_up(&shared, &body)
    })
    .await??;
    Ok(reply_json(&json!({ "model_version": site.version() })))
}

fn set_up(site: &Site, body: &[u8]) -> Result<(), Refusal> {
    let Setup { schema, hostname, access_token } =
        serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
    site.fetcher.accounts.learn(&hostname, &access_token);
    // A project that is being made has no configuration yet.
    if !schema.trim().is_empty() {
        let configuration = Configuration::parse(&schema).map_err(Refusal::bad)?;
        site.question(Some(configuration.task()))?;
    }
    Ok(())
}
