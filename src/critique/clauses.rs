//! A prompt to clauses that can be checked one by one.
//!
//! In: a prompt as people write for diffusion models: tags, sentences or both. Out: a few short
//! texts in its order. Promises: parts that only steer the sampler (weights, networks, quality
//! tags) are removed; each clause occurs once; nothing else is lost: if there are more than wanted,
//! neighbours are joined.
//!
//! Sources: stable-diffusion-webui's wiki on emphasis, prompt editing and AND; dynamic-prompts on
//! `{a|b}` and `__wildcards__`; `ComfyUI` on `embedding:name`.

use std::collections::HashSet;

/// The most clauses that are asked about by default.
pub const MAX_CLAUSES: usize = 12;

/// A sentence of more words than these is taken apart at its commas.
const LONG_SENTENCE: usize = 30;

/// Words that stand alone and in capitals, and part a prompt: stable-diffusion-webui's own, and
/// those of its regional prompts.
const SEPARATORS: [&str; 6] = ["BREAK", "AND", "ADDBASE", "ADDCOMM", "ADDCOL", "ADDROW"];

/// A tag of only these words rates a picture, and does not describe it.
const QUALITY_WORDS: [&str; 46] = [
    "16k",
    "32k",
    "4k",
    "8k",
    "absurdres",
    "aesthetic",
    "amazing",
    "artstation",
    "award",
    "best",
    "cgsociety",
    "detail",
    "detailed",
    "details",
    "deviantart",
    "extremely",
    "good",
    "great",
    "hd",
    "hdr",
    "high",
    "highest",
    "highly",
    "highres",
    "hires",
    "incredibly",
    "insanely",
    "intricate",
    "masterpiece",
    "most",
    "newest",
    "on",
    "perfect",
    "professional",
    "quality",
    "res",
    "resolution",
    "super",
    "top",
    "trending",
    "uhd",
    "ultra",
    "very",
    "wallpaper",
    "winning",
    "worst",
];

/// Tags of several words that say the same; their words alone may be on a picture.
const QUALITY_TAGS: [&str; 5] =
    ["octane render", "sharp focus", "unreal engine", "unreal engine 5", "vray"];

/// Prefixes of the tags of Pony and its kin that rate a picture or name its source.
const QUALITY_STARTS: [&str; 3] = ["score_", "source_", "rating_"];

/// Splits `prompt` into at most `most` clauses (at least one, if it says anything).
///
/// Commas, line breaks and sentence ends separate clauses; a sentence with commas stays whole
/// unless it is long. If there are more than `most`, the two neighbours that are shortest together
/// are joined by a comma, the first of equals, again and again.
pub fn clauses(prompt: &str, most: usize) -> Vec<String> {
    let mut clauses: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for (unit, ended) in units(&without_markers(&without_brackets(prompt))) {
        for clause in of_unit(&unit, ended) {
            if !seen.insert(clause.to_lowercase()) {
                continue;
            }
            match clauses.last_mut() {
                // Alone it would say nothing.
                Some(before) if is_short(&clause) => {
                    before.push_str(", ");
                    before.push_str(&clause);
                }
                _ => clauses.push(clause),
            }
        }
    }
    join_down_to(&mut clauses, most.max(1));
    clauses
}

/// Weights, alternatives and networks are written out or dropped; a bracket after a backslash is
/// one that was meant.
fn without_brackets(prompt: &str) -> String {
    let mut plain = String::with_capacity(prompt.len());
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut rest = prompt;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\\' if rest.starts_with(['(', ')', '[', ']', '{', '}', '<', '>', '\\']) => {
                plain.push_str(&rest[..1]);
                rest = &rest[1..];
            }
            '<' => match network_end(rest) {
                Some(end) => rest = &rest[end..],
                None => plain.push(letter),
            },
            '(' | '[' | '{' => open.push((letter, plain.len())),
            ')' | ']' | '}' => {
                let opener = match letter {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                // One without the other is dropped.
                if let Some((_, start)) = open.pop_if(|(open, _)| *open == opener) {
                    let inner = plain.split_off(start);
                    plain.push_str(&written_out(opener, &inner));
                }
            }
            _ => plain.push(letter),
        }
    }
    plain
}

