//! Many answers at once.
//!
//! In: queries about encoded views. Out: their answers, in the order in which they end. Promises: an answer is what it would be alone, token
//! for token (in f32), and so are its scores once they are rounded; rows that end leave, others join; prompts and cache rows are padded only where the model's probes found that
//! harmless; queries about one view share the decoder's work on it; where ONNX Runtime fails over several rows, they are tried again by
//! fewer, so that only the one that cannot be served fails.
//!
//! A step feeds every row at least one token. Tokens that a grammar forces wait in a row's queue and go along. Where rows have queues of
//! different length and padding is harmless, a short one is filled up by feeding the row's last tokens again, so that there are never gaps
//! in the cache and a sliding window sees what it should.
//!
//! Sums of f32 come out a little different (about 1e-7) in a run of another shape, so the probabilities of tokens depend on who is decoded
//! beside them. A caller who rounds what it makes of them says with [`Doubt`] when rounding hangs on that; such an answer is scored again
//! by itself, in one run over all of its tokens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::answer_stream::{AnswerStream, EndIds, Next};
use super::sampling::log_sum;
use super::{GenerateError, Generated, Request};
use crate::model::{Features, GraphError, KvCache, Model};
use crate::prompt::TextTokenizer;

/// How much is done at once.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Answers that are written at the same time.
    pub rows: usize,
    /// Tokens whose arithmetic takes as long as reading the weights, which every step does once.
    pub step_tokens: usize,
    /// Tokens of prompts that are run together.
    pub prompt_tokens: usize,
}

impl BatchLimits {
    /// One answer at a time.
    pub fn single() -> Self {
        Self { rows: 1, ..Self::default() }
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        // Two cores with AVX-512: a step of 1, 8, 16 and 32 rows took 53, 80, 94 and 117 ms (docs/BENCHMARKS.md).
        Self { rows: 32, step_tokens: 24, prompt_tokens: 4096 }
    }
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Runs of the decoder over prompts.
    pub prompt_runs: usize,
    /// Tokens of them.
    pub prompt_tokens: usize,
    /// Time in them.
    pub prompt_time: Duration,
    /// Runs of the decoder over answers.
    pub steps: usize,
    /// Time in them.
    pub step_time: Duration,
    /// Tokens of the answers that are whole.
    pub answer_tokens: usize,
    /// Answers that were scored again by themselves.
    pub scored_again: usize,
}

/// Whether what is made of the probabilities of an answer's tokens may change with the last digits of them.
pub type Doubt = fn(&Generated) -> bool;

/// An answer, or why there is none.
pub struct Finished {
    /// The view, as it was submitted.
    pub view: usize,
    /// Which of its queries.
    pub query: usize,
    /// The answer.
    pub answer: Result<Generated, GenerateError>,
}

/// A view, for all queries about it.
struct SharedView {
    number: usize,
    features: Features,
    /// So many first tokens are the same in all of several queries; 0 where there is one query.
    prefix: usize,
    /// The cache of those tokens, once a query needed it.
    cache: RefCell<Option<Rc<KvCache>>>,
}

/// One query that is not begun yet, or is begun again.
struct Waiting {
    view: Rc<SharedView>,
    query: usize,
    request: Rc<Request>,
}

impl Waiting {
    /// Tokens that are in its cache when it joins.
    fn joined_length(&self) -> usize {
        if self.view.prefix > 0 { self.view.prefix } else { self.request.prompt_ids.len() }
    }
}

struct Row<'t> {
    asked: Waiting,
    stream: AnswerStream<'t>,
    /// Every token that was fed.
    fed: Vec<i64>,
    /// Of them, those behind the image: they can be fed again.
    behind_image: usize,
    /// Tokens that are to be fed.
    queue: VecDeque<i64>,
}

/// Decodes answers together.
pub struct Batch<'t> {
    tokenizer: &'t TextTokenizer,
    ids: EndIds,
    limits: BatchLimits,
    doubt: Doubt,
    /// How many rows are allowed now: fewer after a failure.
    rows_now: usize,
    waiting: VecDeque<Waiting>,
    /// Taken from `waiting`, not yet in `rows`.
    entering: Vec<Waiting>,
    rows: Vec<Row<'t>>,
    cache: Option<KvCache>,
    finished: Vec<Finished>,
    work: Work,
}

impl<'t> Batch<'t> {
    /// An empty batch for `model`. Where its probes found that rows cannot be decoded together, there is one row.
    pub fn new(model: &Model, tokenizer: &'t TextTokenizer, limits: BatchLimits, doubt: Doubt) -> Self {
        let rows = if model.probes.batch { limits.rows.max(1) } else { 1 };
        let ids = EndIds { stop: model.config.stop_ids.clone(), suppressed: model.config.suppressed_ids.clone() };
        Self {
            tokenizer,
            ids,
            limits: BatchLimits { rows, ..limits },
            doubt,
            rows_now: rows,
            waiting: VecDeque::new(),
            entering: Vec::new(),
            rows: Vec::new(),
            cache: None,
            finished: Vec::new(),
            work: Work::default(),
        }
    }

