//! `gemscope run`: a detection whose flags stand in a file.
//!
//! In: a pipeline in TOML, and flags that override it. Out: what `detect` does, and the resolved pipeline beside the journal. Promises: a
//! pipeline can say what the flags of `detect` say and nothing else, each under one section; an unknown key is an error that names the line and
//! the key that may have been meant.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args as _, FromArgMatches as _};
use toml::{Table, Value};

use super::{Ending, Global, detect, messages, output};

/// Run a pipeline: a TOML file that says what the flags of detect say
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pipeline
    #[arg(value_name = "PIPELINE.toml")]
    pipeline: PathBuf,
    /// Only say whether the pipeline is in order, and what detect is told
    #[arg(long)]
    check: bool,
    /// Folders, files and flags of detect; a flag overrides the pipeline
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "INPUTS and FLAGS")]
    rest: Vec<String>,
}

/// Section, and the flags of `detect` that it can hold; a key is the flag with `_` for `-`.
const SECTIONS: [(&str, &[&str]); 7] = [
    ("task", &["labels", "prompt", "phrase", "per_label", "prompts", "system", "thinking", "image_newlines"]),
    ("model", &["model", "dtype", "threads"]),
    ("preprocess", &["budget", "max_budget", "tiles", "no_exif", "fast_decode"]),
    (
        "decoding",
        &["decoding", "open_labels", "max_boxes", "max_new_tokens", "batch", "temperature", "top_p", "top_k", "seed"],
    ),
    (
        "answer",
        &[
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
    ("source", &["inputs"]),
    ("export", &["export"]),
];

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let name = args.pipeline.display();
    let text = std::fs::read_to_string(&args.pipeline).with_context(|| name.to_string())?;
    let told = arguments(&text).with_context(|| name.to_string())?;
    let command =
        detect::Args::augment_args(clap::Command::new("gemscope run").no_binary_name(true)).args_override_self(true);
    // The inputs of the command line replace those of the pipeline, as its flags do.
    let parse = |inputs: &[String]| {
        command
            .clone()
            .try_get_matches_from(told.flags.iter().chain(inputs).chain(&args.rest))
            .and_then(|found| detect::Args::from_arg_matches(&found))
    };
    if args.check {
        // What only the command line can say is not asked of the file.
        let probe = ["input".to_owned(), "--dry-run".to_owned()];
        command
            .clone()
            .try_get_matches_from(told.flags.iter().chain(&probe).chain(&args.rest))
            .map_err(|error| anyhow!("{name}: {}", plain(&error)))?;
        output::text(&format!("gemscope detect {}\n", shell(told.flags.iter().chain(&told.inputs).chain(&args.rest))))?;
        return Ok(Ending::Complete);
    }
    let detect_args = match parse(&[]) {
        Err(error) if error.kind() == clap::error::ErrorKind::MissingRequiredArgument && !told.inputs.is_empty() => {
            parse(&told.inputs)
        }
        parsed => parsed,
    }
    .map_err(|error| anyhow!("{name}: {}", plain(&error)))?;
    let ending = detect::run(&detect_args, global)?;
    if let Some(out) = detect_args.out() {
        keep(out, &text, &args.rest)?;
    }
    Ok(ending)
}

/// The pipeline and what the command line added, so that the run can be made again.
fn keep(out: &Path, text: &str, rest: &[String]) -> anyhow::Result<()> {
    let path = out.join("pipeline.toml");
    let kept = format!("# gemscope run pipeline.toml {}\n\n{text}", shell(rest.iter()));
    std::fs::write(&path, kept).with_context(|| path.display().to_string())?;
    messages::say(&format!("The pipeline is kept in {}", path.display()));
    Ok(())
}

/// What a pipeline tells `detect`.
struct Told {
    flags: Vec<String>,
    inputs: Vec<String>,
}

fn arguments(text: &str) -> anyhow::Result<Told> {
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

/// clap's words without its usage block.
fn plain(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    text.trim_start_matches("error: ").trim().to_owned()
}

fn shell<'w>(words: impl Iterator<Item = &'w String>) -> String {
    let quoted = |word: &String| {
        let safe = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./,:@%+".contains(c));
        if safe && !word.is_empty() { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_detect_has_its_place() {
        let command = detect::Args::augment_args(clap::Command::new("detect"));
        let elsewhere = ["out", "overwrite", "json", "dry_run"];
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let places = SECTIONS.iter().filter(|(_, keys)| keys.contains(&id)).count();
            assert_eq!(places, usize::from(!elsewhere.contains(&id)), "{id}");
        }
    }

    #[test]
    fn what_a_pipeline_says() {
        let told = arguments(
            "[task]\nlabels = [\"a b\", \"c\"]\nper_label = true\nthinking = false\n[answer]\nmin_score = 0.5\n",
        )
        .unwrap();
        assert_eq!(told.flags, ["--min-score=0.5", "--labels=a b,c", "--per-label"].map(str::to_owned));
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
