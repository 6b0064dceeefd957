//! What is changed in a dataset on its way: splits, names of images, names of categories.
//!
//! Promises: a split is a function of names alone, so that an image stays where it is when others
//! are added; images of one group are in one split.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::str::FromStr;

use super::{Dataset, Split, Splits, counted};
use crate::digest;
use crate::image_table::{ImageTable, TableError, column};

/// The shares of the images that are kept for validation and for a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// For validation, 0 to 1.
    pub val: f64,
    /// For a test; both together are at most 1.
    pub test: f64,
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share =
            |text: &str| text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
        let mut parts = text.split(',').map(share);
        let shares = match (parts.next(), parts.next(), parts.next()) {
            (Some(Some(val)), None, None) => Some(Self { val, test: 0.0 }),
            (Some(Some(val)), Some(Some(test)), None) => Some(Self { val, test }),
            _ => None,
        };
        shares.filter(|shares| shares.val + shares.test <= 1.0).ok_or_else(|| {
            "must be a share for validation (0.2), or two for validation and test (0.1,0.1)"
                .to_owned()
        })
    }
}

/// Which images go into a split together.
#[derive(Debug, Clone, PartialEq)]
pub enum Grouping {
    /// Each by itself.
    Image,
    /// Those of one folder.
    Folder,
    /// Those whose names differ only in the number at their end: frames of one clip.
    Clip,
    /// Those that a table gives one group, by their names; the others each by itself.
    Table(HashMap<String, String>),
}

impl Grouping {
    /// `folder`, `clip`, or the table at a path: a CSV with the columns `image` and `group`.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn read(text: &str) -> Result<Self, TableError> {
        match text {
            "folder" => return Ok(Self::Folder),
            "clip" => return Ok(Self::Clip),
            _ => {}
        }
        let mut table = ImageTable::read(Path::new(text), "image, and the column group")?;
        let rows = table.csv_rows(
            |header| {
                column(header, "image")
                    .or_else(|| column(header, "file"))
                    .zip(column(header, "group"))
            },
            |(image, group), record| {
                let cell = |at: usize| record.get(at).unwrap_or_default().to_owned();
                (cell(*image), cell(*group))
            },
        )?;
        let mut groups = HashMap::with_capacity(rows.len());
        for (line, (image, group)) in rows {
            groups.insert(table.image(line, &image)?, group);
        }
        Ok(Self::Table(groups))
    }

    /// The group of the image `name`.
    fn of(&self, name: &str) -> String {
        let folder = || name.rsplit_once('/').map_or("", |(folder, _)| folder);
        match self {
            Self::Image => name.to_owned(),
            Self::Folder => folder().to_owned(),
            Self::Clip => {
                let stem = super::reading::stem(name);
                let clip = stem.trim_end_matches(|c: char| c.is_ascii_digit());
                let clip = clip.trim_end_matches(['_', '-', '.', ' ', '#', '@']);
                // A name that is a number alone says no more than its folder.
                let clip = if clip.ends_with('/') || clip.is_empty() { folder() } else { clip };
                let plain = clip.trim_end_matches("frame").trim_end_matches(['_', '-', '.', ' ']);
                if plain.is_empty() || plain.ends_with('/') { folder() } else { plain }.to_owned()
            }
            Self::Table(groups) => match groups.get(name) {
                Some(group) if !group.is_empty() => format!("group {group}"),
                _ => name.to_owned(),
            },
        }
    }
}

impl Dataset {
    /// Puts every image into train, val or test, as the hash of its group says; all splits that it
    /// was in are forgotten.
    pub fn split(&mut self, shares: Shares, by: &Grouping, remarks: &mut Vec<String>) {
        let mut groups: HashSet<String> = HashSet::new();
        let known = self.is_split().then(|| self.split_counts());
        for image in &mut self.images {
            let group = by.of(&image.name);
            // 53 bits, which f64 holds exactly; the rule of `export --split`.
            let place = (digest::number(&group) >> 11) as f64 / (1_u64 << 53) as f64;
            image.splits = Splits::only(if place < shares.val {
                Split::Val
            } else if place < shares.val + shares.test {
                Split::Test
            } else {
                Split::Train
            });
            groups.insert(group);
        }
        if let Some(known) = known {
            remarks.push(format!("the splits that were there ({known}) are replaced"));
        }
        let counts = self.split_counts();
        let groups = if *by == Grouping::Image {
            String::new()
        } else {
            format!(" of {} groups", groups.len())
        };
        remarks.push(format!("split by a hash{groups}: {counts}"));
    }

