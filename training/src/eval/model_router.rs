//! A trained model as a router for the users and queries of a data set.

use std::collections::HashMap;

use anyhow::{Result, bail};
use ndarray::Array2;
use tch::Tensor;

use crate::data::{Dataset, UserInfo};
use crate::model::{Model, Predictor, Router, TaskInput};

/// A model that has read some queries, for some users.
pub struct ModelRouter<'a> {
    name: &'static str,
    positions: HashMap<u32, usize>,
    predictor: Box<dyn Predictor + 'a>,
    llms: usize,
}

impl<'a> ModelRouter<'a> {
    /// Reads `queries` once, with their task declared; users are found by id, the others get the prior.
    pub fn declared(model: &'a dyn Model, dataset: &Dataset, users: &[UserInfo], queries: &[u32]) -> Result<Self> {
        Self::new("router", model, dataset, (queries, TaskInput::Declared), &embeddings(model, users))
    }

    /// The same with the task unknown.
    pub fn unknown(model: &'a dyn Model, dataset: &Dataset, users: &[UserInfo], queries: &[u32]) -> Result<Self> {
        Self::new("router_task_unknown", model, dataset, (queries, TaskInput::Inferred), &embeddings(model, users))
    }

    /// Takes any user embeddings, `[users, user_dim]`.
    pub fn new(
        name: &'static str,
        model: &'a dyn Model,
        dataset: &Dataset,
        (queries, task): (&[u32], TaskInput),
        embeddings: &Tensor,
    ) -> Result<Self> {
        let facts = model.facts();
        let known: Vec<&str> = facts.llms.iter().map(|llm| llm.id.as_str()).collect();
        let given: Vec<&str> = dataset.llms.iter().map(|llm| llm.id.as_str()).collect();
        if known != given {
            bail!("the model was trained on other LLMs: {} against {} in the data", known.join(", "), given.join(", "));
        }
        let known: Vec<&str> = facts.tasks.iter().map(|task| task.name.as_str()).collect();
        let given: Vec<&str> = dataset.tasks.iter().map(|task| task.name.as_str()).collect();
        if task == TaskInput::Declared && known != given {
            bail!(
                "the model was trained on other tasks: {} against {} in the data",
                known.join(", "),
                given.join(", ")
            );
        }
        let predictor = model.predictor(dataset, queries, task, embeddings)?;
        Ok(Self { name, positions: queries.iter().copied().zip(0..).collect(), predictor, llms: model.llms() })
    }
}

impl Router for ModelRouter<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let position = |query: &u32| self.positions.get(query).copied();
        if let Some(positions) = queries.iter().map(position).collect::<Option<Vec<_>>>() {
            return Ok(self.predictor.utilities(user, &positions)?.mapv(f64::from));
        }
        // Queries that the model has not read are worth nothing that is known.
        let mut utilities = Array2::from_elem((queries.len(), self.llms), f64::NAN);
        for (mut target, query) in utilities.rows_mut().into_iter().zip(queries) {
            let Some(position) = position(query) else { continue };
            let row = self.predictor.utilities(user, &[position])?;
            target.zip_mut_with(&row.row(0), |target, &score| *target = f64::from(score));
        }
        Ok(utilities)
    }
}

/// Returns the embeddings of users by id; the population prior for those the model was not trained on.
fn embeddings(model: &dyn Model, users: &[UserInfo]) -> Tensor {
    let known = &model.facts().users;
    let rows: HashMap<&str, i64> = known.iter().map(|(id, _)| id.as_str()).zip(0..).collect();
    // The prior stands behind the last trained user.
    let prior = known.len() as i64;
    let index: Vec<i64> = users.iter().map(|user| rows.get(user.id.as_str()).copied().unwrap_or(prior)).collect();
    let all = Tensor::cat(&[model.users(), &Tensor::from_slice(&model.prior()).unsqueeze(0)], 0);
    all.index_select(0, &Tensor::from_slice(&index))
}
