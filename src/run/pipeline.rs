//! The stages of a run and the channels between them.
//!
//!     load + preprocess          inference            journal + progress
//!     (all cores, rayon)  ->  (one view at a time)  ->  (one writer thread)
//!
//! Prepared views wait behind a gate that counts their bytes, so files are read ahead of the device, but memory stays bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use thiserror::Error;

use super::gate::{ByteGate, Permit};
use super::journal::{Journal, JournalError};
use super::manifest::Settings;
use super::progress::Progress;
use crate::generate::{GenerateError, GenerateOptions, Generated, generate, geometric_mean};
use crate::model::{GraphError, Model};
use crate::preprocess::{PreparedView, prepare};
use crate::prompt::{Prompter, Query};
use crate::record::{Answer, AnswerStatus, BBox, Detection, Record, SCHEMA, TokenCounts};
use crate::source::SourceImage;
use crate::{answer, digest};

/// Prepared views may hold so many bytes: eight of the largest budget.
const BYTES_AHEAD: usize = 256 << 20;

/// Why a run stopped. The journal holds what was answered until then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The model cannot be run.
    #[error("{image}: {error}")]
    Model {
        /// The image at which it happened.
        image: String,
        /// The reason.
        error: GraphError,
    },
    /// The threads for loading cannot be started.
    #[error("cannot start the loading threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// What answers a query.
pub struct Engine {
    /// Tokenizer and chat template.
    pub prompter: Prompter,
    /// The graphs.
    pub model: Model,
    /// What is asked about every image.
    pub query: Query,
}

/// How a run went, beside its records.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Images that the journal held already.
    pub resumed: usize,
    /// From the first file to the last record.
    pub wall: Duration,
    /// Of that, inside ONNX Runtime.
    pub onnx_runtime: Duration,
}

/// One image on its way from the loaders to the model.
struct Loaded<'g> {
    record: Record,
    /// Absent where the record is finished already: it failed.
    view: Option<(PreparedView, Permit<'g>)>,
}

/// Runs `engine` over `images` and appends a record of each to `journal`. Images that `known` holds an answer for, with the same
/// content, are left as they are; failed ones are tried again.
///
/// # Errors
/// [`RunError`], with the journal intact.
pub fn execute(
    engine: &mut Engine,
    settings: &Settings,
    images: &[SourceImage],
    known: &[Record],
    mut journal: Journal,
    mut progress: Progress,
) -> Result<Outcome, RunError> {
    let started = Instant::now();
    let before = engine.model.runtime_time();
    let loader = Loader {
        settings,
        patch_side: engine.model.patch_side(),
        known: known.iter().map(|record| (record.image.as_str(), record)).collect(),
        resumed: AtomicUsize::new(0),
    };
    let pool = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("load-{index}")).build()?;
    let gate = ByteGate::new(BYTES_AHEAD);
    let next = AtomicUsize::new(0);
    let (loaded_sender, loaded) = crossbeam_channel::unbounded::<Loaded<'_>>();
    let (records_sender, records) = crossbeam_channel::bounded::<Record>(64);
    let result = std::thread::scope(|scope| {
        let (pool, gate, next, loader) = (&pool, &gate, &next, &loader);
        scope.spawn(move || {
            // Each thread takes the next image until there is none, so that the order stays roughly that of the names.
            pool.broadcast(|_| {
                while let Some(image) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !loader.load(image, gate, &loaded_sender) {
                        break;
                    }
                }
            });
            drop(loaded_sender);
        });
        let writer = scope.spawn(move || -> Result<(), JournalError> {
            for record in records {
                journal.append(&record)?;
                progress.done(record.status);
            }
            progress.finish();
            Ok(())
        });
        let answered = answer_all(engine, settings, loaded, &records_sender);
        // Whoever still waits to hand over a view is let go, also after an error.
        gate.close();
        drop(records_sender);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.map_err(RunError::from).and(answered)
    });
    result?;
    Ok(Outcome {
        resumed: loader.resumed.load(Ordering::Relaxed),
        wall: started.elapsed(),
        onnx_runtime: engine.model.runtime_time().saturating_sub(before),
    })
}

struct Loader<'r> {
    settings: &'r Settings,
    patch_side: u32,
    known: HashMap<&'r str, &'r Record>,
    resumed: AtomicUsize,
}

