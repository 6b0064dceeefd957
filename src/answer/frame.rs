//! One open bracket of an answer: its keys and values, and which boxes its label belongs to.
//!
//! In: the scalars, colons and commas between the bracket and its end. Out: labels on the boxes in
//! [`Found`], keys that held a box which was not read, and a value's meaning if it holds no box.
//! Objects and arrays are read alike, so that a `"key": value` that lost its braces still counts.
//!
//! # Whose label
//!
//! A box takes the label of its own object; of a list of labels there, the one at its own place
//! among the object's boxes. Without one it takes, of what stands around it, the first of: the key
//! that holds it, if that is a word ([`Key::Group`]); the label of an object that has no box of its
//! own (`{"label": "cat", "instances": [{"box_2d": …}]}`), but not its name, title, caption or
//! type, which may be those of the whole answer; the list of as many labels in that object
//! (`{"labels": […], "boxes": […]}`), or of those the one that a number in the box's object stands
//! for. Labels that fit none of this are left out and noted, and so is a text beside a box without
//! a label, if it is not the only one: that one is a guess.
//!
//! # Lists without the key
//!
//! Four numbers under another key than `box_2d` are a box in two places: in a list under `boxes`,
//! in an object with a label, with as many labels, or under a word; and in an object whose members
//! are words with such lists (`{"cat": [[y, x, y, x]], "dog": []}`), which is the answer itself, a
//! member of its list, or stands under a wrapper such as `detections`. A word that names a place or
//! counts something (`cat_bbox`, `areas`, `ratings`) is none. It is a guess if other members stand
//! beside these, or if the numbers are no corners in order.
//!
//! # What is left over
//!
//! Every other place is noted by its key: beside a box of the same object those that say other
//! numbers than it, save points and outlines; elsewhere all of them.

use std::collections::HashMap;
use std::mem;
use std::ops::Range;

use super::ParsedBox;
use super::key::{self, Key, Naming, SHARED_RANK};
use super::label;
use super::numbers;
use super::scan::{Bracket, Scalar};

/// The rank of a label that any other one is better than: `object_1`, `7`.
const LAST_RANK: usize = usize::MAX - 1;

/// The findings so far, of all frames.
pub(super) struct Found<'t> {
    pub(super) text: &'t str,
    pub(super) boxes: Vec<ParsedBox>,
    /// Values of `box_2d` that are not four finite numbers, and the key as it was written.
    pub(super) unreadable: Lost,
    /// Coordinates under keys that are not read, and those keys.
    pub(super) unread: Lost,
    /// Labels under keys that name none, boxes under words that may be no labels, and those keys.
    pub(super) guessed: Lost,
    /// For each box, the number that stands for its label, and the key of that number.
    pub(super) indices: HashMap<usize, (usize, Range<usize>)>,
    /// Objects that hold several answers.
    pub(super) doubtful: usize,
    /// The largest number of the boxes under a word alone, and the first of those words.
    pub(super) under_words: Option<(f64, String)>,
    pub(super) long_labels: usize,
    /// The text ends inside a string.
    pub(super) cut: bool,
    /// Boxes of drafts that another member of their object replaces.
    pub(super) drafts: Vec<Range<usize>>,
    /// Something is wrong in the current top-level value that a JSON reader might not mind.
    pub(super) repaired: bool,
}

impl<'t> Found<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            boxes: Vec::new(),
            unreadable: Lost::default(),
            unread: Lost::default(),
            guessed: Lost::default(),
            indices: HashMap::new(),
            doubtful: 0,
            under_words: None,
            long_labels: 0,
            cut: false,
            drafts: Vec::new(),
            repaired: false,
        }
    }

    /// Boxes that the text has, read or not.
    pub(super) fn met(&self) -> usize {
        self.boxes.len() + self.unreadable.count
    }

    fn give(&mut self, boxes: &[usize], label: &Label) {
        for &index in boxes {
            self.boxes[index].label = Some(label.text.clone());
            self.boxes[index].label_span = Some(label.span.clone());
        }
    }
}

/// Boxes that were not read, and the keys that held them.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    pub(super) count: usize,
    names: Vec<String>,
}

