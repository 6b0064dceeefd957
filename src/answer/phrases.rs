//! Words around the parts of an answer, and their meaning.
//!
//! In: the words before a part, or behind the last one, and its boxes. Out: whether they correct
//! what was said before, add to it, call the part a draft or an example, take it back, or say that
//! something is missing. Promises: of long texts only both ends are looked at. The tables at the
//! end hold the phrases; a phrase counts as whole words.

use super::ParsedBox;
use super::key::{self, Key, Naming};
use super::marks;

/// How many bytes are searched at either end of the words between two parts.
const NEAR: usize = 300;

/// The longest tag without attributes, in bytes.
const MAX_TAG_LENGTH: usize = 64;

/// The meaning of the words before a part.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a kind of word
pub(super) struct Lead {
    pub(super) words: bool,
    /// They take back what was said before.
    pub(super) corrects: bool,
    /// They do so if the part is about the same things.
    pub(super) is_last: bool,
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
    /// They are a heading of a few words.
    pub(super) heading: bool,
    /// Every word leads to a part, or is one of its labels.
    pub(super) explained: bool,
    /// They say that something was left out.
    pub(super) omits: bool,
    /// A tag whose meaning is not known.
    pub(super) tag: Option<String>,
}

/// The meaning of the words behind the last part, for all parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) words: bool,
    /// They take something back.
    pub(super) takes_back: bool,
    /// They say that something was left out, or announce something that does not come.
    pub(super) omits: bool,
}

/// Whether words stand in `text`.
pub(super) fn has_words(text: &str) -> bool {
    words(text).any(|word| word.contains(char::is_alphabetic))
}

/// The phrases of a table.
fn phrases(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.split(',').map(str::trim)
}

/// Whether `text`, words in lower case with a space around each, holds a phrase of the table.
fn has(text: &str, table: &'static str) -> bool {
    phrases(table).any(|phrase| holds(text, phrase))
}

/// Whether `text` holds a phrase as words of its own. Scripts that do not part their words, and
/// stems of Cyrillic ones, are found inside of words.
fn holds(text: &str, phrase: &str) -> bool {
    let long = phrase.chars().nth(4).is_some();
    let is_stem =
        phrase.chars().all(|c| c >= '\u{2e80}' || (long && ('\u{400}'..'\u{500}').contains(&c)));
    let mut found = text.match_indices(phrase);
    found.any(|(at, _)| {
        is_stem || (text[..at].ends_with(' ') && text[at + phrase.len()..].starts_with(' '))
    })
}

impl Lead {
    /// Reads the words before a part.
    pub(super) fn of(gap: &str, boxes: &[ParsedBox]) -> Self {
        let tag = unknown_tag(gap, boxes);
        if !has_words(gap) {
            return Self { tag, ..Self::default() };
        }
        let head = &gap[..gap.floor_char_boundary(NEAR)];
        let tail = &gap[gap.ceil_char_boundary(gap.len().saturating_sub(NEAR).max(head.len()))..];
        let near: Vec<String> = words(head).chain(words(tail)).map(str::to_lowercase).collect();
        let text = format!(" {} ", near.join(" "));
        let has = |table: &'static str| has(&text, table);
        let begins = gap.trim_start_matches(|c: char| c.is_whitespace() || "`~.*_>".contains(c));
        let adds = has(ADDITIONS);
        let corrects = has(CORRECTIONS)
            || (has(HESITATIONS) && !adds)
            || REFUSALS.iter().any(|start| begins.starts_with(start));
        let draft = has(DRAFTS);
        let denies = near.first().is_some_and(|word| word == "not")
            || has("not, never, nicht, kein, keine, ne, pas, 不是, 没有, ない");
        let few = near.len() <= 4;
        Self {
            words: true,
            corrects,
            is_last: has(LAST_WORDS),
            adds,
            draft,
            example: has(EXAMPLES),
            form: has("format, structure, output format, json format, expected output"),
            here: has("image, picture, photo, answer, result, results, detections, actual, now"),
            named: names_a_label(gap, boxes),
            joins: few && has("and, und, et, y, e, и, 和, と"),
            numbered: few
                && near.iter().any(|word| word.contains(|c: char| c.is_ascii_digit()))
                && !near.iter().any(|word| is_alternative(word)),
            heading: few
                && !corrects
                && !draft
                && !has(LAST_WORDS)
                && is_heading(gap)
                && !near.iter().any(|word| is_alternative(word)),
            explained: !corrects
                && !denies
                && head.len() == gap.len()
                && near.iter().all(|word| explains(word, boxes)),
            omits: has(OMISSIONS),
            tag,
        }
    }
}

