//! Training: users and answers by messages along the graph's edges, then the query node on what these imply.

pub mod adapter;
pub mod components;
pub mod estimate;
pub mod features;
pub mod foresee;
pub mod guess;
pub mod hparams;
pub mod judge;
pub mod log;
pub mod newcomer;
pub mod query;
pub mod ridge;
pub mod seed;
pub mod shape;
pub mod unfamiliar;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use personaroute_bundle::catalog::{Llm, Task};
use tch::{Device, Kind, Tensor};

use crate::data::{Dataset, Interactions, LlmInfo, Setting, Split, TaskInfo};
use crate::model::axis::Axis;
use crate::model::{Facts, Model, store};

use components::{Components, Tastes};
use hparams::{Hparams, TextEncoder};
use log::Log;
use query::Fitted;

/// Where a run keeps what it has estimated, so that it can go on from there.
pub(crate) const COMPONENTS: &str = "components.safetensors";

/// Everything a training run depends on.
pub struct TrainInput<'a> {
    /// Texts, metadata and outcomes; of the outcomes only the training queries' are read, and only in setting EC.
    pub dataset: &'a Dataset,
    /// Interactions of the training split.
    pub interactions: &'a Interactions,
    /// Which queries may be learned from.
    pub split: &'a Split,
    /// What may be known.
    pub setting: Setting,
    /// Hyperparameters.
    pub hparams: Hparams,
    /// Where to compute.
    pub device: Device,
    /// Seed of every random choice.
    pub seed: u64,
    /// Folder for checkpoints, metrics and the model.
    pub run_dir: &'a Path,
    /// Model file that was to be the start (`ini_model_path`): it must be one, but estimation needs no start.
    pub initial: Option<PathBuf>,
    /// Continue from the folder's checkpoint, if there is one.
    pub resume: bool,
    /// Called after each stage; `Break` ends the run as if it had been interrupted.
    pub progress: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// `users` or `queries`.
    pub stage: &'static str,
    /// Steps done.
    pub epoch: usize,
    /// Steps at most.
    pub epochs: usize,
    /// Of users: the standard deviation of rewards around what was estimated. Of queries: the share of left-out queries
    /// whose task was not guessed.
    pub loss: f64,
    /// Of users: minus the loss. Of queries: how strongly text speaks about single LLMs, 0 to 1.
    pub validation: f64,
}

/// Returns the device of that name: `cpu`, `cuda` or `cuda:N`.
pub fn device(name: &str) -> Result<Device> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        other => {
            let number = other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok());
            number.with_context(|| format!("unknown device `{other}`: expected cpu, cuda or cuda:N"))?
        }
    };
    let found = tch::Cuda::device_count();
    if index as i64 >= found {
        bail!(
            "no CUDA device {index}: libtorch sees {found} of them (a CPU build of libtorch sees none); use --device cpu"
        );
    }
    Ok(Device::Cuda(index))
}

/// Trains a model and saves it in the run folder.
pub fn fit(input: &mut TrainInput<'_>) -> Result<Model> {
    check(input)?;
    let components = components(input)?;
    let fitted = query::fit(input, &components);
    step(
        input,
        Progress { stage: "queries", epoch: 1, epochs: 1, loss: 1.0 - fitted.accuracy, validation: fitted.strength },
    )?;
    let model = assemble(input, &components, fitted);
    model.save(input.run_dir)?;
    Ok(model)
}

/// Estimates users and answers, or reads what an interrupted run has estimated.
fn components(input: &mut TrainInput<'_>) -> Result<Components> {
    let path = input.run_dir.join(COMPONENTS);
    let log = Log::new(input.run_dir)?;
    if input.resume && path.is_file() {
        let kept = Components::load(&path)?;
        let fits = |kept: &Components| kept.positions.numel() == input.interactions.users.len();
        if let Some(kept) = kept.filter(fits) {
            log.keep(1)?;
            return Ok(kept);
        }
    }
    log.keep(0)?;
    let found =
        estimate::estimate((input.dataset, input.interactions), input.setting, &input.hparams.leave_out, input.device);
    found.save(&path)?;
    step(input, Progress { stage: "users", epoch: 1, epochs: 1, loss: found.noise, validation: -found.noise })?;
    Ok(found)
}

