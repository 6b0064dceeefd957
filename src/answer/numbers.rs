//! Numbers in fours outside the boxes that are read: in prose, and in the texts of an object.
//!
//! In: a piece of an answer. Out: the groups of four numbers that could be boxes of it. Promises:
//! one pass; every number is looked at once. Which of them are boxes that stand elsewhere too, the
//! caller knows.
//!
//! Numbers are one group if only brackets, commas, bars, tags and the names of sides part them
//! (`500, 100, 900, 300`, `(100, 200), (300, 400)`, `ymin: 500, xmin: 100, …`,
//! `<loc0500><loc0100>…`).

/// Names of sides, and words between them.
const SIDES: [&str; 34] = [
    "x", "y", "x0", "y0", "x1", "y1", "x2", "y2", "xmin", "ymin", "xmax", "ymax", "x_min", "y_min",
    "x_max", "y_max", "min", "max", "left", "top", "right", "bottom", "w", "h", "width", "height",
    "to", "and", "px", "box_2d", "bbox", "box", "start", "end",
];

/// The groups of four numbers of a text.
pub(super) fn fours(text: &str) -> Vec<[f64; 4]> {
    let mut fours = Vec::new();
    let mut run: Vec<f64> = Vec::new();
    let mut depth = 0;
    let mut before = ' ';
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let length = match c {
            '0'..='9' => {
                let (value, length) = number(&text[at..]);
                let negative = before == '-';
                run.push(if negative { -value } else { value });
                length
            }
            _ if c.is_alphabetic() => {
                let word = word(&text[at..]);
                let location = word
                    .strip_prefix("loc")
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
                match location.and_then(|digits| digits.parse().ok()) {
                    Some(value) => run.push(value),
                    None if SIDES.contains(&word.to_ascii_lowercase().as_str()) => {}
                    None => end(&mut run, &mut depth, &mut fours),
                }
                word.len()
            }
            '[' | '(' | '{' => {
                depth += 1;
                1
            }
            ']' | ')' | '}' => {
                depth -= i32::from(depth > 0);
                1
            }
            '-' if text[at + 1..].starts_with(|c: char| c.is_ascii_digit())
                && !before.is_ascii_digit() =>
            {
                1
            }
            '-' if matches!(before, ')' | ']' | ' ') => 1,
            '\n' if depth > 0 => 1,
            ' ' | '\t' | '\r' | ',' | ';' | '|' | '"' | '\'' | '`' | ':' | '=' | '<' | '>'
            | '/' | '，' | '、' | '（' | '）' | '［' | '］' | '：' => c.len_utf8(),
            _ => {
                end(&mut run, &mut depth, &mut fours);
                c.len_utf8()
            }
        };
        before = text[at..at + length].chars().next_back().unwrap_or(' ');
        at += length;
    }
    end(&mut run, &mut depth, &mut fours);
    fours
}

/// Whether a text has four numbers in one group.
pub(super) fn holds_fours(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).nth(3).is_some() && !fours(text).is_empty()
}

/// Whether four numbers stand in brackets: `next to a dog at [500, 100, 900, 300]`.
pub(super) fn in_brackets(text: &str) -> bool {
    let lists = text.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
    lists.into_iter().any(|(inside, _)| {
        inside.len() < 80 && inside.split(',').count() == 4 && holds_fours(inside)
    })
}

/// Whether all numbers of a text stand in `boxes` too. At most a few hundred bytes are looked at.
pub(super) fn say_the_same(text: &str, boxes: &[[f64; 4]]) -> bool {
    const NEAR: usize = 400;
    let mut rest = &text[..text.floor_char_boundary(NEAR)];
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (value, length) = number(&rest[at..]);
        // The digits of a key: `x1`.
        let of_word = rest[..at].ends_with(|c: char| c.is_alphabetic() || c == '_');
        if !of_word && !boxes.iter().flatten().any(|known| known.abs().to_bits() == value.to_bits())
        {
            return false;
        }
        rest = &rest[at + length..];
    }
    true
}

/// How many numbers stand in a text, up to `most`.
pub(super) fn count(text: &str, most: usize) -> usize {
    let mut rest = text;
    let mut count = 0;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()).filter(|_| count < most) {
        count += usize::from(!rest[..at].ends_with(|c: char| c.is_alphabetic() || c == '_'));
        rest = &rest[at + number(&rest[at..]).1..];
    }
    count
}

fn end(run: &mut Vec<f64>, depth: &mut i32, fours: &mut Vec<[f64; 4]>) {
    if run.len().is_multiple_of(4) {
        fours.extend(run.chunks_exact(4).filter_map(|four| <[f64; 4]>::try_from(four).ok()));
    }
    run.clear();
    *depth = 0;
}

/// The number at the start of a text, and its length.
fn number(text: &str) -> (f64, usize) {
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    let fraction = text[whole..]
        .strip_prefix('.')
        .map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let length = whole + if fraction > 0 { fraction + 1 } else { 0 };
    (text[..length].parse().unwrap_or(f64::INFINITY), length)
}

/// The word at the start of a text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{count, fours, in_brackets, say_the_same};

    #[test]
    fn four_numbers_are_found_however_they_are_written() {
        for text in [
            "- dog: [500, 100, 900, 300]",
            "Dog at (100,200),(300,400)",
            "| dog | 500 | 100 | 900 | 300 |",
            "<box_2d>[5, 1, 9, 3]</box_2d>",
            "ymin: 500, xmin: 100, ymax: 900, xmax: 300",
            "x1=0.1 y1=0.2 x2=0.3 y2=0.4",
            "<loc0500><loc0100><loc0900><loc0300> dog",
            "[\n 500,\n 100,\n 900,\n 300\n]",
            "狗：［500，100，900，300］",
        ] {
            assert_eq!(fours(text).len(), 1, "{text}");
        }
        for text in [
            "",
            "[1, 2]",
            "on 2024-05-01 at 10:20",
            "1. a\n2. b\n3. c\n4. d",
            "[0, 1000)",
            "3 of 4, 5 or 6",
        ] {
            assert_eq!(fours(text).len(), 0, "{text}");
        }
        assert_eq!(
            fours("[1, 2, 3, 4], [5, 6, 7, -8]"),
            [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, -8.0]]
        );
        assert!(
            in_brackets("by the dog at [500, 100, 900, 300]")
                && !in_brackets("No. 500 100 900 300 [a]")
        );
    }

    #[test]
    fn numbers_are_held_against_boxes() {
        let boxes = [[10.0, 20.0, 30.0, 40.0]];
        assert!(
            say_the_same("{\"x1\": 20, \"y1\": 10}", &boxes)
                && !say_the_same("[10, 20, 30, 41]", &boxes)
        );
        assert_eq!((count("x1: 3, 4.5", 9), count("1 2 3", 2)), (2, 2));
    }
}
