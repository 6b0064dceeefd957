//! The exported graphs in ONNX Runtime, as an engine.
//!
//! In: views cut into patches. Out: their answers, each as soon as it is complete. Promises: a view
//! is encoded only when a row is free for its requests, so soft tokens do not pile up; views of one
//! size are encoded together if the model allows it; an answer does not depend on the others; the
//! first one comes almost as soon as if it were asked for alone.

mod asked;
mod opening;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use asked::AskedView;
use opening::Opening;

use super::{Answered, Effort, Engine, EngineError, Shown, ViewForm, ViewPixels};
use crate::answer;
use crate::generate::{Batch, BatchLimits, Finished, GenerateError, Generated};
use crate::model::{Features, GraphError, Model};
use crate::preprocess::{PatchGrid, Rescaling};
use crate::prompt::Prompter;

/// Patches of views that are encoded together: attention among them takes memory by their square.
const PATCHES_TOGETHER: usize = 2560;

/// A model's graphs on one device.
pub struct OnnxEngine {
    model: Model,
    batch: Batch,
    /// Submitted, not yet encoded.
    pending: VecDeque<Shown>,
    /// Requests about them.
    pending_requests: usize,
    /// Views whose answers are being written, by their number in the batch.
    writing: HashMap<usize, OpenView>,
    next_number: usize,
    /// How many views may be begun before the first answer is there.
    opening: Opening,
    vision_time: Duration,
    /// Time in ONNX Runtime before, while the model was opened.
    runtime_before: Duration,
}

/// The answers to one [`Shown`].
struct OpenView {
    id: usize,
    view: AskedView,
    /// Replies that are still to come.
    open: usize,
    error: Option<GenerateError>,
}

impl OnnxEngine {
    /// The engine of `model`, which reads prompts as `prompter` writes them.
    pub fn new(model: Model, prompter: &Prompter, limits: BatchLimits) -> Self {
        let batch = Batch::new(&model, &prompter.tokenizer, limits, is_near_rounding);
        let runtime_before = model.runtime_time();
        Self {
            model,
            batch,
            pending: VecDeque::new(),
            pending_requests: 0,
            writing: HashMap::new(),
            next_number: 0,
            opening: Opening::default(),
            vision_time: Duration::ZERO,
            runtime_before,
        }
    }

    /// The graphs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Encodes the next views, as many as can be encoded together.
    fn encode(&mut self, answered: &mut Vec<Answered>) -> Result<(), EngineError> {
        let Some(first) = self.pending.front() else { return Ok(()) };
        let count = patches(first);
        let requests = first.asked.requests().max(1);
        // Views that are shown together are encoded without those of others.
        let alone =
            first.views.len() > 1 || !self.model.probes.vision_batch || !self.opening.is_over();
        let together = if alone { 1 } else { views_together(count) };
        let together = together.min(self.batch.room().div_ceil(requests));
        let alike = |shown: &&Shown| patches(shown) == count && (shown.views.len() == 1 || alone);
        let same = self.pending.iter().take(together).take_while(alike).count().max(1);
        let taken: Vec<Shown> = self.pending.drain(..same).collect();
        let mut asked = Vec::with_capacity(same);
        let mut grids = Vec::with_capacity(same);
        for shown in taken {
            self.pending_requests -= shown.asked.requests();
            let Some(view) = AskedView::of(&shown) else {
                let error = EngineError::new("no view is shown");
                answered.push(Answered { id: shown.id, learned: Err(error) });
                continue;
            };
            asked.push((shown.id, view, shown.views.len()));
            for view in shown.views {
                let soft_tokens = view.size.soft_tokens() as usize;
                grids.push((into_patches(view.pixels), soft_tokens));
            }
        }
        let started = Instant::now();
        let most = if self.model.probes.vision_batch { views_together(count) } else { 1 };
        let mut encoded = Vec::with_capacity(grids.len());
        let mut grids = grids.into_iter().peekable();
        while grids.peek().is_some() {
            let some = grids.by_ref().take(most).collect();
            encoded.append(&mut self.encode_all(some));
        }
        self.vision_time += started.elapsed();
        let mut encoded = encoded.into_iter();
        for (id, view, views) in asked {
            let features: Result<Vec<Features>, GraphError> =
                encoded.by_ref().take(views).collect();
            match features {
                Ok(features) => self.ask(id, view, features),
                // Another shape than expected would meet every view.
                Err(error @ GraphError::Contract { .. }) => {
                    return Err(EngineError::new(GenerateError::from(error)).at(id));
                }
                Err(error) => {
                    let error = GenerateError::Vision(error.to_string());
                    answered.push(Answered { id, learned: Err(EngineError::new(error)) });
                }
            }
        }
        Ok(())
    }

    /// The soft tokens of each grid. If several fail together, each is tried alone.
    fn encode_all(&mut self, grids: Vec<(PatchGrid, usize)>) -> Vec<Result<Features, GraphError>> {
        let again = if grids.len() > 1 { grids.clone() } else { Vec::new() };
        match self.model.encode(grids) {
            Ok(features) => features.into_iter().map(Ok).collect(),
            Err(error) if again.is_empty() => vec![Err(error)],
            Err(_) => again
                .into_iter()
                .map(|grid| self.model.encode(vec![grid]).map(|mut one| one.remove(0)))
                .collect(),
        }
    }

