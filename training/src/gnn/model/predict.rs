//! The graph network behind the trait of all trained models.

use std::path::Path;

use anyhow::Result;
use tch::{Kind, Tensor};

use super::Gnn;
use crate::closed_form::constants::MIN_COST_WEIGHT;
use crate::closed_form::model::predict::Product;
use crate::closed_form::model::text::TextFeatures;
use crate::data::Dataset;
use crate::graph::interaction::InteractionBatch;
use crate::graph::query::{QueryBatch, QueryInputs};
use crate::model::facts::Facts;
use crate::model::score::ScorerInputs;
use crate::model::{Model, Predictor, TaskInput, tensors};

/// Queries read at once: bounds the memory.
const CHUNK: usize = 1024;

impl Gnn {
    /// Returns the weights of columns `[users, columns]` of user embeddings.
    pub fn column_weights(&self, embeddings: &Tensor) -> Tensor {
        embeddings.matmul(&self.weights.0) + &self.weights.1
    }

    /// Returns the number of columns of values.
    pub fn columns(&self) -> i64 {
        self.weights.1.size().first().copied().unwrap_or(1)
    }

    /// Returns the weights of users `[batch, user_dim]` who declare a preference `[batch, 1]`.
    ///
    /// What is a user's own stays, and fades towards effect alone: cost less the user's own liking is weighed against effect,
    /// so that a larger preference never chooses the smaller effect.
    pub fn declared(&self, preference: &Tensor, embeddings: &Tensor) -> Tensor {
        let declared = self.preference.declared(preference);
        if self.own == 0 {
            return declared;
        }
        let own = self.column_weights(embeddings);
        let rest: Tensor = 1.0 - self.preference.score(&own).unsqueeze(1);
        let share: Tensor = (1.0 - preference) / rest.clamp_min(MIN_COST_WEIGHT);
        let fixed = self.columns() - self.own;
        Tensor::cat(&[declared.narrow(1, 0, fixed), own.narrow(1, fixed, self.own) * share], 1)
    }

    /// Returns values of queries `[queries, llms, columns]`, given their tasks `[queries, tasks]`.
    fn values(&self, batch: &QueryBatch, reading: &TextFeatures, tasks: &Tensor) -> Tensor {
        let values = self.text.values(reading, tasks, &self.values); // [Q, L, K]
        let features = self.length_features(batch);
        let each = features.size().last().copied().unwrap_or(0) / tasks.size().last().copied().unwrap_or(1).max(1);
        let of_task = tasks.repeat_interleave_self_int(each, 1, None); // [Q, T · F]
        let added = (features * of_task).matmul(&self.length_values);
        &values + added.view_as(&values)
    }

    /// Returns what a query's length tells each task, `[queries, tasks · features]`.
    fn length_features(&self, batch: &QueryBatch) -> Tensor {
        match (batch, self.text.shape_rows()) {
            (QueryBatch::Lexical { shape, .. }, Some(rows)) => self.features_of(shape, rows),
            (QueryBatch::Lexical { .. }, None) => Tensor::zeros([0, 0], (Kind::Float, tch::Device::Cpu)),
            (QueryBatch::Embedding(rows), _) => {
                let queries = rows.size().first().copied().unwrap_or(0);
                let width = self.lengths.size().last().copied().unwrap_or(0);
                Tensor::zeros([queries, width], (Kind::Float, tch::Device::Cpu))
            }
        }
    }

    /// Returns what shape tokens `[queries, tokens]`, the first of which is the length, tell each task; `rows` are the rows of
    /// all ids.
    fn features_of(&self, tokens: &Tensor, rows: &Tensor) -> Tensor {
        let row = rows.index_select(0, &tokens.select(1, 0));
        self.lengths.index_select(0, &row)
    }

