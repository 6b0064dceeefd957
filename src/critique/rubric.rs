//! Rubrics: the axes that frames are rated on, in TOML.
//!
//! In: the text of the file. Out: axes, each with its question and the allowed answers, and the
//! rules of the gate. Promises: one question and one short answer an axis; a mistake in the file is
//! an error that names the axis and the allowed values; `docs/CRITIQUE.md` documents every key.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Spanned;

use super::clauses::ClauseRules;
use crate::record::{Budget, Measures};

/// The words of a level if an axis names none, the worst first.
const LEVELS: [&str; 5] = ["bad", "poor", "fair", "good", "excellent"];
/// Names that a rule reads otherwise.
const TAKEN: [&str; 24] = [
    "overall",
    "measured",
    "made",
    "file",
    "p",
    "entropy",
    "mass",
    "worst",
    "count",
    "word",
    "and",
    "or",
    "not",
    "if",
    "true",
    "false",
    "value",
    "known",
    "min",
    "max",
    "abs",
    "rules",
    "near_duplicate",
    "duplicate_of",
];
/// Below this share of the probability for its words, an axis counts as not read: the model would
/// have answered something else.
const MIN_MASS: f64 = 0.05;

/// Why a rubric cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RubricError {
    /// No TOML, or a key or value that has no meaning there.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// An axis that cannot be asked about.
    #[error("{}axis {axis:?}: {problem}", at_line(*line))]
    Axis {
        /// Its line in the file, counted from 1, if it is of a file.
        line: Option<usize>,
        /// Its name.
        axis: String,
        /// The problem.
        problem: String,
    },
    /// Anything else.
    #[error("{0}")]
    Rubric(String),
}

/// `line 7: `, if there is one.
pub(super) fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

/// Axes and rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Rubric {
    /// The rubric's name.
    pub name: String,
    /// Soft tokens of a frame, if the rubric sets them.
    pub budget: Option<Budget>,
    /// The text before every question.
    pub preamble: String,
    /// The template that makes a prompt of preamble, question, examples and words, if it is not the
    /// usual one.
    pub wording: Option<String>,
    /// How a reason is asked for.
    pub reason: String,
    /// The question that decides which of two frames is better.
    pub pair: String,
    /// A frame is not read if the words of an axis have less than this of the probability.
    pub min_mass: f64,
    /// Which clauses of a frame's prompt are asked about.
    pub clauses: ClauseRules,
    /// The axes, in order.
    pub axes: Vec<Axis>,
    /// The rules of the gate, in order, as they are written.
    pub rules: Vec<String>,
    /// The line of each rule in the file, counted from 1; empty if there is no file.
    pub rule_lines: Vec<usize>,
}

/// One axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Its name in rules and tables.
    pub name: String,
    /// The questions.
    pub question: String,
    /// The answers that are allowed.
    #[serde(flatten)]
    pub kind: Kind,
    /// The word that says that the question is about nothing in the frame, behind the others. A
    /// frame of which it is the most probable has no value on the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
    /// Its weight in the overall score; 0 leaves it out.
    pub weight: f64,
    /// Lines with examples for words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Whether a reason is asked for, in a sentence; for defects, a sentence about each.
    #[serde(default)]
    pub why: bool,
    /// The classical measure of the same quality, to find frames on which both disagree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
}

/// The answers that an axis allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// One of several words, the worst first.
    Level {
        /// The words.
        words: Vec<String>,
    },
    /// Yes or no.
    YesNo {
        /// Whether yes is the good answer.
        good: bool,
    },
    /// One of several words that have no order.
    Choice {
        /// The words.
        words: Vec<String>,
        /// The value of each of them, 0..1; empty if no word is better than another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        values: Option<Vec<f64>>,
    },
    /// Boxes around defects.
    Defects {
        /// A question for boxes or text.
        labels: Vec<String>,
    },
}

