//! Marks that models and servers put around an answer: thoughts, channels, turns, tool calls.
//!
//! In: a position in the text. Out: the mark there, and its end. Promises: a mark is recognised by
//! its name, not by its spelling: every name of [`THOUGHTS`] is known in every style of bracket, in
//! any case, with `begin_of_`, `end_of_` or `/` before it; a look ahead is bounded.
//!
//! | style | start | end |
//! |---|---|---|
//! | tags | `<think>`, `< Thinking >`, `<thought lang="en">` | `</think>` |
//! | special tokens | `<\|think\|>`, `<\|begin_of_thought\|>`, `<｜think｜>` | `<\|/think\|>`, `<\|end_of_thought\|>` |
//! | Gemma's | `<\|channel>` | `<channel\|>`, `</channel\|>` |
//! | Mistral's | `[THINK]` | `[/THINK]` |
//! | Kimi's | `◁think▷` | `◁/think▷` |
//! | unused tokens | `<unused94>` | `<unused95>` |
//! | channels | `<\|channel\|>analysis<\|message\|>` | `<\|end\|>`, the next `<\|channel\|>` |
//! | folded | `<details type="reasoning">`, `<details><summary>Thought for 3 s` | `</details>` |
//!
//! Any other name with a word about thinking in it (`<inner_planning>`, `<|o3_thinking|>`) is a
//! thought's, too.

/// The longest mark that a look ahead considers, in bytes.
const MAX_LENGTH: usize = 64;

/// The text that ends a [`Mark::Folded`].
pub(super) const END_OF_FOLDED: &str = "</details>";

/// Names of thoughts, in lower case and without separators.
const THOUGHTS: [&str; 24] = [
    "think",
    "thinking",
    "thinkingprocess",
    "thought",
    "thoughts",
    "thoughtprocess",
    "innerthought",
    "innerthoughts",
    "internalthoughts",
    "antthinking",
    "seedthink",
    "reason",
    "reasoning",
    "reasoningcontent",
    "reasoningprocess",
    "reflection",
    "reflect",
    "analysis",
    "analyze",
    "scratchpad",
    "monologue",
    "innermonologue",
    "chainofthought",
    "cot",
];

/// Names of what comes behind a thought.
const ANSWERS: [&str; 11] = [
    "answer",
    "final",
    "finalanswer",
    "finalresponse",
    "finaloutput",
    "solution",
    "conclusion",
    "response",
    "output",
    "result",
    "results",
];

/// Parts of words of names of thoughts, and whole words of them.
const THOUGHT_PARTS: [&str; 8] =
    ["think", "thought", "reason", "reflect", "monologue", "scratchpad", "analy", "deliberat"];
const THOUGHT_WORDS: [&str; 12] = [
    "plan",
    "plans",
    "planning",
    "internal",
    "inner",
    "scratch",
    "brainstorm",
    "brainstorming",
    "ponder",
    "musing",
    "introspection",
    "cot",
];

/// Names of tokens that end a turn: Gemma's, and those of other models.
const TURN_ENDS: [&str; 32] = [
    "turnend",
    "eos",
    "eot",
    "eotid",
    "eottoken",
    "eom",
    "eomid",
    "eod",
    "eodid",
    "eoa",
    "eoh",
    "endofturn",
    "endoftext",
    "endofsentence",
    "endofutterance",
    "endofmessage",
    "endofdocument",
    "endofseq",
    "endofsequence",
    "endofturntoken",
    "endofassistant",
    "endofchunk",
    "endofanswer",
    "endofresponse",
    "imend",
    "fimend",
    "end",
    "endtext",
    "return",
    "call",
    "observation",
    "pad",
];

/// Names of special tokens that stand within an answer or around it.
const WITHIN: [&str; 26] = [
    "beginofbox",
    "endofbox",
    "boxstart",
    "boxend",
    "objectrefstart",
    "objectrefend",
    "quadstart",
    "quadend",
    "visionstart",
    "visionend",
    "visionpad",
    "imagepad",
    "image",
    "message",
    "content",
    "begin",
    "startoftext",
    "beginoftext",
    "beginofsentence",
    "bos",
    "unk",
    "mask",
    "sep",
    "think",
    "toolresponse",
    "constrain",
];

/// Names of tokens that begin a turn.
const TURN_STARTS: [&str; 9] = [
    "turn",
    "startofturn",
    "imstart",
    "imuser",
    "startheaderid",
    "user",
    "human",
    "assistant",
    "start",
];

