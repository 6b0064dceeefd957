//! Gemscope.
pub mod image;
pub mod preprocess;
pub mod prompt;
pub mod record;
pub mod source;
