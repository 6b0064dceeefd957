//! Scores and filters.