impl Kind {
    /// The words that rate a frame; none if boxes are asked for.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Level { words } | Self::Choice { words, .. } => words.clone(),
            Self::YesNo { .. } => vec!["yes".to_owned(), "no".to_owned()],
            Self::Defects { .. } => Vec::new(),
        }
    }

    /// The value of each word, 0..1; `None` if no word is better than another.
    pub fn values(&self) -> Option<Vec<f64>> {
        match self {
            Self::Level { words } => Some(
                (0..words.len()).map(|place| place as f64 / (words.len() - 1) as f64).collect(),
            ),
            Self::YesNo { good } => Some(if *good { vec![1.0, 0.0] } else { vec![0.0, 1.0] }),
            Self::Choice { values, .. } => values.clone(),
            Self::Defects { .. } => None,
        }
    }
}

impl Axis {
    /// The words that may be answered; none if boxes are asked for.
    pub fn words(&self) -> Vec<String> {
        let mut words = self.kind.words();
        words.extend(self.not_applicable.clone());
        words
    }

    /// Whether it asks about each clause of the frame's own prompt.
    pub fn asks_clauses(&self) -> bool {
        self.question.contains("{clause}")
    }

    /// Whether it can be asked only if the frame's own prompt is known.
    pub fn needs_prompt(&self) -> bool {
        self.asks_clauses() || self.question.contains("{prompt}")
    }
}

impl Rubric {
    /// The file, in a run's directory, that holds the rubric which the run was judged by last.
    pub const KEPT: &str = "rubric.toml";
    /// The ready rubric for frames of SDXL and the like.
    pub const SDXL: &str = include_str!("../../pipelines/sdxl-critique.toml");
    /// The rubric for the bundled demo model, which knows four qualities.
    pub const DEMO: &str = include_str!("../../pipelines/demo-critique.toml");

    /// The rubric that `text` says.
    ///
    /// # Errors
    /// [`RubricError`].
    pub fn read(text: &str) -> Result<Self, RubricError> {
        let table: Table = toml::from_str(text)?;
        let budget = table.budget.map(Budget::try_from).transpose();
        let budget = budget.map_err(|error| RubricError::Rubric(format!("budget: {error}")))?;
        if table.axis.is_empty() {
            return Err(RubricError::Rubric("there is no [[axis]]".to_owned()));
        }
        let min_mass = table.min_mass.unwrap_or(MIN_MASS);
        if !(0.0..1.0).contains(&min_mass) {
            return Err(RubricError::Rubric("min_mass must be from 0 to below 1".to_owned()));
        }
        if let Some(wording) = &table.wording
            && !wording.contains("{question}")
        {
            return Err(RubricError::Rubric("wording must have {question} in it".to_owned()));
        }
        if table.clauses.most == 0 {
            return Err(RubricError::Rubric("clauses: most must be 1 or more".to_owned()));
        }
        let mut names = HashSet::new();
        let mut axes = Vec::with_capacity(table.axis.len());
        let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        for axis in table.axis {
            let line = Some(line_of(axis.span().start));
            let axis = axis.into_inner();
            let name = axis.name.clone();
            let error = |problem: String| RubricError::Axis { line, axis: name.clone(), problem };
            if !names.insert(name.clone()) {
                return Err(error("there are two of that name".to_owned()));
            }
            axes.push(axis.check().map_err(error)?);
        }
        Ok(Self {
            name: table.name,
            budget,
            preamble: table.preamble.trim().to_owned(),
            wording: table.wording,
            reason: table.reason.unwrap_or_else(|| REASON.to_owned()),
            pair: table.pair.unwrap_or_else(|| PAIR.to_owned()),
            min_mass,
            clauses: table.clauses,
            axes,
            rule_lines: table.gate.rules.iter().map(|rule| line_of(rule.span().start)).collect(),
            rules: table.gate.rules.into_iter().map(Spanned::into_inner).collect(),
        })
    }

