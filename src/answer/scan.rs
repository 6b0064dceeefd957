//! Cuts an answer's text into tokens, tolerantly.
//!
//! In: the text. Out: one token a call, either of prose (where only the start of a JSON value, a fence or a tag
//! matters, and an apostrophe is no quote) or of a JSON value. Promises: it only goes forward, save that the tail of
//! a string without its closing quote is read once more; every look ahead is bounded, or skips white space that no
//! other look ahead of its kind skips again.

#[cfg(test)]
use std::cell::Cell;
use std::ops::Range;

/// The key of coordinates, without its separators.
pub(super) const BOX_KEY: &str = "box2d";

/// The longest tag and the longest unquoted key that a look ahead considers, in bytes.
const LOOK_AHEAD: usize = 48;

/// A kind of bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Curly,
    Square,
    Round,
}

/// A string without its quotes, or an unquoted word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) span: Range<usize>,
    pub(super) quoted: bool,
    /// The text ends before the closing quote.
    pub(super) cut: bool,
}

/// A special token of the model that stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// The start of a thought, which ends with this.
    Thought(&'static str),
    /// The end of a thought.
    ThoughtEnd,
    /// The model's turn is over.
    EndOfTurn,
    /// The start or end of a tool call.
    ToolCall,
    /// Gemma's quote for strings in tool calls.
    Quote,
    /// Anything else, without a meaning here.
    Other,
}

/// The tags that are known by name; every other `<|…>` and `<…|>` is [`Tag::Other`].
const TAGS: [(&str, Tag); 16] = [
    ("<|channel>", Tag::Thought("<channel|>")),
    ("<channel|>", Tag::ThoughtEnd),
    ("<think>", Tag::Thought("</think>")),
    ("</think>", Tag::ThoughtEnd),
    ("<turn|>", Tag::EndOfTurn),
    ("<eos>", Tag::EndOfTurn),
    ("<end_of_turn>", Tag::EndOfTurn),
    ("<|tool_response>", Tag::EndOfTurn),
    ("<|tool_call>", Tag::ToolCall),
    ("<tool_call|>", Tag::ToolCall),
    ("<|\"|>", Tag::Quote),
    ("<start_of_turn>", Tag::Other),
    ("<bos>", Tag::Other),
    ("<pad>", Tag::Other),
    ("<unk>", Tag::Other),
    ("<mask>", Tag::Other),
];

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Open(Bracket),
    Close(Bracket),
    Comma,
    /// `:`, `=`, `:=` or `=>`.
    Colon,
    Scalar(Scalar),
    /// Three or more backticks or tildes.
    Fence,
    Tag(Tag),
    /// Prose with a letter or digit in it.
    Text,
    /// `box_2d:` in prose, with a list right after it.
    LooseBoxKey,
    End,
}

