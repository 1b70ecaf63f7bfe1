//! Edge values: what a user's weights are multiplied with, for every answer of a batch.

use tch::{Kind, Tensor};

use super::{Network, nodes};
use crate::gnn::batch::Batch;

/// Values of edges, `[B, N, weights]`.
#[derive(Debug)]
pub struct EdgeValues {
    /// For reading a judgement: what all users' judgements tell of the answer counts.
    pub read: Tensor,
    /// For predicting: what the text tells of the answer counts.
    pub predict: Tensor,
    /// `[B, N]`: what everybody thinks.
    pub mean: Tensor,
}

impl EdgeValues {
    /// Makes the values of all edges.
    pub fn new(network: &Network<'_>, batch: &Batch) -> Self {
        let (params, start) = (network.params, network.start);
        let [users, edges] = batch.shape;
        let length = start.lengths.of_queries.index_select(0, &batch.query); // [B · N, F]
        let features = start.lengths.features();
        let by_length = params.lengths.index_select(0, &batch.llm).view([users * edges, features, -1]);
        let learned =
            nodes::cells(network).index_select(0, &batch.cell) + length.unsqueeze(1).matmul(&by_length).squeeze_dim(1); // [B · N, D]
        let mean = params.mean.index_select(0, &batch.cell)
            + (&length * params.mean_lengths.index_select(0, &batch.llm)).sum_dim_intlist(1, false, Kind::Float);
        let shaped = |rows: &Tensor| rows.view([users, edges, -1]);
        let [read, predict] = match &start.ends {
            None => [shaped(&learned), shaped(&learned)],
            Some(ends) => {
                let answer = &batch.query * start.llms + &batch.llm;
                [&ends.judged, &ends.predicted]
                    .map(|table| shaped(&Tensor::cat(&[&table.index_select(0, &answer), &learned], 1)))
            }
        };
        Self { read, predict, mean: mean.view([users, edges]) }
    }

    /// Returns utilities `[B, N]` for weights `[B, weights]`.
    pub fn utility(&self, weights: &Tensor) -> Tensor {
        self.predict.matmul(&weights.unsqueeze(2)).squeeze_dim(2) + &self.mean
    }
}
