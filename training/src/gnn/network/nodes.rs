//! Node states of tasks and LLMs: the family and description edges of the graph.

use tch::{Kind, Tensor};

use super::Network;

/// Returns the learned values of every (task, LLM), `[tasks · llms, D]`.
///
/// An LLM's state is its own row and what its description tells; along family edges it takes over a learned share of its
/// family's mean. The pair adds a row of its own.
pub fn cells(network: &Network<'_>) -> Tensor {
    let (params, start) = (network.params, network.start);
    let described = &params.llms + start.descriptions.matmul(&params.describe); // [L, D]
    let by_family = start.families.matmul(&described) * &params.family;
    let states = described + by_family;
    let (llms, width) = states.size2().unwrap_or((1, 1));
    // [T · L, D] to [T, L, D] and back
    (params.cells.view([-1, llms, width]) + states.unsqueeze(0)).view([-1, width])
}

/// Returns the sum of squares of all tables that the prior pulls to zero.
pub fn penalty(network: &Network<'_>) -> Tensor {
    let params = network.params;
    [&params.cells, &params.llms, &params.describe, &params.lengths, &params.mean_lengths]
        .iter()
        .map(|table| table.square().sum(Kind::Float))
        .fold(Tensor::zeros([], (Kind::Float, params.cells.device())), |sum, table| sum + table)
}
