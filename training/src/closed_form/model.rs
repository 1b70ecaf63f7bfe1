//! The closed-form model: everything that scoring, saving and exporting need, and nothing that only estimation needs.

pub mod adapter;
pub mod columns;
pub mod factor;
pub mod predict;
pub mod preference;
pub mod score;
pub mod store;
pub mod text;

use anyhow::Result;
use ndarray::Array3;
use tch::{Kind, Tensor};

use crate::data::Dataset;
use crate::graph::query::QueryInputs;
use crate::model::facts::Facts;
use crate::model::tensors;

use adapter::Belief;
use preference::Axis;
use text::FrozenText;

/// Queries scored at once: bounds the memory of a score.
const SCORE_CHUNK: usize = 1024;

/// Weight beside quality that a declared preference takes a user's own to have, at least: tastes at most double.
pub const LEAST_REST: f64 = 0.5;

/// A trained model, on the CPU.
#[derive(Debug)]
pub struct ClosedForm {
    /// What the numbers are about.
    pub facts: Facts,
    /// Interactions to user embedding.
    pub adapter: Belief,
    /// User embedding to preference weights: `[user_dim, weights]` and bias.
    pub weights: (Tensor, Tensor),
    /// `[tasks, llms · weights]`.
    pub values: Tensor,
    /// The query node.
    pub text: FrozenText,
    /// Quality and cost ends of the preference weights.
    pub axis: Axis,
    /// `[tasks, llms]`: standard deviation of the expected reward.
    pub deviation: Tensor,
    /// `[users, user_dim]`: the training users.
    pub users: Tensor,
}

/// Values of queries before a user comes in.
#[derive(Debug)]
pub struct QueryValues {
    /// `[queries, llms, weights]`.
    pub values: Tensor,
    /// `[queries, tasks]`: declared or guessed; what a guess lacks to 1 is that of no known task.
    pub tasks: Tensor,
}

impl ClosedForm {
    /// Returns the number of preference weights.
    pub fn weight_count(&self) -> i64 {
        self.weights.1.size().first().copied().unwrap_or(1)
    }

    /// Returns utilities `[users, queries, llms]` of training users, by index, for queries of `dataset`.
    pub fn score(
        &self,
        dataset: &Dataset,
        users: &[usize],
        queries: &[u32],
        declared_task: bool,
    ) -> Result<Array3<f32>> {
        let idx: Vec<i64> = users.iter().map(|&user| user as i64).collect();
        let embeddings = self.users.index_select(0, &Tensor::from_slice(&idx));
        self.score_embeddings(dataset, &embeddings, queries, declared_task)
    }

    /// Returns utilities `[users, queries, llms]` of user embeddings `[users, user_dim]`.
    pub fn score_embeddings(
        &self,
        dataset: &Dataset,
        embeddings: &Tensor,
        queries: &[u32],
        declared_task: bool,
    ) -> Result<Array3<f32>> {
        let _guard = tch::no_grad_guard();
        let weights = self.preference_weights(embeddings); // [U, K]
        let mut parts = Vec::new();
        for chunk in queries.chunks(SCORE_CHUNK) {
            let values = self.query_values(dataset, chunk, declared_task).values;
            let flat = values.view([-1, self.weight_count()]).matmul(&weights.tr()); // [Q · L, U]
            parts.push(flat.tr().reshape([-1, chunk.len() as i64, self.facts.llms.len() as i64]));
        }
        if parts.is_empty() {
            return Ok(Array3::zeros((tensors::extents(&weights).0, 0, self.facts.llms.len())));
        }
        tensors::to_array3(&Tensor::cat(&parts, 1))
    }

    /// Returns the values of queries of `dataset`; with `declared_task` their task is told, else guessed.
    pub fn query_values(&self, dataset: &Dataset, queries: &[u32], declared_task: bool) -> QueryValues {
        let inputs = QueryInputs::build(&self.facts.hparams.text, dataset, queries);
        let positions: Vec<usize> = (0..queries.len()).collect();
        let batch = inputs.batch(&positions);
        let reading = self.text.forward(&batch);
        let told = || {
            let task = |query: &u32| dataset.queries.get(*query as usize).map_or(0, |query| i64::from(query.task));
            let tasks: Vec<i64> = queries.iter().map(task).collect();
            Tensor::from_slice(&tasks).one_hot(self.facts.tasks.len() as i64).to_kind(Kind::Float)
        };
        let tasks = if declared_task { told() } else { reading.tasks.shallow_clone() };
        QueryValues { values: self.text.values(&reading, &tasks, &self.values), tasks }
    }

    /// Returns the preference weights `[users, weights]` of user embeddings.
    pub fn preference_weights(&self, embeddings: &Tensor) -> Tensor {
        embeddings.matmul(&self.weights.0) + &self.weights.1
    }

    /// Returns the number of tastes: the last of the weights, and of a user embedding.
    pub fn tastes(&self) -> i64 {
        self.adapter.tastes.as_ref().map_or(0, factor::Tastes::count)
    }

    /// Returns the preference weights `[batch, weights]` of users `[batch, user_dim]` who declare a preference `[batch, 1]`.
    ///
    /// Tastes stay, and fade towards quality alone: what is weighed against quality is cost less taste, in the proportion
    /// in which the user weighs them. So the larger preference never chooses the smaller effect, as without tastes.
    pub fn declared(&self, preference: &Tensor, embeddings: &Tensor) -> Tensor {
        let declared = self.axis.declared(preference);
        let tastes = self.tastes();
        if tastes == 0 {
            return declared;
        }
        let own = self.preference_weights(embeddings);
        let rest: Tensor = 1.0 - self.axis.preference(&own).unsqueeze(1);
        let share: Tensor = (1.0 - preference) / rest.clamp_min(LEAST_REST);
        let ends = self.weight_count() - tastes;
        Tensor::cat(&[declared.narrow(1, 0, ends), own.narrow(1, ends, tastes) * share], 1)
    }
}
