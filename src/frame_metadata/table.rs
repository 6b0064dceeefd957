//! Settings of many frames, from a table.
//!
//! In: a CSV with a header: a column `image` or `file`, and columns of settings. Out: the settings
//! of each image that is named. Promises: no image has two rows; every error names the line;
//! nothing that a row says of a setting is passed over in silence.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::named::{Field, Named, field};
use super::{GenerationSettings, Tool};
use crate::image_table::{ImageTable, TableError, column};

/// Reads the table at `path`: of each image's name in the run, its settings. Columns of other
/// things are not looked at; an empty cell says nothing.
///
/// # Errors
/// [`TableError`].
pub fn read_table(path: &Path) -> Result<HashMap<String, GenerationSettings>, TableError> {
    let mut table = ImageTable::read(path, "image (or file), and a setting such as prompt")?;
    let rows = table.csv_rows(
        |header| {
            let image = column(header, "image").or_else(|| column(header, "file"))?;
            let fields = header
                .iter()
                .enumerate()
                .filter_map(|(at, name)| Some((at, name.to_owned(), field(name)?)));
            let fields: Vec<(usize, String, Field)> = fields.collect();
            (!fields.is_empty()).then_some((image, fields))
        },
        |(image, fields), record| {
            let mut named = Named::default();
            let taken = fields.iter().try_for_each(|(at, name, field)| {
                named.take(*field, name, &Value::from(record.get(*at).unwrap_or_default()))
            });
            (record.get(*image).unwrap_or_default().to_owned(), taken.map(|()| named))
        },
    )?;
    let mut settings = HashMap::with_capacity(rows.len());
    for (line, (image, named)) in rows {
        let image = table.image(line, &image)?;
        let named =
            named.map_err(|problem| table.row_error(line, format!("{image}: {problem}")))?;
        settings.insert(image, named.finish().by(Tool::Table).read_in("the table").bounded());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HashMap<String, GenerationSettings>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        std::fs::write(&path, text).unwrap();
        read_table(&path)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "table"))
    }

    #[test]
    fn rows_are_settings() {
        let table = read(
            "\u{feff}File,Prompt,negative prompt,seed,model,steps,size,rating\n./a.png,\"a cat,\n\
             sitting\",a dog,42.0,xl,20,8x9,5\nsub/b.png,,,,,,,\n",
        )
        .unwrap();
        assert_eq!(table.len(), 2);
        let a = &table["a.png"];
        assert_eq!(a.prompt.as_deref(), Some("a cat,\nsitting"));
        assert_eq!(
            (a.seed, a.steps, a.size, a.tool),
            (Some(42), Some(20), Some([8, 9]), Some(Tool::Table))
        );
        assert!(!table["sub/b.png"].is_known());
    }

    #[test]
    fn a_seed_of_minus_one_is_not_known() {
        let table = read("image,prompt,seed\na.png,x,-1\nb.png,y,-1.0\n").unwrap();
        for (image, note) in [
            ("a.png", "seed is not a whole number: \"-1\""),
            ("b.png", "seed is not a whole number: \"-1.0\""),
        ] {
            assert_eq!(
                (table[image].seed, table[image].notes.as_slice()),
                (None, &[note.to_owned()][..])
            );
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, says) in [
            (
                "name,prompt\n",
                "table: the first line must name the column image (or file), and a setting such \
                 as prompt; it names: name, prompt",
            ),
            ("image,rating\n", "a setting such as prompt; it names: image, rating"),
            ("image,prompt\na,x\n./a,y\n", "table:3: a stands in line 2, too"),
            ("image,prompt\n,x\n", "table:2: it names no image"),
            ("image,prompt\na,x,y\n", "table:2: "),
            (
                "image,prompt,seed\na,\"x\ny\",1\nb,z,1.5\n",
                "table:4: b: seed is not a whole number: \"1.5\"",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(
            read_table(Path::new("no/such/table.csv"))
                .unwrap_err()
                .to_string()
                .starts_with("no/such/table.csv: ")
        );
    }
}
