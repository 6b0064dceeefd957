//! Rules that a user wrote: which frames to keep.
//!
//! In: a rubric's rules, a frame's figures and record. Out: a verdict and the rule that fired.
//! Promises: rules are tried in order and the first that holds decides; a misspelled or unreachable
//! rule is an error before any frame is judged, not a rule that never fires; a verdict that depends
//! on an axis which the frame was not asked about is `review`; a frame without readable answers is
//! never kept.
//!
//! A rule is `keep`, `review` or `reject`, then `if` and a condition (see [`super::condition`]), or
//! `otherwise`; `docs/CRITIQUE.md` documents them.

use std::fmt;

use rhai::Scope;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::condition::{Condition, Language, Truth};
use super::frame::Frame;
use super::rubric::{Rubric, at_line};
use crate::record::Record;

/// The decision about a frame.
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
    /// Axes that the frame was not asked about and on which the verdict hangs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<String>,
    /// The verdict of the rules, if a person overruled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_rules: Option<Verdict>,
}

impl Judged {
    fn new(verdict: Verdict, rule: impl Into<String>) -> Self {
        Self { verdict, rule: rule.into(), not_asked: Vec::new(), by_rules: None }
    }

    /// The same frame with the verdict that a person gave it.
    #[must_use]
    pub fn overruled(self, verdict: Verdict) -> Self {
        let rule = format!("{OVERRULED}: the rules say {} ({})", self.verdict, self.rule);
        Self { verdict, rule, not_asked: Vec::new(), by_rules: Some(self.verdict) }
    }

    /// The rule that decided, or the kind of reason that kept every rule from it, in few words.
    pub fn decided_by(&self) -> &str {
        let kinds = [OVERRULED, NOT_READ, NOT_ASKED, NOTHING_TO_ASK];
        kinds.into_iter().find(|kind| self.rule.starts_with(kind)).unwrap_or(&self.rule)
    }
}

/// Beginnings of the reasons of frames that a person overruled, were not read, were not asked about
/// an axis, or were asked nothing.
const OVERRULED: &str = "overruled by hand";
const NOT_READ: &str = "not read";
const NOT_ASKED: &str = "not asked";
const NOTHING_TO_ASK: &str = "nothing to ask";

/// Why rules cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GateError {
    /// Not `keep|review|reject`, then `if CONDITION` or `otherwise`.
    #[error(
        "{}rule {rule:?}: must be keep, review or reject, then `if` and a condition, or `otherwise`",
        at_line(*line)
    )]
    Form {
        /// Its line in the file, counted from 1, if it is of a file.
        line: Option<usize>,
        /// The rule.
        rule: String,
    },
    /// A condition that is no expression, uses an unknown name, or is no yes or no.
    #[error("{}rule {rule:?}: {problem}", at_line(*line))]
    Condition {
        /// Its line in the file, counted from 1, if it is of a file.
        line: Option<usize>,
        /// The rule.
        rule: String,
        /// The problem.
        problem: String,
    },
    /// A rule behind one that always holds.
    #[error(
        "{}rule {rule:?} is never reached: {before:?} stands before it, and holds whenever it would",
        at_line(*line)
    )]
    NeverReached {
        /// Its line in the file, counted from 1, if it is of a file.
        line: Option<usize>,
        /// The rule.
        rule: String,
        /// The one before it.
        before: String,
    },
}

/// The rules, ready to judge.
pub struct Gates {
    language: Language,
    rules: Vec<Rule>,
}

struct Rule {
    verdict: Verdict,
    text: String,
    /// `otherwise` has none.
    condition: Option<Condition>,
}

impl Gates {
    /// The rules of `rubric`.
    ///
    /// # Errors
    /// [`GateError`].
    pub fn new(rubric: &Rubric) -> Result<Self, GateError> {
        let mut gates = Self { language: Language::new(rubric), rules: Vec::new() };
        for (place, text) in rubric.rules.iter().enumerate() {
            let line = rubric.rule_lines.get(place).copied();
            let rule = gates.rule(text, line)?;
            let same = |before: &&Rule| {
                before.condition.is_none() || condition_of(&before.text) == condition_of(&rule.text)
            };
            if let Some(before) = gates.rules.iter().find(same) {
                return Err(GateError::NeverReached {
                    line,
                    rule: rule.text,
                    before: before.text.clone(),
                });
            }
            gates.rules.push(rule);
        }
        Ok(gates)
    }

