//! The position of a token in an answer: in a coordinate, in a label, or between.
//!
//! A context-free grammar cannot say that `ymax` is at least the `ymin` of the same box; this can.

/// The position behind a text that the grammar allowed, so brackets and quotes are balanced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Position {
    /// Outside of an object.
    #[default]
    Outside,
    /// In an object, before its box.
    Object,
    /// In the brackets of `box_2d`.
    Box(Numbers),
    /// Behind the box, with the number of quotes passed; the third opens the label.
    Behind { quotes: u8 },
    /// In the label; whether the next character is escaped.
    Label { escaped: bool },
    /// Behind the label.
    Done,
}

/// The coordinates of a box as far as they are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    whole: [u32; 4],
    /// How many of them are whole.
    count: usize,
    /// The digits of the next one, as a number, and how many they are.
    digits: u32,
    length: u32,
}

/// The largest coordinate.
const MAX: u32 = 1000;

impl Position {
    /// The position behind further text.
    pub(super) fn after(self, bytes: &[u8]) -> Self {
        self.follow(bytes).0
    }

    /// The position behind further text, and how many objects ended in it.
    pub(super) fn follow(self, bytes: &[u8]) -> (Self, usize) {
        bytes.iter().fold((self, 0), |(position, closed), &byte| {
            let next = position.behind(byte);
            (next, closed + usize::from(position == Self::Done && next == Self::Outside))
        })
    }

    fn behind(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Outside, b'{') => Self::Object,
            (Self::Object, b'[') => Self::Box(Numbers::default()),
            (Self::Box(numbers), b'0'..=b'9') => {
                Self::Box(numbers.with_digit(u32::from(byte - b'0')))
            }
            (Self::Box(numbers), b',' | b']') => {
                let numbers = numbers.closed();
                // A box that ends out of order stays one, so that it is seen to be.
                if byte == b']' && numbers.are_ordered() {
                    Self::Behind { quotes: 0 }
                } else {
                    Self::Box(numbers)
                }
            }
            (Self::Behind { quotes: 2 }, b'"') => Self::Label { escaped: false },
            (Self::Behind { quotes }, b'"') => Self::Behind { quotes: quotes + 1 },
            (Self::Label { escaped: false }, b'"') => Self::Done,
            (Self::Label { escaped }, _) => Self::Label { escaped: !escaped && byte == b'\\' },
            (Self::Done, b'}') => Self::Outside,
            (position, _) => position,
        }
    }

    /// Whether the next token may be part of a coordinate.
    pub(super) fn in_coordinates(self) -> bool {
        matches!(self, Self::Box(_))
    }

    /// Whether the numbers so far can still be those of a box with `ymin <= ymax` and `xmin <=
    /// xmax`.
    pub(super) fn can_be_ordered(self) -> bool {
        match self {
            Self::Box(numbers) => numbers.are_ordered() && numbers.next_can_be_ordered(),
            _ => true,
        }
    }

    /// Whether any of these bytes, standing here, is a digit of a coordinate or part of a label.
    pub(super) fn is_scored(self, bytes: &[u8]) -> bool {
        let mut position = self;
        bytes.iter().any(|&byte| {
            let next = position.behind(byte);
            let scored = match position {
                Self::Box(_) => byte.is_ascii_digit(),
                Self::Label { .. } => next != Self::Done,
                _ => false,
            };
            position = next;
            scored
        })
    }
}

impl Numbers {
    fn with_digit(self, digit: u32) -> Self {
        Self { digits: (self.digits * 10 + digit).min(10 * MAX), length: self.length + 1, ..self }
    }

    fn closed(self) -> Self {
        let mut whole = self.whole;
        if let Some(position) = whole.get_mut(self.count) {
            *position = self.digits;
        }
        Self { whole, count: self.count + 1, digits: 0, length: 0 }
    }

    fn are_ordered(self) -> bool {
        let ordered = |small: usize, large: usize| {
            self.count <= large || self.whole[small] <= self.whole[large]
        };
        ordered(0, 2) && ordered(1, 3)
    }

    /// Whether the digits of the next number can become one that is large enough.
    fn next_can_be_ordered(self) -> bool {
        let least = match self.count {
            2 | 3 => self.whole[self.count - 2],
            _ => return true,
        };
        if self.length == 0 {
            return true;
        }
        // With n more digits it is between digits * 10^n and that and 10^n - 1; a leading zero
        // takes none.
        let more = if self.digits == 0 { 0 } else { 4_u32.saturating_sub(self.length) };
        (0..=more).map(|n| 10_u32.pow(n)).any(|power| {
            let (low, high) = (self.digits * power, self.digits * power + power - 1);
            low <= MAX && high.min(MAX) >= least
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_that_fits_can_be_written_and_no_other() {
        for least in [0, 1, 7, 9, 10, 99, 100, 244, 999, 1000] {
            let start =
                Position::default().after(format!("[\n  {{\"box_2d\": [{least}, 5, ").as_bytes());
            for value in 0..=MAX {
                let digits = value.to_string();
                let way = (1..=digits.len())
                    .all(|end| start.after(&digits.as_bytes()[..end]).can_be_ordered());
                let whole = start.after(format!("{value},").as_bytes()).can_be_ordered();
                assert_eq!(way && whole, value >= least, "{least} {value}");
            }
        }
    }

    #[test]
    fn digits_and_labels_count_and_nothing_else() {
        let text = "[\n  {\"box_2d\": [10, 2, 30, 4], \"label\": \"a \\\"b\"},\n  {\"box_2d\": [";
        let mut position = Position::default();
        let mut scored = String::new();
        let mut objects = 0;
        for byte in text.bytes() {
            if position.is_scored(&[byte]) {
                scored.push(char::from(byte));
            }
            let (next, closed) = position.follow(&[byte]);
            objects += closed;
            position = next;
        }
        assert_eq!((scored.as_str(), objects), ("102304a \\\"b", 1));
        assert_eq!(position, Position::Box(Numbers::default()));
    }
}
