//! Which parts of an answer count.
//!
//! In: the values of a text that hold boxes or say "nothing", in their order, and the words between
//! them. Out: which of them are the answer. Promises: the last whole attempt wins over the ones
//! before it; lists of several classes, one after another, stay one answer; in doubt every box is
//! kept, and the answer is not `ok`. Linear in the text.
//!
//! # The rule
//!
//! Values that only white space, commas, fences and tags part are one part: lists one after
//! another, JSON lines, a fence behind a fence. These begin a new part: a list behind a value in
//! the middle of a sentence, behind an example or a draft, or behind a tag whose meaning is not
//! known; a list that says all of the list before it again; and anything behind a thought.
//!
//! Of several parts, these are dropped with the note `earlier_answer_dropped`:
//!
//! 1. what stands before a thought, if a part follows; and what is struck out (`~~…~~`);
//! 2. an example: the words before it call it one ("for example", "schema", "the format is"), or
//!    all its labels or coordinates are placeholders (`label`, `object_name`, `[0, 0, 0, 0]`) and
//!    those of another part are not;
//! 3. a draft: the words before it say so ("first attempt", "initial", "guess"), and another part
//!    follows;
//! 4. what a later part corrects ("wait", "corrected", "instead", "looking again"): the parts that
//!    share a label with it, or if none does, all before it. "Final" and "better" correct only what
//!    is about the same;
//! 5. boxes in a sentence before a list or a fence that names the same labels, or if they have
//!    none;
//! 6. what a later part says again: half of its boxes at least, by label and with an overlap of a
//!    half.
//!
//! A correction that was cut off corrects nothing: it is dropped itself. The others are one answer,
//! and `ok`, only if the words between them say so and nothing else: they lead to the next part and
//! name a label of it ("Here are the dogs:"), add it ("and", "also", "Object 2:"), or are a heading
//! of a few words; and if no box is at the place of an earlier one. Otherwise all are kept with the
//! note `several_answers`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::ParsedBox;
use super::march::as_written;
use super::phrases::Lead;

/// A value of the text.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) span: Range<usize>,
    /// The start of the words before it: behind the value or the thought before it.
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
    /// A thought stands between it and the value before.
    pub(super) behind_thought: bool,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    List,
    Object,
    /// Entries without brackets.
    Loose,
}

/// The parts that count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// For each block, whether it was dropped.
    pub(super) dropped: Vec<bool>,
    /// Parts that may or may not be one answer: no words say so.
    pub(super) doubtful: usize,
    /// Words say that something was left out.
    pub(super) omits: bool,
    /// Tags whose meaning is not known.
    pub(super) tags: Vec<String>,
}

/// The most boxes of a part, and the most parts before it, that one is compared with.
const COMPARED: usize = 64;
const COMPARED_PARTS: usize = 8;

/// Boxes that overlap so much are about one thing, if they have one label.
const SAME_PLACE: f64 = 0.5;

/// Boxes that overlap so much are about one thing, whatever their labels.
const SAME_BOX: f64 = 0.9;

#[allow(clippy::struct_excessive_bools)] // each is about something else
struct Part<'b> {
    blocks: Range<usize>,
    boxes: &'b [ParsedBox],
    lost: usize,
    form: Form,
    fenced: bool,
    whole: bool,
    /// The part before says nothing that this one does not say.
    repeats: bool,
    behind_thought: bool,
    struck_out: bool,
    /// Values in it say the same again.
    doubtful: bool,
    lead: Lead,
}

/// Chooses among the blocks of `text`, whose boxes are `boxes`.
pub(super) fn choose(text: &str, blocks: &[Block], boxes: &[ParsedBox]) -> Choice {
    let mut choice = Choice { dropped: vec![false; blocks.len()], ..Choice::default() };
    let parts = parts(text, blocks, boxes);
    choice.omits = parts.iter().any(|part| part.lead.omits);
    choice.doubtful = parts.iter().filter(|part| part.doubtful).count();
    let wrapped = |part: &&Part<'_>| {
        let close = |tag: &String| {
            text[blocks[part.blocks.end - 1].span.end..]
                .to_lowercase()
                .contains(&format!("</{tag}"))
        };
        parts.len() > 1 || part.lead.tag.as_ref().is_some_and(close)
    };
    choice.tags = parts.iter().filter(wrapped).filter_map(|part| part.lead.tag.clone()).collect();
    if let [part] = parts.as_slice() {
        choice.doubtful += usize::from(part.struck_out);
    }
    if parts.len() < 2 {
        return choice;
    }
    let mut dropped = vec![false; parts.len()];
    if let Some(answer) = parts.iter().rposition(|part| part.behind_thought && part.is_answer()) {
        dropped[..answer].fill(true);
    }
    for (part, dropped) in parts.iter().zip(&mut dropped) {
        *dropped |= part.struck_out;
    }
    drop_examples(&parts, &mut dropped);
    drop_drafts(&parts, &mut dropped);
    choice.doubtful += compare(&parts, &mut dropped);
    for (part, _) in parts.iter().zip(dropped).filter(|(_, dropped)| *dropped) {
        choice.dropped[part.blocks.clone()].fill(true);
    }
    choice
}

