//! COCO instances into a data set.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::{Dataset, DatasetError, Image, Object, Reading, Splits, find_size};
use super::json::{Id, RawImage, RawInstances};
use crate::files;
use crate::record::BBox;

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
    let text =
        files::read(path, u64::MAX).and_then(files::decode_text).map_err(DatasetError::io(path))?;
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let problem =
            text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        DatasetError::line(path, line, format!("{problem} (column {column})"))
    })
}

/// `bbox` as four finite numbers without a negative size; `what` names its owner in the error.
pub(crate) fn checked_bbox(
    bbox: Option<Vec<f64>>,
    path: &Path,
    what: &str,
) -> Result<[f64; 4], DatasetError> {
    let bbox = bbox.ok_or_else(|| DatasetError::file(path, format!("{what} has no bbox")))?;
    let bbox: [f64; 4] = bbox.try_into().map_err(|bbox: Vec<f64>| {
        DatasetError::file(
            path,
            format!("{what} has a bbox of {} numbers instead of 4", bbox.len()),
        )
    })?;
    if bbox.iter().any(|number| !number.is_finite()) || bbox[2] < 0.0 || bbox[3] < 0.0 {
        let problem = format!(
            "{what} has the bbox {bbox:?}: width and height cannot be negative or infinite"
        );
        return Err(DatasetError::file(path, problem));
    }
    Ok(bbox)
}

impl Instances {
    /// Reads and checks the file at `path`. What was given where the file lacks it goes to
    /// `remarks`.
    ///
    /// # Errors
    /// [`DatasetError`] that names the line, the image, the annotation or the category.
    pub fn read(path: &Path, remarks: &mut Vec<String>) -> Result<Self, DatasetError> {
        let raw: RawInstances = parse_json(path)?;
        let missing = |list| {
            DatasetError::file(path, format!("not COCO instances: there is no list {list:?}"))
        };
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
            let id = category
                .id
                .ok_or_else(|| DatasetError::file(path, format!("category {number} has no id")))?;
            let name = category
                .name
                .ok_or_else(|| DatasetError::file(path, format!("category {id} has no name")))?;
            entries.push(CategoryEntry { id, name, has_supercategory: category.supercategory.0 });
        }
        let (categories, category_places) =
            sorted(entries, |category| &category.id, "categories", path)?;

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
                let id =
                    id.ok_or_else(|| DatasetError::file(path, format!("{what} has no {of}_id")))?;
                let place = places.get(&id).copied();
                place.ok_or_else(|| {
                    DatasetError::file(path, format!("{what} is of {of} {id}, which is not there"))
                })
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
        Ok(Self {
            path: path.to_owned(),
            images,
            annotations: checked,
            categories,
            odd_ids,
            outlines,
            keypoints,
        })
    }

    /// The places of images and categories by id.
    pub(crate) fn places(&self) -> (HashMap<&Id, usize>, HashMap<&Id, usize>) {
        let images =
            self.images.iter().enumerate().map(|(place, image)| (&image.id, place)).collect();
        let categories = self
            .categories
            .iter()
            .enumerate()
            .map(|(place, category)| (&category.id, place))
            .collect();
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
        Some(length) => {
            Err(DatasetError::file(path, format!("image {what} is {length} pixels wide or high")))
        }
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
            return Err(DatasetError::file(
                path,
                format!("two of {list} have the id {}", id(entry)),
            ));
        }
    }
    Ok((entries, places))
}

pub(crate) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<Dataset, DatasetError> {
    let instances = Instances::read(path, reading.remarks)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let folders: Vec<&Path> = reading.images.into_iter().chain([beside]).collect();
    let mut images = Vec::with_capacity(instances.images.len());
    for entry in &instances.images {
        let name = entry.file_name.clone();
        let name = name.ok_or_else(|| {
            DatasetError::file(path, format!("image {} has no file_name", entry.id))
        })?;
        let (width, height) = match entry.size {
            Some(size) => size,
            None => find_size(&name, &folders).unwrap_or_else(|| {
                let problem = format!(
                    "image {} ({name}) has no width and height, and the image \
                                       is not there to look: say where with --images DIR",
                    entry.id
                );
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
    for (count, what) in
        [(instances.outlines, "an outline (segmentation)"), (instances.keypoints, "keypoints")]
    {
        if count > 0 {
            reading
                .remarks
                .push(format!("{count} annotations have {what}, of which only the box is taken"));
        }
    }
    let above = instances.categories.iter().filter(|category| category.has_supercategory).count();
    if above > 0 {
        reading.remarks.push(format!("{above} categories have a supercategory, which is not kept"));
    }
    let ids: Vec<u64> =
        instances.categories.iter().filter_map(|category| category.id.number()).collect();
    let categories: Vec<String> =
        instances.categories.into_iter().map(|category| category.name).collect();
    let unlike = instances.odd_ids + images.iter().filter(|image| image.id.is_none()).count();
    let unlike = unlike + categories.len() - ids.len();
    if unlike > 0 {
        reading.remarks.push(format!("{unlike} ids are no whole numbers, and are not kept"));
    }
    let category_ids = if ids.len() == categories.len() { ids } else { Vec::new() };
    Ok(Dataset { categories, category_ids, images })
}
