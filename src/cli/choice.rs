//! Which images of the inputs, from arguments, and what is said of the others.

use anyhow::bail;
use gemscope::record::NoteKind;
use gemscope::session::Summary;
use gemscope::source::{Besides, Choice, Most, Source};

use super::decoding::SamplingArgs;
use super::messages;

#[derive(Debug, clap::Args)]
pub(crate) struct ChoiceArgs {
    /// Leave out files and folders of this name ("*_thumb.jpg", thumbs) or path ("2023/raw", "raw/**/*.png"). May be given several times
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Search folders no deeper than this; 1 is the folder itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_depth: Option<u32>,
    /// Take only the first N images by name
    #[arg(long, value_name = "N", conflicts_with = "sample", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Take only N images, drawn by --seed: 50 of 50,000 first. The same command with a larger N, or without, goes on with the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
}

impl ChoiceArgs {
    /// What is chosen; the seed is that of the run.
    pub(crate) fn choice(&self, sampling: &SamplingArgs) -> anyhow::Result<Choice> {
        if sampling.has_idle_seed() && self.sample.is_none() {
            bail!("--seed goes with --temperature or --sample");
        }
        let sample = self.sample.map(|count| Most::Sample { count: count as usize, seed: sampling.seed() });
        Ok(Choice {
            exclude: self.exclude.clone(),
            max_depth: self.max_depth.map(|depth| depth as usize),
            most: sample.or(self.limit.map(|count| Most::First(count as usize))),
        })
    }
}

/// Says what to do about files that hold pictures and are no images.
pub(crate) fn say_advice(source: &Source) {
    source.passed_over.advice().into_iter().for_each(messages::say);
}

/// What the inputs hold besides the `images` that were chosen, a line each.
pub(crate) fn besides(besides: &Besides, images: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if besides.not_chosen > 0 {
        lines.push(format!("{images} of {} images were chosen (--limit, --sample)", images + besides.not_chosen));
    }
    if let Some(words) = besides.passed_over.words() {
        lines.push(format!("passed over: {words}"));
    }
    if besides.repeated_links > 0 {
        lines.push(format!("links to images that are there already: {}", besides.repeated_links));
    }
    lines
}

/// What was made good of image files, a line each.
pub(crate) fn made_good(summary: &Summary) -> Vec<String> {
    let count = |kind| summary.notes.get(&kind).copied().unwrap_or(0);
    let (cut, failed) = (count(NoteKind::TruncatedImage), summary.too_few_rows);
    let failed = if failed == 0 { String::new() } else { format!(", {failed} with fewer rows than --min-rows") };
    let lines = [
        (cut, format!("end early, as JPEGs that were cut short{failed}")),
        (count(NoteKind::ScaledBitDepth), "use less than their 16 bits, and were brightened".to_owned()),
        (count(NoteKind::NearBlack), "look black in their 16 bits".to_owned()),
    ];
    lines.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} images {what}")).collect()
}
