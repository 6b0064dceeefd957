//! Images to records, without a directory.
//!
//! In: files, bytes or pixels, and what is asked about them. Out: a record for each, in their
//! order. Promises: the records are those that a run would write; an image that cannot be read or
//! answered is a failed record; whatever ends the batch, the engine is left without a view of it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, TryRecvError};

use super::control::Control;
use super::error::RunError;
use super::inference::{Inference, Submitted};
use super::prepare::Preparer;
use super::questions::QuestionSource;
use crate::digest;
use crate::engine::{Engine, ImageQuestions, ShownView};
use crate::image::{self, UprightImage, most_bytes};
use crate::record::{Record, Settings, Stages, Timings};
use crate::source::{Place, SourceImage};

/// The most threads that decode at the same time, and the most images that wait for the engine:
/// each may be large.
const LOADING_THREADS: usize = 8;

/// An image of a batch.
pub struct BatchImage<'i> {
    /// The name that its record has. Sampled answers are drawn by it.
    pub name: String,
    /// Its content.
    pub content: BatchContent<'i>,
}

/// The content of an image of a batch.
pub enum BatchContent<'i> {
    /// A file on the disk.
    File(PathBuf),
    /// The bytes of a file.
    Bytes(Cow<'i, [u8]>),
    /// Pixels.
    Pixels(Cow<'i, UprightImage>),
}

/// What is done with the images of a batch.
#[derive(Clone, Copy)]
pub struct Batch<'b> {
    /// What is asked about them.
    pub questions: &'b dyn QuestionSource,
    /// How.
    pub settings: &'b Settings,
    /// Limits of images and answers.
    pub control: &'b Control,
    /// Asked several times a second, by the calling thread: whether the batch is to be given up.
    pub is_stopped: &'b dyn Fn() -> bool,
}

/// An image that is ready to be asked about, or the record of one that is not.
enum Loaded {
    Ready(Box<Record>, Vec<ShownView>, Arc<ImageQuestions>),
    Failed(Box<Record>),
}

/// Asks `engine` about all of `images`; `None` if the batch was stopped.
///
/// # Errors
/// [`RunError`] if the engine ends, or fails at three images in a row.
pub fn answer_batch(
    engine: &mut dyn Engine,
    batch: &Batch<'_>,
    images: &[BatchImage<'_>],
) -> Result<Option<Vec<Record>>, RunError> {
    let Batch { questions, settings, control, .. } = *batch;
    let loader =
        Loader { questions, preparer: Preparer { settings, control, form: engine.view_form() } };
    let mut inference = Inference::new(engine, settings, control.answer_timeout);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(images.len()).min(LOADING_THREADS);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = crossbeam_channel::bounded(LOADING_THREADS);
    let answered = std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(image) = images.get(index) else { break };
                    if sender.send((index, loader.load(image))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let answered = answer_all(&mut inference, &receiver, images.len(), batch.is_stopped);
        // Threads that wait to hand over an image are let go.
        drop(receiver);
        answered
    });
    inference.abandon();
    answered
}

fn answer_all(
    inference: &mut Inference<'_>,
    loaded: &Receiver<(usize, Loaded)>,
    images: usize,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Option<Vec<Record>>, RunError> {
    let mut records: Vec<Option<Record>> = (0..images).map(|_| None).collect();
    // The images that are asked about, by the number that inference knows them by.
    let mut asked = Vec::new();
    let mut more = true;
    while more || !inference.is_idle() {
        if is_stopped() {
            return Ok(None);
        }
        while more && inference.has_room() {
            // Block on the loaders only if the engine has nothing to do.
            let next = if inference.is_idle() {
                loaded.recv_timeout(crate::engine::WAIT).map_err(|error| match error {
                    crossbeam_channel::RecvTimeoutError::Timeout => TryRecvError::Empty,
                    crossbeam_channel::RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                })
            } else {
                loaded.try_recv()
            };
            match next {
                Ok((index, Loaded::Failed(record))) => records[index] = Some(*record),
                Ok((index, Loaded::Ready(record, views, about))) => {
                    match inference.submit(*record, views, &about) {
                        Submitted::Closed(record) => records[index] = Some(*record),
                        Submitted::Asked(number) => asked.push((number, index)),
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => more = false,
            }
        }
        if inference.is_idle() {
            continue;
        }
        for (number, record) in inference.advance()? {
            let place = asked.iter().position(|(known, _)| *known == number);
            if let Some((_, index)) = place.map(|place| asked.swap_remove(place)) {
                records[index] = Some(record);
            }
        }
    }
    // Each was loaded, and each that was loaded has its record now.
    Ok(Some(records.into_iter().flatten().collect()))
}

#[derive(Clone, Copy)]
struct Loader<'b> {
    questions: &'b dyn QuestionSource,
    preparer: Preparer<'b>,
}

impl Loader<'_> {
    fn load(&self, image: &BatchImage<'_>) -> Loaded {
        let mut record = Record::failed(image.name.clone(), String::new());
        match self.prepare(image, &mut record) {
            Ok((views, asked)) => Loaded::Ready(Box::new(record), views, asked),
            Err(reason) => Loaded::Failed(Box::new(Record { reason: Some(reason), ..record })),
        }
    }

    fn prepare(
        &self,
        image: &BatchImage<'_>,
        record: &mut Record,
    ) -> Result<(Vec<ShownView>, Arc<ImageQuestions>), String> {
        let started = Instant::now();
        let place = match &image.content {
            BatchContent::File(path) => Ok(Place::File(path.clone())),
            BatchContent::Bytes(_) | BatchContent::Pixels(_) => Err("it is no file".to_owned()),
        };
        let source = SourceImage { name: image.name.clone(), place };
        let read;
        let bytes = match &image.content {
            BatchContent::File(_) => {
                read = self.read(&source)?;
                Some(read.as_slice())
            }
            BatchContent::Bytes(bytes) => Some(bytes.as_ref()),
            BatchContent::Pixels(_) => None,
        };
        record.sha256 = bytes.map(digest::hex);
        record.capture = bytes.and_then(image::capture).map(Box::new);
        let mut stages = Stages { read: started.elapsed().as_secs_f64(), ..Stages::default() };
        let asked = self.questions.questions_about(&source, bytes.unwrap_or_default(), record)?;
        record.question = Some(asked.hash());
        let started = Instant::now();
        let views = match &image.content {
            BatchContent::Pixels(pixels) => self.preparer.of_image(pixels, &asked, record),
            _ => self.preparer.of_bytes(bytes.unwrap_or_default(), &asked, record),
        };
        stages.prepare = started.elapsed().as_secs_f64();
        record.timings = Some(Timings { stages, ..Timings::default() });
        Ok((views?, asked))
    }

    fn read(&self, image: &SourceImage) -> Result<Vec<u8>, String> {
        let content = image.open()?;
        let most = most_bytes(self.preparer.control.max_pixels);
        if content.size() > most {
            return Err(image::ImageError::TooManyBytes { most }.to_string());
        }
        content.read_all().map_err(|error| format!("cannot be read: {error}"))
    }
}
