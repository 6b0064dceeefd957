//! Cuts an answer's text into tokens, tolerantly.
//!
//! In: the text. Out: one token a call, either of prose (only the start of a JSON value, a fence, a
//! mark or an entry of a listing matters, and an apostrophe is no quote) or of a JSON value.
//! Promises: it only moves forward, except that the tail of a string without its closing quote is
//! read once more; every look ahead is bounded, or skips white space that no other look ahead of
//! its kind skips again.
//!
//! Full-width and typographic punctuation (`：，［｛“„«「`) is read as the ASCII that it stands for,
//! outside of strings and as the quotes of one.

#[cfg(test)]
use std::cell::Cell;
use std::ops::Range;

use super::entry;
use super::marks::{self, Mark};

/// The key of coordinates, without its separators.
pub(super) const BOX_KEY: &str = "box2d";

/// The longest unquoted key that a look ahead considers, in bytes.
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
    Mark(Mark),
    /// Prose with a letter or digit in it.
    Text,
    /// An entry of a listing begins: `- label: …` at the start of a line.
    Entry,
    /// `box_2d:` in prose, with a list right after it.
    LooseBoxKey,
    End,
}

/// The ASCII that a full-width or typographic character stands for.
pub(super) fn ascii_of(c: char) -> Option<u8> {
    Some(match c {
        '：' | '﹕' | '︰' => b':',
        '＝' => b'=',
        '，' | '、' | '﹐' | '；' => b',',
        '［' | '【' | '〔' => b'[',
        '］' | '】' | '〕' => b']',
        '｛' => b'{',
        '｝' => b'}',
        '（' => b'(',
        '）' => b')',
        '“' | '”' | '„' | '‟' | '«' | '»' | '「' | '」' | '『' | '』' | '＂' => b'"',
        '‘' | '’' | '‚' | '‛' | '‹' | '›' | '＇' => b'\'',
        _ => return None,
    })
}

/// Whether `close` ends a string that `open` began. Writers mix the styles of one language.
fn closes(open: char, close: char) -> bool {
    match open {
        '「' => close == '」',
        '『' => close == '』',
        '«' => matches!(close, '»' | '"'),
        '»' => matches!(close, '«' | '»' | '"'),
        '‹' => close == '›',
        '›' => matches!(close, '‹' | '›'),
        '‘' | '‚' | '‛' | '’' | '＇' => matches!(close, '’' | '‘' | '‛' | '＇' | '\''),
        _ => matches!(close, '”' | '“' | '‟' | '＂' | '"'),
    }
}

