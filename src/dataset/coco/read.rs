//! The JSON of COCO instances, checked.
//!
//! In: a file. Out: images and categories by id, annotations with places for references. Promises:
//! nothing refers to what is not there; an entry that is wrong is a problem with its name, and the
//! others are read.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::counted::counted;
use super::super::model::{self, Outline};
use super::super::names;
use super::super::reading::{Reading, find_image, size_of};
use super::super::{CocoFields, Dataset, DatasetError, Image, Object, Splits};
use super::json::{self, Id, Lenient, Numbers, RawAnnotation, RawImage, RawInstances};
use crate::files;
use crate::record::BBox;

/// Files that are larger are read piece by piece, as strict JSON.
const LARGEST_TEXT: u64 = 256 << 20;

/// A checked file of COCO instances.
#[derive(Debug, Clone)]
pub struct Instances {
    /// The file that it was read from.
    pub path: PathBuf,
    /// Sorted by id.
    pub images: Vec<ImageEntry>,
    /// In the file's order.
    pub annotations: Vec<Annotation>,
    /// Sorted by id.
    pub categories: Vec<CategoryEntry>,
    /// Annotations whose id is no whole number, which is not kept.
    pub odd_ids: usize,
    /// `info` and `licenses`.
    pub fields: Map<String, Value>,
}

/// One of `images`.
#[derive(Debug, Clone)]
pub struct ImageEntry {
    /// Its id in the file.
    pub id: Id,
    /// Its name, as it is written; absent if the file has none.
    pub file_name: Option<String>,
    /// Width and height; absent if the file has none.
    pub size: Option<(u32, u32)>,
    /// Its further fields.
    pub more: Map<String, Value>,
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
    /// In square pixels; the box's area if the file has none.
    pub area: f64,
    /// Whether it stands for many objects that are not told apart.
    pub crowd: bool,
    /// How sure its maker is.
    pub score: Option<f64>,
    /// Its outline. In a box of its own, as most have none, and a file has millions.
    pub outline: Option<Box<Outline>>,
    /// Its further fields, if it has any.
    pub more: Option<Box<Map<String, Value>>>,
}

/// One of `categories`.
#[derive(Debug, Clone)]
pub struct CategoryEntry {
    /// Its id in the file.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Its further fields.
    pub more: Map<String, Value>,
}

/// What JSON the file at `path` holds, also packed by gzip; syntax errors come with their line.
/// What Python writes beside JSON (`NaN`, `Infinity`, halves of characters) is read as well.
pub(crate) fn parse_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, DatasetError> {
    let mut file = files::open(path).map_err(DatasetError::io(path))?;
    let length = file.metadata().map_err(DatasetError::io(path))?.len();
    let mut head = Vec::new();
    file.by_ref().take(3).read_to_end(&mut head).map_err(DatasetError::io(path))?;
    let whole = head.as_slice().chain(file);
    if head.starts_with(&[0x1f, 0x8b]) {
        return from_reader(flate2::read::MultiGzDecoder::new(whole), path);
    }
    let has_mark =
        matches!(head.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0xef, 0xbb, 0xbf]);
    if length > LARGEST_TEXT && !has_mark {
        return from_reader(whole, path);
    }
    let text = files::read_within(whole, u64::MAX).and_then(files::decode_text);
    let text = text.map_err(DatasetError::io(path))?;
    if text.trim().is_empty() {
        return Err(DatasetError::file(path, "the file is empty"));
    }
    serde_json::from_str(&text).or_else(|error| {
        // Only a text that is no JSON is looked through again.
        let again = as_python_reads(&text).and_then(|text| serde_json::from_str(&text).ok());
        again.ok_or_else(|| syntax(path, &error))
    })
}

fn from_reader<T: for<'de> Deserialize<'de>>(
    reader: impl Read,
    path: &Path,
) -> Result<T, DatasetError> {
    let reader = BufReader::with_capacity(1 << 16, reader);
    serde_json::from_reader(reader).map_err(|error| syntax(path, &error))
}

fn syntax(path: &Path, error: &serde_json::Error) -> DatasetError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let problem = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    DatasetError::line(path, line.max(1), format!("{problem} (column {column})"))
}