impl Lost {
    /// Counts one more, under a key that is written so.
    pub(super) fn add(&mut self, key: &str) {
        const MAX_NAMES: usize = 8;
        const MAX_NAME_LENGTH: usize = 40;
        self.count += 1;
        if self.names.len() == MAX_NAMES {
            return;
        }
        let name = key.trim_matches(|c: char| c.is_whitespace() || c == '\\' || c == '"');
        let name = &name[..name.floor_char_boundary(MAX_NAME_LENGTH)];
        let name = label::clean(name)
            .map_or_else(|| "box_2d".to_owned(), |(name, _)| name.replace(", ", " "));
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// The keys, separated by commas.
    pub(super) fn keys(&self) -> Option<String> {
        (!self.names.is_empty()).then(|| self.names.join(", "))
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

/// The meaning of a value that holds no box. Each variant outweighs the ones before it.
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
#[allow(clippy::struct_excessive_bools)] // each is about something else
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) bracket: Bracket,
    pub(super) start: usize,
    /// The key whose value is due or being read.
    pub(super) key: Option<Key>,
    /// The position of the last key, without its quotes.
    pub(super) key_span: Range<usize>,
    /// The last scalar that was no value: a key, once its colon comes.
    pub(super) candidate: Option<Scalar>,
    pub(super) value: Option<Scalar>,
    pub(super) says: Says,
    /// The key that this is the value of.
    under: Option<(Key, Range<usize>)>,
    /// Nothing but lists and wrappers stand around it.
    outermost: bool,
    /// [`Found::met`] and the number of boxes at its start.
    met_before: usize,
    boxes_before: usize,
    /// Boxes of members that are drafts, that replace drafts, and the number of members with
    /// others.
    drafts: Vec<Range<usize>>,
    finals: usize,
    others: usize,
    /// Members that are lists of boxes with labels of their own: under a wrapper, under a word, and
    /// the keys of these.
    wrapped: usize,
    worded: usize,
    list_keys: Vec<Range<usize>>,
    /// It stands in something that is about no boxes.
    aside: bool,
    /// It is a member of a list.
    in_list: bool,
    /// It is a list of the words for labels.
    legend: bool,
    /// The end of the value before its last word joined it: that word may turn out to be the next
    /// key.
    value_head: Option<usize>,
    /// The boxes that wait for a label, as indices into [`Found::boxes`].
    own: Vec<usize>,
    /// It had boxes of its own.
    had_box: bool,
    label: Option<Label>,
    /// The label came before the first box.
    label_first: bool,
    /// Labels of a list beside the boxes.
    labels: Option<LabelList>,
    /// The key of the label.
    label_key: Range<usize>,
    /// The number that stands for the label, and its key.
    index: Option<(usize, Range<usize>)>,
    /// Boxes of values inside that have no label.
    orphans: Vec<usize>,
    /// The stated confidence of the boxes that are to come.
    confidence: Option<f64>,
    /// Strings of a list.
    texts: Vec<Scalar>,
    /// A member of a list is a label without a box.
    stray_label: bool,
    /// Members of a list that may be places.
    stray_places: usize,
    only_text: OnlyText,
    lists: ListsInside,
    places: Places,
}

/// The texts of an object under keys that are no label's.
#[derive(Default)]
enum OnlyText {
    #[default]
    None,
    One {
        key: Range<usize>,
        value: Range<usize>,
    },
    /// The key of the first.
    Several(Range<usize>),
}

impl OnlyText {
    fn add(&mut self, key: Range<usize>, value: Range<usize>) {
        *self = match mem::take(self) {
            Self::None => Self::One { key, value },
            Self::One { key, .. } | Self::Several(key) => Self::Several(key),
        };
    }
}

/// A list of labels.
struct LabelList {
    key: Range<usize>,
    labels: Vec<Label>,
    /// It stands under the key of one label.
    of_one: bool,
    /// Its key says nothing of labels, or it is one text.
    guessed: bool,
}

/// Members that are lists of four numbers.
struct ListsInside {
    /// The members of a list, as long as they are numbers.
    numbers: CoordinateList,
    /// Members of a list that are such lists.
    fours: Vec<Four>,
    /// Members of an object that are lists of such lists, or one of them.
    groups: Vec<Group>,
    /// There are no other members.
    pure: bool,
}

impl Default for ListsInside {
    fn default() -> Self {
        Self {
            numbers: CoordinateList::default(),
            fours: Vec::new(),
            groups: Vec::new(),
            pure: true,
        }
    }
}

/// Coordinates that are not read.
#[derive(Default)]
struct Places {
    /// Their keys and values.
    found: Vec<[Range<usize>; 2]>,
    /// Keys and values of other members with numbers in them.
    others: Vec<[Range<usize>; 2]>,
    /// Keys and values of single coordinates, and whether there are some along y and along x.
    sides: Vec<[Range<usize>; 2]>,
    along: [bool; 2],
    /// A number stands somewhere in the value.
    numeric: bool,
}

#[derive(Clone)]
struct Label {
    rank: usize,
    /// It may be the name, the title or the type of a whole answer.
    envelope: bool,
    text: String,
    span: Range<usize>,
}

/// A list of four numbers.
struct Four {
    box_2d: [f64; 4],
    span: Range<usize>,
}

/// Such lists under one key.
struct Group {
    key: Key,
    span: Range<usize>,
    value: Range<usize>,
    fours: Vec<Four>,
}

impl Frame {
    pub(super) fn new(kind: Kind, bracket: Bracket, start: usize) -> Self {
        Self {
            kind,
            bracket,
            start,
            key: None,
            key_span: 0..0,
            candidate: None,
            value: None,
            says: Says::Empty,
            under: None,
            outermost: true,
            met_before: 0,
            boxes_before: 0,
            drafts: Vec::new(),
            finals: 0,
            others: 0,
            wrapped: 0,
            worded: 0,
            list_keys: Vec::new(),
            aside: false,
            in_list: false,
            legend: false,
            value_head: None,
            own: Vec::new(),
            had_box: false,
            label: None,
            label_first: false,
            labels: None,
            label_key: 0..0,
            index: None,
            orphans: Vec::new(),
            confidence: None,
            texts: Vec::new(),
            stray_label: false,
            stray_places: 0,
            only_text: OnlyText::None,
            lists: ListsInside::default(),
            places: Places::default(),
        }
    }