/// The last part alone, and of that the last list: all before it was a thought.
pub(super) fn choose_last(text: &str, blocks: &[Block], boxes: &[ParsedBox]) -> Choice {
    let mut choice = Choice { dropped: vec![false; blocks.len()], ..Choice::default() };
    if let (Some(part), Some(block)) = (parts(text, blocks, boxes).last(), blocks.last()) {
        let listed = block.form == Form::List || block.fenced;
        let start = if listed { blocks.len() - 1 } else { part.blocks.start };
        choice.dropped[..start].fill(true);
    }
    choice
}

fn parts<'b>(text: &str, blocks: &[Block], boxes: &'b [ParsedBox]) -> Vec<Part<'b>> {
    let mut parts: Vec<Part<'b>> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let own = &boxes[block.boxes.clone()];
        let mut lead = Lead::of(&text[block.lead..block.span.start], own);
        let mut repeats = false;
        let apart = lead.words || lead.tag.is_some() || block.behind_thought;
        let struck_out = is_struck_out(text, block);
        if let Some(before) =
            parts.last_mut().filter(|before| !(apart || struck_out || before.struck_out))
        {
            let listed = block.form == Form::List || block.fenced;
            let in_a_sentence = match before.form {
                Form::List => false,
                Form::Object => before.lead.words && !before.fenced,
                Form::Loose => true,
            };
            let last = &boxes[blocks[index - 1].boxes.clone()];
            let lists =
                listed && (blocks[index - 1].form == Form::List || blocks[index - 1].fenced);
            repeats = listed && blocks[index - 1].form == Form::List && says_again(last, own);
            // Behind an example or a draft, what is not called one is the answer.
            let is_example = before.lead.example || (before.lead.form && !before.lead.here);
            let introduced = (is_example || before.lead.draft) && before.blocks.len() == 1;
            lead.here |= introduced;
            if !(repeats || introduced || (listed && in_a_sentence)) {
                before.doubtful |= lists && at_one_place(last, own);
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
        let Block { lost, form, fenced, whole, behind_thought, .. } = *block;
        let blocks = index..index + 1;
        let doubtful = false;
        parts.push(Part {
            blocks,
            boxes: own,
            lost,
            form,
            fenced,
            whole,
            repeats,
            behind_thought,
            struck_out,
            doubtful,
            lead,
        });
    }
    parts
}

/// Whether a value is struck out.
fn is_struck_out(text: &str, block: &Block) -> bool {
    let (before, behind) =
        (text[block.lead..block.span.start].trim_end(), text[block.span.end..].trim_start());
    [("~~", "~~"), ("<del>", "</del>"), ("<strike>", "</strike>")].iter().any(|(open, close)| {
        before.ends_with(open) && behind.starts_with(close) && !behind.starts_with("~~~")
    })
}

