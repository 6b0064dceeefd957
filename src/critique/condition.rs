//! Conditions of rules: expressions about a frame.
//!
//! In: the text of a condition, a frame's figures and its record. Out: yes, no, or the axis that
//! was not asked and that decides. Promises: a condition is an expression without statements,
//! loops, waits or output, so it ends, and soon; a name, word or function that does not exist is an
//! error in words of the rubric; a comparison with an axis that the frame was not asked about is
//! neither true nor false.
//!
//! The expressions are those of the Rhai language (<https://rhai.rs/book>), with `and` and `or`
//! beside `&&` and `||`. Of its library only arithmetic, logic, mathematics and texts are there.

use std::cmp::Ordering;
use std::rc::Rc;

use rhai::packages::{
    ArithmeticPackage, BasicMapPackage, BasicMathPackage, BasicStringPackage, LogicPackage,
    MoreStringPackage, Package,
};
use rhai::{
    AST, Dynamic, Engine, EvalAltResult, ImmutableString, LexError, Map, OptimizationLevel,
    ParseErrorType, Position, Scope,
};

use super::frame::{AxisFigures, Frame};
use super::rubric::{Kind, Rubric};
use crate::record::{GenerationSettings, Measures, Record};

/// Steps of a condition. One that a person wrote takes some dozens.
const MAX_OPERATIONS: u64 = 10_000;
/// How deep brackets and operators of a condition may be nested.
const MAX_DEPTH: usize = 64;
/// Bytes of a text that a condition makes.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// The fields of `made`.
const MADE: [&str; 16] = [
    "prompt",
    "negative_prompt",
    "model",
    "sampler",
    "scheduler",
    "seed",
    "steps",
    "cfg_scale",
    "guidance",
    "denoise",
    "vae",
    "upscale",
    "loras",
    "width",
    "height",
    "tool",
];
/// The fields of `file`.
const OF_FILE: [&str; 6] = ["name", "folder", "extension", "width", "height", "megapixels"];
/// The functions of conditions, for messages.
const FUNCTIONS: &str = "p, value, entropy, mass, worst, count, known, min, max, abs";

/// Comparisons of size; two in a row do not make a range.
const COMPARISONS: [&str; 4] = ["<", "<=", ">", ">="];
/// How a range is written.
const RANGE: &str = "; a range is two comparisons: 0.1 < sharpness && sharpness < 0.9";

/// The value of a condition for a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    /// It hangs on this axis, which the frame was not asked about.
    NotAsked(String),
}

/// A condition whose names all exist.
pub(super) struct Condition(AST);

/// The language of the conditions of one rubric.
pub(super) struct Language {
    engine: Engine,
    rubric: Rubric,
}

impl Language {
    pub(super) fn new(rubric: &Rubric) -> Self {
        Self { engine: engine(), rubric: rubric.clone() }
    }

    /// The names of the axes, in the rubric's order.
    pub(super) fn axes(&self) -> impl Iterator<Item = &str> {
        self.rubric.axes.iter().map(|axis| axis.name.as_str())
    }

