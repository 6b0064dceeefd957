//! Loaded images to records, many at once.
//!
//! In: images whose views are prepared. Out: their records, in the order in which their last answers end. Promises: views are encoded no
//! earlier than their queries find a place, so what waits is bounded; views of one size are encoded together where the model allows it; an
//! image that cannot be answered is a failed record; a model that cannot answer stops the run.

use std::collections::{HashMap, VecDeque};
use std::ops::Add;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::engine::{AnswerOptions, AskedView, Engine, Learned, ShownView, is_near_rounding};
use super::pipeline::RunError;
use super::questions::{Asked, Question};
use crate::answer;
use crate::critique;
use crate::gate::Permit;
use crate::generate::{Batch, Finished, GenerateError, Work};
use crate::model::{GraphError, Model};
use crate::record::{Record, Settings};

/// So many images in a row without an answer mean that it is the model that fails.
const FAILURES_IN_A_ROW: usize = 3;

/// Patches of views that are encoded together: attention among them takes memory by their square.
const PATCHES_TOGETHER: usize = 2560;

/// What the model had to do. Seconds are those spent in the runs of the graphs; embedding is part of the decoder's.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Effort {
    /// In the vision graph.
    pub vision_seconds: f64,
    /// In the decoder, over prompts.
    pub prefill_seconds: f64,
    /// In the decoder, over answers.
    pub decode_seconds: f64,
    /// Runs of the decoder over prompts.
    pub prefill_runs: usize,
    /// Tokens of them; a prompt's part that several queries share counts once.
    pub prefill_tokens: usize,
    /// Runs of the decoder over answers.
    pub decoder_steps: usize,
    /// Tokens of all answers, those that a grammar forced included.
    pub generated_tokens: usize,
    /// Answers that were scored again by themselves, since the rounding of a score hung on the last digits.
    pub scored_again: usize,
}

impl Effort {
    fn of(vision_time: Duration, decoder: &Work) -> Self {
        Self {
            vision_seconds: vision_time.as_secs_f64(),
            prefill_seconds: decoder.prompt_time.as_secs_f64(),
            decode_seconds: decoder.step_time.as_secs_f64(),
            prefill_runs: decoder.prompt_runs,
            prefill_tokens: decoder.prompt_tokens,
            decoder_steps: decoder.steps,
            generated_tokens: decoder.answer_tokens,
            scored_again: decoder.scored_again,
        }
    }
}

impl Add for Effort {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            vision_seconds: self.vision_seconds + other.vision_seconds,
            prefill_seconds: self.prefill_seconds + other.prefill_seconds,
            decode_seconds: self.decode_seconds + other.decode_seconds,
            prefill_runs: self.prefill_runs + other.prefill_runs,
            prefill_tokens: self.prefill_tokens + other.prefill_tokens,
            decoder_steps: self.decoder_steps + other.decoder_steps,
            generated_tokens: self.generated_tokens + other.generated_tokens,
            scored_again: self.scored_again + other.scored_again,
        }
    }
}

/// Images that are being asked about.
pub(super) struct Inference<'e, 'g> {
    model: &'e mut Model,
    settings: &'e Settings,
    batch: Batch<'e>,
    /// Loaded, not yet encoded: the number of the image, and which of its views.
    pending: VecDeque<(usize, usize, ShownView)>,
    /// Queries about them.
    pending_queries: usize,
    images: HashMap<usize, AskedImage<'g>>,
    /// The views whose answers are written, by their number: the image, which of its views, and what is known of it.
    views: HashMap<usize, (usize, usize, AskedView)>,
    next_image: usize,
    next_view: usize,
    failures_in_a_row: usize,
    vision_time: Duration,
}

struct AskedImage<'g> {
    record: Record,
    asked: Arc<Asked>,
    begun: Instant,
    /// Replies that are still to come.
    open: usize,
    error: Option<GenerateError>,
    /// Given back with the last of its views.
    permit: Option<Permit<'g>>,
    views_left: usize,
}

