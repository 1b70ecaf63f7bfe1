//! The trained router: everything that scoring, saving and exporting need, and nothing that only training needs.

pub mod axis;
pub mod belief;
pub mod column;
pub mod score;
pub mod store;
pub mod taste;
pub mod tensors;
pub mod text;

use anyhow::Result;
use ndarray::Array3;
use personaroute_bundle::catalog::{Llm, Task};
use personaroute_bundle::signals::{Rated, signals};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::data::Dataset;
use crate::graph::sample::{Message, Visible};
use crate::graph::text::QueryInputs;
use crate::train::hparams::Hparams;

use axis::Axis;
use belief::Belief;
use text::FrozenText;

/// Queries scored at once: bounds the memory of a score.
const SCORE_CHUNK: usize = 1024;

/// Weight beside quality that a declared preference takes a user's own to have, at least: tastes at most double.
pub const LEAST_REST: f64 = 0.5;

/// A trained router, on the CPU.
#[derive(Debug)]
pub struct Model {
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

/// What a model was trained on and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// LLMs in column order.
    pub llms: Vec<Llm>,
    /// Tasks in column order.
    pub tasks: Vec<Task>,
    /// `R` or `EC`.
    pub setting: String,
    /// Hyperparameters.
    pub hparams: Hparams,
    /// Length of a query embedding; 0 for the lexical encoder.
    pub embedding: usize,
    /// Ids and interaction counts of the training users.
    pub users: Vec<(String, u32)>,
    /// The data set's name.
    pub dataset: String,
    /// The data set's fingerprint.
    pub fingerprint: String,
    /// Queries, outcomes and interactions trained on.
    pub counts: [u64; 3],
    /// Seed.
    pub seed: u64,
    /// Epochs until the kept one.
    pub epochs: usize,
    /// Share of the query-dependent part that validation let in, 0 to 1.
    pub gate: f64,
    /// Validation score of the kept epoch.
    pub validation: f64,
}

/// Values of queries before a user comes in.
#[derive(Debug)]
pub struct QueryValues {
    /// `[queries, llms, weights]`.
    pub values: Tensor,
    /// `[queries, tasks]`: declared or guessed; what a guess lacks to 1 is that of no known task.
    pub tasks: Tensor,
}

impl Model {
    /// Returns the number of LLM columns.
    pub fn llms(&self) -> usize {
        self.facts.llms.len()
    }

    /// Returns the length of a user embedding.
    pub fn user_dim(&self) -> usize {
        tensors::extents(&self.weights.0).0
    }

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
            parts.push(flat.tr().reshape([-1, chunk.len() as i64, self.llms() as i64]));
        }
        if parts.is_empty() {
            return Ok(Array3::zeros((tensors::extents(&weights).0, 0, self.llms())));
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
        self.adapter.tastes.as_ref().map_or(0, taste::Tastes::count)
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

    /// Returns where users stand between cost (0) and quality (1).
    pub fn preferences(&self, embeddings: &Tensor) -> Vec<f32> {
        tensors::to_vec(&self.axis.preference(&self.preference_weights(embeddings)))
    }

    /// Returns the embedding of a user with these interactions.
    pub fn embed_user(&self, rated: &[Rated]) -> Vec<f32> {
        tensors::to_vec(&self.embed_users(&[rated.to_vec()]))
    }

    /// Returns the embeddings `[users, user_dim]` of users with these interactions.
    pub fn embed_users(&self, users: &[Vec<Rated>]) -> Tensor {
        tch::no_grad(|| self.adapter.forward(&self.visible(users), self.facts.tasks.len()))
    }

    /// Returns these interactions as the adapter takes them.
    pub fn visible(&self, users: &[Vec<Rated>]) -> Visible {
        let unknown = self.facts.tasks.len() as i64;
        let lists: Vec<Vec<Message>> = users
            .iter()
            .map(|rated| {
                let message = |(rated, signals): (&Rated, [f32; 3])| Message {
                    llm: i64::from(rated.llm),
                    task: rated.task.map_or(unknown, i64::from),
                    signals,
                };
                rated.iter().zip(signals(rated)).map(message).collect()
            })
            .collect();
        Visible::pad(&lists, self.facts.tasks.len())
    }

    /// Returns the embedding of a user nothing is known about.
    pub fn prior(&self) -> Vec<f32> {
        self.embed_user(&[])
    }
}
