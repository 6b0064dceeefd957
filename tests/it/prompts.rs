//! Prompts equal those of Hugging Face's processor, token for token.

use std::collections::HashMap;
use std::path::PathBuf;

use gemscope::prompt::{Conversation, Prompter, Query};
use serde_json::Value;

use crate::support::{fixture, gemma4, gemscope, json, json_lines};

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// What gemscope asks: an optional system prompt, then one image and a text. Golden cases of other
/// shapes are for other clients.
fn as_query(case: &Value) -> Option<(String, Conversation)> {
    let mut messages = case["messages"].as_array()?.iter();
    let mut message = messages.next()?;
    let mut system = None;
    if message["role"] == "system" {
        system = Some(
            message["content"]
                .as_str()
                .or_else(|| message["content"][0]["text"].as_str())?
                .to_owned(),
        );
        message = messages.next()?;
    }
    let content = message["content"].as_array()?;
    let [image, text] = content.as_slice() else { return None };
    if messages.next().is_some()
        || message["role"] != "user"
        || image["type"] != "image"
        || text["type"] != "text"
    {
        return None;
    }
    let thinking = case["enable_thinking"].as_bool().unwrap_or(false);
    Some((
        text["text"].as_str()?.to_owned(),
        Conversation { system, thinking, ..Conversation::default() },
    ))
}

/// Golden cases whose text has special tokens in it.
const NAMES_SPECIAL_TOKENS: [&str; 3] =
    ["special tokens in the text", "image markers in the text", "image token in the text"];

/// The special tokens of a prompt, in order, without those that stand for the view.
fn special_ids(prompter: &Prompter, query: &Query) -> Vec<u32> {
    let tokens =
        ["<bos>", "<eos>", "<|turn>", "<turn|>", "<|think|>", "<|image>", "<image|>", "<|image|>"];
    let special: Vec<u32> =
        tokens.iter().filter_map(|token| prompter.tokenizer.id(token)).collect();
    query.token_ids(3).into_iter().filter(|id| special.contains(id)).collect()
}

#[test]
fn every_golden_prompt() {
    let golden = json(fixture("golden/prompts.json"));
    let directories: HashMap<&str, PathBuf> = HashMap::from([
        ("demo", fixture("demo-model")),
        ("gemma4", gemma4("chat_template.jinja")),
        ("gemma4-e2b", gemma4("chat_template.e2b.jinja")),
    ]);
    let prompters: HashMap<&str, Prompter> = directories
        .iter()
        .map(|(name, directory)| (*name, Prompter::open(directory).unwrap()))
        .collect();
    let plain =
        |prompter: &Prompter| prompter.query("detect a cat", &Conversation::default()).unwrap();
    let template_ids: HashMap<&str, Vec<u32>> = prompters
        .iter()
        .map(|(name, prompter)| (*name, special_ids(prompter, &plain(prompter))))
        .collect();
    let mut checked = HashMap::new();
    for case in golden["cases"].as_array().unwrap() {
        let Some((text, conversation)) = as_query(case) else { continue };
        let model = case["model"].as_str().unwrap();
        let name = format!("{model}: {}", case["name"]);
        let query = prompters[model].query(&text, &conversation);
        let query = query.unwrap();
        if NAMES_SPECIAL_TOKENS.contains(&case["name"].as_str().unwrap()) {
            // The processor reads them as tokens, or fails over an image that is not there. Here
            // they are words.
            assert_eq!(special_ids(&prompters[model], &query), template_ids[model], "{name}");
        } else {
            assert_eq!(query.rendered, case["prompt"].as_str().unwrap(), "{name}");
            let soft_tokens = case["soft_tokens"][0].as_u64().unwrap() as u32;
            assert_eq!(query.token_ids(soft_tokens), ids(&case["ids"]), "{name}");
            assert_eq!(query.token_count(soft_tokens), ids(&case["ids"]).len(), "{name}");
        }
        *checked.entry(model).or_insert(0) += 1;
    }
    assert!(checked.len() == 3 && checked.values().all(|&count| count >= 15), "{checked:?}");
}

/// The photograph itself is not here (its licence is unknown); its size is all that the ids need.
#[test]
fn the_real_models_prompts_about_the_cat() {
    let dir = tempfile::tempdir().unwrap();
    let picture = dir.path().join("cat.png");
    image::RgbImage::new(960, 686).save(&picture).unwrap();
    for (template, golden, count) in [
        ("chat_template.e2b.jinja", "gemma-4-e2b-it.json", 283),
        ("chat_template.jinja", "gemma-4-31b-it.json", 287),
    ] {
        let expected = ids(&json(fixture("gemma4/golden").join(golden))["input_ids"]);
        assert_eq!(expected.len(), count);
        let output = gemscope()
            .arg("inspect")
            .arg(&picture)
            .arg("--model")
            .arg(gemma4(template))
            .args(["--budget", "280", "--prompt", "Describe this image in detail."])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let inspected = json_lines(String::from_utf8(output.stdout).unwrap());
        assert_eq!(ids(&inspected[0]["token_ids"]), expected, "{golden}");
    }
}

#[test]
fn every_tokenizer_vector() {
    let prompter = Prompter::open(&gemma4("chat_template.jinja")).unwrap();
    let read = |name: &str| std::fs::read_to_string(fixture("gemma4").join(name)).unwrap();
    let (inputs, outputs) = (read("tokenizer_vectors.inp"), read("tokenizer_vectors.out"));
    // Texts are separated by a line of their own; the last one has none after it.
    let texts: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
    let expected: Vec<Vec<u32>> = outputs
        .lines()
        .map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect())
        .collect();
    let pairs: Vec<_> = texts.iter().zip(&expected).collect();
    assert_eq!(pairs.len(), 46);
    for (text, expected) in pairs {
        assert_eq!(&prompter.tokenizer.encode(text).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn the_image_between_blank_lines() {
    for directory in [fixture("demo-model"), gemma4("chat_template.jinja")] {
        let prompter = Prompter::open(&directory).unwrap();
        let ask = |image_newlines| {
            prompter
                .query("detect cat", &Conversation { image_newlines, ..Conversation::default() })
                .unwrap()
        };
        let (plain, between) = (ask(false), ask(true));
        assert_eq!(between.rendered, plain.rendered.replace("<|image|>", "\n\n<|image|>\n\n"));
        assert_ne!(between.token_ids(2), plain.token_ids(2));
        assert_eq!(
            prompter.tokenizer.encode(&between.rendered).unwrap().len() + 3,
            between.token_ids(2).len()
        );
    }
}
