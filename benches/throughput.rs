//! Images a second from files to padded `pixel_values`, the work that `benches/compare/preprocess_hf.py` times for Hugging Face.
//!
//! ```text
//! cargo bench --bench throughput -- --budget 280 --workers 1 --rounds 5 photos/*.jpg
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use gemscope::preprocess::{Budget, BudgetChoice, PATCH_SIDE, prepare};

#[derive(Parser)]
struct Args {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long, default_value = "280")]
    budget: Budget,
    /// Threads; each takes the next file.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Times that all files are done after the warm-up.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    // `cargo test --benches` runs this without files: there is nothing to measure then.
    let Ok(args) = Args::try_parse() else {
        eprintln!("throughput: name files, see benches/throughput.rs");
        return;
    };
    let run = |rounds: usize| {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..args.workers {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= args.files.len() * rounds {
                            break;
                        }
                        let bytes = std::fs::read(&args.files[index % args.files.len()]).unwrap();
                        let image = gemscope::image::decode(&bytes, true).unwrap();
                        let mut view = prepare(&image, BudgetChoice::Fixed(args.budget), PATCH_SIDE).unwrap();
                        view.patches.pad_to(args.budget.max_patches() as usize);
                        std::hint::black_box(view);
                    }
                });
            }
        });
    };
    run(1);
    let started = Instant::now();
    run(args.rounds);
    let images = args.files.len() * args.rounds;
    println!("{}", serde_json::json!({"images_per_second": images as f64 / started.elapsed().as_secs_f64()}));
}
