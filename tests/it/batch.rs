//! Answers that are written together are the answers that are written alone, token for token.

use std::collections::HashMap;
use std::sync::Arc;

use gemscope::device::{BusTraffic, Device};
use gemscope::generate::{
    Batch, BatchLimits, GenerateOptions, Grammar, GrammarFactory, Labels, Reply, Request,
    RequestKind, generate,
};
use gemscope::image::{UprightImage, decode};
use gemscope::model::{Features, Model};
use gemscope::preprocess::prepare;
use gemscope::prompt::{Conversation, Prompter};
use gemscope::record::{Budget, BudgetChoice, Sampling};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use crate::support::{fixture, gemscope, open_on};

/// `image` mirrored, turned upside down, and with its colours exchanged, as the bits of `way` say.
fn changed(image: &UprightImage, way: usize) -> UprightImage {
    let (width, height) = (image.width as usize, image.height as usize);
    let mut rgb = Vec::with_capacity(image.rgb.len());
    for y in 0..height {
        let y = if way & 2 > 0 { height - 1 - y } else { y };
        for x in 0..width {
            let x = if way & 1 > 0 { width - 1 - x } else { x };
            let pixel = &image.rgb[(y * width + x) * 3..][..3];
            rgb.extend([0, 1, 2].map(|channel| pixel[(channel + way / 4) % 3]));
        }
    }
    UprightImage { rgb, ..image.clone() }
}

/// The soft tokens of so many different images.
fn encoded(model: &mut Model, count: usize, budget: Budget) -> Vec<(Features, u32)> {
    let scenes: Vec<_> = (1..=20)
        .map(|number| {
            let path = |end| fixture(&format!("shapes/scene-{number:02}.{end}"));
            let bytes = std::fs::read(path("png")).or_else(|_| std::fs::read(path("jpg"))).unwrap();
            decode(&bytes, true).unwrap()
        })
        .collect();
    (0..count)
        .map(|index| {
            let image = changed(&scenes[index % scenes.len()], index / scenes.len());
            let view = prepare(&image, BudgetChoice::Fixed(budget), model.patch_side()).unwrap();
            let soft_tokens = view.size.soft_tokens();
            (
                model.encode(vec![(view.patches, soft_tokens as usize)]).unwrap().remove(0),
                soft_tokens,
            )
        })
        .collect()
}

struct Asked {
    prompter: Prompter,
    model: Model,
    views: Vec<(Features, u32)>,
    grammar: Arc<Grammar>,
    tokens: usize,
    sampling: Sampling,
}

/// The ids of an answer, or the figures of a look.
fn said(reply: &Reply) -> String {
    match reply {
        Reply::Answer(answer) => format!("{:?}", answer.ids),
        Reply::Next(next) => format!("{:?} {}", next.shares, next.mass),
    }
}

impl Asked {
    fn new(directory: &str, views: usize, tokens: usize) -> Self {
        Self::on(Device::Cpu, directory, views, tokens)
    }

    fn on(device: Device, directory: &str, views: usize, tokens: usize) -> Self {
        let (prompter, mut model) = open_on(&fixture(directory), device);
        let views = encoded(&mut model, views, Budget::ALL[0]);
        let factory = GrammarFactory::new(&prompter.tokenizer, &model.config.stop_ids).unwrap();
        let grammar = Arc::new(factory.boxes(Labels::Open, 6).unwrap());
        Self { prompter, model, views, grammar, tokens, sampling: Sampling::Greedy }
    }

