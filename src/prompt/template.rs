//! The chat template that ships with the weights.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, ErrorKind, State, context, filters};
use serde::Serialize as _;
use serde_json::Value;
use thiserror::Error;

/// Why the template gives no prompt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// None of the places holds one.
    #[error(
        "{}: no chat template (looked for chat_template.jinja, chat_template.json and \
         `chat_template` in tokenizer_config.json)",
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

/// What a user's turn shows before its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownMedia {
    /// So many images.
    Images(usize),
    /// One video.
    Video,
}

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    directory: PathBuf,
}

const NAME: &str = "chat_template";

/// The most steps that a template may take; every 64 bytes of text count as one. Gemma 4's take
/// some hundreds for one question; one that loops is stopped within a second.
const MAX_STEPS: u64 = 1_000_000;

/// The most bytes of a text that the template engine builds in one go: it counts them only
/// afterwards.
const MAX_TEXT_BYTES: usize = 16 << 20;

impl ChatTemplate {
    /// Reads the template of `directory`.
    ///
    /// # Errors
    /// [`TemplateError`] if there is none or it does not compile.
    pub fn open(directory: &Path) -> Result<Self, TemplateError> {
        let source = read_source(directory)?;
        let mut environment = Environment::new();
        // The settings under which transformers renders chat templates
        // (utils/chat_template_utils.py).
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|error| render_error(directory, error))?,
        );
        environment.set_fuel(Some(MAX_STEPS));
        environment.add_filter("tojson", to_json);
        environment.set_unknown_method_callback(method);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<(), minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned(NAME, source)
            .map_err(|error| render_error(directory, error))?;
        Ok(Self { environment, directory: directory.to_owned() })
    }

    /// One user turn, what is shown before the text, and the opening of the model's turn.
    ///
    /// # Errors
    /// [`TemplateError::Render`].
    pub fn render(
        &self,
        shown: ShownMedia,
        text: &str,
        system: Option<&str>,
        thinking: bool,
        bos: &str,
    ) -> Result<String, TemplateError> {
        let mut messages = Vec::new();
        if let Some(system) = system {
            // As a string: Gemma 4's templates trim a system prompt and do not look for items in
            // it.
            messages.push(serde_json::json!({"role": "system", "content": system}));
        }
        let mut content = match shown {
            ShownMedia::Images(images) => vec![serde_json::json!({"type": "image"}); images],
            ShownMedia::Video => vec![serde_json::json!({"type": "video"})],
        };
        content.push(serde_json::json!({"type": "text", "text": text}));
        messages.push(serde_json::json!({"role": "user", "content": content}));
        let render = || {
            self.environment.get_template(NAME)?.render(context! {
                messages => minijinja::Value::from(Serde(&messages)),
                add_generation_prompt => true,
                enable_thinking => thinking,
                bos_token => bos,
            })
        };
        render().map_err(|error| render_error(&self.directory, error))
    }
}

/// The engine's `tojson`, of at most [`MAX_TEXT_BYTES`] bytes: an indent of a hundred million
/// spaces is one argument.
fn to_json(
    value: &minijinja::Value,
    indent: Option<minijinja::Value>,
    options: Kwargs,
) -> Result<minijinja::Value, minijinja::Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get("indent")?,
    };
    let spaces =
        indent.as_ref().and_then(|indent| usize::try_from(indent.clone()).ok()).unwrap_or(2);
    if spaces > MAX_TEXT_BYTES {
        return Err(too_long());
    }
    let spaces = vec![b' '; spaces];
    let mut room = Room(MAX_TEXT_BYTES);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(&spaces);
    let written =
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut room, formatter));
    if written.is_err() && room.0 == 0 {
        return Err(too_long());
    }
    filters::tojson(value, indent, options)
}

/// Counts down what is written, and takes no more than fits.
struct Room(usize);

impl std::io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let fits = bytes.len().min(self.0);
        self.0 -= fits;
        Ok(fits)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Methods of texts, lists and mappings as Python has them. `format` may be asked for a width of
/// any number, and to repeat what it is given.
fn method(
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
    name: &str,
    arguments: &[minijinja::Value],
) -> Result<minijinja::Value, minijinja::Error> {
    if let (Some(text), "format") = (value.as_str(), name) {
        let widths =
            text.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
        let widths = widths
            .map(|digits| digits.parse().unwrap_or(usize::MAX))
            .fold(0, usize::saturating_add);
        let given = arguments.iter().map(|argument| argument.to_string().len()).sum::<usize>();
        let repeated = text.matches('{').count().saturating_mul(given);
        if widths.saturating_add(repeated) > MAX_TEXT_BYTES {
            return Err(too_long());
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

fn too_long() -> minijinja::Error {
    let longest = MAX_TEXT_BYTES >> 20;
    minijinja::Error::new(ErrorKind::InvalidOperation, format!("a text of more than {longest} MiB"))
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
        let config: Value = serde_json::from_str(&text).map_err(|error| TemplateError::Read {
            path: directory.join(file),
            error: error.into(),
        })?;
        match &config["chat_template"] {
            Value::String(source) => return Ok(source.clone()),
            // Several named templates; the one for chat is called "default".
            Value::Array(named) => {
                let default =
                    named.iter().find(|template| template["name"] == "default").or(named.first());
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
