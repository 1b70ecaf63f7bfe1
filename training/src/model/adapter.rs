//! From a user's interactions to the user's embedding and preference weights: the set encoder behind `adapter.onnx`.

use tch::{Device, Kind, Tensor};

use super::nodes::NodeStates;
use super::params::{Init, Linear};
use crate::graph::sample::Visible;

/// Signals of a message: reward, relative reward, grouped.
pub const SIGNALS: i64 = 3;

/// Trainable layers.
#[derive(Debug)]
pub struct Adapter {
    from_llm: Tensor,
    from_task: Tensor,
    signal: Linear,
    deviation: Tensor,
    read: Linear,
    out: Linear,
    weights: Linear,
}

/// The layers with everything that does not depend on the user worked out: what the exported graph computes.
#[derive(Debug)]
pub struct FrozenAdapter {
    /// `[(tasks + 1) · llms, dim]`: the part of a message that (task, LLM) decides.
    pub cell: Tensor,
    /// `[3, dim]`.
    pub signal: Tensor,
    /// `[dim + 1, dim]` and its bias: reads the pooled messages and the log count.
    pub read: (Tensor, Tensor),
    /// `[dim, user_dim]` and its bias.
    pub out: (Tensor, Tensor),
}

/// The adapter's input as tensors.
#[derive(Debug)]
pub struct Messages {
    /// `[users, width]`: row of the cell table.
    pub cell: Tensor,
    /// `[users, width, 3]`.
    pub signals: Tensor,
    /// `[users, width]`.
    pub mask: Tensor,
}

impl Messages {
    /// Copies padded interactions to `device`.
    pub fn new(visible: &Visible, llms: usize, device: Device) -> Self {
        let (users, width) = (visible.users as i64, visible.width as i64);
        let cell: Vec<i64> = visible.task.iter().zip(&visible.llm).map(|(t, l)| t * llms as i64 + l).collect();
        Self {
            cell: Tensor::from_slice(&cell).view([users, width]).to_device(device),
            signals: Tensor::from_slice(&visible.signals).view([users, width, SIGNALS]).to_device(device),
            mask: Tensor::from_slice(&visible.mask).view([users, width]).to_device(device),
        }
    }
}

impl Adapter {
    /// Makes the layers; `weights` is the number of preference weights.
    pub fn new(init: &mut Init<'_>, dim: i64, weights: i64) -> Self {
        let deviation = (dim as f64).sqrt().recip();
        Self {
            from_llm: init.normal("adapter.from_llm", &[dim, dim], deviation, 1.0),
            from_task: init.normal("adapter.from_task", &[dim, dim], deviation, 1.0),
            signal: init.linear("adapter.signal", SIGNALS, dim),
            deviation: init.normal("adapter.deviation", &[1, dim], 1.0, 1.0),
            read: init.linear("adapter.read", dim + 1, dim),
            out: init.linear("adapter.out", dim, dim),
            weights: init.linear("adapter.weights", dim, weights),
        }
    }

    /// Works out what does not depend on the user. `mean` is `[tasks + 1, llms]`, the population's mean reward;
    /// `scale` the unit of rewards.
    ///
    /// A message reads the reward's deviation from that mean; as it is linear in the reward, the mean's share goes
    /// into the cell table and the reward's share into the signal weights.
    pub fn frozen(&self, states: &NodeStates, mean: &Tensor, scale: f64) -> FrozenAdapter {
        let llm = states.llm.matmul(&self.from_llm).unsqueeze(0); // [1, L, d]
        let task = states.task.matmul(&self.from_task).unsqueeze(1); // [T + 1, 1, d]
        let expected = mean.unsqueeze(2) * &self.deviation / scale; // [T + 1, L, d]
        let cell = llm + task + &self.signal.bias - expected;
        let rows = cell.size().iter().take(2).product::<i64>();
        let dim = cell.size().last().copied().unwrap_or(1);
        let reward = (self.signal.weight.narrow(0, 0, 1) + &self.deviation) / scale;
        let relative = self.signal.weight.narrow(0, 1, 1) / scale;
        let grouped = self.signal.weight.narrow(0, 2, 1);
        FrozenAdapter {
            cell: cell.view([rows, dim]),
            signal: Tensor::cat(&[reward, relative, grouped], 0),
            read: (self.read.weight.shallow_clone(), self.read.bias.shallow_clone()),
            out: (self.out.weight.shallow_clone(), self.out.bias.shallow_clone()),
        }
    }

    /// Returns the layer from user embedding to preference weights.
    pub fn weights(&self) -> &Linear {
        &self.weights
    }
}

impl FrozenAdapter {
    /// Returns the layers without gradients, on the CPU.
    pub fn to_cpu(&self) -> Self {
        let cpu = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu);
        Self {
            cell: cpu(&self.cell),
            signal: cpu(&self.signal),
            read: (cpu(&self.read.0), cpu(&self.read.1)),
            out: (cpu(&self.out.0), cpu(&self.out.1)),
        }
    }

    /// Returns `[users, user_dim]`.
    pub fn forward(&self, messages: &Messages) -> Tensor {
        let (users, width) = messages.mask.size2().unwrap_or((1, 1));
        let cell = self.cell.index_select(0, &messages.cell.view([-1])).view([users, width, -1]);
        let hidden = (cell + messages.signals.matmul(&self.signal)).relu(); // [U, N, d]
        let summed = messages.mask.unsqueeze(1).matmul(&hidden).squeeze_dim(1); // [U, d]
        let count = messages.mask.sum_dim_intlist(1, true, Kind::Float); // [U, 1]
        let pooled = summed / count.clamp_min(1.0);
        let read = Tensor::cat(&[pooled, count.log1p()], 1).matmul(&self.read.0) + &self.read.1;
        read.relu().matmul(&self.out.0) + &self.out.1
    }
}
