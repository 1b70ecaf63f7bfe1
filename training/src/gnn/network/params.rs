//! What the network learns, by name.

use anyhow::{Context, Result, bail};
use tch::{Device, Kind, Tensor};

use crate::gnn::start::Start;
use crate::model::rng::Rng;
use crate::model::tensors::single;

/// Standard deviation of tables of (task, LLM) and of LLMs before training.
const TABLE_SPREAD: f64 = 0.2;
/// The same of what lengths do.
const LENGTH_SPREAD: f64 = 0.05;

/// Sizes that decide the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows for tasks.
    pub tasks: i64,
    /// LLMs.
    pub llms: i64,
    /// Length of a user's weights.
    pub weights: i64,
    /// How many of these weigh given columns instead of learned ones.
    pub given: i64,
    /// Length of an LLM's description embedding.
    pub description: i64,
    /// Features of a query's length.
    pub features: i64,
}

/// Learned tensors, each a leaf of the gradient.
#[derive(Debug)]
pub struct Params {
    /// `[tasks · llms, D]`: values of (task, LLM); `D` are the learned columns.
    pub cells: Tensor,
    /// `[llms, D]`: an LLM's own values in all tasks.
    pub llms: Tensor,
    /// `[description, D]`: from descriptions, prices to values.
    pub describe: Tensor,
    /// `[D]`: how much an LLM takes over from its family.
    pub family: Tensor,
    /// `[llms, features · D]`: what a query's length adds to the values.
    pub lengths: Tensor,
    /// `[tasks · llms]`: what everybody thinks of (task, LLM).
    pub mean: Tensor,
    /// `[llms, features]`: what a query's length adds to that.
    pub mean_lengths: Tensor,
    /// `[weights]`: weights of a user nothing is known about.
    pub prior: Tensor,
    /// `[weights + 2]`: logarithms of the prior's precisions; then those of leniency and of the side.
    pub precision: Tensor,
    /// `[4]`: logarithms of the precisions of a difference between ratings of a group and of a group's mean, of the weight of
    /// a choice, and of a choice's scale.
    pub noise: Tensor,
}

impl Params {
    /// Draws the parameters before training.
    pub fn new(sizes: Sizes, start: &Start, seed: u64, device: Device) -> Self {
        let Sizes { tasks, llms, weights, given, description, features } = sizes;
        let learned = weights - given;
        let mut rng = Rng::new(seed, &[11]);
        let mut normal = |rows: i64, columns: i64, spread: f64| {
            let drawn: Vec<f32> = (0..rows * columns).map(|_| single(spread * rng.normal())).collect();
            leaf(&Tensor::from_slice(&drawn).view([rows, columns]), device)
        };
        let zeros = |shape: &[i64]| leaf(&Tensor::zeros(shape, (Kind::Float, Device::Cpu)), device);
        let (prior, precision) = start.prior(weights);
        Self {
            cells: normal(tasks * llms, learned, TABLE_SPREAD),
            llms: normal(llms, learned, TABLE_SPREAD),
            lengths: normal(llms, features * learned, LENGTH_SPREAD),
            describe: zeros(&[description, learned]),
            family: zeros(&[learned]),
            mean: leaf(&start.mean, device),
            mean_lengths: zeros(&[llms, features]),
            prior: leaf(&prior, device),
            precision: leaf(&precision, device),
            noise: leaf(&start.noise(), device),
        }
    }

    /// Returns the parameters with all learned values zero: what the start alone predicts.
    pub fn without_learned(&self) -> Self {
        let mut bare = self.detached();
        for table in [&mut bare.cells, &mut bare.llms, &mut bare.describe, &mut bare.lengths] {
            *table = table.zeros_like();
        }
        bare
    }

    /// Returns a copy outside the gradient.
    pub fn detached(&self) -> Self {
        let copies: Vec<Tensor> = self.list().iter().map(|tensor| tensor.detach().copy()).collect();
        self.with(&copies).unwrap_or_else(|_| self.shallow())
    }

    /// Returns the tensors by name, in a fixed order.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let names = Self::NAMES.iter().map(|name| format!("network.{name}"));
        names.zip(self.list().into_iter().map(|tensor| tensor.detach().contiguous())).collect()
    }

    /// Takes values from named tensors, all of which must be there with these shapes.
    pub fn load(&self, named: &[(String, Tensor)]) -> Result<Self> {
        let mut found = Vec::new();
        for (name, own) in Self::NAMES.iter().zip(self.list()) {
            let name = format!("network.{name}");
            let (_, tensor) =
                named.iter().find(|(other, _)| *other == name).with_context(|| format!("no tensor {name}"))?;
            if tensor.size() != own.size() {
                bail!("tensor {name} has shape {:?}, expected {:?}", tensor.size(), own.size());
            }
            found.push(leaf(tensor, own.device()));
        }
        self.with(&found)
    }

    /// Returns the tensors in a fixed order.
    pub fn list(&self) -> [&Tensor; 10] {
        [
            &self.cells,
            &self.llms,
            &self.describe,
            &self.family,
            &self.lengths,
            &self.mean,
            &self.mean_lengths,
            &self.prior,
            &self.precision,
            &self.noise,
        ]
    }

    const NAMES: [&str; 10] =
        ["cells", "llms", "describe", "family", "lengths", "mean", "mean_lengths", "prior", "precision", "noise"];

    fn with(&self, tensors: &[Tensor]) -> Result<Self> {
        let [cells, llms, describe, family, lengths, mean, mean_lengths, prior, precision, noise] = tensors else {
            bail!("{} tensors instead of {}", tensors.len(), Self::NAMES.len());
        };
        let [cells, llms, describe, family, lengths] =
            [cells, llms, describe, family, lengths].map(Tensor::shallow_clone);
        let [mean, mean_lengths, prior, precision, noise] =
            [mean, mean_lengths, prior, precision, noise].map(Tensor::shallow_clone);
        Ok(Self { cells, llms, describe, family, lengths, mean, mean_lengths, prior, precision, noise })
    }

    fn shallow(&self) -> Self {
        let [cells, llms, describe, family, lengths, mean, mean_lengths, prior, precision, noise] =
            self.list().map(Tensor::shallow_clone);
        Self { cells, llms, describe, family, lengths, mean, mean_lengths, prior, precision, noise }
    }
}

fn leaf(tensor: &Tensor, device: Device) -> Tensor {
    tensor.detach().to_kind(Kind::Float).copy().to_device(device).set_requires_grad(true)
}
