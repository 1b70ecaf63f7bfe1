//! Trains the query node: a bag of n-grams that guesses the task, and what the text foretells beyond it.
//!
//! The second part is small and easily imagined, so it must not do harm: if the choices it would have made on left-out
//! queries lose reward by more than chance, it stays out of the model.

use std::ops::ControlFlow;

use anyhow::{Result, bail};
use tch::{Device, Kind, Reduction, Tensor};

use super::foresee::Foresight;
use super::hparams::TextEncoder;
use super::kernel::Features;
use super::log::Log;
use super::optimiser::{AdamW, rate};
use super::outcome::Outcomes;
use super::seed::Rng;
use super::{Progress, TrainInput};
use crate::graph::text::QueryInputs;
use crate::model::axis::Axis;
use crate::model::text::{FrozenText, TextNet};

/// Queries in a minibatch.
const BATCH: usize = 64;
/// Most queries in the ridge regressions, whose cost grows with the cube.
const MOST_QUERIES: usize = 6_000;
/// Users whose choices decide; more add nothing, as they lie on one axis.
const JUDGES: i64 = 64;
/// Most columns for what LLMs have of their own.
const OWN_COLUMNS: i64 = 12;

/// Returns the query node and the strength of its own part, 0 if the text foretells nothing.
pub fn fit(
    input: &mut TrainInput<'_>,
    outcomes: &Outcomes,
    weights: &Tensor,
    axis: &Axis,
) -> Result<(FrozenText, f64)> {
    let inputs = QueryInputs::build(&input.hparams.text, input.dataset, &outcomes.queries);
    let net = guess_tasks(input, &inputs, outcomes)?;
    let _guard = tch::no_grad_guard();
    let rows = subset(inputs.len(), input.seed);
    let buckets = match input.hparams.text {
        TextEncoder::Lexical(lexical) => i64::from(lexical.buckets),
        TextEncoder::Embedding => 0,
    };
    let features = Features::new(&inputs, &rows, buckets, input.dataset.query_embeddings.ncols());
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let rows = Tensor::from_slice(&rows);
    let judges = judges(&weights.detach().to_device(Device::Cpu));
    let foresight = Foresight::fit(outcomes, &rows, &features, (axis, &judges));
    let harmful = harms(outcomes, &rows, &foresight, &judges);
    let strength = if harmful { 0.0 } else { foresight.strength };
    Ok((assemble(&net, &features, foresight, !harmful).rounded(), strength))
}

