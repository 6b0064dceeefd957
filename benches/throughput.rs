//! Images a second from files to padded `pixel_values`, the work that
//! `benches/compare/preprocess_hf.py` times for Hugging Face; with `--decode-only`, to pixels,
//! which is what all else is measured by; with `--patches`, to the bytes that wait for the vision
//! graph; with `--fast-decode`, from as few pixels as are needed.
//!
//! ```text
//! cargo bench --bench throughput -- --budget 280 --workers 1 --rounds 5 photos/*.jpg
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use gemscope::preprocess::{PATCH_SIDE, Rescaling, needed_size, prepare, prepare_reduced};
use gemscope::record::{Budget, BudgetChoice};

#[derive(Parser)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
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
    /// Only read and decode.
    #[arg(long, conflicts_with = "fast_decode")]
    decode_only: bool,
    /// Leave the patches as bytes, as the threads do that prepare images; floats are made where the
    /// graph runs.
    #[arg(long, conflicts_with = "decode_only")]
    patches: bool,
    /// As the command's flag of that name.
    #[arg(long)]
    fast_decode: bool,
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
                        one(&args, &args.files[index % args.files.len()]);
                    }
                });
            }
        });
    };
    run(1);
    let started = Instant::now();
    run(args.rounds);
    let images = args.files.len() * args.rounds;
    println!(
        "{}",
        serde_json::json!({"images_per_second": images as f64 / started.elapsed().as_secs_f64()})
    );
}

fn one(args: &Args, path: &Path) {
    let choice = BudgetChoice::Fixed(args.budget);
    let bytes = std::fs::read(path).unwrap();
    let mut view = if args.fast_decode {
        let needed = |width, height| needed_size(width, height, choice);
        let image =
            gemscope::image::decode_reduced(&bytes, true, gemscope::image::MAX_PIXELS, needed)
                .unwrap();
        let view = prepare_reduced(&image, choice, PATCH_SIDE).unwrap();
        gemscope::image::recycle(image.decoded);
        view
    } else {
        let image = gemscope::image::decode(&bytes, true).unwrap();
        if args.decode_only {
            gemscope::image::recycle(std::hint::black_box(image));
            return;
        }
        let view = prepare(&image, choice, PATCH_SIDE).unwrap();
        gemscope::image::recycle(image);
        view
    };
    if args.patches {
        std::hint::black_box(view);
        return;
    }
    let padded = args.budget.max_patches() as usize;
    view.patches.positions.resize(padded * 2, -1);
    // Into memory that the last image's values were in, as the vision graph's input is.
    VALUES.with_borrow_mut(|values| {
        values.clear();
        values.extend(view.patches.pixels.iter().map(|&byte| Rescaling::Multiply.of(byte)));
        values.resize(padded * view.patches.patch_values(), 0.0);
        std::hint::black_box((values, &view));
    });
}

thread_local! {
    static VALUES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}
