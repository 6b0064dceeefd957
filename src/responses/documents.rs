//! The JSON objects of a text, one after another.
//!
//! In: bytes of JSON lines, of one JSON array, of indented objects one after another, or of a saved
//! event stream (`data: {…}`). Out: each object with the line that it begins in. Promises: an
//! object that is no JSON costs itself and not the next one; one object at a time is in memory;
//! time grows linearly with the text. Endless text that is no JSON ends: an object or line of more
//! than [`MAX_BYTES`], [`MAX_WRONG`] of them in a row that are no JSON, a NUL byte.

use std::io::{self, BufRead, Cursor, ErrorKind, Read as _};

use serde_json::{Map, Value};

use super::Problem;
use crate::files::{self, MAX_TEXT_BYTES};

/// The most bytes of one object, or of one line of other text.
const MAX_BYTES: usize = 64 << 20;
/// Objects and lines in a row that are no JSON.
const MAX_WRONG: usize = 100_000;
/// How deep the parser goes; the text of what is deeper is not kept.
const MAX_DEPTH: usize = 128;

/// One object, or other text in its place.
pub(super) struct Document {
    /// The line that it begins in, counted from 1.
    pub(super) line: usize,
    /// [`Problem::NotJson`] for text that is no object.
    pub(super) object: Result<Map<String, Value>, Problem>,
}

/// The objects of a reader.
pub(super) struct Documents<'r> {
    reader: Box<dyn BufRead + 'r>,
    scanner: Scanner,
    /// How many in a row were no JSON.
    wrong: usize,
    ended: bool,
}

impl<'r> Documents<'r> {
    /// From UTF-8 with or without a byte order mark, or UTF-16 with one, which is decoded as a
    /// whole.
    ///
    /// # Errors
    /// Errors of the reader, and [`ErrorKind::InvalidData`] for broken UTF-16.
    pub(super) fn new(mut reader: impl BufRead + 'r) -> io::Result<Self> {
        let mut first = Vec::new();
        reader.by_ref().take(3).read_to_end(&mut first)?;
        let utf_16 = first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff");
        if first == b"\xef\xbb\xbf" {
            first.clear();
        }
        let whole = Cursor::new(first).chain(reader);
        let reader: Box<dyn BufRead + 'r> = if utf_16 {
            Box::new(Cursor::new(
                files::decode_text(files::read_within(whole, MAX_TEXT_BYTES)?)?.into_bytes(),
            ))
        } else {
            Box::new(whole)
        };
        Ok(Self { reader, scanner: Scanner::default(), wrong: 0, ended: false })
    }
}

impl Documents<'_> {
    /// The error that is the last thing of it.
    fn end(&mut self, kind: ErrorKind, reason: String) -> io::Error {
        self.ended = true;
        io::Error::new(kind, reason)
    }
}

impl Iterator for Documents<'_> {
    type Item = io::Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            };
            if buffer.is_empty() {
                self.ended = true;
                return self.scanner.finish().map(|raw| Ok(raw.parsed()));
            }
            let mut found = None;
            let mut used = buffer.len();
            let mut nul = false;
            for (index, &byte) in buffer.iter().enumerate() {
                nul = byte == 0;
                if nul {
                    break;
                }
                found = self.scanner.push(byte);
                if found.is_some() {
                    used = index + 1;
                    break;
                }
            }
            self.reader.consume(used);
            if let Some(raw) = found {
                let document = raw.parsed();
                self.wrong = if document.object.is_ok() { 0 } else { self.wrong + 1 };
                if self.wrong < MAX_WRONG {
                    return Some(Ok(document));
                }
                return Some(Err(self.end(
                    ErrorKind::InvalidData,
                    format!("{MAX_WRONG} lines or objects in a row are no JSON"),
                )));
            }
            if nul {
                let reason = format!(
                    "line {} has a NUL byte: this is no JSON, or UTF-16 without its mark",
                    self.scanner.line + 1
                );
                return Some(Err(self.end(ErrorKind::InvalidData, reason)));
            }
            if self.scanner.length > MAX_BYTES {
                let reason = format!(
                    "line {}: one JSON object or line is larger than {MAX_BYTES} bytes",
                    self.scanner.begun + 1
                );
                return Some(Err(self.end(ErrorKind::FileTooLarge, reason)));
            }
        }
        None
    }
}