    /// The axis of this name.
    pub fn axis(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    /// The user's text of an axis, with `about` for `{prompt}` or `{clause}` in its question.
    pub fn text(&self, axis: &Axis, about: Option<&str>) -> String {
        let about = about.unwrap_or_default();
        let question = fill(&axis.question, &[("{prompt}", about), ("{clause}", about)]);
        let words = listed(&axis.words());
        let examples = axis.examples.join("\n");
        if let Some(wording) = &self.wording {
            let values = [
                ("{preamble}", self.preamble.as_str()),
                ("{question}", &question),
                ("{examples}", &examples),
                ("{words}", &words),
            ];
            return fill(wording, &values).trim().to_owned();
        }
        let ending = match &axis.kind {
            // Boxes are asked for in words of their own.
            Kind::Defects { .. } => return question,
            Kind::YesNo { .. } if axis.not_applicable.is_none() => "Answer yes or no.".to_owned(),
            Kind::YesNo { .. } | Kind::Level { .. } | Kind::Choice { .. } => {
                format!("Answer with one word: {words}.")
            }
        };
        let parts = [self.preamble.as_str(), &question, &examples, &ending];
        parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("\n")
    }

    /// The user's text that asks about a box that was found; `{label}` and `{box}` stand for it.
    pub fn explain_text(&self) -> String {
        if self.preamble.is_empty() {
            EXPLAIN.to_owned()
        } else {
            format!("{}\n{EXPLAIN}", self.preamble)
        }
    }

    /// The user's text that asks which of two frames is better.
    pub fn pair_text(&self) -> String {
        let asked = format!("{}\nAnswer 1 for the first image or 2 for the second.", self.pair);
        if self.preamble.is_empty() { asked } else { format!("{}\n{asked}", self.preamble) }
    }

    /// The user's text that asks why the answer to an axis is `word`.
    pub fn reason_text(&self, axis: &Axis, about: Option<&str>, word: &str) -> String {
        let about = about.unwrap_or_default();
        let question = fill(&axis.question, &[("{prompt}", about), ("{clause}", about)]);
        let asked = fill(&self.reason, &[("{question}", &question), ("{word}", word)]);
        if self.preamble.is_empty() { asked } else { format!("{}\n{asked}", self.preamble) }
    }
}

/// The default question for a reason.
const REASON: &str =
    "{question}\nThe answer is: {word}. Say in one short sentence what in the image shows that.";

/// How a box is asked about.
const EXPLAIN: &str = "There is a {label} at {box} (ymin, xmin, ymax, xmax, 0 to 1000). Say in \
                       one short sentence what is wrong there.";

/// The default question about two frames.
const PAIR: &str =
    "Which of these two images is better: fewer flaws, sharper, better lit, better composed?";

/// `text` with every placeholder filled once, in one pass: filled-in text is not searched again.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        filled.push_str(before);
        if let Some((place, value)) = values.iter().find(|(place, _)| after.starts_with(place)) {
            filled.push_str(value);
            rest = &after[place.len()..];
        } else {
            filled.push('{');
            rest = &after[1..];
        }
    }
    filled + rest
}

