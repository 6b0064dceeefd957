//! What people do with judged frames: move them, bring them back, overrule verdicts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{fixture, gemscope, json_lines};

/// Runs `critique` with the demo model; its exit code, and what it said.
fn critique(inputs: &[&Path], out: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = gemscope();
    command.arg("critique").args(inputs).arg("--out").arg(out).args(flags);
    if !inputs.is_empty() {
        command.args(["--model", "demo"]);
    }
    let run = command.output().unwrap();
    let said = [&run.stdout, &run.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    (run.status.code(), said)
}

/// Every file under `folder`, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

/// The frames of the fixtures in two folders, some with a file beside them.
fn frames(dir: &Path) -> PathBuf {
    let frames = dir.join("frames");
    fs::create_dir_all(frames.join("sub")).unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(fixture("frames"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end != "json" && end != "md"))
        .collect();
    names.sort();
    for (place, path) in names.iter().enumerate() {
        let folder = if place % 3 == 0 { frames.join("sub") } else { frames.clone() };
        let copy = folder.join(path.file_name().unwrap());
        fs::copy(path, &copy).unwrap();
        if place % 2 == 0 {
            fs::write(copy.with_extension("txt"), format!("caption {place}")).unwrap();
        }
    }
    frames
}

fn verdicts(out: &Path) -> Vec<Value> {
    json_lines(fs::read_to_string(out.join("verdicts.jsonl")).unwrap())
}

fn names(out: &Path, list: &str) -> Vec<String> {
    let list = fs::read_to_string(out.join(format!("{list}.txt"))).unwrap();
    list.lines().map(str::to_owned).collect()
}

#[test]
fn moved_frames_stay_in_the_run_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (frames(dir.path()), dir.path().join("run"));
    let before = files(&frames);
    let (code, said) = critique(&[&frames], &out, &["--sort", "move", "--group-by", "folder"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("12 frames were moved, and 6 files beside them"), "{said}");
    let judged = verdicts(&out);
    assert_eq!(judged.len(), 12);
    for one in &judged {
        let (image, verdict) = (one["image"].as_str().unwrap(), one["verdict"].as_str().unwrap());
        assert!(image.starts_with(&format!("{verdict}/")) && frames.join(image).is_file());
        assert!(names(&out, verdict).contains(&image.to_owned()));
    }
    let groups = fs::read_to_string(out.join("groups.csv")).unwrap();
    assert_eq!(groups.matches(",best\n").count(), 2 + 1, "two folders as before: {groups}");
    assert_eq!(names(&out, "best").len(), 2);
    assert!(out.join("best").join(&names(&out, "best")[0]).is_symlink());
    let captions: Vec<PathBuf> = files(&frames)
        .into_keys()
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    let has_frame =
        |path: &PathBuf| ["png", "jpg", "webp"].iter().any(|end| path.with_extension(end).exists());
    assert!(captions.len() == 6 && captions.iter().all(has_frame), "{captions:?}");

    // The same command: nothing is asked, nothing is moved.
    let journal = fs::read(out.join("journal.jsonl")).unwrap();
    let (code, said) = critique(&[&frames], &out, &["--sort", "move"]);
    assert!(code == Some(0) && said.contains("0 frames were moved"), "{said}");
    assert!(said.contains("12 of them were rated before"), "{said}");
    assert_eq!(fs::read(out.join("journal.jsonl")).unwrap(), journal);

    // Other rules move them elsewhere, and a list works from where it lies.
    let rubric = fs::read_to_string(fixture("../pipelines/demo-critique.toml")).unwrap();
    let (axes, _) = rubric.split_once("[gate]").unwrap();
    let all = dir.path().join("all.toml");
    fs::write(&all, format!("{axes}\n[gate]\nrules = ['reject otherwise']\n")).unwrap();
    let all = all.to_str().unwrap().to_owned();
    let (code, said) = critique(&[], &out, &["--report-only", "--rubric", &all, "--sort", "move"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(names(&out, "reject").iter().all(|name| frames.join(name).is_file()));
    let list = format!("@{}", out.join("reject.txt").display());
    let plan = gemscope()
        .args(["detect", &list, "--labels", "star", "--dry-run"])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&plan.stdout).contains("12"), "{plan:?}");

    // Killed between a frame and its caption: the same command moves the caption, too.
    let caption = files(&frames.join("reject"))
        .into_keys()
        .find(|path| path.extension().unwrap() == "txt")
        .unwrap();
    let name = caption.strip_prefix(&frames).unwrap().to_str().unwrap();
    let moves = json_lines(fs::read_to_string(out.join("moves.jsonl")).unwrap());
    let last = moves.iter().rfind(|step| step["to"] == name).unwrap();
    let before_it = frames.join(last["from"].as_str().unwrap());
    fs::create_dir_all(before_it.parent().unwrap()).unwrap();
    fs::rename(&caption, &before_it).unwrap();
    let flags = ["--report-only", "--rubric", &all, "--sort", "move", "--xmp"];
    let (code, said) = critique(&[], &out, &flags);
    assert!(code == Some(0) && said.contains("0 frames were moved, and 1 files"), "{said}");
    assert!(caption.exists() && !before_it.exists());

    // Ratings that were written beside moved frames come back with them.
    assert!(said.contains("12 frames have their rating"), "{said}");
    let (code, said) = critique(&[], &out, &["--undo"]);
    assert!(code == Some(0) && said.contains("30 files are back where they were"), "{said}");
    assert!(!frames.join("reject").exists());
    let (ratings, others): (BTreeMap<_, _>, BTreeMap<_, _>) = files(&frames)
        .into_iter()
        .partition(|(path, _)| path.extension().is_some_and(|end| end == "xmp"));
    assert_eq!((ratings.len(), others), (12, before));
    assert!(names(&out, "reject").iter().all(|name| frames.join(name).is_file()));
    let (code, said) = critique(&[&frames], &out, &[]);
    assert!(code == Some(0) && said.contains("12 of them were rated before"), "{said}");
}

#[test]
fn what_is_no_longer_the_judged_frame_is_not_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (frames(dir.path()), dir.path().join("run"));
    assert_eq!(critique(&[&frames], &out, &[]).0, Some(0));
    let judged = verdicts(&out);
    let [changed, gone, taken] =
        [0, 1, 2].map(|place| judged[place]["image"].as_str().unwrap().to_owned());
    fs::write(frames.join(&changed), "another picture").unwrap();
    fs::remove_file(frames.join(&gone)).unwrap();
    let verdict = judged[2]["verdict"].as_str().unwrap();
    let in_the_way = frames.join(verdict).join(&taken);
    fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
    fs::write(&in_the_way, "the user's").unwrap();
    let (code, said) = critique(&[], &out, &["--report-only", "--sort", "move"]);
    assert_eq!(code, Some(2), "the sheet lacks a picture: {said}");
    assert!(said.contains("10 frames were moved"), "{said}");
    assert!(said.contains(&format!("{changed} stays where it is: was changed")), "{said}");
    assert_eq!(fs::read(frames.join(&changed)).unwrap(), b"another picture");
    assert_eq!(fs::read(&in_the_way).unwrap(), b"the user's");
    let numbered = in_the_way
        .with_file_name(format!("{}-2.png", in_the_way.file_stem().unwrap().to_str().unwrap()));
    assert!(numbered.is_file());
    // A new frame takes an old name: it stays, and the old one is left and said.
    fs::write(frames.join(&taken), "a new frame").unwrap();
    let (code, said) = critique(&[], &out, &["--undo"]);
    assert!(code == Some(2) && said.contains("another file is at"), "{said}");
    assert_eq!(fs::read(frames.join(&taken)).unwrap(), b"a new frame");
    assert!(numbered.is_file());
    // Once the way is free it comes back, too.
    fs::remove_file(frames.join(&taken)).unwrap();
    assert!(critique(&[], &out, &["--undo"]).1.contains("files are back where they were"));
    assert!(frames.join(&taken).is_file() && !numbered.exists());
}

