//! `gemscope model download` and `model list`, against a hub of the tests' own.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Mutex;

use gemscope::hub::{FetchObserver, HubError, HubOptions};
use gemscope::session::{self, SessionError};
use predicates::prelude::*;
use serde_json::json;
use server::{COMMIT, Fault, Refusal, TestHub, git_sha1};

use crate::support::{binary, fixture, gemscope, json_lines, sha256};

const MODEL: &str = "demo/shapes-ONNX";
const DECODER: &str = "onnx/decoder_model_merged.onnx";

/// The command, with `home` as its place for models, and no settings of the user's.
fn command(hub: &TestHub, home: &Path) -> assert_cmd::Command {
    let mut command = gemscope();
    for variable in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "GEMSCOPE_OFFLINE",
    ] {
        command.env_remove(variable);
    }
    command.env("HF_HOME", home).env("HF_ENDPOINT", &hub.endpoint);
    command
}

fn options(hub: &TestHub, home: &Path) -> HubOptions {
    let mut options = HubOptions::from_env(false).unwrap();
    options.endpoint.clone_from(&hub.endpoint);
    options.cache = home.join("hub");
    (options.token, options.links) = (None, true);
    options
}

fn folder(home: &Path) -> PathBuf {
    home.join("hub/models--demo--shapes-ONNX")
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Fetches the decoder's precision, and gives the error.
fn failure(hub: &TestHub, home: &Path) -> String {
    error_of(
        &command(hub, home).args(["model", "download", MODEL, "--dtype", "fp32"]).output().unwrap(),
    )
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl FetchObserver for Told {
    fn say(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// Of the files below `folder`, their paths, sorted.
fn files_below(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files =
        entries.filter(|entry| !entry.file_type().is_dir()).map(walkdir::DirEntry::into_path);
    files
        .map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/"))
        .collect()
}

#[test]
fn a_model_is_fetched_into_the_shared_cache_and_answers() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let home = home.path();
    let output = command(&hub, home)
        .env("HF_TOKEN", "hf_secret")
        .args(["model", "download", MODEL, "--dtype", "fp32"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("to fetch into")
            && said.contains("is free")
            && said.contains("--model demo/shapes-ONNX"),
        "{said}"
    );
    let snapshot = folder(home).join("snapshots").join(COMMIT);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), snapshot.to_str().unwrap());
    let there = files_below(&snapshot);
    assert!(
        there.contains(&DECODER.to_owned()) && there.contains(&"tokenizer.json".to_owned()),
        "{there:?}"
    );
    assert!(
        !there
            .iter()
            .any(|path| path.contains("audio") || path.contains("_q4") || path == "README.md"),
        "{there:?}"
    );
    // Blobs are named by their hashes, and nothing of the fetch is left.
    let decoder = hub.file(MODEL, DECODER);
    assert_eq!(fs::read(folder(home).join("blobs").join(sha256(&decoder))).unwrap(), decoder);
    let config = hub.file(MODEL, "config.json");
    assert_eq!(fs::read(folder(home).join("blobs").join(git_sha1(&config))).unwrap(), config);
    assert!(files_below(&folder(home).join("blobs")).iter().all(|name| !name.contains('.')));
    assert_eq!(fs::read_to_string(folder(home).join("refs/main")).unwrap(), COMMIT);
    assert!(
        fs::read_to_string(home.join("hub/CACHEDIR.TAG"))
            .unwrap()
            .starts_with("Signature: 8a477f597d28d172")
    );
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(snapshot.join(DECODER)).unwrap(),
        Path::new("../../../blobs").join(sha256(&decoder)),
        "links are relative"
    );
    // The token goes to the hub, and to no host that it redirects to.
    let asked = hub.asked();
    let (to_cdn, to_hub): (Vec<_>, Vec<_>) =
        asked.iter().partition(|asked| asked.host.starts_with("localhost"));
    assert!(to_cdn.len() >= 3 && to_cdn.iter().all(|asked| asked.token.is_none()), "{to_cdn:?}");
    assert!(
        to_hub.iter().all(|asked| asked.token.as_deref() == Some("Bearer hf_secret")),
        "{to_hub:?}"
    );

    // A second time, hashes are compared and nothing is fetched.
    let again = command(&hub, home)
        .args(["model", "download", MODEL, "--dtype", "fp32", "--json"])
        .output()
        .unwrap();
    let done = &json_lines(String::from_utf8(again.stdout).unwrap().replace('\n', ""))[0];
    assert_eq!(done["files_fetched"], 0, "{done}");
    assert!(hub.asked().iter().all(|asked| !asked.path.contains("resolve")));

    // It answers as from its own directory, by both of its names, and without a network.
    let detections = |model: &str| {
        let detect = command(&hub, home)
            .env("HF_HUB_OFFLINE", "1")
            .args(["detect", "--labels", "star", "--json", "--offline", "--model", model, "--out"])
            .arg(home.join("run").join(model.replace(['/', ':', '@'], "-")))
            .arg(fixture("shapes/scene-01.png"))
            .output()
            .unwrap();
        assert!(detect.status.success(), "{}", String::from_utf8_lossy(&detect.stderr));
        let run = home.join("run").join(model.replace(['/', ':', '@'], "-"));
        let manifest = crate::support::json(run.join("run.json"));
        (
            fs::read_to_string(run.join("detections.jsonl")).unwrap(),
            manifest["model"].as_str().unwrap().to_owned(),
        )
    };
    let (own, _) = detections(fixture("demo-model").to_str().unwrap());
    let (by_name, name) = detections(MODEL);
    assert_eq!((&by_name, name.as_str()), (&own, MODEL));
    let (by_prefix, name) = detections(&format!("hf:{MODEL}@{COMMIT}"));
    assert_eq!((&by_prefix, name), (&own, format!("{MODEL}@{COMMIT}")));
    assert!(hub.asked().is_empty());

    let list = command(&hub, home).args(["model", "list"]).assert().success();
    list.stdout(
        predicate::str::contains("demo/shapes-ONNX  fp32")
            .and(predicate::str::contains("last used")),
    );
}

#[test]
fn external_data_behind_links_is_found() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let home = home.path();
    command(&hub, home)
        .args(["model", "download", "demo/shapes-genai", "--revision", "refs/pr/1"])
        .assert()
        .success();
    let folder = home.join("hub/models--demo--shapes-genai");
    assert_eq!(fs::read_to_string(folder.join("refs/refs/pr/1")).unwrap(), COMMIT);
    assert!(
        files_below(&folder.join("snapshots"))
            .iter()
            .any(|path| path.ends_with("decoder/model.onnx.data"))
    );
    let detect = |model: &str, out: &str| {
        command(&hub, home)
            .args(["detect", "--labels", "star", "--model", model, "--out"])
            .arg(home.join(out))
            .arg(fixture("shapes/scene-01.png"))
            .output()
            .unwrap()
    };
    let output = detect("demo/shapes-genai@refs/pr/1", "run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The branch that is meant without a revision was not fetched: said, with what is there.
    let error = error_of(&detect("demo/shapes-genai", "none"));
    assert!(error.contains("there is demo/shapes-genai@refs/pr/1"), "{error}");
    assert!(error.contains("gemscope model download demo/shapes-genai"), "{error}");
    assert!(
        hub.asked().iter().all(|asked| !asked.path.contains("revision/main")),
        "opening a model asks nothing"
    );
}

#[test]
fn fifty_random_cuts_are_gone_on_from() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    hub.fail(Fault::Cut { times: 50, seed: 7 });
    let done = session::download(
        &options(&hub, home.path()),
        &MODEL.parse().unwrap(),
        Some(&"fp32".parse().unwrap()),
        None,
        &(),
    )
    .unwrap();
    assert_eq!(fs::read(done.directory.join(DECODER)).unwrap(), hub.file(MODEL, DECODER));
    let asked = hub.asked();
    let of_files: Vec<_> =
        asked.iter().filter(|asked| asked.host.starts_with("localhost")).collect();
    assert!(of_files.len() > 50, "{}", of_files.len());
    let ranges: std::collections::BTreeSet<_> =
        of_files.iter().filter_map(|asked| asked.range.as_deref()).collect();
    assert!(ranges.len() > 40, "{ranges:?}");
}