/// The end of `lora:name:0.8>`. `None` for any other `<`.
fn network_end(rest: &str) -> Option<usize> {
    const MAX_LENGTH: usize = 200;
    let end = rest.bytes().take(MAX_LENGTH).position(|byte| byte == b'>')?;
    let kind = rest[..end].split(':').next().filter(|kind| kind.len() < end)?;
    (!kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(end + 1)
}

/// The contents of a bracket: `(word:1.2)`, `[from:to:0.5]`, `[a|b]`, `{a|b}`.
fn written_out(opener: char, inner: &str) -> String {
    let alternatives = |parts: &mut dyn Iterator<Item = &str>| {
        parts.map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" or ")
    };
    match (opener, without_weight(inner)) {
        ('[', edited) if edited.len() < inner.len() => alternatives(&mut edited.split(':')),
        ('[', _) if inner.contains('|') => alternatives(&mut inner.split('|')),
        ('{', _) if inner.contains('|') => {
            // `{2::a|b}`: how often each is taken.
            alternatives(
                &mut inner
                    .split('|')
                    .map(|part| part.split_once("::").map_or(part, |(_, part)| part)),
            )
        }
        (_, plain) => plain.to_owned(),
    }
}

/// The text before `:1.2`.
fn without_weight(text: &str) -> &str {
    let is_number = |weight: &str| weight.trim().parse::<f64>().is_ok_and(f64::is_finite);
    text.rsplit_once(':').filter(|(_, weight)| is_number(weight)).map_or(text, |(text, _)| text)
}

/// `a cat :1.2`, the weight of a part between ANDs. 7:30 and 16:9 are no weights.
fn without_and_weight(text: &str) -> &str {
    let plain = without_weight(text);
    if text[plain.len()..].contains('.') { plain } else { text }
}

/// Markers of one word go, or become a new line.
fn without_markers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        for word in line.split_whitespace() {
            let bare = word.trim_end_matches([',', '.', ';']);
            let wildcard = bare.len() > 4 && bare.starts_with("__") && bare.ends_with("__");
            if SEPARATORS.contains(&bare) {
                plain.push('\n');
            } else if wildcard || bare.starts_with("embedding:") {
                plain.push_str(&word[bare.len()..]);
            } else {
                plain.push_str(word);
            }
            plain.push(' ');
        }
        plain.push('\n');
    }
    plain
}

