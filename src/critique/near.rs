//! Near copies among frames.
//!
//! In: frames with the hash of how they look ([`Record::look`]), their overall scores, and the
//! verdicts on them. Out: of each frame, the better one that it is a near copy of. Promises: the best
//! of several near copies is a copy of none; a frame that is rejected is the best only of rejected
//! ones; a frame is compared with those alone that are copies of none themselves, so that no chain of
//! small steps joins what does not look alike; of equally good frames the first counts, by the names
//! that they had before they were moved into folders of their verdicts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::frame::Frame;
use super::gate::Verdict;
use super::statistics::GroupBy;
use crate::record::Record;

/// Which frames belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// What the frames of a group have in common; `None` makes no groups.
    pub by: Option<GroupBy>,
    /// In how many of the 64 bits of [`Record::look`] near copies may differ. They are looked for in
    /// each group, or among all frames if there are no groups.
    pub near_bits: u32,
}

impl Grouping {
    /// [`Self::near_bits`] if nothing is said.
    pub const NEAR_BITS: u32 = 4;
}

impl Default for Grouping {
    fn default() -> Self {
        Self { by: None, near_bits: Self::NEAR_BITS }
    }
}

impl From<Option<GroupBy>> for Grouping {
    fn from(by: Option<GroupBy>) -> Self {
        Self { by, ..Self::default() }
    }
}

/// Of each of `records`, the place of the best frame that it is a near copy of, if there is one.
pub fn near_copies(
    records: &[Record],
    frames: &[Frame],
    verdicts: &[Verdict],
    grouping: Grouping,
) -> Vec<Option<usize>> {
    let mut groups: BTreeMap<Option<String>, Vec<(usize, u64)>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        let look = record.look.as_ref().and_then(|look| u64::from_str_radix(look, 16).ok());
        let key = match grouping.by {
            None => Some(None),
            // A frame of no group is compared with none.
            Some(by) => by.key(record).map(Some),
        };
        if let (Some(look), Some(key)) = (look, key) {
            groups.entry(key).or_default().push((place, look));
        }
    }
    let mut copies = vec![None; records.len()];
    let name = |place: usize| {
        let image = records[place].image.as_str();
        let of_verdict = |(folder, _): &(&str, &str)| {
            Verdict::ALL.iter().any(|verdict| verdict.as_str() == *folder)
        };
        image.split_once('/').filter(of_verdict).map_or(image, |(_, rest)| rest)
    };
    let score = |place: usize| {
        let frame = frames.get(place).filter(|frame| frame.unread.is_none());
        let kept = verdicts.get(place) != Some(&Verdict::Reject);
        (kept, frame.and_then(|frame| frame.overall))
    };
    for mut group in groups.into_values() {
        group.sort_by(|(one, _), (other, _)| {
            let order = score(*other).partial_cmp(&score(*one)).unwrap_or(Ordering::Equal);
            order.then_with(|| name(*one).cmp(name(*other))).then(one.cmp(other))
        });
        let mut own = Looks::new(grouping.near_bits);
        for (place, look) in group {
            match own.first_near(look) {
                Some(best) => copies[place] = Some(best),
                None => own.add(place, look),
            }
        }
    }
    copies
}

/// Hashes that are no near copies of each other, found again without looking at all of them: of
/// hashes that differ in few bits, one of several parts is equal.
struct Looks {
    near_bits: u32,
    /// In the order of adding.
    all: Vec<(usize, u64)>,
    /// By the number of a part and its bits: places in `all`.
    by_part: HashMap<(u32, u64), Vec<usize>>,
}

impl Looks {
    fn new(near_bits: u32) -> Self {
        Self { near_bits, all: Vec::new(), by_part: HashMap::new() }
    }

    /// One part more than bits may differ.
    fn parts(&self, look: u64) -> impl Iterator<Item = (u32, u64)> + use<> {
        let count = self.near_bits.saturating_add(1).min(64);
        (0..count).map(move |part| {
            let (from, to) = (part * 64 / count, (part + 1) * 64 / count);
            (part, (look >> from) & (u64::MAX >> (64 - (to - from))))
        })
    }

