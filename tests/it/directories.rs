//! Directories as people have them: found, or called what they are, with the way on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{fixture, gemma4, gemscope, json};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const POINTER: &str =
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1519700992\n";

/// A copy of a fixture's folder.
fn copy(name: &str, to: &Path) {
    let from = fixture(name);
    for entry in walkdir::WalkDir::new(&from).into_iter().map(Result::unwrap) {
        let at = to.join(entry.path().strip_prefix(&from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(at).unwrap();
        } else {
            fs::copy(entry.path(), at).unwrap();
        }
    }
}

/// A folder with such files.
fn folder(at: &Path, files: &[(&str, &str)]) -> PathBuf {
    for (name, content) in files {
        let path = at.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    at.to_owned()
}

struct Answer {
    code: Option<i32>,
    said: String,
    /// What run.json says.
    manifest: Option<serde_json::Value>,
}

fn detect(model: impl AsRef<Path>, flags: &[&str]) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let output = gemscope()
        .args([
            "detect",
            "--prompt",
            "detect star",
            "--max-new-tokens",
            "8",
            "--budget",
            "70",
            "--model",
        ])
        .arg(model.as_ref())
        .args(flags)
        .arg("--out")
        .arg(&out)
        .arg(fixture("shapes/scene-01.png"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    Answer {
        code: output.status.code(),
        said,
        manifest: out.exists().then(|| json(out.join("run.json"))),
    }
}

/// What is said of a model that is refused.
fn refused(model: impl AsRef<Path>, flags: &[&str]) -> String {
    let Answer { code, said, manifest } = detect(model, flags);
    assert!(code == Some(1) && manifest.is_none(), "{said}");
    said
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

#[test]
fn a_model_is_found_from_the_folders_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("huggingface");
    let folder = home.join("hub/models--demo--shapes");
    let snapshot = folder.join("snapshots").join(COMMIT);
    copy("demo-model", &snapshot);
    fs::create_dir_all(folder.join("refs")).unwrap();
    fs::write(folder.join("refs/main"), COMMIT).unwrap();
    for place in [
        &folder,
        &folder.join("snapshots"),
        &snapshot,
        &snapshot.join("onnx"),
        &home.join("hub"),
        &home,
    ] {
        let found = detect(place, &[]);
        let Some(manifest) = found.manifest else { panic!("{}: {}", place.display(), found.said) };
        assert_eq!(manifest["model"], "demo/shapes", "{}", place.display());
    }
    // A folder that holds one, beside other things; and more than one.
    let models = dir.path().join("models");
    copy("demo-model", &models.join("shapes"));
    fs::create_dir_all(models.join("notes")).unwrap();
    assert_eq!(detect(&models, &[]).manifest.unwrap()["model"], "shapes");
    copy("demo-model", &models.join("other"));
    says(&refused(&models, &[]), &["holds 2 models", "shapes", "other"]);
}

#[test]
fn what_a_clone_left_in_place_of_files_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("clone");
    copy("demo-model", &model);
    let graph = |name: &str| model.join("onnx").join(name);
    for name in ["vision_encoder", "embed_tokens", "decoder_model_merged"] {
        fs::rename(graph(&format!("{name}.onnx")), graph(&format!("{name}_q4.onnx"))).unwrap();
        fs::write(graph(&format!("{name}.onnx")), POINTER).unwrap();
        fs::write(graph(&format!("{name}_fp16.onnx")), "\n<!DOCTYPE html>\n<html>").unwrap();
        fs::write(graph(&format!("{name}_quantized.onnx")), "").unwrap();
    }
    let found = detect(&model, &[]);
    assert!(found.manifest.is_some(), "{}", found.said);
    says(
        &found.said,
        &[
            "Passed over",
            "a git-lfs pointer to 1.52 GB",
            "a web page",
            "empty",
            "decoder_model_merged_q4.onnx",
        ],
    );
    // A precision that is named is never another one.
    let said = refused(&model, &["--dtype", "fp32"]);
    says(
        &said,
        &["vision_encoder.onnx: a git-lfs pointer", "git lfs pull", "gemscope model download"],
    );
    says(&refused(&model, &["--dtype", "fp16"]), &["vision_encoder_fp16.onnx: a web page"]);
    fs::write(model.join("tokenizer.json"), POINTER).unwrap();
    says(&refused(&model, &[]), &["tokenizer.json: a git-lfs pointer"]);
    fs::write(model.join("tokenizer.json"), "<html><body>Sign in</body></html>").unwrap();
    says(&refused(&model, &[]), &["tokenizer.json: a web page"]);
}

#[test]
fn external_data_that_is_not_whole_is_named_with_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    copy("demo-model-mobius", &model);
    let data = model.join("decoder/model.onnx.data");
    let whole = fs::read(&data).unwrap();
    fs::write(&data, &whole[..whole.len() / 2]).unwrap();
    let said = refused(&model, &[]);
    let (there, needed) = ((whole.len() / 2).to_string(), whole.len().to_string());
    says(
        &said,
        &["decoder/model.onnx", "model.onnx.data", &there, &needed, "not fetched to its end"],
    );
    fs::write(&data, POINTER).unwrap();
    says(
        &refused(&model, &[]),
        &["its weights lie in \"model.onnx.data\", which is a git-lfs pointer"],
    );
    fs::remove_file(&data).unwrap();
    says(&refused(&model, &[]), &["model.onnx.data", "cannot be read", &needed]);
    fs::write(&data, &whole).unwrap();
    assert!(detect(&model, &[]).manifest.is_some());
}

#[test]
fn names_of_servers_lead_to_servers() {
    says(
        &refused("gemma4:e2b", &[]),
        &["a name of Ollama's", "--server http://localhost:11434 --server-model gemma4:e2b"],
    );
    says(&refused("library/gemma4:12b-it-qat", &[]), &["a name of Ollama's"]);
    says(
        &refused("http://localhost:8000/v1", &[]),
        &["is a URL", "--server http://localhost:8000/v1"],
    );
    let page = "https://huggingface.co/onnx-community/gemma-4-E2B-it-ONNX/tree/main";
    says(&refused(page, &[]), &["gemscope model download onnx-community/gemma-4-E2B-it-ONNX"]);
    says(
        &refused("hf:gemma4", &[]),
        &["\"gemma4\" is no name of a model on the Hub", "OWNER/NAME"],
    );
    let home = tempfile::tempdir().unwrap();
    let output = gemscope()
        .env("HF_HUB_CACHE", home.path())
        .args(["detect", "--labels", "x", "--model", "onnx-community/gemma-4-E2B-it-ONNX", "--out"])
        .arg(home.path().join("run"))
        .arg(fixture("shapes"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    says(
        &said,
        &["is not in", "to fetch it: gemscope model download onnx-community/gemma-4-E2B-it-ONNX"],
    );
    says(&refused("/no/such/model", &[]), &["no such model directory", "gemscope model list"]);
}

#[test]
fn files_that_are_not_run_here_are_called_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str, files: &[(&str, &str)]| folder(&dir.path().join(name), files);
    let gemma = r#"{"model_type": "gemma4"}"#;

    let checkpoint = made(
        "checkpoint",
        &[("config.json", gemma), ("model.safetensors", "x"), ("tokenizer.json", "{}")],
    );
    says(
        &refused(&checkpoint, &[]),
        &["a checkpoint", "gemscope.onnx_export model", "gemscope model download"],
    );
    says(&refused(checkpoint.join("model.safetensors"), &[]), &["a checkpoint"]);
    let other = made(
        "other",
        &[
            ("config.json", r#"{"model_type": "gemma3"}"#),
            ("model-00001-of-00002.safetensors", "x"),
        ],
    );
    says(&refused(&other, &[]), &["model type \"gemma3\"", "only Gemma 4"]);
    let gguf = made(
        "gguf",
        &[("gemma-4-E2B-it-Q4_K_M.gguf", "GGUF\x03"), ("mmproj-F16.gguf", "GGUF\x03")],
    );
    says(&refused(&gguf, &[]), &["GGUF", "llama-server", "--server URL"]);
    says(&refused(gguf.join("mmproj-F16.gguf"), &[]), &["GGUF"]);
    // As Ollama keeps it, without a name.
    let blob = made("blobs", &[("sha256-4d7a", "GGUF\x03")]);
    says(&refused(blob.join("sha256-4d7a"), &[]), &["GGUF"]);
    let phone = made("phone", &[("gemma-4-E2B-it.litertlm", "x")]);
    says(&refused(&phone, &[]), &["LiteRT-LM"]);
    says(&refused(phone.join("gemma-4-E2B-it.litertlm"), &[]), &["LiteRT-LM"]);
    let adapter =
        made("adapter", &[("adapter_config.json", "{}"), ("adapter_model.safetensors", "x")]);
    says(&refused(&adapter, &[]), &["an adapter (LoRA)", "merge_and_unload"]);
    let export =
        made("export", &[("config.json", gemma), ("export.json", "{}"), ("model.onnx", "x")]);
    says(
        &refused(&export, &[]),
        &["an export by transformers itself", "gemscope.onnx_export model"],
    );
    let text = made(
        "text",
        &[("config.json", gemma), ("onnx/model_q4.onnx", "x"), ("tokenizer.json", "{}")],
    );
    says(&refused(&text, &[]), &["a text-only export"]);
    let genai = made(
        "genai",
        &[
            ("genai_config.json", r#"{"model": {"decoder": {"filename": "model.onnx"}}}"#),
            ("model.onnx", "x"),
        ],
    );
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"] {
        fs::copy(fixture("demo-model").join(name), genai.join(name)).unwrap();
    }
    says(&refused(&genai, &[]), &["a text-only export cannot see images"]);
    let archive = made("archive", &[("model.zip", "PK")]);
    says(&refused(archive.join("model.zip"), &[]), &["an archive", "unpack it"]);
    let graph = fixture("demo-model/onnx/decoder_model_merged.onnx");
    says(&refused(graph, &[]), &["is a file, and a model is a directory"]);
    let nothing = made("nothing", &[("readme.txt", "x")]);
    says(&refused(&nothing, &[]), &["no model found", "readme.txt"]);
}

#[test]
fn a_tokenizer_of_another_model_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    copy("demo-model", &model);
    let theirs = gemma4("chat_template.jinja");
    fs::copy(theirs.join("tokenizer.json"), model.join("tokenizer.json")).unwrap();
    fs::remove_file(model.join("tokenizer_config.json")).unwrap();
    says(
        &refused(&model, &[]),
        &["tokenizer.json is of another model", "258880", "image_token_id"],
    );
    // With their settings too, the graph tells.
    fs::copy(theirs.join("generation_config.json"), model.join("generation_config.json")).unwrap();
    fs::remove_file(model.join("config.json")).unwrap();
    says(&refused(&model, &[]), &["tokenizer.json: of another model: it has 26214", "logits for"]);
}

/// A field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [field.as_slice(), content].concat()
}

/// A graph that says its inputs, with the width of the last axis, and the names of its weights.
fn graph(inputs: &[(&str, u64)], weights: &[&str]) -> Vec<u8> {
    let mut content = Vec::new();
    for (name, width) in inputs {
        let dimension =
            [[1 << 3].as_slice(), &[(*width as u8 & 0x7F) | 0x80, (width >> 7) as u8]].concat();
        let shape = field(1, &dimension);
        let tensor = field(1, &field(2, &shape));
        content.extend(field(11, &[field(1, name.as_bytes()), field(2, &tensor)].concat()));
    }
    content.extend(weights.iter().flat_map(|name| field(5, &field(8, name.as_bytes()))));
    [vec![8, 8], field(7, &content)].concat()
}

#[test]
fn exports_that_are_known_to_be_wrong_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path();
    for name in
        ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]
    {
        fs::copy(fixture("demo-model").join(name), model.join(name)).unwrap();
    }
    let config = r#"{"model": {"decoder": {"filename": "d.onnx"}, "vision": {"filename": "v.onnx"}, "embedding": {"filename": "e.onnx"}}}"#;
    fs::write(model.join("genai_config.json"), config).unwrap();
    fs::write(model.join("e.onnx"), graph(&[("input_ids", 200)], &[])).unwrap();
    let with = |vision: Vec<u8>, decoder: Vec<u8>| {
        fs::write(model.join("v.onnx"), vision).unwrap();
        fs::write(model.join("d.onnx"), decoder).unwrap();
        refused(model, &[])
    };
    let ids = [("inputs_embeds", 200), ("input_ids", 200)];
    let (none, own) =
        ([("inputs_embeds", 200)], [("inputs_embeds", 200), ("per_layer_inputs", 200)]);
    let standard = ["vision_tower.std_bias", "vision_tower.std_scale"];
    // 26B and 31B as mobius makes them, by its default and for CPUs.
    let said = with(graph(&[("pixel_values", 768)], &[]), graph(&ids, &[]));
    says(&said, &["a wrong export of Gemma 4", "std_bias", "--allow-inexact"]);
    assert!(!said.contains("input_ids"), "{said}");
    says(
        &with(graph(&[("pixel_values", 768)], &[]), graph(&none, &[])),
        &["std_bias", "no input_ids"],
    );
    // 12B for CPUs.
    let said = with(graph(&[("pixel_values", 6912)], &[]), graph(&none, &[]));
    says(&said, &["no input_ids"]);
    assert!(!said.contains("std_bias"), "{said}");
    // Right ones fail later, since these are no graphs to run.
    for (vision, decoder) in [
        (graph(&[("pixel_values", 768)], &standard), graph(&ids, &[])),
        (graph(&[("pixel_values", 6912)], &[]), graph(&ids, &[])),
        (graph(&[("pixel_values", 768)], &[]), graph(&own, &[])),
    ] {
        fs::write(model.join("v.onnx"), vision).unwrap();
        fs::write(model.join("d.onnx"), decoder).unwrap();
        let said = detect(model, &[]).said;
        assert!(said.contains("Graphs: v.onnx") && !said.contains("wrong export"), "{said}");
    }
}

