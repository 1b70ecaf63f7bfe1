//! What the exported scorer computes, in libtorch: the yardstick of the export.

use tch::Tensor;

use super::ClosedForm;
use crate::model::score::ScorerInputs;

impl ClosedForm {
    /// Returns `utility`, `effect`, `cost`, `uncertainty` and `task_probability`, in the manifest's order.
    pub(super) fn outputs(&self, inputs: &ScorerInputs) -> [Tensor; 5] {
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
