//! Answers that cannot be malformed: a grammar decides which tokens may come next.
//!
//! In: the tokenizer, the labels that were asked for. Out: for an answer as it grows, the tokens
//! that may come next, and those that must. Promises: an answer under the grammar is the JSON list
//! of `box_2d` that Gemma 4 writes, in its own white space, with coordinates 0..1000, `ymin <=
//! ymax` and `xmin <= xmax`; labels are those asked for, or any text; tokens that count for a score
//! are never forced unseen.

mod coordinates;
mod vocabulary;

use std::fmt::Write as _;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{InferenceCapabilities, SimpleVob, TokEnv};
use llguidance::{Matcher, ParserFactory};
use thiserror::Error;

use crate::prompt::TextTokenizer;
use coordinates::Position;
use vocabulary::Vocabulary;

/// Why there is no grammar.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The bytes of each token are not known.
    #[error("the tokenizer's tokens cannot be read as bytes ({0}); use `decoding` free")]
    Vocabulary(String),
    /// The grammar library's own words.
    #[error("grammar: {0}")]
    Grammar(String),
}

/// Makes grammars for one tokenizer. Costs about a second for a vocabulary of 262144, once.
pub struct GrammarFactory {
    factory: ParserFactory,
    env: TokEnv,
}

/// The labels that an answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels<'l> {
    /// One of these.
    Of(&'l [String]),
    /// Any text.
    Open,
}

/// The longest open label in characters. Longer ones are loops, not labels.
const MAX_LABEL_LENGTH: usize = 120;

impl GrammarFactory {
    /// For the tokens of `tokenizer`; an answer ends with one of `stop_ids`.
    ///
    /// # Errors
    /// [`GrammarError::Vocabulary`] if the tokenizer's tokens are not known as bytes.
    pub fn new(tokenizer: &TextTokenizer, stop_ids: &[u32]) -> Result<Self, GrammarError> {
        let env: TokEnv = std::sync::Arc::new(Vocabulary::new(tokenizer, stop_ids)?);
        let capabilities =
            InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, capabilities, &slices).map_err(grammar)?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory, env })
    }

    /// Lists of at most `most_boxes` boxes with these labels.
    ///
    /// # Errors
    /// [`GrammarError::Grammar`] if the library refuses it.
    pub fn boxes(&self, labels: Labels<'_>, most_boxes: usize) -> Result<Grammar, GrammarError> {
        let lark = TopLevelGrammar::from_lark(lark(labels, most_boxes.max(1)));
        let matcher = Matcher::new(self.factory.create_parser(lark));
        match matcher.get_error() {
            Some(error) => Err(GrammarError::Grammar(error)),
            None => Ok(Grammar { matcher, env: self.env.clone(), most_boxes: Some(most_boxes) }),
        }
    }
}

impl GrammarFactory {
    /// Objects of this JSON schema, on one line.
    ///
    /// # Errors
    /// [`GrammarError::Grammar`] if the library refuses it.
    pub fn fields(&self, mut schema: serde_json::Value) -> Result<Grammar, GrammarError> {
        schema["x-guidance"] = serde_json::json!({
            "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
        });
        let schema = TopLevelGrammar::from_json_schema(schema);
        let matcher = Matcher::new(self.factory.create_parser(schema));
        match matcher.get_error() {
            Some(error) => Err(GrammarError::Grammar(error)),
            None => Ok(Grammar { matcher, env: self.env.clone(), most_boxes: None }),
        }
    }
}

fn grammar(error: impl std::fmt::Display) -> GrammarError {
    GrammarError::Grammar(error.to_string())
}

