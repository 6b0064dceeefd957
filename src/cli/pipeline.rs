//! A pipeline in TOML.
//!
//! In: the text of the file. Out: the flags and inputs that it says. Promises: a key is a flag of `detect` under its own section, anything else is
//! an error that names it and what may have been meant.

use anyhow::{Context as _, anyhow, bail};
use toml::{Table, Value};

/// Section, and the flags of `detect` that it can hold; a key is the flag with `_` for `-`.
pub(crate) const SECTIONS: [(&str, &[&str]); 8] = [
    ("task", &["labels", "prompt", "phrase", "per_label", "prompts", "answer", "system", "thinking", "image_newlines"]),
    ("model", &["model", "dtype", "threads", "keep_graphs", "device", "allow_inexact"]),
    ("preprocess", &["budget", "max_budget", "tiles", "no_exif", "max_pixels", "min_rows", "fast_decode"]),
    (
        "decoding",
        &["decoding", "open_labels", "max_boxes", "max_new_tokens", "batch", "temperature", "top_p", "top_k", "seed"],
    ),
    (
        "answer",
        &[
            "coordinates",
            "order",
            "score",
            "calibration",
            "labels_map",
            "min_score",
            "min_area",
            "max_area",
            "min_aspect",
            "max_aspect",
            "drop_edge",
            "duplicates",
            "nms",
            "nms_agnostic",
            "join",
            "strict_labels",
        ],
    ),
    ("source", &["inputs", "exclude", "max_depth", "limit", "sample"]),
    ("run", &["keep_missing", "sync_every", "answer_timeout"]),
    ("export", &["export"]),
];

/// What a pipeline tells `detect`.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) flags: Vec<String>,
    pub(crate) inputs: Vec<String>,
}

/// What `text` says.
///
/// # Errors
/// That it is no TOML, or a key or value that is no flag of `detect`.
pub(crate) fn arguments(text: &str) -> anyhow::Result<Told> {
    let table: Table = toml::from_str(text).map_err(|error| anyhow!("{error}"))?;
    let mut told = Told { flags: Vec::new(), inputs: Vec::new() };
    for (section, value) in &table {
        let Some((_, keys)) = SECTIONS.iter().find(|(name, _)| name == section) else {
            let names = SECTIONS.map(|(name, _)| name);
            bail!("unknown section [{section}]{}", suggestion(section, names.iter().copied()));
        };
        let Value::Table(entries) = value else { bail!("{section} must be a section: [{section}]") };
        for (key, value) in entries {
            if !keys.contains(&key.as_str()) {
                let elsewhere = SECTIONS.iter().find(|(_, keys)| keys.contains(&key.as_str()));
                match elsewhere {
                    Some((right, _)) => bail!("`{key}` belongs under [{right}], not [{section}]"),
                    None => bail!(
                        "unknown key `{key}` under [{section}]{}",
                        suggestion(key, SECTIONS.iter().flat_map(|(_, keys)| keys.iter().copied()))
                    ),
                }
            }
            let words = words(value).with_context(|| format!("[{section}] {key}"))?;
            match (key.as_str(), words) {
                ("inputs", Words::List(inputs)) => told.inputs = inputs,
                ("inputs", Words::One(input)) => told.inputs = vec![input],
                (_, Words::Switch(false)) => {}
                (_, Words::Switch(true)) => told.flags.push(format!("--{}", key.replace('_', "-"))),
                (_, Words::One(word)) => told.flags.push(format!("--{}={word}", key.replace('_', "-"))),
                // A pattern may have commas in it.
                ("exclude", Words::List(list)) => {
                    told.flags.extend(list.iter().map(|pattern| format!("--exclude={pattern}")));
                }
                (_, Words::List(list)) if list.iter().any(|word| word.contains(',')) => {
                    bail!(
                        "[{section}] {key}: {:?} has a comma in it; use @FILE with one label a line",
                        list.iter().find(|word| word.contains(',')).map_or("", String::as_str)
                    )
                }
                (_, Words::List(list)) => told.flags.push(format!("--{}={}", key.replace('_', "-"), list.join(","))),
            }
        }
    }
    Ok(told)
}

enum Words {
    Switch(bool),
    One(String),
    List(Vec<String>),
}

fn words(value: &Value) -> anyhow::Result<Words> {
    let word = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        _ => bail!("must be text, a number, true or false, or a list of these"),
    };
    Ok(match value {
        Value::Boolean(on) => Words::Switch(*on),
        Value::Array(list) => Words::List(list.iter().map(word).collect::<anyhow::Result<_>>()?),
        value => Words::One(word(value)?),
    })
}

/// `; did you mean ...?`, where a known name is close.
fn suggestion<'n>(given: &str, known: impl Iterator<Item = &'n str>) -> String {
    let given = given.to_lowercase().replace('-', "_");
    let close = known
        .map(|name| (strsim::levenshtein(&given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4);
    close.map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pipeline_says() {
        let told = arguments(
            "[task]\nlabels = [\"a b\", \"c\"]\nper_label = true\nthinking = false\n[answer]\nmin_score = 0.5\n\
             [source]\nexclude = [\"{a,b}\", \"c\"]",
        )
        .unwrap();
        let flags = ["--min-score=0.5", "--exclude={a,b}", "--exclude=c", "--labels=a b,c", "--per-label"];
        assert_eq!(told.flags, flags.map(str::to_owned));
        for (text, says) in [
            ("[answer]\nmin_scor = 1", "did you mean `min_score`?"),
            ("[anwser]", "did you mean `answer`?"),
            ("[task]\nbudget = 70", "belongs under [preprocess]"),
            ("[task]\nlabels = [[1]]", "must be text"),
            ("task = 1", "must be a section"),
            ("[task]\nlabels = [\"a,b\"]", "has a comma"),
            ("[task", "1 | [task"),
        ] {
            let error = format!("{:#}", arguments(text).err().unwrap());
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
