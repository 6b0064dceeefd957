//! The tokens of a tokenizer as bytes, as the grammar library wants them.

use llguidance::token_bytes_from_tokenizer_json;
use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::GrammarError;
use crate::prompt::TextTokenizer;

/// A tokenizer, and the trie of its tokens.
pub(super) struct Vocabulary {
    tokenizer: TextTokenizer,
    trie: TokTrie,
}

impl Vocabulary {
    pub(super) fn new(tokenizer: &TextTokenizer, stop_ids: &[u32]) -> Result<Self, GrammarError> {
        let failed = |error: &dyn std::fmt::Display| GrammarError::Vocabulary(error.to_string());
        let Some(&first) = stop_ids.first() else { return Err(failed(&"no stop id")) };
        let shared = tokenizer.shared();
        let json = serde_json::to_value(&*shared).map_err(|error| failed(&error))?;
        let mut words = token_bytes_from_tokenizer_json(&json).map_err(|error| failed(&error))?;
        // The library takes added tokens as they are written. Gemma's runs of spaces are added
        // tokens, written with U+2581.
        for (id, added) in shared.get_added_tokens_decoder() {
            if let Some(word) = words.get_mut(id as usize).filter(|_| !added.special) {
                *word = shared.decode(&[id], false).map_err(|error| failed(&error))?.into_bytes();
            }
        }
        if let Some(id) = stop_ids.iter().find(|id| **id as usize >= words.len()) {
            return Err(failed(&format!("the stop id {id} is none of its {} ids", words.len())));
        }
        let info = TokRxInfo::new(words.len() as u32, first);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(stop_ids);
        Ok(Self { tokenizer: tokenizer.clone(), trie })
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            // Text that the tokenizer refuses is left to the trie, which knows every byte. A
            // special token in a label is words here too.
            self.tokenizer
                .encode_words(text)
                .unwrap_or_else(|_| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }
}
