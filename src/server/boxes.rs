//! Lists of boxes, as servers are told to keep to them.
//!
//! In: the labels, the most boxes. Out: a grammar in GBNF, which llama.cpp reads and vLLM's
//! backends do too, or a JSON schema. Promises: the grammar is the list in Gemma 4's own white
//! space, with or without a code fence, as `src/generate/grammar` has it; the schema is the same
//! list in any white space.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The longest label if any text may be one, in characters. Longer ones are loops, not labels.
const MAX_LABEL_LENGTH: usize = 120;

/// What an answer is held to.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerForm {
    /// A list of boxes.
    Boxes(BoxList),
    /// An object of this JSON schema.
    Fields(Value),
}

impl AnswerForm {
    /// As a grammar in GBNF, if it is one that is written here.
    pub(super) fn gbnf(&self) -> Option<String> {
        match self {
            Self::Boxes(boxes) => Some(boxes.gbnf()),
            Self::Fields(_) => None,
        }
    }

    /// As a JSON schema.
    pub(super) fn schema(&self) -> Value {
        match self {
            Self::Boxes(boxes) => boxes.schema(),
            Self::Fields(schema) => schema.clone(),
        }
    }

    /// What the schema is called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Boxes(_) => "boxes",
            Self::Fields(_) => "fields",
        }
    }
}

/// An answer that is a list of boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxList {
    /// The labels that may stand in it; `None` is any text.
    pub labels: Option<Vec<String>>,
    /// The most boxes, at least 1.
    pub most: usize,
}

impl BoxList {
    /// As a grammar in GBNF.
    pub(super) fn gbnf(&self) -> String {
        let label = match &self.labels {
            None => {
                format!(r#""\"" ([^"\\\x00-\x1F\x7F] | "\\" ["\\/]){{1,{MAX_LABEL_LENGTH}}} "\"""#)
            }
            // A JSON string, and that string again as the grammar quotes it.
            Some(labels) => {
                let quoted = |label: &String| quoted(&Value::from(label.as_str()).to_string());
                labels.iter().map(quoted).collect::<Vec<_>>().join(" | ")
            }
        };
        let more = match self.most.max(1) - 1 {
            0 => String::new(),
            more => format!(r#" (",\n  " object){{0,{more}}}"#),
        };
        let mut grammar = String::from("root ::= \"```json\\n\" list \"\\n```\" | list\n");
        let _ = writeln!(grammar, r#"list ::= "[]" | "[\n  " object{more} "\n]""#);
        grammar.push_str(
            r#"object ::= "{\"box_2d\": [" n ", " n ", " n ", " n "], \"label\": " label "}""#,
        );
        let _ = writeln!(grammar, "\nlabel ::= {label}");
        grammar.push_str("n ::= \"0\" | [1-9] [0-9]{0,2} | \"1000\"\n");
        grammar
    }

    /// As a JSON schema.
    pub(super) fn schema(&self) -> Value {
        let label = match &self.labels {
            None => json!({"type": "string", "minLength": 1, "maxLength": MAX_LABEL_LENGTH}),
            Some(labels) => json!({"type": "string", "enum": labels}),
        };
        let side = json!({"type": "integer", "minimum": 0, "maximum": 1000});
        json!({
            "type": "array",
            "maxItems": self.most.max(1),
            "items": {
                "type": "object",
                "properties": {
                    "box_2d": {"type": "array", "items": side, "minItems": 4, "maxItems": 4},
                    "label": label,
                },
                "required": ["box_2d", "label"],
                "additionalProperties": false,
            },
        })
    }
}

/// `text` as a literal of GBNF.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_twice() {
        let list =
            BoxList { labels: Some(vec!["star".to_owned(), "a \"b\" \\".to_owned()]), most: 3 };
        let grammar = list.gbnf();
        assert!(grammar.contains(r#"label ::= "\"star\"" | "\"a \\\"b\\\" \\\\\"""#), "{grammar}");
        assert!(grammar.contains(r#"object (",\n  " object){0,2} "\n]""#), "{grammar}");
        let one = BoxList { labels: None, most: 1 }.gbnf();
        assert!(!one.contains("{0,0}") && one.contains("{1,120}"), "{one}");
        assert_eq!(list.schema()["items"]["properties"]["label"]["enum"][1], "a \"b\" \\");
        assert_eq!(list.schema()["maxItems"], 3);
    }
}
