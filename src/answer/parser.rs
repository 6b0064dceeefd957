//! Builds the boxes of an answer from its tokens, and decides its status.
//!
//! In: the text and how its generation ended. Out: [`ParsedAnswer`]. Promises: one pass over the
//! tokens with a stack of bounded depth. What the JSON means is decided here; whether it is
//! well-formed is asked of `serde_json`.

use std::collections::HashSet;
use std::iter;
use std::mem;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::frame::{CoordinateList, Coordinates, Found, Frame, Kind, Lost, Says};
use super::key::Key;
use super::listing;
use super::marks::{self, END_OF_FOLDED, Mark};
use super::numbers;
use super::parts::{self, Block, Form};
use super::phrases::{self, Behind};
use super::scan::{Bracket, Scalar, Scanner, Token};
use super::turns::{self, Role};
use super::{ParsedAnswer, ParsedBox};
use crate::record::{AnswerStatus, Ended, Note, NoteKind};

/// The deepest nesting that is followed; answers nest three or four deep.
pub(super) const MAX_DEPTH: usize = 256;

/// Reads an answer's boxes. See [the module](super) for what counts as a box and for the status.
pub fn parse(text: &str, ended: Ended) -> ParsedAnswer {
    let mut parser = Parser::new(text, ended);
    parser.read();
    parser.finish()
}

/// The bytes looked at while parsing.
#[cfg(test)]
pub(super) fn steps(text: &str) -> usize {
    let mut parser = Parser::new(text, Ended::Unknown);
    parser.read();
    parser.scan.steps() + parser.checked
}

struct Parser<'t> {
    scan: Scanner<'t>,
    ended: Ended,
    /// The open brackets; empty in prose.
    stack: Vec<Frame>,
    /// How many of each bracket are open.
    open: [usize; 3],
    /// The innermost list of coordinates.
    list: CoordinateList,
    found: Found<'t>,
    /// A mark said that what follows is the answer.
    in_answer: bool,
    /// The findings before the current top-level value.
    before: Before,
    /// The values that could be the answer.
    blocks: Vec<Block>,
    /// The start of the words before the next of them.
    lead: usize,
    /// A thought stands behind the last of them.
    behind_thought: bool,
    /// Words between blocks and thoughts.
    passages: Vec<Range<usize>>,
    /// The end of the answer.
    end: usize,
    /// Tags and special tokens that are not known.
    unknown: Lost,
    seen: Seen,
    /// Bytes given to `serde_json`.
    #[cfg(test)]
    checked: usize,
}

/// The contents of the text, apart from its boxes.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // each is about something else
struct Seen {
    prose: bool,
    thoughts: usize,
    open_thought: bool,
    /// The start of the thought whose marks are gone.
    unmarked_thought: Option<usize>,
    tool_calls: usize,
    unclosed_fences: usize,
    empty_fences: usize,
    repairs: usize,
    /// Times that `box_2d` stood in prose.
    loose: usize,
    /// Top-level values that say "nothing".
    nothings: usize,
    /// Top-level values that say something else than boxes.
    others: usize,
    /// The text ends inside a value.
    unfinished: bool,
    /// Words stand behind the last value.
    behind: bool,
    /// The last value is one object with a box of its own, as a line of several is.
    last_is_item: bool,
    taken_back: TakenBack,
    fence: Fence,
    last: Last,
}

/// The contents of the text beside its last answer.
#[derive(Default)]
struct TakenBack {
    /// Boxes of parts that are not the answer.
    dropped: usize,
    /// Parts that may or may not be one answer: no words say so.
    doubtful: usize,
    /// Whether the end of a thought without marks was guessed.
    guessed_thought: bool,
    /// Words behind the boxes take something back, or say that something is missing.
    doubted: bool,
}

/// The findings before a value.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    boxes: usize,
    /// Boxes that were not read.
    lost: usize,
}

