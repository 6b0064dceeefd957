//! `POST /predict`: the boxes of a project's tasks.
//!
//! In: tasks, and the labelling configuration of their project. Out: a prediction for each task
//! that was answered in time, in their order. Promises: a few tasks of a request are in the queue
//! at the same time, so that others are served beside it; while images of slow hosts are fetched,
//! other requests are answered; a task without an answer leaves those of the others as they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use super::super::detect::{answer_of, blocking};
use super::super::fetch::ImageSource;
use super::super::question::Question;
use super::super::queue::QueuedImage;
use super::super::reply::{Refusal, Reply, json as reply_json};
use super::super::site::{BoxFilter, ImageName, Site};
use super::account::Account;
use super::configuration::Configuration;
use super::tasks::{self, Task};
use crate::digest;
use crate::http::Url;
use crate::record::{Detection, Record};

/// Tasks of one request that are in the queue at the same time: others are served beside it.
const AT_ONCE: usize = 16;
/// How long a task waits before it tries again to get into a full queue.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// All of a request but its tasks, which are read with the configuration in hand.
#[derive(Deserialize)]
struct Predict {
    label_config: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
struct Params {
    /// The drawing of a person who waits for the answer in the editor.
    #[serde(default)]
    context: Option<IgnoredAny>,
}

/// A request whose tasks are being answered.
struct Project {
    site: Arc<Site>,
    configuration: Configuration,
    question: Arc<Question>,
    deadline: tokio::time::Instant,
}

/// The predictions for the tasks of a project.
pub(in super::super) async fn predict(
    site: &Arc<Site>,
    request: Request<Incoming>,
) -> Result<Reply, Refusal> {
    let deadline = (Instant::now() + site.answer_within).into();
    let (body, share) = site.memory.read(request).await?;
    let shared = Arc::clone(site);
    let Parsed { tasks, configuration, question, is_interactive } =
        blocking(move || parse(&shared, &body)).await??;
    // The tasks may hold whole images.
    let _share = share;
    let project = Arc::new(Project { site: Arc::clone(site), configuration, question, deadline });
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

/// A request, read.
struct Parsed {
    tasks: Vec<Task>,
    configuration: Configuration,
    question: Arc<Question>,
    is_interactive: bool,
}

fn parse(site: &Site, body: &[u8]) -> Result<Parsed, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::bad(error.to_string());
    let Predict { label_config, params } = serde_json::from_slice(body).map_err(unreadable)?;
    let configuration = Configuration::parse(&label_config).map_err(Refusal::bad)?;
    let question = site.question(Some(configuration.task()))?;
    let tasks = tasks::read(body, &configuration.field).map_err(unreadable)?;
    Ok(Parsed { tasks, configuration, question, is_interactive: params.context.is_some() })
}

impl Project {
    /// The prediction for a task.
    async fn answer(self: &Arc<Self>, task: &Task) -> Result<Value, Refusal> {
        let late = || {
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, "no answer in time: ask about fewer tasks")
        };
        // The timeout would begin with a task before it looks at the clock.
        if tokio::time::Instant::now() >= self.deadline {
            return Err(late());
        }
        let answered = timeout_at(self.deadline, self.answer_in_time(task)).await;
        answered.unwrap_or_else(|_| Err(late()))
    }

    async fn answer_in_time(self: &Arc<Self>, task: &Task) -> Result<Value, Refusal> {
        let field = &self.configuration.field;
        let image = task.image.as_deref().ok_or_else(|| {
            Refusal::bad(format!("task {} has no {field:?} with an image", task.id))
        })?;
        let image = self.image(image).await?;
        // The other tasks of the request are in front of it.
        let pending = loop {
            let (shared, image) = (Arc::clone(self), image.clone());
            // On another thread: the queue may wait for the journal.
            let submit = move || {
                let queue = &shared.site.queue;
                if queue.is_full() && !queue.is_closed() {
                    return None;
                }
                let submitted = queue.submit(image);
                (submitted.is_ok() || queue.is_closed()).then_some(submitted)
            };
            match blocking(submit).await? {
                Some(submitted) => break submitted?,
                None => sleep(RETRY_AFTER).await,
            }
        };
        drop(image);
        let record = answer_of(pending).await?;
        let filter = BoxFilter { only_asked: true, ..BoxFilter::default() };
        let shown = self.site.shown(&record, &self.question, &filter)?;
        Ok(prediction(&shown, &self.configuration, &self.site.version()))
    }

    /// The image that a field says, as the queue takes it. Its memory is reserved before it is
    /// read.
    async fn image(self: &Arc<Self>, field: &str) -> Result<QueuedImage, Refusal> {
        let (shared, field) = (Arc::clone(self), field.to_owned());
        let located = blocking(move || {
            let site = &shared.site;
            site.fetcher.locate(&field, site.images.as_deref())
        });
        let source = located.await??;
        let length = match &source {
            ImageSource::Inline(text) => text.len() as u64,
            ImageSource::File { bytes, .. } => *bytes,
            ImageSource::Web { url, account } => {
                return self.fetched(url.clone(), account.clone()).await;
            }
        };
        let share = self.site.memory.wait_for_image(length).await?;
        let shared = Arc::clone(self);
        blocking(move || {
            let bytes = source.read()?;
            let name = match source {
                ImageSource::File { name, .. } => Some(ImageName::File(name)),
                ImageSource::Inline(_) | ImageSource::Web { .. } => None,
            };
            shared.site.prepare(bytes, name, &shared.question, share)
        })
        .await?
    }

    /// An image of another host, as the queue takes it. Its size is not known before: it is one of
    /// few that are fetched at the same time.
    async fn fetched(
        self: &Arc<Self>,
        url: Url,
        account: Option<Account>,
    ) -> Result<QueuedImage, Refusal> {
        let memory = &self.site.memory;
        let slot = memory.fetch_slot().await?;
        let shared = Arc::clone(self);
        let fetched = blocking(move || {
            let site = &shared.site;
            let bytes = site.fetcher.fetch(&url, account.as_ref(), site.memory.max_bytes())?;
            // Held until the host is done, also if nobody waits for the image any more.
            Ok::<_, Refusal>((bytes, slot))
        });
        let (bytes, _slot) = fetched.await??;
        let share = memory.wait_for_image(bytes.len() as u64).await?;
        let shared = Arc::clone(self);
        blocking(move || shared.site.prepare(bytes, None, &shared.question, share)).await?
    }
}

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
