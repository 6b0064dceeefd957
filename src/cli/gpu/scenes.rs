//! Scenes that a model is asked about.

use std::time::Instant;

use anyhow::Context as _;
use gemscope::generate::{Batch, BatchLimits, GenerateOptions, Request, RequestKind};
use gemscope::model::{Features, Model};
use gemscope::preprocess::{PreparedView, prepare};
use gemscope::prompt::{Conversation, Prompter, Query};
use gemscope::record::{BudgetChoice, Sampling};

use super::super::doctor::disc;

/// Scenes that are shown.
pub(super) const SCENES: usize = 8;

/// The scenes that are shown, and the question about them.
pub(super) struct SceneQuestions {
    views: Vec<PreparedView>,
    query: Query,
}

/// Answers, and their time.
pub(super) struct SceneAnswers {
    pub(super) ids: Vec<Vec<u32>>,
    pub(super) tokens: usize,
    pub(super) seconds: f64,
    /// Seconds of them in decoder runs over answers.
    pub(super) decoding: f64,
}

impl SceneQuestions {
    /// Scenes of discs, and the question about each.
    pub(super) fn new(
        prompter: &Prompter,
        budget: BudgetChoice,
        model: &Model,
    ) -> anyhow::Result<Self> {
        const COLOURS: [[u8; 3]; 4] = [[214, 40, 40], [40, 160, 60], [50, 80, 210], [230, 200, 40]];
        let views = (0..SCENES).map(|scene| {
            let (x, y) = (60.0 + 20.0 * scene as f64, 220.0 - 18.0 * scene as f64);
            let side = 90.0 + 10.0 * scene as f64;
            prepare(
                &disc([x, y, x + side, y + side], COLOURS[scene % COLOURS.len()]),
                budget,
                model.patch_side(),
            )
        });
        let query = prompter.query("detect circle", &Conversation::default())?;
        Ok(Self { views: views.collect::<Result<_, _>>()?, query })
    }

    pub(super) fn encode(&self, model: &mut Model, view: usize) -> anyhow::Result<Features> {
        let view = &self.views[view];
        let encoded =
            model.encode(vec![(view.patches.clone(), view.size.soft_tokens() as usize)])?;
        encoded.into_iter().next().context("the vision graph gave nothing")
    }

    pub(super) fn prompt_ids(&self, view: usize) -> Vec<u32> {
        self.query.token_ids(self.views[view].size.soft_tokens())
    }

    /// All scenes, `rows` answers at once. Times leave out the first answer, which warms the device
    /// up.
    pub(super) fn answers(
        &self,
        prompter: &Prompter,
        model: &mut Model,
        rows: usize,
    ) -> anyhow::Result<SceneAnswers> {
        self.run(prompter, model, 1, 1)?;
        self.run(prompter, model, rows, SCENES)
    }

    /// `scenes` of the scenes, `rows` answers at once.
    pub(super) fn run(
        &self,
        prompter: &Prompter,
        model: &mut Model,
        rows: usize,
        scenes: usize,
    ) -> anyhow::Result<SceneAnswers> {
        let began = Instant::now();
        let limits = BatchLimits { rows, ..BatchLimits::default() };
        let mut batch = Batch::new(model, &prompter.tokenizer, limits, |_| false);
        for view in 0..scenes {
            let options = GenerateOptions {
                max_new_tokens: 64,
                sampling: Sampling::Greedy,
                labels: 1,
                stream: 0,
            };
            let kind = RequestKind::Generate { options, grammar: None };
            let request = Request { prompt_ids: self.prompt_ids(view), kind };
            let features = self.encode(model, view)?;
            batch.submit(view, features, vec![(0, request)]);
        }
        let mut ids = vec![Vec::new(); scenes];
        while !batch.is_idle() {
            for finished in batch.advance(model)? {
                ids[finished.view] =
                    finished.reply?.into_answer().context("there is no answer")?.ids;
            }
        }
        let work = batch.work();
        let decoding = work.step_time.as_secs_f64().max(1e-9);
        Ok(SceneAnswers {
            ids,
            tokens: work.answer_tokens,
            seconds: began.elapsed().as_secs_f64(),
            decoding,
        })
    }
}