/// Lines, and in them sentences, with whether each has its end.
fn units(text: &str) -> Vec<(String, bool)> {
    let mut units = Vec::new();
    for line in text.lines() {
        let mut unit = String::new();
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            let ends = match letter {
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

fn of_unit(unit: &str, ended: bool) -> Vec<String> {
    // A sentence has more words between its commas than tags have.
    const IN_SENTENCE: f64 = 4.0;
    const IN_ENDED_SENTENCE: f64 = 2.5;
    let parts: Vec<String> = unit
        .split([',', ';', '，', '、', '；'])
        .map(|part| {
            without_and_weight(part.trim()).split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .map(|part| part.trim_matches(['.', ':', '-', ' ']).to_owned())
        .filter(|part| part.chars().any(char::is_alphanumeric) && !is_quality(part))
        .collect();
    let words: usize = parts.iter().map(|part| words(part)).sum();
    let is_sentence =
        words as f64 >= parts.len() as f64 * if ended { IN_ENDED_SENTENCE } else { IN_SENTENCE };
    if !is_sentence || parts.len() < 2 {
        return parts;
    }
    if words <= LONG_SENTENCE {
        return vec![parts.join(", ")];
    }
    // In a long one, parts too short for a clause are joined to the part before.
    let mut clauses: Vec<String> = Vec::new();
    for part in parts {
        match clauses.last_mut() {
            Some(before) if words_are_few(&part) => {
                before.push_str(", ");
                before.push_str(&part);
            }
            _ => clauses.push(part),
        }
    }
    clauses
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn words_are_few(text: &str) -> bool {
    words(text) < 3
}

/// Up to two letters, in scripts where these are no word.
fn is_short(text: &str) -> bool {
    text.is_ascii() && text.len() < 3
}

fn is_quality(tag: &str) -> bool {
    let tag = tag.to_lowercase();
    let plain = tag.replace(['-', '_'], " ");
    QUALITY_STARTS.iter().any(|start| tag.starts_with(start))
        || QUALITY_TAGS.contains(&plain.as_str())
        || plain.split_whitespace().all(|word| QUALITY_WORDS.contains(&word))
}

fn join_down_to(clauses: &mut Vec<String>, most: usize) {
    while clauses.len() > most {
        let together = |at: &usize| clauses[*at].len() + clauses[*at + 1].len();
        let Some(at) = (0..clauses.len() - 1).min_by_key(together) else { return };
        let after = clauses.remove(at + 1);
        clauses[at].push_str(", ");
        clauses[at].push_str(&after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_to_clauses() {
        let table: [(&str, &[&str]); 27] = [
            ("", &[]),
            (" , ,\n.", &[]),
            (
                "masterpiece, best quality, 8k uhd, highly-detailed, score_9, score_8_up, \
                 trending on artstation",
                &[],
            ),
            ("1girl, red hat, blue eyes", &["1girl", "red hat", "blue eyes"]),
            (
                "(red hat:1.2), ((blue eyes)), [smile], {{tree}}",
                &["red hat", "blue eyes", "smile", "tree"],
            ),
            ("(a cat, (sitting:1.1):0.9) on a mat", &["a cat", "sitting on a mat"]),
            ("<lora:add_detail:0.8> fox, <hypernet:x:1>, a < b", &["fox", "a < b"]),
            ("a fox AND a tree :1.2 BREAK snow", &["a fox", "a tree", "snow"]),
            ("salt AND pepper, bread and butter", &["salt", "pepper", "bread and butter"]),
            ("__animal__ house, a __color__ door", &["house", "a door"]),
            ("embedding:easynegative, (embedding:x:1.2), fox", &["fox"]),
            (
                "[day:night:0.5] sky, [cat|dog], {2::red|1::blue} car, [rain::0.3]",
                &["day or night sky", "cat or dog", "red or blue car", "rain"],
            ),
            (r"saber \(fate\), sword", &["saber (fate)", "sword"]),
            ("fox), (tree, [snow", &["fox", "tree", "snow"]),
            ("Red Hat, red hat, RED  HAT", &["Red Hat"]),
            (
                "A red fox stands in the snow, looking at the camera.",
                &["A red fox stands in the snow, looking at the camera"],
            ),
            (
                "A cat, black and white, sits on a mat. It is night.",
                &["A cat, black and white, sits on a mat", "It is night"],
            ),
            (
                "A red fox stands in the snow looking at the camera, masterpiece, 8k",
                &["A red fox stands in the snow looking at the camera"],
            ),
            (
                "portrait of a woman, red hat, freckles",
                &["portrait of a woman", "red hat", "freckles"],
            ),
            ("f/1.8, 35mm photo, v2.0 robot", &["f/1.8", "35mm photo", "v2.0 robot"]),
            ("Is it raining? Yes! It is", &["Is it raining", "Yes", "It is"]),
            ("a cat\na dog\r\nA CAT", &["a cat", "a dog"]),
            ("猫、青い空。海", &["猫", "青い空", "海"]),
            ("the letter, A, on a wall", &["the letter, A", "on a wall"]),
            ("high wall, perfect circle, hd", &["high wall", "perfect circle"]),
            ("a sign: \"open\", number 7:30", &["a sign: \"open\"", "number 7:30"]),
            ("sharp focus, Unreal Engine 5, engine room", &["engine room"]),
        ];
        for (prompt, expected) in table {
            assert_eq!(clauses(prompt, MAX_CLAUSES), expected, "{prompt}");
        }
    }

    #[test]
    fn a_long_sentence_is_taken_apart() {
        let prompt = "In the middle of a wide green valley with a slow river, under a sky, heavy \
                      with dark clouds, stands an old stone house with a red roof, its windows \
                      lit, and a woman in a long yellow coat walks towards it with a lantern.";
        assert_eq!(
            clauses(prompt, 12),
            [
                "In the middle of a wide green valley with a slow river",
                "under a sky",
                "heavy with dark clouds",
                "stands an old stone house with a red roof",
                "its windows lit",
                "and a woman in a long yellow coat walks towards it with a lantern",
            ]
        );
    }

    #[test]
    fn neighbours_are_joined_and_nothing_is_lost() {
        let tags = ["fox", "snow", "a very old tree", "moon", "hat", "mist"];
        let prompt = tags.join(", ");
        assert_eq!(clauses(&prompt, 6).len(), 6);
        assert_eq!(clauses(&prompt, 4), ["fox, snow", "a very old tree", "moon, hat", "mist"]);
        for most in [0, 1] {
            assert_eq!(clauses(&prompt, most), [prompt.as_str()]);
        }
        let many: Vec<String> = (100..400).map(|number| format!("thing {number}")).collect();
        let joined = clauses(&many.join(", "), 12);
        assert_eq!(joined.len(), 12);
        assert_eq!(joined.join(", "), many.join(", "));
    }

    #[test]
    fn brackets_without_end_take_no_time() {
        for bracket in ["(", "[", "{", "<", "[a|", "(a:", "<a:"] {
            clauses(&bracket.repeat(10_000), 12);
        }
        clauses(&format!("{}a{}", "[".repeat(10_000), "]".repeat(10_000)), 12);
    }
}
