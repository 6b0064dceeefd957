//! Integration tests: the real command and the public library on real files, by topic.
// Tests panic to fail, and nothing here is for others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::doc_markdown
)]
#![allow(clippy::format_collect, missing_docs, unreachable_pub)]

mod activations;
mod bad_input;
mod batch;
mod by_hand;
mod clip_files;
mod clip_runs;
mod clips;
mod convert;
mod critique;
mod datasets;
mod detect;
mod device;
mod directories;
mod docs;
mod engines;
mod eval;
mod export_formats;
mod exports;
mod fields;
mod formats;
mod generate;
mod gpu;
mod help;
mod hostile;
mod hub;
mod images;
mod inputs;
mod inspect;
mod interrupted;
mod kills;
mod layers;
mod odd_datasets;
mod parse;
mod per_image;
mod pictures;
mod points;
mod preprocess;
mod prompts;
mod regression;
mod rules;
mod scripted;
mod serve;
mod serve_bounds;
mod serve_sheet;
mod server;
mod session;
mod shards;
mod sorted;
mod stills;
mod support;
mod urls;
mod variants;
mod video;
