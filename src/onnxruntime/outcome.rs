//! What an installation had to do.

use serde::Serialize;

/// What an installation had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing: it was there, and every file has the size and sha256 that were recorded when it was
    /// unpacked.
    AlreadyThere,
    /// It was fetched and unpacked.
    Fetched,
    /// What was there was damaged or incomplete, and was replaced.
    Repaired,
}
