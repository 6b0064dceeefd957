//! What the words around the parts of an answer say of them.
//!
//! In: the words before a part, and its boxes. Out: whether they correct what was said before, add to it, or call the part
//! a draft or an example. Promises: of long texts only both ends are looked at.

use super::ParsedBox;

/// Of the words between two parts so many bytes at either end are looked at.
const NEAR: usize = 300;

/// What the words before a part say of it.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a kind of word
pub(super) struct Lead {
    pub(super) words: bool,
    pub(super) corrects: bool,
    pub(super) adds: bool,
    pub(super) draft: bool,
    pub(super) example: bool,
    /// Words that examples share with answers: "format".
    pub(super) form: bool,
    /// It is about the image at hand.
    pub(super) here: bool,
    /// A few words with a number.
    pub(super) numbered: bool,
    /// A few words with "and".
    pub(super) joins: bool,
    /// They name one of its labels.
    pub(super) named: bool,
}

/// Whether words stand in `text`.
pub(super) fn has_words(text: &str) -> bool {
    words(text).any(|word| word.contains(char::is_alphabetic))
}

/// Whether `gap` holds a word of one of the first labels.
fn names_a_label(gap: &str, boxes: &[ParsedBox]) -> bool {
    const LABELS: usize = 8;
    let start = gap.ceil_char_boundary(gap.len().saturating_sub(NEAR));
    let gap = gap[start..].to_lowercase();
    let labels = boxes.iter().filter_map(|one| one.label.as_deref()).take(LABELS);
    labels.map(str::to_lowercase).any(|label| words(&label).any(|word| word.chars().count() > 1 && gap.contains(word)))
}

impl Lead {
    /// Reads the words before a part.
    pub(super) fn of(gap: &str, boxes: &[ParsedBox]) -> Self {
        if !has_words(gap) {
            return Self::default();
        }
        let head = &gap[..gap.floor_char_boundary(NEAR)];
        let tail = &gap[gap.ceil_char_boundary(gap.len().saturating_sub(NEAR).max(head.len()))..];
        let near: Vec<String> = words(head).chain(words(tail)).map(str::to_lowercase).collect();
        let text = format!(" {} ", near.join(" "));
        let has = |phrases: &[&str]| {
            let holds = |phrase: &&str| {
                if phrase.is_ascii() { text.contains(&format!(" {phrase} ")) } else { text.contains(*phrase) }
            };
            phrases.iter().any(holds)
        };
        Self {
            words: true,
            corrects: has(&CORRECTIONS) || REFUSALS.iter().any(|start| gap.trim_start().starts_with(start)),
            adds: has(&ADDITIONS),
            draft: has(&DRAFTS),
            example: has(&EXAMPLES),
            form: has(&["format", "structure", "output format", "json format"]),
            here: has(&["image", "picture", "photo", "answer", "result", "results", "detections", "actual", "now"]),
            named: names_a_label(gap, boxes),
            joins: near.len() <= 4 && has(&["and", "und", "et", "y", "e", "и", "和", "と"]),
            numbered: near.len() <= 4 && near.iter().any(|word| word.contains(|c: char| c.is_ascii_digit())),
        }
    }
}

const CORRECTIONS: [&str; 98] = [
    "wait",
    "actually",
    "correction",
    "corrections",
    "corrected",
    "correct",
    "correcting",
    "revise",
    "revised",
    "revision",
    "refine",
    "refined",
    "refinement",
    "updated",
    "update",
    "fixed",
    "fix",
    "adjusted",
    "adjust",
    "improved",
    "improvement",
    "sorry",
    "apologies",
    "oops",
    "mistake",
    "mistaken",
    "wrong",
    "inaccurate",
    "instead",
    "final",
    "definitive",
    "recheck",
    "rechecking",
    "reconsider",
    "reconsidering",
    "verified",
    "looking again",
    "look again",
    "checking again",
    "double check",
    "double checking",
    "double checked",
    "on closer",
    "closer look",
    "more closely",
    "more carefully",
    "more accurate",
    "more precise",
    "more precisely",
    "second attempt",
    "second try",
    "second pass",
    "another attempt",
    "try again",
    "scratch that",
    "not quite",
    "too small",
    "too large",
    "too big",
    "korrigiert",
    "korrigierte",
    "korrektur",
    "endgültig",
    "corrigé",
    "修正",
    "更正",
    "最终",
    "最終",
    "apologize",
    "apologise",
    "second thought",
    "error",
    "errors",
    "incorrect",
    "better",
    "retry",
    "not right",
    "should have been",
    "moment",
    "perdón",
    "corregida",
    "corregido",
    "corrigida",
    "corrigido",
    "corretta",
    "corretto",
    "errata",
    "falsch",
    "revisada",
    "revisado",
    "attempt 2",
    "attempt 3",
    "attempt 4",
    "version 2",
    "version 3",
    "try 2",
    "try 3",
    "pass 2",
];

/// How a sentence begins that takes something back.
const REFUSALS: [&str; 6] = ["No, ", "No. ", "No.\n", "Nope", "Hmm", "Oh"];

const ADDITIONS: [&str; 18] = [
    "also",
    "additionally",
    "addition",
    "another",
    "other",
    "others",
    "plus",
    "moreover",
    "furthermore",
    "as well",
    "missed",
    "forgot",
    "remaining",
    "rest",
    "further",
    "außerdem",
    "también",
    "另外",
];

const DRAFTS: [&str; 30] = [
    "draft",
    "drafts",
    "preliminary",
    "initial",
    "initially",
    "tentative",
    "tentatively",
    "rough",
    "guess",
    "guesses",
    "estimate",
    "first attempt",
    "first try",
    "first pass",
    "first version",
    "first look",
    "first guess",
    "at first",
    "attempt 1",
    "version 1",
    "brainstorm",
    "thinking",
    "reasoning",
    "thoughts",
    "entwurf",
    "brouillon",
    "borrador",
    "rascunho",
    "草稿",
    "初步",
];

const EXAMPLES: [&str; 26] = [
    "example",
    "examples",
    "e g",
    "for instance",
    "template",
    "schema",
    "placeholder",
    "placeholders",
    "sample output",
    "sample answer",
    "format is",
    "format would",
    "format will",
    "format looks",
    "format should",
    "looks like",
    "look like",
    "structure is",
    "syntax",
    "beispiel",
    "exemple",
    "ejemplo",
    "exemplo",
    "esempio",
    "示例",
    "例如",
];

/// The words of prose: without the languages of fences and without tags.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c.is_alphanumeric() || matches!(c, '`' | '<'))?;
            rest = &rest[start..];
            if let Some(fence) = rest.strip_prefix("```") {
                rest = fence.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '`' | '_' | '-' | '+'));
            } else if rest.starts_with(['`', '<']) {
                let tag = rest.starts_with('<').then(|| rest.find(['>', '\n', ' '])).flatten();
                let tag = tag.filter(|end| rest[*end..].starts_with('>'));
                rest = &rest[tag.map_or(1, |end| end + 1)..];
            } else {
                let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
                let word;
                (word, rest) = rest.split_at(end);
                return Some(word);
            }
        }
    })
}
