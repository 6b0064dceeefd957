//! One open bracket of an answer: its keys and values, and which boxes its label belongs to.
//!
//! In: the scalars, colons and commas between the bracket and its end. Out: labels on the boxes in [`Found`], and
//! what the value says where it holds no box. Objects and arrays are read alike, so that a `"key": value` that lost
//! its braces still counts.

use std::ops::Range;

use super::ParsedBox;
use super::label::{self, Key};
use super::scan::{Bracket, Scalar};

/// What was found so far, for all frames.
pub(super) struct Found<'t> {
    pub(super) text: &'t str,
    pub(super) boxes: Vec<ParsedBox>,
    /// Values of `box_2d` that are not four finite numbers.
    pub(super) unreadable: usize,
    pub(super) long_labels: usize,
    /// The text ends inside a string.
    pub(super) cut: bool,
    /// Something is wrong in the current top-level value that a JSON reader might not mind.
    pub(super) repaired: bool,
}

impl<'t> Found<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, boxes: Vec::new(), unreadable: 0, long_labels: 0, cut: false, repaired: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    /// `box_2d: […]` in prose, and the label right behind it.
    Loose,
    /// The value of `box_2d`.
    Coordinates,
    /// A list in the value of `box_2d`.
    InnerCoordinates,
}

impl Kind {
    pub(super) fn is_coordinates(self) -> bool {
        matches!(self, Self::Coordinates | Self::InnerCoordinates)
    }
}

/// What a value says where it holds no box. Each outweighs the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// It is empty.
    Empty,
    /// It has members that are no containers.
    Scalars,
    /// A member says nothing: `"detections": []`.
    NothingInside,
    /// `"box_2d": null` or `"box_2d": []`.
    NoBox,
    /// Something else.
    Something,
}

/// An open bracket.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) bracket: Bracket,
    pub(super) start: usize,
    /// The key whose value is due or being read.
    pub(super) key: Option<Key>,
    /// The last scalar that was no value: a key, once its colon comes.
    pub(super) candidate: Option<Scalar>,
    pub(super) value: Option<Scalar>,
    pub(super) says: Says,
    /// Where the value ended before its last word joined it: that word may turn out to be the next key.
    value_head: Option<usize>,
    /// The boxes that wait for a label, as indices into [`Found::boxes`].
    own: Vec<usize>,
    label: Option<Label>,
    /// The label came before the first box.
    label_first: bool,
    /// The stated confidence of the boxes that are to come.
    confidence: Option<f64>,
}

struct Label {
    rank: usize,
    text: String,
    span: Range<usize>,
}

impl Frame {
    pub(super) fn new(kind: Kind, bracket: Bracket, start: usize) -> Self {
        Self {
            kind,
            bracket,
            start,
            key: None,
            candidate: None,
            value: None,
            says: Says::Empty,
            value_head: None,
            own: Vec::new(),
            label: None,
            label_first: false,
            confidence: None,
        }
    }

    pub(super) fn raise(&mut self, says: Says) {
        self.says = self.says.max(says);
    }

    /// Takes a string or a word: a value where a key waits for one, else a member or a key to be.
    pub(super) fn scalar(&mut self, scalar: Scalar, found: &mut Found<'_>) {
        if self.key.is_some() {
            match &mut self.value {
                None => {
                    self.value = Some(scalar);
                    self.value_head = None;
                    return;
                }
                // Unquoted text of several words, which ends with its line.
                Some(value)
                    if !value.quoted
                        && !scalar.quoted
                        && !found.text[value.span.end..scalar.span.start].contains('\n') =>
                {
                    self.value_head = Some(value.span.end);
                    value.span.end = scalar.span.end;
                    value.cut = scalar.cut;
                    // The last word alone, should it be a key.
                    self.candidate = Some(scalar);
                    return;
                }
                // A missing comma.
                Some(_) => self.end_member(found),
            }
        }
        self.raise(if self.kind == Kind::Array { Says::Something } else { Says::Scalars });
        self.candidate = Some(scalar);
    }

    /// Takes the colon behind a key.
    pub(super) fn colon(&mut self, found: &mut Found<'_>) {
        let Some(first) = self.key else {
            if let Some(scalar) = self.candidate.take() {
                self.set_key(Key::of(&found.text[scalar.span]), found);
            }
            return;
        };
        let Some(mut value) = self.value.take() else { return };
        found.repaired = true;
        if let (Some(end), Some(word)) = (self.value_head.take(), self.candidate.take()) {
            // A missing comma between unquoted values: `label: red dog material: fur`.
            let second = Key::of(&found.text[word.span]);
            value.span.end = end;
            value.cut = false;
            self.value = Some(value);
            self.end_member(found);
            self.set_key(second, found);
            return;
        }
        let second = Key::of(&found.text[value.span.clone()]);
        if second == Key::Other {
            // `"label": "dog": 0.9`: the value was one, and what follows belongs to it.
            self.value = Some(value);
            self.end_member(found);
            self.set_key(second, found);
        } else {
            // `"label": "text": "dog"`.
            self.set_key(first.doubled(second), found);
        }
    }

    fn set_key(&mut self, key: Key, found: &mut Found<'_>) {
        self.raise(Says::Scalars);
        self.key = Some(key);
        if key == Key::Box && !self.own.is_empty() {
            // Two objects run together. If labels come last, the one that has come belongs to the boxes before.
            found.repaired = true;
            if !self.label_first && self.label.is_some() {
                self.give_label(found);
            }
        }
    }

