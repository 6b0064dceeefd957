//! Questions about single images, from a file.
//!
//! In: a CSV with a header, or JSON lines: of each image its name (`image`) and its `labels`, its
//! `prompt`, or both; and the task that completes a row. Out: the task of each named image.
//! Promises: no image has two tasks; every error names the line.

use std::path::Path;

use serde::Deserialize;

use crate::image_table::{ImageTable, TableError, column};
use crate::record::{Task, distinct};

/// The questions about one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTask {
    /// The image's name in the run.
    pub image: String,
    /// The questions.
    pub task: Task,
    /// Its line, counted from 1.
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

/// `"person,dog"`, or a list, whose labels may contain commas.
#[derive(Deserialize)]
#[serde(untagged)]
enum Labels {
    Text(String),
    List(Vec<String>),
}

/// Reads the file at `path`. A row's prompt is asked with `default`'s labels if it has none of its
/// own, its labels with `default`'s prompt; a row with neither asks `default`. Other columns and
/// keys are ignored.
///
/// # Errors
/// [`TableError`].
pub fn read_image_tasks(path: &Path, default: Option<&Task>) -> Result<Vec<ImageTask>, TableError> {
    let mut table = ImageTable::read(path, "image, and labels or prompt")?;
    let rows: Vec<(u64, Row)> =
        if table.is_json() { table.json_rows()? } else { csv_rows(&table)? };
    let mut tasks = Vec::with_capacity(rows.len());
    for (line, row) in rows {
        let image = table.image(line, &row.image)?;
        let task = task(row, default)
            .map_err(|problem| table.row_error(line, format!("{image}: {problem}")))?;
        tasks.push(ImageTask { image, task, line });
    }
    Ok(tasks)
}

fn csv_rows(table: &ImageTable<'_>) -> Result<Vec<(u64, Row)>, TableError> {
    table.csv_rows(
        |header| {
            let (labels, prompt) = (column(header, "labels"), column(header, "prompt"));
            column(header, "image")
                .filter(|_| labels.or(prompt).is_some())
                .map(|image| (image, labels, prompt))
        },
        |&(image, labels, prompt), record| {
            let cell = |column: Option<usize>| {
                column.and_then(|column| record.get(column)).map(str::to_owned)
            };
            let image = record.get(image).unwrap_or_default().to_owned();
            Row { image, labels: cell(labels).map(Labels::Text), prompt: cell(prompt) }
        },
    )
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
        (None, Some(Task::Prompt { text, .. })) if !labels.is_empty() => {
            Task::Prompt { text: text.clone(), labels }
        }
        (None, _) if !labels.is_empty() => Task::Labels(labels),
        (None, Some(default)) => default.clone(),
        (None, None) => return Err("neither labels nor a prompt"),
    };
    if task.lacks_labels() {
        Err("the prompt has {labels} in it, but there are none")
    } else {
        Ok(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, default: Option<&Task>) -> Result<Vec<ImageTask>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prompts");
        std::fs::write(&path, text).unwrap();
        let short =
            |error: TableError| error.to_string().replace(&path.display().to_string(), "prompts");
        read_image_tasks(&path, default).map_err(short)
    }

    fn labels(names: &[&str]) -> Task {
        Task::Labels(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn both_forms_say_the_same() {
        let csv = "\u{feff}seed,Image,labels,prompt\n7,./a.png,\"cat, dog,cat\",\n\
                   8,sub/b.png,,\"one, \"\"two\"\"\nthree\"\n";
        let json = "{\"image\": \"a.png\", \"labels\": [\"cat\", \"dog\"]}\n\n\
                    {\"image\": \"sub/b.png\", \"prompt\": \"one, \\\"two\\\"\\nthree\", \"seed\": \
                    8}\n";
        let (csv, json) = (read(csv, None).unwrap(), read(json, None).unwrap());
        assert_eq!(
            csv[0],
            ImageTask { image: "a.png".into(), task: labels(&["cat", "dog"]), line: 2 }
        );
        assert_eq!(
            csv[1].task,
            Task::Prompt { text: "one, \"two\"\nthree".into(), labels: vec![] }
        );
        let tasks = |rows: &[ImageTask]| {
            rows.iter().map(|row| (row.image.clone(), row.task.clone())).collect::<Vec<_>>()
        };
        assert_eq!(tasks(&csv), tasks(&json));
        assert_eq!(json[1].line, 3);
    }

    #[test]
    fn what_a_row_leaves_out_is_the_default() {
        let default =
            Task::Prompt { text: "List every {labels}.".into(), labels: vec!["cat".into()] };
        let rows =
            read("image,labels,prompt\na,dog,\nb,,\"Where is {labels}?\"\nc,,\n", Some(&default))
                .unwrap();
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
                "prompts: the first line must name the column image, and labels or prompt; it \
                 names: file, labels",
            ),
            ("image,caption\n", "image, and labels or prompt"),
            ("image,labels\na,cat\na,dog\n", "prompts:3: a stands in line 2, too"),
            ("image,labels\na,\n", "prompts:2: a: neither labels nor a prompt"),
            ("image,labels\n,cat\n", "prompts:2: it names no image"),
            ("image,labels\na,cat,dog\n", "prompts:2: "),
            ("image,prompt\na,find {labels}\n", "prompts:2: a: the prompt has {labels} in it"),
            (
                "{\"image\": \"a\", \"labels\": \"x\"}\n{\"labels\": \"x\"}\n",
                "prompts:2: not a JSON object",
            ),
            ("{\"image\": \"a\", \"labels\": 3}\n", "prompts:1: not a JSON object"),
        ] {
            let error = read(text, None).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
