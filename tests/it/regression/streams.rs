//! Exit codes, output streams, text encodings.
