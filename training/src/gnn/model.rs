//! The trained network as it serves: tables of values, the users' weights, and what reads a user's judgements.

pub mod calibration;
pub mod direction;
pub mod predict;
pub mod reader;
pub mod store;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch::{Batch, Sample, Source};
use super::network::{Network, nodes};
use super::sampler::Sampler;
use super::start::Start;
use super::train::{TrainedParams, chunks};
use crate::closed_form::model::preference::PreferenceDirection;
use crate::closed_form::model::text::TextScorer;
use crate::model::facts::Facts;
use crate::model::fit::{FitInput, Fitted};
use crate::model::kind::ModelKind;
use crate::model::tensors::single;
use calibration::Calibration;
use reader::{Information, Reader};

/// Columns of values before the learned ones: effect and cost coefficients, and what everybody thinks.
pub const FIXED: i64 = 3;

/// A trained graph network, on the CPU.
#[derive(Debug)]
pub struct Gnn {
    /// What the numbers are about.
    pub facts: Facts,
    /// User embedding to weights of values: `[user_dim, columns]` and bias. The second half of an embedding has no weight: it
    /// says how much of the prior's variance is left.
    pub weights: (Tensor, Tensor),
    /// `[tasks, llms · columns]`: effect and cost coefficients, what everybody thinks, and learned columns.
    pub values: Tensor,
    /// `[tasks · features, llms · columns]`: what a query's length adds, for each task.
    pub length_values: Tensor,
    /// `[rows of shape tokens, tasks · features]`: features of lengths as each task sees them.
    pub lengths: Tensor,
    /// The query node.
    pub text: TextScorer,
    /// Weights from cost to effect.
    pub preference: PreferenceDirection,
    /// How many of the last columns are a user's own where a preference is declared.
    pub own: i64,
    /// `[tasks, llms]`: variance of what is expected of everybody around the truth, in squared rewards.
    pub level: Tensor,
    /// `[weights, columns]`: from values to the parts of a user's uncertainty, in rewards.
    pub spread: Tensor,
    /// Judgements to user embedding.
    pub reader: Reader,
    /// `[users, user_dim]`: the training users.
    pub users: Tensor,
}

/// Takes a trained network apart into tables, and reads all users by all they said.
pub fn freeze(
    input: &FitInput<'_>,
    (start, trained): (&Start, &TrainedParams),
    (sampler, source): (&Sampler, Source<'_>),
) -> Result<Gnn> {
    let _guard = tch::no_grad_guard();
    let network = Network { params: &trained.params, start };
    let users = users(network, source, input);
    let tables = Tables::new(network);
    let values = tables.values.flatten(1, 2);
    let weights = tables.weights();
    let preference = preference(input, start, &tables, &(users.weights.matmul(&weights.0) + &weights.1));
    let mut reader = Reader::new(network, users.information);
    let calibration = Calibration::fit(network, &reader, (sampler, source));
    reader.temper = Tensor::from_slice(&[single(calibration.temper)]);
    let left = reader.left(&users.covariance);
    // A weight of a user moves a column as `weights` says.
    let axes = reader.parts.to_kind(Kind::Double).inverse().tr().to_kind(Kind::Float);
    let spread = axes.matmul(&weights.0) * calibration.scale.sqrt();
    Ok(Gnn {
        facts: facts(input, start, trained),
        own: if start.ends.is_some() { tables.learned } else { 0 },
        length_values: tables.length_values,
        lengths: start.lengths.table.shallow_clone(),
        text: start.text.shallow(),
        preference,
        level: calibration.level,
        spread,
        users: Tensor::cat(&[users.weights, left], 1),
        weights: (weights.0.constant_pad_nd([0, 0, 0, reader.width()]), weights.1),
        reader,
        values,
    })
}

/// Values in rewards.
struct Tables {
    /// `[tasks, llms, columns]`.
    values: Tensor,
    length_values: Tensor,
    given: i64,
    learned: i64,
}

impl Tables {
    fn new(network: Network<'_>) -> Self {
        let (params, start) = (network.params, network.start);
        let [unit, zero] = start.scale;
        let llms = start.llms;
        let cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu);
        let learned = cpu(&nodes::cells(&network)) * unit; // [T · L, D]
        let width = learned.size().last().copied().unwrap_or(0);
        let learned = learned.view([-1, llms, width]);
        let mean = (cpu(&params.mean) * unit + zero).view([-1, llms, 1]);
        let tasks = mean.size().first().copied().unwrap_or(1);
        let ends = match &start.ends {
            Some(ends) => ends.cells.shallow_clone(),
            None => Tensor::zeros([tasks, llms, 2], (Kind::Float, Device::Cpu)),
        };
        let features = start.lengths.features();
        let by_length = cpu(&params.lengths).view([llms, features, width]) * unit;
        let mean_by_length = cpu(&params.mean_lengths).view([llms, features, 1]) * unit;
        let nothing = Tensor::zeros([llms, features, 2], (Kind::Float, Device::Cpu));
        let by_length = Tensor::cat(&[nothing, mean_by_length, by_length], 2); // [L, F, K]
        let by_length = by_length.transpose(0, 1).reshape([1, features, -1]).repeat([tasks, 1, 1]);
        Self {
            values: Tensor::cat(&[ends, mean, learned], 2),
            length_values: by_length.reshape([tasks * features, -1]),
            given: start.given(),
            learned: width,
        }
    }

    /// Returns the map from a user's embedding to weights of columns: the score weighs effect against cost.
    fn weights(&self) -> (Tensor, Tensor) {
        let unit = Tensor::eye(FIXED + self.learned, (Kind::Float, Device::Cpu));
        let own = unit.narrow(0, FIXED, self.learned);
        let weight = match self.given {
            0 => own,
            _ => Tensor::cat(&[(unit.get(0) - unit.get(1)).unsqueeze(0), unit.get(1).unsqueeze(0), own], 0),
        };
        (weight, unit.get(2))
    }
}

