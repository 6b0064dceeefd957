//! Rules that a user wrote: which frames to keep.
//!
//! In: a rubric's rules, a frame's figures and record. Out: a verdict and the rule that fired. Promises: rules are tried in order and the first
//! that holds decides; a rule that is misspelled is an error before any frame is judged, not a rule that never fires; a comparison with
//! something that a frame does not have is false; a frame that was not read is never kept.
//!
//! A rule is `keep`, `review` or `reject`, then `if` and a condition, or `otherwise`. Conditions are expressions of the Rhai language
//! (<https://rhai.rs/book>), with `and` and `or` beside `&&` and `||`; `docs/CRITIQUE.md` says what stands for what.

use std::fmt;
use std::rc::Rc;

use rhai::{AST, Dynamic, Engine, EvalAltResult, ImmutableString, Map, OptimizationLevel, Scope};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::frame::{AxisFigures, Frame};
use super::measures::Measures;
use super::rubric::Rubric;
use crate::record::Record;

/// What is to become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is good.
    Keep,
    /// A person should look.
    Review,
    /// It is not.
    Reject,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Review, Self::Reject];

    /// The verdict as rules, lists and folders call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Review => "review",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verdict and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that fired as it is written, or why none could.
    pub rule: String,
}

/// Why rules cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GateError {
    /// Not `keep|review|reject`, then `if CONDITION` or `otherwise`.
    #[error("rule {rule:?}: must be keep, review or reject, then `if` and a condition, or `otherwise`")]
    Form {
        /// The rule.
        rule: String,
    },
    /// A condition that is no expression, names what there is not, or is no yes or no.
    #[error("rule {rule:?}: {problem}")]
    Condition {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The rules, ready to judge.
pub struct Gates {
    engine: Engine,
    rubric: Rubric,
    rules: Vec<Rule>,
}

struct Rule {
    verdict: Verdict,
    text: String,
    /// `otherwise` has none.
    condition: Option<AST>,
}

impl Gates {
    /// The rules of `rubric`.
    ///
    /// # Errors
    /// [`GateError`].
    pub fn new(rubric: &Rubric) -> Result<Self, GateError> {
        let mut gates = Self { engine: engine(), rubric: rubric.clone(), rules: Vec::new() };
        for text in &rubric.rules {
            let rule = gates.rule(text)?;
            gates.rules.push(rule);
        }
        Ok(gates)
    }

    fn rule(&self, text: &str) -> Result<Rule, GateError> {
        let form = || GateError::Form { rule: text.to_owned() };
        let (verdict, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(form)?;
        let verdict = Verdict::ALL.into_iter().find(|known| known.as_str() == verdict).ok_or_else(form)?;
        let rest = rest.trim();
        if rest == "otherwise" {
            return Ok(Rule { verdict, text: text.to_owned(), condition: None });
        }
        let condition = rest.strip_prefix("if").filter(|rest| rest.starts_with([' ', '\t', '('])).ok_or_else(form)?;
        let problem = |problem: String| GateError::Condition { rule: text.to_owned(), problem };
        // What stands for the axes of a frame that has none, and of two that have all: a name or a word that does not exist shows with these.
        let probes = [None, Some(0.0), Some(1.0)].map(|value| probe(&self.rubric, value));
        let scope = self.scope(&probes[0].0, &probes[0].1);
        let compiled = self.engine.compile_expression_with_scope(&scope, condition);
        let condition = compiled.map_err(|error| problem(error.to_string()))?;
        for (frame, record) in &probes {
            self.holds(&condition, &mut self.scope(frame, record)).map_err(|error| problem(reason(&error)))?;
        }
        Ok(Rule { verdict, text: text.to_owned(), condition: Some(condition) })
    }

    /// The verdict on a frame.
    pub fn judge(&self, frame: &Frame, record: &Record) -> Judged {
        let not_kept = |why: &str| Judged { verdict: Verdict::Review, rule: format!("not read: {why}") };
        // Of a frame without any figures no rule can say anything.
        if let Some(unread) = &frame.unread
            && frame.axes.is_empty()
        {
            return not_kept(unread);
        }
        let mut scope = self.scope(frame, record);
        for rule in &self.rules {
            let holds = match &rule.condition {
                None => true,
                Some(condition) => match self.holds(condition, &mut scope) {
                    Ok(holds) => holds,
                    Err(error) => return not_kept(&format!("{}: {}", rule.text, reason(&error))),
                },
            };
            if !holds {
                continue;
            }
            return match &frame.unread {
                Some(unread) if rule.verdict == Verdict::Keep => not_kept(unread),
                _ => Judged { verdict: rule.verdict, rule: rule.text.clone() },
            };
        }
        Judged { verdict: Verdict::Review, rule: "no rule fired".to_owned() }
    }

    fn holds(&self, condition: &AST, scope: &mut Scope<'_>) -> Result<bool, Box<EvalAltResult>> {
        truth(&self.engine.eval_ast_with_scope::<Dynamic>(scope, condition)?)
    }

    /// Everything that a rule can name.
    fn scope(&self, frame: &Frame, record: &Record) -> Scope<'static> {
        let mut scope = Scope::new();
        for axis in &self.rubric.axes {
            let words = axis.kind.words();
            let known = AxisValue { figures: frame.axis(&axis.name).cloned(), name: axis.name.as_str().into(), words };
            scope.push_constant(axis.name.as_str(), Rc::new(known));
        }
        scope.push_constant_dynamic("overall", number(frame.overall));
        scope.push_constant_dynamic("measured", Dynamic::from_map(measured(record)));
        scope.push_constant_dynamic("made", Dynamic::from_map(made(record)));
        scope
    }
}

/// An axis in a rule.
#[derive(Debug)]
struct AxisValue {
    name: ImmutableString,
    words: Vec<String>,
    /// Those of the frame, where it has any.
    figures: Option<AxisFigures>,
}

type AxisRef = Rc<AxisValue>;

/// That an axis is answered with a word.
#[derive(Debug, Clone)]
struct Answers {
    axis: AxisRef,
    word: usize,
}

impl AxisValue {
    fn value(&self) -> Option<f64> {
        self.figures.as_ref()?.value
    }

    fn figure(&self, of: impl Fn(&AxisFigures) -> Option<f64>) -> Dynamic {
        number(self.figures.as_ref().and_then(of))
    }
}

impl Answers {
    fn of(axis: &AxisRef, word: &str) -> Result<Self, Box<EvalAltResult>> {
        let place = axis.words.iter().position(|known| known == word);
        let Some(word) = place else {
            return Err(format!("{} has no word {word:?}; it has: {}", axis.name, axis.words.join(", ")).into());
        };
        Ok(Self { axis: Rc::clone(axis), word })
    }

    fn probability(&self) -> Option<f64> {
        self.axis.figures.as_ref()?.probabilities.get(self.word).copied()
    }

    /// Whether it is the most probable word.
    fn is_so(&self) -> bool {
        let figures = self.axis.figures.as_ref();
        figures.is_some_and(|figures| figures.word.as_deref() == self.axis.words.get(self.word).map(String::as_str))
    }
}

/// What is missing is no number, with which every comparison is false and every sum is missing too.
fn number(value: Option<f64>) -> Dynamic {
    Dynamic::from_float(value.unwrap_or(f64::NAN))
}

fn truth(value: &Dynamic) -> Result<bool, Box<EvalAltResult>> {
    if let Some(answers) = value.clone().try_cast::<Answers>() {
        return Ok(answers.is_so());
    }
    value.as_bool().map_err(|kind| {
        format!("a condition must be true or false, and this is {kind}; compare it with something").into()
    })
}

fn measured(record: &Record) -> Map {
    let value = |name: &str| number(record.measures.and_then(|measures| measures.by_name(name)));
    Measures::NAMES.iter().map(|&name| (name.into(), value(name))).collect()
}

fn made(record: &Record) -> Map {
    let known = record.generation.as_ref();
    // What is not known is empty, so that it can be asked for what it contains.
    let text = |value: Option<&String>| Dynamic::from(value.cloned().unwrap_or_default());
    let whole = |value: Option<i64>| value.map_or(number(None), Dynamic::from_int);
    let mut map = Map::new();
    map.insert("prompt".into(), text(known.and_then(|made| made.prompt.as_ref())));
    map.insert("negative_prompt".into(), text(known.and_then(|made| made.negative_prompt.as_ref())));
    map.insert("model".into(), text(known.and_then(|made| made.model.as_ref())));
    map.insert("sampler".into(), text(known.and_then(|made| made.sampler.as_ref())));
    map.insert("scheduler".into(), text(known.and_then(|made| made.scheduler.as_ref())));
    map.insert("seed".into(), whole(known.and_then(|made| i64::try_from(made.seed?).ok())));
    map.insert("steps".into(), whole(known.and_then(|made| made.steps.map(i64::from))));
    map.insert("cfg_scale".into(), number(known.and_then(|made| made.cfg_scale)));
    map
}

/// The language of conditions.
fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
    engine.set_max_operations(10_000);
    engine.set_max_string_size(100_000);
    engine.set_max_map_size(100);
    engine.disable_symbol("eval");
    engine.register_type_with_name::<AxisRef>("axis").register_type_with_name::<Answers>("axis == word");
    macro_rules! compare {
        ($($name:literal $operator:tt),*) => {$(
            engine.register_fn($name, |axis: AxisRef, to: f64| axis.value().is_some_and(|value| value $operator to));
            engine.register_fn($name, |axis: AxisRef, to: i64| axis.value().is_some_and(|value| value $operator to as f64));
            engine.register_fn($name, |than: f64, axis: AxisRef| axis.value().is_some_and(|value| than $operator value));
            engine.register_fn($name, |than: i64, axis: AxisRef| axis.value().is_some_and(|value| (than as f64) $operator value));
            engine.register_fn($name, |one: AxisRef, other: AxisRef| {
                one.value().zip(other.value()).is_some_and(|(one, other)| one $operator other)
            });
        )*};
    }
    compare!("<" <, "<=" <=, ">" >, ">=" >=);
    engine.register_fn("==", |axis: AxisRef, word: ImmutableString| Answers::of(&axis, &word));
    engine.register_fn("!=", |axis: AxisRef, word: ImmutableString| {
        Answers::of(&axis, &word).map(|answers| axis.figures.is_some() && !answers.is_so())
    });
    engine.register_fn("p", |answers: Answers| number(answers.probability()));
    engine.register_fn("value", |axis: AxisRef| number(axis.value()));
    engine.register_fn("entropy", |axis: AxisRef| axis.figure(|figures| Some(figures.entropy)));
    engine.register_fn("mass", |axis: AxisRef| axis.figure(|figures| Some(figures.mass)));
    engine.register_fn("worst", |axis: AxisRef| axis.figure(|figures| figures.worst.or(figures.value)));
    engine.register_fn("count", |axis: AxisRef| axis.figure(|figures| figures.count.map(|count| count as f64)));
    engine.register_fn("known", |axis: AxisRef| axis.figures.is_some());
    engine.register_fn("known", |value: f64| !value.is_nan());
    engine.register_fn("known", |_: i64| true);
    engine.register_fn("known", |value: ImmutableString| !value.is_empty());
    engine.register_fn("or", |one: Dynamic, other: Dynamic| Ok::<_, Box<EvalAltResult>>(truth(&one)? | truth(&other)?));
    engine
        .register_fn("and", |one: Dynamic, other: Dynamic| Ok::<_, Box<EvalAltResult>>(truth(&one)? & truth(&other)?));
    engine.register_fn("!", |answers: Answers| !answers.is_so());
    // As strong as || and &&. Only a name that is reserved already could be refused.
    for (operator, precedence) in [("or", 30), ("and", 60)] {
        let registered = engine.register_custom_operator(operator, precedence);
        debug_assert!(registered.is_ok());
    }
    engine
}

