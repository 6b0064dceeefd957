//! Structured answers about whole images.

use std::fs;

use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{gemscope, images, json, json_lines};

fn schema() -> Value {
    json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {
            "weather": {"enum": ["sun", "rain"]},
            "people": {"type": "integer", "minimum": 0},
            "seen": {"type": "array", "items": {"type": "string"}},
        }, "required": ["weather"]})
}

#[test]
fn the_fields_of_a_schema_are_in_the_record_and_its_exports() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 3);
    let script = json!({"answers": [
        {"image": "00.png", "text": r#"{"weather": "rain", "people": 3, "seen": ["=a", "b"]}"#},
        {"image": "01.png", "text": "```json\n{\"people\": 0, \"seen\": [], \"weather\": \"sun\"}\n```"},
        {"image": "02.png", "text": r#"{"weather": "fog", "people": 3, "seen": []}"#},
    ]});
    let (script_file, schema_file) =
        (dir.path().join("script.json"), dir.path().join("schema.json"));
    fs::write(&script_file, script.to_string()).unwrap();
    fs::write(&schema_file, schema().to_string()).unwrap();
    let out = dir.path().join("run");
    let detect = |out: &std::path::Path| {
        let mut command = gemscope();
        command
            .args(["detect", "--prompt", "Describe the weather.", "--answer", "text", "--json"])
            .args(["--export", "csv,jsonl,coco", "--model"])
            .arg(format!("script:{}", script_file.display()))
            .arg("--schema")
            .arg(&schema_file)
            .arg("--out")
            .arg(out)
            .arg(&folder);
        command
    };
    let run = detect(&out).output().unwrap();
    let summary: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(summary["statuses"], json!({"text": 2, "refused": 1}));

    let lines = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    assert_eq!(lines[0]["fields"], json!({"weather": "rain", "people": 3, "seen": ["=a", "b"]}));
    let names: Vec<&String> = lines[1]["fields"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["weather", "people", "seen"], "in the order of the schema");
    assert!(lines[2].get("fields").is_none());
    let mut table = csv::Reader::from_path(out.join("detections.csv")).unwrap();
    let header = table.headers().unwrap().iter().skip(14).collect::<Vec<_>>().join("|");
    assert_eq!(header, "text|fields.weather|fields.people|fields.seen");
    let rows: Vec<String> = table
        .records()
        .map(|row| row.unwrap().iter().skip(15).collect::<Vec<_>>().join("|"))
        .collect();
    assert_eq!(rows, ["rain|3|'=a; b", "sun|0|", "||"]);
    let images = &json(out.join("instances.json"))["images"];
    let attributes: Vec<&Value> =
        images.as_array().unwrap().iter().map(|image| &image["attributes"]["weather"]).collect();
    assert_eq!(attributes, ["rain", "sun"], "what was refused says nothing");

    // The schema is a setting that answers depend on.
    let kept = json(out.join("run.json"));
    assert_eq!(kept["settings"]["schema"]["properties"]["people"]["minimum"], 0);
    let mut other = schema();
    other["properties"]["people"]["minimum"] = json!(1);
    fs::write(&schema_file, other.to_string()).unwrap();
    detect(&out).assert().code(1).stderr(contains("schema.properties.people.minimum"));
}

#[test]
fn fields_are_in_the_formats_that_have_a_word_for_them_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 3);
    let first = r#"{"weather": "rain & <fog>", "people": 3, "damaged": true, "seen": ["a", "b"]}"#;
    let second = r#"{"weather": "sun", "people": 0, "damaged": false, "seen": []}"#;
    let script = json!({"answers": [
        {"image": "00.png", "text": first},
        {"image": "01.png", "text": second},
        {"image": "02.png", "text": "no"},
    ]});
    let schema = json!({"type": "object", "properties": {
        "weather": {"type": "string"},
        "people": {"type": "integer"},
        "damaged": {"type": "boolean"},
        "seen": {"type": "array", "items": {"type": "string"}},
    }});
    let (script_file, schema_file) =
        (dir.path().join("script.json"), dir.path().join("schema.json"));
    fs::write(&script_file, script.to_string()).unwrap();
    fs::write(&schema_file, schema.to_string()).unwrap();
    let run = dir.path().join("run");
    let detect = gemscope()
        .args(["detect", "--prompt", "Describe it.", "--answer", "text", "--export"])
        .args(["jsonl,coco,cvat,label-studio,imagefolder,yolo", "--model"])
        .arg(format!("script:{}", script_file.display()))
        .arg("--schema")
        .arg(&schema_file)
        .arg("--out")
        .args([&run, &folder])
        .assert()
        .success();
    detect.stderr(contains("yolo: 2 images are left out, of which fields are known and no boxes"));
    let cvat = fs::read_to_string(run.join("cvat.xml")).unwrap();
    for line in [
        "<name>image</name>\n          <type>tag</type>",
        "<tag label=\"image\" source=\"auto\">",
        "<attribute name=\"weather\">rain &amp; &lt;fog&gt;</attribute>",
        "<attribute name=\"damaged\">true</attribute>",
        "<input_type>checkbox</input_type>",
    ] {
        assert!(cvat.contains(line), "{line}: {cvat}");
    }
    let config = fs::read_to_string(run.join("label-studio/label_config.xml")).unwrap();
    for tag in ["<TextArea name=\"fields.weather\"", "<Number ", "<Choices name=\"fields.damaged\""]
    {
        assert!(config.contains(tag), "{tag}: {config}");
    }
    let rows = fs::read_to_string(run.join("imagefolder/train/metadata.jsonl")).unwrap();
    let rows = json_lines(rows);
    assert_eq!((&rows[0]["people"], &rows[1]["damaged"]), (&json!(3), &json!(false)));
    assert!(rows[0].get("objects").is_none(), "nobody has looked for boxes");
    let coco = json(run.join("instances.json"));
    assert_eq!(coco["images"][1]["attributes"], serde_json::from_str::<Value>(second).unwrap());
    assert_eq!(coco["images"].as_array().unwrap().len(), 2);

    for from in
        ["instances.json", "detections.jsonl", "imagefolder", "label-studio", "cvat.xml", ""]
    {
        let out = dir.path().join(format!("{}.coco.json", from.replace('.', "-")));
        gemscope()
            .args(["convert", "--to", "coco", "--images"])
            .arg(&folder)
            .arg("--out")
            .arg(&out)
            .arg(run.join(from))
            .assert()
            .success();
        let coco = json(out);
        for (image, fields) in coco["images"].as_array().unwrap().iter().zip([first, second]) {
            let mut fields: Value = serde_json::from_str(fields).unwrap();
            if from == "cvat.xml" {
                // It has no lists.
                let seen = fields["seen"].as_array().unwrap().iter();
                let seen: Vec<&str> = seen.filter_map(Value::as_str).collect();
                fields["seen"] = seen.join("; ").into();
            }
            assert_eq!(image["attributes"], fields, "{from}");
        }
        assert_eq!(coco["images"].as_array().unwrap().len(), 2, "{from}");
        assert_eq!(coco["categories"], json!([]), "{from}");
    }
}

