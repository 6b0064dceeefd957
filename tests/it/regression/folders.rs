//! Folders that change between two runs.
