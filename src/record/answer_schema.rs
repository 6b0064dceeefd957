//! Structured answers about whole images: which fields they have.
//!
//! In: a JSON schema of one object. Out: its fields; the schema that holds a model to them; the
//! values of an answer. Promises: a keyword that is not supported is an error that names it and its
//! place, so that no rule of a schema is passed over; every field has a value in every answer.
//!
//! Supported: an object whose properties are strings (`maxLength`), times (`"pattern":
//! "^[0-9]{2,3}:[0-5][0-9]$"`, minutes and seconds), one of several words (`enum`), booleans,
//! integers and numbers (`minimum`, `maximum`), and lists (`maxItems`) of words, strings, times, or
//! objects of these kinds; `title`, `description` and `$schema` may stand anywhere.
//!
//! ```
//! use gemscope::record::AnswerSchema;
//!
//! let schema: AnswerSchema = serde_json::from_str(r#"{"type": "object", "properties":
//!     {"weather": {"enum": ["sun", "rain"]}, "people": {"type": "integer", "minimum": 0}}}"#)?;
//! let read = schema.read(r#"{"weather": "rain", "people": 3}"#).unwrap();
//! assert_eq!(read["people"], 3);
//! assert!(schema.read(r#"{"weather": "fog", "people": 3}"#).is_none());
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The longest text of a field that does not say.
const LONGEST: u64 = 300;
/// The most items of a list that does not say.
const MOST_ITEMS: u64 = 20;
/// The most fields.
const MOST_FIELDS: usize = 64;
/// The pattern of a time, the only one that is supported.
const TIME: &str = "^[0-9]{2,3}:[0-5][0-9]$";
/// Keywords that say nothing about values.
const SAYS_NOTHING: [&str; 5] = ["$schema", "$id", "$comment", "title", "description"];

/// The fields of structured answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct AnswerSchema {
    fields: Vec<(String, Kind)>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text {
        longest: u64,
    },
    /// Minutes and seconds.
    Time,
    Word(Vec<String>),
    Switch,
    Number {
        whole: bool,
        least: Option<f64>,
        most: Option<f64>,
    },
    List {
        of: Box<Kind>,
        least: u64,
        most: u64,
    },
    /// Of a list.
    Object(Vec<(String, Kind)>),
}

impl AnswerSchema {
    /// What happens in a video: a list `events` of `start`, `end` and `what`.
    pub fn events() -> Self {
        let text = Kind::Text { longest: LONGEST };
        let event = [("start", Kind::Time), ("end", Kind::Time), ("what", text)];
        let event = event.map(|(name, kind)| (name.to_owned(), kind)).into();
        let list = Kind::List { of: Box::new(Kind::Object(event)), least: 0, most: MOST_ITEMS };
        Self { fields: vec![("events".to_owned(), list)] }
    }

    /// How many times among the values of an answer cannot be of a video of so many seconds: they
    /// lie behind its end, or an `end` before its `start`.
    pub fn times_outside(&self, values: &Map<String, Value>, seconds: f64) -> usize {
        times_outside(&self.fields, &|name| values.get(name), seconds)
    }

    /// The names of the fields, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The values of an answer, in the order of the fields: its text is JSON, bare or in one code
    /// fence. `None` if a field is missing, or has a value that the schema does not allow.
    pub fn read(&self, text: &str) -> Option<Map<String, Value>> {
        let text = text.trim();
        let json = match text.strip_prefix("```") {
            Some(fenced) => fenced.trim_start_matches("json").split("```").next()?,
            None => text,
        };
        let given: Map<String, Value> = serde_json::from_str(json).ok()?;
        let value = |(name, kind): &(String, Kind)| {
            let value = given.get(name).filter(|value| kind.holds(value))?;
            Some((name.clone(), value.clone()))
        };
        self.fields.iter().map(value).collect()
    }
}

