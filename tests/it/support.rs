//! What the tests share: fixtures, the command, models.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use gemscope::device::Device;
use gemscope::generate::{GenerateOptions, Generated, Request, RequestKind, generate};
use gemscope::image::UprightImage;
use gemscope::model::{Dtypes, GraphFiles, Model, OpenOptions};
use gemscope::onnxruntime::{self, Runtime, RuntimeOptions};
use gemscope::preprocess::prepare;
use gemscope::prompt::{Conversation, Prompter};
use gemscope::record::{Budget, BudgetChoice, Ended, Sampling};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

pub fn json(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    serde_json::from_slice(
        &fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap()
}

pub fn json_lines(text: impl AsRef<str>) -> Vec<Value> {
    text.as_ref().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The built command. `GEMSCOPE_TEST_BINARY` names another build of it.
pub fn binary() -> OsString {
    std::env::var_os("GEMSCOPE_TEST_BINARY")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_gemscope").into())
}

/// The built command, on the CPU: what tests compare with is computed there. Installs ONNX Runtime
/// into the user's cache if there is none, as it does for a user. Whether the machine has an ffmpeg
/// changes nothing.
pub fn gemscope() -> Command {
    let mut command = Command::new(binary());
    command.env("GEMSCOPE_DEVICE", "cpu").env_remove("GEMSCOPE_MODEL");
    command.env("GEMSCOPE_FFMPEG", "/no/ffmpeg");
    command
}

/// The patterns that python/gemscope/onnx_export/golden/patterns.py draws; x and y begin at `start`.
pub fn pattern(name: &str, (width, height): (u32, u32), start: u32) -> UprightImage {
    let waves = |x: u32, y: u32| {
        [
            (7 * x + 3 * y) % 256,
            (x * x / 5 + 11 * y) % 256,
            if (x / 8 + y / 8) % 2 == 1 { 255 } else { 0 },
        ]
    };
    let noise = |x: u32, y: u32| {
        [0_u32, 1, 2].map(|channel| {
            let hash = x
                .wrapping_mul(374_761_393)
                .wrapping_add(y.wrapping_mul(668_265_263))
                .wrapping_add(channel.wrapping_mul(2_246_822_519));
            (hash ^ (hash >> 13)).wrapping_mul(1_274_126_177) >> 24
        })
    };
    let mut rgb = Vec::new();
    for y in start..start + height {
        for x in start..start + width {
            let pixel = match name {
                "waves" => waves(x, y),
                "noise" => noise(x, y),
                other => panic!("unknown pattern {other}"),
            };
            rgb.extend(pixel.map(|value| value as u8));
        }
    }
    UprightImage { width, height, rgb, orientation: 1, rows_there: 1.0, notes: Vec::new() }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn le_bytes_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn le_bytes_i64(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// ONNX Runtime in this process.
pub fn runtime() -> &'static Runtime {
    onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |line| eprintln!("{line}"))
        .unwrap()
}

/// Opens a model directory in this process.
pub fn open(directory: &Path) -> (Prompter, Model) {
    open_on(directory, Device::Cpu)
}

/// The same for a device; embeddings are looked up there too.
pub fn open_on(directory: &Path, device: Device) -> (Prompter, Model) {
    let prompter = Prompter::open(directory).unwrap();
    let graphs = GraphFiles::find(directory, &Dtypes::default()).unwrap();
    let options = OpenOptions { device, embed_on_device: true, ..OpenOptions::default() };
    let model =
        Model::open(directory, graphs, &prompter.tokenizer.special, runtime(), &options).unwrap();
    (prompter, model)
}

/// A directory with Gemma 4's own tokenizer and template: `chat_template.jinja` (31B and its like)
/// or `chat_template.e2b.jinja`.
pub fn gemma4(template: &str) -> PathBuf {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    static BUILD: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let root = ROOT.get_or_init(|| tempfile::tempdir().unwrap());
    let _one_at_a_time = BUILD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let directory = root.path().join(template);
    if !directory.exists() {
        let mut tokenizer = Vec::new();
        let packed = fs::File::open(fixture("gemma4/tokenizer.json.gz")).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut tokenizer).unwrap();
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("tokenizer.json"), tokenizer).unwrap();
        fs::copy(fixture("gemma4").join(template), directory.join("chat_template.jinja")).unwrap();
        for file in ["processor_config.json", "generation_config.json"] {
            fs::copy(fixture("gemma4").join(file), directory.join(file)).unwrap();
        }
    }
    directory
}

