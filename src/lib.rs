//! Gemscope.
pub mod record;
