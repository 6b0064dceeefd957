//! `gemscope parse`: answers that were made elsewhere.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use gemscope::answer::ScaleEvidence;
use gemscope::export::Run;
use gemscope::files;
use gemscope::journal::RunDirectory;
use gemscope::record::{
    AnswerKind, AnswerStatus, CoordinateOrder, CoordinateScale, ExternalAnswers, Filters, Manifest,
    NoteKind, Record, Rules,
};
use gemscope::responses::{self, Asked, Collected, ImageFolder, Problem, Requests};
use gemscope::session::pipeline::{CoordinateSection, FilterSection, Names};
use gemscope::session::{Failure, Summary};
use serde::Serialize;

use super::{Ending, messages, output, plain};

/// Read answers that were made elsewhere
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file of responses, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Make a run directory, so that every export works on these answers
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder of the images: their sizes are read from it, and no name leads out of it
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The questions: the input file of the batch, or lines {"custom_id":…,"image":…,"question":…}
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// The labels that were asked for, separated by commas, or @FILE with one a line; "Dog" and
    /// "two dogs" are then a dog
    #[arg(long, short, value_name = "LABELS")]
    labels: Option<Names>,
    /// The kind of answer: boxes or text. Default: boxes with --labels; without, as each question
    /// says (boxes if it begins with detect, find or locate or names box_2d), and boxes if that is
    /// not known
    #[arg(long, value_name = "KIND")]
    answer: Option<AnswerKind>,
    #[command(flatten)]
    coordinates: CoordinateSection,
    /// The model was shown the pixels as they are stored, not turned as EXIF says (Ollama and
    /// llama.cpp do not turn them)
    #[arg(long, requires = "images")]
    no_exif: bool,
    /// Throw away the earlier run in --out
    #[arg(long, visible_alias = "overwrite")]
    fresh: bool,
    /// Print the summary as JSON instead of the records
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: FilterSection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let labels = args.labels.as_ref().map_or_else(|| Ok(Vec::new()), Names::labels)?;
    let mut rules = args.coordinates.rules();
    let filters = args.filters.over_filters(Filters::default())?;
    let images =
        args.images.as_deref().map(|path| ImageFolder::open(path, !args.no_exif)).transpose()?;
    let requests = args.requests.as_deref().map(Requests::read).transpose()?;
    let name = args.file.display().to_string();
    let collected = responses::collect(open(&args.file)?, images.as_ref(), requests.as_ref())
        .context(name.clone())?;
    let asked = Asked {
        answer: args.answer.or((!labels.is_empty()).then_some(AnswerKind::Boxes)),
        default_label: if let [label] = &labels[..] { Some(label.clone()) } else { None },
    };
    let coordinates = args.decide(&collected, &asked, &mut rules);
    for (line, problem) in &collected.problems {
        messages::error(&plain::line(&format!("{name}:{line}: {problem}{}", hint(problem))));
    }
    let remarks = remarks(&collected, args.no_exif);
    let model = (collected.models.len() == 1).then(|| collected.models.first().cloned()).flatten();
    let (unused, unanswered) = (collected.problems.len(), collected.unanswered.len());
    let records: Vec<Record> =
        collected.images.into_iter().map(|image| image.record(&asked, &rules)).collect();
    let elsewhere = ExternalAnswers {
        labels: labels.clone(),
        answer: asked.answer,
        rules,
        coordinates_because: coordinates.because.clone(),
        apply_orientation: !args.no_exif,
    };
    let root = images.as_ref().map(|images| images.root().to_owned());
    let manifest = Manifest::of_external(root.clone(), elsewhere).with_filters(filters.clone());
    let manifest = model.clone().into_iter().fold(manifest, Manifest::with_model);
    if let Some(out) = &args.out {
        write(out, args.fresh, &manifest, &records)?;
    }
    // The journal has every box; the output has the exported ones.
    let mut shown = Run::of(records, manifest, &filters, root);
    for record in shown.selection.records.iter().take_while(|_| !args.json) {
        output::json_line(record)?;
    }
    for record in &mut shown.selection.records {
        record.answers.clear();
    }
    let counts = Summary::count(&shown.selection, &shown.models.join(", "));
    let summary = ParseSummary {
        images: counts.images,
        statuses: counts.statuses,
        detections: counts.detections,
        left_out_by_score: counts.left_out_by_score,
        min_score: counts.min_score,
        labels: counts.labels,
        notes: counts.notes,
        coordinates,
        model,
        unused,
        unanswered,
        failures: counts.failures,
    };
    summary.say(&remarks);
    if args.json {
        output::json(&summary)?;
    }
    if args.out.is_none() && !output::is_whole() {
        // The printed lines are the only output, so nothing may be missing.
        bail!("not all could be printed");
    }
    Ok(if unused == 0 && unanswered == 0 && summary.failures.is_empty() {
        Ending::Complete
    } else {
        Ending::SomeFailed
    })
}

fn open(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = files::open(file).with_context(|| match std::fs::metadata(file) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            format!("{} (- reads standard input)", file.display())
        }
        _ => file.display().to_string(),
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, opened)))
}

