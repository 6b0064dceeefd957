//! The command line: one file a command.
//!
//! In: arguments. Out: results on stdout or in files, everything else on stderr, and an exit code
//! (`EXIT_CODES`). Promises: the exit code is the run's own, whatever
//! becomes of stdout and stderr.

// the doc comments of arguments are the help text, which has no backticks
#![allow(clippy::doc_markdown)]

mod args;
mod choice;
mod compare;
mod convert;
mod critique;
mod detect;
mod device;
mod doctor;
mod dry_run;
mod eval;
mod export;
mod gpu;
mod help;
mod inspect;
mod messages;
mod model;
mod output;
mod parse;
mod pipeline;
mod plain;
mod progress;
mod report;
mod run;
mod serve;
mod setup;
mod shell;
mod signals;
mod watch;

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use gemscope::critique::Verdict;
use gemscope::dataset::DatasetError;
use gemscope::export::{ExportError, Exported, FormatFailure, Missing};
use gemscope::ffmpeg;
use gemscope::hub::HubError;
use gemscope::journal::{
    DamagedLine, JournalError, JournalRecords, RunDirectoryError, ShardsError, read_journal,
};
use gemscope::model::{Foreign, LayoutError};
use gemscope::onnxruntime::{MINIMUM_VERSION, PINNED_VERSION, RuntimeOptions};
use gemscope::ownership::OwnershipError;
use gemscope::record::{Manifest, Record};
use gemscope::run::RunError;
use gemscope::server::ServerError;
use gemscope::session::SessionError;

/// Finds, counts, crops and judges what is in a folder of images, with Gemma 4, offline.
#[derive(Debug, Parser)]
#[command(name = "gemscope", version, long_version = String::leak(version()) as &str, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find things in images: boxes, counts, crops, COCO
    Detect(Box<detect::Args>),
    /// Judge generated frames by a rubric: keep, review or reject
    Critique(Box<critique::Args>),
    /// Run a pipeline: a TOML file with the flags of detect, or a rubric
    Run(run::Args),
    /// Write a run's results in other formats; runs no model
    Export(export::Args),
    /// Read answers that were made elsewhere (Ollama, vLLM, llama.cpp, OpenAI ...)
    ///
    /// FILE holds responses as a server gave them, one JSON object after another: results of
    /// batches of OpenAI or vLLM, chat completions, responses of Ollama or llama.cpp, or own lines
    /// {"image":…,"width":…,"height":…,"text":…}. Each is about its image, else about the one that
    /// its custom_id names. Every record is printed as a line of JSON; with --out they become a
    /// run, which every export works on.
    Parse(parse::Args),
    /// How a run went: statuses, speed over time, the slowest images, retries
    Report(report::Args),
    /// How good detections are, against a truth file: COCO's figures, F1, confusion, calibration
    Eval(Box<eval::Args>),
    /// Write a dataset in another format, or several as one
    Convert(convert::Args),
    /// What changed between two datasets or runs: boxes kept, moved, relabelled, removed, added
    Compare(compare::Args),
    /// Answer annotation tools over HTTP: Label Studio, X-AnyLabeling, or POST /v1/detect
    Serve(Box<serve::Args>),
    /// Show what the model is given for an image: sizes, tokens, tensors
    Inspect(inspect::Args),
    /// Fetch a model, list those that are there, look at one
    Model(model::Args),
    /// Install ONNX Runtime into the user's cache directory
    Setup(setup::Args),
    /// Check the installation, and say how to mend it
    Doctor(doctor::Args),
    /// Print a script that completes commands and flags in a shell
    Completions(shell::CompletionsArgs),
    /// Write man pages, one a command
    Man(shell::ManArgs),
}

