//! Arguments that several commands share.

use anyhow::{Context as _, bail};
use gemscope::export::Format;
use gemscope::preprocess::{Budget, BudgetChoice};
use gemscope::prompt::{Conversation, Task};

/// What to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    /// What to find, separated by commas: "person,dog"
    #[arg(long, short, value_name = "LABELS")]
    pub(crate) labels: Option<String>,
    /// The whole text of the question; {labels} in it stands for the labels
    #[arg(long, value_name = "TEXT", conflicts_with = "phrase")]
    pub(crate) prompt: Option<String>,
    /// One thing, described: "the dog on the left"
    #[arg(long, value_name = "PHRASE", conflicts_with = "labels")]
    pub(crate) phrase: Option<String>,
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
        let mut labels: Vec<String> = Vec::new();
        for label in self.labels.iter().flat_map(|labels| labels.split(',')).map(str::trim) {
            if !label.is_empty() && !labels.iter().any(|known| known == label) {
                labels.push(label.to_owned());
            }
        }
        if self.labels.is_some() && labels.is_empty() {
            bail!("--labels names nothing");
        }
        Ok(match (&self.prompt, &self.phrase) {
            (Some(text), _) if text.contains("{labels}") && labels.is_empty() => {
                bail!("--prompt has {{labels}} in it, but there are no --labels")
            }
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
    /// The choice, where `default` is the model's own.
    pub(crate) fn choice(&self, default: Budget) -> anyhow::Result<BudgetChoice> {
        Ok(match self.budget.as_deref() {
            None if self.max_budget.is_some() => bail!("--max-budget goes with --budget auto"),
            Some(text) if self.max_budget.is_some() && text != "auto" => bail!("--max-budget goes with --budget auto"),
            None => BudgetChoice::Fixed(default),
            Some("auto") => BudgetChoice::Auto { max: self.max_budget.unwrap_or(Budget::MAX) },
            Some(text) => BudgetChoice::Fixed(text.parse().context("--budget takes one of them, or auto")?),
        })
    }
}

/// Formats of an export, separated by commas.
pub(crate) fn formats(text: &str) -> anyhow::Result<Vec<Format>> {
    text.split(',').map(|name| Ok(name.trim().parse()?)).collect()
}