/// `text` with `null` for the numbers that JSON does not know, and U+FFFD for the escapes of half a
/// character; `None` if it has none of them.
fn as_python_reads(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut changed) = (text, false);
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        mended.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('"') {
            let end = end_of_string(rest);
            let (string, behind) = rest.split_at(end);
            let whole = without_halves(string);
            changed |= whole != string;
            mended.push_str(&whole);
            rest = behind;
            continue;
        }
        let word = ["NaN", "-Infinity", "Infinity", "-NaN"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        changed |= word.is_some();
        mended.push_str(if word.is_some() { "null" } else { &rest[..1] });
        rest = &rest[word.map_or(1, str::len)..];
    }
    mended.push_str(rest);
    changed.then_some(mended)
}

/// Behind the quote that ends the string which `text` begins with.
fn end_of_string(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// A string of JSON with U+FFFD for the escapes of halves of characters.
fn without_halves(string: &str) -> std::borrow::Cow<'_, str> {
    let half = |text: &str| {
        let hex = text.strip_prefix("\\u").and_then(|text| text.get(..4));
        hex.and_then(|hex| u16::from_str_radix(hex, 16).ok())
    };
    if !string.contains("\\u") {
        return string.into();
    }
    let (mut whole, mut rest) = (String::with_capacity(string.len()), string);
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match half(rest) {
            Some(0xd800..0xdc00)
                if half(&rest[6..]).is_some_and(|low| (0xdc00..0xe000).contains(&low)) =>
            {
                12
            }
            Some(0xd800..0xe000) => {
                whole.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
            _ => rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at),
        };
        whole.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    whole.push_str(rest);
    whole.into()
}

/// `bbox` as four finite numbers without a negative size.
///
/// # Errors
/// What is wrong with it, to stand behind the name of its owner.
pub(crate) fn checked_bbox(bbox: Lenient<Numbers>) -> Result<[f64; 4], String> {
    let bbox = match bbox {
        Lenient::Missing => return Err("has no bbox".to_owned()),
        Lenient::Is(Numbers(bbox)) => bbox,
        Lenient::Other(other) => return Err(format!("has the bbox {other}, which is no list")),
    };
    let bbox: [f64; 4] = bbox
        .try_into()
        .map_err(|bbox: Vec<f64>| format!("has a bbox of {} numbers instead of 4", bbox.len()))?;
    if bbox.iter().any(|number| !number.is_finite()) || bbox[2] < 0.0 || bbox[3] < 0.0 {
        return Err(format!(
            "has the bbox {bbox:?}: these are numbers, and width and height cannot be negative or \
             infinite"
        ));
    }
    Ok(bbox)
}

impl Instances {
    /// Reads and checks the file at `path`. Values that were filled in for missing ones go to
    /// `remarks`.
    ///
    /// # Errors
    /// [`DatasetError`] that names the line, the image, the annotation or the category; all of the
    /// entries that are wrong at once.
    pub fn read(path: &Path, remarks: &mut Vec<String>) -> Result<Self, DatasetError> {
        let mut reading = Reading::new(None, remarks);
        let instances = Self::check(path, &mut reading)?;
        reading.finish(false)?;
        Ok(instances)
    }