#[test]
fn a_wrong_export_runs_if_that_is_allowed_and_its_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("31B");
    copy("variants/31B", &model);
    // Graphs that are right, laid out as those are that lack what these have under other names.
    let config = r#"{"model": {"decoder": {"filename": "onnx/decoder_model_merged.onnx"}, "vision":
        {"filename": "onnx/vision_encoder.onnx"}, "embedding": {"filename": "onnx/embed_tokens.onnx"}}}"#;
    fs::write(model.join("genai_config.json"), config).unwrap();
    let vision = model.join("onnx/vision_encoder.onnx");
    let bytes = fs::read(&vision).unwrap();
    let mut renamed = bytes.clone();
    for at in 0..bytes.len() - 4 {
        if &bytes[at..at + 4] == b"std_" {
            renamed[at..at + 4].copy_from_slice(b"xyz_");
        }
    }
    fs::write(&vision, renamed).unwrap();
    says(&refused(&model, &[]), &["a wrong export of Gemma 4"]);
    let run = detect(&model, &["--allow-inexact"]);
    let Some(manifest) = run.manifest else { panic!("{}", run.said) };
    assert!(
        run.said.starts_with(&format!("{} is a wrong export", model.display())),
        "{}",
        run.said
    );
    assert!(manifest["inexact"][0].as_str().unwrap().contains("std_bias"), "{manifest}");
    // Others say nothing of the kind.
    assert!(detect(fixture("variants/31B"), &[]).manifest.unwrap().get("inexact").is_none());
}

#[test]
fn probes_print_nothing_of_onnx_runtimes() {
    // Its vision graph takes one view at a time, which is found out by trying two.
    let dir = tempfile::tempdir().unwrap();
    let output = gemscope()
        .env("GEMSCOPE_CACHE", dir.path().join("cache"))
        .env("ORT_DYLIB_PATH", crate::support::runtime().library.clone().unwrap())
        .args(["model", "inspect"])
        .arg(fixture("demo-model-mobius"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && !said.contains("ERROR") && !said.contains("Squeeze"),
        "{said}"
    );
    let inspected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(inspected["probes"]["vision_batch"], false, "{inspected}");
}