    /// Asks every question about views with these soft tokens.
    fn ask(&mut self, id: usize, mut view: AskedView, mut features: Vec<Features>) {
        let mut requests = view.requests();
        for (_, _, request) in &mut requests {
            self.model.stand_in(&mut request.prompt_ids);
        }
        let number = self.next_number;
        self.next_number += 1;
        let open = requests.len();
        // Requests about the same views, in the same order, share their prefix.
        let mut requests = requests.into_iter().peekable();
        while let Some((views, query, request)) = requests.next() {
            let mut same = vec![(query, request)];
            while let Some((_, query, request)) = requests.next_if(|(others, ..)| *others == views)
            {
                same.push((query, request));
            }
            let shown = match features.as_slice() {
                [_] if requests.peek().is_none() => features.remove(0),
                all => Features::joined(
                    &views.iter().filter_map(|view| all.get(*view)).collect::<Vec<_>>(),
                ),
            };
            self.batch.submit(number, shown, same);
        }
        self.writing.insert(number, OpenView { id, view, open, error: None });
    }

    /// Keeps a reply, and submits its follow-up requests.
    fn replied(&mut self, finished: Finished, answered: &mut Vec<Answered>) {
        let Some(writing) = self.writing.get_mut(&finished.view) else { return };
        for (query, request) in writing.view.follow_ups(&finished) {
            writing.open += 1;
            self.batch.follow_up(&finished, query, request);
        }
        writing.open -= 1;
        match finished.reply {
            Ok(reply) => writing.view.keep(finished.query, reply),
            Err(error) => writing.error = writing.error.take().or(Some(error)),
        }
        if writing.open == 0
            && let Some(OpenView { id, view, error, .. }) = self.writing.remove(&finished.view)
        {
            let learned =
                error.map_or_else(|| Ok(view.learned()), |error| Err(EngineError::new(error)));
            answered.push(Answered { id, learned });
        }
    }
}

impl Engine for OnnxEngine {
    fn view_form(&self) -> ViewForm {
        ViewForm::Patches { side: self.model.patch_side() }
    }

    fn submit(&mut self, shown: Shown) {
        self.pending_requests += shown.asked.requests();
        self.pending.push_back(shown);
    }

    fn room(&self) -> usize {
        self.batch.room().saturating_sub(self.pending_requests)
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.writing.is_empty()
    }

    /// Encodes views while rows are free, and decodes a step; never waits, whatever `wait` is.
    fn advance(&mut self, _wait: Duration) -> Result<Vec<Answered>, EngineError> {
        let mut answered = Vec::new();
        while !self.pending.is_empty()
            && self.batch.room() > 0
            && self.opening.admits(self.vision_time + self.batch.work().prompt_time)
        {
            self.encode(&mut answered)?;
        }
        let finished = self.batch.advance(&mut self.model);
        for finished in finished.map_err(|error| EngineError::new(GenerateError::from(error)))? {
            self.replied(finished, &mut answered);
        }
        if !answered.is_empty() {
            self.opening = Opening::Over;
        }
        Ok(answered)
    }

    fn cancel(&mut self, id: usize) {
        let pending: Vec<Shown> = self.pending.drain(..).filter(|shown| shown.id != id).collect();
        self.pending_requests = pending.iter().map(|shown| shown.asked.requests()).sum();
        self.pending = pending.into();
        let numbers: Vec<usize> = self
            .writing
            .iter()
            .filter(|(_, writing)| writing.id == id)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.writing.remove(&number);
            if let Err(error) = self.batch.cancel(&mut self.model, number) {
                tracing::warn!("an answer could not be left out of the batch: {error}");
            }
        }
    }

    fn effort(&self) -> Effort {
        let decoder = self.batch.work();
        let runtime = self.model.runtime_time().saturating_sub(self.runtime_before);
        Effort {
            vision_seconds: self.vision_time.as_secs_f64(),
            prefill_seconds: decoder.prompt_time.as_secs_f64(),
            decode_seconds: decoder.step_time.as_secs_f64(),
            prefill_runs: decoder.prompt_runs,
            prefill_tokens: decoder.prompt_tokens,
            decoder_steps: decoder.steps,
            generated_tokens: decoder.answer_tokens,
            scored_again: decoder.scored_again,
            onnx_runtime_seconds: runtime.as_secs_f64(),
        }
    }
}

/// How many views of `patches` are encoded together.
fn views_together(patches: usize) -> usize {
    (PATCHES_TOGETHER / patches.max(1)).max(1)
}

/// Patches of the first view.
fn patches(shown: &Shown) -> usize {
    shown.views.first().map_or(0, |view| match &view.pixels {
        ViewPixels::Patches(patches) => patches.count(),
        ViewPixels::Rgb(_) => 0,
    })
}

/// The patches that [`Engine::view_form`] asks for; none of a view in another form, which the graph
/// refuses.
fn into_patches(pixels: ViewPixels) -> PatchGrid {
    match pixels {
        ViewPixels::Patches(patches) => patches,
        ViewPixels::Rgb(_) => PatchGrid {
            side: 0,
            pixels: Vec::new(),
            positions: Vec::new(),
            rescaling: Rescaling::default(),
        },
    }
}

/// Whether a score of an answer may change with the last digits of its tokens' probabilities.
fn is_near_rounding(generated: &Generated) -> bool {
    answer::is_near_rounding(&generated.text, generated.ended, &generated.spans)
}