    /// Everything that a condition can name.
    pub(super) fn scope(&self, frame: &Frame, record: &Record) -> Scope<'static> {
        let mut scope = Scope::new();
        for axis in &self.rubric.axes {
            let known = AxisValue {
                name: axis.name.as_str().into(),
                words: axis.words(),
                not_applicable: axis.not_applicable.is_some(),
                ordered: !matches!(axis.kind, Kind::Choice { values: None, .. }),
                figures: frame.axis(&axis.name).cloned(),
            };
            scope.push_constant(axis.name.as_str(), Rc::new(known));
        }
        scope.push_constant_dynamic("overall", number(frame.overall));
        scope.push_constant("near_duplicate", frame.duplicate_of.is_some());
        let duplicate_of = frame.duplicate_of.clone().unwrap_or_default();
        scope.push_constant("duplicate_of", ImmutableString::from(duplicate_of));
        scope.push_constant_dynamic("measured", Dynamic::from_map(measured(record)));
        scope.push_constant_dynamic("made", Dynamic::from_map(made(record)));
        scope.push_constant_dynamic("file", Dynamic::from_map(of_file(record)));
        scope
    }

    /// A frame whose figures are drawn: values of axes, entropies, probabilities, numbers of boxes.
    pub(super) fn made_up(&self, draw: &mut dyn FnMut() -> f64) -> (Frame, Record) {
        let (mut frame, record) = probe(&self.rubric, Some(0.0));
        for (figures, axis) in frame.axes.iter_mut().zip(&self.rubric.axes) {
            let mut within = || draw().clamp(0.0, 1.0);
            let values = [within(), within()];
            figures.value = Some(values[0]);
            figures.worst = Some(if values[1] < 0.3 { values[0] * within() } else { values[0] });
            figures.mass = within();
            figures.probabilities.iter_mut().for_each(|p| *p = within());
            if !figures.words.is_empty() {
                let place = (within() * figures.words.len() as f64) as usize;
                figures.word = figures.words.get(place).or(figures.words.last()).cloned();
            }
            let most = (figures.words.len().max(2) as f64).log2();
            figures.entropy = draw().clamp(0.0, most);
            if matches!(axis.kind, Kind::Defects { .. }) {
                let count = (draw() + draw()).max(0.0) as usize;
                (figures.count, figures.value) = (Some(count), Some(1.0 / (1.0 + count as f64)));
            }
        }
        frame.overall = Some(draw().clamp(0.0, 1.0));
        (frame, record)
    }

    /// The condition that `text` says; it is tried on frames that have no axis and that have all.
    ///
    /// # Errors
    /// The problem, in words.
    pub(super) fn compile(&self, text: &str) -> Result<Condition, String> {
        let probes = [None, Some(0.0), Some(1.0)].map(|value| probe(&self.rubric, value));
        let scope = self.scope(&probes[0].0, &probes[0].1);
        let compiled = self.engine.compile_expression_with_scope(&scope, operators_in_words(text));
        let condition = Condition(compiled.map_err(|error| self.parse_problem(error.err_type()))?);
        for (frame, record) in &probes {
            self.holds(&condition, &mut self.scope(frame, record))?;
        }
        Ok(condition)
    }

    /// The value of `condition` for the frame that `scope` was made for.
    ///
    /// # Errors
    /// Why it says nothing, in words.
    pub(super) fn holds(
        &self,
        condition: &Condition,
        scope: &mut Scope<'_>,
    ) -> Result<Truth, String> {
        let value = self.engine.eval_ast_with_scope::<Dynamic>(scope, &condition.0);
        value.and_then(|value| truth(&value)).map_err(|error| self.problem(&error))
    }

    fn problem(&self, error: &EvalAltResult) -> String {
        match error.unwrap_inner() {
            EvalAltResult::ErrorParsing(kind, _) => self.parse_problem(kind),
            EvalAltResult::ErrorRuntime(words, _) => words.to_string(),
            EvalAltResult::ErrorVariableNotFound(name, _) => self.no_such_name(name),
            EvalAltResult::ErrorPropertyNotFound(name, _) => {
                format!(
                    "there is no {name:?}; measured has: {}; made has: {}; file has: {}",
                    Measures::NAMES.join(", "),
                    MADE.join(", "),
                    OF_FILE.join(", ")
                )
            }
            EvalAltResult::ErrorFunctionNotFound(signature, _) => {
                let (name, of) = signature.split_once(" (").unwrap_or((signature, ""));
                format!(
                    "there is no {name}({}) in rules; there are: {FUNCTIONS}",
                    of.trim_end_matches(')')
                )
            }
            EvalAltResult::ErrorArithmetic(..) => {
                "the numbers in it are too large, or it divides by zero".to_owned()
            }
            EvalAltResult::ErrorTooManyOperations(_)
            | EvalAltResult::ErrorStackOverflow(_)
            | EvalAltResult::ErrorDataTooLarge(..) => "it is too long".to_owned(),
            _ => "it compares or adds things that do not go together".to_owned(),
        }
    }

    fn parse_problem(&self, kind: &ParseErrorType) -> String {
        match kind {
            ParseErrorType::VariableUndefined(name) => self.no_such_name(name),
            ParseErrorType::UnexpectedEOF => "it ends too early".to_owned(),
            ParseErrorType::ExprTooDeep => "it is nested too deeply".to_owned(),
            ParseErrorType::Reserved(word)
            | ParseErrorType::BadInput(LexError::ImproperSymbol(word, _)) => {
                format!("{word:?} has no meaning in a rule")
            }
            ParseErrorType::UnknownOperator(sign) => format!("{sign:?} is no operator of rules"),
            ParseErrorType::MissingToken(sign, _) => format!("{sign:?} is missing"),
            ParseErrorType::BadInput(LexError::UnterminatedString) => {
                "a text in it has no closing quote".to_owned()
            }
            ParseErrorType::BadInput(LexError::UnexpectedInput(sign)) => {
                format!("{sign:?} does not belong there")
            }
            _ => "it is no condition".to_owned(),
        }
    }

    fn no_such_name(&self, name: &str) -> String {
        let axes = self.axes().collect::<Vec<_>>().join(", ");
        format!(
            "there is no {name:?}; rules can name {axes}, overall, near_duplicate, duplicate_of, measured, made and file"
        )
    }
}

