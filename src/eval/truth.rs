//! A question for boxes or text.
//!
//! In: a COCO instances file, and the labels that are evaluated. Out: its checked content.
//! Promises: an unknown label is an error; labels that only differ in case stay apart.

use std::path::Path;

use super::EvalError;
use crate::dataset::coco::{Annotation, Instances};

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
    /// Reads the file at `path`; only its `labels` are evaluated, or all if there are none.
    ///
    /// # Errors
    /// [`EvalError::Dataset`] and [`EvalError::UnknownLabel`].
    pub fn read(path: &Path, labels: &[String]) -> Result<Self, EvalError> {
        let mut remarks = Vec::new();
        let instances = Instances::read(path, &mut remarks)?;
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
