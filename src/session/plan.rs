//! A dry run: the work of a run, without a model.
//!
//! In: images, and the questions about them. Out: sizes and tokens of every image. Promises: only
//! the header of a file is read.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use crate::engine::{ImageQuestions, Question};
use crate::image::size_within;
use crate::preprocess::plan_views;
use crate::record::BudgetChoice;
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
    let sizes = |image: &SourceImage| -> Result<Option<PlannedSizes>, String> {
        let asked = questions.of(&image.name);
        // A plan fetches nothing.
        if matches!(image.place, Ok(Place::Remote { .. })) {
            return Ok(None);
        }
        let tiles = config.tiles.filter(|_| asked.is_none_or(|asked| !asked.is_for_text()));
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
        Ok(Some(sizes))
    };
    let texts = |asked: &Arc<ImageQuestions>| {
        asked.questions.iter().map(|question| question.query().text.clone()).collect()
    };
    let planned = |image: &SourceImage| {
        let (sizes, error) = match sizes(image) {
            Ok(sizes) => (sizes, None),
            Err(error) => (None, Some(error)),
        };
        let prompts = questions.single.get(&image.name).map(texts).unwrap_or_default();
        PlannedImage { image: image.name.clone(), error, sizes, prompts }
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
