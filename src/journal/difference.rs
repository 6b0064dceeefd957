//! Differences between the settings of two runs.
//!
//! In: the JSON of both. Out: every setting that differs, by its path, with both values, shortened
//! for comparison.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::record::Manifest;

/// The most characters of a value that are shown.
const SHOWN: usize = 60;

/// Characters of a long value that are shown before the first difference.
const BEFORE: usize = 15;

/// One setting that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its path: `task.labels`.
    pub setting: String,
    /// Its value in the run that is there; null if it has none.
    pub there: Value,
    /// The value that was asked for.
    pub wanted: Value,
}

impl Difference {
    /// The difference between two folders that names are relative to.
    pub(super) fn of_roots(there: Option<&Path>, wanted: Option<&Path>) -> Self {
        let [there, wanted] = [there, wanted]
            .map(|root| root.map_or(Value::Null, |root| root.to_string_lossy().into()));
        Self { setting: "root".to_owned(), there, wanted }
    }
}

/// What makes the run of `wanted` another one than that of `there`, or shows other boxes of it: all
/// but version, time, names, folders and the part of the images.
pub(super) fn between(there: &Manifest, wanted: &Manifest) -> Vec<Difference> {
    let [there, wanted] =
        [there, wanted].map(|manifest| serde_json::to_value(manifest).unwrap_or_default());
    let mut found = Vec::new();
    collect("", &there["settings"], &wanted["settings"], &mut found);
    for key in ["elsewhere", "filters", "filtered_when_asked"] {
        collect(key, &there[key], &wanted[key], &mut found);
    }
    found
}

/// Appends the differences between `there` and `wanted`, both called `path`.
pub(super) fn collect(path: &str, there: &Value, wanted: &Value, found: &mut Vec<Difference>) {
    if there == wanted {
        return;
    }
    if let (Value::Object(ours), Value::Object(theirs)) = (there, wanted) {
        for key in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            collect(&path, &there[key], &wanted[key], found);
        }
    } else {
        let setting = if path.is_empty() { "settings" } else { path }.to_owned();
        found.push(Difference { setting, there: there.clone(), wanted: wanted.clone() });
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [there, wanted] = [&self.there, &self.wanted].map(|value| match value {
            Value::Null => "nothing".to_owned(),
            value => value.to_string(),
        });
        let common = there.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
        write!(f, "{}: {} -> {}", self.setting, shown(&there, common), shown(&wanted, common))
    }
}

/// The value, or of a long one the part around its character `differs`.
fn shown(value: &str, differs: usize) -> String {
    let length = value.chars().count();
    if length <= SHOWN {
        return value.to_owned();
    }
    let from = differs.saturating_sub(BEFORE).min(length - SHOWN);
    let part: String = value.chars().skip(from).take(SHOWN).collect();
    let [before, after] = [from > 0, from + SHOWN < length].map(|cut| if cut { "…" } else { "" });
    format!("{before}{part}{after}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named_and_shown() {
        let long = |end: &str| format!("{} {end}", "word ".repeat(40));
        let there = json!({"task": {"labels": ["star"]}, "budget": 280, "same": 1, "gone": true,
            "prompt": long("one")});
        let wanted = json!({"task": {"labels": ["circle"]}, "budget": 560, "same": 1,
            "prompt": long("two")});
        let mut found = Vec::new();
        collect("", &there, &wanted, &mut found);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "budget: 280 -> 560");
        assert_eq!(lines[1], "gone: true -> nothing");
        assert!(
            lines[2].starts_with("prompt: …")
                && lines[2].contains("one\" -> …")
                && lines[2].ends_with("two\""),
            "{}",
            lines[2]
        );
        assert_eq!(lines[3], r#"task.labels: ["star"] -> ["circle"]"#);
        assert_eq!(lines.len(), 4);
    }
}
