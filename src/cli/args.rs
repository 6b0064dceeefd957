//! Arguments that several commands share.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gemscope::answer::calibration::Calibration;
use gemscope::export::{Format, read_labels_map};
use gemscope::files::read_text;
use gemscope::image::MAX_PIXELS;
use gemscope::prompt::Conversation;
use gemscope::record::{
    AnswerKind, Area, Budget, BudgetChoice, CoordinateOrder, CoordinateScale, Filters, MinScore, Platt, Rules,
    ScoreKind, Task, distinct,
};
use gemscope::run::{Control, MIN_ROWS};
use gemscope::session::RunOptions;

/// What to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    /// What to find, separated by commas: "person,dog"; or @FILE with one label a line
    #[arg(long, short, value_name = "LABELS")]
    pub(crate) labels: Option<String>,
    /// Ask about each label by itself; slower, and often finds more. A view is encoded once for all of them
    #[arg(long, conflicts_with = "phrase")]
    pub(crate) per_label: bool,
    /// The whole text of the question; {labels} in it stands for the labels
    #[arg(long, value_name = "TEXT", conflicts_with = "phrase")]
    pub(crate) prompt: Option<String>,
    /// One thing, described: "the dog on the left"
    #[arg(long, value_name = "PHRASE", conflicts_with = "labels")]
    pub(crate) phrase: Option<String>,
    /// What is asked for: boxes, or text (a caption, a count), which stands in jsonl, csv and html and in no data set. Default: boxes for
    /// --labels and --phrase, and for a --prompt that begins with detect, find or locate or names box_2d; else text
    #[arg(long, value_name = "KIND")]
    pub(crate) answer: Option<AnswerKind>,
    /// A system prompt
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Let the model think before it answers (slower; its thoughts are kept in the raw answer)
    #[arg(long)]
    pub(crate) thinking: bool,
    /// Put the image between blank lines, as transformers.js and onnxruntime-genai do
    #[arg(long)]
    pub(crate) image_newlines: bool,
}

impl TaskArgs {
    /// The task; `None` where nothing was asked.
    pub(crate) fn task(&self) -> anyhow::Result<Option<Task>> {
        let labels = labels(self.labels.as_deref())?;
        Ok(match (&self.prompt, &self.phrase) {
            (Some(text), _) => Some(Task::Prompt { text: text.clone(), labels }),
            (None, Some(phrase)) if phrase.trim().is_empty() => bail!("--phrase is empty"),
            (None, Some(phrase)) => Some(Task::Phrase(phrase.trim().to_owned())),
            (None, None) if labels.is_empty() => None,
            (None, None) => Some(Task::Labels(labels)),
        })
    }

    /// What goes around the task.
    pub(crate) fn conversation(&self) -> Conversation {
        Conversation { system: self.system.clone(), thinking: self.thinking, image_newlines: self.image_newlines }
    }
}

/// How much of an image the model sees.
#[derive(Debug, clap::Args)]
pub(crate) struct BudgetArgs {
    /// Soft tokens of an image: 70, 140, 280, 560, 1120, or auto (the smallest that does not shrink it). Default: the model's own
    #[arg(long, short, value_name = "TOKENS")]
    pub(crate) budget: Option<String>,
    /// The most that auto may choose [default: 1120]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_budget: Option<Budget>,
}

impl BudgetArgs {
    /// The choice; `None` is the model's own budget.
    pub(crate) fn choice(&self) -> anyhow::Result<Option<BudgetChoice>> {
        Ok(match self.budget.as_deref() {
            None if self.max_budget.is_some() => bail!("--max-budget goes with --budget auto"),
            Some(text) if self.max_budget.is_some() && text != "auto" => bail!("--max-budget goes with --budget auto"),
            None => None,
            Some("auto") => Some(BudgetChoice::Auto { max: self.max_budget.unwrap_or(Budget::MAX) }),
            Some(text) => Some(BudgetChoice::Fixed(text.parse().context("--budget takes one of them, or auto")?)),
        })
    }
}

/// What the numbers of a box count.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct CoordinateArgs {
    /// What the numbers of a box count: 1000 (thousandths of the image), 1 (shares of it) or pixels. An answer that does not fit gets the
    /// note coordinates_do_not_fit and loses those boxes
    #[arg(long, value_name = "SCALE")]
    pub(crate) coordinates: Option<CoordinateScale>,
    /// In which order they stand: yxyx (ymin, xmin, ymax, xmax) or xyxy
    #[arg(long, value_name = "ORDER", default_value_t)]
    pub(crate) order: CoordinateOrder,
}

