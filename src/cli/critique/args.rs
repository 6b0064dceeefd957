//! The flags of `gemscope critique`.

use std::path::PathBuf;
use std::str::FromStr;

use gemscope::critique::{GroupBy, Grouping, Rubric};
use gemscope::export::SortBy;
use gemscope::record::{AnimationChoice, Filters, MinScore};
use gemscope::session::pipeline::word::share;
use gemscope::session::pipeline::{
    BudgetSection, ChoiceSection, DecodingSection, ImageSection, LimitSection, ModelSection,
    RunSection,
};
use gemscope::session::{CritiqueConfig, PipelineError};

use super::super::Global;
use super::super::args::ControlArgs;
use super::super::device;
use super::super::watch::WatchArgs;

/// How frames are put into folders of their verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Into the run's directory.
    Into(SortBy),
    /// The frames themselves.
    Move,
}

/// Where ratings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum XmpPlace {
    /// Into a file beside each frame.
    Sidecar,
    /// Into the frames themselves.
    File,
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "move" => Ok(Self::Move),
            _ => text
                .parse()
                .map(Self::Into)
                .map_err(|_| format!("{text:?}: frames can be sorted by link, copy or move")),
        }
    }
}

impl Sort {
    /// How files of frames get into folders of the run's directory that hold no frame alone.
    pub(super) fn beside(self) -> SortBy {
        match self {
            Self::Into(sort) => sort,
            Self::Move => SortBy::Link,
        }
    }
}

