//! Sentences, and the parts of them that can be checked by themselves.
//!
//! In: lines without weights and markers. Out: the parts of tags and sentences. Promises: a short
//! sentence stays whole; a longer one is taken apart where English begins a new part: at commas,
//! before words such as `with`, `while`, `wearing`, `and a`, `covered in`, `as the sun sets`, and
//! where two things of several words each are joined by `and`; what is still long is cut before a
//! word of place; no part is only a joining word.

use super::brackets::without_and_weight;
use super::unseen::begins_with;

/// A sentence of more words than these is taken apart.
const WHOLE_SENTENCE: usize = 12;

/// How texts for a model begin that say what to do, and not what is to be seen.
const LEADS: [&str; 30] = [
    "please",
    "imagine",
    "an image of",
    "a picture of",
    "image of",
    "picture of",
    "the image shows",
    "this image shows",
    "the picture shows",
    "the image depicts",
    "this image depicts",
    "the image features",
    "this image features",
    "the image captures",
    "this image captures",
    "the image presents",
    "the image portrays",
    "the image is",
    "this image is",
    "the scene shows",
    "the scene depicts",
    "the scene features",
    "in this image",
    "in the image",
    "in this scene",
    "in this digital artwork",
    "we see",
    "there is",
    "there are",
    "featuring",
];
/// What a model is told to do, if `an image of` or the like follows.
const ORDERS: [&str; 7] = ["create", "generate", "draw", "make", "render", "paint", "produce"];
const PICTURES: [&str; 8] =
    ["image", "picture", "photo", "photograph", "illustration", "painting", "drawing", "render"];
/// Words that people write before what they mean, without a comma.
const PRAISE: [&str; 9] = [
    "masterpiece",
    "best quality",
    "high quality",
    "highest quality",
    "amazing quality",
    "hdr",
    "8k",
    "4k",
    "absurdres",
];

/// Names of parts that language models give to their prompts, of what can be seen.
const HEADS: [&str; 19] = [
    "subject",
    "main subject",
    "scene",
    "background",
    "foreground",
    "setting",
    "environment",
    "lighting",
    "style",
    "art style",
    "colors",
    "color palette",
    "clothing",
    "pose",
    "action",
    "details",
    "description",
    "prompt",
    "positive prompt",
];
/// And of what cannot.
const UNSEEN_HEADS: [&str; 9] = [
    "mood",
    "atmosphere",
    "camera",
    "composition",
    "quality",
    "negative",
    "negative prompt",
    "aspect ratio",
    "negative prompts",
];

/// Words that join a part to the one before, and say nothing.
const JOINING: [&str; 9] =
    ["and", "with", "while", "where", "which", "but", "then", "as well as", "along with"];
/// A part begins with one of these words, and it belongs to it.
const BEGINNING: [&str; 39] = [
    "wearing",
    "holding",
    "carrying",
    "surrounded",
    "standing",
    "sitting",
    "walking",
    "running",
    "looking",
    "riding",
    "leaning",
    "lying",
    "dressed",
    "billowing",
    "casting",
    "clinging",
    "clutching",
    "crouching",
    "displaying",
    "drinking",
    "eating",
    "floating",
    "flying",
    "gazing",
    "glowing",
    "grazing",
    "hanging",
    "illuminating",
    "kneeling",
    "overlooking",
    "playing",
    "reading",
    "reflecting",
    "resting",
    "revealing",
    "showing",
    "sipping",
    "smiling",
    "stretching",
];
/// What someone does, behind what they look like: `a girl with red hair stands on a bridge`.
const DOING: [&str; 32] = [
    "stands", "stand", "sits", "sit", "walks", "walk", "runs", "run", "looks", "look", "holds",
    "hold", "wears", "wear", "rides", "ride", "leans", "lean", "lies", "lie", "kneels", "gazes",
    "gaze", "rests", "rest", "hangs", "hang", "rises", "rise", "floats", "poses", "smiles",
];
/// Colours that `and` joins in one thing: `a red and white lighthouse`.
const COLOURS: [&str; 27] = [
    "black",
    "white",
    "red",
    "blue",
    "green",
    "yellow",
    "orange",
    "purple",
    "pink",
    "brown",
    "grey",
    "gray",
    "gold",
    "silver",
    "golden",
    "teal",
    "violet",
    "cyan",
    "magenta",
    "turquoise",
    "crimson",
    "scarlet",
    "amber",
    "ivory",
    "beige",
    "navy",
    "maroon",
];
/// Behind these, `as` begins no sentence of its own.
const AS_WHAT: [&str; 12] = [
    "such",
    "same",
    "dressed",
    "known",
    "as",
    "well",
    "used",
    "serves",
    "serving",
    "portrayed",
    "depicted",
    "acting",
];
/// Ends of `in the background`, behind which `and` begins something else.
const PARTS_OF_PICTURE: [&str; 9] =
    ["background", "foreground", "distance", "left", "right", "center", "centre", "sky", "middle"];
