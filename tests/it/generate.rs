//! Greedy tokens equal Hugging Face's `generate()`, in both layouts.

use gemscope::record::Budget;

use crate::support::{answer, budget, fixture, ids, json, open};

#[test]
fn greedy_tokens_of_both_layouts() {
    let golden = json(fixture("golden/generate.json"));
    let budget = budget(&golden["budget"]);
    let max_new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    for directory in ["demo-model", "demo-model-mobius"] {
        let (prompter, mut model) = open(&fixture(directory));
        let mut scored = 0;
        for case in cases {
            let name = format!("{directory}: {} {}", case["file"], case["prompt"]);
            let expected = ids(case);
            let generated = answer(&prompter, &mut model, case, budget, max_new_tokens);
            let (ids, text) = (generated.ids, generated.text);
            let log_probabilities: Vec<f64> =
                generated.spans.iter().map(|span| span.log_probability.unwrap()).collect();
            assert_eq!(ids, expected, "{name}");
            assert_eq!(text, case["text"].as_str().unwrap(), "{name}");
            // The text that grows token by token is the text of all tokens at once.
            assert_eq!(
                text,
                prompter.tokenizer.decode(&ids[..log_probabilities.len()]).unwrap(),
                "{name}"
            );
            for (ours, theirs) in log_probabilities
                .iter()
                .zip(case["log_probabilities"].as_array().into_iter().flatten())
            {
                assert!(
                    (ours - theirs.as_f64().unwrap()).abs() < 2e-3,
                    "{name}: {ours} and {theirs}"
                );
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
    assert!(community.probes.batch && community.probes.left_padding_harmless);
    assert!(community.probes.prompt_batch);
    for budget in Budget::ALL {
        assert!(community.probe_budget(budget).unwrap(), "{budget}");
    }
    let (_, mut mobius) = open(&fixture("demo-model-mobius"));
    assert!(mobius.probe_budget(Budget::ALL[0]).unwrap());
    assert!(!mobius.probes.vision_batch, "mobius' vision graph takes one view a run");
}