impl CoordinateArgs {
    /// Rules that read coordinates so.
    pub(crate) fn rules(self) -> Rules {
        let Self { coordinates, order } = self;
        Rules { coordinates: coordinates.unwrap_or_default(), order, ..Rules::default() }
    }
}

/// How answers are read.
#[derive(Debug, clap::Args)]
pub(crate) struct RuleArgs {
    #[command(flatten)]
    pub(crate) coordinates: CoordinateArgs,
    /// With --tiles: boxes of several views are one where they have so much of the smaller one in common
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share::<f64>)]
    pub(crate) join: f64,
}

impl RuleArgs {
    /// The rules.
    pub(crate) fn rules(&self) -> Rules {
        Rules { join: self.join, ..self.coordinates.rules() }
    }
}

/// Which boxes are exported, and under which labels and scores. The model is not asked again for another choice.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Which boxes are exported (can be changed later: no model is asked again)")]
pub(crate) struct FilterArgs {
    /// What the score of a box is: the probability of its coordinates' tokens, of its label's tokens, joint, their product, or stated, the
    /// confidence that the answer writes beside the box [default: joint]
    #[arg(long, value_name = "KIND")]
    pub(crate) score: Option<ScoreKind>,
    /// Make probabilities of the scores, as `gemscope eval --calibrate` learned it
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Leave out boxes below this score, and boxes without one. Default: boxes below 0.05 (joint), 0.2 (label) or 0 (coordinates, stated), before
    /// calibration; 0 keeps every box that has a score
    #[arg(long, value_name = "SCORE", value_parser = share::<f64>)]
    pub(crate) min_score: Option<f64>,
    /// Leave out boxes smaller than this: square pixels (400), or a share of the image (0.5%)
    #[arg(long, value_name = "AREA")]
    pub(crate) min_area: Option<Area>,
    /// Leave out boxes larger than this
    #[arg(long, value_name = "AREA")]
    pub(crate) max_area: Option<Area>,
    /// Leave out boxes narrower than this, as width over height
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub(crate) min_aspect: Option<f64>,
    /// Leave out boxes wider than this, as width over height
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub(crate) max_aspect: Option<f64>,
    /// Leave out boxes that touch the image's edge
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) drop_edge: Option<bool>,
    /// Boxes of one label that overlap so much are one box; 0 keeps all [default: 0.95]
    #[arg(long, value_name = "IOU", value_parser = share::<f64>)]
    pub(crate) duplicates: Option<f64>,
    /// Of boxes of one label that overlap more than this keep the one of the best score
    #[arg(long, value_name = "IOU", value_parser = share::<f64>)]
    pub(crate) nms: Option<f64>,
    /// With --nms: whatever their labels
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) nms_agnostic: Option<bool>,
    /// A TOML file of other words for labels, one a line: "automobile" = "car"; with "" on the right their boxes are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) labels_map: Option<PathBuf>,
    /// Leave out boxes whose label was not asked for
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) strict_labels: Option<bool>,
}

impl FilterArgs {
    /// `base`, but for what the flags say.
    pub(crate) fn over(&self, base: Filters) -> anyhow::Result<Filters> {
        let learned = self.calibration.as_deref().map(calibration).transpose()?;
        if let (Some(asked), Some((kind, _))) = (self.score, learned)
            && asked != kind
        {
            bail!("the calibration is of the score {:?}, not {:?}: leave --score away", kind.as_str(), asked.as_str());
        }
        let score = self.score.or(learned.map(|(kind, _)| kind)).unwrap_or(base.score);
        // A calibration is of one kind of score, and so is the default least score.
        let of_base = score == base.score;
        let min_score = match (self.min_score, base.min_score) {
            (Some(asked), _) => MinScore::Asked(asked),
            (None, MinScore::Default(_)) if !of_base => MinScore::of(score),
            (None, of_base) => of_base,
        };
        let nms = self.nms.or(base.nms);
        let nms_agnostic = self.nms_agnostic.unwrap_or(base.nms_agnostic);
        if self.nms_agnostic == Some(true) && nms.is_none() {
            bail!("--nms-agnostic goes with --nms");
        }
        Ok(Filters {
            score,
            calibration: learned.map(|(_, platt)| platt).or(base.calibration.filter(|_| of_base)),
            labels_map: self.labels_map.as_deref().map(read_labels_map).transpose()?.unwrap_or(base.labels_map),
            strict_labels: self.strict_labels.unwrap_or(base.strict_labels),
            min_score,
            min_area: self.min_area.or(base.min_area),
            max_area: self.max_area.or(base.max_area),
            min_aspect: self.min_aspect.or(base.min_aspect),
            max_aspect: self.max_aspect.or(base.max_aspect),
            drop_edge: self.drop_edge.unwrap_or(base.drop_edge),
            duplicates: self.duplicates.map_or(base.duplicates, |threshold| Some(threshold).filter(|at| *at > 0.0)),
            nms,
            nms_agnostic,
        })
    }
}

