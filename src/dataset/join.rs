//! Several datasets as one.
//!
//! In: datasets, the more trusted first. Out: one, with every image of all. Promises: an image is
//! one by its whole name, else by its file's name if that is unique on both sides; of boxes that
//! lie in one place a person's stays, else that of the dataset that is named first.

use std::collections::HashMap;

use super::{Dataset, Image, Object, Point};

/// The IoU from which on two boxes are about one object.
pub const SAME_PLACE: f64 = 0.5;

/// How far apart, in pixels, two points of one label are one.
const SAME_POINT: f64 = 1.0;

/// Places of the images of one dataset in another: by their whole names, else by the names of their
/// files if these are unique in both.
pub(crate) fn match_images(known: &[Image], others: &[Image]) -> Vec<Option<usize>> {
    let base = |image: &Image| image.name.rsplit('/').next().unwrap_or_default().to_owned();
    let count = |images: &[Image]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for image in images {
            *counts.entry(base(image)).or_default() += 1;
        }
        counts
    };
    let by_name: HashMap<&str, usize> =
        known.iter().enumerate().map(|(place, image)| (image.name.as_str(), place)).collect();
    let (ours, theirs) = (count(known), count(others));
    let by_base: HashMap<String, usize> =
        known.iter().enumerate().map(|(place, image)| (base(image), place)).collect();
    let exact: Vec<Option<usize>> =
        others.iter().map(|image| by_name.get(image.name.as_str()).copied()).collect();
    let taken: std::collections::HashSet<usize> = exact.iter().flatten().copied().collect();
    let loose = |image: &Image| {
        let base = base(image);
        let unique = ours.get(&base) == Some(&1) && theirs.get(&base) == Some(&1);
        by_base.get(&base).copied().filter(|place| unique && !taken.contains(place))
    };
    others.iter().zip(exact).map(|(image, exact)| exact.or_else(|| loose(image))).collect()
}

