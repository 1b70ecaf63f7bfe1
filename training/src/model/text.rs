//! The query node: its representation, the task it guesses, and what it adds to the values of answers.

use tch::{Device, Kind, Tensor};

use super::params::{Init, Linear, Params};
use super::tensors::rounded;
use crate::graph::text::QueryBatch;
use crate::train::hparams::TextEncoder;
use crate::train::seed::Rng;

/// Decay of the input table against the rest: a rare n-gram must not speak loudly.
const TABLE_DECAY: f64 = 3.0;

/// Trainable text encoder that guesses tasks.
#[derive(Debug)]
pub struct TextNet {
    /// All trainable tensors.
    pub params: Params,
    input: Input,
    task: Linear,
}

/// First layer.
#[derive(Debug)]
enum Input {
    /// `[buckets + 1, dim]`, row 0 is padding: a bag of n-grams.
    Bag(Tensor),
    /// A projection of an embedding.
    Projection(Linear),
}

/// The query node as exported: one table of features, and heads on the representation.
#[derive(Debug)]
pub struct FrozenText {
    /// `[buckets + 1, dim]` or `[embedding, dim]`, in 16-bit precision.
    pub input: Tensor,
    /// Trailing columns whose sum is taken as it is, not over the root of the number of n-grams.
    pub plain: i64,
    /// `[dim, tasks]` and its bias: logits of the task.
    pub task: (Tensor, Tensor),
    /// `[dim, tasks]`: how much easier than its task the query looks, as each task sees it.
    pub ease: Tensor,
    /// `[tasks, llms · weights]`: what a unit of that does to values.
    pub slopes: Tensor,
    /// `[dim, llms · weights]`: what the text says about each LLM.
    pub residual: Tensor,
}

/// What a query's text says.
#[derive(Debug)]
pub struct Reading {
    /// `[queries, tasks]`.
    pub tasks: Tensor,
    /// `[queries, tasks]`.
    pub ease: Tensor,
    /// `[queries, llms · weights]`.
    pub residual: Tensor,
}

impl TextNet {
    /// Makes an encoder; `columns` is the length of an embedding.
    pub fn new(encoder: &TextEncoder, [columns, dim, tasks]: [i64; 3], seed: u64, device: Device) -> Self {
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
        Self { params, input, task }
    }

    /// Returns task logits `[queries, tasks]`.
    pub fn forward(&self, batch: &QueryBatch) -> Tensor {
        let (table, bias) = self.input();
        let x = represent(table, 0, batch);
        self.task.forward(&bias.map_or_else(|| x.shallow_clone(), |bias| &x + bias))
    }

    /// Returns the input table and the head, with a projection's bias moved into the head's.
    pub fn parts(&self) -> (Tensor, Tensor, Tensor) {
        let (table, bias) = self.input();
        let detached = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu);
        let (weight, mut offset) = (detached(&self.task.weight), detached(&self.task.bias));
        if let Some(bias) = bias {
            offset += detached(bias).unsqueeze(0).matmul(&weight).squeeze_dim(0);
        }
        (detached(table), weight, offset)
    }

    fn input(&self) -> (&Tensor, Option<&Tensor>) {
        match &self.input {
            Input::Bag(table) => (table, None),
            Input::Projection(layer) => (&layer.weight, Some(&layer.bias)),
        }
    }
}

impl FrozenText {
    /// Reads queries.
    pub fn forward(&self, batch: &QueryBatch) -> Reading {
        let x = represent(&self.input, self.plain, batch);
        let logits = x.matmul(&self.task.0) + &self.task.1;
        Reading {
            tasks: logits.softmax(-1, Kind::Float),
            ease: x.matmul(&self.ease),
            residual: x.matmul(&self.residual),
        }
    }

    /// Returns values `[queries, llms · weights]` for task probabilities, given the values by task.
    pub fn values(&self, reading: &Reading, tasks: &Tensor, by_task: &Tensor) -> Tensor {
        tasks.matmul(by_task) + (tasks * &reading.ease).matmul(&self.slopes) + &reading.residual
    }

    /// Scales the columns of the table to the range of 16-bit floats, the heads in return, and rounds the table.
    #[must_use]
    pub fn rounded(self) -> Self {
        let unit = self.input.abs().amax([0].as_slice(), true).clamp_min(1e-12); // [1, dim]
        let back = unit.tr(); // [dim, 1]
        Self {
            input: rounded(&(&self.input / &unit)),
            plain: self.plain,
            task: (self.task.0 * &back, self.task.1),
            ease: self.ease * &back,
            slopes: self.slopes,
            residual: self.residual * back,
        }
    }
}

/// Returns `[queries, dim]`: the sum of the bag's rows over the root of their number (except for the `plain` trailing
/// columns), or the projected embedding.
fn represent(input: &Tensor, plain: i64, batch: &QueryBatch) -> Tensor {
    match batch {
        QueryBatch::Lexical { ids, offsets, norm } => {
            const SUM: i64 = 0;
            let weights = None::<&Tensor>;
            let (bag, ..) = Tensor::embedding_bag(input, ids, offsets, false, SUM, false, weights, true);
            let dim = bag.size().last().copied().unwrap_or(0);
            let scaled = bag.narrow(1, 0, dim - plain) * norm;
            if plain == 0 { scaled } else { Tensor::cat(&[scaled, bag.narrow(1, dim - plain, plain)], 1) }
        }
        QueryBatch::Embedding(rows) => rows.matmul(input),
    }
}