/// The folder `images` in `dir`, with copies of fixtures under other names.
pub fn folder_of(dir: &Path, copies: &[(&str, &str)]) -> PathBuf {
    let images = dir.join("images");
    fs::create_dir(&images).unwrap();
    for (from, name) in copies {
        fs::copy(fixture(from), images.join(name)).unwrap();
    }
    images
}

/// What a model answers, greedily, to a case of the golden data: its `file`, `prompt` and
/// `input_count`.
pub fn answer(
    prompter: &Prompter,
    model: &mut Model,
    case: &Value,
    budget: Budget,
    max_new_tokens: usize,
) -> Generated {
    let image = fs::read(fixture(case["file"].as_str().unwrap())).unwrap();
    let image = gemscope::image::decode(&image, true).unwrap();
    let view = prepare(&image, BudgetChoice::Fixed(budget), model.patch_side()).unwrap();
    let soft_tokens = view.size.soft_tokens();
    let query = prompter.query(case["prompt"].as_str().unwrap(), &Conversation::default()).unwrap();
    let features = model.encode(vec![(view.patches, soft_tokens as usize)]).unwrap().remove(0);
    assert!(features.values().unwrap().iter().all(|value| value.is_finite()));
    let prompt_ids = query.token_ids(soft_tokens);
    assert_eq!(prompt_ids.len() as u64, case["input_count"].as_u64().unwrap());
    let options =
        GenerateOptions { max_new_tokens, sampling: Sampling::Greedy, labels: 1, stream: 0 };
    let request = Request { prompt_ids, kind: RequestKind::Generate { options, grammar: None } };
    generate(model, &prompter.tokenizer, features, request).unwrap().into_answer().unwrap()
}

/// Random models repeat themselves, which Gemscope stops; until then the tokens must be equal, and
/// so many of them in a case.
pub const FEWEST_TOKENS: usize = 12;

/// Compares the tokens of an answer with those of the golden data; how many there are.
pub fn compare_tokens(name: &str, answer: &Generated, expected: &[u32]) -> usize {
    let count = answer.ids.len();
    assert!(expected.starts_with(&answer.ids), "{name}: {:?}, not {expected:?}", answer.ids);
    assert!(answer.ended == Ended::Looped || count == expected.len(), "{name}");
    count
}

/// A golden case's `ids`.
pub fn ids(case: &Value) -> Vec<u32> {
    case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// A budget of the golden data.
pub fn budget(value: &Value) -> Budget {
    Budget::try_from(value.as_u64().unwrap() as u32).unwrap()
}

/// A folder of `count` small images, `00.png` and so on, each with a content of its own.
pub fn images(dir: &Path, count: u8) -> PathBuf {
    let folder = dir.join("images");
    fs::create_dir_all(&folder).unwrap();
    for index in 0..count {
        let pixels = image::RgbImage::from_pixel(96, 96, image::Rgb([index, 0, 0]));
        pixels.save(folder.join(format!("{index:02}.png"))).unwrap();
    }
    folder
}

/// An ffmpeg with all codecs, for clips and for reading them: that of `GEMSCOPE_FFMPEG`, else the
/// one in the package imageio-ffmpeg, which pip puts into the user's cache the first time.
pub fn ffmpeg() -> &'static Path {
    const PACKAGE: &str = "imageio-ffmpeg==0.8.1";
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(named) = std::env::var_os("GEMSCOPE_FFMPEG") {
            return named.into();
        }
        let cache = onnxruntime::cache_dir().unwrap();
        let folder = cache.join("tests-imageio-ffmpeg-0.8.1");
        if !folder.exists() {
            fs::create_dir_all(&cache).unwrap();
            let fresh = tempfile::tempdir_in(&cache).unwrap();
            let mut pip = std::process::Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--no-deps", PACKAGE, "--target"]);
            let output = pip.arg(fresh.path()).output().expect("python3 with pip fetches ffmpeg");
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "pip install {PACKAGE}: {words}");
            // Another process may have been faster.
            let _ = fs::rename(fresh.path(), &folder);
        }
        let programs = fs::read_dir(folder.join("imageio_ffmpeg/binaries")).unwrap();
        let mut programs = programs.map(|entry| entry.unwrap().path());
        programs
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("ffmpeg"))
            .unwrap()
    })
}