/// A special token of the model, or a tag, that stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The start of a thought.
    Thought,
    /// The end of a thought, or of a channel.
    ThoughtEnd,
    /// The start of a channel, whose name follows.
    Channel,
    /// Behind it stands the answer.
    Answer,
    /// The model's turn is over.
    TurnEnd,
    /// A turn begins: the model's own at the start of the text, anybody's behind an answer.
    TurnStart,
    /// The start or end of a tool call.
    ToolCall,
    /// Gemma's quote for strings in tool calls.
    Quote,
    /// The start of a thought that is folded: `<details type="reasoning">`.
    Folded,
    /// A special token that is not known.
    Unknown,
    /// Anything else, without a meaning here.
    Other,
}

/// The mark at `at`, where `<`, `[` or `◁` stands, and its end. The text may end within it.
pub(super) fn at(text: &str, at: usize) -> Option<(Mark, usize)> {
    let rest = &text[at..];
    let (open, close) = match rest.as_bytes().first()? {
        b'<' => ("<", ">"),
        b'[' => ("[", "]"),
        _ => ("◁", "▷"),
    };
    let inside = rest.strip_prefix(open)?;
    let near = near(inside);
    let Some(end) = near.find(close) else {
        return if open == "<" && near.len() == inside.len() {
            cut(near).map(|mark| (mark, text.len()))
        } else {
            None
        };
    };
    let mark = match open {
        "<" if is_folded(&near[..end], &inside[end + 1..]) => Some(Mark::Folded),
        "<" => of_angle(&near[..end]),
        "[" => of_square(&near[..end]),
        _ => of_thought(&near[..end]),
    };
    mark.map(|mark| (mark, at + open.len() + end + close.len()))
}

/// The part of `inside` that could belong to a mark, its closing bracket included.
pub(super) fn near(inside: &str) -> &str {
    let near = &inside[..inside.floor_char_boundary(MAX_LENGTH)];
    let stop = near.find(['>', ']', '▷', '\n', '{', '<', '[', '◁']);
    stop.map_or(near, |stop| &near[..near.ceil_char_boundary(stop + 1)])
}

/// Whether a line names a thought whose marks a server dropped, and nothing else.
pub(super) fn names_thought(line: &str) -> bool {
    let bracketed = line.starts_with(['`', '<', '[', '{', '"']);
    !bracketed && line.len() <= MAX_LENGTH && THOUGHTS.contains(&name(line).as_str())
}

/// Whether a channel of this name holds the answer.
pub(super) fn names_answer(word: &str) -> bool {
    word.len() <= MAX_LENGTH && ANSWERS.contains(&name(word).as_str())
}

