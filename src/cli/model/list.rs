//! `gemscope model list`: the models in the cache.

use std::time::{Duration, SystemTime};

use gemscope::hub::{HubOptions, in_words};
use gemscope::session::{CachedModel, models_in};
use serde::Serialize;

use super::super::{Ending, output, plain};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed<'m> {
    model: &'m str,
    revisions: &'m [String],
    commit: &'m str,
    directory: &'m std::path::Path,
    dtypes: &'m [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'m str>,
    bytes: u64,
    last_used: Option<u64>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let cache = HubOptions::cache_from_env()?;
    let (models, others) = models_in(&cache);
    if args.json {
        let listed: Vec<_> = models.iter().map(listed).collect();
        output::json(&listed)?;
        return Ok(Ending::Complete);
    }
    let mut lines = vec![format!("{}:", cache.display())];
    lines.extend(models.iter().map(line));
    if models.is_empty() {
        lines.push(
            "  no model with graphs that gemscope reads. `gemscope model download OWNER/NAME` \
             fetches one"
                .to_owned(),
        );
    }
    if others > 0 {
        lines.push(format!("  and {others} snapshots of other models"));
    }
    output::text(
        &(lines.iter().map(|line| plain::line(line)).collect::<Vec<_>>().join("\n") + "\n"),
    );
    Ok(Ending::Complete)
}

fn listed(model: &CachedModel) -> Listed<'_> {
    let CachedModel { snapshot, dtypes, problem, bytes, last_used, .. } = model;
    Listed {
        model: snapshot.repository.as_str(),
        revisions: &snapshot.revisions,
        commit: &snapshot.commit,
        directory: &snapshot.directory,
        dtypes,
        problem: problem.as_deref(),
        bytes: *bytes,
        last_used: *last_used,
    }
}

fn line(model: &CachedModel) -> String {
    let CachedModel { snapshot, dtypes, problem, bytes, last_used, .. } = model;
    let revision = match snapshot.revisions.as_slice() {
        [] => format!("@{}", &snapshot.commit[..12]),
        [only] if only == "main" => String::new(),
        [first, ..] => format!("@{first}"),
    };
    let state = match problem {
        Some(problem) => format!("not whole: {problem}"),
        None => dtypes.join(", "),
    };
    let used = last_used.map_or("never".to_owned(), ago);
    format!("  {}{revision}  {state}  {}  last used {used}", snapshot.repository, in_words(*bytes))
}

/// How long ago, in whole days, hours or minutes.
fn ago(seconds: u64) -> String {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let minutes = then.elapsed().unwrap_or_default().as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..120 => format!("{minutes} minutes ago"),
        120..2880 => format!("{} hours ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}
