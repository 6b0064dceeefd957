//! `gemscope setup`: installs ONNX Runtime.

use gemscope::runtime::{self, Outcome};

use super::{Ending, Global, messages, output};

/// Install ONNX Runtime into the user's cache directory; run again, it checks and repairs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let installed = runtime::setup(&global.runtime_options(), &mut |line| messages::say(line))?;
    if args.json {
        output::json(&installed)?;
        return Ok(Ending::Complete);
    }
    let done = match installed.outcome {
        Outcome::AlreadyThere => "is installed and whole",
        Outcome::Fetched => "was installed",
        Outcome::Repaired => "was damaged and is repaired",
    };
    let place = installed.library.map(|library| format!("\n{}", library.display())).unwrap_or_default();
    output::text(&format!("ONNX Runtime {} {done}{place}\n", installed.version))?;
    Ok(Ending::Complete)
}