/// Trains the bag of n-grams, or the projection, by cross-entropy of the task.
fn guess_tasks(input: &mut TrainInput<'_>, inputs: &QueryInputs, outcomes: &Outcomes) -> Result<TextNet> {
    let shape = [
        input.dataset.query_embeddings.ncols() as i64,
        input.hparams.text_dim as i64,
        input.dataset.tasks.len() as i64,
    ];
    let net = TextNet::new(&input.hparams.text, shape, input.seed, input.device);
    let mut optimiser = AdamW::new(&net.params, input.hparams.weight_decay);
    let steps = inputs.len().div_ceil(BATCH);
    let epochs = input.hparams.text_epoch.max(1);
    let log = Log::new(input.run_dir)?;
    for epoch in 0..epochs {
        let mut rng = Rng::new(input.seed, &[6, epoch as u64]);
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        rng.shuffle(&mut order);
        let mut total = 0.0;
        for (step, chunk) in order.chunks(BATCH).enumerate() {
            let batch = inputs.batch(chunk, input.hparams.text_dropout, &mut rng, input.device);
            let rows: Vec<i64> = chunk.iter().map(|&position| position as i64).collect();
            let tasks = outcomes.tasks.index_select(0, &Tensor::from_slice(&rows)).to_device(input.device);
            let logits = net.forward(&batch);
            let loss = logits.cross_entropy_loss(&tasks, None::<&Tensor>, Reduction::Mean, -100, 0.0);
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

/// Returns the positions of all queries, or of a random subset in order.
fn subset(count: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..count).collect();
    if count > MOST_QUERIES {
        Rng::new(seed, &[5]).shuffle(&mut rows);
        rows.truncate(MOST_QUERIES);
        rows.sort_unstable();
    }
    rows
}

/// Returns the weights of some users, evenly picked.
fn judges(weights: &Tensor) -> Tensor {
    let users = weights.size().first().copied().unwrap_or(0);
    let count = users.min(JUDGES);
    let idx: Vec<i64> = (0..count).map(|i| i * users / count).collect();
    weights.index_select(0, &Tensor::from_slice(&idx))
}

/// Returns whether choices by left-out predictions are worse than choices by task alone, by more than chance.
fn harms(outcomes: &Outcomes, rows: &Tensor, foresight: &Foresight, judges: &Tensor) -> bool {
    let base = outcomes.values.index_select(0, &outcomes.tasks.index_select(0, rows)); // [Q, L, K]
    let truth = (&base + outcomes.residual.index_select(0, rows)).matmul(&judges.tr()); // [Q, L, U]
    let unseen = outcomes.seen.index_select(0, rows).unsqueeze(2).eq(0.0);
    let reward = |values: &Tensor| {
        let choice = values.matmul(&judges.tr()).masked_fill(&unseen, f64::NEG_INFINITY).argmax(1, true);
        truth.gather(1, &choice, false).mean_dim([1, 2].as_slice(), false, Kind::Double) // [Q]
    };
    let gain = reward(&(&base + foresight.left_out.view_as(&base))) - reward(&base);
    let count = rows.size().first().copied().unwrap_or(0);
    let chance = if count > 1 { gain.std(true).double_value(&[]) / (count as f64).sqrt() } else { 0.0 };
    gain.mean(Kind::Double).double_value(&[]) < -chance
}

/// Puts the task's columns and what the text foretells into one table.
fn assemble(net: &TextNet, features: &Features, foresight: Foresight, foretell: bool) -> FrozenText {
    let (table, weight, bias) = net.parts();
    let tasks = bias.size().first().copied().unwrap_or(1);
    let values = foresight.slopes.size().last().copied().unwrap_or(1);
    let own = if foretell { low_rank(&foresight.own, &foresight.own_values) } else { None };
    let Some((own, own_values)) = own else {
        let none = |rows: i64, columns: i64| Tensor::zeros([rows, columns], (Kind::Float, Device::Cpu));
        let dim = table.size().last().copied().unwrap_or(1);
        let (ease, slopes, residual) = (none(dim, tasks), none(tasks, values), none(dim, values));
        return FrozenText { input: table, plain: 0, task: (weight, bias), ease, slopes, residual };
    };
    let (scaled, plain) = features.weights(&Tensor::cat(&[&foresight.ease, &own], 1));
    let blocks = if scaled.is_some() { 2 } else { 1 };
    let columns = plain.size().last().copied().unwrap_or(0);
    let below = |head: &Tensor, before: i64, after: i64| {
        // A head on one block of columns, repeated for each block, zero elsewhere.
        let block = head.constant_pad_nd([0, 0, before, after]);
        let repeated = block.repeat([blocks, 1]);
        repeated.constant_pad_nd([0, 0, weight.size().first().copied().unwrap_or(0), 0])
    };
    let unit = Tensor::eye(tasks, (Kind::Float, Device::Cpu));
    let parts: Vec<&Tensor> = [Some(&table), scaled.as_ref(), Some(&plain)].into_iter().flatten().collect();
    FrozenText {
        input: Tensor::cat(&parts, 1),
        plain: columns,
        ease: below(&unit, 0, columns - tasks),
        residual: below(&own_values, tasks, 0),
        slopes: foresight.slopes,
        task: (weight.constant_pad_nd([0, 0, 0, blocks * columns]), bias),
    }
}

/// Returns the best factors of `solution · values` with few columns; none if there is nothing.
fn low_rank(solution: &Tensor, values: &Tensor) -> Option<(Tensor, Tensor)> {
    let (u, s, v) = solution.matmul(values).svd(true, true);
    let rank = s.size().first().copied().unwrap_or(0).min(OWN_COLUMNS);
    let (u, s, v) = (u.narrow(1, 0, rank), s.narrow(0, 0, rank), v.narrow(1, 0, rank));
    (s.sum(Kind::Float).double_value(&[]).is_finite() && rank > 0).then(|| (u * s, v.tr()))
}
