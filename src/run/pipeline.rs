//! The stages of a run and the channels between them.
//!
//! ```text
//! load + preprocess          inference            journal + progress
//! (all cores, rayon)  ->  (many views at once)  ->  (one writer thread)
//! ```
//!
//! If there are several engines, one for each card, all take images from the same queue.
//!
//! Prepared views wait behind a gate that counts their bytes, so files are read ahead of the
//! device, but memory stays bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::error::RunError;
use super::inference::{Inference, Submitted};
use super::moves::Moves;
use super::observer::Observer;
use super::plan::Plan;
use super::prepare::Preparer;
use super::writer::{self, Done};
use crate::gate::{ByteGate, Permit};
use crate::journal::{Journal, ResumeEntry};
use crate::record::{AnswerStatus, AxisMarks, Record, Settings, Stages, Timings};

use crate::critique;
use crate::digest;
use crate::engine::{Effort, Engine, ImageQuestions, ShownView, ViewForm};
use crate::image::{self, ImageError, most_bytes};
use crate::preprocess::{PlannedView, plan_views};
use crate::source::{Ahead, Content, Hold, Place, SourceImage};

/// The most bytes of decoded images and waiting views together: eight views of the largest budget.
const BYTES_AHEAD: usize = 256 << 20;

/// The most images that wait for an engine: small ones load faster than a model answers, and more
/// of them would only take memory.
const IMAGES_AHEAD: usize = 64;

/// A file that is no image is hashed up to this many bytes, so that it is recognised under another
/// name, and when it changes. Of larger ones only the beginning is read.
const KNOWN_BY_CONTENT: u64 = 16 << 20;

/// How a run went, beside its records.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Images that the journal held already.
    pub resumed: usize,
    /// Images that have a record of this process, the failed ones too.
    pub done: usize,
    /// Those of the resumed images that were recognised under another name.
    pub moved: usize,
    /// Frames that keep their earlier answers, since they could not be asked again on axes that
    /// have changed or are new.
    pub not_asked_again: usize,
    /// Images that the run did not come to, since it was stopped.
    pub left: usize,
    /// From the first file to the last record.
    pub wall: Duration,
    /// Of `wall`, the time inside ONNX Runtime, summed over all engines.
    pub onnx_runtime: Duration,
    /// How many engines ran side by side.
    pub engines: usize,
    /// The work of the engines.
    pub effort: Effort,
}

/// One image on its way from the loaders to the model.
pub(super) enum Loaded {
    /// The journal has its answer.
    Resumed,
    /// The journal has its answer under an earlier name; the record has the name of now.
    Renamed(Record),
    /// There is no view of it; the record says why.
    Failed(Record),
    /// The same of a frame that was to be asked again; its earlier record stays.
    NotAskedAgain(Record),
    /// Ready to be asked about. A frame that is asked again on some axes has its earlier record.
    Ready(Record, Vec<ShownView>, Arc<ImageQuestions>, Option<Box<Record>>),
}

