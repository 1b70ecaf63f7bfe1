//! The trainable network: node states, values of answers, and users as a function of their interactions.

use tch::{Device, Tensor};

use super::adapter::{Adapter, FrozenAdapter};
use super::nodes::{NodeInputs, Nodes};
use super::params::{Init, Params};
use super::tensors::from2;
use super::value::Value;
use crate::data::Setting;
use crate::graph::Graph;
use crate::train::hparams::Hparams;
use crate::train::seed::Rng;

/// Parameters, layers and the graph's constants on one device.
#[derive(Debug)]
pub struct Net {
    /// All trainable tensors.
    pub params: Params,
    /// Number of preference weights.
    pub weights: i64,
    inputs: NodeInputs,
    nodes: Nodes,
    value: Value,
    adapter: Adapter,
    mean: Tensor,
    scale: f64,
}

/// What is left once the node states are known: users and values meet in `Σ_k w_k V_k`.
#[derive(Debug)]
pub struct Forward {
    /// Interactions to user embedding.
    pub adapter: FrozenAdapter,
    /// User embedding to preference weights: weight and bias.
    pub weights: (Tensor, Tensor),
    /// `[tasks, llms, weights]`.
    pub values: Tensor,
}

impl Net {
    /// Makes a network for `graph` from the seed.
    pub fn new(graph: &Graph, setting: Setting, hparams: &Hparams, seed: u64, device: Device) -> Self {
        let mut params = Params::default();
        let mut init = Init::new(&mut params, Rng::new(seed, &[2]), device);
        let dim = hparams.embedding_dim as i64;
        // With effect and cost known apart there are exactly two currencies.
        let weights = match setting {
            Setting::Rewards => hparams.weights as i64,
            Setting::EffectCost => 2,
        };
        let inputs = NodeInputs::new(graph, hparams.edge_dim as i64, device);
        let nodes = Nodes::new(&mut init, &inputs, dim);
        let value = Value::new(&mut init, [graph.tasks as i64, graph.llms as i64, dim, weights]);
        let adapter = Adapter::new(&mut init, dim, weights);
        let mean = from2(&graph.population.mean, device);
        let scale = f64::from(graph.population.scale);
        Self { params, weights, inputs, nodes, value, adapter, mean, scale }
    }

    /// Passes messages between the few LLM and task nodes; users and queries come in afterwards, a minibatch at a time.
    pub fn forward(&self) -> Forward {
        let states = self.nodes.forward(&self.inputs);
        let weights = self.adapter.weights();
        Forward {
            adapter: self.adapter.frozen(&states, &self.mean, self.scale),
            weights: (weights.weight.shallow_clone(), weights.bias.shallow_clone()),
            values: self.value.forward(&states, self.scale),
        }
    }

    /// Returns the device the parameters are on.
    pub fn device(&self) -> Device {
        self.mean.device()
    }

    /// Returns the unit of rewards.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

impl Forward {
    /// Returns the preference weights `[users, weights]` of user embeddings.
    pub fn preference(&self, users: &Tensor) -> Tensor {
        users.matmul(&self.weights.0) + &self.weights.1
    }

    /// Returns the values as `[tasks · llms, weights]`.
    pub fn cells(&self) -> Tensor {
        let weights = self.values.size().last().copied().unwrap_or(1);
        self.values.reshape([-1, weights])
    }
}