/// `&&` and `||` as `and` and `or`, which know of axes that were not asked. Texts in quotes stay as
/// they are.
fn operators_in_words(condition: &str) -> String {
    let mut written = String::with_capacity(condition.len());
    let mut quote = None;
    let mut letters = condition.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => {
                written.push(letter);
                written.extend(letters.next());
                continue;
            }
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '&' | '|') if letters.next_if_eq(&letter).is_some() => {
                written.push_str(if letter == '&' { " and " } else { " or " });
                continue;
            }
            _ => {}
        }
        written.push(letter);
    }
    written
}

/// An axis in a condition.
#[derive(Debug)]
struct AxisValue {
    name: ImmutableString,
    words: Vec<String>,
    /// Whether the last word says that nothing is there to be rated.
    not_applicable: bool,
    /// Whether one word is better than another.
    ordered: bool,
    /// The probabilities of the frame, if it was asked.
    figures: Option<AxisFigures>,
}

type AxisRef = Rc<AxisValue>;

/// Checks that an axis is answered with a word.
#[derive(Debug, Clone)]
struct Answers {
    axis: AxisRef,
    word: usize,
}

/// A number, or a yes or no, that hangs on an axis which the frame was not asked about.
#[derive(Debug, Clone)]
struct NotAsked(ImmutableString);

type Evaluated = Result<Dynamic, Box<EvalAltResult>>;

impl AxisValue {
    /// A figure of it; not a number if it has figures, but not this one.
    fn figure(&self, of: impl Fn(&AxisFigures) -> Option<f64>) -> Dynamic {
        match &self.figures {
            Some(figures) => number(of(figures)),
            None => Dynamic::from(NotAsked(self.name.clone())),
        }
    }

    /// Whether the frame was asked, and the answer is not that there is nothing to be rated.
    fn applies(&self) -> bool {
        self.figures.as_ref().is_some_and(|figures| {
            !self.not_applicable || figures.word.as_ref() != self.words.last()
        })
    }

    fn value(&self) -> Evaluated {
        if self.ordered {
            return Ok(self.figure(|figures| figures.value));
        }
        let words = self.words.join(", ");
        Err(format!(
            "no word of {} is better than another: compare it with one of them ({words})",
            self.name
        )
        .into())
    }
}