    /// Takes the folders out of the images' names: `a/b.jpg` becomes `a__b.jpg`.
    pub fn flatten(&mut self, remarks: &mut Vec<String>) {
        let mut taken: HashSet<String> = HashSet::new();
        let mut renamed = 0;
        for image in &mut self.images {
            if image.name.contains('/') {
                renamed += 1;
            }
            let mut name = image.name.replace('/', "__");
            if !taken.insert(name.to_lowercase()) {
                name = format!("{:016x}_{name}", digest::number(&image.name));
                taken.insert(name.to_lowercase());
            }
            image.name = name;
        }
        self.images.sort_by(|a, b| a.name.cmp(&b.name));
        if renamed > 0 {
            remarks.push(format!(
                "{renamed} images have other names: their folders are part of them (a/b.jpg is \
                 a__b.jpg)"
            ));
        }
    }

    /// Takes the folders that say a split or hold all images out of the images' names, if no two
    /// images would have one name then.
    pub(crate) fn without_split_folders(&mut self) {
        let inner: Vec<String> =
            self.images.iter().map(|image| inner_name(&image.name).to_owned()).collect();
        let mut seen: HashSet<(Splits, &str)> = HashSet::new();
        if inner.iter().zip(&self.images).all(|(name, image)| seen.insert((image.splits, name))) {
            for (image, name) in self.images.iter_mut().zip(inner) {
                image.name = name;
            }
        }
    }

    /// Gives categories other names; boxes of those that get none are left out.
    pub fn map_labels(&mut self, map: &BTreeMap<String, String>, remarks: &mut Vec<String>) {
        let mut names: Vec<String> = Vec::new();
        let mut ids: Vec<u64> = Vec::new();
        let mut fields = Vec::new();
        let mut places: Vec<Option<usize>> = Vec::with_capacity(self.categories.len());
        let mut renamed = 0;
        for (place, name) in self.categories.iter().enumerate() {
            let to = map.get(name).unwrap_or(name);
            renamed += usize::from(to != name);
            if to.is_empty() {
                places.push(None);
                continue;
            }
            let known = if to == name && !map.values().any(|value| value == name) {
                None
            } else {
                names.iter().position(|known| known == to)
            };
            places.push(Some(known.unwrap_or_else(|| {
                names.push(to.clone());
                ids.extend(self.category_ids.get(place));
                let own = self.coco.as_ref().and_then(|coco| coco.categories.get(place));
                fields.extend(own.cloned());
                names.len() - 1
            })));
        }
        let (mut dropped, mut points) = (0, 0);
        for image in &mut self.images {
            let before = image.points.len();
            image.points.retain(|point| places[point.category].is_some());
            points += before - image.points.len();
            for point in &mut image.points {
                point.category = places[point.category].unwrap_or_default();
            }
            image.objects.retain_mut(|object| {
                if let Some(place) = places[object.category] {
                    object.category = place;
                    true
                } else {
                    dropped += 1;
                    false
                }
            });
        }
        self.categories = names;
        self.category_ids = ids;
        if let Some(coco) = &mut self.coco {
            coco.categories = fields;
        }
        remarks.push(format!(
            "{renamed} categories are renamed, joined or left out by the map of labels"
        ));
        if dropped > 0 {
            remarks.push(format!(
                "{} left out, whose labels the map leaves out",
                counted(dropped, "box is", "boxes are")
            ));
        }
        if points > 0 {
            remarks.push(format!(
                "{} left out, whose labels the map leaves out",
                counted(points, "point is", "points are")
            ));
        }
    }
}

