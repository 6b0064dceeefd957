//! Arguments that several commands share.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
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
        Conversation { system: self.system.clone(), thinking: self.thinking }
    }
}

/// How much of an image the model sees.
#[derive(Debug, clap::Args)]
pub(crate) struct BudgetArgs {
    /// Soft tokens of an image: 70, 140, 280, 560, 1120, or auto (the smallest that does not shrink it). Default: the model's own
    #[arg(long, short, value_name = "TOKENS")]
    pub(crate) budget: Option<String>,
    /// The most that auto may choose
    #[arg(long, value_name = "TOKENS", default_value_t = Budget::MAX)]
    pub(crate) max_budget: Budget,
}

impl BudgetArgs {
    /// The choice, where `default` is the model's own.
    pub(crate) fn choice(&self, default: Budget) -> anyhow::Result<BudgetChoice> {
        Ok(match self.budget.as_deref() {
            None => BudgetChoice::Fixed(default),
            Some("auto") => BudgetChoice::Auto { max: self.max_budget },
            Some(text) => BudgetChoice::Fixed(text.parse().context("--budget")?),
        })
    }
}

/// Creates `directory` for a new run; one that holds something else than a run is refused.
pub(crate) fn prepare_directory(directory: &Path, overwrite: bool) -> anyhow::Result<()> {
    let context = || format!("{}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error).with_context(context),
    };
    let is_run = directory.join("run.json").is_file();
    if entries > 0 && !is_run {
        bail!("{} is not empty and not a run: choose another --out", directory.display());
    }
    if overwrite && is_run {
        for file in ["run.json", "journal.jsonl"] {
            match fs::remove_file(directory.join(file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(context),
                _ => {}
            }
        }
    }
    fs::create_dir_all(directory).with_context(context)
}
