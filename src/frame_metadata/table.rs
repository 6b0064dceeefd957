//! Settings of many frames, from a table.
//!
//! In: a CSV with a header: a column `image` or `file`, and columns of settings. Out: the settings of each image that is named. Promises: no image
//! has two rows; every error names the line; nothing that a row says of a setting is passed over in silence.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::named::{Field, Named, field};
use super::{GenerationSettings, Tool};
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
    /// A header without the columns that are needed.
    #[error(
        "{}: the first line must name the column image (or file), and a setting such as prompt; it names: {found}",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// The columns that are there.
        found: String,
    },
    /// A row that cannot be read.
    #[error("{}:{line}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads the table at `path`: of each image's name in the run, its settings. Columns of other things are not looked at; an empty cell says
/// nothing.
///
/// # Errors
/// [`TableError`].
pub fn read_table(path: &Path) -> Result<HashMap<String, GenerationSettings>, TableError> {
    let text = files::read_text(path).map_err(|error| TableError::Io { path: path.to_owned(), error })?;
    let row_error = |line: u64, problem: String| TableError::Row { path: path.to_owned(), line, problem };
    let csv_error = |error: &csv::Error, line: u64| {
        row_error(error.position().map_or(line, csv::Position::line), error.to_string())
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| csv_error(&error, 1))?.clone();
    let column = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let image_column = column("image").or_else(|| column("file"));
    let fields: Vec<(usize, &str, Field)> =
        header.iter().enumerate().filter_map(|(at, name)| Some((at, name, field(name)?))).collect();
    let Some(image_column) = image_column.filter(|_| !fields.is_empty()) else {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        return Err(TableError::Columns { path: path.to_owned(), found });
    };
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut table = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(&error, 0))?;
        let line = record.position().map_or(0, csv::Position::line);
        let image = record.get(image_column).unwrap_or_default();
        let image = image.strip_prefix("./").unwrap_or(image).to_owned();
        if image.is_empty() {
            return Err(row_error(line, "it names no image".into()));
        }
        if let Some(earlier) = lines.insert(image.clone(), line) {
            return Err(row_error(line, format!("{image} stands in line {earlier}, too")));
        }
        let mut named = Named::default();
        for &(at, name, field) in &fields {
            let cell = Value::from(record.get(at).unwrap_or_default());
            named.take(field, name, &cell).map_err(|problem| row_error(line, format!("{image}: {problem}")))?;
        }
        table.insert(image, named.finish().by(Tool::Table).bounded());
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HashMap<String, GenerationSettings>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        std::fs::write(&path, text).unwrap();
        read_table(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "table"))
    }

    #[test]
    fn rows_are_settings() {
        let table = read(
            "\u{feff}File,Prompt,negative prompt,seed,model,steps,size,rating\n./a.png,\"a cat,\nsitting\",a dog,42.0,xl,20,8x9,5\nsub/b.png,,,,,,,\n",
        )
        .unwrap();
        assert_eq!(table.len(), 2);
        let a = &table["a.png"];
        assert_eq!(a.prompt.as_deref(), Some("a cat,\nsitting"));
        assert_eq!((a.seed, a.steps, a.size, a.tool), (Some(42), Some(20), Some([8, 9]), Some(Tool::Table)));
        assert!(!table["sub/b.png"].is_known());
    }

    #[test]
    fn a_seed_of_minus_one_is_not_known() {
        let table = read("image,prompt,seed\na.png,x,-1\nb.png,y,-1.0\n").unwrap();
        for (image, note) in
            [("a.png", "seed is not a whole number: \"-1\""), ("b.png", "seed is not a whole number: \"-1.0\"")]
        {
            assert_eq!((table[image].seed, table[image].notes.as_slice()), (None, &[note.to_owned()][..]));
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, says) in [
            (
                "name,prompt\n",
                "table: the first line must name the column image (or file), and a setting such as prompt; it names: name, prompt",
            ),
            ("image,rating\n", "a setting such as prompt; it names: image, rating"),
            ("image,prompt\na,x\n./a,y\n", "table:3: a stands in line 2, too"),
            ("image,prompt\n,x\n", "table:2: it names no image"),
            ("image,prompt\na,x,y\n", "table:2: "),
            ("image,prompt,seed\na,\"x\ny\",1\nb,z,1.5\n", "table:4: b: seed is not a whole number: \"1.5\""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(read_table(Path::new("no/such/table.csv")).unwrap_err().to_string().starts_with("no/such/table.csv: "));
    }
}