    /// Says what this value stands in: nothing, or the innermost of the frames around it and the
    /// key there.
    pub(super) fn inside(
        mut self,
        around: Option<&Self>,
        under: Option<(Key, Range<usize>)>,
        found: &Found<'_>,
    ) -> Self {
        let wrapped = match under {
            Some((key, _)) => matches!(key, Key::Wrapper | Key::Boxes | Key::Place | Key::Draft),
            None => true,
        };
        self.outermost = wrapped && around.is_none_or(|frame| frame.outermost && !frame.had_box);
        self.aside = around.is_some_and(|frame| frame.aside)
            || under.as_ref().is_some_and(|(key, span)| {
                matches!(key, Key::Aside | Key::Confidence)
                    && !key::may_hold_all(&found.text[span.clone()])
            });
        self.in_list = around.is_some_and(|frame| frame.kind == Kind::Array);
        self.legend = around.is_some_and(|frame| matches!(frame.under, Some((Key::Labels, _))));
        self.under = under;
        (self.met_before, self.boxes_before) = (found.met(), found.boxes.len());
        self
    }

    /// It has boxes of its own.
    pub(super) fn has_box(&self) -> bool {
        self.had_box
    }

    pub(super) fn raise(&mut self, says: Says) {
        self.says = self.says.max(says);
    }

    /// The key whose value begins here, if there is one.
    pub(super) fn open_key(&self) -> Option<(Key, Range<usize>)> {
        self.key.filter(|_| self.value.is_none()).map(|key| (key, self.key_span.clone()))
    }

    /// Takes a string or a word: a value if a key waits for one, else a member, or a key if a colon
    /// follows.
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
        self.places.numeric |= is_number(&found.text[scalar.span.clone()]);
        if self.kind == Kind::Array {
            self.lists.numbers.scalar(&scalar, found.text);
            let raw = &found.text[scalar.span.clone()];
            if (scalar.quoted || !is_no_word(raw)) && !scalar.cut {
                self.texts.push(scalar.clone());
                self.stray_places += usize::from(holds_boxes(raw) || numbers::in_brackets(raw));
            }
        }
        self.candidate = Some(scalar);
    }

    /// Takes the colon behind a key.
    pub(super) fn colon(&mut self, found: &mut Found<'_>) {
        let Some(first) = self.key else {
            if let Some(scalar) = self.candidate.take() {
                self.set_key(Key::of(&found.text[scalar.span.clone()]), scalar.span, found);
            }
            return;
        };
        let Some(mut value) = self.value.take() else { return };
        found.repaired = true;
        if let (Some(end), Some(word)) = (self.value_head.take(), self.candidate.take()) {
            // A missing comma between unquoted values: `label: red dog material: fur`.
            let second = Key::of(&found.text[word.span.clone()]);
            value.span.end = end;
            value.cut = false;
            self.value = Some(value);
            self.end_member(found);
            self.set_key(second, word.span, found);
            return;
        }
        let second = Key::of(&found.text[value.span.clone()]);
        if second.is_core() {
            // `"label": "text": "dog"`.
            self.set_key(first.doubled(second), value.span, found);
        } else {
            // `"label": "dog": 0.9`: the value was one, and what follows belongs to it.
            let span = value.span.clone();
            self.value = Some(value);
            self.end_member(found);
            self.set_key(Key::Aside, span, found);
        }
    }

    fn set_key(&mut self, key: Key, span: Range<usize>, found: &mut Found<'_>) {
        self.raise(Says::Scalars);
        self.key = Some(key);
        self.key_span = span;
        self.lists.pure &= self.kind != Kind::Array && key != Key::Box;
        if key == Key::Box && !self.own.is_empty() {
            // Two objects run together. If labels come last, the one that has come belongs to the
            // boxes before.
            found.repaired = true;
            if !self.label_first && self.label.is_some() {
                self.give_label(found);
            }
        }
    }

    /// Ends a member: at a comma, at the end of the frame, or at the next member if it begins
    /// without a comma.
    pub(super) fn end_member(&mut self, found: &mut Found<'_>) {
        self.lists.pure &= self.candidate.take().is_none() || self.kind == Kind::Array;
        let (Some(key), Some(value)) = (self.key.take(), self.value.take()) else { return };
        if value.cut {
            found.cut |= value.quoted;
            self.lists.pure = false;
            return;
        }
        let text = found.text;
        let raw = &text[value.span.clone()];
        let number = is_number(raw);
        self.places.numeric |= number;
        self.lists.pure &= key == Key::Aside && number;
        // Without quotes, these are no words.
        let no_word = !value.quoted && (label::is_null(raw) || label::is_boolean(raw));
        match key {
            Key::Box if !value.quoted && label::is_null(raw) => self.raise(Says::NoBox),
            Key::Box => {
                found.unreadable.add(&text[self.key_span.clone()]);
                self.raise(Says::Something);
            }
            Key::Label { .. } if no_word => {}
            Key::Label { rank, core } if core || value.quoted || !number => {
                if number {
                    self.set_index(raw);
                }
                self.set_label(rank, raw, &value, found);
                if value.quoted && (holds_boxes(raw) || numbers::in_brackets(raw)) {
                    self.add_place(value.span);
                }
            }
            Key::Index | Key::Label { .. } if number => self.set_index(raw),
            Key::Labels if value.quoted => self.set_labels(&value, found),
            Key::Confidence => self.set_confidence(label::confidence(raw), found),
            Key::Side { x } if number => {
                self.places.sides.push([self.key_span.clone(), value.span]);
                self.places.along[usize::from(x)] = true;
            }
            Key::Place | Key::Boxes if value.quoted && holds_numbers(raw) => {
                self.add_place(value.span);
            }
            // `"removed": true`.
            Key::Draft if raw.eq_ignore_ascii_case("true") && self.had_box => {
                found.unread.add(&text[self.key_span.clone()]);
            }
            Key::Draft => {}
            _ if value.quoted && (holds_boxes(raw) || numbers::in_brackets(raw)) => {
                self.add_place(value.span);
            }
            Key::Group | Key::Wrapper if value.quoted && numbers::holds_fours(raw) => {
                self.add_place(value.span);
            }
            Key::Group | Key::Wrapper | Key::Index | Key::Aside
                if value.quoted
                    && key::could_name(&text[self.key_span.clone()])
                    && is_short(raw) =>
            {
                self.only_text.add(self.key_span.clone(), value.span);
            }
            _ => {}
        }
    }

