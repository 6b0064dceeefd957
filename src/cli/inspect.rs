//! `gemscope inspect`: the model's input for an image.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use gemscope::image::{MAX_PIXELS, decode, read_file};
use gemscope::model::ModelConfig;
use gemscope::ownership::OwnershipError;
use gemscope::preprocess::{PreparedView, SOFT_TOKEN_SIDE, prepare};
use gemscope::prompt::Query;
use gemscope::record::{BudgetChoice, Note};
use gemscope::session::pipeline::{BudgetSection, TaskSection};
use gemscope::session::{ModelChoice, ModelFiles, ModelOptions, query};
use gemscope::source::Place;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;

use super::{Ending, messages, output};

/// Show the model's input for an image; needs only the tokenizer, template and settings of a model
/// directory
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Image files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// A model directory, or demo. Default: $GEMSCOPE_MODEL, else the bundled demo model
    #[arg(long, short, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    task: TaskSection,
    #[command(flatten)]
    budget: BudgetSection,
    /// Take the pixels as they are stored; do not turn them as EXIF says
    #[arg(long)]
    no_exif: bool,
    /// Write pixel_values and image_position_ids of the image, padded as Hugging Face pads them
    #[arg(long, value_name = "FILE.safetensors")]
    tensors: Option<PathBuf>,
    /// Replace the file of --tensors even if gemscope has no record of writing it
    #[arg(long, requires = "tensors")]
    adopt: bool,
}

#[derive(Serialize)]
struct Inspected<'q> {
    path: String,
    width: u32,
    height: u32,
    orientation: u8,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'q [Note],
    budget: u32,
    resized_width: u32,
    resized_height: u32,
    patches: u32,
    soft_tokens: u32,
    prompt: &'q str,
    token_ids: Vec<u32>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    if args.tensors.is_some() && args.images.len() > 1 {
        bail!("--tensors takes one image, and there are {}", args.images.len());
    }
    let model = ModelOptions::of(ModelChoice::of(args.model.as_deref()));
    let files = ModelFiles::open_settings(&model)?;
    let (config, prompts) = (&files.config, files.prompts());
    let query = match args.task.task()? {
        Some(task) => query(&task, &args.task.conversation(), &prompts)?,
        None => prompts.query("", &args.task.conversation())?,
    };
    let mut ending = Ending::Complete;
    for path in &args.images {
        if let Err(error) = inspect(path, args, config, &query) {
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
            {
                return Err(error);
            }
            if error.is::<OwnershipError>() {
                return Err(error);
            }
            messages::error(&format!("{}: {error:#}", path.display()));
            ending = Ending::SomeFailed;
        }
    }
    Ok(ending)
}

fn inspect(path: &Path, args: &Args, config: &ModelConfig, query: &Query) -> anyhow::Result<()> {
    let budget = args.budget.choice()?.unwrap_or(BudgetChoice::Fixed(config.default_budget));
    let content = Place::File(path.to_owned()).open().map_err(|reason| anyhow!(reason))?;
    let bytes = read_file(content, !args.no_exif, MAX_PIXELS)?;
    let upright = decode(&bytes, !args.no_exif)?;
    let mut view = prepare(&upright, budget, config.patch_side())?;
    output::json_line(&Inspected {
        path: path.display().to_string(),
        width: upright.width,
        height: upright.height,
        orientation: upright.orientation,
        notes: &upright.notes,
        budget: view.budget.soft_tokens(),
        resized_width: view.size.width,
        resized_height: view.size.height,
        patches: view.size.patches(),
        soft_tokens: view.size.soft_tokens(),
        prompt: &query.rendered,
        token_ids: query.token_ids(view.size.soft_tokens()),
    })?;
    match &args.tensors {
        Some(file) => write_tensors(file, args.adopt, &mut view),
        None => Ok(()),
    }
}

fn write_tensors(file: &Path, adopt: bool, view: &mut PreparedView) -> anyhow::Result<()> {
    let encoder_free = view.patches.side == SOFT_TOKEN_SIDE;
    let count =
        if encoder_free { view.budget.soft_tokens() } else { view.budget.max_patches() } as usize;
    view.patches.pad_to(count);
    let patches = &view.patches;
    let pixels: Vec<u8> =
        patches.pixel_values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let positions: Vec<u8> =
        patches.positions.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensors = HashMap::from([
        (
            "pixel_values",
            TensorView::new(Dtype::F32, vec![1, count, patches.patch_values()], &pixels)?,
        ),
        ("image_position_ids", TensorView::new(Dtype::I64, vec![1, count, 2], &positions)?),
    ]);
    output::file(file, &safetensors::serialize(tensors, None)?, adopt)
}
