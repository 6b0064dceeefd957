//! Shared by the formats for training: the images, their file names, and their part of the split.
//!
//! In: the selected records and the images. Out: the images that are examples, with a file name
//! each, and their files in a folder. Promises: no two images share a name or a label file, on file
//! systems that ignore case too; an image keeps its name and its part whatever other images there
//! are, unless one of them takes its name; a file that is linked is the one that was answered
//! about.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use rayon::prelude::*;

use super::folder::{Fresh, inside};
use super::select::Chosen;
use super::upright::Images;
use super::{Category, ExportError, Exported, Input, Options};
use crate::dataset::{self, counted};
use crate::digest;
use crate::record::{AnswerStatus, Detection, NoteKind, Record};
use crate::source::clip_of;

/// Extensions that readers of YOLO and VOC folders look for. Other files are written as PNG.
const EXTENSIONS: [&str; 7] = ["bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// The formats that hold points.
const POINTED: &str = "coco, cvat, label-studio, labelme, xanylabeling, csv and jsonl";

/// The images that are examples of what is in them.
pub(super) struct Examples<'s> {
    /// Sorted by image.
    pub(super) images: Vec<&'s Record>,
    /// In the order of class indices.
    pub(super) categories: &'s [Category],
    /// The index of each label among the categories.
    places: HashMap<&'s str, usize>,
    /// The boxes that filters left out of an image, by its name; only of images that lost a box.
    left_out: HashMap<&'s str, &'s [Detection]>,
    /// Images with points and no boxes: examples of a format that has points.
    pointed: Vec<&'s Record>,
    /// Images of which fields are known and no boxes: examples of a format that has fields.
    described: Vec<&'s Record>,
    /// How many records are no examples since their answers are free text.
    text: usize,
    /// Images that are no examples since all their boxes were left out, for their scores or of an
    /// answer that is not whole.
    emptied: usize,
    /// Images that are no examples for other reasons.
    unknown: usize,
}

impl<'s> Examples<'s> {
    pub(super) fn new(chosen: &'s Chosen<'_>) -> Self {
        let answered = chosen.records.iter().zip(&chosen.answered);
        let images: Vec<&Record> =
            answered.filter(|(_, answered)| **answered).map(|(record, _)| record).collect();
        let categories = &chosen.categories;
        let places = categories
            .iter()
            .enumerate()
            .map(|(place, category)| (category.name.as_str(), place))
            .collect();
        let left_out =
            chosen.records.iter().zip(&chosen.left_out).filter(|(_, boxes)| !boxes.is_empty());
        let left_out: HashMap<&str, &[Detection]> =
            left_out.map(|(record, boxes)| (record.image.as_str(), *boxes)).collect();
        let unanswered =
            chosen.records.iter().zip(&chosen.answered).filter(|(_, answered)| !**answered);
        let (pointed, unanswered): (Vec<&Record>, Vec<&Record>) = unanswered
            .map(|(record, _)| record)
            .partition(|record| !record.points.is_empty() && record.status == AnswerStatus::Ok);
        let (text, unanswered): (Vec<&Record>, Vec<&Record>) =
            unanswered.into_iter().partition(|record| record.status == AnswerStatus::Text);
        let (emptied, unknown): (Vec<&Record>, Vec<&Record>) =
            unanswered.into_iter().partition(|record| left_out.contains_key(record.image.as_str()));
        let (described, text): (Vec<&Record>, Vec<&Record>) =
            text.into_iter().partition(|record| record.fields.is_some());
        let [text, emptied, unknown] = [text, emptied, unknown].map(|records| records.len());
        Self { images, categories, places, left_out, pointed, described, text, emptied, unknown }
    }