#[test]
fn a_killed_process_is_gone_on_from_by_another() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    hub.fail(Fault::SlowImage);
    let partial = folder(home.path())
        .join("blobs")
        .join(format!("{}.incomplete", sha256(&hub.file(MODEL, DECODER))));
    for _ in 0..3 {
        let before = fs::metadata(&partial).map_or(0, |metadata| metadata.len());
        let mut child = std::process::Command::new(binary())
            .env("HF_HOME", home.path())
            .env("HF_ENDPOINT", &hub.endpoint)
            .env_remove("HF_HUB_CACHE")
            .args(["model", "download", MODEL, "--dtype", "fp32"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        while fs::metadata(&partial).map_or(0, |metadata| metadata.len()) <= before {
            assert!(started.elapsed().as_secs() < 60 && child.try_wait().unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(fs::metadata(&partial).unwrap().len() > 0);
    hub.asked();
    command(&hub, home.path())
        .args(["model", "download", MODEL, "--dtype", "fp32"])
        .assert()
        .success();
    let snapshot = folder(home.path()).join("snapshots").join(COMMIT);
    assert_eq!(fs::read(snapshot.join(DECODER)).unwrap(), hub.file(MODEL, DECODER));
    let resumed =
        hub.asked().iter().any(|asked| asked.path.contains("decoder") && asked.range.is_some());
    assert!(resumed, "the rest alone is asked for");
}

#[test]
fn two_processes_fetch_once() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    hub.fail(Fault::SlowImage);
    let start = || {
        std::process::Command::new(binary())
            .env("HF_HOME", home.path())
            .env("HF_ENDPOINT", &hub.endpoint)
            .env_remove("HF_HUB_CACHE")
            .args(["model", "download", MODEL, "--dtype", "fp32"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let said: Vec<String> = [start(), start()]
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stderr).unwrap()
        })
        .collect();
    assert!(said.iter().any(|said| said.contains("waiting for it")), "{said:?}");
    let of_decoder = hub
        .asked()
        .iter()
        .filter(|asked| asked.host.starts_with("localhost") && asked.path.contains("decoder"))
        .count();
    assert_eq!(of_decoder, 1);
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    hub.fail(Fault::NoRanges { cuts: 3 });
    let done = session::download(
        &options(&hub, home.path()),
        &MODEL.parse().unwrap(),
        Some(&"fp32".parse().unwrap()),
        None,
        &(),
    )
    .unwrap();
    assert_eq!(fs::read(done.directory.join(DECODER)).unwrap(), hub.file(MODEL, DECODER));
}

#[test]
fn other_bytes_are_not_kept() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    hub.fail(Fault::OtherBytes);
    let error = failure(&hub, home.path());
    assert!(
        error.contains("SHA-256") && error.contains("not kept") && error.contains("HF_ENDPOINT"),
        "{error}"
    );
    assert!(
        !files_below(&folder(home.path()).join("blobs"))
            .iter()
            .any(|name| name.contains("incomplete"))
    );
    assert!(
        !folder(home.path()).join("refs/main").exists(),
        "a model that is not whole has no revision"
    );
    // A beginning of another file is thrown away; what follows is right.
    hub.fail(Fault::None);
    let decoder = hub.file(MODEL, DECODER);
    let partial =
        folder(home.path()).join("blobs").join(format!("{}.incomplete", sha256(&decoder)));
    fs::write(&partial, vec![7; 1000]).unwrap();
    let told = Told::default();
    let fetch = |told: &Told| {
        session::download(
            &options(&hub, home.path()),
            &MODEL.parse().unwrap(),
            Some(&"fp32".parse().unwrap()),
            None,
            told,
        )
        .unwrap()
    };
    let done = fetch(&told);
    assert_eq!(fs::read(done.directory.join(DECODER)).unwrap(), decoder);
    assert!(told.0.lock().unwrap().iter().any(|line| line.contains("from its first byte")));
    // What the disk has lost since is found, and repaired.
    let blob = folder(home.path()).join("blobs").join(sha256(&decoder));
    let mut bytes = decoder.clone();
    bytes[100] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let told = Told::default();
    assert_eq!(fetch(&told).fetched, 1);
    assert_eq!(fs::read(&blob).unwrap(), decoder);
    assert!(told.0.lock().unwrap().iter().any(|line| line.contains("fetched again")));
}

#[test]
fn each_refusal_says_what_to_do() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let refused = |status: u16, headers: &[(&'static str, &str)], token: Option<&str>| {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        hub.refuse(Refusal { status, headers, times: 100 });
        let mut command = command(&hub, home.path());
        if let Some(token) = token {
            command.env("HF_TOKEN", token);
        }
        let error = error_of(
            &command.args(["model", "download", MODEL, "--dtype", "fp32"]).output().unwrap(),
        );
        assert!(!error.contains("hf_secret"), "{error}");
        error
    };
    let error = refused(403, &[("X-Error-Code", "GatedRepo")], None);
    assert!(
        error.contains("accept its conditions at") && error.contains("set HF_TOKEN"),
        "{error}"
    );
    let error = refused(403, &[("X-Error-Code", "GatedRepo")], Some("hf_secret"));
    assert!(error.contains("account that accepted them"), "{error}");
    let error = refused(401, &[("X-Error-Code", "RepoNotFound")], None);
    assert!(error.contains("check the name") && error.contains("private"), "{error}");
    let error = refused(401, &[], Some("hf_secret"));
    assert!(error.contains("refuses the token (401)"), "{error}");
    let error = refused(404, &[("X-Error-Code", "RevisionNotFound")], None);
    assert!(error.contains("no revision of that name"), "{error}");
    let error = refused(404, &[], None);
    assert!(error.contains("knows no model demo/shapes-ONNX"), "{error}");
    let error = refused(429, &[("Retry-After", "3600")], None);
    assert!(error.contains("wait 3600 seconds") && error.contains("HF_TOKEN"), "{error}");
    let error = refused(451, &[("X-Error-Message", "Disabled by its owner")], None);
    assert!(error.contains("451 (Disabled by its owner)"), "{error}");
    // A wait that is short is waited for.
    hub.refuse(Refusal { status: 429, headers: vec![("Retry-After", "1".to_owned())], times: 2 });
    command(&hub, home.path())
        .args(["model", "download", MODEL, "--dtype", "fp32"])
        .assert()
        .success();
    // A name that is none of the Hub's, a repository and a revision that are not there.
    hub.refuse(Refusal { status: 0, headers: Vec::new(), times: 0 });
    let error = |arguments: &[&str]| {
        error_of(
            &command(&hub, home.path())
                .args(["model", "download"])
                .args(arguments)
                .output()
                .unwrap(),
        )
    };
    assert!(error(&["gemma4:e2b"]).contains("OWNER/NAME"));
    assert!(error(&["nobody/nothing"]).contains("knows no model nobody/nothing"));
    assert!(error(&[MODEL, "--revision", "v9"]).contains("no revision of that name"));
    assert!(error(&[MODEL, "--revision", "../v9"]).contains("no name of a revision"));
    let told = error(&[MODEL, "--dtype", "fp16"]);
    assert!(told.contains("vision_encoder_fp16.onnx") && told.contains("fp32, q4"), "{told}");
}

#[test]
fn what_is_no_file_and_no_hub_is_said() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    hub.fail(Fault::Page);
    let error = failure(&hub, home.path());
    assert!(error.contains("a web page in place of a file") && error.contains("login"), "{error}");
    hub.fail(Fault::Silent);
    let error = failure(&hub, home.path());
    assert!(error.contains("without a byte more") && error.contains("goes on there"), "{error}");
    // Nobody listens there.
    let output = command(&hub, home.path())
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .args(["model", "download", MODEL])
        .output()
        .unwrap();
    assert!(error_of(&output).contains("cannot be reached"), "{}", error_of(&output));
    let output = command(&hub, home.path())
        .env("HF_ENDPOINT", "hub")
        .args(["model", "download", MODEL])
        .output()
        .unwrap();
    assert!(error_of(&output).contains("HF_ENDPOINT: \"hub\" is no http"), "{}", error_of(&output));
}

#[test]
fn a_path_that_leads_out_of_the_folder_is_refused() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    for path in
        ["../../evil.json", "/etc/evil.json", "a/../../evil.json", "..\\evil.json", "c:evil.json"]
    {
        hub.put("demo/evil", [(path.to_owned(), b"{}".to_vec())].into());
        let error = error_of(
            &command(&hub, home.path()).args(["model", "download", "demo/evil"]).output().unwrap(),
        );
        assert!(error.contains("leads out of the model's folder"), "{path}: {error}");
    }
    assert!(!home.path().join("hub").exists());
}