impl Behind {
    /// Reads the words behind the last part, whose labels are those of `boxes`.
    pub(super) fn of(text: &str, boxes: &[ParsedBox]) -> Self {
        const NEAR: usize = 2000;
        if !has_words(text) {
            return Self::default();
        }
        let near = &text[..text.floor_char_boundary(NEAR)];
        let mut behind = Self { words: true, ..Self::default() };
        behind.omits = text
            .trim_end_matches(|c: char| c.is_whitespace() || "`*_".contains(c))
            .ends_with([':', '：', '…'])
            || text.trim_end().ends_with("...")
            || text.trim_start_matches(|c: char| c.is_whitespace() || c == '`').starts_with(['…'])
            || text.trim_start_matches(|c: char| c.is_whitespace() || c == '`').starts_with("...");
        for sentence in near.split(['.', '!', '?', '\n', '。', '！', '？', ';']) {
            let words: Vec<String> = words(sentence).map(str::to_lowercase).collect();
            let spaced = format!(" {} ", words.join(" "));
            if words.is_empty() || OFFERS.iter().any(|start| spaced.trim_start().starts_with(start))
            {
                continue;
            }
            behind.omits |= has(&spaced, OMISSIONS) || has(&spaced, OMISSIONS_BEHIND);
            let corrects = phrases(CORRECTIONS).chain(phrases(HESITATIONS)).any(|phrase| {
                holds(&spaced, phrase)
                    && !phrases(HARMLESS_BEHIND).any(|harmless| harmless == phrase)
            });
            let denies =
                has(&spaced, DENIALS) && !has(&spaced, OTHERS) && names_exactly(&spaced, boxes);
            behind.takes_back |= corrects || denies || has(&spaced, TAKEN_BACK);
        }
        behind
    }
}

/// Whether a word leads to a part, adds it, is a number, or is part of one of its labels.
fn explains(word: &str, boxes: &[ParsedBox]) -> bool {
    word.chars().all(|c| c.is_ascii_digit())
        || phrases(LEADS)
            .chain(phrases(ADDITIONS))
            .chain(phrases("wait"))
            .any(|known| known.split(' ').any(|part| part == word))
        || labels(boxes).any(|label| {
            label.split(|c: char| !c.is_alphanumeric()).any(|part| {
                let stem = part.trim_end_matches('s');
                let long = stem.chars().count() > 2 || !part.is_ascii();
                !part.is_empty()
                    && (word == part
                        || (long
                            && (word.contains(stem)
                                || (word.chars().count() > 2
                                    && part.contains(word.trim_end_matches('s'))))))
            })
        })
}

/// Whether a word numbers answers to one question, and not things: `Option 2`.
fn is_alternative(word: &str) -> bool {
    phrases(
        "option, step, result, answer, image, picture, attempt, candidate, version, pass, \
             alternative, solution, round, try, trial, prediction, hypothesis, before, after, \
             output, response, guess, proposal, iteration, crop, view, frame, summary, pixel, \
             pixels, normalized",
    )
    .any(|known| known == word.trim_end_matches('s'))
}

