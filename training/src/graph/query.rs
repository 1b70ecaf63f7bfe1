//! Queries as the text encoders read them: hashed n-grams, or the vector of an embedding model.

use ndarray::Axis;
use personaroute_bundle::lexical::Lexical;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::data::Dataset;

/// Number of shape tokens that open a list of ids.
pub const SHAPE_TOKENS: usize = 7;

/// How query text becomes the scorer's input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoder {
    /// Hashed n-grams.
    Lexical(Lexical),
    /// The vector of a text-embedding model.
    Embedding,
}

impl Default for TextEncoder {
    fn default() -> Self {
        Self::Lexical(Lexical { buckets: 16_384, max_words: 2, max_ids: 512, seed: 0 })
    }
}

/// Encoder inputs of some queries of a data set, in the order they were asked for.
#[derive(Debug, Clone)]
pub enum QueryInputs {
    /// Hashed n-gram ids of each query.
    Lexical(Vec<Vec<i64>>),
    /// A vector for each query.
    Embedding(Vec<Vec<f32>>),
}

/// Some queries' encoder inputs as tensors.
#[derive(Debug)]
pub enum QueryBatch {
    /// What the plugin sends as one list of ids, taken apart.
    Lexical {
        /// Ids of the n-grams of all queries in a row.
        ids: Tensor,
        /// Beginning of each query and the end of the last.
        offsets: Tensor,
        /// `[queries, 7]`: the first ids of each query, its shape tokens; 0 where there are fewer.
        shape: Tensor,
    },
    /// `[queries, dim]`.
    Embedding(Tensor),
}

impl QueryInputs {
    /// Reads the texts, or the embeddings, of `queries`.
    pub fn build(encoder: &TextEncoder, dataset: &Dataset, queries: &[u32]) -> Self {
        match encoder {
            TextEncoder::Lexical(lexical) => Self::Lexical(lexical_ids(lexical, dataset, queries)),
            TextEncoder::Embedding => Self::Embedding(embeddings(dataset, queries)),
        }
    }

    /// Returns the encoder inputs of the queries at `positions`.
    pub fn batch(&self, positions: &[usize]) -> QueryBatch {
        match self {
            Self::Lexical(ids) => lexical_batch(ids, positions),
            Self::Embedding(rows) => {
                let flat: Vec<f32> = positions.iter().filter_map(|&p| rows.get(p)).flatten().copied().collect();
                QueryBatch::Embedding(Tensor::from_slice(&flat).view([positions.len() as i64, -1]))
            }
        }
    }

    /// Returns the number of queries.
    pub fn len(&self) -> usize {
        match self {
            Self::Lexical(ids) => ids.len(),
            Self::Embedding(rows) => rows.len(),
        }
    }

    /// Returns whether there is no query.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lexical_ids(lexical: &Lexical, dataset: &Dataset, queries: &[u32]) -> Vec<Vec<i64>> {
    let text = |query: &u32| dataset.queries.get(*query as usize).map_or("", |query| query.text.as_str());
    queries.iter().map(|query| lexical.ids(text(query))).collect()
}

fn embeddings(dataset: &Dataset, queries: &[u32]) -> Vec<Vec<f32>> {
    let rows = &dataset.query_embeddings;
    let row = |query: &u32| ((*query as usize) < rows.nrows()).then(|| rows.index_axis(Axis(0), *query as usize));
    queries.iter().map(|query| row(query).map_or_else(Vec::new, |row| row.to_vec())).collect()
}

fn lexical_batch(all: &[Vec<i64>], positions: &[usize]) -> QueryBatch {
    let (mut flat, mut offsets, mut shape) = (Vec::new(), vec![0_i64], Vec::new());
    for &position in positions {
        let ids = all.get(position).map_or(&[][..], Vec::as_slice);
        let (first, grams) = ids.split_at_checked(SHAPE_TOKENS).unwrap_or((ids, &[]));
        shape.extend(first.iter().copied().chain(std::iter::repeat(0)).take(SHAPE_TOKENS));
        flat.extend_from_slice(grams);
        offsets.push(flat.len() as i64);
    }
    QueryBatch::Lexical {
        ids: Tensor::from_slice(&flat),
        offsets: Tensor::from_slice(&offsets),
        shape: Tensor::from_slice(&shape).view([positions.len() as i64, SHAPE_TOKENS as i64]),
    }
}
