//! A journal by what was asked about which content: that of a server, which is asked again and
//! again.
//!
//! In: records with the hash of their image and of their question. Out: the record of an image of
//! that content that was asked that. Promises: an appended record is on disk before
//! [`AnswerJournal::append`] returns; the file is that of any run, so that every export reads it;
//! memory grows by the keys of an answer, never by the answer.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use super::json_log::{DamagedLine, JournalError, JsonLog};
use super::manifest::Names;
use super::records::{FILE, checked};
use crate::digest;
use crate::files;
use crate::record::{AnswerStatus, Record};

/// What an image's name stands for.
#[derive(Clone, Copy)]
struct Content {
    /// The hash of its bytes.
    hash: u64,
    /// It was sent under that name, and is no file.
    sent: bool,
}

/// The journal of a run, found by content and question.
pub struct AnswerJournal {
    log: JsonLog,
    names: Names,
    /// Where the record of each key begins.
    places: HashMap<u64, u64>,
    /// The content that each image stands for, by the hash of its name.
    contents: HashMap<u64, Content>,
    /// Bytes of the journal.
    end: u64,
    /// Lines that are no records.
    pub damaged: Vec<DamagedLine>,
    /// Bytes of a last line that was not written to its end, and was cut off.
    pub torn: u64,
}

impl AnswerJournal {
    /// Opens the journal of `directory` for appending.
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        let names = Names::of(directory);
        let (mut places, mut contents) = (HashMap::new(), HashMap::new());
        let (log, lines) = JsonLog::open(
            directory.join(FILE),
            checked(&names, |record, at| {
                if let Some(key) = key_of(&record) {
                    places.insert(key, at);
                    contents.extend(content_of(&record));
                }
            }),
        )?;
        let (damaged, torn, end) = (lines.damaged, lines.torn, lines.whole);
        Ok(Self { log, names, places, contents, end, damaged, torn })
    }

    /// How many answers it knows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The record of an image with this hash of its content that was asked `question`
    /// ([`Record::question`]) for `labels`; `None` if there is none, or it cannot be read any more.
    pub fn find(&self, sha256: &str, question: &str, labels: &[String]) -> Option<Record> {
        let at = *self.places.get(&key(sha256, question, labels))?;
        let mut file = BufReader::new(files::open(self.log.path()).ok()?);
        let mut line = Vec::new();
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_until(b'\n', &mut line).ok()?;
        let mut record: Record = serde_json::from_slice(&line).ok()?;
        self.names.complete(at, &mut record);
        let asked = record.asked.as_deref().unwrap_or_default();
        let same = record.sha256.as_deref() == Some(sha256)
            && record.question.as_deref() == Some(question)
            && asked == labels;
        same.then_some(record)
    }

    /// Whether the image called `name` is one with other content than this: exports, which have a
    /// line a name, would show one of the two.
    pub fn is_taken(&self, name: &str, sha256: &str) -> bool {
        self.other_content(name, sha256).is_some()
    }

    /// Whether `name` is taken by an image that was sent, so that no file may take its place.
    pub fn is_taken_by_sent(&self, name: &str, sha256: &str) -> bool {
        self.other_content(name, sha256).is_some_and(|content| content.sent)
    }

    fn other_content(&self, name: &str, sha256: &str) -> Option<Content> {
        let content = self.contents.get(&digest::number(name)).copied();
        content.filter(|content| content.hash != digest::number(sha256))
    }

    /// Appends records, and waits until they are on disk.
    ///
    /// # Errors
    /// [`JournalError`]; none of them is then found.
    pub fn append(&mut self, records: &[&Record]) -> Result<(), JournalError> {
        let mut written = Vec::with_capacity(records.len());
        let mut end = self.end;
        for record in records {
            let length = self.log.append(record)?;
            written.extend(key_of(record).map(|key| (key, end)));
            end += length;
        }
        self.log.sync()?;
        self.end = end;
        self.places.extend(written);
        let answered = records.iter().filter(|record| record.status != AnswerStatus::Failed);
        self.contents.extend(answered.filter_map(|record| content_of(record)));
        Ok(())
    }
}

/// The key of an answer; `None` of a failure, which is tried again.
fn key_of(record: &Record) -> Option<u64> {
    let answered = record.status != AnswerStatus::Failed;
    let (sha256, question) = (record.sha256.as_ref()?, record.question.as_ref()?);
    answered.then(|| key(sha256, question, record.asked.as_deref().unwrap_or_default()))
}

/// The hash of a record's name, and its content.
fn content_of(record: &Record) -> Option<(u64, Content)> {
    let hash = digest::number(record.sha256.as_ref()?);
    Some((digest::number(&record.image), Content { hash, sent: record.sent }))
}

/// A phrase and the label of the same words are one question to the model, and share a key.
fn key(sha256: &str, question: &str, labels: &[String]) -> u64 {
    digest::number(format!("{sha256}\n{question}\n{}", labels.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn answered(image: &str, sha256: &str, question: &str, labels: &[&str]) -> Record {
        Record {
            status: AnswerStatus::Empty,
            reason: None,
            sha256: Some(sha256.into()),
            question: Some(question.into()),
            asked: Some(labels.iter().map(|&label| label.to_owned()).collect()),
            ..Record::failed(image.into(), String::new())
        }
    }

    #[test]
    fn every_answer_about_an_image_is_found_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let cat = answered("a.png", "1", "q1", &["cat"]);
        let dog = answered("a.png", "1", "q2", &["dog"]);
        let failed = Record { status: AnswerStatus::Failed, ..answered("b.png", "2", "q1", &[]) };
        let mut journal = AnswerJournal::open(dir.path()).unwrap();
        journal.append(&[&cat, &failed]).unwrap();
        journal.append(&[&dog]).unwrap();
        let sent = Record { sent: true, ..answered("c.png", "4", "q1", &["cat"]) };
        journal.append(&[&sent]).unwrap();
        let look = |journal: &AnswerJournal| {
            let labels = |label: &str| vec![label.to_owned()];
            assert_eq!(journal.len(), 3);
            assert_eq!(journal.find("1", "q1", &labels("cat")), Some(cat.clone()));
            assert_eq!(journal.find("1", "q2", &labels("dog")), Some(dog.clone()));
            assert_eq!(journal.find("1", "q1", &labels("dog")), None);
            assert_eq!(journal.find("2", "q1", &[]), None, "a failure is no answer");
            assert!(journal.is_taken("a.png", "3") && !journal.is_taken("a.png", "1"));
            assert!(!journal.is_taken("b.png", "3"), "nothing was answered about it");
            assert!(journal.is_taken_by_sent("c.png", "3"));
            assert!(!journal.is_taken_by_sent("a.png", "3"), "a file");
        };
        look(&journal);
        drop(journal);
        let path = dir.path().join(FILE);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(br#"{"schema":2,"image":"torn"#);
        std::fs::write(&path, text).unwrap();
        let journal = AnswerJournal::open(dir.path()).unwrap();
        assert_eq!((journal.torn, journal.damaged.len()), (25, 0));
        look(&journal);
    }
}
