//! Counts in words.

/// A count with its noun: `1 image is`, `2 images are`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