/// Where something is: before them, what is still long is cut.
const PLACES: [&str; 25] = [
    "in", "on", "at", "under", "over", "behind", "beneath", "beside", "above", "against", "near",
    "next", "along", "among", "around", "atop", "before", "below", "between", "beyond", "inside",
    "into", "outside", "through", "towards",
];
/// What begins something of its own behind `and`.
const ARTICLES: [&str; 13] = [
    "a", "an", "the", "his", "her", "its", "their", "two", "three", "several", "some", "many",
    "one",
];

/// What a text for a language model holds besides the prompt goes: instructions to the model, the
/// template's marks, flags of Midjourney, marks of lists.
pub(super) fn without_instructions(prompt: &str) -> String {
    let lower = prompt.to_ascii_lowercase();
    let behind = |mark: &str| lower.rfind(mark).map(|at| at + mark.len());
    let start = behind("<prompt start>").or_else(|| behind("<|im_start|>user")).unwrap_or(0);
    let text = &prompt[start..];
    let text = text.find("<|im_end|>").map_or(text, |end| &text[..end]);
    let mut lines = String::with_capacity(text.len());
    for line in text.lines() {
        let line = without_flags(line).replace(['*', '`'], " ");
        let line = line.trim_start().trim_start_matches(['#', '-', '•', '–']).trim_start();
        let numbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_numbered = numbered.len() < line.len() && numbered.starts_with(['.', ')']);
        let line =
            if is_numbered && numbered[1..].starts_with(' ') { &numbered[1..] } else { line };
        lines.push_str(&without_head(line));
        lines.push('\n');
    }
    lines
}

/// A line without `--ar 16:9 --v 6`.
fn without_flags(line: &str) -> &str {
    let is_flag = |(at, _): &(usize, &str)| {
        let before = line[..*at].chars().next_back();
        before.is_none_or(char::is_whitespace)
            && line[at + 2..].starts_with(|c: char| c.is_ascii_alphabetic())
    };
    line.match_indices("--").find(is_flag).map_or(line, |(at, _)| &line[..at])
}

/// A line without `Subject:`; an empty one behind `Mood:`.
fn without_head(line: &str) -> String {
    let Some((head, rest)) = line.split_once(':') else { return line.to_owned() };
    let head = head.trim().to_lowercase();
    if UNSEEN_HEADS.contains(&head.as_str()) {
        String::new()
    } else if HEADS.contains(&head.as_str()) {
        rest.trim_start().to_owned()
    } else {
        line.to_owned()
    }
}

/// Lines, and in them sentences, with whether each has its end.
pub(super) fn units(text: &str) -> Vec<(String, bool)> {
    let mut units = Vec::new();
    for line in text.lines() {
        let mut unit = String::new();
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            let ends = match letter {
                '.' if is_initial(&unit) => false,
                '.' | '!' | '?' => letters.peek().is_none_or(|next| next.is_whitespace()),
                '。' | '！' | '？' => true,
                _ => false,
            };
            if ends {
                units.push((std::mem::take(&mut unit), true));
            } else {
                unit.push(letter);
            }
        }
        units.push((unit, false));
    }
    units
}

/// Whether a text ends with `W` of `J.M.W. Turner`.
fn is_initial(text: &str) -> bool {
    let mut letters = text.chars().rev();
    letters.next().is_some_and(char::is_uppercase)
        && letters.next().is_none_or(|before| !before.is_alphanumeric())
}