    /// What is asked about a view: one query or several, under the grammar or not.
    fn requests(&self, view: usize) -> Vec<Request> {
        let texts: &[&str] = match view % 4 {
            0 => &["detect shape"],
            1 => &["detect star"],
            2 => &["Is there a red circle in this image?"],
            _ => &[
                "detect shape",
                "detect red circle",
                "detect star",
                "Is there a blue square in this image?",
            ],
        };
        let request = |text: &&str| {
            let query = self.prompter.query(text, &Conversation::default()).unwrap();
            let constrained = text.starts_with("detect") && !view.is_multiple_of(3);
            let options = GenerateOptions {
                max_new_tokens: self.tokens,
                sampling: self.sampling,
                labels: 1,
                stream: view as u64,
            };
            let grammar = constrained.then(|| Arc::clone(&self.grammar));
            // Some questions are only looked at, beside answers that are written.
            let looked_at = text.starts_with("Is") && view.is_multiple_of(2) || view % 8 == 3;
            let kind = if looked_at {
                RequestKind::ScoreNext([3, 5, 8, 13, 21, 34, 55, 89].into())
            } else {
                RequestKind::Generate { options, grammar }
            };
            Request { prompt_ids: query.token_ids(self.views[view].1), kind }
        };
        texts.iter().map(request).collect()
    }

    fn alone(&mut self) -> HashMap<(usize, usize), String> {
        let mut alone = HashMap::new();
        for view in 0..self.views.len() {
            for (query, request) in self.requests(view).into_iter().enumerate() {
                let features = self.views[view].0.clone();
                let answer =
                    generate(&mut self.model, &self.prompter.tokenizer, features, request).unwrap();
                alone.insert((view, query), said(&answer));
            }
        }
        alone
    }

    /// Submits the views in a random order and at random times.
    fn together(
        &mut self,
        limits: BatchLimits,
        random: &mut ChaCha8Rng,
    ) -> HashMap<(usize, usize), String> {
        let mut order: Vec<usize> = (0..self.views.len()).collect();
        order.shuffle(random);
        let requests: Vec<_> = (0..order.len()).map(|view| self.requests(view)).collect();
        let mut batch = Batch::new(&self.model, &self.prompter.tokenizer, limits, |_| false);
        let mut together = HashMap::new();
        while !order.is_empty() || !batch.is_idle() {
            for _ in 0..random.random_range(0..3) {
                let Some(view) = order.pop() else { break };
                let numbered = requests[view].iter().cloned().enumerate().collect();
                batch.submit(view, self.views[view].0.clone(), numbered);
            }
            for finished in batch.advance(&mut self.model).unwrap() {
                let answer = finished.reply.unwrap();
                assert!(together.insert((finished.view, finished.query), said(&answer)).is_none());
            }
        }
        together
    }
}

fn compare(
    alone: &HashMap<(usize, usize), String>,
    together: &HashMap<(usize, usize), String>,
    limits: BatchLimits,
) {
    assert_eq!(alone.len(), together.len());
    for (key, ids) in alone {
        assert_eq!(ids, &together[key], "{key:?} with {limits:?}");
    }
}

#[test]
fn two_hundred_images_whatever_joins_and_leaves() {
    let mut asked = Asked::new("demo-model", 200, 60);
    let alone = asked.alone();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for limits in
        [BatchLimits::default(), BatchLimits { rows: 5, step_tokens: 40, prompt_tokens: 200 }]
    {
        let together = asked.together(limits, &mut random);
        compare(&alone, &together, limits);
    }
}

#[test]
fn every_variant_and_layout() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    // Windows of 24 tokens, images that attend to themselves in both directions, experts; and a
    // graph that takes no padding.
    for directory in [
        "variants/E2B",
        "variants/E4B",
        "variants/12B",
        "variants/26B-A4B",
        "variants/31B",
        "demo-model-mobius",
    ] {
        let mut asked = Asked::new(directory, 12, 20);
        let alone = asked.alone();
        for limits in
            [BatchLimits::default(), BatchLimits { rows: 3, step_tokens: 30, prompt_tokens: 1000 }]
        {
            let together = asked.together(limits, &mut random);
            compare(&alone, &together, limits);
        }
    }
}