    /// Ends a member: at a comma, at the end of the frame, or where the next member begins without a comma.
    pub(super) fn end_member(&mut self, found: &mut Found<'_>) {
        self.candidate = None;
        let (Some(key), Some(value)) = (self.key.take(), self.value.take()) else { return };
        if value.cut {
            found.cut |= value.quoted;
            return;
        }
        let text = found.text;
        let raw = &text[value.span.clone()];
        match key {
            Key::Box if !value.quoted && label::is_null(raw) => self.raise(Says::NoBox),
            Key::Box => {
                found.unreadable += 1;
                self.raise(Says::Something);
            }
            Key::Label(_) if !value.quoted && (label::is_null(raw) || label::is_boolean(raw)) => {}
            Key::Label(rank) => self.set_label(rank, raw, &value, found),
            Key::Confidence => self.set_confidence(label::confidence(raw), found),
            Key::Other => {}
        }
    }

    /// A confidence belongs to the boxes before it that have none; if there are none, to those that come.
    fn set_confidence(&mut self, confidence: Option<f64>, found: &mut Found<'_>) {
        let mut given = false;
        for &index in &self.own {
            let known = &mut found.boxes[index].confidence;
            given |= known.is_none();
            *known = known.or(confidence);
        }
        if !given {
            self.confidence = confidence;
        }
    }

    fn set_label(&mut self, rank: usize, raw: &str, value: &Scalar, found: &mut Found<'_>) {
        if self.label.as_ref().is_some_and(|label| label.rank < rank) {
            return;
        }
        // Backslashes and quotes around an unquoted word are what is left of a string that was escaped twice.
        let edge = |c: char| c.is_whitespace() || (!value.quoted && matches!(c, '\\' | '"' | '\''));
        let inner = raw.trim_start_matches(edge);
        let start = value.span.end - inner.len();
        let inner = inner.trim_end_matches(edge);
        let Some((text, long)) = label::clean(inner) else { return };
        found.long_labels += usize::from(long);
        if self.label.as_ref().is_some_and(|label| label.rank == rank) && !self.own.is_empty() {
            // Two objects run together, labels first.
            found.repaired = true;
            self.give_label(found);
        }
        self.label = Some(Label { rank, text, span: start..start + inner.len() });
    }

    /// Takes a box that has just been read.
    pub(super) fn add_box(&mut self, index: usize, found: &mut Found<'_>) {
        found.boxes[index].confidence = self.confidence;
        if self.own.is_empty() {
            self.label_first = self.label.is_some();
        }
        self.own.push(index);
        self.raise(Says::Something);
    }

    fn give_label(&mut self, found: &mut Found<'_>) {
        let label = self.label.take();
        for index in self.own.drain(..) {
            found.boxes[index].label = label.as_ref().map(|label| label.text.clone());
            found.boxes[index].label_span = label.as_ref().map(|label| label.span.clone());
        }
    }

    /// Ends the frame and tells what it says to the frame around it.
    pub(super) fn finish(mut self, around: Option<&mut Self>, found: &mut Found<'_>) -> Says {
        self.end_member(found);
        let named = self.label.is_some();
        self.give_label(found);
        let in_array = around.as_ref().is_some_and(|frame| frame.kind == Kind::Array);
        let nothing = match self.says {
            Says::Empty | Says::NoBox => true,
            // `{"detections": []}` says nothing, `{"name": "dog", "tags": []}` and an object in a list do.
            Says::NothingInside => self.kind == Kind::Array || !(named || in_array),
            Says::Scalars | Says::Something => false,
        };
        let says = if nothing { Says::NothingInside } else { Says::Something };
        if let Some(frame) = around {
            frame.raise(says);
        }
        says
    }
}

/// A list of coordinates while it is read.
#[derive(Default)]
pub(super) struct CoordinateList {
    values: [f64; 4],
    count: usize,
    span: Range<usize>,
    /// Something else than a number was in it.
    spoilt: bool,
    /// It held lists, which are boxes themselves.
    nested: bool,
}

/// What a list of coordinates turned out to be.
pub(super) enum Coordinates {
    Box { box_2d: [f64; 4], span: Range<usize> },
    Nothing,
    Lists,
    Unreadable,
}

impl CoordinateList {
    /// Takes a member: a number, or a string with a number in it.
    pub(super) fn scalar(&mut self, scalar: &Scalar, text: &str) {
        let raw = &text[scalar.span.clone()];
        let inner = raw.trim_start();
        let start = scalar.span.end - inner.len();
        let inner = inner.trim_end();
        let number = inner.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        let number = if number { inner.parse().ok().filter(|value: &f64| value.is_finite()) } else { None };
        match number {
            Some(value) if !self.nested => {
                if let Some(place) = self.values.get_mut(self.count) {
                    *place = value;
                }
                if self.count == 0 {
                    self.span.start = start;
                }
                self.span.end = start + inner.len();
                self.count += 1;
            }
            _ => self.spoilt = true,
        }
    }

    pub(super) fn spoil(&mut self) {
        self.spoilt = true;
    }

    /// Whether a list that begins now could be a box of its own.
    pub(super) fn takes_lists(&self) -> bool {
        self.count == 0 && !self.spoilt
    }

    /// The list around a list that was a box of its own.
    pub(super) fn of_lists() -> Self {
        Self { nested: true, ..Self::default() }
    }

    /// A list in which something else than coordinates stands.
    pub(super) fn spoilt() -> Self {
        Self { spoilt: true, ..Self::default() }
    }

    pub(super) fn finish(self) -> Coordinates {
        match self.count {
            _ if self.spoilt => Coordinates::Unreadable,
            4 => Coordinates::Box { box_2d: self.values, span: self.span },
            0 if self.nested => Coordinates::Lists,
            0 => Coordinates::Nothing,
            _ => Coordinates::Unreadable,
        }
    }
}
