//! The closed-form model: everything that scoring, saving and exporting need, and nothing that only estimation needs.
//!
//! A user embedding is the preference score and the user factors. A linear map turns it into preference weights; the
//! utility of an answer is their product with the answer's values: its effect and cost coefficients and the LLM's loadings.

pub mod adapter;
pub mod columns;
pub mod factor;
pub mod feature_table;
pub mod gate;
pub mod predict;
pub mod preference;
pub mod score;
pub mod store;
pub mod text;

use tch::{Kind, Tensor};

use crate::data::Dataset;
use crate::graph::query::QueryInputs;
use crate::model::TaskInput;
use crate::model::facts::Facts;

use super::constants::MIN_COST_WEIGHT;
use adapter::Adapter;
use factor::Loadings;
use preference::PreferenceDirection;
use text::TextScorer;

/// A trained model, on the CPU.
#[derive(Debug)]
pub struct ClosedForm {
    /// What the numbers are about.
    pub facts: Facts,
    /// Interactions to user embedding.
    pub adapter: Adapter,
    /// User embedding to preference weights: `[user_dim, weights]` and bias.
    pub weights: (Tensor, Tensor),
    /// `[tasks, llms · weights]`.
    pub values: Tensor,
    /// What query text adds.
    pub text: TextScorer,
    /// Preference weights from cost to effect.
    pub preference: PreferenceDirection,
    /// `[tasks, llms]`: standard deviation of the expected reward.
    pub deviation: Tensor,
    /// `[users, user_dim]`: the training users.
    pub users: Tensor,
}

/// Values of queries, the same for all users.
#[derive(Debug)]
pub struct QueryValues {
    /// `[queries, llms, weights]`.
    pub values: Tensor,
    /// `[queries, tasks]`: one-hot where declared, else probabilities, whose rest to 1 is that of an unknown task.
    pub tasks: Tensor,
}

impl ClosedForm {
    /// Returns the number of preference weights.
    pub fn weight_count(&self) -> i64 {
        self.weights.1.size().first().copied().unwrap_or(1)
    }

    /// Returns the values of queries of `dataset`.
    pub fn query_values(&self, dataset: &Dataset, queries: &[u32], task: TaskInput) -> QueryValues {
        let inputs = QueryInputs::build(&self.facts.hparams.text, dataset, queries);
        let positions: Vec<usize> = (0..queries.len()).collect();
        let features = self.text.forward(&inputs.batch(&positions));
        let tasks = match task {
            TaskInput::Declared => {
                let task = |query: &u32| dataset.queries.get(*query as usize).map_or(0, |query| i64::from(query.task));
                let tasks: Vec<i64> = queries.iter().map(task).collect();
                Tensor::from_slice(&tasks).one_hot(self.facts.tasks.len() as i64).to_kind(Kind::Float)
            }
            TaskInput::Inferred => features.tasks.shallow_clone(),
        };
        QueryValues { values: self.text.values(&features, &tasks, &self.values), tasks }
    }

    /// Returns the preference weights `[users, weights]` of user embeddings.
    pub fn preference_weights(&self, embeddings: &Tensor) -> Tensor {
        embeddings.matmul(&self.weights.0) + &self.weights.1
    }

    /// Returns the number of user factors: the last of the weights, and of a user embedding.
    pub fn factors(&self) -> i64 {
        self.adapter.loadings.as_ref().map_or(0, Loadings::count)
    }

    /// Returns the preference weights `[batch, weights]` of users `[batch, user_dim]` who declare a preference `[batch, 1]`.
    ///
    /// User factors stay, scaled by the declared weight of cost over the user's own. So effect alone is compared with cost
    /// minus factors in the proportion in which the user compares them, and a larger preference never lowers the effect.
    pub fn declared(&self, preference: &Tensor, embeddings: &Tensor) -> Tensor {
        let declared = self.preference.declared(preference);
        let factors = self.factors();
        if factors == 0 {
            return declared;
        }
        let own = self.preference_weights(embeddings);
        let cost_weight: Tensor = 1.0 - self.preference.score(&own).unsqueeze(1);
        let scale: Tensor = (1.0 - preference) / cost_weight.clamp_min(MIN_COST_WEIGHT);
        let coefficients = self.weight_count() - factors;
        Tensor::cat(&[declared.narrow(1, 0, coefficients), own.narrow(1, coefficients, factors) * scale], 1)
    }
}
