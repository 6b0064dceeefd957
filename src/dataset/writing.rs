//! What is the same in every writing: names of files, and remarks on what is lost.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

use super::counted::counted;
use super::error::Problem;
use super::model::Outline;
use super::reading::stem;
use super::{Dataset, DatasetError, Format, Image, Object, Split};

/// The longest name of a file, in bytes.
const MAX_NAME_LENGTH: usize = 255;
/// How many keys of fields a remark names.
const NAMED: usize = 6;

/// Takes a file of the data set: its name below the directory, and its bytes.
pub(crate) type Put<'p> = dyn FnMut(&str, &[u8]) -> Result<(), DatasetError> + 'p;

/// What a format has written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The names that a user looks for first.
    pub(crate) first: Vec<String>,
    /// Where the images belong, in words.
    pub(crate) images: String,
    /// Where each image belongs, below the directory.
    pub(crate) places: Vec<String>,
}

/// How many polygons a format writes for one object, if their bounds are its box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Polygons {
    #[default]
    None,
    /// That of an object with one alone.
    One,
    All,
}

impl Polygons {
    /// The polygons of `object` that are written.
    fn of(self, object: &Object) -> Option<&[Vec<f64>]> {
        let polygons = object.polygons()?;
        let written = match self {
            Self::None => false,
            Self::One => polygons.len() == 1,
            Self::All => true,
        };
        written.then_some(polygons)
    }

    /// Whether readers find the object's area again: that of its box, or of what is written.
    fn keep_area(self, object: &Object) -> bool {
        match self.of(object) {
            Some(polygons) => object.has_area_of(polygons),
            None => !object.has_own_area(),
        }
    }
}

/// What a format has a word for, beside boxes, labels, names and sizes.
#[allow(clippy::struct_excessive_bools)] // each is a column of a table
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keeps {
    pub(crate) ids: bool,
    /// Areas as numbers. Those of polygons that are written need none.
    pub(crate) areas: bool,
    pub(crate) crowds: bool,
    pub(crate) scores: bool,
    pub(crate) polygons: Polygons,
    /// All outlines.
    pub(crate) outlines: bool,
    pub(crate) fields: bool,
    pub(crate) points: bool,
    /// What is said about whole images.
    pub(crate) image_fields: bool,
    pub(crate) splits: bool,
    /// Categories of one name that are two.
    pub(crate) categories: bool,
}

impl Dataset {
    /// Says what `format` has no word for.
    pub(crate) fn remark_lost(&self, format: &str, keeps: Keeps, remarks: &mut Vec<String>) {
        let count = |wanted: &dyn Fn(&Object) -> bool| self.objects().filter(|o| wanted(o)).count();
        let mut say = |count: usize, one: &str, many: &str| {
            if count > 0 {
                let what = counted(count, one, many);
                remarks.push(format!("{what}, which {format} has no word for"));
            }
        };
        let areas = count(&|object| !keeps.polygons.keep_area(object));
        say(
            if keeps.areas { 0 } else { areas },
            "box has an area of its own (of an outline)",
            "boxes have an area of their own (of an outline)",
        );
        let polygons = count(&|object| {
            let is_polygon = matches!(object.outline.as_deref(), Some(Outline::Polygons(_)));
            let is_written = keeps.polygons != Polygons::None && object.polygons().is_some();
            is_polygon && !keeps.outlines && !is_written
        });
        let lost = if keeps.polygons == Polygons::None {
            "polygons (segmentation)"
        } else {
            "polygons whose bounds are not the box, and which are left out"
        };
        say(polygons, &format!("box has {lost}"), &format!("boxes have {lost}"));
        let masks = count(&|object| matches!(object.outline.as_deref(), Some(Outline::Mask(_))));
        say(
            if keeps.outlines { 0 } else { masks },
            "box has a mask (segmentation)",
            "boxes have masks (segmentation)",
        );
        let crowds = count(&|object| object.crowd);
        say(if keeps.crowds { 0 } else { crowds }, "box is a crowd", "boxes are crowds");
        let scores = count(&|object| object.score.is_some());
        say(if keeps.scores { 0 } else { scores }, "box has a score", "boxes have scores");
        let points = self.points().count();
        say(if keeps.points { 0 } else { points }, "point is left out", "points are left out");
        if !keeps.image_fields {
            let fields = self.images.iter().filter_map(|image| image.fields.as_deref());
            say_fields(fields, ["image", "images"], "fields", &mut say);
        }
        if !keeps.fields {
            let of_boxes = self.objects().filter_map(|object| object.more.as_deref());
            say_fields(of_boxes, ["box", "boxes"], "further fields", &mut say);
            let of_images = self.images.iter().filter_map(|image| image.more.as_deref());
            say_fields(of_images, ["image", "images"], "further fields", &mut say);
            let of_categories = self.coco.iter().flat_map(|coco| &coco.categories);
            let plain = |fields: &&serde_json::Map<String, serde_json::Value>| {
                fields.iter().any(|(key, value)| key != "supercategory" || value != "")
            };
            let of_categories = of_categories.filter(plain);
            say_fields(of_categories, ["category", "categories"], "further fields", &mut say);
        }
        if !keeps.ids {
            let images = self.images.iter().filter(|image| image.id.is_some()).count();
            let boxes = count(&|object| object.id.is_some());
            let categories = self.category_ids.len();
            let of = [
                (images, counted(images, "image", "images")),
                (boxes, counted(boxes, "box", "boxes")),
                (categories, counted(categories, "category", "categories")),
            ];
            let of: Vec<String> =
                of.into_iter().filter(|(count, _)| *count > 0).map(|(_, words)| words).collect();
            if !of.is_empty() {
                remarks.push(format!(
                    "ids are not kept, which {format} has no word for: of {}",
                    of.join(", ")
                ));
            }
        }
        if !keeps.splits && self.is_split() {
            remarks.push(format!(
                "the splits ({} images) are not kept, which {format} has no word for",
                self.split_counts()
            ));
        }
        let mut names: Vec<&String> = self.categories.iter().collect();
        names.sort();
        let same = names.windows(2).filter(|pair| pair[0] == pair[1]).count();
        if !keeps.categories && same > 0 {
            remarks.push(format!(
                "{same} categories have the name of another one, and become one with it: {format} \
                 knows them by their names"
            ));
        }
    }

