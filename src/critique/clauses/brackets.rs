//! What only steers a sampler: weights, alternatives, networks, markers.
//!
//! In: a prompt as it is written. Out: the same without them. Promises: a bracket behind a backslash
//! stays; what has a weight of zero or below goes; time grows with the length.

/// Words that stand alone and in capitals, and part a prompt: stable-diffusion-webui's own, and
/// those of its regional prompts.
const SEPARATORS: [&str; 6] = ["BREAK", "AND", "ADDBASE", "ADDCOMM", "ADDCOL", "ADDROW"];

/// Weights, alternatives and networks are written out or dropped; a bracket after a backslash is
/// one that was meant.
pub(super) fn without_brackets(prompt: &str) -> String {
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
        ('(', plain) if is_against(&inner[plain.len()..]) => String::new(),
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

/// Whether a weight, with its colon, turns what it is of into its opposite, or to nothing.
fn is_against(weight: &str) -> bool {
    weight.trim_start_matches(':').trim().parse::<f64>().is_ok_and(|weight| weight <= 0.0)
}

/// `NovelAI`'s `1.2::a cat::`; what has a weight of zero or below goes.
pub(super) fn without_numeric_weights(prompt: &str) -> String {
    let mut plain = String::with_capacity(prompt.len());
    let mut rest = prompt;
    while let Some(colons) = rest.find("::") {
        let before = &rest[..colons];
        let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
        let number = before.trim_end_matches(is_of_number);
        let weight = &before[number.len()..];
        let behind = &rest[colons + 2..];
        let stands_alone = number
            .chars()
            .next_back()
            .is_none_or(|before| before.is_whitespace() || matches!(before, ',' | ':'));
        if weight.parse::<f64>().is_err() || !stands_alone {
            // The end of a part, or colons of another meaning.
            plain.push_str(before);
            if !plain.is_empty() && before.trim().is_empty() {
                plain.push(' ');
            } else {
                plain.push_str("::");
            }
            rest = behind;
            continue;
        }
        plain.push_str(number);
        let end = behind.find("::").unwrap_or(behind.len());
        if !is_against(weight) {
            plain.push_str(&behind[..end]);
        }
        rest = behind.get(end + 2..).unwrap_or_default();
    }
    plain + rest
}

/// `a cat :1.2`, the weight of a part between ANDs. 7:30 and 16:9 are no weights.
pub(super) fn without_and_weight(text: &str) -> &str {
    let plain = without_weight(text);
    if text[plain.len()..].contains('.') { plain } else { text }
}

/// Markers of one word go, or become a new line.
pub(super) fn without_markers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        for word in line.split_whitespace() {
            let bare = word.trim_end_matches([',', '.', ';']);
            let wildcard = bare.len() > 4 && bare.starts_with("__") && bare.ends_with("__");
            // How characters act on each other, in prompts of NovelAI.
            let acts = ["source#", "target#", "mutual#"];
            let word = acts.iter().find_map(|act| word.strip_prefix(act)).unwrap_or(word);
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