impl Kind {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Text { longest } => {
                value.as_str().is_some_and(|text| text.chars().count() as u64 <= *longest)
            }
            Self::Time => value.as_str().and_then(seconds_of).is_some(),
            Self::Object(fields) => {
                fields.iter().all(|(name, kind)| value.get(name).is_some_and(|own| kind.holds(own)))
            }
            Self::Word(words) => {
                value.as_str().is_some_and(|word| words.iter().any(|known| known == word))
            }
            Self::Switch => value.is_boolean(),
            Self::Number { whole, least, most } => value.as_f64().is_some_and(|number| {
                (!whole || number.fract() == 0.0)
                    && least.is_none_or(|least| number >= least)
                    && most.is_none_or(|most| number <= most)
            }),
            Self::List { of, least, most } => value.as_array().is_some_and(|items| {
                (*least..=*most).contains(&(items.len() as u64))
                    && items.iter().all(|item| of.holds(item))
            }),
        }
    }

    /// How many times in `value` are not of a video of so many seconds. A time is rounded down to a
    /// second, and the last one may be that of the video's end.
    fn times_outside(&self, value: &Value, seconds: f64) -> usize {
        match self {
            Self::Time => {
                let time = value.as_str().and_then(seconds_of);
                usize::from(time.is_some_and(|time| f64::from(time) > seconds.ceil()))
            }
            Self::List { of, .. } => {
                let items = value.as_array().into_iter().flatten();
                items.map(|item| of.times_outside(item, seconds)).sum()
            }
            Self::Object(fields) => times_outside(fields, &|name| value.get(name), seconds),
            _ => 0,
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Time => json!({"type": "string", "pattern": TIME}),
            Self::Object(fields) => object(fields),
            Self::Text { longest } => json!({"type": "string", "maxLength": longest}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Switch => json!({"type": "boolean"}),
            Self::Number { whole, least, most } => {
                let mut schema = json!({"type": if *whole { "integer" } else { "number" }});
                for (key, bound) in [("minimum", least), ("maximum", most)] {
                    if let Some(bound) = bound {
                        // A whole number as it was written: not 3.0.
                        let is_whole = bound.fract() == 0.0 && bound.abs() < 1e15;
                        schema[key] = if is_whole { json!(*bound as i64) } else { json!(*bound) };
                    }
                }
                schema
            }
            Self::List { of, least, most } => json!({
                "type": "array", "items": of.schema(), "minItems": least, "maxItems": most,
            }),
        }
    }

    /// # Errors
    /// What is not supported, with its place.
    fn of(schema: &Value, place: &str) -> Result<Self, String> {
        let Some(keywords) = schema.as_object() else {
            return Err(format!("{place} is no schema: an object is expected"));
        };
        let only = |known: &[&str]| {
            let other = keywords.keys().find(|key| {
                !known.contains(&key.as_str()) && !SAYS_NOTHING.contains(&key.as_str())
            });
            other.map_or(Ok(()), |key| {
                Err(format!(
                    "{place}: {key} is not supported here; there are: {}",
                    known.join(", ")
                ))
            })
        };
        let number = |key: &str| match keywords.get(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(format!("{place}: {key} is no number")),
        };
        let count = |key: &str, usual: u64| match keywords.get(key) {
            None => Ok(usual),
            Some(value) => value.as_u64().ok_or(format!("{place}: {key} is no whole number")),
        };
        if let Some(words) = keywords.get("enum") {
            only(&["enum", "type"])?;
            let words: Option<Vec<String>> = words.as_array().and_then(|words| {
                words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
            });
            let words = words.filter(|words| !words.is_empty());
            let is_text = keywords.get("type").is_none_or(|kind| kind == "string");
            return match words {
                Some(words) if is_text => Ok(Self::Word(words)),
                _ => Err(format!("{place}: an enum is a list of texts")),
            };
        }
        match keywords.get("type").and_then(Value::as_str) {
            Some("string") if keywords.contains_key("pattern") => {
                only(&["type", "pattern"])?;
                if keywords["pattern"] != TIME {
                    return Err(format!("{place}: the only pattern is that of a time, {TIME}"));
                }
                Ok(Self::Time)
            }
            Some("string") => {
                only(&["type", "maxLength", "pattern"])?;
                Ok(Self::Text { longest: count("maxLength", LONGEST)? })
            }
            Some("boolean") => only(&["type"]).map(|()| Self::Switch),
            Some(kind @ ("integer" | "number")) => {
                only(&["type", "minimum", "maximum"])?;
                let (least, most) = (number("minimum")?, number("maximum")?);
                if least.zip(most).is_some_and(|(least, most)| least > most) {
                    return Err(format!("{place}: minimum is more than maximum"));
                }
                Ok(Self::Number { whole: kind == "integer", least, most })
            }
            Some("array") => {
                only(&["type", "items", "minItems", "maxItems"])?;
                let items = keywords.get("items").ok_or(format!("{place}: items is missing"))?;
                let inside = format!("{place}.items");
                let of = if items.get("type").is_some_and(|kind| kind == "object") {
                    Self::Object(fields_of(items, &inside)?)
                } else {
                    Self::of(items, &inside)?
                };
                if !matches!(of, Self::Word(_) | Self::Text { .. } | Self::Time | Self::Object(_)) {
                    return Err(format!(
                        "{inside}: lists are of strings, of times, of an enum or of objects"
                    ));
                }
                let (least, most) = (count("minItems", 0)?, count("maxItems", MOST_ITEMS)?);
                if least > most {
                    return Err(format!("{place}: minItems is more than maxItems"));
                }
                Ok(Self::List { of: Box::new(of), least, most })
            }
            Some(other) => Err(format!(
                "{place}: the type {other} is not supported here; there are: string, boolean, \
                 integer, number, array, and enum without a type"
            )),
            None => Err(format!("{place}: a type or an enum is needed")),
        }
    }
}

