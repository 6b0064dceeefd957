//! Frames judged by a rubric, through the real command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use predicates::str::contains;
use serde_json::Value;

use crate::support::{fixture, folder_of, gemscope, json, json_lines};

fn said(run: &Output) -> String {
    [&run.stdout, &run.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Runs `critique` with the demo model over `frames` into `out`; its exit code, and what it said.
fn critique(frames: &Path, out: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = gemscope();
    command
        .arg("critique")
        .arg(frames)
        .args(["--model", "demo", "--quiet", "--out"])
        .arg(out)
        .args(flags);
    let run = command.output().unwrap();
    (run.status.code(), said(&run))
}

fn report_only(out: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let run = gemscope()
        .args(["critique", "--report-only", "--quiet", "--out"])
        .arg(out)
        .args(flags)
        .output()
        .unwrap();
    (run.status.code(), said(&run))
}

fn verdicts(out: &Path) -> Vec<Value> {
    json_lines(fs::read_to_string(out.join("verdicts.jsonl")).unwrap())
}

fn list(out: &Path, verdict: &str) -> BTreeSet<String> {
    fs::read_to_string(out.join(format!("{verdict}.txt")))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn rubric(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("rubric.toml");
    fs::write(&path, text).unwrap();
    path
}

fn axis<'v>(verdict: &'v Value, name: &str) -> &'v Value {
    verdict["axes"].as_array().unwrap().iter().find(|axis| axis["axis"] == name).unwrap()
}

#[test]
fn frames_are_rated_judged_and_traced_to_what_they_were_made_with() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (code, said) =
        critique(&fixture("frames"), &out, &["--group-by", "folder", "--sort", "link"]);
    assert_eq!(code, Some(0), "{said}");
    let truth = json(fixture("frames/truth.json"));
    let verdicts = verdicts(&out);
    assert_eq!(verdicts.len(), 12);
    let mut counted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (verdict, truth) in verdicts.iter().zip(truth.as_array().unwrap()) {
        assert_eq!(verdict["image"], truth["image"]);
        for key in ["prompt", "seed", "model"] {
            assert_eq!(verdict["generation"][key], truth[key], "{key}");
        }
        for figures in verdict["axes"].as_array().unwrap() {
            let probabilities =
                figures["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap());
            let expected: f64 =
                probabilities.clone().enumerate().map(|(place, p)| p * place as f64 / 4.0).sum();
            assert!((probabilities.sum::<f64>() - 1.0).abs() < 1e-3);
            assert!((figures["value"].as_f64().unwrap() - expected).abs() < 1e-3, "{figures}");
            assert!(
                figures["mass"].as_f64().unwrap() > 0.9,
                "the demo model answers in its words: {figures}"
            );
        }
        assert!(verdict["measures"]["laplacian_variance"].as_f64().unwrap() > 0.0);
        let image = verdict["image"].as_str().unwrap().to_owned();
        let name = verdict["verdict"].as_str().unwrap();
        assert!(out.join("sorted").join(name).join(&image).exists());
        counted.entry(name).or_default().insert(image);
    }
    for name in ["keep", "review", "reject"] {
        assert_eq!(list(&out, name), counted.get(name).cloned().unwrap_or_default());
    }
    let statistics = json(out.join("statistics.json"));
    assert_eq!(statistics["all"]["frames"], 12);
    assert_eq!(statistics["by_model"].as_object().unwrap().len(), 2);
    let groups = fs::read_to_string(out.join("groups.csv")).unwrap();
    assert_eq!(
        (groups.lines().count(), groups.matches(",best\n").count()),
        (13, 2),
        "the header says best, too"
    );
    // Folders of earlier rules are said to be so.
    let mut again = gemscope();
    again.args(["critique", "--report-only", "--export", "lists", "--out"]).arg(&out);
    again.assert().success().stderr(contains("--sort link (or copy) makes it anew"));
    let sheet = fs::read_to_string(out.join("sheet/index.html")).unwrap();
    assert!(sheet.contains("shapes-xl-turbo") && out.join("sheet/thumbnails/000012.jpg").exists());
}

/// What the model says is the same however many rows are decoded at once, and after a restart.
#[test]
fn a_rating_does_not_hang_on_the_batch_or_on_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let [one, many] = ["one", "many"].map(|name| dir.path().join(name));
    assert_eq!(
        critique(&fixture("frames"), &one, &["--batch", "1", "--export", "jsonl"]).0,
        Some(0)
    );
    assert_eq!(critique(&fixture("frames"), &many, &["--export", "jsonl"]).0, Some(0));
    let read = |out: &Path| fs::read_to_string(out.join("verdicts.jsonl")).unwrap();
    assert_eq!(read(&one), read(&many));
    // What is there stays, and what is missing is asked again.
    let journal = fs::read_to_string(many.join("journal.jsonl")).unwrap();
    let kept: Vec<&str> = journal.lines().take(7).collect();
    fs::write(many.join("journal.jsonl"), kept.join("\n") + "\n").unwrap();
    assert_eq!(critique(&fixture("frames"), &many, &["--export", "jsonl"]).0, Some(0));
    let again = fs::read_to_string(many.join("journal.jsonl")).unwrap();
    assert!(again.starts_with(&(kept.join("\n") + "\n")) && again.lines().count() == 12);
    assert_eq!(read(&one), read(&many));
}

