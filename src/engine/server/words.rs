//! How probable each of a few words is, by the first token of a server's answer.
//!
//! In: the words, and the server's tokenizer if it has one; the most probable first tokens. Out:
//! the distribution over the words. Promises: a figure is right to two decimals, or there is none.
//! A word that the server did not list counts as 0 only if it cannot have more than
//! [`MAX_UNKNOWN_SHARE`]; a token that may begin several words is an error, unless its probability
//! is as small.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::generate::{Distribution, Words, WordsError};
use crate::record::to_four_decimals;
use crate::server::{AskError, FirstToken, Server, ServerKind};

/// The share of the words' probability below which an unlisted word counts as 0.
const MAX_UNKNOWN_SHARE: f64 = 0.005;

/// The words of all questions, as the server's tokenizer writes them.
#[derive(Default)]
pub(super) struct ServerWords(Mutex<HashMap<Arc<[String]>, Arc<FirstTokens>>>);

/// A few words.
pub(super) enum FirstTokens {
    /// By the ids of their first tokens.
    Ids(Words),
    /// By the texts of their first tokens: every form of a word, and its index.
    Texts { forms: BTreeMap<String, usize>, words: usize },
}

/// Why words have no ids.
enum WordIdsError {
    Words(WordsError),
    Ask(AskError),
}

impl From<WordsError> for WordIdsError {
    fn from(error: WordsError) -> Self {
        Self::Words(error)
    }
}

impl ServerWords {
    /// The words as `server` writes them; it is asked once.
    pub(super) fn of(
        &self,
        server: &Server,
        words: &Arc<[String]>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Arc<FirstTokens>, AskError> {
        // Others that ask the same wait for it.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(words) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(FirstTokens::of(server, words, stop)?);
        known.insert(Arc::clone(words), Arc::clone(&made));
        Ok(made)
    }
}

impl FirstTokens {
    fn of(server: &Server, words: &[String], stop: &dyn Fn() -> bool) -> Result<Self, AskError> {
        if matches!(server.kind, ServerKind::Ollama | ServerKind::OpenAi) {
            return Ok(Self::Texts { forms: Words::forms(words), words: words.len() });
        }
        let write = |text: &str| server.token_ids(text, stop).map_err(WordIdsError::Ask);
        let made = Words::written_by(words, &[], write).map_err(|error| match error {
            WordIdsError::Words(error) => AskError::Server(error.to_string()),
            WordIdsError::Ask(error) => error,
        })?;
        let first = made.first_words();
        if (0..words.len()).any(|word| !first.contains(&Some(word))) {
            // An answer that is begun for the model cannot be sent to every server.
            let reason = format!(
                "the words {} begin with the same token, and of a server only the first one is \
                 known",
                words.join(", ")
            );
            return Err(AskError::Server(reason));
        }
        Ok(Self::Ids(made))
    }

    /// The ids that are asked about, if they are known.
    pub(super) fn ids(&self) -> Option<&[u32]> {
        match self {
            Self::Ids(words) => Some(words.first_ids()),
            Self::Texts { .. } => None,
        }
    }

