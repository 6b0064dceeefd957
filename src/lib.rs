//! Gemscope.
pub mod generate;
pub mod image;
pub mod preprocess;
pub mod model;
pub mod prompt;
pub mod record;
pub mod source;
