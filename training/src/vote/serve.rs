//! A fitted model of votes as the router that is exported and served: the same structures as for rewards.
//!
//! Preference weights are `[1, 0, tastes…]`: the first meets what everybody thinks of (task, LLM), the second meets list
//! prices and is only used by declared preferences, the others meet the main directions in which tastes differ. A user's
//! embedding is the leaning to the left side, which no utility reads, and the tastes. What everybody thinks of an answer
//! to a known query comes in through the text: a query counts as known as far as it shares n-grams with it.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::design::{Block, Design};
use super::solve::{Problem, Ridges, doubles};
use crate::closed_form::ClosedForm;
use crate::closed_form::model::adapter::Belief;
use crate::closed_form::model::preference::Axis;
use crate::closed_form::model::text::Tables;
use crate::closed_form::model::text::{Border, FrozenText, Input};
use crate::closed_form::text::shape::Shapes;
use crate::data::vote::Votes;
use crate::data::{Dataset, UserInfo};
use crate::graph::query::QueryInputs;
use crate::graph::query::SHAPE_TOKENS;
use crate::graph::query::TextEncoder;
use crate::model::Model;
use crate::model::facts::{self, Facts};
use crate::model::hparams::Hparams;
use crate::model::kind::ModelKind;
use crate::model::tensors::{rounded, single, to_vec};

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

/// Most directions of taste: with fewer users or cells than this, tastes are kept exactly.
const TASTES: i64 = 128;
/// Most known queries, those with the most votes: the table of n-grams is worked out from one column each.
const KNOWN: usize = 128;
/// Preference weights before the tastes.
const SHARED: i64 = 2;
/// Voters among whom a new user is placed.
const PLACES: usize = 48;
/// How sharply resemblance to known queries decides the task.
const TASK_SCALE: f64 = 12.0;
/// Ridge that keeps known queries of nearly equal words apart.
const NEAR: f64 = 1e-4;

/// A fitted model of votes.
pub struct Fitted<'a> {
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

impl<'a> Fitted<'a> {
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
        let (basis, tastes) = self.tastes();
        let weights = SHARED + basis.size().first().copied().unwrap_or(0);
        let shared = self.table(Block::Llm, &[1, llms]) + self.table(Block::TaskLlm, &[tasks, llms]);
        let price = cheapness(&self.votes.dataset).unsqueeze(0).expand([tasks, llms], false);
        let values = Tensor::cat(&[shared.unsqueeze(2), price.unsqueeze(2), basis.tr().view([tasks, llms, -1])], 2);
        let axis = Axis::between(unit(weights, 0), unit(weights, 1), &values.to_kind(Kind::Float));
        let position = self.table(Block::Position, &[1]) + self.table(Block::UserPosition, &[users]);
        let embeddings = Tensor::cat(&[position.unsqueeze(1), tastes], 1);
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
            axis,
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

    /// Returns the main directions of taste `[tastes, tasks · llms]` and where users stand on them `[users, tastes]`.
    fn tastes(&self) -> (Tensor, Tensor) {
        let Shape { users, tasks, llms, .. } = self.shape();
        let own = self.table(Block::UserLlm, &[users, 1, llms]) + self.table(Block::UserTaskLlm, &[users, tasks, llms]);
        let own = own.view([users, tasks * llms]);
        let (_, _, directions) = own.svd(true, true);
        let basis = directions.narrow(1, 0, TASTES.min(users).min(tasks * llms)).tr();
        let tastes = own.matmul(&basis.tr());
        (basis, tastes)
    }

    /// Places users who rate instead of voting: among the most frequent voters, by the likelihood of their ratings as
    /// wins, and everybody as one more who weighs as much as all of them.
    fn adapter(&self, values: &Tensor, embeddings: &Tensor) -> Belief {
        let counts = self.counts();
        let mut frequent: Vec<i64> = (0..).take(counts.len()).collect();
        frequent.sort_by_key(|&user| std::cmp::Reverse(usize::try_from(user).ok().and_then(|user| counts.get(user))));
        frequent.truncate(PLACES);
        let place = Tensor::from_slice(&frequent);
        let tastes = values.size().last().copied().unwrap_or(SHARED) - SHARED;
        let everybody = self.table(Block::Position, &[1, 1]).constant_pad_nd([0, tastes]);
        let embedding = Tensor::cat(&[everybody, embeddings.index_select(0, &place)], 0); // [P, 1 + tastes]
        let own = values.narrow(2, SHARED, tastes).matmul(&embedding.narrow(1, 1, tastes).tr()); // [T, L, P]
        let utilities = values.select(2, 0) + own.permute([2, 0, 1]);
        let mut prior = vec![0.0_f32; frequent.len() + 1];
        prior.iter_mut().take(1).for_each(|weight| *weight = single((frequent.len().max(1) as f64).ln()));
        Belief {
            table: likelihood(&utilities),
            range: [0.0, 1.0],
            bins: 2,
            prior: Tensor::from_slice(&prior),
            embedding: embedding.to_kind(Kind::Float),
            // Tastes are in the embeddings of the voters among whom a user is placed.
            tastes: None,
        }
    }

