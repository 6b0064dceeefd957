//! The chat template that ships with the weights.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde_json::Value;
use thiserror::Error;

use super::Conversation;

/// Why the template gives no prompt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// None of the places holds one.
    #[error(
        "{}: no chat template (looked for chat_template.jinja, chat_template.json and `chat_template` in tokenizer_config.json)",
        .0.display()
    )]
    Missing(PathBuf),
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The template itself is wrong, or refuses the conversation.
    #[error("chat template of {}: {error:#}", path.display())]
    Render {
        /// The model directory.
        path: PathBuf,
        /// The engine's reason.
        error: minijinja::Error,
    },
}

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    directory: PathBuf,
}

const NAME: &str = "chat_template";

/// So many steps may a template take. Gemma 4's take some hundreds for one question; one that loops is stopped within a second.
const MOST_STEPS: u64 = 1_000_000;

impl ChatTemplate {
    /// Reads the template of `directory`.
    ///
    /// # Errors
    /// [`TemplateError`] where there is none or it does not compile.
    pub fn open(directory: &Path) -> Result<Self, TemplateError> {
        let source = read_source(directory)?;
        let mut environment = Environment::new();
        // The settings under which transformers renders chat templates (utils/chat_template_utils.py).
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|error| render_error(directory, error))?,
        );
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<(), minijinja::Error> {
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, source).map_err(|error| render_error(directory, error))?;
        Ok(Self { environment, directory: directory.to_owned() })
    }

    /// One user turn, the images before the text, and the opening of the model's turn.
    ///
    /// # Errors
    /// [`TemplateError::Render`].
    pub fn render(
        &self,
        images: usize,
        text: &str,
        conversation: &Conversation,
        bos: &str,
    ) -> Result<String, TemplateError> {
        let mut messages = Vec::new();
        if let Some(system) = &conversation.system {
            // As a string: Gemma 4's templates trim a system prompt and do not look for items in it.
            messages.push(serde_json::json!({"role": "system", "content": system}));
        }
        let mut content = vec![serde_json::json!({"type": "image"}); images];
        content.push(serde_json::json!({"type": "text", "text": text}));
        messages.push(serde_json::json!({"role": "user", "content": content}));
        let render = || {
            self.environment.get_template(NAME)?.render(context! {
                messages => minijinja::Value::from(Serde(&messages)),
                add_generation_prompt => true,
                enable_thinking => conversation.thinking,
                bos_token => bos,
            })
        };
        render().map_err(|error| render_error(&self.directory, error))
    }
}

fn render_error(directory: &Path, error: minijinja::Error) -> TemplateError {
    TemplateError::Render { path: directory.to_owned(), error }
}

fn read_source(directory: &Path) -> Result<String, TemplateError> {
    if let Some(source) = read(&directory.join("chat_template.jinja"))? {
        return Ok(source);
    }
    for file in ["chat_template.json", "tokenizer_config.json"] {
        let Some(text) = read(&directory.join(file))? else { continue };
        let config: Value = serde_json::from_str(&text)
            .map_err(|error| TemplateError::Read { path: directory.join(file), error: error.into() })?;
        match &config["chat_template"] {
            Value::String(source) => return Ok(source.clone()),
            // Several named templates; the one for chat is called "default".
            Value::Array(named) => {
                let default = named.iter().find(|template| template["name"] == "default").or(named.first());
                if let Some(source) = default.and_then(|template| template["template"].as_str()) {
                    return Ok(source.to_owned());
                }
            }
            _ => {}
        }
    }
    Err(TemplateError::Missing(directory.to_owned()))
}

fn read(path: &Path) -> Result<Option<String>, TemplateError> {
    match crate::files::read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TemplateError::Read { path: path.to_owned(), error }),
    }
}
