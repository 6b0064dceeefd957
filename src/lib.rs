//! Gemscope.
pub mod answer;
pub mod record;