impl Loader<'_> {
    /// Reads, decodes and prepares one image and hands it on; false when nobody wants it any more.
    fn load<'g>(&self, image: &SourceImage, gate: &'g ByteGate, sender: &Sender<Loaded<'g>>) -> bool {
        let mut record = Record::failed(image.name.clone(), String::new());
        match self.prepare(image, &mut record) {
            Ok(Some(view)) => match gate.enter(view.patches.bytes()) {
                Some(permit) => sender.send(Loaded { record, view: Some((view, permit)) }).is_ok(),
                None => false,
            },
            Ok(None) => {
                self.resumed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(reason) => {
                record.reason = Some(reason);
                sender.send(Loaded { record, view: None }).is_ok()
            }
        }
    }

    /// The prepared view; nothing where the journal holds the answer already; the reason where it cannot be had.
    fn prepare(&self, image: &SourceImage, record: &mut Record) -> Result<Option<PreparedView>, String> {
        let path = image.path.as_ref().map_err(Clone::clone)?;
        let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let sha256 = digest::hex(&bytes);
        if let Some(known) = self.known.get(image.name.as_str())
            && known.status != AnswerStatus::Failed
            && known.sha256.as_ref() == Some(&sha256)
        {
            return Ok(None);
        }
        record.sha256 = Some(sha256);
        let upright =
            crate::image::decode(&bytes, self.settings.apply_orientation).map_err(|error| error.to_string())?;
        (record.width, record.height, record.orientation) = (upright.width, upright.height, upright.orientation);
        prepare(&upright, self.settings.budget, self.patch_side).map(Some).map_err(|error| error.to_string())
    }
}

fn answer_all(
    engine: &mut Engine,
    settings: &Settings,
    loaded: Receiver<Loaded<'_>>,
    records: &Sender<Record>,
) -> Result<(), RunError> {
    for Loaded { mut record, view } in loaded {
        if let Some((view, permit)) = view {
            match answer_one(engine, settings, &record, view) {
                Ok((generated, tokens)) => complete(&mut record, settings, &engine.query.text, generated, tokens),
                Err(GenerateError::Graph(error)) => return Err(RunError::Model { image: record.image, error }),
                Err(error) => record.reason = Some(error.to_string()),
            }
            drop(permit);
        }
        if records.send(record).is_err() {
            // The writer is gone; its own error says why.
            return Ok(());
        }
    }
    Ok(())
}

fn answer_one(
    engine: &mut Engine,
    settings: &Settings,
    record: &Record,
    view: PreparedView,
) -> Result<(Generated, TokenCounts), GenerateError> {
    let Engine { prompter, model, query } = engine;
    let soft_tokens = view.size.soft_tokens();
    let prompt_ids = query.token_ids(soft_tokens);
    let features = model.encode(view.patches, soft_tokens)?;
    let options = GenerateOptions {
        max_new_tokens: settings.max_new_tokens,
        sampling: settings.sampling,
        // Of the name alone, so that sampled answers do not depend on the order of the run.
        stream: digest::number(&record.image),
    };
    let generated = generate(model, &prompter.tokenizer, &prompt_ids, &features, &options)?;
    let tokens = TokenCounts {
        budget: view.budget.soft_tokens(),
        resized: [view.size.width, view.size.height],
        soft_tokens,
        prompt: prompt_ids.len(),
        answer: generated.ids.len(),
    };
    Ok((generated, tokens))
}

/// Reads the answer's boxes into the record.
fn complete(record: &mut Record, settings: &Settings, prompt: &str, generated: Generated, tokens: TokenCounts) {
    let parsed = answer::parse(&generated.text, generated.ended);
    let (located, notes) = answer::to_detections(&parsed, record.width, record.height, settings.task.sole_label());
    let score = |source: usize| geometric_mean(&generated.spans, &parsed.boxes[source].coordinates);
    record.schema = SCHEMA;
    record.status = parsed.status;
    record.reason = None;
    record.detections =
        located.into_iter().map(|located| Detection { score: score(located.source), ..located.detection }).collect();
    record.notes = parsed.notes.iter().copied().chain(notes).collect();
    record.answers = vec![Answer {
        view: BBox { x0: 0.0, y0: 0.0, x1: f64::from(record.width), y1: f64::from(record.height) },
        prompt: prompt.to_owned(),
        text: generated.text,
        ended: generated.ended,
        tokens: Some(tokens),
    }];
}
