//! Computes embeddings the data lacks, with the very encoder that serves requests.

use std::path::Path;

use anyhow::{Context, Result};
use ndarray::Array2;
use personaroute_host::encoder::TextEncoder;

use super::{Dataset, fingerprint};

/// Texts encoded at once.
const BATCH: usize = 32;

/// Fills the embeddings of queries, tasks and LLMs that are absent, using the model in `folder`.
pub fn missing(dataset: &mut Dataset, folder: &Path) -> Result<()> {
    let wanted = [&dataset.query_embeddings, &dataset.task_embeddings, &dataset.llm_embeddings];
    if wanted.iter().all(|array| array.ncols() > 0) {
        return Ok(());
    }
    let encoder = TextEncoder::open(folder, None).with_context(|| format!("text encoder {}", folder.display()))?;
    if dataset.query_embeddings.ncols() == 0 {
        let texts: Vec<&str> = dataset.queries.iter().map(|query| query.text.as_str()).collect();
        dataset.query_embeddings = encode(&encoder, &texts)?;
    }
    if dataset.task_embeddings.ncols() == 0 {
        let texts: Vec<&str> = dataset.tasks.iter().map(|task| task.description.as_str()).collect();
        dataset.task_embeddings = encode(&encoder, &texts)?;
    }
    if dataset.llm_embeddings.ncols() == 0 {
        let texts: Vec<&str> = dataset.llms.iter().map(|llm| llm.description.as_str()).collect();
        dataset.llm_embeddings = encode(&encoder, &texts)?;
    }
    dataset.fingerprint = fingerprint::of(dataset);
    Ok(())
}

fn encode(encoder: &TextEncoder, texts: &[&str]) -> Result<Array2<f32>> {
    let mut values = Vec::with_capacity(texts.len() * encoder.dim());
    for batch in texts.chunks(BATCH) {
        for embedding in encoder.embed_batch(batch).context("encode a batch of texts")? {
            values.extend(embedding);
        }
    }
    Array2::from_shape_vec((texts.len(), encoder.dim()), values).context("embeddings of one length")
}
