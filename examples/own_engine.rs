//! A folder that something else than a model answers about: here, where the brightest pixel is.
//!
//!     cargo run --example own_engine -- fixtures/shapes runs/own
//!
//! What is around a model stays: the journal, going on where a run was stopped, exports.

#![allow(clippy::print_stdout)] // what an example shows

use std::path::PathBuf;
use std::time::Duration;

use gemscope::engine::{Answered, Effort, Engine, EngineError, Shown, ViewForm, ViewPixels};
use gemscope::journal::place;
use gemscope::session::{DetectConfig, OwnEngines, RunOptions, Session};
use gemscope::source;

/// Finds the brightest pixel of each view.
#[derive(Default)]
struct Brightest {
    waiting: Vec<Shown>,
}

impl Engine for Brightest {
    fn view_form(&self) -> ViewForm {
        ViewForm::Rgb
    }

    fn submit(&mut self, shown: Shown) {
        self.waiting.push(shown);
    }

    fn room(&self) -> usize {
        8_usize.saturating_sub(self.waiting.len())
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn advance(&mut self, _wait: Duration) -> Result<Vec<Answered>, EngineError> {
        Ok(self.waiting.drain(..).map(|shown| shown.answered_by(|_| brightest(&shown))).collect())
    }

    fn cancel(&mut self, id: usize) {
        self.waiting.retain(|shown| shown.id != id);
    }

    fn effort(&self) -> Effort {
        Effort::default()
    }
}

/// The answer in the form of the model's own: thousandths of the view, `[ymin, xmin, ymax, xmax]`.
fn brightest(shown: &Shown) -> String {
    let Some(view) = shown.views.first() else { return "[]".to_owned() };
    let ViewPixels::Rgb(rgb) = &view.pixels else { return "[]".to_owned() };
    let sum = |y: usize, x: usize| {
        rgb.slice(ndarray::s![y, x, ..]).iter().map(|&value| u32::from(value)).sum::<u32>()
    };
    let (height, width, _) = rgb.dim();
    let all = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let (y, x) = all.max_by_key(|&(y, x)| sum(y, x)).unwrap_or_default();
    let (x, y) = (x as u32, y as u32);
    let side = |at: u32, length: u32| (at * 1000 / length, (at + 1) * 1000 / length);
    let ((x0, x1), (y0, y1)) = (side(x, view.size.width), side(y, view.size.height));
    format!(r#"[{{"box_2d": [{y0}, {x0}, {y1}, {x1}], "label": "light"}}]"#)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [folder, out]: [PathBuf; 2] = std::env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "FOLDER OUT")?;
    let engines = OwnEngines::of("brightest pixel", Brightest::default());
    let mut session = Session::with_engines(DetectConfig::of_labels(["light"]), engines, &())?;
    let (source, placement) = place(source::list(&[folder], Some(&out))?, Some(&out))?;
    let finished = session.run(&source, &placement, &RunOptions::of(&out))?;
    let (shown, summary) = finished.shown(&source, false)?;
    for record in &shown.run.selection.records {
        let found = record.detections.iter().map(|light| light.bbox).collect::<Vec<_>>();
        println!("{}: {found:?}", record.image);
    }
    println!("{} images, {} now", summary.images, summary.done);
    Ok(())
}