/// The list as Google's documentation shows it, with or without the code fence; `[]` is "nothing".
fn lark(labels: Labels<'_>, most_boxes: usize) -> String {
    let label = match labels {
        Labels::Open => format!(r#"/"([^"\\\x00-\x1f\x7f]|\\["\\\/]){{1,{MAX_LABEL_LENGTH}}}"/"#),
        Labels::Of(labels) => {
            // A JSON string, and that string again as the grammar's language quotes it.
            let quoted = |label: &String| {
                serde_json::Value::from(serde_json::Value::from(label.as_str()).to_string())
                    .to_string()
            };
            labels.iter().map(quoted).collect::<Vec<_>>().join(" | ")
        }
    };
    let mut lark = String::new();
    lark.push_str("start: \"```json\\n\" list \"\\n```\" | list\n");
    let _ = writeln!(
        lark,
        r#"list: "[]" | "[\n  " object (",\n  " object){{0,{}}} "\n]""#,
        most_boxes - 1
    );
    lark.push_str(r#"object: "{\"box_2d\": [" N ", " N ", " N ", " N "], \"label\": " label "}""#);
    let _ = writeln!(lark, "\nlabel: {label}");
    lark.push_str("N: /0|[1-9][0-9]{0,2}|1000/\n");
    lark
}

/// The set of answers that are allowed. Cheap to begin an answer with.
pub struct Grammar {
    matcher: Matcher,
    env: TokEnv,
    /// `None` of answers that are no boxes.
    most_boxes: Option<usize>,
}

impl Grammar {
    /// Whether an answer may begin with these tokens; each is checked against the tokens allowed at
    /// its position.
    ///
    /// # Errors
    /// [`GrammarError::Grammar`].
    pub fn allows(&self, ids: &[u32]) -> Result<bool, GrammarError> {
        let mut constraint = self.begin();
        for &id in ids {
            if !constraint.allowed()?.is_allowed(id) {
                return Ok(false);
            }
            constraint.accept(id)?;
        }
        Ok(true)
    }

    /// The state before an answer's first token.
    pub(super) fn begin(&self) -> Constraint {
        Constraint {
            matcher: self.matcher.clone(),
            env: self.env.clone(),
            position: self.most_boxes.map(|_| Position::default()),
            boxes_left: self.most_boxes.unwrap_or(usize::MAX),
        }
    }
}

/// One answer under a grammar, as far as it goes.
pub(super) struct Constraint {
    matcher: Matcher,
    env: TokEnv,
    /// In a list of boxes.
    position: Option<Position>,
    boxes_left: usize,
}

impl Constraint {
    /// The tokens that may come next.
    pub(super) fn allowed(&mut self) -> Result<SimpleVob, GrammarError> {
        let mut allowed = self.matcher.compute_mask_or_eos().map_err(grammar)?;
        if let Some(position) = self.position.filter(|position| position.in_coordinates()) {
            let trie = self.env.tok_trie();
            for id in allowed.to_list() {
                if !position.after(trie.token(id)).can_be_ordered() {
                    allowed.disallow_token(id);
                }
            }
        }
        Ok(allowed)
    }

    /// Takes the token that came.
    ///
    /// # Errors
    /// [`GrammarError::Grammar`] if it is not allowed.
    pub(super) fn accept(&mut self, id: u32) -> Result<(), GrammarError> {
        self.matcher.consume_token(id).map_err(grammar)?;
        if let Some(position) = self.position {
            let (position, closed) = position.follow(self.env.tok_trie().token(id));
            self.position = Some(position);
            self.boxes_left = self.boxes_left.saturating_sub(closed);
        }
        Ok(())
    }

    /// Takes the tokens that must come next, up to the first one that counts for a score: the
    /// decoder is asked for the probability of that one.
    ///
    /// # Errors
    /// [`GrammarError::Grammar`].
    pub(super) fn forced(&mut self) -> Result<Vec<u32>, GrammarError> {
        if self.is_complete() {
            return Ok(Vec::new());
        }
        let mut taken = Vec::new();
        for id in self.matcher.compute_ff_tokens() {
            let token = self.env.tok_trie().token(id);
            if self.position.is_some_and(|position| position.is_scored(token)) {
                break;
            }
            self.accept(id)?;
            taken.push(id);
        }
        Ok(taken)
    }

    /// Whether the answer must end here.
    pub(super) fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// Whether the list holds as many boxes as it may.
    pub(super) fn is_full(&self) -> bool {
        self.boxes_left == 0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;

    use super::*;

    fn factory() -> (TextTokenizer, GrammarFactory) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo-model");
        let tokenizer = TextTokenizer::open(&directory).unwrap();
        let factory = GrammarFactory::new(&tokenizer, &[1, 6]).unwrap();
        (tokenizer, factory)
    }

    /// Gemma 4's own tokenizer, with a vocabulary of 262144.
    fn gemma() -> (TextTokenizer, GrammarFactory) {
        let packed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gemma4/tokenizer.json.gz");
        let mut json = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap())
            .read_to_end(&mut json)
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tokenizer.json"), json).unwrap();
        let tokenizer = TextTokenizer::open(directory.path()).unwrap();
        let factory = GrammarFactory::new(&tokenizer, &[1, 106]).unwrap();
        (tokenizer, factory)
    }

    #[test]
    fn fields_are_those_of_the_schema_in_their_order() {
        let schema = serde_json::json!({
            "type": "object",
            "properties": {
                "weather": {"type": "string", "enum": ["sun", "rain"]},
                "people": {"type": "integer", "minimum": 0, "maximum": 20},
                "note": {"type": "string", "maxLength": 8},
                "dry": {"type": "boolean"},
                "share": {"type": "number", "minimum": 0, "maximum": 1},
                "seen": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]},
                    "minItems": 0, "maxItems": 2},
            },
            "required": ["weather", "people", "note", "dry", "share", "seen"],
            "additionalProperties": false,
        });
        let (tokenizer, factory) = gemma();
        let grammar = factory.fields(schema).unwrap();
        let answer = |weather: &str, people: u32, note: &str, seen: &str| {
            format!(
                r#"{{"weather": "{weather}", "people": {people}, "note": "{note}", "dry": true, "share": 0.5, "seen": {seen}}}"#
            )
        };
        let allows = |text: &str| grammar.allows(&tokenizer.encode(text).unwrap()).unwrap();
        assert!(allows(&answer("rain", 20, "[1, 2]", r#"["a", "b"]"#)));
        assert!(allows(&answer("sun", 0, "", "[]")));
        for bad in [
            answer("fog", 1, "", "[]"),
            answer("sun", 21, "", "[]"),
            answer("sun", 1, "more than eight", "[]"),
            answer("sun", 1, "", r#"["c"]"#),
            r#"{"people": 1"#.to_owned(),
            "The weather".to_owned(),
        ] {
            assert!(!allows(&bad), "{bad}");
        }
    }

    /// Feeds `text` token by token; returns the tokens that were asked for, and all of them. `None`
    /// if one is not allowed.
    fn write(
        tokenizer: &TextTokenizer,
        grammar: &Grammar,
        text: &str,
    ) -> Option<(Vec<String>, usize)> {
        let ids = tokenizer.encode(text).unwrap();
        let mut constraint = grammar.begin();
        let mut asked = Vec::new();
        let mut position = constraint.forced().unwrap().len();
        while position < ids.len() {
            if !constraint.allowed().unwrap().is_allowed(ids[position]) {
                return None;
            }
            constraint.accept(ids[position]).unwrap();
            asked.push(tokenizer.decode(&ids[position..=position]).unwrap());
            position += 1;
            for id in constraint.forced().unwrap() {
                // A forced token must be the one that the model would have written.
                if ids.get(position) != Some(&id) {
                    return None;
                }
                position += 1;
            }
        }
        let mut last = constraint.allowed().unwrap();
        for stop in [1, 6, 106] {
            last.disallow_token(stop);
        }
        (constraint.is_complete() || last.is_zero()).then_some((asked, ids.len()))
    }

    fn object(numbers: &str, label: &str) -> String {
        format!("{{\"box_2d\": [{numbers}], \"label\": \"{label}\"}}")
    }

    #[test]
    fn what_the_model_writes_is_allowed_and_most_of_it_forced() {
        for (tokenizer, factory) in [factory(), gemma()] {
            check_what_the_model_writes(&tokenizer, &factory);
        }
    }

    fn check_what_the_model_writes(tokenizer: &TextTokenizer, factory: &GrammarFactory) {
        let labels = ["red circle".to_owned(), "star".to_owned()];
        let grammar = factory.boxes(Labels::Of(&labels), 10).unwrap();
        let two = [object("440, 110, 670, 318", "star"), object("0, 450, 1000, 450", "red circle")]
            .join(",\n  ");
        let (asked, tokens) =
            write(tokenizer, &grammar, &format!("```json\n[\n  {two}\n]\n```")).unwrap();
        assert!(asked.len() * 2 < tokens, "{} of {tokens}: {asked:?}", asked.len());
        assert!(
            ["star", "red"].iter().all(|label| asked.iter().any(|piece| piece.contains(label))),
            "{asked:?}"
        );
        for text in ["```json\n[]\n```", "[]", &format!("[\n  {two}\n]")] {
            assert!(write(tokenizer, &grammar, text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_not_allowed() {
        let (tokenizer, factory) = factory();
        let grammar = factory.boxes(Labels::Of(&["star".to_owned()]), 2).unwrap();
        let list = |objects: &[String]| format!("[\n  {}\n]", objects.join(",\n  "));
        let good = object("1, 2, 30, 4", "star");
        let two = list(&[good.clone(), good.clone()]);
        assert!(write(&tokenizer, &grammar, &two).is_some());
        assert!(grammar.allows(&tokenizer.encode(&two).unwrap()).unwrap());
        for bad in [
            list(&[good.clone(), good.clone(), good.clone()]),
            list(&[object("1, 2, 30, 4", "circle")]),
            list(&[object("31, 2, 30, 4", "star")]),
            list(&[object("1, 5, 30, 4", "star")]),
            list(&[object("1, 2, 1001, 4", "star")]),
            list(&[object("1, 2, 30", "star")]),
            list(&[object("1, 02, 30, 4", "star")]),
            "I see no star".to_owned(),
            "[\n  ".to_owned(),
        ] {
            assert!(write(&tokenizer, &grammar, &bad).is_none(), "{bad}");
            assert!(!grammar.allows(&tokenizer.encode(&bad).unwrap()).unwrap(), "{bad}");
        }
    }

    #[test]
    fn open_labels_are_any_text_on_one_line() {
        let (tokenizer, factory) = factory();
        let grammar = factory.boxes(Labels::Open, 3).unwrap();
        for (label, allowed) in [
            ("blue star, cut [1]", true),
            ("a \\\"quote\\\"", true),
            ("two\nlines", false),
            ("", false),
        ] {
            let text = format!("[\n  {}\n]", object("1, 2, 3, 4", label));
            assert_eq!(write(&tokenizer, &grammar, &text).is_some(), allowed, "{label:?}");
        }
    }
}