/// A place in the text, from which tokens are read.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    start: usize,
    /// Where reading began anew: the words before are no part of what is read.
    begin: usize,
    /// Before this no entry is looked for.
    entries_from: usize,
    /// The end of the last unquoted word: a quote right there closes nothing and opens nothing.
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
            begin: 0,
            entries_from: 0,
            word_end: None,
            #[cfg(test)]
            steps: Cell::new(0),
        }
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.steps.get()
    }

    /// The start of the last token.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Goes on at `at`, which lies ahead.
    pub(super) fn move_to(&mut self, at: usize) {
        (self.at, self.begin) = (at, at);
    }

    /// The end of the last token.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next token outside of any JSON value.
    pub(super) fn next_in_prose(&mut self) -> Token {
        loop {
            let before = self.at;
            self.at = self.skip_space(self.at);
            self.start = self.at;
            let Some((sign, length)) = self.sign(self.at) else { return Token::End };
            let next = self.at + length;
            if self.entry_begins(before) {
                return Token::Entry;
            }
            if let Some((mark, end)) = self.mark_at(self.at) {
                return self.token(end, Token::Mark(mark));
            }
            match sign {
                b'`' | b'~' => {
                    if self.fence(sign) {
                        return Token::Fence;
                    }
                }
                b'<' => self.at = next,
                b'{' if self.opens_value(self.at) => {
                    return self.token(next, Token::Open(Bracket::Curly));
                }
                b'[' if self.opens_value(self.at) => {
                    return self.token(next, Token::Open(Bracket::Square));
                }
                b'}' => return self.token(next, Token::Close(Bracket::Curly)),
                b']' => return self.token(next, Token::Close(Bracket::Square)),
                b',' => return self.token(next, Token::Comma),
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

    /// Whether an entry of a listing begins here; white space before it began at `before`.
    fn entry_begins(&mut self, before: usize) -> bool {
        let line_begins = before == 0 || self.text[before..self.at].contains('\n');
        if self.at < self.entries_from || !line_begins {
            return false;
        }
        #[cfg(test)]
        self.steps.set(self.steps.get() + entry::start_of_line(self.text, self.at).len());
        self.entries_from = self.at + 1;
        entry::begins(self.text, self.at)
    }

    /// Looks for no entry before `at`.
    pub(super) fn no_entries_before(&mut self, at: usize) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + at.saturating_sub(self.at));
        self.entries_from = at;
    }

    /// The next token inside a JSON value.
    pub(super) fn next_in_value(&mut self) -> Token {
        loop {
            self.at = self.skip_space(self.at);
            self.start = self.at;
            let Some((sign, length)) = self.sign(self.at) else { return Token::End };
            let next = self.at + length;
            match sign {
                b'{' => return self.token(next, Token::Open(Bracket::Curly)),
                b'[' => return self.token(next, Token::Open(Bracket::Square)),
                b'(' => return self.token(next, Token::Open(Bracket::Round)),
                b'}' => return self.token(next, Token::Close(Bracket::Curly)),
                b']' => return self.token(next, Token::Close(Bracket::Square)),
                b')' => return self.token(next, Token::Close(Bracket::Round)),
                b',' => return self.token(next, Token::Comma),
                b':' | b'=' => {
                    let two =
                        matches!((sign, self.peek(next)), (b':', Some(b'=')) | (b'=', Some(b'>')));
                    return self.token(next + usize::from(two), Token::Colon);
                }
                b'"' | b'\'' if self.word_end == Some(self.at) => self.at = next,
                b'"' | b'\'' if length > 1 => return Token::Scalar(self.typographic_string()),
                b'"' | b'\'' => return Token::Scalar(self.string(sign)),
                b'`' | b'~' => {
                    if self.fence(sign) {
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
                b'<' => match self.mark_at(self.at) {
                    Some((Mark::Quote, end)) => return Token::Scalar(self.tag_string(end)),
                    Some((mark, end)) => return self.token(end, Token::Mark(mark)),
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

    /// Moves behind the next mark and returns it, with its start.
    pub(super) fn next_mark(&mut self) -> Option<(usize, Mark)> {
        while let Some(found) = self.text[self.at..].find(['<', '[', '◁']) {
            let start = self.at + found;
            let mark = self.mark_at(start);
            self.at = mark.map_or_else(|| self.text.ceil_char_boundary(start + 1), |(_, end)| end);
            if let Some((mark, _)) = mark {
                return Some((start, mark));
            }
        }
        self.at = self.text.len();
        None
    }

    /// Moves behind the end of a thought, or in front of the answer if that has a mark; says
    /// whether there was one. Thoughts in a channel of the form `<|channel|>` end with their
    /// message, too.
    pub(super) fn skip_thought(&mut self, message: bool) -> bool {
        while let Some(found) = self.text[self.at..].find(['<', '[', '◁']) {
            #[cfg(test)]
            self.steps.set(self.steps.get() + found);
            self.at += found;
            match self.mark_at(self.at) {
                Some((Mark::ThoughtEnd, end)) => {
                    self.at = end;
                    return true;
                }
                Some((Mark::TurnEnd | Mark::TurnStart, end)) if message => {
                    self.at = end;
                    return true;
                }
                Some((Mark::Answer, _)) => return true,
                Some((Mark::Channel, end))
                    if message || marks::names_answer(&self.text[self.channel_name(end)]) =>
                {
                    return true;
                }
                _ => self.at = self.text.ceil_char_boundary(self.at + 1),
            }
        }
        self.at = self.text.len();
        false
    }

    /// The position of the channel's name whose mark ends at `at`.
    fn channel_name(&self, at: usize) -> Range<usize> {
        let rest = &self.text[at..];
        let spaces = rest.bytes().take(LOOK_AHEAD).take_while(|b| *b == b' ').count();
        let letters = rest[spaces..].bytes().take(LOOK_AHEAD);
        let letters = letters.take_while(|b| b.is_ascii_alphabetic() || *b == b'_').count();
        at + spaces..at + spaces + letters
    }

    /// Moves over the channel's name and gives it.
    pub(super) fn skip_channel_name(&mut self) -> &'t str {
        let name = self.channel_name(self.at);
        self.at = name.end;
        &self.text[name]
    }

    /// Moves over the word that names a fence's language and gives it.
    pub(super) fn skip_language(&mut self) -> &'t str {
        let from = self.at;
        while self
            .peek(self.at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-'))
        {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    /// Whether the bracket at `at` begins a JSON value and not a piece of prose such as `[sic]` or
    /// `{x | x > 0}`.
    pub(super) fn opens_value(&self, at: usize) -> bool {
        let Some((bracket, length)) = self.sign(at) else { return false };
        let list = bracket == b'[';
        let next = self.skip_space(at + length);
        match self.sign(next).map(|(sign, _)| sign) {
            None | Some(b'"' | b'\'' | b'\\' | b'/') => true,
            // `boxes[]` is no empty list.
            Some(b']') => list && !self.word_before(at),
            Some(b'{' | b'[' | b'(' | b'-' | b'+' | b'.' | b'0'..=b'9') => list,
            Some(b'}') => !list,
            Some(b'<') => matches!(self.mark_at(next), Some((Mark::Quote, _))),
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

    /// The byte at `at`, or the ASCII that the character there stands for, and the length of the
    /// character. The first byte of any other character stands for that.
    fn sign(&self, at: usize) -> Option<(u8, usize)> {
        let byte = self.peek(at)?;
        if byte.is_ascii() {
            return Some((byte, 1));
        }
        let c = self.text.get(at..).and_then(|rest| rest.chars().next());
        Some(c.map_or((byte, 1), |c| (ascii_of(c).unwrap_or(byte), c.len_utf8())))
    }

    /// The mark at `at`, and its end. Only prose has marks in square brackets.
    fn mark_at(&self, at: usize) -> Option<(Mark, usize)> {
        match self.peek(at)? {
            b'<' | b'[' => {}
            0xe2 if self.text[at..].starts_with('◁') => {}
            _ => return None,
        }
        #[cfg(test)]
        self.steps.set(
            self.steps.get()
                + marks::near(&self.text[self.text.ceil_char_boundary(at + 1)..]).len(),
        );
        marks::at(self.text, at)
    }

    /// Whether the character before `at` is one of a word.
    fn word_before(&self, at: usize) -> bool {
        let before = self.text.get(self.begin..at).unwrap_or_default();
        before.chars().next_back().is_some_and(|c| c == '_' || c.is_alphanumeric())
    }

    /// The place of the first byte from `at` on that is no white space. A byte order mark counts as
    /// white space.
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

    /// Moves over prose up to a byte that could mean something; says whether a letter or digit was
    /// in it.
    fn skip_prose(&mut self) -> bool {
        let mut said = false;
        let mut before = None;
        while let Some(byte) = self.peek(self.at) {
            let key_may_start = matches!(byte, b'b' | b'B') && !is_word(before);
            let stop = match byte {
                b'`' | b'~' | b'<' | b'{' | b'[' | b'}' | b']' | b',' => true,
                0xe2.. => {
                    self.text[self.at..].starts_with('◁')
                        || self.sign(self.at).is_some_and(|(sign, _)| b"{[}],".contains(&sign))
                }
                _ => byte.is_ascii_whitespace(),
            };
            if (stop || key_may_start) && self.at > self.start {
                break;
            }
            said |= is_word(Some(byte));
            before = Some(byte);
            self.at += 1;
            // To the end of the character.
            while !self.text.is_char_boundary(self.at) {
                self.at += 1;
            }
        }
        said
    }

    /// The end of `box_2d` in one of its spellings at `at`.
    fn box_key(&self, mut at: usize) -> Option<usize> {
        for (i, letter) in BOX_KEY.bytes().enumerate() {
            let mut separators = 0;
            while i == 3
                && separators < 2
                && matches!(self.peek(at), Some(b'_' | b'-' | b' ' | b'\\'))
            {
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

    /// The start of the list, if `box_2d:` and a list stand at `at` in prose, with the quotes and
    /// stars that people put around a key.
    fn loose_box_key(&self, at: usize) -> Option<usize> {
        if !matches!(self.peek(at), Some(b'b' | b'B')) || self.word_before(at) {
            return None;
        }
        let mut end = self.box_key(at)?;
        let marks = end;
        while end < marks + 3 && matches!(self.peek(end), Some(b'"' | b'\'' | b'`' | b'*' | b'\\'))
        {
            end += 1;
        }
        end = self.skip_space(end);
        let (colon, length) = self.sign(end)?;
        matches!(colon, b':' | b'=').then_some(())?;
        end += length;
        let marks = end;
        while end < marks + 3 && matches!(self.peek(end), Some(b'=' | b'>' | b'*')) {
            end += 1;
        }
        end = self.skip_space(end);
        matches!(self.sign(end), Some((b'[' | b'(', _))).then_some(end)
    }

    /// Whether an unquoted key and its colon stand at `at`, or the text ends within them.
    fn key_follows(&self, at: usize) -> bool {
        let mut end = at;
        while end < at + LOOK_AHEAD && self.peek(end).is_some_and(|b| is_word(Some(b)) || b == b'-')
        {
            if self.sign(end).is_some_and(|(sign, length)| length > 1 && sign.is_ascii()) {
                break;
            }
            end += 1;
            while !self.text.is_char_boundary(end) {
                end += 1;
            }
        }
        end > at && matches!(self.sign(self.skip_space(end)), None | Some((b':' | b'=', _)))
    }

    /// Whether `null` or a boolean stands at `at`, in JSON or Python.
    fn literal_follows(&self, at: usize) -> bool {
        ["null", "true", "false", "None", "True", "False"]
            .iter()
            .any(|literal| self.text[at..].starts_with(literal))
    }

    /// An unquoted word: everything up to white space, a bracket, a comma, a colon, a quote or a
    /// mark.
    fn word(&mut self) -> Scalar {
        let from = self.at;
        while let Some((sign, length)) = self.sign(self.at) {
            let stop = sign.is_ascii_whitespace()
                || matches!(
                    sign,
                    b'{' | b'}'
                        | b'['
                        | b']'
                        | b'('
                        | b')'
                        | b','
                        | b':'
                        | b'='
                        | b'"'
                        | b'\''
                        | b'`'
                )
                || (sign == b'<' && self.mark_at(self.at).is_some());
            if stop && self.at > from {
                break;
            }
            self.at += length;
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
    /// Well-formed strings are read as JSON reads them. A quote after which the JSON could not go
    /// on belongs to the string (`"27" screen"`), and a string that was never closed ends before
    /// the line or the `box_2d` that follows it.
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
                b'<' if matches!(self.peek(at + 1), Some(b'|' | b'c' | b't'))
                    && self.ends_string(at) =>
                {
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

    /// Whether a special token stands at `at` that no string can hold.
    fn ends_string(&self, at: usize) -> bool {
        ENDS_OF_STRINGS.iter().any(|mark| self.text[at..].starts_with(mark))
    }

    /// A string behind a typographic opening quote, which is the next character. It ends with a
    /// matching quote behind which the JSON could continue, or before a line that begins with a
    /// bracket.
    fn typographic_string(&mut self) -> Scalar {
        let Some(open) = self.text[self.at..].chars().next() else { return self.word() };
        let from = self.at + open.len_utf8();
        let mut at = from;
        while let Some(c) = self.text[at..].chars().next() {
            #[cfg(test)]
            self.steps.set(self.steps.get() + c.len_utf8());
            let next = at + c.len_utf8();
            match c {
                '\\' => {
                    // The escaped character belongs to it.
                    at = next + self.text[next..].chars().next().map_or(0, char::len_utf8);
                }
                '\n' => {
                    let line = self.skip_space(next);
                    if matches!(self.sign(line), Some((b'{' | b'}' | b']', _))) {
                        return self.broken_string(from, at);
                    }
                    at = line.max(next);
                }
                '<' if self.ends_string(at) => {
                    self.at = at;
                    return Scalar { span: from..at, quoted: true, cut: true };
                }
                _ if closes(open, c) && self.goes_on(next) => {
                    self.at = next;
                    return Scalar { span: from..at, quoted: true, cut: false };
                }
                _ => at = next,
            }
        }
        self.at = self.text.len();
        Scalar { span: from..self.at, quoted: true, cut: true }
    }

    /// Whether JSON could go on after the quote at `at`, so that it closes a string.
    fn closes_string(&self, at: usize) -> bool {
        self.goes_on(at + 1)
    }

    /// Whether JSON could go on at `at`, behind a quote.
    fn goes_on(&self, at: usize) -> bool {
        let next = self.skip_space(at);
        let Some((sign, length)) = self.sign(next) else { return true };
        if length > 1 {
            return self.goes_on_in_full_width(sign, next + length);
        }
        match sign {
            b',' | b'}' | b']' | b')' | b':' | b'=' | b'{' | b'[' | b'#' | b'`' => true,
            b'/' => matches!(self.peek(next + 1), Some(b'/' | b'*')),
            b'<' => self.mark_at(next).is_some(),
            // A missing comma.
            b'"' | b'\'' => next > at,
            _ => self.text.as_bytes()[at..next].contains(&b'\n'),
        }
    }

    /// Whether JSON goes on at `at`, behind a full-width `sign`. Labels hold quotes with full-width
    /// punctuation behind them, too: what follows has to look like JSON.
    fn goes_on_in_full_width(&self, sign: u8, at: usize) -> bool {
        let next = self.sign(self.skip_space(at)).map(|(sign, _)| sign);
        match sign {
            b',' | b':' | b'=' => {
                matches!(next, Some(b'"' | b'\'' | b'[' | b'{' | b'(' | b'-' | b'0'..=b'9'))
            }
            b']' | b'}' | b')' => matches!(next, None | Some(b',' | b']' | b'}' | b'`' | b'<')),
            _ => false,
        }
    }

    /// Whether what stands at `next`, the start of a line, shows that the string of the line before
    /// was never closed.
    fn breaks_string(&self, next: usize, quote: u8) -> bool {
        match self.peek(next) {
            Some(b'{' | b'}' | b']') => true,
            Some(b'`') => self.text[next..].starts_with("```"),
            Some(byte) if byte == quote => !self.closes_string(next),
            _ => false,
        }
    }

    /// A string without its closing quote, which ends before `end`; the brackets and commas at its
    /// end are read as such.
    fn broken_string(&mut self, from: usize, end: usize) -> Scalar {
        let mut to = end;
        while to > from
            && matches!(
                self.peek(to - 1),
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b'{' | b'}' | b'[' | b']')
            )
        {
            to -= 1;
        }
        self.at = to;
        Scalar { span: from..to, quoted: true, cut: false }
    }
}

/// Special tokens that end a string, since none can hold them.
pub(super) const ENDS_OF_STRINGS: [&str; 8] = [
    "<|channel>",
    "<channel|>",
    "<turn|>",
    "<|turn>",
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<|eot_id|>",
];

/// Whether a byte can be part of a word; every byte beyond ASCII can.
fn is_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || !b.is_ascii())
}
