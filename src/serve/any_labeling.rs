//! X-AnyLabeling's remote protocol.
//!
//! In: `GET /v1/models`, and `POST /v1/predict` with an image and a text prompt. Out: what the
//! desktop program shows: a model with a field for text, and rectangles with four corners in pixels
//! of the upright image. Promises: a prompt is labels, separated by `.` or `,`; an error is as the
//! protocol has it: status 200, `success` false, a sentence, and no shapes that would replace those
//! that are there; a full queue is a 503.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::detect::{answer_of, blocking};
use super::memory::Share;
use super::pictures::decoded;
use super::question::Question;
use super::queue::PendingAnswer;
use super::reply::{Refusal, Reply, json as reply_json, json_with};
use super::site::{BoxFilter, Site};
use crate::record::{Record, Task, distinct};

/// The model's name in the protocol.
const MODEL: &str = "gemscope";

#[derive(Deserialize)]
struct Predict {
    model: String,
    image: String,
    #[serde(default)]
    params: Params,
}

/// What the program says beside the image. It has more, of other kinds of models.
#[derive(Default, Deserialize)]
struct Params {
    text_prompt: Option<String>,
    conf_threshold: Option<f64>,
    iou_threshold: Option<f64>,
    current_task: Option<String>,
}

/// The models that the program can choose.
pub(super) fn models(site: &Site) -> Reply {
    let widgets = json!({
        "edit_text": { "placeholder": "cat, dog" },
        "button_send": {},
        "edit_conf": {},
        "toggle_preserve_existing_annotations": {},
    });
    let task = json!({
        "id": "detection",
        "name": "Detection",
        "description": "Finds what the text names; commas separate labels",
        "batch_processing_mode": "text_prompt",
        "active_widgets": widgets,
    });
    let model = json!({
        "display_name": format!("Gemscope ({})", site.model),
        "widgets": [
            { "name": "remote_task_select_combobox", "value": null },
            { "name": "edit_text", "value": null, "placeholder": "cat, dog" },
            { "name": "button_send", "value": null },
            { "name": "edit_conf", "value": 0.0 },
            { "name": "toggle_preserve_existing_annotations", "value": false },
        ],
        "params": {},
        "batch_processing_mode": "text_prompt",
        "available_tasks": [task],
    });
    reply_json(&json!({ "success": true, "data": { MODEL: model } }))
}

/// The shapes of an image.
pub(super) async fn predict(site: &Arc<Site>, request: Request<Incoming>) -> Reply {
    match predicted(site, request).await {
        Ok(data) => reply_json(&json!({ "success": true, "data": data })),
        Err(refusal) => {
            let status = match refusal.status() {
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::PAYLOAD_TOO_LARGE => refusal.status(),
                _ => StatusCode::OK,
            };
            let code = refusal.status().canonical_reason().unwrap_or("error").to_owned();
            let error = json!({ "code": code, "message": refusal.why() });
            // The program looks for `data` before it looks at `success`.
            let none = json!({ "shapes": [], "description": "", "replace": false });
            let body = json!({ "success": false, "error": error, "data": none });
            let mut reply = json_with(status, &body);
            refusal.mark(&mut reply);
            reply
        }
    }
}

async fn predicted(site: &Arc<Site>, request: Request<Incoming>) -> Result<Value, Refusal> {
    let (body, share) = site.memory.read(request).await?;
    let shared = Arc::clone(site);
    let (pending, question, filter) = blocking(move || submit(&shared, &body, share)).await??;
    let record = answer_of(pending).await?;
    let shown = site.shown(&record, &question, &filter)?;
    Ok(json!({ "shapes": shapes(&shown), "description": "", "replace": null }))
}

/// Puts the image of a request into the queue.
fn submit(
    site: &Site,
    body: &[u8],
    share: Share,
) -> Result<(PendingAnswer, Arc<Question>, BoxFilter), Refusal> {
    let Predict { model, image, params } =
        serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
    if model != MODEL {
        return Err(Refusal::bad(format!("there is no model {model:?} here, only {MODEL:?}")));
    }
    if let Some(task) = params.current_task.filter(|task| task != "detection") {
        return Err(Refusal::bad(format!("there is no task {task:?} here, only \"detection\"")));
    }
    let labels = params.text_prompt.as_deref().unwrap_or_default();
    let labels = distinct(labels.split([',', '.', '\n']));
    let task = (!labels.is_empty()).then_some(Task::Labels(labels));
    let question = site.question(task).map_err(|refusal| {
        Refusal::new(refusal.status(), format!("{} (the field for text)", refusal.why()))
    })?;
    // The program sends 0 for a field that it does not show.
    let set = |share: Option<f64>| share.filter(|share| *share > 0.0 && *share <= 1.0);
    let (min_score, nms) = (set(params.conf_threshold), set(params.iou_threshold));
    let pending = site.submit(decoded(&image)?, None, &question, share)?;
    Ok((pending, question, BoxFilter { min_score, nms, only_asked: false }))
}

/// The boxes of a record as rectangles.
fn shapes(record: &Record) -> Vec<Value> {
    let shape = |found: &crate::record::Detection| {
        let (x0, y0, x1, y1) = (found.bbox.x0, found.bbox.y0, found.bbox.x1, found.bbox.y1);
        json!({
            "label": found.label,
            "shape_type": "rectangle",
            "points": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]],
            "score": found.score.filter(|score| (0.0..=1.0).contains(score)),
        })
    };
    record.detections.iter().map(shape).collect()
}