#[test]
fn frames_that_were_moved_out_of_the_inputs_are_still_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (all, out) = (frames(dir.path()), dir.path().join("run"));
    fs::create_dir(all.join("more")).unwrap();
    for entry in fs::read_dir(&all).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::rename(entry.path(), all.join("more").join(entry.file_name())).unwrap();
    }
    let (one, two) = (all.join("more"), all.join("sub"));
    let (code, said) = critique(&[&one, &two], &out, &["--sort", "move"]);
    assert!(code == Some(0) && said.contains("12 frames were moved"), "{said}");
    // Not one frame is left in the folders that are named.
    let (code, said) = critique(&[&one, &two], &out, &["--sort", "move"]);
    assert!(code == Some(0) && said.contains("12 of them were rated before"), "{said}");
    assert_eq!(verdicts(&out).len(), 12);
    assert_eq!(critique(&[], &out, &["--undo"]).0, Some(0));
    assert_eq!(fs::read_dir(&two).unwrap().count(), files(&two).len());
    assert!(!all.join("keep").exists() && !all.join("reject").exists());
}

#[test]
fn verdicts_by_hand_count_before_the_rules_in_later_runs_too() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (frames(dir.path()), dir.path().join("run"));
    assert_eq!(critique(&[&frames], &out, &[]).0, Some(0));
    let by_rules = verdicts(&out);
    let [first, second] = [0, 1].map(|place| by_rules[place]["image"].as_str().unwrap().to_owned());
    let other = |place: usize| {
        if by_rules[place]["verdict"] == "reject" { "keep" } else { "reject" }
    };
    let table = dir.path().join("mine.csv");
    fs::write(
        &table,
        format!("image,verdict\n{first},{}\n{second},{}\nno.png,keep\n", other(0), other(1)),
    )
    .unwrap();
    let flags = ["--report-only", "--overrule", table.to_str().unwrap()];
    let (code, said) = critique(&[], &out, &flags);
    assert!(code == Some(0) && said.contains("of no frame here: 1"), "{said}");
    assert!(said.contains("overruled by hand  ") && said.contains('2'), "{said}");
    let check = |out: &Path| {
        let now = verdicts(out);
        for (place, image) in [(0, &first), (1, &second)] {
            let one =
                now.iter().find(|one| one["image"].as_str().unwrap().ends_with(image)).unwrap();
            assert_eq!(one["verdict"], other(place), "{one}");
            assert_eq!(one["by_rules"], by_rules[place]["verdict"]);
            assert!(one["rule"].as_str().unwrap().starts_with("overruled by hand: the rules say"));
        }
    };
    check(&out);
    let csv = fs::read_to_string(out.join("verdicts.csv")).unwrap();
    assert_eq!(csv.matches(",overruled by hand,").count(), 2, "{csv}");
    // Later, without the file; the frame has another name, and its old name another picture.
    fs::rename(frames.join(&first), frames.join(format!("new-{first}").replace('/', "-"))).unwrap();
    fs::copy(frames.join(&second), frames.join(&first)).unwrap();
    let (code, said) = critique(&[&frames], &out, &[]);
    assert_eq!(code, Some(0), "{said}");
    let renamed = format!("new-{first}").replace('/', "-");
    let now = verdicts(&out);
    let of = |image: &str| now.iter().find(|one| one["image"] == image).unwrap();
    assert_eq!(of(&renamed)["verdict"], other(0));
    assert_eq!(of(&first)["verdict"], other(1), "it is the picture that was overruled");
    // Not by --fresh either; only by hand.
    assert_eq!(critique(&[&frames], &out, &["--fresh"]).0, Some(0));
    assert!(verdicts(&out).iter().any(|one| one["by_rules"].is_string()));
    fs::write(&table, format!("image,verdict\n{renamed},rules\n{second},rules\n")).unwrap();
    assert_eq!(critique(&[], &out, &flags).0, Some(0));
    assert!(verdicts(&out).iter().all(|one| one["by_rules"].is_null()));
    fs::write(&table, "image,verdict\na.png,good\n").unwrap();
    let (code, said) = critique(&[], &out, &flags);
    assert!(code == Some(1) && said.contains("mine.csv: line 2: \"good\" is no verdict"), "{said}");
}

