//! The state that all requests share.
//!
//! In: a session's settings, and the server's options. Out: questions that the model can be asked,
//! images as the queue takes them, and records as a request wants them. Promises: an image's header
//! is checked before it is queued; filters ask nothing of the model.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;

use super::fetch::Fetcher;
use super::guard::Guard;
use super::memory::{Memory, Share};
use super::question::{self, Question};
use super::queue::{PendingAnswer, Queue, QueuedImage};
use super::reply::Refusal;
use super::{ServeError, ServeOptions};
use crate::digest;
use crate::export::Selection;
use crate::image;
use crate::prompt::Prompts;
use crate::record::{
    Budget, BudgetChoice, Filters, Manifest, MinScore, ModelIdentity, Record, Settings, Task,
};
use crate::session::{DetectConfig, Session, hash_of_question};

/// The server, as its requests see it.
pub(super) struct Site {
    /// The rules of access.
    pub(super) guard: Guard,
    /// The memory for bodies and images.
    pub(super) memory: Memory,
    /// Images that wait for the model, and the journal.
    pub(super) queue: Arc<Queue>,
    /// The folder of images that are named.
    pub(super) images: Option<PathBuf>,
    /// Gets the images of Label Studio's tasks.
    pub(super) fetcher: Fetcher,
    /// How long Label Studio's tasks may take together.
    pub(super) answer_within: Duration,
    /// The model's name.
    pub(super) model: String,
    /// The settings of every question; its task is that of requests that name none.
    config: DetectConfig,
    prompts: Prompts,
    max_pixels: u64,
    answering: AtomicUsize,
}

/// A request that is being answered.
pub(super) struct Answering<'s>(&'s AtomicUsize);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Site {
    pub(super) fn new(
        session: &Session<'_>,
        config: DetectConfig,
        queue: Arc<Queue>,
        options: ServeOptions,
    ) -> Result<Self, ServeError> {
        let (is_local, offline) =
            (options.address.ip().is_loopback(), config.model.runtime.offline);
        Ok(Self {
            guard: Guard::new(options.token.as_deref(), is_local),
            memory: Memory::new(options.max_body),
            queue,
            answer_within: options.label_studio.answer_within,
            // With a token, others may ask through a proxy on this machine.
            fetcher: Fetcher::new(
                options.label_studio,
                offline,
                is_local && options.token.is_none(),
            )?,
            images: options.images,
            model: session.model_name(),
            prompts: session.prompts().clone(),
            config,
            max_pixels: options.max_pixels,
            answering: AtomicUsize::default(),
        })
    }

    /// Counts a request until it is answered.
    pub(super) fn answering(&self) -> Answering<'_> {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(&self.answering)
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }

    /// The question of a request that names `task`, or none.
    ///
    /// # Errors
    /// 400 if nothing is asked, if it is too long or has control characters, or the model may not
    /// be asked that.
    pub(super) fn question(&self, task: Option<Task>) -> Result<Arc<Question>, Refusal> {
        let task = task.or_else(|| self.config.task.clone());
        let task = task.ok_or_else(|| {
            Refusal::bad("nothing is asked: name labels (\"cat,dog\"), a phrase or a prompt")
        })?;
        question::check(&task)?;
        let config = DetectConfig { task: Some(task.clone()), ..self.config.clone() };
        let hash = hash_of_question(&config, &self.prompts);
        let hash = hash.map_err(|error| Refusal::bad(error.to_string()))?;
        Ok(Arc::new(Question { task, hash }))
    }

    /// Puts an image into the queue.
    ///
    /// # Errors
    /// As [`Self::prepare`], and 503 if the queue is full.
    pub(super) fn submit(
        &self,
        bytes: Vec<u8>,
        name: Option<ImageName>,
        question: &Arc<Question>,
        share: Share,
    ) -> Result<PendingAnswer, Refusal> {
        self.queue.submit(self.prepare(bytes, name, question, share)?)
    }

    /// An image as the queue takes it. Its name in the journal is `name`, or its hash; `share` is
    /// the memory that was reserved for it.
    ///
    /// # Errors
    /// 422 if it is no image, 413 if it has too many pixels.
    pub(super) fn prepare(
        &self,
        bytes: Vec<u8>,
        name: Option<ImageName>,
        question: &Arc<Question>,
        mut share: Share,
    ) -> Result<QueuedImage, Refusal> {
        share.shrink_to(bytes.len() as u64);
        let mut reader = std::io::Cursor::new(bytes.as_slice());
        let header = image::header(&mut reader, true, self.max_pixels).map_err(|error| {
            let large = matches!(error, image::ImageError::TooLarge { .. });
            let status = if large {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            Refusal::new(status, error.to_string().replace(" (`max_pixels`)", ""))
        })?;
        let sha256 = digest::hex(&bytes);
        let (name, is_file) = match name {
            Some(ImageName::File(name)) => (name, true),
            Some(ImageName::Given(name)) => (name, false),
            None => (format!("{}.{}", &sha256[..16], extension(&bytes)), false),
        };
        Ok(QueuedImage {
            name,
            is_file,
            sha256,
            pixels: u64::from(header.width) * u64::from(header.height),
            bytes: Arc::new(bytes),
            question: Arc::clone(question),
            _share: Arc::new(share),
        })
    }

    /// The boxes of a record that the filters show, at least as sure as `min_score`, of overlapping
    /// ones the best if `nms` says how much is too much.
    pub(super) fn shown(
        &self,
        record: &Record,
        question: &Question,
        filter: &BoxFilter,
    ) -> Result<Record, Refusal> {
        let mut filters: Filters = self.config.filters.clone();
        if let Some(least) = filter.min_score {
            filters.min_score = MinScore::Asked(least);
            filters.min_scores.clear();
        }
        filters.nms = filter.nms.or(filters.nms);
        filters.strict_labels |= filter.only_asked;
        let budget = self.config.budget.unwrap_or(BudgetChoice::Fixed(Budget::USUAL));
        let task = Some(question.task.clone());
        let settings = Settings { task, ..Settings::of(budget, ModelIdentity::default()) };
        let manifest = Manifest::new(None, Some(settings));
        let mut shown = Selection::of(vec![record.clone()], &manifest, &filters).records;
        shown.pop().ok_or_else(|| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the record is not shown")
        })
    }
}

/// The name of an image.
pub(super) enum ImageName {
    /// That of a file in the folder of images: newer content takes the place of the older.
    File(String),
    /// One that a request gives it: it may give another image the same.
    Given(String),
}

/// Which boxes of an answer a request wants, beside the server's filters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BoxFilter {
    /// The least score.
    pub(super) min_score: Option<f64>,
    /// How much two boxes of one label may overlap.
    pub(super) nms: Option<f64>,
    /// Whether boxes of other labels than those asked for are left out.
    pub(super) only_asked: bool,
}

/// The usual extension of an image's file.
fn extension(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'R', b'I', b'F', b'F', ..] => "webp",
        [b'G', b'I', b'F', ..] => "gif",
        [b'B', b'M', ..] => "bmp",
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', _, ..] => "avif",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "heic",
        _ => "tif",
    }
}
