//! Verdicts by hand.
//!
//! In: a CSV with the columns `image` and `verdict` (`keep`, `review`, `reject`, or `rules` to take
//! one back), and `sha256` if the contact sheet wrote it. Out: the verdicts that a person gave, for
//! every later judgement. Promises: a row with a hash is about that content alone, under whatever
//! name; a row without one about the frame of that name; a later row counts before an earlier one;
//! what is no verdict is an error with its line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thiserror::Error;

use super::gate::Verdict;
use crate::record::Record;

/// The word that takes a verdict by hand back.
const RULES: &str = "rules";

/// Why a table of verdicts cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OverrulesError {
    /// No CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error("the first line must name the columns image and verdict; it is: {0}")]
    Columns(String),
    /// Not a verdict.
    #[error(
        "line {line}: {verdict:?} is no verdict; there are: keep, review, reject, and rules, \
             which takes one back"
    )]
    Verdict {
        /// Counted from 1.
        line: u64,
        /// As it is written.
        verdict: String,
    },
}

/// Verdicts by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrules {
    /// By name and, if it is known, hash of the content.
    rows: BTreeMap<(String, Option<String>), Verdict>,
    /// Rows that take others back.
    back: BTreeSet<(String, Option<String>)>,
    /// By the hash of a frame that the run wrote a rating into, the hash that it had first.
    first: HashMap<String, String>,
}

impl Overrules {
    /// The verdicts in the text of a table.
    ///
    /// # Errors
    /// [`OverrulesError`].
    pub fn read(text: &str) -> Result<Self, OverrulesError> {
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let header = table.headers()?.clone();
        let column = |name: &str| {
            header.iter().position(|column| {
                column.trim_start_matches('\u{feff}').trim().eq_ignore_ascii_case(name)
            })
        };
        let (Some(image), Some(verdict)) = (column("image"), column("verdict")) else {
            return Err(OverrulesError::Columns(header.iter().collect::<Vec<_>>().join(",")));
        };
        let sha256 = column("sha256");
        let mut overrules = Self::default();
        for row in table.records() {
            let row = row?;
            let field = |at: usize| row.get(at).unwrap_or_default().trim();
            let hash = sha256.map(field).filter(|hash| !hash.is_empty()).map(str::to_lowercase);
            let key = (field(image).to_owned(), hash);
            let written = field(verdict).to_lowercase();
            if written == RULES {
                overrules.rows.remove(&key);
                overrules.back.insert(key);
                continue;
            }
            let known = Verdict::ALL.into_iter().find(|known| known.as_str() == written);
            let Some(known) = known else {
                let line = row.position().map_or(0, csv::Position::line);
                let verdict = field(verdict).to_owned();
                return Err(OverrulesError::Verdict { line, verdict });
            };
            overrules.back.remove(&key);
            overrules.rows.insert(key, known);
        }
        Ok(overrules)
    }

