//! What the exported scorer computes, in libtorch: the yardstick of the export.

use tch::Tensor;

use super::Model;
use crate::graph::text::QueryBatch;

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

impl Model {
    /// Returns `utility`, `effect`, `cost`, `uncertainty` and `task_probability`, in the manifest's order.
    pub fn scorer(&self, inputs: &ScorerInputs) -> [Tensor; 5] {
        let reading = self.text.forward(&inputs.query);
        let known = inputs.task.sum_dim_intlist(1, true, tch::Kind::Float).gt(0.5);
        let tasks = inputs.task.where_self(&known, &reading.tasks);
        let values = self.text.values(&reading, &tasks, &self.values); // [B, L, K]
        let own = self.preference_weights(&inputs.user);
        let declared = self.declared(&inputs.preference, &inputs.user);
        let weights = declared.where_self(&inputs.preference.ge(0.0), &own); // [B, K]
        let utility = values.matmul(&weights.unsqueeze(2)).squeeze_dim(2);
        let effect = values.matmul(&self.axis.quality);
        let cost = -values.matmul(&self.axis.cost);
        [utility, effect, cost, self.text.expected(&tasks).matmul(&self.deviation), tasks]
    }
}
