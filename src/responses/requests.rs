//! Requests, which responses belong to.
//!
//! In: the input file of a batch (`custom_id` and `body`, with the image as a `file://` URL or a
//! path), or own objects `{"custom_id": …, "image": …, "question": …}`. Out: of each `custom_id`,
//! the image and the question. Promises: no `custom_id` has two meanings; every error names the
//! line.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;

use serde_json::{Map, Value};

use super::documents::Documents;
use super::{ResponsesError, body};
use crate::files;

/// The question about one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The image's name or path; absent if its bytes are in the request.
    pub image: Option<String>,
    /// The text of the question.
    pub question: Option<String>,
}

/// The requests of a file, by their `custom_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    by_id: HashMap<String, Request>,
    /// Each `custom_id` once, in the order of the file.
    order: Vec<String>,
}

impl Requests {
    /// Reads the requests in `path`.
    ///
    /// # Errors
    /// [`ResponsesError::Io`], [`ResponsesError::Request`].
    pub fn read(path: &Path) -> Result<Self, ResponsesError> {
        let io = |error| ResponsesError::Io { path: path.to_owned(), error };
        let mut requests = Self::default();
        let mut lines: HashMap<String, usize> = HashMap::new();
        for document in
            Documents::new(BufReader::new(files::open(path).map_err(io)?)).map_err(io)?
        {
            let document = document.map_err(io)?;
            let line = document.line;
            let problem =
                |problem: String| ResponsesError::Request { path: path.to_owned(), line, problem };
            let object = document.object.map_err(|error| problem(error.to_string()))?;
            let (custom_id, request) = request(&object).map_err(problem)?;
            match requests.by_id.get(&custom_id) {
                Some(earlier) if *earlier != request => {
                    let line = lines[&custom_id];
                    return Err(problem(format!(
                        "{custom_id} was asked about something else in line {line}"
                    )));
                }
                Some(_) => {}
                None => {
                    lines.insert(custom_id.clone(), line);
                    requests.order.push(custom_id.clone());
                    requests.by_id.insert(custom_id, request);
                }
            }
        }
        Ok(requests)
    }

    /// The request of that name.
    pub fn get(&self, custom_id: &str) -> Option<&Request> {
        self.by_id.get(custom_id)
    }

    /// Every request with its `custom_id`, in the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Request)> {
        self.order.iter().map(|custom_id| (custom_id.as_str(), &self.by_id[custom_id]))
    }
}

fn request(object: &Map<String, Value>) -> Result<(String, Request), String> {
    let custom_id = match object.get("custom_id") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err("a request without custom_id".to_owned()),
    };
    let text = |key| body::text(object, key).map(str::to_owned);
    let mut request =
        Request { image: text("image"), question: text("question").or_else(|| text("prompt")) };
    let Some(content) = object.get("body").and_then(Value::as_object) else {
        return match request.image {
            Some(_) => Ok((custom_id, request)),
            None => {
                Err(format!("{custom_id}: names no image (image), and has no body of a request"))
            }
        };
    };
    let mut asked = Asked::default();
    for key in ["messages", "input"] {
        for message in content.get(key).and_then(Value::as_array).into_iter().flatten() {
            if message.get("role").and_then(Value::as_str).is_none_or(|role| role == "user") {
                asked.take(message.get("content").unwrap_or(&Value::Null));
            }
        }
    }
    asked.texts.extend(body::text(content, "prompt").or_else(|| body::text(content, "input")));
    if let (None, [first, rest @ ..]) = (&request.image, &asked.images[..]) {
        if rest.iter().any(|image| image != first) {
            return Err(format!(
                "{custom_id}: shows {} images, and image does not say which one counts",
                asked.images.len()
            ));
        }
        request.image = Some((*first).to_owned());
    }
    if request.question.is_none() && !asked.texts.is_empty() {
        request.question = Some(asked.texts.join("\n"));
    }
    Ok((custom_id, request))
}

/// The contents of the user's messages.
#[derive(Default)]
struct Asked<'v> {
    texts: Vec<&'v str>,
    /// Paths and URLs of files; not images that are part of the request, or lie on a server.
    images: Vec<&'v str>,
}

impl<'v> Asked<'v> {
    fn take(&mut self, content: &'v Value) {
        self.texts.extend(content.as_str());
        for part in content.as_array().into_iter().flatten() {
            self.texts.extend(part.get("text").and_then(Value::as_str));
            let image = part.get("image_url").or_else(|| part.get("image"));
            let url = image.and_then(|image| image.as_str().or_else(|| image.get("url")?.as_str()));
            let elsewhere = |url: &&str| {
                ["data:", "http://", "https://"].iter().any(|scheme| begins(url, scheme))
            };
            self.images.extend(url.filter(|url| !elsewhere(url)));
        }
    }
}

fn begins(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Requests, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("requests");
        std::fs::write(&path, text).unwrap();
        Requests::read(&path)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "requests"))
    }

    #[test]
    fn a_batch_says_which_image_was_shown_and_what_was_asked() {
        let chat = |id: &str, url: &str| {
            format!(
                r#"{{"custom_id":"{id}","method":"POST","url":"/v1/chat/completions",
                "body":{{"model":"m","messages":[{{"role":"system","content":"be brief"}},
                {{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}},
                {{"type":"text","text":"detect cat"}}]}}]}}}}"#
            )
            .replace('\n', "")
        };
        let own = r#"{"custom_id":4,"image":"d.jpg","prompt":"detect dog"}"#;
        let responses = r#"{"custom_id":"5","body":{"input":[{"role":"user","content":[{"type":"input_text","text":"detect cat"},
            {"type":"input_image","image_url":"e.jpg"}]}]}}"#;
        let text = [
            &chat("1", "file:///photos/a.jpg"),
            &chat("2", "data:image/png;base64,AAAA"),
            &chat("1", "file:///photos/a.jpg"),
            own,
            responses,
        ]
        .map(str::to_owned)
        .join("\n");
        let requests = read(&text).unwrap();
        let request = |image: Option<&str>, question: &str| Request {
            image: image.map(str::to_owned),
            question: Some(question.to_owned()),
        };
        assert_eq!(requests.get("1"), Some(&request(Some("file:///photos/a.jpg"), "detect cat")));
        assert_eq!(requests.get("2"), Some(&request(None, "detect cat")));
        assert_eq!(requests.get("4"), Some(&request(Some("d.jpg"), "detect dog")));
        assert_eq!(requests.get("5"), Some(&request(Some("e.jpg"), "detect cat")));
        assert_eq!(requests.get("3"), None);
    }

    #[test]
    fn errors_name_the_line() {
        let line = r#"{"custom_id":"1","image":"a.jpg"}"#;
        for (text, says) in [
            (format!("{line}\n{{\"custom_id\":\"1\",\"image\":\"b.jpg\"}}"), "requests:2: 1 was \
                asked about something else in line 1"),
            (format!("{line}\n{{\"image\":\"b.jpg\"}}"), "requests:2: a request without custom_id"),
            ("{\"custom_id\":\"1\"}".to_owned(), "requests:1: 1: names no image"),
            ("nonsense".to_owned(), "requests:1: not a JSON object"),
            (
                r#"{"custom_id":"1","body":{"messages":[{"role":"user","content":[{"image_url":{"url":"a"}},{"image_url":{"url":"b"}}]}]}}"#
                    .to_owned(),
                "requests:1: 1: shows 2 images",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
