//! Folders of COCO files as Roboflow lays them out, and RF-DETR reads them.
//!
//! In or out: `train`, `valid` and `test`, each with its images and `_annotations.coco.json`.
//! Promises: categories are those of all splits, by name; ids of categories are written without
//! gaps, since trainers take them for numbers of classes.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::counted::counted;
use super::super::reading::Reading;
use super::super::writing::{Put, Written};
use super::super::{CocoFields, Dataset, DatasetError, Image, Split, Splits};
use super::read::{self, Instances};
use super::write::{Ids, Numbered};

/// The file in the folder of each split.
pub(in super::super) const FILE: &str = "_annotations.coco.json";

/// How Roboflow calls the splits' folders.
pub(in super::super) fn folder_of(split: Split) -> &'static str {
    if split == Split::Val { "valid" } else { split.as_str() }
}

/// The folders below `root` that hold such a file, and the split that each is.
pub(in super::super) fn folders(root: &Path) -> Vec<(PathBuf, Option<Split>)> {
    if root.join(FILE).is_file() {
        return vec![(root.to_owned(), None)];
    }
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join(FILE).is_file());
    folders.sort();
    let split = |folder: &PathBuf| Split::of_word(&folder.file_name()?.to_string_lossy());
    folders.into_iter().map(|folder| (folder.clone(), split(&folder))).collect()
}

