//! Which parts of an answer count.
//!
//! In: the values of a text that hold boxes or say "nothing", in their order, and the words between them. Out: which
//! of them are the answer. Promises: the last whole attempt wins over the ones before it; lists of several classes,
//! one after another, stay one answer; in doubt every box is kept, and the answer is not `ok`. Linear in the text.
//!
//! # The rule
//!
//! Values that only white space, commas, fences and tags part are one part: lists one after another, JSON lines, a
//! fence behind a fence. Two exceptions begin a new part: a list behind a value in the middle of a sentence, and a
//! list that says all of the list before it again.
//!
//! Of several parts these are dropped, with the note `earlier_answer_dropped`:
//!
//! 1. an example: the words before it call it one ("for example", "schema", "the format is"), or all its labels or
//!    coordinates are placeholders (`label`, `object_name`, `[0, 0, 0, 0]`), and another part is none;
//! 2. a draft: the words before it say so ("first attempt", "initial", "guess"), and another part follows;
//! 3. what a later part corrects ("wait", "corrected", "final", "instead", "looking again"): the parts that share a
//!    label with it, or if none does, all before it;
//! 4. boxes in a sentence before a list or a fence that names the same labels, or if they have none;
//! 5. what a later part says again: half of its boxes at least, by label and with an overlap of a half.
//!
//! A correction that was cut off corrects nothing: it is dropped itself. A part that adds ("also", "another"), or is one
//! of an enumeration ("Object 2: {…}"), drops nothing. Parts that share a label without any of this are kept with the
//! note `several_answers`. Parts of different labels are one answer, and `ok`, if the words between them name a label
//! of the later one ("Dogs:"), or add it ("and", "also", "Object 2:"); otherwise they are kept with that note, too.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::ParsedBox;
use super::march::as_written;

/// A value of the text.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) span: Range<usize>,
    /// Where the words before it begin: behind the value or the thought before it.
    pub(super) lead: usize,
    /// Its boxes.
    pub(super) boxes: Range<usize>,
    /// Boxes of it that were not read.
    pub(super) lost: usize,
    pub(super) form: Form,
    /// It stands in a fence.
    pub(super) fenced: bool,
    /// The text ends behind it.
    pub(super) whole: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    List,
    Object,
    /// Entries without brackets.
    Loose,
}

/// What counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Of each block, whether it was dropped.
    pub(super) dropped: Vec<bool>,
    /// Parts of which no words say whether they are one answer.
    pub(super) doubtful: usize,
}

/// The most boxes of a part, and the most parts before it, that one is compared with.
const COMPARED: usize = 64;
const COMPARED_PARTS: usize = 8;

/// Boxes that overlap so much are about one thing.
const SAME_PLACE: f64 = 0.5;

/// Of the words between two parts so many bytes at either end are looked at.
const NEAR: usize = 300;

struct Part<'b> {
    blocks: Range<usize>,
    boxes: &'b [ParsedBox],
    lost: usize,
    form: Form,
    fenced: bool,
    whole: bool,
    /// The part before says nothing that this one does not say.
    repeats: bool,
    lead: Lead,
}

/// What the words before a part say of it.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a kind of word
struct Lead {
    words: bool,
    corrects: bool,
    adds: bool,
    draft: bool,
    example: bool,
    /// Words that examples share with answers: "format".
    form: bool,
    /// It is about the image at hand.
    here: bool,
    /// A few words with a number.
    numbered: bool,
    /// A few words with "and".
    joins: bool,
    /// They name one of its labels.
    named: bool,
}

/// Chooses among the blocks of `text`, whose boxes are `boxes`.
pub(super) fn choose(text: &str, blocks: &[Block], boxes: &[ParsedBox]) -> Choice {
    let mut choice = Choice { dropped: vec![false; blocks.len()], doubtful: 0 };
    let parts = parts(text, blocks, boxes);
    if parts.len() < 2 {
        return choice;
    }
    let mut dropped = vec![false; parts.len()];
    drop_examples(&parts, &mut dropped);
    drop_drafts(&parts, &mut dropped);
    choice.doubtful = compare(&parts, &mut dropped);
    for (part, _) in parts.iter().zip(dropped).filter(|(_, dropped)| *dropped) {
        choice.dropped[part.blocks.clone()].fill(true);
    }
    choice
}

/// The last part alone: all before it was a thought.
pub(super) fn choose_last(text: &str, blocks: &[Block], boxes: &[ParsedBox]) -> Choice {
    let mut choice = Choice { dropped: vec![false; blocks.len()], doubtful: 0 };
    if let Some(last) = parts(text, blocks, boxes).last() {
        choice.dropped[..last.blocks.start].fill(true);
    }
    choice
}

/// Whether words stand in `text`.
pub(super) fn has_words(text: &str) -> bool {
    words(text).any(|word| word.contains(char::is_alphabetic))
}

