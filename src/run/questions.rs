//! What is asked about which image.
//!
//! In: the question about every image, those about single ones, or both. Out: what is asked about
//! an image of a name. Promises: an image's own questions come before those about every image.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::engine::Asked;
use crate::record::{ImagePrompts, Record};
use crate::source::SourceImage;

/// Who knows what is asked about an image.
pub trait Asks: Sync {
    /// What is asked about `image`, whose file has these `bytes`. What the file itself says that a
    /// question depends on goes into `record`.
    ///
    /// # Errors
    /// Why nothing can be asked, in words.
    fn asked(
        &self,
        image: &SourceImage,
        bytes: &[u8],
        record: &mut Record,
    ) -> Result<Arc<Asked>, String>;

    /// [`Asked::hash`] of what is asked about the image of this name, if that depends on the name.
    /// A record of another question is no answer then, though the image is the same.
    fn hash_by_name(&self, _image: &str) -> Option<String> {
        None
    }
}

impl Asks for Questions {
    fn asked(
        &self,
        image: &SourceImage,
        _bytes: &[u8],
        record: &mut Record,
    ) -> Result<Arc<Asked>, String> {
        record.asked = self.single.get(&image.name).map(|asked| asked.labels.clone());
        self.of(&image.name).map(Arc::clone).ok_or_else(|| "nothing is asked about it".to_owned())
    }

    fn hash_by_name(&self, image: &str) -> Option<String> {
        Some(self.of(image)?.hash())
    }
}

/// What is asked about the images of a run.
pub struct Questions {
    /// About images that have no questions of their own.
    pub every: Option<Arc<Asked>>,
    /// About single images, by their names.
    pub single: HashMap<String, Arc<Asked>>,
}

impl Questions {
    /// The same about every image.
    pub fn about_every(asked: Option<Asked>) -> Self {
        Self { every: asked.map(Arc::new), single: HashMap::new() }
    }

    /// What is asked about the image of this name; `None` where that is nothing.
    pub fn of(&self, image: &str) -> Option<&Arc<Asked>> {
        self.single.get(image).or(self.every.as_ref())
    }

    /// What the run's settings keep of the questions about single images.
    pub fn image_prompts(&self) -> Option<ImagePrompts> {
        if self.single.is_empty() {
            return None;
        }
        let sorted: BTreeMap<&String, &Arc<Asked>> = self.single.iter().collect();
        let every = self.every.as_ref().map(|asked| &asked.labels);
        let mut seen = HashSet::new();
        let labels = every.into_iter().chain(sorted.values().map(|asked| &asked.labels)).flatten();
        let labels = labels.filter(|label| seen.insert(*label)).cloned().collect();
        Some(ImagePrompts { images: self.single.len(), labels })
    }
}
