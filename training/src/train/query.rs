//! Trains the query node: guess the task, and foresee where LLMs differ on a query more than on its task.
//!
//! The second part is small and easily imagined, so it must earn its place: it is trained on some of the training
//! queries, tried on the others, and enters the model only as strongly as it raised the reward there.

use std::ops::ControlFlow;

use anyhow::{Result, bail};
use tch::{Device, Kind, Reduction, Tensor};

use super::log::Log;
use super::optimiser::{AdamW, rate};
use super::outcome::Outcomes;
use super::seed::Rng;
use super::{Progress, TrainInput};
use crate::graph::text::QueryInputs;
use crate::model::text::{FrozenText, TextNet};

/// One in this many training queries is kept for the gate.
const HELD_OUT: u64 = 6;
/// Queries in a minibatch.
const BATCH: usize = 64;
/// Strengths of the query-dependent part that are tried.
const GATES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Standard errors of its gain that are taken off before strengths are compared.
const CAUTION: f64 = 0.5;
/// Users whose choices decide; more add nothing, as they lie on one axis.
const JUDGES: i64 = 64;

/// What every minibatch needs.
struct Task<'a> {
    inputs: &'a QueryInputs,
    outcomes: &'a Outcomes,
    /// `[queries, llms · weights]`: residuals against the mean of the seen LLMs.
    target: Tensor,
    /// `[weights, weights]`: mean product of user weights: errors count as they change utilities.
    metric: Tensor,
    unit: f64,
}

/// Returns the encoder and the strength of its query-dependent part.
pub fn fit(input: &mut TrainInput<'_>, outcomes: &Outcomes, weights: &Tensor) -> Result<(FrozenText, f64)> {
    let inputs = QueryInputs::build(&input.hparams.text, input.dataset, &outcomes.queries);
    let weights = weights.detach().to_device(Device::Cpu);
    let task = Task::new(&inputs, outcomes, &weights);
    let held = |position: &usize| Rng::new(input.seed, &[5, *position as u64]).below(HELD_OUT) == 0;
    let (held_out, rest): (Vec<usize>, Vec<usize>) = (0..inputs.len()).partition(held);
    let first = train(input, &task, &rest, 0)?;
    let gate = tch::no_grad(|| gate(&task, &first, &held_out, &judges(&weights), input.device));
    let all: Vec<usize> = (0..inputs.len()).collect();
    let last = train(input, &task, &all, 1)?;
    Ok((last.frozen(gate).to_cpu(), gate))
}

impl<'a> Task<'a> {
    fn new(inputs: &'a QueryInputs, outcomes: &'a Outcomes, weights: &Tensor) -> Self {
        let seen = outcomes.seen.unsqueeze(2); // [Q, L, 1]
        let count = seen.sum_dim_intlist(1, true, Kind::Float).clamp_min(1.0);
        let mean = (&outcomes.residual * &seen).sum_dim_intlist(1, true, Kind::Float) / count;
        let target = (&outcomes.residual - mean) * &seen;
        let metric = weights.tr().matmul(weights) / (weights.size().first().copied().unwrap_or(1) as f64);
        let squares = target.matmul(&metric) * &target;
        let unit =
            squares.sum(Kind::Float).double_value(&[]) / outcomes.seen.sum(Kind::Float).double_value(&[]).max(1.0);
        Self { inputs, outcomes, target: target.flatten(1, 2), metric, unit: unit.max(1e-9) }
    }

    fn loss(&self, net: &TextNet, positions: &[usize], dropout: f64, rng: &mut Rng, device: Device) -> Tensor {
        let batch = self.inputs.batch(positions, dropout, rng, device);
        let rows: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
        let pick = |tensor: &Tensor| tensor.index_select(0, &Tensor::from_slice(&rows)).to_device(device);
        let (logits, residual) = net.forward(&batch);
        let guessing =
            logits.cross_entropy_loss(&pick(&self.outcomes.tasks), None::<&Tensor>, Reduction::Mean, -100, 0.0);
        let weights = self.metric.size().first().copied().unwrap_or(1);
        let seen = pick(&self.outcomes.seen);
        let error = (residual - pick(&self.target)).view([positions.len() as i64, -1, weights]);
        let squares = (error.matmul(&self.metric.to_device(device)) * &error).sum_dim_intlist(2, false, Kind::Float);
        let missed = (squares * &seen).sum(Kind::Float) / seen.sum(Kind::Float).clamp_min(1.0);
        guessing + missed / self.unit
    }
}

