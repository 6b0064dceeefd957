//! The JSON of COCO instances and results, as it is read and as it is written.
//!
//! The format is that of cocodataset.org/#format-data: boxes are `[x, y, width, height]` in pixels.
//! What is read may lack any field and have more; what is written has them all.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::record::{AnswerStatus, BBox};

/// An id: a whole number or a string. `7`, `7.0` and `"7"` are the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(String);

impl Id {
    /// The number, if it is a whole one that is not negative.
    pub(super) fn number(&self) -> Option<u64> {
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
pub(super) struct Flag(pub(super) bool);

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
pub(super) struct RawInstances {
    pub(super) images: Option<Vec<RawImage>>,
    pub(super) annotations: Option<Vec<RawAnnotation>>,
    pub(super) categories: Option<Vec<RawCategory>>,
}

#[derive(Deserialize)]
pub(super) struct RawImage {
    pub(super) id: Option<Id>,
    pub(super) file_name: Option<String>,
    pub(super) width: Option<f64>,
    pub(super) height: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct RawAnnotation {
    pub(super) id: Option<Id>,
    pub(super) image_id: Option<Id>,
    pub(super) category_id: Option<Id>,
    pub(super) bbox: Option<Vec<f64>>,
    pub(super) area: Option<f64>,
    pub(super) iscrowd: Option<Flag>,
    #[serde(default)]
    pub(super) segmentation: Presence,
    #[serde(default)]
    pub(super) keypoints: Presence,
}

/// Whether something stands there: a list with an element, or an object. What it is is not kept.
#[derive(Default)]
pub(super) struct Presence(pub(super) bool);

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
pub(super) struct RawCategory {
    pub(super) id: Option<Id>,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) supercategory: Presence,
}

/// One element of a results file.
#[derive(Deserialize)]
pub(crate) struct RawResult {
    pub(crate) image_id: Option<Id>,
    pub(crate) category_id: Option<Id>,
    pub(crate) bbox: Option<Vec<f64>>,
    pub(crate) score: Option<f64>,
}

/// A category of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its id in COCO files.
    pub id: u64,
    /// The label.
    pub name: String,
    /// COCO's name for what it belongs to.
    #[serde(default)]
    pub supercategory: String,
}

/// A file of instances.
#[derive(Clone, Serialize)]
pub(crate) struct WrittenInstances<'d> {
    pub(crate) info: Info<'d>,
    licenses: [(); 0],
    pub(crate) images: Vec<WrittenImage<'d>>,
    pub(crate) annotations: Vec<WrittenAnnotation>,
    pub(crate) categories: Cow<'d, [Category]>,
}

impl WrittenInstances<'_> {
    /// A file without an image that says of itself what `description` says.
    pub(crate) fn new(description: &'static str) -> Self {
        Self {
            info: Info { description, version: env!("CARGO_PKG_VERSION"), models: None },
            licenses: [],
            images: Vec::new(),
            annotations: Vec::new(),
            categories: Cow::default(),
        }
    }
}

/// Who made the file.
#[derive(Clone, Serialize)]
pub(crate) struct Info<'d> {
    description: &'static str,
    version: &'static str,
    /// What answered: the model of each run. Not part of COCO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<&'d [String]>,
}

#[derive(Clone, Serialize)]
pub(crate) struct WrittenImage<'d> {
    pub(crate) id: u64,
    pub(crate) file_name: &'d str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Not part of COCO; readers ignore what they do not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<AnswerStatus>,
}

#[derive(Clone, Serialize)]
pub(crate) struct WrittenAnnotation {
    pub(crate) id: u64,
    pub(crate) image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    pub(crate) area: f64,
    pub(crate) iscrowd: u8,
    segmentation: [(); 0],
}

impl WrittenAnnotation {
    /// A single object whose area is that of its box.
    pub(crate) fn new(id: u64, image_id: u64, category_id: u64, bbox: &BBox) -> Self {
        let (bbox, area) = (xywh(bbox), bbox.area());
        Self { id, image_id, category_id, bbox, area, iscrowd: 0, segmentation: [] }
    }
}

/// One element of a results file.
#[derive(Serialize)]
pub(crate) struct WrittenResult {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    score: f64,
}

impl WrittenResult {
    /// A box of an image and a category.
    pub(crate) fn new(image_id: u64, category_id: u64, bbox: &BBox, score: f64) -> Self {
        Self { image_id, category_id, bbox: xywh(bbox), score }
    }
}

fn xywh(bbox: &BBox) -> [f64; 4] {
    [bbox.x0, bbox.y0, bbox.width(), bbox.height()]
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
        assert!(
            serde_json::from_str::<Id>("1.5").unwrap_err().to_string().contains("whole number")
        );
    }
}
