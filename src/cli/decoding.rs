//! How answers are generated, from arguments.

use gemscope::record::Sampling;
use gemscope::session::{DecodingChoice, DecodingOptions};

use super::args::share;

#[derive(Debug, clap::Args)]
pub(crate) struct DecodingArgs {
    /// grammar: only well-formed lists of boxes can be written, and what must stand in them is not decoded token by token; free:
    /// whatever the model says. Default: grammar for --labels and --phrase, free for --prompt and with --thinking
    #[arg(long, value_enum, value_name = "HOW")]
    decoding: Option<Choice>,
    /// Under the grammar, let labels be any text instead of those asked for
    #[arg(long)]
    open_labels: bool,
    /// Under the grammar, the most boxes of an answer
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    max_boxes: u32,
    /// The most tokens of an answer (a box takes about 25 to 45)
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    /// Answers that are written at the same time; they are the same whatever their number. Default: 32, or as many as 1 GB of cache
    /// holds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    Grammar,
    Free,
}

impl DecodingArgs {
    /// The options that these flags say.
    pub(crate) fn options(&self) -> DecodingOptions {
        let mut options = DecodingOptions::default();
        options.decoding = self.decoding.map(|choice| match choice {
            Choice::Grammar => DecodingChoice::Grammar,
            Choice::Free => DecodingChoice::Free,
        });
        options.open_labels = self.open_labels;
        options.max_boxes = self.max_boxes as usize;
        options.max_new_tokens = self.max_new_tokens as usize;
        options.rows = self.batch.map(usize::from);
        options.sampling = self.sampling.sampling();
        options
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    /// Draw tokens instead of taking the most probable; 1.0 is Google's setting
    #[arg(long, value_name = "T", value_parser = positive)]
    temperature: Option<f32>,
    /// With --temperature: only the most probable tokens up to this sum
    #[arg(long, value_name = "P", default_value_t = 0.95, requires = "temperature", value_parser = share::<f32>)]
    top_p: f32,
    /// With --temperature: only so many of the most probable tokens; 0 is no limit
    #[arg(long, value_name = "K", default_value_t = 64, requires = "temperature")]
    top_k: usize,
    /// With --temperature: the same seed gives the same answers; with --sample: the same images [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn positive(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|value: &f32| value.is_finite() && *value > 0.0)
        .ok_or_else(|| "must be above 0".to_owned())
}

impl SamplingArgs {
    pub(crate) fn sampling(&self) -> Sampling {
        match self.temperature {
            None => Sampling::Greedy,
            Some(temperature) => {
                Sampling::Drawn { temperature, top_p: self.top_p, top_k: self.top_k, seed: self.seed() }
            }
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// Whether a seed was given that no answer depends on.
    pub(crate) fn has_idle_seed(&self) -> bool {
        self.seed.is_some() && self.temperature.is_none()
    }
}
