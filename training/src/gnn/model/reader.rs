//! Reads a user's judgements by tables alone: the user update without the graph behind it.
//!
//! It knows of an answer its (task, LLM); of an unknown task, the mean over tasks. [`crate::export::gnn`] writes the same sums
//! as a graph of ONNX.

use tch::{Device, Kind, Tensor};

use crate::gnn::network::{Network, nodes};
use crate::graph::interaction::InteractionBatch;

/// Tables of the user update, in units.
#[derive(Debug)]
pub struct Reader {
    /// `[(tasks + 1) · llms, weights]`: values; the last task stands for an unknown one.
    pub values: Tensor,
    /// `[(tasks + 1) · llms]`: what a user of the prior's weights thinks.
    pub mean: Tensor,
    /// `[weights]`: weights of a user nothing is known about.
    pub prior: Tensor,
    /// `[weights + 1]`: precisions of the prior, then that of the leniency.
    pub precision: Tensor,
    /// `[2]`: precisions of a difference between ratings and of a group's mean.
    pub noise: Tensor,
    /// `[2]`: reward of one unit, and the reward at zero.
    pub scale: Tensor,
}

impl Reader {
    /// Takes the tables out of a network.
    pub fn new(network: Network<'_>) -> Self {
        let (params, start) = (network.params, network.start);
        let cpu = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu);
        let learned = cpu(&nodes::cells(&network));
        let values = match &start.ends {
            None => learned,
            Some(ends) => {
                let (high, low) = (ends.cells.select(2, 0), ends.cells.select(2, 1)); // [T, L]
                let given = Tensor::stack(&[&(&high - &low), &low], 2) / start.scale[0];
                Tensor::cat(&[given.view([-1, 2]), learned], 1)
            }
        };
        let width = values.size().last().copied().unwrap_or(1);
        let prior = cpu(&params.prior);
        let mean = cpu(&params.mean) + values.mv(&prior);
        let with_unknown = |table: &Tensor, width: i64| {
            let by_task = table.view([-1, start.llms, width]);
            Tensor::cat(&[&by_task, &by_task.mean_dim(0, true, Kind::Float)], 0).view([-1, width])
        };
        let precision = cpu(&params.precision).exp();
        Self {
            values: with_unknown(&values, width),
            mean: with_unknown(&mean, 1).squeeze_dim(1),
            precision: precision.narrow(0, 0, width + 1),
            noise: cpu(&params.noise).exp().narrow(0, 0, 2),
            scale: Tensor::from_slice(&start.scale).to_kind(Kind::Float),
            prior,
        }
    }

    /// Returns the length of a user embedding.
    pub fn width(&self) -> i64 {
        self.prior.size().first().copied().unwrap_or(1)
    }

    /// Returns the embeddings `[users, weights]`.
    pub fn forward(&self, batch: &InteractionBatch, tasks: usize) -> Tensor {
        let (users, edges) = (batch.users as i64, batch.width as i64);
        let [llm, task, group] =
            [&batch.llm, &batch.task, &batch.group].map(|x| Tensor::from_slice(x).view([users, edges]));
        let unknown = tasks as i64;
        let outside = task.lt(0).logical_or(&task.gt(unknown));
        let task = task.masked_fill(&outside, unknown);
        let llms = self.mean.size().first().copied().unwrap_or(1) / (unknown + 1);
        let cell = (task * llms + llm).view([-1]);
        let mask = Tensor::from_slice(&batch.mask).view([users, edges, 1]);
        let values = self.values.index_select(0, &cell).view([users, edges, -1]);
        let mean = self.mean.index_select(0, &cell).view([users, edges, 1]);
        let reward = Tensor::from_slice(&batch.signals).view([users, edges, 3]).narrow(2, 0, 1);
        let residual = ((reward - self.scale.get(1)) / self.scale.get(0) - mean) * &mask;
        // The system is too ill-conditioned for single precision: two ways to solve it would differ by more than exports may.
        let [values, residual, mask] = [&values, &residual, &mask].map(|tensor| tensor.to_kind(Kind::Double));
        // Which edges share a group, [U, N, N], and how many do.
        let same = group.unsqueeze(2).eq_tensor(&group.unsqueeze(1)).to_kind(Kind::Double) * mask.transpose(1, 2);
        let count = same.sum_dim_intlist(2, true, Kind::Double).clamp_min(1.0); // [U, N, 1]
        let values = Tensor::cat(&[&values, &mask.ones_like()], 2);
        let value_mean = same.bmm(&values) / &count; // [U, N, A]
        let residual_mean = same.bmm(&residual) / &count;
        let [by_difference, by_mean] = [0, 1].map(|at| self.noise.get(at));
        let of_group = (by_mean.reciprocal() + (&by_difference * &count).reciprocal()).reciprocal() / &count * &mask;
        let rest = (values - &value_mean) * &mask;
        let turned = (&rest * by_difference).transpose(1, 2);
        let weighted = (&value_mean * of_group).transpose(1, 2);
        let precision =
            turned.bmm(&rest) + weighted.bmm(&value_mean) + self.precision.to_kind(Kind::Double).diag_embed(0, 0, 1);
        let pull = turned.bmm(&((residual - &residual_mean) * &mask)) + weighted.bmm(&residual_mean);
        let state = Tensor::linalg_solve(&precision, &pull, true).squeeze_dim(2).to_kind(Kind::Float);
        state.narrow(1, 0, self.width()) + &self.prior
    }
}
