//! Options of an export. Its boxes are chosen by [`Filters`](crate::record::Filters).
//!
//! In: what the user asked for, and the files that name categories and labels. Out: [`Options`].
//! Promises: a file that cannot be understood is an error that names it, before anything is
//! written.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use super::ExportError;
use crate::dataset::coco::Category;
use crate::files;
use crate::record::AnswerStatus;

/// How images come into their folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// By a symbolic link to the file.
    Link,
    /// By a copy of it.
    Copy,
}

impl FromStr for SortBy {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        match text {
            "link" => Ok(Self::Link),
            "copy" => Ok(Self::Copy),
            _ => Err(ExportError::UnknownSort { name: text.to_owned() }),
        }
    }
}

/// What images are summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBy {
    /// The video that they are frames of.
    Clip,
}

impl FromStr for GroupBy {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        match text {
            "clip" => Ok(Self::Clip),
            _ => Err(ExportError::UnknownGroup { name: text.to_owned() }),
        }
    }
}

/// The most that one number on the command line may ask of a crop, in pixels.
const MAX_PIXELS: f64 = 1e6;
/// The most as a share of the box: somebody who says more means pixels.
const MAX_SHARE: f64 = 5.0;

/// How an export is made. The default is what `gemscope detect` writes.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The categories, with their ids and in their order; boxes with other labels are left out.
    /// `None`: those that were asked for, then the others by name, with ids from 1.
    pub categories: Option<Vec<Category>>,
    /// The statuses whose records are exported. `None`: all.
    pub include_status: Option<BTreeSet<AnswerStatus>>,
    /// The share of the images that is kept for validation, 0..1, in YOLO, VOC and COCO.
    pub split: Option<f64>,
    /// Images in data sets are copies and not links.
    pub copy_images: bool,
    /// Images that their EXIF orientation turns are written upright into data sets.
    pub write_upright: bool,
    /// Labels of YOLO have the score of each box behind it, as Ultralytics' `save_conf` does.
    pub save_conf: bool,
    /// How crops are cut.
    pub crops: CropOptions,
    /// The prefix of image names in Label Studio. `None`: the address of local files, in the
    /// images' folder.
    pub label_studio_url: Option<String>,
    /// Whether, and how, the images are sorted into folders by what was found in them.
    pub sort: Option<SortBy>,
    /// Whether, and by what, the images are summed up.
    pub group_by: Option<GroupBy>,
}

/// How crops are cut. The default is every pixel that the box touches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CropOptions {
    /// The padding on every side.
    pub padding: Padding,
    /// The least width and height in pixels: smaller crops are grown around their middle.
    pub min_size: u32,
    /// The shorter side is grown to the longer one.
    pub square: bool,
    /// What their files are.
    pub format: CropFormat,
}

/// The files that crops are written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CropFormat {
    /// JPEG where the image's name says that it is one, which is a sixth of the size; PNG
    /// elsewhere.
    #[default]
    Auto,
    /// PNG: the very pixels.
    Png,
    /// JPEG of quality 95.
    Jpeg,
}

impl FromStr for CropFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "png" => Ok(Self::Png),
            "jpeg" | "jpg" => Ok(Self::Jpeg),
            _ => Err("must be auto, png or jpeg".to_owned()),
        }
    }
}

/// The padding on every side of a box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Padding {
    /// Shares of the box's width, left and right; of its height, above and below.
    Share(f64),
    /// On all sides.
    Pixels(f64),
}

impl Default for Padding {
    fn default() -> Self {
        Self::Pixels(0.0)
    }
}

impl FromStr for Padding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, most: f64| {
            text.trim().parse::<f64>().ok().filter(|value| (0.0..=most).contains(value))
        };
        let padding = match (text.strip_suffix("px"), text.strip_suffix('%')) {
            (Some(pixels), _) => number(pixels, MAX_PIXELS).map(Self::Pixels),
            (_, Some(percent)) => {
                number(percent, 100.0 * MAX_SHARE).map(|percent| Self::Share(percent / 100.0))
            }
            _ => number(text, MAX_SHARE).map(Self::Share),
        };
        padding.ok_or_else(|| {
            format!("must be a share of the box (0.1 or 10%, up to {MAX_SHARE}) or pixels (12px)")
        })
    }
}

