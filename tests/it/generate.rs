//! Greedy tokens equal Hugging Face's `generate()`, in both layouts.

use gemscope::generate::{GenerateOptions, Sampling, generate};
use gemscope::model::Model;
use gemscope::preprocess::{Budget, BudgetChoice, prepare};
use gemscope::prompt::{Conversation, Prompter};
use serde_json::Value;

use crate::support::{fixture, json, open};

fn answer(
    prompter: &Prompter,
    model: &mut Model,
    case: &Value,
    budget: Budget,
    max_new_tokens: usize,
) -> (Vec<u32>, Vec<f64>, String) {
    let image = std::fs::read(fixture(case["file"].as_str().unwrap())).unwrap();
    let image = gemscope::image::decode(&image, true).unwrap();
    let view = prepare(&image, BudgetChoice::Fixed(budget), model.patch_side()).unwrap();
    let soft_tokens = view.size.soft_tokens();
    let query = prompter.query(case["prompt"].as_str().unwrap(), &Conversation::default()).unwrap();
    let features = model.encode(view.patches, soft_tokens).unwrap();
    let options = GenerateOptions { max_new_tokens, sampling: Sampling::Greedy, labels: 1, stream: 0 };
    let prompt_ids = query.token_ids(soft_tokens);
    assert_eq!(prompt_ids.len() as u64, case["input_count"].as_u64().unwrap());
    let generated = generate(model, &prompter.tokenizer, &prompt_ids, &features, &options).unwrap();
    let log_probabilities = generated.spans.iter().map(|span| span.log_probability).collect();
    (generated.ids, log_probabilities, generated.text)
}

#[test]
fn greedy_tokens_of_both_layouts() {
    let golden = json(fixture("golden/generate.json"));
    let budget = Budget::try_from(golden["budget"].as_u64().unwrap() as u32).unwrap();
    let max_new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    for directory in ["demo-model", "demo-model-mobius"] {
        let (prompter, mut model) = open(&fixture(directory));
        let mut scored = 0;
        for case in cases {
            let name = format!("{directory}: {} {}", case["file"], case["prompt"]);
            let expected: Vec<u32> =
                case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
            let (ids, log_probabilities, text) = answer(&prompter, &mut model, case, budget, max_new_tokens);
            assert_eq!(ids, expected, "{name}");
            assert_eq!(text, case["text"].as_str().unwrap(), "{name}");
            // The text that grows token by token is the text of all tokens at once.
            assert_eq!(text, prompter.tokenizer.decode(&ids[..log_probabilities.len()]).unwrap(), "{name}");
            for (ours, theirs) in
                log_probabilities.iter().zip(case["log_probabilities"].as_array().into_iter().flatten())
            {
                assert!((ours - theirs.as_f64().unwrap()).abs() < 2e-3, "{name}: {ours} and {theirs}");
                scored += 1;
            }
        }
        assert!(scored > 40, "only {scored} probabilities compared");
    }
}

#[test]
fn the_probes_of_both_layouts() {
    let (_, mut community) = open(&fixture("demo-model"));
    assert!(community.probes.image_ids_masked && community.probes.vision_batch);
    assert!(community.probes.left_padding_harmless);
    for budget in Budget::ALL {
        assert!(community.probe_budget(budget).unwrap(), "{budget}");
    }
    let (_, mut mobius) = open(&fixture("demo-model-mobius"));
    assert!(mobius.probe_budget(Budget::ALL[0]).unwrap());
    assert!(!mobius.probes.vision_batch, "mobius' vision graph takes one view a run");
}
