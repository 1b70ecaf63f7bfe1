//! The graph network: messages between users, tasks, queries and LLMs, learned by gradient descent on masked edges.
//!
//! [`fit`] is the way in, and its modules stand in the order in which a judgement passes them: the [`start`] gives tables that
//! do not change, the [`sampler`] hides a share of each user's judgements, a [`batch`] holds them as tensors, the [`network`]
//! reads what is visible and predicts what is hidden, the [`loss`] compares, the [`optimizer`] steps, [`stop`] decides which
//! epoch is kept, and [`model`] is what comes out.

pub mod constants;
pub mod lengths;
pub mod start;

pub mod sampler;

pub mod batch;

pub mod network;

pub mod loss;

pub mod optimizer;
pub mod stop;

pub mod checkpoint;
pub mod train;

pub mod model;

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};

use crate::data::{Interaction, Interactions, SignalKind};
use crate::graph::evidence::Evidence;
use crate::model::fit::FitInput;
use crate::model::store;

pub use model::Gnn;

use batch::Source;
use network::params::{Params, Sizes};
use sampler::Sampler;
use start::Start;

/// Trains a model.
pub fn fit(input: &mut FitInput<'_>) -> Result<Gnn> {
    let evidence = Evidence::new(input.interactions);
    if evidence.llm.is_empty() {
        bail!("no judgement to learn from: every choice names no answer, or shows only one");
    }
    let hparams = input.hparams.clone();
    let sampler = Sampler::new(&evidence, input.seed, hparams.train_mask_rate, hparams.batch_size);
    let start = start(input, &evidence, &sampler)?;
    let params = parameters(input, &start)?;
    let source = Source { evidence: &evidence, dataset: input.dataset, scale: start.scale, device: input.device };
    let trained = train::train(input, (&start, params), (&sampler, source))?;
    model::freeze(input, (&start, &trained), (&sampler, source))
}

/// Estimates the start on what does not validate.
fn start(input: &mut FitInput<'_>, evidence: &Evidence, sampler: &Sampler) -> Result<Start> {
    let rest = votes_as_ratings(sampler.without_validation(input.interactions, evidence));
    let mut shown = FitInput {
        dataset: input.dataset,
        interactions: &rest,
        split: input.split,
        setting: input.setting,
        hparams: input.hparams.clone(),
        device: input.device,
        seed: input.seed,
        run_dir: input.run_dir,
        initial: None,
        resume: input.resume,
        progress: &mut *input.progress,
    };
    Start::new(&mut shown, evidence)
}

/// Returns `told`; where there are votes alone, each as two ratings, as the estimates of the start read ratings.
fn votes_as_ratings(told: Interactions) -> Interactions {
    if told.entries.iter().any(|entry| !matches!(entry.kind, SignalKind::Vote { .. })) {
        return told;
    }
    let mut rated = Interactions { users: told.users.clone(), offsets: vec![0], entries: Vec::new() };
    for user in 0..told.users.len() {
        for entry in told.of(user) {
            let SignalKind::Vote { against, .. } = entry.kind else { continue };
            let rating = |llm, value| Interaction { llm, value, kind: SignalKind::Rating, ..*entry };
            rated.entries.extend([rating(entry.llm, entry.value), rating(against, 1.0 - entry.value)]);
        }
        rated.offsets.push(rated.entries.len());
    }
    rated
}

/// Draws the parameters, or reads them from the file that training is to start from.
fn parameters(input: &FitInput<'_>, start: &Start) -> Result<Params> {
    let size = |number: usize, key: &str| i64::try_from(number).with_context(|| format!("{key} is too large"));
    let dim = size(input.hparams.embedding_dim, "embedding_dim")?;
    let weights = dim / 2;
    if dim % 2 != 0 || weights <= start.given() {
        let least = 2 * (start.given() + 1);
        bail!("embedding_dim is {dim}: expected an even number of at least {least}, as half of it are weights");
    }
    let sizes = Sizes {
        tasks: input.dataset.tasks.len() as i64,
        llms: input.dataset.llms.len() as i64,
        weights,
        given: start.given(),
        description: start.descriptions.size().last().copied().unwrap_or(0),
        features: start.lengths.features(),
    };
    let drawn = Params::new(sizes, start, input.seed, input.device);
    match &input.initial {
        None => Ok(drawn),
        Some(file) => drawn.load(&store::load(file)?).with_context(|| format!("{}: other weights", file.display())),
    }
}
