//! Text to token ids, as the sentence encoders were trained to read it.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use super::EncoderError;
use crate::import::cut;

/// Most tokens of a text, its two marks included: what the published embeddings were made with.
const MAX_TOKENS: usize = 256;

/// Most bytes of a text that are looked at; 256 tokens lie far before.
const MAX_TEXT: usize = 64 << 10;

/// The tokenizer of `tokenizer.json`, its own truncation and padding overridden.
pub(super) struct Tokens(Tokenizer);

impl Tokens {
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        let failed = |error: tokenizers::Error| format!("{}: {error}", file.display());
        let mut tokenizer = Tokenizer::from_file(file).map_err(failed)?;
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(failed)?;
        tokenizer.with_padding(None);
        Ok(Self(tokenizer))
    }

    /// Returns the ids of at most [`MAX_TOKENS`] tokens.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<i64>, EncoderError> {
        let encoding = self.0.encode_fast(cut(text, MAX_TEXT), true);
        let encoding = encoding.map_err(|error| EncoderError::Failed(format!("tokenizer: {error}")))?;
        Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
    }
}
