//! Questions that one of a few words answers.
//!
//! In: the words, the tokenizer. Out: the requests that score the words as an answer, and from the
//! replies the distribution over the words. Promises: nothing is sampled. A word counts in every
//! spelling (`good`, `Good`, with a space before it). One request is enough if the words differ in
//! their first token; words that begin alike take one more request for each position at which they
//! part, all of them independent of each other. The distribution is the one that sampling under
//! "only these words" would draw from.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::{NextToken, Request, RequestKind};
use crate::prompt::{TextTokenizer, TokenizerError};
use crate::record::{index_of_greatest, to_four_decimals};

/// Why words cannot be asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WordsError {
    /// One word is no choice.
    #[error("at least two words are needed to choose from")]
    TooFew,
    /// Nothing to write.
    #[error("a word is empty")]
    Empty,
    /// A word whose tokens do not give it back.
    #[error("the model's tokenizer cannot write {0:?}")]
    Unwritable(String),
    /// Two words that are the same tokens.
    #[error("{0:?} and {1:?} cannot be told apart")]
    Alike(String, String),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// How probable each of a few words is as the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// One for each word, in their order; they sum to 1, except for rounding to four decimals.
    pub probabilities: Vec<f64>,
    /// The share of the whole vocabulary's probability that the first tokens of all words have
    /// together; near 0, the model would have answered something else.
    pub mass: f64,
}

impl Distribution {
    /// The most probable word; of equal ones the first.
    pub fn top(&self) -> usize {
        index_of_greatest(&self.probabilities).unwrap_or(0)
    }
}

/// A few words as a tree of tokens.
#[derive(Debug)]
pub struct Words {
    words: Vec<String>,
    /// A fork comes before the forks behind it.
    forks: Vec<Fork>,
}

/// A position at which the words part.
#[derive(Debug)]
struct Fork {
    /// The tokens before it.
    prefix: Vec<u32>,
    ids: Arc<[u32]>,
    /// The branch behind each of `ids`.
    branches: Vec<Branch>,
}

#[derive(Debug, Clone, Copy)]
enum Branch {
    /// Only this word goes on like that.
    Word(usize),
    Fork(usize),
}

impl Words {
    /// The words as `tokenizer` writes them; `stop_ids` end an answer.
    ///
    /// # Errors
    /// [`WordsError`].
    pub fn new(
        tokenizer: &TextTokenizer,
        words: &[String],
        stop_ids: &[u32],
    ) -> Result<Self, WordsError> {
        Self::written_by(words, stop_ids, |text| Ok(written(tokenizer, text)?))
    }

    /// The same for any tokenizer: `write` gives the ids of a text, or `None` if they do not decode
    /// to it.
    ///
    /// # Errors
    /// As [`Self::new`], and those of `write`.
    pub fn written_by<E: From<WordsError>>(
        words: &[String],
        stop_ids: &[u32],
        mut write: impl FnMut(&str) -> Result<Option<Vec<u32>>, E>,
    ) -> Result<Self, E> {
        if words.len() < 2 {
            return Err(WordsError::TooFew.into());
        }
        let mut forms: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
        for (word, text) in words.iter().enumerate() {
            if text.trim().is_empty() {
                return Err(WordsError::Empty.into());
            }
            let ids = write(text)?.ok_or_else(|| WordsError::Unwritable(text.clone()))?;
            if let Some(other) = forms.insert(ids, word) {
                return Err(WordsError::Alike(words[other].clone(), text.clone()).into());
            }
        }
        // Other ways of writing a word count for it unless another word is written like that.
        for (word, text) in words.iter().enumerate() {
            for form in other_forms(text) {
                if let Some(ids) = write(&form)? {
                    forms.entry(ids).or_insert(word);
                }
            }
        }
        let forms: Vec<(Vec<u32>, usize)> = forms.into_iter().collect();
        let mut made = Self { words: words.to_vec(), forks: Vec::new() };
        made.split(&forms, 0, stop_ids);
        Ok(made)
    }

    /// Every spelling of every word, with the word's index. A spelling that several words have
    /// belongs to the word that is exactly it, else to the first.
    pub fn forms(words: &[String]) -> BTreeMap<String, usize> {
        let mut forms: BTreeMap<String, usize> = words.iter().cloned().zip(0..).collect();
        for (word, text) in words.iter().enumerate() {
            for form in other_forms(text) {
                forms.entry(form).or_insert(word);
            }
        }
        forms
    }

    /// The ids that are looked at first.
    pub fn first_ids(&self) -> &[u32] {
        self.forks.first().map_or(&[], |fork| &fork.ids)
    }

