//! The verdicts by hand that a run keeps.
//!
//! In: the run's directory. Out: `overrules.csv` in it. Promises: the file is the user's as much as
//! the run's: it may be changed by hand, and `--fresh` leaves it.

use std::io::ErrorKind;
use std::path::Path;

use super::super::ExportError;
use crate::critique::Overrules;
use crate::files;
use crate::ownership::OutputDirectory;

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
    match read_overrules(&directory.join(FILE)) {
        Err(ExportError::Read { error, .. }) if error.kind() == ErrorKind::NotFound => {
            Ok(Overrules::default())
        }
        read => read,
    }
}

/// Keeps `overrules` in the run's directory.
///
/// # Errors
/// [`ExportError::Write`], [`ExportError::Overrules`].
pub fn keep_overrules(overrules: &Overrules, out: &OutputDirectory) -> Result<(), ExportError> {
    let path = out.join(FILE);
    let text =
        overrules.to_csv().map_err(|error| ExportError::Overrules { path: path.clone(), error })?;
    out.replace_unlisted(FILE, &text).map_err(|error| ExportError::Write { path, error })
}