    fn add(&mut self, place: usize, look: u64) {
        for part in self.parts(look) {
            self.by_part.entry(part).or_default().push(self.all.len());
        }
        self.all.push((place, look));
    }

    /// The first added one that is a near copy.
    fn first_near(&self, look: u64) -> Option<usize> {
        let near = |at: &usize| (self.all[*at].1 ^ look).count_ones() <= self.near_bits;
        // Any two are near.
        if self.near_bits >= 64 {
            return self.all.first().map(|(place, _)| *place);
        }
        let found =
            self.parts(look).filter_map(|part| self.by_part.get(&part)?.iter().copied().find(near));
        found.min().map(|at| self.all[at].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_near_copies_is_a_copy_of_none() {
        let frame = |(look, overall, folder): &(u64, f64, &str)| {
            let mut record = Record::failed(format!("{folder}/{look}.png"), String::new());
            record.look = Some(format!("{look:016x}"));
            let frame = Frame {
                axes: Vec::new(),
                overall: Some(*overall),
                unread: None,
                duplicate_of: None,
            };
            (record, frame)
        };
        // Each differs from the next in three bits: the ends do not look alike.
        let chain =
            [(0b0, 0.5, "a"), (0b111, 0.9, "a"), (0b11_1111, 0.7, "a"), (u64::MAX, 0.1, "b")];
        let (records, mut frames): (Vec<_>, Vec<_>) = chain.iter().map(frame).unzip();
        let mut verdicts = [Verdict::Review; 4];
        let of = |frames: &[Frame], by, near_bits| {
            near_copies(&records, frames, &[Verdict::Review; 4], Grouping { by, near_bits })
        };
        assert_eq!(of(&frames, None, 4), [Some(1), None, Some(1), None]);
        assert_eq!(of(&frames, None, 2), [None; 4]);
        assert_eq!(of(&frames, None, 64), [Some(1), None, Some(1), Some(1)]);
        assert_eq!(of(&frames, Some(GroupBy::Folder), 64), [Some(1), None, Some(1), None]);
        assert_eq!(of(&frames, Some(GroupBy::Seed), 64), [None; 4], "no seed is known");
        verdicts[1] = Verdict::Reject;
        let grouping = Grouping { by: None, near_bits: 4 };
        assert_eq!(
            near_copies(&records, &frames, &verdicts, grouping),
            [None, Some(2), None, None],
            "a reject is the best of none"
        );
        for frame in &mut frames {
            frame.overall = Some(0.5);
        }
        assert_eq!(of(&frames, None, 4), [None, Some(0), None, None], "the first of equals");
        frames[0].unread = Some("not read".to_owned());
        assert_eq!(of(&frames, None, 4), [None, Some(2), None, None], "it is the best of none");
    }

    /// What is found by parts is what comparing all with all finds.
    #[test]
    fn no_near_copy_is_missed() {
        let mut state = 7_u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        let bases: Vec<u64> = (0..20).map(|_| draw()).collect();
        for near_bits in [0, 1, 4, 9, 31, 63, 64] {
            let mut looks = Looks::new(near_bits);
            for place in 0..300 {
                let mut look = bases[place % bases.len()];
                (0..draw() % 12).for_each(|_| look ^= 1 << (draw() % 64));
                let near = |(_, other): &&(usize, u64)| (look ^ other).count_ones() <= near_bits;
                let first = looks.all.iter().find(near).map(|(place, _)| *place);
                assert_eq!(looks.first_near(look), first, "{near_bits}");
                if first.is_none() {
                    looks.add(place, look);
                }
            }
        }
    }

    #[test]
    fn frames_that_were_moved_stay_the_same_copies() {
        let copies = |names: [&str; 2]| {
            let record = |name: &str| {
                let look = Some(format!("{:016x}", 7));
                Record { look, ..Record::failed(name.to_owned(), String::new()) }
            };
            let frame =
                Frame { axes: Vec::new(), overall: Some(0.5), unread: None, duplicate_of: None };
            let frames = [frame.clone(), frame];
            near_copies(&names.map(record), &frames, &[Verdict::Review; 2], Grouping::default())
        };
        assert_eq!(copies(["a.png", "b.png"]), [None, Some(0)]);
        assert_eq!(copies(["reject/b.png", "review/a.png"]), [Some(1), None]);
    }
}
