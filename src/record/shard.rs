//! A part of a run's images, for one of several machines.
//!
//! In: the number of a part, and of how many. Out: whether an image belongs to it. Promises: every
//! name is in exactly one of the parts; which one depends on the name and the number of parts
//! alone, so that images that are added later move no other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// One of `count` parts of a run's images; written `INDEX/COUNT`, with an index from 0.
///
/// ```
/// use gemscope::record::Shard;
///
/// let shards = [0, 1, 2].map(|index| Shard::new(index, 3).unwrap());
/// assert_eq!(shards.iter().filter(|shard| shard.holds("a/0001.jpg")).count(), 1);
/// assert_eq!("2/3".parse(), Ok(shards[2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Not a [`Shard`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no shard: I/N is one, with I from 0 to N - 1, such as 0/4")]
pub struct UnknownShard(String);

impl Shard {
    /// Part `index`, from 0, of `count`.
    ///
    /// # Errors
    /// [`UnknownShard`] if there is no such part.
    pub fn new(index: u32, count: u32) -> Result<Self, UnknownShard> {
        let shard = Self { index, count };
        if index < count { Ok(shard) } else { Err(UnknownShard(shard.to_string())) }
    }

    /// Which part, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of images.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the image of this name, relative to the root of its run, belongs to it.
    pub fn holds(self, image: &str) -> bool {
        Self::of(image, self.count) == self
    }

    /// The one of `count` shards, at least one, to which an image belongs.
    pub(crate) fn of(image: &str, count: u32) -> Self {
        // Salted: other choices by a hash of the name are to be independent of this one.
        let hash = Sha256::digest(format!("shard/{image}"));
        let number = hash.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte));
        let index = number % u64::from(count.max(1));
        Self { index: index as u32, count }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = UnknownShard;

    fn from_str(text: &str) -> Result<Self, UnknownShard> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) = numbers.ok_or_else(|| UnknownShard(text.to_owned()))?;
        Self::new(index, count).map_err(|_| UnknownShard(text.to_owned()))
    }
}

impl TryFrom<String> for Shard {
    type Error = UnknownShard;

    fn try_from(text: String) -> Result<Self, UnknownShard> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_one_shard_and_none_is_empty_or_holds_most() {
        let shards: Vec<Shard> = (0..7).map(|index| Shard::new(index, 7).unwrap()).collect();
        let mut sizes = [0; 7];
        for number in 0..7000 {
            let name = format!("folder/{number}.jpg");
            let holders: Vec<&Shard> = shards.iter().filter(|shard| shard.holds(&name)).collect();
            assert_eq!(holders.len(), 1, "{name}");
            sizes[holders[0].index() as usize] += 1;
        }
        assert!(sizes.iter().all(|size| (900..=1100).contains(size)), "{sizes:?}");
        assert!((0..100).all(|number| Shard::new(0, 1).unwrap().holds(&number.to_string())));
    }

    /// Runs that were begun with this version go on with later ones.
    #[test]
    fn names_stay_in_their_shards() {
        let shards = ["a.png", "b.png", "a/b.png", "ä.png"].map(|name| Shard::of(name, 4).index());
        assert_eq!(shards, [2, 1, 2, 3]);
    }

    #[test]
    fn what_is_no_part_is_no_shard() {
        for text in ["", "1", "4/4", "1/0", "-1/4", "1/4/2", "a/4", "1/4294967296"] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no shard")), "{error}");
        }
        let shard: Shard = serde_json::from_str("\"3/4\"").unwrap();
        assert_eq!((shard.index(), shard.count(), shard.to_string().as_str()), (3, 4, "3/4"));
        assert!(serde_json::from_str::<Shard>("\"3/3\"").is_err());
    }
}