#[derive(Debug, clap::Args)]
struct Global {
    /// ONNX Runtime's library; else $ORT_DYLIB_PATH, then wherever `gemscope doctor` finds one
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    ort_lib: Option<PathBuf>,
    /// The ffmpeg that reads videos, HEIC and AVIF; else $GEMSCOPE_FFMPEG, then the one on the search path
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    ffmpeg: Option<PathBuf>,
    /// Never use the network, also not to install ONNX Runtime (or set GEMSCOPE_OFFLINE=1)
    #[arg(long, global = true, help_heading = "Global options")]
    offline: bool,
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Log events of ONNX Runtime and gemscope (-v warnings, -vv information, -vvv everything)
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Global \
        options")]
    verbose: u8,
    /// Append events to a file, one JSON object a line, with the time of every image
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    log: Option<PathBuf>,
    #[arg(skip)]
    onnxruntime: Option<PathBuf>,
}

impl Global {
    fn runtime_options(&self) -> RuntimeOptions {
        let options = RuntimeOptions::from_env(self.ort_lib.clone(), self.offline);
        RuntimeOptions { first: self.onnxruntime.clone(), ..options }
    }
}

/// The exit code where a bar is missed (`--fail-under`).
const BELOW_BAR: u8 = 3;

/// How a command ended, when it ended as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Everything has an answer.
    Complete,
    /// Some images, or lines, failed.
    SomeFailed,
    /// A check found something wrong.
    NotReady,
    /// A format that was asked for is not written; the others are.
    NotWritten,
    /// A bar that was asked for is missed.
    BelowBar,
    /// The worst verdict on any frame is this one, and was asked for.
    Judged(Verdict),
    /// A signal stopped it.
    Stopped,
}

impl Ending {
    fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::NotReady | Self::NotWritten => 1,
            Self::SomeFailed => 2,
            Self::BelowBar => BELOW_BAR,
            Self::Judged(verdict) => match verdict {
                Verdict::Keep => 0,
                Verdict::Review => 10,
                Verdict::Reject => 11,
            },
            Self::Stopped => signals::STOPPED,
        }
    }
}

/// The exit codes, in the words of the help.
const EXIT_CODES: [(u8, &str); 5] = [
    (0, "every image has an answer; what was asked for is written"),
    (1, "it could not be done, or a format could not be written (the others are)"),
    (2, "the run finished, and some images failed"),
    (BELOW_BAR, "a bar that was asked for is missed (--fail-under)"),
    (signals::STOPPED, "it was stopped by Ctrl-C, SIGTERM or a closed terminal"),
];

/// The command line with its help: for whoever makes pages or completions of it.
pub fn command() -> clap::Command {
    let codes = EXIT_CODES.map(|(code, meaning)| format!("{code:>5}  {meaning}"));
    help::with_short_help(Cli::command()).after_help(format!("Exit codes:\n{}", codes.join("\n")))
}

/// What `--version` says of this build: version, commit (releases are built with GEMSCOPE_COMMIT
/// set), features, platform, and which ONNX
/// Runtime it takes.
fn version() -> String {
    let features = [
        ("cuda", cfg!(feature = "cuda")),
        ("load-dynamic", cfg!(feature = "load-dynamic")),
        ("download-ort", cfg!(feature = "download-ort")),
        ("turbojpeg", cfg!(feature = "turbojpeg")),
    ];
    let on: Vec<&str> = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    format!(
        "{}{}\nfeatures: {}\nplatform: {} {}\nONNX Runtime: {} or later; `gemscope setup` \
         installs {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("GEMSCOPE_COMMIT")
            .map_or(" (built from source)".into(), |id| format!(" ({id})")),
        on.join(", "),
        std::env::consts::OS,
        std::env::consts::ARCH,
        MINIMUM_VERSION,
        PINNED_VERSION,
    )
}