/// Whether a gap is one line that is marked as a heading.
fn is_heading(gap: &str) -> bool {
    let mut lines = gap.lines().filter(|line| has_words(line));
    let line = lines.next().unwrap_or_default().trim();
    lines.next().is_none() && (line.starts_with('#') || line.starts_with("**"))
}

/// The first labels in lower case.
fn labels(boxes: &[ParsedBox]) -> impl Iterator<Item = String> {
    const LABELS: usize = 8;
    boxes.iter().filter_map(|one| one.label.as_deref()).take(LABELS).map(str::to_lowercase)
}

/// Whether `gap` holds a word of one of the first labels.
fn names_a_label(gap: &str, boxes: &[ParsedBox]) -> bool {
    let start = gap.ceil_char_boundary(gap.len().saturating_sub(NEAR));
    let gap = gap[start..].to_lowercase();
    let held = |word: &str| {
        word.chars().count() > 1 && (gap.contains(word) || gap.contains(word.trim_end_matches('s')))
    };
    labels(boxes)
        .any(|label| words(&label).any(|word| held(word) || !word.is_ascii() && gap.contains(word)))
}

/// Whether a sentence names a label as a word of its own, of three letters at least.
fn names_exactly(spaced: &str, boxes: &[ParsedBox]) -> bool {
    labels(boxes).any(|label| {
        words(&label).any(|word| {
            let stem = word.trim_end_matches('s');
            if !word.is_ascii() {
                return spaced.contains(word);
            }
            stem.len() > 2
                && (spaced.contains(&format!(" {stem} ")) || spaced.contains(&format!(" {stem}s ")))
        })
    })
}

/// The first tag of a gap whose meaning is not known.
fn unknown_tag(gap: &str, boxes: &[ParsedBox]) -> Option<String> {
    let mut rest = gap;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let name = rest.strip_prefix('/').unwrap_or(rest);
        let length = name
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_-:".contains(c)))
            .unwrap_or(name.len());
        let (name, behind) = name.split_at(length);
        let is_tag = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && behind.starts_with(['>', ' ', '/']);
        let lower = name.to_lowercase();
        let known = || {
            phrases(PLAIN_TAGS).any(|known| known == lower)
                || marks::names_answer(name)
                || !matches!(Key::of(name), Key::Group | Key::Aside | Key::Draft)
                    && key::naming(name) == Naming::Nothing
                || labels(boxes).any(|label| label.contains(&lower) || lower.contains(&label))
        };
        if is_tag && length <= MAX_TAG_LENGTH && !known() {
            return Some(lower);
        }
    }
    None
}

