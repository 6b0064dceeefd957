//! The short help of a command (`-h`), and advice for flags of other tools.
//!
//! In: the command line as clap derives it, and clap's errors. Out: the same command line whose
//! `-h` shows the flags that most people need, and two examples; a sentence for a flag that other
//! tools have under another name. Promises: `--help` shows every flag.

use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What `-h` of a command shows: its flags, by their clap ids, and its examples.
struct Short {
    command: &'static str,
    shown: &'static [&'static str],
    examples: &'static str,
}

/// Commands with many flags. The others show them all in `-h`, too.
const SHORT: [Short; 3] = [
    Short {
        command: "detect",
        shown: &[
            "inputs",
            "labels",
            "phrase",
            "prompt",
            "budget",
            "tiles",
            "model",
            "server",
            "device",
            "min_score",
            "out",
            "export",
            "shard",
            "dry_run",
            "json",
        ],
        examples: "Examples:
  gemscope detect photos/ --labels \"person,dog\" --model MODEL --out runs/photos
  gemscope detect photos/ --labels @names.txt --tiles auto --export coco,html --out runs/photos",
    },
    Short {
        command: "critique",
        shown: &[
            "inputs",
            "rubric",
            "model",
            "server",
            "device",
            "out",
            "sort",
            "export",
            "report_only",
            "json",
        ],
        examples: "Examples:
  gemscope critique frames/ --model MODEL --sort link --out runs/frames
  gemscope critique --report-only --rubric mine.toml --out runs/frames",
    },
    Short {
        command: "export",
        shown: &["runs", "to", "out", "images", "min_score", "split", "categories"],
        examples: "Examples:
  gemscope export runs/photos --to coco,csv
  gemscope export runs/photos --to yolo --split 0.2 --min-score 0.3 --out datasets/photos
  gemscope export runs/photos --to roboflow --split 0.2 --out datasets/rfdetr   # for RF-DETR
  gemscope export runs/0 runs/1 --to run,coco --out runs/all   # joins detect --shard 0/2 and 1/2",
    },
];

/// Examples of commands whose short help is whole.
const EXAMPLES: [(&str, &str); 5] = [
    (
        "model",
        "Examples:
  gemscope model download onnx-community/gemma-4-E2B-it-ONNX
  gemscope detect photos/ --labels cat --model onnx-community/gemma-4-E2B-it-ONNX --out runs/cats",
    ),
    (
        "serve",
        "Examples:
  gemscope serve --model MODEL --labels \"person,dog\" --out runs/served
  curl --data-binary @photo.jpg 'http://127.0.0.1:8000/v1/detect?labels=cat,dog&name=photo.jpg'",
    ),
    (
        "parse",
        "Examples:
  gemscope parse answers.jsonl --images photos/ --out runs/answers
  gemscope parse batch_output.jsonl --requests batch_input.jsonl --images photos/",
    ),
    (
        "convert",
        "Examples:
  gemscope convert instances.json --to yolo --out datasets/yolo
  gemscope convert datasets/yolo --to coco --out instances.json",
    ),
    (
        "eval",
        "Examples:
  gemscope eval --truth instances.json --run runs/photos
  gemscope eval --truth instances.json --predictions results.json --json",
    ),
];

/// The command line whose commands have a short help.
pub(super) fn with_short_help(mut command: Command) -> Command {
    for short in &SHORT {
        command = command.mut_subcommand(short.command, |sub| {
            let of = format!("{}\n\n-h shows the main flags; --help shows all.", short.examples);
            sub.mut_args(|arg| {
                let shown = short.shown.contains(&arg.get_id().as_str());
                arg.hide_short_help(!shown)
            })
            .after_help(of)
            .after_long_help(short.examples)
        });
    }
    for (name, examples) in EXAMPLES {
        command = command.mut_subcommand(name, |sub| sub.after_help(examples));
    }
    command
}

/// Flags of other tools, and what says the same here.
const OF_OTHERS: [(&[&str], &str); 19] = [
    (
        &[
            "conf",
            "conf-thres",
            "conf-threshold",
            "confidence",
            "confidence-threshold",
            "threshold",
            "score-threshold",
        ],
        "--min-score",
    ),
    (
        &["source", "input", "inputs", "image", "images", "image-dir", "img-dir", "folder", "path"],
        "the folder or file itself, without a flag: gemscope detect photos/",
    ),
    (&["imgsz", "img-size", "image-size", "resolution", "size"], "--budget (soft tokens)"),
    (&["save-txt", "yolo"], "--export yolo"),
    (&["save-crop", "crops", "crop"], "--export crops"),
    (&["save-json", "coco", "save-coco"], "--export coco"),
    (&["save-img", "save", "visualize", "draw", "show"], "--export overlay"),
    (
        &["project", "name", "output", "output-dir", "outdir", "out-dir", "save-dir", "dest"],
        "--out",
    ),
    (&["iou", "iou-thres", "iou-threshold", "nms-iou"], "--nms"),
    (&["agnostic", "agnostic-nms"], "--nms-agnostic"),
    (&["weights", "checkpoint", "model-path", "model-dir"], "--model"),
    (&["classes", "class", "class-names", "categories", "text-prompt"], "--labels"),
    (&["max-det", "max-dets"], "--max-boxes"),
    (&["half", "fp16", "precision", "quantization"], "--dtype (fp16, q4 ...)"),
    (&["batch-size"], "--batch"),
    (&["workers", "num-workers", "jobs"], "--threads"),
    (&["gpu", "gpus", "cuda"], "--device cuda"),
    (&["api-base", "base-url", "url", "host", "endpoint", "ollama"], "--server URL"),
    (&["format", "output-format", "formats"], "--export (of export and convert: --to)"),
];