/// The parts of one sentence, or of one line of tags. `unseen` are parts that go, before it is
/// decided which of both it is.
pub(super) fn of_unit(unit: &str, ended: bool, unseen: impl Fn(&str) -> bool) -> Vec<String> {
    // A sentence has more words between its commas than tags have.
    const IN_SENTENCE: f64 = 4.0;
    const IN_ENDED_SENTENCE: f64 = 2.5;
    let instructs = begins_with(&unit.trim_start().to_lowercase(), "you are");
    let parts: Vec<String> = without_lead(unit)
        .split([',', ';', '，', '、', '；'])
        .map(|part| one_spaced(without_and_weight(part.trim())))
        .map(|part| without_negation(&trimmed(&part)))
        .filter(|part| part.chars().any(char::is_alphanumeric) && !unseen(part) && !instructs)
        .collect();
    let words: usize = parts.iter().map(|part| count(part)).sum();
    let is_sentence =
        words as f64 >= parts.len() as f64 * if ended { IN_ENDED_SENTENCE } else { IN_SENTENCE };
    if !is_sentence || parts.is_empty() {
        return parts;
    }
    if words <= WHOLE_SENTENCE {
        return vec![parts.join(", ")];
    }
    // Parts too short for a clause are joined to the part before.
    let mut clauses: Vec<String> = Vec::new();
    for part in parts.iter().flat_map(|part| taken_apart(part)).filter(|part| !unseen(part)) {
        match clauses.last_mut() {
            Some(before) if count(&part) < 2 => {
                before.push_str(", ");
                before.push_str(&part);
            }
            _ => clauses.push(part),
        }
    }
    clauses
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn trimmed(part: &str) -> String {
    part.trim_matches(['.', ':', '-', ' ', '|']).to_owned()
}

/// A sentence without the words that only lead to what it shows.
fn without_lead(unit: &str) -> &str {
    let mut rest = unit.trim_start();
    loop {
        let lower = rest.to_ascii_lowercase();
        let lead = LEADS.iter().chain(&PRAISE).find(|lead| begins_with(&lower, lead));
        let length = match lead {
            Some(lead) => lead.len(),
            None => order(&lower),
        };
        // What is all praise is told by its tags.
        let behind = rest[length..].trim_start_matches([' ', ',', ':']);
        if length == 0 || behind.is_empty() {
            return rest;
        }
        rest = behind;
    }
}

/// The length of `create a photorealistic picture of`, at the beginning of a text in small letters.
fn order(text: &str) -> usize {
    const FARTHEST: usize = 8;
    if !ORDERS.iter().any(|order| begins_with(text, order)) {
        return 0;
    }
    let mut words: [&str; 2] = ["", ""];
    let mut length = 0;
    for word in text.split_inclusive(' ').take(FARTHEST) {
        length += word.len();
        words = [words[1], word.trim()];
        if PICTURES.contains(&words[0]) && matches!(words[1], "of" | "showing" | "with") {
            return length;
        }
    }
    0
}

/// `a street without cars`: what is not to be there goes.
fn without_negation(part: &str) -> String {
    let lower = part.to_ascii_lowercase();
    let cuts = [" without ", " with no ", " but no ", " and no ", " but not "];
    let cut = cuts.iter().filter_map(|cut| lower.find(cut)).min();
    trimmed(cut.map_or(part, |at| &part[..at]))
}

/// A long part at the words that begin another.
fn taken_apart(part: &str) -> Vec<String> {
    const SHORTEST: usize = 3;
    let words: Vec<&str> = part.split(' ').collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let mut parts: Vec<std::ops::Range<usize>> = Vec::new();
    let mut from = 0;
    for at in 0..words.len() {
        if at - from >= SHORTEST && words.len() - at >= SHORTEST && begins(&lower, from, at) {
            parts.push(from..at);
            from = at;
        }
    }
    parts.push(from..words.len());
    let places = parts.into_iter().flat_map(|part| at_places(&lower, part));
    let parts = places.map(|part| without_joining(&words[part].join(" ")));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Whether the word at `at` begins a part; the one before began at `from`.
fn begins(lower: &[String], from: usize, at: usize) -> bool {
    let is_verb = |word: &String| matches!(word.as_str(), "is" | "are");
    let word = |at: usize| lower.get(at).map_or("", String::as_str);
    let (before, next) = (word(at.wrapping_sub(1)), word(at + 1));
    match word(at) {
        // What follows is a sentence of its own, and this the end of its subject.
        "and" | "with" if lower[at..].iter().any(is_verb) => false,
        "and" => ARTICLES.contains(&next) || joins_two_things(lower, from, at),
        // `filled with`, `shimmering with`.
        "with" => !["ing", "ed", "ly"].iter().any(|end| before.ends_with(end)),
        // `as the sun sets`, and not `as a symbol of hope`.
        "as" => {
            let acts =
                |word: &String| word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
            // One thing does something; several things do.
            let first = at + if ARTICLES.contains(&next) { 3 } else { 1 };
            !AS_WHAT.contains(&before)
                && !matches!(next, "if" | "though" | "well")
                && lower.iter().skip(first).take(4).any(acts)
        }
        // `covered in moss`, `illuminated by candles`.
        one if one == "lit" || one.ends_with("ed") && one.len() > 4 => {
            matches!(next, "with" | "by" | "in" | "from")
        }
        one if DOING.contains(&one) => {
            let adds = word(from) == "and" && !ARTICLES.contains(&word(from + 1));
            adds || matches!(word(from), "with" | "wearing" | "dressed" | "holding" | "carrying")
        }
        // `holding a glowing sword`, `over floating islands`.
        one if one.ends_with("ing") && BEGINNING.contains(&one) => {
            let describes = ["glowing", "floating", "flying", "hanging", "smiling", "stretching"];
            let is_held = ARTICLES.contains(&before) || PLACES.contains(&before);
            let leads = PLACES.contains(&next) || matches!(next, "with" | "from" | "across");
            !is_held && (leads || !describes.contains(&one))
        }
        one => JOINING.contains(&one) || BEGINNING.contains(&one),
    }
}

/// Whether `and` at `at` stands between two things that are described by themselves: `long red hair
/// and bright green eyes`.
fn joins_two_things(lower: &[String], from: usize, at: usize) -> bool {
    const EACH: usize = 2;
    let is_colour = |word: &String| COLOURS.contains(&word.as_str());
    let ends = |word: &String| {
        JOINING.contains(&word.as_str())
            || PLACES.contains(&word.as_str())
            || matches!(word.as_str(), "of" | "for" | "from" | "by" | "to")
    };
    let right = lower[at + 1..].iter().take_while(|word| !ends(word)).count();
    let left = lower[from..at].iter().rev().take_while(|word| !ends(word)).count();
    let describes = lower[at - 1].ends_with("ly") || lower[at + 1].ends_with("ly");
    left >= EACH
        && right >= EACH
        && !describes
        && !is_colour(&lower[at - 1])
        // `an old and worn wooden door`: two words about one thing.
        && (left > EACH
            || !ARTICLES.contains(&lower[at - EACH].as_str())
            || PARTS_OF_PICTURE.contains(&lower[at - 1].as_str()))
}

/// A part of more words than a short sentence has, cut before the words of place, or `and`, that
/// are nearest to its middle.
fn at_places(lower: &[String], part: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    const SHORTEST: usize = 4;
    if part.len() <= WHOLE_SENTENCE {
        return vec![part];
    }
    let middle = part.start + part.len() / 2;
    let cuts = (part.start + SHORTEST..part.end.saturating_sub(SHORTEST - 1)).filter(|&at| {
        let is_place = PLACES.contains(&lower[at].as_str()) && lower[at + 1] != "and";
        let joins = lower[at] == "and" && !COLOURS.contains(&lower[at - 1].as_str());
        joins || is_place && !lower[at - 1].ends_with("ed")
    });
    let Some(cut) = cuts.min_by_key(|&at| (at.abs_diff(middle), lower[at] != "and")) else {
        return vec![part];
    };
    let halves = [part.start..cut, cut..part.end];
    halves.into_iter().flat_map(|half| at_places(lower, half)).collect()
}

fn without_joining(part: &str) -> String {
    let lower = part.to_ascii_lowercase();
    let joining = JOINING.iter().chain(&["as"]).find(|word| begins_with(&lower, word));
    let part = joining.map_or(part, |word| part[word.len()..].trim_start());
    let (rest, last) = part.rsplit_once(' ').unwrap_or((part, ""));
    if JOINING.contains(&last) { rest.to_owned() } else { part.to_owned() }
}