fn train(input: &mut TrainInput<'_>, task: &Task<'_>, positions: &[usize], round: u64) -> Result<TextNet> {
    let columns = match task.inputs {
        QueryInputs::Lexical(_) => 0,
        QueryInputs::Embedding(_) => input.dataset.query_embeddings.ncols() as i64,
    };
    let out = task.target.size().last().copied().unwrap_or(1);
    let shape = [columns, input.hparams.text_dim as i64, input.dataset.tasks.len() as i64, out];
    let net = TextNet::new(&input.hparams.text, shape, input.seed, input.device);
    let mut optimiser = AdamW::new(&net.params, input.hparams.weight_decay);
    let steps = positions.len().div_ceil(BATCH);
    let epochs = input.hparams.text_epoch.max(1);
    let log = Log::new(input.run_dir)?;
    for epoch in 0..epochs {
        let mut rng = Rng::new(input.seed, &[6, round, epoch as u64]);
        let mut order = positions.to_vec();
        rng.shuffle(&mut order);
        let mut total = 0.0;
        for (step, chunk) in order.chunks(BATCH).enumerate() {
            let loss = task.loss(&net, chunk, input.hparams.text_dropout, &mut rng, input.device);
            loss.backward();
            let rate = rate(input.hparams.text_learning_rate, epoch * steps + step, steps, epochs * steps);
            optimiser.step(&net.params, rate);
            total += loss.double_value(&[]);
        }
        let loss = total / steps.max(1) as f64;
        let progress = Progress { stage: "queries", epoch: epoch + 1, epochs, loss, validation: -loss };
        log.write(&progress)?;
        if (input.progress)(&progress) == ControlFlow::Break(()) {
            bail!("interrupted while reading queries; continue with --resume");
        }
    }
    Ok(net)
}

/// Returns the weights of some users, evenly picked.
fn judges(weights: &Tensor) -> Tensor {
    let users = weights.size().first().copied().unwrap_or(0);
    let idx: Vec<i64> = (0..users.min(JUDGES)).map(|i| i * users / users.min(JUDGES)).collect();
    weights.index_select(0, &Tensor::from_slice(&idx))
}

/// Returns the strength with the surest gain of reward on queries that the encoder was not trained on.
fn gate(task: &Task<'_>, net: &TextNet, held_out: &[usize], judges: &Tensor, device: Device) -> f64 {
    let rows: Vec<i64> = held_out.iter().map(|&position| position as i64).collect();
    let pick = |tensor: &Tensor| tensor.index_select(0, &Tensor::from_slice(&rows));
    let batch = task.inputs.batch(held_out, 0.0, &mut Rng::new(0, &[]), device);
    let base = task.outcomes.values.index_select(0, &pick(&task.outcomes.tasks)); // [Q, L, K]
    let residual = net.forward(&batch).1.to_device(Device::Cpu).view_as(&base);
    let truth = (&base + pick(&task.outcomes.residual)).matmul(&judges.tr()); // [Q, L, U]
    let unseen = pick(&task.outcomes.seen).unsqueeze(2).eq(0.0);
    let reward = |strength: f64| {
        let expected = (&base + &residual * strength).matmul(&judges.tr());
        let choice = expected.masked_fill(&unseen, f64::NEG_INFINITY).argmax(1, true);
        truth.gather(1, &choice, false).mean_dim([1, 2].as_slice(), false, Kind::Double) // [Q]
    };
    let without = reward(0.0);
    let mut best = (0.0, 0.0);
    for strength in GATES.into_iter().filter(|&strength| strength > 0.0 && held_out.len() > 1) {
        let gain = reward(strength) - &without;
        let error = gain.std(true).double_value(&[]) / (held_out.len() as f64).sqrt();
        let sure = gain.mean(Kind::Double).double_value(&[]) - CAUTION * error;
        if sure > best.1 {
            best = (strength, sure);
        }
    }
    best.0
}
