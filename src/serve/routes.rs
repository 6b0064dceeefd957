//! The paths that are served.
//!
//! In: a request. Out: its response. Promises: every request is answered, also one that makes no
//! sense; an error is JSON with a sentence in it.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::reply::{Refusal, Reply, json};
use super::site::Site;
use super::{any_labeling, detect, label_studio};

/// The response to a request.
pub(super) async fn respond(site: &Arc<Site>, request: Request<Incoming>) -> Reply {
    let _answering = site.answering();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if let Err(refusal) = site.guard.admit(request.headers()) {
        return refusal.into_reply();
    }
    let reply = match (&method, path.as_str()) {
        (&Method::GET, "/" | "/health") => health(site).await,
        (&Method::GET, "/v1/models") => Ok(any_labeling::models(site)),
        // This protocol has errors of its own.
        (&Method::POST, "/v1/predict") => Ok(any_labeling::predict(site, request).await),
        (&Method::POST, "/v1/detect") => detect::detect(site, request).await,
        (&Method::POST, "/predict") => label_studio::predict(site, request).await,
        (&Method::POST, "/setup") => label_studio::setup(site, request).await,
        (&Method::GET, "/versions") => Ok(json(&json!({ "versions": [site.version()] }))),
        (&Method::POST, "/validate" | "/webhook" | "/train" | "/delete" | "/duplicate_model")
        | (&Method::GET, "/metrics") => Ok(json(&json!({}))),
        (_, path) if PATHS.contains(&path) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{path} is not asked by {method}"),
        )),
        (_, path) => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no {path} here"))),
    };
    let reply = reply.unwrap_or_else(Refusal::into_reply);
    tracing::info!(%method, path, status = reply.status().as_u16(), "request");
    reply
}

/// Every path that is served.
const PATHS: [&str; 13] = [
    "/",
    "/health",
    "/v1/models",
    "/v1/predict",
    "/v1/detect",
    "/predict",
    "/setup",
    "/versions",
    "/validate",
    "/webhook",
    "/train",
    "/delete",
    "/metrics",
];

async fn health(site: &Arc<Site>) -> Result<Reply, Refusal> {
    let shared = Arc::clone(site);
    // On another thread: the journal may be on its way to the disk.
    let counts = detect::blocking(move || (shared.queue.waiting(), shared.queue.known()));
    let (waiting, known) = counts.await?;
    Ok(json(&json!({
        "status": "UP",
        "model_class": "Gemscope",
        "model": site.model,
        "version": env!("CARGO_PKG_VERSION"),
        "waiting": waiting,
        "known": known,
    })))
}
