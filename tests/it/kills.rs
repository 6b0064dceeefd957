//! Commands that are killed at any moment, one alone or two at once, change nothing of the user's
//! and can simply be repeated.
//!
//! `GEMSCOPE_KILLS=200 cargo test --test it kills:: -- --ignored --nocapture`; `GEMSCOPE_SEED` is
//! another course of events.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::support::{binary, fixture, sha256};

/// Everything under a folder: the hash of a file, the target of a link.
type Content = BTreeMap<PathBuf, String>;

fn content(folder: &Path) -> Content {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| !entry.file_type().is_dir()).map(|entry| {
        let path = entry.path();
        let is = if entry.path_is_symlink() {
            format!("-> {}", fs::read_link(path).unwrap().display())
        } else {
            sha256(&fs::read(path).unwrap())
        };
        (path.strip_prefix(folder).unwrap().to_owned(), is)
    });
    files.collect()
}

/// What a command wrote into `folder`, in which its `--out` is `out`: without what it keeps for
/// itself, and without the user's files.
fn written(folder: &Path) -> Content {
    let own =
        [".lock", ".gemscope", "journal.jsonl", "run.json"].map(|name| Path::new("out").join(name));
    let mut written = content(folder);
    written.retain(|name, _| {
        !own.iter().any(|own| name.starts_with(own)) && !name.to_str().unwrap().contains(MINE)
    });
    written
}

/// In the name of every file that the user puts into an output.
const MINE: &str = "of-the-user";

/// Puts files of the user's into every folder of `out`; all of them.
fn plant(out: &Path) -> Vec<PathBuf> {
    let mut planted = Vec::new();
    for entry in walkdir::WalkDir::new(out).into_iter().map(Result::unwrap) {
        if entry.file_type().is_dir() && !entry.path().to_str().unwrap().contains(".gemscope") {
            planted.push(entry.path().join(format!("caption-{MINE}.txt")));
            planted.push(entry.path().join(format!("folder-{MINE}")).join("notes.txt"));
        }
    }
    planted
        .retain(|path| !path.parent().unwrap().parent().unwrap().to_str().unwrap().contains(MINE));
    for path in &planted {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, path.to_str().unwrap()).unwrap();
    }
    planted
}

type CommandOf = dyn Fn(&Path, bool) -> Command;

/// A command in two variants, which write different files into the same place.
struct Scenario {
    name: &'static str,
    command: Box<CommandOf>,
    /// What each variant writes when nobody disturbs it, and how long it takes.
    expected: Vec<(Content, Duration)>,
    dir: PathBuf,
    out: PathBuf,
    planted: Vec<PathBuf>,
    generation: usize,
}

#[derive(Debug, Default)]
struct Counts {
    killed: usize,
    in_time: usize,
    two_at_once: usize,
    refused: usize,
    repeated: usize,
    zeros: usize,
}

fn quiet(name: &str) -> Command {
    let mut command = Command::new(binary());
    command.arg(name).env("GEMSCOPE_DEVICE", "cpu").arg("--quiet");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Scenario {
    fn new(
        name: &'static str,
        dir: &Path,
        command: impl Fn(&Path, bool) -> Command + 'static,
    ) -> Self {
        let mut expected = Vec::new();
        for variant in [false, true] {
            let out = dir.join(format!("{name}-whole-{variant}")).join("out");
            fs::create_dir(out.parent().unwrap()).unwrap();
            let begun = Instant::now();
            let output = command(&out, variant).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            expected.push((written(out.parent().unwrap()), begun.elapsed()));
        }
        assert_ne!(expected[0].0, expected[1].0, "{name}: the variants differ");
        let (command, dir, out) = (Box::new(command), dir.to_owned(), PathBuf::new());
        let mut scenario =
            Self { name, command, expected, dir, out, planted: Vec::new(), generation: 0 };
        scenario.begin_anew();
        scenario
    }

    /// Another place, where nothing is yet.
    fn begin_anew(&mut self) {
        self.generation += 1;
        self.out = self.dir.join(format!("{}-{}", self.name, self.generation)).join("out");
        fs::create_dir(self.out.parent().unwrap()).unwrap();
        self.planted = Vec::new();
    }

    fn spawn(&self, variant: bool) -> Child {
        (self.command)(&self.out, variant).spawn().unwrap()
    }

    /// Everything that lies where the scenario writes is as an undisturbed command leaves it.
    fn assert_whole(&self, variant: bool) {
        let (given, expected) =
            (written(self.out.parent().unwrap()), &self.expected[usize::from(variant)].0);
        let names = |content: &Content| content.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&given), names(expected), "{} {variant}", self.name);
        assert_eq!(&given, expected, "{} {variant}", self.name);
        assert!(!self.out.join(".gemscope/new").exists(), "{}: temporaries are left", self.name);
    }

    fn assert_mine(&self) {
        for path in &self.planted {
            let text = fs::read_to_string(path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(text, path.to_str().unwrap());
        }
    }

    /// One kill, and perhaps the same command again until it is done.
    fn disturb(&mut self, random: &mut ChaCha8Rng, counts: &mut Counts) {
        let variant = random.random_bool(0.5);
        let longest = self.expected[usize::from(variant)].1.as_secs_f64() * 1.1;
        let mut children = vec![self.spawn(variant)];
        if random.random_bool(0.3) {
            counts.two_at_once += 1;
            children.push(self.spawn(variant));
        }
        std::thread::sleep(Duration::from_secs_f64(random.random_range(0.0..longest)));
        // Of two, one is killed and the other goes on, or both are.
        let both = random.random_bool(0.5);
        let two = children.len() == 2;
        for (index, child) in children.iter_mut().enumerate() {
            if index == 0 || both {
                child.kill().unwrap();
            }
        }
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                None => counts.killed += 1,
                Some(0) => {
                    counts.zeros += 1;
                    counts.in_time += 1;
                    if !two {
                        self.assert_whole(variant);
                    }
                }
                Some(1) if two && said.contains("another process") => counts.refused += 1,
                Some(code) => panic!("{}: exit code {code}: {said}", self.name),
            }
        }
        self.assert_mine();
        if random.random_bool(0.7) {
            self.repeat(variant, counts);
            if random.random_bool(0.25) {
                self.begin_anew();
            } else if self.planted.is_empty() && self.out.is_dir() {
                self.planted = plant(&self.out);
            }
        }
    }

    fn repeat(&self, variant: bool, counts: &mut Counts) {
        let output = (self.command)(&self.out, variant).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        counts.repeated += 1;
        counts.zeros += 1;
        self.assert_whole(variant);
        self.assert_mine();
    }
}

