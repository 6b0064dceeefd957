//! COCO instances.
//!
//! In: a JSON file of images, annotations and categories (cocodataset.org/#format-data). Out: the same with every reference checked and
//! every missing field given or refused. Promises: ids may be numbers or strings; images and categories are sorted by id, as pycocotools
//! sorts them; an error names the annotation.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Dataset, DatasetError, Image, Object, Reading, Splits, find_size};
use crate::files;
use crate::record::BBox;

/// An id: a whole number or a string. `7`, `7.0` and `"7"` are the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(String);

impl Id {
    /// The number, if it is a whole one that is not negative.
    fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// Numbers before texts, both ascending.
    fn sort_key(&self) -> (bool, i128, &str) {
        let number = self.0.parse::<i128>();
        (number.is_err(), number.unwrap_or(0), &self.0)
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id (a whole number or a string)")
            }
            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }
            fn visit_i64<E: de::Error>(self, id: i64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }
            fn visit_f64<E: de::Error>(self, id: f64) -> Result<Id, E> {
                // Up to 2^53 every whole f64 is the number that was written.
                if id.fract() == 0.0 && id.abs() < 9_007_199_254_740_992.0 {
                    Ok(Id((id as i64).to_string()))
                } else {
                    Err(E::custom(format!("{id} is not a whole number")))
                }
            }
            fn visit_str<E: de::Error>(self, id: &str) -> Result<Id, E> {
                Ok(Id(id.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// COCO's `iscrowd`: 0, 1, true or false.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match (value.as_bool(), value.as_f64()) {
            (Some(flag), _) => Ok(Self(flag)),
            (None, Some(0.0)) => Ok(Self(false)),
            (None, Some(1.0)) => Ok(Self(true)),
            _ => Err(de::Error::custom(format!("iscrowd is {value}, not 0 or 1"))),
        }
    }
}

#[derive(Deserialize)]
struct RawInstances {
    images: Option<Vec<RawImage>>,
    annotations: Option<Vec<RawAnnotation>>,
    categories: Option<Vec<RawCategory>>,
}