/// Executes `plan` with `engines`, at least one, of one model; appends a record of each image to
/// `journal`.
///
/// # Errors
/// [`RunError`], with the journal intact.
pub fn execute(
    engines: &mut [Box<dyn Engine>],
    plan: &Plan<'_>,
    mut journal: Journal,
    observer: &dyn Observer,
) -> Result<Outcome, RunError> {
    let Plan { images, settings, control, .. } = *plan;
    let started = Instant::now();
    tracing::info!(images = images.len(), "run begun");
    observer.begun(images.len());
    let form = engines.first().map_or(ViewForm::Rgb, |engine| engine.view_form());
    let gate = ByteGate::new(BYTES_AHEAD);
    let moves = Moves::of(plan, &journal)?;
    let preparer = Preparer { settings, control, form };
    let settled: Vec<bool> = images.iter().map(|image| is_settled(plan, image)).collect();
    let ahead = Ahead::begin(images, |index| !settled[index], &control.stop);
    let ahead = ahead.as_ref();
    let loader = Loader { plan, preparer, gate: &gate, moves: &moves, settled: &settled, ahead };
    let failed = AtomicBool::new(false);
    let pool =
        rayon::ThreadPoolBuilder::new().thread_name(|index| format!("load-{index}")).build()?;
    let next = AtomicUsize::new(0);
    let (loaded_sender, loaded) = crossbeam_channel::bounded::<Loaded>(IMAGES_AHEAD);
    let (done_sender, done) = crossbeam_channel::bounded::<Done>(IMAGES_AHEAD);
    let (written, effort) = std::thread::scope(|scope| {
        let (pool, next, loader) = (&pool, &next, &loader);
        let journal = &mut journal;
        scope.spawn(move || {
            // Threads take the images in the order of their names, so records come roughly in that
            // order.
            pool.broadcast(|_| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(image) = images.get(index) else { break };
                    if control.is_stopped() {
                        break;
                    }
                    let sent = loader
                        .load(index, image)
                        .is_some_and(|loaded| loaded_sender.send(loaded).is_ok());
                    if !sent {
                        break;
                    }
                }
            });
            drop(loaded_sender);
        });
        let writer = scope.spawn(move || writer::write_all(&done, journal, observer));
        let stopped = || control.is_stopped() || failed.load(Ordering::Relaxed);
        let answer = |engine: &mut dyn Engine| {
            let inference = Inference::new(engine, settings, control.answer_timeout);
            let answered = answer_all(inference, settings, &stopped, &loaded, &done_sender);
            // The others need not go on for nothing.
            failed.fetch_or(answered.is_err(), Ordering::Relaxed);
            answered
        };
        let answered = match &mut *engines {
            [engine] => answer(engine.as_mut()),
            engines => std::thread::scope(|scope| {
                let answer = &answer;
                let running: Vec<_> = engines
                    .iter_mut()
                    .map(|engine| scope.spawn(move || answer(engine.as_mut())))
                    .collect();
                let mut all = Ok(Effort::default());
                for engine in running {
                    let answered =
                        engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    all = all.and_then(|all| answered.map(|effort| all + effort));
                }
                all
            }),
        };
        drop(loaded);
        // Release loaders that still wait to hand over a view, also after an error.
        gate.close();
        if let Some(ahead) = ahead {
            ahead.close();
        }
        drop(done_sender);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let written = written?;
        answered.map(|effort| (written, effort))
    })?;
    let onnx_runtime = Duration::from_secs_f64(effort.onnx_runtime_seconds.max(0.0));
    let left = images.len() - written.resumed - written.new - written.not_asked_again;
    tracing::info!(known = written.resumed, now = written.new, left, "run ended");
    Ok(Outcome {
        resumed: written.resumed,
        moved: written.renamed,
        done: written.new,
        not_asked_again: written.not_asked_again,
        left,
        wall: started.elapsed(),
        onnx_runtime,
        engines: engines.len(),
        effort,
    })
}

/// Why an image's bytes are not read.
struct Refused {
    reason: String,
    /// Whether the file could not be read at all.
    unread: bool,
}

impl Refused {
    fn unread(reason: String) -> Self {
        Self { reason, unread: true }
    }

    /// Whether the earlier record of the image stays: its file cannot be checked for changes, or
    /// was no image before.
    fn keeps(&self, known: &ResumeEntry) -> bool {
        self.unread || !known.answered && known.sha256.is_none()
    }
}

pub(super) struct Loader<'r> {
    pub(super) plan: &'r Plan<'r>,
    pub(super) preparer: Preparer<'r>,
    pub(super) gate: &'r ByteGate,
    pub(super) moves: &'r Moves<'r>,
    /// Of each image, whether it is settled without a look at it.
    settled: &'r [bool],
    ahead: Option<&'r Ahead>,
}

/// The content of an image on the web.
enum Fetched {
    /// The image is not on the web.
    Elsewhere,
    /// It is there, or there is a reason why not.
    There(Result<Content, String>, Hold),
    /// The run is over.
    Over,
}

/// Whether the journal has the answer about an image on the web, which is not fetched again to see
/// if it was changed.
fn is_settled(plan: &Plan<'_>, image: &SourceImage) -> bool {
    let known = plan.known.get(&image.name);
    matches!(image.place, Ok(Place::Remote { .. }))
        && known.is_some_and(|known| {
            let stays = known.answered || !plan.control.retry_failed;
            stays
                && known.sha256.is_some()
                && is_answered(plan, image, known)
                && !lacks_axes(plan, known)
        })
}

/// Whether the frame was answered, and is to be asked about axes that are new or have changed.
fn lacks_axes(plan: &Plan<'_>, known: &ResumeEntry) -> bool {
    let lacks = |axes: &Arc<AxisMarks>| !plan.questions.are_answered(axes);
    known.answered && known.axes.as_ref().is_some_and(lacks)
}

/// Whether the earlier record answers the current question about the image.
pub(super) fn is_answered(plan: &Plan<'_>, image: &SourceImage, known: &ResumeEntry) -> bool {
    match (plan.questions.hash_by_name(&image.name), &known.question) {
        (Some(now), Some(then)) => now == *then,
        // A record of an earlier version says nothing; if all images are asked the same, the
        // settings do.
        (Some(_), None) => plan.settings.image_prompts.is_none(),
        (None, _) => true,
    }
}

