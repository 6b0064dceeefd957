//! `POST /predict`: the boxes of a project's tasks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use super::super::detect::{answer_of, blocking};
use super::super::queue::Question;
use super::super::reply::{Refusal, Reply, json as reply_json};
use super::super::site::{Looks, Site};
use super::configuration::Configuration;
use crate::digest;
use crate::record::{Detection, Record};

/// Tasks of one request that are in the queue at the same time: others are served beside it.
const AT_ONCE: usize = 16;
/// How long a task waits before it looks for room in the queue again.
const AGAIN: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Predict {
    tasks: Vec<Task>,
    label_config: String,
    #[serde(default)]
    params: Params,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    data: Map<String, Value>,
}

#[derive(Default, Deserialize)]
struct Params {
    /// What a person does in the editor, if somebody waits there.
    #[serde(default)]
    context: Value,
}

/// A request whose tasks are being answered.
struct Project {
    site: Arc<Site>,
    configuration: Configuration,
    question: Arc<Question>,
    until: tokio::time::Instant,
}

/// The predictions for the tasks of a project.
pub(in super::super) async fn predict(
    site: &Arc<Site>,
    request: Request<Incoming>,
) -> Result<Reply, Refusal> {
    let until = Instant::now() + site.longest;
    let (body, held) = site.memory.read(request).await?;
    let there = Arc::clone(site);
    let (tasks, configuration, question, is_interactive) =
        blocking(move || begin(&there, &body)).await??;
    // The tasks may hold whole images.
    let _held = held;
    let (site, until) = (Arc::clone(site), until.into());
    let project = Arc::new(Project { site, configuration, question, until });
    let count = tasks.len();
    let open = Arc::new(Mutex::new(tasks.into_iter().enumerate()));
    let mut working = JoinSet::new();
    for _ in 0..AT_ONCE.min(count) {
        let (project, open) = (Arc::clone(&project), Arc::clone(&open));
        working.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let Some((place, task)) = open.lock().await.next() else { return answers };
                answers.push((place, project.answer(&task).await));
            }
        });
    }
    let mut results = vec![None; count];
    let mut reasons = Vec::new();
    while let Some(done) = working.join_next().await {
        for (place, answer) in done.unwrap_or_default() {
            match answer {
                Ok(value) => results[place] = Some(value),
                Err(refusal) => reasons.push(refusal),
            }
        }
    }
    let answered = results.iter().filter(|result| result.is_some()).count();
    for refusal in &reasons {
        tracing::warn!(
            status = refusal.status().as_u16(),
            "a task is not answered: {}",
            refusal.why()
        );
    }
    // If not one is answered, Label Studio shows why.
    if answered == 0
        && let Some(refusal) = reasons.into_iter().next()
    {
        return Err(refusal);
    }
    let missing = if is_interactive { json!({ "result": [] }) } else { json!([]) };
    let results: Vec<Value> =
        results.into_iter().map(|result| result.unwrap_or_else(|| missing.clone())).collect();
    Ok(reply_json(&json!({ "results": results, "model_version": project.site.version() })))
}

type Begun = (Vec<Task>, Configuration, Arc<Question>, bool);

fn begin(site: &Site, body: &Bytes) -> Result<Begun, Refusal> {
    let Predict { tasks, label_config, params } =
        serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
    let configuration = Configuration::parse(&label_config).map_err(Refusal::bad)?;
    let question = site.question(Some(configuration.task()))?;
    Ok((tasks, configuration, question, params.context.is_object()))
}

impl Project {
    /// The prediction for a task.
    async fn answer(self: &Arc<Self>, task: &Task) -> Result<Value, Refusal> {
        let late = || {
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, "no answer in time: ask about fewer tasks")
        };
        let answered = timeout_at(self.until, self.answer_in_time(task)).await;
        answered.unwrap_or_else(|_| Err(late()))
    }

    async fn answer_in_time(self: &Arc<Self>, task: &Task) -> Result<Value, Refusal> {
        let field = &self.configuration.field;
        let said = task.data.get(field).and_then(Value::as_str);
        let said = said.ok_or_else(|| {
            Refusal::bad(format!("task {} has no {field:?} with an image", task.id))
        })?;
        let most = self.site.memory.most();
        // As long as its size is not known, it counts as a usual one.
        let held = self.site.memory.wait(most.min(USUAL)).await?;
        let (there, said) = (Arc::clone(self), said.to_owned());
        let asked = blocking(move || {
            let site = &there.site;
            let fetched = site.fetcher.get(&said, site.images.as_deref(), most)?;
            site.prepare(fetched.bytes, fetched.name, &there.question, held)
        });
        let asked = asked.await??;
        // The other tasks of the request are in front of it.
        let waiting = loop {
            if self.site.queue.is_full() && !self.site.queue.is_closed() {
                sleep(AGAIN).await;
                continue;
            }
            let (there, asked) = (Arc::clone(self), asked.clone());
            match blocking(move || there.site.queue.ask(asked)).await? {
                Ok(waiting) => break waiting,
                Err(_) if !self.site.queue.is_closed() => sleep(AGAIN).await,
                Err(refusal) => return Err(refusal),
            }
        };
        drop(asked);
        let record = answer_of(waiting).await?;
        let looks = Looks { only_asked: true, ..Looks::default() };
        let shown = self.site.shown(&record, &self.question, &looks)?;
        Ok(prediction(&shown, &self.configuration, &self.site.version()))
    }
}

/// Bytes of a usual image.
const USUAL: u64 = 8 << 20;

/// A prediction as Label Studio reads it: per cent of the upright image.
fn prediction(record: &Record, configuration: &Configuration, version: &str) -> Value {
    let known = |found: &&Detection| configuration.labels.contains(&found.label);
    let found: Vec<&Detection> = record.detections.iter().filter(known).collect();
    let scores: Option<Vec<f64>> = found.iter().map(|found| found.score).collect();
    let score = scores
        .filter(|scores| !scores.is_empty())
        .map(|scores| scores.iter().sum::<f64>() / scores.len() as f64);
    let per_cent = |pixels: f64, size: u32| 100.0 * pixels / f64::from(size.max(1));
    let (width, height) = (record.width, record.height);
    let region = |(index, found): (usize, &&Detection)| {
        let bbox = &found.bbox;
        let mut region = json!({
            "id": format!("{:016x}-{index}", digest::number(&record.image)),
            "from_name": configuration.from_name,
            "to_name": configuration.to_name,
            "type": "rectanglelabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": per_cent(bbox.x0, width),
                "y": per_cent(bbox.y0, height),
                "width": per_cent(bbox.width(), width),
                "height": per_cent(bbox.height(), height),
                "rotation": 0,
                "rectanglelabels": [found.label],
            },
        });
        if let Some(score) = found.score {
            region["score"] = score.into();
        }
        region
    };
    let regions: Vec<Value> = found.iter().enumerate().map(region).collect();
    let mut prediction = json!({ "model_version": version, "result": regions });
    if let Some(score) = score {
        prediction["score"] = score.into();
    }
    prediction
}
