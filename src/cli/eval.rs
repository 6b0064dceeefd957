//! `gemscope eval`: how good a run is, against boxes that people drew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use gemscope::answer::calibration::Calibration;
use gemscope::eval::{self, Best, Evaluation, Predictions, Scoring, Truth};
use gemscope::export::Selection;
use gemscope::record::Manifest;
use serde::Serialize;

use super::{Ending, messages, output, read_records};

/// How good detections are, against a truth of any format: COCO's figures, best threshold,
/// confusion, calibration
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("detections").required(true))]
pub(crate) struct Args {
    /// A dataset of any format with the boxes to find
    #[arg(long, value_name = "DATASET")]
    truth: PathBuf,
    /// Where the images are, if a dataset does not say their sizes
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// A run of detect (or parse), as --run names it
    #[arg(value_name = "RUN", group = "detections")]
    named: Option<PathBuf>,
    /// A run of detect (or parse): images are matched by name, labels by name
    #[arg(long, value_name = "RUN", group = "detections")]
    run: Option<PathBuf>,
    /// Detections in COCO's results format, matched by id, or a dataset of any format, matched by
    /// name
    #[arg(long, value_name = "DATASET", group = "detections")]
    predictions: Option<PathBuf>,
    /// The score that ranks the boxes of a run: coordinates, label, joint, stated, or none.
    /// Default: the run's own
    #[arg(long, value_name = "KIND", conflicts_with = "predictions")]
    score: Option<Scoring>,
    /// Evaluate only these labels of the truth, separated by commas
    #[arg(long, short, value_name = "LABELS")]
    labels: Option<String>,
    /// Print the figures of every label, too
    #[arg(long)]
    by_label: bool,
    /// The IoU from which on a box counts as found, for F1, curves, confusion and calibration
    /// (COCO's figures have their own)
    #[arg(long, value_name = "IOU", default_value_t = 0.5)]
    iou: f64,
    /// The most detections of an image and a label that count for F1, curves, confusion and
    /// calibration
    #[arg(long, value_name = "NUMBER", default_value_t = eval::MOST)]
    max_dets: usize,
    /// End with exit code 3 if a figure is lower: AP50=0.8, or F1, precision, recall; several with
    /// commas
    #[arg(long, value_name = "BARS", value_delimiter = ',')]
    fail_under: Vec<Bar>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Write a page with curves and confusion: a .html file, or a directory for eval.html and
    /// eval.json
    #[arg(long, value_name = "PATH")]
    report: Option<PathBuf>,
    /// Learn a calibration of the scores and write it [default: calibration.json in the run, or
    /// here]
    #[arg(long, value_name = "FILE")]
    #[allow(clippy::option_option)] // clap's word for a flag with an optional value
    calibrate: Option<Option<PathBuf>>,
    /// Apply a calibration to the scores before thresholds and calibration error are computed
    #[arg(long, value_name = "FILE", conflicts_with = "calibrate")]
    calibration: Option<PathBuf>,
    /// Replace the files of --report and --calibrate even if gemscope has no record of writing them
    #[arg(long)]
    adopt: bool,
}

/// The least that a figure must be.
#[derive(Debug, Clone)]
struct Bar {
    figure: String,
    least: f64,
}

/// Names of figures that are no COCO's.
const BEST: [&str; 3] = ["F1", "precision", "recall"];

impl FromStr for Bar {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (figure, least) = text.split_once('=').ok_or("a bar is written AP50=0.8")?;
        let least = least.trim().parse().ok().filter(|least| (0.0..=1.0).contains(least));
        let least = least.ok_or("a bar lies between 0 and 1")?;
        let known = eval::FIGURES.iter().chain(&BEST);
        let figure = known.clone().find(|known| known.eq_ignore_ascii_case(figure.trim()));
        let figure = figure.ok_or_else(|| {
            let known: Vec<&str> = known.copied().collect();
            format!("no figure is called {:?}; there are: {}", text, known.join(", "))
        })?;
        Ok(Self { figure: (*figure).to_owned(), least })
    }
}