/// `bad, poor or fair`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    #[serde(default)]
    preamble: String,
    wording: Option<String>,
    reason: Option<String>,
    pair: Option<String>,
    budget: Option<u32>,
    min_mass: Option<f64>,
    #[serde(default)]
    clauses: ClauseRules,
    #[serde(default)]
    axis: Vec<Spanned<AxisTable>>,
    #[serde(default)]
    gate: GateTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GateTable {
    #[serde(default)]
    rules: Vec<Spanned<String>>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Level,
    YesNo,
    Choice,
    Defects,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AxisTable {
    name: String,
    kind: KindName,
    question: Option<String>,
    weight: Option<f64>,
    words: Option<Vec<String>>,
    good: Option<String>,
    not_applicable: Option<String>,
    values: Option<BTreeMap<String, f64>>,
    labels: Option<Vec<String>>,
    #[serde(default)]
    examples: Vec<String>,
    #[serde(default)]
    reason: bool,
    measure: Option<String>,
}

impl AxisTable {
    /// Keys of another kind would be silently useless.
    fn check_keys(&self) -> Result<(), String> {
        let given = [
            ("words", self.words.is_some(), &[KindName::Level, KindName::Choice][..]),
            ("good", self.good.is_some(), &[KindName::YesNo]),
            ("values", self.values.is_some(), &[KindName::Choice]),
            ("labels", self.labels.is_some(), &[KindName::Defects]),
            (
                "not_applicable",
                self.not_applicable.is_some(),
                &[KindName::Level, KindName::YesNo, KindName::Choice],
            ),
            (
                "examples",
                !self.examples.is_empty(),
                &[KindName::Level, KindName::YesNo, KindName::Choice],
            ),
        ];
        if let Some((key, ..)) =
            given.iter().find(|(_, there, kinds)| *there && !kinds.contains(&self.kind))
        {
            return Err(format!("{key} does not go with this kind"));
        }
        Ok(())
    }

    fn check(self) -> Result<Axis, String> {
        let first = self.name.chars().next().is_some_and(|first| first.is_ascii_lowercase());
        if !first
            || !self.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return Err(
                "a name is small letters, digits and _, so that rules can name it".to_owned()
            );
        }
        if TAKEN.contains(&self.name.as_str()) {
            return Err("rules use this name for something else".to_owned());
        }
        self.check_keys()?;
        let words = |default: Option<&[&str]>| -> Result<Vec<String>, String> {
            let words = self
                .words
                .clone()
                .or_else(|| default.map(|words| words.iter().map(|&w| w.to_owned()).collect()));
            let words = words.ok_or("words is missing")?;
            if words.len() < 2 || words.iter().collect::<HashSet<_>>().len() < words.len() {
                return Err("words must be two or more, each once".to_owned());
            }
            Ok(words)
        };
        let kind = match self.kind {
            KindName::Level => Kind::Level { words: words(Some(&LEVELS))? },
            KindName::YesNo => Kind::YesNo {
                good: match self.good.as_deref() {
                    None | Some("yes") => true,
                    Some("no") => false,
                    Some(_) => return Err("good must be \"yes\" or \"no\"".to_owned()),
                },
            },
            KindName::Choice => {
                let words = words(None)?;
                let value = |values: BTreeMap<String, f64>| -> Result<Vec<f64>, String> {
                    if let Some(stranger) = values.keys().find(|word| !words.contains(word)) {
                        return Err(format!(
                            "values names {stranger:?}, which is none of the words"
                        ));
                    }
                    let of = |word: &String| {
                        values.get(word).copied().filter(|value| (0.0..=1.0).contains(value))
                    };
                    words
                        .iter()
                        .map(of)
                        .collect::<Option<_>>()
                        .ok_or("values must give each word 0 to 1".to_owned())
                };
                Kind::Choice {
                    values: self.values.clone().map(value).transpose()?,
                    words: words.clone(),
                }
            }
            KindName::Defects => {
                let labels = self.labels.clone().unwrap_or_default();
                if labels.is_empty() || labels.iter().any(|label| label.trim().is_empty()) {
                    return Err("labels must say what to look for".to_owned());
                }
                Kind::Defects { labels }
            }
        };
        let question = match (self.question, &kind) {
            (Some(question), _) if !question.trim().is_empty() => question.trim().to_owned(),
            // Google's documented wording.
            (_, Kind::Defects { labels }) => format!("detect {}", labels.join(" and ")),
            _ => return Err("question is missing".to_owned()),
        };
        if let Some(measure) = &self.measure
            && !Measures::NAMES.contains(&measure.as_str())
        {
            return Err(format!(
                "there is no measure {measure:?}; there are: {}",
                Measures::NAMES.join(", ")
            ));
        }
        let weight =
            self.weight.unwrap_or(if matches!(kind, Kind::Defects { .. }) { 0.0 } else { 1.0 });
        if !(weight.is_finite() && weight >= 0.0) {
            return Err("weight must be 0 or more".to_owned());
        }
        let axis = Axis {
            name: self.name,
            question,
            not_applicable: self.not_applicable,
            kind,
            weight,
            examples: self.examples,
            why: self.reason,
            measure: self.measure,
        };
        if axis
            .not_applicable
            .as_ref()
            .is_some_and(|word| word.trim().is_empty() || axis.kind.words().contains(word))
        {
            return Err("not_applicable must be a word of its own, such as \"none\"".to_owned());
        }
        if axis.needs_prompt() && matches!(axis.kind, Kind::Defects { .. }) {
            return Err("boxes cannot be asked for by the frame's prompt".to_owned());
        }
        Ok(axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_rubrics_are_in_order() {
        let sdxl = Rubric::read(Rubric::SDXL).unwrap();
        assert_eq!(sdxl.axes.len(), 15);
        assert_eq!(sdxl.rules.len(), sdxl.rule_lines.len());
        assert_eq!(Rubric::read(Rubric::DEMO).unwrap().axes.len(), 4);
        let anatomy = sdxl.axis("anatomy").unwrap();
        let text = sdxl.text(anatomy, None);
        assert!(
            text.ends_with("Answer with one word: bad, poor, fair, good, excellent or none."),
            "{text}"
        );
        assert!(text.starts_with(&sdxl.preamble), "what all questions share comes first");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let axis = |lines: &str| format!("name = \"r\"\n[[axis]]\nname = \"a\"\n{lines}");
        for (text, says) in [
            (axis("kind = \"level\"\nquestion = \"q\"\ncolor = 1"), "unknown field `color`"),
            (axis("kind = \"levels\"\nquestion = \"q\""), "unknown variant `levels`"),
            (axis("kind = \"level\""), "axis \"a\": question is missing"),
            (axis("kind = \"level\"\nquestion = \"q\"\nwords = [\"good\"]"), "two or more"),
            (axis("kind = \"yes_no\"\nquestion = \"q\"\ngood = \"maybe\""), "good must be"),
            (
                axis("kind = \"yes_no\"\nquestion = \"q\"\nwords = [\"a\", \"b\"]"),
                "words does not go",
            ),
            (axis("kind = \"choice\"\nquestion = \"q\""), "words is missing"),
            (
                axis(
                    "kind = \"choice\"\nquestion = \"q\"\nwords = [\"a\", \"b\"]\nvalues = {a = 1}",
                ),
                "each word 0 to 1",
            ),
            (
                axis(
                    "kind = \"choice\"\nquestion = \"q\"\nwords = [\"a\", \"b\"]\nvalues = {c = 1}",
                ),
                "none of the words",
            ),
            (axis("kind = \"defects\""), "labels must say"),
            (
                axis("kind = \"defects\"\nlabels = [\"x\"]\nexamples = [\"y\"]"),
                "examples does not go",
            ),
            (axis("kind = \"level\"\nquestion = \"q\"\nweight = -1"), "weight must be"),
            (
                axis("kind = \"level\"\nquestion = \"q\"\nmeasure = \"sharp\""),
                "no measure \"sharp\"; there are: lap",
            ),
            (
                "name = \"r\"\n[[axis]]\nname = \"p\"\nkind = \"level\"\nquestion = \"q\""
                    .to_owned(),
                "something else",
            ),
            (
                "name = \"r\"\n[[axis]]\nname = \"A b\"\nkind = \"level\"\nquestion = \"q\""
                    .to_owned(),
                "small letters",
            ),
            ("name = \"r\"".to_owned(), "no [[axis]]"),
            ("name = \"r\"\nbudget = 100\n".to_owned() + &axis("")[11..], "kind"),
        ] {
            let error = Rubric::read(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn words_of_a_prompt_are_never_places() {
        let rubric = Rubric::read(
            "name = \"r\"\npreamble = \"Look.\"\n[[axis]]\nname = \"a\"\nkind = \"yes_no\"\n\
             question = \"Is there {clause}?\"",
        )
        .unwrap();
        let text = rubric.text(&rubric.axes[0], Some("a {clause} with {words}"));
        assert_eq!(text, "Look.\nIs there a {clause} with {words}?\nAnswer yes or no.");
        assert!(rubric.axes[0].asks_clauses());
    }
}
