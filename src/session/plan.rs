//! A dry run: the work of a run, without a model.
//!
//! In: images, and the questions about them. Out: sizes and tokens of every image. Promises: only
//! the header of a file is read; of a whole video, its frames are counted, and one is decoded.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use crate::engine::{Clip, ImageQuestions, Question};
use crate::image::size_within;
use crate::preprocess::{plan_frame, plan_views};
use crate::record::{BudgetChoice, ShownClip};
use crate::run::Questions;
use crate::source::{Besides, Place, Source, SourceImage};

use super::DetectConfig;

/// The work that a run would do.
#[derive(Debug, Clone, Serialize)]
pub struct DetectPlan {
    /// How many images there are.
    pub images: usize,
    /// Files that the inputs hold besides the images.
    #[serde(flatten)]
    pub besides: Besides,
    /// The texts that are asked about every image.
    pub prompts: Vec<String>,
    /// The same as the model reads them.
    pub rendered: Vec<String>,
    /// Each image.
    pub files: Vec<PlannedImage>,
}

/// The work that a run would do for one image.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedImage {
    /// Its name.
    pub image: String,
    /// Why it would fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its sizes and token counts.
    #[serde(flatten)]
    pub sizes: Option<PlannedSizes>,
    /// The frames that would be shown, of a whole video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<ShownClip>,
    /// The texts that are asked about it alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
}

/// `budget` and the resized size are those of the whole image; tokens are those of all views and
/// questions.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PlannedSizes {
    /// Pixels of the upright image.
    pub width: u32,
    /// Pixels of the upright image.
    pub height: u32,
    /// The whole image and its tiles.
    pub views: usize,
    /// The most soft tokens.
    pub budget: u32,
    /// Pixels.
    pub resized_width: u32,
    /// Pixels.
    pub resized_height: u32,
    /// Summed over all views.
    pub soft_tokens: u32,
    /// Summed over all prompts, with their soft tokens.
    pub prompt_tokens: usize,
}

pub(super) fn plan(
    config: &DetectConfig,
    budget: BudgetChoice,
    max_pixels: u64,
    questions: &Questions,
    source: &Source,
) -> DetectPlan {
    let sizes = |image: &SourceImage| -> Result<_, String> {
        let asked = questions.of(&image.name);
        // A plan fetches nothing.
        if matches!(image.place, Ok(Place::Remote { .. })) {
            return Ok((None, None));
        }
        let tiles = config.tiles.filter(|_| asked.is_none_or(|asked| !asked.is_for_text()));
        if let Ok(Place::Clip(file)) = &image.place {
            let (sizes, clip) = planned_clip(file, asked.map(Arc::as_ref), max_pixels)?;
            return Ok((Some(sizes), Some(clip)));
        }
        let asked = asked.map_or(&[][..], |asked| &asked.questions);
        let size = size_within(image.open()?, config.apply_orientation, max_pixels);
        let (width, height) = size.map_err(|error| error.to_string())?;
        let views = plan_views(width, height, tiles, budget).map_err(|error| error.to_string())?;
        let mut sizes =
            PlannedSizes { width, height, views: views.len(), ..PlannedSizes::default() };
        if let Some(whole) = views.first() {
            sizes.budget = whole.budget.soft_tokens();
            (sizes.resized_width, sizes.resized_height) = (whole.size.width, whole.size.height);
        }
        for view in &views {
            let soft_tokens = view.size.soft_tokens();
            sizes.soft_tokens += soft_tokens;
            let tokens = |question: &Question| question.query().token_count(soft_tokens);
            sizes.prompt_tokens += asked.iter().map(tokens).sum::<usize>();
        }
        Ok((Some(sizes), None))
    };
    let texts = |asked: &Arc<ImageQuestions>| {
        asked.questions.iter().map(|question| question.query().text.clone()).collect()
    };
    let planned = |image: &SourceImage| {
        let (sizes, clip, error) = match sizes(image) {
            Ok((sizes, clip)) => (sizes, clip, None),
            Err(error) => (None, None, Some(error)),
        };
        let prompts = questions.single.get(&image.name).map(texts).unwrap_or_default();
        PlannedImage { image: image.name.clone(), error, sizes, clip, prompts }
    };
    DetectPlan {
        images: source.images.len(),
        besides: source.besides(),
        prompts: questions.every.as_ref().map(texts).unwrap_or_default(),
        rendered: questions
            .every
            .iter()
            .flat_map(|asked| asked.rendered())
            .map(str::to_owned)
            .collect(),
        files: source.images.par_iter().map(planned).collect(),
    }
}

/// The work for a whole video.
fn planned_clip(
    file: &Path,
    asked: Option<&ImageQuestions>,
    max_pixels: u64,
) -> Result<(PlannedSizes, ShownClip), String> {
    let unread = |error| format!("a video: {error}");
    let clip = Clip::open(file, None).map_err(unread)?;
    let (width, height) = clip.size(max_pixels).map_err(unread)?;
    let clip = clip.shown();
    let view = plan_frame(width, height).map_err(|error| error.to_string())?;
    let stamps: Vec<String> = clip.frames.iter().map(|frame| frame.stamp.clone()).collect();
    let soft_tokens = view.size.soft_tokens();
    let mut sizes = PlannedSizes {
        width,
        height,
        views: clip.frames.len(),
        budget: view.budget.soft_tokens(),
        resized_width: view.size.width,
        resized_height: view.size.height,
        soft_tokens: soft_tokens * clip.frames.len() as u32,
        prompt_tokens: 0,
    };
    if let Some(asked) = asked {
        let about = asked.about_frames(&stamps, soft_tokens).map_err(|error| error.to_string())?;
        let tokens = |question: &Question| question.query().token_count(soft_tokens);
        sizes.prompt_tokens = about.questions.iter().map(tokens).sum();
    }
    Ok((sizes, clip))
}
