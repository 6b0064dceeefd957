//! The stages of a run and the channels between them.
//!
//! ```text
//! load + preprocess          inference            journal + progress
//! (all cores, rayon)  ->  (one view at a time)  ->  (one writer thread)
//! ```
//!
//! Prepared views wait behind a gate that counts their bytes, so files are read ahead of the device, but memory stays bounded.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use thiserror::Error;

use super::gate::{ByteGate, Permit};
use super::journal::{Journal, JournalError, Known};
use super::manifest::{ManifestError, Settings};
use super::progress::Progress;
use crate::generate::{GenerateError, GenerateOptions, Generated, coordinate_probability, generate};
use crate::model::{GraphError, Model};
use crate::preprocess::{PreparedView, prepare, target_size};
use crate::prompt::{Prompter, Query};
use crate::record::{Answer, BBox, Record, TokenCounts};
use crate::source::SourceImage;
use crate::{answer, digest};

/// Images that are decoded, and views that wait, may hold so many bytes together: eight views of the largest budget.
const BYTES_AHEAD: usize = 256 << 20;

/// So many images may wait besides.
const IMAGES_AHEAD: usize = 256;

/// So many images in a row without an answer mean that it is the model that fails.
const FAILURES_IN_A_ROW: usize = 3;

/// Why a run stopped. The journal holds what was answered until then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The directory holds something else.
    #[error("{} is not empty and not a run: choose another --out", .0.display())]
    NotARun(PathBuf),
    /// Another process writes the run.
    #[error("{}: another process is writing this run", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("{}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The directory holds a run that was made otherwise.
    #[error(
        "{} holds a run with other settings (they differ in: {differing}; see its run.json): choose another --out, or --overwrite it",
        path.display()
    )]
    OtherSettings {
        /// The directory.
        path: PathBuf,
        /// The names of the settings.
        differing: String,
    },
    /// `run.json` cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The model cannot be run.
    #[error("{image}: {error}")]
    Model {
        /// The image at which it happened.
        image: String,
        /// The reason.
        error: GenerateError,
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

impl Engine {
    /// The answer about one view.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub fn answer(
        &mut self,
        view: PreparedView,
        options: &GenerateOptions,
    ) -> Result<(Generated, TokenCounts), GenerateError> {
        let soft_tokens = view.size.soft_tokens();
        let prompt_ids = self.query.token_ids(soft_tokens);
        let features = self.model.encode(view.patches, soft_tokens)?;
        let generated = generate(&mut self.model, &self.prompter.tokenizer, &prompt_ids, &features, options)?;
        let tokens = TokenCounts {
            budget: view.budget.soft_tokens(),
            resized: [view.size.width, view.size.height],
            soft_tokens,
            prompt: prompt_ids.len(),
            answer: generated.ids.len(),
        };
        Ok((generated, tokens))
    }
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
enum Loaded<'g> {
    /// The journal has its answer.
    Known,
    /// There is no view of it; the record says why.
    Failed(Record),
    /// Ready to be asked about.
    Ready(Record, PreparedView, Permit<'g>),
}

/// What reaches the writer.
enum Done {
    Known,
    Now(Record),
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
    known: &Known,
    mut journal: Journal,
    mut progress: Progress,
) -> Result<Outcome, RunError> {
    let started = Instant::now();
    let before = engine.model.runtime_time();
    let gate = ByteGate::new(BYTES_AHEAD);
    let loader = Loader { settings, patch_side: engine.model.patch_side(), known, gate: &gate };
    let pool = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("load-{index}")).build()?;
    let next = AtomicUsize::new(0);
    let (loaded_sender, loaded) = crossbeam_channel::bounded::<Loaded<'_>>(IMAGES_AHEAD);
    let (done_sender, done) = crossbeam_channel::bounded::<Done>(IMAGES_AHEAD);
    let resumed = std::thread::scope(|scope| {
        let (pool, next, loader) = (&pool, &next, &loader);
        scope.spawn(move || {
            // Each thread takes the next image until there is none, so that the order stays roughly that of the names.
            pool.broadcast(|_| {
                while let Some(image) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = loader.load(image).is_some_and(|loaded| loaded_sender.send(loaded).is_ok());
                    if !sent {
                        break;
                    }
                }
            });
            drop(loaded_sender);
        });
        let writer = scope.spawn(move || -> Result<usize, JournalError> {
            let mut resumed = 0;
            for done in done {
                match done {
                    Done::Known => {
                        resumed += 1;
                        progress.resumed();
                    }
                    Done::Now(record) => {
                        journal.append(&record)?;
                        journal.sync()?;
                        progress.done(record.status);
                    }
                }
            }
            progress.finish();
            Ok(resumed)
        });
        let answered = answer_all(engine, settings, loaded, &done_sender);
        // Whoever still waits to hand over a view is let go, also after an error.
        gate.close();
        drop(done_sender);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let resumed = written?;
        answered.map(|()| resumed)
    })?;
    let onnx_runtime = engine.model.runtime_time().saturating_sub(before);
    Ok(Outcome { resumed, wall: started.elapsed(), onnx_runtime })
}