#[test]
fn changed_rules_need_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    assert_eq!(critique(&fixture("frames"), &out, &["--export", "lists"]).0, Some(0));
    let journal = fs::read(out.join("journal.jsonl")).unwrap();
    let demo = fs::read_to_string(fixture("../pipelines/demo-critique.toml")).unwrap();
    let (axes, _) = demo.split_once("[gate]").unwrap();
    let all = |rule: &str| rubric(dir.path(), &format!("{axes}\n[gate]\nrules = ['{rule}']\n"));
    for (rule, name) in [
        ("reject if sharpness <= 1", "reject"),
        ("keep otherwise", "keep"),
        ("keep if overall > 2", "review"),
    ] {
        let (code, said) = report_only(&out, &["--rubric", all(rule).to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(list(&out, name).len(), 12, "{rule}");
    }
    // The run's own rubric is the last one.
    let (code, said) = report_only(&out, &["--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["verdicts"]["review"], 12, "{said}");
    assert_eq!(fs::read(out.join("journal.jsonl")).unwrap(), journal);
    // Another question is asked, and not answered by old answers.
    let other = rubric(dir.path(), &demo.replace("Rate the noise", "How is the noise"));
    let (code, said) = report_only(&out, &["--rubric", other.to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("asked in other words: noise"), "{said}");
    // A file that is no rubric is said to be so once.
    let broken = rubric(dir.path(), "name = \"r\"\naxis = 7\n");
    let (code, said) = report_only(&out, &["--rubric", broken.to_str().unwrap()]);
    assert!(code == Some(1) && said.matches("invalid type").count() == 1, "{said}");
    // A rule that is wrong is said before anything is done.
    let (code, said) =
        report_only(&out, &["--rubric", all("reject if sharpnes < 1").to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("sharpnes") && said.contains("rubric.toml"), "{said}");
}

/// The rubrics of the test below: the axes of the demo model by name, and what each asks about.
fn asking(dir: &Path, axes: &[(&str, &str)]) -> PathBuf {
    let axis = |(name, about): &(&str, &str)| {
        format!(
            "[[axis]]\nname = \"{name}\"\nkind = \"level\"\nquestion = \"Rate the {about} of this \
             image: bad, poor, fair, good or excellent\"\n"
        )
    };
    let axes: String = axes.iter().map(axis).collect();
    let gate = "[gate]\nrules = [\"keep otherwise\"]\n";
    rubric(dir, &format!("name = \"edited\"\nwording = \"{{question}}\"\n{axes}{gate}"))
}

/// A rubric is edited: only what has changed or is new is asked, and nothing that is answered is
/// lost.
#[test]
fn an_edited_rubric_asks_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (fixture("frames"), dir.path().join("run"));
    // How many questions were asked, what was said, and the lines of the journal.
    let run = |axes: &[(&str, &str)]| {
        let rubric = asking(dir.path(), axes);
        let flags = ["--rubric", rubric.to_str().unwrap(), "--export", "jsonl,lists"];
        let mut command = gemscope();
        command.arg("critique").arg(&frames).args(["--model", "demo", "--json", "--out"]);
        let run = command.arg(&out).args(flags).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(0), "{said}");
        let figures: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(figures["verdicts"]["keep"], 12, "{figures}");
        let journal = json_lines(fs::read_to_string(out.join("journal.jsonl")).unwrap());
        (figures["run"]["done"].as_u64().unwrap(), said, journal)
    };
    // The ratings of each frame by axis, as they count now.
    let ratings = |journal: &[Value]| {
        let mut frames = BTreeMap::new();
        for record in journal {
            let of = |rating: &Value| (rating["axis"].to_string(), rating["probabilities"].clone());
            let by_axis: BTreeMap<_, _> =
                record["ratings"].as_array().unwrap().iter().map(of).collect();
            frames.insert(record["image"].to_string(), by_axis);
        }
        frames
    };
    let three = [("a", "sharpness"), ("b", "noise"), ("c", "exposure")];
    let (done, _, first) = run(&three);
    assert_eq!((done, first.len()), (12, 12));
    let before = ratings(&first);

    // One question has changed: that alone is asked again.
    let changed = [("a", "sharpness"), ("b", "contrast"), ("c", "exposure")];
    let (done, said, second) = run(&changed);
    assert_eq!((done, second.len()), (12, 24), "{said}");
    assert!(said.contains("asked again, since the question has changed: b"), "{said}");
    let now = ratings(&second);
    for (image, by_axis) in &before {
        assert_eq!(by_axis["\"a\""], now[image]["\"a\""]);
        assert_eq!(by_axis["\"c\""], now[image]["\"c\""]);
        assert_ne!(by_axis["\"b\""], now[image]["\"b\""], "it is another question");
    }
    let one = |record: &Value| record["ratings"].as_array().unwrap().len();
    assert!(second.iter().all(|record| one(record) == 3));
    // By itself it is answered as in company.
    let alone = dir.path().join("alone");
    let rubric = asking(dir.path(), &changed);
    let flags = ["--rubric", rubric.to_str().unwrap(), "--export", "none"];
    assert_eq!(critique(&frames, &alone, &flags).0, Some(0));
    let whole = json_lines(fs::read_to_string(alone.join("journal.jsonl")).unwrap());
    assert_eq!(ratings(&whole), now);

    // Fewer axes ask nothing and lose nothing; the same once more asks nothing either.
    let (done, said, fewer) = run(&[("a", "sharpness")]);
    assert_eq!((done, &fewer), (0, &second), "{said}");
    let table = verdicts(&out);
    assert!(table.iter().all(|one| one["axes"].as_array().unwrap().len() == 1));
    let (done, _, again) = run(&changed);
    assert_eq!((done, &again), (0, &second));
    assert_eq!(verdicts(&out)[0]["axes"].as_array().unwrap().len(), 3);

    // A new axis is asked alone, and those that are not asked now stay.
    let (done, said, added) = run(&[("d", "noise"), ("a", "sharpness")]);
    assert!(done == 12 && said.contains("asked, since it is new: d"), "{said}");
    assert!(added[24..].iter().all(|record| one(record) == 4), "all that was ever answered");
    let (done, _, all) = run(&[changed[0], changed[1], changed[2], ("d", "noise")]);
    assert_eq!((done, all.len()), (0, 36));

    // Killed on the way: the others are asked next time, and until then nobody is kept for the
    // answer to another question.
    let journal = out.join("journal.jsonl");
    let cut = |lines: usize| {
        let text = fs::read_to_string(&journal).unwrap();
        let kept: Vec<&str> = text.lines().take(lines).collect();
        fs::write(&journal, kept.join("\n") + "\n").unwrap();
    };
    let (_, _, last) = run(&[("a", "noise")]);
    assert_eq!(last.len(), 48);
    cut(41);
    let (code, said) = report_only(&out, &["--json"]);
    let figures: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &figures["verdicts"]["review"]), (Some(0), &Value::from(7)), "{said}");
    let (done, _, finished) = run(&[("a", "noise")]);
    assert_eq!((done, ratings(&finished)), (7, ratings(&last)));

    // Records of an earlier version do not name their axes: the settings do.
    let old = dir.path().join("old");
    fs::create_dir(&old).unwrap();
    fs::copy(alone.join("run.json"), old.join("run.json")).unwrap();
    let whole = fs::read_to_string(alone.join("journal.jsonl")).unwrap();
    assert!(whole.contains("\"axes\""));
    let lines: String = json_lines(whole)
        .into_iter()
        .map(|mut record| {
            record.as_object_mut().unwrap().remove("axes");
            format!("{record}\n")
        })
        .collect();
    fs::write(old.join("journal.jsonl"), lines).unwrap();
    asking(dir.path(), &changed);
    assert_eq!(critique(&frames, &old, &flags).0, Some(0));
    let lines = || fs::read_to_string(old.join("journal.jsonl")).unwrap().lines().count();
    assert_eq!(lines(), 12, "nothing is asked");
    asking(dir.path(), &three);
    assert_eq!(critique(&frames, &old, &flags).0, Some(0));
    let now = json_lines(fs::read_to_string(old.join("journal.jsonl")).unwrap());
    assert_eq!((now.len(), ratings(&now)), (24, before));
}

#[test]
fn a_frame_that_was_not_read_is_never_kept() {
    let dir = tempfile::tempdir().unwrap();
    let frames = folder_of(dir.path(), &[("shapes/scene-16.png", "good.png")]);
    fs::write(frames.join("broken.png"), b"\x89PNG\r\n\x1a\n and no more").unwrap();
    let out = dir.path().join("run");
    let rubric = rubric(
        dir.path(),
        "name = \"all\"\nwording = \"{question}\"\n[[axis]]\nname = \"noise\"\nkind = \"level\"\n\
         question = \"Rate the noise of this image: \
         bad, poor, fair, good or excellent\"\n[gate]\nrules = [\"keep otherwise\"]",
    );
    let (code, said) = critique(&frames, &out, &["--rubric", rubric.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(list(&out, "keep"), BTreeSet::from(["good.png".to_owned()]));
    assert_eq!(list(&out, "review"), BTreeSet::from(["broken.png".to_owned()]));
    assert!(verdicts(&out)[0]["rule"].as_str().unwrap().starts_with("not read: "));
}

/// Clauses of the frame's own prompt, boxes of defects, a reason: each kind of axis beside the
/// others.
#[test]
fn every_kind_of_axis() {
    let dir = tempfile::tempdir().unwrap();
    let truth = json(fixture("frames/truth.json"));
    // The frame that is least spoiled: the demo model should see what is in it.
    let spoiled = |frame: &Value| {
        frame["amounts"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).sum::<f64>()
    };
    let frame =
        truth.as_array().unwrap().iter().min_by(|a, b| spoiled(a).total_cmp(&spoiled(b))).unwrap();
    let name = frame["image"].as_str().unwrap();
    let frames = folder_of(
        dir.path(),
        &[(&format!("frames/{name}"), "a.png"), ("shapes/scene-16.png", "b.png")],
    );
    fs::write(
        dir.path().join("made.csv"),
        "image,prompt,seed\nb.png,\"a red circle\",5\nc.png,x,1\n",
    )
    .unwrap();
    let rubric = rubric(
        dir.path(),
        r#"
        name = "kinds"
        wording = "{question}"
        [[axis]]
        name = "contrast"
        kind = "level"
        question = "Rate the contrast of this image: bad, poor, fair, good or excellent"
        reason = true
        [[axis]]
        name = "adherence"
        kind = "yes_no"
        question = "Is there {clause} in this image?"
        [[axis]]
        name = "shapes"
        kind = "defects"
        labels = ["shape"]
        reason = true
        [gate]
        rules = ["reject if count(shapes) > 0 and made.seed == 5", "keep if worst(adherence) > 0.5", "review otherwise"]
        "#,
    );
    let out = dir.path().join("run");
    let made = dir.path().join("made.csv");
    let flags = [
        "--rubric",
        rubric.to_str().unwrap(),
        "--generation",
        made.to_str().unwrap(),
        "--decoding",
        "free",
    ];
    let (code, said) = critique(&frames, &out, &flags);
    assert_eq!(code, Some(0), "{said}");
    let verdicts = verdicts(&out);
    let clauses = axis(&verdicts[0], "adherence")["clauses"].as_array().unwrap();
    let asked: Vec<&str> = clauses.iter().map(|clause| clause[0].as_str().unwrap()).collect();
    assert_eq!(
        asked.join(", "),
        frame["prompt"].as_str().unwrap(),
        "a prompt of commas has a clause between each two"
    );
    assert!(
        clauses.iter().all(|clause| clause[1].as_f64().unwrap() > 0.5),
        "what is there is seen: {clauses:?}"
    );
    assert!(axis(&verdicts[0], "contrast")["reason"].is_string());
    let mut journal = json_lines(fs::read_to_string(out.join("journal.jsonl")).unwrap());
    journal.sort_by_key(|record| record["image"].to_string());
    for (verdict, record) in verdicts.iter().zip(&journal) {
        assert_eq!(axis(verdict, "shapes")["words"], Value::Null);
        assert_eq!(record["answers"].as_array().unwrap().len(), 1, "the boxes' answer is kept");
        let boxes = record["detections"].as_array().unwrap();
        assert!(
            !boxes.is_empty() && boxes.iter().all(|found| found["sentence"].is_string()),
            "{boxes:?}"
        );
        assert_eq!(verdict["defects"], record["detections"]);
        assert_eq!(axis(verdict, "shapes")["count"], boxes.len());
        assert_eq!(record["status"], "ok");
    }
    assert_eq!(
        (&verdicts[0]["verdict"], &verdicts[1]["verdict"]),
        (&"keep".into(), &"reject".into())
    );
    assert_eq!(
        (&verdicts[1]["generation"]["tool"], &verdicts[1]["generation"]["seed"]),
        (&"table".into(), &5.into())
    );
    assert!(axis(&verdicts[1], "adherence")["value"].as_f64().unwrap() < 0.5, "it is not there");
}

/// Several frames of an animation are rated in one question; boxes are looked for in each.
#[test]
fn frames_of_an_animation_are_judged_together() {
    use image::codecs::gif::GifEncoder;
    let dir = tempfile::tempdir().unwrap();
    let frames = folder_of(dir.path(), &[("shapes/scene-16.png", "still.png")]);
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    for level in 0..5 {
        let picture = image::RgbaImage::from_pixel(96, 48, [level * 50, 0, 0, 255].into());
        encoder.encode_frame(image::Frame::new(picture)).unwrap();
    }
    drop(encoder);
    fs::write(frames.join("moving.gif"), gif).unwrap();
    let text = "name = \"r\"\nwording = \"{question}\"\n\
                [[axis]]\nname = \"hands\"\nkind = \"level\"\nquestion = \"q\"\n\
                [[axis]]\nname = \"flaws\"\nkind = \"defects\"\nlabels = [\"flaw\"]\n\
                [gate]\nrules = [\"keep otherwise\"]\n";
    let rubric = rubric(dir.path(), text);
    let script = dir.path().join("script.json");
    let box_2d = r#"[{"box_2d": [0, 0, 500, 500], "label": "flaw"}]"#;
    let answers = serde_json::json!({"answers": [{"text": box_2d, "words": {"good": 0.9}}]});
    fs::write(&script, answers.to_string()).unwrap();
    let out = dir.path().join("run");
    let run = |flags: &[&str]| {
        let model = format!("script:{}", script.display());
        let mut command = gemscope();
        command.arg("critique").arg(&frames).args(["--model", &model, "--rubric"]).arg(&rubric);
        let run = command.arg("--out").arg(&out).args(flags).output().unwrap();
        (run.status.code(), said(&run))
    };
    let (code, told) = run(&["--animation", "spread:3"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1 images are animations: frames from their whole length"), "{told}");
    let mut journal = json_lines(fs::read_to_string(out.join("journal.jsonl")).unwrap());
    journal.sort_by_key(|record| record["image"].to_string());
    let [moving, still] = journal.as_slice() else { panic!("{journal:?}") };
    assert_eq!(
        moving["animation"],
        serde_json::json!({"total_frames": 5, "frames": [0, 2, 4], "boxes_of": 0})
    );
    assert_eq!((&moving["width"], &moving["height"]), (&96.into(), &48.into()));
    assert_eq!(moving["answers"].as_array().unwrap().len(), 3, "each frame has its answer");
    assert_eq!(moving["detections"].as_array().unwrap().len(), 1, "of one frame");
    assert_eq!(moving["ratings"].as_array().unwrap().len(), 1, "of all frames");
    assert_eq!(moving["notes"][0]["kind"], "animated_together");
    assert_eq!(moving["notes"][0]["detail"], "frames 1, 3, 5 of 5");
    assert!(still["animation"].is_null() && still["answers"].as_array().unwrap().len() == 1);
    let sheet = fs::read_to_string(out.join("sheet/index.html")).unwrap();
    assert!(sheet.contains("frames 1, 3, 5 of 5"));

    // The same command asks nothing; other frames are another run.
    let (code, told) = run(&["--animation", "spread:3"]);
    assert!(code == Some(0) && told.contains("2 of them were rated before"), "{told}");
    let (code, told) = run(&[]);
    assert!(code == Some(1) && told.contains("animation: \"spread:3\" -> nothing"), "{told}");
    let (code, told) = run(&["--fresh", "--animation", "first"]);
    assert!(code == Some(0) && told.contains("their first frame was looked at"), "{told}");
    let (code, told) = run(&["--animation", "spread:1"]);
    assert!(code == Some(1) && told.contains("spread:N for N frames (2 to 32)"), "{told}");
}

/// A reason that was not asked for is not there, and copies of frames without a hash of how they
/// look are not known: both are said.
#[test]
fn what_an_earlier_run_lacks_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    assert_eq!(critique(&fixture("frames"), &out, &[]).0, Some(0));
    let kept = fs::read_to_string(out.join("rubric.toml")).unwrap();
    let first = kept.find("kind = \"level\"").unwrap();
    let asks_why = format!("{}reason = true\n{}", &kept[..first], &kept[first..]);
    let rubric = rubric(dir.path(), &asks_why);
    let (code, told) = report_only(&out, &["--rubric", rubric.to_str().unwrap()]);
    assert!(code == Some(1) && told.contains("asked without the reason: "), "{told}");
    let mut told = gemscope();
    told.args(["critique", "--report-only", "--out"]).arg(&out);
    let without = |told: &mut assert_cmd::Command| said(&told.output().unwrap());
    assert!(!without(&mut told).contains("near copies are not known"));
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
    let lines = journal.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("look");
        format!("{record}\n")
    });
    fs::write(out.join("journal.jsonl"), lines.collect::<String>()).unwrap();
    let said = without(&mut told);
    assert!(said.contains("near copies are not known of 12 frames"), "{said}");
}

#[test]
fn a_rubric_is_a_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let pipeline = fixture("../pipelines/demo-critique.toml");
    let run = gemscope()
        .arg("run")
        .arg(&pipeline)
        .arg(fixture("frames"))
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(verdicts(&out).len(), 12);
    // A run that found things is no critique, and the other way round.
    let found = dir.path().join("found");
    let detect = [
        "detect",
        fixture("shapes").to_str().unwrap(),
        "--labels",
        "star",
        "--export",
        "none",
        "--out",
    ]
    .map(str::to_owned);
    assert!(gemscope().args(detect).arg(&found).output().unwrap().status.success());
    let (code, said) = report_only(&found, &["--rubric", pipeline.to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("no critique"), "{said}");
}

/// The demo model never saw two images at once; what it says about itself twice must be a tie, or
/// nothing.
#[test]
fn pairs_are_asked_in_both_orders_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let frames = folder_of(
        dir.path(),
        &[("shapes/scene-16.png", "a.png"), ("shapes/scene-14.jpg", "b.png")],
    );
    fs::write(frames.join("alone.png"), b"nothing to compare").unwrap();
    let others = tempfile::tempdir().unwrap();
    let others = folder_of(others.path(), &[("shapes/scene-16.png", "a.png")]);
    fs::write(others.join("b.png"), b"broken").unwrap();
    let out = dir.path().join("run");
    let rubric = rubric(
        dir.path(),
        "name = \"p\"\nmin_mass = 0\n[[axis]]\nname = \"noise\"\nkind = \"level\"\nquestion \
         = \"noise\"\n",
    );
    let compare = || {
        let mut command = gemscope();
        command
            .args(["critique", "--pair", "--model", "demo"])
            .args([&frames, &others])
            .arg("--out")
            .arg(&out);
        let run = command.arg("--rubric").arg(&rubric).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        (said(&run), fs::read_to_string(out.join("pairs.jsonl")).unwrap())
    };
    let (said, lines) = compare();
    assert!(said.contains("1 frames are in one of the folders only"), "{said}");
    let records = json_lines(&lines);
    assert_eq!(
        (&records[0]["name"], &records[0]["preference"]),
        (&"a.png".into(), &"tie".into()),
        "{lines}"
    );
    let both: Vec<f64> = records[0]["first_better"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_f64().unwrap())
        .collect();
    assert!(
        (both[0] + both[1] - 1.0).abs() < 2e-3,
        "the same question, with the answers' meaning exchanged: {both:?}"
    );
    assert_eq!(records[1]["preference"], "unread");
    assert!(records[1]["reason"].as_str().unwrap().starts_with("second: "));
    // Only what has no answer is asked again.
    let again = json_lines(compare().1);
    assert_eq!(again[..2], records[..]);
    assert!(again[2..].iter().all(|record| record["name"] == "b.png"));
    let table = fs::read_to_string(out.join("pairs.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
    // What a crash and a bad disk leave is said, and costs no other line.
    let path = out.join("pairs.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}nonsense\n{{\"name\": \"a.p")).unwrap();
    let (said, lines) = compare();
    let number = whole.lines().count() + 1;
    assert!(said.contains(&format!("pairs.jsonl:{number}: not a record")), "{said}");
    assert!(said.contains("The last line of pairs.jsonl was not written to its end"), "{said}");
    let added = lines.strip_prefix(&format!("{whole}nonsense\n")).unwrap();
    assert_eq!(json_lines(added)[0]["name"], "b.png", "{added}");
}
