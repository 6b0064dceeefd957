//! `--prompts FILE`: what is asked about each image by itself.
//!
//! In: the file, what the flags ask, and the images. Out: the questions of a run. Promises: every image that can be read has a question, or
//! there is an error that names those without one; rows of no image are counted and named.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use gemscope::prompt::{Prompter, Task, read_image_tasks};
use gemscope::run::{Asked, Questions};
use gemscope::source::Source;

use super::args::TaskArgs;
use super::decoding::Grammars;
use super::engine::ModelChoice;
use super::messages;

/// How a task becomes questions.
pub(crate) struct Asks<'a> {
    pub(crate) args: &'a TaskArgs,
    pub(crate) model: &'a ModelChoice,
    pub(crate) prompter: &'a Prompter,
    pub(crate) grammars: Option<&'a Grammars>,
}

impl Asks<'_> {
    fn asked(&self, task: &Task) -> anyhow::Result<Asked> {
        self.model.check(task, &self.args.conversation())?;
        self.args.asked(task, self.prompter, self.grammars)
    }
}

pub(crate) fn questions(
    file: &Path,
    default: Option<&Task>,
    asks: &Asks<'_>,
    source: &Source,
) -> anyhow::Result<Questions> {
    let rows = read_image_tasks(file, default)?;
    // Thousands of images may be asked the same.
    let mut known: HashMap<Task, Arc<Asked>> = HashMap::new();
    let mut single = HashMap::with_capacity(rows.len());
    for row in rows {
        let asked = if let Some(asked) = known.get(&row.task) {
            Arc::clone(asked)
        } else {
            let asked = asks.asked(&row.task);
            let asked = Arc::new(asked.with_context(|| format!("{}:{}: {}", file.display(), row.line, row.image))?);
            known.insert(row.task, Arc::clone(&asked));
            asked
        };
        let name = source.name_of(&row.image);
        if single.insert(name, asked).is_some() {
            bail!("{}:{}: {} has a row already", file.display(), row.line, row.image);
        }
    }
    let mut strangers: Vec<&str> = single.keys().map(String::as_str).filter(|name| !source.holds(name)).collect();
    strangers.sort_unstable();
    let readable = source.images.iter().filter(|image| image.place.is_ok()).map(|image| image.name.as_str());
    let without: Vec<&str> = readable.filter(|name| !single.contains_key(*name)).collect();
    if !strangers.is_empty() {
        let names = first_of(&strangers);
        messages::say(&format!("{}: {} rows are of no image here: {names}", file.display(), strangers.len()));
    }
    // A prompt that needs labels, and has none, is there for the rows alone.
    let default = default.filter(|task| !task.lacks_labels());
    if default.is_none() && !without.is_empty() {
        bail!(
            "{} has no row for {} of {} images: {}; add them (by these names), or say with --labels, --phrase or --prompt what to ask about them",
            file.display(),
            without.len(),
            source.images.len(),
            first_of(&without)
        );
    }
    let every = default.map(|task| asks.asked(task).map(Arc::new)).transpose()?;
    Ok(Questions { every, single })
}

/// The first of `names`, and how many more there are.
pub(super) fn first_of(names: &[&str]) -> String {
    const NAMED: usize = 5;
    let named = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED { format!("{named} and {} more", names.len() - NAMED) } else { named }
}