/// The name of an image without the folders that say its split.
fn inner_name(name: &str) -> &str {
    let mut rest = name;
    while let Some((folder, inner)) = rest.split_once('/') {
        if Split::of_word(folder).is_none() && folder != "images" {
            break;
        }
        rest = inner;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::super::{Image, Object};
    use super::*;
    use crate::record::BBox;

    fn dataset(names: &[&str]) -> Dataset {
        let image = |name: &&str| Image {
            name: (*name).to_owned(),
            width: 9,
            height: 9,
            ..Image::default()
        };
        Dataset { images: names.iter().map(image).collect(), ..Dataset::default() }
    }

    #[test]
    fn shares_are_one_or_two_that_leave_something() {
        assert_eq!("0.2".parse(), Ok(Shares { val: 0.2, test: 0.0 }));
        assert_eq!("0.1, 0.3".parse(), Ok(Shares { val: 0.1, test: 0.3 }));
        for wrong in ["", "2", "0.6,0.6", "-1", "a", "0.1,0.1,0.1"] {
            assert!(wrong.parse::<Shares>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn images_of_one_group_stay_together_and_stay_where_they_are() {
        let clips: Vec<String> =
            (0..400).map(|n| format!("cam{}/clip{}_frame_{:05}.jpg", n % 7, n / 10, n)).collect();
        let names: Vec<&str> = clips.iter().map(String::as_str).collect();
        let shares = Shares { val: 0.2, test: 0.2 };
        for by in [Grouping::Folder, Grouping::Clip] {
            let (mut all, mut half) = (dataset(&names), dataset(&names[..200]));
            all.split(shares, &by, &mut Vec::new());
            half.split(shares, &by, &mut Vec::new());
            let mut of_group: HashMap<String, Splits> = HashMap::new();
            for image in &all.images {
                let known = *of_group.entry(by.of(&image.name)).or_insert(image.splits);
                assert_eq!(known, image.splits, "{}", image.name);
            }
            assert!(of_group.len() > 5, "{of_group:?}");
            assert!(half.images.iter().zip(&all.images).all(|(a, b)| a == b));
        }
        let groups = ["x/v1_000.jpg", "x/v1-17.png", "x/0001.jpg", "frame_3.jpg", "x/frame 9.jpg"];
        let groups = groups.map(|name| Grouping::Clip.of(name));
        assert_eq!(groups, ["x/v1", "x/v1", "x", "", "x"]);
        let mut many = dataset(&[]);
        let names: Vec<String> = (0..2000).map(|n| format!("{n}.jpg")).collect();
        many.images = dataset(&names.iter().map(String::as_str).collect::<Vec<_>>()).images;
        many.split(shares, &Grouping::Image, &mut Vec::new());
        let counts = Split::ALL.map(|split| many.images_of(split).count());
        assert!(counts[0] > 1100 && counts[1] > 330 && counts[2] > 330, "{counts:?}");
    }

    #[test]
    fn names_are_flat_and_stay_apart() {
        let mut flat = dataset(&["a/b.jpg", "a__b.jpg", "c.jpg"]);
        flat.flatten(&mut Vec::new());
        let names: HashSet<&str> = flat.images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| !name.contains('/')) && names.contains("a__b.jpg"));
    }

    #[test]
    fn folders_that_say_the_split_are_no_part_of_a_name() {
        let names =
            ["a.jpg", "train/images/a.jpg", "val/x/a.jpg", "images/test/a.jpg", "x/val/a.jpg"];
        assert_eq!(names.map(inner_name), ["a.jpg", "a.jpg", "x/a.jpg", "a.jpg", "x/val/a.jpg"]);
        let mut same = dataset(&["train/a.jpg", "val/a.jpg"]);
        same.without_split_folders();
        assert_eq!(same.images[0].name, "train/a.jpg", "both would be a.jpg, of no split");
        same.images[1].splits = Splits::only(Split::Val);
        same.without_split_folders();
        assert_eq!(same.images[1].name, "a.jpg");
    }

    #[test]
    fn labels_are_renamed_joined_and_left_out() {
        let mut set = dataset(&["a.jpg"]);
        set.categories = ["red car", "car", "blur"].map(str::to_owned).to_vec();
        set.category_ids = vec![5, 6, 7];
        let bbox = BBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
        set.images[0].objects = (0..3).map(|category| Object::of_box(category, bbox)).collect();
        let map = [("red car", "car"), ("blur", "")];
        let map = map.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
        let mut remarks = Vec::new();
        set.map_labels(&map, &mut remarks);
        assert_eq!((set.categories, set.category_ids), (vec!["car".to_owned()], vec![5]));
        assert!(set.images[0].objects.iter().all(|object| object.category == 0));
        assert_eq!(set.images[0].objects.len(), 2);
        assert!(remarks[1].starts_with("1 box is left out"));
    }
}
