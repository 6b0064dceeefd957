//! Gemscope finds, counts, crops and judges what is in a folder of images, with Gemma 4, offline.
//!
//! The path of an image, one module a step:
//!
//! ```text
//! source -> image  -> preprocess -> prompt, model -> generate -> answer   -> record  -> journal
//! which     bytes     resize to     token ids,       decode      box_2d      pixels,    one line
//! files     to RGB    48s, patches  soft tokens      loop        to boxes    scores     an image
//!
//! journal -> export: COCO, counts, crops ..., at any later time
//! ```
//!
//! - [`session`]: the front door: a configuration in, detections or a run out
//! - [`source`]: which images, and the name that identifies each
//! - [`image`]: bytes to an upright RGB image
//! - [`preprocess`]: the soft-token budget, resizing, patches; bit for bit what Hugging Face's
//!   processor makes
//! - [`prompt`]: a task's words (of all images or of one), the chat template, the tokenizer
//! - [`model`]: a model directory's graphs in ONNX Runtime, and what is probed about them
//! - [`generate`]: the decode loop, with the probability of every token
//! - [`answer`]: text to boxes, with a status for every answer
//! - [`frame_metadata`]: how a generated frame was made, as its file says
//! - [`critique`]: how good a generated frame is: rubrics, gates
//! - [`record`]: the record of an image, the settings and manifest of a run
//! - [`responses`]: answers that were made elsewhere, as servers of models write them
//! - [`journal`]: the files of a run: its settings, and one record for each image
//! - [`engine`]: answers questions about views: the graphs, a server, a script, or your own
//! - [`run`]: the stages and their channels
//! - [`export`]: records to files; each format is a pure function of the journal
//! - [`eval`]: how good detections are, against a truth file; calibration of their scores
//! - [`dataset`]: datasets in COCO, YOLO and VOC, from one to another
//! - [`ffmpeg`]: frames of videos, by a program of the user's
//! - [`files`]: reading what a user names, writing files that are whole or not there
//! - [`image_table`]: tables that users write, with a row per image
//! - [`ownership`]: a directory that gemscope writes, and the user's files in it
//! - [`onnxruntime`]: finding, installing and starting ONNX Runtime
//! - [`hub`]: models from the Hugging Face Hub, in the cache that Python shares
//! - [`server`]: a client of vLLM, llama.cpp, Ollama and others that speak OpenAI's API
//! - `serve`: a local server for annotation tools (feature `serve`)
//! - [`device`]: the CPU or a card, its memory and kernels
//! - `cli`: the command, for whoever ships it as a part of something else (feature `cli`)
//!
//! Two ideas hold it together. The journal is the only truth: exports are made from it and cost no
//! inference. And the graph says what it takes: feeds, dtypes and shapes are read from the
//! sessions, never assumed.

// Rooms that only read answers and convert data sets leave some helpers of the engine unused.
#![cfg_attr(not(feature = "onnx"), allow(dead_code, unused_imports))]

// The command is written as any other caller of the library.
#[cfg(feature = "cli")]
extern crate self as gemscope;

pub mod answer;
#[cfg(feature = "cli")]
pub mod cli;
pub mod critique;
pub mod dataset;
#[cfg(feature = "onnx")]
pub mod device;
mod digest;
#[cfg(feature = "onnx")]
pub mod engine;
pub mod eval;
pub mod export;
pub mod ffmpeg;
pub mod files;
pub mod frame_metadata;
mod gate;
#[cfg(feature = "onnx")]
pub mod generate;
#[cfg(feature = "onnx")]
mod http;
#[cfg(feature = "onnx")]
pub mod hub;
pub mod image;
pub mod image_table;
pub mod journal;
#[cfg(feature = "onnx")]
pub mod model;
#[cfg(feature = "onnx")]
pub mod onnxruntime;
pub mod ownership;
mod page;
mod percent;
pub mod preprocess;
#[cfg(feature = "onnx")]
pub mod prompt;
pub mod record;
pub mod responses;
#[cfg(feature = "onnx")]
pub mod run;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "onnx")]
pub mod server;
#[cfg(feature = "onnx")]
pub mod session;
pub mod source;
