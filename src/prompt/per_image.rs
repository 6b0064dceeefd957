//! What is asked about each image by itself, from a file.
//!
//! In: a CSV with a header, or JSON lines: of each image its name (`image`) and its `labels`, its `prompt`, or both; and what is asked where
//! a row leaves that out. Out: the task of each image that is named. Promises: no image has two tasks; every error names the line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::Task;
use super::task::distinct;
use crate::files;

/// Why there are no tasks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PerImageError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A CSV without the columns that are needed.
    #[error("{}: the first line must name the column image, and labels or prompt; it names: {found}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
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
        /// What is wrong with it.
        problem: String,
    },
}

/// What is asked about one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTask {
    /// The image's name in the run.
    pub image: String,
    /// What is asked.
    pub task: Task,
    /// Where it stands, counted from 1.
    pub line: u64,
}

/// One row as it is written.
#[derive(Deserialize)]
struct Row {
    image: String,
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(default)]
    prompt: Option<String>,
}

/// `"person,dog"`, or a list, in which a label may have a comma in it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Labels {
    Text(String),
    List(Vec<String>),
}

/// Reads the file at `path`. A row's prompt is asked with `default`'s labels where it has none of its own, its labels with `default`'s
/// prompt; a row with neither asks `default`. Other columns and keys are not looked at.
///
/// # Errors
/// [`PerImageError`].
pub fn read_image_tasks(path: &Path, default: Option<&Task>) -> Result<Vec<ImageTask>, PerImageError> {
    let text = files::read_text(path).map_err(|error| PerImageError::Io { path: path.to_owned(), error })?;
    // A header cannot begin with a brace.
    let rows = if text.trim_start().starts_with('{') { json_rows(path, &text)? } else { csv_rows(path, &text)? };
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut tasks = Vec::with_capacity(rows.len());
    for (line, row) in rows {
        let error = |problem: String| PerImageError::Row { path: path.to_owned(), line, problem };
        let image = row.image.strip_prefix("./").unwrap_or(&row.image).to_owned();
        if image.is_empty() {
            return Err(error("it names no image".into()));
        }
        if let Some(earlier) = lines.insert(image.clone(), line) {
            return Err(error(format!("{image} stands in line {earlier}, too")));
        }
        let task = task(row, default).map_err(|problem| error(format!("{image}: {problem}")))?;
        tasks.push(ImageTask { image, task, line });
    }
    Ok(tasks)
}

fn task(row: Row, default: Option<&Task>) -> Result<Task, &'static str> {
    let labels = match row.labels {
        None => Vec::new(),
        Some(Labels::Text(text)) => distinct(text.split(',')),
        Some(Labels::List(list)) => distinct(list.iter().map(String::as_str)),
    };
    let default_labels = || default.map_or(&[][..], Task::labels).to_vec();
    let task = match (row.prompt.filter(|text| !text.trim().is_empty()), default) {
        (Some(text), _) if labels.is_empty() => Task::Prompt { text, labels: default_labels() },
        (Some(text), _) => Task::Prompt { text, labels },
        (None, Some(Task::Prompt { text, .. })) if !labels.is_empty() => Task::Prompt { text: text.clone(), labels },
        (None, _) if !labels.is_empty() => Task::Labels(labels),
        (None, Some(default)) => default.clone(),
        (None, None) => return Err("neither labels nor a prompt"),
    };
    if task.lacks_labels() { Err("the prompt has {labels} in it, but there are none") } else { Ok(task) }
}

fn json_rows(path: &Path, text: &str) -> Result<Vec<(u64, Row)>, PerImageError> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let row = serde_json::from_str(text).map_err(|error| PerImageError::Row {
            path: path.to_owned(),
            line,
            problem: format!("not a JSON object with image, and labels or prompt: {error}"),
        })?;
        rows.push((line, row));
    }
    Ok(rows)
}

