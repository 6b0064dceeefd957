//! Images in folders by what was found in them, and least scores of single labels.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{gemscope, images, json};

const CAT: &str = r#"{"box_2d": [0, 0, 500, 500], "label": "cat"}"#;
const DOG: &str = r#"{"box_2d": [500, 500, 900, 900], "label": "dog"}"#;

/// A detection of cats and dogs in `dir/images`; what was said.
fn detect(dir: &Path, arguments: &[&str]) -> String {
    let answers = json!({"answers": [
        {"image": "00.png", "text": format!("[{CAT}]"), "probability": 0.9},
        {"image": "01.png", "text": format!("[{CAT}, {DOG}]"), "probability": 0.8},
        {"image": "02.png", "text": "[]"},
        {"image": "03.png", "does": "fail", "reason": "no memory"},
        {"image": "04.png", "text": "I cannot help with that."},
        {"image": "05.png", "text": format!("[{DOG}]"), "probability": 0.01},
        {"text": format!("[{DOG}, "), "probability": 0.7},
    ]});
    fs::write(dir.join("script.json"), answers.to_string()).unwrap();
    let mut command = gemscope();
    command.current_dir(dir).args(["detect", "images", "--labels", "cat,dog", "--out", "run"]);
    command.args(["--model", "script:script.json", "--export", "coco"]).args(arguments);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + said.as_str()
}

/// What lies in a folder of the sorted ones.
fn of(run: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(run.join("sorted").join(folder)).unwrap();
    let names: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.into_iter().collect()
}

#[test]
fn images_are_sorted_by_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 7);
    detect(dir.path(), &["--sort", "link"]);
    let run = dir.path().join("run");
    assert_eq!(of(&run, "cat"), ["00.png", "01.png"]);
    assert_eq!(of(&run, "dog"), ["01.png", "06.png"]);
    assert_eq!(of(&run, "empty"), ["02.png"]);
    // Failed, refused, and emptied by the default least score: nobody may throw these away unseen.
    assert_eq!(of(&run, "unsure"), ["03.png", "04.png", "05.png"]);
    let link = run.join("sorted/dog/01.png");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() || cfg!(windows));
    assert_eq!(fs::read(&link).unwrap(), fs::read(folder.join("01.png")).unwrap());

    // Other least scores, a map of labels; the user's files stay.
    fs::write(run.join("sorted/cat/00.txt"), "of the user").unwrap();
    fs::write(dir.path().join("map.toml"), "cat = \"animal\"\ndog = \"animal\"\n").unwrap();
    detect(dir.path(), &["--sort", "copy", "--labels-map", "map.toml", "--min-score", "0.6"]);
    assert_eq!(of(&run, "cat"), ["00.txt"]);
    assert_eq!(of(&run, "animal"), ["00.png", "01.png"]);
    assert!(!fs::symlink_metadata(run.join("sorted/animal/00.png")).unwrap().is_symlink());
    // What was asked for is left out by request, and a whole answer says that nothing else is
    // there.
    assert_eq!(of(&run, "empty"), ["02.png", "05.png"]);
    assert_eq!(of(&run, "unsure"), ["03.png", "04.png", "06.png"]);

    // The same of a run that is there, into another directory.
    let mut export = gemscope();
    export.current_dir(dir.path()).args(["export", "run", "--to", "csv", "--sort", "link"]);
    export.args(["--min-score", "cat=0.7", "--out", "sorted-later"]).assert().success();
    assert_eq!(of(&dir.path().join("sorted-later"), "animal"), ["00.png", "01.png"]);
    let mut wrong = gemscope();
    wrong.current_dir(dir.path()).args(["export", "run", "--to", "csv", "--sort", "move"]);
    assert!(
        String::from_utf8_lossy(&wrong.assert().code(1).get_output().stderr)
            .contains("link or copy")
    );
}

#[test]
fn labels_have_least_scores_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 7);
    let found = || {
        let instances = json(dir.path().join("run/instances.json"));
        let categories = instances["categories"].as_array().unwrap().clone();
        let annotations = instances["annotations"].as_array().unwrap().clone();
        let of = |name: &str| {
            let id = &categories.iter().find(|category| category["name"] == name).unwrap()["id"];
            let is_of = |annotation: &&Value| annotation["category_id"] == *id;
            annotations.iter().filter(is_of).count()
        };
        [of("cat"), of("dog")]
    };
    detect(dir.path(), &["--min-score", "0"]);
    assert_eq!(found(), [2, 3]);
    // 0.81 and 0.64 of the cats; 0.64, 0.49 and 0.0001 of the dogs.
    let said = detect(dir.path(), &["--min-score", "Cat=0.7,dog=0.5"]);
    assert_eq!(found(), [1, 1]);
    assert!(said.contains("below Cat 0.7, dog 0.5, others"), "{said}");
    assert_eq!(json(dir.path().join("run/run.json"))["filters"]["min_scores"]["dog"], 0.5);
    detect(dir.path(), &["--min-score", "0.6,dog=0.0"]);
    assert_eq!(found(), [2, 3]);
    // A number alone is that of all labels again; without the flag, the run has its default.
    detect(dir.path(), &["--min-score", "0.7"]);
    assert_eq!(found(), [1, 0]);
    let said = detect(dir.path(), &["--min-score", "bird=0.7"]);
    assert!(said.contains("no box has the label \"bird\""), "{said}");
    assert_eq!(found(), [2, 2]);
    let mut wrong = gemscope();
    wrong.current_dir(dir.path()).args(["detect", "images", "--labels", "cat", "--dry-run"]);
    let wrong = wrong.args(["--min-score", "cat=7"]).assert().code(1);
    let said = String::from_utf8_lossy(&wrong.get_output().stderr).into_owned();
    assert!(said.contains("cat: must be from 0 to 1"), "{said}");
}
