//! `POST /v1/detect`: one image, one record.
//!
//! In: an image as the body, with the question in the address; or JSON with an image in Base64, or
//! with the path of one. Out: a line of `detections.jsonl`. Promises: an unknown setting is an
//! error that names it; a path never leads out of the folder of images; the memory of a file is
//! reserved before it is read.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::memory::Share;
use super::pictures::{decoded, file_of_folder};
use super::question::{Labels, Question};
use super::queue::PendingAnswer;
use super::reply::{Refusal, Reply, of_text};
use super::site::{BoxFilter, ImageName, Site};
use crate::export::jsonl_line;
use crate::percent;
use crate::record::Task;
use crate::source::{leads_out, path_of};

/// What a request says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Base64, or a `data:` URL.
    image: Option<String>,
    /// Relative to the folder of images.
    path: Option<String>,
    /// The image's name in the journal.
    name: Option<String>,
    labels: Option<Labels>,
    phrase: Option<String>,
    prompt: Option<String>,
    min_score: Option<f64>,
    nms: Option<f64>,
}

/// An image in the queue, and what is wanted of its answer.
struct Submitted {
    pending: PendingAnswer,
    question: Arc<Question>,
    filter: BoxFilter,
}

pub(super) async fn detect(site: &Arc<Site>, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (body, share) = site.memory.read(request).await?;
    let shared = Arc::clone(site);
    let submitted = blocking(move || submit(&shared, &query, body, is_json, share)).await??;
    let Submitted { pending, question, filter } = submitted;
    let record = answer_of(pending).await?;
    let shown = site.shown(&record, &question, &filter)?;
    let line = jsonl_line(&shown).map_err(|error| failed(&error))?;
    Ok(of_text(StatusCode::OK, line.into_bytes()))
}

fn failed(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Does what takes a while on another thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
}

/// The answer of the queue.
pub(super) async fn answer_of(
    pending: PendingAnswer,
) -> Result<Arc<crate::record::Record>, Refusal> {
    pending.await.unwrap_or_else(|_| Err(Refusal::busy("the server ends")))
}

/// Puts the image of a request into the queue. `share` is the memory of its body.
fn submit(
    site: &Site,
    query: &str,
    body: Vec<u8>,
    is_json: bool,
    share: Share,
) -> Result<Submitted, Refusal> {
    let settings = if is_json {
        serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?
    } else {
        of_query(query)?
    };
    let Settings { image, path, name, labels, phrase, prompt, min_score, nms } = settings;
    let question = site.question(task_of(labels, phrase, prompt)?)?;
    for (setting, value) in [("min_score", min_score), ("nms", nms)] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(Refusal::bad(format!("{setting} is from 0 to 1")));
        }
    }
    let name = name.map(ImageName::Given);
    let (bytes, name, share) = match (image, path) {
        (Some(_), Some(_)) => return Err(Refusal::bad("image and path exclude each other")),
        (Some(image), None) => {
            // The text is not needed any more.
            drop(body);
            (decoded(&image)?, name, share)
        }
        (None, Some(path)) => {
            let (file, length) = file_of_folder(site.images.as_deref(), &path)?;
            let share = site.memory.reserve_image(length)?;
            let bytes = crate::files::read(&file, length)
                .map_err(|error| Refusal::bad(format!("{path} cannot be read: {error}")))?;
            (bytes, name.or(Some(ImageName::File(path))), share)
        }
        (None, None) if is_json => {
            return Err(Refusal::bad("there is no image: say image (Base64) or path"));
        }
        (None, None) if body.is_empty() => {
            return Err(Refusal::bad("there is no image: send its file as the body, or JSON"));
        }
        (None, None) => (body, name, share),
    };
    if let Some(ImageName::Given(name) | ImageName::File(name)) = &name {
        check_name(name)?;
    }
    let pending = site.submit(bytes, name, &question, share)?;
    Ok(Submitted { pending, question, filter: BoxFilter { min_score, nms, only_asked: false } })
}

/// The settings in an address: `labels=cat,dog&min_score=0.3`.
fn of_query(query: &str) -> Result<Settings, Refusal> {
    let mut settings = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = String::from_utf8(percent::decoded(&value.replace('+', " ")))
            .map_err(|_| Refusal::bad(format!("{key} is no UTF-8")))?;
        let number = text.parse::<f64>().ok().filter(|_| matches!(key, "min_score" | "nms"));
        settings.insert(key.to_owned(), number.map_or(Value::String(text), Value::from));
    }
    serde_json::from_value(settings.into()).map_err(|error| Refusal::bad(error.to_string()))
}

fn task_of(
    labels: Option<Labels>,
    phrase: Option<String>,
    prompt: Option<String>,
) -> Result<Option<Task>, Refusal> {
    let Labels(labels) = labels.unwrap_or_default();
    let phrase = phrase.map(|phrase| phrase.trim().to_owned()).filter(|phrase| !phrase.is_empty());
    match (prompt.filter(|prompt| !prompt.trim().is_empty()), phrase) {
        (Some(_), Some(_)) => Err(Refusal::bad("prompt and phrase exclude each other")),
        (None, Some(_)) if !labels.is_empty() => {
            Err(Refusal::bad("labels and phrase exclude each other"))
        }
        (Some(text), None) => Ok(Some(Task::Prompt { text, labels })),
        (None, Some(phrase)) => Ok(Some(Task::Phrase(phrase))),
        (None, None) => Ok((!labels.is_empty()).then_some(Task::Labels(labels))),
    }
}

/// Whether a name may stand in the journal: exports make files of it.
fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = !name.is_empty() && name.len() <= 1000 && !name.chars().any(char::is_control);
    if plain && !leads_out(&path_of(name)) {
        Ok(())
    } else {
        Err(Refusal::bad(format!("{name:?} is no name of an image: a relative path, as a/b.jpg")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_a_body_of_json_says() {
        let settings = of_query("labels=red+circle,star&min_score=0.3&name=a%2Fb.png").unwrap();
        assert_eq!((settings.min_score, settings.name.as_deref()), (Some(0.3), Some("a/b.png")));
        let task = task_of(settings.labels, None, None).unwrap().unwrap();
        assert_eq!(task, Task::Labels(vec!["red circle".into(), "star".into()]));
        for (query, says) in [("lables=a", "lables"), ("min_score=much", "min_score")] {
            let refusal = of_query(query).unwrap_err();
            assert!(refusal.why().contains(says) || says == "min_score", "{}", refusal.why());
        }
        assert!(task_of(None, Some("a".into()), Some("b".into())).is_err());
        assert_eq!(task_of(None, Some(" ".into()), None).unwrap(), None);
        assert!(check_name("a/b.png").is_ok() && check_name("../b.png").is_err());
    }
}
