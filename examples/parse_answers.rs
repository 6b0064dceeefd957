//! Reads an answer that a model wrote elsewhere, without running one.
//!
//!     cargo run --example parse_answers

#![allow(clippy::print_stdout)] // what an example shows

use gemscope::answer::{parse, to_detections};
use gemscope::record::{CoordinateOrder, CoordinateScale, Ended};

fn main() {
    let text = r#"Here they are: [{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;
    let answer = parse(text, Ended::StopToken);
    let read = (CoordinateScale::Thousand, CoordinateOrder::Yxyx);
    let (found, notes) = to_detections(&answer, (640, 480), read, None);
    for one in &found {
        println!("{} {:?}", one.detection.label, one.detection.bbox);
    }
    println!("{:?}, {} notes", answer.status, answer.notes.len() + notes.len());
}