impl Bar {
    /// Says of an evaluation that misses it by how much.
    fn missed(&self, evaluation: &Evaluation) -> Option<String> {
        let best = evaluation.best_f1.as_ref();
        let value = match self.figure.as_str() {
            "F1" => best.map(|best| best.f1),
            "precision" => best.map(|best| best.precision),
            "recall" => best.map(|best| best.recall),
            figure => {
                let named = evaluation.figures.named();
                named.into_iter().find(|(name, _)| *name == figure).and_then(|(_, value)| value)
            }
        };
        let Self { figure, least } = self;
        match value {
            Some(value) if value >= *least => None,
            Some(value) => Some(format!("{figure} is {value:.4}, below {least}")),
            None => Some(format!("{figure} cannot be told of this truth: it is not {least}")),
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'e> {
    schema: u32,
    gemscope: &'static str,
    truth: String,
    predictions: &'e str,
    #[serde(flatten)]
    evaluation: &'e Evaluation,
    /// The calibration that was learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<&'e Calibration>,
}

/// Version of the JSON.
const SCHEMA: u32 = 1;

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    if !(args.iou > 0.0 && args.iou <= 1.0) {
        bail!("--iou {} is not between 0 and 1", args.iou);
    }
    let labels: Vec<String> = (args.labels.iter().flat_map(|labels| labels.split(',')))
        .map(|label| label.trim().to_owned())
        .filter(|label| !label.is_empty())
        .collect();
    if args.labels.is_some() && labels.is_empty() {
        bail!("--labels names nothing");
    }
    let calibration = args.calibration.as_deref().map(Calibration::read).transpose()?;
    let mut platt = calibration.as_ref().map(|calibration| calibration.platt);
    let images = args.images.as_deref();
    let truth = Truth::read(&args.truth, images, &labels)?;
    let run = args.run.as_ref().or(args.named.as_ref());
    let predictions = match (run, &args.predictions) {
        (Some(run), _) => {
            let manifest = Manifest::read(run)?;
            if manifest.only_rates() {
                bail!(
                    "{} is a run of critique that rates frames and finds no boxes: eval is for \
                     runs of detect or parse",
                    run.display()
                );
            }
            let own = manifest.filters.score;
            let scoring = args.score.unwrap_or(Scoring::Kind(own));
            // Figures are of the scores before the run's own calibration, which is applied as one
            // that is named would be.
            if scoring == Scoring::Kind(own) && args.calibrate.is_none() {
                platt = platt.or(manifest.filters.calibration);
            }
            // Every box under its name: a curve needs those too that no export shows.
            let all =
                Selection::of(read_records(run)?, &manifest, &manifest.filters.keeping_all_boxes());
            Predictions::of_records(&all.records, &all.labels, scoring, run, &truth)?
        }
        (None, Some(path)) => Predictions::read(path, images, &truth)?,
        // The group of the two is required.
        (None, None) => bail!("--run RUN or --predictions FILE says what is evaluated"),
    };
    let (mut evaluation, matches) =
        eval::evaluate(&truth, &predictions, args.iou, args.max_dets, platt.as_ref())?;
    if let Some(calibration) =
        calibration.filter(|calibration| calibration.score != predictions.score_kind)
    {
        evaluation.remarks.push(format!(
            "the calibration is of another kind of score ({}, not {})",
            calibration.score, predictions.score_kind
        ));
    }
    let learned = match &args.calibrate {
        None => None,
        Some(file) => {
            let default = run.map_or(Path::new(""), PathBuf::as_path).join("calibration.json");
            let file = file.as_ref().unwrap_or(&default);
            let samples = eval::samples(&truth, &predictions, &matches);
            let learned = eval::learn(
                &samples,
                predictions.score_kind.clone(),
                args.iou,
                args.truth.display().to_string(),
                predictions.source.clone(),
            )?;
            output::file(file, learned.calibration.to_json().as_bytes(), args.adopt)?;
            evaluation.remarks.extend(learned.remarks);
            Some((learned.calibration, file.clone()))
        }
    };
    for remark in &evaluation.remarks {
        messages::say(remark);
    }
    let json = Json {
        schema: SCHEMA,
        gemscope: env!("CARGO_PKG_VERSION"),
        truth: args.truth.display().to_string(),
        predictions: &predictions.source,
        evaluation: &evaluation,
        calibration: learned.as_ref().map(|(calibration, _)| calibration),
    };
    if let Some(report) = &args.report {
        write_report(args, report, &json)?;
    }
    if args.json {
        output::json(&json)?;
    } else {
        output::text(&table(&evaluation, args.by_label));
        if let Some((calibration, file)) = &learned {
            output::text(&learned_text(calibration, file));
        }
    }
    let missed: Vec<String> =
        args.fail_under.iter().filter_map(|bar| bar.missed(&evaluation)).collect();
    for bar in &missed {
        messages::error(bar);
    }
    Ok(if missed.is_empty() { Ending::Complete } else { Ending::BelowBar })
}

fn write_report(args: &Args, path: &Path, json: &Json<'_>) -> anyhow::Result<()> {
    let page = eval::html(json.evaluation, &json.truth, json.predictions)?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html")) {
        return output::file(path, page.as_bytes(), args.adopt);
    }
    output::file(&path.join("eval.html"), page.as_bytes(), args.adopt)?;
    output::file(&path.join("eval.json"), &serde_json::to_vec_pretty(json)?, args.adopt)
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.3}"))
}

