//! `gemscope compare`: what changed between two datasets or runs.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::bail;
use gemscope::dataset::compare::{self, Comparison, Counts};
use gemscope::dataset::{Format, ReadOptions, SAME_PLACE};
use serde::Serialize;

use super::{Ending, convert, messages, output, plain};

/// How many images a table names.
const NAMED: usize = 10;

/// What changed between two datasets or runs: boxes kept, moved, relabelled, removed and added
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A dataset of any format, or a run: what was there before
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The same: what is there after, or what another model found
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// What BEFORE is. Default: told from its files
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// What AFTER is. Default: told from its files
    #[arg(long, value_name = "FORMAT")]
    from_after: Option<Format>,
    /// Where the images are, if a dataset does not say their sizes, and for the page
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The IoU from which on two boxes may be one that moved or has another label
    #[arg(long, value_name = "IOU", default_value_t = SAME_PLACE)]
    iou: f64,
    /// Leave out entries that are wrong, and count them
    #[arg(long)]
    skip_invalid: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Write a page with the changed images, the most changed first
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Replace the page even if gemscope has no record of writing it
    #[arg(long)]
    adopt: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'c> {
    schema: u32,
    gemscope: &'static str,
    before: String,
    after: String,
    #[serde(flatten)]
    comparison: &'c Comparison,
}

/// Version of the JSON.
const SCHEMA: u32 = 1;

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    if !(args.iou > 0.0 && args.iou <= 1.0) {
        bail!("--iou {} is not between 0 and 1", args.iou);
    }
    let options = ReadOptions { images: args.images.as_deref(), skip_invalid: args.skip_invalid };
    let mut remarks = Vec::new();
    let (before, _) = convert::read(&args.before, args.from, &options, &mut remarks)?;
    let (after, _) = convert::read(&args.after, args.from_after, &options, &mut remarks)?;
    let comparison = compare::compare(&before, &after, args.iou);
    if comparison.images == 0 {
        let first = before.images.first().map_or("none", |image| image.name.as_str());
        let second = after.images.first().map_or("none", |image| image.name.as_str());
        bail!("no image is in both: the first begins with {first:?}, the second with {second:?}");
    }
    for (names, what) in [
        (&comparison.only_before, "images are in the first alone"),
        (&comparison.only_after, "images are in the second alone"),
        (&comparison.other_size, "images have another size in the second, and are not compared"),
    ] {
        if let [first, ..] = names.as_slice() {
            remarks.push(format!("{} {what} (the first: {first})", names.len()));
        }
    }
    for remark in &remarks {
        messages::say(&plain::line(remark));
    }
    let (first, second) = (args.before.display().to_string(), args.after.display().to_string());
    if let Some(path) = &args.report {
        let page = compare::html(&comparison, &first, &second)?;
        output::file(path, page.as_bytes(), args.adopt)?;
    }
    if args.json {
        output::json(&Json {
            schema: SCHEMA,
            gemscope: env!("CARGO_PKG_VERSION"),
            before: first,
            after: second,
            comparison: &comparison,
        })?;
    } else {
        output::text(&table(&comparison));
    }
    Ok(Ending::Complete)
}

fn table(comparison: &Comparison) -> String {
    let head = ["label", "kept", "moved", "relabelled", "removed", "added"];
    let row = |label: &str, counts: &Counts| {
        let Counts { kept, moved, relabelled, removed, added } = counts;
        let numbers = [kept, moved, relabelled, removed, added].map(ToString::to_string);
        std::iter::once(label.to_owned()).chain(numbers).collect::<Vec<_>>()
    };
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(comparison.labels.iter().map(|(label, counts)| row(&plain::line(label), counts)));
    rows.push(row("all", &comparison.total));
    let changed = comparison.changed.len();
    let mut text = format!(
        "{} images in both, {changed} changed\n\n{}",
        comparison.images,
        output::table(&rows)
    );
    if changed > 0 {
        text.push_str("\nmost changed:\n");
    }
    for image in comparison.changed.iter().take(NAMED) {
        let name = plain::line(&image.image);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name} ({} boxes)", image.differences.len());
    }
    text
}