/// What to write in place of a command that there is not.
const OF_OTHER_COMMANDS: [(&[&str], &str); 6] = [
    (&["find", "count", "crop", "predict", "label", "annotate"], "detect"),
    (&["judge", "rate", "score", "sort", "filter"], "critique"),
    (&["merge", "join"], "export RUN RUN ... --to run --out DIR, or convert for datasets"),
    (&["download", "pull", "fetch"], "model download OWNER/NAME"),
    (&["models", "list"], "model list"),
    (&["val", "validate", "evaluate"], "eval"),
];

/// What to write in place of a flag or command that clap does not know: ours that other tools call
/// so, or the command whose flag it is. Nothing that clap guesses stands beside it, and nothing
/// that it guesses may be a flag which gives up answers or takes over files.
pub(super) fn advise(command: &Command, error: &mut clap::Error) -> Option<String> {
    let advice = of_command(error).or_else(|| of_flag(command, error));
    let guess = format!("{:?}", error.get(ContextKind::SuggestedArg));
    if advice.is_some() || ["--fresh", "--adopt"].iter().any(|flag| guess.contains(flag)) {
        for kind in [
            ContextKind::SuggestedArg,
            ContextKind::SuggestedSubcommand,
            ContextKind::Suggested,
            // The usage shows the guess, too.
            ContextKind::Usage,
        ] {
            error.remove(kind);
        }
    }
    advice
}

fn of_command(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let named = |(names, _): &&(&[&str], _)| names.contains(&written.as_str());
    if let Some((_, here)) = OF_OTHER_COMMANDS.iter().find(named) {
        return Some(format!("what other tools call {written} is here gemscope {here}"));
    }
    Path::new(written).exists().then(|| {
        format!("{written} is a file or folder: gemscope detect {written} ... asks about it")
    })
}

fn of_flag(command: &Command, error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = written.split('=').next()?;
    if matches!(flag, "--resume" | "--continue" | "--exist-ok") {
        return Some("a run goes on by itself: the same command on the same --out".into());
    }
    if matches!(flag, "-r" | "-R" | "--recursive") {
        return Some("folders are searched to any depth; --max-depth 1 takes one level".into());
    }
    let name = flag.strip_prefix("--")?.replace('_', "-");
    if let Some((_, here)) = OF_OTHERS.iter().find(|(names, _)| names.contains(&name.as_str())) {
        return Some(format!("what other tools call {flag} is here {here}"));
    }
    let has = |sub: &&Command| sub.get_arguments().any(|arg| arg.get_long() == Some(&name));
    let of: Vec<&str> = command.get_subcommands().filter(has).map(Command::get_name).collect();
    (!of.is_empty()).then(|| format!("{flag} is a flag of gemscope {}", of.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_short_help_is_short_and_the_long_one_whole() {
        let command = Cli::command();
        for short in &SHORT {
            let sub = command.find_subcommand(short.command).unwrap();
            let ids: Vec<&str> = sub.get_arguments().map(|arg| arg.get_id().as_str()).collect();
            for shown in short.shown {
                assert!(ids.contains(shown), "{} has no flag {shown}", short.command);
            }
            let mut whole = with_short_help(Cli::command());
            let sub = whole.find_subcommand_mut(short.command).unwrap();
            let lines = sub.render_help().to_string().lines().count();
            assert!(lines <= 75, "{lines} lines of {} -h", short.command);
            let long = sub.render_long_help().to_string();
            for arg in sub.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(long.contains(&format!("--{arg}")), "{} --{arg}", short.command);
            }
        }
    }

    #[test]
    fn flags_of_other_tools_are_answered_with_ours() {
        let asked = |words: &[&str]| {
            let words = ["gemscope"].iter().chain(words);
            let mut error = Cli::command().try_get_matches_from(words).unwrap_err();
            let advice = advise(&Cli::command(), &mut error);
            // A guess beside it would be another answer.
            assert!(advice.is_none() || !error.to_string().contains("tip:"), "{error}");
            assert!(!error.to_string().contains("--fresh"), "{error}");
            advice
        };
        let says = |flag: &str| asked(&["detect", "photos", "--out", "run", flag]).unwrap();
        assert_eq!(says("--conf"), "what other tools call --conf is here --min-score");
        assert_eq!(says("--save_txt"), "what other tools call --save_txt is here --export yolo");
        assert!(says("--imgsz=640").ends_with("--budget (soft tokens)"));
        assert!(says("--recursive").contains("any depth"));
        assert_eq!(asked(&["detect", "photos", "--out", "run", "--no-such"]), None);
        assert_eq!(asked(&["detect", "photos", "--out", "run", "--fres"]), None);
        assert!(says("--resume").contains("goes on by itself"));
        assert_eq!(says("--crop-square"), "--crop-square is a flag of gemscope export");
        assert!(asked(&["crop", "photos"]).unwrap().ends_with("gemscope detect"));
        assert!(asked(&["download"]).unwrap().contains("model download"));
        assert!(asked(&["src"]).unwrap().starts_with("src is a file or folder"));
        assert_eq!(asked(&["detct"]), None);
        // No flag of ours is sent elsewhere.
        for sub in Cli::command().get_subcommands().filter(|sub| sub.get_name() == "detect") {
            for flag in sub.get_arguments().filter_map(clap::Arg::get_long) {
                let name = OF_OTHERS.iter().find(|(names, _)| names.contains(&flag));
                assert!(name.is_none(), "--{flag}");
            }
        }
    }
}
