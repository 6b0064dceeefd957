//! `gemscope setup`: installs ONNX Runtime.

use gemscope::onnxruntime::{self, Outcome};

use super::{Ending, Global, messages, output};

/// Install ONNX Runtime into the user's cache directory; run again, it checks and repairs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install the one with CUDA 13, and NVIDIA's libraries that it needs: 1.2 GB to fetch, 1.7 GB
    /// of disk. x86-64 Linux
    #[arg(long)]
    gpu: bool,
    /// With --gpu, install it although this machine has no driver or card, for the image of a
    /// container
    #[arg(long, requires = "gpu")]
    without_driver: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    if args.gpu {
        return gpu(args, global);
    }
    let installed = onnxruntime::setup(&global.runtime_options(), &mut |line| messages::say(line))?;
    if args.json {
        output::json(&installed)?;
        return Ok(Ending::Complete);
    }
    let done = done(installed.outcome);
    let place =
        installed.library.map(|library| format!("\n{}", library.display())).unwrap_or_default();
    output::text(&format!("ONNX Runtime {} {done}{place}\n", installed.version));
    Ok(Ending::Complete)
}

fn done(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AlreadyThere => "is installed and whole",
        Outcome::Fetched => "was installed",
        Outcome::Repaired => "was damaged and is repaired",
    }
}

/// The installation is complete even if there is no card yet: the missing parts are listed and are
/// no failure.
fn gpu(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let mut say = |line: &str| messages::say(line);
    let setup = onnxruntime::setup_gpu(&global.runtime_options(), args.without_driver, &mut say)?;
    if args.json {
        output::json(&setup)?;
        return Ok(Ending::Complete);
    }
    let mut lines: Vec<_> = setup
        .packages
        .iter()
        .map(|(package, outcome)| format!("{package} {}", done(*outcome)))
        .collect();
    let card = setup.state.device.as_ref().filter(|_| setup.state.is_ready());
    lines.push(match card {
        Some(card) => {
            format!(
                "CUDA device {} ({}) can be used; `gemscope doctor --gpu` compares it with the CPU",
                card.index, card.name
            )
        }
        None => setup.state.to_string(),
    });
    output::text(&(lines.join("\n") + "\n"));
    Ok(Ending::Complete)
}
