//! Answers that other programs saved, read by `gemscope parse`.
