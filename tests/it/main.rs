//! Integration tests: the real command and the public library on real files, by topic.
#![allow(missing_docs, unreachable_pub)] // nothing here is for others

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
