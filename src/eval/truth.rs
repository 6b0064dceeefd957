//! A question for boxes or text.
//!
//! In: a dataset of any format, and the labels that are evaluated. Out: its checked content.
//! Promises: an unknown label is an error; labels that only differ in case stay apart.

use std::path::Path;

use super::EvalError;
use crate::dataset::coco::{Annotation, Instances};
use crate::dataset::{self, Format, ReadOptions};

/// A truth file, and what of it is evaluated.
pub struct Truth {
    /// Its content.
    pub instances: Instances,
    /// For each category, whether it is evaluated.
    pub wanted: Vec<bool>,
    /// Remarks about values that were filled in for missing ones.
    pub remarks: Vec<String>,
}

impl Truth {
    /// Reads the dataset at `path`, whose images may lie in `images`; only `labels` of it are
    /// evaluated, or all where there are none. A COCO file keeps its ids and all its entries.
    ///
    /// # Errors
    /// [`EvalError::Dataset`] and [`EvalError::UnknownLabel`].
    pub fn read(path: &Path, images: Option<&Path>, labels: &[String]) -> Result<Self, EvalError> {
        let mut remarks = Vec::new();
        let format = Format::of(path)?;
        let instances = if format == Format::Coco {
            Instances::read(path, &mut remarks)?
        } else {
            let options = ReadOptions { images, ..ReadOptions::default() };
            let mut dataset = dataset::read(path, format, &options, &mut remarks)?;
            dataset.leave_out_unboxed(None, &mut remarks);
            Instances::of(&dataset, path)
        };
        if instances.annotations.iter().any(|annotation| annotation.id == Some(0)) {
            remarks.push(
                "an annotation has the id 0, which pycocotools takes for \"not matched\": its \
                 figures are lower there, and wrong"
                    .to_owned(),
            );
        }
        let names = || instances.categories.iter().map(|category| category.name.as_str());
        let mut wanted = vec![labels.is_empty(); instances.categories.len()];
        for label in labels {
            let mut known = false;
            for (wanted, _) in wanted.iter_mut().zip(names()).filter(|(_, name)| name == label) {
                (*wanted, known) = (true, true);
            }
            if !known {
                let known = names().collect::<Vec<_>>().join(", ");
                return Err(EvalError::UnknownLabel { label: label.clone(), known });
            }
        }
        Ok(Self { instances, wanted, remarks })
    }

    /// The annotations that are evaluated.
    pub fn evaluated(&self) -> impl Iterator<Item = &Annotation> {
        self.instances.annotations.iter().filter(|annotation| self.wanted[annotation.category])
    }

    /// A category's name.
    pub fn label(&self, category: usize) -> &str {
        &self.instances.categories[category].name
    }
}