    /// Keeps a place under the last key.
    fn add_place(&mut self, value: Range<usize>) {
        self.places.found.push([self.key_span.clone(), value]);
    }

    fn set_index(&mut self, raw: &str) {
        if let (None, Ok(index)) = (&self.index, raw.parse()) {
            self.index = Some((index, self.key_span.clone()));
        }
    }

    /// Takes labels that are one text: `"cat, dog"`.
    fn set_labels(&mut self, value: &Scalar, found: &mut Found<'_>) {
        let raw = &found.text[value.span.clone()];
        let mut labels = Vec::new();
        let mut start = value.span.start;
        for part in raw.split([',', ';', '、', '，', '|', '/']) {
            let inner = start + part.len() - part.trim_start().len();
            labels.extend(Label::of(found.text, inner..inner + part.trim().len()));
            start += part.len();
            start += found.text[start..].chars().next().map_or(0, char::len_utf8);
        }
        if labels.len() > 1 {
            self.labels = Some(LabelList {
                key: self.key_span.clone(),
                labels,
                of_one: false,
                guessed: true,
            });
        } else {
            self.set_label(usize::MAX, raw, value, found);
        }
    }

    /// A confidence belongs to the boxes before it that have none; if there are none, to the next
    /// ones.
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
        // Backslashes and quotes around an unquoted word are what is left of a string that was
        // escaped twice.
        let edge = |c: char| c.is_whitespace() || (!value.quoted && matches!(c, '\\' | '"' | '\''));
        let inner = raw.trim_start_matches(edge);
        let start = value.span.end - inner.len();
        let mut inner = inner.trim_end_matches(edge);
        if self.kind == Kind::Loose && !value.quoted {
            // The sentence's full stop.
            inner = inner.trim_end_matches('.');
        }
        let Some((text, long)) = label::clean(inner) else { return };
        // A file is no thing, and `{"type": "box_2d"}` says what the object is made for.
        if key::is_file_name(&text) || (key::is_weak(rank) && key::is_form(&text)) {
            return;
        }
        found.long_labels += usize::from(long);
        let envelope = key::is_envelope(rank);
        let rank = if key::is_no_label(&text) { rank.max(LAST_RANK) } else { rank };
        let known = self.label.as_ref().map(|label| label.rank);
        if known.is_none_or(|known| rank <= known) {
            self.label_key = self.key_span.clone();
        }
        self.take_label(Label { rank, envelope, text, span: start..start + inner.len() }, found);
    }

    fn take_label(&mut self, label: Label, found: &mut Found<'_>) {
        match &self.label {
            Some(known)
                if known.rank < label.rank
                    || (known.rank == label.rank && label.rank >= SHARED_RANK) =>
            {
                return;
            }
            // Two objects run together, labels first.
            Some(known) if known.rank == label.rank && !self.own.is_empty() => {
                found.repaired = true;
                self.give_label(found);
            }
            _ => {}
        }
        self.label = Some(label);
    }

    /// Takes a box that has just been read.
    pub(super) fn add_box(&mut self, index: usize, found: &mut Found<'_>) {
        found.boxes[index].confidence = self.confidence;
        if self.own.is_empty() {
            self.label_first = self.label.is_some();
        }
        self.own.push(index);
        self.had_box = true;
        self.raise(Says::Something);
    }

    /// Gives the label to the boxes that wait for it; without one they wait for that of a frame
    /// around.
    fn give_label(&mut self, found: &mut Found<'_>) {
        match self.label.take() {
            Some(label) => {
                found.give(&self.own, &label);
                self.own.clear();
            }
            None => append(&mut self.orphans, mem::take(&mut self.own)),
        }
    }

    /// Ends the frame at `end` and tells what it says to the frame around it. `closed` says that
    /// its own bracket did.
    pub(super) fn finish(
        mut self,
        around: Option<&mut Self>,
        closed: bool,
        end: usize,
        found: &mut Found<'_>,
    ) -> Says {
        self.end_member(found);
        let named = self.label.is_some();
        self.read_groups(found);
        self.read_sides(found);
        self.count_unread(found);
        self.guess_label(found);
        self.settle_drafts(found);
        self.keep_index(found);
        self.pair_own(found);
        let label = self.label.clone();
        if self.had_box
            && self.is_envelope()
            && self.group(found.text).is_some_and(|(_, guess)| !guess)
        {
            // `{"cat": {"box_2d": …, "type": "tabby"}}`.
            found.guessed.add(&found.text[self.label_key.clone()]);
        }
        self.give_label(found);
        self.label_orphans(label.as_ref(), found);
        let in_array = around.as_ref().is_some_and(|frame| frame.kind == Kind::Array);
        let nothing = match self.says {
            Says::Empty | Says::NoBox => true,
            // `{"detections": []}` says nothing, `{"name": "dog", "tags": []}` and an object in a
            // list do.
            Says::NothingInside => self.kind == Kind::Array || !(named || in_array),
            Says::Scalars | Says::Something => false,
        };
        let says = if nothing { Says::NothingInside } else { Says::Something };
        if let Some(frame) = around {
            frame.raise(says);
            frame.take_child(self, label, closed, end, found);
        }
        says
    }

    /// Makes boxes of the lists of four numbers that are some.
    fn read_groups(&mut self, found: &mut Found<'_>) {
        let own = self.own_numbers(found);
        let labelled = self.label.is_some() || self.had_box;
        let named = self.label.is_some() || matches!(self.under, Some((Key::Group, _)));
        for Group { key, span, value, fours } in mem::take(&mut self.lists.groups) {
            let written = &found.text[span.clone()];
            let named =
                named || self.labels.as_ref().is_some_and(|list| list.labels.len() == fours.len());
            let same = !own.is_empty() && numbers::say_the_same(&found.text[value.clone()], &own);
            let noun = match key::naming(written) {
                Naming::Label(label) if !key::is_no_noun(written) => Some(label),
                _ => None,
            };
            if key == Key::Boxes && named && !same {
                // More boxes beside one, or of what may be the whole answer's title, are a guess.
                if !own.is_empty() || (self.is_envelope() && self.label.is_some()) {
                    found.guessed.add(written);
                }
                for four in fours {
                    let index = found.boxes.len();
                    found.boxes.push(four.into_box(None));
                    self.add_box(index, found);
                }
            } else if let (Some(noun), true) =
                (noun, self.outermost && !labelled && key == Key::Group)
            {
                let in_order =
                    fours.iter().all(|Four { box_2d: [y0, x0, y1, x1], .. }| y0 <= y1 && x0 <= x1);
                // Under `bounds` the numbers may follow another convention.
                let of_place = matches!(self.under, Some((Key::Place, _)));
                if !self.lists.pure || !in_order || of_place {
                    found.guessed.add(written);
                }
                let largest = fours.iter().flat_map(|four| four.box_2d).fold(0.0, f64::max);
                let (known, _) =
                    found.under_words.get_or_insert_with(|| (largest, written.to_owned()));
                *known = known.max(largest);
                let label = Label::of(found.text, span.start + noun.start..span.start + noun.end);
                found.boxes.extend(fours.into_iter().map(|four| four.into_box(label.as_ref())));
                self.raise(Says::Something);
            } else if !self.aside && !key::counts(written) {
                self.places.found.push([span, value]);
            }
        }
    }

    /// The numbers of the boxes that stand in this object itself.
    fn own_numbers(&self, found: &Found<'_>) -> Vec<[f64; 4]> {
        const ENOUGH: usize = 16;
        self.own.iter().take(ENOUGH).map(|index| found.boxes[*index].box_2d).collect()
    }

    /// Whether the label may be the name or the title of a whole answer.
    fn is_envelope(&self) -> bool {
        self.kind == Kind::Object
            && !self.in_list
            && self.label.as_ref().is_some_and(|label| label.envelope)
    }

    /// Takes the only text beside a box for its label, if it is short and its key says nothing
    /// else. Of several, none is.
    fn guess_label(&mut self, found: &mut Found<'_>) {
        let texts = mem::take(&mut self.only_text);
        if self.own.is_empty() || self.label.is_some() || self.labels.is_some() {
            return;
        }
        match texts {
            OnlyText::None => {}
            OnlyText::One { key, value } => {
                let text = &found.text[value.clone()];
                if key::is_file_name(text) {
                    return;
                }
                self.label = Label::of(found.text, value);
                if self.label.is_some() {
                    found.guessed.add(&found.text[key]);
                }
            }
            OnlyText::Several(key) => found.unread.add(&found.text[key]),
        }
    }

    /// Drops the boxes of drafts that others replace. Several drafts alone are several answers, and
    /// so are boxes beside those that replace drafts.
    fn settle_drafts(&mut self, found: &mut Found<'_>) {
        let drafts = self.drafts.len();
        let drafted: usize = self.drafts.iter().map(Range::len).sum();
        let more = found.boxes.len() - self.boxes_before > drafted;
        if more {
            found.drafts.append(&mut self.drafts);
        }
        let both = self.finals > 0 && (self.others > 0 || self.had_box);
        let lists = (self.wrapped > 0 && self.worded > 0) || self.lists_are_numbered(found.text);
        found.doubtful += usize::from(both || lists || self.finals > 1 || (drafts > 1 && !more));
    }

    /// Whether two lists of boxes stand under one word with a number: `v1`, `v2`.
    fn lists_are_numbered(&self, text: &str) -> bool {
        const ENOUGH: usize = 8;
        let stem = |span: &Range<usize>| label::stem(&text[span.clone()]).to_owned();
        let stems: Vec<String> = self.list_keys.iter().take(ENOUGH).map(stem).collect();
        stems
            .iter()
            .enumerate()
            .any(|(index, stem)| !stem.is_empty() && stems[..index].contains(stem))
    }

    /// Keeps the number that stands for the label of the own boxes.
    fn keep_index(&mut self, found: &mut Found<'_>) {
        if let Some(index) = self.index.take() {
            let own = self.own.iter().map(|own| (*own, index.clone()));
            found.indices.extend(own);
        }
    }

    /// Gives a list of labels to the own boxes, one each.
    fn pair_own(&mut self, found: &mut Found<'_>) {
        if self.own.is_empty() {
            return;
        }
        let boxes = self.own.len();
        if boxes > 1
            && self.label.as_ref().is_some_and(|label| label.text.contains([',', ';', '、', '，']))
        {
            found.guessed.add(&found.text[self.label_key.clone()]);
        }
        let Some(list) = self.labels.take() else { return };
        let key = &found.text[list.key.clone()];
        let pairs = list.labels.len() == boxes;
        if self.label.is_some() && (boxes > 1 || !pairs) {
            // Several boxes, and both a label and a list of labels.
            let both = boxes > 1 && list.labels.len() > 1;
            both.then(|| found.guessed.add(key));
            return;
        }
        if self.label.is_some() {
            return;
        }
        if pairs {
            list.guessed.then(|| found.guessed.add(key));
            for (index, label) in mem::take(&mut self.own).into_iter().zip(&list.labels) {
                found.give(&[index], label);
            }
        } else if let (Some(first), true) =
            (list.labels.first(), !list.guessed && (boxes == 1 || list.labels.len() == 1))
        {
            // `"label": ["dog", "animal"]` of one box; one label of several boxes is not said of
            // each.
            (boxes > 1).then(|| found.guessed.add(key));
            self.label = Some(first.clone());
        } else {
            found.unread.add(key);
        }
    }

    /// Reads a box whose numbers stand each under its name: `{"ymin": 100, "xmin": 200, "ymax":
    /// 300, "xmax": 400}`, in the object itself or under `box_2d`.
    fn read_sides(&mut self, found: &mut Found<'_>) {
        let text = found.text;
        let other_place =
            matches!(self.under, Some((Key::Place, _))) || !self.places.found.is_empty();
        if self.had_box || other_place || self.places.sides.len() != 4 {
            return;
        }
        let sides = &self.places.sides;
        let names = sides.iter().map(|[key, _]| &text[key.clone()]).collect::<Vec<_>>();
        let Some(order) = key::order_of_sides(&names) else { return };
        let numbers: Option<Vec<f64>> =
            order.iter().map(|&side| text[sides[side][1].clone()].parse().ok()).collect();
        let Some(&[ymin, xmin, ymax, xmax]) = numbers.as_deref() else { return };
        let box_2d = [ymin, xmin, ymax, xmax];
        if box_2d.iter().any(|number| !number.is_finite()) {
            return;
        }
        let coordinates = sides[0][1].start..sides[3][1].end;
        let index = found.boxes.len();
        found.boxes.push(ParsedBox {
            box_2d,
            label: None,
            coordinates,
            named: true,
            label_span: None,
            confidence: None,
        });
        self.places = Places { numeric: self.places.numeric, ..Places::default() };
        self.add_box(index, found);
    }

    /// Counts coordinates that are not read.
    fn count_unread(&mut self, found: &mut Found<'_>) {
        let boxes_inside = found.met() > self.met_before;
        if self.kind == Kind::Array {
            let lists = !self.lists.pure && !self.lists.fours.is_empty();
            if boxes_inside && (lists || self.stray_places > 0) {
                found.unread.add("list without a key");
            }
        }
        let mut places = mem::take(&mut self.places.found);
        if self.had_box {
            // More of the box itself, or a second one.
            let own = self.own_numbers(found);
            let is_second = |[key, value]: &[Range<usize>; 2]| {
                let (key, value) = (&found.text[key.clone()], &found.text[value.clone()]);
                !key::is_shape(key)
                    && numbers::count(value, 4) >= 4
                    && !numbers::say_the_same(value, &own)
            };
            places.retain(is_second);
            let sides = &self.places.sides;
            if sides.len() > 2
                && !sides
                    .iter()
                    .all(|side| numbers::say_the_same(&found.text[side[1].clone()], &own))
            {
                self.add_sides(found);
            }
        } else {
            // Numbers beside a label are its position.
            let other = mem::take(&mut self.places.others);
            if self.label.is_some() && !boxes_inside {
                places.extend(other);
            }
            let counted = matches!(self.under, Some((Key::Box | Key::Place, _)));
            if self.places.along == [true; 2] && !counted {
                self.add_sides(found);
            }
        }
        for [key, _] in places {
            found.unread.add(&found.text[key]);
        }
    }

    fn add_sides(&self, found: &mut Found<'_>) {
        let names: Vec<&str> =
            self.places.sides.iter().take(4).map(|[key, _]| &found.text[key.clone()]).collect();
        found.unread.add(&names.join("/"));
    }

    /// Gives labels to the boxes inside that have none.
    fn label_orphans(&mut self, label: Option<&Label>, found: &mut Found<'_>) {
        self.resolve_indices(found);
        self.orphans.retain(|index| found.boxes[*index].label.is_none());
        if self.orphans.is_empty() {
            return;
        }
        let list = self.labels.take();
        let key = list.as_ref().map(|list| list.key.clone());
        let guessed = list.as_ref().is_some_and(|list| list.guessed);
        if let Some(list) = list.filter(|list| list.labels.len() == self.orphans.len()) {
            guessed.then(|| found.guessed.add(&found.text[list.key.clone()]));
            self.orphans.sort_unstable();
            for (index, label) in self.orphans.iter().zip(&list.labels) {
                found.give(&[*index], label);
            }
        } else if let Some(label) = label.filter(|label| {
            let of_one = self.in_list && key::is_name_of_thing(label.rank, &label.text);
            !self.had_box && (self.legend || !label.envelope || of_one)
        }) {
            found.give(&self.orphans, label);
        } else if let Some((label, guess)) = self.group(found.text) {
            if let (true, Some((_, span))) = (guess, &self.under) {
                found.guessed.add(&found.text[span.clone()]);
            }
            found.give(&self.orphans, &label);
        } else {
            // Drop the strings that could have been their labels.
            let unpaired = if let Some(key) = key {
                Some(found.text[key].to_owned())
            } else if label.is_some() && !self.had_box {
                Some(found.text[self.label_key.clone()].to_owned())
            } else {
                (self.kind == Kind::Array && (self.stray_label || !self.texts.is_empty()))
                    .then(|| "label".to_owned())
            };
            if let Some(key) = unpaired {
                found.unread.add(&key);
            }
            return;
        }
        self.orphans.clear();
    }

    /// Gives the boxes inside the labels that their numbers stand for, if it is clear whether the
    /// numbers count from 0 or 1.
    fn resolve_indices(&mut self, found: &mut Found<'_>) {
        if found.indices.is_empty() {
            return;
        }
        let Some(list) = self.labels.take_if(|list| !list.of_one) else { return };
        let inside: Vec<usize> = (self.boxes_before..found.boxes.len())
            .filter(|index| found.indices.contains_key(index))
            .collect();
        if inside.is_empty() {
            self.labels = Some(list);
            return;
        }
        let numbers: Vec<usize> = inside.iter().map(|index| found.indices[index].0).collect();
        let count = list.labels.len();
        let first = match (numbers.contains(&0), numbers.contains(&count)) {
            (true, false) if numbers.iter().all(|number| *number < count) => Some(0),
            (false, true) if numbers.iter().all(|number| *number <= count) => Some(1),
            _ => None,
        };
        for (index, number) in inside.into_iter().zip(numbers) {
            let label = first.and_then(|first| list.labels.get(number - first));
            found.indices.remove(&index);
            match label {
                Some(label) if !list.guessed => found.give(&[index], label),
                _ => {
                    (found.boxes[index].label, found.boxes[index].label_span) = (None, None);
                    found.unread.add(&found.text[list.key.clone()]);
                }
            }
        }
    }

    /// The label that the key around is, and whether that is a guess.
    fn group(&self, text: &str) -> Option<(Label, bool)> {
        let (_, span) = self.under.as_ref()?;
        let at =
            |part: Range<usize>| Label::of(text, span.start + part.start..span.start + part.end);
        match key::naming(&text[span.clone()]) {
            Naming::Label(part) => at(part).map(|label| (label, false)),
            Naming::Guess(part) => at(part).map(|label| (label, true)),
            Naming::Nothing => None,
        }
    }

    /// Takes over what a value inside leaves: boxes without a label, a label, lists of numbers.
    fn take_child(
        &mut self,
        mut child: Self,
        label: Option<Label>,
        closed: bool,
        end: usize,
        found: &mut Found<'_>,
    ) {
        let boxes_inside = found.met() > child.met_before;
        let value = child.start..end;
        if let (true, Kind::Object, Some((key, span))) = (boxes_inside, self.kind, &child.under) {
            let boxes = child.boxes_before..found.boxes.len();
            let written = &found.text[span.clone()];
            match key {
                Key::Draft => {
                    found.doubtful += usize::from(boxes.len() > 1 && key::holds_several(written));
                    self.drafts.push(boxes);
                }
                _ if key::is_final(written) => self.finals += 1,
                _ => self.others += 1,
            }
            // A list whose boxes have labels needs no word around it: the word may say that they
            // are no answer.
            let first = &found.boxes[child.boxes_before..].first();
            let labelled = first.is_some_and(|one| {
                one.label_span.as_ref().is_some_and(|span| span.start > child.start)
            });
            if child.kind == Kind::Array && labelled {
                self.wrapped += usize::from(*key == Key::Wrapper);
                self.worded += usize::from(*key == Key::Group);
                self.list_keys.push(span.clone());
            }
        }
        append(&mut self.orphans, mem::take(&mut child.orphans));
        self.places.numeric |= child.places.numeric;
        if self.kind == Kind::Array && !boxes_inside && child.under.is_none() {
            self.stray_label |= label.is_some();
            let listed = child.kind == Kind::Array && !child.texts.is_empty();
            let numbers = listed && numbers::count(&found.text[value.clone()], 4) >= 4;
            self.stray_places += usize::from(numbers);
        }
        let texts = |child: &Self, of_one: bool, guessed: bool| {
            let labels = child
                .texts
                .iter()
                .filter_map(|text| Label::of(found.text, text.span.clone()))
                .collect();
            let key = child.under.as_ref().map_or(0..0, |(_, span)| span.clone());
            LabelList { key, labels, of_one, guessed }
        };
        match child.under {
            Some((Key::Box, ref span)) if child.kind == Kind::Object && !boxes_inside => {
                found.unreadable.add(&found.text[span.clone()]);
            }
            Some((Key::Label { rank, .. }, _)) if !boxes_inside => match child.texts.as_slice() {
                [] => {
                    if let Some(label) = label {
                        self.take_label(
                            Label { rank, envelope: key::is_envelope(rank), ..label },
                            found,
                        );
                    }
                }
                [text] => self.set_label(rank, &found.text[text.span.clone()], text, found),
                _ => self.labels = Some(texts(&child, true, false)),
            },
            Some((Key::Labels, _)) if !boxes_inside => {
                if !child.texts.is_empty() && self.labels.is_none() {
                    self.labels = Some(texts(&child, false, false));
                } else if self.labels.is_none() {
                    // `{"categories": [{"id": 1, "name": "cat"}]}`.
                    self.labels = Some(LabelList { guessed: true, ..texts(&child, false, true) });
                }
            }
            Some((Key::Legend, _)) if !boxes_inside && self.labels.is_none() => {
                self.labels = Some(LabelList { labels: Vec::new(), ..texts(&child, false, true) });
            }
            Some((Key::Group | Key::Wrapper, ref span))
                if !boxes_inside
                    && self.labels.is_none()
                    && child.texts.len() > 1
                    && child.kind == Kind::Array
                    && key::could_name(&found.text[span.clone()]) =>
            {
                self.labels = Some(texts(&child, false, true));
            }
            Some((Key::Group, ref span)) if child.places.numeric && !boxes_inside => {
                self.places.others.push([span.clone(), value.clone()]);
            }
            Some((Key::Place, ref span)) if child.places.numeric && !boxes_inside => {
                self.places.found.push([span.clone(), value.clone()]);
            }
            _ => {}
        }
        let under = child.under.take();
        if boxes_inside && matches!(under, Some((Key::Group, _))) {
            return;
        }
        let fours = match (child.into_fours(closed), &under) {
            (Lists::None, _) => return,
            (Lists::One(four), None) if self.kind == Kind::Array => {
                self.lists.fours.push(four);
                return;
            }
            (Lists::One(four), Some(_)) => vec![four],
            (Lists::Many(fours), Some(_)) => fours,
            _ => Vec::new(),
        };
        match under {
            Some((key @ (Key::Group | Key::Boxes), span)) if !fours.is_empty() => {
                // Decided once all members are known.
                self.places.others.retain(|[known, _]| *known != span);
                self.lists.groups.push(Group { key, span, value, fours });
            }
            _ => self.lists.pure = false,
        }
    }

    /// The coordinates, if it is a list of four numbers, or of such lists.
    fn into_fours(self, closed: bool) -> Lists {
        match (self.kind, self.lists.fours.is_empty()) {
            (Kind::Array, true) if self.says == Says::Empty => Lists::None,
            (Kind::Array, true) if self.lists.pure => match self.lists.numbers.finish() {
                Coordinates::Box { box_2d, span } if closed => Lists::One(Four { box_2d, span }),
                // Cut off: what came before it counts.
                _ if !closed => Lists::None,
                _ => Lists::Other,
            },
            (Kind::Array, false) if self.lists.pure && self.lists.numbers.takes_lists() => {
                Lists::Many(self.lists.fours)
            }
            _ => Lists::Other,
        }
    }
}