#[test]
fn a_listing_that_cannot_be_is_no_hub() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let entry = |path: &str, size: u64| json!({ "type": "file", "path": path, "size": size, "oid": COMMIT });
    for (page, endless, words) in [
        (json!([entry("a.json", u64::MAX), entry("b.json", u64::MAX)]), false, "a size of"),
        (json!([entry("config.json", 2)]), true, "has no end"),
        (json!([{ "type": "file", "path": "config.json", "size": 2 }]), false, "no hash of"),
        (json!({ "error": "busy" }), false, "does not answer as the Hub does"),
    ] {
        hub.list(page, endless);
        let error = failure(&hub, home.path());
        assert!(error.contains(words) && error.contains("HF_ENDPOINT"), "{error}");
    }
    assert!(!home.path().join("hub").exists());
}

#[test]
fn a_password_in_the_endpoint_is_not_shown() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let endpoint = hub.endpoint.replace("//", "//me:hunter2@");
    let ran = command(&hub, home.path())
        .env("HF_ENDPOINT", endpoint)
        .args(["model", "download", "demo/nothing"])
        .output()
        .unwrap();
    assert!(!error_of(&ran).contains("hunter2"), "{}", error_of(&ran));
}

#[test]
fn a_full_disk_is_said_before_and_while_it_fills() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let mut small = options(&hub, home.path());
    small.free_bytes = |_| Ok(1_000_000);
    let fetch = |options: &HubOptions| {
        session::download(
            options,
            &MODEL.parse().unwrap(),
            Some(&"fp32".parse().unwrap()),
            None,
            &(),
        )
        .unwrap_err()
    };
    let error = fetch(&small);
    assert!(
        matches!(error, SessionError::Hub(HubError::NoRoom { free: 1_000_000, .. })),
        "{error}"
    );
    assert!(error.to_string().contains("make room, or set HF_HOME"), "{error}");
    assert!(!home.path().join("hub").exists(), "nothing was begun");
    small.free_bytes = |_| Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert!(matches!(fetch(&small), SessionError::Hub(error) if error.is_full_disk()));
}