#[derive(Deserialize)]
struct RawImage {
    id: Option<Id>,
    file_name: Option<String>,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct RawAnnotation {
    id: Option<Id>,
    image_id: Option<Id>,
    category_id: Option<Id>,
    bbox: Option<Vec<f64>>,
    area: Option<f64>,
    iscrowd: Option<Flag>,
    #[serde(default)]
    segmentation: Presence,
    #[serde(default)]
    keypoints: Presence,
}

/// Whether something stands there: a list with an element, or an object. What it is is not kept.
#[derive(Default)]
struct Presence(bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Presence;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or an object")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Presence, E> {
                Ok(Presence(false))
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Presence, E> {
                Ok(Presence(false))
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Presence, E> {
                Ok(Presence(false))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Presence, E> {
                Ok(Presence(false))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Presence, E> {
                Ok(Presence(false))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Presence, E> {
                Ok(Presence(!text.is_empty()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Presence, A::Error> {
                let mut any = false;
                while list.next_element::<de::IgnoredAny>()?.is_some() {
                    any = true;
                }
                Ok(Presence(any))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Presence, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(Presence(true))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Deserialize)]
struct RawCategory {
    id: Option<Id>,
    name: Option<String>,
    #[serde(default)]
    supercategory: Presence,
}

/// A checked file of COCO instances.
#[derive(Debug, Clone)]
pub struct Instances {
    /// Where it was read.
    pub path: PathBuf,
    /// Sorted by id.
    pub images: Vec<ImageEntry>,
    /// In the file's order.
    pub annotations: Vec<Annotation>,
    /// Sorted by id.
    pub categories: Vec<CategoryEntry>,
    /// Annotations whose id is no whole number, which is not kept.
    pub odd_ids: usize,
    /// Annotations with an outline (`segmentation`), which is not kept.
    pub outlines: usize,
    /// Annotations with `keypoints`, which are not kept.
    pub keypoints: usize,
}

/// One of `images`.
#[derive(Debug, Clone)]
pub struct ImageEntry {
    /// Its id in the file.
    pub id: Id,
    /// Its name, with `/`; absent where the file has none.
    pub file_name: Option<String>,
    /// Width and height; absent where the file has none.
    pub size: Option<(u32, u32)>,
}

/// One of `annotations`.
#[derive(Debug, Clone)]
pub struct Annotation {
    /// Its id in the file, if it has one that is a whole number.
    pub id: Option<u64>,
    /// Place in [`Instances::images`].
    pub image: usize,
    /// Place in [`Instances::categories`].
    pub category: usize,
    /// `[x, y, width, height]` in pixels, as the file has it; finite, sizes not negative.
    pub bbox: [f64; 4],
    /// In square pixels; of the box where the file has none.
    pub area: f64,
    /// Whether it stands for many objects that are not told apart.
    pub crowd: bool,
}

/// One of `categories`.
#[derive(Debug, Clone)]
pub struct CategoryEntry {
    /// Its id in the file.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Whether it has a `supercategory`, which is not kept.
    pub has_supercategory: bool,
}

/// What JSON the file at `path` holds; syntax errors come with their line.
pub(crate) fn parse_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, DatasetError> {
    // Sets of several gigabytes are read too: a regular file has an end.
    let text = files::read(path, u64::MAX).and_then(files::decode_text).map_err(DatasetError::io(path))?;
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let problem = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        DatasetError::line(path, line, format!("{problem} (column {column})"))
    })
}

/// `bbox` as four finite numbers without a negative size; `what` names its owner in the error.
pub(crate) fn checked_bbox(bbox: Option<Vec<f64>>, path: &Path, what: &str) -> Result<[f64; 4], DatasetError> {
    let bbox = bbox.ok_or_else(|| DatasetError::file(path, format!("{what} has no bbox")))?;
    let bbox: [f64; 4] = bbox.try_into().map_err(|bbox: Vec<f64>| {
        DatasetError::file(path, format!("{what} has a bbox of {} numbers instead of 4", bbox.len()))
    })?;
    if bbox.iter().any(|number| !number.is_finite()) || bbox[2] < 0.0 || bbox[3] < 0.0 {
        let problem = format!("{what} has the bbox {bbox:?}: width and height cannot be negative or infinite");
        return Err(DatasetError::file(path, problem));
    }
    Ok(bbox)
}

impl Instances {
    /// Reads and checks the file at `path`. What was given where the file lacks it goes to `remarks`.
    ///
    /// # Errors
    /// [`DatasetError`] that names the line, the image, the annotation or the category.
    pub fn read(path: &Path, remarks: &mut Vec<String>) -> Result<Self, DatasetError> {
        let raw: RawInstances = parse_json(path)?;
        let missing = |list| DatasetError::file(path, format!("not COCO instances: there is no list {list:?}"));
        let images = raw.images.ok_or_else(|| missing("images"))?;
        let annotations = raw.annotations.ok_or_else(|| missing("annotations"))?;
        let categories = raw.categories.ok_or_else(|| missing("categories"))?;

        let mut entries = Vec::with_capacity(images.len());
        for (image, number) in images.into_iter().zip(1..) {
            entries.push(image_entry(image, number, path)?);
        }
        let (images, image_places) = sorted(entries, |image| &image.id, "images", path)?;
        let mut entries = Vec::with_capacity(categories.len());
        for (category, number) in categories.into_iter().zip(1..) {
            let id = category.id.ok_or_else(|| DatasetError::file(path, format!("category {number} has no id")))?;
            let name = category.name.ok_or_else(|| DatasetError::file(path, format!("category {id} has no name")))?;
            entries.push(CategoryEntry { id, name, has_supercategory: category.supercategory.0 });
        }
        let (categories, category_places) = sorted(entries, |category| &category.id, "categories", path)?;

        let (mut without_area, mut without_crowd) = (0, 0);
        let (mut odd_ids, mut outlines, mut keypoints) = (0, 0, 0);
        let mut ids = HashSet::new();
        let mut checked = Vec::with_capacity(annotations.len());
        for (annotation, number) in annotations.into_iter().zip(1_usize..) {
            let what = annotation.id.as_ref().map_or_else(
                || format!("the annotation in place {number} (without an id)"),
                |id| format!("annotation {id}"),
            );
            let id = annotation.id.as_ref().and_then(Id::number);
            odd_ids += usize::from(annotation.id.is_some() && id.is_none());
            outlines += usize::from(annotation.segmentation.0);
            keypoints += usize::from(annotation.keypoints.0);
            if annotation.id.is_some_and(|id| !ids.insert(id)) {
                return Err(DatasetError::file(path, format!("there are two of {what}")));
            }
            let place = |id: Option<Id>, places: &HashMap<Id, usize>, of| {
                let id = id.ok_or_else(|| DatasetError::file(path, format!("{what} has no {of}_id")))?;
                let place = places.get(&id).copied();
                place.ok_or_else(|| DatasetError::file(path, format!("{what} is of {of} {id}, which is not there")))
            };
            let image = place(annotation.image_id, &image_places, "image")?;
            let category = place(annotation.category_id, &category_places, "category")?;
            let bbox = checked_bbox(annotation.bbox, path, &what)?;
            without_area += usize::from(annotation.area.is_none());
            without_crowd += usize::from(annotation.iscrowd.is_none());
            let area = annotation.area.unwrap_or(bbox[2] * bbox[3]);
            if area < 0.0 {
                return Err(DatasetError::file(path, format!("{what} has the area {area}")));
            }
            let crowd = annotation.iscrowd.is_some_and(|flag| flag.0);
            checked.push(Annotation { id, image, category, bbox, area, crowd });
        }
        let mut remark = |count: usize, what: &str| {
            if count > 0 {
                remarks.push(format!("{}: {count} annotations {what}", path.display()));
            }
        };
        remark(without_area, "have no area: width x height of the box is used");
        remark(without_crowd, "do not say iscrowd: they count as single objects");
        Ok(Self { path: path.to_owned(), images, annotations: checked, categories, odd_ids, outlines, keypoints })
    }

    /// The places of images and categories by id.
    pub(crate) fn places(&self) -> (HashMap<&Id, usize>, HashMap<&Id, usize>) {
        let images = self.images.iter().enumerate().map(|(place, image)| (&image.id, place)).collect();
        let categories = self.categories.iter().enumerate().map(|(place, category)| (&category.id, place)).collect();
        (images, categories)
    }
}

fn image_entry(image: RawImage, number: usize, path: &Path) -> Result<ImageEntry, DatasetError> {
    let what = image.id.as_ref().map_or_else(|| format!("in place {number}"), ToString::to_string);
    let pixels = |length: Option<f64>| match length {
        None | Some(0.0) => Ok(None),
        Some(length) if length.fract() == 0.0 && length > 0.0 && length <= f64::from(u32::MAX) => {
            Ok(Some(length as u32))
        }
        Some(length) => Err(DatasetError::file(path, format!("image {what} is {length} pixels wide or high"))),
    };
    let size = pixels(image.width)?.zip(pixels(image.height)?);
    let id = image.id.ok_or_else(|| DatasetError::file(path, format!("image {what} has no id")))?;
    let file_name = image.file_name.map(|name| {
        let name = name.replace('\\', "/");
        name.strip_prefix("./").map_or(name.clone(), str::to_owned)
    });
    Ok(ImageEntry { id, file_name, size })
}

/// `entries` by id, and the place of every id.
fn sorted<T>(
    mut entries: Vec<T>,
    id: impl Fn(&T) -> &Id,
    list: &str,
    path: &Path,
) -> Result<(Vec<T>, HashMap<Id, usize>), DatasetError> {
    entries.sort_by(|a, b| id(a).cmp(id(b)));
    let mut places = HashMap::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        if places.insert(id(entry).clone(), place).is_some() {
            return Err(DatasetError::file(path, format!("two of {list} have the id {}", id(entry))));
        }
    }
    Ok((entries, places))
}

pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let instances = Instances::read(path, reading.remarks)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let folders: Vec<&Path> = reading.images.into_iter().chain([beside]).collect();
    let mut images = Vec::with_capacity(instances.images.len());
    for entry in &instances.images {
        let name = entry.file_name.clone();
        let name = name.ok_or_else(|| DatasetError::file(path, format!("image {} has no file_name", entry.id)))?;
        let (width, height) = match entry.size {
            Some(size) => size,
            None => find_size(&name, &folders).unwrap_or_else(|| {
                let problem = format!("image {} ({name}) has no width and height, and the image is not there to look: say where with --images DIR", entry.id);
                Err(DatasetError::file(path, problem))
            })?,
        };
        let (id, splits) = (entry.id.number(), Splits::default());
        images.push(Image { name, width, height, id, splits, objects: Vec::new() });
    }
    for annotation in &instances.annotations {
        let [x, y, width, height] = annotation.bbox;
        let image = &mut images[annotation.image];
        let whole = BBox { x0: x, y0: y, x1: x + width, y1: y + height };
        if let Some(bbox) = reading.inside(whole, image.width, image.height) {
            let (category, crowd, id) = (annotation.category, annotation.crowd, annotation.id);
            let mut object = Object { category, bbox: whole, crowd, area: annotation.area, id };
            // The area of a box is cut with it, that of an outline is not.
            if !object.has_own_area() && bbox != whole {
                object.area = bbox.area();
            }
            image.objects.push(Object { bbox, ..object });
        }
    }
    for (count, what) in [(instances.outlines, "an outline (segmentation)"), (instances.keypoints, "keypoints")] {
        if count > 0 {
            reading.remarks.push(format!("{count} annotations have {what}, of which only the box is taken"));
        }
    }
    let above = instances.categories.iter().filter(|category| category.has_supercategory).count();
    if above > 0 {
        reading.remarks.push(format!("{above} categories have a supercategory, which is not kept"));
    }
    let ids: Vec<u64> = instances.categories.iter().filter_map(|category| category.id.number()).collect();
    let categories: Vec<String> = instances.categories.into_iter().map(|category| category.name).collect();
    let unlike = instances.odd_ids + images.iter().filter(|image| image.id.is_none()).count();
    let unlike = unlike + categories.len() - ids.len();
    if unlike > 0 {
        reading.remarks.push(format!("{unlike} ids are no whole numbers, and are not kept"));
    }
    let category_ids = if ids.len() == categories.len() { ids } else { Vec::new() };
    Ok(Dataset { categories, category_ids, images })
}

#[derive(Serialize)]
struct WrittenImage<'d> {
    id: u64,
    file_name: &'d str,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct WrittenAnnotation {
    id: u64,
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    segmentation: [(); 0],
}

/// The ids of a list: those that it has, or numbers from 1 if one has none.
fn ids_of(known: impl Iterator<Item = Option<u64>>, what: &str, remarks: &mut Vec<String>) -> Vec<u64> {
    let known: Vec<Option<u64>> = known.collect();
    let ids: Vec<u64> = known.iter().flatten().copied().collect();
    if ids.len() == known.len() {
        return ids;
    }
    if !ids.is_empty() {
        remarks.push(format!(
            "{} of {} {what} have no id that is a whole number: all are numbered anew, from 1",
            known.len() - ids.len(),
            known.len()
        ));
    }
    (1..=known.len() as u64).collect()
}

/// The file of a data set.
pub(super) fn text(dataset: &Dataset, remarks: &mut Vec<String>) -> String {
    let category_ids: Vec<u64> = if dataset.category_ids.is_empty() {
        (1..=dataset.categories.len() as u64).collect()
    } else {
        dataset.category_ids.clone()
    };
    let image_ids = ids_of(dataset.images.iter().map(|image| image.id), "images", remarks);
    let objects = dataset.images.iter().flat_map(|image| &image.objects);
    let mut annotation_ids = ids_of(objects.map(|object| object.id), "annotations", remarks).into_iter();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (image, image_id) in dataset.images.iter().zip(image_ids) {
        images.push(WrittenImage { id: image_id, file_name: &image.name, width: image.width, height: image.height });
        for (object, id) in image.objects.iter().zip(annotation_ids.by_ref()) {
            annotations.push(WrittenAnnotation {
                id,
                image_id,
                category_id: category_ids[object.category],
                bbox: [object.bbox.x0, object.bbox.y0, object.bbox.width(), object.bbox.height()],
                area: object.area,
                iscrowd: object.crowd.into(),
                segmentation: [],
            });
        }
    }
    if dataset.is_split() {
        remarks
            .push(format!("one COCO file holds one set: the splits ({} images) are not kept", dataset.split_counts()));
    }
    let categories: Vec<_> = (dataset.categories.iter().zip(category_ids))
        .map(|(name, id)| serde_json::json!({"id": id, "name": name, "supercategory": ""}))
        .collect();
    let instances = serde_json::json!({
        "info": {"description": "Made by gemscope convert", "version": env!("CARGO_PKG_VERSION")},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    });
    format!("{instances}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_however_they_are_written_and_sort_as_numbers() {
        let ids: Vec<Id> = serde_json::from_str(r#"["b", 10, "9", 9.0, -1, "a"]"#).unwrap();
        assert_eq!(ids[2], ids[3]);
        let mut sorted = ids.clone();
        sorted.sort();
        let texts: Vec<String> = sorted.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["-1", "9", "9", "10", "a", "b"]);
        assert!(serde_json::from_str::<Id>("1.5").unwrap_err().to_string().contains("whole number"));
    }
}
