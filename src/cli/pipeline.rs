//! A pipeline in TOML as flags, for `gemscope run --check`.

use toml::{Table, Value};

/// The flags of `detect` for the valid pipeline `text`.
pub(crate) fn flags(text: &str) -> Vec<String> {
    let table: Table = toml::from_str(text).unwrap_or_default();
    let mut flags = Vec::new();
    for (key, value) in
        table.values().filter_map(Value::as_table).flatten().filter(|(key, _)| *key != "inputs")
    {
        let name = format!("--{}", key.replace('_', "-"));
        let words = match value {
            Value::Array(list) if key == "exclude" => list.iter().map(word).collect(),
            Value::Array(list) => vec![list.iter().map(word).collect::<Vec<_>>().join(",")],
            Value::Boolean(on) => {
                flags.extend(on.then(|| name.clone()));
                Vec::new()
            }
            value => vec![word(value)],
        };
        flags.extend(words.into_iter().map(|word| format!("{name}={word}")));
    }
    flags
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        // A pipeline in order has no others.
        _ => String::new(),
    }
}
