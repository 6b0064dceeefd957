//! Questions that one of a few words answers.
//!
//! In: the words, the tokenizer. Out: what has to be looked at to know how probable each word is,
//! and from that the distribution over them. Promises: nothing is sampled. A word counts however it
//! is written (`good`, `Good`, with a space before it). A word of several tokens needs no look of
//! its own where its first token tells it from the others; where words begin alike, one more query
//! is asked for each place at which they part, beside the first and not after it. What comes out is
//! the distribution that sampling under "only these words" would draw from.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::{NextToken, Request, Wanted};
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
    /// One for each word, in their order; they sum to 1 but for rounding to four decimals.
    pub probabilities: Vec<f64>,
    /// What the first tokens of all words have of the whole vocabulary's probability; near 0, the
    /// model wanted to say something else.
    pub mass: f64,
}

impl Distribution {
    /// The most probable word; of equal ones the first.
    pub fn top(&self) -> usize {
        index_of_greatest(&self.probabilities).unwrap_or(0)
    }
}

/// A few words, and where their tokens part.
#[derive(Debug)]
pub struct Words {
    words: Vec<String>,
    /// A place comes before those that lie behind it.
    places: Vec<Place>,
}

/// A place at which words part.
#[derive(Debug)]
struct Place {
    /// The tokens before it.
    path: Vec<u32>,
    ids: Arc<[u32]>,
    /// Where each of `ids` leads.
    leads: Vec<Lead>,
}

#[derive(Debug, Clone, Copy)]
enum Lead {
    /// Only this word goes on like that.
    Word(usize),
    Place(usize),
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

    /// The same for any tokenizer: `write` gives the ids of a text, `None` where they do not give
    /// it back.
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
        let mut made = Self { words: words.to_vec(), places: Vec::new() };
        made.part(&forms, 0, stop_ids);
        Ok(made)
    }

    /// Every way in which a word may be written, with the word's index: that of several words
    /// belongs to the one that is exactly it, else to the first.
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
        self.places.first().map_or(&[], |place| &place.ids)
    }

    /// The words, in their order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How many queries [`Self::requests`] makes: one, where the first tokens tell the words apart.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// For each of [`Self::first_ids`] the word that goes on like that; `None` where several do,
    /// which only a further look tells apart.
    pub fn first_words(&self) -> Vec<Option<usize>> {
        let word = |lead: &Lead| match lead {
            Lead::Word(word) => Some(*word),
            Lead::Place(_) => None,
        };
        self.places.first().map_or_else(Vec::new, |place| place.leads.iter().map(word).collect())
    }

    /// What has to be asked behind a prompt.
    pub fn requests(&self, prompt_ids: &[u32]) -> Vec<Request> {
        let request = |place: &Place| Request {
            prompt_ids: prompt_ids.iter().chain(&place.path).copied().collect(),
            wanted: Wanted::Next(Arc::clone(&place.ids)),
        };
        self.places.iter().map(request).collect()
    }

    /// The distribution, from the replies to [`Self::requests`]; `None` where there are not as
    /// many.
    pub fn distribution(&self, replies: &[&NextToken]) -> Option<Distribution> {
        if replies.len() != self.places.len() {
            return None;
        }
        let mut probabilities = vec![0.0; self.words.len()];
        let mut reached = vec![0.0; self.places.len()];
        *reached.first_mut()? = 1.0;
        for (index, (place, reply)) in self.places.iter().zip(replies).enumerate() {
            for (lead, share) in place.leads.iter().zip(&reply.shares) {
                let probability = reached[index] * share;
                match *lead {
                    Lead::Word(word) => probabilities[word] += probability,
                    Lead::Place(next) => reached[next] += probability,
                }
            }
        }
        let probabilities = probabilities.into_iter().map(to_four_decimals).collect();
        Some(Distribution { probabilities, mass: replies.first()?.mass })
    }

    /// Makes the place at which `forms`, which are sorted and share their first `depth` tokens,
    /// part; its index.
    fn part(&mut self, forms: &[(Vec<u32>, usize)], mut depth: usize, stop_ids: &[u32]) -> usize {
        // What all of them go on with needs no look; but the first one does, for its mass.
        while depth > 0
            && forms
                .iter()
                .all(|(ids, _)| ids.get(depth).is_some() && ids[depth] == forms[0].0[depth])
        {
            depth += 1;
        }
        let index = self.places.len();
        self.places.push(Place {
            path: forms[0].0[..depth].to_vec(),
            ids: Arc::default(),
            leads: Vec::new(),
        });
        let (mut ids, mut leads) = (Vec::new(), Vec::new());
        let mut rest = forms;
        while let Some((first, word)) = rest.first() {
            let Some(&id) = first.get(depth) else {
                // It ends where others go on; sorted, it is the first.
                ids.extend(stop_ids);
                leads.extend(stop_ids.iter().map(|_| Lead::Word(*word)));
                rest = &rest[1..];
                continue;
            };
            let group = rest.iter().take_while(|(ids, _)| ids.get(depth) == Some(&id)).count();
            let (same, others) = rest.split_at(group);
            ids.push(id);
            let lead = if same.iter().all(|(_, other)| other == word) {
                Lead::Word(*word)
            } else {
                Lead::Place(self.part(same, depth + 1, stop_ids))
            };
            leads.push(lead);
            rest = others;
        }
        self.places[index].ids = ids.into();
        self.places[index].leads = leads;
        index
    }
}

/// The tokens of a text; `None` where they do not give it back.
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
            assert_eq!(made.places(), 1, "{words:?}");
            let ids = &made.places[0].ids;
            for (word, text) in words.iter().enumerate() {
                let capital = text[..1].to_uppercase() + &text[1..];
                for form in
                    [(*text).to_owned(), format!(" {text}"), capital.clone(), format!(" {capital}")]
                {
                    let first = tokenizer.encode(&form).unwrap()[0];
                    let place = ids
                        .iter()
                        .position(|&id| id == first)
                        .unwrap_or_else(|| panic!("{form:?}"));
                    assert!(
                        matches!(made.places[0].leads[place], Lead::Word(other) if other == word),
                        "{form:?}"
                    );
                }
            }
            let shares: Vec<f64> = made.places[0]
                .leads
                .iter()
                .map(|lead| f64::from(u8::from(matches!(lead, Lead::Word(1)))))
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
        assert_eq!(made.places(), requests.len());
        assert!(made.places() > 1);
        assert_eq!(requests[0].prompt_ids, [2, 7]);
        assert!(requests[1..].iter().all(|request| request.prompt_ids.len() > 2));
        // All of the mass on "very" at first, and evenly behind it.
        let replies: Vec<NextToken> = made
            .places
            .iter()
            .enumerate()
            .map(|(index, place)| {
                let deep = place.leads.iter().map(|lead| matches!(lead, Lead::Place(_)));
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
        let behind: Vec<_> = made.places.iter().filter(|place| place.ids.contains(&106)).collect();
        assert!(!behind.is_empty());
        assert!(
            behind.iter().all(|place| place.ids.contains(&1) && place.ids.len() == 3),
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
        // Of words that differ by their capital alone each is itself.
        assert_eq!(Words::new(&tokenizer, &owned(&["A", "a"]), &[1]).unwrap().words().len(), 2);
    }
}