fn csv_rows(path: &Path, text: &str) -> Result<Vec<(u64, Row)>, PerImageError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let error = |error: &csv::Error, line: u64| PerImageError::Row {
        path: path.to_owned(),
        line: error.position().map_or(line, csv::Position::line),
        problem: error.to_string(),
    };
    let header = reader.headers().map_err(|broken| error(&broken, 1))?.clone();
    let column = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (labels, prompt) = (column("labels"), column("prompt"));
    let Some(image) = column("image").filter(|_| labels.or(prompt).is_some()) else {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        return Err(PerImageError::Columns { path: path.to_owned(), found });
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|broken| error(&broken, 0))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: Option<usize>| column.and_then(|column| record.get(column)).map(str::to_owned);
        let row = Row {
            image: record.get(image).unwrap_or_default().to_owned(),
            labels: cell(labels).map(Labels::Text),
            prompt: cell(prompt),
        };
        rows.push((line, row));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, default: Option<&Task>) -> Result<Vec<ImageTask>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prompts");
        std::fs::write(&path, text).unwrap();
        let short = |error: PerImageError| error.to_string().replace(&path.display().to_string(), "prompts");
        read_image_tasks(&path, default).map_err(short)
    }

    fn labels(names: &[&str]) -> Task {
        Task::Labels(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn both_forms_say_the_same() {
        let csv =
            "\u{feff}seed,Image,labels,prompt\n7,./a.png,\"cat, dog,cat\",\n8,sub/b.png,,\"one, \"\"two\"\"\nthree\"\n";
        let json = "{\"image\": \"a.png\", \"labels\": [\"cat\", \"dog\"]}\n\n{\"image\": \"sub/b.png\", \"prompt\": \"one, \\\"two\\\"\\nthree\", \"seed\": 8}\n";
        let (csv, json) = (read(csv, None).unwrap(), read(json, None).unwrap());
        assert_eq!(csv[0], ImageTask { image: "a.png".into(), task: labels(&["cat", "dog"]), line: 2 });
        assert_eq!(csv[1].task, Task::Prompt { text: "one, \"two\"\nthree".into(), labels: vec![] });
        let tasks =
            |rows: &[ImageTask]| rows.iter().map(|row| (row.image.clone(), row.task.clone())).collect::<Vec<_>>();
        assert_eq!(tasks(&csv), tasks(&json));
        assert_eq!(json[1].line, 3);
    }

    #[test]
    fn what_a_row_leaves_out_is_the_default() {
        let default = Task::Prompt { text: "List every {labels}.".into(), labels: vec!["cat".into()] };
        let rows = read("image,labels,prompt\na,dog,\nb,,\"Where is {labels}?\"\nc,,\n", Some(&default)).unwrap();
        let texts: Vec<String> = rows.iter().map(|row| row.task.text()).collect();
        assert_eq!(texts, ["List every dog.", "Where is cat?", "List every cat."]);
        let rows = read("image,labels\na,dog\n", Some(&labels(&["cat"]))).unwrap();
        assert_eq!(rows[0].task, labels(&["dog"]));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, says) in [
            (
                "file,labels\n",
                "prompts: the first line must name the column image, and labels or prompt; it names: file, labels",
            ),
            ("image,caption\n", "image, and labels or prompt"),
            ("image,labels\na,cat\na,dog\n", "prompts:3: a stands in line 2, too"),
            ("image,labels\na,\n", "prompts:2: a: neither labels nor a prompt"),
            ("image,labels\n,cat\n", "prompts:2: it names no image"),
            ("image,labels\na,cat,dog\n", "prompts:2: "),
            ("image,prompt\na,find {labels}\n", "prompts:2: a: the prompt has {labels} in it"),
            ("{\"image\": \"a\", \"labels\": \"x\"}\n{\"labels\": \"x\"}\n", "prompts:2: not a JSON object"),
            ("{\"image\": \"a\", \"labels\": 3}\n", "prompts:1: not a JSON object"),
        ] {
            let error = read(text, None).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
