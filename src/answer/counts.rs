//! How often something was done on the way from answers to the boxes of an export.

use std::collections::BTreeMap;

use crate::record::{Note, NoteKind};

/// Kinds of notes and how often each applied; what never applied is not there.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<NoteKind, (usize, Option<String>)>);

impl Counts {
    /// Counts `kind` if `applies`, and returns `applies`.
    pub(crate) fn note(&mut self, kind: NoteKind, applies: bool) -> bool {
        self.add(kind, usize::from(applies));
        applies
    }

    /// Counts `kind` this many times.
    pub(crate) fn add(&mut self, kind: NoteKind, times: usize) {
        if times > 0 {
            self.0.entry(kind).or_default().0 += times;
        }
    }

    /// Adds a note of elsewhere. Details of several are joined, each once.
    pub(crate) fn add_note(&mut self, note: Note) {
        self.add(note.kind, note.count);
        let Some(detail) = note.detail else { return };
        let known = &mut self.0.entry(note.kind).or_default().1;
        match known {
            None => *known = Some(detail),
            Some(known) if known.split(", ").any(|one| one == detail) => {}
            Some(known) => *known = format!("{known}, {detail}"),
        }
    }

    /// In the order of their kinds.
    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.0.into_iter().map(|(kind, (count, detail))| Note { kind, count, detail }).collect()
    }
}
