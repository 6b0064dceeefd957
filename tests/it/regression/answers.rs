//! Answers as models and servers write them.
