//! The verdicts by hand that a run keeps.
//!
//! In: the run's directory, and later verdicts. Out: `overrules.csv` in it. Promises: the file is the user's as much as
//! the run's: it may be changed by hand, and `--fresh` leaves it.

use std::io::ErrorKind;
use std::path::Path;

use super::super::ExportError;
use crate::critique::Overrules;
use crate::files;
use crate::journal::SameFrames;
use crate::ownership::OutputDirectory;
use crate::record::Record;

const FILE: &str = "overrules.csv";

/// The verdicts by hand in the table at `path`.
///
/// # Errors
/// [`ExportError::Read`], [`ExportError::Overrules`].
pub fn read_overrules(path: &Path) -> Result<Overrules, ExportError> {
    let text = files::read_text(path)
        .map_err(|error| ExportError::Read { path: path.to_owned(), error })?;
    Overrules::read(&text).map_err(|error| ExportError::Overrules { path: path.to_owned(), error })
}

/// Those that the run in `directory` keeps.
///
/// # Errors
/// As [`read_overrules`].
pub fn kept_overrules(directory: &Path) -> Result<Overrules, ExportError> {
    let kept = match read_overrules(&directory.join(FILE)) {
        Err(ExportError::Read { error, .. }) if error.kind() == ErrorKind::NotFound => {
            Overrules::default()
        }
        read => read?,
    };
    // Those whose files have their rating in them now.
    Ok(kept.of_changed(SameFrames::read(directory)?.into_first()))
}

/// Takes `later` verdicts into those that the run in `out` keeps, where they count before earlier
/// ones; all of them. `records` are the run's: verdicts stay with the content of their frames.
///
/// # Errors
/// As [`read_overrules`], and [`ExportError::Write`].
pub fn add_overrules(
    mut later: Overrules,
    records: &[Record],
    out: &OutputDirectory,
) -> Result<Overrules, ExportError> {
    let mut kept = kept_overrules(out.path())?;
    kept.bind(records);
    later.bind(records);
    kept.extend(later);
    let path = out.join(FILE);
    let text =
        kept.to_csv().map_err(|error| ExportError::Overrules { path: path.clone(), error })?;
    out.replace_unlisted(FILE, &text).map_err(|error| ExportError::Write { path, error })?;
    Ok(kept)
}
