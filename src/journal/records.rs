//! The journal: the only truth about a run.
//!
//! In: records, in any order. Out: `journal.jsonl`, one record a line, and the records sorted by
//! image. Promises: synced records survive a crash; a line that a crash tore is cut off; a damaged
//! line costs its own record only and is reported by its number; a record of a later version is
//! refused by its number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::json_log::{DamagedLine, JournalError, JsonLog, read_entries};
use super::manifest::Names;
use crate::files;
use crate::record::{AnswerStatus, AxisMarks, Record, SCHEMA};

/// The journal's name in a run's directory.
pub(super) const FILE: &str = "journal.jsonl";

/// Bytes of an answer that went wrong, for exports.
const KEPT_TEXT: usize = 2000;

/// The index of a journal by image: enough to resume a run of any size.
#[derive(Debug, Default)]
pub struct ResumeIndex {
    images: HashMap<String, ResumeEntry>,
    /// Their names.
    names: Names,
    /// Lines that are no records.
    pub damaged: Vec<DamagedLine>,
    /// Bytes of a last line that was not written to its end, and was cut off.
    pub torn: u64,
}

impl ResumeIndex {
    /// The entry of the image of that name.
    pub fn get(&self, image: &str) -> Option<&ResumeEntry> {
        self.images.get(image)
    }

    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Every image that there is a record of, by its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &ResumeEntry)> {
        self.images.iter().map(|(image, known)| (image.as_str(), known))
    }

    /// Every image with the hash of its content, if that is known.
    pub(super) fn hashes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|(image, known)| Some((image, known.sha256.as_deref()?)))
    }

    /// The index of the journal of `directory`, which is not changed.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn read(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(FILE);
        let file = match files::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(JournalError::io(&path))?,
        };
        let mut known = Self { names: Names::of(directory), ..Self::default() };
        known.damaged = read_entries(&path, &file, known.taking())?.damaged;
        Ok(known)
    }

    /// A reader of the single records of the journal of `directory`, which this is what is known
    /// of.
    pub(super) fn reader(&self, directory: &Path) -> Result<RecordReader<'_>, JournalError> {
        let path = directory.join(FILE);
        let file = files::open(&path).map_err(JournalError::io(&path))?;
        Ok(RecordReader { file: BufReader::new(file), names: &self.names })
    }

    /// Takes up the records of a journal.
    fn taking(&mut self) -> impl FnMut(Record, u64) -> Result<(), String> {
        let images = &mut self.images;
        // Thousands of frames were asked about the same axes.
        let mut all_axes: HashSet<Arc<AxisMarks>> = HashSet::new();
        checked(&self.names, move |record, at| {
            if let Some(earlier) = &record.moved_from {
                images.remove(earlier);
            }
            let answered = record.status != AnswerStatus::Failed;
            let axes = (!record.axes.is_empty()).then(|| {
                let known = all_axes.get(&record.axes).map(Arc::clone);
                known.unwrap_or_else(|| {
                    let axes = Arc::new(record.axes);
                    all_axes.insert(Arc::clone(&axes));
                    axes
                })
            });
            let (sha256, question) = (record.sha256, record.question);
            let known = ResumeEntry { sha256, question, answered, axes, at };
            images.insert(record.image, known);
        })
    }
}

/// The index entry of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeEntry {
    /// Hash of the content that was answered.
    pub sha256: Option<String>,
    /// [`Record::question`].
    pub question: Option<String>,
    /// Whether it has an answer.
    pub answered: bool,
    /// [`Record::axes`]; `None` if a record of a critique has none.
    pub axes: Option<Arc<AxisMarks>>,
    /// The start of its record, in bytes.
    at: u64,
}

/// The records of a journal.
#[derive(Debug)]
pub struct JournalRecords {
    /// One an image, sorted by image.
    pub records: Vec<Record>,
    /// Lines that are no records.
    pub damaged: Vec<DamagedLine>,
}

