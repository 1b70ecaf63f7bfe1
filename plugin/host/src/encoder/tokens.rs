//! Turns text into token ids, with the limits that the published sentence encoders were used with.

use tokenizers::{Tokenizer, TruncationParams};

use super::EncoderError;
use crate::truncate::truncate;

/// Most tokens of a text, its start and end tokens included: the limit of the published embeddings.
const MAX_TOKENS: usize = 256;

/// Most bytes of a text that are tokenized; 256 tokens are far shorter.
const MAX_TEXT: usize = 64 << 10;

/// The tokenizer of `tokenizer.json`, with its truncation and padding settings replaced.
pub(super) struct Tokens(Tokenizer);

impl Tokens {
    /// Parses the content of `tokenizer.json`.
    pub(super) fn parse(json: &[u8]) -> Result<Self, tokenizers::Error> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation))?;
        tokenizer.with_padding(None);
        Ok(Self(tokenizer))
    }

    /// Returns the ids of at most [`MAX_TOKENS`] tokens.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<i64>, EncoderError> {
        let encoding = self.0.encode_fast(truncate(text, MAX_TEXT), true);
        let encoding = encoding.map_err(|error| EncoderError::Failed(format!("tokenizer: {error}")))?;
        Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
    }
}