/// Categories out of `path`: a COCO file, or one name a line (ids count from 1).
///
/// # Errors
/// [`ExportError::Read`], [`ExportError::NotUnderstood`].
pub fn read_categories(path: &Path) -> Result<Vec<Category>, ExportError> {
    #[derive(Deserialize)]
    struct CocoFile {
        categories: Vec<Category>,
    }
    let not_understood =
        |reason: String| ExportError::NotUnderstood { path: path.to_owned(), reason };
    let text = read(path)?;
    let categories = if text.trim_start().starts_with('{') {
        let file: CocoFile =
            serde_json::from_str(&text).map_err(|error| not_understood(error.to_string()))?;
        file.categories
    } else {
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
        let category = |(id, name): (u64, &str)| Category {
            id,
            name: name.to_owned(),
            supercategory: String::new(),
        };
        (1..).zip(names).map(category).collect()
    };
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    for category in &categories {
        if !ids.insert(category.id) || !names.insert(&category.name) {
            let reason = format!(
                "category {} ({:?}) is there twice, by id or by name",
                category.id, category.name
            );
            return Err(not_understood(reason));
        }
    }
    if categories.is_empty() {
        return Err(not_understood("no categories".to_owned()));
    }
    Ok(categories)
}

/// A map of labels out of `path`: TOML, `"red car" = "car"`.
///
/// # Errors
/// [`ExportError::Read`], [`ExportError::NotUnderstood`].
pub fn read_labels_map(path: &Path) -> Result<BTreeMap<String, String>, ExportError> {
    toml::from_str(&read(path)?).map_err(|error| ExportError::NotUnderstood {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> Result<String, ExportError> {
    files::read_text(path).map_err(|error| ExportError::Read { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn categories_come_from_lines_or_from_coco() {
        let named =
            |id, name: &str| Category { id, name: name.to_owned(), supercategory: String::new() };
        let read = |text: &str| read_categories(file(text).path());
        assert_eq!(
            read("\u{feff}dog\r\n\n red car \n").unwrap(),
            [named(1, "dog"), named(2, "red car")]
        );
        let coco = r#"{"info": {}, "categories": [
            {"id": 90, "name": "b"}, {"id": 7, "name": "a", "keypoints": []}]}"#;
        assert_eq!(read(coco).unwrap(), [named(90, "b"), named(7, "a")]);
        assert!(
            read("dog\ncat\ndog")
                .unwrap_err()
                .to_string()
                .contains("category 3 (\"dog\") is there twice")
        );
        assert!(matches!(read(" \n"), Err(ExportError::NotUnderstood { .. })));
        assert!(matches!(read_categories(Path::new("/no/such")), Err(ExportError::Read { .. })));
    }

    #[test]
    fn a_labels_map_is_toml() {
        let map =
            read_labels_map(file("\"red car\" = \"car\" # why\nblur = \"\"\n").path()).unwrap();
        assert_eq!(
            map.into_iter().collect::<Vec<_>>(),
            [("blur".to_owned(), String::new()), ("red car".to_owned(), "car".to_owned())]
        );
        assert!(matches!(
            read_labels_map(file("a = 3").path()),
            Err(ExportError::NotUnderstood { .. })
        ));
    }

    #[test]
    fn padding_is_a_share_or_pixels() {
        assert_eq!("0.1".parse(), Ok(Padding::Share(0.1)));
        assert_eq!("12px".parse(), Ok(Padding::Pixels(12.0)));
        assert_eq!("50%".parse(), Ok(Padding::Share(0.5)));
        for wrong in ["", "px", "-1", "nan", "1e9px", "10", "%", "-1%"] {
            assert!(wrong.parse::<Padding>().is_err(), "{wrong}");
        }
    }
}
