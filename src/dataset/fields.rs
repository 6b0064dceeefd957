//! What is said about whole images, for formats that know kinds of values.
//!
//! In: the fields of a data set's images. Out: the kind of each, and values as text.

use serde_json::Value;

use super::{Dataset, Image};

/// The kind of all values that a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// Truth values.
    Flag,
    /// Numbers.
    Number,
    /// Texts, lists, or values of several kinds.
    Words,
}

impl FieldKind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Flag,
            Value::Number(_) => Self::Number,
            _ => Self::Words,
        }
    }

    /// The fields of the images by name, in the order in which they come.
    pub(crate) fn of_fields(dataset: &Dataset) -> Vec<(&str, Self)> {
        let mut kinds: Vec<(&str, Self)> = Vec::new();
        let fields = dataset.images.iter().filter_map(|image| image.fields.as_deref());
        for (name, value) in fields.flatten() {
            let own = Self::of(value);
            match kinds.iter_mut().find(|(known, _)| known == name) {
                Some((_, kind)) if *kind != own => *kind = Self::Words,
                Some(_) => {}
                None => kinds.push((name, own)),
            }
        }
        kinds
    }
}

/// Marks the images of a file in which nobody has looked for boxes: of which points are known and
/// no boxes; and those of fields alone, if no image of the file has a box. Beside images with
/// boxes, one that somebody has only described is one in which nothing is.
pub(super) fn mark_unboxed(images: &mut [Image]) {
    let any_box = images.iter().any(|image| !image.objects.is_empty());
    for image in images {
        let known = !image.points.is_empty() || image.fields.is_some() && !any_box;
        image.unboxed = image.objects.is_empty() && (image.unboxed || known);
    }
}

/// A value as text; of a list, its items with semicolons between them.
pub(crate) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}
