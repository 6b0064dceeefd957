//! `pairs.jsonl`: one line a pair of images that were compared.

use std::collections::HashMap;
use std::path::Path;

use super::json_log::{DamagedLine, JournalError, JsonLog};
use crate::record::PairRecord;

/// The name of the file.
pub(super) const FILE: &str = "pairs.jsonl";

/// The journal of pairs that are compared, with its records.
pub struct PairJournal {
    log: JsonLog,
    /// By name; of several records of one name the last.
    known: HashMap<String, PairRecord>,
    /// Lines that are no records.
    pub damaged: Vec<DamagedLine>,
    /// Bytes of a last line that was not written to its end, and was cut off.
    pub torn: u64,
}

impl PairJournal {
    /// Opens the journal of `directory` for appending.
    pub(super) fn open(directory: &Path) -> Result<Self, JournalError> {
        let mut known = HashMap::new();
        let (log, lines) = JsonLog::open(directory.join(FILE), |record: PairRecord, _| {
            known.insert(record.name.clone(), record);
            Ok(())
        })?;
        Ok(Self { log, known, damaged: lines.damaged, torn: lines.torn })
    }

    /// The answer about the pair of this name, if its files are those of then.
    pub(crate) fn take_answer(
        &mut self,
        name: &str,
        sha256: &[Option<String>; 2],
    ) -> Option<PairRecord> {
        let known = self.known.remove(name).filter(|known| known.sha256 == *sha256)?;
        known.first_better.is_some().then_some(known)
    }

    /// Appends a record as one line.
    pub(crate) fn append(&mut self, record: &PairRecord) -> Result<(), JournalError> {
        self.log.append(record)?;
        Ok(())
    }

    /// Waits until all that was appended is on disk.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync()
    }
}
