//! Rates generated frames by the demo model's rubric, and says which to keep.
//!
//!     cargo run --example critique_frames -- fixtures/shapes/scene-0*.png

#![allow(clippy::print_stdout)] // what an example shows

use gemscope::critique::{Frame, Gates, Rubric};
use gemscope::session::{CritiqueConfig, ModelChoice, ModelOptions, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rubric = Rubric::read(Rubric::DEMO)?;
    let gates = Gates::new(&rubric)?;
    let model = ModelOptions::of(ModelChoice::Demo);
    let mut session = Session::open(CritiqueConfig::of(rubric.clone()).with_model(model), &())?;
    for path in std::env::args_os().skip(1) {
        let record = session.critique(&std::fs::read(&path)?)?;
        let judged = gates.judge(&Frame::of(&record, &rubric), &record);
        println!("{}: {}", path.display(), judged.verdict);
    }
    Ok(())
}
