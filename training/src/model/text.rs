//! The query node: its representation, the task it guesses, and what it adds to the values of answers.

use tch::{Device, Tensor};

use super::params::{Init, Linear, Params};
use super::tensors::rounded;
use crate::graph::text::QueryBatch;
use crate::train::hparams::TextEncoder;
use crate::train::seed::Rng;

/// Decay of the residual head against the rest: differences between LLMs that a text foretells are small.
const RESIDUAL_DECAY: f64 = 30.0;
/// Decay of the input table: a rare n-gram must not speak loudly.
const TABLE_DECAY: f64 = 3.0;

/// Trainable text encoder with its two heads.
#[derive(Debug)]
pub struct TextNet {
    /// All trainable tensors.
    pub params: Params,
    input: Input,
    task: Linear,
    residual: Tensor,
}

/// First layer.
#[derive(Debug)]
enum Input {
    /// `[buckets + 1, dim]`, row 0 is padding: a bag of n-grams.
    Bag(Tensor),
    /// A projection of an embedding.
    Projection(Linear),
}

/// The encoder as exported.
#[derive(Debug)]
pub struct FrozenText {
    /// `[buckets + 1, dim]` or `[embedding, dim]`.
    pub input: Tensor,
    /// Bias of a projection; none for a bag.
    pub bias: Option<Tensor>,
    /// `[dim, tasks]` and its bias.
    pub task: (Tensor, Tensor),
    /// `[dim, llms · weights]`.
    pub residual: Tensor,
}

impl TextNet {
    /// Makes an encoder; `columns` is the length of an embedding, `out` the number of LLMs times weights.
    pub fn new(encoder: &TextEncoder, [columns, dim, tasks, out]: [i64; 4], seed: u64, device: Device) -> Self {
        let mut params = Params::default();
        let mut init = Init::new(&mut params, Rng::new(seed, &[3]), device);
        let input = match encoder {
            TextEncoder::Lexical(lexical) => {
                let buckets = i64::from(lexical.buckets);
                Input::Bag(init.normal("text.bag", &[buckets + 1, dim], 0.1, TABLE_DECAY))
            }
            TextEncoder::Embedding => Input::Projection(init.linear("text.projection", columns, dim)),
        };
        let task = init.linear("text.task", dim, tasks);
        let residual = init.zeros("text.residual", &[dim, out], RESIDUAL_DECAY);
        Self { params, input, task, residual }
    }

    /// Returns task logits `[queries, tasks]` and residual values `[queries, llms · weights]`.
    pub fn forward(&self, batch: &QueryBatch) -> (Tensor, Tensor) {
        let x = match &self.input {
            Input::Bag(table) => represent(table, None, batch),
            Input::Projection(layer) => represent(&layer.weight, Some(&layer.bias), batch),
        };
        (self.task.forward(&x), x.matmul(&self.residual))
    }

    /// Freezes the encoder with its residual scaled by `gate`; the input table is rounded to 16-bit floats.
    pub fn frozen(&self, gate: f64) -> FrozenText {
        let (input, bias) = match &self.input {
            Input::Bag(table) => (table, None),
            Input::Projection(layer) => (&layer.weight, Some(layer.bias.detach().copy())),
        };
        tch::no_grad(|| FrozenText {
            input: rounded(&input.detach()),
            bias,
            task: (self.task.weight.detach().copy(), self.task.bias.detach().copy()),
            residual: self.residual.detach() * gate,
        })
    }
}

impl FrozenText {
    /// Returns the encoder on the CPU.
    pub fn to_cpu(&self) -> Self {
        let cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu);
        Self {
            input: cpu(&self.input),
            bias: self.bias.as_ref().map(cpu),
            task: (cpu(&self.task.0), cpu(&self.task.1)),
            residual: cpu(&self.residual),
        }
    }

    /// Returns task probabilities and residual values.
    pub fn forward(&self, batch: &QueryBatch) -> (Tensor, Tensor) {
        let x = represent(&self.input, self.bias.as_ref(), batch);
        let logits = x.matmul(&self.task.0) + &self.task.1;
        (logits.softmax(-1, tch::Kind::Float), x.matmul(&self.residual))
    }
}

/// Returns `[queries, dim]`: the sum of the bag's rows over the root of their number, or the projected embedding.
fn represent(input: &Tensor, bias: Option<&Tensor>, batch: &QueryBatch) -> Tensor {
    match batch {
        QueryBatch::Lexical { ids, offsets, norm } => {
            const SUM: i64 = 0;
            let weights = None::<&Tensor>;
            let (bag, ..) = Tensor::embedding_bag(input, ids, offsets, false, SUM, false, weights, true);
            bag * norm
        }
        QueryBatch::Embedding(rows) => match bias {
            Some(bias) => rows.matmul(input) + bias,
            None => rows.matmul(input),
        },
    }
}
