//! The exporter's graphs of every variant of Gemma 4, run as a user's would be: their greedy tokens
//! are Hugging Face's.
//!
//! The models are tiny and random; what they share with the real ones is the shape of every
//! variant: per-layer embeddings and shared KV (E2B, E4B), experts (26B-A4B), keys as values,
//! standardized features and bidirectional images (26B-A4B, 31B, 12B), no vision tower (12B).

use std::collections::BTreeMap;

use crate::support::{FEWEST_TOKENS, answer, budget, compare_tokens, fixture, ids, json, open};

#[test]
fn greedy_tokens_of_every_variant() {
    let golden = json(fixture("golden/variants.json"));
    let max_new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
    let mut cases_of: BTreeMap<&str, Vec<&serde_json::Value>> = BTreeMap::new();
    for case in golden["cases"].as_array().unwrap() {
        cases_of.entry(case["model"].as_str().unwrap()).or_default().push(case);
    }
    assert_eq!(
        cases_of.keys().copied().collect::<Vec<_>>(),
        ["12B", "26B-A4B", "31B", "E2B", "E4B"]
    );
    for (variant, cases) in cases_of {
        let (prompter, mut model) = open(&fixture("variants").join(variant));
        let (mut budgets, mut compared) = (Vec::new(), 0);
        for case in cases {
            let name = format!("{variant}: {} {}", case["file"], case["prompt"]);
            let budget = budget(&case["budget"]);
            budgets.push(budget);
            let answer = answer(&prompter, &mut model, case, budget, max_new_tokens);
            compared += compare_tokens(&name, &answer, &ids(case));
        }
        budgets.dedup();
        assert!(budgets.len() >= 2, "{variant}: only the budgets {budgets:?}");
        assert!(compared >= 3 * FEWEST_TOKENS, "{variant}: only {compared} tokens compared");
    }
}

/// In f16 the tokens may differ where two are nearly as probable, but there must be some, and a
/// cache and logits in f16 are cast.
#[test]
fn f16_graphs_answer() {
    let golden = json(fixture("golden/variants.json"));
    let case =
        golden["cases"].as_array().unwrap().iter().find(|case| case["model"] == "E2B").unwrap();
    let (prompter, mut model) = open(&fixture("variants/E2B-f16"));
    let answer = answer(&prompter, &mut model, case, budget(&case["budget"]), 24);
    assert!(
        !answer.ids.is_empty()
            && answer.spans.iter().all(|span| span.log_probability.is_some_and(f64::is_finite))
    );
}
