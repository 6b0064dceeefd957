//! What a JSON file is about, before it is read.
//!
//! In: JSON. Out: the first entry of a list, or the keys of an object. Promises: nothing else of it
//! is kept in memory, however long it is.

use serde::de::{self, Deserialize, Deserializer, IgnoredAny};
use serde_json::{Map, Value};

/// A list of its first entry alone, or an object without its values.
pub(super) struct Glance(pub(super) Value);

impl<'de> Deserialize<'de> for Glance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Glance;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list or an object")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Glance, A::Error> {
                let first = list.next_element::<Value>()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Glance(first.into_iter().collect()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Glance, A::Error> {
                let mut keys = Map::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.insert(key, Value::Null);
                }
                Ok(Glance(keys.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_outside_is_kept() {
        let seen = |text: &str| serde_json::from_str::<Glance>(text).map(|seen| seen.0).ok();
        assert_eq!(seen(r#"[{"a": [1]}, {"b": 2}, 3]"#), Some(json!([{"a": [1]}])));
        assert_eq!(seen(r#"{"a": [1, 2], "b": {}}"#), Some(json!({"a": null, "b": null})));
        assert_eq!((seen("[]"), seen("1"), seen("[1, }")), (Some(json!([])), None, None));
    }
}
