//! Model directories that are broken, wrong or malicious: an error that names the file and the
//! cause, never a crash or an endless loop.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{fixture, gemma4, gemscope};

/// A copy of the demo model.
fn model(dir: &Path) {
    for entry in walkdir::WalkDir::new(fixture("demo-model")) {
        let entry = entry.unwrap();
        let to = dir.join(entry.path().strip_prefix(fixture("demo-model")).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a run with the demo model says, after `spoil` has changed it.
fn says(spoil: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    model(dir.path());
    spoil(dir.path());
    let output = gemscope()
        .timeout(Duration::from_mins(2))
        .arg("detect")
        .arg(fixture("shapes/scene-01.png"))
        .args(["--labels", "star", "--model"])
        .arg(dir.path())
        .arg("--out")
        .arg(dir.path().join("run"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn assert_says(what: &str, words: &[&str], spoil: impl FnOnce(&Path)) {
    let stderr = says(spoil);
    for word in words {
        assert!(stderr.contains(word), "{what}: {word:?} is not in: {stderr}");
    }
}

const VISION: &str = "onnx/vision_encoder.onnx";
const EMBEDDING: &str = "onnx/embed_tokens.onnx";
const DECODER: &str = "onnx/decoder_model_merged.onnx";

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    [varint(field << 3 | 2), varint(content.len() as u64), content].concat()
}

fn text(field: u64, text: &str) -> Vec<u8> {
    message(field, &[text.as_bytes().to_vec()])
}

const FLOAT: u64 = 1;
const INT64: u64 = 7;
const STRING: u64 = 8;

/// An ONNX file whose outputs are its inputs, as (name of input, name of output, dtype, shape); a
/// dimension of 0 is symbolic.
fn onnx(ports: &[(&str, &str, u64, &[u64])], initializers: &[Vec<u8>]) -> Vec<u8> {
    let port = |field: u64, name: &str, dtype: u64, shape: &[u64]| {
        let dim = |(axis, size): (usize, &u64)| match size {
            0 => message(1, &[text(2, &format!("{name}_{axis}"))]),
            size => message(1, &[number(1, *size)]),
        };
        let shape: Vec<Vec<u8>> = shape.iter().enumerate().map(dim).collect();
        message(
            field,
            &[text(1, name), message(2, &[message(1, &[number(1, dtype), message(2, &shape)])])],
        )
    };
    let mut graph = vec![text(2, "made")];
    graph.extend(initializers.iter().map(|tensor| message(5, std::slice::from_ref(tensor))));
    for (input, output, dtype, shape) in ports {
        graph.push(message(1, &[text(1, input), text(2, output), text(4, "Identity")]));
        graph.push(port(11, input, *dtype, shape));
        graph.push(port(12, output, *dtype, shape));
    }
    [number(1, 8), message(7, &graph), message(8, &[number(2, 17)])].concat()
}

fn external(name: &str, location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| message(13, &[text(1, key), text(2, value)]);
    [number(1, 4), number(2, FLOAT), text(8, name), entry("location", location), number(14, 1)]
        .concat()
}

#[test]
fn graphs_that_are_missing_cut_or_of_another_model() {
    assert_says("missing", &["no decoder graph", "decoder_model_merged*.onnx"], |dir| {
        fs::remove_file(dir.join(DECODER)).unwrap();
    });
    for graph in [VISION, EMBEDDING, DECODER] {
        for part in [0, 2, 3] {
            assert_says(graph, &[graph], |dir| {
                let bytes = fs::read(dir.join(graph)).unwrap();
                fs::write(dir.join(graph), &bytes[..bytes.len() * part / 4]).unwrap();
            });
        }
        assert_says(graph, &[graph], |dir| fs::write(dir.join(graph), "I am no graph").unwrap());
    }
    assert_says("swapped", &[VISION, "no input `pixel_values`"], |dir| {
        fs::copy(dir.join(DECODER), dir.join(VISION)).unwrap();
    });
    // Of another model, with another width or vocabulary.
    for graph in [VISION, EMBEDDING, DECODER] {
        assert_says(graph, &[".onnx"], |dir| {
            fs::copy(fixture("variants/E2B").join(graph), dir.join(graph)).unwrap();
        });
    }
    assert_says(
        "ids that the graph does not know",
        &["tokenizer.json is of another model"],
        |dir| {
            for file in ["tokenizer.json", "chat_template.jinja"] {
                fs::copy(gemma4("chat_template.e2b.jinja").join(file), dir.join(file)).unwrap();
            }
        },
    );
}

#[test]
fn dtypes_and_shapes_that_cannot_be() {
    let vision = |pixels: (u64, &[u64]), positions: (u64, &[u64])| {
        onnx(
            &[
                ("pixel_values", "image_features", pixels.0, pixels.1),
                ("image_position_ids", "x", positions.0, positions.1),
            ],
            &[],
        )
    };
    let good: &[u64] = &[0, 0, 2];
    assert_says("integers for pixels", &[VISION, "expected a float type"], |dir| {
        fs::write(dir.join(VISION), vision((INT64, &[0, 0, 768]), (INT64, good))).unwrap();
    });
    assert_says("floats for positions", &[VISION, "expected int64"], |dir| {
        fs::write(dir.join(VISION), vision((FLOAT, &[0, 0, 768]), (FLOAT, good))).unwrap();
    });
    assert_says("strings", &[VISION], |dir| {
        fs::write(dir.join(VISION), vision((STRING, &[0, 0, 768]), (INT64, good))).unwrap();
    });
    for shape in [&[1, 1 << 40, 768][..], &[1, 0, 1 << 40], &[768], &[1, 1, 1, 1, 768], &[]] {
        assert_says("a shape for pixels", &[VISION], |dir| {
            fs::write(dir.join(VISION), vision((FLOAT, shape), (INT64, good))).unwrap();
        });
    }
    // Heads and head sizes that no memory holds, and one that is symbolic.
    for (heads, size) in [(1 << 40, 1 << 40), (1 << 62, 1 << 62), (0, 16)] {
        assert_says("a cache", &[DECODER], |dir| {
            let shape: &[u64] = &[0, heads, 0, size];
            let decoder = onnx(
                &[
                    ("inputs_embeds", "logits", FLOAT, &[0, 0, 64]),
                    ("attention_mask", "x", INT64, &[0, 0]),
                    ("past_key_values.0.key", "present.0.key", FLOAT, shape),
                    ("past_key_values.0.value", "present.0.value", FLOAT, shape),
                ],
                &[],
            );
            fs::write(dir.join(DECODER), decoder).unwrap();
        });
    }
}

#[test]
fn weights_come_from_the_model_directory_or_not_at_all() {
    let with = |location: &str| {
        onnx(
            &[
                ("pixel_values", "image_features", FLOAT, &[0, 0, 768]),
                ("image_position_ids", "x", INT64, &[0, 0, 2]),
            ],
            &[external("w", location)],
        )
    };
    for location in ["../../../../etc/passwd", "/etc/passwd", "onnx/../../x"] {
        assert_says(location, &[VISION, "outside of the model's folder"], |dir| {
            fs::write(dir.join(VISION), with(location)).unwrap();
        });
    }
    assert_says("missing", &["gone.bin"], |dir| {
        fs::write(dir.join(VISION), with("gone.bin")).unwrap();
    });
    assert_says(
        "a graph elsewhere",
        &["genai_config.json", "outside of the model directory"],
        |dir| {
            let config = r#"{"model": {"vision": {"filename": "../../elsewhere.onnx"}, "embedding": {"filename": "e"}, "decoder": {"filename": "d"}}}"#;
            fs::write(dir.join("genai_config.json"), config).unwrap();
        },
    );
}

#[test]
fn tokenizers_templates_and_settings_that_do_not_fit() {
    assert_says("other specials", &["tokenizer.json", "image token"], |dir| {
        let tokenizer = fs::read_to_string(dir.join("tokenizer.json")).unwrap();
        fs::write(dir.join("tokenizer.json"), tokenizer.replace("<|image|>", "<|picture|>"))
            .unwrap();
    });
    assert_says("a broken tokenizer", &["tokenizer.json"], |dir| {
        fs::write(dir.join("tokenizer.json"), "{\"model\":").unwrap();
    });
    assert_says("no settings", &["generation_config.json"], |dir| {
        fs::write(dir.join("generation_config.json"), "[1,").unwrap();
    });
    let templates = [
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 100000000000 }}",
        "{% include 'chat_template' %}",
        "{{ raise_exception('no images here') }}",
        "{% if %}",
        "no image at all",
    ];
    for template in templates {
        assert_says(template, &["template"], |dir| {
            fs::write(dir.join("chat_template.jinja"), template).unwrap();
        });
    }
}
