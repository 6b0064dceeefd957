//! The exporter's graphs of every variant of Gemma 4, run as a user's would be: their greedy tokens are Hugging Face's.
//!
//! The models are tiny and random; what they share with the real ones is the shape of every variant: per-layer embeddings and shared KV (E2B,
//! E4B), experts (26B-A4B), keys as values, standardized features and bidirectional images (26B-A4B, 31B, 12B), no vision tower (12B).

use std::collections::BTreeMap;

use gemscope::generate::{GenerateOptions, Sampling, generate};
use gemscope::preprocess::{Budget, BudgetChoice, prepare};
use gemscope::prompt::Conversation;
use gemscope::record::Ended;

use crate::support::{fixture, json, open};

/// Random models repeat themselves, which Gemscope stops; until then the tokens must be equal, and so many of them.
const FEWEST_TOKENS: usize = 12;

#[test]
fn greedy_tokens_of_every_variant() {
    let golden = json(fixture("golden/variants.json"));
    let max_new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
    let mut cases_of: BTreeMap<&str, Vec<&serde_json::Value>> = BTreeMap::new();
    for case in golden["cases"].as_array().unwrap() {
        cases_of.entry(case["model"].as_str().unwrap()).or_default().push(case);
    }
    assert_eq!(cases_of.keys().copied().collect::<Vec<_>>(), ["12B", "26B-A4B", "31B", "E2B", "E4B"]);
    for (variant, cases) in cases_of {
        let (prompter, mut model) = open(&fixture("variants").join(variant));
        let (mut budgets, mut compared) = (Vec::new(), 0);
        for case in cases {
            let (file, prompt) = (case["file"].as_str().unwrap(), case["prompt"].as_str().unwrap());
            let name = format!("{variant}: {file} {prompt}");
            let budget = Budget::try_from(case["budget"].as_u64().unwrap() as u32).unwrap();
            budgets.push(budget);
            let image = gemscope::image::decode(&std::fs::read(fixture(file)).unwrap(), true).unwrap();
            let view = prepare(&image, BudgetChoice::Fixed(budget), model.patch_side()).unwrap();
            let soft_tokens = view.size.soft_tokens();
            let prompt_ids = prompter.query(prompt, &Conversation::default()).unwrap().token_ids(soft_tokens);
            assert_eq!(prompt_ids.len() as u64, case["input_count"].as_u64().unwrap(), "{name}");
            let features = model.encode(view.patches, soft_tokens).unwrap();
            let options = GenerateOptions { max_new_tokens, sampling: Sampling::Greedy, labels: 1, stream: 0 };
            let answer = generate(&mut model, &prompter.tokenizer, &prompt_ids, &features, &options).unwrap();
            let expected: Vec<u32> =
                case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
            assert!(expected.starts_with(&answer.ids), "{name}: {:?} instead of {expected:?}", answer.ids);
            assert!(answer.ended == Ended::Looped || answer.ids.len() == expected.len(), "{name}");
            compared += answer.ids.len();
        }
        budgets.dedup();
        assert!(budgets.len() >= 2, "{variant}: only the budgets {budgets:?}");
        assert!(compared >= 3 * FEWEST_TOKENS, "{variant}: only {compared} tokens compared");
    }
}

/// In f16 the tokens may differ where two are nearly as probable, but there must be some, and a cache and logits in f16 are cast.
#[test]
fn f16_graphs_answer() {
    let (prompter, mut model) = open(&fixture("variants/E2B-f16"));
    let image = gemscope::image::decode(&std::fs::read(fixture("shapes/scene-01.png")).unwrap(), true).unwrap();
    let budget = BudgetChoice::Fixed(Budget::try_from(70).unwrap());
    let view = prepare(&image, budget, model.patch_side()).unwrap();
    let soft_tokens = view.size.soft_tokens();
    let prompt_ids = prompter.query("detect shape", &Conversation::default()).unwrap().token_ids(soft_tokens);
    let features = model.encode(view.patches, soft_tokens).unwrap();
    assert!(features.values.iter().all(|value| value.is_finite()));
    let options = GenerateOptions { max_new_tokens: 24, sampling: Sampling::Greedy, labels: 1, stream: 0 };
    let answer = generate(&mut model, &prompter.tokenizer, &prompt_ids, &features, &options).unwrap();
    assert!(!answer.ids.is_empty() && answer.spans.iter().all(|span| span.log_probability.is_finite()));
}