    /// The images that `format` holds, sorted by name. Those that it does not are remarked.
    pub(super) fn of(&self, format: dataset::Format, exported: &mut Exported) -> Vec<&'s Record> {
        let name = format.as_str();
        // Trainers take every image of a COCO file for an example of its boxes.
        let for_boxes =
            format == dataset::Format::Coco && !(self.images.is_empty() && self.pointed.is_empty());
        let (points, fields) = (format.holds_points(), format.holds_fields() && !for_boxes);
        if !points {
            self.remark_points(name, exported);
        }
        if !fields && !self.described.is_empty() {
            exported.remarks.push(format!(
                "{name}: {} left out, of which fields are known and no boxes",
                counted(self.described.len(), "image is", "images are")
            ));
        }
        self.remark_images(name, exported);
        let mut images = self.images.clone();
        images.extend(self.pointed.iter().filter(|_| points));
        images.extend(self.described.iter().filter(|_| fields));
        images.sort_by(|a, b| a.image.cmp(&b.image));
        images
    }

    /// All of them: what a format has no word for is left out later.
    pub(super) fn of_any_format(&self) -> Vec<&'s Record> {
        let mut images = [self.images.as_slice(), &self.pointed, &self.described].concat();
        images.sort_by(|a, b| a.image.cmp(&b.image));
        images
    }

    /// The boxes that filters left out of an image, and the class index of each whose label has
    /// one.
    pub(super) fn left_out_of(&self, image: &str) -> impl Iterator<Item = (&'s Detection, usize)> {
        let boxes = self.left_out.get(image).copied().unwrap_or_default();
        boxes
            .iter()
            .filter_map(|detection| Some((detection, *self.places.get(detection.label.as_str())?)))
    }

    /// The class index of a label: every label of a selected box has one.
    pub(super) fn place(&self, label: &str) -> usize {
        self.places[label]
    }

    /// Says which points are not in the data set, of a format without any.
    fn remark_points(&self, format: &str, exported: &mut Exported) {
        let points = |records: &[&Record]| -> usize {
            records.iter().map(|record| record.points.len()).sum()
        };
        if !self.pointed.is_empty() {
            exported.remarks.push(format!(
                "{format}: {} left out, with {} and no boxes: {POINTED} have them",
                counted(self.pointed.len(), "image is", "images are"),
                counted(points(&self.pointed), "point", "points")
            ));
        }
        let beside = points(&self.images);
        if beside > 0 {
            let points = counted(beside, "point is", "points are");
            exported.remarks.push(format!("{format}: {points} left out"));
        }
    }

    /// Says which images are in no data set.
    pub(super) fn remark_images(&self, format: &str, exported: &mut Exported) {
        if self.text > 0 {
            exported.remarks.push(format!(
                "{format}: {} left out, whose answers are text",
                counted(self.text, "image is", "images are")
            ));
        }
        if self.unknown > 0 {
            exported.remarks.push(format!(
                "{format}: {} left out, of which nothing is known (failed, refused, or cut off \
                 before the first box)",
                counted(self.unknown, "image is", "images are")
            ));
        }
        if self.emptied > 0 {
            exported.remarks.push(format!(
                "{format}: {} left out, whose boxes were all left out, and whose answers do not \
                 say that there is nothing else",
                counted(self.emptied, "image is", "images are")
            ));
        }
    }
}

/// The part of a data set that an image is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Val,
}

impl Part {
    /// The part that the hash of the image's name says.
    pub(super) fn of(record: &Record, options: &Options) -> Self {
        // 53 bits, which f64 holds exactly.
        let place = (digest::number(&record.image) >> 11) as f64 / (1_u64 << 53) as f64;
        if options.split.is_some_and(|share| place < share) { Self::Val } else { Self::Train }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// A name for each image, without extension: `rename` of its own, with a hash of the whole name if
/// several would share it.
pub(super) fn stems(images: &[&Record], rename: impl Fn(&str) -> String) -> Vec<String> {
    let stem = |record: &&Record| {
        let path = inside(&record.image);
        let (folder, name) =
            path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
        // The end of a frame's name is a part of its time.
        let stem = match clip_of(&record.image) {
            Some(_) => name,
            None => Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name),
        };
        rename(&if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") })
    };
    let mut stems: Vec<String> = images.iter().map(stem).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for stem in &stems {
        *counts.entry(stem.to_lowercase()).or_default() += 1;
    }
    for (stem, record) in stems.iter_mut().zip(images) {
        if counts[&stem.to_lowercase()] > 1 {
            *stem = format!("{stem}_{:016x}", digest::number(&record.image));
        }
    }
    stems
}

/// An image, its stem, and the file name that it got.
pub(super) type Placed<'s> = (&'s Record, String, String);

/// Puts the images of a data set into `folder`, each behind the beginning that `prefix` says.
/// Images that are not to be had are remarked and left out.
pub(super) fn place_all<'s>(
    input: &Input<'_>,
    images: &[&'s Record],
    stems: &[String],
    folder: &Fresh<'_>,
    prefix: impl Fn(&Record) -> String + Sync,
    format: &str,
    exported: &mut Exported,
) -> Result<Vec<Placed<'s>>, ExportError> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let placer = Placer::of(input)?;
    let placed: Vec<Result<String, String>> = images
        .par_iter()
        .zip(stems)
        .map(|(record, stem)| placer.place(record, folder, &prefix(record), stem))
        .collect::<Result<_, _>>()?;
    let mut there = Vec::with_capacity(placed.len());
    for ((record, stem), placed) in images.iter().zip(stems).zip(placed) {
        match placed {
            Ok(name) => there.push((*record, stem.clone(), name)),
            Err(reason) => miss(record, &reason, format, exported),
        }
    }
    Ok(there)
}

/// Writes the file that describes each image, with name and bytes from `description`. If a
/// description cannot be named, its image is removed again from `folder`, behind `prefix`.
pub(super) fn describe_all<'s>(
    placed: Vec<Placed<'s>>,
    folder: &Fresh<'_>,
    prefix: impl Fn(&Record) -> String,
    description: impl Fn(&Placed<'s>) -> (String, Vec<u8>),
    format: &str,
    exported: &mut Exported,
) -> Result<Vec<Placed<'s>>, ExportError> {
    let mut described = Vec::with_capacity(placed.len());
    for image in placed {
        let (name, bytes) = description(&image);
        match folder.write_named(&name, &bytes)? {
            Ok(()) => described.push(image),
            Err(reason) => {
                folder.discard(&format!("{}{}", prefix(image.0), image.2))?;
                miss(image.0, &reason, format, exported);
            }
        }
    }
    Ok(described)
}

