//! What an installation did.

use serde::Serialize;

/// What an installation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing: it was there, and every file has the size and sha256 that were recorded when it was
    /// unpacked.
    AlreadyThere,
    /// It was fetched and unpacked.
    Fetched,
    /// A damaged or incomplete installation was replaced.
    Repaired,
}
