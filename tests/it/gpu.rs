//! What needs a card, and what needs NVIDIA's compiler. Where there is none of it, that is said
//! past the harness, which keeps what a test that passes prints.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use gemscope::device::Device;
use gemscope::generate::{GenerateOptions, Request, RequestKind, generate};
use gemscope::preprocess::prepare;
use gemscope::prompt::Conversation;
use gemscope::record::{Budget, BudgetChoice, Sampling};
use predicates::str::contains;

use crate::support::{gemscope, json, open_on};

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// All checks of `doctor --gpu` pass on a machine with a card; on another, their number is said.
#[test]
fn the_card_computes_what_the_cpu_computes() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("gpu.json");
    let output = gemscope().args(["doctor", "--gpu", "--json"]).arg(&report).output().unwrap();
    let report = json(&report);
    let count = |outcome: &str| {
        report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["outcome"] == outcome)
            .count()
    };
    let all = report["checks"].as_array().unwrap().len();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(count("failed"), 0, "{said}");
    assert_eq!(report["skipped"], count("skipped"));
    if count("skipped") == 0 {
        assert!(output.status.success(), "{said}");
        say(&format!(
            "GPU checks: {} of {all} passed on {}",
            count("passed"),
            report["cuda"]["device"]["name"]
        ));
    } else {
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(&format!("{} GPU checks skipped", count("skipped"))), "{said}");
        let missing = report["cuda"]["needs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|need| need["met"] == false)
            .unwrap();
        say(&format!(
            "GPU checks: {} of {all} skipped: {}",
            count("skipped"),
            missing["says"].as_str().unwrap()
        ));
    }
}

#[test]
fn without_a_card_every_check_is_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("gpu.json");
    let doctor = gemscope()
        .env("CUDA_VISIBLE_DEVICES", "")
        .args(["doctor", "--gpu", "--json"])
        .arg(&report)
        .assert();
    doctor
        .code(1)
        .stdout(contains("0 passed, 0 failed, 23 GPU checks skipped"))
        .stdout(contains("verdict: nothing is known"))
        .stderr(contains("no CUDA device can be used. Looked for"));
    assert_eq!(json(&report)["skipped"], 23);
}

/// The `.ptx` files are what their sources compile to.
#[test]
fn the_compiled_kernels_are_those_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("python/checks/kernels_ptx.py");
    let cached =
        gemscope::onnxruntime::cache_dir().unwrap().join("nvidia-cuda-nvrtc-13.0.88-linux-x86_64");
    let named = std::env::var_os("GEMSCOPE_NVRTC").map(PathBuf::from);
    let folder = named.or_else(|| Some(cached).filter(|folder| folder.is_dir()));
    let mut command = Command::new("python3");
    command.arg(script).arg("--check");
    if let Some(folder) = folder {
        command.arg("--nvrtc").arg(folder);
    }
    let output = command.output();
    let words = output
        .as_ref()
        .map_or_else(ToString::to_string, |output| String::from_utf8_lossy(&output.stderr).into());
    match output {
        Ok(output) if output.status.success() => {}
        Ok(_) if words.contains("not what the sources compile to") => panic!("{words}"),
        _ => say(&format!(
            "SKIPPED: whether the .ptx files are those of their sources: {}",
            words.trim()
        )),
    }
}

/// Drawn on this machine, its values are those of every machine; it answers the same twice, and
/// with everything done as on a card.
#[test]
fn the_random_model_is_made_and_answers_the_same_twice() {
    let directory =
        gemscope::model::random::unpack(&gemscope::onnxruntime::cache_dir().unwrap()).unwrap();
    let data = std::fs::read(directory.join("onnx/vision_encoder_fp16.onnx_data")).unwrap();
    assert_eq!(
        crate::support::sha256(&data),
        "69fb8c34862168ffba1ed4ddabb15f216d0fbfbd7a89b66dd60ddec189d98066"
    );
    let image = gemscope::image::decode(
        &std::fs::read(crate::support::fixture("images/444.jpg")).unwrap(),
        true,
    )
    .unwrap();
    let answers = [Device::Cpu, Device::Cpu, Device::EmulatedCuda].map(|device| {
        let (prompter, mut model) = open_on(&directory, device);
        let view =
            prepare(&image, BudgetChoice::Fixed(Budget::ALL[0]), model.patch_side()).unwrap();
        let soft_tokens = view.size.soft_tokens();
        let features = model.encode(vec![(view.patches, soft_tokens as usize)]).unwrap().remove(0);
        let prompt_ids = prompter
            .query("detect circle", &Conversation::default())
            .unwrap()
            .token_ids(soft_tokens);
        let options =
            GenerateOptions { max_new_tokens: 6, sampling: Sampling::Greedy, labels: 1, stream: 0 };
        let request =
            Request { prompt_ids, kind: RequestKind::Generate { options, grammar: None } };
        let made = generate(&mut model, &prompter.tokenizer, features, request).unwrap();
        made.into_answer().unwrap().ids
    });
    assert_eq!(answers[0].len(), 6, "{answers:?}");
    assert!(answers[0] == answers[1] && answers[0] == answers[2], "{answers:?}");
}
