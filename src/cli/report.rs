//! `gemscope report`: how a run went.

use std::path::PathBuf;

use gemscope::journal::{History, unfinished};
use gemscope::record::Manifest;
use serde::Serialize;

use super::{Ending, output, plain, say_damaged};

/// Show how a run went: statuses, images a second over time, the slowest images, and images that
/// were retried
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's directory; one that is being written may be looked at
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How many of the slowest images
    #[arg(long, value_name = "N", default_value_t = 10)]
    slowest: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The JSON that `--json` prints.
#[derive(Serialize)]
struct Json<'h> {
    /// How many images the run was begun with, if it has not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<usize>,
    /// The name of the model that answered.
    model: &'h str,
    #[serde(flatten)]
    history: &'h History,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let history = match History::read(&args.run, args.slowest) {
        // A folder that is none, of images for example, is said to be none.
        Err(_) if !args.run.join("journal.jsonl").exists() => {
            Manifest::read(&args.run)?;
            History::read(&args.run, args.slowest)?
        }
        read => read?,
    };
    // The journal alone is worth a report.
    let model = Manifest::read(&args.run).map_or_else(
        |error| format!("not known: {error}"),
        |manifest| manifest.model_name().to_owned(),
    );
    if args.json {
        let unfinished = unfinished(&args.run);
        output::json(&Json { unfinished, model: &model, history: &history })?;
        return Ok(Ending::Complete);
    }
    say_damaged(&args.run, &history.damaged);
    let statuses: Vec<String> = history
        .statuses
        .iter()
        .map(|(status, count)| format!("{count} {}", status.as_str()))
        .collect();
    let unfinished = unfinished(&args.run);
    // It may have been begun again with fewer images.
    let of_all = unfinished.filter(|all| *all >= history.images);
    let of_all = of_all.map(|all| format!(" of {all}")).unwrap_or_default();
    let mut lines = vec![
        format!("{}{of_all} images: {}", history.images, statuses.join(", ")),
        plain::line(&format!("model: {model}")).into_owned(),
    ];
    if unfinished.is_some() {
        lines.push("the run has not come to its end: the command that began it goes on".to_owned());
    }
    if let (Some(seconds), Some(mean)) = (history.seconds, history.mean) {
        lines.push(format!("from the first record to the last: {}", clock(seconds)));
        if let Some(speed) = history.speed() {
            lines.push(format!("an image every {:.3} s, {speed:.2} images/s", speed.recip()));
        }
        lines.push(format!(
            "each image on average: {:.3} s reading, {:.3} s preparing, {:.3} s from asking to its \
             answer (images are asked about side by side: these times overlap)",
            mean.read, mean.prepare, mean.answer
        ));
        let mut rows = vec![["from", "images", "images/s"].map(str::to_owned).to_vec()];
        rows.extend(history.throughput.iter().map(|bucket| {
            let speed =
                if bucket.seconds > 0.0 { bucket.images as f64 / bucket.seconds } else { 0.0 };
            vec![clock(bucket.from), bucket.images.to_string(), format!("{speed:.2}")]
        }));
        lines.push(format!("\n{}", output::table(&rows)));
        let mut rows =
            vec![["slowest", "status", "read", "prepare", "answer"].map(str::to_owned).to_vec()];
        rows.extend(history.slowest.iter().map(|slow| {
            let [read, prepare, answer] =
                [slow.stages.read, slow.stages.prepare, slow.stages.answer]
                    .map(|seconds| format!("{seconds:.3} s"));
            vec![slow.image.clone(), slow.status.as_str().to_owned(), read, prepare, answer]
        }));
        lines.push(output::table(&rows));
    }
    if !history.retried.is_empty() {
        lines.push(format!("{} images were asked about more than once:", history.retried.len()));
        lines.extend(history.retried.iter().map(|retried| {
            let tries: Vec<&str> = retried.statuses.iter().map(|status| status.as_str()).collect();
            format!("  {}: {}", plain::line(&retried.image), tries.join(", "))
        }));
    }
    output::text(&(lines.join("\n").trim_end().to_owned() + "\n"));
    Ok(Ending::Complete)
}

/// `1:02:03` of seconds.
pub(super) fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}