/// The bytes of an object, before they are parsed.
struct Raw {
    line: usize,
    text: Vec<u8>,
    fault: Option<&'static str>,
}

impl Raw {
    fn parsed(self) -> Document {
        let object = match self.fault {
            Some(fault) => Err(Problem::NotJson(fault.to_owned())),
            None => serde_json::from_slice(&self.text)
                .map_err(|error| Problem::NotJson(error.to_string())),
        };
        Document { line: self.line, object }
    }
}

/// The state of the scanner.
#[derive(Default, PartialEq, Eq)]
enum State {
    /// Between two objects.
    #[default]
    Between,
    /// In an object, at a depth of brackets.
    Object { depth: usize, in_string: bool, escaped: bool },
    /// In text that is no object, up to the end of its line.
    Other,
}

/// Cuts a text into objects, byte by byte.
#[derive(Default)]
struct Scanner {
    state: State,
    text: Vec<u8>,
    /// The length of the object or line so far; `text` may hold only its beginning.
    length: usize,
    /// The line of `text`'s first byte, and the one of the next byte; both counted from 0.
    begun: usize,
    line: usize,
    /// The next byte is the first one of its line.
    line_start: bool,
    /// The line of the array's bracket that is open.
    list: Option<usize>,
}

impl Scanner {
    /// Takes the next byte; what is complete with it comes back.
    fn push(&mut self, byte: u8) -> Option<Raw> {
        self.length += 1;
        let at_line_start = std::mem::replace(&mut self.line_start, byte == b'\n');
        let raw = match self.state {
            State::Between => {
                self.between(byte);
                None
            }
            State::Other => self.other(byte),
            // Objects that are written over several lines are indented: this is the next one, and
            // the last one is torn.
            State::Object { in_string: false, .. } if byte == b'{' && at_line_start => {
                let raw = self.take(Some("the JSON object does not end"));
                self.between(byte);
                Some(raw)
            }
            State::Object { depth, in_string, escaped } => {
                self.object(byte, depth, in_string, escaped)
            }
        };
        self.line += usize::from(byte == b'\n');
        raw
    }

