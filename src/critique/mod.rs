//! What is asked about a generated frame, and what is known of it without a model.
//!
//! In: a frame's bytes, its prompt, its pixels. Out: the settings that it was made with, the clauses of its prompt that can be checked one
//! by one, and classical measures of its pixels. Promises: no model is asked here, and nothing here fails because a frame is odd.

pub mod clauses;
pub mod generation;
pub mod measures;
