//! What changed between two datasets: a model's boxes and the corrected ones, or two models'.
//!
//! In: two datasets. Out: of every box of both, what became of it; sums for each label. Promises:
//! every box of the first is kept, moved, relabelled or removed, every box of the second one of
//! these or added; the same boxes in another order are no change.

use std::collections::BTreeMap;

use serde::Serialize;

use super::join::match_images;
use super::{Dataset, Image, Object};
use crate::record::BBox;

/// How far, in pixels, an edge may be off for a box to be the same: formats round.
pub const SAME_EDGE: f64 = 0.51;

/// What became of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is there again, with its label.
    Kept,
    /// It is there with its label, in a place that overlaps its own.
    Moved,
    /// Its place, or one that overlaps it, has another label.
    Relabelled,
    /// Nothing is there any more.
    Removed,
    /// Nothing was there before.
    Added,
}

/// A box of either side, or a pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What became of it.
    pub change: Change,
    /// Label, place and score in the first dataset; absent of what was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Side>,
    /// The same in the second; absent of what was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Side>,
    /// Of a pair, how well the places fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<f64>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its label.
    pub label: String,
    /// `[x0, y0, x1, y1]` in pixels.
    pub bbox: BBox,
    /// Its score, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// How many boxes of a label became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// There again.
    pub kept: usize,
    /// In another place.
    pub moved: usize,
    /// Under another label; counted for the label of before.
    pub relabelled: usize,
    /// Gone.
    pub removed: usize,
    /// New.
    pub added: usize,
}

impl Counts {
    fn add(&mut self, change: Change) {
        *match change {
            Change::Kept => &mut self.kept,
            Change::Moved => &mut self.moved,
            Change::Relabelled => &mut self.relabelled,
            Change::Removed => &mut self.removed,
            Change::Added => &mut self.added,
        } += 1;
    }

    /// How many are not kept.
    pub fn changed(&self) -> usize {
        self.moved + self.relabelled + self.removed + self.added
    }
}

/// An image of both datasets that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedImage {
    /// Its name in the first dataset.
    pub image: String,
    /// In pixels, as the first has it.
    pub width: u32,
    /// In pixels, as the first has it.
    pub height: u32,
    /// How much changed: 1 for each box that is added, removed or relabelled, and for a moved one
    /// what its IoU lacks of 1.
    pub weight: f64,
    /// Everything but what was kept.
    pub differences: Vec<Difference>,
    /// Where its file is, if that is known.
    #[serde(skip)]
    pub file: Option<std::path::PathBuf>,
}

/// The whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Images that both have.
    pub images: usize,
    /// Of all labels together.
    pub total: Counts,
    /// By label.
    pub labels: BTreeMap<String, Counts>,
    /// The images that changed, the most changed first.
    pub changed: Vec<ChangedImage>,
    /// Images that the second dataset lacks.
    pub only_before: Vec<String>,
    /// Images that the first dataset lacks.
    pub only_after: Vec<String>,
    /// Images that have another size in the second; their boxes are not compared.
    pub other_size: Vec<String>,
}

/// Compares two datasets; boxes whose IoU is at least `iou` may be one that moved.
pub fn compare(before: &Dataset, after: &Dataset, iou: f64) -> Comparison {
    let mut whole = Comparison::default();
    let places = match_images(&before.images, &after.images);
    let mut seen = vec![false; before.images.len()];
    for (image, place) in after.images.iter().zip(places) {
        let Some(place) = place else {
            whole.only_after.push(image.name.clone());
            continue;
        };
        seen[place] = true;
        let known = &before.images[place];
        if (known.width, known.height) != (image.width, image.height) {
            whole.other_size.push(known.name.clone());
            continue;
        }
        whole.images += 1;
        let differences = compare_images(before, known, after, image, iou);
        let mut weight = 0.0;
        for difference in &differences {
            let label = difference.before.as_ref().or(difference.after.as_ref());
            let label = label.map(|side| side.label.clone()).unwrap_or_default();
            whole.labels.entry(label).or_default().add(difference.change);
            whole.total.add(difference.change);
            weight += match difference.change {
                Change::Kept => 0.0,
                Change::Moved => 1.0 - difference.iou.unwrap_or(0.0),
                Change::Relabelled | Change::Removed | Change::Added => 1.0,
            };
        }
        let differences: Vec<Difference> =
            differences.into_iter().filter(|one| one.change != Change::Kept).collect();
        if !differences.is_empty() {
            whole.changed.push(ChangedImage {
                image: known.name.clone(),
                width: known.width,
                height: known.height,
                weight,
                differences,
                file: known.file.clone().or_else(|| image.file.clone()),
            });
        }
    }
    let unseen = before.images.iter().zip(&seen).filter(|(_, seen)| !**seen);
    whole.only_before = unseen.map(|(image, _)| image.name.clone()).collect();
    whole.changed.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.image.cmp(&b.image)));
    whole
}

