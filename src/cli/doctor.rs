//! `gemscope doctor`: the installation, whether it works, and how to mend it.

mod server;

use std::path::{Path, PathBuf};

use gemscope::ffmpeg::Ffmpeg;
use gemscope::image::UprightImage;
use gemscope::model::{Dtypes, demo};
use gemscope::onnxruntime::{self, Found, Report};
use gemscope::record::Detection;
use gemscope::server::ServerKindChoice;
use gemscope::session::pipeline::{DeviceSection, ModelSection, ServerSection};
use gemscope::session::{DecodingChoice, DetectConfig, Session};
use serde::Serialize;

use super::device;
use super::gpu::{self, Subject};
use super::progress::Progress;
use super::{Ending, Global, messages, output};

/// Check the installation, and say how to mend it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print everything as JSON; with a file behind it, write it there
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Replace the file of --json even if gemscope has no record of writing it
    #[arg(long, requires = "json")]
    adopt: bool,
    /// Check the CUDA card: everything that it computes against the CPU, and how fast it is, with
    /// the bundled demo model and a random one of middle size, whose 370 MB of weights are drawn
    /// into the cache the first time
    #[arg(long)]
    gpu: bool,
    /// With --gpu: a model directory, in place of the two
    #[arg(long, short, value_name = "DIR", requires = "gpu")]
    model: Option<PathBuf>,
    /// With --gpu: only the bundled demo model, which takes a few seconds
    #[arg(long, requires = "gpu", conflicts_with = "model")]
    quick: bool,
    /// With --model: which graphs, by their suffix
    #[arg(long, value_name = "SUFFIX", requires = "model")]
    dtype: Option<Dtypes>,
    #[command(flatten)]
    device: DeviceSection,
    /// Ask the server at this address about itself, show it a picture of shapes, and list its
    /// limits
    #[arg(long, value_name = "URL", conflicts_with_all = ["gpu", "device"])]
    server: Option<String>,
    /// With --server: the model's name there
    #[arg(long, value_name = "NAME", requires = "server")]
    server_model: Option<String>,
    /// With --server: its kind: auto, vllm, llama, ollama or openai
    #[arg(long, value_name = "KIND", requires = "server")]
    server_kind: Option<ServerKindChoice>,
}

/// Whether the bundled model answers as it should.
#[derive(Debug, Serialize)]
struct SelfCheck {
    ok: bool,
    /// The question and the answer, or the reason for having none.
    says: String,
}

/// The program that reads videos, HEIC and AVIF. A run without them needs none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum FoundFfmpeg {
    Usable {
        program: PathBuf,
        version: String,
        licence: &'static str,
    },
    /// Why there is none.
    Absent(String),
}

