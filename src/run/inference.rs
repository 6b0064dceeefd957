//! Loaded images to records, many at once.
//!
//! In: images whose views are prepared. Out: their records, in the order in which their last
//! answers end. Promises: an image without an answer, or without one in time, is a failed record;
//! an engine that cannot answer any more stops the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::animation::{groups, read_animation};
use super::error::RunError;
use crate::answer::{self, Reading};
use crate::critique;
use crate::engine::{
    AnswerOptions, Answered, Effort, Engine, EngineError, ImageQuestions, Learned, Shown,
    ShownView, WAIT,
};
use crate::record::{Record, Settings};

/// After this many images in a row without an answer, the fault is the model's.
const FAILURES_IN_A_ROW: usize = 3;

/// Images that are being asked about.
pub(super) struct Inference<'e> {
    engine: &'e mut dyn Engine,
    settings: &'e Settings,
    /// The longest that an image may take from when the engine took it in.
    answer_timeout: Option<Duration>,
    before: Effort,
    images: HashMap<usize, AskedImage>,
    /// The image of each view that is not answered, by the view's id.
    views: HashMap<usize, usize>,
    next_image: usize,
    next_view: usize,
    failures_in_a_row: usize,
}

/// What became of an image that was taken in.
pub(super) enum Submitted {
    /// It is asked about; [`Inference::advance`] gives its record under this number.
    Asked(usize),
    /// Nothing is asked about it: its record.
    Closed(Box<Record>),
}

struct AskedImage {
    record: Record,
    begun: Instant,
    /// The ids of its views, which follow each other.
    first_view: usize,
    /// The answers about each view; `None` while they are outstanding.
    learned: Vec<Option<Learned>>,
    error: Option<EngineError>,
}

impl AskedImage {
    fn is_answered(&self) -> bool {
        self.error.is_some() || self.learned.iter().all(Option::is_some)
    }
}

impl<'e> Inference<'e> {
    pub(super) fn new(
        engine: &'e mut dyn Engine,
        settings: &'e Settings,
        answer_timeout: Option<Duration>,
    ) -> Self {
        Self {
            before: engine.effort(),
            engine,
            settings,
            answer_timeout,
            images: HashMap::new(),
            views: HashMap::new(),
            next_image: 0,
            next_view: 0,
            failures_in_a_row: 0,
        }
    }

    /// Whether there is nothing to go on with.
    pub(super) fn is_idle(&self) -> bool {
        self.images.is_empty()
    }

    /// Whether another image would soon be asked about.
    pub(super) fn has_room(&self) -> bool {
        self.engine.room() > 0
    }

    /// Counters of the decoder's work.
    pub(super) fn effort(&self) -> Effort {
        self.engine.effort() - self.before
    }

    /// Submits an image. Returns its record at once if nothing is asked about it, since no answer
    /// would complete it.
    pub(super) fn submit(
        &mut self,
        mut record: Record,
        views: Vec<ShownView>,
        asked: &Arc<ImageQuestions>,
    ) -> Submitted {
        tracing::debug!(image = record.image, "asking");
        if views.is_empty() || asked.requests() == 0 {
            self.learn(&mut record, Vec::new());
            return Submitted::Closed(Box::new(record));
        }
        let options = AnswerOptions {
            max_new_tokens: self.settings.max_new_tokens,
            sampling: self.settings.sampling,
        };
        let (image, first_view) = (record.image.clone(), self.next_view);
        let groups = groups(&record, views, asked);
        let learned = groups.iter().map(|_| None).collect();
        for (index, (views, asked)) in groups.into_iter().enumerate() {
            self.views.insert(self.next_view, self.next_image);
            let image = image.clone();
            self.engine.submit(Shown { id: self.next_view, image, index, views, asked, options });
            self.next_view += 1;
        }
        let image = AskedImage { record, begun: Instant::now(), first_view, learned, error: None };
        self.images.insert(self.next_image, image);
        self.next_image += 1;
        Submitted::Asked(self.next_image - 1)
    }