    /// Reads the file at `path`, without the entries that are problems.
    pub(in super::super) fn check(
        path: &Path,
        reading: &mut Reading<'_>,
    ) -> Result<Self, DatasetError> {
        let json::Object::<RawInstances>(raw) = parse_json(path)?;
        let missing = |list| {
            DatasetError::file(path, format!("not COCO instances: there is no list {list:?}"))
        };
        let images = raw.images.ok_or_else(|| missing("images"))?;
        let annotations = raw.annotations.ok_or_else(|| missing("annotations"))?;
        let categories = raw.categories.ok_or_else(|| missing("categories"))?;
        let fields = [("info", raw.info), ("licenses", raw.licenses)];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));

        let mut entries = Vec::with_capacity(images.len());
        for (image, number) in images.into_iter().zip(1..) {
            match image_entry(image, number) {
                Ok(entry) => entries.push(entry),
                Err(what) => reading.problem(
                    path,
                    None,
                    "images without an id or with no size that is one",
                    what,
                ),
            }
        }
        let (images, image_places) =
            sorted(entries, |image| &image.id, |_, _| false, "images", path, reading);
        let mut entries = Vec::with_capacity(categories.len());
        for (category, number) in categories.into_iter().zip(1_usize..) {
            match (category.id, category.name.get()) {
                (Some(id), Ok(Some(name))) if !name.trim().is_empty() => {
                    entries.push(CategoryEntry { id, name, more: category.more });
                }
                (None, _) => {
                    let what = format!("category {number} has no id");
                    reading.problem(path, None, "categories without an id", what);
                }
                (Some(id), _) => {
                    let what = format!("category {id} has no name");
                    reading.problem(path, None, "categories without a name", what);
                }
            }
        }
        let same = |a: &CategoryEntry, b: &CategoryEntry| a.name == b.name;
        let (categories, category_places) =
            sorted(entries, |category| &category.id, same, "categories", path, reading);
        let mut checked = Self {
            path: path.to_owned(),
            images,
            annotations: Vec::with_capacity(annotations.len()),
            categories,
            odd_ids: 0,
            fields: fields.collect(),
        };
        let mut mended = Mended::default();
        let mut ids: Vec<u64> = Vec::with_capacity(annotations.len());
        let mut odd_ids: HashSet<Id> = HashSet::new();
        for (annotation, number) in annotations.into_iter().zip(1_usize..) {
            let what = annotation.id.as_ref().map_or_else(
                || format!("the annotation in place {number} (without an id)"),
                |id| format!("annotation {id}"),
            );
            let id = annotation.id.as_ref().and_then(Id::number);
            checked.odd_ids += usize::from(annotation.id.is_some() && id.is_none());
            let odd_id = annotation.id.clone().filter(|id| id.number().is_none());
            match checked_annotation(annotation, &image_places, &category_places, &mut mended) {
                Ok(annotation) => {
                    ids.extend(id);
                    mended.same_id += usize::from(odd_id.is_some_and(|id| !odd_ids.insert(id)));
                    checked.annotations.push(Annotation { id, ..annotation });
                }
                Err((kind, problem)) => {
                    reading.problem(path, None, kind, format!("{what} {problem}"));
                }
            }
        }
        let numbers = ids.len();
        ids.sort_unstable();
        ids.dedup();
        mended.same_id += numbers - ids.len();
        mended.remark(path, reading.remarks);
        Ok(checked)
    }

    /// A dataset as the file that it would be, at `path`; images and categories are counted from 1.
    pub fn of(dataset: &Dataset, path: &Path) -> Self {
        let mut instances = Self {
            path: path.to_owned(),
            images: Vec::with_capacity(dataset.images.len()),
            annotations: Vec::new(),
            categories: Vec::new(),
            odd_ids: 0,
            fields: Map::new(),
        };
        for (id, name) in (1..).zip(&dataset.categories) {
            let (id, name, more) = (Id::of(id), name.clone(), Map::new());
            instances.categories.push(CategoryEntry { id, name, more });
        }
        for (place, image) in dataset.images.iter().enumerate() {
            instances.images.push(ImageEntry {
                id: Id::of(place as u64 + 1),
                file_name: Some(image.name.clone()),
                size: Some((image.width, image.height)),
                more: Map::new(),
            });
            instances.annotations.extend(image.objects.iter().map(|object| {
                let b = object.bbox;
                Annotation {
                    id: object.id,
                    image: place,
                    category: object.category,
                    bbox: [b.x0, b.y0, b.width(), b.height()],
                    area: object.area,
                    crowd: object.crowd,
                    score: object.score,
                    outline: None,
                    more: None,
                }
            }));
        }
        instances
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

/// What was put right in annotations.
#[derive(Default)]
struct Mended {
    without_area: usize,
    odd_area: usize,
    without_crowd: usize,
    boxed: usize,
    same_id: usize,
    odd_outline: usize,
    odd_score: usize,
}

impl Mended {
    fn remark(&self, path: &Path, remarks: &mut Vec<String>) {
        let odd_area =
            "an area that is none (negative, or no number): width x height of the box is used";
        let odd_outline = "a segmentation that is neither polygons nor one mask: it is left out";
        for (count, what) in [
            (self.without_area, "no area: width x height of the box is used"),
            (self.odd_area, odd_area),
            (self.without_crowd, "no iscrowd: counted as single objects"),
            (self.boxed, "no bbox: the box around the outline is used"),
            (self.same_id, "the id of another one"),
            (self.odd_outline, odd_outline),
            (self.odd_score, "a score that is no number: it is left out"),
        ] {
            if count > 0 {
                let has = counted(count, "annotation has", "annotations have");
                remarks.push(format!("{}: {has} {what}", path.display()));
            }
        }
    }
}

/// An annotation without its id; else the kind of problem that it has, and what it is.
fn checked_annotation(
    raw: RawAnnotation,
    images: &HashMap<Id, usize>,
    categories: &HashMap<Id, usize>,
    mended: &mut Mended,
) -> Result<Annotation, (&'static str, String)> {
    let place = |id: Option<Id>, places: &HashMap<Id, usize>, of, kind| {
        let id = id.ok_or_else(|| (kind, format!("has no {of}_id")))?;
        let place = places.get(&id).copied();
        place.ok_or_else(|| (kind, format!("is of {of} {id}, which is not there")))
    };
    let image = place(raw.image_id, images, "image", "annotations of images that are not there")?;
    let kind = "annotations of categories that are not there";
    let category = place(raw.category_id, categories, "category", kind)?;
    let is_odd = |outline: &Outline| matches!(outline, Outline::Polygons(all) if all.is_empty());
    let mut outline = raw.segmentation.0;
    if outline.as_deref().is_some_and(is_odd) {
        mended.odd_outline += 1;
        outline = None;
    }
    let around = match outline.as_deref() {
        Some(Outline::Polygons(polygons)) => model::bounds(polygons),
        _ => None,
    };
    let none = match &raw.bbox {
        Lenient::Missing => true,
        Lenient::Is(Numbers(numbers)) => numbers.is_empty(),
        Lenient::Other(_) => false,
    };
    let bbox = match around.filter(|_| none) {
        Some(around) => {
            mended.boxed += 1;
            [around.x0, around.y0, around.width(), around.height()]
        }
        None => {
            checked_bbox(raw.bbox).map_err(|what| ("annotations with no bbox that is one", what))?
        }
    };
    let area = match raw.area {
        Lenient::Is(area) if area >= 0.0 && area.is_finite() => area,
        Lenient::Missing => {
            mended.without_area += 1;
            bbox[2] * bbox[3]
        }
        _ => {
            mended.odd_area += 1;
            bbox[2] * bbox[3]
        }
    };
    let crowd = match raw.iscrowd.get() {
        Ok(Some(crowd)) => crowd,
        Ok(None) => {
            mended.without_crowd += 1;
            false
        }
        Err(other) => {
            let kind = "annotations whose iscrowd is not 0 or 1";
            return Err((kind, format!("has the iscrowd {other}, not 0 or 1")));
        }
    };
    let score = match raw.score {
        Lenient::Is(score) if score.is_finite() => Some(score),
        Lenient::Missing => None,
        Lenient::Is(_) | Lenient::Other(_) => {
            mended.odd_score += 1;
            None
        }
    };
    let more = raw.more;
    Ok(Annotation { id: None, image, category, bbox, area, crowd, score, outline, more })
}

fn image_entry(image: RawImage, number: usize) -> Result<ImageEntry, String> {
    let what = image.id.as_ref().map_or_else(|| format!("in place {number}"), ToString::to_string);
    let pixels = |length: Result<Option<f64>, String>| match length {
        Ok(None | Some(0.0)) => Ok(None),
        Ok(Some(length))
            if length.fract() == 0.0 && length > 0.0 && length <= f64::from(u32::MAX) =>
        {
            Ok(Some(length as u32))
        }
        Ok(Some(length)) => Err(format!("image {what} is {length} pixels wide or high")),
        Err(other) => Err(format!("image {what} is {other} pixels wide or high")),
    };
    let size = pixels(image.width.get())?.zip(pixels(image.height.get())?);
    let id = image.id.ok_or_else(|| format!("image {what} has no id"))?;
    let text = |key: &str| image.more.get(key).and_then(Value::as_str).map(str::to_owned);
    // LVIS names images by their address alone.
    let file_name = match image.file_name {
        Lenient::Is(name) if !name.is_empty() => Some(name),
        _ => text("coco_url").or_else(|| text("path")).or_else(|| text("flickr_url")),
    };
    Ok(ImageEntry { id, file_name, size, more: image.more })
}

/// `entries` by id, and the place of every id. A second entry of an id is a problem, unless it is
/// the `same` again.
fn sorted<T>(
    mut entries: Vec<T>,
    id: impl Fn(&T) -> &Id,
    same: impl Fn(&T, &T) -> bool,
    list: &str,
    path: &Path,
    reading: &mut Reading<'_>,
) -> (Vec<T>, HashMap<Id, usize>) {
    entries.sort_by(|a, b| id(a).cmp(id(b)));
    let mut places = HashMap::with_capacity(entries.len());
    let mut kept: Vec<T> = Vec::with_capacity(entries.len());
    let mut repeated = 0;
    for entry in entries {
        match kept.last() {
            Some(last) if id(last) == id(&entry) && same(last, &entry) => repeated += 1,
            Some(last) if id(last) == id(&entry) => {
                let what = format!("two of {list} have the id {}", id(&entry));
                reading.problem(path, None, "entries with the id of another one", what);
            }
            _ => {
                places.insert(id(&entry).clone(), kept.len());
                kept.push(entry);
            }
        }
    }
    if repeated > 0 {
        reading.remarks.push(format!(
            "{} there twice in {list}: each counts once",
            counted(repeated, "entry is", "entries are")
        ));
    }
    (kept, places)
}

pub(in super::super) fn read(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<Dataset, DatasetError> {
    let instances = Instances::check(path, reading)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let inner = beside.join("images");
    let folders: Vec<&Path> = reading.images.into_iter().chain([beside, &inner]).collect();
    Ok(dataset(instances, &folders, reading))
}

/// Points `outside` of their image, and annotations `of_lost` images.
fn remark_left_out(outside: usize, of_lost: usize, reading: &mut Reading<'_>) {
    if outside > 0 {
        let points = counted(outside, "point lies", "points lie");
        reading.remarks.push(format!("{points} outside of the image: left out"));
    }
    if of_lost > 0 {
        let annotations = counted(of_lost, "annotation is", "annotations are");
        reading.remarks.push(format!("{annotations} of images that are left out"));
    }
}

/// The data set of a file, whose images may lie in `folders`.
pub(in super::super) fn dataset(
    instances: Instances,
    folders: &[&Path],
    reading: &mut Reading<'_>,
) -> Dataset {
    let path = instances.path;
    let written: Vec<&str> = (instances.images.iter())
        .map(|entry| entry.file_name.as_deref().unwrap_or_default())
        .collect();
    let (names, foreign) = names::relative(&written, folders);
    names::remark(foreign, reading.remarks);
    // Place among the images that stay.
    let mut places: Vec<Option<usize>> = Vec::with_capacity(names.len());
    let mut images: Vec<Image> = Vec::with_capacity(names.len());
    let mut taken: HashMap<String, String> = HashMap::new();
    let (mut odd_ids, mut of_lost, mut outside) = (instances.odd_ids, 0, 0);
    for (entry, name) in instances.images.into_iter().zip(names) {
        let mut refuse = |kind, what: String| {
            reading.problem(&path, None, kind, format!("image {}{what}", entry.id));
            places.push(None);
        };
        if name.is_empty() {
            refuse("images without a file_name", " has no file_name".to_owned());
            continue;
        }
        if let Some(first) = taken.get(&name) {
            let what = format!(" has the file_name {name:?}, as image {first} has");
            refuse("images with the name of another one", what);
            continue;
        }
        let file = find_image(&name, folders);
        let (width, height) = match size_of_entry(entry.size, &name, file.as_deref()) {
            Ok(size) => size,
            Err((kind, what)) => {
                refuse(kind, what);
                continue;
            }
        };
        odd_ids += usize::from(entry.id.number().is_none());
        let mut more = entry.more;
        let fields = take_fields(&mut more);
        taken.insert(name.clone(), entry.id.to_string());
        places.push(Some(images.len()));
        images.push(Image {
            name,
            width,
            height,
            id: entry.id.number(),
            splits: Splits::default(),
            objects: Vec::new(),
            points: Vec::new(),
            fields,
            // What an export says of images that were asked for no boxes.
            unboxed: more.get("status").is_some_and(|status| status == "text"),
            file,
            more: (!more.is_empty()).then(|| Box::new(more)),
        });
    }
    // Lists that grow have room that nobody needs.
    let mut counts = vec![0; places.len()];
    instances.annotations.iter().for_each(|annotation| counts[annotation.image] += 1);
    for (place, count) in places.iter().zip(counts) {
        if let Some(place) = *place {
            images[place].objects.reserve_exact(count);
        }
    }
    for annotation in instances.annotations {
        let Some(place) = places[annotation.image] else {
            of_lost += 1;
            continue;
        };
        let [x, y, width, height] = annotation.bbox;
        let image = &mut images[place];
        if let Some((x, y)) = keypoint_alone(&annotation) {
            if image.add_point(annotation.category, x, y) {
                image.points.last_mut().into_iter().for_each(|point| point.id = annotation.id);
            } else {
                outside += 1;
            }
            continue;
        }
        let whole = BBox { x0: x, y0: y, x1: x + width, y1: y + height };
        if let Some(bbox) = reading.inside(whole, image.width, image.height) {
            let mut object = Object {
                category: annotation.category,
                bbox: whole,
                crowd: annotation.crowd,
                area: annotation.area,
                id: annotation.id,
                score: annotation.score,
                outline: annotation.outline,
                more: annotation.more,
            };
            // The area of a box is cut with it, that of an outline is not.
            if !object.has_own_area() && bbox != whole {
                object.area = bbox.area();
            }
            image.objects.push(Object { bbox, ..object });
        }
    }
    for image in &mut images {
        image.unboxed |= !image.points.is_empty();
        image.unboxed &= image.objects.is_empty();
    }
    remark_left_out(outside, of_lost, reading);
    let categories = instances.categories;
    let ids: Vec<u64> = categories.iter().filter_map(|category| category.id.number()).collect();
    odd_ids += categories.len() - ids.len();
    if odd_ids > 0 {
        reading.remarks.push(format!(
            "{} from 0 to 2^64: not kept",
            counted(odd_ids, "id is no whole number", "ids are no whole numbers")
        ));
    }
    let category_ids = if ids.len() == categories.len() { ids } else { Vec::new() };
    let (categories, fields) =
        categories.into_iter().map(|category| (category.name, category.more)).unzip();
    let coco = CocoFields { file: instances.fields, categories: fields };
    Dataset { categories, category_ids, images, coco: Some(Box::new(coco)) }
}

/// The width and height of the image `name`: those of its entry, or those of the file. An error is
/// its kind, and the rest of a sentence about the image.
fn size_of_entry(
    written: Option<(u32, u32)>,
    name: &str,
    file: Option<&Path>,
) -> Result<(u32, u32), (&'static str, String)> {
    match (written, file) {
        (Some(size), _) => Ok(size),
        (None, Some(file)) => size_of(file).map_err(|error| {
            ("images that cannot be read", format!(" has no width and height: {error}"))
        }),
        (None, None) => {
            let what = format!(
                " ({name}) has no width and height, and the image is not there to look: say with \
                 `images` in which folder it is"
            );
            Err(("images of which nobody knows the size", what))
        }
    }
}

/// The attributes of an image, taken out of what else its entry holds.
fn take_fields(more: &mut Map<String, Value>) -> Option<Box<Map<String, Value>>> {
    match more.shift_remove("attributes") {
        Some(Value::Object(fields)) if !fields.is_empty() => Some(Box::new(fields)),
        other => {
            more.extend(other.map(|other| ("attributes".to_owned(), other)));
            None
        }
    }
}

/// The place of an annotation that is one keypoint and has a box without an area: a point.
fn keypoint_alone(annotation: &Annotation) -> Option<(f64, f64)> {
    let more = annotation.more.as_deref()?;
    let [_, _, width, height] = annotation.bbox;
    let plain = more.keys().all(|key| matches!(key.as_str(), "keypoints" | "num_keypoints"));
    let [x, y, seen] = more.get("keypoints")?.as_array()?.as_slice() else { return None };
    let is_seen = seen.as_f64().is_some_and(|seen| seen > 0.0);
    let is_point = plain && is_seen && width == 0.0 && height == 0.0;
    x.as_f64().zip(y.as_f64()).filter(|_| is_point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let mended = |text: &str| as_python_reads(text);
        assert_eq!(
            mended(r#"{"a": [NaN, -Infinity, 1e-3], "b": "NaN"}"#).unwrap(),
            r#"{"a": [null, null, 1e-3], "b": "NaN"}"#
        );
        assert_eq!(
            mended(r#"["\ud83d x \ud83d\ude00 \\ud83d"]"#).unwrap(),
            "[\"\u{fffd} x \\ud83d\\ude00 \\\\ud83d\"]"
        );
        assert_eq!(mended(r#"{"a": "\"N", "b": -1, "c": "#), None);
    }
}
