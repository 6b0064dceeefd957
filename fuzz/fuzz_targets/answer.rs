//! Any text as an answer: no panic, spans that lie in the text, boxes that lie in the image.
#![no_main]

use gemscope::answer::{self, Reading};
use gemscope::record::{Answer, AnswerKind, AnswerStatus, BBox, Ended, Record, Rules};
use libfuzzer_sys::fuzz_target;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 331;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, text)) = bytes.split_first() else { return };
    let text = &*String::from_utf8_lossy(text);
    let ended =
        [Ended::StopToken, Ended::TokenLimit, Ended::Looped, Ended::Unknown][usize::from(*how) % 4];
    let parsed = answer::parse(text, ended);
    assert_ne!(parsed.status, AnswerStatus::Failed);
    for found in &parsed.boxes {
        assert!(found.box_2d.iter().all(|value| value.is_finite()));
        assert!(text.get(found.coordinates.clone()).is_some_and(|digits| !digits.is_empty()));
        assert_eq!(found.label.is_some(), found.label_span.is_some());
        assert!(found.label_span.clone().is_none_or(|span| text.get(span).is_some()));
        assert!(found.label.as_ref().is_none_or(|label| !label.is_empty()));
    }
    answer::plain_text(text);
    // The same text about the whole and about two tiles, so that boxes are joined too.
    let tile = |x0: f64, x1: f64| BBox { x0, y0: 0.0, x1, y1: f64::from(HEIGHT) };
    let views = [BBox::whole(WIDTH, HEIGHT), tile(0.0, 400.0), tile(240.0, 640.0)];
    let readings = views.map(|view| Reading {
        answer: Answer { view, prompt: String::new(), text: text.to_owned(), ended, tokens: None },
        kind: AnswerKind::ALL[usize::from(*how >> 2) % 2],
        default_label: Some("thing".to_owned()),
        spans: Vec::new(),
        sentences: Vec::new(),
    });
    let mut record = Record::failed("image".to_owned(), String::new());
    (record.width, record.height) = (WIDTH, HEIGHT);
    answer::read_into(&mut record, readings.into(), &Rules::default());
    assert_eq!(record.fault(), None);
    let line = serde_json::to_vec(&record).expect("a record is JSON");
    assert_eq!(serde_json::from_slice::<Record>(&line).expect("and comes back"), record);
});
