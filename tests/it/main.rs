//! Integration tests: the real command and the public library on real files, by topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod bad_input;
mod detect;
mod exports;
mod generate;
mod images;
mod inspect;
mod parse;
mod preprocess;
mod prompts;
mod support;