    /// The distribution.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) fn distribution(&self, first: &FirstToken) -> Result<Distribution, String> {
        match self {
            Self::Ids(words) => {
                if first.by_id.is_empty() {
                    return Err("the server named tokens without their ids".to_owned());
                }
                let found = words.first_ids().iter().map(|id| first.by_id.get(id).copied());
                let found: Vec<Option<f64>> = found.collect();
                check_unknown(&found, first)?;
                let probabilities: Vec<f64> =
                    found.into_iter().map(Option::unwrap_or_default).collect();
                // A space that all words may begin with, say.
                let mut of_words = vec![0.0; words.words().len()];
                let mut shared = 0.0;
                for (word, probability) in words.first_words().into_iter().zip(&probabilities) {
                    *word.map_or(&mut shared, |word| &mut of_words[word]) += probability;
                }
                distribution(&of_words, shared)
            }
            Self::Texts { forms, words } => {
                let found: Vec<Option<f64>> =
                    forms.keys().map(|form| first.by_text.get(form).copied()).collect();
                check_unknown(&found, first)?;
                let mass: f64 = found.iter().flatten().sum();
                let begins = |text: &str| {
                    let bare = text.trim_start();
                    !bare.is_empty()
                        && !forms.contains_key(text)
                        && forms.keys().any(|form| form.starts_with(text))
                };
                let doubtful = first.by_text.iter().find(|(text, probability)| {
                    **probability > MAX_UNKNOWN_SHARE * mass && begins(text)
                });
                if let Some((text, _)) = doubtful {
                    return Err(format!(
                        "the token {text:?} may begin one of the words, and the server does not \
                         say which"
                    ));
                }
                let mut probabilities = vec![0.0; *words];
                for (word, probability) in forms.values().zip(&found) {
                    probabilities[*word] += probability.unwrap_or_default();
                }
                distribution(&probabilities, 0.0)
            }
        }
    }
}

const NONE: &str = "none of the words is among the tokens that the server lists";

/// The distribution of words with these probabilities; `shared` is that of tokens with which
/// several begin.
fn distribution(of_words: &[f64], shared: f64) -> Result<Distribution, String> {
    let mass: f64 = of_words.iter().sum();
    if mass <= 0.0 {
        return Err(NONE.to_owned());
    }
    if shared > MAX_UNKNOWN_SHARE * mass {
        return Err("the model answers with a token that several words begin with".to_owned());
    }
    let probabilities =
        of_words.iter().map(|probability| to_four_decimals(probability / mass)).collect();
    Ok(Distribution { probabilities, mass: to_four_decimals((mass + shared).min(1.0)) })
}

/// Checks that the unlisted words have next to no probability.
fn check_unknown(found: &[Option<f64>], first: &FirstToken) -> Result<(), String> {
    let mass: f64 = found.iter().flatten().sum();
    let missing = found.iter().filter(|probability| probability.is_none()).count();
    let most = (missing as f64 * first.floor).min(first.rest());
    if missing == 0 || mass > 0.0 && most <= MAX_UNKNOWN_SHARE * mass {
        return Ok(());
    }
    if mass <= 0.0 {
        return Err(NONE.to_owned());
    }
    Err("the server lists too few tokens to know how probable each word is".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(tokens: &[(&str, f64)]) -> FirstToken {
        let floor =
            tokens.iter().map(|(_, probability)| *probability).fold(f64::INFINITY, f64::min);
        let by_text =
            tokens.iter().map(|(text, probability)| ((*text).to_owned(), *probability)).collect();
        FirstToken { by_text, floor, ..FirstToken::default() }
    }

    fn known() -> FirstTokens {
        let words = ["bad".to_owned(), "good".to_owned()];
        FirstTokens::Texts { forms: Words::forms(&words), words: 2 }
    }

    #[test]
    fn forms_of_a_word_count_together() {
        let top = first(&[("good", 0.6), (" Good", 0.1), ("bad", 0.2), ("the", 0.05), ("x", 1e-6)]);
        let distribution = known().distribution(&top).unwrap();
        assert_eq!(distribution.probabilities, [0.2222, 0.7778]);
        assert!((distribution.mass - 0.9).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_made_up() {
        let few = first(&[("good", 0.4), ("the", 0.1)]);
        assert!(known().distribution(&few).unwrap_err().contains("too few"));
        let doubtful = first(&[("good", 0.6), ("ba", 0.3), ("x", 1e-7)]);
        assert!(known().distribution(&doubtful).unwrap_err().contains("\"ba\""));
        let none = first(&[("the", 0.9), ("x", 0.01)]);
        assert!(known().distribution(&none).unwrap_err().contains("none of the words"));
        // All tokens are listed: an unlisted one can only have the rest, which is 0.
        let all = first(&[("good", 0.9), ("the", 0.1)]);
        assert_eq!(known().distribution(&all).unwrap().probabilities, [0.0, 1.0]);
    }
}
