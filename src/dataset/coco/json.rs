//! The JSON of COCO instances and results, as it is read.
//!
//! The format is that of cocodataset.org/#format-data: boxes are `[x, y, width, height]` in pixels.
//! Any field may be missing, and there may be more.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::super::model::Outline;

/// An id: a whole number or a string. `7`, `7.0` and `"7"` are the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(Written);

/// An id as it is kept: a file has millions, and a number needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Written {
    /// One that is written as such a number is.
    Number(u64),
    Text(Box<str>),
}

impl Id {
    /// The id that is that number.
    pub(super) fn of(number: u64) -> Self {
        Self(Written::Number(number))
    }

    fn of_text(text: &str) -> Self {
        let number = text.parse().ok().filter(|number: &u64| number.to_string() == text);
        Self(number.map_or_else(|| Written::Text(text.into()), Written::Number))
    }

    /// The number, if it is a whole one that is not negative.
    pub(super) fn number(&self) -> Option<u64> {
        match &self.0 {
            Written::Number(number) => Some(*number),
            Written::Text(text) => text.parse().ok(),
        }
    }

    /// Numbers before texts, both ascending.
    fn sort_key(&self) -> (bool, i128, &str) {
        match &self.0 {
            Written::Number(number) => (false, i128::from(*number), ""),
            Written::Text(text) => {
                let number = text.parse::<i128>();
                (number.is_err(), number.unwrap_or(0), text)
            }
        }
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
        match &self.0 {
            Written::Number(number) => number.fmt(f),
            Written::Text(text) => f.write_str(text),
        }
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
                Ok(Id::of(id))
            }
            fn visit_i64<E: de::Error>(self, id: i64) -> Result<Id, E> {
                Ok(Id::of_text(&id.to_string()))
            }
            fn visit_f64<E: de::Error>(self, id: f64) -> Result<Id, E> {
                // Of a whole number, no matter how large, this writes the digits alone.
                Ok(Id::of_text(&id.to_string()))
            }
            fn visit_str<E: de::Error>(self, id: &str) -> Result<Id, E> {
                Ok(Id::of_text(id))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A value that may be of a type that the format does not know: it is a problem of its entry, and
/// not of the whole file. Numbers and truth values may stand in quotes.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum Lenient<T> {
    #[default]
    Missing,
    Is(T),
    /// In words.
    Other(String),
}

impl<T> Lenient<T> {
    /// The value, `None` if there is none.
    ///
    /// # Errors
    /// What stands there instead.
    pub(super) fn get(self) -> Result<Option<T>, String> {
        match self {
            Self::Missing => Ok(None),
            Self::Is(value) => Ok(Some(value)),
            Self::Other(words) => Err(words),
        }
    }
}

/// A visitor that takes scalars by `of`, and the rest as [`Lenient::Other`].
struct Scalar<T>(fn(Word<'_>) -> Option<T>);

/// One scalar of JSON.
enum Word<'w> {
    Number(f64),
    Bool(bool),
    Text(&'w str),
}

impl<'de, T> de::Visitor<'de> for Scalar<T> {
    type Value = Lenient<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Lenient::Missing)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok((self.0)(Word::Bool(value))
            .map_or_else(|| Lenient::Other(value.to_string()), Lenient::Is))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_f64(value as f64)
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_f64(value as f64)
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        let taken = (self.0)(Word::Number(value));
        Ok(taken.map_or_else(|| Lenient::Other(value.to_string()), Lenient::Is))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        let taken = (self.0)(Word::Text(value));
        Ok(taken.map_or_else(|| Lenient::Other(format!("{value:?}")), Lenient::Is))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Lenient::Other("a list".to_owned()))
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(Lenient::Other("an object".to_owned()))
    }
}

/// A number.
pub(crate) type Number = Lenient<f64>;

impl<'de> Deserialize<'de> for Lenient<f64> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar(|word| match word {
            Word::Number(number) => Some(number),
            Word::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Word::Bool(_) => None,
        }))
    }
}

