//! How addresses are read.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How addresses are read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebOptions {
    /// Whether the network is forbidden: then servers of this machine are reached alone.
    pub offline: bool,
    /// The most bytes of a file; of an archive, those of each file in it.
    pub max_bytes: u64,
    /// The most bytes of archives that are kept in temporary files, all together.
    pub max_temporary: u64,
    /// Whether archives are read: each listing of one asks its server for it.
    pub archives: bool,
    /// The folder in which lists of tars are kept, so that a tar is not brought again for its list.
    pub lists: Option<PathBuf>,
    /// The longest that an image may take, all tries together, and an archive may bring next to
    /// nothing.
    pub longest: Duration,
    /// The first pause before another try; each is twice the one before.
    pub pause: Duration,
}

/// The most bytes of a file, if nothing else is said.
pub const MAX_BYTES: u64 = 256 << 20;

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            offline: false,
            max_bytes: MAX_BYTES,
            max_temporary: 8 << 30,
            archives: true,
            lists: None,
            longest: Duration::from_mins(10),
            pause: Duration::from_millis(500),
        }
    }
}

/// A number of bytes, as a setting says it: `1000`, `64K`, `256M` or `256MiB`, `2G`; K, M and G
/// count by 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be a number of bytes: 1000, 64K, 256M or 2G".to_owned();
        let letters = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(letters);
        let shift = match unit.trim().to_ascii_lowercase().trim_end_matches("ib") {
            "" | "b" => 0,
            "k" | "kb" => 10,
            "m" | "mb" => 20,
            "g" | "gb" => 30,
            _ => return Err(wrong()),
        };
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_forms_that_people_write() {
        for (text, bytes) in [
            ("1000", 1000),
            ("64K", 64 << 10),
            ("256M", 256 << 20),
            ("256MiB", 256 << 20),
            ("2 GB", 2 << 30),
            ("7b", 7),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for wrong in ["", "0", "-1", "M", "1.5G", "1T", "99999999999G"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }
}