/// Says how far the run is; the caller may end it.
fn step(input: &mut TrainInput<'_>, progress: Progress) -> Result<()> {
    Log::new(input.run_dir)?.write(&progress)?;
    if (input.progress)(&progress) == ControlFlow::Break(()) {
        bail!("interrupted after {}; continue with --resume", progress.stage);
    }
    Ok(())
}

/// Puts the parts together: a user embedding is a position between two ends, and tastes where users have any.
fn assemble(input: &TrainInput<'_>, components: &Components, fitted: Fitted) -> Model {
    let single = |table: &Tensor| table.to_kind(Kind::Float);
    let ends = Tensor::stack(&[&components.cell_high, &components.cell_low], 2); // [T, L, 2]
    let [tasks, llms] = [components.task_count(), components.llms()];
    let tastes = match &components.tastes {
        Some(Tastes { loadings, coordinates }) => [single(loadings), single(coordinates)],
        None => {
            [llms, components.positions.numel() as i64].map(|rows| Tensor::zeros([rows, 0], (Kind::Float, Device::Cpu)))
        }
    };
    let [loadings, coordinates] = tastes;
    let count = loadings.size().last().copied().unwrap_or(0);
    let shared = loadings.unsqueeze(0).expand([tasks, llms, count], false);
    let values = Tensor::cat(&[single(&ends), shared], 2); // [T, L, 2 + K]
    let unit = Tensor::eye(2 + count, (Kind::Float, Device::Cpu));
    let end = |k: i64| unit.get(k);
    let position = end(0) - end(1);
    let weights = Tensor::cat(&[position.unsqueeze(0), unit.narrow(0, 2, count)], 0); // [1 + K, 2 + K]
    let users = Tensor::cat(&[single(&components.positions).unsqueeze(1), coordinates], 1);
    Model {
        facts: facts(input, components, &fitted),
        adapter: adapter::fit(components, |places| single(places).unsqueeze(1).constant_pad_nd([0, count])),
        weights: (weights, end(1)),
        axis: Axis::beside(end(0), end(1), &values, count),
        values: values.flatten(1, 2),
        text: fitted.text,
        deviation: single(&components.deviation()),
        users,
    }
}

fn check(input: &TrainInput<'_>) -> Result<()> {
    if input.interactions.entries.is_empty() {
        bail!("no interactions to learn from");
    }
    if input.dataset.llms.is_empty() || input.dataset.tasks.is_empty() {
        bail!("the data set has no LLM or no task");
    }
    let missing = input.dataset.query_embeddings.ncols() == 0;
    if missing && input.hparams.text == TextEncoder::Embedding {
        bail!("the embedding encoder needs query embeddings, and the data set has none");
    }
    if let Some(initial) = &input.initial {
        store::load(initial)?;
    }
    Ok(())
}

fn facts(input: &TrainInput<'_>, components: &Components, fitted: &Fitted) -> Facts {
    let dataset = input.dataset;
    let count = |user: usize| u32::try_from(input.interactions.of(user).len()).unwrap_or(u32::MAX);
    let users = input.interactions.users.iter().enumerate();
    Facts {
        llms: dataset.llms.iter().map(llm).collect(),
        tasks: dataset.tasks.iter().map(task).collect(),
        setting: input.setting.as_str().to_owned(),
        hparams: input.hparams.clone(),
        embedding: match input.hparams.text {
            TextEncoder::Lexical(_) => 0,
            TextEncoder::Embedding => dataset.query_embeddings.ncols(),
        },
        users: users.map(|(idx, user)| (user.id.clone(), count(idx))).collect(),
        dataset: dataset.name.clone(),
        fingerprint: dataset.fingerprint.clone(),
        counts: [
            input.split.train.len() as u64,
            (input.split.train.len() * dataset.llms.len()) as u64,
            input.interactions.entries.len() as u64,
        ],
        seed: input.seed,
        epochs: 1,
        gate: fitted.strength,
        validation: -components.noise,
    }
}

/// Returns what a catalog says of an LLM.
pub fn llm(llm: &LlmInfo) -> Llm {
    Llm {
        id: llm.id.clone(),
        model: llm.model.clone(),
        input_price: llm.input_price,
        output_price: llm.output_price,
        cached_input_price: None,
        context_window: None,
        capabilities: Vec::new(),
        description: llm.description.clone(),
    }
}

pub(crate) fn task(task: &TaskInfo) -> Task {
    Task { name: task.name.clone(), description: task.description.clone() }
}