#[derive(Default, PartialEq)]
enum Fence {
    #[default]
    Closed,
    OpenEmpty,
    Open,
}

/// The last thing in prose.
#[derive(Default, PartialEq)]
enum Last {
    #[default]
    Prose,
    Value,
    /// A comma behind a value.
    Comma,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, ended: Ended) -> Self {
        Self {
            scan: Scanner::new(text),
            ended,
            stack: Vec::new(),
            open: [0; 3],
            list: CoordinateList::default(),
            found: Found::new(text),
            in_answer: false,
            before: Before::default(),
            blocks: Vec::new(),
            lead: 0,
            behind_thought: false,
            passages: Vec::new(),
            end: text.len(),
            unknown: Lost::default(),
            seen: Seen::default(),
            #[cfg(test)]
            checked: 0,
        }
    }

    /// Reads the text to its end, or to the end of the model's turn.
    fn read(&mut self) {
        self.skip_unmarked_thought();
        let mut started = false;
        loop {
            let token = if self.stack.is_empty() {
                self.scan.next_in_prose()
            } else {
                self.scan.next_in_value()
            };
            started |= !matches!(token, Token::Mark(_));
            match token {
                Token::End => break,
                Token::Mark(Mark::TurnEnd) if started && self.goes_on_in_another_message() => {}
                Token::Mark(Mark::TurnEnd) if started => {
                    self.end_turn();
                    break;
                }
                // A token that is not known, right behind the answer, ends it.
                Token::Mark(Mark::Unknown) if self.stack.is_empty() && self.has_answered() => {
                    let start = self.scan.start();
                    if phrases::has_words(&self.found.text[self.scan.end()..]) {
                        self.unknown
                            .add(self.found.text[start..self.scan.end()].trim_matches(['<', '>']));
                    }
                    self.end_turn();
                    break;
                }
                // Before its answer the model's own turn begins.
                Token::Mark(Mark::TurnStart) if self.has_answered() => {
                    self.end_turn();
                    break;
                }
                Token::Mark(mark) => self.mark(mark),
                Token::Fence => self.fence(),
                // A server that drops special tokens leaves the role of the next turn.
                Token::Text if self.has_answered() => {
                    match turns::role(self.found.text, self.scan.start(), self.lead) {
                        Some(Role::Other) => {
                            self.end_turn();
                            break;
                        }
                        Some(Role::Model) => self.answer_anew(self.scan.end()),
                        None => self.prose(),
                    }
                }
                Token::Text => self.prose(),
                Token::Entry => self.listing(),
                Token::LooseBoxKey => self.open_loose(),
                Token::Open(bracket) => self.open(bracket),
                Token::Close(bracket) => self.close(bracket),
                Token::Comma => self.comma(),
                Token::Colon => self.colon(),
                Token::Scalar(scalar) => self.scalar(scalar),
            }
        }
        self.close_at_end();
    }

    /// Harmony's messages are parts of one turn: behind another one the answer is given anew.
    fn goes_on_in_another_message(&mut self) -> bool {
        const NEXT: &str = "<|start|>assistant";
        let rest = &self.found.text[self.scan.end()..];
        let next = rest.trim_start();
        let goes_on = self.stack.is_empty() && next.starts_with(NEXT);
        if goes_on {
            self.answer_anew(self.scan.end() + rest.len() - next.len() + NEXT.len());
        }
        goes_on
    }

    /// Continues at `from`, where another answer of the same turn begins.
    fn answer_anew(&mut self, from: usize) {
        self.leave_passage(self.scan.start());
        self.scan.move_to(from);
        self.begin_behind_thought();
    }

    /// Keeps the words up to `end`; others begin there.
    fn leave_passage(&mut self, end: usize) {
        if self.lead < end {
            self.passages.push(self.lead..end);
        }
    }

    /// A turn that is over was not cut off by the limit of tokens.
    fn end_turn(&mut self) {
        self.end = self.scan.start();
        if self.ended == Ended::TokenLimit {
            self.ended = Ended::StopToken;
        }
    }

    fn has_answered(&self) -> bool {
        !self.stack.is_empty()
            || self.boxes_met() + self.seen.nothings + self.seen.others + self.seen.loose > 0
    }

    /// A server that drops special tokens leaves the words between them:
    /// `analysis…assistantfinal…`, or a first line `thought`, without a sign where the thought ends
    /// and the answer begins.
    fn skip_unmarked_thought(&mut self) {
        const FINAL: &str = "assistantfinal";
        let mut text =
            self.found.text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        // Behind the mark of the turn, if that was left.
        while let (true, Some((Mark::TurnStart | Mark::Other, end))) =
            (text.starts_with('<'), marks::at(text, 0))
        {
            text = text[end..].trim_start();
        }
        let skipped = self.found.text.len() - text.len();
        // The role of the turn may be left, too.
        let role = ["model\n", "assistant\n"]
            .into_iter()
            .find(|role| text.starts_with(role))
            .unwrap_or_default();
        let line = &text[role.len()..];
        let first_line = line
            .find('\n')
            .filter(|end| marks::names_thought(&line[..*end]))
            .map(|end| role.len() + end);
        if let Some(end) = text.starts_with("analysis").then(|| text.rfind(FINAL)).flatten() {
            self.scan.move_to(skipped + end + FINAL.len());
            self.lead = self.scan.end();
            self.seen.thoughts += 1;
        } else if let Some(end) = first_line {
            self.scan.move_to(skipped + end);
            self.seen.unmarked_thought = Some(skipped + end);
        }
    }

    fn mark(&mut self, mark: Mark) {
        match mark {
            Mark::Thought => self.skip_thought(false),
            Mark::Folded => {
                self.leave_passage(self.scan.start());
                self.seen.thoughts += 1;
                self.seen.open_thought = !self.scan.skip_past(END_OF_FOLDED);
                self.begin_behind_thought();
            }
            Mark::Channel => {
                // Harmony has a bar on both sides, and messages in its channels.
                let message = self.found.text[..self.scan.end()].ends_with("|>");
                if marks::names_answer(self.scan.skip_channel_name()) {
                    self.forget(self.has_answered() || self.seen.prose);
                    self.in_answer = true;
                } else {
                    self.skip_thought(message);
                }
            }
            // Answers before a thought are dropped with a note.
            Mark::Answer if !self.in_answer && self.behind_thought => self.in_answer = true,
            Mark::Answer if !self.in_answer => {
                self.forget(self.has_answered() || self.seen.prose);
                self.in_answer = true;
            }
            // The end of the channel that the answer stands in.
            Mark::ThoughtEnd if self.in_answer => {}
            // Its start was part of the prompt: all that was read so far was thought.
            Mark::ThoughtEnd => self.forget(true),
            Mark::ToolCall => self.seen.tool_calls += 1,
            Mark::Answer
            | Mark::TurnEnd
            | Mark::TurnStart
            | Mark::Quote
            | Mark::Unknown
            | Mark::Other => {}
        }
    }

    /// Leaves a thought out that begins here.
    fn skip_thought(&mut self, message: bool) {
        if self.stack.is_empty() {
            self.leave_passage(self.scan.start());
        }
        self.seen.thoughts += 1;
        self.seen.open_thought = !self.scan.skip_thought(message);
        self.begin_behind_thought();
    }

    /// Begins the words behind a thought.
    fn begin_behind_thought(&mut self) {
        if self.stack.is_empty() {
            self.lead = self.scan.end();
            self.behind_thought = !self.blocks.is_empty();
        }
    }

    /// Forgets all that was read so far, which was thought if there was any.
    fn forget(&mut self, thought: bool) {
        self.stack.clear();
        self.open = [0; 3];
        self.found = Found::new(self.found.text);
        self.blocks.clear();
        self.passages.clear();
        self.behind_thought = false;
        self.lead = self.scan.end();
        let thoughts = self.seen.thoughts + usize::from(thought);
        self.seen = Seen { thoughts, ..Seen::default() };
    }

    fn prose(&mut self) {
        self.seen.prose = true;
        self.seen.last = Last::Prose;
        self.content();
    }

    fn content(&mut self) {
        if self.seen.fence == Fence::OpenEmpty {
            self.seen.fence = Fence::Open;
        }
    }

    /// A fence is the end of any value around it: the model closed the block and forgot a bracket.
    fn fence(&mut self) {
        self.give_up(self.scan.start());
        self.seen.last = Last::Prose;
        let fresh = if self.seen.fence == Fence::Closed {
            if marks::names_thought(self.scan.skip_language()) {
                self.seen.thoughts += 1;
                self.seen.open_thought = !self.scan.skip_past("```");
                self.begin_behind_thought();
                return;
            }
            true
        } else {
            // Only an opening fence names a language, so the one before was never closed.
            let fresh = self.scan.skip_language().starts_with("json");
            self.seen.unclosed_fences += usize::from(fresh);
            fresh
        };
        self.seen.empty_fences += usize::from(!fresh && self.seen.fence == Fence::OpenEmpty);
        self.seen.fence = if fresh { Fence::OpenEmpty } else { Fence::Closed };
    }

    /// Takes boxes that are listed line by line.
    fn listing(&mut self) {
        let (text, start) = (self.found.text, self.scan.start());
        let whole = self.ended != Ended::TokenLimit;
        let listing = listing::read(text, start, whole);
        self.scan.no_entries_before(listing.end);
        if listing.is_empty() {
            return;
        }
        self.content();
        self.begin_value();
        self.found.boxes.extend(listing.boxes);
        listing.unreadable.into_iter().for_each(|key| self.found.unreadable.add(&text[key]));
        listing.unread.into_iter().for_each(|key| self.found.unread.add(&text[key]));
        self.seen.unfinished |= listing.cut;
        self.seen.last = Last::Prose;
        self.seen.loose += 1;
        self.end_block(start..listing.end, Form::Loose, !listing.cut);
        self.scan.move_to(listing.end);
    }

    fn open_loose(&mut self) {
        self.content();
        self.begin_value();
        let mut frame = Frame::new(Kind::Loose, Bracket::Round, self.scan.start());
        frame.key = Some(Key::Box);
        self.stack.push(frame);
    }

    fn open(&mut self, bracket: Bracket) {
        let at = self.scan.start();
        if self.stack.len() >= MAX_DEPTH {
            // No answer: give the values around up, and go on as if this were prose.
            self.give_up(at);
        }
        if self.stack.last().is_some_and(|frame| frame.kind == Kind::Loose && frame.key.is_none()) {
            self.close_top(at, true);
            if bracket == Bracket::Round || !self.scan.opens_value(at) {
                return;
            }
        }
        let list = bracket != Bracket::Curly;
        let mut under = None;
        let kind = match self.stack.last_mut() {
            None => {
                self.content();
                self.seen.repairs += usize::from(self.seen.last == Last::Comma);
                self.begin_value();
                self.found.repaired = false;
                None
            }
            Some(frame) if frame.kind == Kind::Coordinates && list && self.list.takes_lists() => {
                Some(Kind::InnerCoordinates)
            }
            Some(frame) if frame.kind.is_coordinates() => {
                self.list.spoil();
                None
            }
            Some(frame) => {
                // A colon may be missing, but only in an object: a list of strings and lists is
                // something else.
                let candidate = frame.candidate.take().map(|scalar| scalar.span);
                let key = candidate.clone().map(|span| Key::of(&self.found.text[span]));
                let missing =
                    frame.kind == Kind::Object && frame.key.is_none() && key == Some(Key::Box);
                let due = frame.key == Some(Key::Box) && frame.value.is_none();
                under = frame.open_key();
                if let (true, Some(span)) = (missing, candidate) {
                    frame.key_span = span;
                }
                frame.end_member(&mut self.found);
                frame.key = None;
                (list && (due || missing)).then_some(Kind::Coordinates)
            }
        };
        let kind = kind.unwrap_or(if list { Kind::Array } else { Kind::Object });
        if kind.is_coordinates() {
            self.list = CoordinateList::default();
        }
        self.open[bracket as usize] += 1;
        let frame = Frame::new(kind, bracket, at).inside(self.stack.last(), under, &self.found);
        self.stack.push(frame);
    }

    fn close(&mut self, bracket: Bracket) {
        let end = self.scan.end();
        let Some(top) = self.stack.last() else {
            // Behind a value this is the end of a list whose start is missing; elsewhere it is
            // punctuation.
            self.seen.repairs += usize::from(self.seen.last != Last::Prose);
            return;
        };
        if top.kind == Kind::Loose {
            self.close_top(end, true);
            return;
        }
        // Any bracket ends a list of coordinates, and `)` ends a plain list: `[0, 1000)`.
        let half_open = bracket == Bracket::Round
            && top.kind == Kind::Array
            && self.open[bracket as usize] == 0;
        if top.kind.is_coordinates() || half_open {
            self.close_top(end, true);
            if bracket != Bracket::Curly {
                return;
            }
        }
        if self.open[bracket as usize] == 0 {
            self.found.repaired = true;
            return;
        }
        while let Some(top) = self.stack.last() {
            let matches = top.bracket == bracket && top.kind != Kind::Loose;
            self.close_top(end, true);
            if matches {
                break;
            }
        }
    }

    fn comma(&mut self) {
        match self.stack.last_mut() {
            None if self.seen.last == Last::Value => self.seen.last = Last::Comma,
            None => {}
            Some(frame) => {
                frame.end_member(&mut self.found);
                frame.key = None;
            }
        }
    }

    fn colon(&mut self) {
        match self.stack.last_mut() {
            Some(frame) if frame.kind.is_coordinates() => self.list.spoil(),
            Some(frame) => frame.colon(&mut self.found),
            None => {}
        }
    }

    fn scalar(&mut self, mut scalar: Scalar) {
        let Some(frame) = self.stack.last_mut() else { return };
        let loose = frame.kind == Kind::Loose;
        if !scalar.quoted
            && scalar.span.end == self.found.text.len()
            && !(loose && self.ended == Ended::StopToken)
        {
            scalar.cut = true;
        }
        if frame.kind.is_coordinates() {
            self.list.scalar(&scalar, self.found.text);
        } else if loose && frame.key.is_none() && frame.candidate.is_some() {
            // No key: the prose goes on.
            self.close_top(scalar.span.start, true);
            self.prose();
        } else {
            frame.scalar(scalar, &mut self.found);
        }
    }

    /// Closes the innermost bracket, whatever the text closes.
    fn close_top(&mut self, end: usize, closed: bool) {
        let Some(frame) = self.stack.pop() else { return };
        match frame.kind {
            Kind::Loose => {
                let start = frame.start;
                frame.finish(None, closed, end, &mut self.found);
                self.seen.last = Last::Prose;
                self.seen.loose += 1;
                self.end_block(start..end, Form::Loose, true);
            }
            Kind::Coordinates | Kind::InnerCoordinates => {
                self.open[frame.bracket as usize] -= 1;
                self.close_list();
                // If there is a list of coordinates around an object with a list of its own, it is
                // no box.
                let inner = frame.kind == Kind::InnerCoordinates;
                self.list =
                    if inner { CoordinateList::of_lists() } else { CoordinateList::spoilt() };
            }
            Kind::Object | Kind::Array => {
                self.open[frame.bracket as usize] -= 1;
                let (start, kind) = (frame.start, frame.kind);
                if self.stack.is_empty() {
                    self.seen.last_is_item = frame.has_box();
                }
                let says = frame.finish(self.stack.last_mut(), closed, end, &mut self.found);
                if self.stack.is_empty() {
                    let form = if kind == Kind::Array { Form::List } else { Form::Object };
                    self.end_value(start..end, form, says);
                }
            }
        }
    }

    /// Gives a box to the object that the list of coordinates belongs to.
    fn close_list(&mut self) {
        let owner = self.stack.iter_mut().rev().find(|frame| !frame.kind.is_coordinates());
        let Some(owner) = owner else { return };
        match mem::take(&mut self.list).finish() {
            Coordinates::Box { box_2d, span } => {
                let index = self.found.boxes.len();
                let found = ParsedBox {
                    box_2d,
                    label: None,
                    coordinates: span,
                    named: false,
                    label_span: None,
                    confidence: None,
                };
                self.found.boxes.push(found);
                owner.add_box(index, &mut self.found);
            }
            Coordinates::Nothing => owner.raise(Says::NoBox),
            Coordinates::Lists => {}
            Coordinates::Unreadable => {
                self.found.unreadable.add(&self.found.text[owner.key_span.clone()]);
                owner.raise(Says::Something);
            }
        }
    }

    fn begin_value(&mut self) {
        self.before = Before { boxes: self.found.boxes.len(), lost: self.lost() };
    }

    fn end_value(&mut self, span: Range<usize>, form: Form, says: Says) {
        self.seen.last = Last::Value;
        let has_boxes = self.boxes_met() > self.before.boxes + self.before.lost;
        if !has_boxes && says == Says::Something {
            self.seen.others += 1;
            return;
        }
        self.seen.nothings += usize::from(!has_boxes);
        let value = &self.found.text[span.clone()];
        self.end_block(span, form, true);
        #[cfg(test)]
        {
            self.checked += value.len();
        }
        let malformed = self.found.repaired || serde_json::from_str::<IgnoredAny>(value).is_err();
        self.seen.repairs += usize::from(malformed);
    }

    /// Keeps a value that could be the answer.
    fn end_block(&mut self, span: Range<usize>, form: Form, whole: bool) {
        let lead = mem::replace(&mut self.lead, span.end);
        let boxes = self.before.boxes..self.found.boxes.len();
        let lost = self.lost() - self.before.lost;
        let fenced = self.seen.fence != Fence::Closed;
        let behind_thought = mem::take(&mut self.behind_thought);
        self.blocks.push(Block { span, lead, boxes, lost, form, fenced, whole, behind_thought });
    }

    /// Closes everything that the text leaves open. Coordinates without a closing bracket are no
    /// box.
    fn give_up(&mut self, end: usize) {
        while !self.stack.is_empty() {
            self.found.repaired = true;
            self.list.spoil();
            self.close_top(end, false);
        }
    }

    /// Closes what the end of the text left open. The value is unfinished, and so neither malformed
    /// nor "nothing".
    fn close_at_end(&mut self) {
        let bottom = self.stack.first().map(|frame| (frame.start, frame.kind));
        let cut_in_list = self.stack.last().is_some_and(|frame| frame.kind.is_coordinates());
        while let Some(frame) = self.stack.pop() {
            if frame.kind == Kind::Loose {
                self.seen.last = Last::Prose;
                self.seen.loose += 1;
            } else {
                self.seen.unfinished = true;
            }
            if !frame.kind.is_coordinates() {
                frame.finish(self.stack.last_mut(), false, self.found.text.len(), &mut self.found);
            }
        }
        if let Some((start, kind)) = bottom {
            let form = match kind {
                Kind::Loose => Form::Loose,
                Kind::Array => Form::List,
                _ => Form::Object,
            };
            let whole = kind == Kind::Loose && !cut_in_list;
            self.end_block(start..self.scan.end(), form, whole);
        }
        self.seen.unfinished |= self.found.cut;
        self.seen.unclosed_fences += usize::from(self.seen.fence != Fence::Closed);
    }

    fn boxes_met(&self) -> usize {
        self.found.met()
    }

    /// Boxes that were not read.
    fn lost(&self) -> usize {
        self.found.unreadable.count + self.found.unread.count
    }

    /// Reads the words around the boxes: what they take back, and whether they hold boxes of their
    /// own.
    fn read_words(&mut self) {
        let (text, end) = (self.found.text, self.end.max(self.lead));
        let behind = Behind::of(&text[self.lead..end], &self.found.boxes);
        self.seen.behind = behind.words;
        if self.found.boxes.is_empty() && self.seen.nothings == 0 {
            return;
        }
        self.seen.taken_back.doubted |= behind.takes_back || behind.omits;
        let leads = self.blocks.iter().map(|block| block.lead..block.span.start);
        let passages = leads.chain(self.passages.iter().cloned()).chain(iter::once(self.lead..end));
        let sorted = |mut four: [f64; 4]| {
            four.sort_by(f64::total_cmp);
            four.map(f64::to_bits)
        };
        let known: HashSet<[u64; 4]> =
            self.found.boxes.iter().map(|one| sorted(one.box_2d)).collect();
        let unknown = passages
            .flat_map(|passage| numbers::fours(&text[passage]))
            .filter(|four| !known.contains(&sorted(*four)));
        for _ in 0..unknown.count() {
            self.found.unread.add("numbers in the text");
        }
    }

    /// Whether the token limit was reached at a point where more could follow: behind words, or
    /// between parts.
    fn more_could_come(&self) -> bool {
        let with_boxes = self.blocks.iter().filter(|block| !block.boxes.is_empty()).count();
        let lines = self.blocks.last().is_some_and(|block| {
            let behind = &self.found.text[block.span.end..self.end.max(block.span.end)];
            block.form == Form::Object
                && !block.fenced
                && self.seen.last_is_item
                && behind.contains('\n')
        });
        self.seen.behind || with_boxes > 1 || lines
    }

    /// Four numbers under a word are a box that the model need not have meant as one, if all of
    /// them are tiny.
    fn doubt_tiny(&mut self) {
        const TINY: f64 = 32.0;
        if let Some((_, word)) = self.found.under_words.take_if(|(largest, _)| *largest <= TINY) {
            self.found.guessed.add(&word);
        }
    }

    /// Drops the boxes of parts that are not the answer.
    fn choose(&mut self) {
        let text = self.found.text;
        let choice = match self.seen.unmarked_thought {
            Some(start) => {
                self.seen.thoughts += 1;
                let choice = parts::choose_last(text, &self.blocks, &self.found.boxes);
                let answer = choice.dropped.iter().position(|dropped| !dropped);
                let end = answer.map_or(text.len(), |answer| self.blocks[answer].span.start);
                self.seen.taken_back.guessed_thought =
                    answer.is_some() && phrases::has_words(&text[start..end]);
                choice
            }
            None => parts::choose(text, &self.blocks, &self.found.boxes),
        };
        self.seen.taken_back.doubtful = choice.doubtful + self.found.doubtful;
        self.seen.taken_back.doubted |= choice.omits;
        choice.tags.iter().for_each(|tag| self.unknown.add(tag));
        let mut kept = vec![true; self.found.boxes.len()];
        for (block, _) in self.blocks.iter().zip(choice.dropped).filter(|(_, dropped)| *dropped) {
            kept[block.boxes.clone()].fill(false);
            self.seen.taken_back.dropped += block.lost;
        }
        for draft in mem::take(&mut self.found.drafts) {
            kept[draft].fill(false);
        }
        self.seen.taken_back.dropped += kept.iter().filter(|kept| !**kept).count();
        let mut kept = kept.into_iter();
        self.found.boxes.retain(|_| kept.next().unwrap_or(true));
        // Lists without the key are known to be boxes only at the end of what holds them.
        self.found.boxes.sort_by_key(|found| found.coordinates.start);
    }

    fn status(&self) -> AnswerStatus {
        let seen = &self.seen;
        let limit = self.ended == Ended::TokenLimit;
        if self.ended == Ended::Looped {
            return AnswerStatus::Looped;
        }
        let lost = self.lost();
        let TakenBack { dropped, doubtful, guessed_thought, doubted } = seen.taken_back;
        let unsure = dropped + doubtful + self.found.guessed.count > 0 || guessed_thought;
        let unclear = doubted || self.unknown.count > 0;
        if self.found.boxes.is_empty() {
            let other = seen.tool_calls + seen.others + lost > 0 || seen.open_thought;
            return match () {
                () if limit || seen.unfinished => AnswerStatus::Truncated,
                () if other => AnswerStatus::Refused,
                // It took back its first answer, so it is not a plain "nothing".
                () if unsure => AnswerStatus::Salvaged,
                () if unclear => AnswerStatus::Refused,
                () if seen.nothings + seen.empty_fences > 0 || is_null_alone(self.found.text) => {
                    AnswerStatus::Empty
                }
                () => AnswerStatus::Refused,
            };
        }
        let more_was_due = seen.open_thought
            || seen.loose > 0
            || seen.last == Last::Comma
            || self.more_could_come();
        // A list that was closed since it was full may lack boxes.
        if seen.unfinished || (limit && more_was_due) || self.ended == Ended::BoxLimit {
            AnswerStatus::Truncated
        } else if seen.repairs + seen.loose + seen.tool_calls + lost > 0 || unsure || unclear {
            AnswerStatus::Salvaged
        } else {
            AnswerStatus::Ok
        }
    }

    fn finish(mut self) -> ParsedAnswer {
        let values = self.boxes_met() + self.seen.nothings + self.seen.others;
        self.read_words();
        self.doubt_tiny();
        self.choose();
        let status = self.status();
        let seen = &self.seen;
        let counts = [
            (NoteKind::UnclosedFence, usize::from(seen.unclosed_fences > 0)),
            (NoteKind::ProseAround, usize::from(seen.prose && values > 0)),
            (NoteKind::ThinkingRemoved, usize::from(seen.thoughts > 0)),
            (NoteKind::ToolCallDebris, usize::from(seen.tool_calls > 0)),
            (NoteKind::MalformedJson, usize::from(seen.repairs + seen.loose > 0)),
            (
                NoteKind::EarlierAnswerDropped,
                if seen.unmarked_thought.is_some() { 0 } else { seen.taken_back.dropped },
            ),
            (NoteKind::SeveralAnswers, seen.taken_back.doubtful),
            (NoteKind::DoubtfulWords, usize::from(seen.taken_back.doubted)),
            (NoteKind::LongLabelCut, self.found.long_labels),
        ];
        let mut notes: Vec<Note> = counts.map(|(kind, count)| Note::new(kind, count)).into();
        let lost = [
            (NoteKind::UnreadableBox, &self.found.unreadable),
            (NoteKind::UnreadKey, &self.found.unread),
            (NoteKind::LabelGuessed, &self.found.guessed),
            (NoteKind::UnknownMark, &self.unknown),
        ];
        notes.extend(lost.map(|(kind, lost)| Note {
            kind,
            count: lost.count,
            detail: lost.keys(),
        }));
        notes.retain(|note| note.count > 0);
        notes.sort_by_key(|note| note.kind);
        ParsedAnswer { status, notes, boxes: self.found.boxes }
    }
}

/// Whether an answer is `null` or `None` and nothing else, fenced or not: its writer's "nothing".
fn is_null_alone(text: &str) -> bool {
    let inside = text.trim().strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    let word =
        inside.map_or(text, |inside| inside.trim_start().strip_prefix("json").unwrap_or(inside));
    matches!(word.trim(), "null" | "None" | "none")
}