impl<'de> Deserialize<'de> for Lenient<bool> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar(|word| match word {
            Word::Bool(flag) => Some(flag),
            // Exactly 0 or 1: other numbers are no flags.
            Word::Number(number) if number.to_bits() == 1.0_f64.to_bits() => Some(true),
            Word::Number(number) if number.abs().to_bits() == 0 => Some(false),
            Word::Number(_) => None,
            Word::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "0" | "false" | "" => Some(false),
                "1" | "true" => Some(true),
                _ => None,
            },
        }))
    }
}

impl<'de> Deserialize<'de> for Lenient<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar(|word| match word {
            Word::Text(text) => Some(text.to_owned()),
            Word::Number(number) => Some(number.to_string()),
            Word::Bool(_) => None,
        }))
    }
}

/// A list of numbers; what is none of them is NaN.
pub(crate) struct Numbers(pub(crate) Vec<f64>);

impl<'de> Deserialize<'de> for Lenient<Numbers> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Lenient<Numbers>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Lenient::Missing)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Self::Value, A::Error> {
                let mut numbers = Vec::with_capacity(4);
                while let Some(number) = list.next_element::<Number>()? {
                    numbers.push(if let Lenient::Is(number) = number { number } else { f64::NAN });
                }
                Ok(Lenient::Is(Numbers(numbers)))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Lenient::Other(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Lenient::Other(value.to_string()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Lenient::Other(value.to_string()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Lenient::Other(value.to_string()))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Lenient::Other(format!("{value:?}")))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(Lenient::Other("an object".to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// COCO's `segmentation`: polygons (one that stands by itself, as some tools have it, too), or the
/// code of a mask (also as the one element of a list). What is neither is no polygon at all.
#[derive(Default)]
pub(super) struct Segmentation(pub(super) Option<Box<Outline>>);

impl Segmentation {
    /// One that is neither: no polygon.
    fn odd() -> Self {
        Self(Some(Box::new(Outline::Polygons(Vec::new()))))
    }
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// An element of the list.
        enum Part {
            Polygon(Vec<f64>),
            Number(f64),
            Mask(Map<String, Value>),
        }
        impl<'de> Deserialize<'de> for Part {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = Part;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a polygon or a number")
                    }
                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Part, E> {
                        Ok(Part::Number(value as f64))
                    }
                    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Part, E> {
                        Ok(Part::Number(value as f64))
                    }
                    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Part, E> {
                        Ok(Part::Number(value))
                    }
                    fn visit_unit<E: de::Error>(self) -> Result<Part, E> {
                        Ok(Part::Number(f64::NAN))
                    }
                    fn visit_str<E: de::Error>(self, value: &str) -> Result<Part, E> {
                        Ok(Part::Number(value.parse().unwrap_or(f64::NAN)))
                    }
                    fn visit_seq<A: de::SeqAccess<'de>>(
                        self,
                        mut list: A,
                    ) -> Result<Part, A::Error> {
                        let mut numbers = Vec::new();
                        while let Some(part) = list.next_element::<Part>()? {
                            match part {
                                Part::Number(number) => numbers.push(number),
                                // Points as pairs.
                                Part::Polygon(point) => numbers.extend(point),
                                Part::Mask(_) => numbers.push(f64::NAN),
                            }
                        }
                        numbers.shrink_to_fit();
                        Ok(Part::Polygon(numbers))
                    }
                    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
                        let map = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
                        Ok(if map.contains_key("counts") {
                            Part::Mask(map)
                        } else {
                            Part::Number(f64::NAN)
                        })
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Segmentation;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("polygons or a mask")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Segmentation, E> {
                Ok(Segmentation(None))
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Segmentation, E> {
                Ok(Segmentation::odd())
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Segmentation, E> {
                Ok(Segmentation::odd())
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Segmentation, E> {
                Ok(Segmentation::odd())
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Segmentation, E> {
                Ok(Segmentation::odd())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Segmentation, E> {
                let text = Some(text).filter(|text| !text.is_empty());
                Ok(Segmentation(text.map(|text| Box::new(Outline::Mask(text.into())))))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Self::Value, A::Error> {
                let (mut polygons, mut single, mut masks) = (Vec::new(), Vec::new(), Vec::new());
                while let Some(part) = list.next_element()? {
                    match part {
                        Part::Polygon(polygon) => polygons.push(polygon),
                        Part::Number(number) => single.push(number),
                        Part::Mask(mask) => masks.push(mask),
                    }
                }
                if !single.is_empty() {
                    polygons.push(single);
                }
                polygons.retain(|polygon| !polygon.is_empty());
                polygons.shrink_to_fit();
                let are_numbers = polygons.iter().flatten().all(|number| number.is_finite());
                Ok(match (masks.pop(), masks.is_empty()) {
                    (None, _) if polygons.is_empty() => Segmentation(None),
                    (None, _) if are_numbers => {
                        Segmentation(Some(Box::new(Outline::Polygons(polygons))))
                    }
                    (Some(mask), true) if polygons.is_empty() => {
                        Segmentation(Some(Box::new(Outline::Mask(mask.into()))))
                    }
                    _ => Segmentation::odd(),
                })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let mask = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Segmentation(Some(Box::new(Outline::Mask(mask.into())))))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A `T` that is written as an object: a list of its values would be read as one, too.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with images, annotations and categories")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A list of millions, in pieces: the memory of those that are read out of it is free for others.
pub(super) struct Pieces<T>(Vec<Vec<T>>);

impl<T> Pieces<T> {
    /// The most elements of a piece.
    const LENGTH: usize = 4096;

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

impl<T> IntoIterator for Pieces<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Vec<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pieces<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Pieces<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Self::Value, A::Error> {
                let (mut pieces, mut piece) = (Vec::new(), Vec::new());
                while let Some(element) = list.next_element()? {
                    piece.push(element);
                    if piece.len() == Pieces::<T>::LENGTH {
                        pieces.push(std::mem::take(&mut piece));
                    }
                }
                pieces.push(piece);
                Ok(Pieces(pieces))
            }
        }
        deserializer.deserialize_seq(Visitor(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
pub(super) struct RawInstances {
    pub(super) images: Option<Vec<RawImage>>,
    pub(super) annotations: Option<Pieces<RawAnnotation>>,
    pub(super) categories: Option<Vec<RawCategory>>,
    pub(super) info: Option<Value>,
    pub(super) licenses: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct RawImage {
    pub(super) id: Option<Id>,
    #[serde(default)]
    pub(super) file_name: Lenient<String>,
    #[serde(default)]
    pub(super) width: Number,
    #[serde(default)]
    pub(super) height: Number,
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct RawAnnotation {
    pub(super) id: Option<Id>,
    pub(super) image_id: Option<Id>,
    pub(super) category_id: Option<Id>,
    #[serde(default)]
    pub(super) bbox: Lenient<Numbers>,
    #[serde(default)]
    pub(super) area: Number,
    #[serde(default)]
    pub(super) iscrowd: Lenient<bool>,
    #[serde(default)]
    pub(super) score: Number,
    #[serde(default)]
    pub(super) segmentation: Segmentation,
    #[serde(flatten, deserialize_with = "if_any")]
    pub(super) more: Option<Box<Map<String, Value>>>,
}

/// The fields that are left, if there are any.
fn if_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<Map<String, Value>>>, D::Error> {
    let fields = Map::deserialize(deserializer)?;
    Ok((!fields.is_empty()).then(|| Box::new(fields)))
}

#[derive(Deserialize)]
#[serde(expecting = "a category: an object with id and name")]
pub(super) struct RawCategory {
    pub(super) id: Option<Id>,
    #[serde(default)]
    pub(super) name: Lenient<String>,
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

/// One element of a results file.
#[derive(Deserialize)]
pub(crate) struct RawResult {
    pub(crate) image_id: Option<Id>,
    pub(crate) category_id: Option<Id>,
    #[serde(default)]
    pub(crate) bbox: Lenient<Numbers>,
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
        let odd: Vec<Id> = serde_json::from_str("[1.5, 1180591620717411303424]").unwrap();
        assert_eq!(odd.iter().map(Id::number).collect::<Vec<_>>(), [None, None]);
    }
}
