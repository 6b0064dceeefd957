//! Answers that point at things.
//!
//! In: the text of an answer without boxes. Out: its points in pixels of its view, or none at all.
//! Promises: an answer is read as points only if all of it is well-formed JSON, bare or in one code
//! fence, and every object in it is one: `{"point": [y, x], "label": "cat"}`, several under
//! `points`, or a list of such objects under one key. A point beyond the view, or of another scale
//! than the rules say, makes the whole answer no answer of points.

use serde_json::{Map, Value};

use super::text::plain_text;
use crate::record::{BBox, CoordinateOrder, FoundPoint, Rules};

/// Keys of one point, and of several.
const POINT: [&str; 3] = ["point", "point_2d", "point2d"];
const POINTS: &str = "points";
/// Keys of the word for it.
const LABEL: [&str; 3] = ["label", "name", "class"];
/// The word for a thing of which the answer says none, if the question named no sole label.
const DEFAULT_LABEL: &str = "object";

/// The points of an answer about `view`; `None` if it is not such an answer.
pub(super) fn read(
    text: &str,
    view: &BBox,
    rules: &Rules,
    default_label: Option<&str>,
) -> Option<Vec<FoundPoint>> {
    let text = plain_text(text);
    let value: Value = serde_json::from_str(json_of(&text)?).ok()?;
    let mut found = Vec::new();
    collect(&value, &mut found)?;
    let (width, height) = (view.width(), view.height());
    let [high, wide] = rules.coordinates.extent(height, width);
    let in_pixels = |([first, second], label): ([f64; 2], Option<&str>)| {
        let (y, x) = match rules.order {
            CoordinateOrder::Yxyx => (first, second),
            CoordinateOrder::Xyxy => (second, first),
        };
        let fits = (0.0..=high).contains(&y) && (0.0..=wide).contains(&x);
        let label = label.or(default_label).unwrap_or(DEFAULT_LABEL).to_owned();
        let (x, y) = (view.x0 + x / wide * width, view.y0 + y / high * height);
        fits.then_some(FoundPoint { label, x, y })
    };
    let points: Option<Vec<FoundPoint>> = found.into_iter().map(in_pixels).collect();
    points.filter(|points| !points.is_empty())
}

/// The JSON of a text: all of it, or all that stands in its one fence.
fn json_of(text: &str) -> Option<&str> {
    let mut parts = text.split("```");
    let before = parts.next()?.trim();
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Some(before),
        (Some(fenced), _, None) => {
            let json = fenced.trim_start();
            Some(json.strip_prefix("json").unwrap_or(json))
        }
        _ => None,
    }
}

/// Takes up the points of a value; `None` if something in it is none.
fn collect<'v>(value: &'v Value, found: &mut Vec<([f64; 2], Option<&'v str>)>) -> Option<()> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| match item {
            Value::Object(object) => one(object, found),
            _ => None,
        }),
        Value::Object(object) => match object.values().next() {
            Some(list @ Value::Array(items))
                if object.len() == 1 && items.iter().all(Value::is_object) =>
            {
                collect(list, found)
            }
            _ => one(object, found),
        },
        _ => None,
    }
}

/// Takes up the points of one object.
fn one<'v>(
    object: &'v Map<String, Value>,
    found: &mut Vec<([f64; 2], Option<&'v str>)>,
) -> Option<()> {
    let label = LABEL.iter().find_map(|key| object.get(*key)?.as_str());
    let label = label.map(str::trim).filter(|label| !label.is_empty());
    if let Some(point) = POINT.iter().find_map(|key| object.get(*key)) {
        found.push((pair(point)?, label));
        return Some(());
    }
    let points = object.get(POINTS)?.as_array()?;
    points.iter().try_for_each(|point| {
        found.push((pair(point)?, label));
        Some(())
    })
}

/// Two finite numbers.
fn pair(value: &Value) -> Option<[f64; 2]> {
    let [first, second] = value.as_array()?.as_slice() else { return None };
    Some([first.as_f64()?, second.as_f64()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CoordinateScale;

    fn points(text: &str) -> Option<Vec<(String, f64, f64)>> {
        let view = BBox { x0: 100.0, y0: 0.0, x1: 300.0, y1: 100.0 };
        let read = read(text, &view, &Rules::default(), None)?;
        Some(read.into_iter().map(|point| (point.label, point.x, point.y)).collect())
    }

    #[test]
    fn every_usual_form_is_read() {
        let cat = ("cat".to_owned(), 200.0, 25.0);
        for text in [
            r#"[{"point": [250, 500], "label": "cat"}]"#,
            "```json\n[{\"point\": [250, 500], \"label\": \"cat\"}]\n```",
            r#"{"point": [250, 500], "label": "cat"}"#,
            r#"{"points": [{"point_2d": [250.0, 500], "name": " cat "}]}"#,
            r#"[{"points": [[250, 500]], "label": "cat"}]"#,
            "<think>hm</think>Here:\n```\n[{\"point\": [250, 500], \"label\": \"cat\"}]```\nDone.",
        ] {
            assert_eq!(points(text), Some(vec![cat.clone()]), "{text}");
        }
        let two = points(r#"[{"point": [0, 0]}, {"point": [1000, 1000], "label": "b"}]"#).unwrap();
        assert_eq!(two, [("object".to_owned(), 100.0, 0.0), ("b".to_owned(), 300.0, 100.0)]);
    }

    #[test]
    fn what_is_not_all_points_is_none() {
        for text in [
            "[]",
            "{}",
            "a cat at [1, 2]",
            r#"[{"point": [1, 2, 3], "label": "cat"}]"#,
            r#"[{"point": [1, 2], "label": "cat"}, {"label": "dog"}]"#,
            r#"[{"point": [1, 1001], "label": "cat"}]"#,
            r#"[{"point": [-1, 1], "label": "cat"}]"#,
            r#"[{"point": ["1", "2"], "label": "cat"}]"#,
            r#"[{"point": [1, 2], "label": "cat"}"#,
            r"[[1, 2]]",
            "```\n[{\"point\": [1, 2]}]\n```\n```\n[{\"point\": [3, 4]}]\n```",
        ] {
            assert_eq!(points(text), None, "{text}");
        }
    }

    #[test]
    fn the_order_and_the_scale_are_those_of_the_rules() {
        let view = BBox::whole(200, 100);
        let rules = Rules {
            order: CoordinateOrder::Xyxy,
            coordinates: CoordinateScale::Pixels,
            ..Rules::default()
        };
        let found = read(r#"[{"point": [150, 50]}]"#, &view, &rules, Some("dog")).unwrap();
        assert_eq!(found, [FoundPoint { label: "dog".into(), x: 150.0, y: 50.0 }]);
        assert!(read(r#"[{"point": [50, 150]}]"#, &view, &rules, None).is_none());
    }
}
