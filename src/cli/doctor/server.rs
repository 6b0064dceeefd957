//! `gemscope doctor --server`: what a server is, and what it cannot do.

use std::path::{Path, PathBuf};

use gemscope::server::Server;
use gemscope::session::pipeline::{ModelSection, ServerSection};
use gemscope::session::{DetectConfig, Session, SessionError};
use serde::Serialize;

use super::super::{Ending, Global, device, output, plain};
use super::{DISC, disc, is_where_it_is};

/// What a server is, what it cannot do, and what it answered.
#[derive(Debug, Serialize)]
struct Examined {
    kind: &'static str,
    version: Option<String>,
    model: String,
    fingerprint: Option<String>,
    /// Of a picture, by its size, and by the server's own figures.
    soft_tokens_planned: Option<u32>,
    soft_tokens_seen: Option<u32>,
    budget_per_request: bool,
    constraint: Option<&'static str>,
    probabilities: bool,
    /// A sentence each.
    limits: Vec<String>,
    /// Whether it found the red circle where it is.
    ok: bool,
    /// What it answered to "detect red circle".
    answer: String,
    score: Option<f64>,
}

/// Tries the server with a picture of a red circle.
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
    let config =
        DetectConfig::of_labels(["red circle"]).with_model(device::options(&model, global)?);
    let mut session = Session::open(config, &())?;
    let record = session.detect(&disc(DISC, [214, 40, 40]))?;
    let server = session.server().ok_or(SessionError::NoEngine)?;
    // One question about one view has one answer.
    let answer = record.answers.first().map(|answer| answer.text.clone()).unwrap_or_default();
    let score = record.detections.first().and_then(|found| found.score);
    let examined = examined(server, is_where_it_is(&record.detections), answer, score);
    match json.map(PathBuf::from) {
        Some(file) if file == Path::new("-") => output::json(&examined)?,
        Some(file) => output::json_file(&file, &examined, adopt)?,
        None => output::text(&describe(server, &examined)),
    }
    Ok(if examined.ok { Ending::Complete } else { Ending::NotReady })
}

fn examined(server: &Server, ok: bool, answer: String, score: Option<f64>) -> Examined {
    let ability = server.ability();
    Examined {
        kind: server.kind.as_str(),
        version: server.version.clone(),
        model: server.model.clone(),
        fingerprint: ability.fingerprint.clone(),
        soft_tokens_planned: ability.looked.map(|looked| looked.planned),
        soft_tokens_seen: ability.looked.map(|looked| looked.seen),
        budget_per_request: ability.budget,
        constraint: ability.constraint.map(gemscope::server::Constraint::as_str),
        probabilities: ability.probabilities,
        limits: server.limits(),
        ok,
        answer,
        score,
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
    lines.push(if examined.ok {
        format!("It found the red circle where it is{score}.")
    } else {
        format!("FAILED: it was shown a red circle at {DISC:?}, and answered {:?}", examined.answer)
    });
    lines.join("\n") + "\n"
}