impl Answers {
    fn of(axis: &AxisRef, word: &str) -> Result<Self, Box<EvalAltResult>> {
        let place = axis.words.iter().position(|known| known == word);
        let Some(word) = place else {
            return Err(format!(
                "{} has no word {word:?}; it has: {}",
                axis.name,
                axis.words.join(", ")
            )
            .into());
        };
        Ok(Self { axis: Rc::clone(axis), word })
    }

    fn probability(&self) -> Dynamic {
        self.axis.figure(|figures| figures.probabilities.get(self.word).copied())
    }

    /// Whether it is the most probable word.
    fn truth(&self) -> Truth {
        match &self.axis.figures {
            Some(figures) if figures.word.as_ref() == self.axis.words.get(self.word) => Truth::Yes,
            Some(_) => Truth::No,
            None => Truth::NotAsked(self.axis.name.to_string()),
        }
    }
}

impl Truth {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, other) => other,
            (not_asked, _) => not_asked,
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::NotAsked(axis) => Self::NotAsked(axis),
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl From<Truth> for Dynamic {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::Yes => true.into(),
            Truth::No => false.into(),
            Truth::NotAsked(axis) => Self::from(NotAsked(axis.into())),
        }
    }
}

/// A missing figure is not a number: every comparison with it is false, and every sum with it is
/// missing too.
fn number(value: Option<f64>) -> Dynamic {
    Dynamic::from_float(value.unwrap_or(f64::NAN))
}

fn truth(value: &Dynamic) -> Result<Truth, Box<EvalAltResult>> {
    if let Some(answers) = value.read_lock::<Answers>() {
        return Ok(answers.truth());
    }
    if let Some(missing) = value.read_lock::<NotAsked>() {
        return Ok(Truth::NotAsked(missing.0.to_string()));
    }
    match value.as_bool() {
        Ok(true) => Ok(Truth::Yes),
        Ok(false) => Ok(Truth::No),
        Err(_) => Err(format!(
            "a condition must be true or false, and this is {}; compare it with something",
            kind_of(value)
        )
        .into()),
    }
}

/// The name of a value's type in messages.
fn kind_of(value: &Dynamic) -> &'static str {
    match value.type_name() {
        "i64" | "f64" => "a number",
        "string" | "char" => "a text",
        "bool" => "a yes or no",
        "map" => "a group of values",
        _ if value.is::<AxisRef>() => "an axis",
        _ if value.is::<Answers>() => "a yes or no",
        _ if value.is::<NotAsked>() => "an axis that was not asked",
        _ => "something else",
    }
}

/// One side of a sum or a comparison.
enum Operand {
    Number(f64),
    NotAsked(ImmutableString),
}

impl Operand {
    fn of(value: &Dynamic, operation: &str) -> Result<Self, Box<EvalAltResult>> {
        if let Some(axis) = value.read_lock::<AxisRef>() {
            return Self::of(&axis.value()?, operation);
        }
        if let Some(missing) = value.read_lock::<NotAsked>() {
            return Ok(Self::NotAsked(missing.0.clone()));
        }
        let number = value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64));
        let wrong = |_| {
            let range =
                if is_logical(value) && COMPARISONS.contains(&operation) { RANGE } else { "" };
            format!("{operation} takes numbers and axes, and there is {}{range}", kind_of(value))
        };
        Ok(Self::Number(number.map_err(wrong)?))
    }

    /// `operation` on both numbers; a number that depends on an axis that was not asked still does
    /// afterwards.
    fn with(
        values: [&Dynamic; 2],
        name: &str,
        operation: impl Fn(f64, f64) -> Dynamic,
    ) -> Evaluated {
        let [one, other] = values;
        Ok(match (Self::of(one, name)?, Self::of(other, name)?) {
            (Self::Number(one), Self::Number(other)) => operation(one, other),
            (Self::NotAsked(axis), _) | (_, Self::NotAsked(axis)) => Dynamic::from(NotAsked(axis)),
        })
    }
}

