//! Boxes that are listed line by line, without braces: YAML, and lists of prose.
//!
//! In: the text from the start of a line on. Out: the boxes of the entries on its lines, and the
//! end of the last one. Promises: every line is read once; without a `box_2d` in it, or a list of
//! four numbers under a word, nothing is taken for a listing.
//!
//! ```text
//! - box_2d: [100, 200, 300, 400]        cat:                       1. label: cat, box_2d: [100, 200, 300, 400]
//!   label: cat                            - [100, 200, 300, 400]   2. **dog**: `box_2d: [500, 100, 900, 300]`
//! - label: dog                          dog:
//!   box_2d:                               - box_2d: [500, 100, 900, 300]
//!     - 500
//!     - 100
//! ```
//!
//! A mark (`-`, `*`, `1.`) begins an item, indentation says what it belongs to, and a label is that
//! of its item, or of the item or the word around it.

use std::ops::Range;

use super::ParsedBox;
use super::entry::{after_mark, key_of};
use super::frame::{CoordinateList, Coordinates};
use super::key::Key;
use super::label;
use super::marks;
use super::scan::{Scalar, ascii_of};

/// The longest list of coordinates, in bytes.
const MAX_LIST: usize = 400;

/// The boxes of the lines.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The end of the listing.
    pub(super) end: usize,
    pub(super) boxes: Vec<ParsedBox>,
    /// The keys of values of `box_2d` that are not four numbers.
    pub(super) unreadable: Vec<Range<usize>>,
    /// The keys of coordinates that are not read.
    pub(super) unread: Vec<Range<usize>>,
    /// The text ends within a list of coordinates.
    pub(super) cut: bool,
}

impl Listing {
    /// Whether no line was about a box.
    pub(super) fn is_empty(&self) -> bool {
        self.boxes.is_empty() && self.unreadable.is_empty() && self.unread.is_empty() && !self.cut
    }
}

/// Reads the entries from `at` on. `whole` says that the text was not cut off.
pub(super) fn read(text: &str, at: usize, whole: bool) -> Listing {
    let mut reader = Reader {
        text,
        whole,
        levels: Vec::new(),
        numbers: None,
        useful: None,
        listing: Listing::default(),
    };
    let mut line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    loop {
        let end = line_end(text, line);
        match reader.line(line, end) {
            Line::Taken if end < text.len() => line = end + 1,
            Line::Taken => {
                line = end;
                break;
            }
            Line::TakenTo(end) => {
                line = end;
                break;
            }
            Line::Other => break,
        }
    }
    reader.end_numbers(line == text.len());
    reader.close(i64::MIN, i64::MIN);
    // Lines behind the last entry are prose.
    let end = if reader.listing.is_empty() { line } else { reader.useful.unwrap_or(line) };
    reader.listing.end = text.ceil_char_boundary(end.max(at + 1).min(text.len()));
    reader.listing
}

/// The result of reading a line.
enum Line {
    Taken,
    /// Up to a mark in it: the listing ends there.
    TakenTo(usize),
    Other,
}

/// An item, or a word over items.
#[derive(Default)]
struct Level {
    /// Twice the columns before it; one less for numbered items, whose entries need not be
    /// indented.
    indent: i64,
    /// The word that holds the items.
    group: Option<Range<usize>>,
    label: Option<Label>,
    /// Its boxes that have no label yet.
    own: Vec<usize>,
    /// Boxes of items inside without a label.
    orphans: Vec<usize>,
    had_box: bool,
    /// There are single coordinates along y, and along x; and they are noted.
    sides: [bool; 2],
    has_sides: bool,
    /// The label came before the first box.
    label_first: bool,
    confidence: Option<f64>,
}

#[derive(Clone)]
struct Label {
    rank: usize,
    text: String,
    span: Range<usize>,
}

/// Numbers that stand on lines of their own, or lists of them.
struct Numbers {
    key: Range<usize>,
    /// The key is that of a place of another convention.
    unread: bool,
    /// Lists of them were read.
    lists: bool,
    list: CoordinateList,
    count: usize,
    /// The text ends behind the last of them.
    at_end: bool,
}

impl Numbers {
    fn of(key: Range<usize>, unread: bool) -> Self {
        Self { key, unread, lists: false, list: CoordinateList::default(), count: 0, at_end: false }
    }
}

