//! How many tokens a step feeds, and the prefix that requests share.

use super::Request;

/// How much is done at once.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Answers that are written at the same time.
    pub rows: usize,
    /// Tokens whose arithmetic takes as long as reading the weights, which every step does once.
    pub step_tokens: usize,
    /// Tokens of prompts that are run together.
    pub prompt_tokens: usize,
}

impl BatchLimits {
    /// One answer at a time.
    pub fn single() -> Self {
        Self { rows: 1, ..Self::default() }
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        // Two cores with AVX-512: a step of 1, 8, 16 and 32 rows took 53, 80, 94 and 117 ms
        // (docs/BENCHMARKS.md).
        Self { rows: 32, step_tokens: 24, prompt_tokens: 4096 }
    }
}

/// The tokens that a row could be fed.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowQueue {
    /// Tokens in its queue.
    pub(super) queued: usize,
    /// Its last tokens that could be fed again.
    pub(super) refeedable: usize,
}

/// How many tokens of each row the next step feeds.
///
/// The shortest queue can be fed without filling up any row. Feeding more is worth it if it
/// advances more tokens for its cost: a step reads the weights once, and then computes for every
/// token.
pub(super) fn sequence(rows: &[RowQueue], step_tokens: usize, padding: bool) -> usize {
    let queues = || rows.iter().map(|row| row.queued);
    let shortest = queues().min().unwrap_or(0);
    if !padding {
        return shortest;
    }
    let longest = queues().max().unwrap_or(0);
    let most = rows.iter().map(|row| row.queued + row.refeedable).min().unwrap_or(0);
    let gain = |sequence: usize| {
        let forward: usize = queues().map(|queue| queue.min(sequence)).sum();
        let cost = 1.0 + (rows.len() * sequence) as f64 / step_tokens.max(1) as f64;
        forward as f64 / cost
    };
    let mut best = shortest;
    for sequence in shortest + 1..=longest.min(most) {
        if gain(sequence) > gain(best) {
            best = sequence;
        }
    }
    best
}

/// How many first tokens all prompts share; at least one of each is left to be decoded.
pub(super) fn common_prefix(requests: &[&Request]) -> usize {
    let Some((first, others)) = requests.split_first() else { return 0 };
    let shared = |other: &&Request| {
        let pairs = first.prompt_ids.iter().zip(&other.prompt_ids);
        pairs.take_while(|(a, b)| a == b).count().min(other.prompt_ids.len() - 1)
    };
    others.iter().map(shared).min().unwrap_or(0).min(first.prompt_ids.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::RequestKind;

    #[test]
    fn a_step_feeds_what_it_is_worth() {
        let rows = |queues: &[usize]| {
            queues.iter().map(|&queued| RowQueue { queued, refeedable: 5 }).collect::<Vec<_>>()
        };
        assert_eq!(sequence(&rows(&[9]), 24, true), 9, "one row goes on as far as it can");
        assert_eq!(
            sequence(&rows(&[3, 9, 4]), 24, false),
            3,
            "without padding, as far as the shortest queue"
        );
        assert_eq!(
            sequence(&rows(&[1, 8]), 24, true),
            6,
            "no further than the shortest row can be filled up"
        );
        let mut many = vec![1; 31];
        many.push(9);
        assert_eq!(
            sequence(&rows(&many), 24, true),
            1,
            "one row of many is not worth the others' arithmetic"
        );
        assert_eq!(sequence(&[], 24, true), 0);
    }

    #[test]
    fn a_token_of_each_prompt_is_left() {
        let request = |ids: &[u32]| Request {
            prompt_ids: ids.to_vec(),
            kind: RequestKind::ScoreNext([7].into()),
        };
        let shared = |all: &[&[u32]]| {
            let requests: Vec<Request> = all.iter().map(|ids| request(ids)).collect();
            common_prefix(&requests.iter().collect::<Vec<_>>())
        };
        assert_eq!(shared(&[&[1, 2, 3, 4], &[1, 2, 5, 6]]), 2);
        assert_eq!(shared(&[&[1, 2, 3], &[1, 2, 3, 4]]), 2);
        assert_eq!(shared(&[&[1, 2, 3], &[1, 2, 3]]), 2);
    }
}
