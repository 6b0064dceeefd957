//! How an answer is read: the kind of answer, and the unit and order of its numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The kind of answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// Boxes: without any, the answer says "nothing" or is a refusal.
    #[default]
    Boxes,
    /// Words: a caption, a count, a yes or no.
    Text,
}

impl AnswerKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Boxes, Self::Text];

    /// The kind's name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boxes => "boxes",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for AnswerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AnswerKind {
    type Err = UnknownAnswerKind;

    fn from_str(name: &str) -> Result<Self, UnknownAnswerKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownAnswerKind(name.to_owned()))
    }
}

/// Not an [`AnswerKind`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no kind of answer; there are: boxes, text")]
pub struct UnknownAnswerKind(String);

/// The unit of coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum CoordinateScale {
    /// Thousandths of the view's width and height, as Gemma and Gemini are trained to write them.
    #[default]
    #[serde(rename = "1000")]
    Thousand,
    /// Shares of the view's width and height, 0 to 1.
    #[serde(rename = "1")]
    One,
    /// Pixels of the view.
    #[serde(rename = "pixels")]
    Pixels,
}

impl CoordinateScale {
    /// Every scale.
    pub const ALL: [Self; 3] = [Self::Thousand, Self::One, Self::Pixels];

    /// The scale's name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thousand => "1000",
            Self::One => "1",
            Self::Pixels => "pixels",
        }
    }
}

impl fmt::Display for CoordinateScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CoordinateScale {
    type Err = UnknownCoordinates;

    fn from_str(name: &str) -> Result<Self, UnknownCoordinates> {
        let unknown = || UnknownCoordinates { name: name.to_owned(), known: "1000, 1, pixels" };
        Self::ALL.into_iter().find(|scale| scale.as_str() == name).ok_or_else(unknown)
    }
}

/// The order of the four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoordinateOrder {
    /// `[ymin, xmin, ymax, xmax]`, as Gemma and Gemini write them.
    #[default]
    Yxyx,
    /// `[xmin, ymin, xmax, ymax]`, as most other models do.
    Xyxy,
}

impl CoordinateOrder {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::Yxyx, Self::Xyxy];

    /// The order's name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yxyx => "yxyx",
            Self::Xyxy => "xyxy",
        }
    }
}

impl fmt::Display for CoordinateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CoordinateOrder {
    type Err = UnknownCoordinates;

    fn from_str(name: &str) -> Result<Self, UnknownCoordinates> {
        let unknown = || UnknownCoordinates { name: name.to_owned(), known: "yxyx, xyxy" };
        Self::ALL.into_iter().find(|order| order.as_str() == name).ok_or_else(unknown)
    }
}

/// Not a [`CoordinateScale`], or not a [`CoordinateOrder`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{name:?} is unknown; there are: {known}")]
pub struct UnknownCoordinates {
    name: String,
    known: &'static str,
}

/// How answers are read: the boxes of a record depend on these rules and the text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Boxes of several views are one object if their overlap is at least this share of the smaller
    /// one's area.
    pub join: f64,
    /// The unit and order of the numbers of a box.
    #[serde(default)]
    pub coordinates: CoordinateScale,
    /// The order of the four numbers of a box.
    #[serde(default)]
    pub order: CoordinateOrder,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            join: 0.5,
            coordinates: CoordinateScale::default(),
            order: CoordinateOrder::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for scale in CoordinateScale::ALL {
            assert_eq!(scale.to_string().parse(), Ok(scale));
            assert_eq!(serde_json::to_value(scale).unwrap(), scale.as_str());
        }
        for order in CoordinateOrder::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
            assert_eq!(serde_json::to_value(order).unwrap(), order.as_str());
        }
        let error = "100".parse::<CoordinateScale>().unwrap_err().to_string();
        assert_eq!(error, "\"100\" is unknown; there are: 1000, 1, pixels");
    }
}