/// A journal that is being written.
pub struct Journal {
    log: JsonLog,
    sync_every: Duration,
    synced: Instant,
    unsynced: bool,
    /// How often it was synced.
    #[cfg(test)]
    pub(crate) syncs: Arc<std::sync::atomic::AtomicUsize>,
}

impl Journal {
    /// Opens the journal of `directory` for appending, and indexes its records. A last line without
    /// its end (the process was killed while it wrote) is cut off. Appended records are to be on
    /// disk after `sync_every`.
    pub(crate) fn open(
        directory: &Path,
        sync_every: Duration,
    ) -> Result<(Self, ResumeIndex), JournalError> {
        let mut known = ResumeIndex { names: Names::of(directory), ..ResumeIndex::default() };
        let (log, lines) = JsonLog::open(directory.join(FILE), known.taking())?;
        (known.damaged, known.torn) = (lines.damaged, lines.torn);
        let journal = Self {
            log,
            sync_every,
            synced: Instant::now(),
            unsynced: false,
            #[cfg(test)]
            syncs: Arc::default(),
        };
        Ok((journal, known))
    }

    /// A reader of its single records, whose names are those of `known`.
    pub(crate) fn reader<'k>(
        &self,
        known: &'k ResumeIndex,
    ) -> Result<RecordReader<'k>, JournalError> {
        let file = files::open(self.log.path()).map_err(JournalError::io(self.log.path()))?;
        Ok(RecordReader { file: BufReader::new(file), names: &known.names })
    }

    /// Appends a record as one line.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.unsynced = true;
        self.log.append(record)?;
        Ok(())
    }

    /// Deadline of the next sync; `None` if everything is synced. Sparse records are due at once;
    /// bursts are synced together.
    pub fn due(&self) -> Option<Instant> {
        self.unsynced.then(|| self.synced + self.sync_every)
    }

    /// Waits until all that was appended is on disk.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync()?;
        (self.synced, self.unsynced) = (Instant::now(), false);
        #[cfg(test)]
        self.syncs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// Reads single records of a journal.
pub(crate) struct RecordReader<'k> {
    file: BufReader<File>,
    names: &'k Names,
}

impl RecordReader<'_> {
    /// The whole record of an image; `None` if it cannot be read any more.
    pub(crate) fn read(&mut self, known: &ResumeEntry) -> Option<Record> {
        let mut line = Vec::new();
        self.file.seek(SeekFrom::Start(known.at)).ok()?;
        self.file.read_until(b'\n', &mut line).ok()?;
        let mut record: Record = serde_json::from_slice(&line).ok()?;
        self.names.complete(known.at, &mut record);
        Some(record)
    }
}

/// The length of all complete lines of the journal in `directory`, in bytes; 0 if there is none.
pub(super) fn whole_bytes(directory: &Path) -> Result<u64, JournalError> {
    const BLOCK: u64 = 64 << 10;
    let path = directory.join(FILE);
    let read = || -> std::io::Result<u64> {
        let mut file = files::open(&path)?;
        let mut block = Vec::new();
        // Backwards: the last line may be any length, and the lines before it are many.
        let mut end = file.metadata()?.len();
        while end > 0 {
            let begin = end.saturating_sub(BLOCK);
            block.clear();
            file.seek(SeekFrom::Start(begin))?;
            (&file).take(end - begin).read_to_end(&mut block)?;
            if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
                return Ok(begin + newline as u64 + 1);
            }
            end = begin;
        }
        Ok(0)
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        read => read.map_err(JournalError::io(&path)),
    }
}

