//! One line of a label file.
//!
//! In: its text. Out: the class and the box, in parts of the image's size. Promises: a box, the
//! corners of an outline, and a box with keypoints are told apart, each with a confidence behind it
//! or not; the rest is refused with the reason.

use crate::record::BBox;

/// By how much a share of the image's size may exceed 1, for rounding.
const ROUNDING: f64 = 0.01;

/// The shape that a line describes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Box,
    /// A polygon, or the corners of a turned box: `x, y, x, y ...` in parts of the image.
    Outline(Vec<f64>),
    /// A box, and keypoints behind it.
    Pose,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) class: usize,
    /// In parts of the image.
    pub(super) bbox: BBox,
    pub(super) shape: Shape,
    /// How sure its maker is.
    pub(super) score: Option<f64>,
}

/// The content of a line; `None` for an empty one. If there are `keypoints`, that many numbers
/// follow the box, and may be anything (how visible a point is among them).
pub(super) fn parse_line(
    line: &str,
    names: &[String],
    keypoints: Option<usize>,
) -> Result<Option<Line>, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.is_empty() {
        return Ok(None);
    }
    let (class, rest) = class_of(&fields, names)?;
    let mut rest = rest;
    let mut score = None;
    let mut is_pose = false;
    if let Some(keypoints) = keypoints {
        let (plain, pose) = (4, 4 + keypoints);
        is_pose = rest.len() >= pose;
        if [plain + 1, pose + 1].contains(&rest.len()) {
            score = Some(confidence(rest[rest.len() - 1])?);
        } else if ![plain, pose].contains(&rest.len()) {
            let wanted = 5 + keypoints;
            return Err(format!(
                "{} fields; a box with its keypoints has {wanted} (kpt_shape)",
                fields.len()
            ));
        }
        rest = &rest[..4];
    } else if rest.len() >= 5 && !rest.len().is_multiple_of(2) {
        // Predictions of Ultralytics have their confidence last.
        score = Some(confidence(rest[rest.len() - 1])?);
        rest = &rest[..rest.len() - 1];
    }
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
            let (x0, y0, x1, y1) = (x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0);
            let out = [x0, y0].iter().any(|edge| *edge < -ROUNDING)
                || [x1, y1].iter().any(|edge| *edge > 1.0 + ROUNDING);
            if score.is_some() && !is_pose && out {
                return Err("6 fields, which are read as class x_center y_center width height \
                            confidence, and that box reaches out of the image: is the confidence \
                            not the last?"
                    .to_owned());
            }
            let shape = if is_pose { Shape::Pose } else { Shape::Box };
            Ok(Some(Line { class, bbox: BBox { x0, y0, x1, y1 }, shape, score }))
        }
        [_, _, w, h] => Err(format!("a box of the size {w} x {h}")),
        outline if outline.len() >= 6 => {
            let axis = |from: usize| outline[from..].iter().step_by(2).copied();
            let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
            let bbox = BBox {
                x0: axis(0).fold(least, f64::min),
                y0: axis(1).fold(least, f64::min),
                x1: axis(0).fold(most, f64::max),
                y1: axis(1).fold(most, f64::max),
            };
            Ok(Some(Line { class, bbox, shape: Shape::Outline(numbers), score }))
        }
        _ => Err(format!(
            "{} fields; a box has 5: class x_center y_center width height",
            fields.len()
        )),
    }
}

/// The class that a line begins with, and the fields behind it. Some tools write its name, which
/// may be of several words.
fn class_of<'f>(fields: &'f [&'f str], names: &[String]) -> Result<(usize, &'f [&'f str]), String> {
    let (first, rest) = (fields[0], &fields[1..]);
    // Some tools write the class as 3.0.
    let number = first.strip_suffix(".0").unwrap_or(first);
    if let Ok(class) = number.parse::<usize>() {
        return if class < names.len() {
            Ok((class, rest))
        } else {
            let count = names.len();
            Err(format!("class {class} has no name: there are {count}, counted from 0"))
        };
    }
    for words in 1..fields.len().saturating_sub(3) {
        let name = fields[..words].join(" ");
        if let Some(class) = names.iter().position(|known| *known == name) {
            return Ok((class, &fields[words..]));
        }
    }
    Err(format!("{first:?} is neither the number nor the name of a class"))
}

fn confidence(field: &str) -> Result<f64, String> {
    let number: f64 = field.parse().map_err(|_| format!("{field:?} is not a number"))?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{field} behind the box is no confidence (0 to 1)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused_with_the_reason() {
        let names = ["cat".to_owned(), "Human face".to_owned()];
        let read = |line: &str, keypoints| parse_line(line, &names, keypoints).unwrap().unwrap();
        let corners = |line: &Line| <[f64; 4]>::from(line.bbox);
        let line = read("1 0.5 0.5 0.5 1", None);
        assert_eq!((line.class, corners(&line)), (1, [0.25, 0.0, 0.75, 1.0]));
        assert_eq!((line.shape, line.score), (Shape::Box, None));
        let line = read("0.0 0.1 0.2 0.5 0.1 0.3 0.9", None);
        assert_eq!(line.bbox, BBox { x0: 0.1, y0: 0.1, x1: 0.5, y1: 0.9 });
        assert!(matches!(line.shape, Shape::Outline(points) if points.len() == 6));
        // How visible a point is may be 2; that it lies elsewhere does not move the box.
        let line = read("0 0.5 0.5 0.5 1 0.9 0.9 2", Some(3));
        assert_eq!((corners(&line), &line.shape), ([0.25, 0.0, 0.75, 1.0], &Shape::Pose));
        assert_eq!(read("0 0.5 0.5 0.5 1", Some(3)).shape, Shape::Box);
        assert!(
            parse_line("0 0.5 0.5 0.5 1 0.9 1", &names, Some(3)).unwrap_err().contains("7 fields")
        );
        // Predictions.
        assert_eq!(read("0 0.5 0.5 0.5 1 0.9", None).score, Some(0.9));
        assert_eq!(read("0 0.5 0.5 0.5 1 0.9 0.9 2 0.7", Some(3)).score, Some(0.7));
        let line = read("0 .1 .1 .4 .1 .4 .6 0.9", None);
        assert_eq!((line.score, corners(&line)), (Some(0.9), [0.1, 0.1, 0.4, 0.6]));
        assert_eq!(read("Human face 0.5 0.5 0.5 1", None).class, 1);
        assert_eq!(parse_line("  ", &names, None), Ok(None));
        for (line, reason) in [
            ("2 0.5 0.5 1 1", "class 2 has no name"),
            ("dog 0.5 0.5 1 1", "neither the number nor the name of a class"),
            ("-1 0.5 0.5 1 1", "neither the number nor the name of a class"),
            ("0 0.5 0.5 x 1", "\"x\" is not a number"),
            ("0 100 50 20 20", "not a part of the image's size"),
            ("0 0.5 0.5 nan 1", "not a part"),
            ("0 0.5 0.5 0 1", "a box of the size 0 x 1"),
            ("0 0.5 0.5 0.1 0.1 1.9", "1.9 behind the box is no confidence"),
            ("0 0.87 0.5 0.5 0.2 0.25", "is the confidence not the last?"),
            ("0 0.5 0.5 0.1", "4 fields"),
        ] {
            let error = parse_line(line, &names, None).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
