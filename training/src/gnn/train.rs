//! The training loop: epochs of steps on hidden judgements, each epoch validated on others.

use anyhow::{Result, bail};
use tch::Kind;

use super::batch::{Batch, Sample, Source};
use super::checkpoint::{self, State};
use super::constants::{CHUNK_EDGES, TABLE_PRIOR};
use super::loss;
use super::network::params::Params;
use super::network::{Network, nodes};
use super::optimizer::{AdamW, Schedule};
use super::sampler::Sampler;
use super::start::Start;
use super::stop::Stop;
use crate::model::fit::{FitInput, Progress};

/// What training has found.
#[derive(Debug)]
pub struct TrainedParams {
    /// The kept epoch's parameters.
    pub params: Params,
    /// What validation found.
    pub stop: Stop,
}

/// Trains until no epoch validates better, or all are done.
pub fn train(
    input: &mut FitInput<'_>,
    (start, params): (&Start, Params),
    (sampler, source): (&Sampler, Source<'_>),
) -> Result<TrainedParams> {
    let epochs = input.hparams.train_epoch;
    let mut state = begin(input, (start, params), (sampler, source))?;
    for epoch in state.epoch + 1..=epochs {
        let loss = run_epoch((start, &mut state), (sampler, source), epoch)?;
        let validation = validate(Network { params: &state.params, start }, sampler, source);
        if state.stop.better(epoch, validation) {
            state.kept = state.params.detached();
        }
        state.epoch = epoch;
        state.save(input.run_dir)?;
        input.step(Progress { stage: "network", epoch, epochs, loss, validation: -validation })?;
        if state.stop.ends(epoch) {
            break;
        }
    }
    Ok(TrainedParams { params: state.kept, stop: state.stop })
}

/// Returns the state before the first epoch, or that of the run's checkpoint.
fn begin(
    input: &FitInput<'_>,
    (start, params): (&Start, Params),
    (sampler, source): (&Sampler, Source<'_>),
) -> Result<State> {
    let hparams = &input.hparams;
    let schedule = Schedule { peak: hparams.learning_rate, steps: hparams.train_epoch * sampler.steps() };
    let optimizer = AdamW::new(&params, schedule, hparams.weight_decay);
    let kept = if input.initial.is_some() { params.detached() } else { params.without_learned() };
    let loss = validate(Network { params: &kept, start }, sampler, source);
    let state = State { epoch: 0, kept, params, optimizer, stop: Stop::new(hparams.patience, loss) };
    match input.resume && checkpoint::path(input.run_dir).is_file() {
        true => state.load(input.run_dir),
        false => Ok(state),
    }
}

/// Takes the steps of an epoch, and returns the mean loss.
fn run_epoch(
    (start, state): (&Start, &mut State),
    (sampler, source): (&Sampler, Source<'_>),
    epoch: usize,
) -> Result<f64> {
    let (mut total, steps) = (0.0, sampler.steps());
    // What a table's entry of average size costs, spread over all edges.
    let pull = TABLE_PRIOR / source.evidence.llm.len().max(1) as f64;
    for step in 0..steps {
        let batch = Batch::new(source, &sampler.step(epoch, step));
        let network = Network { params: &state.params, start };
        let mean = loss::sum(&state.params, &network.forward(&batch), &batch).mean();
        let value = mean.double_value(&[]);
        if !value.is_finite() {
            bail!(
                "the loss is {value} in epoch {epoch}, batch {}; the checkpoint of epoch {} is kept",
                step + 1,
                epoch - 1
            );
        }
        let objective = mean + nodes::penalty(&network) * pull;
        state.optimizer.step(&state.params, &objective);
        total += value;
    }
    Ok(total / steps.max(1) as f64)
}

/// Returns the loss on judgements set aside, each user read by all that is to be learned from.
fn validate(network: Network<'_>, sampler: &Sampler, source: Source<'_>) -> f64 {
    let _guard = tch::no_grad_guard();
    let (mut total, mut groups) = (0.0, 0.0);
    let both = sampler.training.iter().zip(&sampler.validation);
    let samples: Vec<Sample> =
        both.map(|(visible, hidden)| Sample { visible: visible.clone(), hidden: hidden.clone() }).collect();
    for chunk in chunks(&samples, source) {
        let batch = Batch::new(source, chunk);
        let sum = loss::sum(network.params, &network.forward(&batch), &batch);
        total += sum.total.to_kind(Kind::Double).double_value(&[]);
        groups += sum.groups.to_kind(Kind::Double).double_value(&[]);
    }
    if groups > 0.0 { total / groups } else { f64::INFINITY }
}

/// Splits samples into chunks of a bounded number of edges.
pub fn chunks<'a>(samples: &'a [Sample], source: Source<'_>) -> impl Iterator<Item = &'a [Sample]> {
    let edges = |sample: &Sample| {
        let groups = sample.visible.iter().chain(&sample.hidden);
        groups.map(|&group| source.evidence.edges_of(group).count()).sum::<usize>()
    };
    let longest = samples.iter().map(edges).max().unwrap_or(0).max(1);
    samples.chunks((CHUNK_EDGES / longest).max(1))
}
