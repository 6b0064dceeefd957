//! The results of a run, filtered for exports.
//!
//! In: the run's directory, the images of now, and filters. Out: the records of the images that are
//! there, filtered, ready for exports, and how the run went. Promises: the journal is only read; a
//! damaged line of it is named.

use std::collections::HashSet;
use std::path::Path;

use super::{Config, FinishedRun, Session, SessionError, Summary};
use crate::export::{self, Missing, Selection};
use crate::journal::{DamagedLine, JournalRecords, RunDirectoryError, read_journal};
use crate::record::{Filters, Manifest, Record, Settings};
use crate::source::{RemotePlaces, Source};

/// The results of a run.
pub struct ShownRun {
    /// Its records, for exports.
    pub run: export::Run,
    /// The images that are not there any more.
    pub missing: Missing,
    /// Lines of the journal that are no records.
    pub damaged: Vec<DamagedLine>,
}

impl ShownRun {
    /// The results of the run in `out`. Images that no longer exist are left out, unless
    /// `keep_missing`: an image exists if it is in `source`, or without a source, in the run's own
    /// folder. `filters` default to the run's own.
    ///
    /// # Errors
    /// [`SessionError`] if there is no run, or its records were made with stricter filters.
    pub fn read(
        out: &Path,
        source: Option<&Source>,
        filters: Option<&Filters>,
        keep_missing: bool,
    ) -> Result<Self, SessionError> {
        let JournalRecords { mut records, damaged } =
            read_journal(out).map_err(RunDirectoryError::from)?;
        // The one that is on disk: a run that goes on was begun before, and may have asked for more
        // labels.
        let manifest = Manifest::read(out).map_err(RunDirectoryError::from)?;
        let root = source.map(|source| source.root.clone()).or_else(|| manifest.root.clone());
        let listed: Option<HashSet<&str>> =
            source.map(|source| source.images.iter().map(|image| image.name.as_str()).collect());
        let missing =
            Missing::leave_out(&mut records, root.as_deref(), listed.as_ref(), keep_missing);
        let filters = match filters {
            Some(filters) => {
                manifest.can_show(filters).map_err(RunDirectoryError::from)?;
                filters.clone()
            }
            None => manifest.filters.clone(),
        };
        let mut run = export::Run::of(records, manifest, &filters, root);
        run.remote = source.map(RemotePlaces::of).unwrap_or_default();
        Ok(Self { run, missing, damaged })
    }

    /// Its summary; the list of written files is left to the caller.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::count(&self.run.selection, &self.run.models.join(", "));
        summary.missing = self.missing.count();
        summary
    }
}

impl Session<'_> {
    /// What the configuration's filters show of the records of batches: boxes under the names and
    /// scores of the filters, in the order of `records`.
    pub fn show(&self, records: Vec<Record>) -> Selection {
        let task = match &self.config {
            Config::Detect(config) => config.task.clone(),
            Config::Critique(_) => None,
        };
        let settings = Settings { task, ..self.settings_of_batches() };
        Selection::of(records, &Manifest::new(None, Some(settings)), self.config.filters())
    }
}

impl FinishedRun {
    /// The results of the run for the images of `source`, and its summary.
    ///
    /// # Errors
    /// As [`ShownRun::read`].
    pub fn shown(
        &self,
        source: &Source,
        keep_missing: bool,
    ) -> Result<(ShownRun, Summary), SessionError> {
        let shown =
            ShownRun::read(self.directory.output().path(), Some(source), None, keep_missing)?;
        let mut summary = shown.summary();
        summary.add_outcome(&self.outcome);
        summary.besides = self.besides.clone();
        Ok((shown, summary))
    }
}
