//! `gemscope run`: a detection whose flags stand in a file, or a critique by the rubric in it.
//!
//! In: a pipeline in TOML, and flags that override it; or a rubric, and the flags of `critique`.
//! Out: the output of `detect` or `critique`, and the resolved pipeline beside the journal.
//! Promises: a pipeline has the flags of `detect` and nothing else, each under one section; an
//! unknown key is an error that names the line and the key that may have been meant.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args as _, FromArgMatches as _};
use gemscope::critique::{Gates, Rubric};
use gemscope::session::pipeline::{Layer as _, shareable};
use gemscope::session::{Pipeline, PipelineError};
use gemscope::source::without_secrets;

use super::pipeline::flags;
use super::{Ending, Global, critique, detect, output};

/// Run a pipeline: a TOML file with the flags of detect, or a rubric for critique
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pipeline
    #[arg(value_name = "PIPELINE.toml")]
    pipeline: PathBuf,
    /// Only check the pipeline, and print the detect command that it stands for
    #[arg(long)]
    check: bool,
    /// Folders, files and flags of detect (of critique for a rubric); a flag overrides the pipeline
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "INPUTS and FLAGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    // Behind the first input, clap leaves all words to `rest`.
    let (checks, rest): (Vec<String>, Vec<String>) =
        args.rest.iter().cloned().partition(|word| word == "--check");
    let args =
        &Args { pipeline: args.pipeline.clone(), check: args.check || !checks.is_empty(), rest };
    let name = args.pipeline.display();
    let text = gemscope::files::read_text(&args.pipeline).with_context(|| name.to_string())?;
    // Only a rubric has axes.
    if toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("axis")) {
        return by_rubric(args, global, &text);
    }
    let pipeline = Pipeline::parse(&text).with_context(|| name.to_string())?;
    let inputs = &pipeline.source.inputs;
    // The inputs of the command line replace those of the pipeline, as its flags do.
    let command =
        detect::Args::augment_args(clap::Command::new("gemscope run").no_binary_name(true));
    let command =
        command.args_override_self(true).mut_arg("inputs", |arg| arg.required(inputs.is_empty()));
    let parse = |more: &[&str]| {
        let words = args.rest.iter().map(String::as_str).chain(more.iter().copied());
        let found = command.clone().try_get_matches_from(words);
        let found = found.and_then(|found| detect::Args::from_arg_matches(&found));
        found.map_err(|error| anyhow!("{name}: {}", plain(&error)))
    };
    // Arguments that only the command line has are not expected in the file.
    let mut detect_args = parse(if args.check { &["input", "--dry-run"] } else { &[] })?;
    if detect_args.inputs.is_empty() {
        detect_args.inputs.clone_from(inputs);
    }
    detect_args.pipeline = detect_args.pipeline.over(pipeline.clone());
    if args.check {
        let asked = detect_args.pipeline.config().and_then(|_| detect_args.pipeline.formats());
        asked.map_err(|error| about_file(&name, &error))?;
        let inputs: Vec<String> = inputs.iter().map(|input| input.display().to_string()).collect();
        let flags = flags(&text);
        output::text(&format!(
            "gemscope detect {}\n",
            shell(flags.iter().chain(&inputs).chain(&args.rest))
        ));
        return Ok(Ending::Complete);
    }
    let words: Vec<String> = args.rest.iter().map(|word| without_secrets(word)).collect();
    let kept =
        format!("# gemscope run pipeline.toml {}\n\n{}", shell(words.iter()), shareable(&text));
    let ending = detect::run_pipeline(&detect_args, global, Some(&kept));
    ending.map_err(|error| match error.downcast::<PipelineError>() {
        Ok(error) => about_file(&name, &error),
        Err(error) => error,
    })
}

/// The error about the settings of the file `name`: keys in quotes, no flags.
fn about_file(name: &dyn Display, error: &PipelineError) -> anyhow::Error {
    anyhow!("{name}: {}", error.to_string().replace('`', "\""))
}

/// Runs `critique --rubric` with the file.
fn by_rubric(args: &Args, global: &Global, text: &str) -> anyhow::Result<Ending> {
    let name = args.pipeline.display();
    if args.check {
        let rubric = Rubric::read(text).with_context(|| name.to_string())?;
        Gates::new(&rubric).with_context(|| name.to_string())?;
        output::text(&format!("gemscope critique --rubric {name} {}\n", shell(args.rest.iter())));
        return Ok(Ending::Complete);
    }
    let command =
        critique::Args::augment_args(clap::Command::new("gemscope run").no_binary_name(true));
    // In one word, so that a file's name is never taken for a flag.
    let mut rubric = OsString::from("--rubric=");
    rubric.push(&args.pipeline);
    let given = std::iter::once(rubric).chain(args.rest.iter().map(OsString::from));
    let parsed = command
        .try_get_matches_from(given)
        .and_then(|found| critique::Args::from_arg_matches(&found));
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
        if safe && !word.is_empty() {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_detect_has_its_place() {
        let command = detect::Args::augment_args(clap::Command::new("detect"));
        let sections = Pipeline::sections();
        let elsewhere = [
            "out",
            "fresh",
            "adopt",
            "retry_failed",
            "json",
            "dry_run",
            "only_unlabelled",
            "watch",
            "idle",
        ];
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let places = sections.iter().filter(|(_, keys)| keys.contains(&id)).count();
            assert_eq!(places, usize::from(!elsewhere.contains(&id)), "{id}");
        }
    }
}