impl Part<'_> {
    /// It can take the place of another part.
    fn is_answer(&self) -> bool {
        self.whole && (!self.boxes.is_empty() || self.lost == 0)
    }

    fn in_a_sentence(&self) -> bool {
        self.form != Form::List && !self.fenced
    }

    /// The words before it say that it goes together with what was said before, and nothing else.
    fn goes_on(&self) -> bool {
        let Lead { named, adds, joins, numbered, heading, explained, .. } = self.lead;
        heading || (explained && (named || adds || joins || numbered))
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

/// Compares every part with those before it, and returns the number of those whose relation no
/// words tell.
fn compare(parts: &[Part<'_>], dropped: &mut [bool]) -> usize {
    let mut doubtful = HashSet::new();
    // For each label, the parts that have it, in order.
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
            sharing.extend(
                known.iter().rev().take(COMPARED_PARTS).filter(|earlier| !dropped[**earlier]),
            );
        }
        sharing.sort_unstable();
        sharing.dedup();
        let here = recent(parts, dropped, index);
        let same_box = here.iter().any(|earlier| at_one_place(parts[*earlier].boxes, part.boxes));
        let about_the_same = same_box || !sharing.is_empty() || part.boxes.is_empty();
        // "Correct boxes for cats: … Correct boxes for dogs: …"
        let all_do = part.lead.named
            && sharing.is_empty()
            && parts[..index].iter().all(|part| part.lead.corrects);
        let corrects = (part.lead.corrects && !all_do) || (part.lead.is_last && about_the_same);
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
        } else {
            let counts = part.lead.numbered && part.lead.explained;
            for earlier in sharing.iter().copied().filter(|_| !counts) {
                match relation(&parts[earlier], part) {
                    Relation::Replaced => dropped[earlier] = true,
                    Relation::Open => doubtful.extend([earlier, index]),
                }
            }
            let before = index.checked_sub(1).filter(|before| !dropped[*before]);
            let both =
                before.filter(|before| !parts[*before].boxes.is_empty() && !part.boxes.is_empty());
            if let Some(before) = both.filter(|_| same_box || !part.goes_on()) {
                doubtful.extend([before, index]);
            }
            if let Some(before) =
                before.filter(|before| parts[*before].in_a_sentence() && !part.in_a_sentence())
            {
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
    doubtful
        .into_iter()
        .filter(|index| !dropped[*index] && parts[*index].form != Form::Loose)
        .count()
}

enum Relation {
    Replaced,
    Open,
}

/// The last parts before one that are not dropped.
fn recent(parts: &[Part<'_>], dropped: &[bool], index: usize) -> Vec<usize> {
    let kept = (0..index).rev().take(4 * COMPARED_PARTS).filter(|earlier| !dropped[*earlier]);
    kept.filter(|earlier| !parts[*earlier].boxes.is_empty()).take(COMPARED_PARTS).collect()
}

/// Whether boxes of two values lie at one place.
fn at_one_place(earlier: &[ParsedBox], later: &[ParsedBox]) -> bool {
    let numbers = |one: &ParsedBox| as_written(one).0;
    let same = |one: &ParsedBox, other: &ParsedBox| {
        numbers(one) == numbers(other) || overlap(one, other) >= SAME_BOX
    };
    let later = &later[..later.len().min(COMPARED)];
    earlier.iter().take(COMPARED).any(|one| later.iter().any(|other| same(one, other)))
}

/// How a part goes together with a later one that shares a label.
fn relation(earlier: &Part<'_>, later: &Part<'_>) -> Relation {
    let known: HashSet<Option<&str>> = later.labels().collect();
    let introduced = earlier.in_a_sentence()
        && !later.in_a_sentence()
        && earlier.labels().all(|label| known.contains(&label));
    let again = 2 * said_again(earlier.boxes, later.boxes) >= earlier.boxes.len().min(COMPARED);
    let loose = earlier.form == Form::Loose && later.form == Form::Loose;
    if later.is_answer() && (later.repeats || introduced || (again && !later.lead.adds && !loose)) {
        Relation::Replaced
    } else {
        Relation::Open
    }
}

/// Whether a list is said again by the list right behind it: all of several boxes, or one box
/// exactly.
fn says_again(before: &[ParsedBox], behind: &[ParsedBox]) -> bool {
    match before {
        [] => false,
        [one] => behind.len() == 1 && as_written(&behind[0]) == as_written(one),
        _ => {
            before.len() <= behind.len().min(COMPARED) && said_again(before, behind) == before.len()
        }
    }
}

/// How many of the first boxes of one part have their like in another.
fn said_again(earlier: &[ParsedBox], later: &[ParsedBox]) -> usize {
    let alike = |one: &ParsedBox, other: &ParsedBox| {
        one.label == other.label && overlap(one, other) >= SAME_PLACE
    };
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
        let plain = written
            .trim_matches(['<', '>', '[', ']', '{', '}', '.', '…', ' '])
            .replace(['_', '-'], " ");
        written.is_empty() || plain.is_empty() || LABELS.contains(&plain.as_str())
    };
    let coordinates = |one: &ParsedBox| {
        let [a, b, c, d] = one.box_2d.map(f64::to_bits);
        a == b && b == c && c == d
    };
    let named = part.boxes.iter().any(|one| one.label.is_some());
    !part.boxes.is_empty()
        && ((named && part.boxes.iter().all(label)) || part.boxes.iter().all(coordinates))
}