/// Does what the words `arguments` say, of which the first is the program's name, and gives the
/// exit code of the process. `onnxruntime` is a library that is tried before all others, unless the
/// user names one.
///
/// Signals are caught, and logging is set up, as a process has them once: it is called once in a
/// process.
pub fn run(arguments: impl IntoIterator<Item = OsString>, onnxruntime: Option<PathBuf>) -> u8 {
    let parsed = command().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|found| Cli::from_arg_matches(&found));
    let mut cli = match parsed {
        Ok(cli) => cli,
        Err(mut error) => {
            // Help and version are no errors; wrong arguments are a run that could not be done.
            let advice = help::advise(&command(), &mut error);
            let _ = error.print();
            if let Some(advice) = advice {
                messages::error(&advice);
            }
            return u8::from(error.use_stderr());
        }
    };
    cli.global.onnxruntime = onnxruntime;
    if let Err(error) =
        messages::start(cli.global.quiet, cli.global.verbose, cli.global.log.as_deref())
    {
        messages::error(&format!("--log: {error}"));
        return 1;
    }
    if let Some(program) = &cli.global.ffmpeg {
        ffmpeg::use_program(program.clone());
    }
    if let Err(error) = signals::end_ffmpeg_too() {
        messages::error(&format!("signals cannot be caught: {error}"));
        return 1;
    }
    let result = match &cli.command {
        Command::Detect(args) => detect::run(args, &cli.global),
        Command::Critique(args) => critique::run(args, &cli.global),
        Command::Run(args) => run::run(args, &cli.global),
        Command::Export(args) => export::run(args),
        Command::Parse(args) => parse::run(args),
        Command::Report(args) => report::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Serve(args) => serve::run(args, &cli.global),
        Command::Inspect(args) => inspect::run(args),
        Command::Model(args) => model::run(args, &cli.global),
        Command::Setup(args) => setup::run(args, &cli.global),
        Command::Doctor(args) => doctor::run(args, &cli.global),
        Command::Completions(args) => Ok(shell::completions(args)),
        Command::Man(args) => shell::man(args),
    };
    match result {
        Ok(ending) => ending.code(),
        Err(error) => {
            messages::error(&format!("{error:#}"));
            if let Some(advice) = ownership_of(&error).and_then(advice) {
                messages::error(advice);
            }
            if let Some(flags) = error.downcast_ref().and_then(flags) {
                messages::error(&flags);
            }
            if let Some(flags) = error.downcast_ref().and_then(shards_flags) {
                messages::error(flags);
            }
            if let (Command::Detect(args), Some(error)) = (&cli.command, error.downcast_ref())
                && let Some(flags) = detect::flags(args, error)
            {
                messages::error(&flags);
            }
            if is_full_disk(&error) {
                say_full_disk();
            }
            if let Some(RunDirectoryError::OtherSettings { path, .. }) = error.downcast_ref() {
                say_what_goes_on(path);
            }
            1
        }
    }
}

/// A session's error as its inner type, if it is about a run or an output directory.
fn raised(error: SessionError) -> anyhow::Error {
    match error {
        SessionError::Run(error) => error.into(),
        SessionError::Directory(error) => error.into(),
        SessionError::Ownership(error) => error.into(),
        error => error.into(),
    }
}

/// The smallest model that is published with graphs.
const SMALLEST: &str = "onnx-community/gemma-4-E2B-it-ONNX";

