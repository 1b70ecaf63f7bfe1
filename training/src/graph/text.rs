//! Query nodes: what the text encoder reads of each query.

use ndarray::Axis;
use personaroute_bundle::lexical::Lexical;
use tch::{Device, Tensor};

use crate::data::Dataset;
use crate::model::tensors::single;
use crate::train::hparams::TextEncoder;
use crate::train::seed::Rng;

/// Encoder inputs of some queries of a data set, in the order they were asked for.
#[derive(Debug, Clone)]
pub enum QueryInputs {
    /// Hashed n-gram ids of each query.
    Lexical(Vec<Vec<i64>>),
    /// A vector for each query.
    Embedding(Vec<Vec<f32>>),
}

/// One minibatch of encoder inputs.
#[derive(Debug)]
pub enum QueryBatch {
    /// Ids of all queries in a row, where each begins, and `1 / sqrt(count)` of each as a column.
    Lexical {
        /// Flat ids.
        ids: Tensor,
        /// Beginning of each query and the end of the last.
        offsets: Tensor,
        /// `[queries, 1]`.
        norm: Tensor,
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

    /// Returns the encoder inputs of the queries at `positions`; a share `dropout` of each input is left out.
    pub fn batch(&self, positions: &[usize], dropout: f64, rng: &mut Rng, device: Device) -> QueryBatch {
        match self {
            Self::Lexical(ids) => lexical_batch(ids, positions, (dropout, rng), device),
            Self::Embedding(rows) => {
                let keep = 1.0 / (1.0 - dropout);
                let mut flat: Vec<f32> = positions.iter().filter_map(|&p| rows.get(p)).flatten().copied().collect();
                if dropout > 0.0 {
                    flat.iter_mut().for_each(|x| *x *= if rng.uniform() < dropout { 0.0 } else { single(keep) });
                }
                QueryBatch::Embedding(Tensor::from_slice(&flat).view([positions.len() as i64, -1]).to_device(device))
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

fn lexical_batch(all: &[Vec<i64>], positions: &[usize], (dropout, rng): (f64, &mut Rng), device: Device) -> QueryBatch {
    let (mut flat, mut offsets, mut norm) = (Vec::new(), vec![0_i64], Vec::new());
    for &position in positions {
        let ids = all.get(position).map_or(&[][..], Vec::as_slice);
        flat.extend(ids.iter().copied().filter(|_| dropout == 0.0 || rng.uniform() >= dropout));
        // The kept share in the denominator makes the expected representation that of the whole text.
        norm.push(single(((ids.len().max(1) as f64).sqrt() * (1.0 - dropout)).recip()));
        offsets.push(flat.len() as i64);
    }
    QueryBatch::Lexical {
        ids: Tensor::from_slice(&flat).to_device(device),
        offsets: Tensor::from_slice(&offsets).to_device(device),
        norm: Tensor::from_slice(&norm).unsqueeze(1).to_device(device),
    }
}
