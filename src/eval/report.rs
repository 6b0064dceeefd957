//! The evaluation as one page.
//!
//! In: an [`Evaluation`]. Out: HTML with its curves as SVG. Promises: the page needs no other file
//! and no network; every label and name in it is escaped.

use minijinja::{Value, context};

use super::{Evaluation, Reliability, svg};
use crate::page;

/// The page. `truth` and `predictions` name what was compared.
///
/// # Errors
/// [`minijinja::Error`]; the template is part of the program.
pub fn html(
    evaluation: &Evaluation,
    truth: &str,
    predictions: &str,
) -> Result<String, minijinja::Error> {
    let safe = |svg: String| Value::from_safe_string(svg);
    let curves: Vec<Value> = (evaluation.labels.iter())
        .map(|label| {
            let best = label.best_f1.map(|best| (best.recall, best.precision));
            safe(svg::precision_recall(&label.precision, best))
        })
        .collect();
    let row_sums: Vec<usize> =
        evaluation.confusion.counts.iter().map(|row| row.iter().sum::<usize>().max(1)).collect();
    let reliability =
        |reliability: &Option<Reliability>| reliability.as_ref().map(|r| safe(svg::reliability(r)));
    let figures: Vec<(&str, Option<f64>)> = evaluation.figures.named().into();
    let values = context! {
        version => env!("CARGO_PKG_VERSION"),
        truth,
        predictions,
        evaluation => Value::from(minijinja::value::Serde(evaluation)),
        figures,
        // Without a dot: the best F1 is of all detections together, which is no point of a mean of
        // curves.
        curve => safe(svg::precision_recall(&evaluation.precision, None)),
        curves,
        row_sums,
        reliability => reliability(&evaluation.reliability),
        calibrated => reliability(&evaluation.calibrated),
    };
    page::render(include_str!("report.html"), values)
}
