//! Turns query text into embeddings: from a cache, or through a bounded queue that batches new texts.

mod group;
mod queue;
mod text;
mod tokens;

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
    time::Instant,
};

use moka::sync::Cache;

use self::queue::Queue;
pub use self::text::TextEncoder;
use crate::{
    OpenError, RouterOptions,
    bundle::{digest::sha256_file, manifest::EmbeddingEncoder},
    infer::ort::Runtime,
};

/// Why a text could not be embedded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncoderError {
    /// The queue of waiting texts is full.
    #[error("the text encoder's queue is full")]
    Overloaded,
    /// The text was not encoded before the caller's deadline.
    #[error("the deadline of the call has passed")]
    Timeout,
    /// The tokenizer or the model failed.
    #[error("{0}")]
    Failed(String),
}

/// The text encoder of a router: cache, queue, model.
pub(crate) struct Encoder {
    queue: Queue,
    /// Keyed by the hash and length of the text: the text itself is never kept.
    cache: Cache<(u64, usize), Arc<[f32]>>,
    hasher: RandomState,
}

impl Encoder {
    /// Opens the encoder that `spec` names, from the folder in the options, else from the bundle.
    pub(crate) fn open(
        bundle: &Path,
        spec: &EmbeddingEncoder,
        runtime: &Runtime,
        options: &RouterOptions,
    ) -> Result<Self, OpenError> {
        let folder = options.encoder.clone().unwrap_or_else(|| bundle.join("encoder"));
        if !folder.is_dir() {
            let (id, folder) = (&spec.encoder_id, folder.display());
            return Err(OpenError::Encoder(format!("the bundle needs {id}, and {folder} is not a folder")));
        }
        check_hash(&folder, spec)?;
        let limits = &options.limits;
        let text = TextEncoder::with_runtime(&folder, runtime, limits.sessions)?;
        if text.dim() != spec.dim {
            let (dim, folder) = (text.dim(), folder.display());
            return Err(OpenError::Encoder(format!("{folder} has {dim} dimensions, the bundle takes {}", spec.dim)));
        }
        let queue = Queue::start(Box::new(text), limits.sessions, limits.encoder_queue)?;
        Ok(Self { queue, cache: Cache::new(limits.encoder_cache), hasher: RandomState::new() })
    }

    /// Returns the embedding of the first 256 tokens of `text`.
    pub(crate) fn embed(&self, text: &str, deadline: Instant) -> Result<Vec<f32>, EncoderError> {
        let key = (self.hasher.hash_one(text), text.len());
        if let Some(known) = self.cache.get(&key) {
            return Ok(known.to_vec());
        }
        let embedding = self.queue.embed(text, deadline)?;
        self.cache.insert(key, embedding.as_slice().into());
        Ok(embedding)
    }
}

fn check_hash(folder: &Path, spec: &EmbeddingEncoder) -> Result<(), OpenError> {
    let Some(expected) = &spec.sha256 else { return Ok(()) };
    let file = folder.join(text::MODEL);
    let found = sha256_file(&file).map_err(OpenError::Bundle)?;
    if found == *expected {
        return Ok(());
    }
    let (id, file) = (&spec.encoder_id, file.display());
    Err(OpenError::Encoder(format!("the bundle needs {id} with sha256 {expected}, {file} has {found}")))
}