#[test]
fn one_frame_in_a_script_ends_with_its_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (frames(dir.path()), dir.path().join("run"));
    let frame = files(&frames).into_keys().find(|path| path.extension().unwrap() != "txt").unwrap();
    let demo = fs::read_to_string(fixture("../pipelines/demo-critique.toml")).unwrap();
    let (axes, _) = demo.split_once("[gate]").unwrap();
    for (verdict, code) in [("keep", 0), ("review", 10), ("reject", 11)] {
        let rubric = dir.path().join("rubric.toml");
        fs::write(&rubric, format!("{axes}\n[gate]\nrules = ['{verdict} otherwise']\n")).unwrap();
        let rubric = ["--rubric", rubric.to_str().unwrap(), "--export", "none"];
        let flags = [&rubric[..], &["--exit-by-verdict"]].concat();
        assert_eq!(critique(&[&frame], &out, &flags).0, Some(code));
        assert_eq!(critique(&[&frame], &out, &rubric).0, Some(0));
    }
    let broken = dir.path().join("broken.png");
    fs::write(&broken, "no picture").unwrap();
    let out = dir.path().join("other");
    assert_eq!(critique(&[&broken], &out, &["--exit-by-verdict", "--export", "none"]).0, Some(2));
}

/// Frames come at intervals, some in pieces; each is judged once, and none half.
#[test]
fn a_watched_folder_is_judged_while_it_is_filled() {
    use std::io::Write as _;
    use std::thread::sleep;
    use std::time::Duration;

    let dir = tempfile::tempdir().unwrap();
    let (all, out) = (frames(dir.path()), dir.path().join("run"));
    let frames = dir.path().join("watched");
    fs::create_dir(&frames).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gemscope"));
    command.args(["critique", "--watch", "--idle", "9s", "--model", "demo", "--out"]);
    command.arg(&out).arg(&frames).stdout(std::process::Stdio::null());
    let mut watching = command.spawn().unwrap();
    let pictures = files(&all).into_iter().filter(|(path, _)| path.extension().unwrap() != "txt");
    for (place, (path, bytes)) in pictures.enumerate().take(8) {
        let target = frames.join(path.file_name().unwrap());
        if place % 4 == 1 {
            // Longer between its pieces than a file needs to count as written.
            let mut file = fs::File::create(&target).unwrap();
            file.write_all(&bytes[..bytes.len() / 2]).unwrap();
            sleep(Duration::from_secs(4));
            file.write_all(&bytes[bytes.len() / 2..]).unwrap();
        } else {
            fs::write(&target, bytes).unwrap();
        }
        sleep(Duration::from_millis(150 * place as u64));
    }
    assert!(watching.wait().unwrap().success());
    let journal = json_lines(fs::read_to_string(out.join("journal.jsonl")).unwrap());
    assert_eq!(journal.len(), 8, "each once");
    let whole = |record: &Value| {
        record["status"] == "ok" && record["notes"].as_array().is_some_and(Vec::is_empty)
    };
    assert!(journal.iter().all(whole), "none half: {journal:?}");
    assert_eq!(verdicts(&out).len(), 8);
    assert!(out.join("sheet/index.html").is_file());
}

