//! What `detect --dry-run` prints.
//!
//! In: the plan of a run, and the run's directory if one was named. Out: a table, the totals, and
//! the prompts. Promises: a folder of any size is one screen; the plan of each image is in the JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use gemscope::journal::History;
use gemscope::session::{DetectPlan, PlannedImage, PlannedSizes};

use super::choice::besides;
use super::report::clock;
use super::{Ending, output};

/// The most images that have a line each.
const MAX_LINES: usize = 30;
/// The most sizes of a larger folder that have a line.
const MAX_SIZES: usize = 12;

const COLUMNS: [&str; 6] = ["size", "views", "budget", "resized", "soft tokens", "prompt tokens"];

pub(super) fn show(plan: &DetectPlan, run: Option<&Path>, json: bool) -> anyhow::Result<Ending> {
    if json {
        output::json(plan)?;
        return Ok(Ending::Complete);
    }
    let mut text = if plan.files.len() <= MAX_LINES {
        format!("{}\n", output::table(&each(&plan.files)))
    } else {
        summed_up(&plan.files)
    };
    let sizes = plan.files.iter().filter_map(|file| file.sizes.as_ref());
    let total: u64 = sizes.map(|sizes| u64::from(sizes.soft_tokens)).sum();
    let _ = writeln!(text, "{} images, {total} soft tokens", plan.images);
    for line in besides(&plan.besides, plan.images) {
        let _ = writeln!(text, "{line}");
    }
    if let Some(line) = run.and_then(|run| estimate(run, plan.images)) {
        let _ = writeln!(text, "{line}");
    }
    if !plan.prompts.is_empty() {
        let (prompts, rendered) = (plan.prompts.join("\n        "), plan.rendered.join("\n"));
        let _ = writeln!(text, "prompt: {prompts}\nas the model reads it:\n{rendered}");
    }
    output::text(&text);
    Ok(Ending::Complete)
}

/// A row an image. The last column is there if an image has a prompt of its own.
fn each(files: &[PlannedImage]) -> Vec<Vec<String>> {
    let own = files.iter().any(|file| !file.prompts.is_empty());
    let header = std::iter::once("image").chain(COLUMNS).chain(own.then_some("its own prompt"));
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    for file in files {
        let mut row = vec![file.image.clone()];
        match &file.sizes {
            Some(sizes) => {
                row.extend(cells(sizes));
                if own {
                    row.push(file.prompts.join(" | ").replace('\n', " "));
                }
            }
            None => row.push(file.error.clone().unwrap_or_else(|| "on the web".to_owned())),
        }
        rows.push(row);
    }
    rows
}

fn cells(sizes: &PlannedSizes) -> [String; COLUMNS.len()] {
    [
        format!("{}x{}", sizes.width, sizes.height),
        sizes.views.to_string(),
        sizes.budget.to_string(),
        format!("{}x{}", sizes.resized_width, sizes.resized_height),
        sizes.soft_tokens.to_string(),
        sizes.prompt_tokens.to_string(),
    ]
}

/// A row a size, the most frequent first, and the images that would fail.
fn summed_up(files: &[PlannedImage]) -> String {
    let mut counts: BTreeMap<[String; COLUMNS.len()], usize> = BTreeMap::new();
    for sizes in files.iter().filter_map(|file| file.sizes.as_ref()) {
        *counts.entry(cells(sizes)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let header = std::iter::once("images").chain(COLUMNS);
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    let row = |(cells, count): &([String; COLUMNS.len()], usize)| {
        std::iter::once(count.to_string()).chain(cells.iter().cloned()).collect()
    };
    rows.extend(counts.iter().take(MAX_SIZES).map(row));
    let mut text = output::table(&rows);
    if let Some((_, others)) =
        counts.split_at_checked(MAX_SIZES).filter(|(_, others)| !others.is_empty())
    {
        let images: usize = others.iter().map(|(_, count)| count).sum();
        let _ = writeln!(text, "{images} images of {} other sizes", others.len());
    }
    let own = files.iter().filter(|file| !file.prompts.is_empty()).count();
    if own > 0 {
        let _ = writeln!(text, "{own} images have prompts of their own");
    }
    let failing = files.iter().filter_map(|file| Some((&file.image, file.error.as_ref()?)));
    let failing = output::failures(failing);
    if !failing.is_empty() {
        let _ = writeln!(text, "would fail:\n  {}", failing.join("\n  "));
    }
    text + "\n"
}

/// The time that the images which are left take at the speed of the run in `directory` so far.
/// `None` if there is no run, or no speed yet.
fn estimate(directory: &Path, images: usize) -> Option<String> {
    let history = History::read(directory, 0).ok()?;
    let speed = history.speed()?;
    let left = images.saturating_sub(history.images);
    Some(format!(
        "{} images are answered, at {speed:.2} images/s; at that speed {left} more take {}",
        history.images,
        clock(left as f64 / speed)
    ))
}