impl FoundFfmpeg {
    fn find() -> Self {
        match Ffmpeg::find() {
            Ok(Ffmpeg { program, version, licence }) => Self::Usable { program, version, licence },
            Err(error) => Self::Absent(error.to_string()),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Usable { program, version, licence } => {
                format!("{}: {version}, under the {licence}", program.display())
            }
            Self::Absent(reason) => {
                format!("none, and videos, HEIC and AVIF are not read ({reason})")
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Examined {
    #[serde(flatten)]
    runtime: Report,
    ffmpeg: FoundFfmpeg,
    /// Absent if there is no ONNX Runtime to run it with.
    self_check: Option<SelfCheck>,
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    if args.gpu {
        let subjects = match &args.model {
            Some(directory) => vec![Subject::Directory(directory.clone(), args.dtype.clone())],
            None if args.quick => vec![Subject::Demo],
            None => vec![Subject::Demo, Subject::Random],
        };
        return gpu::run(&args.device, &subjects, args.json.as_deref(), args.adopt, global);
    }
    if args.server.is_some() {
        let (server, server_model, server_kind) =
            (args.server.clone(), args.server_model.clone(), args.server_kind);
        let section =
            ServerSection { server, server_model, server_kind, ..ServerSection::default() };
        return server::run(&section, args.json.as_deref(), args.adopt, global);
    }
    let report = onnxruntime::report(&global.runtime_options());
    // Without a library, a model run would install one; doctor changes nothing but its own cache.
    let self_check = report.used.is_some().then(|| match self_check(&args.device, global) {
        Ok(check) => check,
        Err(error) => SelfCheck { ok: false, says: format!("{error:#}") },
    });
    let ffmpeg = FoundFfmpeg::find();
    let examined = Examined { runtime: report, ffmpeg, self_check };
    match &args.json {
        Some(file) if file == Path::new("-") => output::json(&examined)?,
        Some(file) => output::json_file(file, &examined, args.adopt)?,
        None => output::text(&messages::in_flags(&describe(&examined))),
    }
    let ready = examined.self_check.as_ref().is_some_and(|check| check.ok);
    Ok(if ready { Ending::Complete } else { Ending::NotReady })
}

/// Side of the scenes that a model is shown.
const SIDE: u32 = 384;

/// The bounding box of the disc in the test scene.
const DISC: [f64; 4] = [120.0, 140.0, 260.0, 280.0];

/// Whether the one thing that was found is that disc.
fn is_where_it_is(found: &[Detection]) -> bool {
    let near = |value: f64, expected: f64| (value - expected).abs() <= 30.0;
    let right =
        |bbox: [f64; 4]| bbox.iter().zip(DISC).all(|(value, expected)| near(*value, expected));
    matches!(found, [one] if one.label == "red circle" && right(one.bbox.into()))
}

/// A disc on grey, at `bbox` (`[x0, y0, x1, y1]` in pixels).
pub(super) fn disc(bbox: [f64; 4], colour: [u8; 3]) -> UprightImage {
    let centre = [f64::midpoint(bbox[0], bbox[2]), f64::midpoint(bbox[1], bbox[3])];
    let radius = (bbox[2] - bbox[0]) / 2.0;
    let pixel = |index: u32| {
        let (x, y) = (f64::from(index % SIDE) + 0.5, f64::from(index / SIDE) + 0.5);
        let inside = (x - centre[0]).hypot(y - centre[1]) <= radius;
        if inside { colour } else { [150, 150, 150] }
    };
    let rgb = (0..SIDE * SIDE).flat_map(pixel).collect();
    UprightImage {
        width: SIDE,
        height: SIDE,
        rgb,
        orientation: 1,
        rows_there: 1.0,
        notes: Vec::new(),
    }
}

/// Shows the bundled model a red disc on grey and asks for its box.
fn self_check(device: &DeviceSection, global: &Global) -> anyhow::Result<SelfCheck> {
    let model_args = ModelSection {
        model: Some(demo::NAME.into()),
        device: device.clone(),
        ..ModelSection::default()
    };
    let mut config =
        DetectConfig::of_labels(["red circle"]).with_model(device::options(&model_args, global)?);
    config.decoding.decoding = Some(DecodingChoice::Free);
    let progress = Progress::new();
    let mut session = Session::open(config, &progress)?;
    let record = session.detect(&disc(DISC, [214, 40, 40]))?;
    let on = session.device().map_or_else(String::new, ToString::to_string);
    let ok = is_where_it_is(&record.detections);
    let says = if ok {
        format!("on {on}, found the red circle where it is")
    } else {
        // One question about one view has one answer.
        format!(
            "on {on}, was shown a red circle at {DISC:?} and answered {:?}",
            record.answers[0].text
        )
    };
    Ok(SelfCheck { ok, says })
}

fn describe(examined: &Examined) -> String {
    let report = &examined.runtime;
    let mut lines = vec![format!("gemscope {}", report.gemscope), String::new()];
    lines.push(format!(
        "ONNX Runtime ({} or later; `gemscope setup` installs {}):",
        report.minimum, report.pinned
    ));
    for candidate in &report.candidates {
        let used = report.used.as_ref() == Some(candidate);
        let found = match &candidate.found {
            Found::Usable { version } if used => format!("{version}  <- used"),
            Found::Usable { version } => version.clone(),
            Found::Refused { reason } => format!("cannot be used: {reason}"),
            Found::Absent => "none".to_owned(),
        };
        lines.push(format!("  {}: {}: {found}", candidate.origin, candidate.path.display()));
    }
    let cache = report
        .cache_dir
        .as_ref()
        .map_or("none".to_owned(), |directory| directory.display().to_string());
    lines.push(format!(
        "  cache: {cache}{}",
        if report.offline { " (offline: nothing is fetched)" } else { "" }
    ));
    let cpu = &report.cpu;
    lines.push(String::new());
    lines.push(format!(
        "CPU: {}, {}, {} logical cores, {}",
        cpu.model.as_deref().unwrap_or("unknown model"),
        cpu.architecture,
        cpu.logical_cores,
        cpu.features.join(" ")
    ));
    lines.extend(describe_cuda(report));
    lines.push(format!("ffmpeg: {}", examined.ffmpeg.in_words()));
    lines.push(String::new());
    lines.push(match &examined.self_check {
        Some(check) if check.ok => format!("bundled demo model: {}", check.says),
        Some(check) => format!("bundled demo model: FAILED: {}", check.says),
        None => "bundled demo model: not tried, since there is no ONNX Runtime".to_owned(),
    });
    lines.push(format!("  ({})", demo::DESCRIPTION));
    if !report.advice.is_empty() {
        lines.push(String::new());
        lines.push("what to do:".to_owned());
        lines.extend(report.advice.iter().map(|advice| format!("  - {advice}")));
    }
    lines.join("\n") + "\n"
}

/// The driver, the cards, and the requirements of computing on one.
fn describe_cuda(report: &Report) -> Vec<String> {
    let cuda = &report.cuda;
    let mut lines = vec![match (&cuda.driver, &cuda.problem) {
        (Some(driver), None) => {
            format!("CUDA: the driver serves {driver}; {} devices", cuda.devices.len())
        }
        (_, Some(problem)) => format!("CUDA: {problem}"),
        (None, None) => format!("CUDA: {} devices", cuda.devices.len()),
    }];
    for device in &cuda.devices {
        lines.push(format!(
            "  {}: {}, compute capability {}, {} free of {} MiB",
            device.index,
            device.name,
            device.compute_capability,
            device.free_in_words(),
            device.total_bytes >> 20
        ));
    }
    // The requirements are listed only if there is a card, or was meant to be one.
    for need in &report.cuda_state.needs {
        lines.push(format!(
            "  needs {}: {}{}",
            need.what,
            if need.met { "" } else { "missing: " },
            need.says
        ));
    }
    lines
}
