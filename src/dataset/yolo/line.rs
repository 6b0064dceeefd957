//! One line of a label file.
//!
//! In: its text. Out: the class and the box, in parts of the image's size. Promises: a box, the
//! corners of an outline, and a box with keypoints are told apart; the rest is refused with the
//! reason.

use crate::record::BBox;

/// What parts of the image's size may exceed 1 by, as rounding; more is no part of anything.
const ROUNDING: f64 = 0.01;

/// The shape that a line describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Box,
    /// A polygon, or the corners of a turned box.
    Outline,
    /// A box, and keypoints behind it.
    Pose,
}

/// Class, box in parts of the image, and what the line describes; `None` for an empty line. If
/// there are `keypoints`, that many numbers follow the box, and may be anything (how visible a
/// point is among them).
pub(super) fn parse_line(
    line: &str,
    classes: usize,
    keypoints: Option<usize>,
) -> Result<Option<(usize, BBox, Shape)>, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let Some((class, rest)) = fields.split_first() else { return Ok(None) };
    // Some tools write the class as 3.0.
    let class = class.strip_suffix(".0").unwrap_or(class);
    let category: usize =
        class.parse().map_err(|_| format!("{class:?} is not the number of a class"))?;
    if category >= classes {
        return Err(format!("class {category} has no name: there are {classes}, counted from 0"));
    }
    if let Some(keypoints) = keypoints.filter(|keypoints| ![4, 4 + keypoints].contains(&rest.len()))
    {
        return Err(format!(
            "{} fields; a box with its keypoints has {} (kpt_shape)",
            fields.len(),
            5 + keypoints
        ));
    }
    let is_pose = keypoints.is_some() && rest.len() > 4;
    let rest = if is_pose { &rest[..4] } else { rest };
    let mut numbers = Vec::with_capacity(rest.len());
    for field in rest {
        let number: f64 = field.parse().map_err(|_| format!("{field:?} is not a number"))?;
        if !(-ROUNDING..=1.0 + ROUNDING).contains(&number) {
            return Err(format!("{field} is not a part of the image's size (0 to 1)"));
        }
        numbers.push(number);
    }
    match numbers.as_slice() {
        [x, y, w, h] if *w > 0.0 && *h > 0.0 => {
            let bbox = BBox { x0: x - w / 2.0, y0: y - h / 2.0, x1: x + w / 2.0, y1: y + h / 2.0 };
            Ok(Some((category, bbox, if is_pose { Shape::Pose } else { Shape::Box })))
        }
        [_, _, w, h] => Err(format!("a box of the size {w} x {h}")),
        outline if outline.len() >= 6 && outline.len().is_multiple_of(2) => {
            let axis = |from: usize| outline[from..].iter().step_by(2).copied();
            let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
            let bbox = BBox {
                x0: axis(0).fold(least, f64::min),
                y0: axis(1).fold(least, f64::min),
                x1: axis(0).fold(most, f64::max),
                y1: axis(1).fold(most, f64::max),
            };
            Ok(Some((category, bbox, Shape::Outline)))
        }
        _ => Err(format!(
            "{} fields; a box has 5: class x_center y_center width height",
            fields.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused_with_the_reason() {
        let (category, bbox, shape) = parse_line("1 0.5 0.5 0.5 1", 2, None).unwrap().unwrap();
        assert_eq!(
            (category, <[f64; 4]>::from(bbox), shape),
            (1, [0.25, 0.0, 0.75, 1.0], Shape::Box)
        );
        let (_, bbox, shape) = parse_line("0.0 0.1 0.2 0.5 0.1 0.3 0.9", 2, None).unwrap().unwrap();
        assert_eq!((<[f64; 4]>::from(bbox), shape), ([0.1, 0.1, 0.5, 0.9], Shape::Outline));
        // How visible a point is may be 2; that it lies elsewhere does not move the box.
        let (_, bbox, shape) =
            parse_line("0 0.5 0.5 0.5 1 0.9 0.9 2", 2, Some(3)).unwrap().unwrap();
        assert_eq!((<[f64; 4]>::from(bbox), shape), ([0.25, 0.0, 0.75, 1.0], Shape::Pose));
        assert_eq!(parse_line("0 0.5 0.5 0.5 1", 2, Some(3)).unwrap().unwrap().2, Shape::Box);
        assert!(parse_line("0 0.5 0.5 0.5 1 0.9", 2, Some(3)).unwrap_err().contains("6 fields"));
        assert_eq!(parse_line("  ", 2, None), Ok(None));
        for (line, reason) in [
            ("2 0.5 0.5 1 1", "class 2 has no name"),
            ("dog 0.5 0.5 1 1", "not the number of a class"),
            ("0 0.5 0.5 x 1", "\"x\" is not a number"),
            ("0 100 50 20 20", "not a part of the image's size"),
            ("0 0.5 0.5 nan 1", "not a part"),
            ("0 0.5 0.5 0 1", "a box of the size 0 x 1"),
            ("0 0.5 0.5 0.1 0.1 0.9", "6 fields"),
        ] {
            let error = parse_line(line, 2, None).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