    /// Whether nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.rows.is_empty()
    }

    /// How many queries can still be submitted before they would wait for a row.
    pub fn room(&self) -> usize {
        self.rows_now.saturating_sub(self.rows.len() + self.waiting.len())
    }

    /// What was done so far.
    pub fn work(&self) -> Work {
        self.work
    }

    /// Asks `requests` about the view with these soft tokens. `number` is what the answers are known by.
    pub fn submit(&mut self, number: usize, features: Features, requests: Vec<Request>) {
        let prefix = if requests.len() > 1 { common_prefix(&requests) } else { 0 };
        let view = Rc::new(SharedView { number, features, prefix, cache: RefCell::new(None) });
        for (query, request) in requests.into_iter().enumerate() {
            self.waiting.push_back(Waiting { view: Rc::clone(&view), query, request: Rc::new(request) });
        }
    }

    /// Takes in what waits, as far as there is room, and decodes one step; the answers that ended with it.
    ///
    /// # Errors
    /// [`GraphError::Contract`], which would meet every view. Other failures are those of single answers.
    pub fn advance(&mut self, model: &mut Model) -> Result<Vec<Finished>, GraphError> {
        let done = self.take_in(model).and_then(|()| if self.rows.is_empty() { Ok(()) } else { self.step(model) });
        if let Err(error) = done {
            self.recover(error)?;
        }
        Ok(std::mem::take(&mut self.finished))
    }

    /// Fewer rows where it was several that failed; where it was one, its answer failed.
    fn recover(&mut self, error: GraphError) -> Result<(), GraphError> {
        if matches!(error, GraphError::Contract { .. }) {
            return Err(error);
        }
        let mut failed: Vec<Waiting> = self.rows.drain(..).map(|row| row.asked).collect();
        failed.append(&mut self.entering);
        self.cache = None;
        if failed.len() > 1 {
            self.rows_now = failed.len() / 2;
            tracing::warn!("{error}; going on with {} rows at once", self.rows_now);
            for asked in failed.into_iter().rev() {
                self.waiting.push_front(asked);
            }
        } else if let Some(asked) = failed.pop() {
            self.rows_now = self.limits.rows;
            self.finished.push(Finished {
                view: asked.view.number,
                query: asked.query,
                answer: Err(GenerateError::Graph(error)),
            });
        }
        Ok(())
    }

    /// Gives waiting queries the free rows.
    fn take_in(&mut self, model: &mut Model) -> Result<(), GraphError> {
        let free = self.rows_now.saturating_sub(self.rows.len());
        // Prompts are better run together, and rows that join cost a copy of the cache: a few are waited for.
        if free == 0 || !self.rows.is_empty() && free < self.waiting.len().min(self.rows_now / 4) {
            return Ok(());
        }
        let mut joining: Vec<(Row<'t>, Rc<KvCache>, usize)> = Vec::new();
        while joining.len() < free {
            let Some(first) = self.waiting.front() else { break };
            let length = first.joined_length();
            let present = joining
                .first()
                .map(|(_, cache, row)| cache.length(*row))
                .or_else(|| self.cache.as_ref().filter(|_| !self.rows.is_empty()).map(KvCache::columns));
            if !model.probes.left_padding_harmless && present.is_some_and(|present| present != length) {
                break;
            }
            if first.view.prefix > 0 {
                self.entering.extend(self.waiting.pop_front());
                joining.extend(self.branch(model)?);
            } else {
                let together = if model.batches_prompts() {
                    (self.limits.prompt_tokens / length).clamp(1, free - joining.len())
                } else {
                    1
                };
                let same = |asked: &&Waiting| asked.view.prefix == 0 && asked.joined_length() == length;
                let count = self.waiting.iter().take(together).take_while(same).count();
                self.entering.extend(self.waiting.drain(..count));
                joining.append(&mut self.prefill(model, count)?);
            }
        }
        self.join(model, joining)
    }

    /// A row that goes on from its view's prefix, with the last of `entering`.
    fn branch(&mut self, model: &mut Model) -> Result<Option<(Row<'t>, Rc<KvCache>, usize)>, GraphError> {
        let Some(asked) = self.entering.last() else { return Ok(None) };
        let (view, request) = (Rc::clone(&asked.view), Rc::clone(&asked.request));
        let kept = view.cache.borrow().clone();
        let cache = if let Some(cache) = kept {
            cache
        } else {
            let mut cache = model.empty_cache(1)?;
            self.run_prompts(model, &wide(&request.prompt_ids[..view.prefix]), &[&view.features], &mut cache)?;
            let cache = Rc::new(cache);
            *view.cache.borrow_mut() = Some(Rc::clone(&cache));
            cache
        };
        let (fed, queue) = request.prompt_ids.split_at(view.prefix);
        Ok(self.row(model, fed, wide(queue).into()).map(|row| (row, cache, 0)))
    }

    /// Rows for the last `count` of `entering`, whose whole prompts are run together, each with its first token picked.
    fn prefill(&mut self, model: &mut Model, count: usize) -> Result<Vec<(Row<'t>, Rc<KvCache>, usize)>, GraphError> {
        let first = self.entering.len() - count;
        let asked: Vec<_> =
            self.entering[first..].iter().map(|asked| (Rc::clone(&asked.view), Rc::clone(&asked.request))).collect();
        let ids: Vec<i64> = asked.iter().flat_map(|(_, request)| wide(&request.prompt_ids)).collect();
        let features: Vec<&Features> = asked.iter().map(|(view, _)| &view.features).collect();
        let mut cache = model.empty_cache(count)?;
        let logits = self.run_prompts(model, &ids, &features, &mut cache)?;
        let cache = Rc::new(cache);
        let mut rows = Vec::with_capacity(count);
        for (place, (_, request)) in asked.iter().enumerate().rev() {
            let Some(mut row) = self.row(model, &request.prompt_ids, VecDeque::new()) else { continue };
            let logits = model.logits(&logits, place)?;
            if let Some(ended) = row.take(&logits, &self.ids) {
                self.end(row, ended);
            } else {
                rows.push((row, Rc::clone(&cache), place));
            }
        }
        rows.reverse();
        Ok(rows)
    }

    /// The row of the last of `entering`, which it takes.
    fn row(&mut self, model: &Model, fed: &[u32], queue: VecDeque<i64>) -> Option<Row<'t>> {
        let asked = self.entering.pop()?;
        let behind_image = fed.iter().rev().take_while(|&&id| id != model.image_id()).count();
        let stream = AnswerStream::new(self.tokenizer, &asked.request);
        Some(Row { asked, stream, fed: wide(fed), behind_image, queue })
    }

    fn run_prompts(
        &mut self,
        model: &mut Model,
        ids: &[i64],
        features: &[&Features],
        cache: &mut KvCache,
    ) -> Result<crate::model::Logits, GraphError> {
        let started = Instant::now();
        let logits = model.decode(ids, features, cache)?;
        self.work.prompt_runs += 1;
        self.work.prompt_tokens += ids.len();
        self.work.prompt_time += started.elapsed();
        Ok(logits)
    }

    /// Puts rows beside those that are there.
    fn join(&mut self, model: &Model, joining: Vec<(Row<'t>, Rc<KvCache>, usize)>) -> Result<(), GraphError> {
        if joining.is_empty() {
            return Ok(());
        }
        let present = self.cache.take().filter(|_| !self.rows.is_empty());
        let mut parts: Vec<(&KvCache, usize)> = Vec::new();
        if let Some(present) = &present {
            parts.extend((0..present.rows()).map(|row| (present, row)));
        }
        parts.extend(joining.iter().map(|(_, cache, row)| (&**cache, *row)));
        let joined = model.join_rows(&parts);
        // The rows belong to the batch also where the join fails: they are then begun again.
        self.rows.extend(joining.into_iter().map(|(row, ..)| row));
        self.cache = Some(joined?);
        Ok(())
    }

    /// Decodes the next tokens of every row.
    fn step(&mut self, model: &mut Model) -> Result<(), GraphError> {
        let Some(cache) = &mut self.cache else { return Ok(()) };
        let sequence = sequence(&self.rows, self.limits.step_tokens, model.probes.left_padding_harmless);
        let mut ids = Vec::with_capacity(self.rows.len() * sequence);
        for (place, row) in self.rows.iter_mut().enumerate() {
            let again = sequence.saturating_sub(row.queue.len());
            if again > 0 {
                model.rewind_row(cache, place, again)?;
                ids.extend(&row.fed[row.fed.len() - again..]);
            }
            let new = row.queue.drain(..sequence - again);
            let before = row.fed.len();
            row.fed.extend(new);
            row.behind_image += row.fed.len() - before;
            ids.extend(&row.fed[before..]);
        }
        let started = Instant::now();
        let logits = model.decode(&ids, &[], cache)?;
        self.work.steps += 1;
        self.work.step_time += started.elapsed();
        // From the last to the first, since a row that leaves is replaced by the last one.
        for place in (0..self.rows.len()).rev() {
            if !self.rows[place].queue.is_empty() {
                continue;
            }
            let logits = model.logits(&logits, place)?;
            if let Some(ended) = self.rows[place].take(&logits, &self.ids) {
                let started = Instant::now();
                let row = self.rows.swap_remove(place);
                self.work.answer_tokens += row.stream.tokens();
                let prompt = row.asked.request.prompt_ids.clone();
                let known = row.asked.joined_length();
                let mut finished = row.finished(ended);
                if let Ok(answer) = &mut finished.answer
                    && (self.doubt)(answer)
                {
                    let mut prefix = model.first_tokens(cache, place, known)?;
                    score_again(model, answer, &prompt, &mut prefix)?;
                    self.work.scored_again += 1;
                }
                self.finished.push(finished);
                model.remove_row(cache, place)?;
                self.work.step_time += started.elapsed();
            }
        }
        Ok(())
    }

    fn end(&mut self, row: Row<'t>, ended: Result<crate::record::Ended, GenerateError>) {
        self.work.answer_tokens += row.stream.tokens();
        self.finished.push(row.finished(ended));
    }
}

