//! `gemscope inspect`: the model's input for an image.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use gemscope::engine::{Clip, ViewForm, ViewPixels};
use gemscope::image::{MAX_PIXELS, decode, read_file};
use gemscope::model::ModelConfig;
use gemscope::ownership::OwnershipError;
use gemscope::preprocess::{PatchGrid, SOFT_TOKEN_SIDE, prepare};
use gemscope::prompt::Query;
use gemscope::record::{Budget, BudgetChoice, Note, ShownClip};
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
    /// The files are videos: show the model's input for each as a whole
    #[arg(long, conflicts_with_all = [
        "budget", "max_budget", "no_exif", "image_newlines", "labels", "phrase", "per_label",
    ])]
    clip: bool,
    /// Write pixel_values and image_position_ids of the image (with --clip: pixel_values_videos and
    /// video_position_ids), padded as Hugging Face pads them
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
    /// The frames that are shown, of a whole video.
    #[serde(skip_serializing_if = "Option::is_none")]
    clip: Option<&'q ShownClip>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    if args.tensors.is_some() && args.images.len() > 1 {
        bail!("--tensors takes one image, and there are {}", args.images.len());
    }
    let model = ModelOptions::of(ModelChoice::of(args.model.as_deref()));
    let files = ModelFiles::open_settings(&model)?;
    let (config, prompts) = (&files.config, files.prompts());
    let (task, conversation) = (args.task.task()?, args.task.conversation());
    let query = match task {
        _ if args.clip => {
            let text = task.map(|task| task.text()).unwrap_or_default();
            prompts.query_about_video(&text, &conversation)?
        }
        Some(task) => query(&task, &conversation, &prompts)?,
        None => prompts.query("", &conversation)?,
    };
    let mut ending = Ending::Complete;
    for path in &args.images {
        let inspect = if args.clip { inspect_clip } else { inspect };
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
        clip: None,
    })?;
    let names = ["pixel_values", "image_position_ids"];
    write_tensors(args, names, view.budget, std::slice::from_mut(&mut view.patches))
}

fn inspect_clip(
    path: &Path,
    args: &Args,
    config: &ModelConfig,
    query: &Query,
) -> anyhow::Result<()> {
    let mut clip = Clip::open(path, None)?;
    let views = clip.views(ViewForm::Patches { side: config.patch_side() }, MAX_PIXELS)?;
    let clip = clip.shown();
    let Some((region, budget, size)) =
        views.first().map(|view| (view.region, view.budget, view.size))
    else {
        bail!("it has no frame");
    };
    let stamps: Vec<String> = clip.frames.iter().map(|frame| frame.stamp.clone()).collect();
    let about = query.about_frames(&stamps, size.soft_tokens())?;
    output::json_line(&Inspected {
        path: path.display().to_string(),
        width: region.width,
        height: region.height,
        orientation: 1,
        notes: &[],
        budget: budget.soft_tokens(),
        resized_width: size.width,
        resized_height: size.height,
        patches: size.patches(),
        soft_tokens: size.soft_tokens(),
        prompt: &about.rendered,
        token_ids: about.token_ids_of(&vec![size.soft_tokens(); views.len()]),
        clip: Some(&clip),
    })?;
    let patches = views.into_iter().filter_map(|view| match view.pixels {
        ViewPixels::Patches(patches) => Some(patches),
        ViewPixels::Rgb(_) => None,
    });
    let names = ["pixel_values_videos", "video_position_ids"];
    write_tensors(args, names, budget, &mut patches.collect::<Vec<_>>())
}

/// Writes the values and positions of views of one size under these names.
fn write_tensors(
    args: &Args,
    [values, positions]: [&str; 2],
    budget: Budget,
    views: &mut [PatchGrid],
) -> anyhow::Result<()> {
    let Some(file) = &args.tensors else { return Ok(()) };
    let (mut pixels, mut places) = (Vec::<u8>::new(), Vec::<u8>::new());
    let (mut count, mut width) = (0, 0);
    for patches in &mut *views {
        let encoder_free = patches.side == SOFT_TOKEN_SIDE;
        count = if encoder_free { budget.soft_tokens() } else { budget.max_patches() } as usize;
        width = patches.patch_values();
        patches.pad_to(count);
        pixels.extend(patches.pixel_values().iter().flat_map(|value| value.to_le_bytes()));
        places.extend(patches.positions.iter().flat_map(|value| value.to_le_bytes()));
    }
    let shape = |last| vec![views.len(), count, last];
    let tensors = HashMap::from([
        (values, TensorView::new(Dtype::F32, shape(width), &pixels)?),
        (positions, TensorView::new(Dtype::I64, shape(2), &places)?),
    ]);
    output::file(file, &safetensors::serialize(tensors, None)?, args.adopt)
}