/// The flags that solve a library error about settings.
fn flags(error: &SessionError) -> Option<Cow<'static, str>> {
    let words = match error {
        SessionError::Hub(HubError::NotThere { id, .. }) => {
            return Some(
                format!(
                    "to fetch it: gemscope model download {id} (if a folder was meant: there is \
                     none of that name)"
                )
                .into(),
            );
        }
        SessionError::Layout(LayoutError::HubPage { id, .. }) => {
            return Some(
                format!("to fetch it: gemscope model download {id}; then --model {id} names it")
                    .into(),
            );
        }
        SessionError::Layout(LayoutError::OllamaTag(tag)) => {
            let server = format!(
                "--server http://localhost:11434 --server-model {} asks an Ollama that runs it",
                tag.strip_prefix("ollama:").unwrap_or(tag)
            );
            return Some(
                format!(
                    "{server}; graphs for --model are fetched by: gemscope model download \
                         {SMALLEST}"
                )
                .into(),
            );
        }
        SessionError::Layout(LayoutError::Url(url)) => {
            return Some(format!("--server {url} asks a server that runs there").into());
        }
        SessionError::Layout(LayoutError::Foreign { foreign: Foreign::Gguf, .. }) => {
            "--server URL asks a llama-server or Ollama that runs it"
        }
        SessionError::Layout(LayoutError::NoDirectory(_)) => {
            return Some(
                format!(
                    "to fetch a model: gemscope model download {SMALLEST}; to see \
                                 those that are there: gemscope model list"
                )
                .into(),
            );
        }
        SessionError::Inexact { .. } => {
            "--allow-inexact runs it, and its answers are another model's. docs/MODELS.md says \
             which exports are right"
        }
        SessionError::Hub(HubError::Offline { .. }) => {
            "the same command without --offline, GEMSCOPE_OFFLINE and HF_HUB_OFFLINE fetches it"
        }
        SessionError::Server(error) => return server_flags(error).map(Cow::Borrowed),
        SessionError::NoPrecision { .. } => "--dtype names it",
        SessionError::NeedsModel { .. } => {
            return Some(
                format!(
                    "--model DIR or OWNER/NAME names a model, which is fetched by: gemscope model download \
                     {SMALLEST}; --server URL asks a server that runs one. The demo model is asked \
                     by --labels (\"red circle,star\": one of each, in lower case) or --prompt \"detect shape\"; --model demo \
                     lets it guess at anything"
                )
                .into(),
            );
        }
        SessionError::RubricNeedsModel { .. } => {
            return Some(
                format!(
                    "--model DIR or OWNER/NAME names a model, which is fetched by: gemscope model download \
                     {SMALLEST}; --server URL asks a server that runs one. The demo model knows \
                     --rubric demo; --model demo lets it guess at anything"
                )
                .into(),
            );
        }
        SessionError::NothingAsked => {
            "say what to find: --labels, --phrase or --prompt, or for each image by itself: \
             --prompts FILE"
        }
        SessionError::NoRoomForThoughts => "leave out --thinking, or take --decoding free",
        SessionError::NoRoomForText => "leave out --decoding grammar, or say --answer boxes",
        SessionError::NoLabelsToSplit => "--per-label needs --labels",
        SessionError::SameQuestions => "--per-label needs {labels} in --prompt",
        SessionError::LacksLabels => "there are no --labels",
        SessionError::TooManyLabels { .. } => "--per-label asks about each label by itself",
        SessionError::NoRow { .. } => {
            "--labels, --phrase or --prompt say what to ask about all other images"
        }
        SessionError::OfRow { error, .. } => return flags(error),
        SessionError::ClipOnServer => "--frames 32 asks it about single frames",
        SessionError::NoBoxesInClip => {
            "--frames in place of --clip finds boxes in single frames; --clip goes with --prompt"
        }
        _ => return None,
    };
    Some(words.into())
}

/// The flags that help with shards that are not one whole run.
fn shards_flags(error: &ShardsError) -> Option<&'static str> {
    Some(match error {
        ShardsError::Incomplete { .. } => {
            "each shard's command again goes on with it; --partial exports what there is"
        }
        ShardsError::Roots { .. } => "--images DIR says it",
        ShardsError::Twice { .. } => "name one of them",
        _ => return None,
    })
}

/// The flags that avoid a server's limit.
fn server_flags(error: &ServerError) -> Option<&'static str> {
    Some(match error {
        ServerError::Address { .. } | ServerError::NoServer { .. } => {
            "--server takes an address such as http://localhost:8000; the server's kind is said \
             by --server-kind"
        }
        ServerError::Http(error) if error.is_unreachable() => {
            "is the server running there? (ollama serve, llama-server, vllm serve ...)"
        }
        ServerError::NoModel { .. } | ServerError::SeveralModels { .. } => {
            "--server-model NAME names it"
        }
        ServerError::OtherKind { .. } => "leave out --server-kind",
        ServerError::NoThoughts(_) => "leave out --thinking",
        ServerError::NoConstraint { .. } => "leave out --decoding grammar",
        ServerError::ImageLines => "leave out --image-newlines",
        _ => return None,
    })
}

fn is_full_disk(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SessionError::Hub(error)) if error.is_full_disk())
        || error.downcast_ref().is_some_and(ExportError::is_full_disk)
        || error.downcast_ref().is_some_and(RunError::is_full_disk)
        || error.downcast_ref().is_some_and(RunDirectoryError::is_full_disk)
        || ownership_of(error).is_some_and(OwnershipError::is_full_disk)
}