#[test]
fn without_links_the_files_are_in_the_snapshot() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let fetch = || {
        command(&hub, home.path())
            .env("HF_HUB_DISABLE_SYMLINKS", "1")
            .args(["model", "download", MODEL, "--dtype", "fp32", "--json"])
            .output()
            .unwrap()
    };
    assert!(fetch().status.success());
    let snapshot = folder(home.path()).join("snapshots").join(COMMIT);
    assert!(fs::symlink_metadata(snapshot.join(DECODER)).unwrap().is_file());
    assert_eq!(fs::read(snapshot.join(DECODER)).unwrap(), hub.file(MODEL, DECODER));
    assert!(files_below(&folder(home.path()).join("blobs")).is_empty());
    let done = &json_lines(String::from_utf8(fetch().stdout).unwrap().replace('\n', ""))[0];
    assert_eq!(done["files_fetched"], 0, "{done}");
    fs::write(snapshot.join(DECODER), b"short").unwrap();
    let done = &json_lines(String::from_utf8(fetch().stdout).unwrap().replace('\n', ""))[0];
    assert_eq!(done["files_fetched"], 1, "{done}");
    assert_eq!(fs::read(snapshot.join(DECODER)).unwrap(), hub.file(MODEL, DECODER));
}

#[test]
fn without_links_what_other_snapshots_link_to_stays() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let mut with_links = options(&hub, home.path());
    let dtype = "fp32".parse().unwrap();
    let fetch = |options: &HubOptions| {
        session::download(options, &MODEL.parse().unwrap(), Some(&dtype), None, &()).unwrap()
    };
    let snapshot = fetch(&with_links).directory;
    let other = folder(home.path()).join("snapshots").join("f".repeat(40));
    fs::rename(&snapshot, &other).unwrap();
    with_links.links = false;
    assert_eq!(fetch(&with_links).fetched, 0);
    for place in [&snapshot, &other] {
        assert_eq!(fs::read(place.join(DECODER)).unwrap(), hub.file(MODEL, DECODER));
    }
    assert!(fs::symlink_metadata(snapshot.join(DECODER)).unwrap().is_file());
}