    /// Leaves out those images in which nobody has looked for boxes, and of which `format` has no
    /// word for what is known: it would say of them that nothing is there. Without a format, all
    /// of them.
    pub fn leave_out_unboxed(&mut self, format: Option<Format>, remarks: &mut Vec<String>) {
        let described = self.is_described();
        let before = self.images.len();
        self.images.retain(|image| stays(image, format, described));
        let left_out = before - self.images.len();
        if left_out > 0 {
            let format = format.map_or("a set of boxes", Format::as_str);
            remarks.push(format!(
                "{} left out: nobody looked for boxes there, and {format} has no word for points \
                 or fields alone",
                counted(left_out, "image is", "images are")
            ));
        }
    }

    /// [`Self::leave_out_unboxed`] of a data set that stays as it is.
    pub(super) fn without_unboxed(
        &self,
        format: Format,
        remarks: &mut Vec<String>,
    ) -> Cow<'_, Self> {
        let described = self.is_described();
        if self.images.iter().all(|image| stays(image, Some(format), described)) {
            return Cow::Borrowed(self);
        }
        let mut dataset = self.clone();
        dataset.leave_out_unboxed(Some(format), remarks);
        Cow::Owned(dataset)
    }

    /// Whether nothing but fields is known of any image.
    fn is_described(&self) -> bool {
        self.images.iter().all(|image| image.unboxed && image.points.is_empty())
    }

    /// Leaves out images that could have no label file of their own, or refuses them.
    ///
    /// # Errors
    /// [`DatasetError::Problems`] with all of them, unless `skip` says that they are left out.
    pub fn check_files(
        &mut self,
        path: &Path,
        skip: bool,
        remarks: &mut Vec<String>,
    ) -> Result<(), DatasetError> {
        let mut problems: Vec<Problem> = Vec::new();
        let mut taken: HashMap<String, String> = HashMap::new();
        let problem =
            |what: String, kind| Problem { path: path.to_owned(), line: None, what, kind };
        self.images.retain(|image| {
            let long = image.name.split('/').any(|part| part.len() > MAX_NAME_LENGTH);
            let problem = if long {
                let what =
                    format!("the image {:?} has a name that is too long for a file", image.name);
                Some(problem(what, "images whose name is too long for a file"))
            } else {
                taken.insert(stem(&image.name).to_owned(), image.name.clone()).map(|first| {
                    let what = DatasetError::SameLabelFile { first, second: image.name.clone() };
                    problem(
                        what.to_string(),
                        "images that would share the label file of another one",
                    )
                })
            };
            let stays = problem.is_none();
            problems.extend(problem);
            stays
        });
        if problems.is_empty() {
            return Ok(());
        }
        if !skip {
            return Err(DatasetError::Problems(problems));
        }
        let first = problems[0].what.clone();
        for kind in super::error::by_kind(&problems) {
            remarks.push(format!("left out: {kind} (the first: {first})"));
        }
        Ok(())
    }
}

/// Whether an image is an example of `format`. Trainers take every image of a COCO file for one, and
/// so those of fields alone stand there only if the whole set is `described`.
fn stays(image: &Image, format: Option<Format>, described: bool) -> bool {
    let Some(format) = format.filter(|_| image.unboxed) else { return !image.unboxed };
    let pointed = format.holds_points() && !image.points.is_empty();
    let fields = format.holds_fields() && image.fields.is_some();
    pointed || fields && (format != Format::Coco || described)
}

