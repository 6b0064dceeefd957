//! Many answers at once.
//!
//! In: requests about encoded views. Out: their replies, in the order in which they end. Promises:
//! an answer is the same as if it were decoded alone, token for token (in f32), and so are its
//! rounded scores; finished rows leave and others join; prompts and cache rows are padded only if
//! the model's probes found that harmless; requests about one view share its prefill; if ONNX
//! Runtime fails over several rows, fewer are tried, so that only the row at fault fails.
//!
//! A step feeds every row at least one token. Tokens that a grammar forces wait in the row's queue
//! and are fed with the next step. If queues differ in length and padding is harmless, a short one
//! is filled up by feeding the row's last tokens again, so the cache has no gaps and a sliding
//! window sees the right tokens.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::answer_stream::{AnswerStream, EndIds, NextStep};
use super::next_token::NextTokenProbe;
use super::plan::{BatchLimits, RowQueue, common_prefix, sequence};
use super::reader::{RowReader, read_all};
use super::rescore::{RescoreRule, score_again};
use super::{GenerateError, Reply, Request, RequestKind};
use crate::model::{Features, GraphError, KvCache, Logits, Model};
use crate::prompt::TextTokenizer;
use crate::record::Ended;

/// Counters of the decoder's work.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecoderWork {
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

impl AddAssign for DecoderWork {
    fn add_assign(&mut self, other: Self) {
        self.prompt_runs += other.prompt_runs;
        self.prompt_tokens += other.prompt_tokens;
        self.prompt_time += other.prompt_time;
        self.steps += other.steps;
        self.step_time += other.step_time;
        self.answer_tokens += other.answer_tokens;
        self.scored_again += other.scored_again;
    }
}

/// A reply, or the reason for having none.
pub struct Finished {
    /// The view, as it was submitted.
    pub view: usize,
    /// Which of its queries.
    pub query: usize,
    /// The reply.
    pub reply: Result<Reply, GenerateError>,
    queued: QueuedRequest,
}

/// A view, for all queries about it.
struct SharedView {
    number: usize,
    features: Arc<Features>,
    /// Number of leading tokens that all requests about the view share; 0 if there is only one.
    prefix: usize,
    /// The cache of those tokens, once a query needed it.
    cache: OnceLock<Arc<KvCache>>,
}

/// One query that is not begun yet, or is begun again.
#[derive(Clone)]
struct QueuedRequest {
    view: Arc<SharedView>,
    query: usize,
    request: Arc<Request>,
}

impl QueuedRequest {
    /// Tokens that are in its cache when it joins the batch.
    fn joined_length(&self) -> usize {
        if self.view.prefix > 0 { self.view.prefix } else { self.request.prompt_ids.len() }
    }
}

struct Row {
    queued: QueuedRequest,
    reader: RowReader,
    /// Every token that was fed.
    fed: Vec<i64>,
    /// How many of them stand behind the image: those can be fed again.
    behind_image: usize,
    /// Tokens that are to be fed.
    queue: VecDeque<i64>,
}

/// A row that is ready to be decoded, and its tokens in a cache.
struct JoiningRow {
    row: Row,
    cache: Arc<KvCache>,
    slot: usize,
}

/// Decodes answers together.
pub struct Batch {
    tokenizer: Arc<TextTokenizer>,
    ids: EndIds,
    limits: BatchLimits,
    needs_rescoring: RescoreRule,
    /// How many rows are allowed now: fewer after a failure.
    rows_now: usize,
    waiting: VecDeque<QueuedRequest>,
    /// Taken from `waiting`, not yet in `rows`.
    entering: Vec<QueuedRequest>,
    rows: Vec<Row>,
    cache: Option<KvCache>,
    finished: Vec<Finished>,
    work: DecoderWork,
}

impl Batch {
    /// An empty batch for `model`. If its probes found that rows cannot be decoded together, it has
    /// one row.
    pub fn new(
        model: &Model,
        tokenizer: &Arc<TextTokenizer>,
        limits: BatchLimits,
        needs_rescoring: RescoreRule,
    ) -> Self {
        let rows = if model.probes.batch { limits.rows.max(1) } else { 1 };
        let ids = EndIds {
            stop: model.config.stop_ids.clone(),
            suppressed: model.config.suppressed_ids.clone(),
        };
        Self {
            tokenizer: Arc::clone(tokenizer),
            ids,
            limits: BatchLimits { rows, ..limits },
            needs_rescoring,
            rows_now: rows,
            waiting: VecDeque::new(),
            entering: Vec::new(),
            rows: Vec::new(),
            cache: None,
            finished: Vec::new(),
            work: DecoderWork::default(),
        }
    }

