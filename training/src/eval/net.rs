//! The trained model behind the trait of all routers.

use std::collections::HashMap;

use anyhow::{Result, bail};
use ndarray::{Array2, Array3, Axis};
use tch::Tensor;

use crate::data::{Dataset, UserInfo};
use crate::model::{Model, tensors};

use super::Router;

/// Values of queries and weights of users; a utility is their product.
pub struct Net {
    name: &'static str,
    rows: HashMap<u32, usize>,
    /// `[queries, llms, weights]`.
    values: Array3<f32>,
    /// `[users, weights]`.
    weights: Array2<f32>,
}

impl Net {
    /// Looks at `queries` once, with their task declared; users are found by id, the others get the prior.
    pub fn declared(model: &Model, dataset: &Dataset, users: &[UserInfo], queries: &[u32]) -> Result<Self> {
        Self::new("router", model, dataset, (queries, true), &embeddings(model, users))
    }

    /// The same with the task unknown.
    pub fn unknown(model: &Model, dataset: &Dataset, users: &[UserInfo], queries: &[u32]) -> Result<Self> {
        Self::new("router_task_unknown", model, dataset, (queries, false), &embeddings(model, users))
    }

    /// Takes any user embeddings, `[users, user_dim]`.
    pub fn new(
        name: &'static str,
        model: &Model,
        dataset: &Dataset,
        (queries, declared): (&[u32], bool),
        embeddings: &Tensor,
    ) -> Result<Self> {
        let known: Vec<&str> = model.facts.llms.iter().map(|llm| llm.id.as_str()).collect();
        let given: Vec<&str> = dataset.llms.iter().map(|llm| llm.id.as_str()).collect();
        if known != given {
            bail!("the model was trained on other LLMs: {} against {} in the data", known.join(", "), given.join(", "));
        }
        let known: Vec<&str> = model.facts.tasks.iter().map(|task| task.name.as_str()).collect();
        let given: Vec<&str> = dataset.tasks.iter().map(|task| task.name.as_str()).collect();
        if declared && known != given {
            bail!(
                "the model was trained on other tasks: {} against {} in the data",
                known.join(", "),
                given.join(", ")
            );
        }
        let values = tensors::to_array3(&model.query_values(dataset, queries, declared).values)?;
        let flat = tensors::to_rows(&model.preference_weights(embeddings));
        let shape = (flat.len(), flat.first().map_or(0, Vec::len));
        let weights = Array2::from_shape_vec(shape, flat.concat())?;
        Ok(Self { name, rows: queries.iter().copied().zip(0..).collect(), values, weights })
    }
}

impl Router for Net {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let mut utilities = Array2::from_elem((queries.len(), self.values.len_of(Axis(1))), f64::NAN);
        if user >= self.weights.nrows() {
            bail!("no user {user} among {}", self.weights.nrows());
        }
        let weights = self.weights.row(user);
        for (mut target, query) in utilities.rows_mut().into_iter().zip(queries) {
            let Some(&row) = self.rows.get(query) else { continue };
            let scores = self.values.index_axis(Axis(0), row).dot(&weights);
            target.zip_mut_with(&scores, |target, &score| *target = f64::from(score));
        }
        Ok(utilities)
    }
}

/// Returns the embeddings of users by id; the population prior for those the model was not trained on.
fn embeddings(model: &Model, users: &[UserInfo]) -> Tensor {
    let rows: HashMap<&str, i64> = model.facts.users.iter().map(|(id, _)| id.as_str()).zip(0..).collect();
    // The prior stands behind the last trained user.
    let prior = model.facts.users.len() as i64;
    let index: Vec<i64> = users.iter().map(|user| rows.get(user.id.as_str()).copied().unwrap_or(prior)).collect();
    let all = Tensor::cat(&[&model.users, &Tensor::from_slice(&model.prior()).unsqueeze(0)], 0);
    all.index_select(0, &Tensor::from_slice(&index))
}
