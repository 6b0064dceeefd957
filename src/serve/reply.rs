//! Responses, and the refusals that become some.
//!
//! In: a value, bytes, or a [`Refusal`]. Out: a whole response with its headers. Promises: an error
//! is JSON with a sentence; a connection whose body was not read is closed.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

/// A whole response.
pub(super) type Reply = Response<Full<Bytes>>;

/// Why a request is not answered: a status, and a sentence.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// 400: it is the request's own fault.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// 503: later it may be answered.
    pub(super) fn busy(why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn why(&self) -> &str {
        &self.why
    }

    pub(super) fn into_reply(self) -> Reply {
        let mut reply = json_with(self.status, &json!({ "error": self.why }));
        self.mark(&mut reply);
        reply
    }

    /// The headers that go with its status.
    pub(super) fn mark(&self, reply: &mut Reply) {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            reply.headers_mut().insert(RETRY_AFTER, "1".parse().unwrap_or(CLOSE));
        }
        // Its body was not read; and who may not ask gets one reply a connection.
        let ends = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        if ends.contains(&self.status) {
            reply.headers_mut().insert(CONNECTION, CLOSE);
        }
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A body of JSON.
pub(super) fn json(value: &impl Serialize) -> Reply {
    json_with(StatusCode::OK, value)
}

pub(super) fn json_with(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(text) => of_text(status, text),
        Err(error) => of_text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
    }
}

/// A body that is JSON already.
pub(super) fn of_text(status: StatusCode, text: Vec<u8>) -> Reply {
    of_bytes(status, "application/json", text)
}

/// A body of this media type.
pub(super) fn of_bytes(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Reply {
    of_body(status, kind, Bytes::from(bytes))
}

/// A body of this media type that is held by its owner until it is sent.
pub(super) fn of_owner(kind: &'static str, owner: impl AsRef<[u8]> + Send + 'static) -> Reply {
    of_body(StatusCode::OK, kind, Bytes::from_owner(owner))
}

fn of_body(status: StatusCode, kind: &'static str, bytes: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
