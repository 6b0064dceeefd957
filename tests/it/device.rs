//! `--device`: what is said where there is no card, and what a resumed run does. Cards are hidden,
//! so that every machine has none.

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{folder_of, gemscope, json};

#[test]
fn cuda_without_a_card_says_what_is_missing_and_never_runs_on_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    let out = dir.path().join("run");
    for device in ["cuda", "cuda:0"] {
        gemscope()
            .env("CUDA_VISIBLE_DEVICES", "")
            .env("GEMSCOPE_CACHE", dir.path().join("cache"))
            .args(["detect", "--labels", "star", "--budget", "70", "--device", device, "--out"])
            .args([&out, &images])
            .assert()
            .code(1)
            .stderr(contains(
                "no CUDA device can be used. Looked for a driver that serves CUDA 13: ",
            ))
            .stderr(
                contains("What to do: ")
                    .and(contains("gemscope setup --gpu"))
                    .and(contains("--device cpu")),
            );
        assert!(!out.exists());
    }
    gemscope()
        .args(["model", "inspect", "--device", "gpu"])
        .assert()
        .code(1)
        .stderr(contains("cuda:0"));
    let wrong = gemscope().args(["model", "inspect"]).env("GEMSCOPE_DEVICE", "gpu").assert();
    wrong.code(1).stderr(contains("GEMSCOPE_DEVICE: \"gpu\" is none of auto"));
}

#[test]
fn libraries_for_cards_are_not_fetched_where_no_card_could_use_them() {
    let cache = tempfile::tempdir().unwrap();
    let mut setup = gemscope();
    setup.env("CUDA_VISIBLE_DEVICES", "").env("GEMSCOPE_CACHE", cache.path());
    setup
        .args(["setup", "--gpu"])
        .assert()
        .code(1)
        .stderr(contains("nothing was fetched: no CUDA device").and(contains("--without-driver")));
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn auto_falls_back_with_one_line_and_a_run_stays_on_its_device() {
    let dir = tempfile::tempdir().unwrap();
    let images = folder_of(dir.path(), &[("shapes/scene-01.png", "a.png")]);
    let out = dir.path().join("run");
    let detect = |device: Option<&str>| {
        let mut command = gemscope();
        command
            .env("CUDA_VISIBLE_DEVICES", "")
            .env_remove("GEMSCOPE_DEVICE")
            .args(["detect", "--labels", "star", "--budget", "70", "--out"])
            .args([&out, &images]);
        if let Some(device) = device {
            command.args(["--device", device]);
        }
        command.assert()
    };
    let line = "Running on the CPU: ";
    detect(Some("auto")).success().stderr(contains(line).count(1));
    // Whoever has no card and asked for none is told nothing.
    detect(None).success().stderr(contains(line).not());
    let manifest = out.join("run.json");
    assert_eq!(json(&manifest)["settings"].get("device"), None);
    let mut elsewhere = json(&manifest);
    elsewhere["settings"]["device"] = "cuda".into();
    fs::write(&manifest, elsewhere.to_string()).unwrap();
    detect(None).code(1).stderr(contains("device: \"cuda\" -> nothing"));
}
