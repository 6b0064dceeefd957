//! Questions by image.
//!
//! In: the question about every image, those about single ones, or both. Out: the questions about
//! the image of a name. Promises: an image's own questions take precedence over those about every
//! image.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::engine::ImageQuestions;
use crate::record::{AxisMarks, ImagePrompts, Record};
use crate::source::SourceImage;

/// Source of the questions for each image.
pub trait QuestionSource: Sync {
    /// The questions about `image`, whose file has these `bytes`. Metadata that the questions
    /// depend on are put into `record`.
    ///
    /// # Errors
    /// Why nothing can be asked, in words.
    fn questions_about(
        &self,
        image: &SourceImage,
        bytes: &[u8],
        record: &mut Record,
    ) -> Result<Arc<ImageQuestions>, String>;

    /// Whether a frame with these [`Record::axes`] was asked all that is asked now.
    fn are_answered(&self, _axes: &AxisMarks) -> bool {
        true
    }

    /// The questions about a frame that its record of `earlier`, about the same content, does not
    /// answer: for them alone, `record` says what is asked. `None` if it answers all.
    ///
    /// # Errors
    /// As [`Self::questions_about`].
    fn questions_left(
        &self,
        _image: &SourceImage,
        _bytes: &[u8],
        _earlier: &Record,
        _record: &mut Record,
    ) -> Result<Option<Arc<ImageQuestions>>, String> {
        Ok(None)
    }

    /// [`ImageQuestions::hash`] of the questions about the image of this name, if they depend on
    /// the name. A record of another question is then no answer, although the image is the same.
    fn hash_by_name(&self, _image: &str) -> Option<String> {
        None
    }
}

impl QuestionSource for Questions {
    fn questions_about(
        &self,
        image: &SourceImage,
        _bytes: &[u8],
        record: &mut Record,
    ) -> Result<Arc<ImageQuestions>, String> {
        record.asked = self.single.get(&image.name).map(|asked| asked.labels.clone());
        self.of(&image.name).map(Arc::clone).ok_or_else(|| "nothing is asked about it".to_owned())
    }

    fn hash_by_name(&self, image: &str) -> Option<String> {
        Some(self.of(image)?.hash())
    }
}

/// The questions about the images of a run.
pub struct Questions {
    /// About images that have no questions of their own.
    pub every: Option<Arc<ImageQuestions>>,
    /// About single images, by their names.
    pub single: HashMap<String, Arc<ImageQuestions>>,
}

impl Questions {
    /// The same about every image.
    pub fn about_every(asked: Option<ImageQuestions>) -> Self {
        Self { every: asked.map(Arc::new), single: HashMap::new() }
    }

    /// The questions about the image of this name, if there are any.
    pub fn of(&self, image: &str) -> Option<&Arc<ImageQuestions>> {
        self.single.get(image).or(self.every.as_ref())
    }

    /// The part of the questions about single images that the run's settings keep.
    pub fn image_prompts(&self) -> Option<ImagePrompts> {
        if self.single.is_empty() {
            return None;
        }
        let sorted: BTreeMap<&String, &Arc<ImageQuestions>> = self.single.iter().collect();
        let every = self.every.as_ref().map(|asked| &asked.labels);
        let mut seen = HashSet::new();
        let labels = every.into_iter().chain(sorted.values().map(|asked| &asked.labels)).flatten();
        let labels = labels.filter(|label| seen.insert(*label)).cloned().collect();
        Some(ImagePrompts { images: self.single.len(), labels })
    }
}
