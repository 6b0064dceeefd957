//! The demo model in place of a real one.
