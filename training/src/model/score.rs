//! The scorer's inputs as tensors: what a model and its export are compared on.

use tch::Tensor;

use crate::graph::query::QueryBatch;

/// The scorer's inputs, one row per request.
#[derive(Debug)]
pub struct ScorerInputs {
    /// `[batch, user_dim]`.
    pub user: Tensor,
    /// `[batch, 1]`: negative for the user's own weights, else a declared preference.
    pub preference: Tensor,
    /// `[batch, tasks]`: one-hot, or all zero when unknown.
    pub task: Tensor,
    /// The query.
    pub query: QueryBatch,
}
