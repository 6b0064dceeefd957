//! Tables with a row per image, as users write them.
//!
//! In: a CSV with a header, or JSON lines. Out: its rows, and the image that each is about.
//! Promises: no image has two rows; every error names the line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::files;

/// Why a table cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A CSV without the columns that are needed.
    #[error("{}: the first line must name the column {needed}; it names: {found}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The columns that are needed.
        needed: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A row that says nothing, or nothing that can be read.
    #[error("{}:{line}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The problem.
        problem: String,
    },
}

/// A table, and the images that its rows are about so far.
pub(crate) struct ImageTable<'p> {
    path: &'p Path,
    text: String,
    /// The requirement on a row, in words.
    needed: &'static str,
    lines: HashMap<String, u64>,
}

impl<'p> ImageTable<'p> {
    /// The table at `path`, whose rows have `needed`.
    ///
    /// # Errors
    /// [`TableError::Io`].
    pub(crate) fn read(path: &'p Path, needed: &'static str) -> Result<Self, TableError> {
        let text = files::read_text(path)
            .map_err(|error| TableError::Io { path: path.to_owned(), error })?;
        Ok(Self { path, text, needed, lines: HashMap::new() })
    }

    /// Whether it is JSON lines: the header of a CSV cannot begin with a brace.
    pub(crate) fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    /// The rows of JSON lines, with their lines.
    ///
    /// # Errors
    /// [`TableError::Row`].
    pub(crate) fn json_rows<T: DeserializeOwned>(&self) -> Result<Vec<(u64, T)>, TableError> {
        let lines = (1..).zip(self.text.lines()).filter(|(_, text)| !text.trim().is_empty());
        let row =
            |(line, text)| match serde_json::from_str(text) {
                Ok(row) => Ok((line, row)),
                Err(error) => Err(self
                    .row_error(line, format!("not a JSON object with {}: {error}", self.needed))),
            };
        lines.map(row).collect()
    }

    /// The rows of a CSV, with their lines. `columns` finds the columns in the header, and `row`
    /// reads the cells.
    ///
    /// # Errors
    /// [`TableError::Columns`] if `columns` finds none, and [`TableError::Row`].
    pub(crate) fn csv_rows<C, T>(
        &self,
        columns: impl FnOnce(&StringRecord) -> Option<C>,
        row: impl Fn(&C, &StringRecord) -> T,
    ) -> Result<Vec<(u64, T)>, TableError> {
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(self.text.as_bytes());
        let broken = |error: &csv::Error, line: u64| {
            self.row_error(error.position().map_or(line, csv::Position::line), error.to_string())
        };
        let header = reader.headers().map_err(|error| broken(&error, 1))?.clone();
        let columns = columns(&header).ok_or_else(|| TableError::Columns {
            path: self.path.to_owned(),
            needed: self.needed,
            found: header.iter().collect::<Vec<_>>().join(", "),
        })?;
        let records = reader.records().map(|record| {
            let record = record.map_err(|error| broken(&error, 0))?;
            Ok((record.position().map_or(0, csv::Position::line), row(&columns, &record)))
        });
        records.collect()
    }

    /// The name in a run of the image that the row in `line` is about.
    ///
    /// # Errors
    /// [`TableError::Row`] if it names none, or one that another row is about.
    pub(crate) fn image(&mut self, line: u64, written: &str) -> Result<String, TableError> {
        let image = written.strip_prefix("./").unwrap_or(written).to_owned();
        if image.is_empty() {
            return Err(self.row_error(line, "it names no image".into()));
        }
        match self.lines.insert(image.clone(), line) {
            Some(earlier) => {
                Err(self.row_error(line, format!("{image} stands in line {earlier}, too")))
            }
            None => Ok(image),
        }
    }

    /// The error of the row in `line`.
    pub(crate) fn row_error(&self, line: u64, problem: String) -> TableError {
        TableError::Row { path: self.path.to_owned(), line, problem }
    }
}

/// The place of the column of that name, in any case.
pub(crate) fn column(header: &StringRecord, name: &str) -> Option<usize> {
    header.iter().position(|column| column.eq_ignore_ascii_case(name))
}
