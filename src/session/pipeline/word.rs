//! Single settings, as a flag or a value in TOML says them.
//!
//! In: the text of a flag; or a text, a number or a switch. Out: the value. Promises: the same
//! function reads both, so a file can say everything that a flag can.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// A number from 0 to 1.
///
/// # Errors
/// In words.
pub fn share<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let share = text.parse().ok().filter(|value| (T::from(0)..=T::from(1)).contains(value));
    share.ok_or_else(|| "must be from 0 to 1".to_owned())
}

/// A number above 0.
///
/// # Errors
/// In words.
pub fn above_zero<T: FromStr + PartialOrd + From<u8> + Into<f64> + Copy>(
    text: &str,
) -> Result<T, String> {
    let number =
        text.parse().ok().filter(|value: &T| *value > T::from(0) && (*value).into().is_finite());
    number.ok_or_else(|| "must be above 0".to_owned())
}

/// A whole number from 1.
///
/// # Errors
/// In words.
pub fn from_one<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|value| *value >= T::from(1));
    number.ok_or_else(|| "must be a whole number from 1".to_owned())
}

/// Seconds, up to an hour.
///
/// # Errors
/// In words.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const MAX_LENGTH: f64 = 3600.0;
    let seconds = text.parse().ok().filter(|seconds| (0.0..=MAX_LENGTH).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("must be from 0 to {MAX_LENGTH} seconds"))
}

/// Reads a text or a number with the parser of the flag.
struct Word<T>(fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// The value that [`FromStr`] reads.
pub(super) fn word<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    from.deserialize_any(Word(|text| text.parse().map_err(|error: T::Err| error.to_string())))
        .map(Some)
}

/// The same for [`share`].
pub(super) fn share_word<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr + PartialOrd + From<u8>,
{
    from.deserialize_any(Word(share)).map(Some)
}

/// The same for [`from_one`].
pub(super) fn count_word<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr + PartialOrd + From<u8>,
{
    from.deserialize_any(Word(from_one)).map(Some)
}

/// The same for [`above_zero`].
pub(super) fn above_zero_word<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr + PartialOrd + From<u8> + Into<f64> + Copy,
{
    from.deserialize_any(Word(above_zero)).map(Some)
}

/// The same for [`seconds`].
pub(super) fn seconds_word<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    from.deserialize_any(Word(seconds)).map(Some)
}

/// One text or number, or a list of them.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct Many<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for Many<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text, or a list of texts")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.parse().map(|one| vec![one]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(text) = list.next_element::<String>()? {
                all.push(text.parse().map_err(A::Error::custom)?);
            }
            Ok(all)
        }
    }

    from.deserialize_any(Many(PhantomData))
}

/// Labels or formats: one text with commas between the names; or a list, in which a name may
/// contain a comma.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// `a, b`; or `@FILE`, with a name a line.
    Text(String),
    /// One name each.
    List(Vec<String>),
}

impl FromStr for Names {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Names, E> {
                Ok(Names::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names::List(names))
            }
        }

        from.deserialize_any(Either)
    }
}