impl Args {
    /// Decides the scale of all answers, unless it was named.
    fn decide(&self, collected: &Collected, asked: &Asked, rules: &mut Rules) -> Coordinates {
        let named = self.coordinates.coordinates;
        let mut evidence = ScaleEvidence::default();
        for image in &collected.images {
            image.weigh(&mut evidence, rules.order, asked);
        }
        let (because, contradictory) = if named.is_some() {
            ("--coordinates says so".to_owned(), None)
        } else {
            let decision = evidence.decide();
            rules.coordinates = decision.scale;
            (decision.why, Some(decision.contradictory))
        };
        Coordinates { scale: rules.coordinates, order: rules.order, because, contradictory }
    }
}

/// Which flag, or which change of the input, mends a line.
fn hint(problem: &Problem) -> &'static str {
    match problem {
        Problem::NoImage => {
            "; add it, as `jq -c '. + {image: \"NAME\"}'` does, or say with --requests which \
             custom_id is which image"
        }
        Problem::NoSize { .. } => "; --images DIR reads it",
        Problem::OtherSize { turned: true, .. } => {
            "; --no-exif, if the model was shown the pixels as they are stored"
        }
        Problem::OtherSize { .. } => "; without width and height, the file's size counts",
        Problem::IsRequest => "; requests go with --requests",
        _ => "",
    }
}

/// Warnings about the responses, one a line.
fn remarks(collected: &Collected, no_exif: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut remark = |count: usize, what: &str| {
        if count > 0 {
            remarks.push(format!("{count} {what}"));
        }
    };
    remark(
        collected.several_choices,
        "responses have several choices: the first one of each counts",
    );
    remark(
        collected.unmatched_tokens,
        "answers have token probabilities that do not fit their text, or are of after sampling: \
         their boxes have no scores",
    );
    if !no_exif {
        remark(
            collected.turned_by_exif,
            "images are turned by EXIF: boxes are taken to be of the upright image; --no-exif, if \
             the server showed them as they are stored",
        );
    }
    if let [first, ..] = &collected.unanswered[..] {
        remarks.push(format!(
            "{} requests have no response, {first} among them",
            collected.unanswered.len()
        ));
    }
    if collected.models.len() > 1 {
        let models = collected.models.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        remarks.push(format!("these answers are of several models: {models}"));
    }
    remarks
}

/// Adds the records to the run in `out` that it does not hold yet.
fn write(out: &Path, fresh: bool, manifest: &Manifest, records: &[Record]) -> anyhow::Result<()> {
    let directory = RunDirectory::open(out, fresh)?;
    directory.create_or_verify(manifest)?;
    let (mut journal, known) = directory.journal(Duration::ZERO)?;
    super::progress::say_what_was_left(&directory, &known);
    let held = directory
        .already_held(records)
        .context("choose another --out, or throw the run away with --fresh")?;
    for (record, _) in records.iter().zip(held).filter(|(_, held)| !held) {
        journal.append(record)?;
    }
    Ok(journal.sync()?)
}

/// The unit of the numbers in all boxes.
#[derive(Serialize)]
struct Coordinates {
    scale: CoordinateScale,
    order: CoordinateOrder,
    because: String,
    /// Number of answers whose boxes do not fit; absent if the scale was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    contradictory: Option<usize>,
}

/// Summary of the input and its records.
#[derive(Serialize)]
struct ParseSummary {
    images: usize,
    statuses: BTreeMap<AnswerStatus, usize>,
    detections: usize,
    left_out_by_score: usize,
    min_score: f64,
    labels: BTreeMap<String, usize>,
    notes: BTreeMap<NoteKind, usize>,
    coordinates: Coordinates,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Lines that could not be used; stderr says why.
    unused: usize,
    /// Requests without a response.
    unanswered: usize,
    failures: Vec<Failure>,
}

impl ParseSummary {
    fn say(&self, remarks: &[String]) {
        let mut rows = vec![vec!["label".to_owned(), "found".to_owned()]];
        rows.extend(
            self.labels.iter().map(|(label, count)| vec![label.clone(), count.to_string()]),
        );
        messages::say(output::table(&rows).trim_end());
        let statuses: Vec<String> = self
            .statuses
            .iter()
            .map(|(status, count)| format!("{count} {}", status.as_str()))
            .collect();
        let statuses =
            if statuses.is_empty() { String::new() } else { format!(": {}", statuses.join(", ")) };
        messages::say(&format!("{} images{statuses}", self.images));
        if self.left_out_by_score > 0 {
            messages::say(&format!(
                "{} left out by score (below {})",
                messages::counted(self.left_out_by_score, "box", "boxes"),
                self.min_score
            ));
        }
        let Coordinates { scale, order, because, contradictory } = &self.coordinates;
        messages::say(&format!("coordinates: {scale}, {order} ({because})"));
        if let Some(count @ 1..) = contradictory {
            messages::say(&format!(
                "{count} answers do not fit that, and lost boxes (note coordinates_do_not_fit); \
                 --coordinates names another scale"
            ));
        }
        for (kind, count) in &self.notes {
            let kind = serde_json::to_value(kind).unwrap_or_default();
            messages::say(&format!("note {}: {count}", kind.as_str().unwrap_or_default()));
        }
        for remark in remarks {
            messages::say(&plain::line(remark));
        }
        let failures = self.failures.iter().map(|failure| (&failure.image, &failure.reason));
        for line in output::failures(failures) {
            messages::say(&format!("failed: {line}"));
        }
        if self.unused > 0 {
            messages::say(&format!("{} lines could not be used", self.unused));
        }
    }
}
