//! `gemscope doctor --server`: a server's kind and its limits.

use std::path::{Path, PathBuf};

use gemscope::record::{Budget, BudgetChoice, Record};
use gemscope::server::{Server, ServerError};
use gemscope::session::pipeline::{ModelSection, ServerSection};
use gemscope::session::{DetectConfig, Session, SessionError};
use serde::Serialize;

use super::super::{Ending, Global, device, output, plain};
use super::{DISC, disc, is_where_it_is};

/// The identity of a server, its limits, and its answer.
#[derive(Debug, Serialize)]
struct Examined {
    kind: &'static str,
    version: Option<String>,
    model: String,
    fingerprint: Option<String>,
    /// Of the picture that the figures here are of: the one that was found, else the first one.
    budget: u32,
    /// For one picture: the count that its size implies, and the server's own.
    soft_tokens_planned: Option<u32>,
    soft_tokens_seen: Option<u32>,
    budget_per_request: bool,
    constraint: Option<&'static str>,
    probabilities: bool,
    /// A sentence each.
    limits: Vec<String>,
    /// Whether it located the red circle.
    ok: bool,
    /// Its answer to "detect red circle".
    answer: String,
    score: Option<f64>,
    /// The larger budgets at which it was not found, and what was answered.
    not_found_at: Vec<NotFound>,
}

/// A budget at which the circle was not found.
#[derive(Debug, Serialize)]
struct NotFound {
    budget: u32,
    /// What was answered, or why there is no answer.
    answer: String,
}

/// Tries the server with a picture of a red circle, at the usual budget and then at smaller ones
/// until the circle is found: a model may know only those, as the demo model does, and a server may
/// have no room for more.
///
/// # Errors
/// [`SessionError`] if it is not reached, or refuses the question.
pub(super) fn run(
    section: &ServerSection,
    json: Option<&Path>,
    adopt: bool,
    global: &Global,
) -> anyhow::Result<Ending> {
    let model = ModelSection { server: section.clone(), ..ModelSection::default() };
    let mut first: Option<(Session<'_>, Examined)> = None;
    let mut not_found_at = Vec::new();
    let mut found = None;
    for budget in Budget::ALL.into_iter().rev().filter(|budget| *budget <= Budget::USUAL) {
        let config = DetectConfig::of_labels(["red circle"])
            .with_model(device::options(&model, global)?)
            .with_budget(BudgetChoice::Fixed(budget));
        let mut session = Session::open(config, &())?;
        let record = match session.detect(&disc(DISC, [214, 40, 40])) {
            Ok(record) => record,
            // A smaller picture may be taken. Whatever else is wrong is so at every budget.
            Err(SessionError::Server(ServerError::Refused(reason))) if budget != Budget::ALL[0] => {
                not_found_at.push(NotFound { budget: budget.soft_tokens(), answer: reason });
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let examined = examined(session.server().ok_or(SessionError::NoEngine)?, budget, &record);
        if examined.ok {
            found = Some((session, examined));
            break;
        }
        not_found_at
            .push(NotFound { budget: budget.soft_tokens(), answer: examined.answer.clone() });
        first.get_or_insert((session, examined));
    }
    let (session, mut examined) = found.or(first).ok_or(SessionError::NoEngine)?;
    examined.not_found_at = not_found_at;
    let server = session.server().ok_or(SessionError::NoEngine)?;
    match json.map(PathBuf::from) {
        Some(file) if file == Path::new("-") => output::json(&examined)?,
        Some(file) => output::json_file(&file, &examined, adopt)?,
        None => output::text(&describe(server, &examined)),
    }
    Ok(if examined.ok { Ending::Complete } else { Ending::NotReady })
}

fn examined(server: &Server, budget: Budget, record: &Record) -> Examined {
    let capabilities = server.capabilities();
    // One question about one view has one answer, or the reason why there is none.
    let text = record.answers.first().map(|answer| answer.text.clone());
    Examined {
        kind: server.kind.as_str(),
        budget: budget.soft_tokens(),
        version: server.version.clone(),
        model: server.model.clone(),
        fingerprint: capabilities.fingerprint.clone(),
        soft_tokens_planned: capabilities.picture_tokens.map(|tokens| tokens.planned),
        soft_tokens_seen: capabilities.picture_tokens.map(|tokens| tokens.seen),
        budget_per_request: capabilities.budget,
        constraint: capabilities.constraint.map(gemscope::server::Constraint::as_str),
        probabilities: capabilities.probabilities,
        limits: server.limits(),
        ok: is_where_it_is(&record.detections),
        answer: text.or_else(|| record.reason.clone()).unwrap_or_default(),
        score: record.detections.first().and_then(|found| found.score),
        not_found_at: Vec::new(),
    }
}

fn describe(server: &Server, examined: &Examined) -> String {
    let version =
        examined.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let mut lines = vec![format!("{}{version}, model {}", server.kind.name(), examined.model)];
    lines.push(String::new());
    let yes = |what: &str, value: &str| format!("  {what:<28} {value}");
    let budget = if examined.budget_per_request {
        "set with each request"
    } else {
        "as the size of the picture alone"
    };
    lines.push(yes("budget of a picture", budget));
    let seen = match (examined.soft_tokens_seen, examined.soft_tokens_planned) {
        (Some(seen), Some(planned)) => format!("{seen} of {planned}"),
        _ => "not known".to_owned(),
    };
    lines.push(yes("soft tokens of a picture", &seen));
    let held = match examined.constraint {
        Some("grammar") => "held to a list of boxes by a grammar",
        Some(_) => "held to a list of boxes by a JSON schema",
        None => "free",
    };
    lines.push(yes("answers", held));
    let scores = if examined.probabilities { "given" } else { "not given: boxes have no scores" };
    lines.push(yes("probabilities of tokens", scores));
    lines.push(yes("images at the same time", &server.concurrency().to_string()));
    if !examined.limits.is_empty() {
        lines.push(String::new());
        lines.push("what it cannot do, or does otherwise:".to_owned());
        lines.extend(examined.limits.iter().map(|limit| format!("  - {}", plain::line(limit))));
    }
    lines.push(String::new());
    let score = examined.score.map_or_else(String::new, |score| format!(", score {score:.3}"));
    let answered =
        |budget: u32, answer: &str| format!("  at a budget of {budget} it answered {answer:?}");
    let others = examined.not_found_at.iter().map(|other| answered(other.budget, &other.answer));
    if examined.ok {
        lines.push(format!(
            "It found the red circle where it is{score}, at a budget of {}.",
            examined.budget
        ));
        if !examined.not_found_at.is_empty() {
            lines.push(format!(
                "Ask it with --budget {}: at more it did not find it.",
                examined.budget
            ));
            lines.extend(others);
        }
    } else {
        lines.push(format!("FAILED: it was shown a red circle at {DISC:?}, and did not find it."));
        lines.extend(others);
    }
    lines.join("\n") + "\n"
}