fn parts<'b>(text: &str, blocks: &[Block], boxes: &'b [ParsedBox]) -> Vec<Part<'b>> {
    let mut parts: Vec<Part<'b>> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let own = &boxes[block.boxes.clone()];
        let lead = Lead::of(&text[block.lead..block.span.start], own);
        let mut repeats = false;
        if let Some(before) = parts.last_mut().filter(|_| !lead.words) {
            let listed = block.form == Form::List || block.fenced;
            let in_a_sentence = match before.form {
                Form::List => false,
                Form::Object => before.lead.words && !before.fenced,
                Form::Loose => true,
            };
            let last = &boxes[blocks[index - 1].boxes.clone()];
            repeats = listed && blocks[index - 1].form == Form::List && says_again(last, own);
            if !(repeats || (listed && in_a_sentence)) {
                before.blocks.end = index + 1;
                before.boxes = &boxes[blocks[before.blocks.start].boxes.start..block.boxes.end];
                before.lost += block.lost;
                before.whole &= block.whole;
                before.fenced |= block.fenced;
                if block.form == Form::List {
                    before.form = Form::List;
                }
                continue;
            }
        }
        let Block { lost, form, fenced, whole, .. } = *block;
        parts.push(Part { blocks: index..index + 1, boxes: own, lost, form, fenced, whole, repeats, lead });
    }
    parts
}

impl Part<'_> {
    /// It can take the place of another part.
    fn is_answer(&self) -> bool {
        self.whole && (!self.boxes.is_empty() || self.lost == 0)
    }

    fn in_a_sentence(&self) -> bool {
        self.form != Form::List && !self.fenced
    }

    fn labels(&self) -> impl Iterator<Item = Option<&str>> {
        self.boxes.iter().map(|one| one.label.as_deref())
    }
}

