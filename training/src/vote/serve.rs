//! A fitted model of votes as the router that is exported and served: in the structures of the closed-form model.
//!
//! Preference weights are `[1, 0, factors…]`: the first meets the population's strength of (task, LLM), the second meets list
//! prices and is only used by declared preferences, the others meet the principal components of users' own strengths. A
//! user's embedding is its position bias, which no utility reads, and its factors. The strength of an answer to a known
//! query enters through the text: a query counts as known as far as it shares n-grams with it.

mod adapter;
mod text;

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::design::{Block, Design};
use super::solve::{Problem, Ridges, doubles};
use crate::closed_form::ClosedForm;
use crate::closed_form::model::preference::PreferenceDirection;
use crate::data::vote::Votes;
use crate::data::{Dataset, UserInfo};
use crate::model::Model;
use crate::model::facts::{self, Facts};
use crate::model::hparams::Hparams;
use crate::model::kind::ModelKind;
use crate::model::tensors::to_vec;

/// Blocks that a router can use for queries nobody has voted on, and for known ones.
pub const SERVED: [Block; 7] = [
    Block::Position,
    Block::Llm,
    Block::TaskLlm,
    Block::QueryLlm,
    Block::UserPosition,
    Block::UserLlm,
    Block::UserTaskLlm,
];

/// Most factors: with fewer users or (task, LLM) pairs than this, users' own strengths are kept exactly.
const FACTORS: i64 = 128;
/// Preference weights before the factors.
const SHARED: i64 = 2;

/// A fitted model of votes.
pub struct VoteFit<'a> {
    votes: &'a Votes,
    design: &'a Design,
    rows: &'a [usize],
    point: Vec<f64>,
    precision: Vec<f64>,
}

/// Extents.
#[derive(Debug, Clone, Copy)]
struct Shape {
    users: i64,
    tasks: i64,
    queries: i64,
    llms: i64,
}

impl<'a> VoteFit<'a> {
    /// Fits the votes at `rows`.
    pub fn new(votes: &'a Votes, design: &'a Design, ridges: &Ridges, rows: &'a [usize]) -> Self {
        let problem = Problem::new(votes, design, ridges, rows);
        let point = problem.solve(None);
        let precision = doubles(&problem.precision(&point));
        Self { votes, design, rows, point: doubles(&point), precision }
    }

    /// Returns the router.
    pub fn model(&self, hparams: Hparams, seed: u64) -> ClosedForm {
        let shape = self.shape();
        let Shape { users, tasks, llms, .. } = shape;
        let (basis, factors) = self.factors();
        let weights = SHARED + basis.size().first().copied().unwrap_or(0);
        let strength = self.table(Block::Llm, &[1, llms]) + self.table(Block::TaskLlm, &[tasks, llms]);
        let price = cheapness(&self.votes.dataset).unsqueeze(0).expand([tasks, llms], false);
        let values = Tensor::cat(&[strength.unsqueeze(2), price.unsqueeze(2), basis.tr().view([tasks, llms, -1])], 2);
        let preference = PreferenceDirection::between(unit(weights, 0), unit(weights, 1), &values.to_kind(Kind::Float));
        let bias = self.table(Block::Position, &[1]) + self.table(Block::UserPosition, &[users]);
        let embeddings = Tensor::cat(&[bias.unsqueeze(1), factors], 1);
        let dim = weights - SHARED + 1;
        let kinds = (Kind::Float, Device::Cpu);
        let to_weights = Tensor::zeros([dim, weights], kinds);
        to_weights.narrow(0, 1, dim - 1).narrow(1, SHARED, dim - 1).copy_(&Tensor::eye(dim - 1, kinds));
        let text = self.text(&hparams);
        ClosedForm {
            facts: self.facts(hparams, seed),
            adapter: self.adapter(&values, &embeddings),
            weights: (to_weights, unit(weights, 0)),
            values: values.flatten(1, 2).to_kind(Kind::Float),
            text,
            preference,
            deviation: self.deviation(shape),
            users: embeddings.to_kind(Kind::Float),
        }
    }

    fn shape(&self) -> Shape {
        let data = &self.votes.dataset;
        let [users, tasks, queries, llms] =
            [self.votes.users.len(), data.tasks.len(), data.queries.len(), data.llms.len()].map(|count| count as i64);
        Shape { users, tasks, queries, llms }
    }