/// Whether two values are the same: an axis and a word, two numbers, two texts.
fn equal(one: &Dynamic, other: &Dynamic) -> Evaluated {
    for (axis, word) in [(one, other), (other, one)] {
        if let Some(axis) = axis.read_lock::<AxisRef>()
            && let Ok(word) = word.as_immutable_string_ref()
        {
            return Ok(Dynamic::from(Answers::of(&axis, &word)?));
        }
    }
    if is_logical(one) && is_logical(other) {
        let (one, other) = (truth(one)?, truth(other)?);
        let both = one.clone().and(other.clone());
        return Ok(both.or(one.not().and(other.not())).into());
    }
    if let Some(order) = exact_order(one, other) {
        return Ok(order.is_eq().into());
    }
    #[allow(clippy::float_cmp)] // it is what the rule asks
    Operand::with([one, other], "==", |one, other| (one == other).into())
}

/// The order of two whole numbers, which may be larger than other numbers hold, or of two texts.
fn exact_order(one: &Dynamic, other: &Dynamic) -> Option<Ordering> {
    let text = |value: &Dynamic| {
        value.clone().into_string().ok().or_else(|| Some(value.as_char().ok()?.into()))
    };
    match (one.as_int(), other.as_int()) {
        (Ok(one), Ok(other)) => Some(one.cmp(&other)),
        _ => Some(text(one)?.cmp(&text(other)?)),
    }
}

fn is_logical(value: &Dynamic) -> bool {
    value.is_bool() || value.is::<Answers>() || value.is::<NotAsked>()
}

fn measured(record: &Record) -> Map {
    let value = |name: &str| number(record.measures.and_then(|measures| measures.by_name(name)));
    Measures::NAMES.iter().map(|&name| (name.into(), value(name))).collect()
}