    /// The words, in their order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How many requests [`Self::requests`] makes: one if the first tokens tell the words apart.
    pub fn forks(&self) -> usize {
        self.forks.len()
    }

    /// For each of [`Self::first_ids`] the word that begins with it; `None` if several do, and only
    /// another request tells them apart.
    pub fn first_words(&self) -> Vec<Option<usize>> {
        let word = |branch: &Branch| match branch {
            Branch::Word(word) => Some(*word),
            Branch::Fork(_) => None,
        };
        self.forks.first().map_or_else(Vec::new, |fork| fork.branches.iter().map(word).collect())
    }

    /// The requests behind a prompt.
    pub fn requests(&self, prompt_ids: &[u32]) -> Vec<Request> {
        let request = |fork: &Fork| Request {
            prompt_ids: prompt_ids.iter().chain(&fork.prefix).copied().collect(),
            kind: RequestKind::ScoreNext(Arc::clone(&fork.ids)),
        };
        self.forks.iter().map(request).collect()
    }

    /// The distribution, from the replies to [`Self::requests`]; `None` if their numbers differ.
    pub fn distribution(&self, replies: &[&NextToken]) -> Option<Distribution> {
        if replies.len() != self.forks.len() {
            return None;
        }
        let mut probabilities = vec![0.0; self.words.len()];
        let mut reached = vec![0.0; self.forks.len()];
        *reached.first_mut()? = 1.0;
        for (index, (fork, reply)) in self.forks.iter().zip(replies).enumerate() {
            for (branch, share) in fork.branches.iter().zip(&reply.shares) {
                let probability = reached[index] * share;
                match *branch {
                    Branch::Word(word) => probabilities[word] += probability,
                    Branch::Fork(next) => reached[next] += probability,
                }
            }
        }
        let probabilities = probabilities.into_iter().map(to_four_decimals).collect();
        Some(Distribution { probabilities, mass: replies.first()?.mass })
    }

    /// Makes the fork at which `forms`, which are sorted and share their first `depth` tokens,
    /// part; its index.
    fn split(&mut self, forms: &[(Vec<u32>, usize)], mut depth: usize, stop_ids: &[u32]) -> usize {
        // Skip tokens that all forms share, except at the root, whose logits give `mass`.
        while depth > 0
            && forms
                .iter()
                .all(|(ids, _)| ids.get(depth).is_some() && ids[depth] == forms[0].0[depth])
        {
            depth += 1;
        }
        let index = self.forks.len();
        self.forks.push(Fork {
            prefix: forms[0].0[..depth].to_vec(),
            ids: Arc::default(),
            branches: Vec::new(),
        });
        let (mut ids, mut branches) = (Vec::new(), Vec::new());
        let mut rest = forms;
        while let Some((first, word)) = rest.first() {
            let Some(&id) = first.get(depth) else {
                // This word is a prefix of the others, and sorted before them: a stop token selects
                // it.
                ids.extend(stop_ids);
                branches.extend(stop_ids.iter().map(|_| Branch::Word(*word)));
                rest = &rest[1..];
                continue;
            };
            let group = rest.iter().take_while(|(ids, _)| ids.get(depth) == Some(&id)).count();
            let (same, others) = rest.split_at(group);
            ids.push(id);
            let branch = if same.iter().all(|(_, other)| other == word) {
                Branch::Word(*word)
            } else {
                Branch::Fork(self.split(same, depth + 1, stop_ids))
            };
            branches.push(branch);
            rest = others;
        }
        self.forks[index].ids = ids.into();
        self.forks[index].branches = branches;
        index
    }
}

/// The tokens of a text; `None` if they do not decode to it.
fn written(tokenizer: &TextTokenizer, text: &str) -> Result<Option<Vec<u32>>, TokenizerError> {
    let ids = tokenizer.encode_words(text)?;
    let back = tokenizer.decode(&ids)?;
    Ok(Some(ids).filter(|ids| !ids.is_empty() && back == text))
}