fn threshold(best: &Best) -> String {
    if best.f1 <= 0.0 {
        return "-".into(); // nothing is right at any threshold
    }
    best.threshold.map_or_else(|| "all".into(), |threshold| format!("{threshold:.3}"))
}

fn table(evaluation: &Evaluation, by_label: bool) -> String {
    let counts = &evaluation.counts;
    let mut text = format!(
        "{} images, {} boxes to find, {} crowds, {} detections\n\n",
        counts.images, counts.truths, counts.crowds, counts.detections
    );
    let (names, values): (Vec<_>, Vec<_>) = evaluation
        .figures
        .named()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), figure(value)))
        .unzip();
    for half in [0..6, 6..12] {
        text.push_str(&output::table(&[names[half.clone()].to_vec(), values[half].to_vec()]));
        text.push('\n');
    }
    if let Some(best) = &evaluation.best_f1 {
        let scores = match best.threshold {
            Some(threshold) => format!("scores from {threshold:.3} on"),
            None => "all detections".into(),
        };
        let _ = writeln!(
            text,
            "best F1 at IoU {}: {:.3} (precision {:.3}, recall {:.3}) with {scores}",
            evaluation.iou, best.f1, best.precision, best.recall
        );
    }
    if let Some(reliability) = &evaluation.reliability {
        let after = evaluation.calibrated.as_ref().map_or_else(String::new, |calibrated| {
            format!(", {:.4} after the calibration", calibrated.ece)
        });
        let _ = writeln!(text, "expected calibration error: {:.4}{after}", reliability.ece);
    }
    let confusions = evaluation.confusion.most_frequent(5);
    if !confusions.is_empty() {
        let confusions: Vec<String> = confusions
            .iter()
            .map(|(there, said, count)| format!("{there} taken for {said} ({count})"))
            .collect();
        let _ = writeln!(text, "most often confused: {}", confusions.join(", "));
    }
    if by_label {
        let head =
            ["label", "boxes", "detections", "AP", "AP50", "AP75", "AR100", "best F1", "at score"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for label in &evaluation.labels {
            rows.push(vec![
                label.label.clone(),
                label.truths.to_string(),
                label.detections.to_string(),
                figure(label.AP),
                figure(label.AP50),
                figure(label.AP75),
                figure(label.AR100),
                figure(label.best_f1.map(|best| best.f1)),
                label.best_f1.as_ref().map_or_else(|| "-".into(), threshold),
            ]);
        }
        text.push('\n');
        text.push_str(&output::table(&rows));
    }
    text
}

fn learned_text(calibration: &Calibration, file: &Path) -> String {
    let ece = &calibration.ece;
    let cross = ece.cross_validated.map_or_else(
        || "not cross-validated".into(),
        |cross| format!("{cross:.4} when learned from the other half of the images"),
    );
    format!(
        "calibration: a = {:.4}, b = {:.4}; expected calibration error {:.4} before, {:.4} after, \
         {cross} ({} bins of equal width)\n{}\n",
        calibration.platt.a,
        calibration.platt.b,
        ece.before,
        ece.after,
        ece.bins,
        file.display()
    )
}