    /// The posterior's standard deviation of what everybody thinks of (task, LLM), by the diagonal of the Hessian.
    fn deviation(&self, shape: Shape) -> Tensor {
        let inverse: Vec<f64> = self.precision.iter().map(|precision| precision.max(1e-9).recip()).collect();
        let variance = |block, size: &[i64]| {
            let elements = usize::try_from(size.iter().product::<i64>()).unwrap_or(0);
            Tensor::from_slice(&self.design.dense(block, &inverse, elements)).view(size)
        };
        let sum = variance(Block::Llm, &[1, shape.llms]) + variance(Block::TaskLlm, &[shape.tasks, shape.llms]);
        sum.sqrt().to_kind(Kind::Float)
    }

    /// The query node: a text is as much of a known query as it shares of its n-grams.
    fn text(&self, hparams: &Hparams) -> FrozenText {
        let shape = self.shape();
        let data = &self.votes.dataset;
        let known = self.known();
        let inputs = QueryInputs::build(&hparams.text, data, &known);
        let features = features(&inputs, &hparams.text, data); // [ids, known]
        let rows: Vec<i64> = known.iter().map(|&query| i64::from(query)).collect();
        let strengths = self.table(Block::QueryLlm, &[shape.queries, shape.llms]);
        let heard = explain(&features, &strengths.index_select(0, &Tensor::from_slice(&rows)));
        let tasks: Vec<i64> =
            known.iter().map(|&q| data.queries.get(q as usize).map_or(0, |q| q.task.into())).collect();
        let told = Tensor::from_slice(&tasks).one_hot(shape.tasks).to_kind(Kind::Float) * TASK_SCALE;
        let none = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        let joined = Tensor::cat(&[&told, &told.zeros_like(), &heard], 1); // task, ease, high ends
        let table = features.matmul(&joined);
        let tables = match hparams.text {
            TextEncoder::Embedding => Tables::Embedding(table),
            TextEncoder::Lexical(lexical) => {
                let shapes = Shapes::new(lexical);
                let rarity = Tensor::ones([i64::from(lexical.buckets) + 1], (Kind::Float, Device::Cpu));
                let _ = rarity.get(0).zero_();
                let shape = none(&[shapes.count(), table.size().last().copied().unwrap_or(0)]);
                Tables::Lexical { grams: table, rarity, shape, shape_row: shapes.map(lexical.buckets.into()) }
            }
        };
        FrozenText {
            input: Input::of(tables),
            task: self.task_shares(shape),
            map: Tensor::eye(shape.tasks, (Kind::Float, Device::Cpu)).constant_pad_nd([0, 0, 0, 1]),
            slopes: none(&[shape.tasks, shape.llms]),
            ceiling: none(&[shape.tasks, shape.llms]),
            blocks: [none(&[shape.tasks, 1]).ones_like(), none(&[shape.tasks, 0])],
            shared: 0.0,
            shares: none(&[shape.tasks]),
            border: Border::NONE,
        }
    }

    /// Queries that training votes are about, those with the most votes first.
    fn known(&self) -> Vec<u32> {
        let mut counts = vec![0_usize; self.votes.dataset.queries.len()];
        for vote in self.rows.iter().filter_map(|&row| self.votes.votes.get(row)) {
            if let Some(count) = counts.get_mut(vote.query as usize) {
                *count += 1;
            }
        }
        let mut known: Vec<(usize, u32)> = counts.into_iter().zip(0..).filter(|(count, _)| *count > 0).collect();
        known.sort_by_key(|&(count, query)| (std::cmp::Reverse(count), query));
        known.into_iter().take(KNOWN).map(|(_, query)| query).collect()
    }