    fn between(&mut self, byte: u8) {
        self.length = 0;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
            b'[' if self.list.is_none() => self.list = Some(self.line),
            b']' if self.list.is_some() => self.list = None,
            _ => {
                self.begun = self.line;
                self.text.push(byte);
                self.state = match byte {
                    b'{' => State::Object { depth: 1, in_string: false, escaped: false },
                    _ => State::Other,
                };
            }
        }
    }

    fn object(
        &mut self,
        byte: u8,
        mut depth: usize,
        mut in_string: bool,
        mut escaped: bool,
    ) -> Option<Raw> {
        if in_string && byte == b'\n' {
            return Some(self.take(Some("a string does not end in its line")));
        }
        if depth <= MAX_DEPTH {
            self.text.push(byte);
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(self.take(None));
        }
        self.state = State::Object { depth, in_string, escaped };
        None
    }

    fn other(&mut self, byte: u8) -> Option<Raw> {
        let so_far = self.text.trim_ascii();
        match byte {
            // An event stream that was saved as it came.
            b'{' if so_far == b"data:" => {
                self.text.clear();
                self.between(byte);
                None
            }
            b'\n' if so_far == b"data: [DONE]" => {
                self.text.clear();
                self.state = State::Between;
                None
            }
            b'\n' => Some(self.take(Some("it does not begin with {"))),
            _ => {
                // The beginning is enough to know it by.
                if self.text.len() < 64 {
                    self.text.push(byte);
                }
                None
            }
        }
    }

    fn take(&mut self, fault: Option<&'static str>) -> Raw {
        self.state = State::Between;
        Raw { line: self.begun + 1, text: std::mem::take(&mut self.text), fault }
    }

    /// The part that the end of the text leaves incomplete.
    fn finish(&mut self) -> Option<Raw> {
        match (&self.state, self.list) {
            (State::Other, _) => self.other(b'\n'),
            (State::Object { .. }, _) => {
                Some(self.take(Some("the text ends inside of a JSON object")))
            }
            (State::Between, Some(line)) => {
                self.begun = line;
                Some(self.take(Some("the JSON array that begins here does not end")))
            }
            (State::Between, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of `n` of each object, or `None`, with its line.
    fn numbers(text: impl AsRef<[u8]>) -> Vec<(usize, Option<i64>)> {
        // Few bytes at a time: a buffer may end anywhere.
        let reader = io::BufReader::with_capacity(3, text.as_ref());
        let number = |document: Document| {
            (document.line, document.object.ok().map(|object| object["n"].as_i64().unwrap()))
        };
        Documents::new(reader).unwrap().map(|document| number(document.unwrap())).collect()
    }

    #[test]
    fn lines_arrays_indented_objects_and_event_streams_are_the_same() {
        let expected = [Some(1), Some(2)];
        for text in [
            "{\"n\":1}\n\n{\"n\":2}\n",
            "{\"n\":1}\r\n{\"n\":2}",
            "[{\"n\":1},{\"n\":2}]",
            "[\n{\"n\":1},\n{\"n\":2}\n]\n",
            "{\n  \"n\": 1\n}\n{\n  \"n\": 2\n}\n",
            "[\n  {\n    \"n\": 1\n  },\n  {\n    \"n\": 2\n  }\n]\n",
            "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n",
            "\u{feff}{\"n\":1}{\"n\":2}",
            "{\"n\":1},\n{\"n\":2},\n",
            "{\"s\":\"}{[\\\"\\\\\",\"n\":1}\n{\"n\":2,\"s\":[{\"t\":\"]\"}]}",
        ] {
            let found: Vec<Option<i64>> =
                numbers(text).into_iter().map(|(_, number)| number).collect();
            assert_eq!(found, expected, "{text}");
        }
        let utf_16: Vec<u8> =
            "\u{feff}{\"n\":1}\n{\"n\":2}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(numbers(utf_16), [(1, Some(1)), (2, Some(2))]);
        assert_eq!(numbers(""), []);
        assert_eq!(numbers("\n \n"), []);
        assert_eq!(numbers("[]"), []);
    }

    #[test]
    fn what_is_no_object_costs_itself_only() {
        let text = "{\"n\":1}\nnot json\n{\"n\":2\n{\"n\":3}\n{\"s\":\"torn\n{\"n\":4}\n\"{\"\n\
                    null\n{\"n\":5]\n{\"n\":6}\n{\"n\":";
        assert_eq!(
            numbers(text),
            [
                (1, Some(1)),
                (2, None),
                (3, None),
                (4, Some(3)),
                (5, None),
                (6, Some(4)),
                (7, None),
                (8, None),
                (9, None),
                (10, Some(6)),
                (11, None)
            ]
        );
        assert_eq!(numbers("[\n{\"n\":1},\n"), [(2, Some(1)), (1, None)]);
        let invalid = [b"{\"s\":\"".as_slice(), b"\xff", b"\"}\n{\"n\":1}"].concat();
        assert_eq!(numbers(invalid), [(1, None), (2, Some(1))]);
    }

    #[test]
    fn depth_is_limited_by_the_parser_and_not_by_the_stack() {
        let deep = format!("{{\"n\":{}{}}}\n{{\"n\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(numbers(deep), [(1, None), (2, Some(1))]);
    }

    #[test]
    fn what_never_ends_is_given_up() {
        for (text, most) in [("[\n", 1 << 20), ("{\"a\":\n", 2 << 20), ("\0", 1), ("{\"a\":[[", 1)]
        {
            let endless = io::BufReader::new(Endless(text.as_bytes(), 0));
            let mut read = 0;
            let error = Documents::new(endless)
                .unwrap()
                .map(|document| document.map(|_| read += 1))
                .find_map(Result::err);
            assert!(error.is_some() && read * text.len() <= most, "{text}");
        }
    }

    /// The same bytes again and again.
    struct Endless(&'static [u8], usize);

    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            for byte in &mut *buffer {
                *byte = self.0[self.1];
                self.1 = (self.1 + 1) % self.0.len();
            }
            Ok(buffer.len())
        }
    }
}