/// The records of a run, sorted by image, without the raw texts, which are most of a journal; only
/// the beginning of an answer that went wrong is kept, so that a reader sees why. If an image has
/// several records (a failed one was tried again), the last counts, and an answer that moved to
/// another name belongs to that name alone.
///
/// # Errors
/// [`JournalError`].
pub fn read_journal(directory: &Path) -> Result<JournalRecords, JournalError> {
    let mut records = BTreeMap::new();
    let damaged = each_record(directory, |mut record| {
        let went_well = matches!(record.status, AnswerStatus::Ok | AnswerStatus::Empty);
        for answer in &mut record.answers {
            // Here, the text is the answer.
            if record.status != AnswerStatus::Text {
                answer.text.truncate(if went_well {
                    0
                } else {
                    answer.text.floor_char_boundary(KEPT_TEXT)
                });
                answer.text.shrink_to_fit();
            }
            answer.prompt = String::new();
        }
        // Lists are read into room for several; a million records have one answer each.
        record.answers.shrink_to_fit();
        record.detections.shrink_to_fit();
        record.notes.shrink_to_fit();
        if let Some(earlier) = &record.moved_from {
            records.remove(earlier);
        } else {
            // What was asked about it later changes nothing about how it came by its name.
            let earlier: Option<&Record> = records.get(&record.image);
            record.moved_from = earlier.and_then(|earlier| earlier.moved_from.clone());
        }
        records.insert(record.image.clone(), record);
    })?;
    Ok(JournalRecords { records: records.into_values().collect(), damaged })
}

/// Calls `each` with every record of a run, in the order of writing; returns the damaged lines.
///
/// # Errors
/// [`JournalError`].
pub(super) fn each_record(
    directory: &Path,
    mut each: impl FnMut(Record),
) -> Result<Vec<DamagedLine>, JournalError> {
    let path = directory.join(FILE);
    let file = files::open(&path).map_err(JournalError::io(&path))?;
    let names = Names::of(directory);
    Ok(read_entries(&path, &file, checked(&names, |record, _| each(record)))?.damaged)
}

