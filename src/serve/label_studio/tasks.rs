//! The tasks of a request.
//!
//! In: the body of `POST /predict`. Out: of each task its id and the field that holds the image.
//! Promises: nothing else of a task is kept, however much there is; more than [`MAX_TASKS`] tasks
//! are an error before they are all read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// The most tasks of one request.
pub(super) const MAX_TASKS: usize = 10_000;

/// A task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    /// Its id, as it is written.
    pub(super) id: String,
    /// What its field of the image says.
    pub(super) image: Option<String>,
}

/// The tasks of a body, with the image in the field `field` of their data.
///
/// # Errors
/// If it is no such JSON, or there are too many.
pub(super) fn read(body: &[u8], field: &str) -> serde_json::Result<Vec<Task>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let tasks = Member { key: "tasks", seed: Tasks { field } }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    tasks.ok_or_else(|| serde_json::Error::custom("missing field `tasks`"))
}

/// Reads one member of an object, and passes over the others.
struct Member<'k, S> {
    key: &'k str,
    seed: S,
}

impl<'de, S: DeserializeSeed<'de> + Clone> DeserializeSeed<'de> for Member<'_, S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Clone> Visitor<'de> for Member<'_, S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {:?}", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.key {
                found = Some(map.next_value_seed(self.seed.clone())?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Reads a list of tasks.
#[derive(Clone, Copy)]
struct Tasks<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for Tasks<'_> {
    type Value = Vec<Task>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Task>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Tasks<'_> {
    type Value = Vec<Task>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tasks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Task>, A::Error> {
        let mut tasks = Vec::new();
        while let Some(task) = list.next_element_seed(OneTask { field: self.field })? {
            if tasks.len() == MAX_TASKS {
                let most = format!("more than {MAX_TASKS} tasks: ask about fewer at once");
                return Err(A::Error::custom(most));
            }
            tasks.push(task);
        }
        Ok(tasks)
    }
}

/// Reads a task.
struct OneTask<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for OneTask<'_> {
    type Value = Task;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Task, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneTask<'_> {
    type Value = Task;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Task, A::Error> {
        let mut task = Task::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "id" => task.id = map.next_value::<Text>()?.0.unwrap_or_default(),
                "data" => {
                    let image = std::marker::PhantomData::<Text>;
                    let member = Member { key: self.field, seed: image };
                    task.image = map.next_value_seed(member)?.and_then(|text| text.0);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(task)
    }
}

/// A text or a whole number as a text; `None` of any other value, which is not kept.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Text, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Text(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_task_its_id_and_image_are_kept() {
        let body = r#"{"project": {"a": [1, "}"]}, "tasks": [
            {"id": 7, "data": {"note": [{"photo": "no"}], "pho\u0074o": "/data/a\u0041.png"}},
            {"data": {"photo": null}, "annotations": [[[]]]}, {"id": "x", "data": {"photo": {}}}],
            "params": null}"#;
        let task = |id: &str, image: Option<&str>| Task {
            id: id.to_owned(),
            image: image.map(str::to_owned),
        };
        let tasks = read(body.as_bytes(), "photo").unwrap();
        assert_eq!(tasks, [task("7", Some("/data/aA.png")), task("", None), task("x", None)]);
        for wrong in ["{}", "[]", r#"{"tasks": 1}"#, r#"{"tasks": [1]}"#, r#"{"tasks": []} x"#] {
            assert!(read(wrong.as_bytes(), "photo").is_err(), "{wrong}");
        }
    }

    #[test]
    fn too_many_tasks_are_not_read() {
        let tasks = |count: usize| format!("{{\"tasks\":[{}", "{},".repeat(count));
        let error = read(tasks(MAX_TASKS + 1).as_bytes(), "photo").unwrap_err();
        assert!(error.to_string().contains("more than 10000 tasks"), "{error}");
        let error = read(tasks(MAX_TASKS).as_bytes(), "photo").unwrap_err();
        assert!(!error.to_string().contains("more than"), "{error}");
    }
}