/// A number from 0 to 1.
pub(crate) fn share<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let share = text.parse().ok().filter(|value| (T::from(0)..=T::from(1)).contains(value));
    share.ok_or_else(|| "must be from 0 to 1".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
    ratio.ok_or_else(|| "must be above 0".to_owned())
}

/// How a run goes: nothing that an answer depends on.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub(crate) struct ControlArgs {
    /// Throw away what --out holds of an earlier run: its journal, and the files that gemscope is on record to have written
    #[arg(long, visible_alias = "overwrite")]
    pub(crate) fresh: bool,
    /// Take over files in --out that are in the way of an export, and replace them: those of a version that kept no list of what it wrote, or
    /// that were changed since
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Try images again that failed before. Without it, only those whose files have changed
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Keep the records of images that are not there any more in the exports. Without it they are left out and counted
    #[arg(long)]
    pub(crate) keep_missing: bool,
    /// Answers are on disk, safe from a power cut, after so many seconds; 0 is each before the next. A process that is killed loses none
    /// either way
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) sync_every: Duration,
    /// Files that claim more pixels fail (memory for about ten times as many bytes is needed)
    #[arg(long, value_name = "N", default_value_t = MAX_PIXELS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_pixels: u64,
    /// JPEGs that end early are decoded as far as they go; those with a smaller share of their rows fail
    #[arg(long, value_name = "SHARE", default_value_t = MIN_ROWS, value_parser = share::<f64>)]
    pub(crate) min_rows: f64,
    /// Images whose answers take longer, from when the model took them up, fail. Without it answers are waited for
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) answer_timeout: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    const LONGEST: f64 = 3600.0;
    let seconds = text.parse().ok().filter(|seconds| (0.0..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("must be from 0 to {LONGEST} seconds"))
}

impl ControlArgs {
    /// A run in `out` that `stop` can stop.
    pub(crate) fn run_options<'r>(&self, out: &'r Path, stop: Arc<AtomicBool>) -> RunOptions<'r> {
        let mut options = RunOptions::of(out);
        (options.fresh, options.adopt, options.sync_every) = (self.fresh, self.adopt, self.sync_every);
        options.control = self.control(stop);
        options
    }

    /// What a run heeds that `stop` can stop.
    fn control(&self, stop: Arc<AtomicBool>) -> Control {
        Control {
            stop,
            retry_failed: self.retry_failed,
            max_pixels: self.max_pixels,
            min_rows: self.min_rows,
            answer_timeout: self.answer_timeout,
        }
    }
}

/// The labels of --labels: some names with commas between them, or `@` and a file of one a line.
pub(crate) fn labels(given: Option<&str>) -> anyhow::Result<Vec<String>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let lines = match given.strip_prefix('@') {
        None => given.replace(',', "\n"),
        // A name in a file may have a comma in it.
        Some(file) => read_text(Path::new(file)).with_context(|| format!("--labels @{file}"))?,
    };
    let labels = distinct(lines.lines());
    if labels.is_empty() {
        bail!("--labels names nothing");
    }
    Ok(labels)
}

/// The calibration in `path`, and the score that it is of.
pub(crate) fn calibration(path: &Path) -> anyhow::Result<(ScoreKind, Platt)> {
    let calibration = Calibration::read(path)?;
    Ok((calibration.score_kind()?, calibration.platt))
}

/// Formats of an export, separated by commas.
pub(crate) fn formats(text: &str) -> anyhow::Result<Vec<Format>> {
    text.split(',').map(|name| Ok(name.trim().parse()?)).collect()
}
