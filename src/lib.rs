//! Gemscope.
pub mod answer;
pub mod export;
pub mod generate;
pub mod image;
pub mod model;
pub mod preprocess;
pub mod prompt;
pub mod record;
pub mod run;
pub mod runtime;
pub mod source;