/// What became of the boxes of one image.
fn compare_images(
    before: &Dataset,
    old: &Image,
    after: &Dataset,
    new: &Image,
    iou: f64,
) -> Vec<Difference> {
    let label = |dataset: &Dataset, object: &Object| dataset.categories[object.category].clone();
    let side = |dataset: &Dataset, object: &Object| Side {
        label: label(dataset, object),
        bbox: object.bbox,
        score: object.score,
    };
    // Pairs that may be one object: first those of one place, then those of one label, then the
    // nearest.
    let mut pairs = Vec::new();
    for (a, object) in old.objects.iter().enumerate() {
        for (b, other) in new.objects.iter().enumerate() {
            let overlap = object.bbox.iou(&other.bbox);
            let same = is_same(&object.bbox, &other.bbox);
            if same || overlap >= iou {
                let same_label = label(before, object) == label(after, other);
                let rank = match (same, same_label) {
                    (true, true) => 0,
                    (true, false) => 1,
                    (false, true) => 2,
                    (false, false) => 3,
                };
                pairs.push((rank, overlap, a, b));
            }
        }
    }
    pairs.sort_by(|x, y| x.0.cmp(&y.0).then(y.1.total_cmp(&x.1)).then((x.2, x.3).cmp(&(y.2, y.3))));
    let (mut left, mut right) = (vec![true; old.objects.len()], vec![true; new.objects.len()]);
    let mut differences = Vec::new();
    for (rank, overlap, a, b) in pairs {
        if !(left[a] && right[b]) {
            continue;
        }
        (left[a], right[b]) = (false, false);
        differences.push(Difference {
            change: match rank {
                0 => Change::Kept,
                2 => Change::Moved,
                _ => Change::Relabelled,
            },
            before: Some(side(before, &old.objects[a])),
            after: Some(side(after, &new.objects[b])),
            iou: Some(overlap),
        });
    }
    let gone = old.objects.iter().zip(left).filter(|(_, left)| *left);
    differences.extend(gone.map(|(object, _)| Difference {
        change: Change::Removed,
        before: Some(side(before, object)),
        after: None,
        iou: None,
    }));
    let come = new.objects.iter().zip(right).filter(|(_, left)| *left);
    differences.extend(come.map(|(object, _)| Difference {
        change: Change::Added,
        before: None,
        after: Some(side(after, object)),
        iou: None,
    }));
    differences
}

fn is_same(a: &BBox, b: &BBox) -> bool {
    let (a, b) = (<[f64; 4]>::from(*a), <[f64; 4]>::from(*b));
    a.into_iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME_EDGE)
}

/// The comparison as one page, the most changed images first. `before` and `after` name the two.
///
/// # Errors
/// [`minijinja::Error`]; the template is part of the program.
pub fn html(
    comparison: &Comparison,
    before: &str,
    after: &str,
) -> Result<String, minijinja::Error> {
    use minijinja::value::Serde;
    let files: Vec<Option<String>> = (comparison.changed.iter())
        .map(|image| {
            let file = std::path::absolute(image.file.as_ref()?).ok()?;
            let path = file.to_string_lossy().replace('\\', "/");
            Some(super::label_studio::address("file:///", path.trim_start_matches('/')))
        })
        .collect();
    let values = minijinja::context! {
        version => env!("CARGO_PKG_VERSION"),
        before,
        after,
        comparison => minijinja::Value::from(Serde(comparison)),
        files,
    };
    crate::page::render(include_str!("compare.html"), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(category: usize, x0: f64, y0: f64) -> Object {
        Object::of_box(category, BBox { x0, y0, x1: x0 + 20.0, y1: y0 + 20.0 })
    }

    fn dataset(images: &[(&str, &[Object])]) -> Dataset {
        let image = |(name, objects): &(&str, &[Object])| Image {
            name: (*name).to_owned(),
            width: 200,
            height: 100,
            objects: objects.to_vec(),
            ..Image::default()
        };
        Dataset {
            categories: vec!["cat".to_owned(), "dog".to_owned()],
            images: images.iter().map(image).collect(),
            ..Dataset::default()
        }
    }

    #[test]
    fn every_change_is_found_and_none_invented() {
        let before = [
            object(0, 0.0, 0.0),
            object(0, 50.0, 0.0),
            object(0, 100.0, 0.0),
            object(1, 150.0, 0.0),
        ];
        let after = [
            object(1, 100.0, 0.2),
            object(0, 3.0, 0.0),
            object(0, 50.3, 0.0),
            object(1, 0.0, 60.0),
        ];
        let found = compare(&dataset(&[("a", &before)]), &dataset(&[("x/a", &after)]), 0.5);
        let counts = |label: &str| found.labels[label];
        assert_eq!(counts("cat"), Counts { kept: 1, moved: 1, relabelled: 1, ..Counts::default() });
        assert_eq!(counts("dog"), Counts { removed: 1, added: 1, ..Counts::default() });
        assert_eq!((found.total.changed(), found.changed[0].differences.len()), (4, 4));
        let mut turned = before.to_vec();
        turned.reverse();
        let same = compare(&dataset(&[("a", &before)]), &dataset(&[("a", &turned)]), 0.5);
        assert_eq!((same.total.changed(), same.total.kept, same.changed.len()), (0, 4, 0));
    }

    #[test]
    fn the_most_changed_image_is_first_and_the_others_are_named() {
        let one = [object(0, 0.0, 0.0), object(0, 50.0, 0.0)];
        let before = dataset(&[("a", &one[..1]), ("b", &one), ("c", &one), ("gone", &[])]);
        let moved = [object(0, 4.0, 0.0)];
        let after = dataset(&[("a", &moved), ("b", &[]), ("c", &one), ("new", &[])]);
        let found = compare(&before, &after, 0.5);
        let names: Vec<&str> = found.changed.iter().map(|image| image.image.as_str()).collect();
        assert_eq!((names, found.images), (vec!["b", "a"], 3));
        assert_eq!(
            (found.only_before, found.only_after),
            (vec!["gone".to_owned()], vec!["new".to_owned()])
        );
        let page = html(&compare(&before, &after, 0.5), "<b>", "&").unwrap();
        assert!(page.contains("&lt;b&gt;") && page.contains("removed"), "{page}");
    }
}
