//! What an answer of an LLM to a task is worth, in as many currencies as users have preference weights.

use tch::Tensor;

use super::nodes::NodeStates;
use super::params::{Init, Linear};

/// Decay of the free table against the network's: pairs lean on the MLP where the data says little.
const TABLE_DECAY: f64 = 100.0;

/// `V[task, llm, k] = MLP(task state, LLM state, their product) + table`.
#[derive(Debug)]
pub struct Value {
    hidden: Linear,
    out: Linear,
    table: Tensor,
}

impl Value {
    /// Makes the layers.
    pub fn new(init: &mut Init<'_>, [tasks, llms, dim, weights]: [i64; 4]) -> Self {
        Self {
            hidden: init.linear("value.hidden", 3 * dim, dim),
            out: init.linear("value.out", dim, weights),
            table: init.zeros("value.table", &[tasks, llms, weights], TABLE_DECAY),
        }
    }

    /// Returns `[tasks, llms, weights]`, in units of `scale`.
    pub fn forward(&self, states: &NodeStates, scale: f64) -> Tensor {
        let (tasks, llms, _) = self.table.size3().unwrap_or((1, 1, 1));
        let known = states.task.narrow(0, 0, tasks).unsqueeze(1); // [T, 1, d]
        let llm = states.llm.unsqueeze(0); // [1, L, d]
        let product = &known * &llm;
        let wide = |tensor: &Tensor| tensor.expand([tasks, llms, -1], false);
        let joined = Tensor::cat(&[wide(&known), wide(&llm), product], 2);
        let value = self.out.forward(&self.hidden.forward(&joined).relu());
        (value + &self.table) * scale
    }
}