pub(in super::super) fn read(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<Dataset, DatasetError> {
    let mut whole = Dataset::default();
    let mut fields = CocoFields::default();
    for (folder, split) in folders(path) {
        let instances = Instances::check(&folder.join(FILE), reading)?;
        let below = folder.strip_prefix(path).unwrap_or(Path::new(""));
        let elsewhere = reading.images.map(|images| images.join(below));
        let places: Vec<&Path> = (elsewhere.as_deref().into_iter().chain(reading.images))
            .chain([folder.as_path()])
            .collect();
        let part = read::dataset(instances, &places, reading);
        let own = part.coco.unwrap_or_default();
        let mut of_part: Vec<usize> = Vec::with_capacity(part.categories.len());
        for (place, (name, more)) in part.categories.iter().zip(own.categories).enumerate() {
            let id = part.category_ids.get(place);
            let known = whole.categories.iter().position(|known| known == name);
            of_part.push(known.unwrap_or_else(|| {
                whole.categories.push(name.clone());
                whole.category_ids.extend(id.filter(|id| !whole.category_ids.contains(id)));
                fields.categories.push(more);
                whole.categories.len() - 1
            }));
        }
        if fields.file.is_empty() {
            fields.file = own.file;
        }
        let folder = below.to_string_lossy().replace('\\', "/");
        for mut image in part.images {
            for category in image.categories_mut() {
                *category = of_part[*category];
            }
            if !folder.is_empty() {
                image.name = format!("{folder}/{}", image.name);
            }
            image.splits = split.map(Splits::only).unwrap_or_default();
            whole.images.push(image);
        }
    }
    if whole.category_ids.len() != whole.categories.len() {
        whole.category_ids.clear();
    }
    whole.coco = Some(Box::new(fields));
    drop_placeholder(&mut whole);
    Ok(whole)
}

/// The category 0 that Roboflow puts before the others has no boxes: it is the name of their
/// supercategory.
fn drop_placeholder(dataset: &mut Dataset) {
    let Some(coco) = &mut dataset.coco else { return };
    let above = |fields: &Map<String, Value>| {
        fields.get("supercategory").and_then(Value::as_str).map(str::to_owned)
    };
    // Where splits number their categories in different ways, no id is left.
    let is_none = |place: usize| above(&coco.categories[place]).as_deref() == Some("none");
    let first = match dataset.category_ids.as_slice() {
        [] => (0..dataset.categories.len()).find(|place| is_none(*place)),
        ids => ids.iter().position(|id| *id == 0).filter(|place| is_none(*place)),
    };
    let Some(first) = first else { return };
    let is_above = coco
        .categories
        .iter()
        .any(|fields| above(fields) == Some(dataset.categories[first].clone()));
    let is_used =
        dataset.images.iter_mut().flat_map(Image::categories_mut).any(|own| *own == first);
    if !is_above || is_used {
        return;
    }
    dataset.categories.remove(first);
    if !dataset.category_ids.is_empty() {
        dataset.category_ids.remove(first);
    }
    coco.categories.remove(first);
    for category in dataset.images.iter_mut().flat_map(Image::categories_mut) {
        *category -= usize::from(*category > first);
    }
}

pub(in super::super) fn write(
    dataset: &Dataset,
    ids: Ids,
    put: &mut Put<'_>,
    remarks: &mut Vec<String>,
) -> Result<Written, DatasetError> {
    let split_of = |image: &Image| {
        Split::ALL.into_iter().find(|split| image.splits.has(*split)).unwrap_or(Split::Train)
    };
    let mut dataset = dataset.clone();
    let points = dataset.points().count();
    if points > 0 {
        let points = counted(points, "point is", "points are");
        remarks.push(format!("{points} left out, which trainers take for boxes without an area"));
        dataset.images.iter_mut().for_each(|image| image.points.clear());
    }
    let several = dataset.images.iter().filter(|image| {
        Split::ALL.into_iter().filter(|split| image.splits.has(*split)).count() > 1
    });
    let several = if dataset.is_split() { several.count() } else { 0 };
    if several > 0 {
        remarks.push(format!(
            "{} in several splits: only the first of each counts",
            counted(several, "image is", "images are")
        ));
    }
    let none = dataset.images.iter().filter(|image| image.splits == Splits::default()).count();
    if dataset.is_split() && none > 0 {
        remarks.push(format!(
            "{} in no split: put into train",
            counted(none, "image is", "images are")
        ));
    }
    if !dataset.is_split() {
        dataset.images.iter_mut().for_each(|image| image.splits = Splits::only(Split::Train));
        remarks.push(
            "all images are in train, and trainers want some in valid (`split` 0.2)".to_owned(),
        );
    }
    let parts: Vec<Split> = dataset.images.iter().map(split_of).collect();
    number_categories(&mut dataset, ids, remarks);
    let numbered = Numbered::of(&dataset, Ids { from: None }, remarks);
    let mut written = Written::default();
    for split in Split::ALL.into_iter().filter(|split| parts.contains(split)) {
        let wanted = |image: &Image| split_of(image) == split;
        let file = format!("{}/{FILE}", folder_of(split));
        let mut text = Vec::new();
        numbered.write(wanted, &mut text).map_err(DatasetError::io(Path::new(&file)))?;
        put(&file, &text)?;
        written.first.push(file);
    }
    let place = |image: &Image| format!("{}/{}", folder_of(split_of(image)), image.name);
    written.places = dataset.images.iter().map(place).collect();
    "train, valid and test".clone_into(&mut written.images);
    Ok(written)
}

/// Gives the categories ids without gaps. Where they begin at 1, Roboflow's category 0 stands
/// before them, which trainers count with.
fn number_categories(dataset: &mut Dataset, ids: Ids, remarks: &mut Vec<String>) {
    let count = dataset.categories.len() as u64;
    let from = match (ids.from, dataset.category_ids.first()) {
        (Some(from), _) => from,
        (None, Some(0)) => 0,
        (None, _) => 1,
    };
    let numbers: Vec<u64> = (from..from + count).collect();
    if ids.from.is_none() && !dataset.category_ids.is_empty() && dataset.category_ids != numbers {
        remarks.push(format!(
            "the ids of {count} categories have gaps or begin elsewhere: they are counted from \
             {from}, since trainers take them for numbers of classes"
        ));
    }
    dataset.category_ids = numbers;
    let coco = dataset.coco.get_or_insert_default();
    coco.categories.resize(dataset.categories.len(), Map::new());
    let above = coco.categories.iter().find_map(|fields| {
        fields.get("supercategory").and_then(Value::as_str).filter(|above| !above.is_empty())
    });
    let above = above.filter(|above| *above != "none").unwrap_or("objects").to_owned();
    for fields in &mut coco.categories {
        let supercategory = fields.entry("supercategory").or_insert_with(|| above.clone().into());
        if supercategory == "" {
            *supercategory = above.clone().into();
        }
    }
    if from > 0 {
        let mut fields = Map::new();
        fields.insert("supercategory".to_owned(), "none".into());
        coco.categories.insert(0, fields);
        dataset.categories.insert(0, above);
        dataset.category_ids.insert(0, 0);
        for category in dataset.images.iter_mut().flat_map(Image::categories_mut) {
            *category += 1;
        }
    }
}
