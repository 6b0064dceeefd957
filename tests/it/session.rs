//! Batches of images without a run, by the library.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs;
use std::time::Duration;

use gemscope::engine::{Answered, Effort, Engine, EngineError, Shown, ViewForm};
use gemscope::export::jsonl_line;
use gemscope::record::AnswerStatus;
use gemscope::session::{
    BatchContent, BatchImage, DetectConfig, ModelChoice, ModelOptions, OwnEngines, Session,
    SessionError,
};

use crate::support::{fixture, gemscope};

/// Answers with a label for each image, its name; dies, once, at an image that is called `dies`.
#[derive(Default)]
struct Named {
    waiting: Vec<Shown>,
    died: bool,
}

impl Engine for Named {
    fn view_form(&self) -> ViewForm {
        ViewForm::Rgb
    }

    fn submit(&mut self, shown: Shown) {
        self.waiting.push(shown);
    }

    fn room(&self) -> usize {
        4_usize.saturating_sub(self.waiting.len())
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn advance(&mut self, _wait: Duration) -> Result<Vec<Answered>, EngineError> {
        if !self.died && self.waiting.iter().any(|shown| shown.image == "dies") {
            self.died = true;
            return Err(EngineError::new("it died".to_owned()));
        }
        // The last first, and one at a time.
        let answered = self.waiting.pop().map(|shown| {
            let text = format!(r#"[{{"box_2d": [0, 0, 500, 500], "label": "{}"}}]"#, shown.image);
            shown.answered_by(|_| text.clone())
        });
        Ok(answered.into_iter().collect())
    }

    fn cancel(&mut self, id: usize) {
        self.waiting.retain(|shown| shown.id != id);
    }

    fn effort(&self) -> Effort {
        Effort::default()
    }
}

fn scene(name: &str) -> BatchImage<'static> {
    let path = fixture("shapes").join("scene-01.png");
    BatchImage { name: name.to_owned(), content: BatchContent::File(path) }
}

fn named() -> Session<'static> {
    let engines = OwnEngines::of("named", Named::default());
    Session::with_engines(DetectConfig::of_labels(["thing"]), engines, &()).unwrap()
}

#[test]
fn records_come_in_the_order_of_their_images() {
    let names: Vec<String> = (0..20).map(|index| format!("image {index}")).collect();
    let images: Vec<_> = names.iter().map(|name| scene(name)).collect();
    let records = named().answer(&images, &|| false).unwrap();
    let labels: Vec<&str> =
        records.iter().map(|record| record.detections[0].label.as_str()).collect();
    assert_eq!(labels, names);
    assert_eq!(named().answer(&[], &|| false).unwrap(), []);
}

#[test]
fn an_image_that_cannot_be_read_is_a_failed_record_beside_the_others() {
    let bad = BatchImage {
        name: "bad".to_owned(),
        content: BatchContent::Bytes(Cow::Borrowed(b"no image")),
    };
    let gone = BatchImage {
        name: "gone".to_owned(),
        content: BatchContent::File("no/such/file.png".into()),
    };
    let records = named().answer(&[bad, scene("good"), gone], &|| false).unwrap();
    assert_eq!(records[0].status, AnswerStatus::Failed);
    assert!(
        records[0].reason.as_deref().unwrap().contains("not a JPEG"),
        "{:?}",
        records[0].reason
    );
    assert_eq!(records[1].detections[0].label, "good");
    assert!(
        records[2].reason.as_deref().unwrap().contains("cannot be read"),
        "{:?}",
        records[2].reason
    );
}

/// Answers to images of before must not be taken for those of now.
#[test]
fn nothing_is_left_of_a_batch_that_ended_early() {
    let mut session = named();
    let batch: Vec<_> = ["a", "b", "dies", "c"].map(scene).into();
    let error = session.answer(&batch, &|| false).unwrap_err();
    assert!(error.to_string().contains("it died"), "{error}");
    let records = session.answer(&[scene("x"), scene("y")], &|| false).unwrap();
    assert_eq!(
        records.iter().map(|record| record.detections[0].label.as_str()).collect::<Vec<_>>(),
        ["x", "y"]
    );

    let left = Cell::new(3_usize);
    let stop = || left.replace(left.get().saturating_sub(1)) == 0;
    let many: Vec<_> = (0..30).map(|_| scene("old")).collect();
    assert!(matches!(session.answer(&many, &stop), Err(SessionError::Stopped)));
    let records = session.answer(&[scene("new")], &|| false).unwrap();
    assert_eq!(records[0].detections[0].label, "new");
}

/// A file, its bytes and its pixels are one image, and have the record that the command writes.
#[test]
fn a_batch_answers_as_a_run_does() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let model = || ModelOptions::of(ModelChoice::Demo);
    gemscope()
        .args([
            "detect",
            "--model",
            "demo",
            "--labels",
            "star,red circle",
            "--export",
            "jsonl",
            "--out",
        ])
        .arg(&out)
        .arg(fixture("shapes"))
        .assert()
        .success();
    let lines = fs::read_to_string(out.join("detections.jsonl")).unwrap();
    let config = DetectConfig::of_labels(["star", "red circle"]).with_model(model());
    let mut session =
        Session::open(DetectConfig::of_labels(["triangle"]).with_model(model()), &()).unwrap();
    let scenes = gemscope::source::list(&[fixture("shapes")], None).unwrap().images;
    let paths: Vec<_> = scenes.iter().map(|scene| fixture("shapes").join(&scene.name)).collect();
    let of =
        |content: &dyn Fn(&std::path::Path) -> BatchContent<'static>| -> Vec<BatchImage<'static>> {
            let name =
                |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
            paths
                .iter()
                .map(|path| BatchImage { name: name(path), content: content(path) })
                .collect()
        };
    let read = |path: &std::path::Path| fs::read(path).unwrap();
    let pixels = |path: &std::path::Path| gemscope::image::decode(&read(path), true).unwrap();
    // What was asked before is of no account.
    session.answer(&of(&|path| BatchContent::File(path.to_owned()))[..2], &|| false).unwrap();
    session.ask(config).unwrap();
    for images in [
        of(&|path| BatchContent::File(path.to_owned())),
        of(&|path| BatchContent::Bytes(Cow::Owned(read(path)))),
        of(&|path| BatchContent::Pixels(Cow::Owned(pixels(path)))),
    ] {
        let records = session.answer(&images, &|| false).unwrap();
        let shown = session.show(records).records;
        let answered: String =
            shown.iter().map(|record| jsonl_line(record).unwrap() + "\n").collect();
        assert_eq!(answered, lines);
    }
}