impl<'e, 'g> Inference<'e, 'g> {
    pub(super) fn new(engine: &'e mut Engine, settings: &'e Settings) -> Self {
        let Engine { prompter, model, limits } = engine;
        let batch = Batch::new(model, &prompter.tokenizer, *limits, is_near_rounding);
        Self {
            model,
            settings,
            batch,
            pending: VecDeque::new(),
            pending_queries: 0,
            images: HashMap::new(),
            views: HashMap::new(),
            next_image: 0,
            next_view: 0,
            failures_in_a_row: 0,
            vision_time: Duration::ZERO,
        }
    }

    /// Whether there is nothing to go on with.
    pub(super) fn is_idle(&self) -> bool {
        self.images.is_empty()
    }

    /// Whether another image would soon be asked about.
    pub(super) fn has_room(&self) -> bool {
        self.pending_queries < self.batch.room()
    }

    /// What was done so far.
    pub(super) fn effort(&self) -> Effort {
        Effort::of(self.vision_time, &self.batch.work())
    }

    /// Takes an image in. Its record comes back at once where nothing is asked about it, since no answer would ever close it.
    pub(super) fn submit(
        &mut self,
        mut record: Record,
        views: Vec<ShownView>,
        asked: Arc<Asked>,
        permit: Permit<'g>,
    ) -> Option<Record> {
        tracing::debug!(image = record.image, "asking");
        let open = views.len() * requests(&asked);
        if open == 0 {
            self.learn(&mut record, Learned::default());
            return Some(record);
        }
        self.pending_queries += open;
        let image = AskedImage {
            record,
            asked,
            begun: Instant::now(),
            open,
            error: None,
            permit: Some(permit),
            views_left: views.len(),
        };
        self.images.insert(self.next_image, image);
        self.pending.extend(views.into_iter().enumerate().map(|(index, view)| (self.next_image, index, view)));
        self.next_image += 1;
        None
    }

    /// Puts into an image's record what was learned of its views.
    fn learn(&self, record: &mut Record, learned: Learned) {
        let of_the_file = std::mem::take(&mut record.notes);
        answer::read_into(record, learned.readings, &self.settings.rules);
        record.notes.splice(0..0, of_the_file);
        if let Some(critique) = &self.settings.critique {
            critique::rate_into(record, learned.ratings, critique);
        }
    }

    /// Encodes what there is a place for, and decodes a step; the records of the images that are answered with it.
    pub(super) fn advance(&mut self) -> Result<Vec<Record>, RunError> {
        let mut records = Vec::new();
        while !self.pending.is_empty() && self.batch.room() > 0 {
            self.encode(&mut records)?;
        }
        let finished = self.batch.advance(self.model).map_err(|error| self.stopped(None, error.into()))?;
        for finished in finished {
            self.replied(finished, &mut records)?;
        }
        Ok(records)
    }

    /// Keeps a reply, and asks what it gives rise to.
    fn replied(&mut self, finished: Finished, records: &mut Vec<Record>) -> Result<(), RunError> {
        let Some((number, _, view)) = self.views.get_mut(&finished.view) else { return Ok(()) };
        let number = *number;
        let Some(image) = self.images.get_mut(&number) else { return Ok(()) };
        for (query, request) in view.took(&finished, &image.asked.questions) {
            image.open += 1;
            self.batch.follow_up(&finished, query, request);
        }
        let failed = match finished.reply {
            Ok(reply) => {
                view.keep(finished.query, reply);
                None
            }
            Err(error) => Some(error),
        };
        self.closed(number, 1, failed, records)
    }

