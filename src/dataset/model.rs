//! What a dataset is, whatever format it comes in.
//!
//! Promises: a box lies inside its image and has an area; whatever one format alone has a word for
//! is carried as it is, for a target of the same format, and counted where it is lost.

use serde_json::{Map, Value};

use crate::record::BBox;

/// By how large a part of itself an area may differ from its box's and still be that of the box,
/// rounded.
const SAME_AREA: f64 = 1e-3;

/// How far, in pixels, the bounds of an outline may lie from the box that they stand for.
const SAME_BOUNDS: f64 = 0.5;

/// Images with labelled boxes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// Names of the categories, in the order of their ids.
    pub categories: Vec<String>,
    /// The id of each category; empty if the dataset counts them (YOLO) or has none (VOC).
    pub category_ids: Vec<u64>,
    /// The images, sorted by name.
    pub images: Vec<Image>,
    /// What COCO alone says, of a COCO file.
    pub coco: Option<Box<CocoFields>>,
}

/// Fields of a COCO file that no other format has a word for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CocoFields {
    /// The file's own, such as `info` and `licenses`.
    pub file: Map<String, Value>,
    /// Of each category, such as `supercategory` and `skeleton`; as many as there are categories.
    pub categories: Vec<Map<String, Value>>,
}

/// One image of a dataset.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Image {
    /// Path relative to the images' folder, with `/`.
    pub name: String,
    /// Width in pixels; never 0.
    pub width: u32,
    /// Height in pixels; never 0.
    pub height: u32,
    /// Its id, if it has one that is a whole number.
    pub id: Option<u64>,
    /// The splits that it is in.
    pub splits: Splits,
    /// The objects in it.
    pub objects: Vec<Object>,
    /// Things of which a place is known and no box.
    pub points: Vec<Point>,
    /// What is said about the whole image, by the names of fields: words, numbers, truth values, or
    /// lists of words.
    pub fields: Option<Box<Map<String, Value>>>,
    /// Nobody has looked for boxes in it: without any it is no image in which nothing is.
    pub unboxed: bool,
    /// Its file, if reading came across it.
    pub file: Option<std::path::PathBuf>,
    /// Further fields of a COCO file.
    pub more: Option<Box<Map<String, Value>>>,
}

/// One labelled box.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Place in [`Dataset::categories`].
    pub category: usize,
    /// Its box, in pixels; inside the image, with an area.
    pub bbox: BBox,
    /// Not to be counted for or against a detector: COCO's `iscrowd`, VOC's `difficult`.
    pub crowd: bool,
    /// In square pixels: of an outline if the dataset knows one, else of the box.
    pub area: f64,
    /// Its id, if it has one that is a whole number.
    pub id: Option<u64>,
    /// How sure its maker is; absent of boxes that a person drew.
    pub score: Option<f64>,
    /// Its shape, if it is known better than by the box.
    pub outline: Option<Box<Outline>>,
    /// Further fields of a COCO file, such as `keypoints` and `attributes`.
    pub more: Option<Box<Map<String, Value>>>,
}

/// A labelled place.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Place in [`Dataset::categories`].
    pub category: usize,
    /// From the left edge, in pixels; inside the image.
    pub x: f64,
    /// From the upper edge, in pixels; inside the image.
    pub y: f64,
    /// Its id, if it has one that is a whole number.
    pub id: Option<u64>,
}

/// A shape that is not a box.
#[derive(Debug, Clone, PartialEq)]
pub enum Outline {
    /// Polygons, each `x, y, x, y ...` in pixels; an object that is hidden in part has several.
    Polygons(Vec<Vec<f64>>),
    /// COCO's run-length code of a mask, as it stands.
    Mask(Value),
}

impl Image {
    /// The places in [`Dataset::categories`] of all that is in it.
    pub(super) fn categories_mut(&mut self) -> impl Iterator<Item = &mut usize> {
        let of_objects = self.objects.iter_mut().map(|object| &mut object.category);
        of_objects.chain(self.points.iter_mut().map(|point| &mut point.category))
    }

    /// Adds a point; says whether it lies inside the image, and has been added.
    pub(super) fn add_point(&mut self, category: usize, x: f64, y: f64) -> bool {
        let inside = |at: f64, size: u32| (0.0..=f64::from(size)).contains(&at);
        let is_inside = inside(x, self.width) && inside(y, self.height);
        if is_inside {
            self.points.push(Point { category, x, y, id: None });
        }
        is_inside
    }
}

impl Object {
    /// A box that a person drew, and nothing else.
    pub fn of_box(category: usize, bbox: BBox) -> Self {
        let area = bbox.area();
        Self {
            category,
            bbox,
            crowd: false,
            area,
            id: None,
            score: None,
            outline: None,
            more: None,
        }
    }

    /// Gives it an outline of one polygon (`x, y, x, y ...`, in pixels), and that one's area.
    pub(super) fn set_polygon(&mut self, polygon: Vec<f64>) {
        let polygons = vec![polygon];
        self.area = area(&polygons);
        self.outline = Some(Box::new(Outline::Polygons(polygons)));
    }

    /// Whether its area is that of something else than its box.
    pub(crate) fn has_own_area(&self) -> bool {
        !is_same_area(self.area, self.bbox.area())
    }