    fn rule(&self, text: &str, line: Option<usize>) -> Result<Rule, GateError> {
        let form = || GateError::Form { line, rule: text.to_owned() };
        let (verdict, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(form)?;
        let verdict =
            Verdict::ALL.into_iter().find(|known| known.as_str() == verdict).ok_or_else(form)?;
        let rest = rest.trim();
        if rest == "otherwise" {
            return Ok(Rule { verdict, text: text.to_owned(), condition: None });
        }
        let condition = rest
            .strip_prefix("if")
            .filter(|rest| rest.starts_with([' ', '\t', '(']))
            .ok_or_else(form)?;
        let problem =
            |problem: String| GateError::Condition { line, rule: text.to_owned(), problem };
        let condition = self.language.compile(condition).map_err(problem)?;
        Ok(Rule { verdict, text: text.to_owned(), condition: Some(condition) })
    }

    /// The rules that no frame can come to, as far as frames of whatever values on their axes show:
    /// rules before each of them hold whenever it would, or it never holds. Rules about measures,
    /// settings and files are not among them.
    pub fn never_fire(&self) -> Vec<&str> {
        let mut silent: Vec<usize> = (0..self.rules.len())
            .filter(|&place| {
                let rule = &self.rules[place];
                rule.condition.is_some() && !names_facts(&rule.text)
            })
            .collect();
        let mut draw = Draw::new(self.rules.iter().map(|rule| rule.text.as_str()));
        for _ in 0..MADE_UP {
            if silent.is_empty() {
                break;
            }
            let (frame, record) = self.language.made_up(&mut || draw.next());
            let mut scope = self.language.scope(&frame, &record);
            let fires = self.rules.iter().position(|rule| {
                !names_facts(&rule.text) && self.holds(rule, &mut scope) == Ok(Truth::Yes)
            });
            silent.retain(|place| Some(*place) != fires);
        }
        silent.into_iter().map(|place| self.rules[place].text.as_str()).collect()
    }

    /// Whether a rule is about near copies.
    pub fn name_near_copies(&self) -> bool {
        self.rules.iter().any(|rule| NEAR.iter().any(|name| rule.text.contains(name)))
    }

    /// The verdict on a frame.
    pub fn judge(&self, frame: &Frame, record: &Record) -> Judged {
        // No rule applies to a frame without any figures.
        if frame.axes.is_empty() {
            return match &frame.unread {
                Some(unread) => not_kept(unread),
                None => Judged {
                    verdict: Verdict::Review,
                    rule: format!(
                        "{NOTHING_TO_ASK}: every axis needs the frame's prompt, which is not known"
                    ),
                    not_asked: self.language.axes().map(str::to_owned).collect(),
                    by_rules: None,
                },
            };
        }
        let mut scope = self.language.scope(frame, record);
        // Rules that might have fired, had the frame been asked about their axes.
        let mut undecided: Vec<(&Rule, String)> = Vec::new();
        for rule in &self.rules {
            match self.holds(rule, &mut scope) {
                Ok(Truth::No) => {}
                Ok(Truth::NotAsked(axis)) => undecided.push((rule, axis)),
                Ok(Truth::Yes) => {
                    return match &frame.unread {
                        Some(unread) if rule.verdict == Verdict::Keep => not_kept(unread),
                        _ => decide(&undecided, rule.verdict, &rule.text, frame.unread.as_deref()),
                    };
                }
                Err(error) => return not_kept(&format!("{}: {error}", rule.text)),
            }
        }
        decide(&undecided, Verdict::Review, "no rule fired", frame.unread.as_deref())
    }

    fn holds(&self, rule: &Rule, scope: &mut Scope<'_>) -> Result<Truth, String> {
        rule.condition
            .as_ref()
            .map_or(Ok(Truth::Yes), |condition| self.language.holds(condition, scope))
    }
}

/// What rules call near copies.
const NEAR: [&str; 2] = ["near_duplicate", "duplicate_of"];

/// How many frames are made up to see which rules fire.
const MADE_UP: usize = 3000;

/// Values for frames that are made up: those that the rules compare with, a bit more, a bit less,
/// and others. The same for the same rules.
struct Draw {
    values: Vec<f64>,
    state: u64,
}

impl Draw {
    fn new<'r>(rules: impl Iterator<Item = &'r str>) -> Self {
        let mut values = vec![0.0, 0.5, 1.0];
        for word in rules.flat_map(|rule| rule.split(|c: char| !c.is_ascii_digit() && c != '.')) {
            if let Ok(number) = word.parse::<f64>() {
                values.extend([number - 0.01, number, number + 0.01]);
            }
        }
        Self { values, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Numerical Recipes' generator of 64 bits.
    fn next(&mut self) -> f64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = (self.state >> 33) as usize;
        let among = number % (self.values.len() * 2);
        self.values.get(among).copied().unwrap_or((number % 1000) as f64 / 999.0)
    }
}

/// Whether a rule is about more than axes.
fn names_facts(rule: &str) -> bool {
    ["made.", "measured.", "file."].iter().chain(&NEAR).any(|name| rule.contains(name))
}

/// A rule without its verdict, in one spelling.
fn condition_of(rule: &str) -> String {
    let words: Vec<&str> = rule.split_whitespace().skip(1).collect();
    words.join(" ")
}

fn not_kept(why: &str) -> Judged {
    Judged::new(Verdict::Review, format!("{NOT_READ}: {why}"))
}

/// `verdict`, unless a rule before it might have said another. An axis that could not be read has
/// no figures either: `unread` says so.
fn decide(
    undecided: &[(&Rule, String)],
    verdict: Verdict,
    rule: &str,
    unread: Option<&str>,
) -> Judged {
    let Some((first, axis)) = undecided.iter().find(|(rule, _)| rule.verdict != verdict) else {
        return Judged::new(verdict, rule);
    };
    if let Some(unread) = unread {
        return not_kept(unread);
    }
    let mut not_asked: Vec<String> = undecided.iter().map(|(_, axis)| axis.clone()).collect();
    not_asked.sort_unstable();
    not_asked.dedup();
    Judged {
        verdict: Verdict::Review,
        rule: format!("{NOT_ASKED}: {axis} ({})", first.text),
        not_asked,
        by_rules: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{LEVELS, record};
    use super::*;
    use crate::record::GenerationSettings;

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
        let mut record = record(&[
            ("hands", LEVELS, &[0.7, 0.1, 0.1, 0.1, 0.0]),
            ("text", &["yes", "no"], &[0.4, 0.6]),
        ]);
        record.generation = Some(Box::new(GenerationSettings {
            model: Some("sdxl".to_owned()),
            seed: Some(7),
            ..GenerationSettings::default()
        }));
        record.measures = Some(crate::image::measure(16, 16, &[128; 16 * 16 * 3]));
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
            ("near_duplicate or known(duplicate_of)", false),
            ("known(made.steps)", false),
            ("known(hands) and !known(adherence)", true),
            ("file.width > 0 or file.name == \"a.png\"", true),
            ("file.folder == \"\" and file.extension == \"png\"", true),
            ("made.width > 0 or made.tool != \"\"", false),
            // A missing figure makes no comparison true.
            ("adherence < 0.5", false),
            ("adherence >= 0.5", false),
            ("p(adherence == \"yes\") < 0.5", false),
            ("worst(adherence) < 0.5", false),
            ("adherence != \"yes\"", false),
            ("measured.laplacian_variance < 1", true),
            ("hands < 0.35 or adherence < 0.2", true),
            ("text < 0.1 or hands < 0.1 and true", false),
            ("text < 0.1 || hands < 0.1 && true", false),
            // Axes in sums.
            ("hands + text < 0.6", true),
            ("hands * 2 < text", true),
            ("1 - hands > 0.8 and -hands < 0", true),
            ("hands / 2 + 0.1 < 0.2", true),
            ("(hands + text) / 2 < hands", false),
            ("min(hands, text) == hands", true),
            ("max(hands, text, 0.9) == 0.9", true),
            ("min(hands, text, overall, 1) < 0.2", true),
            ("abs(hands - text) > 0.2", true),
            ("hands + adherence < 3 or min(hands, adherence) < 1", false),
            ("known(adherence) && adherence < 0.5", false),
            ("made.model == \"a && b\"", false),
            // Plain numbers and texts are those of the language.
            ("7 / 2 == 3 && 7 % 2 == 1 && 2 ** 3 == 8 && 7 / 2.0 == 3.5 && 1 - 2 == -1", true),
            ("9007199254740993 == 9007199254740992 || 9007199254740993 <= 9007199254740992", false),
            (
                "\"a\" < \"b\" && \"a\" + \"b\" == \"ab\" && \"a\" != \"b\" && 1 < 1.5 && 1 == 1.0",
                true,
            ),
            ("(1 < 2) == true && !(1 > 2) && (hands < 0.5) != (text < 0.1)", true),
        ] {
            if condition.contains("'x'") {
                // A word that does not exist.
                assert!(gates(&[&format!("reject if {condition}")]).is_err());
                continue;
            }
            let (rubric, gates) =
                gates(&[&format!("reject if {condition}"), "keep otherwise"]).unwrap();
            let judged = gates.judge(&Frame::of(&record, &rubric), &record);
            assert_eq!(judged.verdict == Verdict::Reject, holds, "{condition}: {judged:?}");
        }
    }