#[test]
fn offline_asks_nothing_beyond_this_machine() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let download = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = command(&hub, home.path());
        command
            .envs(variables.iter().copied())
            .args(["model", "download", MODEL, "--dtype", "fp32"])
            .args(flags);
        command.output().unwrap()
    };
    let error = error_of(&download(&[("HF_HUB_OFFLINE", "1")], &[]));
    assert!(error.contains("HF_HUB_OFFLINE forbids fetching it"), "{error}");
    let error = error_of(&download(&[("HF_ENDPOINT", "https://hub.example")], &["--offline"]));
    assert!(
        error.contains("forbids fetching it") && error.contains("without --offline"),
        "{error}"
    );
    assert!(hub.asked().is_empty());
    // A hub on this machine is no network.
    assert!(download(&[], &["--offline"]).status.success());
    // What is there is found without asking.
    hub.asked();
    assert!(download(&[("HF_HUB_OFFLINE", "1")], &[]).status.success());
    assert!(hub.asked().is_empty());
    let blob = folder(home.path()).join("blobs").join(sha256(&hub.file(MODEL, DECODER)));
    fs::remove_file(blob).unwrap();
    assert!(error_of(&download(&[("HF_HUB_OFFLINE", "1")], &[])).contains("is not whole"));
}

#[test]
fn a_precision_is_proposed_with_its_reason() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let output =
        command(&hub, home.path()).args(["model", "download", MODEL, "--json"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("of this machine's") && said.contains("accuracy_level 4"), "{said}");
    let done = &json_lines(String::from_utf8(output.stdout).unwrap().replace('\n', ""))[0];
    assert_eq!(done["proposed_dtype"], "fp32");
}