    /// Encodes the next view, and those behind it that can be encoded with it.
    fn encode(&mut self, records: &mut Vec<Record>) -> Result<(), RunError> {
        let patches = |view: &ShownView| view.prepared.patches.count();
        let Some((count, image)) = self.pending.front().map(|(image, _, view)| (patches(view), *image)) else {
            return Ok(());
        };
        let queries = self.images.get(&image).map_or(1, |image| requests(&image.asked)).max(1);
        let together = if self.model.probes.vision_batch { (PATCHES_TOGETHER / count).max(1) } else { 1 };
        let together = together.min(self.batch.room().div_ceil(queries));
        let same = self.pending.iter().take(together).take_while(|(.., view)| patches(view) == count).count();
        let mut grids = Vec::with_capacity(same);
        let mut asked = Vec::with_capacity(same);
        for (number, index, view) in self.pending.drain(..same) {
            let Some(image) = self.images.get_mut(&number) else { continue };
            self.pending_queries -= requests(&image.asked);
            image.views_left -= 1;
            if image.views_left == 0 {
                image.permit = None;
            }
            let view_asked = AskedView::new(&view, index, &image.record.image);
            grids.push((view.prepared.patches, view_asked.soft_tokens()));
            asked.push((number, index, view_asked));
        }
        let started = Instant::now();
        // Where several fail together, each is tried by itself.
        let again = if grids.len() > 1 { grids.clone() } else { Vec::new() };
        let encoded: Vec<_> = match self.model.encode(grids) {
            Ok(features) => features.into_iter().map(Ok).collect(),
            Err(error) if again.is_empty() => vec![Err(error)],
            Err(_) => {
                again.into_iter().map(|grid| self.model.encode(vec![grid]).map(|mut one| one.remove(0))).collect()
            }
        };
        self.vision_time += started.elapsed();
        let options = AnswerOptions { max_new_tokens: self.settings.max_new_tokens, sampling: self.settings.sampling };
        for ((number, index, mut view), features) in asked.into_iter().zip(encoded) {
            let Some(image) = self.images.get(&number) else { continue };
            match features {
                Ok(features) => {
                    let requests = view.requests(&image.asked.questions, options);
                    self.batch.submit(self.next_view, features, requests);
                    self.views.insert(self.next_view, (number, index, view));
                    self.next_view += 1;
                }
                Err(error @ GraphError::Contract { .. }) => return Err(self.stopped(Some(number), error.into())),
                Err(error) => {
                    let (count, error) = (requests(&image.asked), GenerateError::Vision(error.to_string()));
                    self.closed(number, count, Some(error), records)?;
                }
            }
        }
        Ok(())
    }

    /// Counts replies that came, or that will not come; with the last one of an image, its record is ready.
    fn closed(
        &mut self,
        number: usize,
        count: usize,
        failed: Option<GenerateError>,
        records: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        let Some(image) = self.images.get_mut(&number) else { return Ok(()) };
        image.open -= count;
        image.error = image.error.take().or(failed);
        if image.open > 0 {
            return Ok(());
        }
        let Some(AskedImage { mut record, asked, begun, error, .. }) = self.images.remove(&number) else {
            return Ok(());
        };
        let mut views: Vec<_> =
            self.views.extract_if(|_, (image, ..)| *image == number).map(|(_, view)| view).collect();
        views.sort_by_key(|(_, index, _)| *index);
        if let Some(timings) = &mut record.timings {
            timings.stages.answer = begun.elapsed().as_secs_f64();
        }
        match error {
            None => {
                self.failures_in_a_row = 0;
                let mut learned = Learned::default();
                for (.., view) in views {
                    let Learned { readings, ratings } = view.learned(&asked.questions);
                    learned.readings.extend(readings);
                    learned.ratings.extend(ratings);
                }
                self.learn(&mut record, learned);
            }
            Some(error) => {
                self.failures_in_a_row += 1;
                if self.failures_in_a_row == FAILURES_IN_A_ROW {
                    return Err(RunError::Model { image: record.image, error });
                }
                record.reason = Some(error.to_string());
            }
        }
        records.push(record);
        Ok(())
    }

    /// A graph of another shape than expected fails at every image.
    fn stopped(&self, image: Option<usize>, error: GenerateError) -> RunError {
        let image = image.or_else(|| self.images.keys().min().copied());
        let name = image.and_then(|image| self.images.get(&image)).map(|image| image.record.image.clone());
        RunError::Model { image: name.unwrap_or_default(), error }
    }
}

/// How many requests about each view of an image are made at once.
fn requests(asked: &Asked) -> usize {
    asked.questions.iter().map(Question::requests).sum()
}