    /// Logarithms of the tasks' shares of votes.
    fn task_shares(&self, shape: Shape) -> Tensor {
        let mut counts = vec![1.0_f64; usize::try_from(shape.tasks).unwrap_or(0)];
        for vote in self.rows.iter().filter_map(|&row| self.votes.votes.get(row)) {
            let task = self.votes.dataset.queries.get(vote.query as usize).map_or(0, |query| query.task as usize);
            if let Some(count) = counts.get_mut(task) {
                *count += 1.0;
            }
        }
        let total: f64 = counts.iter().sum();
        Tensor::from_slice(&counts.into_iter().map(|count| single((count / total).ln())).collect::<Vec<_>>())
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
            gate: 1.0,
            validation: 0.0,
        }
    }
}

/// Returns known queries as columns of unit length: their n-grams `[buckets + 1, known]`, or their embeddings.
fn features(inputs: &QueryInputs, encoder: &TextEncoder, data: &Dataset) -> Tensor {
    let buckets = match encoder {
        TextEncoder::Lexical(lexical) => lexical.buckets as usize + 1,
        TextEncoder::Embedding => data.query_embeddings.ncols(),
    };
    let texts: Vec<Vec<(usize, f32)>> = match inputs {
        QueryInputs::Lexical(texts) => texts.iter().map(|ids| grams(ids)).collect(),
        QueryInputs::Embedding(texts) => texts.iter().map(|row| row.iter().copied().enumerate().collect()).collect(),
    };
    let columns = texts.len();
    let mut table = vec![0.0_f32; buckets * columns];
    for (column, cells) in texts.iter().enumerate() {
        for &(row, share) in cells {
            if let Some(cell) = table.get_mut(row * columns + column) {
                *cell += share;
            }
        }
    }
    Tensor::from_slice(&table).view([buckets as i64, columns as i64])
}

/// Shape tokens come first and say nothing of which query it is.
fn grams(ids: &[i64]) -> Vec<(usize, f32)> {
    let grams = ids.get(SHAPE_TOKENS..).unwrap_or_default();
    let share = single((grams.len().max(1) as f64).sqrt().recip());
    grams.iter().map(|&id| (usize::try_from(id).unwrap_or(0), share)).collect()
}

/// Returns what, spread by likeness, gives known queries `[ids, known]` their strengths `[known, llms]` back.
fn explain(features: &Tensor, strengths: &Tensor) -> Tensor {
    let features = features.to_kind(Kind::Double);
    let gram = features.tr().matmul(&features);
    let known = gram.size().first().copied().unwrap_or(0);
    let ridge = gram.diagonal(0, 0, 1).mean(Kind::Double) * NEAR + 1e-9;
    let gram = gram + Tensor::eye(known, (Kind::Double, Device::Cpu)) * ridge;
    Tensor::linalg_solve(&gram, strengths, true).to_kind(Kind::Float)
}

/// Minus the standardised logarithm of list prices; all 0 where no price is known.
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

/// Returns the logarithm of the chance `σ(utility)` of a win (reward 1) and of a loss (reward 0) in each cell, of users
/// `[positions, tasks, llms]`: a reward between them is as likely as that share of a win.
fn likelihood(utilities: &Tensor) -> Tensor {
    let against = utilities - utilities.mean_dim([2].as_slice(), true, Kind::Double);
    let sides = Tensor::stack(&[(-&against).log_sigmoid(), against.log_sigmoid()], 3); // [P, T, L, 2]
    let unknown = sides.mean_dim([1].as_slice(), true, Kind::Double);
    let all = Tensor::cat(&[&sides, &unknown], 1);
    rounded(&all.permute([1, 2, 3, 0]).flatten(0, 2).contiguous())
}

/// Returns the leaning of users to the left side, in logits; everybody's for those the model does not know.
pub fn positions(model: &dyn Model, users: &[UserInfo]) -> Vec<f64> {
    let known: HashMap<&str, f32> =
        model.facts().users.iter().map(|(id, _)| id.as_str()).zip(to_vec(&model.users().select(1, 0))).collect();
    let everybody = model.prior().first().copied().unwrap_or(0.0);
    users.iter().map(|user| f64::from(known.get(user.id.as_str()).copied().unwrap_or(everybody))).collect()
}