#[test]
fn kept_frames_have_captions_and_labels_of_people_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (frames(dir.path()), dir.path().join("run"));
    let (code, said) = critique(&[&frames], &out, &["--export", "jsonl,lists,training"]);
    assert_eq!(code, Some(0), "{said}");
    let lines = json_lines(fs::read_to_string(out.join("training/metadata.jsonl")).unwrap());
    assert_eq!(lines.len(), names(&out, "keep").len());
    for line in &lines {
        let path = out.join("training").join(line["file_name"].as_str().unwrap());
        let caption = fs::read_to_string(path.with_extension("txt")).unwrap();
        assert!(path.is_file() && caption == line["text"].as_str().unwrap(), "{line}");
        let beside = frames.join(line["file_name"].as_str().unwrap()).with_extension("txt");
        assert!(!beside.exists() || fs::read_to_string(beside).unwrap() == caption);
    }
    // Ratings beside the frames: theirs stay in what is there.
    let (first, verdict) =
        (verdicts(&out)[0]["image"].clone(), verdicts(&out)[0]["verdict"].clone());
    let rating = if verdict == "keep" { "=\"5\"" } else { "=\"" };
    let flags = ["--report-only", "--export", "none", "--xmp"];
    for _ in 0..2 {
        let (code, said) = critique(&[], &out, &flags);
        assert!(code == Some(0) && said.contains("12 frames have their rating"), "{said}");
    }
    let xmp = frames.join(first.as_str().unwrap()).with_extension("xmp");
    let xmp = fs::read_to_string(xmp).unwrap();
    assert!(xmp.contains(&format!("xmp:Rating{rating}")) && xmp.matches("Rating").count() == 1);
    let labels = dir.path().join("labels.csv");
    let rows = verdicts(&out).into_iter().enumerate().map(|(place, one)| {
        let verdict = if place == 0 { "review" } else { one["verdict"].as_str().unwrap() };
        format!("{},{verdict},{}\n", one["image"].as_str().unwrap(), one["axes"][0]["value"])
    });
    let rows: String = rows.collect();
    fs::write(&labels, format!("image,verdict,sharpness\n{rows}no.png,keep,\n")).unwrap();
    let flags = ["--report-only", "--export", "none", "--agree", labels.to_str().unwrap()];
    let (code, said) = critique(&[], &out, &flags);
    assert!(code == Some(0) && said.contains("12 frames, 1 rows of no frame"), "{said}");
    assert!(said.contains("sharpness: rank correlation 1.00"), "{said}");
    let agreement: Value = crate::support::json(out.join("agreement.json"));
    assert_eq!(agreement["columns"][0][0], "verdict", "{agreement}");
    assert!(agreement["columns"][0][1]["same"].as_f64().unwrap() > 0.9);
}