/// Drops what is an example, if something else is not.
fn drop_examples(parts: &[Part<'_>], dropped: &mut [bool]) {
    let last_here = parts.iter().rposition(|part| part.lead.here).unwrap_or(0);
    let is_example = |(index, part): (usize, &Part<'_>)| {
        part.lead.example || (part.lead.form && index < last_here) || is_placeholder(part)
    };
    let examples: Vec<bool> = parts.iter().enumerate().map(is_example).collect();
    let others = parts.iter().zip(&examples).any(|(part, example)| !example && part.is_answer());
    if others {
        dropped.iter_mut().zip(examples).for_each(|(dropped, example)| *dropped |= example);
    }
}

/// Drops what is a draft, if a part that counts follows.
fn drop_drafts(parts: &[Part<'_>], dropped: &mut [bool]) {
    let mut follows = false;
    for (part, dropped) in parts.iter().zip(dropped).rev() {
        *dropped |= follows && part.lead.draft;
        follows |= !*dropped && part.is_answer();
    }
}

/// Holds every part against those before it, and gives the number of those of which no words say how they go together.
fn compare(parts: &[Part<'_>], dropped: &mut [bool]) -> usize {
    let mut doubtful = HashSet::new();
    // Of each label, the parts that have it, the last one last.
    let mut of_label: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
    // All parts before this one are dropped.
    let mut cleared = 0;
    for index in 0..parts.len() {
        if dropped[index] {
            continue;
        }
        let part = &parts[index];
        let labels: HashSet<Option<&str>> = part.labels().collect();
        let mut sharing: Vec<usize> = Vec::new();
        for label in &labels {
            let Some(known) = of_label.get_mut(label) else { continue };
            while known.pop_if(|earlier| dropped[*earlier]).is_some() {}
            sharing.extend(known.iter().rev().take(COMPARED_PARTS).filter(|earlier| !dropped[**earlier]));
        }
        sharing.sort_unstable();
        sharing.dedup();
        let corrects = part.lead.corrects && !part.lead.adds;
        if corrects && !part.whole {
            // It was never finished: what it was to correct stays.
            dropped[index] = index > 0;
            continue;
        }
        if corrects && part.is_answer() {
            if sharing.is_empty() {
                dropped[cleared..index].fill(true);
                cleared = index;
            }
            let all = labels.iter().filter_map(|label| of_label.remove(label)).flatten();
            all.for_each(|earlier| dropped[earlier] = true);
        } else if !part.lead.numbered {
            for earlier in sharing {
                match relation(&parts[earlier], part) {
                    Relation::Replaced => dropped[earlier] = true,
                    Relation::Open => doubtful.extend([earlier, index]),
                }
            }
            let before = index.checked_sub(1).filter(|before| !dropped[*before]);
            let both = before.filter(|before| !parts[*before].boxes.is_empty() && !part.boxes.is_empty());
            if let Some(before) = both.filter(|_| !(part.lead.named || part.lead.adds || part.lead.joins)) {
                doubtful.extend([before, index]);
            }
            if let Some(before) = before.filter(|before| parts[*before].in_a_sentence() && !part.in_a_sentence()) {
                let earlier = &parts[before];
                if part.is_answer() && earlier.labels().all(|label| label.is_none()) {
                    dropped[before] = true;
                } else if earlier.labels().any(|label| !labels.contains(&label)) {
                    doubtful.extend([before, index]);
                }
            }
        }
        for label in labels {
            of_label.entry(label).or_default().push(index);
        }
    }
    // Entries without brackets are salvaged whatever becomes of them.
    doubtful.into_iter().filter(|index| !dropped[*index] && parts[*index].form != Form::Loose).count()
}

enum Relation {
    Replaced,
    Open,
}

/// How a part goes together with a later one that shares a label.
fn relation(earlier: &Part<'_>, later: &Part<'_>) -> Relation {
    let known: HashSet<Option<&str>> = later.labels().collect();
    let introduced =
        earlier.in_a_sentence() && !later.in_a_sentence() && earlier.labels().all(|label| known.contains(&label));
    let again = 2 * said_again(earlier.boxes, later.boxes) >= earlier.boxes.len().min(COMPARED);
    let loose = earlier.form == Form::Loose && later.form == Form::Loose;
    if later.is_answer() && (later.repeats || introduced || (again && !later.lead.adds && !loose)) {
        Relation::Replaced
    } else {
        Relation::Open
    }
}

/// Whether a list is said again by the list right behind it: all of several boxes, or one box exactly.
fn says_again(before: &[ParsedBox], behind: &[ParsedBox]) -> bool {
    match before {
        [] => false,
        [one] => behind.len() == 1 && as_written(&behind[0]) == as_written(one),
        _ => before.len() <= behind.len().min(COMPARED) && said_again(before, behind) == before.len(),
    }
}

/// How many of the first boxes of one part have their like in another.
fn said_again(earlier: &[ParsedBox], later: &[ParsedBox]) -> usize {
    let alike = |one: &ParsedBox, other: &ParsedBox| one.label == other.label && overlap(one, other) >= SAME_PLACE;
    let later = &later[..later.len().min(COMPARED)];
    earlier.iter().take(COMPARED).filter(|one| later.iter().any(|other| alike(one, other))).count()
}

fn overlap(a: &ParsedBox, b: &ParsedBox) -> f64 {
    let sorted = |box_2d: [f64; 4]| {
        let [y0, x0, y1, x1] = box_2d;
        [y0.min(y1), x0.min(x1), y0.max(y1), x0.max(x1)]
    };
    let ([ay0, ax0, ay1, ax1], [by0, bx0, by1, bx1]) = (sorted(a.box_2d), sorted(b.box_2d));
    let common = (ay1.min(by1) - ay0.max(by0)).max(0.0) * (ax1.min(bx1) - ax0.max(bx0)).max(0.0);
    let union = (ay1 - ay0) * (ax1 - ax0) + (by1 - by0) * (bx1 - bx0) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Whether `gap` holds a word of one of the first labels.
fn names_a_label(gap: &str, boxes: &[ParsedBox]) -> bool {
    const LABELS: usize = 8;
    let start = gap.ceil_char_boundary(gap.len().saturating_sub(NEAR));
    let gap = gap[start..].to_lowercase();
    let labels = boxes.iter().filter_map(|one| one.label.as_deref()).take(LABELS);
    labels.map(str::to_lowercase).any(|label| words(&label).any(|word| word.chars().count() > 1 && gap.contains(word)))
}

/// Whether a part is made of nothing but what stands for something else.
fn is_placeholder(part: &Part<'_>) -> bool {
    const LABELS: [&str; 24] = [
        "label",
        "labels",
        "example",
        "example label",
        "object",
        "object name",
        "object label",
        "class",
        "class name",
        "category",
        "name",
        "string",
        "text",
        "item",
        "thing",
        "placeholder",
        "your label",
        "label here",
        "label name",
        "description",
        "foo",
        "bar",
        "label1",
        "object1",
    ];
    let label = |one: &ParsedBox| {
        let written = one.label.as_deref().unwrap_or_default().to_lowercase();
        let plain = written.trim_matches(['<', '>', '[', ']', '{', '}', '.', '…', ' ']).replace(['_', '-'], " ");
        written.is_empty() || plain.is_empty() || LABELS.contains(&plain.as_str())
    };
    let coordinates = |one: &ParsedBox| {
        let [a, b, c, d] = one.box_2d.map(f64::to_bits);
        a == b && b == c && c == d
    };
    let named = part.boxes.iter().any(|one| one.label.is_some());
    !part.boxes.is_empty() && ((named && part.boxes.iter().all(label)) || part.boxes.iter().all(coordinates))
}

impl Lead {
    /// Reads the words before a part.
    fn of(gap: &str, boxes: &[ParsedBox]) -> Self {
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