/// With a capital, without one, and each of these after a space.
fn other_forms(word: &str) -> impl Iterator<Item = String> {
    let mut letters = word.chars();
    let first = letters.next();
    let rest = letters.as_str();
    let upper = first.map(|first| first.to_uppercase().chain(rest.chars()).collect::<String>());
    let lower = first.map(|first| first.to_lowercase().chain(rest.chars()).collect::<String>());
    let unspaced = [Some(word.to_owned()), upper, lower].into_iter().flatten().collect::<Vec<_>>();
    let spaced: Vec<String> = unspaced.iter().map(|form| format!(" {form}")).collect();
    unspaced.into_iter().chain(spaced)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;

    use super::*;

    fn next(shares: &[f64], mass: f64) -> NextToken {
        NextToken { shares: shares.to_vec(), mass, is_near_rounding: false }
    }

    /// Gemma 4's own tokenizer.
    fn gemma() -> TextTokenizer {
        let packed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gemma4/tokenizer.json.gz");
        let mut json = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap())
            .read_to_end(&mut json)
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tokenizer.json"), json).unwrap();
        TextTokenizer::open(directory.path()).unwrap()
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_usual_words_need_one_look_and_count_however_they_are_written() {
        let tokenizer = gemma();
        for words in [
            &["bad", "poor", "fair", "good", "excellent"][..],
            &["yes", "no"],
            &["none", "few", "many"],
        ] {
            let made = Words::new(&tokenizer, &owned(words), &[1, 106]).unwrap();
            assert_eq!(made.forks(), 1, "{words:?}");
            let ids = &made.forks[0].ids;
            for (word, text) in words.iter().enumerate() {
                let capital = text[..1].to_uppercase() + &text[1..];
                for form in
                    [(*text).to_owned(), format!(" {text}"), capital.clone(), format!(" {capital}")]
                {
                    let first = tokenizer.encode(&form).unwrap()[0];
                    let fork = ids
                        .iter()
                        .position(|&id| id == first)
                        .unwrap_or_else(|| panic!("{form:?}"));
                    assert!(
                        matches!(made.forks[0].branches[fork],
                            Branch::Word(other) if other == word),
                        "{form:?}"
                    );
                }
            }
            let shares: Vec<f64> = made.forks[0]
                .branches
                .iter()
                .map(|branch| f64::from(u8::from(matches!(branch, Branch::Word(1)))))
                .collect();
            let count: f64 = shares.iter().sum();
            let shares: Vec<f64> = shares.iter().map(|share| share / count).collect();
            let distribution = made.distribution(&[&next(&shares, 0.9)]).unwrap();
            assert!(
                distribution.top() == 1
                    && distribution.probabilities[1] > 0.999
                    && distribution.mass > 0.89
            );
        }
    }

    #[test]
    fn words_that_begin_alike_are_told_apart_behind_that() {
        let tokenizer = gemma();
        let words = owned(&["very bad", "very good", "bad"]);
        let made = Words::new(&tokenizer, &words, &[1, 106]).unwrap();
        let requests = made.requests(&[2, 7]);
        assert_eq!(made.forks(), requests.len());
        assert!(made.forks() > 1);
        assert_eq!(requests[0].prompt_ids, [2, 7]);
        assert!(requests[1..].iter().all(|request| request.prompt_ids.len() > 2));
        // All of the mass on "very" at first, and evenly behind it.
        let replies: Vec<NextToken> = made
            .forks
            .iter()
            .enumerate()
            .map(|(index, fork)| {
                let deep = fork.branches.iter().map(|branch| matches!(branch, Branch::Fork(_)));
                let chosen: Vec<bool> =
                    if index == 0 { deep.collect() } else { deep.map(|_| true).collect() };
                let count = chosen.iter().filter(|&&chosen| chosen).count() as f64;
                next(
                    &chosen
                        .iter()
                        .map(|&chosen| f64::from(u8::from(chosen)) / count)
                        .collect::<Vec<_>>(),
                    1.0,
                )
            })
            .collect();
        let distribution = made.distribution(&replies.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(distribution.probabilities, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn a_word_that_another_one_begins_with_ends_with_the_answer() {
        let tokenizer = gemma();
        let made = Words::new(&tokenizer, &owned(&["good", "good enough"]), &[1, 106]).unwrap();
        let behind: Vec<_> = made.forks.iter().filter(|fork| fork.ids.contains(&106)).collect();
        assert!(!behind.is_empty());
        assert!(
            behind.iter().all(|fork| fork.ids.contains(&1) && fork.ids.len() == 3),
            "{behind:?}"
        );
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let tokenizer = gemma();
        let refused =
            |words: &[&str]| Words::new(&tokenizer, &owned(words), &[1]).unwrap_err().to_string();
        assert!(refused(&["yes"]).contains("at least two"));
        assert!(refused(&["yes", " "]).contains("empty"));
        assert!(refused(&["yes", "yes"]).contains("told apart"));
        // Words that differ only by a capital letter stay apart.
        assert_eq!(Words::new(&tokenizer, &owned(&["A", "a"]), &[1]).unwrap().words().len(), 2);
    }
}