#[test]
fn a_schema_that_is_not_supported_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 1);
    let file = dir.path().join("schema.json");
    for (schema, answer, says) in [
        (
            r#"{"properties": {"a": {"type": "string", "pattern": "x"}}}"#,
            "text",
            "properties.a: the only pattern",
        ),
        (r#"{"properties": {}}"#, "text", "there are no properties"),
        ("no JSON", "text", "schema.json"),
        (
            r#"{"properties": {"a": {"type": "boolean"}}}"#,
            "boxes",
            "--schema goes with --answer text",
        ),
    ] {
        fs::write(&file, schema).unwrap();
        gemscope()
            .args(["detect", "--prompt", "Describe it.", "--model", "demo", "--answer", answer])
            .arg("--schema")
            .arg(&file)
            .arg("--out")
            .arg(dir.path().join("run"))
            .arg(&folder)
            .assert()
            .code(1)
            .stderr(contains(says));
    }
}

/// The demo model knows no such question: whatever it says is of the schema.
#[test]
fn a_model_is_held_to_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 1);
    let file = dir.path().join("schema.json");
    let schema =
        json!({"properties": {"weather": {"enum": ["sun", "rain"]}, "dry": {"type": "boolean"}}});
    fs::write(&file, schema.to_string()).unwrap();
    let out = dir.path().join("run");
    gemscope()
        .args(["detect", "--prompt", "detect star", "--model", "demo", "--answer", "text"])
        .args(["--export", "jsonl", "--schema"])
        .arg(&file)
        .arg("--out")
        .arg(&out)
        .arg(&folder)
        .assert()
        .success();
    let lines = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    assert_eq!(lines[0]["status"], "text", "{}", lines[0]);
    assert!(["sun", "rain"].contains(&lines[0]["fields"]["weather"].as_str().unwrap()));
    assert!(lines[0]["fields"]["dry"].is_boolean());
}
