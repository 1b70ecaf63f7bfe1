//! The reference of the exported scorer: the same outputs, computed by libtorch.

use tch::{Kind, Tensor};

use super::ClosedForm;
use crate::model::score::ScorerInputs;

impl ClosedForm {
    /// Returns `utility`, `effect`, `cost`, `uncertainty` and `task_probability`, in the manifest's order.
    pub(super) fn outputs(&self, inputs: &ScorerInputs) -> [Tensor; 5] {
        let features = self.text.forward(&inputs.query);
        let is_declared = inputs.task.sum_dim_intlist(1, true, Kind::Float).gt(0.5);
        let tasks = inputs.task.where_self(&is_declared, &features.tasks);
        let values = self.text.values(&features, &tasks, &self.values); // [B, L, K]
        let own = self.preference_weights(&inputs.user);
        let declared = self.declared(&inputs.preference, &inputs.user);
        let weights = declared.where_self(&inputs.preference.ge(0.0), &own); // [B, K]
        let utility = values.matmul(&weights.unsqueeze(2)).squeeze_dim(2);
        let effect = values.matmul(&self.preference.effect);
        let cost = -values.matmul(&self.preference.cost);
        [utility, effect, cost, self.text.task_weights(&tasks).matmul(&self.deviation), tasks]
    }
}