/// The ownership error behind `error`, if there is one.
fn ownership_of(error: &anyhow::Error) -> Option<&OwnershipError> {
    match (error.downcast_ref(), error.downcast_ref(), error.downcast_ref()) {
        (Some(ExportError::Ownership(error)), ..)
        | (_, Some(RunDirectoryError::Ownership(error)), _)
        | (.., Some(DatasetError::Ownership(error))) => Some(error),
        _ => error.downcast_ref(),
    }
}

/// The flag that helps.
fn advice(error: &OwnershipError) -> Option<&'static str> {
    match error {
        OwnershipError::InTheWay { .. } => Some("--adopt takes such files over and replaces them"),
        OwnershipError::NotEmpty(_) => Some(
            "--adopt writes beside the files that are there, and replaces those that are in the \
             way",
        ),
        _ => None,
    }
}

/// Says how to go on without losing the answers of the run in `directory`, whose settings differ.
fn say_what_goes_on(directory: &Path) {
    let judges = Manifest::read(directory)
        .is_ok_and(|run| run.settings.is_some_and(|run| run.critique.is_some()));
    let run = directory.display();
    let kept = if judges {
        format!(
            "to judge its frames by other rules or weights: gemscope critique --report-only \
             --rubric FILE --out {run}"
        )
    } else {
        format!(
            "for other scores, filters, names or formats of its boxes: gemscope export {run} --to \
             FORMATS --min-score SCORE ..."
        )
    };
    messages::error(&format!(
        "its answers stay as they are. Choose another --out for answers to this question\n  \
         {kept}\n  \
         for one data set of several runs: gemscope export {run} OTHER-RUN --to FORMATS --out \
         NEW\n  \
         to throw its answers away: the same command with --fresh"
    ));
}

fn say_full_disk() {
    messages::error(
        "the disk is full; once there is room, the same command goes on where this one stopped",
    );
}

/// How a command ends that has exported, of a run with `left` images that it did not come to and
/// `failed` ones. Formats that could not be written are said.
fn ending(exported: &Exported, left: usize, failed: usize) -> Ending {
    for failure in &exported.failures {
        messages::error(&plain::line(&failure.to_string()));
    }
    let in_the_way = exported.failures.iter().find_map(|failure| match &failure.error {
        ExportError::Ownership(error) => advice(error),
        _ => None,
    });
    if let Some(advice) = in_the_way {
        messages::error(advice);
    }
    if exported.failures.iter().any(FormatFailure::is_full_disk) {
        say_full_disk();
    }
    match exported {
        Exported { failures, .. } if !failures.is_empty() => Ending::NotWritten,
        _ if left > 0 => Ending::Stopped,
        Exported { images_missed: 0, .. } if failed == 0 => Ending::Complete,
        _ => Ending::SomeFailed,
    }
}

/// The records of a run; damaged lines of its journal are reported.
fn read_records(run: &Path) -> Result<Vec<Record>, JournalError> {
    let JournalRecords { records, damaged } = read_journal(run)?;
    say_damaged(run, &damaged);
    Ok(records)
}

fn say_damaged(run: &Path, damaged: &[DamagedLine]) {
    for line in damaged {
        messages::error(&format!("{}{}{line}", run.display(), std::path::MAIN_SEPARATOR));
    }
}

/// Says how many images are not there any more.
fn say_missing(missing: Missing, root: &Path, keep: bool) {
    match missing {
        Missing::Some(0) => {}
        Missing::Some(count) => {
            let are =
                if count == 1 { "1 image is".to_owned() } else { format!("{count} images are") };
            let what = if keep {
                "kept in what is written (--keep-missing)"
            } else {
                "left out (--keep-missing keeps them)"
            };
            messages::say(&format!("{are} not there any more, and {what}."));
        }
        Missing::OutOfReach(count) => {
            let root = root.display();
            messages::say(&format!(
                "Not one of {count} images is in {root}: moved, or a disk that is not mounted? \
                 All records are kept."
            ));
        }
    }
}