/// How many times among the fields of an object are not of a video of so many seconds; an `end`
/// before its `start` is one of them.
fn times_outside<'v>(
    fields: &[(String, Kind)],
    value_of: &dyn Fn(&str) -> Option<&'v Value>,
    seconds: f64,
) -> usize {
    let own = fields.iter().filter_map(|(name, kind)| Some((kind, value_of(name)?)));
    let outside: usize = own.map(|(kind, value)| kind.times_outside(value, seconds)).sum();
    let time = |wanted: &str| {
        fields.iter().find(|(name, kind)| name == wanted && *kind == Kind::Time)?;
        seconds_of(value_of(wanted)?.as_str()?)
    };
    let is_turned = time("start").zip(time("end")).is_some_and(|(start, end)| start > end);
    outside + usize::from(is_turned)
}

/// Minutes and seconds, `mm:ss`, as seconds.
fn seconds_of(time: &str) -> Option<u32> {
    let (minutes, seconds) = time.split_once(':')?;
    let number = |digits: &str, lengths: std::ops::RangeInclusive<usize>| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| plain && lengths.contains(&digits.len()))
    };
    Some(number(minutes, 2..=3)? * 60 + number(seconds, 2..=2).filter(|seconds| *seconds < 60)?)
}

/// The fields of an object's schema; `place` is empty for that of the whole answer.
///
/// # Errors
/// What is not supported, with its place.
fn fields_of(schema: &Value, place: &str) -> Result<Vec<(String, Kind)>, String> {
    const KNOWN: [&str; 4] = ["type", "properties", "required", "additionalProperties"];
    let at =
        |problem: String| if place.is_empty() { problem } else { format!("{place}: {problem}") };
    let keywords = schema.as_object().ok_or_else(|| at("the schema is no object".to_owned()))?;
    let other = keywords
        .keys()
        .find(|key| !KNOWN.contains(&key.as_str()) && !SAYS_NOTHING.contains(&key.as_str()));
    if let Some(key) = other {
        return Err(at(format!("{key} is not supported; there are: {}", KNOWN.join(", "))));
    }
    if keywords.get("type").is_some_and(|kind| kind != "object") {
        return Err(at("the type of the whole answer is object".to_owned()));
    }
    if keywords.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false)) {
        return Err(at("additionalProperties can only be false".to_owned()));
    }
    let properties = keywords.get("properties").and_then(Value::as_object);
    let properties = properties.filter(|properties| !properties.is_empty());
    let properties = properties.ok_or_else(|| at("there are no properties".to_owned()))?;
    if properties.len() > MOST_FIELDS {
        return Err(at(format!("{} properties; at most {MOST_FIELDS}", properties.len())));
    }
    for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !name.as_str().is_some_and(|name| properties.contains_key(name)) {
            return Err(at(format!("required names {name}, which is no property")));
        }
    }
    let before = if place.is_empty() { String::new() } else { format!("{place}.") };
    let field = |(name, schema): (&String, &Value)| {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(at(format!("{name:?} is no name of a property")));
        }
        Ok((name.clone(), Kind::of(schema, &format!("{before}properties.{name}"))?))
    };
    properties.iter().map(field).collect()
}

/// The schema of an object with these fields: all of them, in their order, and no others.
fn object(fields: &[(String, Kind)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, kind)| (name.clone(), kind.schema())).collect();
    let names: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

impl TryFrom<Value> for AnswerSchema {
    type Error = String;

    fn try_from(schema: Value) -> Result<Self, String> {
        Ok(Self { fields: fields_of(&schema, "")? })
    }
}

