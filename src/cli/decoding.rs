//! How answers are generated, from arguments.

use std::cell::OnceCell;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use gemscope::answer::AnswerKind;
use gemscope::generate::{BatchLimits, Decoding, Grammar, GrammarFactory, Labels, Sampling};
use gemscope::model::{Model, ModelConfig};
use gemscope::preprocess::Budget;
use gemscope::prompt::{Prompter, Task};
use gemscope::runtime::devices::CudaDevice;
use gemscope::runtime::{Device, ModelSize, memory_budget};

use super::args::share;
use super::messages;

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

/// What the caches of the answers that are written at the same time may take.
const CACHE_BYTES: usize = 1 << 30;
/// Tokens of an answer and its prompt, besides the soft tokens, that a row of the cache is thought to have.
const USUAL_TOKENS: usize = 256;

impl DecodingArgs {
    /// The grammars of the questions; `config` is the model's.
    pub(crate) fn grammars(&self, thinking: bool, config: &ModelConfig) -> anyhow::Result<Grammars> {
        if thinking && self.decoding == Some(Choice::Grammar) {
            bail!("--decoding grammar leaves no room for thoughts: leave out --thinking, or take --decoding free");
        }
        let choice = if thinking { Some(Choice::Free) } else { self.decoding };
        Ok(Grammars {
            choice,
            open_labels: self.open_labels,
            max_boxes: self.max_boxes as usize,
            stop_ids: config.stop_ids.clone(),
            factory: OnceCell::new(),
        })
    }

    /// How much is done at once with this model and views of up to `budget`.
    pub(crate) fn limits(&self, model: &Model, budget: Budget) -> anyhow::Result<BatchLimits> {
        let limits = BatchLimits::default();
        if let Some(rows) = self.batch {
            return Ok(BatchLimits { rows: usize::from(rows), ..limits });
        }
        let cache_per_token = model.cache_bytes_per_token()?;
        if let Device::Cuda(CudaDevice { free_bytes: Some(free), .. }) = model.device {
            let embedding = if model.embed_on_device { model.files.embedding_bytes() } else { 0 };
            let size = ModelSize {
                weights: model.files.computing_bytes() + embedding,
                cache_per_token: cache_per_token as u64,
                tokens: u64::from(budget.soft_tokens()) + USUAL_TOKENS as u64,
                soft_tokens: u64::from(budget.soft_tokens()),
            };
            return Ok(BatchLimits { rows: memory_budget(free, size, limits.rows).rows.max(1), ..limits });
        }
        let row = cache_per_token * (budget.soft_tokens() as usize + USUAL_TOKENS);
        Ok(BatchLimits { rows: (CACHE_BYTES / row.max(1)).clamp(1, limits.rows), ..limits })
    }
}

/// Makes the grammars of questions; the vocabulary is read when the first one is wanted.
pub(crate) struct Grammars {
    choice: Option<Choice>,
    open_labels: bool,
    max_boxes: usize,
    stop_ids: Vec<u32>,
    /// `None` inside where the tokenizer makes none and none was insisted on.
    factory: OnceCell<Option<GrammarFactory>>,
}

impl Grammars {
    /// The grammar of answers to a task, where they have one.
    pub(crate) fn of(
        &self,
        task: &Task,
        kind: AnswerKind,
        prompter: &Prompter,
    ) -> anyhow::Result<Option<Arc<Grammar>>> {
        if kind == AnswerKind::Text {
            if self.choice == Some(Choice::Grammar) {
                bail!("--decoding grammar leaves no room for text: leave it out, or say --answer boxes");
            }
            return Ok(None);
        }
        let usual = if matches!(task, Task::Prompt { .. }) { Choice::Free } else { Choice::Grammar };
        if self.choice.unwrap_or(usual) == Choice::Free {
            return Ok(None);
        }
        if self.factory.get().is_none() {
            let factory = match GrammarFactory::new(&prompter.tokenizer, &self.stop_ids) {
                Ok(factory) => Some(factory),
                Err(error) if self.choice.is_none() => {
                    messages::say(&format!("Answers are not held to a grammar: {error}."));
                    None
                }
                Err(error) => return Err(error.into()),
            };
            // It was empty just now, and this is the only thread.
            self.factory.get_or_init(|| factory);
        }
        let Some(Some(factory)) = self.factory.get() else { return Ok(None) };
        // A phrase describes a thing; the model calls it what it likes.
        let open = self.open_labels || matches!(task, Task::Phrase(_)) || task.labels().is_empty();
        let labels = if open { Labels::Open } else { Labels::Of(task.labels()) };
        Ok(Some(Arc::new(factory.boxes(labels, self.max_boxes).context("the labels make no grammar")?)))
    }

    /// What the questions came to.
    pub(crate) fn used(&self) -> Decoding {
        match self.factory.get() {
            Some(Some(_)) => Decoding::Grammar {
                prompts: self.choice == Some(Choice::Grammar),
                open_labels: self.open_labels,
                max_boxes: self.max_boxes,
            },
            _ => Decoding::Free,
        }
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