impl Row<'_> {
    /// Picks the next token; how the answer ended, where it did.
    fn take(&mut self, logits: &[f32], ids: &EndIds) -> Option<Result<crate::record::Ended, GenerateError>> {
        match self.stream.take(logits, ids) {
            Ok(Next::Decode(ids)) => {
                self.queue.extend(ids.into_iter().map(i64::from));
                None
            }
            Ok(Next::Ended(ended)) => Some(Ok(ended)),
            Err(error) => Some(Err(error)),
        }
    }

    fn finished(self, ended: Result<crate::record::Ended, GenerateError>) -> Finished {
        let answer = ended.map(|ended| self.stream.finish(ended));
        Finished { view: self.asked.view.number, query: self.asked.query, answer }
    }
}

/// Gives the tokens of an answer the probabilities that they get when it is decoded by itself, in one run behind the part of the prompt
/// that is in `cache`.
fn score_again(
    model: &mut Model,
    answer: &mut Generated,
    prompt: &[u32],
    cache: &mut KvCache,
) -> Result<(), GraphError> {
    let known = cache.columns();
    let ids: Vec<u32> = prompt[known..].iter().chain(&answer.ids).copied().collect();
    // Nobody asks what follows the last one.
    let Some((_, fed)) = ids.split_last().filter(|(_, fed)| !fed.is_empty()) else { return Ok(()) };
    let logits = model.decode_all(&wide(fed), cache)?;
    let before = prompt.len() - known;
    for (place, span) in answer.spans.iter_mut().enumerate() {
        // The first token of an answer to a whole prompt was picked when the prompt was run; what was forced is certain.
        let Some(position) = (before + place).checked_sub(1).filter(|_| span.log_probability != 0.0) else { continue };
        let logits = model.logits_before(&logits, 0, fed.len() - 1 - position)?;
        if let Some(sum) = log_sum(&logits) {
            span.log_probability = f64::from(logits[answer.ids[place] as usize]) - sum;
        }
    }
    Ok(())
}