/// The library's words without the place, which is that of a line in a file that a rule is not.
fn reason(error: &EvalAltResult) -> String {
    let text = error.to_string();
    text.rsplit_once(" (line ").map_or(text.clone(), |(before, _)| before.to_owned())
}

/// A frame on which every axis has `value`, or none has any.
fn probe(rubric: &Rubric, value: Option<f64>) -> (Frame, Record) {
    let figures = |axis: &super::Axis| {
        let words = axis.kind.words();
        Some(AxisFigures {
            axis: axis.name.clone(),
            value: Some(value?),
            word: words.first().cloned(),
            entropy: value?,
            mass: value?,
            probabilities: words.iter().map(|_| 1.0 / words.len() as f64).collect(),
            words,
            worst: value,
            count: Some(value? as usize),
            clauses: Vec::new(),
            reason: None,
        })
    };
    let axes = rubric.axes.iter().filter_map(figures).collect();
    (Frame { axes, overall: value, unread: None }, Record::failed(String::new(), String::new()))
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{LEVELS, record};
    use super::*;
    use crate::critique::GenerationSettings;

    const AXES: &str = r#"
        name = "r"
        [[axis]]
        name = "hands"
        kind = "level"
        question = "q"
        [[axis]]
        name = "text"
        kind = "yes_no"
        question = "q"
        [[axis]]
        name = "adherence"
        kind = "yes_no"
        question = "{clause}?"
        [[axis]]
        name = "flaws"
        kind = "defects"
        labels = ["extra limb"]
    "#;

    fn gates(rules: &[&str]) -> Result<(Rubric, Gates), GateError> {
        let mut rubric = Rubric::read(AXES).unwrap();
        rubric.rules = rules.iter().map(|&rule| rule.to_owned()).collect();
        Gates::new(&rubric).map(|gates| (rubric, gates))
    }

    fn example() -> Record {
        let mut record =
            record(&[("hands", LEVELS, &[0.7, 0.1, 0.1, 0.1, 0.0]), ("text", &["yes", "no"], &[0.4, 0.6])]);
        record.generation = Some(Box::new(GenerationSettings {
            model: Some("sdxl".to_owned()),
            seed: Some(7),
            ..GenerationSettings::default()
        }));
        record.measures = Some(Measures::of(16, 16, &[128; 16 * 16 * 3]));
        record
    }

    #[test]
    fn what_conditions_mean() {
        let record = example();
        for (condition, holds) in [
            ("hands < 0.35", true),
            ("hands > 0.35", false),
            ("0.1 < hands", true),
            ("hands < 1", true),
            ("p(hands == \"bad\") > 0.6", true),
            ("p(hands == \"bad\") > 0.6 and text < 0.5", true),
            ("p(hands == \"bad\") > 0.8 or text < 0.3", false),
            ("p(hands == 'x'.to_string()) > 2 || true", true),
            ("hands == \"bad\"", true),
            ("hands != \"bad\"", false),
            ("text == \"no\" and hands == \"poor\"", false),
            ("!(text == \"yes\")", true),
            ("entropy(hands) > 1.2", true),
            ("entropy(text) > 0.98", false),
            ("mass(text) == 0.9", true),
            ("hands < text", true),
            ("value(hands) + value(text) < 0.6", true),
            ("overall > 0.4", false),
            ("count(flaws) > 0", false),
            ("count(flaws) == 0", true),
            ("value(adherence) + 1 > 0", false),
            ("known(made.model) and !known(made.prompt)", true),
            ("made.model.contains(\"xl\")", true),
            ("made.model == \"sdxl\" and made.seed == 7", true),
            ("made.steps > 20", false),
            ("known(made.steps)", false),
            ("known(hands) and !known(adherence)", true),
            // What a frame does not have makes no comparison true.
            ("adherence < 0.5", false),
            ("adherence >= 0.5", false),
            ("p(adherence == \"yes\") < 0.5", false),
            ("worst(adherence) < 0.5", false),
            ("adherence != \"yes\"", false),
            ("measured.laplacian_variance < 1", true),
            ("hands < 0.35 or adherence < 0.2", true),
            ("text < 0.1 or hands < 0.1 and true", false),
        ] {
            if condition.contains("'x'") {
                // A word that does not exist.
                assert!(gates(&[&format!("reject if {condition}")]).is_err());
                continue;
            }
            let (rubric, gates) = gates(&[&format!("reject if {condition}"), "keep otherwise"]).unwrap();
            let judged = gates.judge(&Frame::of(&record, &rubric), &record);
            assert_eq!(judged.verdict == Verdict::Reject, holds, "{condition}: {judged:?}");
        }
    }

    #[test]
    fn the_first_rule_that_holds_decides_and_is_named() {
        let record = example();
        let rules = ["reject if hands < 0.1", "review if text < 0.5", "reject if hands < 0.5", "keep otherwise"];
        let (rubric, gates) = gates(&rules).unwrap();
        let judged = gates.judge(&Frame::of(&record, &rubric), &record);
        assert_eq!(judged, Judged { verdict: Verdict::Review, rule: rules[1].to_owned() });
    }

    #[test]
    fn what_was_not_read_is_never_kept() {
        let (rubric, rules) = gates(&["reject if hands < 0.5", "keep if text < 0.9", "keep otherwise"]).unwrap();
        let failed = Record::failed("a.png".to_owned(), "cannot decode".to_owned());
        let judged = rules.judge(&Frame::of(&failed, &rubric), &failed);
        assert_eq!((judged.verdict, judged.rule.as_str()), (Verdict::Review, "not read: cannot decode"));
        let mut rambling =
            record(&[("hands", LEVELS, &[0.0, 0.0, 0.0, 0.0, 1.0]), ("text", &["yes", "no"], &[0.5, 0.5])]);
        rambling.ratings[1].mass = 0.0;
        assert_eq!(rules.judge(&Frame::of(&rambling, &rubric), &rambling).verdict, Verdict::Review);
        // What is bad for another reason may be rejected.
        rambling.ratings[0].probabilities = vec![1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(rules.judge(&Frame::of(&rambling, &rubric), &rambling).verdict, Verdict::Reject);
        let (rubric, none) = gates(&[]).unwrap();
        let good = example();
        assert_eq!(none.judge(&Frame::of(&good, &rubric), &good).verdict, Verdict::Review, "no rule, no keeping");
    }

    #[test]
    fn a_wrong_rule_is_an_error_before_anything_is_judged() {
        for (rule, says) in [
            ("drop if hands < 1", "must be keep, review or reject"),
            ("reject hands < 1", "must be keep, review or reject"),
            ("reject", "must be keep, review or reject"),
            ("reject if hand < 1", "hand"),
            ("reject if hands <", "rule \"reject if hands <\""),
            ("reject if hands", "must be true or false"),
            ("reject if entropy(hands)", "must be true or false"),
            ("reject if hands == \"bed\"", "hands has no word \"bed\"; it has: bad, poor"),
            ("reject if p(hands == \"bad\") > 0.5 or text == \"maybe\"", "text has no word"),
            ("reject if entrpy(hands) > 1", "entrpy"),
            ("reject if measured.sharpnes > 1", "sharpnes"),
            ("reject if made.sed == 1", "sed"),
            ("reject if loop {}", ""),
            ("reject if eval(\"1\")", "eval"),
            ("reject if hands < 1; true", ""),
        ] {
            let error = gates(&[rule]).err().unwrap_or_else(|| panic!("{rule}")).to_string();
            assert!(error.contains(says), "{rule}: {error}");
        }
    }
}