    /// Takes back the views that are not answered, so that the engine can be asked something else.
    pub(super) fn abandon(self) {
        for id in self.views.into_keys() {
            self.engine.cancel(id);
        }
    }

    /// Puts the answers about its views into an image's record.
    fn learn(&self, record: &mut Record, learned: Vec<Learned>) {
        let of_the_file = std::mem::take(&mut record.notes);
        let mut ratings = Vec::new();
        let readings = learned.into_iter().map(|learned| {
            ratings.extend(learned.ratings);
            learned.readings
        });
        let readings: Vec<Vec<Reading>> = readings.collect();
        if record.animation.is_some() {
            read_animation(record, readings, &self.settings.rules);
        } else {
            answer::read_into(
                record,
                readings.into_iter().flatten().collect(),
                &self.settings.rules,
            );
        }
        record.notes.splice(0..0, of_the_file);
        if let Some(schema) = &self.settings.schema {
            answer::read_fields(record, schema);
        }
        if let Some(critique) = &self.settings.critique {
            critique::rate_into(record, ratings, critique);
        }
    }

    /// Lets the engine go on; the numbers and records of the images that are answered with it, or
    /// are late.
    pub(super) fn advance(&mut self) -> Result<Vec<(usize, Record)>, RunError> {
        let mut records = Vec::new();
        let answered = self.engine.advance(WAIT).map_err(|error| self.stopped(error))?;
        for Answered { id, learned } in answered {
            // The view of an image that has failed is not waited for.
            let Some(number) = self.views.remove(&id) else { continue };
            let Some(image) = self.images.get_mut(&number) else { continue };
            match learned {
                Ok(learned) => image.learned[id - image.first_view] = Some(learned),
                Err(error) => image.error = image.error.take().or(Some(error)),
            }
            if image.is_answered()
                && let Some(image) = self.images.remove(&number)
            {
                records.push((number, self.closed(image)?));
            }
        }
        if let Some(most) = self.answer_timeout {
            self.give_up(most, &mut records)?;
        }
        Ok(records)
    }

    /// Fails the images that take longer than `most`.
    fn give_up(
        &mut self,
        most: Duration,
        records: &mut Vec<(usize, Record)>,
    ) -> Result<(), RunError> {
        let late = self
            .images
            .iter()
            .filter(|(_, image)| image.begun.elapsed() >= most)
            .map(|(number, _)| *number);
        let mut late: Vec<usize> = late.collect();
        late.sort_unstable();
        for number in late {
            if let Some(mut image) = self.images.remove(&number) {
                image.error =
                    Some(EngineError::new(format!("no answer within {} s", most.as_secs_f64())));
                records.push((number, self.closed(image)?));
            }
        }
        Ok(())
    }

    /// The record of an image whose views are all answered, or of which one failed.
    fn closed(&mut self, image: AskedImage) -> Result<Record, RunError> {
        let AskedImage { mut record, begun, first_view, learned, error } = image;
        for id in first_view..first_view + learned.len() {
            if self.views.remove(&id).is_some() {
                self.engine.cancel(id);
            }
        }
        if let Some(timings) = &mut record.timings {
            timings.stages.answer = begun.elapsed().as_secs_f64();
        }
        match error {
            None => {
                self.failures_in_a_row = 0;
                self.learn(&mut record, learned.into_iter().flatten().collect());
            }
            Some(error) => {
                self.failures_in_a_row += 1;
                if self.failures_in_a_row == FAILURES_IN_A_ROW {
                    return Err(RunError::Engine { image: record.image, error });
                }
                record.reason = Some(error.to_string());
            }
        }
        Ok(record)
    }

    /// The error that ends the run, with the image at which the engine failed.
    fn stopped(&self, error: EngineError) -> RunError {
        let at = error.view().and_then(|id| self.views.get(&id).copied());
        let image = at.or_else(|| self.images.keys().min().copied());
        let name =
            image.and_then(|image| self.images.get(&image)).map(|image| image.record.image.clone());
        RunError::Engine { image: name.unwrap_or_default(), error }
    }
}