/// `count` pictures of the fixtures, in two folders.
fn pictures(folder: &Path, count: usize) {
    for index in 0..count {
        let inner = folder.join(if index % 3 == 0 { "a" } else { "b" });
        fs::create_dir_all(&inner).unwrap();
        let scene = fixture(&format!("shapes/scene-{:02}.png", [1, 2, 3, 6, 7, 9][index % 6]));
        fs::copy(scene, inner.join(format!("{index:02}.png"))).unwrap();
    }
}

#[test]
#[ignore = "minutes: GEMSCOPE_KILLS=200 cargo test --test it kills:: -- --ignored --nocapture"]
fn kills_change_nothing_of_the_users_and_every_command_can_be_repeated() {
    let kills: usize = std::env::var("GEMSCOPE_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let seed = std::env::var("GEMSCOPE_SEED").map_or(17, |seed| seed.parse().unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let beside = dir.path().join("beside");
    for name in [
        "images/mine.txt",
        "crops/a.png",
        "sorted/keep/b.png",
        "run.json",
        "journal.jsonl",
        ".lock",
    ] {
        let path = beside.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let (images, frames) = (dir.path().join("images"), dir.path().join("frames"));
    pictures(&images, 24);
    pictures(&frames, 6);
    let before = [&beside, &images, &frames].map(|folder| content(folder));

    let run = dir.path().join("run");
    let labels = ["--labels", "star", "--budget", "70", "--batch", "4"];
    let detect = quiet("detect")
        .arg(&images)
        .args(labels)
        .args(["--export", "coco", "--out"])
        .arg(&run)
        .output();
    assert!(detect.unwrap().status.success());
    let truth = fixture("coco/truth.json");
    let formats = "jsonl,csv,coco,yolo,voc,label-studio,counts,crops";
    let instances = run.join("instances.json");
    let mut scenarios = vec![
        Scenario::new("detect", dir.path(), {
            let images = images.clone();
            move |out, variant| {
                let mut command = quiet("detect");
                command.arg(&images).args(labels).args(["--export", formats, "--out"]).arg(out);
                command.args(if variant {
                    &["--min-score", "0.6", "--fresh"][..]
                } else {
                    &["--min-score", "0"]
                });
                command
            }
        }),
        Scenario::new("critique", dir.path(), move |out, variant| {
            let mut command = quiet("critique");
            command.arg(&frames).arg("--rubric").arg(fixture("../pipelines/demo-critique.toml"));
            command
                .arg("--model")
                .arg(fixture("demo-model"))
                .args(["--export", "jsonl,csv,lists,statistics", "--out"])
                .arg(out);
            command.args(["--sort", if variant { "link" } else { "copy" }]);
            command
        }),
        Scenario::new("export", dir.path(), {
            let images = images.clone();
            move |out, variant| {
                let mut command = quiet("export");
                command
                    .arg(&run)
                    .args(["--to", formats, "--min-score", "0", "--images"])
                    .arg(&images)
                    .arg("--out")
                    .arg(out);
                command.args(if variant {
                    &["--crop-padding", "0.2", "--split", "0.5", "--copy-images"][..]
                } else {
                    &[]
                });
                command
            }
        }),
        Scenario::new("convert", dir.path(), {
            let truth = truth.clone();
            move |out, variant| {
                let mut command = quiet("convert");
                command
                    .arg(&truth)
                    .args(["--to", if variant { "voc" } else { "yolo" }, "--out"])
                    .arg(out);
                command
            }
        }),
    ];
    scenarios.push(Scenario::new("convert-to-a-file", dir.path(), move |out, variant| {
        let mut command = quiet("convert");
        command
            .arg(if variant { &instances } else { &truth })
            .args(["--to", "coco", "--adopt", "--out"])
            .arg(out);
        command
    }));
    let mut counts = Counts::default();
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    while counts.killed < kills {
        let scenario = &mut scenarios[random.random_range(0..5)];
        let killed = counts.killed;
        scenario.disturb(&mut random, &mut counts);
        *by_name.entry(scenario.name).or_default() += counts.killed - killed;
    }
    for scenario in &scenarios {
        scenario.repeat(false, &mut counts);
    }
    let after = [&beside, &images, &dir.path().join("frames")].map(|folder| content(folder));
    assert!(before == after, "the user's folders are as they were");
    eprintln!("{counts:?}; kills by command: {by_name:?}");
}