struct Reader<'t> {
    text: &'t str,
    whole: bool,
    levels: Vec<Level>,
    numbers: Option<Numbers>,
    /// The end of the last entry that says something of a box.
    useful: Option<usize>,
    listing: Listing,
}

impl Reader<'_> {
    fn line(&mut self, start: usize, end: usize) -> Line {
        let line = &self.text[start..end];
        // JSON is read as such; a special token or a fence ends the lines.
        if line.contains('{') || line.contains("[\"") {
            return Line::Other;
        }
        let stop = line.match_indices(['<', '`']).map(|(at, _)| at).find(|at| {
            line[*at..].starts_with("```")
                || (line[*at..].starts_with('<') && marks::at(self.text, start + at).is_some())
        });
        let (line, taken) = match stop {
            Some(stop) if line[..stop].trim().is_empty() => return Line::Other,
            Some(stop) => (&line[..stop], Line::TakenTo(start + stop)),
            None => (line, Line::Taken),
        };
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.bytes().all(|b| b == b'-') {
            return taken;
        }
        let indent = 2 * (line.len() - line.trim_start().len()) as i64;
        let (mark, content) = after_mark(line.trim_start());
        let at = start + line.trim_end().len() - content.trim_end().len();
        let end = start + line.trim_end().len();
        if self.is_comment(at) {
            // Not an entry, and no entry follows.
            self.useful = self.useful.max(self.useful.map(|_| end));
            return taken;
        }
        if mark.is_some() && (self.number(at, end) || self.due_list(at)) {
            return taken;
        }
        self.end_numbers(false);
        if content.starts_with(['[', '(', '［', '（']) {
            return if mark.is_some() && self.bare_list(indent, at) { taken } else { Line::Other };
        }
        let Some((key, value)) = key_of(self.text, at) else { return Line::Other };
        if value > end {
            return Line::Other;
        }
        if let Some(mark) = mark {
            self.close(indent - 1, indent + 1);
            let numbered = i64::from(mark.starts_with(|c: char| c.is_ascii_digit()));
            self.levels.push(Level { indent: indent - numbered, ..Level::default() });
        } else {
            self.close(indent, indent);
            if self.levels.is_empty() {
                self.levels.push(Level { indent: i64::MIN + 1, ..Level::default() });
            }
        }
        self.entries(indent, key, value..end);
        taken
    }

    /// Takes the entry of `key`, and those behind it on the line.
    fn entries(&mut self, indent: i64, mut key: Range<usize>, mut value: Range<usize>) {
        loop {
            value.start += leading(&self.text[value.clone()]);
            let end = match Key::of(&self.text[key.clone()]) {
                Key::Box => self.box_value(&key, value.clone()),
                kind => self.other_value(indent, kind, &key, value.clone()),
            };
            let rest = &self.text[end..value.end];
            let skipped = rest.len()
                - rest.trim_start_matches([' ', '\t', ',', ';', '|', '`', '*', '，', '、']).len();
            match key_of(self.text, end + skipped).filter(|(_, behind)| *behind <= value.end) {
                Some((next, behind)) if end + skipped < value.end => {
                    (key, value.start) = (next, behind);
                }
                _ => return,
            }
        }
    }

    /// Takes the value of `box_2d`, and gives its end.
    fn box_value(&mut self, key: &Range<usize>, value: Range<usize>) -> usize {
        let written = self.text[value.clone()].trim_matches(['`', '*', '"', '\'', ' ']);
        if written.is_empty() {
            self.numbers = Some(Numbers::of(key.clone(), false));
            return value.end;
        }
        if label::is_null(written) {
            return value.end;
        }
        let open = value.start
            + self.text[value.clone()].find(|c: char| !"`*\"' ".contains(c)).unwrap_or(0);
        let List { fours, readable, end } = list(self.text, open);
        self.begin_box();
        for (box_2d, span) in fours {
            self.add_box(box_2d, span);
        }
        let cut = end.is_none()
            && value.end == self.text.trim_end().len()
            && written.starts_with(['[', '(']);
        self.listing.cut |= cut;
        let read = readable && end.is_some();
        if !(cut || read) {
            self.listing.unreadable.push(key.clone());
        }
        end.unwrap_or(value.end).min(value.end)
    }

    /// Takes any other value, and gives its end.
    fn other_value(
        &mut self,
        indent: i64,
        kind: Key,
        key: &Range<usize>,
        value: Range<usize>,
    ) -> usize {
        let written = &self.text[value.clone()];
        match kind {
            _ if written.is_empty() => {
                match kind {
                    Key::Group => self.levels.push(Level {
                        indent,
                        group: Some(key.clone()),
                        ..Level::default()
                    }),
                    Key::Place | Key::Boxes => self.numbers = Some(Numbers::of(key.clone(), true)),
                    _ => {}
                }
                value.end
            }
            Key::Side { x } => {
                self.add_side(x, key, written.parse::<f64>().is_ok());
                self.end_of_text(value)
            }
            Key::Label { rank, .. } => {
                let end = self.end_of_text(value.clone());
                let cut = end == self.text.len() && !self.whole;
                let text = &self.text[value.start..end];
                // A comment of YAML.
                let text = text.find(" #").map_or(text, |comment| &text[..comment]);
                let text = text.trim_end_matches([',', ';', '.', ' ']);
                let edge = ['"', '\'', '`', '*', ' ', '“', '”', '「', '」', '\\'];
                let inner = text.trim_matches(edge);
                let start = value.start + text.len() - text.trim_start_matches(edge).len();
                let no_label = label::is_null(inner) || label::is_boolean(inner);
                if let Some((text, _)) = label::clean(inner).filter(|_| !cut && !no_label) {
                    self.set_label(Label { rank, text, span: start..start + inner.len() });
                }
                end
            }
            Key::Confidence => {
                let end = self.end_of_text(value.clone());
                let confidence = label::confidence(
                    self.text[value.start..end].trim_end_matches([',', ';', ' ']),
                );
                self.set_confidence(confidence);
                end
            }
            Key::Place if written.starts_with(['[', '(']) => {
                self.listing.unread.push(key.clone());
                list(self.text, value.start).end.unwrap_or(value.end).min(value.end)
            }
            // `cat: box_2d: […]`.
            Key::Group => {
                if key_of(self.text, value.start)
                    .is_some_and(|(inner, _)| Key::of(&self.text[inner]) == Key::Box)
                    && let Some((text, _)) = label::clean(&self.text[key.clone()])
                {
                    self.set_label(Label { rank: usize::MAX, text, span: key.clone() });
                    return value.start;
                }
                self.end_of_text(value)
            }
            _ => self.end_of_text(value),
        }
    }

    /// Keeps one coordinate of an item. Of two sides, the item has a place that is not read.
    fn add_side(&mut self, x: bool, key: &Range<usize>, is_number: bool) {
        let Some(level) = self.levels.last_mut().filter(|_| is_number) else { return };
        let known = level.sides != [false; 2];
        level.sides[usize::from(x)] = true;
        let both = level.sides == [true; 2];
        if known && both && !std::mem::replace(&mut level.has_sides, true) && !level.had_box {
            self.listing.unread.push(key.clone());
        }
    }

    /// The end of a text: of its line, or before a comma and the next entry.
    fn end_of_text(&self, value: Range<usize>) -> usize {
        let text = &self.text[value.clone()];
        let mut ends =
            text.match_indices([',', '，', ';', '|', ' ']).map(|(at, sign)| (at, at + sign.len()));
        let next = ends.find(|(start, behind)| {
            let (before, rest) = (&text[*start..*behind], &text[*behind..]);
            // Behind a space alone only the box is sure to be the next entry.
            let spaced = before == " ";
            if spaced && rest.starts_with(' ') {
                return false;
            }
            let at = value.start + behind + rest.len() - rest.trim_start().len();
            let known = |(key, _): (Range<usize>, usize)| match Key::of(&self.text[key]) {
                Key::Box => true,
                Key::Label { .. } | Key::Confidence => !spaced,
                _ => false,
            };
            key_of(self.text, at).is_some_and(known)
        });
        value.start + next.map_or(text.len(), |(at, _)| at)
    }

    /// Takes a line with nothing but a number, if numbers are due.
    fn number(&mut self, start: usize, end: usize) -> bool {
        let Some(numbers) = &mut self.numbers else { return false };
        let end = start + self.text[start..end].trim_end_matches([',', ' ']).len();
        if self.text[start..end].parse::<f64>().is_err() {
            return false;
        }
        numbers.list.scalar(&Scalar { span: start..end, quoted: false, cut: false }, self.text);
        numbers.count += 1;
        numbers.at_end = end == self.text.len();
        true
    }

    /// Whether an entry stands behind a mark of comments.
    fn is_comment(&self, at: usize) -> bool {
        let line = &self.text[at..line_end(self.text, at)];
        let Some(rest) = line.strip_prefix('#') else { return false };
        let (mark, content) = after_mark(rest.trim_start());
        let key = key_of(self.text, at + line.len() - content.len());
        let known = key.map(|(key, _)| Key::of(&self.text[key]));
        known.is_some_and(|key| matches!(key, Key::Box | Key::Label { .. }) || mark.is_some())
    }

    /// Takes `- [100, 200, 300, 400]` below `box_2d:`, whose value is due.
    fn due_list(&mut self, at: usize) -> bool {
        let due = self.numbers.as_ref().is_some_and(|numbers| numbers.count == 0);
        if !due || !self.text[at..].starts_with(['[', '(', '［', '（']) {
            return false;
        }
        let List { fours, readable, end } = list(self.text, at);
        if !readable || end.is_none() {
            return false;
        }
        let Some(numbers) = &mut self.numbers else { return false };
        numbers.lists = true;
        if !numbers.unread {
            self.begin_box();
            for (box_2d, span) in fours {
                self.add_box(box_2d, span);
            }
        }
        true
    }

    /// Ends numbers on lines of their own. At the end of the text, fewer than four were cut off.
    fn end_numbers(&mut self, text_ends: bool) {
        let Some(Numbers { key, unread, lists, list, count, at_end }) = self.numbers.take() else {
            return;
        };
        if unread {
            if lists || count > 1 {
                self.listing.unread.push(key);
            }
            return;
        }
        if lists {
            return;
        }
        if text_ends && (count < 4 || (at_end && !self.whole)) {
            self.listing.cut = true;
            return;
        }
        match list.finish() {
            Coordinates::Box { box_2d, span } => {
                self.begin_box();
                self.add_box(box_2d, span);
            }
            Coordinates::Nothing => {}
            Coordinates::Lists | Coordinates::Unreadable => self.listing.unreadable.push(key),
        }
    }

    /// Takes `- [100, 200, 300, 400]` under `box_2d:` or a word.
    fn bare_list(&mut self, indent: i64, at: usize) -> bool {
        // Behind another item of the word.
        let around = |level: &&Level| {
            level.indent < indent || (level.indent == indent && level.group.is_some())
        };
        let under = self.levels.iter().rev().find(around);
        if under.is_none_or(|level| level.group.is_none()) {
            return false;
        }
        let List { fours, readable, end } = list(self.text, at);
        if !readable || end.is_none() {
            return false;
        }
        self.close(indent - 1, indent + 1);
        self.levels.push(Level { indent, ..Level::default() });
        for (box_2d, span) in fours {
            self.add_box(box_2d, span);
        }
        true
    }

    /// A box follows: if the item has one, and its label came behind it, this is the next item.
    fn begin_box(&mut self) {
        let Some(level) = self.levels.last_mut() else { return };
        if !level.own.is_empty() && !level.label_first && level.label.is_some() {
            let label = level.label.take();
            let own = std::mem::take(&mut level.own);
            give(&mut self.listing.boxes, &own, label.as_ref());
        }
    }

    fn add_box(&mut self, box_2d: [f64; 4], coordinates: Range<usize>) {
        self.useful = self.useful.max(Some(self.bracket_behind(coordinates.end)));
        let Some(level) = self.levels.last_mut() else { return };
        if level.own.is_empty() {
            level.label_first = level.label.is_some();
        }
        level.own.push(self.listing.boxes.len());
        level.had_box = true;
        let confidence = level.confidence;
        self.listing.boxes.push(ParsedBox {
            box_2d,
            label: None,
            coordinates,
            named: false,
            label_span: None,
            confidence,
        });
    }

    /// Behind the brackets and quotes that close a list whose last number ends at `at`.
    fn bracket_behind(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        let closes = |c: char| matches!(c, ' ' | '"' | '\'' | '`' | ',' | ']' | ')' | '］' | '）');
        at + rest.len() - rest.trim_start_matches(closes).len()
    }

    fn set_label(&mut self, label: Label) {
        if !self.listing.boxes.is_empty() {
            self.useful = self.useful.max(Some(label.span.end));
        }
        let Some(level) = self.levels.last_mut() else { return };
        match &level.label {
            Some(known) if known.rank < label.rank => return,
            // The next item begins with its label.
            Some(known) if known.rank == label.rank && !level.own.is_empty() => {
                let known = known.clone();
                let own = std::mem::take(&mut level.own);
                give(&mut self.listing.boxes, &own, Some(&known));
            }
            _ => {}
        }
        level.label = Some(label);
    }

    fn set_confidence(&mut self, confidence: Option<f64>) {
        let Some(level) = self.levels.last_mut() else { return };
        for index in &level.own {
            let known = &mut self.listing.boxes[*index].confidence;
            *known = known.or(confidence);
        }
        if level.own.is_empty() {
            level.confidence = confidence;
        }
    }

    /// Ends the items that are indented by `items` or more, and the words over items that are by
    /// `words`.
    fn close(&mut self, items: i64, words: i64) {
        let ends =
            |level: &mut Level| level.indent >= if level.group.is_some() { words } else { items };
        while let Some(level) = self.levels.pop_if(ends) {
            let Level { group, label, own, mut orphans, had_box, .. } = level;
            if label.is_some() {
                give(&mut self.listing.boxes, &own, label.as_ref());
            } else {
                orphans.extend(own);
            }
            let around = match group {
                Some(span) => label::clean(&self.text[span.clone()]).map(|(text, _)| Label {
                    rank: 0,
                    text,
                    span,
                }),
                None => label.filter(|_| !had_box),
            };
            match (around, self.levels.last_mut()) {
                (Some(label), _) => give(&mut self.listing.boxes, &orphans, Some(&label)),
                (None, Some(outer)) => outer.orphans.extend(orphans),
                (None, None) => {}
            }
        }
    }
}

