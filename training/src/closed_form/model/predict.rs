//! The closed-form model behind the trait of all trained models.

use std::path::Path;

use anyhow::{Context, Result};
use ndarray::{Array2, Array3, Axis as Dim};
use tch::Tensor;

use super::ClosedForm;
use crate::data::Dataset;
use crate::graph::interaction::InteractionBatch;
use crate::model::facts::Facts;
use crate::model::score::ScorerInputs;
use crate::model::{Model, Predictor, TaskInput, tensors};

/// Values of queries and weights of users; a utility is their product.
pub struct Product {
    /// `[queries, llms, weights]`.
    values: Array3<f32>,
    /// `[users, weights]`.
    weights: Array2<f32>,
}

impl Model for ClosedForm {
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
        tensors::to_vec(&self.preference.score(&self.preference_weights(embeddings)))
    }

    fn predictor<'a>(
        &'a self,
        dataset: &Dataset,
        queries: &[u32],
        task: TaskInput,
        embeddings: &Tensor,
    ) -> Result<Box<dyn Predictor + 'a>> {
        let values = self.query_values(dataset, queries, task).values;
        Ok(Box::new(Product::new(&values, &self.preference_weights(embeddings))?))
    }

    fn scorer(&self, inputs: &ScorerInputs) -> [Tensor; 5] {
        self.outputs(inputs)
    }

    fn adapter(&self, interactions: &InteractionBatch) -> [Tensor; 3] {
        let [users, certainty] = self.adapter.forward(interactions);
        let preference = self.preference.score(&self.preference_weights(&users));
        [users, preference, certainty]
    }

    fn prior(&self) -> Vec<f32> {
        let zeros = vec![0.0; self.user_dim()];
        let nobody = (self.facts.tasks.len(), self.facts.text_input());
        let [users, _] = self.adapter.forward(&InteractionBatch::from_prior(&[Vec::new()], nobody, &zeros));
        tensors::to_vec(&users)
    }

    fn save(&self, dir: &Path) -> Result<()> {
        self.write(dir)
    }
}

impl Product {
    /// Takes values `[queries, llms, weights]` and weights `[users, weights]`.
    pub fn new(values: &Tensor, weights: &Tensor) -> Result<Self> {
        let flat = tensors::to_rows(weights);
        let shape = (flat.len(), flat.first().map_or(0, Vec::len));
        Ok(Self { values: tensors::to_array3(values)?, weights: Array2::from_shape_vec(shape, flat.concat())? })
    }
}

impl Predictor for Product {
    fn utilities(&self, user: usize, positions: &[usize]) -> Result<Array2<f32>> {
        let users = self.weights.nrows();
        let weights =
            (user < users).then(|| self.weights.row(user)).with_context(|| format!("no user {user} among {users}"))?;
        let (queries, llms, _) = self.values.dim();
        let mut utilities = Array2::from_elem((positions.len(), llms), f32::NAN);
        for (mut target, &position) in utilities.rows_mut().into_iter().zip(positions) {
            if position < queries {
                target.assign(&self.values.index_axis(Dim(0), position).dot(&weights));
            }
        }
        Ok(utilities)
    }
}
