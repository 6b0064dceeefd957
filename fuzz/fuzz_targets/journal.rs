//! Any bytes as a journal: it is read without a panic, and what is appended after the repair is
//! there beside all that was.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use gemscope::journal::{RunDirectory, read_journal};
use gemscope::record::{Manifest, Record};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// In memory where that is possible: every input is written to a file.
static RUN: LazyLock<(TempDir, RunDirectory)> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }
        .expect("a temporary directory");
    let run = RunDirectory::open(dir.path(), false).expect("an empty directory");
    run.create_or_verify(&Manifest::new(None, None)).expect("a manifest");
    (dir, run)
});

const APPENDED: &str = "appended behind whatever was there";

fuzz_target!(|bytes: &[u8]| {
    let (dir, run) = &*RUN;
    let path = dir.path().join("journal.jsonl");
    std::fs::write(&path, bytes).expect("written");
    let Ok(before) = read_journal(dir.path()) else {
        assert!(run.journal(Duration::ZERO).is_err(), "what cannot be read cannot be gone on with");
        return;
    };
    let (mut journal, known) =
        run.journal(Duration::ZERO).expect("what can be read can be gone on with");
    assert!(before.records.iter().all(|record| known.get(&record.image).is_some()));
    assert_eq!(known.damaged, before.damaged);
    journal.append(&Record::failed(APPENDED.to_owned(), "a reason".to_owned())).expect("appended");
    drop(journal);
    let after = read_journal(dir.path()).expect("read again");
    assert_eq!(after.damaged, before.damaged);
    let others = |records: &[Record]| {
        records.iter().filter(|record| record.image != APPENDED).cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&after.records), others(&before.records));
    assert!(after.records.iter().any(|record| record.image == APPENDED));
    let written = std::fs::read(&path).expect("still there");
    let kept = bytes.len() - known.torn as usize;
    assert_eq!(written[..kept], bytes[..kept], "whole lines stay as they were");
});