fn made(record: &Record) -> Map {
    let known = record.generation.as_ref();
    // A missing text is empty, so that rules can search it.
    let text = |value: Option<&String>| Dynamic::from(value.cloned().unwrap_or_default());
    let names = |made: &GenerationSettings| {
        made.loras.iter().map(|lora| lora.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let loras = known.map(|made| names(made)).filter(|names| !names.is_empty());
    let whole = |value: Option<i64>| value.map_or(number(None), Dynamic::from_int);
    let values: [Dynamic; MADE.len()] = [
        text(known.and_then(|made| made.prompt.as_ref())),
        text(known.and_then(|made| made.negative_prompt.as_ref())),
        text(known.and_then(|made| made.model.as_ref())),
        text(known.and_then(|made| made.sampler.as_ref())),
        text(known.and_then(|made| made.scheduler.as_ref())),
        whole(known.and_then(|made| i64::try_from(made.seed?).ok())),
        whole(known.and_then(|made| made.steps.map(i64::from))),
        number(known.and_then(|made| made.cfg_scale)),
        number(known.and_then(|made| made.guidance)),
        number(known.and_then(|made| made.denoise)),
        text(known.and_then(|made| made.vae.as_ref())),
        text(known.and_then(|made| made.upscale.as_ref())),
        text(loras.as_ref()),
        whole(known.and_then(|made| made.size.map(|[width, _]| i64::from(width)))),
        whole(known.and_then(|made| made.size.map(|[_, height]| i64::from(height)))),
        text(known.and_then(|made| tool_name(made)).as_ref()),
    ];
    MADE.iter().map(|&name| name.into()).zip(values).collect()
}

/// The maker as records write it.
fn tool_name(made: &GenerationSettings) -> Option<String> {
    serde_json::to_value(made.tool?).ok()?.as_str().map(str::to_owned)
}

/// Facts about the picture itself; of one that could not be read, the size is not known.
fn of_file(record: &Record) -> Map {
    let (folder, name) = record.image.rsplit_once('/').unwrap_or(("", &record.image));
    let extension = name.rsplit_once('.').map_or("", |(_, end)| end).to_lowercase();
    let side =
        |side: u32| if side == 0 { number(None) } else { Dynamic::from_int(i64::from(side)) };
    let pixels = f64::from(record.width) * f64::from(record.height);
    let values: [Dynamic; OF_FILE.len()] = [
        name.to_owned().into(),
        folder.to_owned().into(),
        extension.into(),
        side(record.width),
        side(record.height),
        number((pixels > 0.0).then_some(pixels / 1e6)),
    ];
    OF_FILE.iter().map(|&name| name.into()).zip(values).collect()
}

/// The language of conditions. It begins empty: only the functions here exist (no waiting,
/// printing, scripts in scripts).
fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    for package in [
        ArithmeticPackage::new().as_shared_module(),
        LogicPackage::new().as_shared_module(),
        BasicMathPackage::new().as_shared_module(),
        BasicMapPackage::new().as_shared_module(),
        BasicStringPackage::new().as_shared_module(),
        MoreStringPackage::new().as_shared_module(),
    ] {
        engine.register_global_module(package);
    }
    for symbol in ["eval", "print", "debug"] {
        engine.disable_symbol(symbol);
    }
    // The language's own operators say "false" of things that cannot be compared; those of this
    // module say so.
    engine.set_fast_operators(false);
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_expr_depths(MAX_DEPTH);
    engine.set_max_string_size(MAX_TEXT_BYTES);
    engine.set_max_map_size(100);
    engine
        .register_type_with_name::<AxisRef>("axis")
        .register_type_with_name::<Answers>("axis == word");
    engine.register_type_with_name::<NotAsked>("axis");
    register_arithmetic(&mut engine);
    register_figures(&mut engine);
    engine.register_fn("or", |one: Dynamic, other: Dynamic| -> Evaluated {
        Ok(truth(&one)?.or(truth(&other)?).into())
    });
    engine.register_fn("and", |one: Dynamic, other: Dynamic| -> Evaluated {
        Ok(truth(&one)?.and(truth(&other)?).into())
    });
    engine.register_fn("!", |answers: Answers| -> Dynamic { answers.truth().not().into() });
    engine.register_fn("!", |missing: NotAsked| missing);
    // As strong as || and &&. Only a name that is reserved already could be refused.
    for (operator, precedence) in [("or", 30), ("and", 60)] {
        let registered = engine.register_custom_operator(operator, precedence);
        debug_assert!(registered.is_ok());
    }
    engine
}

/// Not [`f64::min`] and [`f64::max`], which ignore NaN.
fn least(one: f64, other: f64) -> Dynamic {
    number(Some(if one < other || one.is_nan() { one } else { other }))
}

fn most(one: f64, other: f64) -> Dynamic {
    number(Some(if one > other || one.is_nan() { one } else { other }))
}

/// Sums and comparisons with axes, and of things that do not go together; other sums are the
/// language's own.
fn register_arithmetic(engine: &mut Engine) {
    macro_rules! register_comparison {
        ($($name:literal $of_order:ident $of_numbers:expr),* $(,)?) => {$(
            engine.register_fn($name, |one: Dynamic, other: Dynamic| -> Evaluated {
                match exact_order(&one, &other) {
                    Some(order) => Ok(order.$of_order().into()),
                    None => Operand::with([&one, &other], $name, $of_numbers),
                }
            });
        )*};
    }
    register_comparison!(
        "<" is_lt |one, other| (one < other).into(),
        "<=" is_le |one, other| (one <= other).into(),
        ">" is_gt |one, other| (one > other).into(),
        ">=" is_ge |one, other| (one >= other).into(),
    );
    macro_rules! register {
        ($($name:literal $operation:expr),* $(,)?) => {$(
            engine.register_fn($name, |one: Dynamic, other: Dynamic| -> Evaluated {
                Operand::with([&one, &other], $name, $operation)
            });
        )*};
    }
    macro_rules! register_sum {
        ($($name:literal $of_whole:ident $of_numbers:expr),* $(,)?) => {$(
            engine.register_fn($name, |one: Dynamic, other: Dynamic| -> Evaluated {
                match (one.as_int(), other.as_int()) {
                    (Ok(one), Ok(other)) => match one.$of_whole(other) {
                        Some(whole) => Ok(whole.into()),
                        None => Err(EvalAltResult::ErrorArithmetic(String::new(),
                            Position::NONE).into()),
                    },
                    _ => Operand::with([&one, &other], $name, $of_numbers),
                }
            });
        )*};
    }
    register_sum!(
        "+" checked_add |one, other| (one + other).into(),
        "-" checked_sub |one, other| (one - other).into(),
        "*" checked_mul |one, other| (one * other).into(),
        "/" checked_div |one, other| (one / other).into(),
    );
    register!(
        "min" least,
        "max" most,
    );
    macro_rules! of_several {
        ($($name:literal $operation:expr),*) => {$(
            engine.register_fn($name, |a: Dynamic, b: Dynamic, c: Dynamic| -> Evaluated {
                Operand::with([&Operand::with([&a, &b], $name, $operation)?, &c], $name, $operation)
            });
            let of_four = |a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic| -> Evaluated {
                let both = [Operand::with([&a, &b], $name, $operation)?,
                    Operand::with([&c, &d], $name, $operation)?];
                Operand::with([&both[0], &both[1]], $name, $operation)
            };
            engine.register_fn($name, of_four);
        )*};
    }
    of_several!("min" least, "max" most);
    engine.register_fn("-", |axis: AxisRef| -> Evaluated {
        Operand::with([&0.0.into(), &axis.value()?], "-", |zero, value| (zero - value).into())
    });
    engine.register_fn("-", |missing: NotAsked| missing);
    engine.register_fn("abs", |axis: AxisRef| -> Evaluated {
        Operand::with([&axis.value()?, &0.0.into()], "abs", |value, _| value.abs().into())
    });
    engine.register_fn("abs", |missing: NotAsked| missing);
    engine.register_fn("==", |one: Dynamic, other: Dynamic| equal(&one, &other));
    engine.register_fn("!=", |one: Dynamic, other: Dynamic| -> Evaluated {
        Ok(truth(&equal(&one, &other)?)?.not().into())
    });
}

/// The figures that can be asked of an axis.
fn register_figures(engine: &mut Engine) {
    engine.register_fn("p", |answers: Answers| answers.probability());
    engine.register_fn("value", |axis: AxisRef| axis.value());
    engine.register_fn("entropy", |axis: AxisRef| axis.figure(|figures| Some(figures.entropy)));
    engine.register_fn("mass", |axis: AxisRef| axis.figure(|figures| Some(figures.mass)));
    engine.register_fn("worst", |axis: AxisRef| {
        axis.figure(|figures| figures.worst.or(figures.value))
    });
    engine.register_fn("count", |axis: AxisRef| {
        axis.figure(|figures| figures.count.map(|count| count as f64))
    });
    engine.register_fn("known", |axis: AxisRef| axis.applies());
    engine.register_fn("known", |_: NotAsked| false);
    engine.register_fn("known", |value: f64| !value.is_nan());
    engine.register_fn("known", |_: i64| true);
    engine.register_fn("known", |value: ImmutableString| !value.is_empty());
}

/// A frame on which every axis has `value`, or none has any.
fn probe(rubric: &Rubric, value: Option<f64>) -> (Frame, Record) {
    let figures = |axis: &super::Axis| {
        let words = axis.words();
        Some(AxisFigures {
            axis: axis.name.clone(),
            value: Some(value?),
            word: words.first().cloned(),
            entropy: value?,
            mass: value?,
            probabilities: words.iter().map(|_| 1.0 / words.len() as f64).collect(),
            words,
            worst: value,
            count: value.map(|value| value as usize),
            clauses: Vec::new(),
            reason: None,
        })
    };
    let axes = rubric.axes.iter().filter_map(figures).collect();
    let frame = Frame { axes, overall: value, unread: None, duplicate_of: None };
    (frame, Record::failed(String::new(), String::new()))
}