/// `each` for the valid records of a journal, under their current names.
pub(super) fn checked(
    names: &Names,
    mut each: impl FnMut(Record, u64),
) -> impl FnMut(Record, u64) -> Result<(), String> {
    move |mut record, at| {
        if record.schema > SCHEMA {
            return Err(String::new()); // its number says why
        }
        if let Some(fault) = record.fault() {
            return Err(fault.to_owned());
        }
        names.complete(at, &mut record);
        each(record, at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::OutputDirectory;
    use crate::record::{Answer, BBox, Ended, Manifest};

    fn open(directory: &Path) -> (Journal, ResumeIndex) {
        Journal::open(directory, Duration::ZERO).unwrap()
    }

    fn append(journal: &mut Journal, image: &str, reason: &str) {
        journal.append(&Record::failed(image.into(), reason.into())).unwrap();
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_last_record_of_an_image_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, known) = open(dir.path());
        assert!(known.is_empty());
        for (image, reason) in [("b.png", "first"), ("a.png", "first"), ("b.png", "second")] {
            append(&mut journal, image, reason);
        }
        journal.sync().unwrap();
        drop(journal);
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let torn = br#"{"schema":1,"image":"c.p"#;
        std::fs::write(&path, [whole.as_slice(), torn].concat()).unwrap();
        let read = || {
            let records = read_journal(dir.path()).unwrap().records;
            records
                .into_iter()
                .map(|record| (record.image, record.reason.unwrap()))
                .collect::<Vec<_>>()
        };
        let expected = [("a.png", "first"), ("b.png", "second")]
            .map(|(image, reason)| (image.to_owned(), reason.to_owned()));
        assert_eq!(read(), expected, "a reader passes the torn line over");
        let (mut journal, known) = open(dir.path());
        assert_eq!((known.images.len(), known.torn), (2, torn.len() as u64));
        assert!(!known.get("a.png").unwrap().answered);
        append(&mut journal, "c.png", "third");
        assert_eq!(read().len(), 3);
        assert!(std::fs::read(&path).unwrap().starts_with(&whole));
    }

    #[test]
    fn an_answer_that_moved_is_under_its_new_name_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        append(&mut journal, "a.png", "first");
        append(&mut journal, "b.png", "first");
        let moved = Record {
            moved_from: Some("a.png".into()),
            ..Record::failed("c.png".into(), "first".into())
        };
        journal.append(&moved).unwrap();
        append(&mut journal, "c.png", "first");
        let kept = read_journal(dir.path()).unwrap().records;
        assert_eq!((kept.len(), kept[1].moved_from.as_deref()), (2, Some("a.png")));
        append(&mut journal, "a.png", "of another image");
        drop(journal);
        // A later command found the folder beside another one.
        let length = whole_bytes(dir.path()).unwrap();
        assert_eq!(length, std::fs::metadata(dir.path().join(FILE)).unwrap().len());
        let manifest = Manifest::new(None, None);
        let output = OutputDirectory::open(dir.path()).unwrap();
        manifest.clone().resumed_as(&manifest, "one/", length).write(&output).unwrap();
        let (mut journal, known) = open(dir.path());
        let unchanged = ResumeIndex::read(dir.path()).unwrap();
        assert!(unchanged.get("one/c.png").is_some() && unchanged.get("c.png").is_none());
        append(&mut journal, "two/d.png", "later");
        let names = |records: Vec<Record>| {
            records.into_iter().map(|record| record.image).collect::<Vec<_>>()
        };
        let expected = ["one/a.png", "one/b.png", "one/c.png", "two/d.png"];
        assert_eq!(names(read_journal(dir.path()).unwrap().records), expected);
        let mut reader = journal.reader(&known).unwrap();
        let record = reader.read(known.get("one/c.png").unwrap()).unwrap();
        assert_eq!((record.image.as_str(), record.reason.as_deref()), ("one/c.png", Some("first")));
        assert_eq!(
            reader.read(known.get("one/a.png").unwrap()).unwrap().reason.as_deref(),
            Some("of another image")
        );
    }

    #[test]
    fn a_length_ends_with_the_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(whole_bytes(dir.path()).unwrap(), 0);
        let long = "x".repeat(200_000);
        for (text, whole) in [
            (String::new(), 0),
            (long.clone(), 0),
            (format!("a\n{long}"), 2),
            (format!("{long}\n"), 200_001),
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(whole_bytes(dir.path()).unwrap(), whole);
        }
    }

    #[test]
    fn a_damaged_line_costs_its_own_record_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        append(&mut journal, "a.png", "first");
        append(&mut journal, "b.png", "first");
        drop(journal);
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let [first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        // A box outside of its image would be a wrong crop, so it is no record either.
        let outside = second.replace(
            r#""detections":[]"#,
            r#""detections":[{"label":"x","bbox":[0,0,1,1],"score":null}]"#,
        );
        std::fs::write(
            &path,
            format!("{first}\n\nnonsense\n{{\"schema\":1,\"image\":3}}\n{outside}\n{second}\n"),
        )
        .unwrap();
        let read = read_journal(dir.path()).unwrap();
        assert_eq!(
            read.records.iter().map(|record| record.image.as_str()).collect::<Vec<_>>(),
            ["a.png", "b.png"]
        );
        assert_eq!(read.damaged.iter().map(|damaged| damaged.line).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(read.damaged[0].to_string().contains("journal.jsonl:3: not a record"));
        let (_, known) = open(dir.path());
        assert_eq!(known.damaged, read.damaged);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap().lines().count(),
            6,
            "nothing is thrown away"
        );
    }

    #[test]
    fn a_later_schema_is_known_as_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(FILE),
            "{\"schema\":3,\"image\":\"a\",\"status\":\"dreamt\"}\n",
        )
        .unwrap();
        assert!(
            read_journal(dir.path()).unwrap_err().to_string().contains("journal.jsonl:1: schema 3")
        );
        assert!(Journal::open(dir.path(), Duration::ZERO).is_err());
    }

    #[test]
    fn a_record_is_due_until_it_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let hour = Duration::from_hours(1);
        let (mut journal, _) = Journal::open(dir.path(), hour).unwrap();
        assert!(journal.due().is_none());
        let before = Instant::now();
        append(&mut journal, "a.png", "first");
        let due = journal.due().unwrap();
        assert!(due > before && due <= Instant::now() + hour, "within the hour");
        journal.sync().unwrap();
        assert!(journal.due().is_none());
        append(&mut journal, "b.png", "first");
        assert!(journal.due().unwrap() > due, "the hour begins anew with each time");
    }

    #[test]
    fn what_is_known_of_each_image_is_read_without_a_change() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ResumeIndex::read(dir.path()).unwrap().is_empty(), "there is no journal yet");
        let (mut journal, _) = open(dir.path());
        append(&mut journal, "a.png", "first");
        let answered =
            Record { status: AnswerStatus::Empty, ..Record::failed("b.png".into(), String::new()) };
        let answered =
            Record { sha256: Some("12".into()), question: Some("34".into()), ..answered };
        journal.append(&answered).unwrap();
        let path = dir.path().join(FILE);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"nonsense\n{\"schema\":");
        std::fs::write(&path, &text).unwrap();
        let known = ResumeIndex::read(dir.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), text);
        assert!(!known.is_empty());
        let mut all: Vec<(&str, bool)> =
            known.iter().map(|(image, known)| (image, known.answered)).collect();
        all.sort_unstable();
        assert_eq!(all, [("a.png", false), ("b.png", true)]);
        let one = known.get("b.png").unwrap();
        assert_eq!((one.sha256.as_deref(), one.question.as_deref()), (Some("12"), Some("34")));
        assert!(known.get("c.png").is_none());
        assert_eq!(known.damaged.iter().map(|damaged| damaged.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(ResumeIndex::read(dir.path()).is_err());
        assert!(whole_bytes(dir.path()).is_err());
        assert!(read_journal(dir.path()).is_err());
    }

    #[test]
    fn texts_are_kept_where_a_reader_needs_them() {
        let long = "ä".repeat(KEPT_TEXT);
        let answer = Answer {
            view: BBox::whole(0, 0),
            prompt: "detect cats".into(),
            text: long.clone(),
            ended: Ended::StopToken,
            tokens: None,
        };
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, known) = open(dir.path());
        assert!(known.is_empty());
        for status in AnswerStatus::ALL {
            let failed = Record::failed(status.as_str().into(), String::new());
            journal.append(&Record { status, answers: vec![answer.clone()], ..failed }).unwrap();
        }
        drop(journal);
        for record in read_journal(dir.path()).unwrap().records {
            let kept = match record.status {
                AnswerStatus::Ok | AnswerStatus::Empty => 0,
                AnswerStatus::Text => long.len(),
                _ => KEPT_TEXT,
            };
            assert_eq!(
                (record.answers[0].text.len(), record.answers[0].prompt.as_str()),
                (kept, ""),
                "{record:?}"
            );
        }
        // A reader of single records has all of it.
        let (journal, known) = open(dir.path());
        let mut reader = journal.reader(&known).unwrap();
        assert_eq!(reader.read(known.get("ok").unwrap()).unwrap().answers, [answer]);
    }

    #[test]
    fn a_record_of_a_later_version_is_none_of_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let of = |schema| Record { schema, ..Record::failed("a.png".into(), "first".into()) };
        let (mut journal, _) = open(dir.path());
        journal.append(&of(1)).unwrap();
        journal.append(&of(SCHEMA)).unwrap();
        let read = read_journal(dir.path()).unwrap();
        assert_eq!((read.records.len(), read.damaged.len()), (1, 0));
        // All that this version knows is there; what it does not know may change what it means.
        journal.append(&of(SCHEMA + 1)).unwrap();
        let error = read_journal(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("journal.jsonl:3: schema {}", SCHEMA + 1)), "{error}");
    }
}
