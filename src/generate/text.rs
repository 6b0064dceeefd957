//! Ids to text as they come.
//!
//! In: ids and their probabilities, one at a time. Out: the text, and the bytes of it that each id
//! stands for. Promises: the text equals that of all ids at once; a character of several tokens
//! appears when it is whole.

use std::sync::Arc;

use crate::answer::TokenSpan;
use crate::prompt::{TextTokenizer, TokenizerError};

/// Collects an answer's text.
pub(super) struct TextStream {
    tokenizer: Arc<TextTokenizer>,
    text: String,
    spans: Vec<TokenSpan>,
    /// Ids whose bytes are not a whole character yet.
    pending: Vec<u32>,
}

/// A character has at most four bytes, so more ids than that are not an unfinished one but broken
/// bytes.
const MAX_CHARACTER_BYTES: usize = 4;

impl TextStream {
    /// An empty text.
    pub(super) fn new(tokenizer: Arc<TextTokenizer>) -> Self {
        Self { tokenizer, text: String::new(), spans: Vec::new(), pending: Vec::new() }
    }

    /// Appends a token.
    ///
    /// # Errors
    /// [`TokenizerError::Convert`].
    pub(super) fn push(
        &mut self,
        id: u32,
        log_probability: Option<f64>,
    ) -> Result<(), TokenizerError> {
        let start = self.text.len();
        self.pending.push(id);
        self.spans.push(TokenSpan { bytes: start..start, log_probability });
        let piece = self.tokenizer.decode(&self.pending)?;
        if !piece.ends_with(char::REPLACEMENT_CHARACTER)
            || self.pending.len() >= MAX_CHARACTER_BYTES
        {
            self.accept(&piece);
        }
        Ok(())
    }

    fn accept(&mut self, piece: &str) {
        self.text.push_str(piece);
        let first = self.spans.len() - self.pending.len();
        for span in &mut self.spans[first..] {
            span.bytes.end = self.text.len();
        }
        self.pending.clear();
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The whole text and the spans. An unfinished character at the end is left as the replacement
    /// character.
    pub(super) fn finish(mut self) -> (String, Vec<TokenSpan>) {
        if !self.pending.is_empty() {
            self.accept("\u{FFFD}");
        }
        (self.text, self.spans)
    }
}
