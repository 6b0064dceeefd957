//! Several engines over one queue, as there are with several cards.

use std::fs;
use std::time::Duration;

use gemscope::device::Device;
use gemscope::engine::{Engine, FindQuestion, ImageQuestions, OnnxEngine, Question};
use gemscope::generate::BatchLimits;
use gemscope::journal::{RunDirectory, read_journal};
use gemscope::prompt::{Conversation, Prompter};
use gemscope::record::{Manifest, Task};
use gemscope::run::{self, Control, Plan, Questions};
use gemscope::source;

use crate::support::{fixture, gemscope, open_on};

/// What is asked about every image.
fn shapes(prompter: &Prompter) -> Questions {
    let task = Task::Prompt { text: "detect shape".to_owned(), labels: Vec::new() };
    let query = prompter.query(&task.text(), &Conversation::default()).unwrap();
    let question = Question::Find(FindQuestion {
        query,
        task,
        kind: gemscope::record::AnswerKind::Boxes,
        grammar: None,
        form: None,
        explain: None,
    });
    Questions::about_every(Some(ImageQuestions { labels: Vec::new(), questions: vec![question] }))
}

/// Each engine answers a part of the images, and which part is nobody's business: the exports are
/// those of one engine. One of them is the rehearsal of a card.
#[test]
fn several_engines_write_what_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    let one = dir.path().join("one");
    let detect = [
        "detect",
        "--prompt",
        "detect shape",
        "--decoding",
        "free",
        "--budget",
        "70",
        "--export",
        "jsonl,coco",
    ];
    gemscope().args(detect).arg("--out").arg(&one).arg(fixture("shapes")).assert().success();

    let (prompter, _) = open_on(&fixture("demo-model"), Device::Cpu);
    let mut engines: Vec<Box<dyn Engine>> = [Device::Cpu, Device::EmulatedCuda, Device::Cpu]
        .map(|device| -> Box<dyn Engine> {
            let (prompter, model) = open_on(&fixture("demo-model"), device);
            let limits = BatchLimits { rows: 2, ..BatchLimits::default() };
            Box::new(OnnxEngine::new(model, &prompter, limits))
        })
        .into();
    let questions = shapes(&prompter);
    let manifest = Manifest::read(&one).unwrap();
    let settings = manifest.settings.clone().unwrap();
    let source = source::list(&[fixture("shapes")], None).unwrap();

    let several = dir.path().join("several");
    let directory = RunDirectory::open(&several, false).unwrap();
    directory.create_or_verify(&manifest).unwrap();
    let (journal, known) = directory.journal(Duration::ZERO).unwrap();
    let control = Control::default();
    let plan = Plan {
        images: &source.images,
        root: &source.root,
        questions: &questions,
        settings: &settings,
        known: &known,
        control: &control,
    };
    let outcome = run::execute(&mut engines, &plan, journal, &()).unwrap();
    assert_eq!((outcome.left, outcome.resumed), (0, 0));
    drop(directory);
    assert!(
        engines.iter().all(|engine| engine.effort().onnx_runtime_seconds > 0.0),
        "one answered nothing"
    );

    gemscope().args(["export", "--to", "jsonl,coco"]).arg(&several).assert().success();
    for file in ["detections.jsonl", "instances.json", "results.json"] {
        let read = |run: &std::path::Path| fs::read_to_string(run.join(file)).unwrap();
        assert!(read(&one) == read(&several), "{file}");
    }
    assert_eq!(read_journal(&several).unwrap().records.len(), source.images.len());
}

/// What one engine cannot go on from stops the others too, and nothing is lost of what they
/// answered.
#[test]
fn one_engine_that_fails_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (prompter, model) = open_on(&fixture("demo-model"), Device::Cpu);
    let engine = |model| -> Box<dyn Engine> {
        Box::new(OnnxEngine::new(model, &prompter, BatchLimits::single()))
    };
    // The soft tokens of this one have another width than the ids of the prompt are for: it fails
    // at its first image.
    let (_, other) = open_on(&fixture("variants/12B"), Device::Cpu);
    let mut engines = vec![engine(model), engine(other)];
    let questions = shapes(&prompter);
    let one = dir.path().join("one");
    let detect = [
        "detect",
        "--prompt",
        "detect shape",
        "--decoding",
        "free",
        "--budget",
        "70",
        "--export",
        "none",
    ];
    gemscope()
        .args(detect)
        .arg("--out")
        .arg(&one)
        .arg(fixture("shapes/scene-01.png"))
        .assert()
        .success();
    let settings = Manifest::read(&one).unwrap().settings.unwrap();
    let source = source::list(&[fixture("shapes")], None).unwrap();
    let out = dir.path().join("out");
    let directory = RunDirectory::open(&out, false).unwrap();
    directory
        .create_or_verify(&Manifest::new(Some(source.root.clone()), Some(settings.clone())))
        .unwrap();
    let (journal, known) = directory.journal(Duration::ZERO).unwrap();
    let control = Control::default();
    let plan = Plan {
        images: &source.images,
        root: &source.root,
        questions: &questions,
        settings: &settings,
        known: &known,
        control: &control,
    };
    let failed = run::execute(&mut engines, &plan, journal, &());
    assert!(failed.is_err());
    assert!(read_journal(&out).unwrap().records.len() < source.images.len());
}
