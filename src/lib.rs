//! Gemscope.
pub mod record;
pub mod runtime;