impl Dataset {
    /// Adds the images and boxes of `other`, called `name`.
    pub fn join(&mut self, other: Self, name: &str, remarks: &mut Vec<String>) {
        let categories: Vec<usize> = (other.categories.iter().enumerate())
            .map(|(place, label)| {
                let known = self.categories.iter().position(|known| known == label);
                known.unwrap_or_else(|| {
                    self.categories.push(label.clone());
                    let free = self.category_ids.iter().max().map_or(1, |id| id + 1);
                    let own = other.category_ids.get(place).copied();
                    let own = own.filter(|id| !self.category_ids.contains(id));
                    if self.category_ids.len() + 1 == self.categories.len() {
                        self.category_ids.push(own.unwrap_or(free));
                    }
                    if let Some(coco) = &mut self.coco {
                        let fields =
                            other.coco.as_ref().and_then(|coco| coco.categories.get(place));
                        coco.categories.push(fields.cloned().unwrap_or_default());
                    }
                    self.categories.len() - 1
                })
            })
            .collect();
        if self.category_ids.len() != self.categories.len() {
            self.category_ids.clear();
        }
        let places = match_images(&self.images, &other.images);
        let (mut beaten, mut replaced, mut added, mut other_size, mut new) = (0, 0, 0, 0, 0);
        let mut points = 0;
        for (mut image, place) in other.images.into_iter().zip(places) {
            for category in image.categories_mut() {
                *category = categories[*category];
            }
            image.points.iter_mut().for_each(|point| point.id = None);
            let Some(place) = place else {
                // Ids are those of the other dataset.
                image.id = None;
                image.objects.iter_mut().for_each(|object| object.id = None);
                self.images.push(image);
                new += 1;
                continue;
            };
            let known = &mut self.images[place];
            if (known.width, known.height) != (image.width, image.height) {
                other_size += 1;
                continue;
            }
            known.file = known.file.take().or(image.file);
            known.unboxed &= image.unboxed;
            for point in image.points {
                let is_there = |known: &Point| {
                    known.category == point.category
                        && (known.x - point.x).hypot(known.y - point.y) <= SAME_POINT
                };
                if !known.points.iter().any(is_there) {
                    known.points.push(point);
                    points += 1;
                }
            }
            let fields = known.fields.get_or_insert_default();
            for (name, value) in image.fields.into_iter().flat_map(|fields| *fields) {
                // Those of the dataset that is named first stay.
                fields.entry(name).or_insert(value);
            }
            known.fields = known.fields.take().filter(|fields| !fields.is_empty());
            if let Some(more) = known.more.as_mut().filter(|_| known.fields.is_some()) {
                // One that was no object of fields.
                more.shift_remove("attributes");
            }
            let before = known.objects.len();
            for mut object in image.objects {
                object.id = None;
                let is_there = |known: &&mut Object| known.bbox.iou(&object.bbox) >= SAME_PLACE;
                match known.objects[..before].iter_mut().find(is_there) {
                    None => {
                        known.objects.push(object);
                        added += 1;
                    }
                    Some(there) if there.score.is_some() && object.score.is_none() => {
                        *there = object;
                        replaced += 1;
                    }
                    Some(_) => beaten += 1,
                }
            }
        }
        self.images.sort_by(|a, b| a.name.cmp(&b.name));
        for (count, what) in [
            (new, "images are new"),
            (added, "boxes are added to images that were there"),
            (points, "points are added to images that were there"),
            (beaten, "boxes lie where a box was already, which stays"),
            (replaced, "boxes that a person drew take the place of a model's"),
            (other_size, "images have another size than those of their name, and are left out"),
        ] {
            if count > 0 {
                remarks.push(format!("{name}: {count} {what}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BBox;

    fn image(name: &str, boxes: &[(usize, f64, Option<f64>)]) -> Image {
        let object = |&(category, x0, score): &(usize, f64, Option<f64>)| {
            let bbox = BBox { x0, y0: 0.0, x1: x0 + 10.0, y1: 10.0 };
            Object { score, ..Object::of_box(category, bbox) }
        };
        let objects = boxes.iter().map(object).collect();
        Image { name: name.to_owned(), width: 100, height: 10, objects, ..Image::default() }
    }

    fn dataset(categories: &[&str], images: Vec<Image>) -> Dataset {
        let categories = categories.iter().map(|name| (*name).to_owned()).collect();
        Dataset { categories, images, ..Dataset::default() }
    }

    #[test]
    fn a_persons_boxes_win_whoever_is_named_first() {
        let human = || dataset(&["cat"], vec![image("x/a.jpg", &[(0, 0.0, None)])]);
        let boxes = [(0, 1.0, Some(0.9)), (1, 50.0, Some(0.8))];
        let model = || dataset(&["dog", "cat"], vec![image("a.jpg", &boxes), image("b.jpg", &[])]);
        let mut remarks = Vec::new();
        let mut joined = human();
        joined.join(model(), "model", &mut remarks);
        let objects = &joined.images[1].objects;
        assert_eq!(
            joined.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(),
            ["b.jpg", "x/a.jpg"]
        );
        assert_eq!((objects.len(), objects[0].score, objects[0].bbox.x0), (2, None, 0.0));
        assert_eq!(joined.categories, ["cat", "dog"]);
        assert_eq!(joined.categories[objects[1].category], "cat");
        assert_eq!(remarks.len(), 3, "{remarks:?}");
        let mut joined = model();
        joined.join(human(), "human", &mut remarks);
        let objects = &joined.images[0].objects;
        assert_eq!((objects.len(), objects[0].score), (2, None));
        assert_eq!(joined.categories[objects[0].category], "cat");
    }

    #[test]
    fn names_of_files_count_only_if_they_are_unique() {
        let known = [image("x/a.jpg", &[]), image("y/a.jpg", &[]), image("z/b.jpg", &[])];
        let others = [image("a.jpg", &[]), image("b.jpg", &[]), image("x/a.jpg", &[])];
        assert_eq!(match_images(&known, &others), [None, Some(2), Some(0)]);
    }
}