impl Loader<'_> {
    /// Reads, decodes and prepares the image at `index`; `None` once the run is over.
    fn load(&self, index: usize, image: &SourceImage) -> Option<Loaded> {
        if let Ok(Place::Clip(file)) = &image.place {
            return self.load_clip(image, file);
        }
        if self.settled.get(index) == Some(&true) {
            return Some(Loaded::Resumed);
        }
        let mut record = Record::failed(image.name.clone(), String::new());
        let known = self.known(image);
        let started = Instant::now();
        let times_of_reading = || {
            let stages = Stages { read: started.elapsed().as_secs_f64(), ..Stages::default() };
            Timings { stages, ..Timings::default() }
        };
        let refused = |record: Record, refused: Refused| match known {
            Some(known) if refused.keeps(known) => Some(Loaded::Resumed),
            _ => {
                let (reason, timings) = (Some(refused.reason), Some(times_of_reading()));
                Some(Loaded::Failed(Record { reason, timings, ..record }))
            }
        };
        let (opened, hold) = match self.fetched(index, image) {
            Fetched::Elsewhere => (image.open(), None),
            Fetched::There(content, hold) => (content, Some(hold)),
            Fetched::Over => return None,
        };
        let (content, bytes) = match self.open(opened) {
            Ok(opened) => opened,
            Err(reason) => return refused(record, reason),
        };
        // The gate is passed before the file is read, with its size and the sizes in its header.
        let permit = self.gate.enter(bytes)?;
        // From here on the gate counts what was fetched.
        drop(hold);
        let bytes = match content.read_all() {
            Ok(bytes) => bytes,
            Err(error) => {
                return refused(record, Refused::unread(format!("cannot be read: {error}")));
            }
        };
        record.sha256 = Some(digest::hex(&bytes));
        let mut timings = times_of_reading();
        record.timings = Some(timings);
        let mut earlier = None;
        if let Some(known) = known
            && known.sha256 == record.sha256
            && is_answered(self.plan, image, known)
        {
            if !lacks_axes(self.plan, known) {
                return Some(Loaded::Resumed);
            }
            earlier = self.moves.earlier(known).map(Box::new);
        }
        record.capture = image::capture(&bytes).map(Box::new);
        let asked = self.ask(image, &bytes, earlier.as_deref(), &mut record);
        let failed = |record: Record, reason: String| {
            let record = Record { reason: Some(reason), ..record };
            if earlier.is_some() { Loaded::NotAskedAgain(record) } else { Loaded::Failed(record) }
        };
        let asked = match asked {
            Ok(Some(asked)) => asked,
            Ok(None) => return Some(Loaded::Resumed),
            Err(reason) => return Some(failed(record, reason)),
        };
        if earlier.is_none()
            && let Some(moved) = self.moves.take(&record)
        {
            return Some(Loaded::Renamed(moved));
        }
        let started = Instant::now();
        let prepared = self.preparer.of_bytes(&bytes, &asked, &mut record);
        drop(bytes);
        timings.stages.prepare = started.elapsed().as_secs_f64();
        record.timings = Some(timings);
        match prepared {
            Ok(mut views) => {
                hold_bytes(permit, &mut views);
                Some(Loaded::Ready(record, views, asked, earlier))
            }
            Err(reason) => Some(failed(record, reason)),
        }
    }

    /// The questions about an image, of a frame with an earlier record those that it does not
    /// answer; `None` if it answers all.
    fn ask(
        &self,
        image: &SourceImage,
        bytes: &[u8],
        earlier: Option<&Record>,
        record: &mut Record,
    ) -> Result<Option<Arc<ImageQuestions>>, String> {
        if let Some(earlier) = earlier {
            return self.plan.questions.questions_left(image, bytes, earlier, record);
        }
        let asked = self.plan.questions.questions_about(image, bytes, record)?;
        record.question = Some(asked.hash());
        Ok(Some(asked))
    }

    /// The earlier record of the image, unless it failed and is to be tried again.
    pub(super) fn known(&self, image: &SourceImage) -> Option<&ResumeEntry> {
        let known = self.plan.known.get(&image.name)?;
        (known.answered || !self.plan.control.retry_failed).then_some(known)
    }

    /// The content of an image on the web, once it is there.
    fn fetched(&self, index: usize, image: &SourceImage) -> Fetched {
        match (self.ahead, &image.place) {
            (Some(ahead), Ok(Place::Remote { .. })) => ahead
                .take(index)
                .map_or(Fetched::Over, |(content, hold)| Fetched::There(content, hold)),
            _ => Fetched::Elsewhere,
        }
    }

    /// Takes an opened image, reads its header, and returns the bytes to reserve until it is prepared: the
    /// file, its pixels, and its views as resized images and as patches. The questions are not
    /// known yet, so all tiles are counted.
    fn open(&self, opened: Result<Content, String>) -> Result<(Content, usize), Refused> {
        let max_pixels = self.plan.control.max_pixels;
        let mut content = opened.map_err(Refused::unread)?;
        let header =
            match image::header(&mut content, self.plan.settings.apply_orientation, max_pixels) {
                Ok(header) => header,
                // Preparing it will fail, and it is known again by its content.
                Err(_) if content.size() <= KNOWN_BY_CONTENT => {
                    let size = usize::try_from(content.size()).unwrap_or(usize::MAX);
                    return Ok((content, size));
                }
                Err(error) => return Err(Refused { reason: error.to_string(), unread: false }),
            };
        let most = most_bytes(max_pixels);
        if content.size() > most {
            let reason = ImageError::TooManyBytes { most }.to_string();
            return Err(Refused { reason, unread: false });
        }
        let Settings { tiles, budget, .. } = *self.plan.settings;
        let views = plan_views(header.width, header.height, tiles, budget).unwrap_or_default();
        let view_bytes =
            |view: &PlannedView| u64::from(view.size.width) * u64::from(view.size.height) * 3 * 2;
        let views: u64 = views.iter().map(view_bytes).sum();
        let file = content.size().saturating_mul(header.file_copies);
        let bytes = file.saturating_add(header.decoded_bytes).saturating_add(views);
        Ok((content, usize::try_from(bytes).unwrap_or(usize::MAX)))
    }
}

