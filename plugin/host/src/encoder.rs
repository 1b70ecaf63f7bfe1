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
    bundle::{digest::sha256_file, folder::Bundle, layout::ENCODER, manifest::EmbeddingEncoder, source::BundleSource},
    infer::ort::Runtime,
    installed,
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
    /// Opens the encoder that `spec` names: from the folder in the options, else the bundle, else the installed tree.
    pub(crate) fn open(
        bundle: &Bundle,
        spec: &EmbeddingEncoder,
        runtime: &Runtime,
        options: &RouterOptions,
    ) -> Result<Self, OpenError> {
        let limits = &options.limits;
        let listed = bundle.manifest.files.get(&format!("{ENCODER}/{}", text::MODEL));
        let text = match (&options.encoder, &bundle.source, listed) {
            (Some(folder), ..) => open_folder(folder, spec, runtime, limits.sessions)?,
            (None, _, Some(sha256)) => {
                check_hash(&bundle.source.path(ENCODER), sha256, spec)?;
                TextEncoder::from_bundle(bundle, runtime, limits.sessions)?
            }
            (None, BundleSource::Folder(dir), None) if dir.join(ENCODER).is_dir() => {
                open_folder(&dir.join(ENCODER), spec, runtime, limits.sessions)?
            }
            (None, source, None) => match (installed::part(installed::ENCODER), source) {
                (Some(folder), _) => open_folder(&folder, spec, runtime, limits.sessions)?,
                (None, BundleSource::Folder(dir)) => open_folder(&dir.join(ENCODER), spec, runtime, limits.sessions)?,
                (None, BundleSource::Embedded(_)) => {
                    let id = &spec.encoder_id;
                    return Err(OpenError::Encoder(format!("the bundle needs {id} and does not include it")));
                }
            },
        };
        if text.dim() != spec.dim {
            let (id, dim) = (&spec.encoder_id, text.dim());
            return Err(OpenError::Encoder(format!("{id} has {dim} dimensions, the bundle takes {}", spec.dim)));
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

fn open_folder(
    folder: &Path,
    spec: &EmbeddingEncoder,
    runtime: &Runtime,
    sessions: u32,
) -> Result<TextEncoder, OpenError> {
    if !folder.is_dir() {
        let (id, folder) = (&spec.encoder_id, folder.display());
        return Err(OpenError::Encoder(format!("the bundle needs {id}, and {folder} is not a folder")));
    }
    if spec.sha256.is_some() {
        check_hash(folder, &sha256_file(&folder.join(text::MODEL))?, spec)?;
    }
    TextEncoder::with_runtime(folder, runtime, sessions)
}

/// Refuses an encoder whose model has another hash than the bundle's, if the bundle has one.
fn check_hash(folder: &Path, found: &str, spec: &EmbeddingEncoder) -> Result<(), OpenError> {
    let Some(expected) = spec.sha256.as_deref().filter(|expected| *expected != found) else { return Ok(()) };
    let (id, file) = (&spec.encoder_id, folder.join(text::MODEL));
    let file = file.display();
    Err(OpenError::Encoder(format!("the bundle needs {id} with sha256 {expected}, {file} has {found}")))
}
