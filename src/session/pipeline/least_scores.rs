//! Least scores, as one flag says them: `0.3`, `person=0.4,dog=0.2`, or both.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::word::share;

/// The least scores of boxes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeastScores {
    /// That of boxes whose label has none of its own; `None` leaves it as it is.
    pub every: Option<f64>,
    /// Those of single labels.
    pub labels: BTreeMap<String, f64>,
}

impl FromStr for LeastScores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut scores = Self::default();
        for part in text.split(',') {
            let Some((label, least)) = part.rsplit_once('=') else {
                if scores.every.replace(share(part.trim())?).is_some() {
                    return Err(format!("{text:?} has two numbers for all labels"));
                }
                continue;
            };
            let label = label.trim();
            let least = share(least.trim()).map_err(|error| format!("{label}: {error}"))?;
            if label.is_empty() {
                return Err(format!("{part:?} has no label: person=0.4"));
            }
            if scores.labels.insert(label.to_owned(), least).is_some() {
                return Err(format!("{label:?} has two numbers"));
            }
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_all_labels_or_of_one() {
        let read = |text: &str| text.parse::<LeastScores>();
        assert_eq!(
            read("0.3").unwrap(),
            LeastScores { every: Some(0.3), ..LeastScores::default() }
        );
        let both = read("red car = 0.4, 0.1,a=b=1").unwrap();
        assert_eq!(both.every, Some(0.1));
        assert_eq!(both.labels, [("a=b".to_owned(), 1.0), ("red car".to_owned(), 0.4)].into());
        for (text, says) in [
            ("2", "must be from 0 to 1"),
            ("person=x", "person: must be from 0 to 1"),
            ("=0.4", "has no label"),
            ("0.1,0.2", "two numbers for all"),
            ("a=0.1,a=0.2", "\"a\" has two numbers"),
            ("", "must be from 0 to 1"),
        ] {
            assert!(read(text).unwrap_err().contains(says), "{text}");
        }
    }
}
