//! The text part of a model of votes: recognises known queries by their n-grams, and so their tasks and answers.

use std::cmp::Reverse;

use tch::{Device, Kind, Tensor};

use super::{Shape, VoteFit};
use crate::closed_form::model::feature_table::{FeatureTable, FeatureWeights};
use crate::closed_form::model::gate::OutOfDistributionGate;
use crate::closed_form::model::text::TextScorer;
use crate::closed_form::text::shape::Shapes;
use crate::data::Dataset;
use crate::graph::query::{QueryInputs, SHAPE_TOKENS, TextEncoder};
use crate::model::hparams::Hparams;
use crate::model::tensors::single;
use crate::vote::design::Block;

/// Most known queries, those with the most votes: each is a column of the linear system for the n-gram table.
const KNOWN: usize = 128;
/// Scale of the task logits per unit of likeness.
const TASK_SCALE: f64 = 12.0;
/// Ridge that keeps the system solvable when known queries have nearly the same n-grams.
const RIDGE: f64 = 1e-4;

impl VoteFit<'_> {
    /// Returns the text part: a text counts as a known query as far as it shares its n-grams.
    pub(super) fn text(&self, hparams: &Hparams) -> TextScorer {
        let shape = self.shape();
        let data = &self.votes.dataset;
        let known = self.known();
        let inputs = QueryInputs::build(&hparams.text, data, &known);
        let features = features(&inputs, &hparams.text, data); // [ids, known]
        let rows: Vec<i64> = known.iter().map(|&query| i64::from(query)).collect();
        let strengths = self.table(Block::QueryLlm, &[shape.queries, shape.llms]);
        let by_llm = interpolate(&features, &strengths.index_select(0, &Tensor::from_slice(&rows)));
        let tasks: Vec<i64> =
            known.iter().map(|&q| data.queries.get(q as usize).map_or(0, |q| q.task.into())).collect();
        let tasks = Tensor::from_slice(&tasks).one_hot(shape.tasks).to_kind(Kind::Float) * TASK_SCALE;
        let none = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        let joined = Tensor::cat(&[&tasks, &tasks.zeros_like(), &by_llm], 1); // task, difficulty, effect by LLM
        let table = features.matmul(&joined);
        let weights = match hparams.text {
            TextEncoder::Embedding => FeatureWeights::Embedding(table),
            TextEncoder::Lexical(lexical) => {
                let shapes = Shapes::new(lexical);
                let idf = Tensor::ones([i64::from(lexical.buckets) + 1], (Kind::Float, Device::Cpu));
                let _ = idf.get(0).zero_();
                let shape = none(&[shapes.count(), table.size().last().copied().unwrap_or(0)]);
                FeatureWeights::Lexical { grams: table, idf, shape, shape_row: shapes.map(lexical.buckets.into()) }
            }
        };
        TextScorer {
            features: FeatureTable::of(weights),
            task_bias: self.log_task_shares(shape),
            task_map: Tensor::eye(shape.tasks, (Kind::Float, Device::Cpu)).constant_pad_nd([0, 0, 0, 1]),
            slopes: none(&[shape.tasks, shape.llms]),
            slope_limit: none(&[shape.tasks, shape.llms]),
            blocks: [none(&[shape.tasks, 1]).ones_like(), none(&[shape.tasks, 0])],
            cost_share: 0.0,
            task_shares: none(&[shape.tasks]),
            gate: OutOfDistributionGate::OPEN,
        }
    }

    /// Returns the queries of the training votes, those with the most votes first.
    fn known(&self) -> Vec<u32> {
        let mut counts = vec![0_usize; self.votes.dataset.queries.len()];
        for vote in self.rows.iter().filter_map(|&row| self.votes.votes.get(row)) {
            if let Some(count) = counts.get_mut(vote.query as usize) {
                *count += 1;
            }
        }
        let mut known: Vec<(usize, u32)> = counts.into_iter().zip(0..).filter(|(count, _)| *count > 0).collect();
        known.sort_by_key(|&(count, query)| (Reverse(count), query));
        known.into_iter().take(KNOWN).map(|(_, query)| query).collect()
    }

    /// Returns the logarithms of the tasks' shares of votes.
    fn log_task_shares(&self, shape: Shape) -> Tensor {
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
    for (column, elements) in texts.iter().enumerate() {
        for &(row, share) in elements {
            if let Some(element) = table.get_mut(row * columns + column) {
                *element += share;
            }
        }
    }
    Tensor::from_slice(&table).view([buckets as i64, columns as i64])
}

/// Returns n-grams with their weights; the shape tokens before them do not identify a query.
fn grams(ids: &[i64]) -> Vec<(usize, f32)> {
    let grams = ids.get(SHAPE_TOKENS..).unwrap_or_default();
    let share = single((grams.len().max(1) as f64).sqrt().recip());
    grams.iter().map(|&id| (usize::try_from(id).unwrap_or(0), share)).collect()
}

/// Returns the dual solution whose predictions for known queries `[ids, known]` are their strengths `[known, llms]`.
fn interpolate(features: &Tensor, strengths: &Tensor) -> Tensor {
    let features = features.to_kind(Kind::Double);
    let gram = features.tr().matmul(&features);
    let known = gram.size().first().copied().unwrap_or(0);
    let ridge = gram.diagonal(0, 0, 1).mean(Kind::Double) * RIDGE + 1e-9;
    let gram = gram + Tensor::eye(known, (Kind::Double, Device::Cpu)) * ridge;
    Tensor::linalg_solve(&gram, strengths, true).to_kind(Kind::Float)
}
