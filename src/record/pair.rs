//! Which of two frames is better.
//!
//! In: the probability of "the first", asked in both orders. Out: a preference. Promises: a model
//! that prefers a position over a picture decides nothing: if the orders disagree, it is a tie.

use serde::{Deserialize, Serialize};

/// Which of two frames is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// The first, in both orders.
    First,
    /// The second, in both orders.
    Second,
    /// The orders disagree, or are undecided.
    Tie,
    /// There is no answer: an image could not be read, or the model wanted to say something else.
    Unread,
}

impl Preference {
    /// Every preference.
    pub const ALL: [Self; 4] = [Self::First, Self::Second, Self::Tie, Self::Unread];

    /// The preference as tables call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Tie => "tie",
            Self::Unread => "unread",
        }
    }

    /// The preference, from the probability of the first frame when it is shown first, and when it
    /// is shown second.
    pub fn of(shown_first: f64, shown_second: f64) -> Self {
        match (shown_first, shown_second) {
            (a, b) if a > 0.5 && b > 0.5 => Self::First,
            (a, b) if a < 0.5 && b < 0.5 => Self::Second,
            _ => Self::Tie,
        }
    }
}

/// Two frames and which is better: one line of `pairs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairRecord {
    /// The name that both have in their folders.
    pub name: String,
    /// SHA-256 of both files, in hex; `null` if one could not be read.
    pub sha256: [Option<String>; 2],
    /// The verdict.
    pub preference: Preference,
    /// The probability that the first is better: when it is shown first, and when it is shown
    /// second. Absent if it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_better: Option<[f64; 2]>,
    /// The two words' share of the whole probability, in both orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mass: Option<[f64; 2]>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_for_a_place_is_a_tie() {
        assert_eq!(Preference::of(0.9, 0.6), Preference::First);
        assert_eq!(Preference::of(0.1, 0.4), Preference::Second);
        assert_eq!(Preference::of(0.9, 0.2), Preference::Tie, "whatever is shown first");
        assert_eq!(Preference::of(0.2, 0.9), Preference::Tie);
        assert_eq!(Preference::of(0.5, 0.9), Preference::Tie);
    }
}