    /// Whether its area is that of `polygons`.
    pub(crate) fn has_area_of(&self, polygons: &[Vec<f64>]) -> bool {
        is_same_area(self.area, area(polygons))
    }

    /// Its polygons, if their bounds are its box: a reader that knows it by them alone sees the
    /// same box.
    pub(crate) fn polygons(&self) -> Option<&[Vec<f64>]> {
        let Some(Outline::Polygons(polygons)) = self.outline.as_deref() else { return None };
        let bounds = bounds(polygons)?;
        let far = |a: f64, b: f64| (a - b).abs() > SAME_BOUNDS;
        let off = far(bounds.x0, self.bbox.x0)
            || far(bounds.y0, self.bbox.y0)
            || far(bounds.x1, self.bbox.x1)
            || far(bounds.y1, self.bbox.y1);
        (!off).then_some(polygons.as_slice())
    }
}

fn is_same_area(one: f64, other: f64) -> bool {
    (one - other).abs() <= SAME_AREA * one.max(other)
}

/// The box around polygons; `None` if one is not made of three points or more.
pub(crate) fn bounds(polygons: &[Vec<f64>]) -> Option<BBox> {
    let mut bounds =
        BBox { x0: f64::INFINITY, y0: f64::INFINITY, x1: f64::NEG_INFINITY, y1: f64::NEG_INFINITY };
    for polygon in polygons {
        let (points, rest) = polygon.as_chunks::<2>();
        if points.len() < 3 || !rest.is_empty() || polygon.iter().any(|n| !n.is_finite()) {
            return None;
        }
        for [x, y] in points {
            (bounds.x0, bounds.x1) = (bounds.x0.min(*x), bounds.x1.max(*x));
            (bounds.y0, bounds.y1) = (bounds.y0.min(*y), bounds.y1.max(*y));
        }
    }
    (!polygons.is_empty()).then_some(bounds)
}

/// The area of polygons, each counted by itself (the shoelace formula).
pub(crate) fn area(polygons: &[Vec<f64>]) -> f64 {
    let area = |polygon: &Vec<f64>| {
        let points = polygon.as_chunks::<2>().0;
        let next = points.iter().cycle().skip(1);
        let twice: f64 = points.iter().zip(next).map(|([x, y], [u, v])| x * v - u * y).sum();
        twice.abs() / 2.0
    };
    polygons.iter().map(area).sum()
}

/// A split of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Val,
    /// To measure with.
    Test,
}

impl Split {
    /// Every split, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Its name in `data.yaml` and in VOC's `ImageSets`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The split that a word names: also `valid`, `validation`, `training` and `testing`.
    pub fn of_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

/// The splits that an image is in; none if the dataset has none, or names it in none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Splits([bool; 3]);

impl Splits {
    /// Train and val at once, as they stand where a format asks for both and there is one set.
    const SAME: Self = Self([true, true, false]);

    /// Only `split`.
    pub fn only(split: Split) -> Self {
        let mut splits = Self::default();
        splits.add(split);
        splits
    }

    /// Whether the image is in `split`.
    pub fn has(self, split: Split) -> bool {
        self.0[split as usize]
    }

    /// Puts the image into `split` too.
    pub fn add(&mut self, split: Split) {
        self.0[split as usize] = true;
    }
}

impl Dataset {
    /// The images of `split`.
    pub(crate) fn images_of(&self, split: Split) -> impl Iterator<Item = &Image> {
        self.images.iter().filter(move |image| image.splits.has(split))
    }

    /// All boxes.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.images.iter().flat_map(|image| &image.objects)
    }

    /// All points.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.images.iter().flat_map(|image| &image.points)
    }

    /// Whether there is a split to keep. There is none if train and val are the same images.
    pub(crate) fn is_split(&self) -> bool {
        self.images.iter().any(|image| image.splits != Splits::default())
            && self.images.iter().any(|image| image.splits != Splits::SAME)
    }

    /// How many images each split has: `train 8, val 2`.
    pub(crate) fn split_counts(&self) -> String {
        let counts = Split::ALL.map(|split| (split, self.images_of(split).count()));
        let parts = counts.iter().filter(|(_, count)| *count > 0);
        let parts = parts.map(|(split, count)| format!("{} {count}", split.as_str()));
        parts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_stand_for_a_box_if_their_bounds_are_it() {
        let bbox = BBox { x0: 10.0, y0: 10.0, x1: 30.0, y1: 20.0 };
        let mut object = Object::of_box(0, bbox);
        assert_eq!((object.polygons(), object.has_own_area()), (None, false));
        let triangle = vec![vec![10.0, 10.0, 30.2, 10.0, 10.0, 20.0]];
        assert!((area(&triangle) - 101.0).abs() < 1e-9);
        object.outline = Some(Box::new(Outline::Polygons(triangle)));
        object.area = 101.0;
        assert!(object.polygons().is_some() && object.has_own_area());
        object.bbox.x1 = 31.0;
        assert_eq!(object.polygons(), None);
        assert_eq!(bounds(&[vec![1.0, 2.0, 3.0, 4.0]]), None, "two points are no polygon");
    }
}