/// A place in the text, from which tokens are read.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    start: usize,
    /// Where the last unquoted word ended: a quote right there closes nothing and opens nothing.
    word_end: Option<usize>,
    /// Bytes looked at, which the tests hold against the length of the text.
    #[cfg(test)]
    steps: Cell<usize>,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            start: 0,
            word_end: None,
            #[cfg(test)]
            steps: Cell::new(0),
        }
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.steps.get()
    }

    /// Where the last token began.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Where the last token ended.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next token outside of any JSON value.
    pub(super) fn next_in_prose(&mut self) -> Token {
        loop {
            self.at = self.skip_space(self.at);
            self.start = self.at;
            let Some(byte) = self.peek(self.at) else { return Token::End };
            match byte {
                b'`' | b'~' => {
                    if self.fence(byte) {
                        return Token::Fence;
                    }
                }
                b'<' => match self.tag(self.at) {
                    Some((tag, end)) => return self.token(end, Token::Tag(tag)),
                    None => self.at += 1,
                },
                b'{' if self.opens_value(self.at) => return self.token(self.at + 1, Token::Open(Bracket::Curly)),
                b'[' if self.opens_value(self.at) => return self.token(self.at + 1, Token::Open(Bracket::Square)),
                b'}' => return self.token(self.at + 1, Token::Close(Bracket::Curly)),
                b']' => return self.token(self.at + 1, Token::Close(Bracket::Square)),
                b',' => return self.token(self.at + 1, Token::Comma),
                _ => {
                    if let Some(end) = self.loose_box_key(self.at) {
                        return self.token(end, Token::LooseBoxKey);
                    }
                    if self.skip_prose() {
                        return Token::Text;
                    }
                }
            }
        }
    }

    /// The next token inside a JSON value.
    pub(super) fn next_in_value(&mut self) -> Token {
        loop {
            self.at = self.skip_space(self.at);
            self.start = self.at;
            let Some(byte) = self.peek(self.at) else { return Token::End };
            let next = self.at + 1;
            match byte {
                b'{' => return self.token(next, Token::Open(Bracket::Curly)),
                b'[' => return self.token(next, Token::Open(Bracket::Square)),
                b'(' => return self.token(next, Token::Open(Bracket::Round)),
                b'}' => return self.token(next, Token::Close(Bracket::Curly)),
                b']' => return self.token(next, Token::Close(Bracket::Square)),
                b')' => return self.token(next, Token::Close(Bracket::Round)),
                b',' => return self.token(next, Token::Comma),
                b':' | b'=' => {
                    let two = matches!((byte, self.peek(next)), (b':', Some(b'=')) | (b'=', Some(b'>')));
                    return self.token(next + usize::from(two), Token::Colon);
                }
                b'"' | b'\'' if self.word_end != Some(self.at) => return Token::Scalar(self.string(byte)),
                b'"' | b'\'' => self.at = next,
                b'`' | b'~' => {
                    if self.fence(byte) {
                        return Token::Fence;
                    }
                }
                b'#' => {
                    self.skip_past("\n");
                }
                b'/' if self.peek(next) == Some(b'/') => {
                    self.skip_past("\n");
                }
                b'/' if self.peek(next) == Some(b'*') => {
                    self.skip_past("*/");
                }
                b'<' => match self.tag(self.at) {
                    Some((Tag::Quote, end)) => return Token::Scalar(self.tag_string(end)),
                    Some((tag, end)) => return self.token(end, Token::Tag(tag)),
                    None => return Token::Scalar(self.word()),
                },
                _ => return Token::Scalar(self.word()),
            }
        }
    }

    /// Moves behind the next `end`, or to the end of the text; says whether there was one.
    pub(super) fn skip_past(&mut self, end: &str) -> bool {
        let from = self.at;
        let found = self.text[from..].find(end);
        self.at = found.map_or(self.text.len(), |found| from + found + end.len());
        #[cfg(test)]
        self.steps.set(self.steps.get() + self.at - from);
        found.is_some()
    }

    /// Moves over the word that names a fence's language and gives it.
    pub(super) fn skip_language(&mut self) -> &'t str {
        let from = self.at;
        while self.peek(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-')) {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    /// Whether the bracket at `at` begins a JSON value and not a piece of prose such as `[sic]` or `{x | x > 0}`.
    pub(super) fn opens_value(&self, at: usize) -> bool {
        let list = self.peek(at) == Some(b'[');
        let next = self.skip_space(at + 1);
        match self.peek(next) {
            None | Some(b'"' | b'\'' | b'\\' | b'/') => true,
            // `boxes[]` is no empty list.
            Some(b']') => list && (at == 0 || !is_word(self.peek(at - 1))),
            Some(b'{' | b'[' | b'(' | b'-' | b'+' | b'.' | b'0'..=b'9') => list,
            Some(b'}') => !list,
            Some(b'<') => matches!(self.tag(next), Some((Tag::Quote, _))),
            Some(_) => self.key_follows(next) || (list && self.literal_follows(next)),
        }
    }

    fn token(&mut self, end: usize, token: Token) -> Token {
        self.at = end;
        token
    }

    fn peek(&self, at: usize) -> Option<u8> {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
        self.text.as_bytes().get(at).copied()
    }

    /// The place of the first byte from `at` on that is no white space. A byte order mark counts as white space.
    fn skip_space(&self, mut at: usize) -> usize {
        loop {
            match self.peek(at) {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c') => at += 1,
                Some(0xc2..) => match self.text.get(at..).and_then(|rest| rest.chars().next()) {
                    Some(c) if c.is_whitespace() || c == '\u{feff}' => at += c.len_utf8(),
                    _ => return at,
                },
                _ => return at,
            }
        }
    }

    /// Moves over a run of backticks or tildes; says whether it is long enough for a fence.
    fn fence(&mut self, mark: u8) -> bool {
        let from = self.at;
        while self.peek(self.at) == Some(mark) {
            self.at += 1;
        }
        self.at - from >= 3
    }

    /// Moves over prose up to a byte that could mean something; says whether a letter or digit was in it.
    fn skip_prose(&mut self) -> bool {
        let mut said = false;
        let mut before = None;
        while let Some(byte) = self.peek(self.at) {
            let key_may_start = matches!(byte, b'b' | b'B') && !is_word(before);
            let stop =
                byte.is_ascii_whitespace() || matches!(byte, b'`' | b'~' | b'<' | b'{' | b'[' | b'}' | b']' | b',');
            if (stop || key_may_start) && self.at > self.start {
                break;
            }
            said |= is_word(Some(byte));
            before = Some(byte);
            self.at += 1;
        }
        said
    }

    /// The end of `box_2d` in one of its spellings at `at`.
    fn box_key(&self, mut at: usize) -> Option<usize> {
        for (i, letter) in BOX_KEY.bytes().enumerate() {
            let mut separators = 0;
            while i == 3 && separators < 2 && matches!(self.peek(at), Some(b'_' | b'-' | b' ' | b'\\')) {
                separators += 1;
                at += 1;
            }
            if self.peek(at)?.to_ascii_lowercase() != letter {
                return None;
            }
            at += 1;
        }
        Some(at)
    }

    /// Where the list begins, if `box_2d:` and a list stand at `at` in prose, with the quotes and stars that people
    /// put around a key.
    fn loose_box_key(&self, at: usize) -> Option<usize> {
        if at > 0 && is_word(self.peek(at - 1)) {
            return None;
        }
        let mut end = self.box_key(at)?;
        let marks = end;
        while end < marks + 3 && matches!(self.peek(end), Some(b'"' | b'\'' | b'`' | b'*' | b'\\')) {
            end += 1;
        }
        end = self.skip_space(end);
        matches!(self.peek(end), Some(b':' | b'=')).then_some(())?;
        end += 1;
        let marks = end;
        while end < marks + 3 && matches!(self.peek(end), Some(b'=' | b'>' | b'*')) {
            end += 1;
        }
        end = self.skip_space(end);
        matches!(self.peek(end), Some(b'[' | b'(')).then_some(end)
    }

    /// Whether an unquoted key and its colon stand at `at`, or the text ends within them.
    fn key_follows(&self, at: usize) -> bool {
        let mut end = at;
        while end < at + LOOK_AHEAD && self.peek(end).is_some_and(|b| is_word(Some(b)) || b == b'-') {
            end += 1;
        }
        end > at && matches!(self.peek(self.skip_space(end)), None | Some(b':' | b'='))
    }

    /// Whether `null` or a boolean stands at `at`, in JSON or Python.
    fn literal_follows(&self, at: usize) -> bool {
        ["null", "true", "false", "None", "True", "False"].iter().any(|literal| self.text[at..].starts_with(literal))
    }

    /// The tag at `at` and where it ends. The text may end within the tag.
    fn tag(&self, at: usize) -> Option<(Tag, usize)> {
        let mut end = at + 1;
        while self.peek(end).is_some_and(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'|' | b'"' | b'/')) {
            end += 1;
            if end > at + LOOK_AHEAD {
                return None;
            }
        }
        if end == self.text.len() {
            let cut = &self.text[at..];
            return TAGS.iter().find(|(name, _)| name.starts_with(cut)).map(|&(_, tag)| match tag {
                // Which of the two a cut tag would have become does not matter, but a thought must not be opened by
                // half a tag.
                Tag::ToolCall if cut.len() > "<|tool_".len() => (Tag::ToolCall, end),
                _ => (Tag::Other, end),
            });
        }
        if self.peek(end) != Some(b'>') {
            return None;
        }
        let name = &self.text[at..=end];
        let known = TAGS.iter().find(|&&(known, _)| known == name).map(|&(_, tag)| tag);
        let special = name.starts_with("<|") || name.ends_with("|>");
        known.or(special.then_some(Tag::Other)).map(|tag| (tag, end + 1))
    }

    /// An unquoted word: everything up to white space, a bracket, a comma, a colon, a quote or a tag.
    fn word(&mut self) -> Scalar {
        let from = self.at;
        while let Some(byte) = self.peek(self.at) {
            let stop = byte.is_ascii_whitespace()
                || matches!(byte, b'{' | b'}' | b'[' | b']' | b'(' | b')' | b',' | b':' | b'=' | b'"' | b'\'' | b'`')
                || (byte == b'<' && self.tag(self.at).is_some());
            if stop && self.at > from {
                break;
            }
            self.at += 1;
        }
        self.word_end = Some(self.at);
        Scalar { span: from..self.at, quoted: false, cut: false }
    }

    /// A string between two `<|"|>`; `from` is behind the first.
    fn tag_string(&mut self, from: usize) -> Scalar {
        const QUOTE: &str = "<|\"|>";
        self.at = from;
        let closed = self.skip_past(QUOTE);
        let end = if closed { self.at - QUOTE.len() } else { self.at };
        Scalar { span: from..end, quoted: true, cut: !closed }
    }

    /// A string, whose opening quote is the next byte.
    ///
    /// Well-formed strings are read as JSON reads them. A quote after which the JSON could not go on belongs to the
    /// string (`"27" screen"`), and a string that was never closed ends before the line or the `box_2d` that follows
    /// it.
    fn string(&mut self, quote: u8) -> Scalar {
        let from = self.at + 1;
        let mut at = from;
        while let Some(byte) = self.peek(at) {
            match byte {
                b'\\' => at += 2,
                b'\n' => {
                    let next = self.skip_space(at + 1);
                    if self.breaks_string(next, quote) {
                        return self.broken_string(from, at);
                    }
                    at = next;
                }
                // Special tokens cannot be part of a string; these say that it will not go on.
                b'<' if matches!(self.peek(at + 1), Some(b'|' | b'c' | b't')) && self.ends_string(at) => {
                    self.at = at;
                    return Scalar { span: from..at, quoted: true, cut: true };
                }
                _ if byte != quote => at += 1,
                _ if self.closes_string(at) => {
                    self.at = at + 1;
                    return Scalar { span: from..at, quoted: true, cut: false };
                }
                _ if self.box_key(at + 1).is_some_and(|end| self.peek(end) == Some(quote)) => {
                    return self.broken_string(from, at);
                }
                _ => at += 1,
            }
        }
        self.at = self.text.len();
        Scalar { span: from..self.at, quoted: true, cut: true }
    }

    fn ends_string(&self, at: usize) -> bool {
        ["<|channel>", "<channel|>", "<turn|>", "<|turn>"].iter().any(|tag| self.text[at..].starts_with(tag))
    }

    /// Whether JSON could go on after the quote at `at`, so that it closes a string.
    fn closes_string(&self, at: usize) -> bool {
        let next = self.skip_space(at + 1);
        match self.peek(next) {
            None | Some(b',' | b'}' | b']' | b')' | b':' | b'=' | b'{' | b'[' | b'#' | b'`') => true,
            Some(b'/') => matches!(self.peek(next + 1), Some(b'/' | b'*')),
            Some(b'<') => self.tag(next).is_some(),
            // A missing comma.
            Some(b'"' | b'\'') => next > at + 1,
            Some(_) => self.text.as_bytes()[at + 1..next].contains(&b'\n'),
        }
    }

    /// Whether what stands at `next`, the start of a line, shows that the string of the line before was never closed.
    fn breaks_string(&self, next: usize, quote: u8) -> bool {
        match self.peek(next) {
            Some(b'{' | b'}' | b']') => true,
            Some(b'`') => self.text[next..].starts_with("```"),
            Some(byte) if byte == quote => !self.closes_string(next),
            _ => false,
        }
    }

    /// A string without its closing quote, which ends before `end`; the brackets and commas at its end are read as
    /// such.
    fn broken_string(&mut self, from: usize, end: usize) -> Scalar {
        let mut to = end;
        while to > from
            && matches!(self.peek(to - 1), Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b'{' | b'}' | b'[' | b']'))
        {
            to -= 1;
        }
        self.at = to;
        Scalar { span: from..to, quoted: true, cut: false }
    }
}

/// Whether a byte can be part of a word; every byte beyond ASCII can.
fn is_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || !b.is_ascii())
}
