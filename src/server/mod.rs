//! A client of model servers: vLLM, llama.cpp, Ollama, and others that speak OpenAI's API.
//!
//! In: a server's address, pictures with a question. Out: the answer's text with the probability of
//! each of its tokens, or of the first one alone. Promises: what a server cannot do is found out by
//! one try before anything is asked, and is said; no probability is made up; a key is sent to the
//! server and stands nowhere else; every wait ends.
//!
//! | | vLLM | llama.cpp | Ollama | OpenAI, LM Studio |
//! |---|---|---|---|---|
//! | route | `/v1/chat/completions` | the same | `/api/chat` | as vLLM |
//! | budget of a picture | `mm_processor_kwargs` | its own, 70 to 1120 | its own | its own |
//! | lists of boxes | `structured_outputs.grammar` | `grammar` | `format` | `response_format` |
//! | first token | `logprob_token_ids` | 200 most probable | 20 most probable | 20 most probable |
//! | thoughts | `enable_thinking` | `enable_thinking` | `think` | not asked for |
//!
//! ```no_run
//! use gemscope::server::ServerOptions;
//! use gemscope::session::{DetectConfig, ModelChoice, ModelOptions, Session};
//!
//! let server = ModelChoice::Server(ServerOptions::of("http://localhost:11434"));
//! let config = DetectConfig::of_labels(["dog"]).with_model(ModelOptions::of(server));
//! let mut session = Session::open(config, &())?;
//! let image = gemscope::image::decode(&std::fs::read("photo.jpg")?, true)?;
//! println!("{} dogs", session.detect(&image)?.detections.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod boxes;
mod capabilities;
mod client;
mod error;
mod options;
mod picture;
mod recognise;
mod reply;
mod request;
mod retry;
mod trial;

pub use boxes::{AnswerForm, BoxList};
pub use capabilities::{Capabilities, Constraint, PictureTokens};
pub use client::Server;
pub use error::{AskError, ServerError};
pub use options::{PictureForm, ServerKey, ServerKind, ServerKindChoice, ServerOptions};
pub use picture::{Picture, PictureError};
pub use reply::{FirstToken, Reply, Usage};
pub use request::{Ask, Logprobs};