    /// Whether no work is left.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.rows.is_empty()
    }

    /// How many queries can still be submitted before they would wait for a row.
    pub fn room(&self) -> usize {
        self.rows_now.saturating_sub(self.rows.len() + self.waiting.len())
    }

    /// Counters of the decoder's work.
    pub fn work(&self) -> DecoderWork {
        self.work
    }

    /// Queues `requests` about the view with these soft tokens. Replies are identified by `number`
    /// and the number of each request.
    pub fn submit(&mut self, number: usize, features: Features, requests: Vec<(usize, Request)>) {
        let all: Vec<&Request> = requests.iter().map(|(_, request)| request).collect();
        let prefix = if all.len() > 1 { common_prefix(&all) } else { 0 };
        let view = Arc::new(SharedView {
            number,
            features: Arc::new(features),
            prefix,
            cache: OnceLock::new(),
        });
        for (query, request) in requests {
            self.waiting.push_back(QueuedRequest {
                view: Arc::clone(&view),
                query,
                request: Arc::new(request),
            });
        }
    }

    /// Queues another request about the view of a finished one. Its reply is identified by `query`.
    pub fn follow_up(&mut self, finished: &Finished, query: usize, request: Request) {
        let QueuedRequest { view, request: before, .. } = &finished.queued;
        let same = request.prompt_ids.get(..view.prefix) == before.prompt_ids.get(..view.prefix);
        let view = if same && request.prompt_ids.len() > view.prefix {
            Arc::clone(view)
        } else {
            let SharedView { number, features, .. } = &**view;
            Arc::new(SharedView {
                number: *number,
                features: Arc::clone(features),
                prefix: 0,
                cache: OnceLock::new(),
            })
        };
        // Before views that are not begun: the soft tokens of this one need not be kept any longer
        // than that.
        self.waiting.push_front(QueuedRequest { view, query, request: Arc::new(request) });
    }

    /// Forgets all requests about a view.
    ///
    /// # Errors
    /// [`GraphError`] if the remaining rows cannot be kept; they are begun again.
    pub fn cancel(&mut self, model: &mut Model, number: usize) -> Result<(), GraphError> {
        self.waiting.retain(|queued| queued.view.number != number);
        for slot in (0..self.rows.len()).rev() {
            if self.rows[slot].queued.view.number == number {
                self.rows.swap_remove(slot);
                let removed =
                    self.cache.as_mut().map_or(Ok(()), |cache| model.remove_row(cache, slot));
                if let Err(error) = removed {
                    self.recover(error)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Admits queued requests to free rows, and decodes one step; returns the replies that ended
    /// with it.
    ///
    /// # Errors
    /// [`GraphError::Contract`], which would meet every view. Other failures are those of single
    /// answers.
    pub fn advance(&mut self, model: &mut Model) -> Result<Vec<Finished>, GraphError> {
        let done = self
            .admit(model)
            .and_then(|()| if self.rows.is_empty() { Ok(()) } else { self.step(model) });
        if let Err(error) = done {
            self.recover(error)?;
        }
        Ok(std::mem::take(&mut self.finished))
    }

    /// Continues with fewer rows if several failed together; fails the answer if it was alone.
    fn recover(&mut self, error: GraphError) -> Result<(), GraphError> {
        if matches!(error, GraphError::Contract { .. }) {
            return Err(error);
        }
        let mut failed: Vec<QueuedRequest> = self.rows.drain(..).map(|row| row.queued).collect();
        failed.append(&mut self.entering);
        self.cache = None;
        if failed.len() > 1 {
            self.rows_now = failed.len() / 2;
            tracing::warn!("{error}; going on with {} rows at once", self.rows_now);
            for queued in failed.into_iter().rev() {
                self.waiting.push_front(queued);
            }
        } else if let Some(queued) = failed.pop() {
            self.rows_now = self.limits.rows;
            let reply = Err(GenerateError::Graph(error));
            self.finished.push(Finished {
                view: queued.view.number,
                query: queued.query,
                reply,
                queued,
            });
        }
        Ok(())
    }

    /// Gives waiting queries the free rows.
    fn admit(&mut self, model: &mut Model) -> Result<(), GraphError> {
        let free = self.rows_now.saturating_sub(self.rows.len());
        // Prompts are better run together, and rows that join cost a copy of the cache: a few are
        // waited for.
        if free == 0 || !self.rows.is_empty() && free < self.waiting.len().min(self.rows_now / 4) {
            return Ok(());
        }
        let mut joining = Vec::new();
        if let Err(error) = self.enter(model, free, &mut joining) {
            // Rows that were ready are begun again together with the one that failed.
            self.entering.extend(joining.into_iter().map(|joining_row| joining_row.row.queued));
            return Err(error);
        }
        self.join(model, joining)
    }

    /// Runs the prompts of waiting queries, for up to `free` rows.
    fn enter(
        &mut self,
        model: &mut Model,
        free: usize,
        joining: &mut Vec<JoiningRow>,
    ) -> Result<(), GraphError> {
        while joining.len() < free {
            let Some(first) = self.waiting.front() else { break };
            let length = first.joined_length();
            let present = joining
                .first()
                .map(|joining_row| joining_row.cache.length(joining_row.slot))
                .or_else(|| {
                    self.cache.as_ref().filter(|_| !self.rows.is_empty()).map(KvCache::columns)
                });
            if !model.probes.left_padding_harmless
                && present.is_some_and(|present| present != length)
            {
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
                let same = |queued: &&QueuedRequest| {
                    queued.view.prefix == 0 && queued.joined_length() == length
                };
                let count = self.waiting.iter().take(together).take_while(same).count();
                self.entering.extend(self.waiting.drain(..count));
                joining.append(&mut self.prefill(model, count)?);
            }
        }
        Ok(())
    }

    /// A row that goes on from its view's prefix, with the last of `entering`.
    fn branch(&mut self, model: &mut Model) -> Result<Option<JoiningRow>, GraphError> {
        let Some(queued) = self.entering.last() else { return Ok(None) };
        let (view, request) = (Arc::clone(&queued.view), Arc::clone(&queued.request));
        let cache = if let Some(cache) = view.cache.get() {
            Arc::clone(cache)
        } else {
            let mut cache = model.empty_cache(1)?;
            self.run_prompts(
                model,
                &to_i64(&request.prompt_ids[..view.prefix]),
                &[&view.features],
                &mut cache,
            )?;
            Arc::clone(view.cache.get_or_init(|| Arc::new(cache)))
        };
        let (fed, queue) = request.prompt_ids.split_at(view.prefix);
        Ok(self.row(model, fed, to_i64(queue).into()).map(|row| JoiningRow { row, cache, slot: 0 }))
    }

    /// Rows for the last `count` of `entering`, whose whole prompts are run together, each with its
    /// first token picked.
    fn prefill(&mut self, model: &mut Model, count: usize) -> Result<Vec<JoiningRow>, GraphError> {
        let first = self.entering.len() - count;
        let queued: Vec<_> = self.entering[first..]
            .iter()
            .map(|queued| (Arc::clone(&queued.view), Arc::clone(&queued.request)))
            .collect();
        let ids: Vec<i64> =
            queued.iter().flat_map(|(_, request)| to_i64(&request.prompt_ids)).collect();
        let features: Vec<&Features> = queued.iter().map(|(view, _)| &*view.features).collect();
        let mut cache = model.empty_cache(count)?;
        let logits = self.run_prompts(model, &ids, &features, &mut cache)?;
        let cache = Arc::new(cache);
        let mut rows = Vec::with_capacity(count);
        for (slot, (_, request)) in queued.iter().enumerate().rev() {
            let Some(row) = self.row(model, &request.prompt_ids, VecDeque::new()) else { continue };
            rows.push((slot, row));
        }
        rows.reverse();
        let due = rows.iter_mut().map(|(slot, row)| (*slot, &mut row.reader)).collect();
        let taken = match read_all(model, &logits, due, &self.ids) {
            Ok(taken) => taken,
            Err(error) => {
                self.entering.extend(rows.into_iter().map(|(_, row)| row.queued));
                return Err(error);
            }
        };
        let mut joining = Vec::with_capacity(count);
        for ((slot, mut row), (_, next)) in rows.into_iter().zip(taken) {
            match row.follow(next) {
                Some(ended) => self.finished.push(row.finished(ended, &mut self.work)),
                None => joining.push(JoiningRow { row, cache: Arc::clone(&cache), slot }),
            }
        }
        Ok(joining)
    }

    /// The row of the last of `entering`, which it takes.
    fn row(&mut self, model: &Model, fed: &[u32], queue: VecDeque<i64>) -> Option<Row> {
        let queued = self.entering.pop()?;
        let behind_image = fed.iter().rev().take_while(|&&id| id != model.image_id()).count();
        let reader = match &queued.request.kind {
            RequestKind::Generate { options, grammar } => RowReader::Generate(Box::new(
                AnswerStream::new(Arc::clone(&self.tokenizer), *options, grammar.as_deref()),
            )),
            RequestKind::ScoreNext(ids) => RowReader::Probe(NextTokenProbe::of(ids)),
        };
        Some(Row { queued, reader, fed: to_i64(fed), behind_image, queue })
    }

    fn run_prompts(
        &mut self,
        model: &mut Model,
        ids: &[i64],
        features: &[&Features],
        cache: &mut KvCache,
    ) -> Result<Logits, GraphError> {
        let started = Instant::now();
        let logits = model.decode(ids, features, cache)?;
        self.work.prompt_runs += 1;
        self.work.prompt_tokens += ids.len();
        self.work.prompt_time += started.elapsed();
        Ok(logits)
    }

    /// Puts rows beside those that are there.
    fn join(&mut self, model: &Model, joining: Vec<JoiningRow>) -> Result<(), GraphError> {
        if joining.is_empty() {
            return Ok(());
        }
        let present = self.cache.take().filter(|_| !self.rows.is_empty());
        let mut parts: Vec<(&KvCache, usize)> = Vec::new();
        if let Some(present) = &present {
            parts.extend((0..present.rows()).map(|row| (present, row)));
        }
        parts.extend(joining.iter().map(|joining_row| (&*joining_row.cache, joining_row.slot)));
        let joined = model.join_rows(&parts);
        // Even if the join fails, the rows belong to the batch: they are then begun again.
        self.rows.extend(joining.into_iter().map(|joining_row| joining_row.row));
        self.cache = Some(joined?);
        Ok(())
    }

    /// Decodes the next tokens of every row.
    fn step(&mut self, model: &mut Model) -> Result<(), GraphError> {
        let Some(cache) = &mut self.cache else { return Ok(()) };
        let waits = |row: &Row| RowQueue { queued: row.queue.len(), refeedable: row.behind_image };
        let waits: Vec<_> = self.rows.iter().map(waits).collect();
        let sequence =
            sequence(&waits, self.limits.step_tokens, model.probes.left_padding_harmless);
        let mut ids = Vec::with_capacity(self.rows.len() * sequence);
        // Tokens of each row that are fed again, since its queue is shorter than the sequence.
        let refed = |row: &Row| sequence.saturating_sub(row.queue.len());
        let refed: Vec<_> = self.rows.iter().map(refed).enumerate().collect();
        let short: Vec<_> = refed.iter().filter(|(_, refed)| *refed > 0).copied().collect();
        model.rewind_rows(cache, &short)?;
        for (row, (_, refed)) in self.rows.iter_mut().zip(refed) {
            ids.extend(&row.fed[row.fed.len() - refed..]);
            let new = row.queue.drain(..sequence - refed);
            let before = row.fed.len();
            row.fed.extend(new);
            row.behind_image += row.fed.len() - before;
            ids.extend(&row.fed[before..]);
        }
        let started = Instant::now();
        let logits = model.decode(&ids, &[], cache)?;
        self.work.steps += 1;
        self.work.step_time += started.elapsed();
        let due = self.rows.iter_mut().enumerate().filter(|(_, row)| row.queue.is_empty());
        let due = due.map(|(slot, row)| (slot, &mut row.reader)).collect();
        let taken = read_all(model, &logits, due, &self.ids)?;
        // From the last to the first, since a row that leaves is replaced by the last one.
        for (slot, next) in taken.into_iter().rev() {
            if let Some(ended) = self.rows[slot].follow(next) {
                self.leave(model, slot, ended)?;
            }
        }
        Ok(())
    }

    /// Takes a row whose answer ended out of the batch.
    fn leave(
        &mut self,
        model: &mut Model,
        slot: usize,
        ended: Result<Ended, GenerateError>,
    ) -> Result<(), GraphError> {
        let Some(cache) = &mut self.cache else { return Ok(()) };
        let row = self.rows.swap_remove(slot);
        let mut finished = row.finished(ended, &mut self.work);
        let rescores = match &finished.reply {
            Ok(Reply::Answer(answer)) => (self.needs_rescoring)(answer),
            Ok(Reply::Next(next)) => next.is_near_rounding,
            Err(_) => false,
        };
        if rescores && let Ok(reply) = &mut finished.reply {
            let started = Instant::now();
            let (known, request) = (finished.queued.joined_length(), &finished.queued.request);
            let scored = model
                .first_tokens(cache, slot, known)
                .and_then(|mut prefix| score_again(model, reply, request, &mut prefix));
            // Keep the answer as it is if there is no memory to score it again.
            if let Err(error) = scored {
                tracing::warn!("an answer could not be scored again: {error}");
            }
            self.work.scored_again += 1;
            self.work.step_time += started.elapsed();
        }
        self.finished.push(finished);
        model.remove_row(cache, slot)
    }
}

impl Row {
    /// Queues the tokens to decode next; returns how the answer ended, if it did.
    fn follow(
        &mut self,
        next: Result<NextStep, GenerateError>,
    ) -> Option<Result<Ended, GenerateError>> {
        match next {
            Ok(NextStep::Decode(ids)) => {
                self.queue.extend(ids.into_iter().map(i64::from));
                None
            }
            Ok(NextStep::Ended(ended)) => Some(Ok(ended)),
            Err(error) => Some(Err(error)),
        }
    }

    /// Its answer, which is counted.
    fn finished(self, ended: Result<Ended, GenerateError>, work: &mut DecoderWork) -> Finished {
        let Self { queued, reader, .. } = self;
        let reply = match reader {
            RowReader::Generate(stream) => {
                work.answer_tokens += stream.tokens();
                ended.map(|ended| Reply::Answer(stream.finish(ended)))
            }
            RowReader::Probe(probe) => ended.and_then(|_| probe.result().map(Reply::Next)),
        };
        Finished { view: queued.view.number, query: queued.query, reply, queued }
    }
}

fn to_i64(ids: &[u32]) -> Vec<i64> {
    ids.iter().map(|&id| i64::from(id)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::generate::{GenerateOptions, generate};
    use crate::model::{Dtypes, GraphFiles, OpenOptions};
    use crate::onnxruntime::{self, RuntimeOptions};
    use crate::prompt::Prompter;
    use crate::record::Sampling;

    /// ONNX Runtime has no memory for three rows: they are answered one after the other. Then it
    /// fails over one: that one fails.
    #[test]
    fn what_fails_together_is_tried_again_by_fewer() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo-model");
        let runtime =
            onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap();
        let prompter = Prompter::open(&directory).unwrap();
        let graphs = GraphFiles::find(&directory, &Dtypes::default()).unwrap();
        let special = &prompter.tokenizer.special;
        let mut model =
            Model::open(&directory, graphs, special, runtime, &OpenOptions::default()).unwrap();
        let failure = || GraphError::Runtime {
            path: directory.join("decoder"),
            error: ort::Error::new("no memory"),
        };
        // Four soft tokens of nothing in particular.
        let width = 128;
        let features = |view: usize| {
            let value = |(row, column)| (((row * width + column) * (view + 3)) % 13) as f32 / 13.0;
            Features::new(ndarray::Array2::from_shape_fn((4, width), value))
        };
        let image = model.image_id();
        let request = || Request {
            prompt_ids: vec![2, image, image, image, image, 300, 301],
            kind: RequestKind::Generate {
                options: GenerateOptions {
                    max_new_tokens: 9,
                    sampling: Sampling::Greedy,
                    labels: 1,
                    stream: 0,
                },
                grammar: None,
            },
        };
        let ids = |reply: Reply| reply.into_answer().unwrap().ids;
        let alone: Vec<_> = (0..3)
            .map(|view| {
                ids(generate(&mut model, &prompter.tokenizer, features(view), request()).unwrap())
            })
            .collect();
        let mut batch = Batch::new(&model, &prompter.tokenizer, BatchLimits::default(), |_| false);
        for view in 0..3 {
            batch.submit(view, features(view), vec![(0, request())]);
        }
        assert!(batch.advance(&mut model).unwrap().is_empty());
        batch.recover(failure()).unwrap();
        assert_eq!((batch.rows_now, batch.rows.len(), batch.waiting.len()), (1, 0, 3));
        let mut answers = Vec::new();
        while !batch.is_idle() {
            answers.extend(batch.advance(&mut model).unwrap());
        }
        for finished in answers {
            assert_eq!(ids(finished.reply.unwrap()), alone[finished.view]);
        }
        batch.submit(7, features(0), vec![(0, request())]);
        batch.advance(&mut model).unwrap();
        batch.recover(failure()).unwrap();
        let failed = batch.advance(&mut model).unwrap();
        assert!(failed.len() == 1 && failed[0].view == 7 && failed[0].reply.is_err());
        assert!(batch.is_idle() && batch.rows_now == BatchLimits::default().rows);
    }
}
