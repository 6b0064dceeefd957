//! Why a server cannot be used, or has no answer.

use thiserror::Error;

use crate::http::HttpError;

/// So many names of models are shown.
const MAX_LISTED: usize = 20;

/// Why a server cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Not an address.
    #[error("the server's address: {reason}")]
    Address {
        /// Why.
        reason: String,
    },
    /// It is not reached, or the network is forbidden.
    #[error("the server: {0}")]
    Http(HttpError),
    /// It does not answer as a server of models does.
    #[error("{url} answers, and not as a server of models: {reason}")]
    NoServer {
        /// Its path.
        url: String,
        /// Its message.
        reason: String,
    },
    /// It redirects.
    #[error(
        "the server leads to {to}, and is not followed there: name that address, if it is the \
         right one"
    )]
    Elsewhere {
        /// The folder.
        to: String,
    },
    /// It wants a key, or another one.
    #[error(
        "the server {} (status {status}); GEMSCOPE_SERVER_KEY or OPENAI_API_KEY in the \
         environment holds one",
        if *given { "refuses the key" } else { "wants a key" }
    )]
    Key {
        /// An error of HTTP.
        status: u16,
        /// Whether one was sent.
        given: bool,
    },
    /// It was said to be of another kind.
    #[error(
        "this is {found}, and is asked as such: as {asked} it puts the picture and the question \
         apart"
    )]
    OtherKind {
        /// The message.
        asked: &'static str,
        /// Its name.
        found: &'static str,
    },
    /// No such model.
    #[error("the server has no model{}; {}", asked_for(asked), models(there))]
    NoModel {
        /// The name that was asked for.
        asked: String,
        /// The models that are there.
        there: Vec<String>,
    },
    /// Several models, and none was named.
    #[error("the server has several models, and one has to be named: {}", listed(there))]
    SeveralModels {
        /// Their names.
        there: Vec<String>,
    },
    /// It sees nothing.
    #[error("{model} takes no pictures on this server{hint}")]
    Blind {
        /// The model.
        model: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The first request was refused.
    #[error("the server refuses a picture with a question: {0}")]
    Refused(String),
    /// The first request had no answer.
    #[error("{0}")]
    Unanswered(String),
    /// Thoughts were asked for.
    #[error("{0} cannot be told to think: its API has no word for it")]
    NoThoughts(&'static str),
    /// Answers were to be held to a list of boxes.
    #[error("this server does not hold answers to a list of boxes: {reason}")]
    NoConstraint {
        /// Its message.
        reason: String,
    },
    /// Ratings are made of probabilities.
    #[error("this server gives no probabilities of tokens, and ratings are made of them: {reason}")]
    NoProbabilities {
        /// The missing feature.
        reason: String,
    },
    /// The lines around an image belong to the template, which is the server's.
    #[error("lines around the image are written by the server's own chat template")]
    ImageLines,
}

// No source: the words of an error stand in the server's.
impl From<HttpError> for ServerError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

fn asked_for(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" {name:?}") }
}

fn models(there: &[String]) -> String {
    if there.is_empty() { "it lists none".to_owned() } else { format!("it has {}", listed(there)) }
}

/// The first of these names, on one line.
fn listed(names: &[String]) -> String {
    let shown = |name: &String| name.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut all: Vec<String> = names.iter().take(MAX_LISTED).map(shown).collect();
    if names.len() > MAX_LISTED {
        all.push(format!("and {} more", names.len() - MAX_LISTED));
    }
    all.join(", ")
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The caller does not want it any more.
    #[error("cancelled")]
    Cancelled,
    /// This question alone has none.
    #[error("{0}")]
    View(String),
    /// No question would have one: the server is gone, or refuses all.
    #[error("{0}")]
    Server(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_bounds_and_on_one_line() {
        let there = (0..100_000).map(|index| format!("m{index}\nx")).collect();
        let said = ServerError::SeveralModels { there }.to_string();
        assert!(said.contains("m0 x, m1 x") && said.ends_with("m19 x, and 99980 more"), "{said}");
        let none = ServerError::NoModel { asked: String::new(), there: Vec::new() };
        assert_eq!(none.to_string(), "the server has no model; it lists none");
    }
}
