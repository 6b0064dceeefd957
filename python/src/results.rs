//! Records as JSON.

use std::path::PathBuf;

use gemscope::answer::{self, Reading};
use gemscope::critique::Rubric;
use gemscope::export::{Selection, jsonl_line};
use gemscope::record::{Answer, AnswerKind, BBox, Ended, Filters, Manifest, Record};
use gemscope::session::{ModelChoice, Pipeline, ShownRun};
use pyo3::prelude::*;

use crate::errors::{Kind, error, of_session, of_settings};

/// What Python is told of a record: `line` is its line of `detections.jsonl`, `verdict` that of
/// `verdicts.jsonl` if it is of a critique, `more` what stands in neither.
pub(crate) fn tell(record: &Record, verdict: Option<String>) -> PyResult<String> {
    let line = jsonl_line(record)
        .map_err(|problem| error(Kind::Model, format!("{}: {problem}", record.image)))?;
    // The model's own words, a text for each question and view.
    let answers: Vec<&str> = record.answers.iter().map(|answer| answer.text.as_str()).collect();
    let (sha256, orientation) = (&record.sha256, record.orientation);
    let more =
        serde_json::json!({ "sha256": sha256, "orientation": orientation, "answers": answers });
    let verdict = verdict.unwrap_or_else(|| "null".to_owned());
    Ok(format!("{{\"line\":{line},\"verdict\":{verdict},\"more\":{more}}}"))
}

/// Settings from their JSON.
pub(crate) fn pipeline(settings: &str) -> PyResult<Pipeline> {
    let settings = serde_json::from_str(settings);
    let settings = settings.map_err(|problem| error(Kind::Settings, problem.to_string()))?;
    Pipeline::of_settings(settings).map_err(|problem| of_settings(&problem))
}

/// The records of a run as its filters show them, and its manifest.
#[pyfunction]
pub(crate) fn read_run(
    py: Python<'_>,
    run: PathBuf,
    settings: &str,
    keep_missing: bool,
) -> PyResult<(Vec<String>, String, Vec<String>)> {
    let pipeline = pipeline(settings)?;
    py.detach(|| {
        let missing = |problem: &dyn std::fmt::Display| error(Kind::Run, problem.to_string());
        let manifest = Manifest::read(&run).map_err(|problem| missing(&problem))?;
        let filters = pipeline.answer.filters.over_filters(manifest.filters.clone());
        let filters = filters.map_err(|problem| of_settings(&problem))?;
        let shown = ShownRun::read(&run, None, Some(&filters), keep_missing)
            .map_err(|problem| of_session(&problem))?;
        let records = shown.run.selection.records.iter();
        let records = records.map(|record| tell(record, None)).collect::<PyResult<_>>()?;
        let damaged = shown.damaged.iter().map(ToString::to_string).collect();
        let manifest = serde_json::to_string(&manifest).map_err(|problem| missing(&problem))?;
        Ok((records, manifest, damaged))
    })
}

/// The record of an answer that was made elsewhere.
#[pyfunction]
pub(crate) fn parse(text: String, width: u32, height: u32, settings: &str) -> PyResult<String> {
    if width == 0 || height == 0 {
        return Err(error(Kind::Settings, format!("an image of {width}x{height} has no pixels")));
    }
    let pipeline = pipeline(settings)?;
    let task = pipeline.task.task.task().map_err(|problem| of_settings(&problem))?;
    let filters = pipeline.answer.filters.over_filters(Filters::default());
    let filters = filters.map_err(|problem| of_settings(&problem))?;
    let mut record = Record::failed(String::new(), String::new());
    (record.width, record.height) = (width, height);
    let view = BBox::whole(width, height);
    let answer = Answer { view, prompt: String::new(), text, ended: Ended::Unknown, tokens: None };
    let default_label = task.as_ref().and_then(|task| task.sole_label()).map(str::to_owned);
    record.asked = task.map(|task| task.labels().to_vec());
    let reading = Reading {
        answer,
        kind: pipeline.task.task.answer.unwrap_or(AnswerKind::Boxes),
        default_label,
        spans: Vec::new(),
        sentences: Vec::new(),
    };
    answer::read_into(&mut record, vec![reading], &pipeline.answer.rules.rules());
    let shown = Selection::of(vec![record], &Manifest::new(None, None), &filters);
    shown.records.first().map_or_else(|| Ok(String::new()), |record| tell(record, None))
}

/// The rubric `demo`, or the ready one of `settings`: that of the demo model if it is named, else
/// the one for SDXL.
#[pyfunction]
pub(crate) fn ready_rubric(settings: &str, demo: bool) -> PyResult<&'static str> {
    let demo = demo || pipeline(settings)?.model.choice() == ModelChoice::Demo;
    Ok(if demo { Rubric::DEMO } else { Rubric::SDXL })
}