/// Everything that is done on a card, by the kernels' twins: tensors stay where they are from one
/// graph to the next and from step to step, tokens are picked of logits that are not read, rows are
/// gathered.
#[test]
fn what_a_card_would_do_gives_the_same_answers() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let drawn = |top_k| Sampling::Drawn { temperature: 0.8, top_p: 0.95, top_k, seed: 3 };
    for (directory, sampling) in [
        ("demo-model", Sampling::Greedy),
        ("demo-model", drawn(40)),
        // So many that all logits are fetched.
        ("demo-model", drawn(0)),
        ("variants/E2B", Sampling::Greedy),
        ("variants/E2B-f16", Sampling::Greedy),
        ("variants/12B", Sampling::Greedy),
        ("demo-model-mobius", Sampling::Greedy),
    ] {
        let [mut here, mut there] = [Device::Cpu, Device::EmulatedCuda].map(|device| {
            let mut asked = Asked::on(device, directory, 12, 30);
            asked.sampling = sampling;
            asked
        });
        let expected = here.alone();
        compare(&expected, &there.alone(), BatchLimits::single());
        // Sums of f16 come out otherwise in a run of another shape, on any device.
        if directory != "variants/E2B-f16" {
            for limits in [
                BatchLimits::default(),
                BatchLimits { rows: 3, step_tokens: 30, prompt_tokens: 1000 },
            ] {
                compare(&expected, &there.together(limits, &mut random), limits);
            }
        }
        assert_eq!(here.model.traffic(), BusTraffic::default());
    }
}

/// The ids in, the ids and their probabilities out: a few bytes for a token, and nothing that grows
/// with the cache or the vocabulary.
#[test]
fn little_goes_over_the_bus_for_a_token() {
    for directory in ["demo-model", "variants/E2B"] {
        let mut asked = Asked::on(Device::EmulatedCuda, directory, 1, 60);
        let features = asked.views[0].0.clone();
        let query = asked.prompter.query("detect shape", &Conversation::default()).unwrap();
        let mut bytes = |tokens: usize| {
            let options = GenerateOptions {
                max_new_tokens: tokens,
                sampling: Sampling::Greedy,
                labels: 9,
                stream: 0,
            };
            let kind = RequestKind::Generate { options, grammar: None };
            let request = Request { prompt_ids: query.token_ids(asked.views[0].1), kind };
            let before = asked.model.traffic();
            let reply =
                generate(&mut asked.model, &asked.prompter.tokenizer, features.clone(), request)
                    .unwrap();
            let after = asked.model.traffic();
            let written = reply.into_answer().unwrap().ids.len() as u64;
            (after.to_device + after.from_device - before.to_device - before.from_device, written)
        };
        let ((few, short), (many, long)) = (bytes(5), bytes(25));
        assert!(long > short, "{directory}: {short} and {long} tokens");
        let each = (many - few) / (long - short);
        assert!((1..=100).contains(&each), "{directory}: {each} bytes a token");
    }
}

/// Not only the boxes: who is decoded beside an answer changes the last digits of its
/// probabilities, and none of that is in the files.
#[test]
fn the_exports_do_not_depend_on_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut first: Option<Vec<String>> = None;
    let mut scored_again = 0;
    for batch in ["1", "3", "16"] {
        let out = dir.path().join(batch);
        let ran = gemscope()
            .args([
                "detect",
                "--prompt",
                "detect shape",
                "--decoding",
                "grammar",
                "--open-labels",
                "--batch",
                batch,
            ])
            .args(["--export", "jsonl,coco", "--json", "--out"])
            .arg(&out)
            .arg(fixture("shapes"))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let summary: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        scored_again += summary["effort"]["scored_again"].as_u64().unwrap();
        let timeless = |line: &str| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("timings");
            record.to_string()
        };
        let mut journal: Vec<_> = std::fs::read_to_string(out.join("journal.jsonl"))
            .unwrap()
            .lines()
            .map(timeless)
            .collect();
        journal.sort();
        for file in ["detections.jsonl", "instances.json", "results.json"] {
            journal.push(std::fs::read_to_string(out.join(file)).unwrap());
        }
        let first = first.get_or_insert_with(|| journal.clone());
        assert!(*first == journal, "--batch {batch} wrote other files than --batch 1");
    }
    assert!(scored_again > 0, "nothing was scored again, so this test shows nothing");
}
