//! A small network that predicts effect and cost from the query's embedding and its task; users' preferences are known.

use anyhow::Result;
use ndarray::{Array2, s};
use tch::nn::OptimizerConfig;
use tch::{Device, Kind, Tensor, nn};

use crate::data::world::World;
use crate::eval::EvalSet;
use crate::model::rng::Rng;
use crate::model::tensors;

use super::mean::Predicted;
use super::ridge::{features, outcomes};

/// Width of the hidden layer.
const HIDDEN: i64 = 64;
/// Steps over all training queries at once.
const STEPS: usize = 200;
const RATE: f64 = 3e-3;
const DECAY: f64 = 1e-3;

/// Predicts effect and cost of the test queries.
pub fn network(set: &EvalSet<'_>, world: &World) -> Result<Predicted> {
    let dataset = set.dataset;
    let targets = outcomes(dataset, &set.split.train);
    let llms = dataset.llms.len();
    let x = tensor(&features(dataset, &set.split.train));
    let y = tensor(&targets);
    let store = nn::VarStore::new(Device::Cpu);
    let mut rng = Rng::new(set.seed, &[11]);
    let inputs = x.size().last().copied().unwrap_or(1);
    let outputs = y.size().last().copied().unwrap_or(1);
    let first = layer(&store.root(), "first", (inputs, HIDDEN), &mut rng);
    let second = layer(&store.root(), "second", (HIDDEN, outputs), &mut rng);
    let mean = y.mean_dim([0_i64].as_slice(), true, Kind::Float);
    let predict = |x: &Tensor| (x.matmul(&first.0) + &first.1).relu().matmul(&second.0) + &second.1 + &mean;
    let mut optimiser = nn::AdamW { wd: DECAY, ..nn::AdamW::default() }.build(&store, RATE)?;
    for _ in 0..STEPS {
        optimiser.backward_step(&predict(&x).mse_loss(&y, tch::Reduction::Mean));
    }
    let rows = tch::no_grad(|| tensors::to_rows(&predict(&tensor(&features(dataset, &set.split.test)))));
    let shape = (rows.len(), 2 * llms);
    let all = Array2::from_shape_vec(shape, rows.concat())?.mapv(f64::from);
    let parts = [all.slice(s![.., ..llms]).to_owned(), all.slice(s![.., llms..]).to_owned()];
    Ok(Predicted::new("told_p_mlp", (dataset, world), &set.split.test, parts))
}

/// Weights at random from our own generator, so that libtorch's global one is left alone.
fn layer(path: &nn::Path<'_>, name: &str, (inputs, outputs): (i64, i64), rng: &mut Rng) -> (Tensor, Tensor) {
    let scale = (inputs as f64).sqrt().recip();
    let weights: Vec<f32> = (0..inputs * outputs).map(|_| tensors::single(scale * rng.normal())).collect();
    let weights = Tensor::from_slice(&weights).view([inputs, outputs]);
    let bias = Tensor::zeros([outputs], (Kind::Float, Device::Cpu));
    (path.var_copy(&format!("{name}_weight"), &weights), path.var_copy(&format!("{name}_bias"), &bias))
}

fn tensor(array: &Array2<f64>) -> Tensor {
    tensors::from2(&array.mapv(tensors::single), Device::Cpu)
}
