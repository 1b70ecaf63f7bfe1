//! The loop over epochs: minibatches of users, masked edges predicted, the best validated weights kept.

use std::ops::ControlFlow;

use anyhow::{Result, bail};
use tch::{Kind, Tensor};

use super::checkpoint::Checkpoint;
use super::hparams::Hparams;
use super::log::Log;
use super::optimiser::{AdamW, rate};
use super::seed::Rng;
use super::validate::{self, Validation};
use super::{Progress, TrainInput};
use crate::data::Setting;
use crate::graph::Graph;
use crate::graph::sample::{MAX_TARGETS, Targets, batch};
use crate::model::adapter::Messages;
use crate::model::net::{Forward, Net};
use crate::model::tensors::from2;

/// The state of a run.
pub struct Loop<'a> {
    graph: &'a Graph,
    net: Net,
    optimiser: AdamW,
    hparams: Hparams,
    seed: u64,
    known: Option<Known>,
    log: Log,
}

/// Effect and cost of training outcomes, flat by query and LLM (setting EC).
struct Known {
    effect: Tensor,
    cost: Tensor,
}

impl<'a> Loop<'a> {
    /// Prepares a run.
    pub fn new(input: &TrainInput<'_>, graph: &'a Graph, mut net: Net) -> Result<Self> {
        if let Some(path) = &input.initial {
            let named = super::checkpoint::read_tensors(path)?;
            if net.params.take_over(&named) == 0 {
                bail!("{}: no weight fits this model", path.display());
            }
        }
        let optimiser = AdamW::new(&net.params, input.hparams.weight_decay);
        let flat = |array| from2(array, input.device).view([-1]);
        let known = match input.setting {
            Setting::Rewards => None,
            Setting::EffectCost => Some(Known { effect: flat(&input.dataset.effect), cost: flat(&input.dataset.cost) }),
        };
        let log = Log::new(input.run_dir)?;
        Ok(Self { graph, net, optimiser, hparams: input.hparams.clone(), seed: input.seed, known, log })
    }

    /// Trains until the last epoch or until validation has not improved for `patience` epochs.
    pub fn run(&mut self, input: &mut TrainInput<'_>) -> Result<Checkpoint> {
        let mut checkpoint = self.start(input)?;
        let mut kept = self.validate_kept(&checkpoint)?;
        let epochs = self.hparams.train_epoch.max(1);
        while checkpoint.epoch < epochs && checkpoint.epoch - checkpoint.best_epoch < self.hparams.patience {
            let loss = self.epoch(checkpoint.epoch);
            let scored = self.validate();
            let validation = scored.mean();
            let keep = scored.holds_against(&kept);
            checkpoint.update(keep.then_some(validation), &self.net.params, &self.optimiser);
            kept = if keep { scored } else { kept };
            let progress = Progress { stage: "users", epoch: checkpoint.epoch, epochs, loss, validation };
            self.log.write(&progress)?;
            checkpoint.save(input.run_dir)?;
            if (input.progress)(&progress) == ControlFlow::Break(()) {
                bail!("interrupted after epoch {}; continue with --resume", checkpoint.epoch);
            }
        }
        Ok(checkpoint)
    }

    /// Returns the network with the best validated weights.
    pub fn into_net(mut self, checkpoint: &Checkpoint) -> Result<Net> {
        self.net.params.restore(&checkpoint.best_values)?;
        Ok(self.net)
    }

    fn start(&mut self, input: &TrainInput<'_>) -> Result<Checkpoint> {
        let found = if input.resume { Checkpoint::load(input.run_dir, &self.net.params)? } else { None };
        let Some(checkpoint) = found else {
            self.log.keep(0)?;
            return Ok(Checkpoint::new(&self.net.params, &self.optimiser));
        };
        self.net.params.restore(&checkpoint.values)?;
        self.optimiser.restore(checkpoint.steps, &checkpoint.moments)?;
        self.log.keep(checkpoint.epoch)?;
        Ok(checkpoint)
    }

    fn validate(&self) -> Validation {
        tch::no_grad(|| validate::score(self.graph, &self.net.forward()))
    }

    /// Validates the kept weights of a resumed run, and puts the current ones back.
    fn validate_kept(&mut self, checkpoint: &Checkpoint) -> Result<Validation> {
        if checkpoint.best_epoch == 0 {
            return Ok(Validation::default());
        }
        self.net.params.restore(&checkpoint.best_values)?;
        let kept = self.validate();
        self.net.params.restore(&checkpoint.values)?;
        Ok(kept)
    }

    /// One pass over (about) all edges; returns the mean loss.
    fn epoch(&mut self, epoch: usize) -> f64 {
        let mut rng = Rng::new(self.seed, &[4, epoch as u64]);
        let mut order = turns(self.graph);
        rng.shuffle(&mut order);
        let steps = order.len().div_ceil(self.hparams.batch_size.max(1));
        let (mut total, mut count) = (0.0, 0);
        for (step, users) in order.chunks(self.hparams.batch_size.max(1)).enumerate() {
            let (visible, targets) = batch(self.graph, users, self.hparams.train_mask_rate, &mut rng);
            if targets.reward.is_empty() {
                continue;
            }
            let forward = self.net.forward();
            let messages = Messages::new(&visible, self.graph.llms, self.net.device());
            let loss = self.loss(&forward, &messages, &targets);
            loss.backward();
            let all = steps * self.hparams.train_epoch.max(1);
            let warmup = steps.min(all / 10 + 1);
            self.optimiser.step(&self.net.params, rate(self.hparams.learning_rate, epoch * steps + step, warmup, all));
            total += loss.double_value(&[]);
            count += 1;
        }
        total / f64::from(count.max(1))
    }

    /// Mean squared error of masked rewards, in units of their spread; with effect and cost known, of those too.
    fn loss(&self, forward: &Forward, messages: &Messages, targets: &Targets) -> Tensor {
        let device = self.net.device();
        let weights = forward.preference(&forward.adapter.forward(messages)); // [B, K]
        let user = Tensor::from_slice(&targets.user).to_device(device);
        let cell = Tensor::from_slice(&targets.cell).to_device(device);
        let values = forward.cells().index_select(0, &cell); // [E, K]
        let expected = (weights.index_select(0, &user) * &values).sum_dim_intlist(1, false, Kind::Float);
        let reward = Tensor::from_slice(&targets.reward).to_device(device);
        let unit = self.net.scale().powi(2);
        let loss = (expected - reward).square().mean(Kind::Float) / unit;
        let Some(known) = &self.known else { return loss };
        let outcome = Tensor::from_slice(&targets.outcome).to_device(device);
        let error = |column: i64, truth: &Tensor, sign: f64| {
            let truth = truth.index_select(0, &outcome) * sign;
            let seen = truth.isnan().logical_not();
            let error = (values.select(1, column) - truth.nan_to_num(0.0, None, None)) * &seen;
            error.square().mean(Kind::Float) / unit
        };
        loss + error(0, &known.effect, 1.0) + error(1, &known.cost, -1.0)
    }
}

/// Returns each user once, and more often if it has more queries than fit one batch.
fn turns(graph: &Graph) -> Vec<usize> {
    (0..graph.edges.users())
        .flat_map(|user| std::iter::repeat_n(user, graph.edges.groups(user).len().div_ceil(MAX_TARGETS)))
        .collect()
}
