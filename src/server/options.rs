//! Which server is asked, and how.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Which dialect a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// vLLM.
    Vllm,
    /// llama.cpp's `llama-server`.
    Llama,
    /// Ollama, by its own API.
    Ollama,
    /// OpenAI's API with nothing beside it: LM Studio and others.
    OpenAi,
}

impl ServerKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Vllm, Self::Llama, Self::Ollama, Self::OpenAi];

    /// Its name in configurations and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Llama => "llama",
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
        }
    }

    /// Its name for readers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::Llama => "llama.cpp",
            Self::Ollama => "Ollama",
            Self::OpenAi => "a server of OpenAI's API",
        }
    }

    /// The default for how many images are asked about at the same time. Ollama answers one request
    /// after another unless it is set up otherwise.
    pub fn usual_concurrency(self) -> usize {
        match self {
            Self::Ollama => 1,
            _ => 4,
        }
    }
}

impl FromStr for ServerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| {
            format!("{text:?} is none of {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// A kind, or that it is found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerKindChoice(
    /// `None` finds it out.
    pub Option<ServerKind>,
);

impl FromStr for ServerKindChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self(None)) } else { text.parse().map(|kind| Self(Some(kind))) }
    }
}

/// How pictures are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PictureForm {
    /// Every pixel as it is.
    #[default]
    Png,
    /// Smaller, and other pixels: quality 95.
    Jpeg,
}

impl PictureForm {
    /// Its name in configurations and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
        }
    }
}

impl FromStr for PictureForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "png" => Ok(Self::Png),
            "jpeg" => Ok(Self::Jpeg),
            _ => Err(format!("{text:?} is neither png nor jpeg")),
        }
    }
}

/// The key of a server. It is sent, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey(String);

impl ServerKey {
    /// The key of the environment: `GEMSCOPE_SERVER_KEY`, else `OPENAI_API_KEY`.
    pub fn from_env() -> Option<Self> {
        let variable = |name| std::env::var(name).ok().map(|key| key.trim().to_owned());
        let set = |name| variable(name).filter(|key| !key.is_empty());
        set("GEMSCOPE_SERVER_KEY").or_else(|| set("OPENAI_API_KEY")).map(Self)
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` without the key, which some servers repeat.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "(the key)")
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

/// A server, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Its address, as its user writes it: `http://localhost:8000`, with `/v1` or without.
    pub url: String,
    /// The model's name there; `None` is the only one.
    pub model: Option<String>,
    /// Its kind; `None` to recognise it.
    pub kind: Option<ServerKind>,
    /// How pictures are sent.
    pub pictures: PictureForm,
    /// Images that are asked about at the same time; `None` is the kind's usual number.
    pub concurrency: Option<usize>,
    /// How long a server that is away or busy is waited for.
    pub max_wait: Duration,
    /// The longest that one answer may take.
    pub longest_answer: Duration,
    /// Its key, if it wants one.
    pub key: Option<ServerKey>,
}

impl ServerOptions {
    /// The default for how long a server that is away is waited for.
    pub const MAX_WAIT: Duration = Duration::from_secs(30);

    /// The server at `url`, with the environment's key and everything else at its default.
    pub fn of(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: None,
            kind: None,
            pictures: PictureForm::default(),
            concurrency: None,
            max_wait: Self::MAX_WAIT,
            longest_answer: Duration::from_mins(20),
            key: ServerKey::from_env(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = ServerKey("secret".to_owned());
        let options =
            ServerOptions { key: Some(key.clone()), ..ServerOptions::of("http://localhost") };
        assert!(!format!("{options:?}").contains("secret"));
        assert_eq!(key.hidden_in("bad key secret."), "bad key (the key).");
    }
}