/// The record of a frame, with what was answered earlier.
fn completed(mut record: Record, earlier: Option<Box<Record>>, settings: &Settings) -> Record {
    if let (Some(earlier), Some(settings)) = (earlier, &settings.critique) {
        critique::complete(&mut record, *earlier, settings);
    }
    record
}

/// Leaves the views as many bytes of `permit` as they hold, until an engine lets the last one go.
pub(super) fn hold_bytes(mut permit: Permit, views: &mut [ShownView]) {
    permit.shrink(views.iter().map(ShownView::bytes).sum());
    let permit: Arc<Permit> = Arc::new(permit);
    for view in views {
        view.hold = Some(permit.clone());
    }
}

fn answer_all(
    mut inference: Inference<'_>,
    settings: &Settings,
    stopped: &dyn Fn() -> bool,
    loaded: &Receiver<Loaded>,
    done: &Sender<Done>,
) -> Result<Effort, RunError> {
    let mut more = true;
    // The earlier records of frames that are asked again, by the numbers of their new ones.
    let mut earlier: HashMap<usize, Box<Record>> = HashMap::new();
    let close = |record: Record, earlier: Option<Box<Record>>| match earlier {
        Some(_) if record.status == AnswerStatus::Failed => Done::NotAskedAgain(Box::new(record)),
        earlier => Done::New(Box::new(completed(record, earlier, settings))),
    };
    while more || !inference.is_idle() {
        // Images in flight are finished.
        more &= !stopped();
        while more && inference.has_room() {
            // Only who has nothing to go on with waits for a file.
            let next = if inference.is_idle() {
                loaded.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                loaded.try_recv()
            };
            let outcome = match next {
                Ok(Loaded::Ready(record, views, asked, before)) => {
                    match inference.submit(record, views, &asked) {
                        Submitted::Closed(record) => close(*record, before),
                        Submitted::Asked(number) => {
                            earlier.extend(before.map(|before| (number, before)));
                            continue;
                        }
                    }
                }
                Ok(Loaded::Resumed) => Done::Resumed,
                Ok(Loaded::Renamed(record)) => Done::Renamed(Box::new(record)),
                Ok(Loaded::Failed(record)) => Done::New(Box::new(record)),
                Ok(Loaded::NotAskedAgain(record)) => Done::NotAskedAgain(Box::new(record)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    more = false;
                    break;
                }
            };
            if done.send(outcome).is_err() {
                // The writer is gone; its own error says why.
                return Ok(inference.effort());
            }
        }
        for (number, record) in inference.advance()? {
            if done.send(close(record, earlier.remove(&number))).is_err() {
                return Ok(inference.effort());
            }
        }
    }
    Ok(inference.effort())
}