/// The kind of a value as a member.
enum Lists {
    /// An empty list.
    None,
    One(Four),
    Many(Vec<Four>),
    /// Something else.
    Other,
}

impl Four {
    fn into_box(self, label: Option<&Label>) -> ParsedBox {
        ParsedBox {
            box_2d: self.box_2d,
            label: label.map(|label| label.text.clone()),
            coordinates: self.span,
            named: false,
            label_span: label.map(|label| label.span.clone()),
            confidence: None,
        }
    }
}

impl Label {
    fn of(text: &str, span: Range<usize>) -> Option<Self> {
        label::clean(&text[span.clone()]).map(|(text, _)| Self {
            rank: 0,
            envelope: false,
            text,
            span,
        })
    }
}

/// Joins two lists, the shorter one into the longer.
fn append(into: &mut Vec<usize>, mut other: Vec<usize>) {
    if into.len() < other.len() {
        mem::swap(into, &mut other);
    }
    into.append(&mut other);
}

/// Whether a text could be a label: a few words.
fn is_short(raw: &str) -> bool {
    const MAX_WORDS: usize = 5;
    raw.contains(char::is_alphabetic) && raw.split_whitespace().count() <= MAX_WORDS
}

/// Whether something without quotes is no label in a list.
fn is_no_word(raw: &str) -> bool {
    label::is_null(raw) || label::is_boolean(raw) || is_number(raw)
}