fn miss(record: &Record, reason: &str, format: &str, exported: &mut Exported) {
    exported.remarks.push(format!("{format}: {}: {reason}", record.image));
    exported.images_missed += 1;
}

/// Puts image files into a data set's folder.
struct Placer<'i> {
    images: Images<'i>,
    options: &'i Options,
}

impl<'i> Placer<'i> {
    /// # Errors
    /// [`ExportError::NoImages`].
    fn of(input: &Input<'i>) -> Result<Self, ExportError> {
        Ok(Self { images: Images::of(input.run, input.records)?, options: input.options })
    }

    /// Puts the image into `folder` as `prefix` and `stem` with an extension, and gives the name
    /// behind `prefix`; or the reason why it is not there.
    fn place(
        &self,
        record: &Record,
        folder: &Fresh<'_>,
        prefix: &str,
        stem: &str,
    ) -> Result<Result<String, String>, ExportError> {
        let bytes = match self.images.bytes(record) {
            Ok(bytes) => bytes,
            Err(reason) => return Ok(Err(reason)),
        };
        let known = Path::new(&record.image).extension().and_then(|extension| extension.to_str());
        let known = known.filter(|extension| {
            EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
        });
        // The file's and not the record's: answers that were made elsewhere do not know it.
        let turned = crate::image::orientation(Cursor::new(&bytes))
            .is_ok_and(|orientation| orientation != 1);
        // Trainers repair a file that ends early in place, which through a link is the user's own.
        let cut = record.notes.iter().any(|note| note.kind == NoteKind::TruncatedImage);
        let extension = known.filter(|_| !(cut || turned && self.options.write_upright));
        let name = format!("{stem}.{}", extension.unwrap_or("png"));
        let path = format!("{prefix}{name}");
        let original = self.images.original(record);
        if extension.is_none() {
            return match self.images.png(record, &bytes) {
                Ok(png) => Ok(folder.copy_named(&path, &png, &original)?.map(|()| name)),
                Err(reason) => Ok(Err(reason)),
            };
        }
        let file = self.images.file(record).filter(|_| !self.options.copy_images);
        let sha256 = || record.sha256.clone().unwrap_or_else(|| digest::hex(&bytes));
        if file.is_some_and(|file| folder.link(&path, &file, &sha256())) {
            return Ok(Ok(name));
        }
        Ok(folder.copy_named(&path, &bytes, &original)?.map(|()| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(names: &[&str]) -> Vec<Record> {
        names.iter().map(|name| Record::failed((*name).to_owned(), String::new())).collect()
    }

    fn stems_of(names: &[&str]) -> Vec<String> {
        let records = records(names);
        stems(&records.iter().collect::<Vec<_>>(), str::to_owned)
    }

    #[test]
    fn stems_keep_folders_and_never_collide() {
        assert_eq!(stems_of(&["a/b.jpg", "b.c.jpg", "b.jpg"]), ["a/b", "b.c", "b"]);
        let stems = stems_of(&["A.png", "a.jpg", "a.png", "b", "../a.png", ".png"]);
        let unique: std::collections::HashSet<String> =
            stems.iter().map(|stem| stem.to_lowercase()).collect();
        assert_eq!(unique.len(), 6);
        assert!(stems.iter().all(|stem| !stem.contains("..")));
        // A name that another one does not take stays as it is.
        assert_eq!(stems_of(&["a.jpg", "a.png", "b.png"])[2], stems_of(&["b.png"])[0]);
    }

    #[test]
    fn an_image_stays_in_its_part_and_the_share_is_kept() {
        let names: Vec<String> = (0..2000).map(|index| format!("folder/{index}.jpg")).collect();
        let all = records(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let part = |record: &Record, share| {
            Part::of(record, &Options { split: Some(share), ..Options::default() })
        };
        let val = all.iter().filter(|record| part(record, 0.2) == Part::Val).count();
        assert!((340..460).contains(&val), "{val}");
        // A larger share only adds to the part.
        assert!(
            all.iter()
                .all(|record| part(record, 0.2) == Part::Train || part(record, 0.5) == Part::Val)
        );
        assert!(all.iter().all(|record| Part::of(record, &Options::default()) == Part::Train));
        // Known ones: a change of the rule would move images of data sets that are in use.
        let known: Vec<Part> = all[..6].iter().map(|record| part(record, 0.5)).collect();
        assert_eq!(
            known,
            [Part::Train, Part::Val, Part::Train, Part::Val, Part::Train, Part::Train]
        );
    }
}