/// The training users.
struct Users {
    /// `[users, weights]`.
    weights: Tensor,
    /// `[users, weights, weights]`.
    covariance: Tensor,
    /// Of an interaction, the mean over all.
    information: Information,
}

/// Reads every user by all they said.
fn users(network: Network<'_>, source: Source<'_>, input: &FitInput<'_>) -> Users {
    let sample = |user: usize| Sample { visible: source.evidence.groups_of(user).collect(), hidden: Vec::new() };
    let samples: Vec<Sample> = (0..source.evidence.user_count()).map(sample).collect();
    let (mut parts, mut covariances) = (Vec::new(), Vec::new());
    let mut precision: Option<Tensor> = None;
    for chunk in chunks(&samples, source) {
        let found = network.users(&Batch::new(source, chunk));
        let (known, _) = Tensor::linalg_inv_ex(&found.covariance.to_device(Device::Cpu).to_kind(Kind::Double), false);
        let sum = known.sum_dim_intlist(0, false, Kind::Double);
        precision = Some(precision.map_or_else(|| sum.shallow_clone(), |precision| precision + &sum));
        parts.push(found.weights.to_device(Device::Cpu));
        covariances.push(found.covariance.to_device(Device::Cpu));
    }
    let weights = Tensor::cat(&parts, 0);
    let width = weights.size().last().copied().unwrap_or(0);
    let prior = network.params.precision.exp().narrow(0, 0, width).to_device(Device::Cpu);
    let interactions = input.interactions.entries.len().max(1) as f64;
    let beyond = precision.map(|precision| precision - prior.diag_embed(0, 0, 1) * samples.len() as f64);
    let information = beyond.map_or_else(
        || Tensor::zeros([width, width], (Kind::Float, Device::Cpu)),
        |sum| {
            // Equal to its transpose but for rounding.
            let mean = sum / interactions;
            ((&mean + mean.tr()) * 0.5).to_kind(Kind::Float)
        },
    );
    let covariance = Tensor::cat(&covariances, 0);
    Users { weights, covariance, information: Information::new(&information, &prior) }
}

/// Returns the direction from cost to effect: the closed-form estimates' where they are the start, else the direction in which
/// users differ most, with the end that likes expensive LLMs as effect.
fn preference(input: &FitInput<'_>, start: &Start, tables: &Tables, weights: &Tensor) -> PreferenceDirection {
    if start.ends.is_none() {
        let prices: Vec<f32> =
            input.dataset.llms.iter().map(|llm| single(f64::from(llm.output_price).ln_1p())).collect();
        return direction::main(weights, &tables.values, &prices);
    }
    let unit = Tensor::eye(FIXED + tables.learned, (Kind::Float, Device::Cpu));
    let end = |column: i64| unit.get(column) + unit.get(2);
    PreferenceDirection::beside(end(0), end(1), &tables.values, tables.learned)
}

fn facts(input: &FitInput<'_>, start: &Start, trained: &TrainedParams) -> Facts {
    input.facts(Fitted {
        model: ModelKind::Gnn,
        epochs: trained.stop.epoch,
        text_strength: start.strength,
        validation: -trained.stop.loss,
    })
}