/// The words of prose: without the languages of fences and without tags.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c.is_alphanumeric() || matches!(c, '`' | '<'))?;
            rest = &rest[start..];
            if let Some(fence) = rest.strip_prefix("```") {
                rest = fence.trim_start_matches(|c: char| {
                    c.is_alphanumeric() || matches!(c, '`' | '_' | '-' | '+')
                });
            } else if rest.starts_with(['`', '<']) {
                let near = &rest[..rest.floor_char_boundary(MAX_TAG_LENGTH)];
                let tag = rest.starts_with('<').then(|| near.find(['>', '\n', ' '])).flatten();
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

/// Words that take back what was said before.
const CORRECTIONS: &str = "
    correction, corrections, corrected, correcting, revise, revised, revision, refine, refined,
    refinement, updated, fixed, fix, adjusted, adjust, sorry, apologies, oops, mistake, mistaken,
    wrong, inaccurate, instead, recheck, rechecking, reconsider, reconsidering, verified,
    looking again, look again, checking again, double check, double checking, double checked,
    on closer, closer look, more closely, more carefully, second attempt, second try,
    second pass, another attempt, try again, scratch that, not quite, too small, too large,
    too big, korrigiert, korrigierte, korrektur, corrigé, 修正, 更正, apologize, apologise,
    second thought, error, errors, incorrect, retry, not right, should have been, perdón,
    corregida, corregido, corrigida, corrigido, corretta, corretto, errata, falsch, revisada,
    revisado, attempt 2, attempt 3, attempt 4, version 2, version 3, try 2, try 3, pass 2,
    my bad, redo, redoing, redone, upon review, on review, after review, reviewing, rather, edit,
    edited, rectified, rectification, looking closer, disregard, ignore, strike that, not a,
    not an, not the, isn t, turns out, turned out, changed my mind, change my mind, replacing,
    replaced, replacement, replaces, clarify, clarification, re examining, reexamining,
    re evaluating, reevaluating, re checking, revisiting, new answer, new version, new result,
    should be, hold on, on reflection, upon reflection, in fact, misidentified, mislabeled,
    mislabelled, wrongly, incorrectly, retract, not correct, no longer, amended, amendment,
    superseded, supersedes, instead of, oh wait, never mind, nevermind, to be precise,
    look closer, closer inspection, second look, made an error, reconsideration, apology, 不对, 不是,
    等一下, 等等, 订正, 訂正, 改正, 抱歉, 其实, 重新, 纠正, 糾正, 間違, 失礼, 待って, 違い, 실수, 수정, 잠깐, 정정, attendez, en fait,
    plutôt, erreur, rectifié, espera, espere, en realidad, mejor dicho, perdona, corrección,
    warte, stimmt nicht, vielmehr, eigentlich, aspetta, in realtà, na verdade, desculpe, scusa,
    подожд, исправ, ошиб, на самом деле, точнее
";

/// Words that do so unless others beside them add something.
const HESITATIONS: &str = "
    wait, actually, hmm, hm
";

/// Words that do so if the part is about the same things.
const LAST_WORDS: &str = "
    better, correct, final, definitive, moment, 最终, 最終, endgültig, improvement, improved,
    more accurate, more precise, more precisely, update
";

/// How a sentence begins that takes something back.
const REFUSALS: [&str; 8] = ["No, ", "No. ", "No.\n", "No: ", "No - ", "Nope", "Hmm", "Oh"];

const ADDITIONS: &str = "
    also, additionally, addition, another, other, others, plus, moreover, furthermore, as well,
    missed, forgot, remaining, rest, further, außerdem, también, 另外
";

const DRAFTS: &str = "
    draft, drafts, preliminary, initial, initially, tentative, tentatively, rough, guess,
    guesses, estimate, first attempt, first try, first pass, first version, first look,
    first guess, at first, attempt 1, version 1, brainstorm, thinking, reasoning, thoughts,
    entwurf, brouillon, borrador, rascunho, 草稿, 初步, thought, thought process, analysis,
    candidate, hypothesis, 思考, 考え, first candidate, initial guess
";

const EXAMPLES: &str = "
    example, examples, e g, for instance, template, schema, placeholder, placeholders,
    sample output, sample answer, format is, format would, format will, format looks,
    format should, looks like, look like, structure is, syntax, beispiel, exemple, ejemplo,
    exemplo, esempio, 示例, 例如, is like, something like, like this, would be like, expected output,
    expected answer, sample, illustration, illustrative, hypothetical, hypothetically,
    demonstration, 这样的格式, 例子, пример, voorbeeld
";

/// Words that lead to a part and say nothing of what was said before: `Here are the boxes of all
/// dogs on the left:`.
const LEADS: &str = "
    there, is, are, was, were, a, an, the, and, of, in, on, at, for, with, to, by, from, all, \
                     each, every, both, here,
    next, then, now, following, below, above, as, well, i, we, have, has, can, see, found, find, \
                     detected, detect,
    located, identified, visible, present, shown, image, picture, photo, scene, object, objects, \
                     item, items, instance,
    instances, detection, detections, box, boxes, bounding, bbox, box_2d, 2d, json, list, lists, \
                     label, labels, class,
    classes, category, categories, type, types, coordinates, region, regions, number, no, nr, \
                     total, count,
    left, right, top, bottom, middle, center, centre, upper, lower, side, front, back, behind, \
                     foreground, background,
    corner, near, far, first, second, third, one, two, three, four, five, six, seven, eight, \
                     nine, ten, animal,
    animals, person, people, thing, things, und, der, die, das, et, le, la, les, y, el, los, las, \
                     e, o, os, il, lo,
    gli, и
";

/// Words of the text behind the last part that take it back, beside the corrections.
const TAKEN_BACK: &str = "
    in error, by mistake, mistake, mistaken, mistakenly, false positive, false positives, \
                          hallucinated, hallucination,
    does not exist, doesn t exist, reflection, discard, remove, delete, 忽略, 错误, 錯誤, 削除, ignorez, \
                          ignora, ignore,
    ignorieren, irrtum, fehler, desconsidere, descartar, ignorar, игнор
";

/// Corrections that say nothing of the boxes if they stand behind them: `Let me know if I should
/// edit it instead`.
const HARMLESS_BEHIND: &str = "
    edit, edited, rather, instead, clarify, clarification, should be, adjust, adjusted, \
                               adjusting, fix, fixed, update,
    updated, refine, refined, refinement, revise, revised, revision, new version, replace, \
                               replaced, replacement,
    verified, correction, corrections, apologies, sorry, not the, not a, not an, isn t, double \
                               checked, double check,
    more closely, closer look, more carefully, to be precise, 不是, 重新, too small, too large, too \
                               big, redo
";

/// Words that deny something; with one of the answer's labels in their sentence they deny that.
const DENIALS: &str = "
    no, not, never, none, without, isn t, aren t, wasn t, doesn t, don t, cannot, can t, nothing, \
                       kein, keine, keinen,
    nicht, ne, pas, aucun, aucune, sin, ningún, ninguna, não, nenhum, nenhuma, nessun, nessuna, \
                       non, нет, не,
    没有, 沒有, 不是, 并非, ない, ません, 없
";

/// Words behind a denial that limit it to what is not there: `No other cats were found.`
const OTHERS: &str = "
    other, others, more, additional, further, else, another, 其他, weitere, weiteren, autre, \
                      autres, otro, otros, otra,
    outros, altri
";

/// Words of something that was left out, in any place.
const OMISSIONS: &str = "
    omitted, omit, truncated, brevity, not shown, not listed, not included, skipped, left out, \
                         abbreviated, shortened,
    省略, 略去, ausgelassen, omis, omitido, omitidos, omessi, пропущ
";

/// Words of something that was left out, behind the last part.
const OMISSIONS_BEHIND: &str = "
    remaining, and so on, and so forth, etc, etcetera, and more, more like this, and others, and \
                                many others, to be
    continued, continued, continues, rest of the, the rest, similarly for, repeat for, 以此类推, 等等, \
                                usw, und so weiter,
    entre otros, et cetera, not list, did not list, didn t list, to list, there are more, many \
                                more, several more,
    a few more, many other, several other, not all, only some, only the first
";

/// How a sentence begins that offers something.
const OFFERS: [&str; 12] = [
    "let me know",
    "please let",
    "feel free",
    "if ",
    "would you",
    "do you",
    "should you",
    "i hope",
    "hope ",
    "is there",
    "want ",
    "shall i",
];

/// Tags that mean nothing here, beside those that name the answer, a label or a wrapper.
const PLAIN_TAGS: &str = "
    b, i, u, p, a, br, hr, em, strong, code, pre, div, span, ul, ol, li, table, tr, td, th, \
                          thead, tbody, summary,
    details, html, body, head, h1, h2, h3, h4, h5, h6, sub, sup, small, center, font, img, json, \
                          jsonl, yaml, xml,
    text, s, bos, x, y, root, code_block, json_output, output_json, tool_call, tool_code, \
                          function_call, del, strike
";