/// How many tokens of each row the next step feeds.
///
/// The shortest queue can be fed without any row being filled up. More is worth it where the tokens that get forward, for what the step
/// costs, are more: a step reads the weights once, and then computes for every token.
fn sequence(rows: &[Row<'_>], step_tokens: usize, padding: bool) -> usize {
    let queues = || rows.iter().map(|row| row.queue.len());
    let shortest = queues().min().unwrap_or(0);
    if !padding {
        return shortest;
    }
    let longest = queues().max().unwrap_or(0);
    let most = rows.iter().map(|row| row.queue.len() + row.behind_image).min().unwrap_or(0);
    let gain = |sequence: usize| {
        let forward: usize = queues().map(|queue| queue.min(sequence)).sum();
        let cost = 1.0 + (rows.len() * sequence) as f64 / step_tokens.max(1) as f64;
        forward as f64 / cost
    };
    let mut best = shortest;
    for sequence in shortest + 1..=longest.min(most) {
        if gain(sequence) > gain(best) {
            best = sequence;
        }
    }
    best
}

/// How many first tokens all prompts share; at least one of each is left to be decoded.
fn common_prefix(requests: &[Request]) -> usize {
    let Some((first, others)) = requests.split_first() else { return 0 };
    let shared = |other: &Request| {
        let pairs = first.prompt_ids.iter().zip(&other.prompt_ids);
        pairs.take_while(|(a, b)| a == b).count().min(other.prompt_ids.len() - 1)
    };
    others.iter().map(shared).min().unwrap_or(0).min(first.prompt_ids.len() - 1)
}

fn wide(ids: &[u32]) -> Vec<i64> {
    ids.iter().map(|&id| i64::from(id)).collect()
}