/// The schema that holds a model to the fields: all of them, in their order, and no others.
impl From<AnswerSchema> for Value {
    fn from(schema: AnswerSchema) -> Self {
        object(&schema.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(properties: &Value) -> Result<AnswerSchema, String> {
        AnswerSchema::try_from(json!({"type": "object", "properties": properties}))
    }

    #[test]
    fn every_supported_kind_reads_its_values() {
        let fields = schema(&json!({
            "word": {"enum": ["a", "b"], "description": "either"},
            "text": {"type": "string", "maxLength": 3},
            "switch": {"type": "boolean"},
            "whole": {"type": "integer", "minimum": 0, "maximum": 9},
            "share": {"type": "number", "maximum": 0.5},
            "list": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2},
        }));
        let fields = fields.unwrap();
        let good = json!({"list": ["x"], "word": "a", "text": "äöü", "switch": true, "whole": 9,
            "share": 0.5, "more": null});
        let read = fields.read(&format!("```json\n{good}\n```")).unwrap();
        let names: Vec<&str> = read.keys().map(String::as_str).collect();
        assert_eq!(names, ["word", "text", "switch", "whole", "share", "list"]);
        for (key, value) in [
            ("word", json!("c")),
            ("text", json!("four")),
            ("switch", json!("true")),
            ("whole", json!(1.5)),
            ("whole", json!(10)),
            ("share", json!(0.6)),
            ("list", json!(["x", "y", "x"])),
            ("list", json!(["z"])),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert_eq!(fields.read(&bad.to_string()), None, "{bad}");
        }
        assert!(fields.read("{}").is_none() && fields.read("a word").is_none());
        // What holds a model is such a schema itself.
        let held = Value::from(fields.clone());
        assert_eq!(
            held["properties"]["whole"],
            json!({"type": "integer", "minimum": 0, "maximum": 9})
        );
        assert_eq!(AnswerSchema::try_from(held), Ok(fields));
    }

    #[test]
    fn what_is_not_supported_is_named_with_its_place() {
        for (properties, says) in [
            (json!({"a": {"type": "string", "pattern": "x"}}), "properties.a: the only pattern is"),
            (
                json!({"a": {"type": "array", "items": {"type": "object"}}}),
                "properties.a.items: there are no properties",
            ),
            (json!({"a": {"type": "object"}}), "properties.a: the type object is not"),
            (json!({"a": {"anyOf": []}}), "properties.a: a type or an enum is needed"),
            (json!({"a": {"enum": [1]}}), "properties.a: an enum is a list of texts"),
            (json!({"a": {"type": "array", "items": {"type": "number"}}}), "properties.a.items"),
            (json!({"a": {"type": "integer", "minimum": 2, "maximum": 1}}), "minimum is more"),
            (json!({"a": 1}), "properties.a is no schema"),
            (json!({}), "no properties"),
        ] {
            let error = schema(&properties).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        for (whole, says) in [
            (json!([]), "no object"),
            (json!({"type": "array"}), "object"),
            (json!({"oneOf": []}), "oneOf is not supported"),
            (json!({"properties": {"a": {"type": "boolean"}}, "required": ["b"]}), "no property"),
            (
                json!({"properties": {"a": {"type": "boolean"}}, "additionalProperties": true}),
                "only be",
            ),
        ] {
            let error = AnswerSchema::try_from(whole).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn events_are_lists_of_objects_with_times() {
        let events = AnswerSchema::events();
        let as_value = Value::from(events.clone());
        assert_eq!(AnswerSchema::try_from(as_value), Ok(events.clone()));
        let answer = |start: &str, end: &str| {
            json!({"events": [{"start": start, "end": end, "what": "a ball rolls"}]}).to_string()
        };
        for (start, end, outside) in [
            ("00:00", "00:12", 0),
            ("00:12", "00:13", 1),
            ("00:05", "00:04", 1),
            ("100:00", "00:04", 2),
        ] {
            let read = events.read(&answer(start, end)).unwrap();
            assert_eq!(events.times_outside(&read, 11.2), outside, "{start} {end}");
        }
        for time in ["0:01", "00:60", "1000:00", "00:1", "a0:00", "+1:00", "00-01", ""] {
            assert!(events.read(&answer("00:00", time)).is_none(), "{time}");
        }
        assert!(events.read(r#"{"events": []}"#).is_some());
        assert!(events.read(r#"{"events": [{"start": "00:00"}]}"#).is_none());
    }
}