fn give(boxes: &mut [ParsedBox], indices: &[usize], label: Option<&Label>) {
    for &index in indices {
        boxes[index].label = label.map(|label| label.text.clone());
        boxes[index].label_span = label.map(|label| label.span.clone());
    }
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end)
}

/// Bytes before a value: white space and the marks around code.
fn leading(value: &str) -> usize {
    value.len() - value.trim_start_matches([' ', '\t', '`', '*']).len()
}

struct List {
    fours: Vec<([f64; 4], Range<usize>)>,
    /// There is nothing else in it.
    readable: bool,
    /// The position behind its bracket; `None` if that is missing.
    end: Option<usize>,
}

/// Reads a list of four numbers, or of such lists, at `at`.
fn list(text: &str, at: usize) -> List {
    let near = &text[at..text.floor_char_boundary(at + MAX_LIST)];
    let mut lists = Vec::new();
    let mut read = List { fours: Vec::new(), readable: true, end: None };
    let mut number: Option<usize> = None;
    for (place, c) in near.char_indices() {
        let sign = if c.is_ascii() { c as u8 } else { ascii_of(c).unwrap_or(b'x') };
        let ends_number = matches!(sign, b'[' | b'(' | b']' | b')' | b',' | b'"' | b'\'')
            || sign.is_ascii_whitespace();
        if let (true, Some(start)) = (ends_number, number) {
            let scalar = Scalar { span: at + start..at + place, quoted: false, cut: false };
            if let Some(list) = lists.last_mut() {
                CoordinateList::scalar(list, &scalar, text);
            }
            number = None;
        }
        match sign {
            b'[' | b'(' => lists.push(CoordinateList::default()),
            b']' | b')' => {
                let Some(list) = lists.pop() else { break };
                match list.finish() {
                    Coordinates::Box { box_2d, span }
                        if lists.last().is_none_or(CoordinateList::takes_lists) =>
                    {
                        read.fours.push((box_2d, span));
                    }
                    Coordinates::Nothing if lists.is_empty() => {}
                    Coordinates::Box { .. } | Coordinates::Nothing | Coordinates::Unreadable => {
                        read.readable = false;
                    }
                    Coordinates::Lists => {}
                }
                if let Some(outer) = lists.last_mut() {
                    read.readable &= outer.takes_lists();
                } else {
                    read.end = Some(at + place + c.len_utf8());
                    break;
                }
            }
            _ if ends_number => {}
            _ if lists.is_empty() => break,
            _ => number = number.or(Some(place)),
        }
    }
    read
}