fn is_number(raw: &str) -> bool {
    let raw = raw.trim();
    raw.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && raw.parse::<f64>().is_ok()
}

/// Whether a string has two numbers or more in it: `"12, 34, 56, 78"`, `"x=0.4, y=0.8"`.
fn holds_numbers(raw: &str) -> bool {
    let numbers =
        raw.split(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|part| is_number(part));
    numbers.take(2).count() == 2
}

/// Whether a string has a box in it: an answer inside an answer, `{\"box_2d\": [`.
fn holds_boxes(raw: &str) -> bool {
    raw.match_indices("2d").chain(raw.match_indices("2D")).any(|(at, found)| {
        let (before, behind) = (&raw[..at + found.len()], &raw[at + found.len()..]);
        let word = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .map_or(0, |start| start + 1);
        let colon = behind.trim_start_matches(['"', '\'', '\\', ' ']).strip_prefix(':');
        let list = colon.is_some_and(|value| value.trim_start().starts_with('['));
        list && before.get(word..).is_some_and(|word| Key::of(word) == Key::Box)
    })
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

/// The kind of a list of coordinates.
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
        let number =
            inner.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        let number =
            if number { inner.parse().ok().filter(|value: &f64| value.is_finite()) } else { None };
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

    /// A list that holds something else than coordinates.
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