    /// Returns a block's parameters as a table, 0 where nobody voted.
    fn table(&self, block: Block, size: &[i64]) -> Tensor {
        let elements = usize::try_from(size.iter().product::<i64>()).unwrap_or(0);
        Tensor::from_slice(&self.design.dense(block, &self.point, elements)).view(size)
    }

    /// Returns the principal components of users' own strengths `[factors, tasks · llms]`, and the users' factors
    /// `[users, factors]`.
    fn factors(&self) -> (Tensor, Tensor) {
        let Shape { users, tasks, llms, .. } = self.shape();
        let own = self.table(Block::UserLlm, &[users, 1, llms]) + self.table(Block::UserTaskLlm, &[users, tasks, llms]);
        let own = own.view([users, tasks * llms]);
        let (_, _, directions) = own.svd(true, true);
        let basis = directions.narrow(1, 0, FACTORS.min(users).min(tasks * llms)).tr();
        let factors = own.matmul(&basis.tr());
        (basis, factors)
    }

    /// Returns the posterior standard deviation of the population's strength of (task, LLM), by the diagonal of the Hessian.
    fn deviation(&self, shape: Shape) -> Tensor {
        let inverse: Vec<f64> = self.precision.iter().map(|precision| precision.max(1e-9).recip()).collect();
        let variance = |block, size: &[i64]| {
            let elements = usize::try_from(size.iter().product::<i64>()).unwrap_or(0);
            Tensor::from_slice(&self.design.dense(block, &inverse, elements)).view(size)
        };
        let sum = variance(Block::Llm, &[1, shape.llms]) + variance(Block::TaskLlm, &[shape.tasks, shape.llms]);
        sum.sqrt().to_kind(Kind::Float)
    }

    /// Returns how many training votes each user cast.
    fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0_u32; self.votes.users.len()];
        for vote in self.rows.iter().filter_map(|&row| self.votes.votes.get(row)) {
            if let Some(count) = counts.get_mut(vote.user as usize) {
                *count += 1;
            }
        }
        counts
    }

    fn facts(&self, hparams: Hparams, seed: u64) -> Facts {
        let data = &self.votes.dataset;
        Facts {
            model: ModelKind::ClosedForm,
            llms: data.llms.iter().map(facts::llm).collect(),
            tasks: data.tasks.iter().map(facts::task).collect(),
            setting: "R".to_owned(),
            embedding: Facts::embedding_of(&hparams, data),
            hparams,
            users: self.votes.users.iter().map(|user| user.id.clone()).zip(self.counts()).collect(),
            dataset: data.name.clone(),
            fingerprint: data.fingerprint.clone(),
            counts: [data.queries.len() as u64, 0, self.rows.len() as u64],
            seed,
            epochs: 0,
            text_strength: 1.0,
            validation: 0.0,
            reward_range: [0.0, 1.0],
        }
    }
}

/// Returns minus the standardised logarithm of list prices; all 0 where no price is known.
fn cheapness(data: &Dataset) -> Tensor {
    let price = |input: f32, output: f32| f64::from(0.5 * (input + output) + 1e-4).ln();
    let logs: Vec<f64> = data.llms.iter().map(|llm| price(llm.input_price, llm.output_price)).collect();
    let logs = Tensor::from_slice(&logs);
    let centred: Tensor = &logs - logs.mean(Kind::Double);
    let deviation = centred.square().mean(Kind::Double).sqrt().double_value(&[]);
    if deviation > 1e-6 { -centred / deviation } else { centred.zeros_like() }
}

fn unit(length: i64, at: i64) -> Tensor {
    Tensor::eye(length, (Kind::Float, Device::Cpu)).get(at)
}

/// Returns the position bias of users, in logits for the left side; the population's for users the model does not know.
pub fn position_biases(model: &dyn Model, users: &[UserInfo]) -> Vec<f64> {
    let known: HashMap<&str, f32> =
        model.facts().users.iter().map(|(id, _)| id.as_str()).zip(to_vec(&model.users().select(1, 0))).collect();
    let population = model.prior().first().copied().unwrap_or(0.0);
    users.iter().map(|user| f64::from(known.get(user.id.as_str()).copied().unwrap_or(population))).collect()
}