    /// Returns values `[queries, llms, columns]` of queries of a data set.
    fn query_values(&self, dataset: &Dataset, queries: &[u32], task: TaskInput) -> Tensor {
        let inputs = QueryInputs::build(&self.facts.hparams.text, dataset, queries);
        let places: Vec<usize> = (0..queries.len()).collect();
        let batch = inputs.batch(&places);
        let reading = self.text.forward(&batch);
        let tasks = match task {
            TaskInput::Inferred => reading.tasks.shallow_clone(),
            TaskInput::Declared => {
                let task = |query: &u32| dataset.queries.get(*query as usize).map_or(0, |query| i64::from(query.task));
                let tasks: Vec<i64> = queries.iter().map(task).collect();
                Tensor::from_slice(&tasks).one_hot(self.facts.tasks.len() as i64).to_kind(Kind::Float)
            }
        };
        self.values(&batch, &reading, &tasks)
    }
}

impl Model for Gnn {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn users(&self) -> &Tensor {
        &self.users
    }

    fn user_dim(&self) -> usize {
        tensors::extents(&self.weights.0).0
    }

    fn preference_scores(&self, embeddings: &Tensor) -> Vec<f32> {
        tensors::to_vec(&self.preference.score(&self.column_weights(embeddings)))
    }

    fn predictor<'a>(
        &'a self,
        dataset: &Dataset,
        queries: &[u32],
        task: TaskInput,
        embeddings: &Tensor,
    ) -> Result<Box<dyn Predictor + 'a>> {
        let _guard = tch::no_grad_guard();
        let parts: Vec<Tensor> = queries.chunks(CHUNK).map(|chunk| self.query_values(dataset, chunk, task)).collect();
        let values = match parts.is_empty() {
            true => Tensor::zeros([0, self.llms() as i64, self.columns()], (Kind::Float, tch::Device::Cpu)),
            false => Tensor::cat(&parts, 0),
        };
        Ok(Box::new(Product::new(&values, &self.column_weights(embeddings))?))
    }

    fn scorer(&self, inputs: &ScorerInputs) -> [Tensor; 5] {
        let reading = self.text.forward(&inputs.query);
        let known = inputs.task.sum_dim_intlist(1, true, Kind::Float).gt(0.5);
        let tasks = inputs.task.where_self(&known, &reading.tasks);
        let values = self.values(&inputs.query, &reading, &tasks); // [B, L, K]
        let own = self.column_weights(&inputs.user);
        let declared = self.declared(&inputs.preference, &inputs.user);
        let weights = declared.where_self(&inputs.preference.ge(0.0), &own); // [B, K]
        let utility = values.matmul(&weights.unsqueeze(2)).squeeze_dim(2);
        let effect = values.matmul(&self.preference.effect);
        let cost = -values.matmul(&self.preference.cost);
        let left = inputs.user.narrow(1, self.reader.width(), self.reader.width()).unsqueeze(2);
        let own = values.matmul(&self.spread.tr()).square().matmul(&left).squeeze_dim(2);
        let variance = own + self.text.task_weights(&tasks).matmul(&self.level);
        [utility, effect, cost, variance.clamp_min(0.0).sqrt(), tasks]
    }

    fn adapter(&self, interactions: &InteractionBatch) -> [Tensor; 3] {
        let lengths = match (interactions.shape_tokens(), self.text.shape_rows()) {
            (Some(tokens), Some(rows)) => self.features_of(&tokens, rows),
            _ => {
                let edges = (interactions.inputs.users * interactions.inputs.interactions) as i64;
                let width = self.lengths.size().last().copied().unwrap_or(0);
                Tensor::zeros([edges, width], (Kind::Float, tch::Device::Cpu))
            }
        };
        let reading = self.reader.forward(interactions, &lengths);
        let certainty = self.reader.certainty(&reading);
        let weights = reading.weights.constant_pad_nd([0, self.reader.width()]);
        let preference = self.preference.score(&self.column_weights(&weights));
        let left = self.reader.left(&reading.covariance);
        [Tensor::cat(&[reading.weights, left], 1), preference, certainty]
    }

    fn prior(&self) -> Vec<f32> {
        tensors::to_vec(&Tensor::cat(&[&self.reader.prior, &self.reader.prior.ones_like()], 0))
    }

    fn save(&self, dir: &Path) -> Result<()> {
        self.write(dir)
    }
}
