//! `gemscope inspect` and `gemscope model inspect`.

use std::fs;

use safetensors::SafeTensors;

use crate::support::{fixture, gemscope, json, json_lines, sha256};

#[test]
fn tensors_are_those_of_hugging_face() {
    let golden = json(fixture("golden/preprocess.json"));
    let case = golden["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["file"] == "photos/rocket.png")
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.safetensors");
    let output = gemscope()
        .arg("inspect")
        .arg(fixture("photos/rocket.png"))
        .args(["--budget", &case["budget"].to_string(), "--labels", "rocket,tower", "--tensors"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let inspected = &json_lines(String::from_utf8(output.stdout).unwrap())[0];
    for key in ["width", "height", "resized_width", "resized_height", "patches", "soft_tokens"] {
        assert_eq!(inspected[key], case[key], "{key}");
    }
    assert!(inspected["prompt"].as_str().unwrap().contains("<|image|>detect rocket and tower"));
    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let pixels = tensors.tensor("pixel_values").unwrap();
    assert_eq!(pixels.shape(), [1, case["max_patches"].as_u64().unwrap() as usize, 768]);
    assert_eq!(sha256(pixels.data()), case["pixel_values_sha256"].as_str().unwrap());
    let positions = tensors.tensor("image_position_ids").unwrap();
    assert_eq!(sha256(positions.data()), case["image_position_ids_sha256"].as_str().unwrap());
}

#[test]
fn an_exif_orientation_is_applied_unless_told_otherwise() {
    let inspect = |extra: &[&str]| {
        let output = gemscope()
            .arg("inspect")
            .arg(fixture("photos/coffee-orientation-6.jpg"))
            .args(extra)
            .output()
            .unwrap();
        json_lines(String::from_utf8(output.stdout).unwrap()).remove(0)
    };
    let (upright, stored) = (inspect(&[]), inspect(&["--no-exif"]));
    assert_eq!(upright["orientation"], 6);
    assert_eq!((&upright["width"], &upright["height"]), (&stored["height"], &stored["width"]));
}

#[test]
fn a_model_directory_says_what_it_is() {
    let inspect = |directory: &str| {
        let output = gemscope()
            .args(["model", "inspect"])
            .arg(fixture(directory))
            .args(["--budget", "70"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let community = inspect("demo-model");
    assert_eq!(community["layout"], "onnx-community");
    assert_eq!(community["config"]["default_budget"], 70);
    assert_eq!(community["config"]["stop_ids"], serde_json::json!([1, 6]));
    assert_eq!(community["special_tokens"]["image"], 9);
    assert_eq!(community["special_tokens"]["bos"], 2);
    assert_eq!(community["vocabulary_size"], 661);
    assert_eq!(community["serves_budget"], true);
    let decoder = community["graphs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|graph| graph["role"] == "decoder")
        .unwrap();
    assert!(
        decoder["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|port| port["name"] == "num_logits_to_keep")
    );
    let mobius = inspect("demo-model-mobius");
    assert_eq!(mobius["layout"], "genai");
    assert_eq!(mobius["config"]["default_budget"], 280);
}

#[test]
fn a_directory_that_is_not_a_model_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    for file in
        ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]
    {
        fs::copy(fixture("demo-model").join(file), dir.path().join(file)).unwrap();
    }
    let output = gemscope().args(["model", "inspect"]).arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("onnx/decoder_model_merged*.onnx") && stderr.contains("notes.txt"),
        "{stderr}"
    );
}