struct Loader<'r> {
    settings: &'r Settings,
    patch_side: u32,
    known: &'r Known,
    gate: &'r ByteGate,
}

impl<'r> Loader<'r> {
    /// Reads, decodes and prepares one image; nothing when nobody wants it any more.
    fn load(&self, image: &SourceImage) -> Option<Loaded<'r>> {
        let mut record = Record::failed(image.name.clone(), String::new());
        let bytes = match self.read(image, &mut record) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Some(Loaded::Known),
            Err(reason) => return Some(Loaded::Failed(Record { reason: Some(reason), ..record })),
        };
        // The gate is passed before anything large is made, for what the header promises.
        let mut permit = self.gate.enter(self.bytes_of(&bytes))?;
        // A decoder that panics over a broken file has failed at this file, not at the run.
        let prepared = catch_unwind(AssertUnwindSafe(|| self.prepare(&bytes, &mut record)))
            .unwrap_or_else(|_| Err("the decoder panicked".to_owned()));
        match prepared {
            Ok(view) => {
                permit.shrink(view.patches.bytes());
                Some(Loaded::Ready(record, view, permit))
            }
            Err(reason) => Some(Loaded::Failed(Record { reason: Some(reason), ..record })),
        }
    }

    /// The file's bytes; nothing where the journal holds its answer already; the reason where they cannot be had.
    fn read(&self, image: &SourceImage, record: &mut Record) -> Result<Option<Vec<u8>>, String> {
        let path = image.path.as_ref().map_err(Clone::clone)?;
        let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let sha256 = Some(digest::hex(&bytes));
        let known = self.known.get(&image.name).is_some_and(|known| known.answered && known.sha256 == sha256);
        record.sha256 = sha256;
        Ok(Some(bytes).filter(|_| !known))
    }

    /// What decoding and preparing an image takes: the pixels, and the view in bytes and in f32.
    fn bytes_of(&self, file: &[u8]) -> usize {
        let view_bytes = |width, height| -> Option<usize> {
            let budget = self.settings.budget.resolve(width, height).ok()?;
            let size = target_size(width, height, budget).ok()?;
            Some(size.width as usize * size.height as usize * 3 * 5)
        };
        match crate::image::size(Cursor::new(file), self.settings.apply_orientation) {
            Ok((width, height)) => width as usize * height as usize * 3 + view_bytes(width, height).unwrap_or(0),
            Err(_) => 0,
        }
    }

    fn prepare(&self, bytes: &[u8], record: &mut Record) -> Result<PreparedView, String> {
        let upright =
            crate::image::decode(bytes, self.settings.apply_orientation).map_err(|error| error.to_string())?;
        (record.width, record.height, record.orientation) = (upright.width, upright.height, upright.orientation);
        prepare(&upright, self.settings.budget, self.patch_side).map_err(|error| error.to_string())
    }
}

fn answer_all(
    engine: &mut Engine,
    settings: &Settings,
    loaded: Receiver<Loaded<'_>>,
    done: &Sender<Done>,
) -> Result<(), RunError> {
    let mut failures_in_a_row = 0;
    for loaded in loaded {
        let outcome = match loaded {
            Loaded::Known => Done::Known,
            Loaded::Failed(record) => Done::Now(record),
            Loaded::Ready(mut record, view, permit) => {
                let options = GenerateOptions {
                    max_new_tokens: settings.max_new_tokens,
                    sampling: settings.sampling,
                    labels: settings.task.labels().len(),
                    // Of the name alone, so that sampled answers do not depend on the order of the run.
                    stream: digest::number(&record.image),
                };
                match engine.answer(view, &options) {
                    Ok((generated, tokens)) => {
                        failures_in_a_row = 0;
                        let answer = Answer {
                            view: BBox::whole(record.width, record.height),
                            prompt: engine.query.text.clone(),
                            text: generated.text.clone(),
                            ended: generated.ended,
                            tokens: Some(tokens),
                        };
                        answer::read_into(&mut record, answer, settings.task.sole_label(), |found| {
                            coordinate_probability(&generated.text, &generated.spans, &found.coordinates)
                        });
                    }
                    Err(error) => {
                        failures_in_a_row += 1;
                        // A graph of another shape than expected fails at every image; ONNX Runtime may fail at one (memory).
                        let contract = matches!(error, GenerateError::Graph(GraphError::Contract { .. }));
                        if contract || failures_in_a_row == FAILURES_IN_A_ROW {
                            return Err(RunError::Model { image: record.image, error });
                        }
                        record.reason = Some(error.to_string());
                    }
                }
                drop(permit);
                Done::Now(record)
            }
        };
        if done.send(outcome).is_err() {
            // The writer is gone; its own error says why.
            return Ok(());
        }
    }
    Ok(())
}