    #[test]
    fn near_copies_can_be_rejected() {
        let record = example();
        let (rubric, gates) = gates(&["reject if near_duplicate", "keep otherwise"]).unwrap();
        assert!(gates.never_fire().is_empty());
        let mut frame = Frame::of(&record, &rubric);
        assert_eq!(gates.judge(&frame, &record).verdict, Verdict::Keep);
        frame.duplicate_of = Some("b.png".to_owned());
        assert_eq!(gates.judge(&frame, &record).verdict, Verdict::Reject);
    }

    #[test]
    fn the_first_rule_that_holds_decides_and_is_named() {
        let record = example();
        let rules = [
            "reject if hands < 0.1",
            "review if text < 0.5",
            "reject if hands < 0.5",
            "keep otherwise",
        ];
        let (rubric, gates) = gates(&rules).unwrap();
        let judged = gates.judge(&Frame::of(&record, &rubric), &record);
        assert_eq!(judged, Judged::new(Verdict::Review, rules[1]));
    }

    #[test]
    fn what_was_not_read_is_never_kept() {
        let (rubric, rules) =
            gates(&["reject if hands < 0.5", "keep if text < 0.9", "keep otherwise"]).unwrap();
        let failed = Record::failed("a.png".to_owned(), "cannot decode".to_owned());
        let judged = rules.judge(&Frame::of(&failed, &rubric), &failed);
        assert_eq!(
            (judged.verdict, judged.rule.as_str()),
            (Verdict::Review, "not read: cannot decode")
        );
        let mut rambling = record(&[
            ("hands", LEVELS, &[0.0, 0.0, 0.0, 0.0, 1.0]),
            ("text", &["yes", "no"], &[0.5, 0.5]),
        ]);
        rambling.ratings[1].mass = 0.0;
        assert_eq!(rules.judge(&Frame::of(&rambling, &rubric), &rambling).verdict, Verdict::Review);
        // A frame may still be rejected for another reason.
        rambling.ratings[0].probabilities = vec![1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(rules.judge(&Frame::of(&rambling, &rubric), &rambling).verdict, Verdict::Reject);
        let (rubric, none) = gates(&[]).unwrap();
        let good = example();
        assert_eq!(
            none.judge(&Frame::of(&good, &rubric), &good).verdict,
            Verdict::Review,
            "no rule, no keeping"
        );
    }

    /// The frame's prompt is not known, so that it was not asked about adherence.
    #[test]
    fn what_was_not_asked_decides_nothing() {
        let record = example();
        let adherence = || vec!["adherence".to_owned()];
        for (rules, verdict, not_asked) in [
            (&["reject if adherence < 0.6", "keep otherwise"][..], Verdict::Review, adherence()),
            (&["reject if worst(adherence) < 0.6", "keep otherwise"], Verdict::Review, adherence()),
            (
                &["reject if p(adherence == \"no\") + 0.1 > 0.6", "keep otherwise"],
                Verdict::Review,
                adherence(),
            ),
            (
                &["reject if hands > 0.9 or adherence < 0.6", "keep otherwise"],
                Verdict::Review,
                adherence(),
            ),
            (&["keep if adherence > 0.6", "reject otherwise"], Verdict::Review, adherence()),
            // It would come to the same, however adherence is.
            (&["reject if adherence < 0.6", "reject otherwise"], Verdict::Reject, vec![]),
            (
                &["reject if hands < 0.6 or adherence < 0.6", "keep otherwise"],
                Verdict::Reject,
                vec![],
            ),
            (
                &["reject if hands > 0.6 and adherence < 0.6", "keep otherwise"],
                Verdict::Keep,
                vec![],
            ),
            (&["review if adherence < 0.6"], Verdict::Review, vec![]),
            // Then the rules decide.
            (
                &["reject if known(adherence) and adherence < 0.6", "keep otherwise"],
                Verdict::Keep,
                vec![],
            ),
            (
                &["reject if hands < 0.5", "reject if adherence < 0.6", "keep otherwise"],
                Verdict::Reject,
                vec![],
            ),
        ] {
            let (rubric, gates) = gates(rules).unwrap();
            let judged = gates.judge(&Frame::of(&record, &rubric), &record);
            assert_eq!(
                (judged.verdict, &judged.not_asked),
                (verdict, &not_asked),
                "{rules:?}: {judged:?}"
            );
            assert_eq!(judged.decided_by() == NOT_ASKED, !not_asked.is_empty());
        }
    }

    #[test]
    fn a_frame_of_which_nothing_was_asked_is_never_kept() {
        let mut rubric = Rubric::read(
            "name = \"r\"\n[[axis]]\nname = \"a\"\nkind = \"yes_no\"\nquestion = \"{clause}?\"",
        )
        .unwrap();
        rubric.rules = vec!["keep otherwise".to_owned()];
        let record = record(&[]);
        let judged = Gates::new(&rubric).unwrap().judge(&Frame::of(&record, &rubric), &record);
        assert_eq!((judged.verdict, judged.decided_by()), (Verdict::Review, NOTHING_TO_ASK));
    }

    #[test]
    fn a_rule_that_none_can_reach_is_an_error() {
        let error = gates(&["keep otherwise", "reject if hands < 0.5"]).err().unwrap().to_string();
        assert!(
            error.contains("\"reject if hands < 0.5\" is never reached: \"keep otherwise\""),
            "{error}"
        );
    }

    #[test]
    fn rules_that_no_frame_can_come_to_are_named() {
        for (rules, never) in [
            (&["reject if hands < 0.5", "review if hands < 0.3", "keep otherwise"][..], 1),
            (&["reject if hands < 0.3", "review if hands < 0.5", "keep otherwise"], 0),
            (&["reject if overall > 1.5", "keep otherwise"], 1),
            (&["keep if hands >= 0", "reject if text < 0.2"], 1),
            (&["reject if hands < 0.001 and text > 0.999", "keep otherwise"], 0),
            (&["reject if hands < 0.3 and hands > 0.4", "keep otherwise"], 1),
            (&["reject if count(flaws) > 2", "review if entropy(hands) > 1.8"], 0),
            (&["reject if p(hands == \"bad\") > 0.5 or text == \"no\"", "keep otherwise"], 0),
            (&["reject if known(adherence) and worst(adherence) < 0.1"], 0),
            (&["reject if made.steps > 900", "keep if measured.noise > 1000"], 0),
        ] {
            let (_, gates) = gates(rules).unwrap();
            assert_eq!(gates.never_fire().len(), never, "{rules:?}: {:?}", gates.never_fire());
        }
        let sdxl = Rubric::read(Rubric::SDXL).unwrap();
        assert!(Gates::new(&sdxl).unwrap().never_fire().is_empty());
        let twice = gates(&["reject if hands < 0.5", "keep if hands <  0.5"]).err().unwrap();
        assert!(twice.to_string().contains("holds whenever it would"), "{twice}");
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        let text = format!(
            "{AXES}\n[gate]\nrules = [\n  'keep if hands > 0.5',\n  'reject if hand < 1',\n]"
        );
        let line = text.lines().position(|line| line.contains("hand < 1")).unwrap() + 1;
        let error = Gates::new(&Rubric::read(&text).unwrap()).err().unwrap().to_string();
        assert!(error.starts_with(&format!("line {line}: rule")), "{error}");
        let error =
            Rubric::read(&text.replace("labels = [", "good = \"no\"\nlabels = [")).unwrap_err();
        assert!(error.to_string().contains("line 15: axis \"flaws\": good does not go"), "{error}");
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
            (
                "reject if sleep(1000000) == ()",
                "there is no sleep(i64) in rules; there are: p, value",
            ),
            ("reject if print(\"x\") == \"x\"", "\"print\" has no meaning in a rule"),
            ("reject if hands < made.model", "< takes numbers and axes, and there is a text"),
            (
                "reject if hands == made",
                "== takes numbers and axes, and there is a group of values",
            ),
            ("reject if hand < 1", "there is no \"hand\"; rules can name hands, text"),
            ("reject if hands < ", "it ends too early"),
            ("reject if made.model == \"x", "a text in it has no closing quote"),
            ("reject if (hands < 1", "\")\" is missing"),
        ] {
            let error = gates(&[rule]).err().unwrap_or_else(|| panic!("{rule}")).to_string();
            assert!(error.contains(says), "{rule}: {error}");
        }
    }
}
