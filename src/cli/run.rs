//! `gemscope run`: a detection whose flags stand in a file, or a critique by the rubric in it.
//!
//! In: a pipeline in TOML, and flags that override it; or a rubric, and the flags of `critique`. Out: what `detect` or `critique` does, and the
//! resolved pipeline beside the journal. Promises: a pipeline can say what the flags of `detect` say and nothing else, each under one section; an
//! unknown key is an error that names the line and the key that may have been meant.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args as _, FromArgMatches as _};
use gemscope::critique::{Gates, Rubric};

use super::pipeline::arguments;
use super::{Ending, Global, critique, detect, output};

/// Run a pipeline: a TOML file that says what the flags of detect say, or a rubric for critique
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pipeline
    #[arg(value_name = "PIPELINE.toml")]
    pipeline: PathBuf,
    /// Only say whether the pipeline is in order, and what detect is told
    #[arg(long)]
    check: bool,
    /// Folders, files and flags of detect (of critique for a rubric); a flag overrides the pipeline
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "INPUTS and FLAGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let name = args.pipeline.display();
    let text = gemscope::files::read_text(&args.pipeline).with_context(|| name.to_string())?;
    // Only a rubric has axes.
    if toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("axis")) {
        return by_rubric(args, global, &text);
    }
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
        output::text(&format!("gemscope detect {}\n", shell(told.flags.iter().chain(&told.inputs).chain(&args.rest))));
        return Ok(Ending::Complete);
    }
    let detect_args = match parse(&[]) {
        Err(error) if error.kind() == clap::error::ErrorKind::MissingRequiredArgument && !told.inputs.is_empty() => {
            parse(&told.inputs)
        }
        parsed => parsed,
    }
    .map_err(|error| anyhow!("{name}: {}", plain(&error)))?;
    let kept = format!("# gemscope run pipeline.toml {}\n\n{text}", shell(args.rest.iter()));
    detect::run_pipeline(&detect_args, global, Some(&kept))
}

/// What `critique --rubric` does with the file.
fn by_rubric(args: &Args, global: &Global, text: &str) -> anyhow::Result<Ending> {
    let name = args.pipeline.display();
    if args.check {
        let rubric = Rubric::read(text).with_context(|| name.to_string())?;
        Gates::new(&rubric).with_context(|| name.to_string())?;
        output::text(&format!("gemscope critique --rubric {name} {}\n", shell(args.rest.iter())));
        return Ok(Ending::Complete);
    }
    let command = critique::Args::augment_args(clap::Command::new("gemscope run").no_binary_name(true));
    // In one word, so that a file's name is never taken for a flag.
    let mut rubric = OsString::from("--rubric=");
    rubric.push(&args.pipeline);
    let given = std::iter::once(rubric).chain(args.rest.iter().map(OsString::from));
    let parsed = command.try_get_matches_from(given).and_then(|found| critique::Args::from_arg_matches(&found));
    critique::run(&parsed.map_err(|error| anyhow!("{name}: {}", plain(&error)))?, global)
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
    use crate::cli::pipeline::SECTIONS;

    #[test]
    fn every_flag_of_detect_has_its_place() {
        let command = detect::Args::augment_args(clap::Command::new("detect"));
        let elsewhere = ["out", "fresh", "adopt", "retry_failed", "json", "dry_run"];
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let places = SECTIONS.iter().filter(|(_, keys)| keys.contains(&id)).count();
            assert_eq!(places, usize::from(!elsewhere.contains(&id)), "{id}");
        }
    }
}
