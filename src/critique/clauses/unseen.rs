//! What no picture can show.
//!
//! In: the ready list (`pipelines/clauses.toml`), and what a rubric adds to it. Out: whether a
//! clause is to be asked about. Promises: a tag is left out for a pattern that a user can read and
//! take back; a word of a list is never looked for inside of a longer clause.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Beginnings of what a prompt says is not to be there.
const NEGATIONS: [&str; 17] = [
    "no",
    "not",
    "without",
    "never",
    "avoid",
    "avoiding",
    "don't",
    "dont",
    "do not",
    "non",
    "zero",
    "lack of",
    "free of",
    "free from",
    "absence of",
    "nothing",
    "neither",
];

/// A rubric's own words about clauses: the section `[clauses]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClauseRules {
    /// Patterns of clauses that are not asked about, besides the ready ones.
    pub leave_out: Vec<String>,
    /// Patterns of clauses that are asked about all the same.
    pub keep: Vec<String>,
    /// The most clauses of a frame.
    pub most: usize,
}

impl Default for ClauseRules {
    fn default() -> Self {
        Self { leave_out: Vec::new(), keep: Vec::new(), most: super::MAX_CLAUSES }
    }
}

/// The ready list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ready {
    quality_words: HashSet<String>,
    leave_out: Vec<String>,
    moods: Vec<String>,
}

impl Ready {
    /// The text of the ready list, which is part of the program.
    const TEXT: &str = include_str!("../../../pipelines/clauses.toml");
}

static READY: LazyLock<Ready> = LazyLock::new(|| {
    let empty =
        || Ready { quality_words: HashSet::new(), leave_out: Vec::new(), moods: Vec::new() };
    let mut ready: Ready = toml::from_str(Ready::TEXT).unwrap_or_else(|_| empty());
    ready.leave_out.iter_mut().for_each(|pattern| *pattern = plain(pattern));
    ready
});

/// Lower case, one space between words, which `_` and `-` part as well.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase().replace(['_', '-'], " ");
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl ClauseRules {
    /// Whether `clause` says nothing that a picture can show.
    pub(super) fn leaves_out(&self, clause: &str) -> bool {
        let clause = plain(clause);
        let is_of = |patterns: &[String]| {
            patterns.iter().any(|pattern| matches(plain(pattern).as_bytes(), clause.as_bytes()))
        };
        if is_of(&self.keep) {
            return false;
        }
        is_of(&self.leave_out)
            || is_negated(&clause)
            || clause.split(' ').all(|word| {
                READY.quality_words.contains(word.trim_matches(|c: char| !c.is_alphanumeric()))
            })
            || READY.leave_out.iter().any(|pattern| matches(pattern.as_bytes(), clause.as_bytes()))
            || READY.moods.iter().any(|mood| begins_with(&clause, mood))
    }
}

fn is_negated(clause: &str) -> bool {
    NEGATIONS.iter().any(|negation| begins_with(clause, negation))
}

/// Whether `text` begins with these words.
pub(super) fn begins_with(text: &str, words: &str) -> bool {
    text.strip_prefix(words).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}

/// Whether a pattern is the whole text: `*` is any bytes, `#` a digit.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and where its text ends for now.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == text[from] || byte == b'#' && text[from].is_ascii_digit() => {
                (at, from) = (at + 1, from + 1);
            }
            _ => match star {
                Some((place, end)) => {
                    star = Some((place, end + 1));
                    (at, from) = (place + 1, end + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_whole_clauses() {
        for (pattern, is, is_not) in [
            ("by *", "by a painter", "a house by the sea"),
            ("19##", "1987", "19870"),
            ("*#mm", "shot at 35mm", "35mm film"),
            ("* commentary", "english commentary", "commentary"),
            ("general", "general", "a general"),
            ("*", "", "\u{0}"),
        ] {
            assert!(matches(pattern.as_bytes(), is.as_bytes()), "{pattern} {is}");
            if pattern != "*" {
                assert!(!matches(pattern.as_bytes(), is_not.as_bytes()), "{pattern} {is_not}");
            }
        }
        let long = ["*a".repeat(200), "a".repeat(5000) + "b"];
        assert!(!matches(long[0].as_bytes(), long[1].as_bytes()), "in time");
    }

    #[test]
    fn the_ready_list_is_read_and_can_be_extended() {
        assert!(READY.leave_out.len() > 100 && READY.quality_words.len() > 50);
        let ready = ClauseRules::default();
        for unseen in [
            "general",
            "rating:general",
            "artist:x",
            "year 2024",
            "masterpiece",
            "no text",
            "@wlop",
            "Shot on Canon EOS R5",
            "evoking a sense of calm",
            "score_9_up",
            "f/1.8",
            "2023",
        ] {
            assert!(ready.leaves_out(unseen), "{unseen}");
        }
        for seen in [
            "1girl",
            "noodles",
            "a general in uniform",
            "nothingness".trim_end_matches("ness").trim_end_matches("nothing"),
            "film grain",
            "an old man",
            "high wall",
        ]
        .into_iter()
        .filter(|seen| !seen.is_empty())
        {
            assert!(!ready.leaves_out(seen), "{seen}");
        }
        let own = ClauseRules {
            leave_out: vec!["My_Style*".to_owned()],
            keep: vec!["general".to_owned()],
            ..ClauseRules::default()
        };
        assert!(own.leaves_out("my style v2") && !own.leaves_out("General"));
    }
}