#[test]
fn a_proxy_of_the_environment_is_asked_and_never_for_this_machine() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let download = |variables: &[(&str, &str)]| {
        let mut command = command(&hub, home.path());
        for variable in [
            "ALL_PROXY",
            "HTTPS_PROXY",
            "HTTP_PROXY",
            "NO_PROXY",
            "all_proxy",
            "https_proxy",
            "http_proxy",
            "no_proxy",
        ] {
            command.env_remove(variable);
        }
        command.env("HTTP_PROXY", &hub.endpoint).envs(variables.iter().copied());
        command.args(["model", "download", MODEL, "--dtype", "fp32"]).output().unwrap()
    };
    // Nobody knows this host but the proxy, which is the hub itself. Files come from this machine,
    // without it.
    let far = ("HF_ENDPOINT", "http://hub.invalid");
    let output = download(&[far]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = hub.asked();
    let through: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path == "CONNECT")
        .map(|asked| asked.host.as_str())
        .collect();
    assert!(
        !through.is_empty() && through.iter().all(|host| *host == "hub.invalid:80"),
        "{through:?}"
    );
    assert!(asked.iter().any(|asked| asked.host.starts_with("localhost")));
    assert!(error_of(&download(&[far, ("NO_PROXY", "hub.invalid")])).contains("cannot be reached"));
    hub.asked();
    assert!(download(&[]).status.success());
    assert!(hub.asked().iter().all(|asked| asked.path != "CONNECT"));
}

#[test]
fn a_repository_without_graphs_is_called_what_it_is() {
    let (hub, home) = (TestHub::start(), tempfile::tempdir().unwrap());
    let error = |files: &[&str], flags: &[&str]| {
        let files = files.iter().map(|name| ((*name).to_owned(), b"{}".to_vec())).collect();
        hub.put("demo/other", files);
        error_of(
            &command(&hub, home.path())
                .args(["model", "download", "demo/other"])
                .args(flags)
                .output()
                .unwrap(),
        )
    };
    for flags in [&[][..], &["--dtype", "q4"]] {
        let said = error(&["config.json", "model.safetensors"], flags);
        assert!(
            said.contains("demo/other is a checkpoint")
                && said.contains("gemscope.onnx_export model"),
            "{said}"
        );
        assert!(error(&["gemma-Q4_K_M.gguf", "mmproj.gguf"], flags).contains("GGUF"));
        assert!(error(&["model.litertlm"], flags).contains("LiteRT-LM"));
        assert!(
            error(&["config.json", "onnx/model_q4.onnx"], flags).contains("a text-only export")
        );
    }
    assert!(error(&["README.md"], &[]).contains("There is: README.md"));
    // Only precisions that are proposed for nothing.
    let files = ["vision_encoder", "embed_tokens", "decoder_model_merged"]
        .map(|graph| format!("onnx/{graph}_quantized.onnx"));
    let twos = files.clone().map(|name| name.replace("_quantized", "_int8"));
    let both: Vec<_> = files.iter().chain(&twos).map(String::as_str).collect();
    let said = error(&both, &[]);
    assert!(
        said.contains("none of the precisions of demo/other (q8, int8)")
            && said.contains("--dtype names it"),
        "{said}"
    );
    assert!(!folder(home.path()).exists());
}
