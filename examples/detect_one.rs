//! Detects in one image with the bundled demo model.
//!
//!     cargo run --example detect_one -- fixtures/shapes/scene-01.png

#![allow(clippy::print_stdout)] // what an example shows

use gemscope::session::{DetectConfig, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("say which image")?;
    let image = gemscope::image::decode(&std::fs::read(path)?, true)?;
    let mut session = Session::open(DetectConfig::of_labels(["star", "red circle"]), &())?;
    for found in session.detect(&image)?.detections {
        println!("{} {:?} {:?}", found.label, found.bbox, found.score);
    }
    Ok(())
}