/// Says how many have fields, and which are the most frequent.
fn say_fields<'m>(
    maps: impl Iterator<Item = &'m serde_json::Map<String, serde_json::Value>>,
    [one, many]: [&str; 2],
    what: &str,
    say: &mut impl FnMut(usize, &str, &str),
) {
    let (mut count, mut keys) = (0, BTreeMap::<&str, usize>::new());
    for map in maps.filter(|map| !map.is_empty()) {
        count += 1;
        map.keys().for_each(|key| *keys.entry(key).or_default() += 1);
    }
    let mut keys: Vec<(&str, usize)> = keys.into_iter().collect();
    keys.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
    let more = if keys.len() > NAMED { ", ..." } else { "" };
    let named: Vec<&str> = keys.iter().take(NAMED).map(|(key, _)| *key).collect();
    let what = format!("{what} ({}{more})", named.join(", "));
    say(count, &format!("{one} has {what}"), &format!("{many} have {what}"));
}

/// The label file of every image, relative to the labels' folder: the image's name with another
/// extension.
///
/// # Errors
/// Names that lead out of the folder, and two images that would share a file.
pub(super) fn label_files(dataset: &Dataset, extension: &str) -> Result<Vec<String>, DatasetError> {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut files = Vec::with_capacity(dataset.images.len());
    for image in &dataset.images {
        let plain = |component| matches!(component, Component::Normal(_));
        // A backslash is a separator on Windows, and the file may be read there next.
        let inner = Path::new(&image.name).components().all(plain);
        if image.name.contains('\\') || !inner || image.name.is_empty() {
            return Err(DatasetError::UnsafeName { name: image.name.clone() });
        }
        if let Some(first) = taken.insert(stem(&image.name), &image.name) {
            let (first, second) = (first.to_owned(), image.name.clone());
            return Err(DatasetError::SameLabelFile { first, second });
        }
        files.push(format!("{}.{extension}", stem(&image.name)));
    }
    Ok(files)
}

/// Says which images have label files that differ in upper and lower case alone.
pub(super) fn remark_case(dataset: &Dataset, remarks: &mut Vec<String>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let clashes = dataset.images.iter().filter_map(|image| {
        let other = seen.insert(stem(&image.name).to_lowercase(), &image.name)?;
        Some((other, image.name.as_str()))
    });
    let clashes: Vec<(&str, &str)> = clashes.collect();
    if let [(first, second), ..] = clashes.as_slice() {
        remarks.push(format!(
            "{} images have label files that differ from another's in upper and lower case alone \
             ({first:?} and {second:?}): file systems that ignore case (Windows, macOS) keep one \
             of the two",
            clashes.len()
        ));
    }
}

/// The images' names of `split`, changed by `line`, one a line. Names with line breaks are left out
/// and counted in `broken`: no reader of lists could find them.
pub(super) fn list_of(
    dataset: &Dataset,
    split: Split,
    broken: &mut usize,
    line: impl Fn(&str) -> String,
) -> String {
    let mut list = String::new();
    for image in dataset.images_of(split) {
        if has_line_break(image) {
            *broken += 1;
            continue;
        }
        list.push_str(&line(&image.name));
        list.push('\n');
    }
    list
}

fn has_line_break(image: &Image) -> bool {
    image.name.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
}

/// Says how many names are in no list.
pub(super) fn remark_broken(broken: usize, remarks: &mut Vec<String>) {
    if broken > 0 {
        remarks.push(format!(
            "{broken} images have a line break in their name: they have labels, and stand in no \
             list of a split"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_or_clash_are_refused() {
        let image =
            |name: &str| Image { name: name.into(), width: 1, height: 1, ..Image::default() };
        let dataset = |names: &[&str]| Dataset {
            images: names.iter().map(|name| image(name)).collect(),
            ..Dataset::default()
        };
        for name in ["../a.jpg", "/etc/a.jpg", "a/../../b.jpg", "..\\a.jpg", ""] {
            let refused = label_files(&dataset(&[name]), "txt");
            assert!(matches!(refused, Err(DatasetError::UnsafeName { .. })), "{name}");
        }
        let clash = label_files(&dataset(&["a.jpg", "a.png"]), "txt").unwrap_err().to_string();
        assert!(clash.contains("\"a.jpg\" and \"a.png\""), "{clash}");
        assert_eq!(label_files(&dataset(&["x/a.jpg"]), "txt").unwrap(), ["x/a.txt"]);
        // All at once, or left out and counted.
        let long = "x".repeat(300);
        let mut clashes = dataset(&["a.jpg", "a.png", &long, "b.jpg"]);
        let refused = clashes.clone().check_files(Path::new("set"), false, &mut Vec::new());
        assert!(refused.unwrap_err().to_string().starts_with("2 problems:\n  set: the images"));
        let mut remarks = Vec::new();
        clashes.check_files(Path::new("set"), true, &mut remarks).unwrap();
        assert_eq!((clashes.images.len(), remarks.len()), (2, 2));
    }
}