/// Judge generated frames by a rubric: keep, review or reject
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub(crate) struct Args {
    /// Folders, files, "patterns*", .tar and .zip archives, @FILE with one path a line, - for such
    /// a list on standard input
    #[arg(required_unless_present_any = ["report_only", "undo"], value_name = "INPUT")]
    pub(super) inputs: Vec<PathBuf>,
    /// The run's directory: journal, verdicts, lists. The same command again resumes the run
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// The rubric: the axes that frames are rated on, and the rules of the gate; or demo, the
    /// rubric that the demo model knows (./demo is a file of that name). Default: the bundled one
    /// for SDXL and similar models; with --model demo the demo model's; with --report-only the
    /// run's own
    #[arg(long, short, value_name = "FILE")]
    pub(super) rubric: Option<PathBuf>,
    /// Judge the run again by other rules or weights, from its journal; asks no model
    #[arg(long, conflicts_with = "inputs")]
    pub(super) report_only: bool,
    /// Compare the frames of one name in two folders, each pair in both orders: which is better.
    /// Needs a model that looks at two images
    #[arg(long, conflicts_with_all = ["report_only", "generation", "group_by", "sort", "export", "shard", "overrule", "exit_by_verdict", "agree", "xmp"])]
    pub(super) pair: bool,
    /// How the frames were made, if their files do not say: a CSV with the columns image and
    /// prompt, negative_prompt, model, seed ...
    #[arg(long, value_name = "FILE", conflicts_with = "report_only")]
    pub(super) generation: Option<PathBuf>,
    /// Name the best frame of each group: of one seed, one prompt, one folder, or (clip) one video
    #[arg(long, value_name = "KEY")]
    pub(super) group_by: Option<GroupBy>,
    /// In how many of the 64 bits of their hashes of looks near copies may differ. They are looked
    /// for in each group of --group-by, else among all frames; rules call them near_duplicate
    #[arg(long, value_name = "BITS", default_value_t = Grouping::NEAR_BITS, value_parser = clap::value_parser!(u32).range(0..=64), conflicts_with = "pair")]
    pub(super) near: u32,
    /// Put the frames into folders by their verdict: link or copy, into sorted/ in --out; or move,
    /// into keep/, review/ and reject/ in the frames' own folder, with the files of their names
    /// beside them. --undo brings moved ones back
    #[arg(long, value_name = "HOW")]
    pub(super) sort: Option<Sort>,
    /// Bring all frames that --sort move moved back to where they were, and take the ratings that
    /// --xmp=file wrote out of them
    #[arg(long, conflicts_with_all = ["inputs", "report_only", "pair", "sort", "overrule"])]
    pub(super) undo: bool,
    /// Verdicts by hand, for now and for later runs into --out: a CSV with the columns image and
    /// verdict (keep, review, reject, or rules to take one back), as the contact sheet saves it
    #[arg(long, value_name = "FILE")]
    pub(super) overrule: Option<PathBuf>,
    /// Write the verdicts as rating and label for photo managers, 5 and Green, 3 and Yellow, -1 and
    /// Red: into an .xmp file beside each frame; or, with --xmp=file, into the frames themselves
    /// (JPEG, PNG, WebP), which --undo takes back. Other fields stay
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "sidecar")]
    pub(super) xmp: Option<XmpPlace>,
    /// End with the worst verdict as exit code: 0 keep, 10 review, 11 reject. A frame that cannot
    /// be read ends with 2, as always
    #[arg(long)]
    pub(super) exit_by_verdict: bool,
    /// How far verdicts and axes agree with what people said: a CSV with the column image, and
    /// verdict or names of axes, as words or as numbers from 0 to 1
    #[arg(long, value_name = "FILE")]
    pub(super) agree: Option<PathBuf>,
    /// Files to write, separated by commas: jsonl, csv, lists, statistics, sheet; training, a
    /// folder of the kept with captions; or none
    #[arg(long, value_name = "FORMATS", default_value = "jsonl,csv,lists,statistics,sheet")]
    pub(super) export: String,
    #[command(flatten)]
    pub(super) choice: ChoiceSection,
    #[command(flatten)]
    pub(super) model: ModelSection,
    #[command(flatten)]
    pub(super) budget: BudgetSection,
    #[command(flatten)]
    pub(super) decoding: DecodingSection,
    /// Count no boxes of defects below this score, and none without one. Default: none below 0.05;
    /// 0 counts all that have a score. Needs no model: --report-only can change it
    #[arg(long, value_name = "SCORE", value_parser = share::<f64>)]
    pub(super) min_score: Option<f64>,
    /// Which frames of an animated file (GIF, APNG, WebP) are judged: first; or spread:N, N of them
    /// from the first to the last, shown together. Needs a model that looks at several images
    #[arg(long, value_name = "FRAMES", default_value_t = AnimationChoice::First, conflicts_with_all = ["pair", "report_only", "undo"])]
    pub(super) animation: AnimationChoice,
    /// Put the image between blank lines, as transformers.js and onnxruntime-genai do
    #[arg(long)]
    pub(super) image_newlines: bool,
    #[command(flatten)]
    pub(super) image: ImageSection,
    #[command(flatten)]
    pub(super) limits: LimitSection,
    #[command(flatten)]
    pub(super) run: RunSection,
    #[command(flatten)]
    pub(super) control: ControlArgs,
    #[command(flatten)]
    pub(super) watch: WatchArgs,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The configuration that these flags say.
    pub(super) fn config(
        &self,
        rubric: Rubric,
        global: &Global,
    ) -> Result<CritiqueConfig, PipelineError> {
        let mut config = CritiqueConfig::of(rubric);
        config.generation.clone_from(&self.generation);
        config.image_newlines = self.image_newlines;
        config.model = device::options(&self.model, global)?;
        config.budget = self.budget.choice()?;
        config.apply_orientation = !self.image.no_exif;
        config.animation = self.animation;
        config.decoding = self.decoding.options()?;
        config.filters = self.filters(Filters::default());
        config.shard = self.choice.shard()?;
        Ok(config)
    }

    /// Which frames belong together.
    pub(super) fn grouping(&self) -> Grouping {
        Grouping { by: self.group_by, near_bits: self.near }
    }

    /// `base`, overridden by the flags that were given.
    pub(super) fn filters(&self, base: Filters) -> Filters {
        Filters { min_score: self.min_score.map_or(base.min_score, MinScore::Asked), ..base }
    }
}