/// In lower case, without separators.
fn name(written: &str) -> String {
    let letters = written.chars().filter(|c| c.is_alphanumeric());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// The mark between angle brackets.
fn of_angle(inside: &str) -> Option<Mark> {
    if inside == "|\"|" {
        return Some(Mark::Quote);
    }
    let bar = |c: char| matches!(c, '|' | '｜');
    let (bar_before, bar_behind) = (inside.starts_with(bar), inside.ends_with(bar));
    let special = bar_before || bar_behind;
    let inner = inside.trim_matches(|c: char| bar(c) || c.is_whitespace());
    let closing = inner.starts_with('/');
    let inner = inner.trim_start_matches(|c: char| c == '/' || bar(c) || c.is_whitespace());
    // Behind a tag's name there may be attributes.
    let word = if special { inner } else { inner.split_whitespace().next().unwrap_or_default() };
    if word.is_empty() || !word.chars().all(|c| c.is_alphanumeric() || "_-▁:.".contains(c)) {
        return special.then_some(Mark::Other);
    }
    // LLaVA-CoT describes the image before it answers.
    if matches!(word, "CAPTION" | "SUMMARY") && !special {
        return Some(if closing { Mark::ThoughtEnd } else { Mark::Thought });
    }
    let name = name(word);
    match name.as_str() {
        "unused94" => return Some(Mark::Thought),
        "unused95" => return Some(Mark::ThoughtEnd),
        // Gemma ends a channel with `<channel|>`.
        "channel" if closing || (bar_behind && !bar_before) => return Some(Mark::ThoughtEnd),
        "channel" if special => return Some(Mark::Channel),
        "turn" if bar_behind && !bar_before => return Some(Mark::TurnEnd),
        "s" if closing => return Some(Mark::TurnEnd),
        "toolcall" | "functioncall" => return Some(Mark::ToolCall),
        "toolresponse" if bar_before && !bar_behind => return Some(Mark::TurnEnd),
        _ => {}
    }
    // Without bars only the names that are nothing else.
    let plain = name.starts_with("endof")
        || ["eos", "eot", "eoa", "eod", "eoh", "pad", "startofturn"].contains(&name.as_str());
    if (special || plain) && !closing {
        if TURN_ENDS.contains(&name.as_str()) {
            return Some(Mark::TurnEnd);
        }
        if TURN_STARTS.contains(&name.as_str()) {
            return Some(Mark::TurnStart);
        }
    }
    let closing = closing || (bar_behind && !bar_before);
    match of_name(&name, closing) {
        // A token that ends the answer ends all; behind a tag there may be more.
        Some(Mark::Other) if special => return Some(Mark::TurnEnd),
        Some(mark) => return Some(mark),
        None => {}
    }
    if names_some_thought(word) {
        let ends = closing || words(word).any(|part| matches!(part.as_str(), "end" | "stop"));
        return Some(if ends { Mark::ThoughtEnd } else { Mark::Thought });
    }
    if special
        && bar_before
        && words(word).last().is_some_and(|last| ANSWERS.contains(&last.as_str()))
    {
        return Some(Mark::Answer);
    }
    if special && word.is_ascii() && bar_before && bar_behind && !WITHIN.contains(&name.as_str()) {
        return Some(Mark::Unknown);
    }
    (special || ["bos", "unk", "mask", "s"].contains(&name.as_str())).then_some(Mark::Other)
}

/// Whether a tag begins a thought that a page would fold; `behind` is the text behind it.
fn is_folded(inside: &str, behind: &str) -> bool {
    let Some(attributes) = inside.strip_prefix("details") else { return false };
    let about =
        |text: &str| words(text).any(|word| THOUGHT_PARTS.iter().any(|part| word.contains(part)));
    let near = &behind[..behind.floor_char_boundary(MAX_LENGTH)];
    let summary = near
        .trim_start()
        .strip_prefix("<summary>")
        .map(|rest| rest.split('<').next().unwrap_or_default());
    about(attributes) || summary.is_some_and(about)
}

/// Whether a name that is not in [`THOUGHTS`] contains a word about thinking.
fn names_some_thought(written: &str) -> bool {
    !words(written).any(|word| matches!(word.as_str(), "no" | "non" | "nothink" | "not"))
        && words(written).any(|word| {
            THOUGHT_WORDS.contains(&word.as_str())
                || THOUGHT_PARTS.iter().any(|part| word.contains(part))
        })
}

/// The words of a name, in lower case.
fn words(written: &str) -> impl Iterator<Item = String> {
    written
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// `[THINK]`, `[/THINK]`, `[INST]`, `[end of text]`.
fn of_square(inside: &str) -> Option<Mark> {
    match inside {
        "INST" => return Some(Mark::TurnStart),
        "end of text" | "EOS" | "EOT" | "END OF TEXT" => return Some(Mark::TurnEnd),
        _ => {}
    }
    let word = inside.trim().strip_prefix('/').unwrap_or(inside).trim();
    let letters =
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'));
    let name = name(word);
    // In brackets the other names are words of prose.
    let known = ["think", "thinking", "thought", "thoughts", "reasoning", "reflection"]
        .contains(&name.as_str());
    (letters && known)
        .then(|| if inside.trim().starts_with('/') { Mark::ThoughtEnd } else { Mark::Thought })
}

/// `◁think▷`, `◁/think▷`.
fn of_thought(inside: &str) -> Option<Mark> {
    of_name(&name(inside), inside.trim().starts_with('/'))
}

/// The mark of a name, with or without `begin of` and `end of`.
fn of_name(name: &str, closing: bool) -> Option<Mark> {
    let known = |name: &str| {
        let names = [(&THOUGHTS[..], Mark::Thought), (&ANSWERS[..], Mark::Answer)];
        names.into_iter().find(|(names, _)| names.contains(&name)).map(|(_, mark)| mark)
    };
    let stripped = ["beginof", "startof", "begin", "start"]
        .iter()
        .find_map(|prefix| known(name.strip_prefix(prefix)?));
    let suffixed = ["begin", "start"].iter().find_map(|suffix| known(name.strip_suffix(suffix)?));
    let ended = ["endof", "end"].iter().find_map(|prefix| known(name.strip_prefix(prefix)?));
    let ended = ended.or_else(|| known(name.strip_suffix("end")?));
    match (known(name).or(stripped).or(suffixed), ended) {
        (Some(mark), _) if !closing => Some(mark),
        (Some(mark), _) | (None, Some(mark)) => Some(end_of(mark)),
        (None, None) => None,
    }
}

/// The end of an answer means nothing: the text goes on to its own end.
fn end_of(mark: Mark) -> Mark {
    if mark == Mark::Thought { Mark::ThoughtEnd } else { Mark::Other }
}

/// A mark that the text cuts off. Half a mark must neither open a thought nor end a turn.
fn cut(inside: &str) -> Option<Mark> {
    const KNOWN: [&str; 12] = [
        "|channel>",
        "channel|>",
        "turn|>",
        "|turn>",
        "|tool_response>",
        "|tool_call>",
        "tool_call|>",
        "|\"|>",
        "end_of_turn>",
        "start_of_turn>",
        "think>",
        "/think>",
    ];
    // Which of two marks it would have become does not matter.
    let known = KNOWN.iter().any(|known| known.starts_with(inside));
    let call = inside.len() > "|tool".len()
        && ["|tool_c", "tool_c"].iter().any(|start| inside.starts_with(start));
    match (known || inside.starts_with('|'))
        && inside.chars().all(|c| c.is_ascii_alphanumeric() || "|_\"/".contains(c))
    {
        true if call => Some(Mark::ToolCall),
        true => Some(Mark::Other),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, at};

    #[test]
    fn a_name_is_known_in_every_style() {
        for (start, end) in [
            ("<think>", "</think>"),
            ("<THINK>", "</Think>"),
            ("< thinking >", "< / thinking >"),
            ("<thought lang=\"en\">", "</thought>"),
            ("<reasoning>", "</reasoning>"),
            ("<inner_monologue>", "</inner_monologue>"),
            ("<|think|>", "<|/think|>"),
            ("<|begin_of_thought|>", "<|end_of_thought|>"),
            ("<|thinking_start|>", "<|thinking_end|>"),
            ("<|START_THINKING|>", "<|END_THINKING|>"),
            ("<｜think｜>", "</｜think｜>"),
            ("<seed:think>", "</seed:think>"),
            ("<|thought>", "<thought|>"),
            ("[THINK]", "[/THINK]"),
            ("[thinking]", "[/thinking]"),
            ("◁think▷", "◁/think▷"),
            ("<unused94>", "<unused95>"),
        ] {
            assert_eq!(at(start, 0), Some((Mark::Thought, start.len())), "{start}");
            assert_eq!(at(end, 0), Some((Mark::ThoughtEnd, end.len())), "{end}");
        }
        for end in ["<channel|>", "</channel|>", "</channel>"] {
            assert_eq!(at(end, 0), Some((Mark::ThoughtEnd, end.len())), "{end}");
        }
        for start in ["<|channel>", "<|channel|>"] {
            assert_eq!(at(start, 0), Some((Mark::Channel, start.len())), "{start}");
        }
    }

    #[test]
    fn turns_end_in_the_words_of_many_models() {
        for end in [
            "<turn|>",
            "<end_of_turn>",
            "<eos>",
            "<|im_end|>",
            "<|endoftext|>",
            "</s>",
            "<|eot_id|>",
            "<|end|>",
            "<|end_of_text|>",
            "<｜end▁of▁sentence｜>",
            "<|return|>",
            "<|eom_id|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|tool_response>",
        ] {
            assert_eq!(at(end, 0), Some((Mark::TurnEnd, end.len())), "{end}");
        }
        for start in ["<|im_start|>", "<start_of_turn>", "<|turn>", "<|start_header_id|>"] {
            assert_eq!(at(start, 0), Some((Mark::TurnStart, start.len())), "{start}");
        }
        for other in [
            "<|end_of_box|>",
            "<|begin_of_box|>",
            "<|message|>",
            "<bos>",
            "<s>",
            "<|vision_start|>",
            "<tool_response|>",
        ] {
            assert_eq!(at(other, 0), Some((Mark::Other, other.len())), "{other}");
        }
    }

    #[test]
    fn words_of_prose_and_json_are_no_marks() {
        for text in [
            "<x>",
            "<object>",
            "< y",
            "[1, 2]",
            "[analysis]",
            "[plan]",
            "[]",
            "[\"think\"]",
            "<b>bold</b>",
            "<loc0012>",
            "◁",
            "<a\nb>",
            "<user>",
            "<no_think>",
            "<-think",
            "<3",
        ] {
            assert_eq!(at(text, 0), None, "{text}");
        }
        assert_eq!(at("<|tool_ca", 0), Some((Mark::ToolCall, 9)));
        assert_eq!(at("<|chan", 0), Some((Mark::Other, 6)));
        assert_eq!(at("<turn", 0), Some((Mark::Other, 5)));
    }
}