/// The pixels and the generation settings stay, the frames are known again, and all of it can be
/// taken back.
#[test]
fn ratings_in_the_frames_themselves_are_taken_back_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, out) = (frames(dir.path()), dir.path().join("run"));
    let before = files(&frames);
    assert_eq!(critique(&[&frames], &out, &[]).0, Some(0));
    let judged = verdicts(&out);
    let unrated = fs::read(out.join("journal.jsonl")).unwrap();
    let (code, said) = critique(&[&frames], &out, &["--xmp=file"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("12 frames have their rating in themselves"), "{said}");
    let rated = files(&frames);
    assert_eq!(rated.len(), before.len(), "no other file");
    for one in &judged {
        let path = frames.join(one["image"].as_str().unwrap());
        let (then, now) = (&before[&path], &rated[&path]);
        let rating = match one["verdict"].as_str().unwrap() {
            "keep" => "xmp:Rating=\"5\" xmp:Label=\"Green\"",
            "review" => "xmp:Rating=\"3\" xmp:Label=\"Yellow\"",
            _ => "xmp:Rating=\"-1\" xmp:Label=\"Red\"",
        };
        assert!(String::from_utf8_lossy(now).contains(rating), "{one}");
        let [then, now] = [then, now].map(|bytes| image::load_from_memory(bytes).unwrap());
        assert_eq!(then, now, "the pixels stay");
    }

    // The same command asks nothing and changes nothing, and finds the same settings.
    let journal = fs::read(out.join("journal.jsonl")).unwrap();
    let (code, said) = critique(&[&frames], &out, &["--xmp=file"]);
    assert!(code == Some(0) && said.contains("12 of them were rated before"), "{said}");
    assert!(files(&frames) == rated && fs::read(out.join("journal.jsonl")).unwrap() == journal);
    let fresh = dir.path().join("fresh");
    assert_eq!(critique(&[&frames], &fresh, &[]).0, Some(0));
    for (then, now) in judged.iter().zip(verdicts(&fresh)) {
        assert_eq!(then["generation"], now["generation"]);
    }

    // Killed before the records had the new hashes: the frames are not asked again.
    fs::write(out.join("journal.jsonl"), &unrated).unwrap();
    let (code, said) = critique(&[&frames], &out, &[]);
    assert!(code == Some(0) && said.contains("12 of them were rated before"), "{said}");

    // A verdict by hand stays with a frame, which is rated anew, and moved.
    let first = judged[0]["image"].as_str().unwrap();
    let other = if judged[0]["verdict"] == "reject" { "keep" } else { "reject" };
    let table = dir.path().join("mine.csv");
    fs::write(&table, format!("image,verdict\n{first},{other}\n")).unwrap();
    let flags = ["--report-only", "--overrule", table.to_str().unwrap(), "--xmp=file"];
    assert_eq!(critique(&[], &out, &flags).0, Some(0));
    assert_ne!(fs::read(frames.join(first)).unwrap(), rated[&frames.join(first)]);
    let (code, said) = critique(&[&frames], &out, &["--sort", "move", "--xmp=file"]);
    assert!(code == Some(0) && said.contains("12 frames were moved"), "{said}");
    let by_hand = verdicts(&out).iter().filter(|one| one["by_rules"].is_string()).count();
    assert_eq!(by_hand, 1, "the verdict by hand is still there");

    // One that somebody else changed is left, and said.
    let strange = frames.join(verdicts(&out)[1]["image"].as_str().unwrap());
    let ours = fs::read(&strange).unwrap();
    fs::write(&strange, [ours.as_slice(), b" "].concat()).unwrap();
    let (_, said) = critique(&[], &out, &["--undo"]);
    assert!(said.contains("keeps its rating: was changed"), "{said}");
    assert!(said.contains("11 files are without their rating again"), "{said}");
    let found = files(&frames);
    let left: Vec<_> =
        before.iter().filter(|(path, bytes)| found.get(*path) != Some(bytes)).collect();
    assert_eq!(left.len(), 1, "{:?}", left.iter().map(|(path, _)| path).collect::<Vec<_>>());
    fs::write(left[0].0, ours).unwrap();
    assert_eq!(critique(&[], &out, &["--undo"]).0, Some(0));
    assert!(files(&frames) == before, "every file is as it was");
}
