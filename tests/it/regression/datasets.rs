//! Datasets that `gemscope convert` reads and writes.