    /// The same for frames whose files the run changed: by hash, the hash that each had first. A
    /// row is about all contents of a frame.
    #[must_use]
    pub fn of_changed(mut self, first: HashMap<String, String>) -> Self {
        self.first = first;
        self.rows = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|((image, hash), verdict)| ((image, self.first_of(hash)), verdict))
            .collect();
        self.back = std::mem::take(&mut self.back)
            .into_iter()
            .map(|(image, hash)| (image, self.first_of(hash)))
            .collect();
        self
    }

    /// The first hash of the frame that has this one.
    fn first_of(&self, hash: Option<String>) -> Option<String> {
        hash.map(|hash| self.first.get(&hash).cloned().unwrap_or(hash))
    }

    /// Takes up later ones, which count before these.
    pub fn extend(&mut self, later: Self) {
        let later = later.of_changed(self.first.clone());
        for key in &later.back {
            self.rows.retain(|(image, hash), _| {
                let by_hash = key.1.is_some() && *hash == key.1;
                !(by_hash || *image == key.0 && (hash.is_none() || key.1.is_none()))
            });
        }
        for (key, verdict) in later.rows {
            // A frame has one verdict by hand, whatever its name was when it was given.
            self.rows.retain(|(image, hash), _| {
                !(key.1.is_some() && *hash == key.1 || key.1.is_none() && *image == key.0)
            });
            self.rows.insert(key, verdict);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The verdict of each of `records`, if it has one, and how many rows are of none of them.
    pub fn of(&self, records: &[Record]) -> (Vec<Option<Verdict>>, usize) {
        let mut by_name: HashMap<&str, Verdict> = HashMap::new();
        let mut by_hash: HashMap<&str, Verdict> = HashMap::new();
        for ((image, hash), verdict) in &self.rows {
            match hash {
                Some(hash) => by_hash.insert(hash, *verdict),
                None => by_name.insert(image, *verdict),
            };
        }
        let verdict = |record: &Record| {
            let hash = self.first_of(record.sha256.clone());
            let of_content = hash.and_then(|hash| by_hash.get(hash.as_str()));
            of_content.or_else(|| by_name.get(record.image.as_str())).copied()
        };
        let verdicts = records.iter().map(verdict).collect();
        let names: BTreeSet<&str> = records.iter().map(|record| record.image.as_str()).collect();
        let hashes: BTreeSet<String> =
            records.iter().filter_map(|record| self.first_of(record.sha256.clone())).collect();
        let is_strange = |(image, hash): &&(String, Option<String>)| match hash {
            Some(hash) => !hashes.contains(hash.as_str()),
            None => !names.contains(image.as_str()),
        };
        (verdicts, self.rows.keys().filter(is_strange).count())
    }

    /// Gives rows without a hash that of the frame of their name, so that they stay with it.
    pub fn bind(&mut self, records: &[Record]) {
        for record in records {
            let key = (record.image.clone(), None);
            let Some(hash) = &self.first_of(record.sha256.clone()) else { continue };
            let bound = (key.0.clone(), Some(hash.clone()));
            if let Some(verdict) = self.rows.remove(&key) {
                self.rows.retain(|(_, other), _| other.as_ref() != Some(hash));
                self.rows.insert(bound, verdict);
            } else if self.back.remove(&key) {
                self.back.insert(bound);
            }
        }
    }

    /// The table, sorted by name.
    ///
    /// # Errors
    /// [`OverrulesError::Csv`].
    pub fn to_csv(&self) -> Result<Vec<u8>, OverrulesError> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["image", "verdict", "sha256"])?;
        for ((image, hash), verdict) in &self.rows {
            table.write_record([image, verdict.as_str(), hash.as_deref().unwrap_or_default()])?;
        }
        table.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(image: &str, sha256: &str) -> Record {
        let sha256 = Some(sha256.to_owned());
        Record { sha256, ..Record::failed(image.to_owned(), String::new()) }
    }

    #[test]
    fn a_verdict_stays_with_the_content() {
        let records = [record("a.png", "aa"), record("b.png", "bb"), record("c.png", "cc")];
        let mut known =
            Overrules::read("image,verdict,sha256\na.png,keep,\nold.png,Reject,BB\nx.png,keep,\n")
                .unwrap();
        let (verdicts, strange) = known.of(&records);
        assert_eq!(verdicts, [Some(Verdict::Keep), Some(Verdict::Reject), None]);
        assert_eq!(strange, 1);
        known.bind(&records);
        // A new picture of that name is not the one that was looked at.
        assert_eq!(
            known.of(&[record("a.png", "dd"), record("z.png", "aa")]).0,
            [None, Some(Verdict::Keep)]
        );
        let again = Overrules::read(std::str::from_utf8(&known.to_csv().unwrap()).unwrap());
        assert_eq!(again.unwrap(), known);
    }

    #[test]
    fn a_verdict_stays_with_a_frame_that_was_rated_in_its_file() {
        let first = [("bb", "aa"), ("cc", "aa")].map(|(now, first)| (now.into(), first.into()));
        let known = Overrules::read("image,verdict,sha256\na.png,keep,bb\n").unwrap();
        let mut known = known.of_changed(first.into());
        for hash in ["aa", "bb", "cc"] {
            assert_eq!(
                known.of(&[record("a.png", hash)]),
                (vec![Some(Verdict::Keep)], 0),
                "{hash}"
            );
        }
        known.extend(Overrules::read("image,verdict,sha256\nb.png,reject,cc\n").unwrap());
        assert_eq!(known.of(&[record("b.png", "aa")]), (vec![Some(Verdict::Reject)], 0));
        assert_eq!(known.of(&[record("b.png", "dd")]), (vec![None], 1));
    }

    #[test]
    fn the_last_word_counts() {
        let records = [record("a.png", "aa"), record("b.png", "bb")];
        let mut known = Overrules::read("image,verdict\na.png,keep\na.png,review\n").unwrap();
        known.bind(&records);
        let verdicts = |known: &Overrules| known.of(&records).0;
        assert_eq!(verdicts(&known), [Some(Verdict::Review), None]);
        known.extend(Overrules::read("verdict,image\nreject,b.png\nreject,a.png\n").unwrap());
        known.bind(&records);
        assert_eq!(verdicts(&known), [Some(Verdict::Reject), Some(Verdict::Reject)]);
        let mut back = Overrules::read("image,verdict\na.png,rules\n").unwrap();
        back.bind(&records);
        known.extend(back);
        assert_eq!(verdicts(&known), [None, Some(Verdict::Reject)]);
        known.extend(Overrules::read("image,verdict,sha256\nz.png,rules,bb\n").unwrap());
        assert!(known.is_empty());
    }

    #[test]
    fn what_is_no_verdict_is_named_with_its_line() {
        let error = |text: &str| Overrules::read(text).unwrap_err().to_string();
        assert!(error("image,verdict\na.png,keep\nb.png,good\n").starts_with("line 3: \"good\""));
        assert!(error("name,verdict\n").contains("columns image and verdict"));
        assert!(Overrules::read("\u{feff}image, verdict\na.png, KEEP \n").is_ok());
    }
}
